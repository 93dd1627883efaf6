"""Columns of text that are probably not meant as they are are named, and others are not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.design.suspect_columns import suspect_columns
from hierlogit.design.table import training_table
from hierlogit.errors import DataWarning
from hierlogit.formula.parser import parse

N = 60


def suspects(values: Any, formula: str = "y ~ v") -> dict[str, str]:
    frame = training_table({"y": [0, 1] * (len(values) // 2), "v": pd.Series(values, dtype=object)}, ["y", "v"], "drop")
    return {
        suspect.kind: suspect.evidence + ". " + suspect.remedy
        for suspect in suspect_columns(parse(formula), frame.frame)
    }


def numbers(step: float = 0.25) -> list[str]:
    return [f"{step * number:g}" for number in range(N)]


@pytest.mark.parametrize("formula", ["y ~ v", "y ~ 1 + (1 | v)", "y ~ C(v)"])
def test_levels_that_differ_by_blanks_or_case(formula: str) -> None:
    found = suspects(["North", "north ", "South", "South"] * (N // 4), formula)
    assert list(found) == ["similar_levels"]
    assert "'North' (15 rows), 'north ' (15 rows)" in found["similar_levels"]
    assert "'South'" not in found["similar_levels"]


@pytest.mark.parametrize(
    "pair",
    [
        ("a", "A"),
        ("St Mary", "StMary"),
        ("x", "x\xa0"),
        ("x", "\tx"),
        ("1", "1.0"),
        ("7", "07"),
        ("ﬁ", "fi"),
        ("a", "a\u200b"),
    ],
)
def test_kinds_of_similar_levels(pair: tuple[str, str]) -> None:
    assert "similar_levels" in suspects([*pair, "other", "else"] * (N // 4))


@given(st.lists(st.text("abcdeXYZ", min_size=1, max_size=4), min_size=2, max_size=6, unique_by=str.casefold))
def test_levels_that_differ_otherwise_are_not_suspected(levels: list[str]) -> None:
    values = levels * N
    assert suspects(values[: 2 * (len(values) // 2)], "y ~ (1 | v)") == {}


@pytest.mark.parametrize("text", [".", "1,234", "12 kg", "<5", "about 3", "NA", "45%"])
def test_numbers_among_which_a_few_entries_are_text(text: str) -> None:
    found = suspects([*numbers()[:-1], text])
    assert list(found) == ["numbers_as_text"]
    assert f"except '{text}' (1 row)" in found["numbers_as_text"]
    assert "pandas.to_numeric" in found["numbers_as_text"]
    assert suspects([*numbers()[:-1], text], "y ~ C(v)").keys() <= {"missing_as_text"}


def test_decimal_commas_and_numbers_alone() -> None:
    assert "str.replace(',', '.')" in suspects([number.replace(".", ",") for number in numbers()])["numbers_as_text"]
    assert "except" not in suspects(numbers())["numbers_as_text"]
    assert "thousands=','" in suspects([f"{1000 * number + 1234:,}" for number in range(N)])["numbers_as_text"]
    assert "beside the numbers" in suspects([f"${number}" for number in numbers()])["numbers_as_text"]
    assert "beside the numbers" in suspects([f"−{number}" for number in numbers(1)])["numbers_as_text"]


@pytest.mark.parametrize(
    "write",
    [
        lambda value: f"{value:.3f}".replace(".", ","),
        lambda value: f"{value:.1f}".replace(".", ","),
        lambda value: f"{value:,.1f} kg",
        lambda value: f"{value:.1f} kg".replace(".", ","),
        lambda value: f"{value:,.2f}".translate(str.maketrans(",.", ".,")),
        lambda value: f"{value:,.2f} €".translate(str.maketrans(",.", ".,")),
        lambda value: f"{value:.1f} %",
    ],
    ids=["decimal_3", "decimal_1", "thousands_unit", "decimal_unit", "points", "points_unit", "percent"],
)
def test_the_conversion_that_is_advised_gives_the_numbers(write: Callable[[float], str]) -> None:
    true = [0.5, 0.25, *(round(1.37**number, 3) for number in range(N - 2))]
    column = [write(value) for value in true]
    (code,) = re.findall(
        r"pandas\.to_numeric\(.*\)(?=\.)", suspects(column)["numbers_as_text"].split(" If the values")[0]
    )
    converted = eval(code, {"pandas": pd, "df": pd.DataFrame({"v": column})})
    np.testing.assert_allclose(converted, true, atol=0.06)


@pytest.mark.parametrize(
    ("write", "comma"),
    [
        (lambda value: f"{value:.3f}".replace(".", ","), True),
        (lambda value: f"{value:,.2f}".translate(str.maketrans(",.", ".,")), False),
        (lambda value: f"{value:.1f} kg".replace(".", ","), False),
        (lambda value: f"{value:.1f} %", False),
    ],
    ids=["decimal", "points", "unit", "percent"],
)
def test_decimal_commas_are_known_where_they_are_all_that_is_in_the_way(
    write: Callable[[float], str], comma: bool
) -> None:
    column = [write(1.37**number) for number in range(N)]
    frame = training_table({"y": [0, 1] * (N // 2), "v": column}, ["y", "v"], "drop")
    (suspect,) = suspect_columns(parse("y ~ v"), frame.frame)
    assert suspect.decimal_comma is comma


@pytest.mark.parametrize(
    "levels", [["0", "1", "2", "3+"], ["18-24", "25-34", "35-44"], ["A1", "B2", "C3"], ["+", "-"], ["1", "2", "3"]]
)
def test_categories_with_digits_are_not_suspected(levels: list[str]) -> None:
    assert suspects((levels * N)[:N]) == {}


@pytest.mark.parametrize("text", [".", "", " ", "NA", "n/a", "?", "NaN"])
def test_missing_values_as_text(text: str) -> None:
    found = suspects(["a", "b", text] * (N // 3), "y ~ (1 | v)")
    assert list(found) == ["missing_as_text"]
    assert f"{text!r} (20 rows)" in found["missing_as_text"]


def test_a_predictor_with_a_level_for_nearly_every_row() -> None:
    names = [f"person {number}" for number in range(N)]
    found = suspects(names)
    assert list(found) == ["many_levels"]
    assert "60 levels in 60 rows" in found["many_levels"]
    assert "(1 | v)" in found["many_levels"]
    assert suspects(names, "y ~ (1 | v)") == {}
    assert suspects(names, "y ~ C(v)") == {}


def test_models_warn_and_checks_of_the_data_find_the_same() -> None:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"y": rng.integers(0, 2, N), "x": rng.normal(size=N), "g": [*"abcdef"] * 10})
    rows.loc[0, "g"] = "A"
    with pytest.warns(DataWarning, match=r"'g' has 7 levels.*'A' \(1 row\), 'a' \(9 rows\)"):
        model = hl.Model("y ~ x + (1 | g)", rows)
    (finding,) = [finding for finding in hl.check_data(model).findings if finding.code == "similar_levels"]
    assert finding.severity == "warning"
    assert "'A' (1 row), 'a' (9 rows)" in finding.evidence


@pytest.mark.parametrize("name", hl.datasets.list()["name"].tolist())
def test_published_data_are_not_suspected(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = hl.datasets.load(name)
        text = [column for column in frame if frame[column].dtype.kind not in "biuf"]
        formula = parse(" + ".join(["y ~ 1", *(f"C({column})" for column in text)]))
        table = training_table(frame, list(frame.columns), "drop")
        assert list(suspect_columns(formula, table.frame)) == []
