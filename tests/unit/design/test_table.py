"""Tables of every kind become the same clean columns, and what cannot be used is refused by name."""

import datetime
import decimal
import fractions
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.design.table import clean_column, read_table, training_table
from hierlogit.errors import DataWarning, DesignError
from hierlogit.validation import SHOWN, quoted_list

BIG = 2**53


def cleaned(values: Any, dtype: Any = None) -> "pd.Series[Any]":
    return clean_column(pd.Series(values, dtype=dtype), "x")


# ---- reading -----------------------------------------------------------------------------------------------------


def test_a_pandas_frame_is_returned_as_it_is() -> None:
    frame = pd.DataFrame({"y": [0, 1]})
    assert read_table(frame) is frame


def test_polars_keeps_whole_numbers_whole_beside_missing_ones() -> None:
    read = read_table(pl.DataFrame({"id": [BIG + 1, None, BIG]}))
    assert [value for value in read["id"] if value is not pd.NA] == [BIG + 1, BIG]


def test_polars_columns_have_the_values_of_pandas() -> None:
    table = pl.DataFrame(
        {
            "i": [3, 1, 2],
            "f": [0.5, None, 1.5],
            "b": [True, None, False],
            "t": ["z", None, "a"],
            "u": pl.Series([1, 2, 2**64 - 1], dtype=pl.UInt64),
            "d": [decimal.Decimal("1.5"), decimal.Decimal(2), None],
            "w": pl.Series([3, None, -1], dtype=pl.Int128),
            "h": pl.Series([2**70, 2**70 + 1, 1], dtype=pl.Int128),
        }
    )
    read = read_table(table)
    assert list(read.columns) == table.columns
    for name in table.columns:
        present = read[name].dropna().tolist()
        assert present == table[name].drop_nulls().to_list(), name
        assert read[name].isna().tolist() == table[name].is_null().to_list(), name


def test_the_categories_of_polars_are_text_and_its_enums_keep_their_order() -> None:
    pl.Series(["z", "y", "x"], dtype=pl.Categorical)  # polars remembers categories in the order it met them
    table = pl.DataFrame({"t": ["y", "x", "z"]})
    table = table.with_columns(
        c=pl.col("t").cast(pl.Categorical), e=pl.col("t").cast(pl.Enum(["z", "x", "unused", "y"]))
    )
    rows = training_table(table, ["c", "e"], "drop")
    assert rows.frame["c"].cat.categories.tolist() == ["x", "y", "z"]
    assert rows.frame["e"].cat.categories.tolist() == ["z", "x", "y"]
    assert rows.unused_levels == {"e": ("unused",)}


def test_polars_needs_no_pyarrow() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import polars as pl\n"
        "from hierlogit.design.table import read_table\n"
        "frame = read_table(pl.DataFrame({'i': [1, None], 't': ['a', 'b'], 'f': [0.5, 1.0]}))\n"
        "assert frame.shape == (2, 3)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([1, 2], "got list, which has no names of columns"),
        (None, "pandas or polars DataFrame, a pyarrow Table, an xarray Dataset, .* or a mapping.*got None"),
        (np.zeros((2, 2)), "got ndarray, which has no names of columns"),
        (np.zeros(2, [("y", int), ("x", float)]), r"got ndarray with fields\. Call pandas\.DataFrame\(\.\.\.\) first"),
        (xr.DataArray([1, 2]), r"got DataArray of xarray\. Call \.to_dataset\(\.\.\.\) first"),
        (pl.LazyFrame({"y": [1]}), r"got LazyFrame of polars, which is not computed yet. Call \.collect\(\)"),
        (pa.table({"y": [1]}).to_reader(), r"got RecordBatchReader of pyarrow. Call \.read_all\(\)"),
        ([{"y": 1}, {"y": 0}], "got a list of rows"),
        ("rows.csv", r"got a text, 'rows\.csv'.*pandas\.read_csv"),
        (Path("rows.csv"), "got a path"),
        (pd.Series([1, 2]), "a single column"),
        ({"y": [0, 1], "x": [1]}, r"cannot be read as a table: All arrays must be of the same length\.$"),
        ({"y": 0, "x": "a"}, r"cannot be read as a table: its values are not columns\. Pass lists, .*: {'x': \[1\]}"),
        (
            pd.DataFrame([[0]], columns=pd.MultiIndex.from_tuples([("y", "a")])),
            "of several levels: .*df.columns =",
        ),
        (pd.DataFrame({"y": []}), "no rows"),
        (pd.DataFrame([[0, 1, 2]], columns=["y", "x", "x"]), "more than one column named 'x'"),
        (pd.DataFrame([[0, 1, 2]], columns=["y", 1, "1"]), "more than one column named '1'"),
    ],
)
def test_what_is_no_table_is_refused(data: Any, words: str) -> None:
    with pytest.raises(DesignError, match=words) as caught:
        read_table(data)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_tables_of_other_libraries() -> None:
    columns = {"y": [0, 1, 1], "x": [0.5, 1.5, 2.5]}
    dataset = xr.Dataset({name: ("row", values) for name, values in columns.items()})
    for table in (pa.table(columns), dataset, pl.DataFrame(columns), columns):
        read = read_table(table)
        assert {name: read[name].tolist() for name in ("y", "x")} == columns


