"""Sampling weights against the weighted log-likelihood by sums over a grid, and against R's survey package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import DesignError, EngineError, FitError
from hierlogit.fits.fit import Fit

FloatArray = npt.NDArray[np.float64]

#: Standard normal effects over which the log-likelihood by hand is summed.
GRID = np.linspace(-9.0, 9.0, 721)
LOG_DENSITY = -0.5 * GRID**2 - 0.5 * np.log(2 * np.pi) + np.log(GRID[1] - GRID[0])
STEP = 1e-4


def log_sum(values: FloatArray) -> FloatArray:
    """Logarithm of the sum of the exponentials along the last axis."""
    top = values.max(axis=-1, keepdims=True)
    total: FloatArray = top[..., 0] + np.log(np.exp(values - top).sum(axis=-1))
    return total


def scaled(weights: FloatArray, scaling: str) -> FloatArray:
    """Weights of one cluster scaled to its size, or to its effective size."""
    size = len(weights) if scaling == "size" else weights.sum() ** 2 / (weights**2).sum()
    scaled: FloatArray = weights * size / weights.sum()
    return scaled


def rows_of(cluster: pd.DataFrame, eta: FloatArray, scaling: str) -> FloatArray:
    """Weighted log-likelihood of the rows of a cluster, for linear predictors of shape (rows, ...)."""
    weights = scaled(cluster["w"].to_numpy(), scaling)
    y = cluster["y"].to_numpy().reshape(-1, *[1] * (eta.ndim - 1))
    return np.tensordot(weights, y * eta - np.logaddexp(0.0, eta), axes=1)


def two_levels(theta: FloatArray, data: pd.DataFrame, scaling: str) -> FloatArray:
    """Weighted log-likelihood of each school, with the weights of schools divided by their mean."""
    b0, b1, sd = theta
    values = []
    mean = data.groupby("school")["ws"].first().mean()
    for _, school in data.groupby("school"):
        eta = b0 + b1 * school["x"].to_numpy()[:, None] + sd * GRID
        values.append(school["ws"].iloc[0] / mean * log_sum(rows_of(school, eta, scaling) + LOG_DENSITY))
    return np.array(values)


def three_levels(theta: FloatArray, data: pd.DataFrame, scaling: str) -> FloatArray:
    """The same of schools with classes, whose integrals have the scaled weights of the classes as powers."""
    b0, b1, sd_school, sd_class = theta
    values = []
    mean = data.groupby("school")["ws"].first().mean()
    # Of two effects, on a grid from -7 to 7 in steps of 0.25: sums of such smooth densities are exact to 1e-10.
    outer = inner = GRID[80:-80:10]
    log_density = LOG_DENSITY[80:-80:10] + np.log(10)
    for _, school in data.groupby("school"):
        classes = [rows for _, rows in school.groupby("classroom")]
        powers = scaled(np.array([rows["wc"].iloc[0] for rows in classes]), scaling)
        log_likelihood = log_density.copy()
        for power, rows in zip(powers, classes, strict=True):
            fixed = b0 + b1 * rows["x"].to_numpy()[:, None, None]
            eta = fixed + sd_school * outer[:, None] + sd_class * inner
            log_likelihood += power * log_sum(rows_of(rows, eta, scaling) + log_density)
        values.append(school["ws"].iloc[0] / mean * log_sum(log_likelihood))
    return np.array(values)


def by_hand(
    log_likelihood: Callable[[FloatArray], FloatArray], theta: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Log-likelihood, gradient and sandwich standard errors by differences of the clusters' log-likelihoods."""
    m = len(theta)
    steps = STEP * np.eye(m)
    scores = np.column_stack(
        [(log_likelihood(theta + step) - log_likelihood(theta - step)) / (2 * STEP) for step in steps]
    )

    def gradient(at: FloatArray) -> FloatArray:
        values = [(log_likelihood(at + s).sum() - log_likelihood(at - s).sum()) / (2 * STEP) for s in steps]
        return np.array(values)

    wider = 10 * STEP * np.eye(m)
    information = -np.column_stack([(gradient(theta + s) - gradient(theta - s)) / (20 * STEP) for s in wider])
    inverse, count = np.linalg.inv(0.5 * (information + information.T)), len(scores)
    covariance = inverse @ (scores.T @ scores) @ inverse * count / (count - 1)
    return float(log_likelihood(theta).sum()), gradient(theta), np.sqrt(np.diag(covariance))


