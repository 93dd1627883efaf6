"""What holds for every design: the compiled likelihoods equal dense algebra, and gradients are those of the values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hierlogit as hl
from hierlogit.binomial import log_likelihood
from hierlogit.density.marginal.effects_to_predictor import scale_effects
from hierlogit.density.marginal.evaluation import Evaluation
from hierlogit.density.marginal.fixed_effects import fixed_information
from hierlogit.density.marginal.gauss_hermite import QuadratureLikelihood
from hierlogit.density.marginal.laplace import LaplaceLikelihood
from hierlogit.density.marginal.selected_inverse import effect_variances
from hierlogit.design.arrangement import Arrangement, arrange
from hierlogit.design.design import Design

from .small_tables import EXPECTED_WARNINGS

pytestmark = EXPECTED_WARNINGS

ONE_FACTOR = ["(1 | g)", "(1 + x | g)", "(1 + x || g)", "(1 + x + z | g)"]
SEVERAL = [
    "(1 | g/h)",
    "(1 + x | g/h)",
    "(1 | g) + (1 | h)",
    "(1 + x | g) + (1 | h)",
    "(1 + x | g) + (1 + z | h)",
    "(1 | g) + (1 | h) + (1 | k)",
    "(1 + x | g) + (1 | h) + (0 + z | k)",
    "(1 | k/h) + (0 + x + z | g)",
]

#: How many times as many examples `--hypothesis-profile thorough` draws.
TIMES = 1 if settings.default.max_examples <= 100 else 20
few = settings(max_examples=25 * TIMES)


def each(structures: list[str], examples: int) -> Callable[[Any], Any]:
    """Some examples of every structure: `structure` is the test's first argument, `data` draws the rest of a case."""
    return lambda test: pytest.mark.parametrize("structure", structures)(
        settings(max_examples=examples * TIMES)(given(data=st.data())(test))
    )


@dataclass(frozen=True)
class Case:
    """A design, coefficients of its columns, and Cholesky factors of its grouping factors."""

    how: str
    formula: str = field(repr=False)
    frame: pd.DataFrame = field(repr=False)
    design: Design = field(repr=False)
    beta: np.ndarray = field(repr=False)
    cholesky: list[np.ndarray] = field(repr=False)

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(self.how)  # what Hypothesis shows of a case that fails

    @property
    def arrangement(self) -> Arrangement:
        return arrange(self.design)