@given(
    st.lists(st.one_of(st.integers(), st.floats(allow_nan=False), st.tuples(st.integers(), st.text())), unique_by=str)
)
def test_names_of_columns_are_text(names: list[Any]) -> None:
    index = pd.Index([*names, None], dtype=object, tupleize_cols=False)
    frame = pd.DataFrame(np.zeros((2, len(index))), columns=index)
    assert list(read_table(frame).columns) == [str(name) for name in frame.columns]
    assert list(frame.columns) == list(index)


def test_columns_without_names_are_named_in_backticks() -> None:
    frame = pd.DataFrame({0: [0, 1, 1, 0], 1: [0.5, 1.5, 2.5, 0.1], ("a", "b"): list("uvuv")})
    frame.columns = pd.Index([0, 1, ("a", "b")], tupleize_cols=False)
    assert hl.Model("`0` ~ `1` + (1 | `('a', 'b')`)", frame).design.fixed_effects == ("Intercept", "1")
    with pytest.raises(hl.errors.FormulaError, match=r"The data has: `0`, `1`, `\('a', 'b'\)`\."):
        hl.Model("y ~ x", frame)


def test_long_lists_are_cut() -> None:
    assert quoted_list(list(range(SHOWN))).count(",") == SHOWN - 1
    assert quoted_list(list(range(SHOWN + 3))).endswith("and 3 more")
    assert quoted_list(list(np.arange(2))) == "0, 1"


# ---- columns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint32", "Int64", "int64[pyarrow]", object])
def test_whole_numbers(dtype: Any) -> None:
    values = cleaned([3, 1, 2], dtype)
    assert values.dtype == np.int64
    assert values.tolist() == [3, 1, 2]


@pytest.mark.parametrize("dtype", ["float32", "Float64", "double[pyarrow]", object])
def test_floating_numbers(dtype: Any) -> None:
    values = cleaned([0.5, None, 2], dtype)
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, [0.5, np.nan, 2])


@pytest.mark.parametrize("dtype", [bool, "boolean", "bool[pyarrow]", object])
def test_true_and_false(dtype: Any) -> None:
    rows = training_table({"x": pd.Series([True, False], dtype=dtype)}, ["x"], "drop")
    assert rows.frame["x"].dtype == bool


@pytest.mark.parametrize("dtype", ["boolean", "bool[pyarrow]", object])
@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
def test_true_and_false_with_missing_values(dtype: Any) -> None:
    rows = training_table({"x": pd.Series([True, None, False], dtype=dtype)}, ["x"], "drop")
    assert rows.frame["x"].dtype == bool
    assert rows.frame["x"].tolist() == [True, False]


@pytest.mark.parametrize("dtype", ["str", "string", "string[pyarrow]", object])
def test_text_has_sorted_levels(dtype: Any) -> None:
    values = cleaned(["b", "a", "c", None], dtype)
    assert values.cat.categories.tolist() == ["a", "b", "c"]
    assert values.isna().tolist() == [False, False, False, True]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_categorical_keeps_its_own_order(ordered: bool) -> None:
    values = cleaned(pd.Categorical(["b", "a"], ["b", "unused", "a"], ordered=ordered))
    assert values.cat.ordered
    assert values.cat.categories.tolist() == ["b", "unused", "a"]


@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
@pytest.mark.parametrize("dtype", ["Int64", object, "int64[pyarrow]"])
def test_large_ids_stay_apart_when_others_are_missing(dtype: Any) -> None:
    rows = training_table({"g": pd.Series([BIG, BIG + 1, None, BIG + 2], dtype=dtype)}, ["g"], "drop")
    assert rows.frame["g"].dtype == np.int64
    assert rows.frame["g"].tolist() == [BIG, BIG + 1, BIG + 2]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, "a"], "types 'int', 'str'"),
        (pd.Series([True, 2], dtype=object), "types 'bool', 'int'"),
        ([[1], [2]], "type 'list'"),
        ([1j, 2j], "complex"),
        (pd.date_range("2020-01-01", periods=2), "dates or durations"),
        (pd.date_range("2020-01-01", periods=2, tz="UTC"), "dates or durations"),
        (pd.period_range("2020-01", periods=2, freq="M"), "dates or durations"),
        (pd.to_timedelta([1, 2], unit="D"), "dates or durations"),
        ([datetime.date(2020, 1, 1)], "dates or durations"),
        (pd.Series([pd.Timestamp("2020-01-01")], dtype=object), "dates or durations"),
        (np.array([2**63], dtype=np.uint64), "beyond 2"),
        ([10**30, 10**30 + 1], "beyond 2"),
        ([b"a", b"b"], "type 'bytes'"),
        ([decimal.Decimal("sNaN"), "a", 1], "types 'int', 'str'"),
        ([{}, {}], "type 'dict'"),
        ([pd.Interval(0, 1), pd.Interval(1, 2)], "type 'Interval'"),
    ],
)
def test_unusable_values_are_refused_by_column(values: Any, words: str) -> None:
    with pytest.raises(DesignError, match=words) as caught:
        cleaned(values)
    assert "'x'" in str(caught.value)


