"""The structured Cholesky factorisation of ``H = I + A'WA``, compiled: assembly, solution and selected inverse.

``A = Z Lambda`` has a block of columns for every level of every grouping factor. With the levels of the eliminated
factor first, ``H = [D B; B' C]`` with block-diagonal D, and ``S = C - B' D^-1 B`` is dense within a part of the data:

    log|H| = sum log|D_j| + log|S|
    (H^-1)_22 = S^-1,  (H^-1)_12 = -D^-1 B S^-1,  (H^-1)_11 = D^-1 + D^-1 B S^-1 B' D^-1

of which only the entries at the blocks of A'WA are computed. Sums over rows are kept as ``Z'WZ`` by block, so that the
roots L enter once for a block and not once for a row.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.struct_by_address import by_address
from ...numba_support.vectors import after, copy, fill, view
from ..kernels.binomial import linearise

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@by_address
class Work(NamedTuple):
    """Arrays that an evaluation fills; one set for each thread.

    Blocks stand one after the other in flat arrays. There are four kinds: ``first``, a level of the eliminated factor
    with itself; ``pair``, a level of the eliminated factor with a level of another one; ``other``, a level of another
    factor with itself; ``cross``, levels of two other factors.
    """

    u: FloatArray  # standardised effects
    b: FloatArray  # effects on the logit scale, b = L u
    eta: FloatArray  # (n,)
    residual: FloatArray  # (n,) y - m p
    weight: FloatArray  # (n,) m p (1 - p)
    one_minus_2p: FloatArray  # (n,) weight * one_minus_2p is the derivative of the weight in eta
    deta: FloatArray  # (n,) rows' log-likelihoods; in the gradient the derivative in each row's linear predictor
    score: FloatArray  # Z' residual, by level
    gradient: FloatArray  # of the joint log density in u
    step: FloatArray  # H^-1 gradient
    # Z'WZ by block.
    products_first: FloatArray
    products_pair: FloatArray
    products_other: FloatArray
    products_cross: FloatArray
    # By level: the Cholesky factor of D_j, Z'WZ times the Cholesky factors L of the other factors, and D_j^-1 B.
    cholesky_first: FloatArray
    scaled_pair: FloatArray
    solved_pair: FloatArray
    # Blocks of H^-1.
    inverse_first: FloatArray
    inverse_pair: FloatArray
    inverse_other: FloatArray
    inverse_cross: FloatArray
    # The Schur complements, part by part: factorised, or inverted.
    schur: FloatArray
    # By part.
    log_joint: FloatArray  # joint log density
    log_det: FloatArray  # log|H|
    decrement: FloatArray  # Newton decrement gradient' H^-1 gradient: twice what the joint log density can still gain


def make_work(row_index: RowIndex) -> Work:
    """Arrays for evaluations of a layout, with all effects at zero."""
    n, levels, q = len(row_index.y), len(row_index.row_start) - 1, int(row_index.q[0])
    columns = levels * q + int(row_index.col_start[-1])
    pairs, rest, cross = int(row_index.matrix_at[-1]), int(row_index.other_at[-1]), int(row_index.cross_at[-1])
    sizes = [columns, columns, n, n, n, n, n, columns, columns, columns]
    sizes += [levels * q * q, pairs, rest, cross, levels * q * q, pairs, pairs, levels * q * q, pairs, rest, cross]
    sizes += [int(row_index.schur_at[-1])] + 3 * [len(row_index.part_start) - 1]
    return Work(*(np.zeros(size) for size in sizes))


@exact_kernel
def first_columns(r: RowIndex) -> int:
    """Columns of the eliminated factor, where those of the others start in ``u``."""
    columns: int = (len(r.row_start) - 1) * r.q[0]
    return columns


@exact_kernel
def largest_block(r: RowIndex) -> int:
    """Entries of the largest block."""
    widest = 0
    for width in r.q:
        widest = max(widest, width)
    return widest * widest


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
        for k in range(r.other_start[part], r.other_start[part + 1]):
            t, at = r.other_factor[k], base + r.other_col[k]
            _lower_times(after(cholesky, r.cholesky_at[t]), r.q[t], view(u, at, at + r.q[t]), view(b, at, at + r.q[t]))


@kernel
def add_effects(r: RowIndex, parts: IntArray, b: FloatArray, eta: FloatArray) -> None:
    """Add ``Z b`` to `eta` for the rows of some parts."""
    n, q, base = len(r.y), r.q[0], first_columns(r)
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            start, stop = r.row_start[j], r.row_start[j + 1]
            segment = view(eta, start, stop)
            for a in range(q):
                own, z = b[j * q + a], view(r.Z, a * n + start, a * n + stop)
                for i in range(len(segment)):
                    segment[i] += z[i] * own
        first, last = r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]
        segment = view(eta, first, last)
        for f in range(len(r.q) - 1):
            column = view(r.row_col, f * n + first, f * n + last)
            for a in range(r.q[f + 1]):
                at, own = (r.z_at[f + 1] + a) * n, after(b, base + a)
                z = view(r.Z, at + first, at + last)
                for i in range(len(segment)):
                    segment[i] += z[i] * own[column[i]]


@kernel
def joint_log_density(r: RowIndex, w: Work, cholesky: FloatArray, eta_fixed: FloatArray, parts: IntArray) -> None:
    """Log-likelihood of each part's rows minus ``|u|^2 / 2``, with the rows' derivatives in the work arrays."""
    scale_effects(r, cholesky, parts, w.u, w.b)
    k = 0
    while k < len(parts):  # neighbouring parts at once: their rows are neighbours too
        stop = k + 1
        while stop < len(parts) and parts[stop] == parts[stop - 1] + 1:
            stop += 1
        first, last = r.row_start[r.part_start[parts[k]]], r.row_start[r.part_start[parts[stop - 1] + 1]]
        eta = view(w.eta, first, last)
        copy(view(eta_fixed, first, last), eta)
        add_effects(r, view(parts, k, stop), w.b, w.eta)
        linearise(
            view(r.y, first, last),
            view(r.trials, first, last),
            eta,
            view(w.residual, first, last),
            view(w.weight, first, last),
            view(w.one_minus_2p, first, last),
            view(w.deta, first, last),
        )
        k = stop
    for part in parts:
        total = 0.0
        for own in view(w.deta, r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]):
            total += own
        w.log_joint[part] = total - 0.5 * product(r, part, w.u, w.u)


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
def add_scores(r: RowIndex, parts: IntArray, values: FloatArray, score: FloatArray) -> None:
    """``score = Z' values`` by level, for the rows and levels of some parts."""
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
                score[j * q + a] = total
        fill(view(score, base + r.col_start[part], base + r.col_start[part + 1]), 0.0)
        first, last = r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]
        v = view(values, first, last)
        for f in range(len(r.q) - 1):
            column = view(r.row_col, f * n + first, f * n + last)
            for a in range(r.q[f + 1]):
                at, own = (r.z_at[f + 1] + a) * n, after(score, base + a)
                z = view(r.Z, at + first, at + last)
                for i in range(len(v)):
                    own[column[i]] += z[i] * v[i]


