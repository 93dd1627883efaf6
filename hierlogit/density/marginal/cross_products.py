"""The cross-products ``Z'WZ`` of the random effects' columns by block, weighted by the rows, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import kernel
from ...numba_support.vectors import after, fill, view
from .work import Work

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@kernel
def _add_products(
    one: FloatArray, qa: int, other: FloatArray, qb: int, n: int, at: IntArray, weight: FloatArray, blocks: FloatArray
) -> None:
    """Add ``w z_a z_b'`` of every row to the block of the row."""
    for a in range(qa):
        za = view(one, a * n, a * n + len(at))
        for b in range(qb):
            zb, entry = view(other, b * n, b * n + len(at)), after(blocks, a * qb + b)
            for i in range(len(at)):
                entry[at[i]] += weight[i] * za[i] * zb[i]


@kernel
def sum_products(r: RowIndex, w: Work, parts: IntArray) -> None:
    """``Z'WZ`` by block for some parts."""
    _sum_pairs(r, w, parts)
    n, q, others = len(r.y), r.q[0], len(r.q) - 1
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            start, stop = r.row_start[j], r.row_start[j + 1]
            weight = view(w.weight, start, stop)
            for a in range(q):
                one = view(r.Z, a * n + start, a * n + stop)
                for b in range(a + 1):
                    other = view(r.Z, b * n + start, b * n + stop)
                    total = 0.0
                    for i in range(len(weight)):
                        total += weight[i] * one[i] * other[i]
                    w.products_first[j * q * q + a * q + b] = total
                    w.products_first[j * q * q + b * q + a] = total
        if not r.several_factors:
            continue
        fill(view(w.products_other, r.other_at[r.other_start[part]], r.other_at[r.other_start[part + 1]]), 0.0)
        fill(view(w.products_cross, r.cross_at[r.cross_start[part]], r.cross_at[r.cross_start[part + 1]]), 0.0)
        first, last = r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]
        weight = view(w.weight, first, last)
        k = 0
        for f in range(others):
            z, width = after(r.Z, r.z_at[f + 1] * n + first), r.q[f + 1]
            at = view(r.row_other, f * n + first, f * n + last)
            _add_products(z, width, z, width, n, at, weight, w.products_other)
            for g in range(f + 1, others):
                at, right = view(r.row_cross, k * n + first, k * n + last), after(r.Z, r.z_at[g + 1] * n + first)
                _add_products(z, width, right, r.q[g + 1], n, at, weight, w.products_cross)
                k += 1


@kernel
def _sum_pairs(r: RowIndex, w: Work, parts: IntArray) -> None:
    """The blocks of `sum_products` between levels of the eliminated factor and levels of the others."""
    if not r.several_factors:
        return
    n, q, others = len(r.y), r.q[0], len(r.q) - 1
    for part in parts:
        fill(view(w.products_pair, r.matrix_at[r.part_start[part]], r.matrix_at[r.part_start[part + 1]]), 0.0)
        for j in range(r.part_start[part], r.part_start[part + 1]):
            start, stop = r.row_start[j], r.row_start[j + 1]
            columns = (r.matrix_at[j + 1] - r.matrix_at[j]) // q
            weight = view(w.weight, start, stop)
            for f in range(others):
                at = view(r.row_pair, f * n + start, f * n + stop)
                for a in range(q):
                    one = view(r.Z, a * n + start, a * n + stop)
                    for b in range(r.q[f + 1]):
                        z = (r.z_at[f + 1] + b) * n
                        other, entry = view(r.Z, z + start, z + stop), after(w.products_pair, a * columns + b)
                        for i in range(len(weight)):
                            entry[at[i]] += weight[i] * one[i] * other[i]
