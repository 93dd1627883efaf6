"""Calls that learn from all rows, and what they are given in some of them."""

import numpy as np
import pandas as pd
import pytest

from hierlogit.design.column_rules import ClusterRule, GaussRule
from hierlogit.design.encoding import Encoding
from hierlogit.design.learning_calls import given_arguments, label_columns, learning_calls
from hierlogit.design.table import training_table
from hierlogit.design.transforms import formula_namespace
from hierlogit.errors import DesignError
from hierlogit.formula.parser import parse

ROWS = pd.DataFrame(
    {
        "y": [0, 1, 1, 0, 1, 0],
        "x": [1.0, 2.0, 4.0, 8.0, 16.0, 3.0],
        "flag": [True, False, True, True, False, False],
        "arm": ["new", "old", "new", "old", "old", "new"],
        "g": [1, 1, 2, 2, 3, 3],
    }
)
TABLE = training_table(ROWS, list(ROWS), "drop")


def given(formula: str, *wanted: str) -> dict[str, np.ndarray]:
    found = given_arguments(parse(formula), TABLE, {}, wanted)
    return {key: one.values for key, one in found.items()}


def test_calls_are_told_apart_by_their_arguments() -> None:
    formula = "y ~ scale((x + flag) * x) + I(center(x)**2) + (1 + within(log(x), g) + bs(x, df=4, degree=2) | g)"
    calls = learning_calls(parse(formula), list(ROWS))
    within = "within(log(`x`), `g`)"
    assert list(calls) == ["scale(((`x` + `flag`) * `x`))", "center(`x`)", within, "bs(`x`, df=4, degree=2)"]
    assert (calls[within].cluster, calls[within].text) == ("g", "within(log(x), g)")
    assert calls["bs(`x`, df=4, degree=2)"].options == {"df": 4, "degree": 2}


def test_a_call_names_those_inside_of_it() -> None:
    calls = learning_calls(parse("y ~ scale(I(center(x)**2)) + (1 | g)"), list(ROWS))
    assert calls["scale(I((center(`x`) ** 2)))"].inside == {"center(`x`)"}
    assert calls["center(`x`)"].inside == frozenset()


def test_wrong_arguments_are_refused_without_rows() -> None:
    with pytest.raises(DesignError, match=r"within\(\) lacks 'g'"):
        learning_calls(parse("y ~ within(x) + (1 | g)"), list(ROWS))


def test_arguments_are_evaluated_as_in_the_design() -> None:
    formula = "y ~ scale(log(x)) + center(flag) + poly(I(x + flag), 2) + (1 | g)"
    found = given(formula, "scale(log(`x`))", "center(`flag`)", "poly(I((`x` + `flag`)), 2)")
    np.testing.assert_array_equal(found["scale(log(`x`))"], np.log(ROWS["x"]))
    np.testing.assert_array_equal(found["center(`flag`)"], ROWS["flag"])
    np.testing.assert_array_equal(found["poly(I((`x` + `flag`)), 2)"], ROWS["x"] + ROWS["flag"])


def test_calls_inside_of_others_apply_what_they_have_learned() -> None:
    formula, key = parse("y ~ scale(I(center(x)**2)) + (1 | g)"), "scale(I((center(`x`) ** 2)))"
    rule = GaussRule.of(np.array([10.0, 20.0]), np.ones(2))
    found = given_arguments(formula, TABLE, {"center(`x`)": rule}, [key])[key]
    np.testing.assert_allclose(found.values, (ROWS["x"] - 15) ** 2)


@pytest.mark.parametrize(
    ("formula", "key", "message"),
    [
        (
            "y ~ scale(log(x - 2)) + (1 | g)",
            "scale(log((`x` - 2)))",
            r"'log\(x - 2\)' is not finite in 2 of 6 rows.*'x'",
        ),
        ("y ~ scale(arm) + (1 | g)", "scale(`arm`)", "'arm' is text, categories or an offset"),
        (
            "y ~ scale(poly(x, 2)) + (1 | g)",
            "scale(poly(`x`, 2))",
            r"^'poly\(x, 2\)' in 'scale\(poly\(x, 2\)\)' has 2 col",
        ),
    ],
)
def test_arguments_that_cannot_be_learned_from_are_refused(formula: str, key: str, message: str) -> None:
    rules = {"poly(`x`, 2)": GaussRule.of(np.arange(4.0), np.ones(4))}
    with pytest.raises(DesignError, match=message):
        given_arguments(parse(formula), TABLE, rules, [key])


def test_clusters_of_means_are_labels() -> None:
    assert label_columns(parse("y ~ within(x, g) + arm + (1 | g) + (1 | arm)")) == {"g"}
    assert label_columns(parse("y ~ within(x, g) + g + (1 | g)")) == frozenset()
    assert label_columns(parse("y ~ flag + (0 + between(x, g=arm) | g)")) == {"g", "arm"}


@pytest.mark.parametrize("call", ["scale(log(x))", "poly(x, 2)", "within(x, g)", "between(log(x), g)"])
def test_rules_of_parts_teach_what_all_rows_do(call: str) -> None:
    rows = TABLE.frame
    (key,) = learning_calls(parse(f"y ~ {call} + (1 | g)"), list(ROWS))
    halves = []
    for start in (0, 3):  # the second cluster has rows in both
        part = training_table(ROWS.iloc[start : start + 3], list(ROWS), "drop")
        halves.append(given_arguments(parse(f"y ~ {call} + (1 | g)"), part, {}, [key])[key])
    if "g)" in call:
        rule = ClusterRule.joined([ClusterRule.of(half.values, half.clusters) for half in halves])
    else:
        first, second = (GaussRule.of(half.values, np.ones(3)) for half in halves)
        rule = first.joined(second)
    expected = Encoding(call, rows, formula_namespace())
    few = Encoding(call, rows.iloc[:4].reset_index(drop=True), formula_namespace(), rules={key: rule})
    np.testing.assert_allclose(few.encode(rows)[0], expected.columns, rtol=1e-12)