def table(
    rng: np.random.Generator, n: int, sizes: tuple[int, int, int], trials: bool, coarse: bool, apart: bool
) -> pd.DataFrame:
    x, z = rng.normal(size=(2, n))
    if coarse:  # so that rows are alike and are collapsed
        x, z = np.sign(x), (z > 0.5).astype(float)
        x[:3], z[:6] = [0.0, 1.0, -1.0], [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    m = rng.integers(1, 7, n) if trials else np.ones(n, dtype=int)
    y = rng.binomial(m, 1 / (1 + np.exp(-rng.normal(0, 1.5, n))))
    y[:2] = [0, 1]
    g, h, k = (rng.permutation(np.arange(n) % size) for size in sizes)
    if apart:  # so that rows of different levels of k share no level of any factor
        g, h = g + 10 * k, h + 10 * k
    offset = rng.normal(0, 0.7, n).round(0 if coarse else 3)
    return pd.DataFrame({"y": y, "m": m, "x": x, "z": z, "o": offset, "g": g, "h": h, "k": k})


def case(formula: str, seed: int, *shape: Any, spread: float = 1.0, singular: bool = False) -> Case:
    """What the numbers make of it: `shape` are the arguments of `table`."""
    rng = np.random.default_rng(seed)
    frame = table(rng, *shape)
    design = hl.Model(formula, frame).design
    cholesky = []
    for group in design.groups:
        q = len(group.effects)
        L = np.tril(rng.normal(0, 0.5, (q, q))) + np.diag(rng.choice([-0.8, 0.8, 1.0], q))
        L *= spread
        if singular:
            L[-1, -1] = 0.0
        for members in group.sets:
            for a in members:
                L[a, [b for b in range(q) if b not in members]] = 0.0
        cholesky.append(L)
    how = f"case({formula!r}, {seed}, {', '.join(map(repr, shape))}, spread={spread}, singular={singular})"
    return Case(how, formula, frame, design, rng.normal(0, 0.5, design.X.shape[1]), cholesky)


@st.composite
def cases(draw: st.DrawFn, *structures: str) -> Case:
    sizes = (draw(st.integers(2, 9)), draw(st.integers(2, 7)), draw(st.integers(2, 4)))
    trials = draw(st.booleans())
    fixed = draw(st.sampled_from(["1", "x + z", "0 + x", "z + offset(o)", "x + offset(o)"]))
    return case(
        f"{'prop(y, m)' if trials else 'y'} ~ {fixed} + {draw(st.sampled_from(structures or (*ONE_FACTOR, *SEVERAL)))}",
        draw(st.integers(0, 10_000)),
        draw(st.integers(20, 60)),
        sizes,
        trials,
        draw(st.booleans()),
        draw(st.booleans()),
        spread=draw(st.sampled_from([0.2, 1.0, 2.5])),
        singular=draw(st.sampled_from([False, False, True])),
    )


#: With how many columns of other factors a part goes to LAPACK: none, some parts and not others, all of them.
larges = st.sampled_from([96, 5, 0])


def laplace(arrangement: Arrangement, large: int) -> LaplaceLikelihood:
    with patch("hierlogit.density.marginal.laplace.LARGE", large):
        return LaplaceLikelihood(arrangement)


def flat(arrangement: Arrangement, cholesky: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([cholesky[k].ravel() for k in arrangement.factors])


def lower(arrangement: Arrangement, cholesky: list[np.ndarray]) -> np.ndarray:
    """Which of the flat entries of the Cholesky factors stand in a lower triangle."""
    return np.concatenate([np.tri(len(cholesky[k]), dtype=bool).ravel() for k in arrangement.factors])


def evaluated(
    likelihood: LaplaceLikelihood | QuadratureLikelihood, gamma: np.ndarray, cholesky: np.ndarray
) -> Evaluation:
    """An evaluation with modes to all digits, where one alone stops at 1e-9 or so: one more step from close by."""
    likelihood.evaluate(gamma, cholesky)
    likelihood.work.u[:] += 1e-8
    found = likelihood.evaluate(gamma, cholesky)
    assert found.converged
    return found


# ---- the same by dense matrices ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dense:
    """Laplace's method by the book, in the user's order of rows and levels, nothing collapsed."""

    value: float
    u: np.ndarray
    A: np.ndarray
    H: np.ndarray
    weight: np.ndarray
    lambdas: np.ndarray
    first: list[int]  # column of the first level of each factor


def dense(example: Case) -> Dense:
    design = example.design
    y, trials = design.outcome.y, design.outcome.trials
    blocks, columns, first = [], 0, []
    for group, L in zip(design.groups, example.cholesky, strict=True):
        own = np.zeros((design.n_rows, len(group.levels), len(group.effects)))
        own[np.arange(design.n_rows), group.index] = group.Z
        blocks.append((own.reshape(design.n_rows, -1), np.kron(np.eye(len(group.levels)), L)))
        first.append(columns)
        columns += own.shape[1] * own.shape[2]
    Z = np.concatenate([Z for Z, _ in blocks], axis=1)
    lambdas = np.zeros((columns, columns))
    for start, (_, lambda_) in zip(first, blocks, strict=True):
        lambdas[start : start + len(lambda_), start : start + len(lambda_)] = lambda_
    A = Z @ lambdas
    fixed = design.offset + design.X @ example.beta

    def joint(u: np.ndarray) -> float:
        return float(log_likelihood(y, trials, fixed + A @ u).sum() - 0.5 * u @ u)

    u = np.zeros(columns)
    for _ in range(100):
        p = 1 / (1 + np.exp(-(fixed + A @ u)))
        weight = trials * p * (1 - p)
        H = np.eye(columns) + (A.T * weight) @ A
        slope = A.T @ (y - trials * p) - u
        step = np.linalg.solve(H, slope)
        if slope @ step < 1e-22:
            break
        while joint(u + step) < joint(u) - 1e-12 * abs(joint(u)):
            step = 0.5 * step
        u = u + step
    return Dense(joint(u) - 0.5 * np.linalg.slogdet(H)[1], u, A, H, weight, lambdas, first)


def levels_of(example: Case, reference: Dense) -> list[np.ndarray]:
    """Columns of the dense matrices, shape (J, q), for each factor."""
    return [
        first + np.arange(len(group.levels) * len(group.effects)).reshape(len(group.levels), -1)
        for first, group in zip(reference.first, example.design.groups, strict=True)
    ]


# ---- differences -------------------------------------------------------------------------------------------------


def gradient_of(value: Callable[[np.ndarray], float], at: np.ndarray, h: float = 0.004) -> np.ndarray:
    """Gradient by central differences of the eighth order."""
    found = np.zeros(len(at))
    for k, step in enumerate(h * np.eye(len(at))):
        for times, factor in ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280)):
            found[k] += factor * (value(at + times * step) - value(at - times * step)) / h
    return found


