"""Calibration: isotonic regression by its definition, the parts of the Brier score, bands by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.density.linear_predictor import Draws
from hierlogit.diagnostics import calibration as reliability
from hierlogit.diagnostics.fit.simulated_rows import SimulatedRows
from hierlogit.diagnostics.recalibration import Forecasts, fitted_probability
from hierlogit.errors import PredictionError
from hierlogit.fits.fit import Fit


def isotonic(rate: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Largest over all starts before of the smallest over all ends behind of the average (Barlow et al. 1972)."""
    total, summed = np.cumsum(np.r_[0, weight]), np.cumsum(np.r_[0, weight * rate])

    def average(i: int, j: int) -> float:
        return (summed[j + 1] - summed[i]) / (total[j + 1] - total[i])

    count = range(len(rate))
    return np.array([max(min(average(i, j) for j in count if j >= k) for i in count if i <= k) for k in count])


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities with ties, trials and successes."""
    random = np.random.default_rng(7)
    p = random.choice(np.linspace(0.05, 0.95, 12), 40)
    trials = random.integers(1, 6, 40).astype(float)
    return p, trials, random.binomial(trials.astype(int), p**1.5).astype(float)


def test_recalibration_is_isotonic_regression(rows) -> None:
    p, trials, y = rows
    forecasts = Forecasts.of(p, trials)
    np.testing.assert_array_equal(forecasts.probability[forecasts.member], p)
    rate = np.array([y[p == one].sum() / trials[p == one].sum() for one in forecasts.probability])
    np.testing.assert_allclose(forecasts.recalibrated(y), isotonic(rate, forecasts.trials))
    assert np.any(np.diff(rate) < 0)


def test_the_parts_of_the_brier_score(rows) -> None:
    p, trials, y = rows
    forecasts = Forecasts.of(p, trials)
    parts = forecasts.decomposition(y)
    brier = (y * (1 - p) ** 2 + (trials - y) * p**2).sum() / trials.sum()
    mean = y.sum() / trials.sum()
    assert parts["brier"] == pytest.approx(brier)
    assert parts["uncertainty"] == pytest.approx(mean * (1 - mean))
    assert parts["brier"] == pytest.approx(parts["miscalibration"] - parts["discrimination"] + parts["uncertainty"])
    better = forecasts.recalibrated(y)[forecasts.member]
    recalibrated = Forecasts.of(better, trials).decomposition(y)
    assert recalibrated["miscalibration"] == pytest.approx(0, abs=1e-12)
    assert parts["miscalibration"] == pytest.approx(brier - recalibrated["brier"])
    assert parts["miscalibration"] > 0.005
    constant = Forecasts.of(np.full(40, mean), trials).decomposition(y)
    assert constant["discrimination"] == pytest.approx(0, abs=1e-12)


@pytest.fixture(scope="module")
def fit() -> Fit:
    return hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))


def test_table_of_a_fit(fit: Fit) -> None:
    table = hl.calibration(fit, seed=1, ci_prob=0.8)
    outcome = fit.model.design.outcome
    p = hl.residuals(fit, "pearson")["fitted"].to_numpy()
    np.testing.assert_allclose(table["fitted"], np.unique(p))
    np.testing.assert_allclose(table["calibrated"], Forecasts.of(p, outcome.trials).recalibrated(outcome.y))
    assert table["rows"].sum() == 56
    assert table["trials"].sum() == outcome.trials.sum()
    assert {"eti80_lb", "eti80_ub"} < set(table.columns)
    assert table.attrs == pytest.approx({**Forecasts.of(p, outcome.trials).decomposition(outcome.y), "seed": 1})
    assert hl.calibration(fit, seed=1, ci_prob=0.8).equals(table)


def clusters_of_four(seed: int, *, curved: bool) -> Fit:
    """A fit without the curve of x, which the data have or not."""
    random = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(250), 4), random.normal(size=1000)
    eta = -0.3 + 0.8 * x + random.normal(size=250)[g] + 1.2 * curved * (x**2 - 1)
    frame = pd.DataFrame({"g": g, "x": x, "y": random.binomial(1, expit(eta))})
    return hl.Model("y ~ x + (1 | g)", frame).fit(hl.AGQ(nodes=9, seed=1))


def share_outside(table: pd.DataFrame) -> float:
    low, high = table.columns[3:5]
    outside = (table["calibrated"] < table[low]) | (table["calibrated"] > table[high])
    return float(table["trials"][outside].sum() / table["trials"].sum())


def test_shrunken_probabilities_of_a_right_model_lie_in_the_band() -> None:
    """The curve is far steeper than the diagonal, since the effects are estimated from the same outcomes."""
    right, wrong = clusters_of_four(1, curved=False), clusters_of_four(2, curved=True)
    table = hl.calibration(right, replicates=60, seed=1)
    assert share_outside(table) < 0.25
    middle = (table["fitted"] > 0.6) & (table["fitted"] < 0.8)
    assert (table["calibrated"] - table["fitted"])[middle].mean() > 0.06
    assert abs((table["calibrated"] - table["expected"])[middle].mean()) < 0.08
    assert share_outside(hl.calibration(wrong, replicates=60, seed=1)) > 0.3
    binned = [hl.residuals(one, "binned", by=by, replicates=30, seed=1) for one in (right, wrong) for by in (None, "x")]
    outside = [float(one["outside"].mean()) for one in binned]
    assert max(outside[:2]) < 0.15
    assert min(outside[2:]) > 0.2


def test_a_fit_that_is_no_maximum_has_nothing_to_be_compared_with() -> None:
    fit = clusters_of_four(1, curved=False)
    assert fit.estimate is not None
    lost = replace(fit.estimate, covariance=np.full_like(fit.estimate.covariance, np.nan))
    with pytest.raises(PredictionError, match="not at a maximum"):
        hl.calibration(Fit(fit.model, fit.data, fit.diagnostics, lost))


def test_bands_hold_what_they_say() -> None:
    """Curves of other simulated data lie in the band as often as it says, at each probability."""
    model = hl.Model("use ~ age + urban", hl.datasets.load("contraception"))
    fit = model.fit(hl.Laplace(seed=1))
    table = hl.calibration(fit, seed=1, replicates=400, ci_prob=0.8)
    curves = []
    for p, y, _ in SimulatedRows.of(fit, "observed", None, 300, 2):
        forecasts = Forecasts.of(p, np.ones(len(p)))
        curves.append(np.interp(table["fitted"], forecasts.probability, forecasts.recalibrated(y)))
    inside = (np.array(curves) >= table["eti80_lb"].to_numpy()) & (np.array(curves) <= table["eti80_ub"].to_numpy())
    assert inside.mean() == pytest.approx(0.8, abs=0.03)


def test_of_very_many_probabilities_some_carry_the_band(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hl.calibration(fit, seed=1)
    monkeypatch.setattr(reliability, "MOST_PLACES", 9)
    some = hl.calibration(fit, seed=1)
    at = np.linspace(0, len(whole) - 1, 9).round().astype(int)
    for name in whole.columns[2:5]:
        np.testing.assert_allclose(some[name].iloc[at], whole[name].iloc[at])
        between = np.interp(whole["fitted"], whole["fitted"].iloc[at], whole[name].iloc[at])
        np.testing.assert_allclose(some[name], between)
        assert np.any(some[name] != whole[name])


def test_probabilities_of_draws_and_of_other_clusters(fit: Fit, make_fit, clustered_rows) -> None:
    sampled = make_fit("healed ~ dose + (1 | clinic)", clustered_rows(8, 10))
    draws, design = Draws.of(sampled.model, sampled.posterior), sampled.model.design
    eta = draws.beta @ design.X.T
    own = expit(eta + draws.effects["clinic"][:, design.groups[0].index, 0])
    np.testing.assert_allclose(fitted_probability(sampled, "observed"), own.mean(axis=0))
    np.testing.assert_allclose(fitted_probability(sampled, "typical"), expit(eta).mean(axis=0))
    assert fit.estimate is not None
    np.testing.assert_allclose(fitted_probability(fit, "typical"), expit(fit.model.design.X @ fit.estimate.beta))
    assert len(hl.calibration(fit, clusters="typical", seed=1)) == 4  # one for each period


def test_what_cannot_be_is_refused(fit: Fit) -> None:
    with pytest.raises(PredictionError, match="replicates=5 must be"):
        hl.calibration(fit, replicates=5)
    with pytest.raises(PredictionError, match="ci_prob=2"):
        hl.calibration(fit, ci_prob=2)
    with pytest.raises(PredictionError, match="clusters='none'"):
        hl.calibration(fit, clusters="none")
