"""Tables of results: rounded for eyes, complete in their values, whatever pandas does with them."""

from __future__ import annotations

import copy
import io
import pickle
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.display import View
from hierlogit.formatting import cell, plain
from hierlogit.result_table import HasTables, ResultTable
from hierlogit.results import DrawTable

TITLE = "Parameters (logit scale); 89% equal-tailed interval"


def frame() -> pd.DataFrame:
    """Estimates of very different sizes, with names that Markdown, LaTeX and HTML would misread."""
    columns = {
        "component": ["fixed", "fixed", "a_b"],
        "mean": [0.758312345, -0.004493212, 1234.5678],
        "sd": [0.173456, 0.00074123, 3.0],
        "eti89_lb": [0.48912, -0.0057123, 1229.0],
        "eti89_ub": [1.03578, -0.0033123, 1240.0],
        "r_hat": [1.00123, 1.0, np.nan],
        "ess_bulk": [4567.162314, 12.2, 99999.5],
        "mcse_mean": [0.0031, 0.00001, 0.9],
    }
    return pd.DataFrame(columns, index=pd.Index(["urban[Y]", "I(age ** 2)", "sd_a_b[x|y & <b>]"], name="parameter"))


def unrounded(shown: str) -> list[str]:
    """Numbers with seven significant digits or more."""
    return re.findall(r"(?<![\d.])[1-9]\.\d{6,}|(?<![\d.])0\.0*[1-9]\d{6,}", shown)


@pytest.fixture
def table() -> ResultTable:
    return ResultTable.of(
        frame(), "Parameters (logit scale)", spare=["mcse_mean", "component", "ess_bulk", "r_hat", "sd"]
    )


# ---- numbers ----------------------------------------------------------------------------------------------------


def test_numbers_are_rounded_by_their_monte_carlo_error(table: ResultTable) -> None:
    lines = [line.split() for line in table.to_string().splitlines()]
    assert lines[2] == ["urban[Y]", "fixed", "0.758", "0.173", "0.489", "1.036", "1.001", "4,567", "0.0031"]
    assert lines[3][4:] == ["-0.00449", "0.000741", "-0.00571", "-0.00331", "1.000", "12", "0.000010"]
    assert lines[4][3:] == ["a_b", "1,235", "3", "1,229", "1,240", "-", "100,000", "0.90"]


def test_a_larger_error_leaves_fewer_decimals(table: ResultTable) -> None:
    table["mcse_mean"] = [0.031, 0.001, 12.0]
    shown = repr(table[["mean", "eti89_lb", "mcse_mean"]])
    assert "0.76       0.49      0.031" in " ".join(shown.split(" "))
    assert "1,235      1,229" in shown
    # Without the error there are significant digits.
    unknown = table.assign(mcse_mean=pd.array([None, 0.001, 12.0], dtype="Float64"))
    assert "0.758" in repr(unknown[["mean", "mcse_mean"]])
    assert "0.758" in repr(table[["mean"]])


def test_values_stay_as_they_are(table: ResultTable) -> None:
    repr(table), table._repr_html_(), table.to_string(), table.to_latex(), table.to_markdown(), table.to_html()
    pd.testing.assert_frame_equal(pd.DataFrame(table), frame())
    written = pd.read_csv(io.StringIO(table.to_csv()), index_col=0)
    pd.testing.assert_frame_equal(written, frame())
    assert table.loc["urban[Y]", "mean"] == 0.758312345


def test_criteria_have_decimals_and_weights_are_never_certain() -> None:
    columns = {"log_likelihood": [-1180.30514], "aic": [2380.61028], "difference": [0.004], "weight": [1.8e-28]}
    shown = repr(ResultTable.of(pd.DataFrame(columns, index=["model"])))
    assert shown.split()[-6:] == ["model", "-1,180.31", "2,380.61", "0.00", "<", "0.001"]


# ---- what pandas does -------------------------------------------------------------------------------------------

