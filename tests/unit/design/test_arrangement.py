"""Arranged rows: what sorting and collapsing keep, the parts of the data, and blocks counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.binomial import log_binomial_coefficient, log_likelihood
from hierlogit.density.marginal.conditional_mode import joint_log_density
from hierlogit.density.marginal.effects_to_predictor import add_effects, scale_effects
from hierlogit.density.marginal.fixed_effects import fixed_information
from hierlogit.density.marginal.laplace import LaplaceLikelihood
from hierlogit.density.marginal.work import make_work
from hierlogit.design import arrangement as layout_module
from hierlogit.design.arrangement import Arrangement, OneFactorRowIndex, RowIndex, arrange
from hierlogit.design.design import Design
from hierlogit.engines.maximum.integrator import integrator

# Columns far from zero, and more effects than the few rows can tell, are on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")

FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ x + (1 + x | g) + (1 + z || h)",
    "y ~ x + z + (1 | g/h)",
    "y ~ z + offset(o) + (1 | h) + (1 + x | g) + (0 + z | k)",
    "prop(y, m) ~ x + (1 + x | h) + (1 | g)",
    "y ~ x + (1 | pupil) + (1 + z | school)",
    "y ~ x + z",
]
N = 400


def table(coarse: bool = True) -> pd.DataFrame:
    n, rng = N, np.random.default_rng(4)
    # Schools in three districts with pupils of their own, whose labels are interleaved.
    pupil = rng.permutation(np.arange(n) % 11)
    school = 3 * rng.integers(0, 2, n) + pupil % 3
    x, z = rng.normal(size=(2, n))
    m = rng.integers(1, 6, n)
    frame = {
        "m": m,
        "x": np.sign(x) if coarse else x,
        "z": (z > 0).astype(float) if coarse else z,
        "o": rng.choice([0.0, 0.3], n),
        "g": rng.permutation([f"g{i % 9}" for i in range(n)]),
        "h": rng.permutation([f"h{i % 4}" for i in range(n)]),
        "k": rng.permutation([f"k{i % 2}" for i in range(n)]),
        "pupil": [f"p{i:02}" for i in pupil],
        "school": [f"s{i}" for i in school],
    }
    y = rng.integers(0, 2, n)
    y[:2] = [0, 1]
    return pd.DataFrame({"y": y, **frame})


def designed(formula: str, data: Any) -> Design:
    return hl.Model(formula, data).design


def level_rows(row_index: RowIndex) -> list[slice]:
    """Rows of each level of the eliminated factor."""
    return [slice(start, stop) for start, stop in pairwise(row_index.row_start)]


def level_ranks(arrangement: Arrangement, t: int) -> np.ndarray:
    """Rank of each row's level among those of the arrangement's factor `t`, in the order of ``u``."""
    row_index, n = arrangement.row_index, len(arrangement.row_index.y)
    if t == 0:
        return np.repeat(np.arange(len(row_index.row_start) - 1), np.diff(row_index.row_start))
    columns = row_index.row_col[(t - 1) * n : t * n]
    return np.searchsorted(np.unique(columns), columns)


def user_predictor(design: Design, arrangement: Arrangement, beta: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Linear predictor of the user's rows from effects in the arrangement's order."""
    eta = design.offset + design.X @ beta
    for group, positions in zip(design.groups, arrangement.positions, strict=True):
        eta = eta + (group.Z * b[positions][group.index]).sum(axis=1)
    return eta


