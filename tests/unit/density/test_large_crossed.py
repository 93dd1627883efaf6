"""Large crossed factors: the sparse factorisation and the iterative solver against dense matrices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.sparse import coo_array

import hierlogit as hl
from hierlogit.density.marginal import large_part_choice
from hierlogit.density.marginal.fixed_effects import information_and_modes
from hierlogit.density.marginal.iterative_part import PROBES, IterativePart
from hierlogit.density.marginal.laplace import LaplaceLikelihood
from hierlogit.density.marginal.large_part import DensePart
from hierlogit.density.marginal.minimum_degree import minimum_degree
from hierlogit.density.marginal.overdispersed_laplace import laplace_likelihood
from hierlogit.density.marginal.selected_inverse import effect_variances
from hierlogit.density.marginal.sparse_cholesky import (
    factorise_fronts,
    invert_fronts,
    make_scratch,
    solve_lower_fronts,
    solve_upper_fronts,
)
from hierlogit.density.marginal.sparse_fronts import structure
from hierlogit.density.marginal.sparse_part import SparsePart
from hierlogit.design.arrangement import Arrangement
from hierlogit.engines.nuts.adaptation_start import around_the_mode
from hierlogit.errors import EngineError

FloatArray = npt.NDArray[np.float64]
FORMULA = "y ~ x + (1 | a) + (1 + x | b) + (1 | c)"
GAMMA = np.array([-0.4, 0.3])


def crossed(*, nested: bool, n: int = 3000, sizes: tuple[int, int, int] = (400, 90, 70)) -> pd.DataFrame:
    """Rows of three crossed factors: neighbours of each other, or at random."""
    rng = np.random.default_rng(3)
    a = rng.integers(0, sizes[0], n)
    if nested:
        b = (a * sizes[1] // sizes[0] + rng.integers(-1, 2, n)) % sizes[1]
        c = (b * sizes[2] // sizes[1] + rng.integers(-1, 2, n)) % sizes[2]
    else:
        b, c = (rng.integers(0, size, n) for size in sizes[1:])
    x = rng.standard_normal(n)
    effects = (rng.standard_normal(size) for size in sizes)
    eta = 0.3 * x - 0.5 + sum(sd * e[of] for sd, e, of in zip((1.0, 0.7, 0.5), effects, (a, b, c), strict=True))
    return pd.DataFrame({"y": (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))) * 1, "x": x, "a": a, "b": b, "c": c})


@pytest.fixture(scope="module")
def arrangements() -> dict[bool, Arrangement]:
    return {nested: hl.Model(FORMULA, crossed(nested=nested)).arrangement for nested in (True, False)}


def flat_cholesky(arrangement: Arrangement) -> FloatArray:
    factors = [np.tril(np.full((q, q), 0.2)) + 0.5 * np.eye(q) for q in arrangement.row_index.q.tolist()]
    return np.concatenate([factor.ravel() for factor in factors])


def likelihood(
    monkeypatch: pytest.MonkeyPatch, arrangement: Arrangement, kind: type[DensePart | SparsePart | IterativePart]
) -> LaplaceLikelihood:
    """Laplace's method whose only part is of that kind."""
    monkeypatch.setattr(large_part_choice, "DENSE", 10**9 if kind is DensePart else 10)
    monkeypatch.setattr(large_part_choice, "SPARSE_COST", 1e-9 if kind is SparsePart else 2.0)
    monkeypatch.setattr(large_part_choice, "MOST_OPERATIONS", 1.0 if kind is IterativePart else 1e15)
    made = LaplaceLikelihood(arrangement)
    assert [type(part) for part in made._large] == [kind]
    return made


def evaluated(made: LaplaceLikelihood, cholesky: FloatArray) -> dict[str, FloatArray]:
    made.evaluate(GAMMA + 0.1, cholesky)  # so that the next search for the mode starts with an old factorisation
    found = made.evaluate(GAMMA, cholesky)
    information, solved = information_and_modes(made)
    return {
        "value": np.array(found.value),
        "dgamma": found.dgamma,
        "dcholesky": found.dcholesky,
        "information": information,
        "solved": solved,
        "modes": made.work.u.copy(),
        "variances": effect_variances(made.arrangement.row_index, made.work),
    }


