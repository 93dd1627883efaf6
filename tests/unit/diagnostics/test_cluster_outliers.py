"""Measures of clusters: by hand, and their size where the model is right."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.diagnostics.fit.cluster_outliers import cluster_measures, proportions, standardised_modes
from hierlogit.diagnostics.fit.cluster_slopes import relations, slope_measures
from hierlogit.engines.maximum.refitted import ReferenceFit
from hierlogit.fits.fit import Fit
from hierlogit.model_comparison.slope_scores import absent_slopes, slope_scores


@pytest.fixture(scope="module")
def fit() -> Fit:
    return hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))


def test_proportions_and_their_measures_by_hand(fit: Fit) -> None:
    frame = hl.datasets.load("cbpp")
    total = frame.groupby("herd")[["successes", "size"]].sum()
    shares = (total["successes"] / total["size"]).to_numpy()
    one, group = ReferenceFit.of(fit).observed, fit.model.design.groups[0]
    np.testing.assert_allclose(proportions(one, group), shares)
    found = {measure.check: measure.of(one) for measure in cluster_measures(fit.model.design)}
    assert found["cluster_spread"] == pytest.approx(shares.std(ddof=1))
    assert (found["lowest_cluster"], found["highest_cluster"]) == pytest.approx((shares.min(), shares.max()))
    assert fit.estimate is not None
    sd, modes, left = fit.estimate.sd("herd")[0], fit.estimate.modes["herd"], fit.estimate.conditional_sds["herd"]
    expected = modes / np.sqrt(sd**2 - left**2)
    np.testing.assert_allclose(standardised_modes(one, group), expected, rtol=2e-3)
    assert found["outlying_cluster"] == pytest.approx(np.abs(expected).max(), rel=2e-3)


def test_evidence_names_the_cluster(fit: Fit) -> None:
    one = ReferenceFit.of(fit).observed
    spread, lowest, highest, outlier = cluster_measures(fit.model.design)
    simulated = np.array([0.1, 0.2])
    assert "differ more than in data simulated from the model" in spread.evidence(one, 0.3, simulated)
    assert "differ less than in data simulated from the model" in spread.evidence(one, 0.1, simulated)
    shares = pd.Series(proportions(one, fit.model.design.groups[0]), fit.model.design.groups[0].levels)
    assert f"in cluster {shares.idxmin()}; in simulated data" in lowest.evidence(one, 0.3, simulated)
    assert f"in cluster {shares.idxmax()}; in simulated data" in highest.evidence(one, 0.3, simulated)
    assert "Intercept effect is 9.0 sds from zero" in outlier.evidence(one, 9.0, simulated)
    assert "hl.plots.cluster_check(fit, 'herd')" in outlier.remedy


def test_standardised_modes_have_unit_variance() -> None:
    """Whatever the clusters' sizes: five hundred of four rows to sixty."""
    random = np.random.default_rng(4)
    sizes = random.choice([4, 15, 60], 500)
    g = np.repeat(np.arange(500), sizes)
    frame = pd.DataFrame({"g": g, "x": random.normal(size=len(g))})
    frame["y"] = random.binomial(1, expit(0.5 * frame["x"] + (0.9 * random.normal(size=500))[g]))
    fit = hl.Model("y ~ x + (1 | g)", frame).fit(hl.Laplace(seed=1))
    found = standardised_modes(ReferenceFit.of(fit).observed, fit.model.design.groups[0])[:, 0]
    for size in (4, 15, 60):
        assert found[sizes == size].std() == pytest.approx(1, abs=0.12)
    assert fit.estimate is not None
    assert fit.estimate.modes["g"][sizes == 4].std() < 0.8 * fit.estimate.modes["g"][sizes == 60].std()


def test_a_cluster_that_says_nothing_of_an_effect_has_none() -> None:
    """One district has rows in towns only, others in the country only."""
    fit = hl.Model("use ~ age + (0 + urban | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    group, one = fit.model.design.groups[0], ReferenceFit.of(fit).observed
    rows = np.array([[group.Z[group.index == j, k].any() for k in range(2)] for j in range(len(group.levels))])
    alone = ~rows
    independent = SimpleNamespace(
        sds=one.sds,
        modes=one.modes,
        variances={"district": np.where(alone, one.sds["district"] ** 2, one.variances["district"])},
    )
    found = standardised_modes(independent, group)  # type: ignore[arg-type]
    assert alone.any()
    np.testing.assert_array_equal(found[alone], 0)
    assert np.all(found[~alone] != 0)


def test_relations_are_standardised_scores_of_a_stretched_linear_predictor() -> None:
    random = np.random.default_rng(5)
    g, eta = np.repeat(np.arange(6), 50), random.normal(size=300)
    eta[g == 5] = 0.7  # does not vary
    y = random.binomial(1, expit(eta)).astype(float)
    p = expit(eta)
    one: Any = SimpleNamespace(eta=eta, y=y, residual=y - p, weight=p * (1 - p))
    group: Any = SimpleNamespace(index=g, levels=np.arange(6))
    found = relations(one, group)
    for j in range(5):
        rows = g == j
        w = p[rows] * (1 - p[rows])
        away = eta[rows] - np.average(eta[rows], weights=w)
        assert found[j] == pytest.approx(((y - p)[rows] @ away) / np.sqrt(w @ away**2))
    assert found[5] == 0


def test_relations_are_negative_where_outcomes_are_turned() -> None:
    random = np.random.default_rng(6)
    g, eta = np.repeat(np.arange(40), 50), 1.2 * random.normal(size=2000)
    p = expit(eta)
    y = random.binomial(1, p).astype(float)
    reversed_y = np.where(g == 3, 1 - y, y)
    group: Any = SimpleNamespace(index=g, levels=np.arange(40), name="g", effects=("Intercept",))
    one: Any = SimpleNamespace(eta=eta, y=reversed_y, residual=reversed_y - p, weight=p * (1 - p))
    found = relations(one, group)
    assert found[3] < -6
    rest = np.delete(found, 3)
    assert rest.mean() == pytest.approx(0, abs=0.6)
    assert rest.std() == pytest.approx(1, abs=0.3)


def test_relations_are_measured_where_predictors_vary_within_clusters(fit: Fit) -> None:
    assert [one.check for one in slope_measures(fit.model.design)] == ["reversed_slopes", "heterogeneous_slopes"]
    random = np.random.default_rng(7)
    frame = pd.DataFrame({"g": np.repeat(np.arange(10), 5), "z": np.repeat(random.normal(size=10), 5)})
    frame["y"] = random.integers(0, 2, 50)
    assert slope_measures(hl.Model("y ~ z + (1 | g)", frame).design) == []
    one = ReferenceFit.of(fit).observed
    reversed_slopes, heterogeneous_slopes = slope_measures(fit.model.design)
    found = relations(one, fit.model.design.groups[0])
    assert reversed_slopes.of(one) == pytest.approx(np.abs(found).max())
    (period,) = slope_scores(one, absent_slopes(fit.model.design))
    assert heterogeneous_slopes.of(one) == pytest.approx(period.value / np.sqrt(period.information))
    level = fit.model.design.groups[0].levels[np.abs(found).argmax()]
    assert f"In cluster {level} of 'herd'" in reversed_slopes.evidence(one, 0.0, np.zeros(2))
