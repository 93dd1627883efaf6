"""Rows of new data: the columns they need, their missing values, and the names of their columns and clusters."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

import hierlogit as hl
from hierlogit.errors import DataWarning, DesignError, PredictionError

CHOICES = ("observed", "new", "average", "typical")
#: Columns that each choice needs besides those of the fixed part.
NEEDED = {"observed": ["z", "g"], "new": ["z"], "average": ["z"], "typical": []}
VERBS: dict[str, tuple[Any, ...]] = {
    "predictions": (),
    "avg_predictions": (),
    "comparisons": ("arm",),
    "avg_comparisons": ("arm",),
    "slopes": ("x",),
    "avg_slopes": ("x",),
}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(5)
    n, g = 150, np.repeat(np.arange(101, 116), 10)
    frame = pd.DataFrame({"x": random.normal(size=n), "arm": random.choice(["a", "b"], n), "z": random.normal(size=n)})
    effect = random.normal(size=(15, 2))[g - 101]
    eta = 0.5 * frame["x"] + (frame["arm"] == "b") + effect[:, 0] + 0.7 * effect[:, 1] * frame["z"]
    return frame.assign(g=g, y=(random.uniform(size=n) < expit(eta)).astype(int))


@pytest.fixture(scope="module")
def fit(rows: pd.DataFrame) -> hl.results.Fit:
    return hl.Model("y ~ x * arm + (1 + z | g)", rows).fit(hl.Laplace(draws=200))


def _call(verb: str, fit: hl.results.Fit, newdata: pd.DataFrame, **options: Any) -> pd.DataFrame:
    return getattr(hl, verb)(fit, *VERBS[verb], newdata=newdata, **options)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("clusters", CHOICES)
def test_only_columns_that_play_a_part_are_needed(
    verb: str, clusters: str, fit: hl.results.Fit, rows: pd.DataFrame
) -> None:
    few = rows.head(8).assign(g=[101] * 8)
    needed = ["x", "arm", *NEEDED[clusters]]
    expected = _call(verb, fit, few, clusters=clusters)
    found = _call(verb, fit, few[needed], clusters=clusters)
    np.testing.assert_array_equal(found.draws.values, expected.draws.values)
    assert ("g" in found) == (clusters == "observed" and not verb.startswith("avg"))
    assert ("g" in expected) == (clusters in ("observed", "new") and not verb.startswith("avg"))
    for column in needed:
        if column not in VERBS[verb] or verb.endswith("slopes"):
            with pytest.raises(PredictionError, match=f"the new data lack the column '{column}'"):
                _call(verb, fit, few[needed].drop(columns=column), clusters=clusters)


def test_the_error_says_which_clusters_need_no_labels(fit: hl.results.Fit) -> None:
    new = pd.DataFrame({"x": [0.0], "arm": ["a"], "z": [0.0]})
    with pytest.raises(PredictionError, match="clusters='average' .* clusters='typical' .* any label will do"):
        hl.predictions(fit, new)
    with pytest.raises(PredictionError, match="lack the column 'g', by which"):
        hl.posterior_predictive(fit, new)
    simulated = hl.posterior_predictive(fit, new, clusters="new", seed=1)
    outcome = hl.predictions(fit, new, clusters="new", kind="outcome", seed=1)
    np.testing.assert_array_equal(simulated["posterior_predictive"]["y"].values, outcome.draws.values)
    with pytest.raises(PredictionError, match="clusters='average' averages over clusters"):
        hl.posterior_predictive(fit, new, clusters="average")


def test_columns_of_several_factors_are_needed_by_factor(rows: pd.DataFrame) -> None:
    frame = rows.assign(h=np.tile(["p", "q", "r"], 50))
    fit = hl.Model("y ~ x + within(z, g) + (1 | g:h) + (0 + arm | h)", frame).fit(hl.Laplace(draws=100))
    new = frame.head(5)
    for clusters, needed in (
        ("typical", ["x", "z", "g"]),
        ("average", ["x", "z", "g", "arm"]),
        ({"h": "typical"}, ["x", "z", "g", "h"]),
        ({"g:h": "average"}, ["x", "z", "g", "arm", "h"]),
        ({"g:h": "new", "h": "typical"}, ["x", "z", "g"]),
    ):
        found = hl.predictions(fit, new[needed], clusters=clusters)
        assert "h" in found or "h" not in needed
        expected = hl.predictions(fit, new.assign(h="p") if "h" not in needed else new, clusters=clusters)
        np.testing.assert_array_equal(found.draws.values, expected.draws.values)
    with pytest.raises(PredictionError, match="lack the column 'h'"):
        hl.predictions(fit, new[["x", "z", "g"]], clusters={"h": "typical"})


@pytest.mark.parametrize(
    "labels",
    [["p", "q", "p"], [1.5, 7.0, 1.5], pd.to_datetime(["2020", "2021", "2020"]), [[1], [2], [1]], [True, 0, True]],
)
def test_new_clusters_may_have_labels_of_any_kind(labels: Any, fit: hl.results.Fit) -> None:
    new = pd.DataFrame({"x": 0.0, "arm": "a", "z": 0.0, "g": labels})
    draws = hl.predictions(fit, new, clusters="new", seed=3).draws.values.reshape(-1, 3)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 2])
    assert not np.array_equal(draws[:, 0], draws[:, 1])
    numbered = hl.predictions(fit, new.assign(g=[7, 8, 7]), clusters="new", seed=3)
    np.testing.assert_array_equal(draws, numbered.draws.values.reshape(-1, 3))


@pytest.mark.parametrize("verb", [hl.icc, hl.vpc, hl.mor])
def test_the_variance_at_a_row_needs_the_columns_of_the_effects(verb: Any, fit: hl.results.Fit) -> None:
    new = pd.DataFrame({"z": [0.0, 1.5, -1.0], "x": 0.3, "arm": "b", "g": 101})
    needed = new if verb is hl.vpc else new[["z"]]
    pd.testing.assert_frame_equal(
        pd.DataFrame(verb(fit, needed))[["mean", "sd"]], pd.DataFrame(verb(fit, new))[["mean", "sd"]]
    )
    assert "g" not in verb(fit, new)
    with pytest.raises(PredictionError, match="lack the column 'z'"):
        verb(fit, new.drop(columns="z"))
    with pytest.warns(DataWarning, match=r"1 of 3 rows of the new data has missing values, in z \(1\)"):
        found = verb(fit, new.assign(z=[0.0, np.nan, -1.0]))
    np.testing.assert_array_equal(found["mean"].isna(), [False, True, False])
    np.testing.assert_array_equal(found["mean"][[0, 2]], verb(fit, new)["mean"][[0, 2]])


@settings(max_examples=10)
@given(st.lists(st.sampled_from(["", "x", "arm", "z", "g"]), min_size=8, max_size=8), st.sampled_from(CHOICES))
def test_rows_with_missing_values_have_no_results(fit: hl.results.Fit, rows: Any, absent: Any, clusters: str) -> None:
    complete = rows.head(8)
    holed = complete.astype({"g": float})
    for row, column in enumerate(absent):
        if column:
            holed.loc[row, column] = None if column == "arm" else np.nan
    parts = ["x", "arm", *NEEDED[clusters], *(["g"] if clusters == "new" else [])]
    hidden = np.array([column in parts for column in absent])
    if not hidden.any():
        found, expected = (hl.predictions(fit, new, clusters=clusters)["mean"] for new in (holed, complete))
        np.testing.assert_array_equal(found, expected)
    elif hidden.all():
        with pytest.raises(PredictionError, match="every row of the new data has a missing value"):
            hl.predictions(fit, holed, clusters=clusters)
    else:
        for verb in VERBS:
            with pytest.warns(DataWarning, match=f"{hidden.sum()} of 8 rows of the new data ha"):
                found = _call(verb, fit, holed, clusters=clusters, direction=True, rope=(-1, 1), seed=1)
            expected = _call(verb, fit, complete[~hidden], clusters=clusters, direction=True, rope=(-1, 1), seed=1)
            if not verb.startswith("avg"):
                np.testing.assert_array_equal(found["mean"].isna(), hidden)
                assert found["p_direction"].isna().sum() == found["p_rope"].isna().sum() == hidden.sum()
                found = found[~hidden]
            np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-12)
            np.testing.assert_array_equal(found["p_direction"], expected["p_direction"])


def test_missing_values_are_counted_by_column_and_averages_leave_them_out(
    fit: hl.results.Fit, rows: pd.DataFrame
) -> None:
    new = rows.assign(x=rows["x"].where(rows.index != 3), g=rows["g"].where(~rows.index.isin([3, 20, 21])), w=1.0)
    new.loc[4, "w"], new.loc[20, "w"] = 5.0, np.nan
    said = r"3 of 150 rows of the new data have missing values, in x \(1\), g \(3\): their results are missing \(NaN\)"
    with pytest.warns(DataWarning, match=said) as warned:
        table = hl.predictions(fit, new, by="arm", weights="w")
    assert warned[0].filename == __file__
    left = rows.drop(index=[3, 20, 21]).assign(w=1.0)
    left.loc[4, "w"] = 5.0
    expected = hl.predictions(fit, left, by="arm", weights="w")
    pd.testing.assert_frame_equal(pd.DataFrame(table), pd.DataFrame(expected))
    with pytest.warns(DataWarning, match="3 of 150"):
        listed = hl.predictions(fit, new, by="arm", weights=np.where(rows.index == 4, 5.0, 1.0))
    np.testing.assert_allclose(listed["mean"], expected["mean"])
    with pytest.warns(DataWarning, match="3 of 150"):
        simulated = hl.posterior_predictive(fit, new)["posterior_predictive"]["y"]
    np.testing.assert_array_equal(simulated.isnull().all(("chain", "draw")), rows.index.isin([3, 20, 21]))


def test_known_outcomes_with_missing_values_are_left_out(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    seen = rows.head(10).assign(g=900, y=[1.0] * 9 + [np.nan])
    new = rows.head(1).assign(g=900)
    with pytest.warns(DataWarning, match=r"1 of 10 rows of the new data has missing values, in y \(1\)"):
        found = hl.predictions(fit, new, given=seen)
    expected = hl.predictions(fit, new, given=seen.head(9))
    np.testing.assert_array_equal(found.draws.values, expected.draws.values)


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        (lambda g: g.astype(float), "101"),
        (lambda g: g.astype(float).where(g.index != 17), "101"),
        (lambda g: g.astype("Int64").where(g.index != 17), "101"),
        (lambda g: g.astype("Float64"), "101"),
        (lambda g: g.astype(object).where(g.index != 17), "101"),
        (lambda g: "0" + g.astype(str), "0101"),
        (pd.Categorical, "101"),
    ],
    ids=["float", "float with a gap", "nullable", "nullable float", "objects", "zero-padded", "categorical"],
)
def test_clusters_have_the_same_labels_in_all_tables(ids: Any, shown: str, rows: pd.DataFrame) -> None:
    frame = rows.assign(g=ids(rows["g"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        fit = hl.Model("y ~ x + (1 | g)", frame).fit(hl.Laplace(draws=100))
        tables = {
            "rows": hl.predictions(fit)["g"],
            "new rows": hl.predictions(fit, frame)["g"],
            "averages": hl.predictions(fit, by="g")["g"],
            "averages of new rows": hl.predictions(fit, frame, by="g")["g"],
            "comparisons": hl.comparisons(fit, "x", newdata=frame)["g"],
            "grid": hl.datagrid(fit, g=frame["g"].iloc[0])["g"],
            "grid of all": hl.datagrid(fit)["g"],
            "effects": hl.ranef(fit).reset_index()["level"],
            "pooling": hl.pooling(fit).table.reset_index()["g"],
        }
    for name, labels in tables.items():
        written = pd.DataFrame({"g": labels}).to_csv(index=False).split()[1:]
        assert written[0] == shown, name
        assert {label for label in written if label != '""'} <= {shown[:-3] + str(k) for k in range(101, 116)}, name


@pytest.mark.parametrize(
    "names",
    [("self", "fit", "rows"), ("newdata", "by", "mean"), ("variables", "data", "self"), ("name", "frame", "fit")],
)
def test_any_name_of_a_column_is_allowed(names: tuple[str, str, str], rows: pd.DataFrame) -> None:
    number, label, group = names
    frame = rows.rename(columns={"x": number, "arm": label, "g": group, "y": "values"})
    fit = hl.Model(f"values ~ {number} * {label} + (1 + z | {group})", frame).fit(hl.Laplace(draws=100))
    plain = hl.Model("y ~ x * arm + (1 + z | g)", rows).fit(hl.Laplace(draws=100))
    grid = hl.datagrid(fit, {number: [0, 1], label: ["a", "b"]})
    expected = hl.datagrid(plain, x=[0, 1], arm=["a", "b"])
    np.testing.assert_array_equal(grid, expected)
    np.testing.assert_array_equal(hl.datagrid(fit, values={number: [0, 1], label: ["a", "b"]}), grid)
    pairs = (
        (hl.predictions(fit, grid), hl.predictions(plain, expected)),
        (hl.predictions(fit, by=[label, group]), hl.predictions(plain, by=["arm", "g"])),
        (hl.comparisons(fit, {label: "pairwise", number: "sd"}), hl.comparisons(plain, {"arm": "pairwise", "x": "sd"})),
        (hl.avg_comparisons(fit), hl.avg_comparisons(plain)),
        (hl.slopes(fit, number, by=label), hl.slopes(plain, "x", by="arm")),
        (hl.icc(fit, grid), hl.icc(plain, expected)),
    )
    for found, wanted in pairs:
        np.testing.assert_array_equal(found.draws.values, wanted.draws.values)
        assert not found.columns.duplicated().any()
    assert len(hl.plots.curves(fit, number, by=label)) == 2
    simulated = hl.simulate(
        f"values ~ {number} + (1 | {group})", frame, beta={"Intercept": 0, number: 1}, sd={group: 1}
    )
    assert set(simulated["values"]) == {0, 1}


def test_results_keep_columns_with_names_of_results(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    new = rows.head(3).assign(mean=1, mean_in_data=2, sd=3, term=4, row=5, estimate=6, rows=7)
    table = hl.comparisons(fit, "arm", newdata=new)
    assert not table.columns.duplicated().any()
    kept = {"mean_in_data_in_data": 1, "mean_in_data": 2, "sd_in_data": 3, "term_in_data": 4, "row_in_data": 5}
    assert table.iloc[0][list(kept)].to_dict() == kept
    by = hl.predictions(fit, new, by=["rows", "mean"])
    assert by[["rows_in_data", "mean_in_data", "rows"]].to_numpy().tolist() == [[7, 1, 3]]
    indexed = new.set_index("arm", drop=False)
    assert hl.predictions(fit, indexed, by="arm")["rows"].sum() == 3


def test_a_grid_has_each_column_once(fit: hl.results.Fit) -> None:
    with pytest.raises(PredictionError, match="'x' has values in the mapping and as a keyword"):
        hl.datagrid(fit, {"x": 1}, x=2)
    with pytest.raises(PredictionError, match="there is no predictor 'fit' in the model"):
        hl.datagrid(fit, fit=2)
    with pytest.raises(PredictionError, match="datagrid must be values by predictor"):
        hl.datagrid(fit, ["x"])


def test_a_file_of_a_folder_that_lacks_a_column_is_named(
    fit: hl.results.Fit, rows: pd.DataFrame, tmp_path: Path
) -> None:
    expected = hl.predictions(fit, rows)["estimate"]
    rows[:50].to_parquet(tmp_path / "a.parquet", index=False)
    rows[50:].drop(columns="y").to_parquet(tmp_path / "b.parquet", index=False)  # which predictions do not need
    np.testing.assert_array_equal(hl.predictions(fit, tmp_path)["estimate"], expected)
    rows[50:].drop(columns="x").to_parquet(tmp_path / "b.parquet", index=False)
    for call in (lambda: hl.predictions(fit, tmp_path), lambda: fit.model.design.encode(tmp_path)):
        with pytest.raises(DesignError, match=r"b\.parquet lacks the column 'x', which other files of"):
            call()