KEPT: dict[str, Callable[[ResultTable], Any]] = {
    "head": lambda t: t.head(2),
    "columns": lambda t: t[["mean", "sd", "eti89_lb", "eti89_ub"]],
    "rows": lambda t: t[t["sd"] < 1],
    "loc": lambda t: t.loc[["urban[Y]"]],
    "iloc": lambda t: t.iloc[::-1],
    "query": lambda t: t.query("sd < 1"),
    "sort_values": lambda t: t.sort_values("mean"),
    "sort_index": lambda t: t.sort_index(),
    "round": lambda t: t.round(4),
    "copy": lambda t: t.copy(),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda t: pickle.loads(pickle.dumps(t)),
    "drop": lambda t: t.drop(columns="component"),
    "assign": lambda t: t.assign(width=t["eti89_ub"] - t["eti89_lb"]),
    "reset_index": lambda t: t.reset_index(),
    "rename": lambda t: t.rename(index={"urban[Y]": "urban"}),
    "merge": lambda t: t.merge(pd.Series(["a", "b", "c"], t.index, name="note"), left_index=True, right_index=True),
    "join": lambda t: t.join(pd.Series(["a", "b", "c"], t.index, name="note")),
    "concat": lambda t: pd.concat([t, t]),
    "filter": lambda t: t.filter(regex="mean|eti"),
    "sample": lambda t: t.sample(2, random_state=1),
    "dropna": lambda t: t.dropna(),
    "nullable": lambda t: t.convert_dtypes(),
    "names": lambda t: t.assign(objs=t["mean"], left=t["mean"]).head(2),
}


@pytest.mark.parametrize("operation", KEPT)
def test_rounding_and_title_survive(operation: str, table: ResultTable) -> None:
    result = KEPT[operation](table)
    assert isinstance(result, ResultTable)
    assert repr(result).splitlines()[0] == TITLE
    assert TITLE in result._repr_html_()
    shown = repr(result)
    assert not unrounded(shown), shown


@pytest.mark.parametrize(
    "operation",
    [
        np.exp,
        np.negative,
        lambda t: 2 * t,
        lambda t: t - 1,
        lambda t: t > 0,
        lambda t: t.map(np.exp),
        lambda t: t.apply(np.exp),
    ],
)
def test_what_is_computed_from_a_table_is_not_titled_with_its_scale(operation: Any, table: ResultTable) -> None:
    result = operation(table[["sd", "eti89_lb"]].head(2))
    assert "logit" not in repr(result)
    assert not unrounded(repr(result))
    assert "logit" in repr(table)


def test_a_table_that_was_rounded_is_shown_with_these_decimals(table: ResultTable) -> None:
    rounded = table.round(5)
    assert "0.75831 " in repr(rounded)
    assert "-0.00449" in repr(rounded.head(2))
    assert "1,234.56780" in rounded.to_string()
    assert "0.76 " in repr(table.round(2)[["mean", "sd"]])
    assert "0.758" in repr(table.round({"mean": 3}))
    assert table.loc["urban[Y]", "mean"] == 0.758312345


def test_whole_numbers_that_a_user_adds_are_not_counts(table: ResultTable) -> None:
    table["year"] = 2016
    assert "2016" in repr(table[["year"]])
    counts = ResultTable.of(pd.DataFrame({"rows": [2016]}, index=["a"]))
    assert "2,016" in repr(counts)


def test_columns_of_the_user_are_shown_as_they_are() -> None:
    values = pd.DataFrame({"year": [2016], "dose": [1234.567], "rows": [2016], "mean": [1234.567]}, index=["a"])
    assert repr(ResultTable.of(values, data=["year", "dose"])).split()[-4:] == ["2016", "1234.57", "2,016", "1,235"]


KINDS = ["float64", "Float64", "int64", "object", "category", "datetime64[ns]", "bool", "string", "double[pyarrow]"]


@given(
    st.lists(
        st.sampled_from(["mean", "sd", "eti89_lb", "rows", "weight", "mcse_mean", "x y", "p_value", "r_hat", "<b>"]),
        max_size=6,
    ),
    st.integers(0, 3),
    st.sampled_from(KINDS),
    st.booleans(),
)
def test_any_table_is_shown(names: list[str], rows: int, kind: str, several: bool) -> None:
    dtype = pd.api.types.pandas_dtype(kind)
    values = pd.DataFrame({k: pd.Series([1, 0, 1][:rows]).astype(dtype) for k in range(len(names))})
    values.columns = (
        pd.MultiIndex.from_tuples([("a", name) for name in names]) if several and names else pd.Index(names)
    )
    result = ResultTable.of(values, "Title")
    for shown in (repr(result), result._repr_html_(), result.to_string(), result.to_html(), result.to_latex()):
        assert isinstance(shown, str)
        assert "nan" not in shown
    assert "<b>" not in result._repr_html_()
    assert isinstance(result.to_markdown(), str)


