"""The blocks of ``H^-1`` at the blocks of ``A'WA``, from the structured Cholesky factorisation, compiled.

    (H^-1)_22 = S^-1,  (H^-1)_12 = -D^-1 B S^-1,  (H^-1)_11 = D^-1 + D^-1 B S^-1 B' D^-1

in the notation of `block_cholesky`; only the entries that a gradient needs are computed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import kernel
from ...numba_support.vectors import after, fill, view
from .block_cholesky import solve_lower, solve_lower_transposed
from .work import Work, first_columns

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@kernel
def invert_dense(r: RowIndex, w: Work, parts: IntArray) -> None:
    """Replace the Cholesky factors of the Schur complements by the inverses, both triangles."""
    if not r.several_factors:
        return
    for part in parts:
        m = r.col_start[part + 1] - r.col_start[part]
        S = view(w.schur, r.schur_at[part], r.schur_at[part + 1])
        for j in range(m):
            S[j * m + j] = 1.0 / S[j * m + j]
            for i in range(j + 1, m):
                total = 0.0
                for k in range(j, i):
                    total -= S[i * m + k] * S[k * m + j]
                S[i * m + j] = total / S[i * m + i]
        for i in range(m):
            for j in range(i + 1):
                total = 0.0
                for k in range(i, m):
                    total += S[k * m + i] * S[k * m + j]
                S[j * m + i] = total
        for i in range(m):
            for j in range(i):
                S[i * m + j] = S[j * m + i]


@kernel
def multiply_dense(r: RowIndex, w: Work, parts: IntArray, x: FloatArray, scratch: FloatArray) -> None:
    """Multiply by the inverses of the Schur complements, in place."""
    if not r.several_factors:
        return
    base = first_columns(r)
    for part in parts:
        S, size = view(w.schur, r.schur_at[part], r.schur_at[part + 1]), r.col_start[part + 1] - r.col_start[part]
        rest = view(x, base + r.col_start[part], base + r.col_start[part + 1])
        for i in range(size):
            total = 0.0
            row = view(S, i * size, (i + 1) * size)
            for k in range(size):
                total += row[k] * rest[k]
            scratch[i] = total
        for i in range(size):
            rest[i] = scratch[i]


@kernel
def select_inverse(r: RowIndex, w: Work, parts: IntArray) -> None:
    """Blocks of ``H^-1`` where ``A'WA`` has blocks, from the inverses of the Schur complements in ``w.schur``."""
    q, blocks = r.q[0], len(r.cross_at) - 1
    for part in parts:
        base, size = r.col_start[part], r.col_start[part + 1] - r.col_start[part]
        inverse = view(w.schur, r.schur_at[part], r.schur_at[part + 1])
        for j in range(r.part_start[part], r.part_start[part + 1]):
            R = view(w.cholesky_first, j * q * q, (j + 1) * q * q)
            V = view(w.inverse_first, j * q * q, (j + 1) * q * q)
            fill(V, 0.0)
            for a in range(q):
                V[a * q + a] = 1.0
            solve_lower(R, q, V)
            solve_lower_transposed(R, q, V)
            if not r.several_factors:
                continue
            cols = view(r.matrix_cols, r.matrix_at[j] // q, r.matrix_at[j + 1] // q)
            G, pairs = after(w.solved_pair, r.matrix_at[j]), after(w.inverse_pair, r.matrix_at[j])
            for c in range(len(cols)):
                row = after(inverse, (cols[c] - base) * size)
                for a in range(q):
                    g, total = after(G, a * len(cols)), 0.0
                    for d in range(len(cols)):
                        total -= g[d] * row[cols[d] - base]
                    pairs[a * len(cols) + c] = total
            for a in range(q):
                for c in range(q):
                    total = 0.0
                    for k in range(len(cols)):
                        total += pairs[a * len(cols) + k] * G[c * len(cols) + k]
                    V[a * q + c] -= total
        if not r.several_factors:
            continue
        for k in range(r.other_start[part], r.other_start[part + 1]):
            width, at, col = r.q[r.other_factor[k]], r.other_at[k], r.other_col[k] - base
            for a in range(width):
                for b in range(width):
                    w.inverse_other[at + a * width + b] = inverse[(col + a) * size + col + b]
        for k in range(r.cross_start[part], r.cross_start[part + 1]):
            left, right = r.q[r.cross_factors[k]], r.q[r.cross_factors[blocks + k]]
            row, col = r.cross_cols[k] - base, r.cross_cols[blocks + k] - base
            for a in range(left):
                for b in range(right):
                    w.inverse_cross[r.cross_at[k] + a * right + b] = inverse[(row + a) * size + col + b]


def effect_variances(row_index: RowIndex, work: Work) -> FloatArray:
    """Conditional variances of all effects on the logit scale, in the order of ``u``, after an evaluation.

    An evaluation with its gradient leaves the blocks of ``L H^-1 L'`` in the places of those of ``H^-1``.
    """
    q = int(row_index.q[0])
    base = (len(row_index.row_start) - 1) * q
    variances = np.empty(len(work.u))
    variances[:base] = np.einsum("jaa->ja", work.inverse_first.reshape(-1, q, q)).ravel()
    for t in range(1, len(row_index.q)):
        width = int(row_index.q[t])
        levels = row_index.other_factor == t
        for a in range(width):
            at = row_index.other_at[:-1][levels] + a * width + a
            variances[base + row_index.other_col[levels] + a] = work.inverse_other[at]
    return variances
