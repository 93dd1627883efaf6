"""Measures of all rows: the test of the link by its definition."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from hierlogit.diagnostics.fit.calibration_link import link_score, row_measures
from hierlogit.diagnostics.recalibration import Forecasts


def fitted(eta: np.ndarray, y: np.ndarray, trials: np.ndarray) -> Any:
    p = expit(eta)
    return SimpleNamespace(
        eta=eta, y=y, trials=trials, probability=p, residual=y - trials * p, weight=trials * p * (1 - p)
    )


def test_the_bend_is_a_score_test_of_the_squared_linear_predictor() -> None:
    """Against Rao's statistic of adding the square of a known linear predictor to an intercept and a slope."""
    random = np.random.default_rng(1)
    eta, trials = random.normal(size=200), random.integers(1, 5, 200).astype(float)
    y = random.binomial(trials.astype(int), expit(eta)).astype(float)
    one = fitted(eta, y, trials)
    X = np.column_stack([np.ones(200), eta, eta**2])
    information = X.T @ (one.weight[:, None] * X)
    adjusted = information[2, 2] - information[2, :2] @ np.linalg.solve(information[:2, :2], information[:2, 2])
    efficient = X[:, 2] - X[:, :2] @ np.linalg.solve(information[:2, :2], information[:2, 2])
    assert link_score(one) == pytest.approx((one.residual @ efficient) / np.sqrt(adjusted))


def test_the_bend_is_standard_normal_and_sees_a_curve() -> None:
    random = np.random.default_rng(2)
    eta = random.normal(size=400)
    found = [link_score(fitted(eta, random.binomial(1, expit(eta)).astype(float), np.ones(400))) for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0, abs=0.12)
    assert np.std(found) == pytest.approx(1, abs=0.08)
    curved = [
        link_score(fitted(eta, random.binomial(1, expit(eta + 0.2 * eta**2 - 0.2)).astype(float), np.ones(400)))
        for _ in range(50)
    ]
    assert np.mean(curved) > 1.5


def test_two_values_of_the_linear_predictor_have_no_curve() -> None:
    eta = np.repeat([-1.0, 0.5], 20)
    assert np.isnan(link_score(fitted(eta, np.tile([0.0, 1.0], 20), np.ones(40))))


def test_evidence_says_where_events_are_missing() -> None:
    calibration, link = row_measures()
    random = np.random.default_rng(3)
    one = fitted(np.linspace(-2, 2, 80), random.binomial(1, 0.5, 80).astype(float), np.ones(80))
    parts = Forecasts.of(one.probability, one.trials).decomposition(one.y)
    assert calibration.of(one) == parts["miscalibration"]
    assert "by 0.05, in simulated data by 0.01" in calibration.evidence(one, 0.05, np.array([0.01]))
    assert "less frequent" in link.evidence(one, -3.0, np.array([0.2]))
    assert "more frequent" in link.evidence(one, 3.0, np.array([0.2]))