@kernel
def _add_products(
    one: FloatArray, qa: int, other: FloatArray, qb: int, n: int, at: IntArray, weight: FloatArray, blocks: FloatArray
) -> None:
    """Add ``w z_a z_b'`` of every row to the block of the row."""
    for a in range(qa):
        za = view(one, a * n, a * n + len(at))
        for b in range(qb):
            zb, own = view(other, b * n, b * n + len(at)), after(blocks, a * qb + b)
            for i in range(len(at)):
                own[at[i]] += weight[i] * za[i] * zb[i]


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
        if others == 0:
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
                at = view(r.row_cross, k * n + first, k * n + last)
                _add_products(
                    z, width, after(r.Z, r.z_at[g + 1] * n + first), r.q[g + 1], n, at, weight, w.products_cross
                )
                k += 1


@kernel
def _sum_pairs(r: RowIndex, w: Work, parts: IntArray) -> None:
    """The share of `sum_products` between levels of the eliminated factor and others."""
    n, q, others = len(r.y), r.q[0], len(r.q) - 1
    if others == 0:
        return
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
                        other, own = view(r.Z, z + start, z + stop), after(w.products_pair, a * columns + b)
                        for i in range(len(weight)):
                            own[at[i]] += weight[i] * one[i] * other[i]


@kernel
def _congruence(
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
    """Replace the lower triangle of a flat square matrix by its Cholesky factor; its log-determinant."""
    logarithm = 0.0
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
        logarithm += math.log(total)
    return logarithm


@kernel
def _solve_lower(R: FloatArray, q: int, x: FloatArray) -> None:
    """Solve ``R y = x`` in place for each of the columns of x, which has q rows."""
    columns = len(x) // q
    for a in range(q):
        for c in range(a):
            for k in range(columns):
                x[a * columns + k] -= R[a * q + c] * x[c * columns + k]
        for k in range(columns):
            x[a * columns + k] /= R[a * q + a]


@kernel
def _solve_lower_transposed(R: FloatArray, q: int, x: FloatArray) -> None:
    """Solve ``R' y = x`` in place for each of the columns of x, which has q rows."""
    columns = len(x) // q
    for a in range(q - 1, -1, -1):
        for c in range(a + 1, q):
            for k in range(columns):
                x[a * columns + k] -= R[c * q + a] * x[c * columns + k]
        for k in range(columns):
            x[a * columns + k] /= R[a * q + a]


@kernel
def eliminate(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray) -> None:
    """Factorise the blocks D_j of some parts: sum log|D_j| into ``w.log_det``, Schur complements into ``w.schur``."""
    q = r.q[0]
    scratch, block = np.empty(largest_block(r)), np.empty(largest_block(r))
    for part in parts:
        logarithm = 0.0
        for j in range(r.part_start[part], r.part_start[part + 1]):
            D = view(w.cholesky_first, j * q * q, (j + 1) * q * q)
            _congruence(cholesky, q, after(w.products_first, j * q * q), cholesky, q, scratch, D)
            for a in range(q):
                D[a * q + a] += 1.0
            logarithm += cholesky_in_place(D, q)
        w.log_det[part] = logarithm
    if len(r.q) == 1:
        return
    blocks = len(r.cross_at) - 1
    for part in parts:
        base, size = r.col_start[part], r.col_start[part + 1] - r.col_start[part]
        S = view(w.schur, r.schur_at[part], r.schur_at[part + 1])
        fill(S, 0.0)
        for k in range(r.other_start[part], r.other_start[part + 1]):
            t, col = r.other_factor[k], r.other_col[k] - base
            L, width = after(cholesky, r.cholesky_at[t]), r.q[t]
            _congruence(L, width, after(w.products_other, r.other_at[k]), L, width, scratch, block)
            for a in range(width):
                for b in range(width):
                    S[(col + a) * size + col + b] = block[a * width + b]
                S[(col + a) * size + col + a] += 1.0
        for k in range(r.cross_start[part], r.cross_start[part + 1]):
            s, t = r.cross_factors[k], r.cross_factors[blocks + k]
            left, right = r.cross_cols[k] - base, r.cross_cols[blocks + k] - base
            one, other = after(cholesky, r.cholesky_at[s]), after(cholesky, r.cholesky_at[t])
            _congruence(one, r.q[s], after(w.products_cross, r.cross_at[k]), other, r.q[t], scratch, block)
            for a in range(r.q[s]):
                for b in range(r.q[t]):
                    S[(right + b) * size + left + a] = block[a * r.q[t] + b]
        for j in range(r.part_start[part], r.part_start[part + 1]):
            columns = (r.matrix_at[j + 1] - r.matrix_at[j]) // q
            R, W = (
                view(w.cholesky_first, j * q * q, (j + 1) * q * q),
                view(w.solved_pair, r.matrix_at[j], r.matrix_at[j + 1]),
            )
            half = view(w.scaled_pair, r.matrix_at[j], r.matrix_at[j + 1])
            matrix = view(w.products_pair, r.matrix_at[j], r.matrix_at[j + 1])
            for p in range(r.pair_start[j], r.pair_start[j + 1]):
                t, first = r.pair_factor[p], r.pair_first[p]
                width, L = r.q[t], after(cholesky, r.cholesky_at[t])
                for a in range(q):
                    for b in range(width):
                        total = 0.0
                        for c in range(b, width):
                            total += matrix[a * columns + first + c] * L[c * width + b]
                        half[a * columns + first + b] = total
            for a in range(q):
                for k in range(columns):
                    W[a * columns + k] = cholesky[a * q + a] * half[a * columns + k]
                for c in range(a + 1, q):
                    for k in range(columns):
                        W[a * columns + k] += cholesky[c * q + a] * half[c * columns + k]
            _solve_lower(R, q, W)
            _subtract_products(W, view(r.matrix_cols, r.matrix_at[j] // q, r.matrix_at[j + 1] // q), q, base, S, size)
            _solve_lower_transposed(R, q, W)


@kernel
def _subtract_products(W: FloatArray, cols: IntArray, q: int, base: int, S: FloatArray, size: int) -> None:
    """Subtract ``W'W`` from the lower triangle of S, at the columns of W."""
    columns = len(cols)
    for a in range(q):
        own = view(W, a * columns, (a + 1) * columns)
        for c in range(columns):
            row, times = after(S, (cols[c] - base) * size), own[c]
            for d in range(c + 1):
                row[cols[d] - base] -= times * own[d]


@kernel
def solve_first(r: RowIndex, w: Work, parts: IntArray, x: FloatArray) -> None:
    """First part of ``H^-1 x`` in place: eliminate the levels of the first factor from the right-hand side."""
    q, base = r.q[0], first_columns(r)
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            own = view(x, j * q, (j + 1) * q)
            cols = view(r.matrix_cols, r.matrix_at[j] // q, r.matrix_at[j + 1] // q)
            for a in range(q):
                row = after(w.solved_pair, r.matrix_at[j] + a * len(cols))
                for k in range(len(cols)):
                    x[base + cols[k]] -= row[k] * own[a]
            R = view(w.cholesky_first, j * q * q, (j + 1) * q * q)
            _solve_lower(R, q, own)
            _solve_lower_transposed(R, q, own)


@kernel
def solve_last(r: RowIndex, w: Work, parts: IntArray, x: FloatArray) -> None:
    """Last part of ``H^-1 x`` in place, once the other factors' entries hold ``S^-1`` times theirs."""
    q, base = r.q[0], first_columns(r)
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            own = view(x, j * q, (j + 1) * q)
            cols = view(r.matrix_cols, r.matrix_at[j] // q, r.matrix_at[j + 1] // q)
            for a in range(q):
                row = after(w.solved_pair, r.matrix_at[j] + a * len(cols))
                total = 0.0
                for k in range(len(cols)):
                    total += row[k] * x[base + cols[k]]
                own[a] -= total


@kernel
def factorise_dense(r: RowIndex, w: Work, parts: IntArray) -> None:
    """Replace the Schur complements of some parts by their Cholesky factors and add log|S| to ``w.log_det``."""
    for part in parts:
        size = r.col_start[part + 1] - r.col_start[part]
        w.log_det[part] += cholesky_in_place(view(w.schur, r.schur_at[part], r.schur_at[part + 1]), size)


@kernel
def solve_dense(r: RowIndex, w: Work, parts: IntArray, x: FloatArray) -> None:
    """Solve with the Cholesky factors of the Schur complements, in place."""
    base = first_columns(r)
    for part in parts:
        S, size = view(w.schur, r.schur_at[part], r.schur_at[part + 1]), r.col_start[part + 1] - r.col_start[part]
        own = view(x, base + r.col_start[part], base + r.col_start[part + 1])
        for i in range(size):
            total = own[i]
            for k in range(i):
                total -= S[i * size + k] * own[k]
            own[i] = total / S[i * size + i]
        for i in range(size - 1, -1, -1):
            own[i] /= S[i * size + i]
            for k in range(i):
                own[k] -= S[i * size + k] * own[i]


@kernel
def multiply_dense(r: RowIndex, w: Work, parts: IntArray, x: FloatArray, scratch: FloatArray) -> None:
    """Multiply by the inverses of the Schur complements, in place."""
    base = first_columns(r)
    for part in parts:
        S, size = view(w.schur, r.schur_at[part], r.schur_at[part + 1]), r.col_start[part + 1] - r.col_start[part]
        own = view(x, base + r.col_start[part], base + r.col_start[part + 1])
        for i in range(size):
            total = 0.0
            row = view(S, i * size, (i + 1) * size)
            for k in range(size):
                total += row[k] * own[k]
            scratch[i] = total
        for i in range(size):
            own[i] = scratch[i]


@kernel
def invert_dense(r: RowIndex, w: Work, parts: IntArray) -> None:
    """Replace the Cholesky factors of the Schur complements by the inverses, both triangles."""
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
            _solve_lower(R, q, V)
            _solve_lower_transposed(R, q, V)
            cols = view(r.matrix_cols, r.matrix_at[j] // q, r.matrix_at[j + 1] // q)
            G, pairs = after(w.solved_pair, r.matrix_at[j]), after(w.inverse_pair, r.matrix_at[j])
            for c in range(len(cols)):
                row = after(inverse, (cols[c] - base) * size)
                for a in range(q):
                    own, total = after(G, a * len(cols)), 0.0
                    for d in range(len(cols)):
                        total -= own[d] * row[cols[d] - base]
                    pairs[a * len(cols) + c] = total
            for a in range(q):
                for c in range(q):
                    total = 0.0
                    for k in range(len(cols)):
                        total += pairs[a * len(cols) + k] * G[c * len(cols) + k]
                    V[a * q + c] -= total
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
        own = row_index.other_factor == t
        for a in range(width):
            at = row_index.other_at[:-1][own] + a * width + a
            variances[base + row_index.other_col[own] + a] = work.inverse_other[at]
    return variances


@kernel
def correlate_noise(r: RowIndex, w: Work, x: FloatArray) -> None:
    """Turn standard normal numbers into a draw from ``N(0, H^-1)``, in place; ``w.schur`` holds Cholesky factors."""
    q, base = r.q[0], first_columns(r)
    for part in range(len(r.part_start) - 1):
        S, size = view(w.schur, r.schur_at[part], r.schur_at[part + 1]), r.col_start[part + 1] - r.col_start[part]
        own = view(x, base + r.col_start[part], base + r.col_start[part + 1])
        for i in range(size - 1, -1, -1):
            own[i] /= S[i * size + i]
            for k in range(i):
                own[k] -= S[i * size + k] * own[i]
        for j in range(r.part_start[part], r.part_start[part + 1]):
            level = view(x, j * q, (j + 1) * q)
            _solve_lower_transposed(view(w.cholesky_first, j * q * q, (j + 1) * q * q), q, level)
            cols = view(r.matrix_cols, r.matrix_at[j] // q, r.matrix_at[j + 1] // q)
            for a in range(q):
                row, total = after(w.solved_pair, r.matrix_at[j] + a * len(cols)), 0.0
                for k in range(len(cols)):
                    total += row[k] * x[base + cols[k]]
                level[a] -= total