@pytest.fixture(scope="module")
def pupils() -> pd.DataFrame:
    """Pupils of 25 schools with two or three classes each, and weights at all levels."""
    rng = np.random.default_rng(5)
    classes = rng.integers(2, 4, 25)
    school = np.repeat(np.arange(25), classes)
    sizes = rng.integers(4, 9, len(school))
    classroom, at = np.repeat(np.arange(len(school)), sizes), np.repeat(school, sizes)
    x = rng.normal(size=len(at))
    eta = -0.3 + 0.7 * x + rng.normal(size=25)[at] + 0.8 * rng.normal(size=len(school))[classroom]
    return pd.DataFrame(
        {
            "y": (rng.random(len(at)) < 1 / (1 + np.exp(-eta))).astype(int),
            "x": x,
            "school": at,
            "classroom": classroom,
            "w": rng.uniform(0.5, 4.0, len(at)),
            "wc": rng.uniform(1.0, 3.0, len(school))[classroom],
            "ws": rng.uniform(5.0, 50.0, 25)[at],
        }
    )


def compare(fit: Fit, log_likelihood: Callable[[FloatArray], FloatArray], sds: list[str]) -> None:
    """A fit is where the gradient by hand is zero, with the standard errors by hand."""
    estimate = fit.estimate
    assert estimate is not None
    theta = np.concatenate([estimate.beta, [estimate.sd(name)[0] for name in sds]])
    value, gradient, errors = by_hand(log_likelihood, theta)
    assert estimate.log_likelihood == pytest.approx(value, abs=1e-6)
    np.testing.assert_allclose(gradient, 0.0, atol=2e-5)
    table = hl.summary(fit)
    np.testing.assert_allclose(table["se"].to_numpy(), errors, rtol=2e-4)


@pytest.mark.parametrize("scaling", ["size", "effective"])
def test_weights_of_rows_and_schools(pupils: pd.DataFrame, scaling: Any) -> None:
    weights = hl.SamplingWeights("w", clusters={"school": "ws"}, scaling=scaling)
    fit = hl.Model("y ~ x + (1 | school)", pupils, weights=weights).fit(hl.AGQ(nodes=25, df="normal"))
    compare(fit, lambda theta: two_levels(theta, pupils, scaling), ["school"])


@pytest.mark.parametrize("scaling", ["size", pytest.param("effective", marks=pytest.mark.slow)])
def test_weights_of_rows_classes_and_schools(pupils: pd.DataFrame, scaling: Any) -> None:
    weights = hl.SamplingWeights("w", clusters={"school": "ws", "school:classroom": "wc"}, scaling=scaling)
    model = hl.Model("y ~ x + (1 | school/classroom)", pupils, weights=weights)
    fit = model.fit(hl.AGQ(nodes=25, df="normal"))
    compare(fit, lambda theta: three_levels(theta, pupils, scaling), ["school", "school:classroom"])


def test_laplace_is_quadrature_with_one_node(pupils: pd.DataFrame) -> None:
    weights = hl.SamplingWeights("w", clusters={"school": "ws"})
    model = hl.Model("y ~ x + (1 | school)", pupils, weights=weights)
    laplace, one = model.fit("laplace").estimate, model.fit(hl.AGQ(nodes=1)).estimate
    assert laplace is not None
    assert one is not None
    np.testing.assert_allclose(laplace.beta, one.beta, atol=1e-6)
    np.testing.assert_allclose(laplace.covariance, one.covariance, rtol=1e-4)


