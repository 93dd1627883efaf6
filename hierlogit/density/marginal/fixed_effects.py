"""The fixed effects in a marginal likelihood: ``X gamma``, its transpose, and the information about gamma."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ...design.arrangement import Arrangement, RowIndex
from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.vectors import add_column, copy, dot, view
from .block_cholesky import solve_first, solve_last
from .effects_to_predictor import sum_by_level, times_cholesky_transposed
from .selected_inverse import multiply_dense
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@kernel
def fixed_predictor(r: RowIndex, gamma: FloatArray, out: FloatArray) -> None:
    """Offset plus ``X gamma``."""
    n = len(out)
    copy(r.offset, out)
    for k in range(len(gamma)):
        add_column(view(r.X, k * n, (k + 1) * n), gamma[k], out)


@kernel
def columns_times(r: RowIndex, deta: FloatArray, out: FloatArray) -> None:
    """``X' deta``."""
    n = len(deta)
    for k in range(len(out)):
        out[k] = dot(view(r.X, k * n, (k + 1) * n), deta)


class Solver(Protocol):
    """A part that solves with its H."""

    number: int

    def solve(self, r: RowIndex, w: Work, x: FloatArray) -> None:
        """``H^-1 x`` in place."""
        ...


class Evaluated(Protocol):
    """A likelihood that has been evaluated, with the factorisation at its point."""

    arrangement: Arrangement
    work: Work
    cholesky: FloatArray

    @property
    def parts_without_schur(self) -> Sequence[Solver]:
        """The parts that have no dense Schur complement in the work arrays."""
        ...


def fixed_information(likelihood: Evaluated) -> FloatArray:
    """Information about the coefficients of the basis at the last evaluation, given the covariances, shape (p, p).

    ``X'WX - X'WA H^-1 A'WX``: what the normal equations of the penalised least squares leave when the random effects
    are eliminated (Bates et al. 2015, Journal of Statistical Software 67, section 5.2).
    """
    return information_and_modes(likelihood)[0]


def information_and_modes(likelihood: Evaluated) -> tuple[FloatArray, FloatArray]:
    """`fixed_information`, and by how much the conditional modes fall with each coefficient, shape (p, effects).

    The latter is ``X'WA H^-1``, to first order.
    """
    row_index, work = likelihood.arrangement.row_index, likelihood.work
    p = row_index.X.shape[1]
    weighted = row_index.X * work.weight[:, None]
    crossed, solved = np.empty((p, len(work.u))), np.empty((p, len(work.u)))
    special = likelihood.parts_without_schur
    inverted = np.setdiff1d(np.arange(len(row_index.part_start) - 1), [one.number for one in special])
    columns = weighted.ravel(order="F")
    cross_with_effects(row_index, work, likelihood.cholesky, columns, inverted, crossed.ravel(), solved.ravel())
    for one in special:
        for k in range(p):
            one.solve(row_index, work, solved[k])
    information: FloatArray = weighted.T @ row_index.X - crossed @ solved.T
    return information, solved


@exact_kernel
def cross_with_effects(
    r: RowIndex,
    w: Work,
    cholesky: FloatArray,
    weighted: FloatArray,
    inverted: IntArray,
    crossed: FloatArray,
    solved: FloatArray,
) -> None:
    """``A'`` times each column of `weighted`, and that times ``H^-1`` for the parts whose inverse is at hand.

    The columns follow one another in `weighted`, and so do their products in `crossed` and `solved`.
    """
    parts = np.arange(len(r.part_start) - 1)
    n, effects = len(r.y), len(w.u)
    for k in range(len(weighted) // n):
        sum_by_level(r, parts, view(weighted, k * n, (k + 1) * n), w.gradient)
        times_cholesky_transposed(r, cholesky, parts, w.gradient, w.step)
        copy(w.step, view(crossed, k * effects, (k + 1) * effects))
        solve_first(r, w, inverted, w.step)
        multiply_dense(r, w, inverted, w.step, w.gradient)
        solve_last(r, w, inverted, w.step)
        copy(w.step, view(solved, k * effects, (k + 1) * effects))
