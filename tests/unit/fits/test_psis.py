"""Pareto-smoothed importance sampling: shapes of known tails, and weights that leave nothing to smooth."""

from __future__ import annotations

from pathlib import Path

import arviz_stats
import numpy as np
import pytest
import xarray as xr

import hierlogit
import hierlogit as hl
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


def test_threshold_and_efficiency_are_those_of_arviz(fit: hl.results.Fit) -> None:
    expected = arviz_stats.loo(fit.data, pointwise=True)
    assert khat_threshold(4000) == pytest.approx(expected.good_k)
    log_likelihood = fit.data["log_likelihood"]["y"].transpose(..., "chain", "draw").to_numpy().reshape(220, -1)
    np.testing.assert_array_equal(
        psis(-log_likelihood, relative_efficiency(fit.posterior))[1], expected.pareto_k.to_numpy()
    )


def test_leave_one_out_does_not_rely_on_weights_that_overflow(fit: hl.results.Fit) -> None:
    """ArviZ alone gives such weights a small k-hat."""
    values = fit.data["log_likelihood"].to_dataset().compute()
    values["y"].transpose("obs", ...)[0] = -np.repeat(OVERFLOWING, 4).reshape(4, 1000)
    groups = {name: fit.data[name].to_dataset() for name in ("posterior", "observed_data", "constant_data")}
    extreme = hl.results.Fit(
        fit.model, xr.DataTree.from_dict({**groups, "log_likelihood": values}), fit.diagnostics, None
    )
    with pytest.warns(UserWarning, match="shape parameter of Pareto distribution"):
        found = hl.loo(extreme, refit=False)
    assert found.pareto_k[0] == np.inf


def test_smoothing_is_in_one_place() -> None:
    package = Path(hierlogit.__file__).parent
    users = [path.name for path in package.rglob("*.py") if "psislw" in path.read_text(encoding="utf-8")]
    assert users == ["psis.py"]
