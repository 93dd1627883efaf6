"""Products with the design matrices, ``X gamma`` and ``Z b``, and their transposes, compiled.

Columns are handled several at a time, so that predictors and residuals are read and written once for all of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.vectors import window

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Columns handled at a time.
TOGETHER = 4
#: Rows per level, on average, below which the loop runs over all rows: loops over one level's rows would be too short.
SHORT = 5


@kernel
def _add_four(
    c0: FloatArray,
    c1: FloatArray,
    c2: FloatArray,
    c3: FloatArray,
    f0: float,
    f1: float,
    f2: float,
    f3: float,
    out: FloatArray,
) -> None:
    for i in range(len(out)):
        out[i] += f0 * c0[i] + f1 * c1[i] + f2 * c2[i] + f3 * c3[i]


@kernel
def _dot_four(
    c0: FloatArray, c1: FloatArray, c2: FloatArray, c3: FloatArray, values: FloatArray
) -> tuple[float, float, float, float]:
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    for i in range(len(values)):
        v = values[i]
        s0 += c0[i] * v
        s1 += c1[i] * v
        s2 += c2[i] * v
        s3 += c3[i] * v
    return s0, s1, s2, s3


@kernel
def add_columns(
    columns: FloatArray, stride: int, first: int, factors: FloatArray, sign: float, out: FloatArray
) -> None:
    """``out[i] += sign * factors[c] * columns[c * stride + first + i]``, summed over c."""
    last, count = len(factors) - 1, len(out)
    for c in range(0, len(factors), TOGETHER):
        # If fewer are left, the last one is repeated with a factor of zero.
        d1, d2, d3 = min(c + 1, last), min(c + 2, last), min(c + 3, last)
        _add_four(
            window(columns, c * stride + first, count),
            window(columns, d1 * stride + first, count),
            window(columns, d2 * stride + first, count),
            window(columns, d3 * stride + first, count),
            sign * factors[c],
            sign * factors[d1] if d1 == c + 1 else 0.0,
            sign * factors[d2] if d2 == c + 2 else 0.0,
            sign * factors[d3] if d3 == c + 3 else 0.0,
            out,
        )


@kernel
def dot_columns(columns: FloatArray, stride: int, first: int, values: FloatArray, sign: float, out: FloatArray) -> None:
    """``out[c] += sign * columns[c * stride + first + i] * values[i]``, summed over i."""
    last, count = len(out) - 1, len(values)
    for c in range(0, len(out), TOGETHER):
        d1, d2, d3 = min(c + 1, last), min(c + 2, last), min(c + 3, last)
        s0, s1, s2, s3 = _dot_four(
            window(columns, c * stride + first, count),
            window(columns, d1 * stride + first, count),
            window(columns, d2 * stride + first, count),
            window(columns, d3 * stride + first, count),
            values,
        )
        out[c] += sign * s0
        if d1 == c + 1:
            out[d1] += sign * s1
        if d2 == c + 2:
            out[d2] += sign * s2
        if d3 == c + 3:
            out[d3] += sign * s3


@kernel
def add_effects(column: FloatArray, level: IntArray, effect: FloatArray, sign: float, values: FloatArray) -> None:
    """``values += sign * column * effect[level]``."""
    for i in range(len(column)):
        # Unsigned, since an index that may be negative is checked before each use.
        values[i] += sign * column[i] * effect[np.uint64(level[i])]


@exact_kernel
def add_by_level(column: FloatArray, level: IntArray, values: FloatArray, sign: float, total: FloatArray) -> None:
    """``total[level] += sign * column * values``."""
    for i in range(len(column)):
        total[np.uint64(level[i])] += sign * column[i] * values[i]


@kernel
def add_sorted(
    columns: FloatArray,
    n: int,
    q: int,
    level: IntArray,
    row_start: IntArray,
    effects: FloatArray,
    sign: float,
    values: FloatArray,
) -> None:
    """``values += sign * column a * effects[a * m + j]`` over the rows of level j, for all a.

    Parameters
    ----------
    columns : ndarray, shape (q n,)
    n, q : int
    level : ndarray of int
        Level of each row, in increasing order.
    row_start : ndarray of int, shape (m + 1,)
        Where each level's rows start in a column.
    effects : ndarray, shape (q m,)
    sign : float
    values : ndarray
        One value for each row.
    """
    first, m, count = row_start[0], len(row_start) - 1, len(values)
    if count < SHORT * m:
        for a in range(q):
            add_effects(
                window(columns, a * n + first, count), level, window(effects, a * m - level[0], m), sign, values
            )
        return
    for a in range(0, q - 1, 2):
        for j in range(m):
            start, length = row_start[j], row_start[j + 1] - row_start[j]
            left, right = window(columns, a * n + start, length), window(columns, (a + 1) * n + start, length)
            some = window(values, start - first, length)
            f0, f1 = sign * effects[a * m + j], sign * effects[(a + 1) * m + j]
            for i in range(length):
                some[i] += f0 * left[i] + f1 * right[i]
    if q % 2:
        for j in range(m):
            start, length = row_start[j], row_start[j + 1] - row_start[j]
            column, some = window(columns, (q - 1) * n + start, length), window(values, start - first, length)
            factor = sign * effects[(q - 1) * m + j]
            for i in range(length):
                some[i] += factor * column[i]


@kernel
def sum_sorted(
    columns: FloatArray,
    n: int,
    q: int,
    level: IntArray,
    row_start: IntArray,
    values: FloatArray,
    sign: float,
    total: FloatArray,
) -> None:
    """Add to ``total[a * m + j]`` the sum of sign * column a * values over the rows of level j, for all a.

    Parameters are those of `add_sorted`; `total` has the shape of its effects.
    """
    first, m, count = row_start[0], len(row_start) - 1, len(values)
    if count < SHORT * m:
        for a in range(q):
            add_by_level(window(columns, a * n + first, count), level, values, sign, window(total, a * m - level[0], m))
        return
    for a in range(0, q - 1, 2):
        for j in range(m):
            start, length = row_start[j], row_start[j + 1] - row_start[j]
            left, right = window(columns, a * n + start, length), window(columns, (a + 1) * n + start, length)
            some, s0, s1 = window(values, start - first, length), 0.0, 0.0
            for i in range(length):
                s0 += left[i] * some[i]
                s1 += right[i] * some[i]
            total[a * m + j] += sign * s0
            total[(a + 1) * m + j] += sign * s1
    if q % 2:
        for j in range(m):
            start, length = row_start[j], row_start[j + 1] - row_start[j]
            column, some, s0 = window(columns, (q - 1) * n + start, length), window(values, start - first, length), 0.0
            for i in range(length):
                s0 += column[i] * some[i]
            total[(q - 1) * m + j] += sign * s0
