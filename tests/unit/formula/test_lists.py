"""Lists written in formulas: their values, and their names in backticks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierlogit.formula.lists import list_value, name_lists
from hierlogit.formula.parser import parse

SCALARS = st.one_of(
    st.integers(-1000, 1000),
    st.floats(-10, 10, allow_nan=False).map(lambda value: round(value, 3)),
    st.sampled_from(["a", "b c", "[x]", "1,2", "(", "~"]),
    st.booleans(),
    st.none(),
)
LISTS = st.recursive(
    st.lists(SCALARS, min_size=1, max_size=4),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.lists(inner, min_size=2, max_size=3).map(tuple),
    max_leaves=6,
)


@given(LISTS)
def test_a_list_in_a_formula_has_its_value(value: Any) -> None:
    written, values = name_lists(f"x + f(x, by={value!r}) + log(x)", ["x"])
    (name,) = values
    assert values[name] == value
    assert written == f"x + f(x, by=`{name}`) + log(x)"
    assert parse(f"y ~ f(x, {value!r}) + (1 + f(x, {value!r}) | g)").columns == ("y", "x", "g")


@pytest.mark.parametrize(
    ("text", "value"),
    [("[1/4, -1/4]", [0.25, -0.25]), ("(0, 1,)", (0, 1)), ("[[1, 0], [+2 - 1, .5]]", [[1, 0], [1, 0.5]])],
)
def test_arithmetic_and_tuples(text: str, value: Any) -> None:
    assert list_value(text) == value
    assert next(iter(name_lists(f"f(x, {text})", [])[1].values())) == value


def test_a_column_of_the_same_name_stays_apart() -> None:
    written, values = name_lists("`[0, 1]` + bs(x, knots=[0,1])", ["[0, 1]", "x"])
    assert written == "`[0, 1]` + bs(x, knots=`[0, 1] `)"
    assert values == {"[0, 1] ": [0, 1]}


def test_brackets_of_functions_are_no_tuples() -> None:
    text = "poly(x, 2) + (a + b)**2 + I((x + 1) * 2)"
    assert name_lists(text, []) == (text, {})
