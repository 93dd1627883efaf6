"""Rank-deficient designs: what is kept, which rows are estimable, and that fits and files keep the same columns."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.design.design import Design, build_design
from hierlogit.errors import DataWarning, ModelError, PredictionError, PriorError
from hierlogit.formula.parser import parse

N = 240


def table(seed: int = 3) -> pd.DataFrame:
    """Rows of a 3 x 2 factorial in clusters, with numbers."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": rng.choice(["a1", "a2", "a3"], N),
            "b": rng.choice(["b1", "b2"], N),
            "flag": rng.random(N) < 0.4,
            "x": rng.normal(size=N),
            "g": rng.integers(0, 12, N),
        }
    )
    return frame.assign(y=(rng.random(N) < 0.4).astype(int))


def without(frame: pd.DataFrame, *cells: tuple[str, str]) -> pd.DataFrame:
    gone = np.zeros(len(frame), dtype=bool)
    for a, b in cells:
        gone |= ((frame["a"] == a) & (frame["b"] == b)).to_numpy()
    return frame[~gone].reset_index(drop=True)


def designed(formula: str, frame: Any) -> Design:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return build_design(parse(formula), frame)


def model(formula: str, frame: Any) -> hl.Model:
    with pytest.warns(DataWarning, match="columns were dropped from"):
        return hl.Model(formula, frame)


CELLS = [(a, b) for a in ("a1", "a2", "a3") for b in ("b1", "b2")]


# ---- what is kept ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_the_design_of_an_empty_cell_spans_the_other_cells(cell: tuple[str, str]) -> None:
    frame = without(table(), cell)
    made = designed("y ~ a * b", frame)
    cells = pd.get_dummies(frame["a"] + frame["b"]).to_numpy(float)
    assert made.X.shape[1] == 5 == np.linalg.matrix_rank(np.column_stack([made.X, cells]))
    last = "a2" if cell[0] == "a2" else "a3"
    assert [column.label for column in made.dropped] == [f"a[{last}]:b[b2]"]
    assert (made.dropped[0].others == ()) == (cell in (("a2", "b2"), ("a3", "b2")))


def test_interactions_are_dropped_before_what_stands_behind_them() -> None:
    frame = table()
    frame["cell"] = 1.0 * ((frame["a"] == "a3") & (frame["b"] == "b2"))
    assert [column.label for column in designed("y ~ a * b + cell", frame).dropped] == ["a[a3]:b[b2]"]


def test_several_empty_cells_of_three_factors() -> None:
    frame = without(table(), ("a1", "b1"), ("a3", "b2"))
    made = designed("y ~ a * b * flag", frame)
    cells = pd.get_dummies(frame["a"] + frame["b"] + frame["flag"].astype(str)).to_numpy(float)
    assert made.X.shape[1] == cells.shape[1] == np.linalg.matrix_rank(np.column_stack([made.X, cells]))


def test_columns_that_depend_on_others_only_in_complete_rows() -> None:
    frame = table()
    frame["twice"] = 2 * frame["x"]
    frame.loc[:9, "twice"] = 7.0
    frame.loc[:9, "x"] = np.nan
    with pytest.warns(DataWarning) as caught:
        made = build_design(parse("y ~ x + twice"), frame)
    assert [str(warning.message).partition(" dropped")[0] for warning in caught] == [
        "10 of 240 rows have missing values in x (10) and were",
        "columns were",
    ]
    assert made.fixed_effects == ("Intercept", "x")


@pytest.mark.parametrize(("value", "others"), [(True, ("Intercept",)), (False, ())])
def test_a_boolean_with_one_value_is_dropped(value: bool, others: tuple[str, ...]) -> None:
    (column,) = designed("y ~ flag", table().assign(flag=value)).dropped
    assert (column.label, column.others) == ("flag[True]", others)


def test_nested_factors_drop_the_levels_of_other_clusters() -> None:
    frame = table()
    frame["c"] = frame["a"] + frame["b"]
    made = designed("y ~ a + a:c", frame)
    assert made.X.shape[1] == 6
    assert {column.term for column in made.dropped} == {"a:c"}


# ---- estimable rows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_rows_of_the_empty_cell_alone_are_refused(cell: tuple[str, str]) -> None:
    made = designed("y ~ a * b", without(table(), cell))
    grid = pd.DataFrame(CELLS, columns=["a", "b"], index=[f"row {k}" for k in range(6)])
    here = [k for k in range(6) if CELLS[k] == cell]
    with pytest.raises(PredictionError, match=rf"1 of 6 rows cannot be predicted, row 'row {here[0]}'.*'a:b' out of"):
        made.encode(grid)
    assert len(made.encode(grid.drop(index=f"row {here[0]}"))) == 5


