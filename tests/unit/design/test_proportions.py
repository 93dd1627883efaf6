"""Proportions with their trials: computed counts in responses, and the response that is meant by a proportion."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import DataWarning, DesignError, PredictionError, StudyError

K = np.array([0, 3, 2, 5, 1, 4, 2, 7])
N = np.array([3, 7, 6, 9, 3, 8, 5, 7])


def table(**columns: Any) -> pd.DataFrame:
    rows = pd.DataFrame({"k": K, "n": N, "share": K / N, "x": np.arange(8.0) ** 2, "g": [1, 1, 2, 2, 3, 3, 4, 4]})
    return rows.assign(rest=N - K, **columns)


def refused(formula: str, rows: Any) -> str:
    with pytest.raises(DesignError) as caught:
        hl.Model(formula, rows)
    return str(caught.value)


@pytest.mark.parametrize(
    ("response", "event"),
    [
        ("p(share * n, n)", "share * n of n"),
        ("p(I(share*n), n)", "share*n of n"),
        ("p({share * n}, n)", "share * n of n"),
        ("p((share * n), n)", "share * n of n"),
        ("prop(n - rest, k + rest)", "n - rest of k + rest"),
        ("cbind(k, n - k)", "k of n"),
        ("cbind(n - rest, rest)", "n - rest of n"),
        ("cbind(share * n, n - share * n)", "share * n of n"),
        ("cbind(share * n, rest)", "share * n, against rest"),
        ("cbind(k, n - (n - rest))", "k, against n - (n - rest)"),
        ("p(round(share * n + 0.2), n)", "round(share * n + 0.2) of n"),
        ("p(share * n + 0.0000001, n)", "share * n + 0.0000001 of n"),
    ],
)
def test_counts_can_be_computed(response: str, event: str) -> None:
    design = hl.Model(f"{response} ~ x", table()).design
    assert design.outcome.event == event
    np.testing.assert_array_equal(design.outcome.y, K)
    np.testing.assert_array_equal(design.outcome.trials, N)


def test_computed_counts_are_computed_for_new_rows_too() -> None:
    design = hl.Model("p(share * n, n * 2) ~ x", table()).design
    new = pd.DataFrame({"share": [0.5, 1.0], "n": [4, 3], "x": [0.0, 1.0]})
    np.testing.assert_array_equal(design.encode_trials(new), [8, 6])
    np.testing.assert_array_equal(design.encode_outcome(new).y, [2, 3])
    with pytest.raises(PredictionError, match="the new data lack the column 'n'"):
        design.encode_trials(new.drop(columns="n"))
    with pytest.raises(PredictionError, match=r"fractional successes in 'share \* n', such as 1\.5"):
        design.encode_outcome(new.assign(n=[3, 3]))


def test_computed_counts_survive_other_outcomes_and_pickling() -> None:
    model = hl.Model("p(share * n, n) ~ x + (1 | g)", table())
    other = model.with_outcome(N - K)
    again = type(model).from_parts(other.formula.text, other.design.table, other.priors)
    np.testing.assert_array_equal(again.design.outcome.y, N - K)
    assert 'y = data["share * n"].to_numpy()' in hl.explain(model).code


def test_computed_counts_must_be_numbers() -> None:
    assert "'share > 0.5' must give numbers" in refused("p(I(share > 0.5), n) ~ x", table())
    assert "'k / rest' is not finite in 1 of 8 rows: row 7; 'k' is 7 there; 'rest' is 0" in refused(
        "p(k / rest, n) ~ x", table()
    )
    assert "'share * n', such as 0.9, 2.1, 1.8" in refused("p(share * n, n) ~ x", table(share=0.3))
    with pytest.raises(StudyError, match=r"those of p\(share \* n, n\) are computed"):
        hl.simulate("p(share * n, n) ~ x", table(), beta={"Intercept": 0, "x": 0})


@pytest.mark.parametrize(
    ("columns", "meant"),
    [
        ({}, "p(share * n, n) ~ x + (1 | g). In R this is share ~ x + (1 | g) with weights = n."),
        ({"share": [Decimal(int(k)) / Decimal(int(n)) for k, n in zip(K, N, strict=True)]}, "p(share * n, n) ~ x"),
        ({"share": np.round(K / N, 2)}, "p(round(share * n), n) ~ x + (1 | g)"),
        ({"share": np.round(K / N, 4)}, "p(round(share * n), n) ~ x + (1 | g)"),
        ({"share": 100 * K / N}, "holds percentages. Write the successes and the trials: p(share / 100 * n, n) ~ x"),
        ({"share": [str(value) for value in K / N]}, "as text. Turn it into numbers, data['share'] = pd.to_numeric("),
        (
            {"n": 0.5, "zero": 0, "flag": True, "word": "a"},
            "p(share * n, n) ~ x + (1 | g), where n is the column with the number of trials",
        ),
    ],
)
def test_a_proportion_is_refused_with_the_response_that_is_meant(columns: dict[str, Any], meant: str) -> None:
    rows = table(**columns).drop(columns=["k", "rest"])
    assert meant in refused("share ~ x + (1 | g)", rows)


def test_columns_of_trials_are_named_as_in_the_table() -> None:
    rows = table().rename(columns={"n": "group size", "share": "my share"}).drop(columns=["k", "rest"])
    assert "p(`my share` * `group size`, `group size`) ~ x" in refused("`my share` ~ x", rows)


@pytest.mark.parametrize("response", ["p(k, n)", "p(share * n, n)", "cbind(k, rest)", "cbind(k, n - k)"])
def test_rows_without_trials_are_dropped_and_counted(response: str) -> None:
    rows = pd.concat([table(), table().assign(k=0, n=0, rest=0, share=0.3, g=9)[:2]]).set_axis(list("abcdefghij"))
    rows = rows.assign(f=pd.Categorical(["u", "v"] * 4 + ["w"] * 2))
    with pytest.warns(DataWarning, match=r"2 of 10 rows have no trials in .* and were dropped. .* missing='error'"):
        model = hl.Model(f"{response} ~ x + f + (1 | g)", rows)
    one = hl.Model(f"{response} ~ x + f + (1 | g)", rows[:8])
    np.testing.assert_array_equal(model.design.X, one.design.X)
    assert model.design.groups[0].levels.tolist() == [1, 2, 3, 4]
    assert "rows      8 (2 more dropped, without trials)" in repr(model)
    with pytest.raises(DesignError, match=r"2 of 10 rows have no trials in .*: rows 'i', 'j'\. Leave them out"):
        hl.Model(f"{response} ~ x", rows, missing="error")
    with pytest.raises(DesignError, match="no row of .* has any trials"):
        hl.Model(f"{response} ~ x", rows[8:])
