"""The compiled density of effects given outcomes against NumPy, and its derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from hierlogit.effects.numerics.given_outcomes import Problem, _Rule, log_integral

DRAWS, EFFECTS = 3, 2


def problem(rows: int, most_trials: int) -> Problem:
    random = np.random.default_rng(rows)
    trials = random.integers(1, most_trials + 1, rows).astype(float)
    y = random.binomial(trials.astype(int), 0.4).astype(float)
    return Problem(random.normal(size=(DRAWS, rows)), random.normal(size=(DRAWS, rows, EFFECTS)), y, trials, phi=None)


def expected(one: Problem, u: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-one.predictor(u)))
    return binom.logpmf(one.y, one.trials, p).sum(axis=1) - 0.5 * (u**2).sum(axis=1)


@pytest.mark.parametrize(("rows", "most_trials"), [(5, 1), (9, 7), (4, 30), (0, 1)])
def test_densities_are_those_of_binomial_rows_and_normal_effects(rows: int, most_trials: int) -> None:
    one = problem(rows, most_trials)
    points = np.random.default_rng(1).normal(size=(4, DRAWS, EFFECTS))
    found = one.log_density(points)
    np.testing.assert_allclose(found, [expected(one, u) for u in points], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one.log_density(points[0]), found[0], rtol=1e-15)


@pytest.mark.parametrize(("rows", "most_trials"), [(5, 1), (9, 7), (4, 30), (0, 1)])
def test_derivatives_are_those_of_the_density(rows: int, most_trials: int) -> None:
    one, step = problem(rows, most_trials), 1e-5
    u = np.random.default_rng(1).normal(size=(DRAWS, EFFECTS))
    value, gradient, H = one.expansion(u)
    np.testing.assert_allclose(value, one.log_density(u), rtol=1e-14)
    for k in range(EFFECTS):
        move = np.zeros(EFFECTS)
        move[k] = step
        slope = (one.log_density(u + move) - one.log_density(u - move)) / (2 * step)
        np.testing.assert_allclose(gradient[:, k], slope, atol=1e-8)
        curvature = (one.expansion(u + move)[1] - one.expansion(u - move)[1]) / (2 * step)
        np.testing.assert_allclose(H[:, k], -curvature, atol=1e-8)


def test_densities_of_overdispersed_rows_take_several_points() -> None:
    one = problem(6, 5)
    over = Problem(one.eta, one.A, one.y, one.trials, np.full(DRAWS, np.inf))
    points = np.random.default_rng(1).normal(size=(2, DRAWS, EFFECTS))
    np.testing.assert_allclose(over.log_density(points), one.log_density(points), rtol=1e-10)


@pytest.mark.parametrize(("rows", "most_trials"), [(5, 1), (2000, 1), (9, 7), (700, 7), (4, 30), (0, 1)])
@pytest.mark.parametrize("effects", [1, 2, 3, 4])
def test_integrals_are_those_of_the_densities_at_the_nodes(rows: int, most_trials: int, effects: int) -> None:
    one = problem(rows, most_trials)
    A = np.random.default_rng(2).normal(size=(DRAWS, rows, effects)) / (1 + rows) ** 0.5
    one = Problem(one.eta, A, one.y, one.trials, phi=None)
    np.testing.assert_allclose(one.log_integrals(_Rule.of(one)), log_integral(one)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("most_trials", [1, 7, 30])
@pytest.mark.parametrize(("others", "coefficients"), [(1.0, 300.0), (300.0, 1.0), (-500.0, 500.0), (900.0, 0.1)])
def test_integrals_over_extreme_linear_predictors(most_trials: int, others: float, coefficients: float) -> None:
    one = problem(20, most_trials)
    one = Problem(others * one.eta, coefficients * one.A, one.y, one.trials, phi=None)
    random = np.random.default_rng(3)
    points, log_weights = random.normal(size=(9, EFFECTS)), random.normal(size=9)
    rule = _Rule(
        np.zeros((DRAWS, EFFECTS)), np.tile(np.eye(EFFECTS), (DRAWS, 1, 1)), np.zeros(DRAWS), points, log_weights
    )
    logs = np.stack([one.log_density(np.tile(point, (DRAWS, 1))) for point in points]) + log_weights[:, None]
    np.testing.assert_allclose(one.log_integrals(rule), np.logaddexp.reduce(logs), rtol=1e-12)


def test_rows_with_the_same_coefficients_need_not_be_together() -> None:
    random = np.random.default_rng(4)
    A = random.normal(size=(DRAWS, 2, EFFECTS))[:, random.integers(0, 2, 30)]
    one = Problem(random.normal(size=(DRAWS, 30)), A, random.integers(0, 2, 30).astype(float), np.ones(30), phi=None)
    np.testing.assert_allclose(one.log_integrals(_Rule.of(one)), log_integral(one)[0], rtol=1e-12)