def test_weights_of_one_are_no_weights_but_for_the_errors(pupils: pd.DataFrame) -> None:
    rows = pupils.assign(one=2.0)
    weights = hl.SamplingWeights("one", clusters={"school": "one"})
    weighted = hl.Model("y ~ x + (1 + x | school)", rows, weights=weights).fit("laplace").estimate
    plain = hl.Model("y ~ x + (1 + x | school)", rows).fit("laplace").estimate
    assert weighted is not None
    assert plain is not None
    assert weighted.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(weighted.beta, plain.beta, atol=1e-5)
    np.testing.assert_allclose(weighted.model_covariance, plain.covariance, rtol=1e-3, atol=1e-6)
    robust = hl.robust(hl.Model("y ~ x + (1 + x | school)", rows).fit("laplace")).estimate
    assert robust is not None
    np.testing.assert_allclose(weighted.covariance, robust.covariance, rtol=1e-3, atol=1e-6)


def test_logistic_regression_is_that_of_the_survey_package() -> None:
    stored = json.loads((Path(__file__).parents[1] / "reference" / "weights_reference.json").read_text())
    rows = pd.DataFrame(stored["rows"])
    fit = hl.Model("y ~ x + f", rows, weights=hl.SamplingWeights("w")).fit("laplace")
    assert fit.estimate is not None
    np.testing.assert_allclose(fit.estimate.beta, stored["coef"], rtol=1e-6)
    # The information is a finite difference of the exact gradient.
    np.testing.assert_allclose(fit.estimate.standard_errors, stored["se"], rtol=5e-5)
    average = hl.avg_predictions(fit)
    assert float(average["estimate"].iloc[0]) == pytest.approx(stored["mean"], rel=1e-6)


def test_draws_have_the_sandwich_covariance(pupils: pd.DataFrame) -> None:
    weights = hl.SamplingWeights("w", clusters={"school": "ws"})
    fit = hl.Model("y ~ x + (1 | school)", pupils, weights=weights).fit(hl.Laplace(draws=20_000, seed=1, df="normal"))
    assert fit.estimate is not None
    drawn = np.cov(fit.posterior["beta"].to_numpy().reshape(-1, 2).T)
    np.testing.assert_allclose(drawn, fit.estimate.covariance[:2, :2], rtol=0.05)
    assert "pareto_k" not in fit.diagnostics.measures