def test_decimals_and_fractions() -> None:
    values = [decimal.Decimal("sNaN"), decimal.Decimal("NaN"), decimal.Decimal("1.5"), fractions.Fraction(1, 4), None]
    np.testing.assert_array_equal(cleaned(values, object), [np.nan, np.nan, 1.5, 0.25, np.nan])
    assert cleaned([decimal.Decimal("sNaN"), "a"], object).tolist() == [np.nan, "a"]


@pytest.mark.parametrize("value", [decimal.Decimal("-Infinity"), fractions.Fraction(10**400, 3), float("inf")])
def test_numbers_beyond_all_others_are_infinite(value: Any) -> None:
    with pytest.raises(DesignError, match="column 'x' has 1 infinite value, in row 0"):
        training_table({"x": pd.Series([value, fractions.Fraction(1, 3)], dtype=object)}, ["x"], "drop")


# ---- rows --------------------------------------------------------------------------------------------------------

HOLES = {
    "float": [0.5, np.nan, 1.5, 2.5],
    "whole": pd.array([1, None, 2, 3], dtype="Int64"),
    "text": ["a", None, "b", "b"],
    "bool": [True, None, False, True],
    "categorical": pd.Categorical(["u", None, "v", "w"], ["w", "v", "u"]),
}


@pytest.mark.parametrize("kind", HOLES)
def test_rows_with_missing_values_are_dropped_and_counted(kind: str) -> None:
    frame = pd.DataFrame({"x": HOLES[kind], "y": [0, 1, 1, 0], "other": [1, None, None, None]}, index=list("pqrs"))
    with pytest.warns(
        DataWarning, match=r"1 of 4 rows has missing values in x \(1\) and was dropped\. Pass missing='error'"
    ):
        rows = training_table(frame, ["x", "y"], "drop")
    assert rows.n_missing == 1
    assert rows.missing_by_column == {"x": 1}
    assert rows.rows.tolist() == ["p", "r", "s"]
    assert rows.frame.index.tolist() == [0, 1, 2]
    assert rows.frame["y"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("kind", HOLES)
def test_rows_with_missing_values_are_refused_on_request(kind: str) -> None:
    frame = pd.DataFrame({"x": HOLES[kind]}, index=list("pqrs"))
    with pytest.raises(DesignError, match=r"1 of 4 rows has missing values in x \(1\): row 'q'\."):
        training_table(frame, ["x"], "error")


def test_unused_columns_may_hold_anything() -> None:
    frame = pd.DataFrame({"x": [1, 2], "when": pd.date_range("2020-01-01", periods=2), "empty": [None, None]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert training_table(frame, ["x"], "error").n_missing == 0


@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
def test_levels_that_only_dropped_rows_have_are_gone() -> None:
    frame = pd.DataFrame({"t": pd.Categorical(["c", "b", "a"], ["c", "b", "a", "z"]), "x": [1, None, 3]})
    rows = training_table(frame, ["t", "x"], "drop")
    assert rows.frame["t"].cat.categories.tolist() == ["c", "a"]
    assert rows.unused_levels == {"t": ("b", "z")}


def test_row_labels_that_repeat_become_positions() -> None:
    assert training_table(pd.DataFrame({"x": [1, 2, 3]}, index=[7, 7, 8]), ["x"], "drop").rows.tolist() == [0, 1, 2]
    nested = pd.MultiIndex.from_tuples([(1, "a"), (1, "b"), (2, "a")])
    assert training_table(pd.DataFrame({"x": [1, 2, 3]}, index=nested), ["x"], "drop").rows.tolist() == [0, 1, 2]


def test_infinite_values_are_refused_with_their_rows() -> None:
    frame = pd.DataFrame({"x": [0.0, np.inf, -np.inf]}, index=list("pqr"))
    with pytest.raises(DesignError, match="column 'x' has 2 infinite values, in rows 'q', 'r'"):
        training_table(frame, ["x"], "drop")


@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
def test_no_complete_row_is_an_error_that_counts() -> None:
    with pytest.raises(DesignError, match=r"every row has a missing value, in x \(1\), z \(1\)\."):
        training_table({"x": [1, None], "z": [None, 1]}, ["x", "z"], "drop")


def test_the_choices_for_missing_are_named() -> None:
    with pytest.raises(DesignError, match="missing='fill' is not allowed; choose one of 'drop', 'error'"):
        training_table({"x": [1]}, ["x"], "fill")  # type: ignore[arg-type]


def test_the_callers_table_is_not_changed() -> None:
    frame = pd.DataFrame({"x": [1.0, np.nan], "t": pd.Categorical(["a", "b"])})
    before = frame.copy(deep=True)
    with pytest.warns(DataWarning):
        training_table(frame, ["x", "t"], "drop")
    pd.testing.assert_frame_equal(frame, before)