def check_gradient(likelihood: LaplaceLikelihood | QuadratureLikelihood, example: Case) -> None:
    arrangement = likelihood.arrangement
    cholesky, free = flat(arrangement, example.cholesky), lower(arrangement, example.cholesky)
    gamma = arrangement.triangular @ example.beta
    p = len(gamma)

    def value(psi: np.ndarray) -> float:
        moved = cholesky.copy()
        moved[free] = psi[p:]
        return evaluated(likelihood, psi[:p], moved).value

    expected = gradient_of(value, np.concatenate([gamma, cholesky[free]]))
    found = likelihood.evaluate(gamma, cholesky)
    assert found.converged
    gradient = np.concatenate([found.dgamma, found.dcholesky[free]])
    assert gradient == pytest.approx(expected, rel=1e-6, abs=1e-6 * max(1.0, np.abs(expected).max()))


# ---- Laplace's method --------------------------------------------------------------------------------------------


@each(ONE_FACTOR + SEVERAL, 7)
def test_gradient_is_that_of_the_value(structure: str, data: st.DataObject) -> None:
    example, large = data.draw(cases(structure)), data.draw(larges)
    check_gradient(laplace(example.arrangement, large), example)


@each(ONE_FACTOR + SEVERAL, 12)
def test_value_mode_and_variances_are_those_of_dense_algebra(structure: str, data: st.DataObject) -> None:
    example, large = data.draw(cases(structure)), data.draw(larges)
    arrangement, reference = example.arrangement, dense(example)
    likelihood = laplace(arrangement, large)
    gamma, cholesky = arrangement.triangular @ example.beta, flat(arrangement, example.cholesky)
    found, work, row_index = evaluated(likelihood, gamma, cholesky), likelihood.work, arrangement.row_index
    parts = np.arange(len(row_index.part_start) - 1)
    assert found.value == pytest.approx(reference.value, rel=1e-11, abs=1e-11)
    assert work.log_det.sum() == pytest.approx(np.linalg.slogdet(reference.H)[1], rel=1e-10, abs=1e-10)
    for positions, places in zip(arrangement.positions, levels_of(example, reference), strict=True):
        assert work.u[positions] == pytest.approx(reference.u[places], abs=1e-9)
        b = reference.lambdas[np.ix_(places.ravel(), places.ravel())] @ reference.u[places.ravel()]
        scale_effects(row_index, cholesky, parts, work.u, work.b)
        assert work.b[positions].ravel() == pytest.approx(b, abs=1e-9)
    check_variances(example, reference, arrangement, likelihood)


def check_variances(example: Case, reference: Dense, arrangement: Arrangement, likelihood: LaplaceLikelihood) -> None:
    """Variances of the effects after an evaluation are those of the dense inverse."""
    row_index, work = arrangement.row_index, likelihood.work
    covariance = reference.lambdas @ np.linalg.inv(reference.H) @ reference.lambdas.T
    all_variances = effect_variances(row_index, work)
    base = (len(row_index.row_start) - 1) * int(row_index.q[0])
    starts = {int(base + col): int(at) for col, at in zip(row_index.other_col, row_index.other_at[:-1], strict=True)}
    for k, places in enumerate(levels_of(example, reference)):
        q = places.shape[1]
        for place, position in zip(places, arrangement.positions[k], strict=True):
            if k == arrangement.factors[0]:
                block = work.inverse_first[position[0] * q : position[0] * q + q * q]
            else:
                at = starts[int(position[0])]
                block = work.inverse_other[at : at + q * q]
            expected = covariance[np.ix_(place, place)]
            assert block.reshape(q, q) == pytest.approx(expected, rel=1e-9, abs=1e-9)
            assert all_variances[position] == pytest.approx(np.diag(expected), rel=1e-9, abs=1e-9)


