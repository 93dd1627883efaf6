"""Checks of the data before a fit: counts by hand, variances by textbook formulas, and what must be found where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binom, f_oneway

import hierlogit as hl
from hierlogit.diagnostics.data.check_data import DataCheck, check_data
from hierlogit.diagnostics.data.cluster_sizes import cluster_table, size_findings
from hierlogit.diagnostics.data.collinearity import Collinearity
from hierlogit.diagnostics.data.expected_shrinkage import reliability
from hierlogit.diagnostics.data.nesting import relations
from hierlogit.diagnostics.data.variance_within import Parts
from hierlogit.display import WIDTH
from hierlogit.errors import DataWarning, PriorError
from hierlogit.fits.findings import Finding


def _report(formula: str, frame: pd.DataFrame, **options: Any) -> DataCheck:
    return check_data(hl.Model(formula, frame), **options)


def _troubled(formula: str, frame: pd.DataFrame) -> DataCheck:
    """The report on a model of which its making warns."""
    with pytest.warns(DataWarning):
        return _report(formula, frame)


def _codes(report: DataCheck) -> list[str]:
    return [finding.code for finding in report.findings]


def _finding(report: DataCheck, code: str) -> Finding:
    (found,) = (finding for finding in report.findings if finding.code == code)
    return found


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Forty towns of 25 people in twenty regions, with nothing wrong: a number and a group that towns do not share."""
    random = np.random.default_rng(11)
    town = np.repeat(np.arange(40), 25)
    frame = pd.DataFrame({"town": town, "region": town // 2, "x": random.normal(size=1000)})
    frame["arm"] = random.choice(["new", "old"], 1000)
    frame["wealth"] = random.normal(size=40)[town]
    effect = random.normal(0, 0.5, 40)[town]
    frame["y"] = (random.uniform(size=1000) < expit(effect + 0.4 * frame["x"] + 0.3 * frame["wealth"])).astype(int)
    return frame


# ---- the report -----------------------------------------------------------------------------------------------------

CLEAN = {
    "contraception": ["within_and_between"],
    "toenail": ["one_outcome_clusters", "strong_shrinkage"],
    "bacteria": ["few_events", "strong_shrinkage"],
    "cbpp": [],
    "verbagg": [],
    "guimmun": [
        "one_outcome_clusters",
        "within_and_between",
        "singleton_clusters",
        "within_and_between",
        "strong_shrinkage",
    ],
}


@pytest.mark.parametrize("name", CLEAN)
def test_what_is_said_of_the_data_sets(name: str) -> None:
    report = _report(hl.datasets.describe(name).formula, hl.datasets.load(name))
    assert _codes(report) == CLEAN[name]
    assert report.separation == "overlap"
    assert all(len(line) <= WIDTH for line in repr(report).splitlines())


def test_nothing_is_found_where_nothing_is_wrong(rows: pd.DataFrame) -> None:
    report = _report("y ~ x + arm + wealth + (1 + x | town)", rows)
    assert report.findings == ()
    assert repr(report).startswith("Data before a fit: nothing found\n  formula   y ~ x + arm + wealth")
    assert "constant within clusters: 'wealth'" in repr(report)
    assert "40 clusters; trials 25 each, events " in repr(report)


def test_printed_report_counts_and_wraps() -> None:
    frame = hl.datasets.load("bacteria")
    report = _troubled("y ~ trt + week_gt2 + (1 + trt | ID)", frame)
    text, html = repr(report), report._repr_html_()
    assert text.startswith("Data before a fit: 1 error, 1 warning, 1 note\n")
    assert "y = 1: 177 of 220 rows (80.5%)" in text
    assert "3 coefficients besides the intercept, 14.3 non-events for each" in text
    assert [finding.severity for finding in report.findings] == ["error", "warning", "note"]
    assert html.count("<li>") == 3
    for title in ("Grouping factors", "Fixed-effect columns", "Random effects"):
        assert f"<summary>{title}</summary><table" in html
    assert "<summary>Random effects" not in _report("y ~ trt", frame)._repr_html_()


def test_result_knows_its_model_and_cannot_be_changed(rows: pd.DataFrame) -> None:
    model = hl.Model("y ~ x + (1 | town)", rows)
    report = check_data(model)
    assert report.model is model
    with pytest.raises(AttributeError):
        report.separation = "complete"  # type: ignore[misc]


def test_order_of_rows_does_not_matter(rows: pd.DataFrame) -> None:
    formula = "y ~ x + arm + (1 + wealth | town) + (1 | region)"
    one, two = _troubled(formula, rows), _troubled(formula, rows.sample(frac=1, random_state=1))
    assert one.findings == two.findings
    assert "slope_not_identified" in _codes(one)
    pd.testing.assert_frame_equal(one.factors, two.factors)
    pd.testing.assert_frame_equal(one.columns, two.columns)


def test_models_without_random_or_without_fixed_effects(rows: pd.DataFrame) -> None:
    plain = _report("y ~ x", rows)
    assert plain.findings == ()
    assert len(plain.factors) == len(plain.clusters) == len(plain.effects) == len(plain.relations) == 0
    bare = _report("y ~ 0 + (1 | town)", rows)
    assert len(bare.columns) == 0
    assert _codes(bare) == ["missing_fixed_effect"]
    assert "no coefficients besides the intercept; " in repr(bare)
    assert "Data before a fit" in bare._repr_html_()


# ---- counts of clusters ---------------------------------------------------------------------------------------------


def test_a_single_row_has_no_sd() -> None:
    with pytest.warns(DataWarning):
        model = hl.Model("p(s, n) ~ x", pd.DataFrame({"s": [1], "n": [3], "x": [0.5]}))
    found = hl.check_data(model)
    assert found.columns["sd"].isna().all()
    assert "few_events" in {finding.code for finding in found.findings}


def test_counts_of_clusters_by_hand() -> None:
    hits, size = [1, 2, 0, 0, 0, 4, 2], [3, 4, 1, 2, 1, 4, 4]
    report = _report("p(hits, size) ~ 1 + (1 | g)", pd.DataFrame({"g": list("ddbbbca"), "hits": hits, "size": size}))
    table = report.clusters["g"]
    assert list(table.index) == ["b", "c", "a", "d"]  # of three clusters with four trials, that with both outcomes last
    assert table.loc["d", ["rows", "trials", "events", "non_events"]].tolist() == [2, 7, 3, 4]
    assert table.loc["b", ["rows", "trials", "events", "non_events"]].tolist() == [3, 4, 0, 4]
    assert table["share"].round(3).tolist() == [0.0, 1.0, 0.5, 0.429]
    row = report.factors.loc["g"]
    assert row[["clusters", "rows_min", "rows_median", "rows_max"]].tolist() == [4, 1, 1.5, 3]
    assert row[["trials_min", "trials_q1", "trials_median", "trials_q3", "trials_max"]].tolist() == [4, 4, 4, 4.75, 7]
    assert row[["events_max", "non_events_min"]].tolist() == [4, 0]
    assert row[["one_row", "one_trial", "no_event", "only_events"]].tolist() == [2, 0, 1, 1]
    assert report.totals[["rows", "trials", "events", "non_events"]].tolist() == [7, 19, 9, 10]
    assert report.totals["share"] == pytest.approx(9 / 19)


def test_counts_as_pandas_counts(rows: pd.DataFrame) -> None:
    shuffled = rows.sample(n=700, random_state=2)
    table = _report("y ~ x + (1 | town)", shuffled).clusters["town"].sort_index()
    expected = shuffled.groupby("town")["y"].agg(["size", "sum"])
    np.testing.assert_array_equal(table["rows"], expected["size"])
    np.testing.assert_array_equal(table["events"], expected["sum"])
    np.testing.assert_array_equal(table.index, expected.index)


@pytest.mark.parametrize(("clusters", "severity"), [(3, "warning"), (4, "warning"), (5, "note"), (9, "note")])
def test_few_clusters(rows: pd.DataFrame, clusters: int, severity: str) -> None:
    report = _report("y ~ x + (1 | town)", rows[rows["town"] < clusters])
    found = _finding(report, "few_clusters")
    assert found.severity == severity
    assert f"'town' has {clusters} clusters: so few" in found.evidence


def test_enough_clusters_count_only_with_two_trials(rows: pd.DataFrame) -> None:
    assert _codes(_report("y ~ x + (1 | town)", rows[rows["town"] < 10])) == []
    cut = rows[(rows["town"] < 6) | ~rows["town"].duplicated()]
    found = _report("y ~ 1 + (1 | town)", cut)
    assert "'town' has 40 clusters, 6 of them with more than one trial" in _finding(found, "few_clusters").evidence
    assert "34 of 40 (85%) clusters of 'town' have a single trial" in _finding(found, "singleton_clusters").evidence


def test_effects_of_single_outcomes_cannot_be_told(rows: pd.DataFrame) -> None:
    report = _troubled("y ~ x + (1 | row)", rows.assign(row=np.arange(1000)))
    assert report.findings[0].code == "not_identified"
    assert report.findings[0].severity == "error"
    assert "not_identified" not in _codes(
        _report("p(hits, 5) ~ x + (1 | row)", rows.assign(row=np.arange(1000), hits=np.arange(1000) % 6))
    )


def test_clusters_with_one_outcome_are_set_against_chance(rows: pd.DataFrame) -> None:
    frame = rows.assign(y=np.arange(1000) % 2)
    frame.loc[frame["town"].isin([3, 5, 8]), "y"] = 0
    frame.loc[frame["town"].isin([1, 30]), "y"] = 1
    found = _finding(_report("y ~ x + (1 | town)", frame), "one_outcome_clusters")
    assert found.severity == "note"
    assert "5 of 40 (12%) clusters of 'town'" in found.evidence
    assert "3 no event (3, 5, 8), 2 only events (1, 30)" in found.evidence
    assert "about 0 would" in found.evidence
    frame.loc[frame["town"] >= 20, "y"] = 0
    assert _finding(_report("y ~ x + (1 | town)", frame), "one_outcome_clusters").severity == "warning"


def test_small_clusters_with_one_outcome_are_no_news() -> None:
    random = np.random.default_rng(4)
    pairs = pd.DataFrame({"g": np.repeat(np.arange(200), 2), "y": random.integers(0, 2, 400)})
    table = _report("y ~ 1 + (1 | g)", pairs).clusters["g"]
    assert 80 < ((table["events"] == 0) | (table["non_events"] == 0)).sum() < 120
    assert list(size_findings(table)) == []
    # If the two outcomes of a pair always agree, that is more than chance, and nothing is left for the sd.
    pairs["y"] = np.repeat(random.integers(0, 2, 200), 2)
    pairs.loc[[0, 1], "y"] = [0, 1]
    found = _finding(_report("y ~ 1 + (1 | g)", pairs), "one_outcome_clusters")
    p = pairs["y"].mean()
    assert f"about {200 * binom.pmf([0, 2], 2, p).sum():.0f} would" in found.evidence
    assert "Only the other 1 limits the sd of 'g'" in found.remedy


def test_few_clusters_with_both_outcomes_are_few_however_they_came_about() -> None:
    frame = pd.DataFrame({"g": np.repeat(np.arange(50), 4), "y": 0})
    frame.loc[frame.index[::25], "y"] = 1  # eight events in eight clusters: no more than chance
    assert _finding(_report("y ~ 1 + (1 | g)", frame), "one_outcome_clusters").severity == "warning"


# ---- factors beside each other --------------------------------------------------------------------------------------


def test_relations_of_factors(rows: pd.DataFrame) -> None:
    frame = rows.assign(item=np.tile(np.arange(25), 40), same=rows["town"].map("town {}".format))
    groups = _troubled("y ~ 1 + (1 | region) + (1 | town) + (1 | item) + (1 | same)", frame).model.design.groups
    found = {(one.factor, one.other): one for one in relations(groups)}
    assert {pair: one.kind for pair, one in found.items()} == {
        ("town", "region"): "nested",
        ("region", "item"): "crossed",
        ("same", "region"): "nested",
        ("town", "item"): "crossed",
        ("town", "same"): "same",
        ("item", "same"): "crossed",
    }
    assert found["town", "region"].shared == 20
    assert found["town", "item"].combinations == found["town", "item"].possible == 1000
    report = _troubled("y ~ 1 + (1 | town) + (1 | same)", frame)
    assert report.findings[0].code == "identical_factors"
    assert "'town' and 'same' are the same 40 clusters" in report.findings[0].evidence
    assert "the same clusters as same" in " ".join(repr(report).split())


@pytest.mark.parametrize(("shared", "severity"), [(3, "warning"), (7, "note"), (12, None)])
def test_nested_factors_that_hardly_differ(rows: pd.DataFrame, shared: int, severity: str | None) -> None:
    # Town 2k and 2k + 1 share a region in the first few only.
    region = np.where(rows["town"] < 2 * shared, rows["town"] // 2, 100 + rows["town"])
    report = _report("y ~ x + (1 | region / town)", rows.assign(region=region))
    if severity is None:
        assert report.findings == ()
    else:
        found = _finding(report, "weakly_nested")
        assert found.severity == severity
        assert f"Only {shared} clusters of 'region' contain two or more clusters of 'region:town'" in found.evidence
        assert f"with {shared} differences between them" in found.evidence


@pytest.mark.parametrize(("schools", "classes", "found"), [(8, 4, False), (5, 3, False), (4, 3, True), (2, 40, False)])
def test_few_clusters_with_many_inside_can_be_told_apart(schools: int, classes: int, found: bool) -> None:
    random = np.random.default_rng(1)
    index = np.arange(schools * classes * 20)
    frame = pd.DataFrame(
        {"school": index // (classes * 20), "room": index // 20, "y": random.integers(0, 2, len(index))}
    )
    codes = {finding.code for finding in _report("y ~ 1 + (1 | school / room)", frame).findings}
    assert ("weakly_nested" in codes) == found
    assert "few_clusters" in codes  # which is what is wrong with few schools


def test_labels_that_break_a_nesting(rows: pd.DataFrame) -> None:
    frame = rows.copy()
    frame.loc[[30, 700], "region"] = [9, 4]
    found = _finding(_report("y ~ x + (1 | region) + (1 | town)", frame), "almost_nested")
    assert "'town' is almost nested in 'region': 2 of its 40 clusters" in found.evidence
    assert found.evidence.endswith("of 'region': 1, 28.")
    other_way_round = _finding(_report("y ~ x + (1 | town) + (1 | region)", frame), "almost_nested")
    assert other_way_round == found
    crossed = frame.assign(region=np.arange(1000) % 20)
    assert _codes(_report("y ~ x + (1 | region) + (1 | town)", crossed)) == []


# ---- predictors within and between ----------------------------------------------------------------------------------


def test_share_between_by_textbook_analysis_of_variance() -> None:
    random = np.random.default_rng(6)
    sizes = random.integers(1, 30, 50)
    frame = pd.DataFrame({"g": np.repeat(np.arange(50), sizes)})
    n = len(frame)
    frame["x"] = random.normal(0, 1, 50)[frame["g"]] + random.normal(0, 2, n)
    frame["y"] = np.arange(n) % 2
    design = hl.Model("y ~ 0 + x + (1 | g)", frame).design
    parts = Parts.of(design.X, design.groups[0])
    groups = [own.to_numpy() for _, own in frame.groupby("g")["x"]]
    means = np.array([own.mean() for own in groups])
    within = sum(((own - own.mean()) ** 2).sum() for own in groups) / (n - 50)
    spread = (sizes * (means - frame["x"].mean()) ** 2).sum() / 49
    between = (spread - within) / ((n - (sizes**2).sum() / n) / 49)
    np.testing.assert_allclose([parts.within[0], parts.between[0]], [within, between])
    np.testing.assert_allclose(parts.share, between / (within + between))
    np.testing.assert_allclose(parts.p_value[0], f_oneway(*groups).pvalue)


def test_share_between_of_what_does_not_vary_within_or_not_between(rows: pd.DataFrame) -> None:
    balanced = rows.assign(week=np.tile(np.arange(25), 40))
    columns = _report("y ~ week + wealth + x + (1 | town)", balanced).columns
    assert columns.loc["wealth", ["varies_in_town", "between_town"]].tolist() == [0, 1]
    assert columns.loc["week", ["varies_in_town", "between_town"]].tolist() == [40, 0]
    assert columns.loc["x", "between_town"] < 0.05
    assert columns.loc["Intercept", "varies_in_town"] == 0
    assert columns["term"].tolist() == ["Intercept", "week", "wealth", "x"]
    np.testing.assert_allclose(columns.loc["x", "sd"], rows["x"].std())


@pytest.fixture(scope="module")
def mixed(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with predictors that vary at both levels."""
    random = np.random.default_rng(8)
    level = random.normal(size=40)[rows["town"]]
    frame = rows.assign(x=rows["x"] + level, poor=random.uniform(size=1000) < expit(level))
    frame["school"] = pd.cut(frame["x"] + random.normal(size=1000), [-9, -0.5, 0.5, 9], labels=["a", "b", "c"])
    frame["kind"] = np.where(frame["poor"], "poor", "rich")
    return frame.assign(mean=frame.groupby("town")["x"].transform("mean") * 3 + 1)


def test_predictors_at_both_levels_are_named_with_their_share(mixed: pd.DataFrame) -> None:
    report = _report("y ~ x + I(x**2) + kind + school + wealth + arm + (1 | town)", mixed)
    found = _finding(report, "within_and_between")
    assert found.severity == "note"
    share = report.columns.loc["x", "between_town"]
    assert 0.3 < share < 0.7
    assert found.evidence.startswith(f"'x' ({share:.0%}), 'kind' (")
    assert "'school' (" in found.evidence
    assert "wealth" not in found.evidence
    assert "arm" not in found.evidence


def _with_share_between(share: float, clusters: int, size: int) -> pd.DataFrame:
    """Rows with a predictor of which exactly this share of the variance is between clusters."""
    random = np.random.default_rng(7)
    g = np.repeat(np.arange(clusters), size)
    within, between = random.normal(size=clusters * size), random.normal(size=clusters)
    within -= pd.Series(within).groupby(g).transform("mean")
    within *= np.sqrt((clusters * size - clusters) / (within**2).sum())
    # What is between clusters shows in their means beside what chance puts there.
    between = (between - between.mean()) * np.sqrt((share / (1 - share) + 1 / size) / between.var(ddof=1))
    return pd.DataFrame({"g": g, "x": within + between[g], "y": np.arange(clusters * size) % 2})


@pytest.mark.parametrize(
    ("share", "clusters", "size", "told"),
    [(0.06, 200, 20, True), (0.04, 200, 20, False), (0.3, 20, 2, False), (0.6, 20, 2, True)],
)
def test_a_share_between_is_told_if_it_is_neither_small_nor_chance(
    share: float, clusters: int, size: int, told: bool
) -> None:
    frame = _with_share_between(share, clusters, size)
    report = _report("y ~ x + (1 | g)", frame)
    assert report.columns.loc["x", "between_g"] == pytest.approx(share)
    assert ("within_and_between" in _codes(report)) is told
    groups = [own for _, own in frame.groupby("g")["x"]]
    assert (f_oneway(*groups).pvalue < 0.01) == (told or clusters == 200)


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ within(x, town) + between(x, town) + (1 | town)",
        "y ~ within(x, town) + I(within(x, town)**2) + (1 | town)",
        "y ~ x + between(x, town) + (1 | town)",
        "y ~ x + mean + (1 | town)",
        "y ~ within(x, town) + between(x, town) + I(x**2) + (1 | town)",
    ],
)
def test_a_split_that_is_there_is_not_offered_again(mixed: pd.DataFrame, formula: str) -> None:
    assert "within_and_between" not in _codes(_report(formula, mixed))


@pytest.mark.parametrize(
    ("term", "split"),
    [
        ("x", "within(x, town) + between(x, town)"),
        ("bs(x, df=4)", "within(x, town) + between(x, town)"),
        ("poor", "within(poor, town) + between(poor, town)"),
        ("kind", "within(kind == 'rich', town) + between(kind == 'rich', town)"),
        ("`of x`", "within(`of x`, town) + between(`of x`, town)"),
    ],
)
def test_the_split_that_is_offered_settles_it(mixed: pd.DataFrame, term: str, split: str) -> None:
    frame = mixed.assign(**{"of x": mixed["x"]})
    for random in ("(1 | town)", "(1 | region / town)"):
        found = [
            one
            for one in _report(f"y ~ {term} + {random}", frame).findings
            if "'town'" in one.evidence or "town'" in one.evidence
        ]
        assert any(one.remedy.endswith(f": {split}.") for one in found if one.code == "within_and_between")
    assert "within_and_between" not in _codes(_report(f"y ~ {split} + (1 | town)", frame))


def test_a_split_in_words_where_no_formula_can_be_given(mixed: pd.DataFrame) -> None:
    assert "within(x, g)" in _finding(_report("y ~ school + (1 | town)", mixed), "within_and_between").remedy
    labels = mixed.assign(town=mixed["town"] % 2)  # towns have names within their regions only
    found = [one for one in _report("y ~ x + (1 | region:town)", labels).findings if one.code == "within_and_between"]
    assert "g a column of the clusters" in found[0].remedy


def test_predictors_of_few_clusters(rows: pd.DataFrame) -> None:
    few = rows[rows["town"] < 11]
    found = _finding(_report("y ~ x + wealth + (1 | town)", few), "few_clusters_for_predictors")
    assert found.evidence.startswith("'wealth' is constant within the clusters of 'town'.")
    assert "With 11 clusters, this leaves 9 degrees of freedom" in found.evidence
    assert _codes(_report("y ~ x + wealth + (1 | town)", rows[rows["town"] < 12])) == []


def test_fixed_effects_that_leave_nothing_to_random_ones(rows: pd.DataFrame) -> None:
    report = _troubled("y ~ x + C(town) + (1 | town)", rows[rows["town"] < 12])
    assert report.findings[0].code == "intercept_not_identified"
    assert "account for all differences between the 12 clusters of 'town'" in report.findings[0].evidence


# ---- random slopes --------------------------------------------------------------------------------------------------


def test_slopes_of_what_does_not_vary_in_any_cluster(rows: pd.DataFrame) -> None:
    report = _troubled("y ~ wealth + (1 + wealth | town)", rows)
    found = _finding(report, "slope_not_identified")
    assert found.severity == "error"
    assert found.evidence.startswith("'wealth' is constant in every one of the 40 clusters of 'town'")
    # The same slope over regions, in which two towns differ, can be estimated.
    assert "slope_not_identified" not in _codes(_report("y ~ wealth + (1 + wealth | region)", rows))


@pytest.mark.parametrize(("count", "told"), [(1, True), (9, True), (10, False), (40, False)])
def test_slopes_that_few_clusters_know(rows: pd.DataFrame, count: int, told: bool) -> None:
    frame = rows.assign(dose=np.where(rows["town"] < count, rows["x"], 2.0))
    report = _report("y ~ dose + (1 + dose | town)", frame)
    assert report.effects.set_index("effect").loc["dose", ["clusters", "informed_by"]].tolist() == [40, count]
    assert ("slope_in_few_clusters" in _codes(report)) is told
    if told:
        evidence = _finding(report, "slope_in_few_clusters").evidence
        assert f"'dose' varies in {count} of the 40 clusters of 'town' only (0" in evidence


def test_effects_of_some_clusters_only_are_a_model_of_their_own(rows: pd.DataFrame) -> None:
    # As in a trial in which one arm alone is treated in groups.
    frame = rows.assign(treated=(rows["town"] < 25).astype(int), other=(rows["town"] >= 25).astype(int))
    apart = _report("y ~ treated + (0 + treated + other || town)", frame)
    assert apart.findings == ()
    assert apart.effects["informed_by"].tolist() == [25, 15]
    assert np.isnan(apart.factors.loc["town", "sd"])
    assert "reliability" not in repr(apart)
    together = _finding(_report("y ~ treated + (0 + treated + other | town)", frame), "correlation_not_identified")
    assert "both 'treated' and 'other'" in together.evidence
    few = frame.assign(treated=(rows["town"] < 4).astype(int))
    found = _finding(_report("y ~ treated + (0 + treated | town)", few), "slope_in_few_clusters")
    assert "'treated' is other than zero in 4 of the 40 clusters of 'town' only (0, 1, 2, 3)" in found.evidence


def test_effects_without_a_mean(rows: pd.DataFrame) -> None:
    found = _finding(_report("y ~ arm + (1 + x | town)", rows), "missing_fixed_effect")
    assert found.evidence.startswith("'x' varies over the clusters of 'town' but is not in the fixed part")
    for formula in (
        "y ~ x + (1 + x | town)",
        "y ~ arm + (0 + arm | town)",
        "y ~ within(x, town) + x + (1 + within(x, town) | town)",
    ):
        assert "missing_fixed_effect" not in _codes(_report(formula, rows))


# ---- collinearity ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def correlated() -> pd.DataFrame:
    random = np.random.default_rng(9)
    n = 400
    frame = pd.DataFrame({"a": random.normal(size=n), "b": random.normal(size=n), "g": np.arange(n) % 20})
    frame["c"] = frame["a"] + 0.5 * random.normal(size=n)
    frame["k"] = pd.cut(frame["a"] + frame["b"] + random.normal(size=n), [-9, -1, 0, 1, 9], labels=list("pqrs"))
    frame["year"] = 2000 + np.arange(n) % 12
    frame["y"] = random.integers(0, 2, n)
    return frame


def test_inflation_is_that_of_textbooks(correlated: pd.DataFrame) -> None:
    design = hl.Model("y ~ a + b + c + k", correlated).design
    found = Collinearity.of(design)
    X = design.X[:, 1:]
    R = np.corrcoef(X, rowvar=False)
    # Of one column: by how much of it the others explain.
    for k, name in enumerate("abc"):
        others = np.delete(design.X, k + 1, axis=1)
        rest = design.X[:, k + 1] - others @ np.linalg.lstsq(others, design.X[:, k + 1], rcond=None)[0]
        assert found.inflation[name] == pytest.approx(X[:, k].var() / rest.var())
    # Of three: Fox and Monette's ratio of determinants.
    det = np.linalg.det
    assert found.inflation["k"] == pytest.approx((det(R[3:, 3:]) * det(R[:3, :3]) / det(R)) ** (1 / 3))
    assert found.condition == pytest.approx(np.sqrt(np.linalg.cond(R)))
    report = _report("y ~ a + b + c + k", correlated)
    assert report.totals["condition_number"] == pytest.approx(found.condition)
    assert report.columns.loc["k[q]", "inflation"] == pytest.approx(found.inflation["k"])
    assert np.isnan(report.columns.loc["Intercept", "inflation"])


def test_near_dependencies_are_named(correlated: pd.DataFrame) -> None:
    assert "collinearity" not in _codes(_report("y ~ a + b + c + k", correlated))
    near = correlated.assign(c=correlated["a"] + correlated["b"] + 0.05 * correlated["c"])
    found = _finding(_report("y ~ a + b + c + year", near), "collinearity")
    assert found.severity == "warning"
    assert "above all 'a', 'b', 'c'; variance inflation 'a' " in found.evidence
    assert "year" not in found.evidence
    # The columns together are not so near to each other, but two coefficients suffer.
    pair = _finding(_report("y ~ a + c", correlated.assign(c=correlated["a"] + 0.25 * correlated["b"])), "collinearity")
    assert pair.severity == "warning"
    assert "condition number 8" in pair.evidence
    assert "variance inflation 'a' 1" in pair.evidence


def test_powers_and_products_of_one_predictor_are_a_note(correlated: pd.DataFrame) -> None:
    # Centring and scaling take away what large years do to the intercept, not what they do to their own square.
    assert _report("y ~ year", correlated).findings == ()
    found = _finding(_report("y ~ year + I(year**2) + a", correlated), "collinearity")
    assert found.severity == "note"
    assert "'year', 'I(year ** 2)'" in found.evidence
    products = _finding(_report("y ~ year * a", correlated), "collinearity")
    assert products.severity == "note"
    assert "'a', 'year:a'" in products.evidence
    split = _report("y ~ within(a, g) + between(a, g) + b + (1 | g)", correlated)
    assert "collinearity" not in _codes(split)


def test_a_column_that_depends_on_others_is_refused_before() -> None:
    frame = pd.DataFrame({"x": [1.0, 2, 3, 5], "z": [3.0, 5, 7, 11], "y": [0, 1, 0, 1]})
    with pytest.raises(hl.errors.DesignError, match="'z' is a linear combination of 'Intercept', 'x'"):
        hl.Model("y ~ x + z", frame, collinear="error")


# ---- events ---------------------------------------------------------------------------------------------------------


def test_events_per_parameter(rows: pd.DataFrame) -> None:
    frame = rows.assign(y=(np.arange(1000) % 50 == 0).astype(int), z=np.sin(np.arange(1000)))
    total = _report("y ~ x + arm + z + (1 + x | town)", frame).totals
    # 20 events; x, arm and z; four coefficients, two sds and a correlation.
    assert total[["events", "coefficients", "parameters"]].tolist() == [20, 3, 7]
    assert total["events_per_coefficient"] == pytest.approx(20 / 3)
    assert total["events_per_parameter"] == pytest.approx(20 / 7)
    found = _finding(_report("y ~ x + arm + z + (1 + x | town)", frame), "few_events")
    assert found.severity == "warning"
    assert "20 events for 3 coefficients besides the intercept are 6.7 each, and 2.9" in found.evidence
    assert "rule of thumb" in found.evidence
    assert _finding(_report("y ~ x + arm + (1 | town)", frame), "few_events").severity == "note"
    turned = _finding(_report("y ~ x + arm + z + (1 | town)", frame.assign(y=1 - frame["y"])), "few_events")
    assert turned.evidence.startswith("20 non-events for 3")
    bare = _finding(_report("y ~ 1 + (1 + x || town)", frame), "few_events")
    assert bare.evidence.startswith("20 events for 3 parameters (1 fixed effect, 2 sds of 'town') are 6.7 each")


def test_rare_outcomes(rows: pd.DataFrame) -> None:
    y = np.zeros(1000, dtype=int)
    y[::25] = 1
    found = _finding(_report("y ~ x + (1 | town)", rows.assign(y=y)), "rare_outcome")
    assert found.evidence.startswith("Events (y = 1) are rare: 40 of 1,000 trials (a share of 0.04, logit -3.2)")
    turned = _finding(_report("y ~ x + (1 | town)", rows.assign(y=1 - y)), "rare_outcome")
    assert turned.evidence.startswith("Non-events (y = 1) are rare: 40 of 1,000")
    y = (np.arange(1000) % 20 == 0).astype(int)  # one in twenty is not rare
    assert "rare_outcome" not in _codes(_report("y ~ x + (1 | town)", rows.assign(y=y)))


def test_very_rare_events_lie_far_out_in_the_prior_of_the_intercept(rows: pd.DataFrame) -> None:
    counts = rows.assign(size=10_000, hits=np.arange(1000) % 3)
    found = _finding(_report("p(hits, size) ~ x + (1 | town)", counts), "rare_outcome")
    logit = np.log(999 / (1e7 - 999))
    assert f"{-logit / 2.5:.1f} sds from the mean of the intercept's prior, Normal(mu=0, sigma=2.5)" in found.evidence
    moved = hl.Model("p(hits, size) ~ x + (1 | town)", counts, priors={"Intercept": hl.priors.Normal(-9, 2)})
    assert "prior" not in _finding(check_data(moved), "rare_outcome").evidence


@pytest.mark.parametrize(("count", "severity"), [(3, "note"), (150, "warning")])
def test_rows_left_out_are_counted(rows: pd.DataFrame, count: int, severity: str) -> None:
    frame = rows.copy()
    frame.loc[frame.index[:count], "x"] = np.nan
    frame.loc[frame.index[0], "y"] = np.nan
    with pytest.warns(DataWarning):
        report = _report("y ~ x + (1 | town)", frame)
    found = _finding(report, "missing_values")
    assert found.severity == severity
    assert f"{count} of 1,000 rows ({count / 1000:.1%})" in found.evidence
    assert f"'x' {count}" in found.evidence
    assert "'y' 1" in found.evidence
    assert report.totals["rows_missing"] == count
    assert f"{count} more left out for missing values" in repr(report)


def test_separation_stands_in_the_report(rows: pd.DataFrame) -> None:
    frame = rows.assign(rare=(np.arange(1000) % 100 == 0).astype(int))
    frame.loc[frame["rare"] == 1, "y"] = 1
    report = _report("y ~ x + rare + (1 | town)", frame)
    assert _codes(report) == ["separation"]
    assert report.separation == "quasi-complete"
    assert report.columns["estimate"].tolist() == ["finite", "finite", "+inf"]
    assert report.totals["separated_rows"] == 10
    assert "quasi-complete separation" in repr(report)


# ---- expected shrinkage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("trials", "p", "sd"), [(400, 0.5, 0.1), (400, 0.2, 0.05), (1500, 0.5, 0.05)])
def test_reliability_is_the_shrinkage_of_a_cluster(trials: int, p: float, sd: float) -> None:
    # Posterior means of a cluster's effect, by a fine grid, against its maximum likelihood estimate.
    y = np.round(trials * p) + np.array([-3, 3])
    u = np.linspace(-8 * sd, 8 * sd, 4001)
    eta = np.log(p / (1 - p)) + u
    log_posterior = y[:, None] * eta - trials * np.logaddexp(0, eta) - u**2 / (2 * sd**2)
    weights = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True))
    shrunken = (weights * u).sum(axis=1) / weights.sum(axis=1)
    own = np.log(y / (trials - y)) - np.log(p / (1 - p))
    found = float(reliability(np.array([float(trials)]), p, sd)[0])
    assert np.diff(shrunken)[0] / np.diff(own)[0] == pytest.approx(found, rel=0.02)


def test_reliabilities_use_the_prior_or_what_is_given(rows: pd.DataFrame) -> None:
    model = hl.Model("y ~ x + (1 | region) + (1 | town)", rows, priors={"sd_town": hl.priors.HalfNormal(0.3)})
    p = rows["y"].mean()
    default = check_data(model)
    median = {"region": np.log(2), "town": 0.3 * 0.6744897501960817}
    for name, trials in (("region", 50), ("town", 25)):
        expected = median[name] ** 2 / (median[name] ** 2 + 1 / (trials * p * (1 - p)))
        np.testing.assert_allclose(default.clusters[name]["reliability"], expected)
        assert default.factors.loc[name, "sd"] == pytest.approx(median[name])
        assert default.factors.loc[name, "reliability_median"] == pytest.approx(expected)
    found = _finding(default, "strong_shrinkage")
    assert "If the sd of 'town' is 0.2 (the median of its prior), the intercepts of 40 of its 40" in found.evidence
    assert default.factors["low_reliability"].tolist() == [0, 40]
    one = check_data(model, sd={"town": 1})
    assert one.factors["sd"].tolist() == pytest.approx([np.log(2), 1.0])
    assert "strong_shrinkage" not in _codes(one)
    both = check_data(model, sd=0.1)
    assert [finding.code for finding in both.findings].count("strong_shrinkage") == 2
    assert "is 0.1 (as given)" in both.findings[-1].evidence


@pytest.mark.parametrize(
    ("sd", "message"),
    [
        (0, "sd=0 must be a finite number above 0"),
        (-1.0, "must be a finite number above 0"),
        (np.inf, "must be a finite number above 0"),
        ("1", "must be a finite number above 0"),
        (True, "must be a finite number above 0"),
        ({"city": 1.0}, "sd: 'city' has no random intercept in the model; the only choice is 'town'"),
        ({"region": 1.0}, "sd: 'region' has no random intercept"),
        ({"town": 0}, r"sd\['town'\]=0 must be a finite number above 0"),
    ],
)
def test_sds_that_are_none(rows: pd.DataFrame, sd: Any, message: str) -> None:
    with pytest.raises(PriorError, match=message):
        _report("y ~ x + (1 | town) + (0 + x | region)", rows, sd=sd)


def test_cluster_table_is_in_the_order_of_levels(clustered_rows: Callable[..., pd.DataFrame]) -> None:
    design = hl.Model("healed ~ dose + (1 | clinic)", clustered_rows(12, 5)).design
    assert list(cluster_table(design, design.groups[0]).index) == list(design.groups[0].levels)


def test_a_grouping_factor_whose_name_ends_with_two_underscores_is_shown(
    clustered_rows: Callable[..., pd.DataFrame],
) -> None:
    rows = clustered_rows(12, 5).rename(columns={"clinic": "clinic__"})
    shown = str(hl.check_data(hl.Model("healed ~ dose + (1 | `clinic__`)", rows)))
    assert "12 clusters; trials 5 each" in shown