def assert_estimates(
    made: LaplaceLikelihood, cholesky: FloatArray, exact: dict[str, FloatArray], largest_error: float
) -> None:
    """Values of the iterative form are the exact ones, as far as their standard errors allow."""
    found = evaluated(made, cholesky)
    for name in ("modes", "information", "solved"):
        np.testing.assert_allclose(found[name], exact[name], rtol=1e-6, atol=1e-8, err_msg=name)
    (part,) = made.parts_without_schur
    assert isinstance(part, IterativePart)
    error = 0.5 * float(part.log_dets.std(ddof=1)) / np.sqrt(PROBES)
    assert error < largest_error
    assert abs(found["value"] - exact["value"]) < 4 * error
    np.testing.assert_allclose(found["variances"], exact["variances"], rtol=0.3)
    # The gradient by sets of the vectors varies around the exact one.
    gradients = []
    for k in range(4):
        part.use_probes(slice(k, None, 4))
        gradients.append(made.evaluate(GAMMA, cholesky).dcholesky)
    spread = np.std(gradients, axis=0, ddof=1) / 2.0
    assert np.all(np.abs(np.mean(gradients, axis=0) - exact["dcholesky"]) < 6 * spread + 1e-6)
    np.testing.assert_allclose(np.mean(gradients, axis=0), found["dcholesky"], rtol=1e-6, atol=1e-6)


# ---- the matrix alone --------------------------------------------------------------------------------------------


def sparse_matrix(kind: str) -> FloatArray:
    rng = np.random.default_rng(5)
    if kind == "one front":  # wider than a panel of columns, and taller than a block of rows
        A: FloatArray = rng.standard_normal((220, 220)) / 20
    elif kind == "many fronts":
        A = np.zeros((300, 300))
        A[rng.integers(0, 300, 400), rng.integers(0, 300, 400)] = rng.standard_normal(400)
    else:  # cliques that share a few columns
        A = np.kron(np.eye(5), rng.standard_normal((40, 40)) / 5)
        A[:, :6] += rng.standard_normal((200, 6)) / 5
    product: FloatArray = A.T @ A + 2.0 * np.eye(len(A))
    return product


