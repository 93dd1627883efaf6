"""Hypotheses about rows and coefficients, against tests by hand; simultaneous intervals contain what they should."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import hierlogit as hl
from hierlogit.effects.hypotheses import WaldValues
from hierlogit.errors import FitError, HierlogitWarning, PredictionError
from hierlogit.fits.posterior import parameter_labels

MakeFit = Callable[..., hl.results.Fit]
MakeRows = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def rows(clustered_rows: MakeRows) -> pd.DataFrame:
    return clustered_rows(8, 30)


@pytest.fixture(scope="module")
def ml(rows: pd.DataFrame) -> hl.results.Fit:
    return hl.Model("healed ~ dose + arm + (1 | clinic)", rows).fit(hl.Laplace(draws=4000, seed=1, df="normal"))


@pytest.fixture(scope="module")
def at_mode(rows: pd.DataFrame) -> hl.results.Fit:
    return hl.Model("healed ~ dose + arm + (1 | clinic)", rows).fit(hl.MAP(draws=4000, seed=1))


@pytest.fixture(scope="module")
def drawn(make_fit: MakeFit, rows: pd.DataFrame) -> hl.results.Fit:
    return make_fit("healed ~ dose + arm + (1 | clinic)", rows, draws=200)


def estimate_of(fit: hl.results.Fit) -> hl.results.Estimate:
    assert fit.estimate is not None
    return fit.estimate


# ---- coefficients --------------------------------------------------------------------------------------------------


def test_coefficients_are_zero_if_nothing_else_is_supposed(ml: hl.results.Fit) -> None:
    table, summary = hl.hypotheses(ml), hl.summary(ml).iloc[:4]
    assert table["hypothesis"].tolist() == ["Intercept = 0", "dose = 0", "arm[new] = 0", "arm[old] = 0"]
    for name in ("estimate", "se", "wald89_lb", "wald89_ub", "z", "p_value"):
        np.testing.assert_allclose(table[name], summary[name], rtol=1e-9)


def test_linear_combinations_of_coefficients(ml: hl.results.Fit) -> None:
    stated = ["arm[new] = arm[old]", "2 * dose + 0.5 < (arm[new] + b4) / 2", "dose > -0.1"]
    table = hl.hypotheses(ml, stated, ci_prob=0.95)
    weights = np.array([[0, 0, 1, -1], [0, 2, -0.5, -0.5], [0, 1, 0, 0]])
    estimate = estimate_of(ml)
    values = weights @ estimate.beta
    errors = np.sqrt(np.diag(weights @ estimate.covariance[:4, :4] @ weights.T))
    z = (values - [0, -0.5, -0.1]) / errors
    np.testing.assert_allclose(table["estimate"], values)
    np.testing.assert_allclose(table["se"], errors)
    np.testing.assert_allclose(table["wald95_ub"] - table["wald95_lb"], 2 * norm.ppf(0.975) * errors)
    np.testing.assert_allclose(table["z"], z)
    np.testing.assert_allclose(table["p_value"], [2 * norm.sf(abs(z[0])), norm.cdf(z[1]), norm.sf(z[2])])
    by_weights = hl.hypotheses(ml, weights.T)
    np.testing.assert_allclose(by_weights["estimate"], values)


def test_equivalence_is_two_one_sided_tests(ml: hl.results.Fit) -> None:
    table = hl.hypotheses(ml, ["dose = 0", "arm[new] = arm[old]"], rope=(-0.2, 0.3))
    below, above = (table["estimate"] + 0.2) / table["se"], (table["estimate"] - 0.3) / table["se"]
    np.testing.assert_allclose(table["p_equivalence"], np.maximum(norm.sf(below), norm.cdf(above)))
    np.testing.assert_allclose(table["p_rope"], norm.cdf(below) - norm.cdf(above))


def test_draws_answer_hypotheses_about_coefficients(drawn: hl.results.Fit) -> None:
    table = hl.hypotheses(drawn, ["arm[new] > arm[old]", "dose < 0.05", "dose = 0"], rope=(-0.1, 0.1))
    beta = drawn.posterior["beta"].values.reshape(-1, 4)
    new, old, dose = beta[:, 2], beta[:, 3], beta[:, 1]
    np.testing.assert_allclose(table["mean"], [(new - old).mean(), dose.mean(), dose.mean()])
    np.testing.assert_allclose(table["p_hypothesis"], [(new > old).mean(), (dose < 0.05).mean(), np.nan])
    direction = [max((new > old).mean(), (new < old).mean()), max((dose < 0.05).mean(), (dose > 0.05).mean())]
    np.testing.assert_allclose(table["p_direction"][:2], direction)
    np.testing.assert_allclose(table["p_rope"][2], (np.abs(dose) <= 0.1).mean())
    assert "p_value" not in table
    assert table.draws.sizes["row"] == 3
    np.testing.assert_array_equal(table.draws.to_numpy()[..., 1], drawn.posterior["beta"].to_numpy()[..., 1])


def test_modes_have_probabilities_and_no_p_values(at_mode: hl.results.Fit) -> None:
    table = hl.hypotheses(at_mode, ["arm[new] > 0.1", "dose = 0"], rope=(-0.3, 0.3))
    assert not {"z", "p_value", "p_equivalence"} & {*table}
    beta = at_mode.posterior["beta"].values.reshape(-1, 4)
    assert table["p_hypothesis"][0] == pytest.approx((beta[:, 2] > 0.1).mean(), abs=0.03)
    assert np.isnan(table["p_hypothesis"][1])
    inside = (np.abs(beta[:, [2, 1]]) <= 0.3).mean(axis=0)
    np.testing.assert_allclose(table["p_rope"], inside, atol=0.03)


def test_infinite_estimates_have_no_tests_and_others_have(ml: hl.results.Fit) -> None:
    estimate = estimate_of(ml)
    covariance = estimate.covariance.copy()
    covariance[2], covariance[:, 2] = np.nan, np.nan
    broken = hl.results.Fit(ml.model, ml.data, ml.diagnostics, replace(estimate, covariance=covariance))
    table = hl.hypotheses(broken, ["dose = 0", "arm[new] = dose"], adjust="single-step")
    assert table["p_value"].notna().tolist() == [True, False]
    assert table["simultaneous89_lb"].notna().tolist() == [True, False]
    assert table["z"][0] == pytest.approx(hl.hypotheses(ml, "dose = 0")["z"][0])


@pytest.mark.parametrize(
    ("hypothesis", "message"),
    [
        ("arm[new] = arm[odd]", "character 12: there is no parameter 'arm[odd]'; .*Did you mean 'arm[old]'?"),
        ("sd_site[Intercept] > 0.2", "no parameter 'sd_site[Intercept]'; .*Did you mean 'sd_clinic[Intercept]'?"),
        ("b5 = 0", "no parameter 'b5'; .*, or b1 to b4 by position"),
        ("abs(dose) = 0", "there is no parameter 'abs(dose)'"),
        ("dose ** arm[new] = 0", "character 6: an exponent is a number from -100 to 100"),
        ("log(-1) * dose = 0", "character 1: 'log' of these numbers is not a finite number"),
        ("log(0 * dose - 1) * dose = 0", "'log' of these numbers is not a finite number"),
        ("log(dose - 9) = 0", "is not a finite number for the estimates: it divides by zero, or has a logarithm"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_its_place(ml: hl.results.Fit, hypothesis: str, message: str) -> None:
    pattern = ".*".join(map(re.escape, message.split(".*")))
    with pytest.raises(PredictionError, match=pattern):
        hl.hypotheses(ml, hypothesis)


@pytest.mark.parametrize("hypothesis", [[], np.empty((2, 0))])
def test_empty_hypotheses_are_refused(ml: hl.results.Fit, hypothesis: Any) -> None:
    with pytest.raises(PredictionError, match="hypothesis is empty; it must be one of"):
        hl.avg_predictions(ml, hypothesis=hypothesis, by="arm")


def test_models_without_coefficients_are_refused(rows: pd.DataFrame) -> None:
    fit = hl.Model("healed ~ 0 + (1 | clinic)", rows).fit(hl.Laplace(seed=1))
    with pytest.raises(FitError, match="the model has no fixed effects"):
        hl.hypotheses(fit)


# ---- sds, correlations and functions ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slopes(rows: pd.DataFrame) -> hl.results.Fit:
    rng = np.random.default_rng(5)
    slope = rng.normal(0, 0.9, 8)[rows["clinic"].astype("category").cat.codes]
    p = 1 / (1 + np.exp(-slope * (1 + rows["dose"])))
    varied = rows.assign(healed=(rng.random(len(rows)) < p).astype(int))
    return hl.Model("healed ~ dose + arm + (1 + dose | clinic)", varied).fit(hl.MAP(draws=200, seed=1))


def test_sds_are_tested_as_logarithms_with_the_intervals_of_their_summary(ml: hl.results.Fit) -> None:
    summary = hl.summary(ml).loc["sd_clinic[Intercept]"]
    table = hl.hypotheses(ml, ["2 * sd_clinic[Intercept] > 0.2", "sd_clinic[Intercept] = dose"], rope=(0, 0.4)).iloc[0]
    for name in ("estimate", "se", "wald89_lb", "wald89_ub"):
        assert table[name] == pytest.approx(2 * summary[name], rel=1e-6)
    relative = summary["se"] / summary["estimate"]
    z = np.log(summary["estimate"] / 0.1) / relative
    assert (table["z"], table["p_value"]) == pytest.approx((z, norm.sf(z)), rel=1e-6)
    above = norm.cdf(np.log(0.2 / summary["estimate"]) / relative)
    assert (table["p_rope"], table["p_equivalence"]) == pytest.approx((above, 1 - above), rel=1e-6)


def test_functions_have_errors_by_the_delta_method(slopes: hl.results.Fit) -> None:
    estimate = estimate_of(slopes)
    stated = [
        "exp(dose) = 1",
        "sd_clinic[Intercept]^2 / (sd_clinic[Intercept]^2 + 3.29) = 0.1",
        "sd_clinic[Intercept] / sd_clinic[dose] = 1",
        "cor_clinic[Intercept, dose] = 0.2",
        "sd_clinic[dose] * cor_clinic[Intercept, dose] - b2 = 0",
    ]
    table = hl.hypotheses(slopes, stated)

    def values(beta: np.ndarray, entries: np.ndarray) -> np.ndarray:
        a, b, c = entries
        sd = np.array([abs(a), np.hypot(b, c)])
        share, cor = sd[0] ** 2 / (sd[0] ** 2 + 3.29), b * np.sign(a) / sd[1]
        return np.array([np.exp(beta[1]), share, sd[0] / sd[1], cor, sd[1] * cor - beta[1]])

    places = [(a, b) for _, a, b in estimate.entries]
    assert places == [(0, 0), (1, 0), (1, 1)]
    L = np.array([estimate.cholesky["clinic"][place] for place in places])
    expected, step = values(estimate.beta, L), 1e-6
    gradient = [(values(estimate.beta + e, L) - values(estimate.beta - e, L)) / (2 * step) for e in step * np.eye(4)]
    gradient += [(values(estimate.beta, L + e) - values(estimate.beta, L - e)) / (2 * step) for e in step * np.eye(3)]
    errors = np.sqrt(np.diag(np.array(gradient).T @ estimate.covariance @ np.array(gradient)))
    np.testing.assert_allclose(table["estimate"], expected, rtol=1e-9)
    np.testing.assert_allclose(table["se"], errors, rtol=1e-5)
    assert table["null"].tolist() == [1, 0.1, 1, 0.2, 0]


def test_draws_answer_hypotheses_about_functions_of_all_parameters(drawn: hl.results.Fit) -> None:
    stated = ["exp(dose) > 1", "sd_clinic[Intercept]**2 < 3.29 / 4", "sd_clinic[Intercept] > arm[old]"]
    table = hl.hypotheses(drawn, stated)
    assert table.quantity == "Hypotheses about parameters"
    dose, old = (drawn.posterior["beta"].values.reshape(-1, 4)[:, k] for k in (1, 3))
    sd = drawn.posterior["sd_clinic"].values.ravel()
    np.testing.assert_allclose(table["mean"], [np.exp(dose).mean(), (sd**2).mean(), (sd - old).mean()])
    shares = [(dose > 0).mean(), (sd**2 < 3.29 / 4).mean(), (sd > old).mean()]
    np.testing.assert_allclose(table["p_hypothesis"], shares)


@pytest.mark.parametrize(
    "hypothesis",
    [
        "sd_clinic[Intercept] = 0",
        "0 < sd_clinic[Intercept]**2",
        "sd_clinic[Intercept] > -1",
        "sd_clinic[Intercept] * b2 = 0",
    ],
)
def test_sds_of_zero_have_no_wald_tests(ml: hl.results.Fit, drawn: hl.results.Fit, hypothesis: str) -> None:
    with pytest.raises(PredictionError, match=r"zero is the end of the range of an sd.*hl\.test_terms\(fit\)"):
        hl.hypotheses(ml, hypothesis)
    assert len(hl.hypotheses(drawn, hypothesis)) == 1


def test_labels_are_those_of_the_parameters(slopes: hl.results.Fit) -> None:
    labels = parameter_labels(slopes.model.design)
    assert labels == list(hl.summary(slopes).index)
    np.testing.assert_allclose(WaldValues.parameters(estimate_of(slopes)).estimate, hl.summary(slopes)["estimate"])


# ---- rows of results -----------------------------------------------------------------------------------------------


def test_relations_between_rows(drawn: hl.results.Fit) -> None:
    options: dict[str, Any] = {"by": "arm", "clusters": "typical"}
    p = hl.avg_predictions(drawn, **options).draws.values.reshape(-1, 3)
    stated = ["new - control > 0.05", "b3 = b2", "`old` < (control + new) / 2"]
    table = hl.avg_predictions(drawn, hypothesis=stated, **options)
    values = np.column_stack([p[:, 1] - p[:, 0], p[:, 2] - p[:, 1], p[:, 2] - (p[:, 0] + p[:, 1]) / 2])
    np.testing.assert_allclose(table.draws.values.reshape(-1, 3), values)
    expected = [(values[:, 0] > 0.05).mean(), np.nan, (values[:, 2] < 0).mean()]
    np.testing.assert_allclose(table["p_hypothesis"], expected)
    assert table["hypothesis"].tolist() == stated
    ratio = hl.avg_predictions(drawn, hypothesis=["new / control > 1.1", "logit(old) = 0"], **options)
    np.testing.assert_allclose(ratio.draws.values.reshape(-1, 2)[:, 0], p[:, 1] / p[:, 0])
    np.testing.assert_allclose(ratio["p_hypothesis"], [(p[:, 1] > 1.1 * p[:, 0]).mean(), np.nan])
    reverse = hl.avg_predictions(drawn, hypothesis="revpairwise", **options)
    assert reverse["hypothesis"].tolist() == ["(control) - (new)", "(control) - (old)", "(new) - (old)"]
    np.testing.assert_allclose(reverse["mean"][0], -values[:, 0].mean())


def test_rows_of_slopes_and_comparisons_have_names(drawn: hl.results.Fit) -> None:
    slopes = hl.avg_slopes(drawn, "dose", by="arm", clusters="typical", hypothesis="new = old")
    by_position = hl.avg_slopes(drawn, "dose", by="arm", clusters="typical", hypothesis="b2 = b3")
    np.testing.assert_array_equal(slopes["mean"], by_position["mean"])
    contrasts = hl.avg_comparisons(drawn, "arm", hypothesis="new - control = old - control")
    effects = hl.avg_comparisons(drawn, "arm").draws.values
    np.testing.assert_allclose(contrasts.draws.values[..., 0], effects[..., 0] - effects[..., 1])


def test_tests_of_rows_are_those_of_coefficients_where_they_are_the_same(ml: hl.results.Fit) -> None:
    options: dict[str, Any] = {"newdata": hl.datagrid(ml), "clusters": "typical", "direction": True}
    link = hl.comparisons(ml, "arm", scale="link", **options)
    coefficients = hl.hypotheses(ml, ["arm[new] = 0", "arm[old] = 0"], rope=(np.log(0.8), np.log(1.25)))
    np.testing.assert_allclose(link["z"], coefficients["z"], rtol=1e-6)
    odds = hl.comparisons(ml, "arm", comparison="oddsratio", rope=(0.8, 1.25), **options)
    for name in ("p_value", "p_equivalence"):
        np.testing.assert_allclose(odds[name], coefficients[name], rtol=1e-6)


@pytest.mark.parametrize("clusters", ["typical", "average"])
def test_standard_errors_of_rows_are_by_the_delta_method(ml: hl.results.Fit, clusters: str) -> None:
    estimate, step = estimate_of(ml), 1e-5
    table = hl.avg_comparisons(ml, "arm", clusters=clusters, direction=True)

    def at(beta: np.ndarray, sd: float) -> np.ndarray:
        moved = replace(estimate, beta=beta, cholesky={"clinic": np.array([[sd]])})
        fit = hl.results.Fit(ml.model, ml.data, ml.diagnostics, moved)
        # The estimate is at the estimates of the fit, however few draws there are.
        return hl.avg_comparisons(fit, "arm", clusters=clusters, num_draws=20)["estimate"].to_numpy()

    beta, sd = estimate.beta, estimate.cholesky["clinic"].item()
    gradient = [(at(beta + e, sd) - at(beta - e, sd)) / (2 * step) for e in step * np.eye(4)]
    gradient.append((at(beta, sd + step) - at(beta, sd - step)) / (2 * step))
    slopes = np.array(gradient)
    errors = np.sqrt(np.diag(slopes.T @ estimate.covariance @ slopes))
    np.testing.assert_allclose(table["estimate"] / table["z"], errors, rtol=1e-4)


def test_observed_clusters_have_tests_by_the_draws(ml: hl.results.Fit) -> None:
    table = hl.avg_comparisons(ml, "arm", direction=True)
    np.testing.assert_allclose(table["estimate"] / table["z"], table["sd"], rtol=1e-9)


def test_tables_have_tests_only_where_they_are_asked_for(ml: hl.results.Fit, drawn: hl.results.Fit) -> None:
    assert not {"z", "p_value"} & {*hl.avg_comparisons(ml, "arm")}
    assert not {"z", "p_value"} & {*hl.avg_comparisons(drawn, "arm", direction=True, hypothesis="pairwise")}
    assert "p_equivalence" not in hl.avg_comparisons(drawn, "arm", rope=(-0.1, 0.1))


# ---- families ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["response", "link"])
def test_simultaneous_intervals_contain_their_share_of_the_draws(drawn: hl.results.Fit, scale: str) -> None:
    table = hl.predictions(drawn, clusters="typical", scale=scale, adjust="single-step", ci_prob=0.8)
    draws = table.draws.values.reshape(400, -1)
    low, high = table["simultaneous80_lb"].to_numpy(), table["simultaneous80_ub"].to_numpy()
    assert ((draws >= low) & (draws <= high)).all(axis=1).mean() == pytest.approx(0.8, abs=0.01)
    alone = hl.predictions(drawn, clusters="typical", scale=scale, ci_prob=0.8)
    assert (high - low > alone["eti80_ub"] - alone["eti80_lb"]).all()
    if scale == "response":
        assert (low > 0).all()
        assert (high < 1).all()


def test_adjusted_p_values_are_those_of_the_intervals(ml: hl.results.Fit) -> None:
    options: dict[str, Any] = {"by": "arm", "clusters": "average", "hypothesis": "pairwise"}
    raw = hl.avg_predictions(ml, **options)["p_value"]
    together = hl.avg_predictions(ml, adjust="single-step", ci_prob=0.9, **options)
    outside = (together["simultaneous90_lb"] > 0) | (together["simultaneous90_ub"] < 0)
    assert (outside == (together["p_value"] < 0.1)).all()
    by_steps = hl.avg_predictions(ml, adjust="holm", **options)
    for table in (by_steps, hl.hypotheses(ml, adjust="holm")):
        assert "; p-values adjusted by Holm's method" in repr(table).splitlines()[0]
    assert "Holm" not in repr(together)
    step = by_steps["p_value"]
    assert (raw <= together["p_value"]).all()
    assert (together["p_value"] <= np.minimum(3 * raw, 1)).all()
    assert (step >= raw).all()


def test_what_cannot_be_adjusted_is_refused(
    ml: hl.results.Fit, drawn: hl.results.Fit, at_mode: hl.results.Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fit, engine in ((drawn, "NUTS"), (at_mode, "MAP")):
        with pytest.raises(
            PredictionError, match=f"adjust='holm' adjusts p-values, which fits by {engine} do not have"
        ):
            hl.avg_comparisons(fit, "arm", adjust="holm")
        with pytest.raises(PredictionError, match="adjust='holm' adjusts p-values"):
            hl.hypotheses(fit, adjust="holm")
    with pytest.raises(PredictionError, match="adjust='holm' needs estimates"):
        hl.avg_predictions(ml, clusters="new", adjust="holm")
    with pytest.raises(PredictionError, match="those with < and > are tested on one side"):
        hl.hypotheses(ml, ["dose > 0", "arm[new] = 0"], adjust="single-step")
    assert "simultaneous89_lb" in hl.hypotheses(drawn, ["dose > 0", "arm[new] = 0"], adjust="single-step")
    monkeypatch.setattr("hierlogit.effects.hypothesis.LARGEST_FAMILY", 2)
    with pytest.raises(PredictionError, match="families of up to 2 values that fit into memory; these are 3"):
        hl.avg_predictions(ml, by="arm", clusters="typical", adjust="single-step")


@pytest.mark.parametrize(
    ("hypothesis", "message"),
    [
        (
            "new - kontrol > 0",
            "there is no row 'kontrol'; the rows are 'control', 'new', 'old', or b1 to b3 by position",
        ),
        ("new > 0 > old", "character 9: there is a second relation. Pass a list of hypotheses."),
        ("new / (old - old) = 0", "character 5: nothing can be divided by 0"),
        ("sqrt(new - 2) = 0", "is not a finite number for 400 of 400 draws"),
        (["new = 0", "pairwise"], "hypothesis='pairwise' is not allowed"),
    ],
)
def test_wrong_hypotheses_are_refused_with_their_place(drawn: hl.results.Fit, hypothesis: Any, message: str) -> None:
    with pytest.raises(PredictionError) as caught:
        hl.avg_predictions(drawn, by="arm", hypothesis=hypothesis)
    assert message in str(caught.value)


# ---- coverage ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_simultaneous_intervals_cover_all_true_differences() -> None:
    study: dict[str, Any] = {
        "formula": "y ~ f + (1 | g)",
        "layout": hl.Layout({"g": 40}, size=15, predictors={"f": ["a", "b", "c", "d"]}),
        "beta": {"Intercept": -0.3, "f[b]": 0.4, "f[c]": 0.0, "f[d]": -0.5},
        "sd": {"g": 0.6},
    }
    truth = {"a": 0.0, "b": 0.4, "c": 0.0, "d": -0.5}
    covered: dict[str | None, int] = {"single-step": 0, None: 0}
    replicates = 600
    for seed in range(replicates):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HierlogitWarning)
            fit = hl.Model("y ~ f + (1 | g)", hl.simulate(**study, seed=seed)).fit(hl.Laplace(draws=100, seed=1))
        pairs = [(low, high) for k, low in enumerate("abcd") for high in "abcd"[k + 1 :]]
        names = {level: "0" if level == "a" else f"f[{level}]" for level in "abcd"}
        stated = [f"{names[high]} = {names[low]}" for low, high in pairs]
        differences = np.array([truth[high] - truth[low] for low, high in pairs])
        for adjust in covered:
            table = hl.hypotheses(fit, stated, adjust=adjust, ci_prob=0.95)
            low, high = (table.filter(regex=f"_{end}$").to_numpy()[:, 0] for end in ("lb", "ub"))
            covered[adjust] += bool(((low <= differences) & (differences <= high)).all())
    # Six pairs of four levels: 95 % together, where intervals of single differences cover all of them in about 80 %.
    error = 3 * np.sqrt(0.95 * 0.05 / replicates)
    assert covered["single-step"] / replicates == pytest.approx(0.95, abs=error)
    assert covered[None] / replicates < 0.86
