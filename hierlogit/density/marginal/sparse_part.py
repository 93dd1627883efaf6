"""A large part of the data whose H stays sparse when it is factorised."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from .cross_products import sum_products
from .hessian import PartEntries, hessian_values, keep_inverse
from .large_part import PartWithoutSchur
from .sparse_cholesky import factorise_fronts, invert_fronts, make_scratch, solve_lower_fronts, solve_upper_fronts
from .sparse_fronts import Structure
from .work import Work

FloatArray = npt.NDArray[np.float64]

#: Operations after which compiled code returns, so that an interruption takes effect.
AT_ONCE = 2e10


class SparsePart(PartWithoutSchur):
    """A part whose H is factorised as a sparse matrix, all factors together.

    Parameters
    ----------
    part : int
    entries : PartEntries
    structure : Structure
    """

    def __init__(self, part: int, entries: PartEntries, structure: Structure) -> None:
        super().__init__(part)
        self._entries, self._structure = entries, structure
        self._columns = entries.columns[structure.order]
        self._values = np.zeros(len(entries.row))
        self._factor = np.zeros(int(structure.fronts.factor_at[-1]))
        self._scratch = make_scratch(structure)
        total = np.cumsum(structure.operations)
        stops = np.searchsorted(total, np.arange(AT_ONCE, total[-1], AT_ONCE), side="right")
        self._runs = list(pairwise(np.unique([0, *stops, len(total)]).tolist()))

    def factorise(self, r: RowIndex, w: Work, cholesky: FloatArray) -> None:
        """Factorise H at the current effects."""
        sum_products(r, w, self._part)
        hessian_values(r, w, cholesky, self._part[0], self._values)
        self._solves = False
        log_det, top, fronts = 0.0, 0, self._structure.fronts
        for begin, end in self._runs:
            pivots, top = factorise_fronts(fronts, begin, end, self._values, self._factor, top, self._scratch)
            log_det += pivots
        w.log_det[self._part] = log_det
        self._solves = True

    def solve(self, r: RowIndex, w: Work, x: FloatArray) -> None:  # noqa: ARG002
        """Solve with the Cholesky factor."""
        part = x[self._columns]
        solve_lower_fronts(self._structure.fronts, self._factor, part)
        solve_upper_fronts(self._structure.fronts, self._factor, part)
        x[self._columns] = part

    def correlate(self, x: FloatArray) -> None:
        """Turn standard normal numbers into a draw from ``N(0, H^-1)``, in place."""
        part = x[self._columns]
        solve_upper_fronts(self._structure.fronts, self._factor, part)
        x[self._columns] = part

    def _invert(self, r: RowIndex, w: Work, cholesky: FloatArray) -> None:  # noqa: ARG002
        top, fronts = 0, self._structure.fronts
        for begin, end in reversed(self._runs):
            top = invert_fronts(fronts, begin, end, self._factor, self._values, top, self._scratch)
        keep_inverse(w, self._entries, self._values)
