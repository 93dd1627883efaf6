"""Build-ups end where their pages say, and nothing that was tried is hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.building.delta_method import average_differences
from hierlogit.building.models_tried import Build
from hierlogit.building.plan import Plan, Slope, Structure
from hierlogit.building.step import ratio_test
from hierlogit.building.walk import Walk
from hierlogit.engines.maximum.refit import maximum_of
from hierlogit.errors import DataWarning, EngineError, FormulaError, ModelError
from hierlogit.fits.fit import Fit
from hierlogit.formatting import p_value

ENGINE = hl.Laplace(draws=100, seed=1)


def schools(schools: int = 40, seed: int = 1, **layout: Any) -> pd.DataFrame:
    """Pupils of classes in schools, between which the slope of hours varies; the study of the tutorial."""
    planned = hl.Layout(
        {"school": schools, "school/class": 3},
        size=12,
        predictors={"hours": "normal", "sex": {"girl": 0.5, "boy": 0.5}},
        cluster_predictors={"school": {"arm": ["control", "new"]}},
    )
    return hl.simulate(
        "passed ~ hours + sex + arm + (1 + hours | school) + (1 | class)",
        planned,
        beta={"Intercept": 0.2, "hours": 0.5, "sex[boy]": -0.2, "arm[new]": 0.6},
        sd={"school": {"Intercept": 0.6, "hours": 0.5}, "class": 0.4},
        seed=seed,
    )


@pytest.fixture(scope="module")
def women() -> Build:
    return hl.build("use ~ age + I(age**2) + urban + livch + (1 | district)", hl.datasets.load("contraception"))


@pytest.fixture(scope="module")
def pupils() -> Build:
    return hl.build("passed ~ hours + sex + arm", schools(), clusters=["class", "school"], engine=ENGINE)


# ---- endings ------------------------------------------------------------------------------------------------------


def test_the_gap_between_town_and_country_varies_between_districts(women: Build) -> None:
    assert women.formula == "use ~ age + I(age**2) + urban + livch + (1 + urban | district)"
    assert women.table["adds"].tolist()[3:] == [
        "age | district",
        "I(age ** 2) | district",
        "urban | district",
        "livch | district",
    ]
    assert women.kept == ["M0", "M1", "M2", "M5"]


def test_the_planted_slope_is_found_at_its_level(pupils: Build) -> None:
    assert pupils.formula == "passed ~ hours + sex + arm + (1 + hours | school) + (1 | class)"
    # Beside the slope of schools, that of their classes adds nothing.
    again = pupils.table[pupils.table["adds"] == "hours | class"]
    assert again["against"].tolist() == ["M3", "M4"]
    assert again["p_value"].iloc[0] < 0.05 < again["p_value"].iloc[1]
    assert pupils.not_tried == dict.fromkeys(("arm | school", "arm | class"), "") | {
        "arm | school": "constant within the clusters of school",
        "arm | class": "constant within the clusters of class",
    }


def test_persons_differ_in_what_they_would_do() -> None:
    rows = hl.datasets.load("verbagg")
    result = hl.build("r2 ~ Anger + mode + (1 + mode | id) + (1 | item)", rows, engine=ENGINE)
    assert result.formula == "r2 ~ Anger + mode + (1 | item) + (1 + mode | id)"
    assert len(result.fits) == 5


def test_mothers_have_too_few_children_for_slopes() -> None:
    rows = hl.datasets.load("guimmun")
    formula = "immun ~ kid2p + rural + (1 + rural | comm) + (1 + kid2p + ord | comm:mom)"
    result = hl.build(formula, rows, engine=ENGINE)
    assert result.formula == "immun ~ kid2p + rural + (1 | comm) + (1 | comm:mom)"
    assert result.not_tried["rural | comm"] == "constant within the clusters of comm"
    assert "clusters of comm:mom that have more trials than random effects" in result.not_tried["ord | comm:mom"]
    # The likelihood of the slopes is that of sds without bounds: it is supported, and not kept.
    assert float(result.table["p_value"]["M4"]) < 1e-6
    assert result.supported == {"kid2p | comm:mom": "the fit has the finding large_sd"}
    assert "undecided" in repr(result)
    assert [finding.code for finding in result.fit.diagnostics.findings] == ["laplace_inaccurate"]


@pytest.mark.slow
def test_all_predictors_of_the_verbal_aggression_data() -> None:
    rows = hl.datasets.load("verbagg")
    result = hl.build("r2 ~ Anger + Gender + btype + situ + mode + (1 | id) + (1 | item)", rows)
    assert result.formula == "r2 ~ Anger + Gender + btype + situ + mode + (1 | item) + (1 + btype + mode + situ | id)"
    assert len(result.fits) == 14


@pytest.mark.slow
def test_all_predictors_of_the_immunization_data() -> None:
    predictors = "kid2p + mom25p + ord + ethn + momEd + husEd + momWork + rural + pcInd81"
    result = hl.build(f"immun ~ {predictors} + (1 | comm/mom)", hl.datasets.load("guimmun"))
    assert result.formula == f"immun ~ {predictors} + (1 | comm) + (1 | comm:mom)"
    assert result.supported == {
        "husEd | comm": result.supported["husEd | comm"],
        "kid2p | comm:mom": "the fit has the finding large_sd",
    }
    assert result.supported["husEd | comm"].startswith("the fit is singular: ")


# ---- evidence -----------------------------------------------------------------------------------------------------


def test_the_evidence_is_that_of_the_functions_for_single_models(women: Build) -> None:
    for name, row in women.table.iterrows():
        fit = women.fits[str(name)]
        assert row["log_likelihood"] == maximum_of(fit).log_likelihood
        assert row["parameters"] == maximum_of(fit).n_parameters
        if name != "M0":
            assert row["icc_district"] == pytest.approx(hl.icc(fit)["estimate"].item(), rel=1e-12)
        if row["against"] and row["adds"] != "livch | district":
            test = hl.likelihood_ratio(women.fits[row["against"]], fit)
            assert (row["statistic"], row["p_value"]) == (test.statistic, test.p_value)
    slopes = women.table[women.table["stage"] == "slope"]
    assert slopes["p_adjusted"].tolist() == pytest.approx(np.minimum(4 * slopes["p_value"], 1), abs=1e-12)


def test_all_models_have_the_rows_that_are_complete_in_all_columns() -> None:
    rows = hl.datasets.load("contraception").assign(weight=1.0)
    rows.loc[rows.index[:20], "age"] = np.nan
    with pytest.warns(DataWarning, match="20 of 1,934 rows"):
        result = hl.build("use ~ age + offset(weight) + (1 | district)", rows, engine=ENGINE)
    assert {fit.model.design.n_rows for fit in result.fits.values()} == {1914}
    assert all("offset(weight)" in fit.model.formula.text for fit in result.fits.values())
    alone = hl.Model("use ~ 1 + offset(weight)", rows.dropna(subset=["age"])).fit("laplace")
    assert maximum_of(result.fits["M0"]).log_likelihood == pytest.approx(maximum_of(alone).log_likelihood, rel=1e-12)


def test_several_variances_have_a_bound_of_the_p_value(women: Build) -> None:
    test = ratio_test(women.fits["M2"], women.fits["M6"])
    assert test.reference.startswith("at most that of the mixture")
    assert test.parameters == 9
    assert test.p_value < test.naive_p_value
    assert women.table.loc["M6", "p_value"] == test.p_value


@pytest.mark.slow
def test_the_bound_is_above_the_level_of_simulated_data() -> None:
    rows = schools(15).assign(group=lambda frame: frame.index.to_numpy() % 3)
    p_values = []
    for seed in range(200):
        y = hl.simulate("y ~ C(group) + (1 | school)", rows, beta={"Intercept": 0, "C(group)[1]": 0.3,
                        "C(group)[2]": 0.5}, sd={"school": 0.8}, seed=seed)  # fmt: skip
        fits = [hl.Model(f"y ~ C(group) + ({effects} | school)", y).fit("laplace") for effects in ("1", "1 + C(group)")]
        p_values.append(ratio_test(*fits).p_value)
    # Two Monte Carlo standard errors above the level.
    assert np.mean(np.array(p_values) < 0.1) < 0.1 + 2 * np.sqrt(0.09 / 200)


def test_slopes_without_a_significant_score_are_not_fitted(women: Build) -> None:
    rows = hl.datasets.load("contraception")
    result = hl.build(
        "use ~ age + I(age**2) + urban + livch + (1 | district)", rows, screen=True, replicates=60, seed=3
    )
    assert result.formula == women.formula
    assert list(result.table["adds"][3:]) == ["urban | district"]
    scores = hl.test_slopes(result.fits["M2"], replicates=60, seed=3).set_index("term")["p_value"]
    assert result.scores is not None
    assert result.scores.set_index("term")["p_value"].equals(scores)
    assert list(result.not_tried) == ["age | district", "I(age ** 2) | district", "livch | district"]
    assert result.not_tried["livch | district"] == f"score test, {p_value(scores['livch'])}"
    # The slopes that were not fitted count all the same.
    assert float(result.table["p_adjusted"]["M3"]) == float(women.table["p_adjusted"]["M5"])


# ---- decisions ----------------------------------------------------------------------------------------------------


def test_a_level_without_variance_is_set_aside() -> None:
    rows = schools().assign(row=lambda frame: np.arange(len(frame)))
    rows["lottery"] = rows["row"] % 24
    result = hl.build("passed ~ hours", rows, clusters=["lottery", "school", "row"], engine=ENGINE)
    (lottery,) = result.table.index[result.table["adds"] == "lottery"]
    assert (result.table.loc[lottery, "kept"], result.table.loc[lottery, "reason"]) == (
        "no",
        "its sd is estimated as zero",
    )
    assert result.not_tried["hours | lottery"] == "the model has no intercepts of lottery"
    assert result.not_tried["row"].startswith("every cluster has a single trial")
    assert "lottery" not in result.formula


def test_a_level_that_the_predictors_account_for_is_taken_out_again() -> None:
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"g": np.repeat(np.arange(12), 40)})
    rows["z"] = rng.normal(size=12)[rows["g"]]
    p = 1 / (1 + np.exp(-1.5 * rows["z"]))
    # As many events as expected in each cluster: given z, the clusters do not differ even by chance.
    rows["y"] = (rows.groupby("g").cumcount() < (40 * p).round()).astype(int)
    result = hl.build("y ~ z + (1 | g)", rows, engine=ENGINE)
    assert result.kept == ["M0", "M1", "M2", "M3"]
    assert result.table.loc["M3", "adds"] == "without g"
    assert result.formula == "y ~ z"


def test_the_same_clusters_under_two_names_are_one_level() -> None:
    rows = schools().assign(head=lambda frame: "head of " + frame["school"].astype(str))
    result = hl.build("passed ~ hours", rows, clusters=["school", "head"], engine=ENGINE)
    assert result.not_tried["head"] == "the same clusters as school"
    assert result.relations["kind"].tolist() == ["same"]


def test_repeated_labels_of_classes_are_crossed_unless_they_are_nested_by_the_formula() -> None:
    rows = schools(12)
    rows["class"] = (rows["class"].astype(int) - 1) % 3
    crossed = hl.build("passed ~ hours", rows, clusters=["school", "class"], engine=ENGINE)
    assert crossed.relations["kind"].tolist() == ["crossed"]
    assert "or nested if labels are repeated: school/class or class/school" in " ".join(repr(crossed).split())
    nested = hl.build("passed ~ hours", rows, clusters="school/class", engine=ENGINE)
    assert nested.relations["description"].tolist() == ["nested in school, 12 of whose clusters contain two or more"]
    assert list(nested.table["adds"][1:3]) == ["school", "school:class"]


def test_few_informative_clusters_are_no_base_for_a_slope() -> None:
    rows = schools(12)
    rows["pilot"] = rows["hours"] * (rows["school"].astype(int) <= 9)
    result = hl.build("passed ~ pilot + (1 | school)", rows, engine=ENGINE)
    assert result.not_tried == {
        "pilot | school": "it varies within 9 of 12 clusters of school that have more trials than random effects, "
        "and 10 are needed"
    }


def test_four_clusters_are_too_few_for_slopes_and_the_head_of_one_model_is_whole() -> None:
    result = hl.build("passed ~ hours + (1 | school)", schools(4), engine=ENGINE, estimand="hours")
    assert result.not_tried["hours | school"].endswith(
        "within 4 of 4 clusters of school that have more trials than random effects, and 5 are needed"
    )
    assert "- estimate -" in repr(result)
    assert repr(result).count("warning (few_clusters)") == 1


def test_a_singular_slope_is_tried_without_its_correlation() -> None:
    # Intercepts and slopes of a cluster are the same number: their correlation is 1.
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"g": np.repeat(np.arange(30), 30), "x": rng.normal(size=900)})
    b = rng.normal(0, 1.0, 30)[rows["g"]]
    rows["y"] = rng.binomial(1, 1 / (1 + np.exp(-(b + b * rows["x"]))))
    result = hl.build("y ~ x + (1 | g)", rows, engine=ENGINE)
    assert result.table["adds"].tolist()[3:] == ["x | g", "x || g"]
    assert str(result.table.loc["M3", "reason"]).endswith("; see M4, without correlations")
    assert result.formula == "y ~ x + (1 + x || g)"
    assert result.maximal == "y ~ x + (1 + x | g)"


def test_slopes_of_interactions_are_tried_beside_those_of_their_parts() -> None:
    rng = np.random.default_rng(4)
    rows = pd.DataFrame({"g": np.repeat(np.arange(40), 40), "x": rng.normal(size=1600), "z": rng.normal(size=1600)})
    rows["w"] = np.arange(1600) % 40 % 2
    slopes = rng.normal(size=(40, 4))[rows["g"]]
    eta = slopes[:, 0] + slopes[:, 1] * rows["x"] + slopes[:, 2] * rows["z"] + slopes[:, 3] * rows["x"] * rows["z"]
    rows["y"] = rng.binomial(1, 1 / (1 + np.exp(-eta)))
    result = hl.build("y ~ x * z + C(w) + C(w):x + (1 | g)", rows, engine=ENGINE)
    assert result.formula == "y ~ x * z + C(w) + C(w):x + (1 + z + x + x:z | g)"
    (tried,) = result.table.index[result.table["adds"] == "x:z | g"]
    assert set(result.fits[result.table.loc[tried, "against"]].model.design.groups[0].terms) == {"Intercept", "x", "z"}
    assert result.not_tried == {"C(w):x | g": "an interaction, and the model has no slope of C(w) over g"}


def test_slopes_of_the_formula_are_the_ones_that_are_tried() -> None:
    plan = Plan.of("y ~ x * z + (1 + I(x**2) || g)", small(), None, missing="drop", collinear="drop", namespace=None)
    assert plan.slopes == (Slope("I(x ** 2)", "g", correlated=False),)
    default = Plan.of("y ~ x * z + (1 | g)", small(), None, missing="drop", collinear="drop", namespace=None)
    assert [str(slope) for slope in default.slopes] == ["x | g", "z | g"]
    assert (default.interactions, plan.interactions) == ({Slope("x:z", "g"): ("x", "z")}, {})
    structure = Structure(("g",), predictors=True, slopes=plan.slopes)
    assert plan.formula(structure) == "y ~ x * z + (1 + I(x ** 2) || g)"


def small(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, 120),
            "x": rng.normal(size=120),
            "z": rng.normal(size=120),
            "g": np.repeat(range(12), 10),
        }
    )


# ---- estimands ----------------------------------------------------------------------------------------------------


def test_quantities_of_interest_in_all_models(women: Build) -> None:
    values = women.estimands["estimate"]
    urban = values.xs("urban[Y]", level="quantity")
    assert urban.to_dict() == {name: maximum_of(women.fits[name]).beta[3] for name in ("M2", "M3", "M4", "M5", "M6")}
    proposed = hl.avg_comparisons(women.fit, "urban", clusters="average")["estimate"].item()
    assert values["M5", "average difference, urban: Y - N"] == pytest.approx(proposed)
    change = women.estimands["change"]
    assert change["M5", "urban[Y]"] == urban["M5"] - urban["M2"]
    assert np.isnan(change["M2", "urban[Y]"])
    only = women.evaluate(["urban", "sd_district[Intercept]"])
    assert set(only.index.get_level_values("quantity")) == {
        "urban[Y]",
        "average difference, urban: Y - N",
        "sd_district[Intercept]",
    }


def test_standard_errors_of_average_comparisons_are_those_of_draws(women: Build) -> None:
    drawn = hl.avg_comparisons(women.fit, "urban", clusters="average")
    table, errors = average_differences(women.fit, ["urban"])
    assert table["estimate"].tolist() == pytest.approx(drawn["estimate"].tolist(), rel=1e-12)
    # Within three Monte Carlo errors of an sd from 1,000 draws.
    assert errors == pytest.approx(drawn["sd"].to_numpy(), rel=3 / np.sqrt(2 * 1000))


@pytest.mark.parametrize(
    ("function", "labels"),
    [
        (lambda fit: hl.mor(fit)["estimate"].iloc[0], ["estimand"]),
        (lambda fit: hl.summary(fit).loc[["hours"]], ["hours"]),
        (lambda fit: hl.avg_comparisons(fit, "arm", num_draws=20), ["arm new - control"]),
        (
            lambda fit: hl.avg_comparisons(fit, "arm", by="sex", num_draws=20),
            ["arm new - control girl", "arm new - control boy"],
        ),
        (lambda fit: {"a": 1.0, "b": len(fit.model.design.groups)}, ["a", "b"]),
    ],
)
def test_functions_of_fits(pupils: Build, function: Callable[[Fit], Any], labels: list[str]) -> None:
    table = pupils.evaluate(function)
    assert list(dict.fromkeys(table.index.get_level_values("quantity"))) == labels
    assert np.isfinite(table["estimate"]).all()


def test_a_function_that_fails_for_every_model_is_an_error(pupils: Build) -> None:
    with pytest.raises(ModelError, match="fails for every model, at last with KeyError: 'none'"):
        pupils.evaluate(lambda fit: hl.summary(fit).loc["none"])


def test_rows_of_a_table_with_the_same_labels_are_refused(pupils: Build) -> None:
    twice = pd.DataFrame({"term": ["arm", "arm"], "estimate": [1.0, 2.0]})
    with pytest.raises(ModelError, match="several rows with the same labels: 'arm'"):
        pupils.evaluate(lambda _: twice)


# ---- interruptions and errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [1, 3, 5])
def test_an_interruption_keeps_the_models_fitted_so_far(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    run = hl.Laplace.run
    fits: list[Fit] = []

    def interrupted(engine: hl.Laplace, model: Any) -> Fit:
        if len(fits) == after:
            raise KeyboardInterrupt
        fits.append(run(engine, model))
        return fits[-1]

    monkeypatch.setattr(hl.Laplace, "run", interrupted)
    result = hl.build("passed ~ hours + sex", schools(12), clusters=["school", "class"], estimand="hours")
    assert result.interrupted
    assert list(result.fits.values()) == fits
    assert result.proposed == f"M{min(after, 4) - 1}"
    assert "interrupted" in repr(result)
    if after == 5:
        assert result.table.loc["M4", "reason"] == "interrupted before the decision"


def test_an_interruption_of_the_score_tests_ends_the_build_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> dict[str, float]:
        raise KeyboardInterrupt

    monkeypatch.setattr("hierlogit.model_comparison.slope_tests.OfSlopes.__call__", interrupted)
    result = hl.build("passed ~ hours + (1 | school)", schools(12), screen=True, engine=ENGINE)
    assert result.interrupted
    assert (list(result.fits), result.proposed, result.scores) == (["M0", "M1", "M2"], "M2", None)


def test_an_interruption_before_the_first_model_is_one_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> Fit:
        raise KeyboardInterrupt

    monkeypatch.setattr(hl.Laplace, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hl.build("passed ~ hours + (1 | school)", schools(12))


def test_a_model_that_cannot_be_fitted_is_not_tried() -> None:
    result = hl.build("passed ~ hours", schools(12), clusters=["school", "class"], engine=hl.AGQ(nodes=3))
    assert result.not_tried["hours | school"].startswith("quadrature needs one grouping factor")
    assert result.formula == "passed ~ hours + (1 | school) + (1 | class)"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"formula": "y ~ x"}, ModelError, r"there are no clusters. .*y ~ x \+ \(1 \| cluster\)"),
        ({"formula": "y ~ x + (1 | g)", "clusters": "g"}, ModelError, "leave one of the two out"),
        ({"formula": "y ~ 0 + x + (1 | g)"}, ModelError, "no intercept, with which a build-up begins"),
        ({"formula": "y ~ x", "clusters": ["g", "g"]}, ModelError, "the same clusters twice"),
        ({"formula": "y ~ x", "clusters": 3}, ModelError, "names no clusters"),
        ({"formula": "y ~ x", "clusters": "h"}, FormulaError, "unknown variable 'h'"),
        ({"formula": "y ~ x", "clusters": "g", "engine": "nuts"}, EngineError, "does not maximise the likelihood"),
        ({"formula": "y ~ x", "clusters": "g", "engine": hl.MAP()}, EngineError, "does not maximise the likelihood"),
        (
            {"formula": "y ~ x", "clusters": "g", "engine": hl.Laplace(restricted=True)},
            EngineError,
            "restricted likelihoods of models with different fixed effects",
        ),
        ({"formula": "y ~ x", "clusters": "g", "alpha": 1}, ModelError, "alpha"),
        ({"formula": "y ~ x", "clusters": "g", "estimand": "xx"}, ModelError, "Did you mean 'x'"),
        ({"formula": "y ~ x", "clusters": "g", "estimand": 3}, ModelError, "is not understood"),
    ],
)
def test_errors_say_what_to_do(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        hl.build(data=small(), **arguments)


def test_nothing_of_the_models_is_said_twice(recwarn: pytest.WarningsRecorder) -> None:
    """What fits warn of is in their findings."""
    hl.build("immun ~ rural + (1 | comm/mom)", hl.datasets.load("guimmun"), engine=ENGINE)
    assert not recwarn.list


def test_a_walk_has_no_models_before_it_begins() -> None:
    plan = Plan.of("y ~ x + (1 | g)", small(), None, missing="drop", collinear="drop", namespace=None)
    walk = Walk(plan, ENGINE, alpha=0.05, screen=False, replicates=50, seed=1)
    names = [step.name for step in walk.models()]
    assert names == [step.name for step in walk.steps] == list(walk.decisions)