def test_standard_errors_may_be_those_of_coarser_clusters(weighted: Fit, pupils: pd.DataFrame) -> None:
    assert weighted.estimate is not None
    same = hl.robust(weighted).estimate
    assert same is not None
    # In standard errors: the two factorise the information in different units.
    units = np.sqrt(np.diag(same.covariance))
    np.testing.assert_allclose(
        same.covariance / np.outer(units, units), weighted.estimate.covariance / np.outer(units, units), atol=1e-9
    )
    region = pupils["school"] // 2
    with pytest.warns(hl.errors.ConvergenceWarning, match="13 clusters"):
        coarser = hl.robust(weighted, region).estimate
    theta = np.concatenate([weighted.estimate.beta, weighted.estimate.sd("school")])
    by_school = np.column_stack(
        [
            (two_levels(theta + step, pupils, "size") - two_levels(theta - step, pupils, "size")) / (2 * STEP)
            for step in STEP * np.eye(3)
        ]
    )
    scores = pd.DataFrame(by_school).groupby(np.arange(25) // 2).sum().to_numpy()
    inverse = weighted.estimate.model_covariance
    assert coarser is not None
    np.testing.assert_allclose(coarser.covariance, inverse @ scores.T @ scores @ inverse * 13 / 12, rtol=2e-2)


def test_averages_are_over_the_population(pupils: pd.DataFrame) -> None:
    weights = hl.SamplingWeights("w", clusters={"school": "ws"})
    fit = hl.Model("y ~ x + (1 | school)", pupils, weights=weights).fit("laplace")
    given = hl.avg_predictions(fit, weights=(pupils["w"] * pupils["ws"]).tolist())
    assert hl.avg_predictions(fit)["estimate"].iloc[0] == pytest.approx(given["estimate"].iloc[0])
    by_school = hl.predictions(fit, by="school")
    np.testing.assert_allclose(by_school["total_weight"], (pupils["w"] * pupils["ws"]).groupby(pupils["school"]).sum())


def test_saved_fits_know_their_weights(pupils: pd.DataFrame, tmp_path: Path) -> None:
    weights = hl.SamplingWeights("w", clusters={"school": "ws"}, scaling="effective")
    fit = hl.Model("y ~ x + (1 | school)", pupils, weights=weights).fit("laplace")
    fit.save(tmp_path / "fit.nc")
    again = hl.load(tmp_path / "fit.nc")
    assert again.model.weights == weights
    assert again.estimate is not None
    assert fit.estimate is not None
    np.testing.assert_array_equal(again.estimate.covariance, fit.estimate.covariance)
    with pytest.raises(FitError, match="no deviance, AIC or BIC with sampling weights"):
        _ = again.estimate.aic


@pytest.mark.parametrize("engine", [hl.NUTS(), hl.MAP(), hl.ImportanceSampling()])
def test_engines_with_priors_refuse_them(pupils: pd.DataFrame, engine: Any) -> None:
    model = hl.Model("y ~ x + (1 | school)", pupils, weights=hl.SamplingWeights("w"))
    with pytest.raises(EngineError, match=r"takes no sampling weights: .*poststratification"):
        model.fit(engine)


def test_laplace_refuses_weights_of_inner_clusters(pupils: pd.DataFrame) -> None:
    weights = hl.SamplingWeights(clusters={"school:classroom": "wc"})
    with pytest.raises(EngineError, match="but not of 'school:classroom'. Use hl.AGQ"):
        hl.Model("y ~ x + (1 | school/classroom)", pupils, weights=weights).fit("laplace")


def test_the_restricted_likelihood_is_refused(pupils: pd.DataFrame) -> None:
    model = hl.Model("y ~ x + (1 | school)", pupils, weights=hl.SamplingWeights("w"))
    with pytest.raises(EngineError, match="no restricted likelihood with sampling weights"):
        model.fit(hl.Laplace(restricted=True))


@pytest.mark.parametrize(
    "function",
    [
        hl.loo,
        hl.icl,
        hl.profile,
        hl.evidence,
        hl.test_terms,
        hl.test_slopes,
        hl.check,
        hl.scores,
        hl.calibration,
        hl.residuals,
        hl.bootstrap,
        hl.influence,
        hl.pooling,
        hl.league_table,
        hl.ignoring_clusters,
        hl.explain,
        hl.plots.cluster_check,
        hl.plots.effects_qq,
        lambda fit: hl.compare({"one": fit, "two": fit}),
        lambda fit: hl.likelihood_ratio(fit, fit),
        lambda fit: hl.bayes_factor({"one": fit, "two": fit}),
        lambda fit: hl.summary(fit, interval="profile"),
        lambda fit: fit.model.to_pymc(),
        lambda fit: fit.model.to_bambi(),
        lambda fit: hl.check_density(fit.model),
    ],
)
def test_what_needs_a_likelihood_or_the_sample_is_refused(weighted: Fit, function: Callable[[Any], Any]) -> None:
    with pytest.raises(hl.errors.HierlogitError, match=r"takes no sampling weights: .*\."):
        function(weighted)


@pytest.fixture(scope="module")
def weighted(pupils: pd.DataFrame) -> Fit:
    weights = hl.SamplingWeights("w", clusters={"school": "ws"})
    return hl.Model("y ~ x + (1 | school)", pupils, weights=weights).fit(hl.Laplace(seed=1))


@pytest.mark.parametrize(
    "function",
    [
        hl.summary,
        hl.odds_ratios,
        hl.ranef,
        hl.coef,
        hl.variance_components,
        hl.icc,
        hl.vpc,
        hl.r2,
        hl.mor,
        hl.conditional_vs_average,
        hl.avg_slopes,
        lambda fit: hl.hypotheses(fit, "x = 0"),
        lambda fit: hl.predictions(fit, hl.datagrid(fit, x=[0, 1]), clusters="average"),
    ],
)
def test_what_describes_the_population_works(weighted: Fit, function: Callable[[Any], Any]) -> None:
    table = function(weighted)
    assert len(table)


def test_one_cluster_has_no_sandwich(pupils: pd.DataFrame) -> None:
    with pytest.raises(DesignError, match="two clusters"):
        hl.Model("y ~ x + (1 | school)", pupils.assign(school=0), weights=hl.SamplingWeights("w"))
