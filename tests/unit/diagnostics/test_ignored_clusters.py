"""What ignoring clusters does: naive regressions by R, design effects pair by pair, false positives by theory."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.special import expit, ndtr

import hierlogit as hl
from hierlogit.design.design import Design
from hierlogit.diagnostics.ignored_clusters import false_positives
from hierlogit.diagnostics.ignored_clusters.design_effects import DesignEffects
from hierlogit.diagnostics.ignored_clusters.naive_regression import NaiveRegression
from hierlogit.errors import FitError, PredictionError, StudyError
from hierlogit.studies.parameters import Population
from hierlogit.studies.simulated_outcomes import simulated_outcome

FloatArray = npt.NDArray[np.float64]
MakeFit = Callable[..., hl.results.Fit]
REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "naive_reference.json").read_text())


@pytest.mark.parametrize("model", REFERENCE["models"], ids=lambda model: model["formula"])
def test_naive_estimates_are_those_of_glm(model: dict[str, Any]) -> None:
    fit = hl.Model(model["formula"], hl.datasets.load(model["data"])).fit(hl.AGQ(nodes=15, draws=100, seed=1))
    naive = hl.ignoring_clusters(fit, replicates=0).coefficients["naive"]
    np.testing.assert_allclose(naive["estimate"], model["coefficients"], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(naive["se"], model["se"], rtol=1e-7)


# ---- design effects ------------------------------------------------------------------------------------------------

ROWS = pd.DataFrame(
    {
        "g": np.repeat(np.arange(6), 4),
        "s": np.repeat(np.arange(2), 12),
        "h": np.tile(np.arange(4), 6),
        "x": np.random.default_rng(1).normal(size=24).round(1),
        "z": np.repeat([0, 1, 0, 1, 1, 0], 4),
        "m": np.random.default_rng(2).integers(1, 5, 24),
        "y": np.tile([0, 1, 1], 8),
    }
)
SLOPES = np.array([[1.0, 0.0], [0.5, 0.9]])
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "intercepts": ("y ~ x + z + (1 | g)", {"g": [[1.5]]}),
    "counts": ("p(y, m) ~ x + z + (1 | g)", {"g": [[1.5]]}),
    "slopes": ("y ~ x + z + (1 + x | g)", {"g": SLOPES}),
    "nested": ("y ~ x + z + (1 | s/g)", {"s": [[0.7]], "s:g": [[1.0]]}),
    "crossed": ("y ~ x + z + (1 | g) + (1 | h)", {"g": [[1.0]], "h": [[0.8]]}),
    "crossed counts with slopes": ("p(y, m) ~ x + z + (1 + x | g) + (1 | h)", {"g": SLOPES, "h": [[0.8]]}),
    "rows as clusters": ("p(y, m) ~ x + z + (1 | g) + (1 | g:h)", {"g": [[1.0]], "g:h": [[0.6]]}),
}
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def pair_by_pair(design: Design, beta: FloatArray, cholesky: dict[str, FloatArray], average: FloatArray) -> Any:
    """Design effects by a loop over pairs of rows, with covariances of their outcomes by two-dimensional quadrature."""
    X, trials, n = design.X, design.outcome.trials, design.n_rows
    covariance = np.zeros((n, n))
    for group in design.groups:
        directions = group.Z @ cholesky[group.name]
        covariance += (directions @ directions.T) * (group.index[:, None] == group.index)
    mean = X @ beta
    sd = np.sqrt(np.diag(covariance))
    marginal = expit(mean[:, None] + sd[:, None] * NODES) @ WEIGHTS
    score = np.zeros((X.shape[1], X.shape[1]))
    for i in range(n):
        score += np.outer(X[i], X[i]) * trials[i] * marginal[i] * (1 - marginal[i])
    pairs = [(i, j, trials[i] * trials[j]) for i, j in combinations(range(n), 2)]
    pairs += [(i, i, trials[i] * (trials[i] - 1) / 2) for i in range(n)]
    for i, j, count in pairs:
        slope = covariance[i, j] / sd[i]
        rest = np.sqrt(max(covariance[j, j] - slope**2, 0.0))
        first = expit(mean[i] + sd[i] * NODES)
        second = expit(mean[j] + slope * NODES[:, None] + rest * NODES) @ WEIGHTS
        both = count * (WEIGHTS @ (first * second) - marginal[i] * marginal[j])
        score += both * (np.outer(X[i], X[j]) + np.outer(X[j], X[i]))
    fitted = expit(X @ average)
    back = np.linalg.inv((X * (trials * fitted * (1 - fitted))[:, None]).T @ X)
    return np.diag(back @ score @ back) / np.diag(back)


@pytest.mark.parametrize("case", CASES)
def test_design_effects_are_those_of_all_pairs(case: str) -> None:
    formula, given = CASES[case]
    design = hl.Model(formula, ROWS.assign(y=np.minimum(ROWS["y"], ROWS["m"]))).design
    beta, cholesky = np.array([-0.5, 0.6, 0.4]), {name: np.array(L) for name, L in given.items()}
    found = DesignEffects.of(design, Population(beta, cholesky), NaiveRegression.of(design))
    expected = pair_by_pair(design, beta, cholesky, found.average)
    # Three directions of shared effects are integrated with few points.
    np.testing.assert_allclose(found.total, expected, rtol=5e-3 if "crossed counts" in case else 1e-6)
    assert found.total.max() > 1.3


def test_what_is_shared_has_the_names_of_the_innermost_clusters() -> None:
    def shared(formula: str, cholesky: dict[str, Any]) -> list[str]:
        design = hl.Model(formula, ROWS).design
        population = Population(np.zeros(2), {name: np.array(L) for name, L in cholesky.items()})
        return list(DesignEffects.of(design, population, NaiveRegression.of(design)).shared)

    assert shared("y ~ x + (1 | s/g)", CASES["nested"][1]) == ["s", "s:g"]
    assert shared("y ~ x + (1 | g) + (1 | h)", CASES["crossed"][1]) == ["g", "h"]  # no two rows share both
    assert shared("y ~ x + (1 | s) + (1 | h)", {"s": [[1.0]], "h": [[1.0]]}) == ["s", "h", "s and h"]


def test_the_rule_of_thumb_is_exact_without_predictors() -> None:
    rows = hl.simulate("y ~ 1 + (1 | g)", hl.Layout({"g": 30}, 8), beta={"Intercept": -0.5}, sd={"g": 1.2}, seed=1)
    fit = hl.Model("y ~ 1 + (1 | g)", rows).fit(hl.AGQ(nodes=15, draws=100, seed=1))
    found = hl.ignoring_clusters(fit, replicates=5, seed=1)
    correlation = float(hl.vpc(fit)["estimate"].iloc[0])
    assert found.table["design_effect"].iloc[0] == pytest.approx(1 + 7 * correlation, rel=1e-6)
    assert found.table["effective_n"].iloc[0] == pytest.approx(240 / (1 + 7 * correlation), rel=1e-6)
    assert "false_positive" not in found.table  # of the intercept


# ---- false positives -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study() -> hl.results.Fit:
    """A fit with an intraclass correlation of 0.3, of a predictor between clusters and one within."""
    rows = pd.DataFrame({"g": np.repeat(np.arange(60), 12), "inside": np.tile(np.linspace(-1, 1, 12), 60)})
    rows["arm"] = rows["g"] % 2
    sd = float(np.sqrt(np.pi**2 / 3 * 0.3 / 0.7))
    beta = {"Intercept": -0.3, "arm": 0, "inside": 0}
    rows = hl.simulate("y ~ arm + inside + (1 | g)", rows, beta=beta, sd={"g": sd}, seed=1)
    fit = hl.Model("y ~ arm + inside + (1 | g)", rows).fit(hl.Laplace(draws=100, seed=1))
    assert fit.estimate is not None
    exact = replace(fit.estimate, beta=np.array([-0.3, 0, 0]), cholesky={"g": np.array([[sd]])})
    return hl.results.Fit(fit.model, fit.data, fit.diagnostics, exact)


def test_false_positives_are_those_of_the_design_effect(study: hl.results.Fit) -> None:
    found = hl.ignoring_clusters(study, replicates=1500, seed=2)
    table = found.table
    assert table["between_g"].round(3).to_list()[1:] == [1.0, 0.0]
    expected = 2 * ndtr(-1.959964 / np.sqrt(table["design_effect"]))
    reach = 4 * np.sqrt(expected * (1 - expected) / 1500) + 0.015  # the theory is for many clusters
    for name in ("arm", "inside"):
        assert abs(table["false_positive"][name] - expected[name]) < reach[name]
        assert table["false_positive_mcse"][name] < 0.014
    assert table["false_positive"]["arm"] > 0.25
    assert table["false_positive"]["inside"] < 0.05
    assert np.isnan(table["false_positive"]["Intercept"])
    assert found.simulated.shape == (1500, 2)


def test_a_seed_repeats_the_simulations_with_any_workers(study: hl.results.Fit) -> None:
    one = hl.ignoring_clusters(study, replicates=20, seed=3)
    with ThreadPoolExecutor(2) as executor:
        again = hl.ignoring_clusters(study, replicates=20, seed=3, executor=executor)
    pd.testing.assert_frame_equal(one.simulated, again.simulated)
    assert not hl.ignoring_clusters(study, replicates=20, seed=4).simulated.equals(one.simulated)
    strict = hl.ignoring_clusters(study, replicates=20, seed=3, alpha=0.5)
    assert np.all(strict.table["false_positive"].dropna() >= one.table["false_positive"].dropna())


def test_the_tested_coefficient_is_zero_and_others_are_not() -> None:
    """A coefficient that is far from zero is significant in the data, and rarely where it is set to zero."""
    rows = pd.DataFrame({"g": np.repeat(np.arange(40), 10), "x": np.tile(np.linspace(-1, 1, 10), 40)})
    rows["w"] = np.tile(np.linspace(-1, 1, 10)[::-1] ** 2, 40)
    rows = hl.simulate("y ~ x + w + (1 | g)", rows, beta={"Intercept": 0, "x": 2, "w": 0}, sd={"g": 0.5}, seed=1)
    fit = hl.Model("y ~ x + w + (1 | g)", rows).fit(hl.Laplace(draws=100, seed=1))
    found = hl.ignoring_clusters(fit, replicates=200, seed=1)
    naive = found.coefficients["naive"].loc["x"]
    assert naive["estimate"] / naive["se"] > 6
    assert found.table["false_positive"]["x"] < 0.11
    assert abs(found.simulated["x"].mean()) < 0.3


def test_an_interruption_keeps_what_was_simulated(study: hl.results.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(100))

    def interrupted(*arguments: Any) -> Any:
        if next(calls) >= 20:  # two coefficients in each replicate
            raise KeyboardInterrupt
        return simulated_outcome(*arguments)

    monkeypatch.setattr(false_positives, "simulated_outcome", interrupted)
    found = hl.ignoring_clusters(study, replicates=50, seed=3)
    assert found.interrupted
    assert len(found.simulated) == 10
    assert "Interrupted before all simulations were run" in repr(found)
    assert "10 of 50 simulations" in repr(found)


# ---- kinds of fits -------------------------------------------------------------------------------------------------


def test_separated_outcomes_are_a_finding() -> None:
    rare = ROWS["h"] == 1
    rows = ROWS.assign(rare=rare.astype(int), y=np.where(rare, 1, ROWS["y"]))
    fit = hl.Model("y ~ z + rare + (1 | g)", rows).fit(hl.MAP(draws=100, seed=1))
    found = hl.ignoring_clusters(fit, replicates=20, seed=1)
    assert [finding.code for finding in found.findings] == ["separation"]
    naive = found.coefficients["naive"]
    assert naive["estimate"].round(1).to_dict()["rare"] == np.inf
    assert np.isnan(naive.loc["rare", "se"])
    assert np.isfinite(naive.loc["z"]).all()
    assert np.isfinite(found.table["design_effect"]).all()
    assert "'rare' (+inf)" in repr(found)


def test_sampled_fits_have_posterior_means(make_fit: MakeFit) -> None:
    fit = make_fit("y ~ x + z + (1 + x | g)", ROWS, draws=30)
    found = hl.ignoring_clusters(fit, replicates=10, seed=1, ci_prob=0.9)
    mixed = hl.conditional_vs_average(fit, ci_prob=0.9)
    assert list(found.coefficients["average"]) == ["estimate", "se", "eti90_lb", "eti90_ub"]
    np.testing.assert_allclose(found.coefficients["average", "estimate"], mixed["average", "mean"])
    np.testing.assert_allclose(found.coefficients["conditional", "se"], mixed["conditional", "sd"])
    np.testing.assert_allclose(found.table["se_ratio"], mixed["average", "sd"] / found.coefficients["naive", "se"])


def test_sentences_say_what_is_wrong(study: hl.results.Fit) -> None:
    found = hl.ignoring_clusters(study, replicates=40, seed=1)
    about_all, arm, inside = found.sentences
    assert about_all.startswith("Naive coefficients estimate population averages, which are here about 0.8")
    error = float(np.sqrt(found.table["design_effect"]["arm"]))
    assert (
        "'arm' (100% of its variance between the clusters of 'g'): its naive standard error is too small by a " in arm
    )
    assert f"factor of {error:.2f}, and 720 outcomes tell as much about it as " in arm
    rate = found.table["false_positive"]["arm"]
    assert 0 < rate < 1
    assert f"would be significant in {100 * rate:.0f}% of data sets." in arm  # with a Monte Carlo error of 7 points
    assert "too large by a factor of" in inside
    assert "significant" not in hl.ignoring_clusters(study, replicates=0).sentences[1]


def test_rates_of_zero_name_the_number_of_simulations(study: hl.results.Fit) -> None:
    never = hl.ignoring_clusters(study, replicates=5, alpha=1e-9, seed=1)
    assert np.all(never.table["false_positive"].dropna() == 0)
    assert "at the 0% level would be significant in none of 5 data sets." in never.sentences[1]


def test_dropped_columns_are_left_out() -> None:
    rows = ROWS.assign(twice=2 * ROWS["x"])
    with pytest.warns(hl.errors.DataWarning, match="twice"):
        model = hl.Model("y ~ x + twice + z + (1 | g)", rows)
    fit = model.fit(hl.Laplace(draws=100, seed=1))
    assert list(hl.ignoring_clusters(fit, replicates=3, seed=1).table.index) == ["Intercept", "x", "z"]


def test_what_cannot_be_done_is_said(study: hl.results.Fit) -> None:
    alone = hl.Model("y ~ x", ROWS).fit(hl.Laplace(draws=100, seed=1))
    with pytest.raises(FitError, match="no random effects"):
        hl.ignoring_clusters(alone)
    with pytest.raises(FitError, match="no fixed effects"):
        hl.ignoring_clusters(hl.Model("y ~ 0 + (1 | g)", ROWS).fit(hl.Laplace(draws=100, seed=1)))
    with pytest.raises(StudyError, match="replicates=-1"):
        hl.ignoring_clusters(study, replicates=-1)
    with pytest.raises(StudyError, match="alpha"):
        hl.ignoring_clusters(study, alpha=1.5)
    with pytest.raises(PredictionError, match="num_draws"):
        hl.ignoring_clusters(study, num_draws=0)
