"""The marginal likelihood by the Laplace approximation, and its exact gradient.

At the mode ``u`` of a part's joint log density, with ``H = I + A'WA`` (Tierney and Kadane 1986, Journal of the American
Statistical Association 81: 82-86):

    log L = l(u) - |u|^2 / 2 - log|H| / 2

`conditional_mode` finds u, `block_cholesky` factorises H, and `laplace_gradient` differentiates.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ...design.arrangement import Arrangement, RowIndex
from .block_cholesky import eliminate, factorise_dense
from .conditional_mode import find_modes
from .cross_products import sum_products
from .evaluation import MODE_TOLERANCE, Evaluation, sum_of_parts
from .fixed_effects import fixed_predictor
from .laplace_gradient import differentiate
from .large_part import DensePart, LargePart, PartWithoutSchur
from .large_part_choice import choose_parts_without_schur, refuse_beyond_memory, without_schur
from .work import Work, make_work

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Parts with more columns of the other factors than this are evaluated one by one, outside compiled code.
LARGE = 96


def evaluate_parts(
    r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray, parts: IntArray, dcholesky: FloatArray
) -> None:
    """Laplace approximation of some parts; of its gradient the rows' share is left in ``w.deta``.

    `dcholesky` has the derivative in the Cholesky factors of one part after the other, and is zero before.
    """
    # Two compiled functions: one that called both would hold another copy of each, and take as long to compile.
    find_modes(r, w, cholesky, eta, parts)
    differentiate(r, w, cholesky, parts, dcholesky)


class LaplaceLikelihood:
    """Marginal log-likelihood by the Laplace approximation, with its gradient.

    Each evaluation starts from the modes of the one before it. Not to be used by two threads at a time.

    Parameters
    ----------
    arrangement : Arrangement

    Attributes
    ----------
    arrangement : Arrangement
    work : Work
    cholesky : ndarray
        Flat Cholesky factors of the last evaluation.
    dcholesky : ndarray, shape (parts, entries)
        Derivative of each part's log-likelihood in them.
    """

    def __init__(self, arrangement: Arrangement) -> None:
        sizes = np.diff(arrangement.row_index.col_start)
        special = choose_parts_without_schur(arrangement.row_index)
        row_index = without_schur(arrangement.row_index, special)
        refuse_beyond_memory(row_index)
        self.arrangement = replace(arrangement, row_index=row_index) if special else arrangement
        self.work = make_work(row_index)
        self.cholesky = np.zeros(int(row_index.cholesky_at[-1]))
        self.dcholesky = np.zeros((len(row_index.part_start) - 1, len(self.cholesky)))
        self._eta = np.empty(len(row_index.y))
        self._small = np.flatnonzero(sizes <= LARGE)
        self._large: list[LargePart] = [
            special[part] if part in special else DensePart(row_index, part)
            for part in np.flatnonzero(sizes > LARGE).tolist()
        ]

    @property
    def has_large_parts(self) -> bool:
        """Whether some parts are not evaluated by compiled code alone."""
        return bool(self._large)

    @property
    def parts_without_schur(self) -> list[PartWithoutSchur]:
        """The parts that have no dense Schur complement in the work arrays."""
        return [part for part in self._large if isinstance(part, PartWithoutSchur)]

    @property
    def values(self) -> FloatArray:
        """Log-likelihood of each part at the last evaluation, without binomial coefficients."""
        return self.work.log_joint - 0.5 * self.work.log_det

    def evaluate(self, gamma: FloatArray, cholesky: FloatArray) -> Evaluation:
        """Log-likelihood and gradient at coefficients of the basis and flat Cholesky factors."""
        row_index, work = self.arrangement.row_index, self.work
        if not np.all(np.isfinite(work.u)):
            work.u[:] = 0.0
        self.cholesky = cholesky
        fixed_predictor(row_index, gamma, self._eta)
        self.dcholesky[:] = 0.0
        dcholesky = self.dcholesky.ravel()
        if len(self._small):
            evaluate_parts(row_index, work, cholesky, self._eta, self._small, dcholesky)
        for part in self._large:
            part.evaluate(row_index, work, cholesky, self._eta, dcholesky)
        converged = bool(work.decrement.max() <= MODE_TOLERANCE)
        return sum_of_parts(self.arrangement, self.values, work.deta, self.dcholesky, converged=converged)

    def factorise(self) -> None:
        """Leave the Cholesky factors of the last evaluation's H in the work arrays, in place of its inverse."""
        row_index, work = self.arrangement.row_index, self.work
        sum_products(row_index, work, self._small)
        eliminate(row_index, work, self.cholesky, self._small)
        factorise_dense(row_index, work, self._small)
        for part in self._large:
            part.factorise(row_index, work, self.cholesky)
