"""The left-hand side: what a success is, and what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hierlogit.design.outcome import Outcome, read_outcome
from hierlogit.design.table import training_table
from hierlogit.errors import DesignError
from hierlogit.formula.parser import parse


def outcome(left: str, **columns: Any) -> Outcome:
    return read_outcome(parse(f"{left} ~ 1").response, training_table(columns, list(columns), "error").frame)


@pytest.mark.parametrize(
    ("left", "y", "event", "expected"),
    [
        ("y", [0, 1, 1], "y = 1", [0, 1, 1]),
        ("y", [0.0, 1.0, 1.0], "y = 1", [0, 1, 1]),
        ("y[0]", [0, 1, 1], "y = 0", [1, 0, 0]),
        ("y", [True, False, False], "y = True", [1, 0, 0]),
        ("y", pd.array([True, False, False], dtype="boolean"), "y = True", [1, 0, 0]),
        ("y[False]", [True, False, False], "y = False", [0, 1, 1]),
        ("y", ["no", "yes", "no"], "y = 'yes'", [0, 1, 0]),
        ("y[no]", ["no", "yes", "no"], "y = 'no'", [1, 0, 1]),
        ("y['no']", ["no", "yes", "no"], "y = 'no'", [1, 0, 1]),
        ("y", pd.Categorical(["no", "yes", "no"], ["yes", "no"]), "y = 'no'", [1, 0, 1]),
        ("y", pd.Categorical(["no", "yes", "no"], ["yes", "never", "no"]), "y = 'no'", [1, 0, 1]),
        ("y", pd.Categorical([1, 0, 1]), "y = 1", [1, 0, 1]),
        ("y[2]", [1, 2, 2], "y = 2", [0, 1, 1]),
        ("y[2]", [1.0, 2.0, 2.0], "y = 2", [0, 1, 1]),
        ("y[1]", [1, 2, 2], "y = 1", [1, 0, 0]),
        ("y['1']", ["1", "2", "2"], "y = '1'", [1, 0, 0]),
    ],
)
def test_binary_outcomes(left: str, y: Any, event: str, expected: list[int]) -> None:
    found = outcome(left, y=y)
    assert (found.name, found.event, found.binomial) == ("y", event, False)
    np.testing.assert_array_equal(found.y, expected)
    np.testing.assert_array_equal(found.trials, [1, 1, 1])


@pytest.mark.parametrize(
    ("left", "event", "trials"),
    [
        ("p(s, n)", "s of n", [4, 5, 6]),
        ("prop(s, n)", "s of n", [4, 5, 6]),
        ("proportion(s, n)", "s of n", [4, 5, 6]),
        ("p(s, 7)", "s of 7", [7, 7, 7]),
        ("cbind(s, f)", "s, against f", [3, 3, 5]),
        ("cbind(s, n - s)", "s of n", [4, 5, 6]),
        ("cbind(s, 8 - s)", "s of 8", [8, 8, 8]),
    ],
)
def test_binomial_outcomes(left: str, event: str, trials: list[int]) -> None:
    found = outcome(left, s=[0, 1, 2], n=[4.0, 5.0, 6.0], f=[3, 2, 3])
    assert (found.name, found.event, found.binomial) == ("s", event, True)
    np.testing.assert_array_equal(found.y, [0, 1, 2])
    np.testing.assert_array_equal(found.trials, trials)


@pytest.mark.parametrize(
    ("left", "y", "words"),
    [
        ("y", [1, 1], ["constant", "every complete row has 1"]),
        ("y[1]", [1, 1], ["constant"]),
        ("y", [2, 2], ["constant", "has 2"]),
        ("y", ["a", "a"], ["constant", "'a'"]),
        ("y", [True, True], ["constant", "True"]),
        ("y", ["a", "b", "c"], ["3 levels: 'a', 'b', 'c'", "0/1 column", "p(successes, trials)"]),
        ("y[b]", ["a", "b", "c"], ["3 levels"]),
        ("y", [0, 1, 2], ["not binary", "3 different numbers, 0, 1, 2", "cbind(successes, failures)"]),
        ("y", [1, 2, 1], ["the numbers 1, 2", "y[2] ~ ...", "0/1"]),
        ("y", [0.0, 0.5], ["y[0.5] ~ ..."]),
        ("y[maybe]", ["no", "yes"], ["no level 'maybe'", "'no', 'yes'", "y[...]"]),
    ],
)
def test_other_outcomes_are_refused(left: str, y: Any, words: list[str]) -> None:
    with pytest.raises(DesignError) as caught:
        outcome(left, y=y)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("left", "columns", "words"),
    [
        (
            "p(s, n)",
            {"s": [1, 6], "n": [5, 5]},
            ["1 of 2 rows", "more successes ('s') than trials", ": 1. It has s = 6, n = 5."],
        ),
        ("p(s, 3)", {"s": [1, 4]}, ["more successes"]),
        ("p(s, n)", {"s": [-1, 2], "n": [5, 5]}, ["negative successes in 's'", ": 0. It has s = -1, n = 5."]),
        ("p(s, n)", {"s": [6, 7], "n": [5, 5]}, ["2 of 2 rows have more", ": 0, 1. The first has s = 6, n = 5. Check"]),
        ("cbind(s, f)", {"s": [1, 2], "f": [1, -2]}, ["negative failures in 'f'"]),
        ("p(s, n)", {"s": [0.5, 2], "n": [5, 5]}, ["fractional successes in 's'", "not proportions"]),
        ("p(s, n)", {"s": [0, 2], "n": [5, 5.5]}, ["fractional trials in 'n'"]),
        ("p(s, n)", {"s": ["a", "b"], "n": [5, 5]}, ["successes in 's' must be whole numbers", "holds text"]),
        ("p(s, n)", {"s": [True, False], "n": [5, 5]}, ["holds True/False"]),
        ("p(s, n)", {"s": [0, 0], "n": [5, 5]}, ["constant", "(s of n) never happens"]),
        ("p(s, n)", {"s": [5, 4], "n": [5, 4]}, ["constant", "(s of n) always happens", "2 complete rows"]),
    ],
)
def test_counts_that_make_no_sense_are_refused(left: str, columns: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DesignError) as caught:
        outcome(left, **columns)
    for word in words:
        assert word in str(caught.value)
