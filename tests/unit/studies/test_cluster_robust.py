"""Cluster-robust standard errors: by hand, against R, the jackknife against refits, and in the functions of a fit."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.engines.maximum.cluster_covariance import MoveSums, sandwich
from hierlogit.engines.maximum.cluster_scores import cluster_scores
from hierlogit.engines.maximum.integrator import integrator
from hierlogit.engines.maximum.objective import Objective
from hierlogit.errors import ConvergenceWarning, FitError, StudyError
from hierlogit.fits.fit import Fit

FloatArray = npt.NDArray[np.float64]

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "robust_reference.json").read_text())
few_clusters = pytest.mark.filterwarnings(
    "ignore:.*standard errors are computed from:hierlogit.errors.ConvergenceWarning"
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    frame = hl.datasets.load("contraception")
    return frame.assign(region=frame["district"] % 25)


@pytest.fixture(scope="module")
def fit(rows: pd.DataFrame) -> Fit:
    return hl.Model("use ~ urban + livch + (1 | district)", rows).fit("laplace")


@pytest.fixture(scope="module")
def herds() -> Fit:
    return hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace")


# ---- the covariance matrix -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("year", [0, 2000])
def test_sums_over_parts_have_the_digits_of_all_clusters(year: int) -> None:
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(500), year + rng.normal(size=500)])
    scores, inverse = X * rng.normal(size=(500, 1)), 4 * np.linalg.inv(X.T @ X)
    precise = (scores.astype(np.longdouble) - scores.astype(np.longdouble).mean(axis=0)) @ inverse
    expected = 500 / 499 * precise.T @ precise
    parts = [MoveSums.of(inverse, scores[start::7]) for start in range(7)]
    found = reduce(MoveSums.joined, parts).sandwich(inverse)
    np.testing.assert_allclose(found, expected.astype(float), rtol=1e-13)


def test_equal_moves_have_no_variance() -> None:
    sums = MoveSums.of(np.eye(1), np.full((3, 1), 0.1))
    assert (sums.joined(sums).sandwich(np.eye(1)) >= 0).all()


@few_clusters
@pytest.mark.parametrize("case", REFERENCE["models"], ids=lambda case: f"{case['formula']}, {case['cluster']}")
@pytest.mark.filterwarnings("ignore:Laplace's approximation is poor:hierlogit.errors.ConvergenceWarning")
def test_sandwich_is_that_of_r(rows: pd.DataFrame, case: dict[str, Any]) -> None:
    frame = rows if case["data"] == "contraception" else hl.datasets.load(case["data"])
    fit = hl.Model(case["formula"], frame).fit("laplace" if case["nodes"] == 1 else hl.AGQ(nodes=case["nodes"]))
    robust, expected = hl.robust(fit, frame[case["cluster"]]), np.array(case["covariance"])
    assert robust.estimate is not None
    errors, expected_errors = (np.sqrt(np.diag(one)) for one in (robust.estimate.covariance, expected))
    # The information of a fit is by differences of the gradient to one side.
    np.testing.assert_allclose(errors, expected_errors, rtol=2e-4)
    correlations = robust.estimate.covariance / np.outer(errors, errors)
    np.testing.assert_allclose(correlations, expected / np.outer(expected_errors, expected_errors), atol=2e-4)

    # With differences to both sides, what is left is where the searches end: within 1e-5 of a standard error.
    assert robust.estimate.clustered is not None
    exact = replace(robust.estimate, covariance=_inverse_information(fit), clustered=None)
    scores = cluster_scores(fit.model, exact, robust.estimate.clustered.index).scores
    units = np.outer(expected_errors, expected_errors)
    np.testing.assert_allclose(sandwich(exact, scores) / units, expected / units, atol=3e-5)


def _inverse_information(fit: Fit) -> FloatArray:
    """By central differences of the gradient."""
    model, estimate = fit.model, fit.estimate
    assert estimate is not None
    likelihood = integrator(model.design, estimate.nodes)(model.arrangement)
    objective, psi = Objective(model, likelihood, penalised=False), estimate.vector
    steps = 1e-3 * np.diag(np.sqrt(np.diag(estimate.covariance)))
    slopes = [
        (objective.evaluate(psi + h).gradient - objective.evaluate(psi - h).gradient) / (2 * h.sum()) for h in steps
    ]
    inverse: FloatArray = np.linalg.inv(-np.array(slopes))
    return (inverse + inverse.T) / 2


@few_clusters
@pytest.mark.parametrize("engine", [hl.Laplace(), hl.AGQ(nodes=9), hl.MAP()], ids=["Laplace", "AGQ", "MAP"])
def test_sandwich_by_numerical_scores(engine: Any) -> None:
    """Everything by differences of log-likelihoods of the herds alone."""
    frame = hl.datasets.load("cbpp")
    fit = hl.Model("p(successes, size) ~ period + (1 | herd)", frame).fit(engine)
    model, estimate = fit.model, fit.estimate
    assert estimate is not None
    psi = estimate.vector

    def by_herd(vector: FloatArray) -> FloatArray:
        at = replace(estimate, beta=vector[:4], cholesky={"herd": vector[4:].reshape(1, 1)})
        return cluster_scores(model, at, model.design.groups[0].index).log_likelihood

    step = 1e-4
    moves = step * np.eye(5)
    scores = np.column_stack([(by_herd(psi + move) - by_herd(psi - move)) / (2 * step) for move in moves])
    V = estimate.covariance  # at a mode, the prior's curvature is in it
    if not estimate.penalised:
        np.testing.assert_allclose(scores.sum(axis=0), 0.0, atol=1e-3)
    centred = scores - scores.mean(axis=0)
    by_hand = 15 / 14 * V @ centred.T @ centred @ V
    robust = hl.robust(fit)
    assert robust.estimate is not None
    np.testing.assert_allclose(robust.estimate.covariance, by_hand, rtol=1e-5, atol=1e-8)
    assert not np.allclose(robust.estimate.covariance, V, rtol=0.05)


@few_clusters
def test_jackknife_is_that_of_explicit_fits(herds: Fit) -> None:
    frame = hl.datasets.load("cbpp")
    others = [
        hl.Model(herds.model.formula.text, frame[frame["herd"] != herd]) for herd in herds.model.design.groups[0].levels
    ]
    assert herds.estimate is not None
    vectors = [other.fit("laplace").estimate.vector for other in others]  # type: ignore[union-attr]
    changes = np.array(vectors) - herds.estimate.vector
    jackknife = hl.robust(herds, covariance="jackknife")
    assert jackknife.estimate is not None
    np.testing.assert_allclose(jackknife.estimate.covariance, 14 / 15 * changes.T @ changes, rtol=2e-3, atol=1e-6)
    with ThreadPoolExecutor(2) as executor:
        again = hl.robust(herds, "herd", covariance="jackknife", executor=executor)
    assert again.estimate is not None
    np.testing.assert_allclose(again.estimate.covariance, jackknife.estimate.covariance, rtol=1e-12)


def test_jackknife_without_an_estimate_is_refused() -> None:
    """Without cluster 3, no outcome varies where x is 1."""
    frame = pd.DataFrame({"g": np.repeat(np.arange(4), 20), "x": np.repeat([0, 0, 1, 1], 20)})
    frame["y"] = np.where(np.isin(frame["g"], [0, 1, 3]), np.tile([0, 1], 40), 0)
    fit = hl.Model("y ~ x", frame).fit("laplace")
    with pytest.raises(FitError, match=r"no estimates without 3 of g.*Without 3: FitError: the estimate is infinite"):
        hl.robust(fit, frame["g"], covariance="jackknife")


def test_interrupted_jackknife_says_so(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("hierlogit.engines.maximum.refit.Refitter.without", interrupted)
    with pytest.raises(StudyError, match="interrupted after 0 of 60 clusters"):
        hl.robust(fit, covariance="jackknife")


@few_clusters
def test_parameters_at_a_boundary_stay_there() -> None:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"g": np.repeat(np.arange(12), 8), "x": random.normal(size=96)})
    frame["y"] = np.tile([0, 1], 48)
    fit = hl.Model("y ~ x + (1 | g)", frame).fit("laplace")
    assert fit.estimate is not None
    assert fit.estimate.boundary
    for covariance in ("robust", "jackknife"):
        robust = hl.robust(fit, covariance=covariance)
        assert robust.estimate is not None
        assert not robust.estimate.covariance[2].any()
        assert (robust.posterior["sd_g"] == 0).all()
        assert hl.summary(robust)["se"].isna()["sd_g[Intercept]"]


# ---- degrees of freedom and findings -------------------------------------------------------------------------------


def test_degrees_of_freedom_are_at_most_one_fewer_than_clusters(fit: Fit, rows: pd.DataFrame) -> None:
    robust = hl.robust(fit, rows["region"])
    assert robust.estimate is not None
    assert fit.estimate is not None
    assert np.all(np.isinf(fit.estimate.df))
    assert np.all(robust.estimate.df == 24)
    (finding,) = robust.diagnostics.findings
    assert (finding.code, finding.severity) == ("few_independent_clusters", "note")
    table = hl.summary(robust)
    assert table["df"]["urban[Y]"] == 24
    assert table["t"]["urban[Y]"] == pytest.approx(robust.estimate.z_values[1])
    assert "t with at most 24 df" in repr(table)
    assert "at most 24 degrees of freedom" in repr(robust)
    assert "z" in hl.summary(robust, df="normal")
    assert hl.summary(robust, df="between-within").loc["urban[Y]", "df"] == 24
    assert np.all(np.isinf(hl.robust(fit).estimate.df))  # type: ignore[union-attr]


def test_too_few_clusters_are_a_warning(herds: Fit) -> None:
    with pytest.warns(ConvergenceWarning, match="computed from 15 clusters of herd"):
        robust = hl.robust(herds)
    assert robust.diagnostics.status == "check"
    thirds = (herds.model.design.groups[0].index % 3).tolist()
    with pytest.warns(ConvergenceWarning, match="matrix is singular, since there are 5 parameters"):
        robust = hl.robust(herds, thirds)
    assert robust.estimate is not None
    assert np.linalg.matrix_rank(robust.estimate.covariance) == 2
    assert np.isfinite(robust.posterior["beta"]).all()


@pytest.mark.slow
def test_intervals_cover_where_a_level_is_missing() -> None:
    """Of a predictor of regions, in a model of the clusters within regions."""
    random, studies, covered = np.random.default_rng(1), 300, np.zeros(2)
    for _ in range(studies):
        region, cluster = np.repeat(np.arange(40), 40), np.repeat(np.arange(160), 10)
        z = random.normal(size=40)[region]
        eta = -0.3 + 0.5 * z + random.normal(0, 0.7, 40)[region] + random.normal(0, 0.5, 160)[cluster]
        y = (random.uniform(size=1600) < 1 / (1 + np.exp(-eta))).astype(int)
        frame = pd.DataFrame({"region": region, "cluster": cluster, "z": z, "y": y})
        fit = hl.Model("y ~ z + (1 | cluster)", frame).fit("laplace")
        for k, one in enumerate((fit, hl.robust(fit, frame["region"]))):
            assert one.estimate is not None
            covered[k] += abs(one.estimate.beta[1] - 0.5) < 1.96 * one.estimate.standard_errors[1]
    of_model, of_clusters = covered / studies
    assert of_model < 0.85
    assert of_clusters > 0.90


# ---- functions of the fit ------------------------------------------------------------------------------------------


def test_summary_is_that_of_the_robust_fit(fit: Fit, rows: pd.DataFrame) -> None:
    short = hl.summary(fit, covariance="robust", cluster=rows["region"])
    pd.testing.assert_frame_equal(short, hl.summary(hl.robust(fit, rows["region"])))
    assert "robust standard errors by region" in repr(short)
    np.testing.assert_array_equal(short["estimate"], hl.summary(fit)["estimate"])
    with pytest.raises(
        FitError, match=r"make a fit with it once, fit = hl\.robust\(fit, cluster, covariance='jackknife'\)"
    ):
        hl.summary(fit, covariance="jackknife", cluster=rows["region"])


def test_draws_have_the_robust_covariance_matrix(rows: pd.DataFrame) -> None:
    fit = hl.Model("use ~ urban + livch + (1 + urban | district)", rows).fit(hl.Laplace(draws=4000, seed=1))
    robust = hl.robust(fit, "district")
    assert robust.estimate is not None
    drawn, expected = np.cov(robust.posterior["beta"].to_numpy()[0], rowvar=False), robust.estimate.covariance[:5, :5]
    errors = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(drawn / np.outer(errors, errors), expected / np.outer(errors, errors), atol=0.06)
    # Given the parameters, effects are as the model has them.
    of_model, of_robust = (one.posterior["b_district"].std("draw").mean() for one in (fit, robust))
    assert float(of_robust / of_model) == pytest.approx(1.0, abs=0.1)


def test_errors_of_averages_hypotheses_and_ratios_are_robust(fit: Fit, rows: pd.DataFrame) -> None:
    robust = hl.robust(fit, rows["region"])
    assert robust.estimate is not None
    assert fit.estimate is not None
    ratio = robust.estimate.standard_errors[1] / fit.estimate.standard_errors[1]
    assert abs(ratio - 1) > 0.03
    average, of_model = (hl.avg_comparisons(one, "urban", clusters="average", direction=True) for one in (robust, fit))
    statistics = float(of_model["z"].iloc[0] / average["t"].iloc[0])
    assert statistics == pytest.approx(ratio, rel=0.05)
    table = hl.hypotheses(robust, "urban[Y] = 0")
    assert table["se"].iloc[0] == pytest.approx(robust.estimate.standard_errors[1])
    assert table["df"].iloc[0] == 24
    assert hl.odds_ratios(robust).loc["urban[Y]", "p_value"] == pytest.approx(table["p_value"].iloc[0])


def test_terms_have_walds_tests(fit: Fit, rows: pd.DataFrame) -> None:
    robust = hl.robust(fit, rows["region"])
    table = hl.test_terms(robust, adjust="holm").set_index("term")
    assert list(table.index) == ["urban", "livch"]
    assert robust.estimate is not None
    assert table.loc["urban", "statistic"] == pytest.approx(robust.estimate.z_values[1] ** 2)
    assert table.loc["urban", "p_value"] == pytest.approx(robust.estimate.p_values[1])
    ordered = table.sort_values("p_value")
    assert ordered["p_adjusted"].iloc[0] == pytest.approx(2 * ordered["p_value"].iloc[0])


@few_clusters
@pytest.mark.parametrize("covariance", ["robust", "jackknife"])
def test_terms_that_others_contain_are_tested_without_them(covariance: str) -> None:
    frame = hl.datasets.load("cbpp").assign(late=lambda table: (table["period_num"] > 2).astype(int))
    frame["odd"] = frame["herd"].astype(int) % 2
    whole, smaller = (
        hl.robust(
            hl.Model(f"p(successes, size) ~ late {sign} odd + (1 | herd)", frame).fit("laplace"),
            "herd",
            covariance=covariance,
        )
        for sign in "*+"
    )
    found, expected = (hl.test_terms(one).set_index("term") for one in (whole, smaller))
    assert found.loc["late", "without"] == "late:odd"
    assert found.loc["late", "statistic"] == pytest.approx(expected.loc["late", "statistic"], rel=1e-3)


def test_saved_and_loaded(herds: Fit, tmp_path: Path) -> None:
    with pytest.warns(ConvergenceWarning):
        robust = hl.robust(herds)
    again = hl.load(robust.save(tmp_path / "fit.nc"))
    assert again.estimate is not None
    assert again.estimate.clustered is not None
    assert robust.estimate is not None
    np.testing.assert_array_equal(again.estimate.covariance, robust.estimate.covariance)
    assert herds.estimate is not None
    np.testing.assert_array_equal(again.estimate.model_covariance, herds.estimate.covariance)
    assert again.estimate.clustered.described == "robust, by 15 clusters of herd"
    assert repr(again.estimate) == repr(robust.estimate)


def test_influence_and_checks_use_the_information_of_the_model(fit: Fit, rows: pd.DataFrame) -> None:
    """They search for maxima in steps of its standard errors, which a singular matrix has not in all directions."""
    clusters = rows["region"] % 3
    with pytest.warns(ConvergenceWarning):
        robust = hl.robust(fit, clusters)
    moved = [hl.check_quadrature(one).attrs["largest_move"] for one in (fit, robust)]
    assert moved[0] == pytest.approx(moved[1])


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (hl.profile, "a profile of the likelihood takes the model to be right"),
        (lambda fit: hl.summary(fit, interval="profile"), "a profile of the likelihood takes the model to be right"),
        (lambda fit: hl.likelihood_ratio(fit, fit), "the likelihood ratio takes the model to be right"),
        (lambda fit: hl.test_terms(fit, "bootstrap"), "method='bootstrap' is for likelihood ratios"),
        (hl.robust, "are robust, by 60 clusters of district, already"),
    ],
)
def test_what_takes_the_model_to_be_right_is_refused(fit: Fit, call: Any, message: str) -> None:
    robust = hl.robust(fit)
    with pytest.raises(FitError, match=message):
        call(robust)


def test_fits_without_such_errors_are_refused(fit: Fit, make_fit: Any, rows: pd.DataFrame) -> None:
    with pytest.raises(FitError, match="a posterior follows from the model"):
        hl.robust(make_fit("use ~ urban + (1 | district)", rows))
    restricted = hl.Model("use ~ urban + (1 | district)", rows).fit(hl.Laplace(restricted=True))
    with pytest.raises(FitError, match="restricted=False, or use hl.robust"):
        hl.robust(restricted)
    jackknife = hl.robust(restricted, covariance="jackknife")
    assert jackknife.estimate is not None
    assert jackknife.estimate.restricted
    with pytest.raises(FitError, match="make a fit with it once"):
        hl.summary(fit, covariance="jackknife")
    with pytest.raises(FitError, match="cluster= is for covariance='robust'"):
        hl.summary(fit, cluster="district")