@settings(max_examples=15)
@given(
    seed=st.integers(0, 20),
    empty=st.lists(st.sampled_from(CELLS), min_size=1, max_size=3, unique=True),
    formula=st.sampled_from(
        ["y ~ a * b", "y ~ 0 + a:b + x", "y ~ a * b * flag", "y ~ a:b:x", "y ~ a * b + (a * b | g)"]
    ),
)
def test_a_row_is_estimable_if_it_is_in_the_span_of_the_training_rows(
    seed: int, empty: list[tuple[str, str]], formula: str
) -> None:
    frame = without(table(seed), *empty)
    assume(frame["a"].nunique() == 3 and frame["b"].nunique() == 2)
    made = designed(formula, frame)
    grid = pd.DataFrame([(*cell, flag) for cell in CELLS for flag in (True, False)], columns=["a", "b", "flag"])
    grid = grid.assign(x=0.7, g=frame["g"].iloc[0])
    complete = table(seed + 100)  # all cells: the columns of the terms without any dropping
    whole = designed(formula, complete)
    assert not whole.dropped
    span, wanted = whole.encode(frame.drop(columns="y")).X, whole.encode(grid).X
    rank = np.linalg.matrix_rank(span)
    for k in range(len(grid)):
        estimable = np.linalg.matrix_rank(np.vstack([span, wanted[k : k + 1]])) == rank
        try:
            made.encode(grid.iloc[[k]])
        except PredictionError:
            assert not estimable
        else:
            assert estimable


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_a_dependence_holds_for_new_rows_up_to_rounding(scale: float) -> None:
    frame = table()
    frame["z"] = (frame["x"] - 1000) / 3 * scale
    made = designed("y ~ x + z", frame)
    new = pd.DataFrame({"x": [0.0, 1000.0, 1e6]})
    new["z"] = (new["x"] - 1000) / 3 * scale
    assert len(made.encode(new)) == 3
    with pytest.raises(PredictionError, match=r"row 0: .*'z' is a linear combination of 'Intercept', 'x'"):
        made.encode(pd.DataFrame({"x": [0.0], "z": [scale]}))


# ---- models, fits and files -----------------------------------------------------------------------------------------


def test_the_likelihood_does_not_depend_on_what_is_dropped() -> None:
    frame = without(table(), ("a1", "b2"))
    frame["cell"] = frame["a"] + frame["b"]
    one = model("y ~ a * b + (1 | g)", frame).fit("laplace").estimate
    other = hl.Model("y ~ cell + (1 | g)", frame).fit("laplace").estimate
    assert one is not None
    assert other is not None
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-6)


def test_a_model_says_what_it_has_dropped() -> None:
    made = model("y ~ a * b + (a * b || g)", without(table(), ("a3", "b2")))
    assert "dropped   from the fixed part: 'a[a3]:b[b2]' is zero in every row" in repr(made)
    assert "from the random term (a * b || g): 'a[a3]:b[b2]' is zero" in repr(made)
    explained = hl.explain(made)
    assert explained.words.count("left out, as if its coefficient were 0: 'a[a3]:b[b2]' is zero in every row.") == 2
    assert "# Dropped from the fixed part: 'a[a3]:b[b2]' is zero in every row." in explained.code
    assert "a3" not in made.to_latex().split("\\\\")[0].partition("a[a3]")[0]
    with pytest.raises(ModelError, match=r"columns were dropped from the fixed part, since 'a\[a3\]:b\[b2\]'"):
        made.to_bambi()
    with pytest.raises(PriorError, match=r"'a\[a3\]:b\[b2\]' was dropped: it is zero in every row"):
        made.with_priors({"a[a3]:b[b2]": hl.priors.Normal(0, 1)})
    assert str(made.with_priors({"a:b": hl.priors.Normal(0, 9)}).priors.fixed["a[a2]:b[b2]"]) == "Normal(mu=0, sigma=9)"


def test_refits_and_files_keep_the_columns(tmp_path: Path) -> None:
    made = model("y ~ a * b + (1 | g)", without(table(), ("a2", "b1")))
    fit = made.fit(hl.Laplace(seed=1))
    fit.save(tmp_path / "fit.nc")
    again = [hl.load(tmp_path / "fit.nc").model, pickle.loads(pickle.dumps(made))]
    again += [made.with_outcome(1 - made.design.outcome.y), made.silenced(made.design.X[:, 1] > 0)]
    for other in again:
        assert other.design.fixed_effects == made.design.fixed_effects
        assert other.design.dropped == made.design.dropped


def test_averages_over_unobserved_cells_are_refused() -> None:
    fit = model("y ~ a * b + (1 | g)", without(table(), ("a3", "b2"))).fit(hl.Laplace(seed=1))
    with pytest.raises(PredictionError, match="cannot be predicted.*is zero in every row"):
        hl.avg_comparisons(fit, "a")
    with pytest.raises(PredictionError, match="cannot be predicted"):
        hl.avg_predictions(fit, hl.datagrid(fit, a=["a1", "a3"], b=["b1", "b2"]), clusters="typical")
    observed = fit.model.design.table.frame.query("b == 'b1'")
    assert len(hl.avg_comparisons(fit, "a", newdata=observed)) == 2
