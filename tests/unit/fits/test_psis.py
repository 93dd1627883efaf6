"""Pareto-smoothed importance sampling: shapes of known tails, and weights that leave nothing to smooth."""

from __future__ import annotations

from pathlib import Path

import arviz_stats
import numpy as np
import pytest

import hierlogit
import hierlogit as hl
from hierlogit.effects.numerics.given_other_rows import GivenOthers
from hierlogit.fits.psis import khat_threshold, psis, relative_efficiency

#: As extreme as numbers get: most of the tail's weights are below the least normal number.
OVERFLOWING = np.concatenate([np.linspace(-2000, -900, 800), np.linspace(-740, -712, 150), np.linspace(-700, 0, 50)])


@pytest.mark.parametrize("shape", [0.3, 0.8])
def test_k_hat_is_the_shape_of_the_weights(shape: float) -> None:
    # exp(shape * E) of an exponential E has a Pareto tail of that shape; its inverse has no tail at all.
    log_ratios = shape * np.random.default_rng(1).exponential(size=4000)
    assert psis(log_ratios)[1] == pytest.approx(shape, abs=0.12)
    assert psis(-log_ratios)[1] < 0


def test_weights_sum_to_one_and_are_smoothed_one_by_one() -> None:
    log_ratios = np.random.default_rng(1).normal(size=(3, 400)) * np.array([[0.5], [2.0], [0.0]])
    log_ratios[2] = 7.0
    log_weights, k_hat = psis(np.vstack([log_ratios, np.resize(OVERFLOWING, 400)]), r_eff=0.8)
    np.testing.assert_allclose(np.exp(log_weights).sum(axis=1), 1)
    for k in range(2):
        alone = psis(log_ratios[k], r_eff=0.8)
        np.testing.assert_array_equal(log_weights[k], alone[0])
        assert k_hat[k] == alone[1]
    np.testing.assert_allclose(log_weights[2], -np.log(400))
    assert k_hat[2] == 0


def test_nearly_all_weight_on_one_draw_has_infinite_k_hat() -> None:
    log_weights, k_hat = psis(OVERFLOWING)
    assert k_hat == np.inf
    assert log_weights[-1] == pytest.approx(np.log(-np.expm1(-700 / 49)), abs=1e-6)
    assert psis(np.r_[np.random.default_rng(1).normal(size=999), 3000.0])[1] == np.inf


@pytest.fixture(scope="module")
def fit() -> hl.results.Fit:
    model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    return model.fit(hl.NUTS(draws=1000, seed=1, progress=False))


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # weights with the effects of the draws, as ArviZ has
def test_threshold_and_efficiency_are_those_of_arviz(fit: hl.results.Fit) -> None:
    expected = arviz_stats.loo(fit.data, pointwise=True)
    assert khat_threshold(4000) == pytest.approx(expected.good_k)
    log_likelihood = fit.data["log_likelihood"]["y"].transpose(..., "chain", "draw").to_numpy().reshape(220, -1)
    np.testing.assert_array_equal(
        psis(-log_likelihood, relative_efficiency(fit.posterior))[1], expected.pareto_k.to_numpy()
    )


def test_leave_one_out_does_not_rely_on_weights_that_overflow(
    fit: hl.results.Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ArviZ alone gives such weights a small k-hat."""
    of = GivenOthers.of

    def extreme(given: GivenOthers, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_probability, probability = of(given, at)
        log_probability[:, at == 0] = -np.repeat(OVERFLOWING, 4)[:, None]
        return log_probability, probability

    monkeypatch.setattr(GivenOthers, "of", extreme)
    with pytest.warns(UserWarning, match="shape parameter of Pareto distribution"):
        found = hl.loo(fit, refit=False)
    assert found.pareto_k[0] == np.inf


def test_equal_largest_ratios_have_no_tail() -> None:
    ratios = np.minimum(np.random.default_rng(1).normal(size=4000), 0.0)
    log_weights, k_hat = psis(ratios)
    assert k_hat == 0
    assert np.exp(log_weights).sum() == pytest.approx(1)


def test_smoothing_is_in_one_place() -> None:
    package = Path(hierlogit.__file__).parent
    users = [path.name for path in package.rglob("*.py") if "psislw" in path.read_text(encoding="utf-8")]
    assert users == ["psis.py"]


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_ratios_without_a_density_have_no_weights(value: float) -> None:
    log_weights, k_hat = psis(np.full(100, value))
    assert k_hat == np.inf
    np.testing.assert_allclose(log_weights, -np.log(100))
