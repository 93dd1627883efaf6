"""Tables of every kind become the same clean columns, and what cannot be used is refused by name."""

import datetime
import decimal
import fractions
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.design.table import clean_column, training_table
from hierlogit.errors import DataWarning, DesignError
from hierlogit.validation import SHOWN, quoted_list

BIG = 2**53


def cleaned(values: Any, dtype: Any = None) -> "pd.Series[Any]":
    return clean_column(pd.Series(values, dtype=dtype), "x")


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
