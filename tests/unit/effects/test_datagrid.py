"""Grids of rows to predict at."""

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.effects.datagrid import datagrid, typical_value
from hierlogit.errors import PredictionError


@pytest.fixture(scope="module")
def model() -> hl.Model:
    return hl.Model("use ~ age + urban + livch + (1 + urban | district)", hl.datasets.load("contraception"))


def test_all_combinations_with_the_rest_at_typical_values(model: hl.Model) -> None:
    grid = datagrid(model, age=[-5, 0, 5], urban=["N", "Y"])
    women = hl.datasets.load("contraception")
    assert list(zip(grid["age"], grid["urban"], strict=True)) == [(a, u) for a in (-5, 0, 5) for u in "NY"]
    assert set(grid["livch"]) == {women["livch"].mode()[0]}
    assert set(grid["district"]) == {women["district"].mode()[0]}
    assert "use" not in grid
    assert "woman" not in grid


def test_without_values_one_typical_row(model: hl.Model) -> None:
    grid = datagrid(model)
    assert len(grid) == 1
    assert grid["age"].iloc[0] == pytest.approx(hl.datasets.load("contraception")["age"].mean())


@pytest.mark.parametrize("value", ["Y", ["Y"], np.array(["Y"]), pd.Series(["Y"]), ("Y",)])
def test_a_value_may_stand_alone_or_in_any_sequence(model: hl.Model, value: object) -> None:
    assert datagrid(model, urban=value)["urban"].tolist() == ["Y"]


def test_a_grid_can_be_encoded_clusters_included(model: hl.Model) -> None:
    rows = model.design.encode(datagrid(model, district=[1, 61, 999], age=[0, 1]))
    assert rows.X.shape == (6, len(model.design.fixed_effects))
    assert (rows.groups["district"].index >= 0).tolist() == [True] * 4 + [False] * 2


def test_true_and_false_are_not_averaged() -> None:
    rows = {"y": [0, 1, 1, 0], "b": [True, True, True, False], "x": [1, 2, 3, 5]}
    grid = datagrid(hl.Model("y ~ b + x", rows))
    assert grid["b"].tolist() == [True]
    assert grid["x"].tolist() == [2.75]


def test_numbers_that_are_levels_are_not_averaged() -> None:
    rows = {"y": [0, 1, 1, 0, 1], "k": [1, 2, 4, 4, 1], "h": [1, 2, 7, 7, 2], "x": [1, 2, 3, 4, 5]}
    grid = datagrid(hl.Model("y ~ C(k) + x + (0 + x | h)", rows))
    assert grid["k"].tolist() in ([1], [4])
    assert grid["h"].tolist() in ([2], [7])
    assert grid["x"].tolist() == [3]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"urban": "X"}, "'urban' has the level 'X', which no row has .* for 'N', 'Y' only: use one of these levels"),
        ({"urban": ["N", "X", "Z"]}, "'urban' has the levels 'X', 'Z', which no row has"),
        ({"urban": 1}, "column 'urban' held text or categories when the model was fitted and holds numbers now"),
        ({"age": "old"}, "column 'age' held numbers when the model was fitted and holds text or categories now"),
    ],
)
def test_levels_without_an_estimate_are_refused(model: hl.Model, given: dict[str, object], words: str) -> None:
    with pytest.raises(PredictionError, match=words):
        datagrid(model, given)


def test_levels_that_predictions_can_do_without_are_taken() -> None:
    rows = hl.datasets.load("contraception")
    of_districts = hl.Model("use ~ age + I(urban == 'Y') + (1 + livch | district)", rows)
    grid = datagrid(of_districts, livch="4", urban="X", district=999)
    assert grid[["livch", "urban", "district"]].to_numpy().tolist() == [["4", "X", 999]]


def test_names_that_the_model_does_not_use_are_refused(model: hl.Model) -> None:
    with pytest.raises(
        PredictionError, match="no predictors 'woman', 'use' .* choose one of 'age', 'urban', 'livch', 'district'"
    ):
        datagrid(model, woman=1, use=1)


def test_typical_values() -> None:
    assert typical_value(pd.Series([1, 2, 9]), label=False) == 4
    assert typical_value(pd.Series([2, 1, 2]), label=True) == 2
    assert typical_value(pd.Series(pd.Categorical(["b", "a", "b"])), label=False) == "b"


def test_nested_clusters_exist() -> None:
    model = hl.Model("immun ~ pcInd81 + (1 | comm/mom)", hl.datasets.load("guimmun"))
    seen = set(zip(*(model.design.table.frame[name] for name in ("comm", "mom")), strict=True))
    grid = datagrid(model, pcInd81=[0, 1])
    assert set(zip(grid["comm"], grid["mom"], strict=True)) <= seen
    known = model.design.table.frame["comm"].unique()[[5, 50]].tolist()
    chosen = datagrid(model, comm=known)
    assert set(zip(chosen["comm"], chosen["mom"], strict=True)) <= seen
    assert chosen["comm"].tolist() == known
    assert len(datagrid(model, comm="a new one")) == 1


def test_numbers_that_are_labels_are_at_the_most_frequent() -> None:
    model = hl.Model("y ~ C(week) + hilo + (1 | ID)", hl.datasets.load("bacteria"))
    assert datagrid(model)["week"].tolist() == [model.design.table.frame["week"].mode()[0]]


def test_balanced_grids_have_all_levels_of_what_is_not_given() -> None:
    rows = pd.DataFrame(
        {
            "y": [0, 1] * 60,
            "f": pd.Categorical(["b", "a", "c"] * 40, ["c", "b", "a", "unused"]),
            "flag": [True, True, False, True, False] * 24,
            "x": np.arange(120.0),
            "text": ["u", "u", "v", "v"] * 30,
            "g": np.repeat([*"pqrstuvw"], [22, *[14] * 7]),
        }
    )
    model = hl.Model("y ~ x + f + flag + C(text) + (1 | g)", rows)
    grid = datagrid(model, grid_type="balanced")
    assert len(grid) == len(grid.drop_duplicates()) == 3 * 2 * 2
    assert grid["f"].unique().tolist() == ["c", "b", "a"]
    assert sorted(grid["flag"].unique()) == [False, True]
    assert grid["x"].unique().tolist() == [59.5]
    assert grid["g"].unique().tolist() == ["p"]
    chosen = datagrid(model, {"x": [0, 1]}, f=["a"], grid_type="balanced")
    assert len(chosen) == 2 * 2 * 2
    assert chosen["f"].unique().tolist() == ["a"]
    with pytest.raises(PredictionError, match="grid_type='counterfactual' is not allowed; choose one of"):
        datagrid(model, grid_type="counterfactual")
