"""The structured Cholesky factorisation of ``H = I + A'WA``, and solutions with it, compiled.

``A = Z Lambda`` has a block of columns for every level of every grouping factor. With the levels of the eliminated
factor first, ``H = [D B; B' C]`` with block-diagonal D, and the Schur complement ``S = C - B' D^-1 B`` is dense within
a part of the data:

    log|H| = sum_j log|D_j| + log|S|

The rows enter as ``Z'WZ`` by block (`cross_products`), so that the Cholesky factors L of the effects' covariance
matrices are applied once for a block and not once for a row.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import kernel
from ...numba_support.vectors import after, fill, view
from .work import Work, first_columns, largest_block

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@kernel
def congruence(
    left: FloatArray, q: int, block: FloatArray, right: FloatArray, p: int, scratch: FloatArray, out: FloatArray
) -> None:
    """``out = left' block right`` for lower triangular left (q x q) and right (p x p)."""
    for a in range(q):
        for b in range(p):
            total = 0.0
            for c in range(b, p):
                total += block[a * p + c] * right[c * p + b]
            scratch[a * p + b] = total
    for a in range(q):
        for b in range(p):
            total = 0.0
            for c in range(a, q):
                total += left[c * q + a] * scratch[c * p + b]
            out[a * p + b] = total


@kernel
def cholesky_in_place(A: FloatArray, size: int) -> float:
    """Replace the lower triangle of a flat square matrix by its Cholesky factor; return its log-determinant."""
    log_det = 0.0
    for i in range(size):
        row = view(A, i * size, (i + 1) * size)
        for j in range(i):
            other = view(A, j * size, (j + 1) * size)
            total = row[j]
            for k in range(j):
                total -= row[k] * other[k]
            row[j] = total / other[j]
        total = row[i]
        for k in range(i):
            total -= row[k] * row[k]
        row[i] = math.sqrt(total)
        log_det += math.log(total)
    return log_det


@kernel
def solve_lower(R: FloatArray, q: int, x: FloatArray) -> None:
    """Solve ``R y = x`` in place for each of the columns of x, which has q rows."""
    columns = len(x) // q
    for a in range(q):
        for c in range(a):
            for k in range(columns):
                x[a * columns + k] -= R[a * q + c] * x[c * columns + k]
        for k in range(columns):
            x[a * columns + k] /= R[a * q + a]


@kernel
def solve_lower_transposed(R: FloatArray, q: int, x: FloatArray) -> None:
    """Solve ``R' y = x`` in place for each of the columns of x, which has q rows."""
    columns = len(x) // q
    for a in range(q - 1, -1, -1):
        for c in range(a + 1, q):
            for k in range(columns):
                x[a * columns + k] -= R[c * q + a] * x[c * columns + k]
        for k in range(columns):
            x[a * columns + k] /= R[a * q + a]


@kernel
def scale_pairs(r: RowIndex, w: Work, cholesky: FloatArray, j: int, out: FloatArray) -> None:
    """``L' Z'WZ L`` of the pairs of a level of the eliminated factor; ``Z'WZ L`` into ``w.scaled_pair``."""
    q = r.q[0]
    columns = (r.matrix_at[j + 1] - r.matrix_at[j]) // q
    scaled = view(w.scaled_pair, r.matrix_at[j], r.matrix_at[j + 1])
    matrix = view(w.products_pair, r.matrix_at[j], r.matrix_at[j + 1])
    for p in range(r.pair_start[j], r.pair_start[j + 1]):
        t, first = r.pair_factor[p], r.pair_first[p]
        width, L = r.q[t], after(cholesky, r.cholesky_at[t])
        for a in range(q):
            for b in range(width):
                total = 0.0
                for c in range(b, width):
                    total += matrix[a * columns + first + c] * L[c * width + b]
                scaled[a * columns + first + b] = total
    for a in range(q):
        for k in range(columns):
            out[a * columns + k] = cholesky[a * q + a] * scaled[a * columns + k]
        for c in range(a + 1, q):
            for k in range(columns):
                out[a * columns + k] += cholesky[c * q + a] * scaled[c * columns + k]