# ---- screens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_a_table_is_as_narrow_as_the_terminal_and_names_what_it_leaves_out(
    width: int, table: ResultTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = repr(table).splitlines()
    assert max(map(len, lines)) <= width
    shown, left_out = lines[1].split(), set()
    if "not shown" in repr(table):
        left_out = set(" ".join(repr(table).split()).split("not shown: ")[1].split(", "))
    assert {*shown, *left_out} == {"parameter", *table.columns}
    assert {"mean", "eti89_lb", "eti89_ub"} <= set(shown)
    assert ("component" in shown) == (width >= 100)
    assert bool(left_out) == (width <= 100)


def test_both_ends_of_an_interval_are_left_out_together(table: ResultTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    wide = table.assign(**{f"another column {k}": 0.5 for k in range(9)})
    heads = repr(wide).splitlines()[1]
    assert ("eti89_lb" in heads) == ("eti89_ub" in heads)


def test_a_million_rows_are_shown_at_once() -> None:
    many = ResultTable.of(pd.DataFrame({"mean": np.random.default_rng(1).normal(size=1_000_000)}), "Probability")
    start = time.perf_counter()
    shown = repr(many), many._repr_html_()
    assert time.perf_counter() - start < 0.5
    assert "999,990 more in .to_string()" in shown[0]
    assert len(shown[1]) < 20_000


def test_columns_of_two_levels_have_shared_headings() -> None:
    columns = pd.MultiIndex.from_product([["Laplace", "<NUTS>"], ["estimate", "error"]])
    table = ResultTable.of(pd.DataFrame([[1.5, 0.25, 1.25, 0.5]], index=["x"], columns=columns))
    lines = repr(table).splitlines()
    assert [word for word in lines[0].split() if set(word) != {"-"}] == ["Laplace", "<NUTS>"]
    assert lines[1].split() == ["estimate", "error"] * 2
    # The headings go from the beginning of their first column to the end of their last one.
    spans = [found.span() for found in re.finditer("-+ [^-]+ -+", lines[0])]
    assert [begin for begin, _ in spans] == [found.start() for found in re.finditer("estimate", lines[1])]
    assert [end for _, end in spans] == [found.end() for found in re.finditer("error", lines[1])]
    assert '<th scope="colgroup" colspan="2"' in table._repr_html_()
    assert "&lt;NUTS&gt;" in table._repr_html_()
    assert "| Laplace estimate |" in re.sub(" +", " ", table.to_markdown())


def test_a_shared_heading_is_whole_over_one_narrow_column() -> None:
    columns = pd.MultiIndex.from_product([["estimate"], ["M2"]])
    lines = repr(ResultTable.of(pd.DataFrame([[0.5], [1.25]], index=["x", "z"], columns=columns))).splitlines()
    assert lines[0].strip() == "- estimate -"
    assert len({len(line) for line in lines[1:]}) <= 2
    assert lines[1].endswith("M2")


# ---- other forms ------------------------------------------------------------------------------------------------


def test_latex_is_escaped_and_rounded(table: ResultTable) -> None:
    text = table.to_latex()
    assert r"sd\_a\_b[x$|$y \& $<$b$>$] & a\_b & 1,235 & 3" in text
    assert r"parameter & component & mean & sd & eti89\_lb" in text
    assert r"$-$0.00449" in text
    assert not re.search(r"(?<!\\)[_&%#](?! )", text.replace(" & ", " "))
    assert "−" not in text
    assert "∞" not in text
    assert r"\caption{Mine}" in table.to_latex(caption="Mine", label="tab:a")
    assert "0.76" in table.to_latex(float_format="%.2f")
    assert "0.758" in table.to_latex(index=False, columns=["mean"])


def test_markdown_keeps_pipes_and_zeros(table: ResultTable) -> None:
    lines = table.to_markdown().splitlines()
    assert lines[0].count("|") == lines[4].replace(r"\|", "").count("|")
    assert "1.000" in lines[3]
    assert "0.489" in table.to_markdown(index=False)


def test_pandas_formats_are_followed(table: ResultTable) -> None:
    assert "0.75831" in table.to_string(float_format="%.5f")
    assert "0.7583" in table.to_html(float_format="%.4f")


def test_html_is_escaped_and_rounded(table: ResultTable) -> None:
    for text in (table._repr_html_(), table.to_html()):
        assert "&lt;b&gt;" in text
        assert "<b>" not in text
        assert "0.758312" not in text
    assert table._display_()._repr_html_() == table._repr_html_()


# ---- what functions return --------------------------------------------------------------------------------------


def test_tables_of_functions_are_rounded_and_say_scale_and_interval() -> None:
    data = hl.datasets.load("cbpp")
    model = hl.Model("p(successes, size) ~ period + (1 | herd)", data)
    fit = model.fit(hl.Laplace(seed=1))
    other = hl.Model("p(successes, size) ~ 1 + (1 | herd)", data).fit(hl.Laplace(seed=1))
    wald, drawn, none = "89% Wald interval", "89% equal-tailed interval", ""
    profile = hl.summary(fit, interval="profile", progress=False)
    tables = {
        "summary": (hl.summary(fit), "logit scale", wald),
        "95": (hl.summary(fit, ci_prob=0.95), "logit scale", "95% Wald interval"),
        "profile": (profile, "logit scale", "89% profile-likelihood interval"),
        "draws": (hl.summary(fit, interval="draws", ci_kind="hdi"), "logit scale", "89% highest-density interval"),
        "odds_ratios": (hl.odds_ratios(fit), "Odds ratios", none),
        "ranef": (hl.ranef(fit), "logit scale", none),
        "variance_components": (hl.variance_components(fit), "logit scale", none),
        "compare": (hl.compare({"one": fit, "two": other}), "AIC", none),
        "compare_engines": (hl.compare_engines(model, {"a": hl.Laplace(), "b": hl.MAP()}), "logit scale", none),
        "check_quadrature": (hl.check_quadrature(fit), "Log-likelihood", none),
        "bootstrap": (hl.bootstrap(fit, replicates=5, seed=1).summary(), "bootstrap", "89% percentile interval"),
        "predictions": (hl.predictions(fit, by="period"), "robability", drawn),
        "icc": (hl.icc(fit), "latent scale", drawn),
        "vpc": (hl.vpc(fit), "response scale", drawn),
        "r2": (hl.r2(fit), "latent scale", drawn),
    }  # fmt: skip
    for name, (table, scale, interval) in tables.items():
        assert isinstance(table, ResultTable), name
        title = repr(table).splitlines()[0]
        assert scale in title, name
        assert interval in title, name
        assert not unrounded(repr(table)), name
    assert isinstance(tables["icc"][0], DrawTable)
    assert not isinstance(tables["icc"][0].head(1), DrawTable)


def test_a_printed_summary_has_the_numbers_of_its_cells() -> None:
    fit = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace")
    table = hl.summary(fit)
    line = next(line for line in repr(table).splitlines() if line.strip().startswith("period[p2]"))
    for name in ("estimate", "se", "wald89_lb", "wald89_ub", "t"):
        assert plain(cell(name, table.loc["period[p2]", name])) in line.split()


def test_intervals_follow_the_default_of_arviz() -> None:
    import arviz_base

    fit = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))
    with arviz_base.rc_context({"stats.ci_prob": 0.95}):
        tables = [
            hl.summary(fit),
            hl.summary(fit, interval="draws"),
            hl.odds_ratios(fit),
            hl.ranef(fit),
            hl.variance_components(fit),
            hl.icc(fit),
            hl.predictions(fit, by="period"),
            hl.avg_comparisons(fit, "period"),
            hl.conditional_vs_average(fit),
            hl.pooling(fit).table,
            hl.bootstrap(fit, replicates=3, seed=1).summary(),
        ]
    for table in tables:
        assert "95%" in repr(table).splitlines()[0], repr(table)
        assert not any("89" in str(column) for column in table.columns)