@few
@given(cases(), larges, st.booleans())
def test_information_is_the_dense_formula(example: Case, large: int, quadrature: bool) -> None:
    arrangement, reference = example.arrangement, dense(example)
    likelihood: LaplaceLikelihood | QuadratureLikelihood
    if quadrature and len(example.design.groups) == 1:
        likelihood = QuadratureLikelihood(arrangement, 3)
    else:
        likelihood = laplace(arrangement, large)
    evaluated(likelihood, arrangement.triangular @ example.beta, flat(arrangement, example.cholesky))
    basis = example.design.X @ np.linalg.inv(arrangement.triangular)
    weighted = basis * reference.weight[:, None]
    crossed = reference.A.T @ weighted
    expected = basis.T @ weighted - crossed.T @ np.linalg.solve(reference.H, crossed)
    assert fixed_information(likelihood) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@few
@given(cases(), st.integers(0, 100))
def test_order_of_rows_and_names_of_clusters_do_not_matter(example: Case, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = example.frame.iloc[rng.permutation(len(example.frame))].copy()
    for name in "ghk":
        names = rng.permutation([f"{name}{i}" for i in range(50)])
        frame[name] = names[frame[name]]
    other = replace(example, frame=frame, design=hl.Model(example.formula, frame).design)
    results = []
    for one in (example, other):
        arrangement = one.arrangement
        cholesky = flat(arrangement, one.cholesky)
        found = evaluated(LaplaceLikelihood(arrangement), arrangement.triangular @ one.beta, cholesky)
        by_factor = np.split(found.dcholesky, arrangement.row_index.cholesky_at[1:-1])
        ordered = [by_factor[arrangement.factors.index(k)] for k in range(len(by_factor))]
        results.append((found.value, np.concatenate([arrangement.triangular.T @ found.dgamma, *ordered])))
    (value, gradient), (again, slopes) = results
    assert again == pytest.approx(value, rel=1e-12, abs=1e-12)
    assert slopes == pytest.approx(gradient, rel=1e-10, abs=1e-10 * max(1.0, np.abs(gradient).max()))


@few
@given(cases(), larges, st.floats(-3, 3))
def test_an_evaluation_does_not_depend_on_those_before(example: Case, large: int, factor: float) -> None:
    arrangement = example.arrangement
    gamma, cholesky = arrangement.triangular @ example.beta, flat(arrangement, example.cholesky)
    fresh, used = laplace(arrangement, large), laplace(arrangement, large)
    for near in (factor, 1.001, 1.0 + 1e-5):
        used.evaluate(gamma - near, cholesky * near)
    one, other = fresh.evaluate(gamma, cholesky), used.evaluate(gamma, cholesky)
    assert other.value == pytest.approx(one.value, abs=1e-7)
    scale = max(1.0, np.abs(one.dcholesky).max())
    assert other.dgamma == pytest.approx(one.dgamma, abs=1e-6 * scale)
    assert other.dcholesky == pytest.approx(one.dcholesky, abs=1e-6 * scale)


# ---- quadrature --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [1, 2, 3, 7])
@each(ONE_FACTOR, 6)
def test_gradient_of_quadrature_is_that_of_the_value(nodes: int, structure: str, data: st.DataObject) -> None:
    example = data.draw(cases(structure))
    check_gradient(QuadratureLikelihood(example.arrangement, nodes), example)


@few
@given(cases(*ONE_FACTOR))
def test_one_node_is_laplaces_method(example: Case) -> None:
    arrangement = example.arrangement
    gamma, cholesky = arrangement.triangular @ example.beta, flat(arrangement, example.cholesky)
    free = lower(arrangement, example.cholesky)
    one = evaluated(QuadratureLikelihood(arrangement, 1), gamma, cholesky)
    other = evaluated(LaplaceLikelihood(arrangement), gamma, cholesky)
    assert one.value == pytest.approx(other.value, rel=1e-12, abs=1e-12)
    scale = max(1.0, np.abs(other.dcholesky[free]).max())
    assert one.dgamma == pytest.approx(other.dgamma, abs=1e-10 * scale)
    assert one.dcholesky[free] == pytest.approx(other.dcholesky[free], abs=1e-10 * scale)
