"""Products of standardised effects, ``b = L u`` and ``Z b``, and their transposes, level by level, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import kernel
from ...numba_support.vectors import after, fill, view
from .work import first_columns

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@kernel
def _lower_times(L: FloatArray, q: int, u: FloatArray, b: FloatArray) -> None:
    for a in range(q):
        total = 0.0
        for c in range(a + 1):
            total += L[a * q + c] * u[c]
        b[a] = total


@kernel
def scale_effects(r: RowIndex, cholesky: FloatArray, parts: IntArray, u: FloatArray, b: FloatArray) -> None:
    """``b = L u`` for the levels of some parts."""
    q, base = r.q[0], first_columns(r)
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            _lower_times(cholesky, q, view(u, j * q, (j + 1) * q), view(b, j * q, (j + 1) * q))
        if r.several_factors:
            for k in range(r.other_start[part], r.other_start[part + 1]):
                t, at = r.other_factor[k], base + r.other_col[k]
                L = after(cholesky, r.cholesky_at[t])
                _lower_times(L, r.q[t], view(u, at, at + r.q[t]), view(b, at, at + r.q[t]))


@kernel
def _lower_transposed_times(L: FloatArray, q: int, x: FloatArray, out: FloatArray) -> None:
    for a in range(q):
        total = 0.0
        for c in range(a, q):
            total += L[c * q + a] * x[c]
        out[a] = total


@kernel
def times_cholesky_transposed(
    r: RowIndex, cholesky: FloatArray, parts: IntArray, x: FloatArray, out: FloatArray
) -> None:
    """``out = L' x`` for the levels of some parts."""
    q, base = r.q[0], first_columns(r)
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            _lower_transposed_times(cholesky, q, view(x, j * q, (j + 1) * q), view(out, j * q, (j + 1) * q))
        if r.several_factors:
            for k in range(r.other_start[part], r.other_start[part + 1]):
                t, at = r.other_factor[k], base + r.other_col[k]
                L = after(cholesky, r.cholesky_at[t])
                _lower_transposed_times(L, r.q[t], view(x, at, at + r.q[t]), view(out, at, at + r.q[t]))


@kernel
def add_effects(r: RowIndex, parts: IntArray, b: FloatArray, eta: FloatArray) -> None:
    """Add ``Z b`` to `eta` for the rows of some parts."""
    n, q, base = len(r.y), r.q[0], first_columns(r)
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            start, stop = r.row_start[j], r.row_start[j + 1]
            segment = view(eta, start, stop)
            for a in range(q):
                effect, z = b[j * q + a], view(r.Z, a * n + start, a * n + stop)
                for i in range(len(segment)):
                    segment[i] += z[i] * effect
        if r.several_factors:
            first, last = r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]
            segment = view(eta, first, last)
            for f in range(len(r.q) - 1):
                column = view(r.row_col, f * n + first, f * n + last)
                for a in range(r.q[f + 1]):
                    at, effects = (r.z_at[f + 1] + a) * n, after(b, base + a)
                    z = view(r.Z, at + first, at + last)
                    for i in range(len(segment)):
                        segment[i] += z[i] * effects[column[i]]


@kernel
def sum_by_level(r: RowIndex, parts: IntArray, values: FloatArray, out: FloatArray) -> None:
    """``out = Z' values`` by level, for the rows and levels of some parts."""
    n, q, base = len(r.y), r.q[0], first_columns(r)
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            start, stop = r.row_start[j], r.row_start[j + 1]
            v = view(values, start, stop)
            for a in range(q):
                z = view(r.Z, a * n + start, a * n + stop)
                total = 0.0
                for i in range(len(v)):
                    total += z[i] * v[i]
                out[j * q + a] = total
        if r.several_factors:
            fill(view(out, base + r.col_start[part], base + r.col_start[part + 1]), 0.0)
            first, last = r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]
            v = view(values, first, last)
            for f in range(len(r.q) - 1):
                column = view(r.row_col, f * n + first, f * n + last)
                for a in range(r.q[f + 1]):
                    at, sums = (r.z_at[f + 1] + a) * n, after(out, base + a)
                    z = view(r.Z, at + first, at + last)
                    for i in range(len(v)):
                        sums[column[i]] += z[i] * v[i]


@kernel
def product(r: RowIndex, part: int, x: FloatArray, y: FloatArray) -> float:
    """Inner product of two vectors of effects over the levels of one part."""
    total = 0.0
    q, base = r.q[0], first_columns(r)
    for c in range(r.part_start[part] * q, r.part_start[part + 1] * q):
        total += x[c] * y[c]
    for c in range(base + r.col_start[part], base + r.col_start[part + 1]):
        total += x[c] * y[c]
    return total


@kernel
def move(r: RowIndex, part: int, factor: float, x: FloatArray, out: FloatArray) -> None:
    """``out += factor * x`` over the levels of one part."""
    q, base = r.q[0], first_columns(r)
    for c in range(r.part_start[part] * q, r.part_start[part + 1] * q):
        out[c] += factor * x[c]
    for c in range(base + r.col_start[part], base + r.col_start[part + 1]):
        out[c] += factor * x[c]