# ---- results with several tables -----------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Several(HasTables):
    shared: pd.DataFrame
    table: pd.DataFrame
    text: str = ""

    def _view(self) -> View:
        return View("several", ())


SEVERAL = Several(pd.DataFrame({("a", "b"): [1]}), pd.DataFrame({"oe": [1]}))


@pytest.mark.parametrize(
    ("key", "wanted"), [("oe", "use .table['oe']."), ("a", "use .shared['a']."), (0, "use .table[...].")]
)
def test_results_taken_for_a_data_frame_name_theirs(key: object, wanted: str) -> None:
    with pytest.raises(TypeError, match="the Several has no columns. Its data frames are .table, .shared: ") as error:
        SEVERAL[key]  # type: ignore[index]
    assert str(error.value).endswith(wanted)


def test_methods_of_data_frames_are_found_in_the_table() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'to_csv'.* use \.table\.to_csv\.") as error:
        SEVERAL.to_csv("file.csv")  # type: ignore[attr-defined]
    assert error.value.name == "to_csv"
    with pytest.raises(AttributeError, match="^'Several' object has no attribute 'oe'$"):
        SEVERAL.oe  # type: ignore[attr-defined]  # noqa: B018
    again = pickle.loads(pickle.dumps(copy.deepcopy(SEVERAL)))
    pd.testing.assert_frame_equal(again.shared, SEVERAL.shared)
