"""Separation by linear programming: textbook cases, and every tiny table against all extreme directions by integers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import hierlogit as hl
from hierlogit.diagnostics.data import separation
from hierlogit.diagnostics.data.separation import Separation, separation_findings

# The two tables with which textbooks show complete and quasi-complete separation.
COMPLETE = pd.DataFrame(
    {"y": [0, 0, 0, 0, 1, 1, 1, 1], "x": [1, 2, 3, 3, 5, 6, 10, 11], "z": [3, 2, -1, -1, 2, 4, 1, 0]}
)
QUASI = pd.DataFrame(
    {
        "y": [0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
        "x": [1, 2, 3, 3, 3, 4, 5, 6, 10, 11],
        "z": [3, 0, -1, 4, 1, 0, 2, 7, 3, 4],
    }
)


def _of(X: Any, y: Any, trials: Any = None) -> Separation:
    counts = np.asarray(y, dtype=float)
    return Separation.of(np.asarray(X, dtype=float), counts, np.ones(len(counts)) if trials is None else trials)


def _with_intercept(*columns: Any) -> np.ndarray:
    return np.column_stack([np.ones(len(columns[0])), *columns])


def test_textbook_cases() -> None:
    complete = _of(_with_intercept(COMPLETE["x"], COMPLETE["z"]), COMPLETE["y"])
    assert (complete.kind, complete.rows) == ("complete", 8)
    assert complete.estimates[1] == "+inf"
    # Events begin at x = 3, where there are both outcomes: z is free to be estimated from these three rows.
    quasi = _of(_with_intercept(QUASI["x"], QUASI["z"]), QUASI["y"])
    assert quasi == Separation("quasi-complete", ("-inf", "+inf", "finite"), 7)
    overlapping = QUASI.assign(y=[0, 0, 0, 0, 1, 1, 1, 1, 1, 0])
    assert _of(_with_intercept(QUASI["x"], QUASI["z"]), overlapping["y"]) == Separation("overlap", ("finite",) * 3, 0)


def test_likelihood_rises_along_an_infinite_coefficient_and_the_finite_ones_settle() -> None:
    X, y = _with_intercept(QUASI["x"] - 3.0, QUASI["z"]), QUASI["y"].to_numpy()

    def rest_at(slope: float) -> Any:
        def loss(b: np.ndarray) -> float:
            return float(np.logaddexp(0, (1 - 2 * y) * (X @ [b[0], slope, b[1]])).sum())

        return minimize(loss, np.zeros(2), method="BFGS")

    near, far, furthest = (rest_at(slope) for slope in (2, 10, 20))
    assert near.fun > far.fun > furthest.fun
    assert not np.allclose(near.x, furthest.x, atol=1e-2)
    np.testing.assert_allclose(far.x, furthest.x, atol=1e-2)
    assert _of(X, y).estimates == ("finite", "+inf", "finite")


def test_a_level_with_one_outcome() -> None:
    arm = np.repeat(["a", "b", "c"], 10)
    y = np.tile([0, 1], 15)
    y[arm == "c"] = 0
    X = _with_intercept(arm == "b", arm == "c")
    assert _of(X, y) == Separation("quasi-complete", ("finite", "finite", "-inf"), 10)
    y[arm == "b"] = 1
    assert _of(X, y) == Separation("quasi-complete", ("finite", "+inf", "-inf"), 20)
    y[arm == "a"] = 1  # then nothing but the level without events bounds the others from below
    assert _of(X, y) == Separation("complete", ("+inf", "+-inf", "-inf"), 30)


def test_trials_of_both_outcomes_bound_like_two_rows() -> None:
    x, y, trials = np.array([0.0, 1, 2, 3]), np.array([0.0, 0, 3, 5]), np.array([4.0, 2, 5, 5])
    X = _with_intercept(x)
    as_rows = np.repeat(np.arange(4), trials.astype(int)), np.concatenate([[0] * 6, [1, 1, 1, 0, 0], [1] * 5])
    counted, single = Separation.of(X, y, trials), _of(X[as_rows[0]], as_rows[1])
    assert counted == Separation("quasi-complete", ("-inf", "+inf"), 3)
    assert single == Separation("quasi-complete", ("-inf", "+inf"), 11)
    y[1] = 1
    assert Separation.of(X, y, trials).kind == "overlap"


def _determinant(matrix: Sequence[Sequence[int]]) -> int:
    if not matrix:
        return 1
    first, *rest = matrix
    return sum(
        (-1) ** k * value * _determinant([[*row[:k], *row[k + 1 :]] for row in rest]) for k, value in enumerate(first)
    )


def _extreme_directions(rows: list[list[int]]) -> list[np.ndarray]:
    """All directions at the edges of the cone ``rows @ d >= 0``: each is orthogonal to p - 1 independent rows."""
    p = len(rows[0])
    found = []
    for chosen in combinations(rows, p - 1):
        direction = np.array([(-1) ** k * _determinant([row[:k] + row[k + 1 :] for row in chosen]) for k in range(p)])
        for sign in (1, -1):
            if direction.any() and min(np.array(rows) @ (sign * direction)) >= 0:
                found.append(sign * direction)
    return found


def _by_enumeration(X: list[list[int]], y: list[int]) -> Separation:
    rows = [[value if event else -value for value in row] for row, event in zip(X, y, strict=True)]
    edges = _extreme_directions(rows)
    if not edges:
        return Separation("overlap", ("finite",) * len(X[0]), 0)
    # Columns of full rank: no direction but zero leaves every row where it is, so the edges span the cone.
    words = {(False, False): "finite", (True, False): "+inf", (False, True): "-inf", (True, True): "+-inf"}
    estimates = tuple(
        words[any(edge[k] > 0 for edge in edges), any(edge[k] < 0 for edge in edges)] for k in range(len(X[0]))
    )
    count = sum(any(np.dot(row, edge) > 0 for edge in edges) for row in rows)
    return Separation("complete" if count == len(rows) else "quasi-complete", estimates, count)


@st.composite
def _tiny_tables(draw: Any) -> tuple[list[list[int]], list[int]]:
    p, n = draw(st.integers(1, 4)), draw(st.integers(2, 9))
    entry = st.integers(-2, 2)
    X = [[draw(entry) for _ in range(p)] for _ in range(n)]
    if draw(st.booleans()):
        X = [[1, *row[1:]] for row in X]
    return X, [draw(st.integers(0, 1)) for _ in range(n)]


@settings(max_examples=100 if settings.default.max_examples <= 100 else 3000)
@given(table=_tiny_tables(), batch=st.sampled_from([1, 20]))
def test_tiny_tables_as_by_enumeration(table: tuple[list[list[int]], list[int]], batch: int) -> None:
    X, y = table
    assume(np.linalg.matrix_rank(X) == len(X[0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(separation, "BATCH", batch)  # with few rows at a time those that a program misses are added
        found = _of(X, y)
    assert found == _by_enumeration(X, y)


@pytest.mark.parametrize("kind", ["overlap", "quasi-complete", "complete"])
def test_units_and_order_do_not_matter(kind: str) -> None:
    random = np.random.default_rng(3)
    X = _with_intercept(*random.normal(size=(3, 400)))
    X[:, 3] = random.uniform(size=400) < 0.1
    y = (random.uniform(size=400) < 0.4).astype(float)
    if kind == "quasi-complete":
        y[X[:, 3] == 1] = 0
    elif kind == "complete":
        y = (X @ [0.2, -1.0, 2.0, 0.5] > 0).astype(float)
    one, order = _of(X, y), random.permutation(400)
    assert one.kind == kind
    if kind == "quasi-complete":
        assert one.estimates == ("finite", "finite", "finite", "-inf")
    other = X[order] * [1, 1e6, 1e-6, 1]
    assert _of(other, y[order]).estimates == one.estimates
    # Years instead of years since 2000: the slope's estimate is as before.
    moved = X + np.array([0, 2000, 0, 0])
    assert _of(moved, y).estimates[1:] == one.estimates[1:]
    turned = {"+inf": "-inf", "-inf": "+inf"}
    assert _of(X, 1 - y).estimates == tuple(turned.get(estimate, estimate) for estimate in one.estimates)


def test_columns_that_are_near_to_each_other() -> None:
    random = np.random.default_rng(4)
    x = random.normal(size=300)
    X = _with_intercept(x, x + 1e-5 * random.normal(size=300))
    y = (random.uniform(size=300) < 0.5).astype(float)
    assert _of(X, y).kind == "overlap"
    difference = X[:, 2] - X[:, 1]
    assert _of(X, difference > 0).estimates[1:] == ("-inf", "+inf")


def test_large_numbers_with_small_differences() -> None:
    # As seconds since 1970, of a study that lasted twenty of them.
    seconds = 1.7e9 + np.arange(20)
    X = _with_intercept(seconds, np.arange(20) % 5 == 0)
    y = (seconds > seconds[9]).astype(float)
    assert _of(X, y).kind == "complete"
    assert _of(X, y).estimates[:2] == ("-inf", "+inf")
    y[[4, 5]] = 1
    assert _of(X, y).kind == "overlap"
    y[X[:, 2] == 1] = 0
    assert _of(X, y).estimates[2] == "-inf"


def test_many_rows_are_separated_but_for_one() -> None:
    random = np.random.default_rng(5)
    X = _with_intercept(*random.normal(size=(4, 20_000)))
    margin = X @ [0.3, 1.0, -2.0, 0.5, 0.1]
    y = (margin > 0).astype(float)
    assert _of(X, y).kind == "complete"
    furthest = np.argmax(margin)
    y[furthest] = 0
    assert _of(X, y).kind == "overlap"


def test_nothing_to_separate() -> None:
    assert _of(np.empty((3, 0)), [0, 1, 1]) == Separation("overlap", (), 0)
    assert _of(np.ones((3, 1)), [0, 1, 1]).kind == "overlap"
    assert _of(np.ones((3, 1)), [1, 1, 1]) == Separation("complete", ("+inf",), 3)


def test_the_finding_names_columns_and_where_they_go() -> None:
    frame = pd.DataFrame({"arm": np.repeat(["a", "b", "c"], 10), "y": np.tile([0, 1], 15), "g": np.tile(range(5), 6)})
    frame.loc[frame["arm"] == "c", "y"] = 0
    model = hl.Model("y ~ arm + (1 | g)", frame)
    design = model.design
    (found,) = separation_findings(design, Separation.of(design.X, design.outcome.y, design.outcome.trials))
    assert (found.code, found.severity) == ("separation", "warning")
    assert "the outcomes of 10 of 30 rows (quasi-complete separation)" in found.evidence
    assert found.evidence.endswith("infinite for 'arm[c]' (-inf).")
    # The search of a likelihood engine runs into the same wall.
    with pytest.warns(hl.errors.ConvergenceWarning, match="is infinite"):
        fit = model.fit("laplace")
    after = {finding.code: finding for finding in fit.diagnostics.findings}
    assert "'arm[c]'" in after["separation"].evidence


def test_many_infinite_columns_are_cut_short() -> None:
    letters = np.repeat(list("abcdefghijklm"), 4)
    frame = pd.DataFrame({"arm": letters, "y": np.where(letters == "a", np.arange(52) % 2, 1)})
    with pytest.warns(hl.errors.DataWarning, match="2 non-events for 12 coefficients"):
        design = hl.Model("y ~ arm", frame).design
    (found,) = separation_findings(design, Separation.of(design.X, design.outcome.y, design.outcome.trials))
    assert "'arm[i]' (+inf), 4 more." in found.evidence
