"""A large part of the data, whose H is factorised, or its inverse multiplied by, outside compiled code."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import exact_kernel
from .block_cholesky import eliminate, solve_first, solve_last
from .conditional_mode import MANY_STEPS, MOST_STEPS, TOLERANCE, ascend, joint_log_density, mode_gradient
from .cross_products import sum_products
from .effects_to_predictor import product
from .evaluation import MODE_TOLERANCE
from .laplace_gradient import finish_gradient, start_gradient
from .selected_inverse import select_inverse
from .work import Work, first_columns

FloatArray = npt.NDArray[np.float64]


class LargePart(ABC):
    """A part that is evaluated by itself.

    What solves with H is kept from one evaluation to the next: steps with an old matrix converge nearly as fast as
    Newton's and cost a fraction of a factorisation.

    Parameters
    ----------
    part : int

    Attributes
    ----------
    number : int
        Of the part.
    """

    #: The matrix is factorised anew where a step with an old one leaves more than this share of the decrement.
    STALE = 0.2

    def __init__(self, part: int) -> None:
        self.number, self._part = part, np.array([part])
        #: Whether the matrix of an earlier evaluation can still be solved with.
        self._solves = False

    @abstractmethod
    def factorise(self, r: RowIndex, w: Work, cholesky: FloatArray) -> None:
        """Factorise H at the current effects, or what stands for it in `solve`."""

    @abstractmethod
    def solve(self, r: RowIndex, w: Work, x: FloatArray) -> None:
        """``H^-1 x`` in place, for the effects of this part."""

    @abstractmethod
    def _invert(self, r: RowIndex, w: Work, cholesky: FloatArray) -> None:
        """Leave the blocks of ``H^-1`` that the gradient needs in the work arrays, and log|H|."""

    def evaluate(self, r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray, dcholesky: FloatArray) -> None:
        """As `evaluate_parts`, for one part."""
        self._find_mode(r, w, cholesky, eta)
        self._invert(r, w, cholesky)
        start_gradient(r, w, cholesky, self._part, dcholesky)
        self.solve(r, w, w.step)
        finish_gradient(r, w, cholesky, self._part, dcholesky)

    def _find_mode(self, r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray) -> None:
        part = self._part
        joint_log_density(r, w, cholesky, eta, part)
        current = False  # whether the factorisation is that of the current effects
        if not self._solves:
            self.factorise(r, w, cholesky)
            current = True
        before = np.inf
        for step in range(MOST_STEPS):
            tolerance = TOLERANCE if step < MANY_STEPS else MODE_TOLERANCE
            mode_gradient(r, w, cholesky, part)
            self.solve(r, w, w.step)
            decrement = w.decrement[part[0]] = product(r, part[0], w.gradient, w.step)
            done = not decrement > tolerance  # also where it is NaN
            if not current and (done or decrement > self.STALE * before):
                self.factorise(r, w, cholesky)
                current = True
                continue
            if done:
                return
            before = decrement
            ascend(r, w, cholesky, eta, part)
            current = False


class PartWithoutSchur(LargePart):
    """A part without a dense Schur complement in the work arrays.

    Parameters
    ----------
    part : int
    """

    @abstractmethod
    def correlate(self, x: FloatArray) -> None:
        """Turn standard normal numbers into a draw from ``N(0, H^-1)``, in place, for the effects of this part."""


class DensePart(LargePart):
    """A part whose Schur complement is factorised by LAPACK.

    Parameters
    ----------
    row_index : RowIndex
    part : int
    """

    def __init__(self, row_index: RowIndex, part: int) -> None:
        super().__init__(part)
        self._size = int(row_index.col_start[part + 1] - row_index.col_start[part])
        first = int(first_columns(row_index) + row_index.col_start[part])
        self._columns = slice(first, first + self._size)
        self._dense = slice(int(row_index.schur_at[part]), int(row_index.schur_at[part + 1]))

    def _matrix(self, w: Work) -> FloatArray:
        return w.schur[self._dense].reshape(self._size, self._size)

    def factorise(self, r: RowIndex, w: Work, cholesky: FloatArray) -> None:
        """Assemble the Schur complement at the current effects and factorise it."""
        from scipy.linalg.lapack import dpotrf

        sum_products(r, w, self._part)
        eliminate(r, w, cholesky, self._part)
        # The lower triangle in C order is the upper one in Fortran's.
        matrix = self._matrix(w)
        dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
        w.log_det[self._part] += 2.0 * np.log(np.diag(matrix)).sum()
        self._solves = False

    def _invert(self, r: RowIndex, w: Work, cholesky: FloatArray) -> None:  # noqa: ARG002
        from scipy.linalg.lapack import dpotri

        matrix = self._matrix(w)
        dpotri(matrix.T, lower=0, overwrite_c=1)
        _mirror(matrix)
        self._solves = True
        select_inverse(r, w, self._part)

    def solve(self, r: RowIndex, w: Work, x: FloatArray) -> None:
        """Solve with the Cholesky factor, or multiply by the inverse that took its place."""
        from scipy.linalg.lapack import dpotrs

        solve_first(r, w, self._part, x)
        rest, matrix = x[self._columns], self._matrix(w)
        rest[:] = matrix @ rest if self._solves else dpotrs(matrix.T, rest, lower=0)[0]
        solve_last(r, w, self._part, x)


@exact_kernel
def _mirror(A: FloatArray) -> None:
    for i in range(len(A)):
        for j in range(i):
            A[j, i] = A[i, j]