@pytest.mark.parametrize("kind", ["one front", "many fronts", "cliques"])
def test_sparse_factorisation_solves_and_inverts(kind: str) -> None:
    A = sparse_matrix(kind)
    rows, columns = np.nonzero(np.tril(A))
    graph = coo_array(A - np.diag(np.diag(A))).tocsr()
    begins, neighbours = graph.indptr.astype(np.int64), graph.indices.astype(np.int64)
    order = minimum_degree(begins, neighbours, np.ones(len(A), dtype=np.int64), 1e15)
    assert order is not None
    found = structure(rows, columns, order)
    fronts, scratch, count = found.fronts, make_scratch(found), len(found.fronts.child)
    values, factor = A[rows, columns], np.zeros(int(found.fronts.factor_at[-1]))
    first, top = factorise_fronts(fronts, 0, count // 2, values, factor, 0, scratch)
    second, top = factorise_fronts(fronts, count // 2, count, values, factor, top, scratch)
    assert first + second == pytest.approx(np.linalg.slogdet(A)[1], rel=1e-12)

    x = np.random.default_rng(1).standard_normal(len(A))
    part = x[found.order]
    solve_lower_fronts(fronts, factor, part)
    assert part @ part == pytest.approx(x @ np.linalg.solve(A, x), rel=1e-10)
    solve_upper_fronts(fronts, factor, part)
    np.testing.assert_allclose(part, np.linalg.solve(A, x)[found.order], atol=1e-10)

    top = invert_fronts(fronts, count // 2, count, factor, values, 0, scratch)
    invert_fronts(fronts, 0, count // 2, factor, values, top, scratch)
    np.testing.assert_allclose(values, np.linalg.inv(A)[rows, columns], atol=1e-12)


def test_minimum_degree_leaves_hubs_to_the_end() -> None:
    # Two hubs next to each of 50 vertices: eliminated first, either would fill the matrix.
    n = 52
    spokes = np.arange(2, n)
    neighbours = np.concatenate([spokes, spokes, np.tile([0, 1], n - 2)]).astype(np.int64)
    begins = np.concatenate([[0, n - 2], 2 * (n - 2) + 2 * np.arange(n - 1)]).astype(np.int64)
    order = minimum_degree(begins, neighbours, np.ones(n, dtype=np.int64), 1e9)
    assert order is not None
    assert sorted(order.tolist()) == list(range(n))
    # Columns of three entries, and the last two. At the end a hub has no more neighbours than others have.
    least = 50 * 3**2 + 2**2 + 1
    assert minimum_degree(begins, neighbours, np.ones(n, dtype=np.int64), 1.05 * least) is not None
    assert minimum_degree(begins, neighbours, np.ones(n, dtype=np.int64), 0.99 * least) is None


# ---- the likelihood ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nested", [True, False])
def test_sparse_likelihood_is_that_of_dense_matrices(
    monkeypatch: pytest.MonkeyPatch, arrangements: dict[bool, Arrangement], nested: bool
) -> None:
    arrangement = arrangements[nested]
    cholesky = flat_cholesky(arrangement)
    dense = evaluated(likelihood(monkeypatch, arrangement, DensePart), cholesky)
    sparse = evaluated(likelihood(monkeypatch, arrangement, SparsePart), cholesky)
    for name, expected in dense.items():
        np.testing.assert_allclose(sparse[name], expected, rtol=1e-9, atol=1e-10, err_msg=name)


def test_iterative_likelihood_estimates_that_of_dense_matrices(
    monkeypatch: pytest.MonkeyPatch, arrangements: dict[bool, Arrangement]
) -> None:
    arrangement = arrangements[False]
    cholesky = flat_cholesky(arrangement)
    dense = evaluated(likelihood(monkeypatch, arrangement, DensePart), cholesky)
    # 0.12; without the known terms of the series, the standard error is 0.77.
    assert_estimates(likelihood(monkeypatch, arrangement, IterativePart), cholesky, dense, 0.2)


def test_thousands_of_levels_have_the_same_likelihood_in_both_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    data = crossed(nested=True, n=30_000, sizes=(2400, 2000, 1800))
    arrangement = hl.Model("y ~ x + (1 | a) + (1 | b) + (1 | c)", data).arrangement
    cholesky = np.array([1.0, 0.7, 0.5])
    factorised = likelihood(monkeypatch, arrangement, SparsePart)
    exact = evaluated(factorised, cholesky)

    def slope(towards_gamma: FloatArray, towards_cholesky: FloatArray) -> float:
        ahead, behind = (
            float(factorised.evaluate(GAMMA + step * towards_gamma, cholesky + step * towards_cholesky).value)
            for step in (1e-4, -1e-4)
        )
        return (ahead - behind) / 2e-4

    slopes = [slope(one[:2], one[2:]) for one in np.eye(5)]
    np.testing.assert_allclose(np.concatenate([exact["dgamma"], exact["dcholesky"]]), slopes, rtol=1e-5, atol=1e-4)
    assert_estimates(likelihood(monkeypatch, arrangement, IterativePart), cholesky, exact, 1.5)


@pytest.mark.parametrize("kind", [SparsePart, IterativePart])
def test_draws_have_the_covariance_of_the_effects(
    monkeypatch: pytest.MonkeyPatch, arrangements: dict[bool, Arrangement], kind: type[SparsePart | IterativePart]
) -> None:
    made = likelihood(monkeypatch, arrangements[True], kind)
    made.evaluate(GAMMA, flat_cholesky(made.arrangement))
    made.factorise()
    (part,) = made.parts_without_schur
    rng, n = np.random.default_rng(1), len(made.work.u)
    for _ in range(3):
        right = rng.standard_normal(n)
        solved = right.copy()
        part.solve(made.arrangement.row_index, made.work, solved)
        drawn = np.empty(400)
        for k in range(400):
            noise = rng.standard_normal(n)
            part.correlate(noise)
            drawn[k] = noise @ right
        # The variance of x'u is x'H^-1 x.
        assert drawn.var() == pytest.approx(right @ solved, rel=0.3)


def test_fit_without_dense_matrices_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = crossed(nested=True)
    dense = hl.Model("y ~ x + (1 | a) + (1 | b) + (1 | c)", data).fit(hl.Laplace(seed=1))
    monkeypatch.setattr(large_part_choice, "DENSE", 10)
    sparse = hl.Model("y ~ x + (1 | a) + (1 | b) + (1 | c)", data).fit(hl.Laplace(seed=1))
    one, other = dense.estimate, sparse.estimate
    assert one is not None
    assert other is not None
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-3)
    for name in "abc":
        np.testing.assert_allclose(other.modes[name], one.modes[name], atol=1e-5)
        np.testing.assert_allclose(other.conditional_sds[name], one.conditional_sds[name], atol=1e-6)
        drawn = sparse.posterior[f"b_{name}"].to_numpy()[0, :, :, 0]
        # The mean and sd of 1,000 draws, of hundreds of effects.
        off = (drawn.mean(axis=0) - one.modes[name][:, 0]) / one.conditional_sds[name][:, 0]
        assert np.abs(off).max() < 5 / np.sqrt(1000) * 1.3
        np.testing.assert_allclose(drawn.std(axis=0), one.conditional_sds[name][:, 0], rtol=0.2)


def test_random_vectors_are_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_part_choice, "DENSE", 10)
    monkeypatch.setattr(large_part_choice, "MOST_OPERATIONS", 1.0)
    fit = hl.Model("y ~ x + (1 | a) + (1 | b) + (1 | c)", crossed(nested=False)).fit(hl.Laplace(draws=100, seed=1))
    (found,) = [one for one in fit.diagnostics.findings if one.code == "estimated_determinant"]
    assert "16 random vectors" in found.evidence
    assert fit.diagnostics.status == "converged"


def test_sampler_starts_with_the_same_geometry_but_for_the_coupling(monkeypatch: pytest.MonkeyPatch) -> None:
    model = hl.Model(FORMULA, crossed(nested=True))
    dense = around_the_mode(model)
    monkeypatch.setattr(large_part_choice, "DENSE", 10)
    sparse = around_the_mode(model)
    assert len(dense.coupling.stretch) > 0
    assert len(sparse.coupling.stretch) == 0
    np.testing.assert_allclose(sparse.coupling.by_fixed, dense.coupling.by_fixed, atol=1e-6)
    np.testing.assert_allclose(sparse.gamma_scale, dense.gamma_scale, atol=1e-6)


# ---- what is chosen, and memory ----------------------------------------------------------------------------------


def test_factors_of_usual_size_are_dense(arrangements: dict[bool, Arrangement]) -> None:
    assert large_part_choice.choose_parts_without_schur(arrangements[True].row_index) == {}


@pytest.mark.parametrize(("most", "kind"), [(1e15, SparsePart), (1.0, IterativePart)])
def test_kind_follows_from_operations(
    monkeypatch: pytest.MonkeyPatch, arrangements: dict[bool, Arrangement], most: float, kind: type
) -> None:
    monkeypatch.setattr(large_part_choice, "DENSE", 10)
    monkeypatch.setattr(large_part_choice, "MOST_OPERATIONS", most)
    (chosen,) = large_part_choice.choose_parts_without_schur(arrangements[True].row_index).values()
    assert type(chosen) is kind


def test_memory_is_refused_before_it_is_taken(
    monkeypatch: pytest.MonkeyPatch, arrangements: dict[bool, Arrangement]
) -> None:
    monkeypatch.setattr(large_part_choice, "memory", lambda: 10**5)
    with pytest.raises(EngineError, match=r"need about 0\.\d+ GB of memory, and this machine has 0\.0001 GB"):
        laplace_likelihood(arrangements[False])
