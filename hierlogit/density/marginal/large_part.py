"""A part of the data whose Schur complement is factorised by LAPACK."""

from __future__ import annotations

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


class LargePart:
    """A part whose Schur complement is large enough for LAPACK.

    The inverse is kept from one evaluation to the next: steps with it converge nearly as fast as Newton's and cost a
    fraction of a factorisation.
    """

    #: The matrix is factorised anew where a step with an old one leaves more than this share of the decrement.
    STALE = 0.2

    def __init__(self, row_index: RowIndex, part: int) -> None:
        self._part = np.array([part])
        self._size = int(row_index.col_start[part + 1] - row_index.col_start[part])
        first = int(first_columns(row_index) + row_index.col_start[part])
        self._columns = slice(first, first + self._size)
        self._dense = slice(int(row_index.schur_at[part]), int(row_index.schur_at[part + 1]))
        self._inverted = False

    def evaluate(self, r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray, dcholesky: FloatArray) -> None:
        """As `evaluate_parts`, for one part."""
        self._find_mode(r, w, cholesky, eta)
        self._invert(w)
        select_inverse(r, w, self._part)
        start_gradient(r, w, cholesky, self._part, dcholesky)
        self._solve(r, w)
        finish_gradient(r, w, cholesky, self._part, dcholesky)

    def _matrix(self, w: Work) -> FloatArray:
        return w.schur[self._dense].reshape(self._size, self._size)

    def _find_mode(self, r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray) -> None:
        part = self._part
        joint_log_density(r, w, cholesky, eta, part)
        current = False  # whether the factorisation is that of the current effects
        if not self._inverted:
            self.factorise(r, w, cholesky)
            current = True
        before = np.inf
        for step in range(MOST_STEPS):
            tolerance = TOLERANCE if step < MANY_STEPS else MODE_TOLERANCE
            mode_gradient(r, w, cholesky, part)
            self._solve(r, w)
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

    def factorise(self, r: RowIndex, w: Work, cholesky: FloatArray) -> None:
        """Assemble the Schur complement at the current effects and factorise it."""
        from scipy.linalg.lapack import dpotrf

        sum_products(r, w, self._part)
        eliminate(r, w, cholesky, self._part)
        # The lower triangle in C order is the upper one in Fortran's.
        matrix = self._matrix(w)
        dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
        w.log_det[self._part] += 2.0 * np.log(np.diag(matrix)).sum()
        self._inverted = False

    def _invert(self, w: Work) -> None:
        from scipy.linalg.lapack import dpotri

        matrix = self._matrix(w)
        dpotri(matrix.T, lower=0, overwrite_c=1)
        _mirror(matrix)
        self._inverted = True

    def _solve(self, r: RowIndex, w: Work) -> None:
        from scipy.linalg.lapack import dpotrs

        solve_first(r, w, self._part, w.step)
        rest, matrix = w.step[self._columns], self._matrix(w)
        rest[:] = matrix @ rest if self._inverted else dpotrs(matrix.T, rest, lower=0)[0]
        solve_last(r, w, self._part, w.step)


@exact_kernel
def _mirror(A: FloatArray) -> None:
    for i in range(len(A)):
        for j in range(i):
            A[j, i] = A[i, j]