def random_point(arrangement: Arrangement, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, flat Cholesky factors and standardised effects."""
    row_index, rng = arrangement.row_index, np.random.default_rng(seed)
    cholesky = np.concatenate([np.tril(rng.normal(0, 0.6, (q, q)) + 0.5 * np.eye(q)).ravel() for q in row_index.q])
    columns = (len(row_index.row_start) - 1) * int(row_index.q[0]) + int(row_index.col_start[-1])
    return rng.normal(0, 0.7, row_index.X.shape[1]), cholesky, rng.normal(size=columns)


@pytest.fixture
def uncollapsed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Design], Arrangement]:
    def make(design: Design) -> Arrangement:
        with monkeypatch.context() as patched:
            patched.setattr(layout_module, "WORTH_COLLAPSING", 2.0)
            return arrange(design)

    return make


# ---- grouping factors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_row_index_knows_whether_there_are_other_factors(formula: str) -> None:
    row_index = arrange(designed(formula, table())).row_index
    assert row_index.several_factors == (len(row_index.q) > 1)


@pytest.mark.parametrize("nodes", [1, 7])
@pytest.mark.parametrize("formula", ["y ~ x + (1 + z | g)", "prop(y, m) ~ x + (1 | h)"])
def test_functions_for_one_factor_compute_what_those_for_several_do(formula: str, nodes: int) -> None:
    design = designed(formula, table(coarse=False))
    one = arrange(design)
    assert isinstance(one.row_index, OneFactorRowIndex)
    gamma, cholesky, _ = random_point(one)
    results, informations = [], []
    for arrangement in (one, replace(one, row_index=RowIndex(*one.row_index))):
        likelihood = integrator(design, nodes)(arrangement)
        results.append(likelihood.evaluate(gamma, cholesky))
        informations.append(fixed_information(likelihood))
    assert results[0].value == results[1].value
    np.testing.assert_array_equal(results[0].dgamma, results[1].dgamma)
    np.testing.assert_array_equal(results[0].dcholesky, results[1].dcholesky)
    np.testing.assert_array_equal(*informations)


# ---- rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coarse", [True, False])
@pytest.mark.parametrize("formula", FORMULAS)
def test_sums_are_kept(formula: str, coarse: bool) -> None:
    design = designed(formula, table(coarse=coarse))
    arrangement = arrange(design)
    row_index, y, trials = arrangement.row_index, design.outcome.y, design.outcome.trials
    assert arrangement.n_rows == design.n_rows == N
    assert len(row_index.y) < N if coarse else len(row_index.y) == N
    assert row_index.y.sum() == y.sum()
    assert row_index.trials.sum() == trials.sum()
    assert np.all((row_index.y >= 0) & (row_index.y <= row_index.trials))
    assert arrangement.log_coefficients == pytest.approx(log_binomial_coefficient(y, trials).sum())
    # By level of every factor, with the columns of its effects.
    Z = row_index.Z.reshape(-1, len(row_index.y))
    for k, group in enumerate(design.groups):
        t = arrangement.factors.index(k)
        levels = np.argsort(arrangement.positions[k][:, 0])[level_ranks(arrangement, t)]
        for a in range(len(group.effects)):
            own = Z[row_index.z_at[t] + a]
            for counts, users in ((row_index.y, y), (row_index.trials, trials)):
                found, expected = np.bincount(levels, counts * own), np.bincount(group.index, users * group.Z[:, a])
                np.testing.assert_allclose(found, expected, atol=1e-11)


@pytest.mark.parametrize("formula", FORMULAS)
def test_rows_stand_by_level(formula: str) -> None:
    design = designed(formula, table())
    arrangement = arrange(design)
    row_index = arrangement.row_index
    levels = len(design.groups[arrangement.factors[0]].levels) if design.groups else 1
    assert row_index.row_start[0] == 0
    assert row_index.row_start[-1] == len(row_index.y)
    assert np.all(np.diff(row_index.row_start) > 0)
    assert len(row_index.row_start) - 1 == levels
    if len(row_index.q) > 1:  # within a level of it, by the first of the others
        columns = row_index.row_col[: len(row_index.y)]
        for rows in level_rows(row_index):
            assert np.all(np.diff(columns[rows]) >= 0)


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_factor_with_the_most_columns_is_eliminated(formula: str) -> None:
    design = designed(formula, table())
    arrangement = arrange(design)
    columns = [len(design.groups[k].levels) * len(design.groups[k].effects) for k in arrangement.factors]
    assert columns == sorted(columns, reverse=True)
    assert sorted(arrangement.factors) == list(range(len(design.groups)))
    if design.groups:
        assert arrangement.row_index.q.tolist() == [len(design.groups[k].effects) for k in arrangement.factors]
    together = np.concatenate([np.empty(0, dtype=int), *(places.ravel() for places in arrangement.positions)])
    assert sorted(together) == list(range(len(together)))  # every effect has a place of its own
    assert len(together) == sum(columns)


@pytest.mark.parametrize("coarse", [True, False])
@pytest.mark.parametrize("formula", FORMULAS)
def test_positions_lead_back_to_the_users_levels(formula: str, coarse: bool) -> None:
    design = designed(formula, table(coarse=coarse))
    arrangement = arrange(design)
    row_index, work = arrangement.row_index, make_work(arrangement.row_index)
    beta, cholesky, u = random_point(arrangement)
    parts = np.arange(len(row_index.part_start) - 1)
    work.u[:] = u
    fixed = row_index.offset + row_index.X @ (arrangement.triangular @ beta)
    joint_log_density(row_index, work, cholesky, fixed, parts)
    # As the user would do it: b = L u by level.
    b = np.zeros(len(u))
    for k, t in enumerate(np.argsort(arrangement.factors)):
        q = int(row_index.q[t])
        L = cholesky[row_index.cholesky_at[t] : row_index.cholesky_at[t + 1]].reshape(q, q)
        b[arrangement.positions[k]] = u[arrangement.positions[k]] @ L.T
    if design.groups:
        assert work.b == pytest.approx(b, abs=1e-13)
    expected = user_predictor(design, arrangement, beta, b)
    # Rows that were collapsed have one predictor; each row stands for as many trials as the user's have.
    y, trials = design.outcome.y, design.outcome.trials
    for power in range(4):
        for counts, users in ((row_index.trials, trials), (row_index.y, y)):
            assert counts @ work.eta**power == pytest.approx(users @ expected**power, rel=1e-11, abs=1e-11)
    assert len(np.unique(expected.round(9))) <= len(row_index.y)
    plain = log_likelihood(y, trials, expected).sum() - arrangement.log_coefficients
    assert work.log_joint.sum() + 0.5 * u @ u == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_predictors_row_by_row(formula: str) -> None:
    # A column that tells all rows apart: rows of the arrangement are found again by it.
    data = table(coarse=False)
    data["x"] = np.random.default_rng(2).permutation(np.linspace(-1.5, 1.7, len(data)))
    design = designed(formula.replace("y ~ z", "y ~ x + z").replace("m) ~ z", "m) ~ x + z"), data)
    arrangement = arrange(design)
    row_index, work = arrangement.row_index, make_work(arrangement.row_index)
    beta, cholesky, u = random_point(arrangement)
    parts = np.arange(len(row_index.part_start) - 1)
    columns = row_index.X @ arrangement.triangular
    place = design.fixed_effects.index("x")
    order, users = np.argsort(columns[:, place]), np.argsort(design.X[:, place])
    np.testing.assert_allclose(columns[order], design.X[users], atol=1e-12)
    np.testing.assert_array_equal(row_index.y[order], design.outcome.y[users])
    np.testing.assert_array_equal(row_index.trials[order], design.outcome.trials[users])
    np.testing.assert_array_equal(row_index.offset[order], design.offset[users])
    scale_effects(row_index, cholesky, parts, u, work.b)
    eta = columns @ beta + row_index.offset
    add_effects(row_index, parts, work.b, eta)
    if design.groups:
        expected = user_predictor(design, arrangement, beta, work.b)
        np.testing.assert_allclose(eta[order], expected[users], atol=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_basis_has_orthogonal_columns(formula: str) -> None:
    data = table(coarse=False)
    data["x"] += 2000  # a year, not centred
    design = designed(formula, data)
    arrangement = arrange(design)
    X, R, n = arrangement.row_index.X, arrangement.triangular, design.n_rows
    p = design.X.shape[1]
    np.testing.assert_allclose(X.T @ X, n * np.eye(p), atol=1e-7 * n)
    np.testing.assert_array_equal(R, np.triu(R))
    assert np.all(np.diag(R) > 0)
    np.testing.assert_allclose(
        R.T @ X.T @ arrangement.row_index.y, design.X.T @ design.outcome.y, rtol=1e-10, atol=1e-8
    )
    np.testing.assert_allclose(R.T @ X.T @ X @ R, design.X.T @ design.X, rtol=1e-9)


def test_without_fixed_effects() -> None:
    arrangement = arrange(designed("y ~ 0 + (1 | g)", table()))
    assert arrangement.row_index.X.shape == (len(arrangement.row_index.y), 0)
    assert arrangement.triangular.shape == (0, 0)
    assert len(arrangement.row_index.y) == 9
    assert LaplaceLikelihood(arrangement).evaluate(np.empty(0), np.array([0.8])).converged


# ---- collapsing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spared", "left"), [(0, 100), (9, 100), (10, 90), (11, 89), (40, 60)])
def test_collapses_where_a_tenth_of_the_rows_is_spared(spared: int, left: int) -> None:
    assert layout_module.WORTH_COLLAPSING == 0.1
    rng = np.random.default_rng(3)
    x = rng.normal(size=100)
    g = np.arange(100) % 5
    twins = 99 - np.arange(spared)
    x[twins], g[twins] = x[:spared], g[:spared]
    y = np.arange(100) % 2
    data = pd.DataFrame({"y": y, "x": x, "g": g}).sample(frac=1, random_state=5)
    row_index = arrange(designed("y ~ x + (1 | g)", data)).row_index
    assert len(row_index.y) == left
    assert sorted(row_index.trials, reverse=True) == [2.0] * (100 - left) + [1.0] * (2 * left - 100)
    assert row_index.y.sum() == y.sum()


@pytest.mark.parametrize("column", ["x", "z", "o", "g", "h"])
def test_rows_that_differ_in_one_column_are_kept_apart(column: str) -> None:
    # Four rows of every kind; then one of the four changes in one column.
    data = pd.DataFrame({name: np.repeat([0, 1, 0, 1, 1, 0], 4) for name in "xzogh"})
    data["x"] = np.repeat([0.0, 1.0, 0.0, 2.0, 2.0, 1.0], 4)
    data["z"] = np.repeat([0.0, 1.0, 1.0, 0.0, 1.0, 0.0], 4)
    data["h"] = np.repeat([0, 1, 1, 0, 0, 1], 4)
    data["y"] = np.tile([0, 1, 1, 0], 6)
    formula = "y ~ x + offset(o) + (1 + z | g) + (1 | h)"
    assert len(arrange(designed(formula, data)).row_index.y) == 6
    data.loc[1, column] += 1
    found = arrange(designed(formula, data)).row_index
    assert len(found.y) == 7
    assert sorted(found.trials) == [1, 3, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("formula", FORMULAS)
def test_collapsing_leaves_the_likelihood_as_it_is(formula: str, uncollapsed: Callable[[Design], Arrangement]) -> None:
    design = designed(formula, table())
    collapsed, plain = arrange(design), uncollapsed(design)
    assert len(collapsed.row_index.y) <= 0.9 * N
    assert len(plain.row_index.y) == N
    assert plain.log_coefficients == collapsed.log_coefficients
    np.testing.assert_array_equal(plain.triangular, collapsed.triangular)
    beta, cholesky, _ = random_point(collapsed)
    one = LaplaceLikelihood(collapsed).evaluate(collapsed.triangular @ beta, cholesky)
    other = LaplaceLikelihood(plain).evaluate(plain.triangular @ beta, cholesky)
    assert one.value == pytest.approx(other.value, rel=1e-11)
    np.testing.assert_allclose(one.dgamma, other.dgamma, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(one.dcholesky, other.dcholesky, rtol=1e-8, atol=1e-8)


# ---- parts -------------------------------------------------------------------------------------------------------


def part_of(arrangement: Arrangement, group: int) -> np.ndarray:
    """The part of each level of a group, from where its first effect stands in ``u``."""
    row_index, first = arrangement.row_index, arrangement.positions[group][:, 0]
    if arrangement.factors[0] == group:
        return np.searchsorted(row_index.part_start, first // row_index.q[0], side="right") - 1
    base = (len(row_index.row_start) - 1) * int(row_index.q[0])
    return np.searchsorted(row_index.col_start, first - base, side="right") - 1


def test_a_nested_design_has_a_part_for_each_cluster_at_the_top() -> None:
    design = designed("y ~ x + (1 + x | g/h/k)", table())
    arrangement = arrange(design)
    row_index = arrangement.row_index
    assert len(row_index.part_start) - 1 == 9
    assert np.all(np.diff(row_index.part_start) > 0)
    top = next(k for k, group in enumerate(design.groups) if group.name == "g")
    assert sorted(part_of(arrangement, top)) == list(range(9))
    of_row = part_of(arrangement, top)[design.groups[top].index]
    for k, group in enumerate(design.groups):
        np.testing.assert_array_equal(part_of(arrangement, k)[group.index], of_row)


def test_a_crossed_design_is_one_part() -> None:
    row_index = arrange(designed("y ~ x + (1 | g) + (1 + x | h)", table())).row_index
    assert row_index.part_start.tolist() == [0, 9]
    assert row_index.col_start.tolist() == [0, 8]
    assert row_index.schur_at.tolist() == [0, 64]


def test_one_factor_has_a_part_for_each_level() -> None:
    row_index = arrange(designed("y ~ x + (1 + x | g)", table())).row_index
    assert row_index.part_start.tolist() == list(range(10))
    assert row_index.col_start.tolist() == [0] * 10


def test_parts_are_connected_components() -> None:
    # Schools r and s share pupils, t has pupils of its own; labels are interleaved, so that they are numbered anew.
    pupils = ["a", "b", "c", "d", "e", "a", "c", "e", "b", "d", "f", "f"]
    schools = ["s", "t", "s", "t", "s", "r", "r", "s", "t", "t", "t", "t"]
    data = pd.DataFrame({"y": [0, 1] * 6, "x": np.arange(12.0), "pupil": pupils, "school": schools})
    design = designed("y ~ x + (1 | pupil) + (1 | school)", data)
    arrangement = arrange(design)
    row_index = arrangement.row_index
    assert len(row_index.part_start) - 1 == 2
    pupil = dict(zip(design.groups[0].levels, part_of(arrangement, 0), strict=True))
    school = dict(zip(design.groups[1].levels, part_of(arrangement, 1), strict=True))
    assert pupil["a"] == pupil["c"] == pupil["e"] == school["r"] == school["s"]
    assert pupil["b"] == pupil["d"] == pupil["f"] == school["t"]
    assert pupil["a"] != pupil["b"]
    # Rows of a part stand together.
    one, other = (
        set(row_index.row_col[start:stop]) for start, stop in pairwise(row_index.row_start[row_index.part_start])
    )
    assert one.isdisjoint(other)


# ---- no random effects -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", ["y ~ x + z + offset(o)", "prop(y, m) ~ x"])
def test_a_design_without_random_effects(formula: str) -> None:
    design = designed(formula, table(coarse=False))
    arrangement = arrange(design)
    row_index = arrangement.row_index
    assert arrangement.factors == ()
    assert arrangement.positions == ()
    assert row_index.q.tolist() == [1]
    assert row_index.row_start.tolist() == [0, N]
    assert row_index.part_start.tolist() == [0, 1]
    np.testing.assert_array_equal(row_index.Z, 0.0)
    likelihood = LaplaceLikelihood(arrangement)
    beta = np.array([0.4, -0.7, 0.2])[: design.X.shape[1]]
    found = likelihood.evaluate(arrangement.triangular @ beta, np.zeros(1))
    eta = design.offset + design.X @ beta
    y, trials = design.outcome.y, design.outcome.trials
    assert found.converged
    assert found.value == pytest.approx(log_likelihood(y, trials, eta).sum(), rel=1e-13)
    slope = design.X.T @ (y - trials / (1 + np.exp(-eta)))
    assert arrangement.triangular.T @ found.dgamma == pytest.approx(slope, rel=1e-10)
    np.testing.assert_array_equal(found.dcholesky, 0.0)
    np.testing.assert_array_equal(likelihood.work.u, 0.0)


# ---- blocks by hand ----------------------------------------------------------------------------------------------

#: Three levels of g, two of h and of k; a stands beside (p, s) and (q, s), b beside (p, s), c beside (q, t).
CROSSED = pd.DataFrame(
    {
        "y": [0, 1, 1, 0, 1, 0],
        "x": [0.5, -1.0, 2.0, 0.25, 3.0, -0.75],
        "g": ["c", "a", "b", "a", "c", "b"],
        "h": ["q", "q", "p", "p", "q", "p"],
        "k": ["t", "s", "s", "s", "t", "s"],
    }
)


def test_blocks_of_one_effect_each() -> None:
    row_index = arrange(designed("y ~ x + (1 | g) + (1 | h) + (1 | k)", CROSSED)).row_index
    assert row_index.q.tolist() == [1, 1, 1]
    assert row_index.cholesky_at.tolist() == [0, 1, 2, 3]
    assert row_index.z_at.tolist() == [0, 1, 2]
    assert row_index.row_start.tolist() == [0, 2, 4, 6]  # a: rows with p and q; b: twice p; c: twice q
    assert row_index.part_start.tolist() == [0, 3]
    # Columns of the others: p, q, s, t.
    assert row_index.col_start.tolist() == [0, 4]
    assert row_index.row_col.reshape(2, 6).tolist() == [[0, 1, 0, 0, 1, 1], [2, 2, 2, 2, 3, 3]]
    assert row_index.other_factor.tolist() == [1, 1, 2, 2]
    assert row_index.other_col.tolist() == [0, 1, 2, 3]
    assert row_index.other_at.tolist() == [0, 1, 2, 3, 4]
    assert row_index.row_other.reshape(2, 6).tolist() == [[0, 1, 0, 0, 1, 1], [2, 2, 2, 2, 3, 3]]
    # Pairs: a with p, q, s; b with p, s; c with q, t.
    assert row_index.pair_start.tolist() == [0, 3, 5, 7]
    assert row_index.pair_factor.tolist() == [1, 1, 2, 1, 2, 1, 2]
    assert row_index.pair_first.tolist() == [0, 1, 2, 0, 1, 0, 1]
    assert row_index.matrix_at.tolist() == [0, 3, 5, 7]
    assert row_index.matrix_cols.tolist() == [0, 1, 2, 0, 2, 1, 3]
    assert row_index.row_pair.reshape(2, 6).tolist() == [[0, 1, 3, 3, 5, 5], [2, 2, 4, 4, 6, 6]]
    # Between h and k: p-s, q-s, q-t.
    assert row_index.cross_start.tolist() == [0, 3]
    assert row_index.cross_factors.tolist() == [[1, 1, 1], [2, 2, 2]]
    assert row_index.cross_cols.tolist() == [[0, 1, 1], [2, 2, 3]]
    assert row_index.cross_at.tolist() == [0, 1, 2, 3]
    assert row_index.row_cross.tolist() == [0, 1, 0, 0, 2, 2]


def test_blocks_of_several_effects() -> None:
    # g has 6 columns, h has 4, k has 2; h's effects come in columns 0-1 (p) and 2-3 (q), k's in 4 (s) and 5 (t).
    row_index = arrange(designed("y ~ x + (1 + x | g) + (1 + x | h) + (1 | k)", CROSSED)).row_index
    assert row_index.q.tolist() == [2, 2, 1]
    assert row_index.cholesky_at.tolist() == [0, 4, 8, 9]
    assert row_index.z_at.tolist() == [0, 2, 4]
    assert row_index.col_start.tolist() == [0, 6]
    assert row_index.schur_at.tolist() == [0, 36]
    assert row_index.other_col.tolist() == [0, 2, 4, 5]
    assert row_index.other_at.tolist() == [0, 4, 8, 9, 10]
    # a's matrix is 2 x 5 (p, p, q, q, s), b's and c's are 2 x 3.
    assert row_index.matrix_at.tolist() == [0, 10, 16, 22]
    assert row_index.pair_first.tolist() == [0, 2, 4, 0, 2, 0, 2]
    assert row_index.matrix_cols.tolist() == [0, 1, 2, 3, 4, 0, 1, 4, 2, 3, 5]
    assert row_index.row_pair.reshape(2, 6).tolist() == [[0, 2, 10, 10, 16, 16], [4, 4, 12, 12, 18, 18]]
    assert row_index.cross_at.tolist() == [0, 2, 4, 6]
    assert row_index.row_cross.tolist() == [0, 2, 0, 0, 4, 4]
    # Columns of Z stand one after the other: g's intercept and x, h's, k's.
    Z = row_index.Z.reshape(5, 6)
    np.testing.assert_array_equal(Z[[0, 2, 4]], 1.0)
    np.testing.assert_array_equal(Z[1], Z[3])
    assert [sorted(Z[1, rows]) for rows in level_rows(row_index)] == [[-1.0, 0.25], [-0.75, 2.0], [0.5, 3.0]]
    assert Z[1, 0] == 0.25  # a with p comes before a with q


def test_the_order_of_terms_does_not_decide_what_is_eliminated() -> None:
    design = designed("y ~ x + (1 | k) + (1 | h) + (1 | g)", CROSSED)
    arrangement = arrange(design)
    assert [design.groups[k].name for k in arrangement.factors] == ["g", "k", "h"]
    assert [places.ravel().tolist() for places in arrangement.positions] == [[3, 4], [5, 6], [0, 1, 2]]
