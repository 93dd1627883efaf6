"""Simulated outcomes against what they are drawn from, and measures of them."""

from __future__ import annotations

import numpy as np
import pytest

import hierlogit as hl
from hierlogit.diagnostics.fit.measures import Measure
from hierlogit.diagnostics.fit.predictive_check import compare_with_simulated, simulated_outcomes
from hierlogit.engines.maximum.refitted import ReferenceFit
from hierlogit.fits.fit import Fit
from hierlogit.studies.tail_probability import leave_one_out_tail_probabilities, tail_probability


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
        lambda _: [
            measure("events", lambda fitted: fitted.y.sum()),
            measure("never", lambda _: np.nan),
            measure("seldom", lambda _: 1.0 if next(calls) % 2 else np.nan),
        ],
        80,
        4,
        None,
    )
    assert [np.isnan(one.value) for one in found.results] == [False, True, True]
    events = found.results[0]
    y = np.array([one.sum() for one in simulated_outcomes(fit, 80, 4)])
    assert events.value == fit.model.design.outcome.y.sum()
    assert events.expected == pytest.approx(y.mean())
    assert events.p_value == tail_probability(events.value, y, "both")
    np.testing.assert_array_equal(found.p_values[:, 0], leave_one_out_tail_probabilities(y, "both"))
    np.testing.assert_array_equal(found.p_values[:, 1:], 1.0)