@kernel
def eliminate(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray) -> None:
    """Factorise the blocks D_j of some parts: log|D| into ``w.log_det``, Schur complements into ``w.schur``."""
    q = r.q[0]
    scratch, block = np.empty(largest_block(r)), np.empty(largest_block(r))
    for part in parts:
        log_det = 0.0
        for j in range(r.part_start[part], r.part_start[part + 1]):
            D = view(w.cholesky_first, j * q * q, (j + 1) * q * q)
            congruence(cholesky, q, after(w.products_first, j * q * q), cholesky, q, scratch, D)
            for a in range(q):
                D[a * q + a] += 1.0
            log_det += cholesky_in_place(D, q)
        w.log_det[part] = log_det
    if not r.several_factors:
        return
    blocks = len(r.cross_at) - 1
    for part in parts:
        base, size = r.col_start[part], r.col_start[part + 1] - r.col_start[part]
        S = view(w.schur, r.schur_at[part], r.schur_at[part + 1])
        fill(S, 0.0)
        # C, in the place of its Schur complement: lower triangles are enough.
        for k in range(r.other_start[part], r.other_start[part + 1]):
            t, col = r.other_factor[k], r.other_col[k] - base
            L, width = after(cholesky, r.cholesky_at[t]), r.q[t]
            congruence(L, width, after(w.products_other, r.other_at[k]), L, width, scratch, block)
            for a in range(width):
                for b in range(width):
                    S[(col + a) * size + col + b] = block[a * width + b]
                S[(col + a) * size + col + a] += 1.0
        for k in range(r.cross_start[part], r.cross_start[part + 1]):
            s, t = r.cross_factors[k], r.cross_factors[blocks + k]
            left, right = r.cross_cols[k] - base, r.cross_cols[blocks + k] - base
            one, other = after(cholesky, r.cholesky_at[s]), after(cholesky, r.cholesky_at[t])
            congruence(one, r.q[s], after(w.products_cross, r.cross_at[k]), other, r.q[t], scratch, block)
            for a in range(r.q[s]):
                for b in range(r.q[t]):
                    S[(right + b) * size + left + a] = block[a * r.q[t] + b]
        # B_j = L' Z'WZ L of the pairs; S = C - sum_j B_j' D_j^-1 B_j.
        for j in range(r.part_start[part], r.part_start[part + 1]):
            R = view(w.cholesky_first, j * q * q, (j + 1) * q * q)
            W = view(w.solved_pair, r.matrix_at[j], r.matrix_at[j + 1])
            scale_pairs(r, w, cholesky, j, W)
            solve_lower(R, q, W)
            _subtract_products(W, view(r.matrix_cols, r.matrix_at[j] // q, r.matrix_at[j + 1] // q), q, base, S, size)
            solve_lower_transposed(R, q, W)


@kernel
def _subtract_products(W: FloatArray, cols: IntArray, q: int, base: int, S: FloatArray, size: int) -> None:
    """Subtract ``W'W`` from the lower triangle of S, at the columns of W."""
    columns = len(cols)
    for a in range(q):
        values = view(W, a * columns, (a + 1) * columns)
        for c in range(columns):
            row, times = after(S, (cols[c] - base) * size), values[c]
            for d in range(c + 1):
                row[cols[d] - base] -= times * values[d]


@kernel
def solve_first(r: RowIndex, w: Work, parts: IntArray, x: FloatArray) -> None:
    """First part of ``H^-1 x`` in place: eliminate the levels of the first factor from the right-hand side."""
    q, base = r.q[0], first_columns(r)
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            level = view(x, j * q, (j + 1) * q)
            if r.several_factors:
                cols = view(r.matrix_cols, r.matrix_at[j] // q, r.matrix_at[j + 1] // q)
                for a in range(q):
                    row = after(w.solved_pair, r.matrix_at[j] + a * len(cols))
                    for k in range(len(cols)):
                        x[base + cols[k]] -= row[k] * level[a]
            R = view(w.cholesky_first, j * q * q, (j + 1) * q * q)
            solve_lower(R, q, level)
            solve_lower_transposed(R, q, level)


@kernel
def solve_last(r: RowIndex, w: Work, parts: IntArray, x: FloatArray) -> None:
    """Last part of ``H^-1 x`` in place, once the other factors' entries hold ``S^-1`` times theirs."""
    if not r.several_factors:
        return
    q, base = r.q[0], first_columns(r)
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            level = view(x, j * q, (j + 1) * q)
            cols = view(r.matrix_cols, r.matrix_at[j] // q, r.matrix_at[j + 1] // q)
            for a in range(q):
                row = after(w.solved_pair, r.matrix_at[j] + a * len(cols))
                total = 0.0
                for k in range(len(cols)):
                    total += row[k] * x[base + cols[k]]
                level[a] -= total


@kernel
def factorise_dense(r: RowIndex, w: Work, parts: IntArray) -> None:
    """Replace the Schur complements of some parts by their Cholesky factors and add log|S| to ``w.log_det``."""
    if not r.several_factors:
        return
    for part in parts:
        size = r.col_start[part + 1] - r.col_start[part]
        w.log_det[part] += cholesky_in_place(view(w.schur, r.schur_at[part], r.schur_at[part + 1]), size)


@kernel
def solve_dense(r: RowIndex, w: Work, parts: IntArray, x: FloatArray) -> None:
    """Solve with the Cholesky factors of the Schur complements, in place."""
    if not r.several_factors:
        return
    base = first_columns(r)
    for part in parts:
        S, size = view(w.schur, r.schur_at[part], r.schur_at[part + 1]), r.col_start[part + 1] - r.col_start[part]
        rest = view(x, base + r.col_start[part], base + r.col_start[part + 1])
        for i in range(size):
            total = rest[i]
            for k in range(i):
                total -= S[i * size + k] * rest[k]
            rest[i] = total / S[i * size + i]
        for i in range(size - 1, -1, -1):
            rest[i] /= S[i * size + i]
            for k in range(i):
                rest[k] -= S[i * size + k] * rest[i]
