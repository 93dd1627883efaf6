"""Tail probabilities against SciPy and uniformity; simulated outcomes against what they are drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearson3

import hierlogit as hl
from hierlogit.diagnostics.fit.measures import Measure, Tail
from hierlogit.diagnostics.fit.predictive_check import (
    COUNTED,
    compare_with_simulated,
    leave_one_out_tail_probabilities,
    pearson_tail,
    simulated_outcomes,
    tail_probability,
)
from hierlogit.diagnostics.fit.refitted import ReferenceFit
from hierlogit.fits.fit import Fit


def test_the_tail_is_that_of_scipy() -> None:
    for value in (-3.0, -0.5, 0.0, 2.0, 5.0, 10.0):
        for skewness in (0.0, 0.01, 0.3, 1.0, 3.0):
            assert pearson_tail(value, skewness) == pytest.approx(pearson3.sf(value, skewness), rel=1e-10)
    assert pearson_tail(-5.0, 2.0) == 1.0  # below where the distribution begins


def test_many_beyond_are_counted_and_few_extrapolated() -> None:
    simulated = np.arange(200.0)
    assert tail_probability(199 - COUNTED + 1.0, simulated, "upper") == (1 + COUNTED) / 201
    # The numbers have no skewness: beyond the counted ones the tail is that of a normal distribution.
    z = (250 - 99.5) / simulated.std(ddof=1)
    assert tail_probability(250.0, simulated, "upper") == pytest.approx(pearson3.sf(z, 0))
    assert tail_probability(250.0, simulated, "both") == pytest.approx(2 * pearson3.sf(z, 0))
    assert tail_probability(-51.0, simulated, "both") == pytest.approx(2 * pearson3.sf(z, 0))
    assert tail_probability(-51.0, simulated, "upper") == 1.0
    assert tail_probability(99.5, simulated, "both") == 1.0


def test_numbers_that_do_not_vary() -> None:
    assert tail_probability(1.0, np.ones(99), "both") == 1.0
    assert tail_probability(2.0, np.ones(99), "both") == 0.02
    assert tail_probability(0.0, np.ones(99), "upper") == 1.0


def test_each_simulated_number_stands_beside_the_others() -> None:
    random = np.random.default_rng(2)
    simulated = random.gamma(3, size=60)
    found = leave_one_out_tail_probabilities(simulated, "both")
    expected = [tail_probability(simulated[k], np.delete(simulated, k), "both") for k in range(60)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("tail", ["upper", "both"])
def test_p_values_of_normal_numbers_are_uniform_also_far_out(tail: Tail) -> None:
    random = np.random.default_rng(3)
    found = np.array([tail_probability(v[0], v[1:], tail) for v in random.normal(size=(10_000, 201))])
    for level in (0.5, 0.2, 0.05, 0.01, 0.002):
        assert np.mean(found <= level) == pytest.approx(level, rel=0.05, abs=3.5 * np.sqrt(level / 10_000))


def test_p_values_of_skewed_numbers_are_nearly_uniform() -> None:
    random = np.random.default_rng(3)
    samples = random.chisquare(3, size=(10_000, 201))
    upper = np.array([tail_probability(v[0], v[1:], "upper") for v in samples])
    both = np.array([tail_probability(v[0], v[1:], "both") for v in samples])
    for level in (0.2, 0.05, 0.01):
        assert np.mean(upper <= level) == pytest.approx(level, rel=0.35)
        assert np.mean(both <= level) < 1.1 * level  # the short tail is taken as a longer one
    # A normal tail would find fourteen times as many as it should.
    assert np.mean(upper <= 0.001) < 0.0035


@pytest.fixture(scope="module")
def fit() -> Fit:
    layout = hl.Layout({"g": 25}, size=8, predictors={"x": "normal"})
    truth = {"beta": {"Intercept": -0.5, "x": 0.7}, "sd": {"g": 1.0}}
    return hl.Model("y ~ x + (1 | g)", hl.simulate("y ~ x + (1 | g)", layout, seed=2, **truth)).fit(hl.Laplace(seed=1))


def test_outcomes_come_from_draws_in_new_clusters(fit: Fit) -> None:
    made = np.array(list(simulated_outcomes(fit, 1000, 3)))
    assert set(np.unique(made)) == {0.0, 1.0}
    p = hl.predictions(fit, clusters="average")["mean"].to_numpy()
    np.testing.assert_allclose(made.mean(axis=0), p, atol=5 * 0.5 / np.sqrt(1000))
    index = fit.model.design.groups[0].index
    shares = np.array([np.bincount(index, weights=y) / 8 for y in made])
    # Effects are new: a cluster's share in one simulation says nothing of it in another.
    assert shares.mean(axis=0).std() < 0.06
    # And there are effects: rows of a cluster are alike.
    alone = np.array([np.bincount(index, weights=random_row(p, k)) / 8 for k in range(1000)])
    assert shares.std() > 1.2 * alone.std()
    assert not np.array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[:5], np.array(list(simulated_outcomes(fit, 1000, 3)))[:5])


def random_row(p: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).binomial(1, p).astype(float)


def test_measures_are_compared_and_those_without_a_number_left_out(fit: Fit) -> None:
    reference = ReferenceFit.of(fit)

    def measure(name: str, of: object) -> Measure:
        return Measure(name, "", name, "both", of, lambda *_: "evidence", "remedy")  # type: ignore[arg-type]

    calls = iter(range(10_000))
    found = compare_with_simulated(
        fit,
        reference,
        [
            measure("events", lambda fitted: fitted.y.sum()),
            measure("never", lambda _: np.nan),
            measure("seldom", lambda _: 1.0 if next(calls) % 2 else np.nan),
        ],
        80,
        4,
    )
    assert [np.isnan(one.value) for one in found.results] == [False, True, True]
    events = found.results[0]
    y = np.array([one.sum() for one in simulated_outcomes(fit, 80, 4)])
    assert events.value == fit.model.design.outcome.y.sum()
    assert events.expected == pytest.approx(y.mean())
    assert events.p_value == tail_probability(events.value, y, "both")
    np.testing.assert_array_equal(found.p_values[:, 0], leave_one_out_tail_probabilities(y, "both"))
    np.testing.assert_array_equal(found.p_values[:, 1:], 1.0)
