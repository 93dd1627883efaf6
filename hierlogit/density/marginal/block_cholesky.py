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

    Blocks stand in flat arrays: of a level with itself (``own`` for the eliminated factor, ``rest`` for the others), of
    a level of the eliminated factor with another (``pair``) and of two others (``cross``).
    """

    u: FloatArray  # standardised effects
    b: FloatArray  # effects on the logit scale, L u
    eta: FloatArray  # (n,)
    residual: FloatArray  # (n,) y - m p
    weight: FloatArray  # (n,) m p (1 - p)
    tilt: FloatArray  # (n,) 1 - 2 p
    pull: FloatArray  # (n,) log-likelihood; later the derivative of the objective in each row's linear predictor
    score: FloatArray  # Z' residual, by level
    slope: FloatArray  # gradient in u of the joint log density
    step: FloatArray  # H^-1 slope
    # Z'WZ by block.
    own: FloatArray
    pair: FloatArray
    rest: FloatArray
    cross: FloatArray
    # By level: the Cholesky factor of D_j, Z'WZ times the roots of the other factors, and D_j^-1 B.
    root_own: FloatArray
    half_pair: FloatArray
    solved_pair: FloatArray
    # Blocks of H^-1.
    inverse_own: FloatArray
    inverse_pair: FloatArray
    inverse_rest: FloatArray
    inverse_cross: FloatArray
    # The Schur complements, part by part: factorised, or inverted.
    dense: FloatArray
    # By part.
    value: FloatArray  # joint log density
    logarithm: FloatArray  # log|H|
    gain: FloatArray  # what the joint log density can still rise by, twice


def make_work(layout: RowIndex) -> Work:
    """Arrays for evaluations of a layout, with all effects at zero."""
    n, levels, q = len(layout.y), len(layout.row_start) - 1, int(layout.q[0])
    columns = levels * q + int(layout.col_start[-1])
    pairs, rest, cross = int(layout.matrix_at[-1]), int(layout.own_at[-1]), int(layout.cross_at[-1])
    sizes = [columns, columns, n, n, n, n, n, columns, columns, columns]
    sizes += [levels * q * q, pairs, rest, cross, levels * q * q, pairs, pairs, levels * q * q, pairs, rest, cross]
    sizes += [int(layout.dense_at[-1])] + 3 * [len(layout.part_start) - 1]
    return Work(*(np.zeros(size) for size in sizes))


@exact_kernel
def first_columns(l: RowIndex) -> int:
    """Columns of the eliminated factor, where those of the others start in ``u``."""
    columns: int = (len(l.row_start) - 1) * l.q[0]
    return columns


@exact_kernel
def most_entries(l: RowIndex) -> int:
    """Entries of the largest block."""
    widest = 0
    for width in l.q:
        widest = max(widest, width)
    return widest * widest


@kernel
def _times_root(root: FloatArray, q: int, u: FloatArray, b: FloatArray) -> None:
    for a in range(q):
        total = 0.0
        for c in range(a + 1):
            total += root[a * q + c] * u[c]
        b[a] = total


@kernel
def scale_effects(l: RowIndex, roots: FloatArray, parts: IntArray, u: FloatArray, b: FloatArray) -> None:
    """``b = L u`` for the levels of some parts."""
    q, base = l.q[0], first_columns(l)
    for part in parts:
        for j in range(l.part_start[part], l.part_start[part + 1]):
            _times_root(roots, q, view(u, j * q, (j + 1) * q), view(b, j * q, (j + 1) * q))
        for k in range(l.own_start[part], l.own_start[part + 1]):
            t, at = l.own_factor[k], base + l.own_col[k]
            _times_root(after(roots, l.root_at[t]), l.q[t], view(u, at, at + l.q[t]), view(b, at, at + l.q[t]))


@kernel
def add_effects(l: RowIndex, parts: IntArray, b: FloatArray, eta: FloatArray) -> None:
    """Add ``Z b`` to `eta` for the rows of some parts."""
    n, q, base = len(l.y), l.q[0], first_columns(l)
    for part in parts:
        for j in range(l.part_start[part], l.part_start[part + 1]):
            start, stop = l.row_start[j], l.row_start[j + 1]
            segment = view(eta, start, stop)
            for a in range(q):
                own, z = b[j * q + a], view(l.Z, a * n + start, a * n + stop)
                for i in range(len(segment)):
                    segment[i] += z[i] * own
        first, last = l.row_start[l.part_start[part]], l.row_start[l.part_start[part + 1]]
        segment = view(eta, first, last)
        for f in range(len(l.q) - 1):
            column = view(l.row_col, f * n + first, f * n + last)
            for a in range(l.q[f + 1]):
                at, own = (l.z_at[f + 1] + a) * n, after(b, base + a)
                z = view(l.Z, at + first, at + last)
                for i in range(len(segment)):
                    segment[i] += z[i] * own[column[i]]


@kernel
def joint_log_density(l: RowIndex, w: Work, roots: FloatArray, eta_fixed: FloatArray, parts: IntArray) -> None:
    """Log-likelihood of each part's rows minus ``|u|^2 / 2``, with the rows' derivatives in the work arrays."""
    scale_effects(l, roots, parts, w.u, w.b)
    k = 0
    while k < len(parts):  # neighbouring parts at once: their rows are neighbours too
        stop = k + 1
        while stop < len(parts) and parts[stop] == parts[stop - 1] + 1:
            stop += 1
        first, last = l.row_start[l.part_start[parts[k]]], l.row_start[l.part_start[parts[stop - 1] + 1]]
        eta = view(w.eta, first, last)
        copy(view(eta_fixed, first, last), eta)
        add_effects(l, view(parts, k, stop), w.b, w.eta)
        linearise(
            view(l.y, first, last),
            view(l.trials, first, last),
            eta,
            view(w.residual, first, last),
            view(w.weight, first, last),
            view(w.tilt, first, last),
            view(w.pull, first, last),
        )
        k = stop
    for part in parts:
        total = 0.0
        for own in view(w.pull, l.row_start[l.part_start[part]], l.row_start[l.part_start[part + 1]]):
            total += own
        w.value[part] = total - 0.5 * product(l, part, w.u, w.u)


@kernel
def product(l: RowIndex, part: int, x: FloatArray, y: FloatArray) -> float:
    """Inner product of two vectors of effects over the levels of one part."""
    total = 0.0
    q, base = l.q[0], first_columns(l)
    for c in range(l.part_start[part] * q, l.part_start[part + 1] * q):
        total += x[c] * y[c]
    for c in range(base + l.col_start[part], base + l.col_start[part + 1]):
        total += x[c] * y[c]
    return total


@kernel
def add_scores(l: RowIndex, parts: IntArray, values: FloatArray, score: FloatArray) -> None:
    """``score = Z' values`` by level, for the rows and levels of some parts."""
    n, q, base = len(l.y), l.q[0], first_columns(l)
    for part in parts:
        for j in range(l.part_start[part], l.part_start[part + 1]):
            start, stop = l.row_start[j], l.row_start[j + 1]
            v = view(values, start, stop)
            for a in range(q):
                z = view(l.Z, a * n + start, a * n + stop)
                total = 0.0
                for i in range(len(v)):
                    total += z[i] * v[i]
                score[j * q + a] = total
        fill(view(score, base + l.col_start[part], base + l.col_start[part + 1]), 0.0)
        first, last = l.row_start[l.part_start[part]], l.row_start[l.part_start[part + 1]]
        v = view(values, first, last)
        for f in range(len(l.q) - 1):
            column = view(l.row_col, f * n + first, f * n + last)
            for a in range(l.q[f + 1]):
                at, own = (l.z_at[f + 1] + a) * n, after(score, base + a)
                z = view(l.Z, at + first, at + last)
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
def sum_products(l: RowIndex, w: Work, parts: IntArray) -> None:
    """``Z'WZ`` by block for some parts."""
    _sum_pairs(l, w, parts)
    n, q, others = len(l.y), l.q[0], len(l.q) - 1
    for part in parts:
        for j in range(l.part_start[part], l.part_start[part + 1]):
            start, stop = l.row_start[j], l.row_start[j + 1]
            weight = view(w.weight, start, stop)
            for a in range(q):
                one = view(l.Z, a * n + start, a * n + stop)
                for b in range(a + 1):
                    other = view(l.Z, b * n + start, b * n + stop)
                    total = 0.0
                    for i in range(len(weight)):
                        total += weight[i] * one[i] * other[i]
                    w.own[j * q * q + a * q + b] = total
                    w.own[j * q * q + b * q + a] = total
        if others == 0:
            continue
        fill(view(w.rest, l.own_at[l.own_start[part]], l.own_at[l.own_start[part + 1]]), 0.0)
        fill(view(w.cross, l.cross_at[l.cross_start[part]], l.cross_at[l.cross_start[part + 1]]), 0.0)
        first, last = l.row_start[l.part_start[part]], l.row_start[l.part_start[part + 1]]
        weight = view(w.weight, first, last)
        k = 0
        for f in range(others):
            z, width = after(l.Z, l.z_at[f + 1] * n + first), l.q[f + 1]
            at = view(l.row_own, f * n + first, f * n + last)
            _add_products(z, width, z, width, n, at, weight, w.rest)
            for g in range(f + 1, others):
                at = view(l.row_cross, k * n + first, k * n + last)
                _add_products(z, width, after(l.Z, l.z_at[g + 1] * n + first), l.q[g + 1], n, at, weight, w.cross)
                k += 1


@kernel
def _sum_pairs(l: RowIndex, w: Work, parts: IntArray) -> None:
    """The share of `sum_products` between levels of the eliminated factor and others."""
    n, q, others = len(l.y), l.q[0], len(l.q) - 1
    if others == 0:
        return
    for part in parts:
        fill(view(w.pair, l.matrix_at[l.part_start[part]], l.matrix_at[l.part_start[part + 1]]), 0.0)
        for j in range(l.part_start[part], l.part_start[part + 1]):
            start, stop = l.row_start[j], l.row_start[j + 1]
            columns = (l.matrix_at[j + 1] - l.matrix_at[j]) // q
            weight = view(w.weight, start, stop)
            for f in range(others):
                at = view(l.row_pair, f * n + start, f * n + stop)
                for a in range(q):
                    one = view(l.Z, a * n + start, a * n + stop)
                    for b in range(l.q[f + 1]):
                        z = (l.z_at[f + 1] + b) * n
                        other, own = view(l.Z, z + start, z + stop), after(w.pair, a * columns + b)
                        for i in range(len(weight)):
                            own[at[i]] += weight[i] * one[i] * other[i]


@kernel
def _between_roots(
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
def cholesky(A: FloatArray, size: int) -> float:
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
def _forward(R: FloatArray, q: int, x: FloatArray) -> None:
    """Solve ``R y = x`` in place for each of the columns of x, which has q rows."""
    columns = len(x) // q
    for a in range(q):
        for c in range(a):
            for k in range(columns):
                x[a * columns + k] -= R[a * q + c] * x[c * columns + k]
        for k in range(columns):
            x[a * columns + k] /= R[a * q + a]


@kernel
def _backward(R: FloatArray, q: int, x: FloatArray) -> None:
    """Solve ``R' y = x`` in place for each of the columns of x, which has q rows."""
    columns = len(x) // q
    for a in range(q - 1, -1, -1):
        for c in range(a + 1, q):
            for k in range(columns):
                x[a * columns + k] -= R[c * q + a] * x[c * columns + k]
        for k in range(columns):
            x[a * columns + k] /= R[a * q + a]


@kernel
def eliminate(l: RowIndex, w: Work, roots: FloatArray, parts: IntArray) -> None:
    """Factorise the blocks D_j of some parts: sum log|D_j| into ``w.logarithm``, Schur complements into ``w.dense``."""
    q = l.q[0]
    scratch, block = np.empty(most_entries(l)), np.empty(most_entries(l))
    for part in parts:
        logarithm = 0.0
        for j in range(l.part_start[part], l.part_start[part + 1]):
            D = view(w.root_own, j * q * q, (j + 1) * q * q)
            _between_roots(roots, q, after(w.own, j * q * q), roots, q, scratch, D)
            for a in range(q):
                D[a * q + a] += 1.0
            logarithm += cholesky(D, q)
        w.logarithm[part] = logarithm
    if len(l.q) == 1:
        return
    blocks = len(l.cross_at) - 1
    for part in parts:
        base, size = l.col_start[part], l.col_start[part + 1] - l.col_start[part]
        S = view(w.dense, l.dense_at[part], l.dense_at[part + 1])
        fill(S, 0.0)
        for k in range(l.own_start[part], l.own_start[part + 1]):
            t, col = l.own_factor[k], l.own_col[k] - base
            root, width = after(roots, l.root_at[t]), l.q[t]
            _between_roots(root, width, after(w.rest, l.own_at[k]), root, width, scratch, block)
            for a in range(width):
                for b in range(width):
                    S[(col + a) * size + col + b] = block[a * width + b]
                S[(col + a) * size + col + a] += 1.0
        for k in range(l.cross_start[part], l.cross_start[part + 1]):
            s, t = l.cross_factors[k], l.cross_factors[blocks + k]
            left, right = l.cross_cols[k] - base, l.cross_cols[blocks + k] - base
            one, other = after(roots, l.root_at[s]), after(roots, l.root_at[t])
            _between_roots(one, l.q[s], after(w.cross, l.cross_at[k]), other, l.q[t], scratch, block)
            for a in range(l.q[s]):
                for b in range(l.q[t]):
                    S[(right + b) * size + left + a] = block[a * l.q[t] + b]
        for j in range(l.part_start[part], l.part_start[part + 1]):
            columns = (l.matrix_at[j + 1] - l.matrix_at[j]) // q
            R, W = view(w.root_own, j * q * q, (j + 1) * q * q), view(w.solved_pair, l.matrix_at[j], l.matrix_at[j + 1])
            half = view(w.half_pair, l.matrix_at[j], l.matrix_at[j + 1])
            matrix = view(w.pair, l.matrix_at[j], l.matrix_at[j + 1])
            for p in range(l.pair_start[j], l.pair_start[j + 1]):
                t, first = l.pair_factor[p], l.pair_first[p]
                width, root = l.q[t], after(roots, l.root_at[t])
                for a in range(q):
                    for b in range(width):
                        total = 0.0
                        for c in range(b, width):
                            total += matrix[a * columns + first + c] * root[c * width + b]
                        half[a * columns + first + b] = total
            for a in range(q):
                for k in range(columns):
                    W[a * columns + k] = roots[a * q + a] * half[a * columns + k]
                for c in range(a + 1, q):
                    for k in range(columns):
                        W[a * columns + k] += roots[c * q + a] * half[c * columns + k]
            _forward(R, q, W)
            _subtract_products(W, view(l.matrix_cols, l.matrix_at[j] // q, l.matrix_at[j + 1] // q), q, base, S, size)
            _backward(R, q, W)


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
def solve_first(l: RowIndex, w: Work, parts: IntArray, x: FloatArray) -> None:
    """First part of ``H^-1 x`` in place: eliminate the levels of the first factor from the right-hand side."""
    q, base = l.q[0], first_columns(l)
    for part in parts:
        for j in range(l.part_start[part], l.part_start[part + 1]):
            own = view(x, j * q, (j + 1) * q)
            cols = view(l.matrix_cols, l.matrix_at[j] // q, l.matrix_at[j + 1] // q)
            for a in range(q):
                row = after(w.solved_pair, l.matrix_at[j] + a * len(cols))
                for k in range(len(cols)):
                    x[base + cols[k]] -= row[k] * own[a]
            R = view(w.root_own, j * q * q, (j + 1) * q * q)
            _forward(R, q, own)
            _backward(R, q, own)


@kernel
def solve_last(l: RowIndex, w: Work, parts: IntArray, x: FloatArray) -> None:
    """Last part of ``H^-1 x`` in place, once the other factors' entries hold ``S^-1`` times theirs."""
    q, base = l.q[0], first_columns(l)
    for part in parts:
        for j in range(l.part_start[part], l.part_start[part + 1]):
            own = view(x, j * q, (j + 1) * q)
            cols = view(l.matrix_cols, l.matrix_at[j] // q, l.matrix_at[j + 1] // q)
            for a in range(q):
                row = after(w.solved_pair, l.matrix_at[j] + a * len(cols))
                total = 0.0
                for k in range(len(cols)):
                    total += row[k] * x[base + cols[k]]
                own[a] -= total


@kernel
def factorise_dense(l: RowIndex, w: Work, parts: IntArray) -> None:
    """Replace the Schur complements of some parts by their Cholesky factors and add log|S| to ``w.logarithm``."""
    for part in parts:
        size = l.col_start[part + 1] - l.col_start[part]
        w.logarithm[part] += cholesky(view(w.dense, l.dense_at[part], l.dense_at[part + 1]), size)


@kernel
def solve_dense(l: RowIndex, w: Work, parts: IntArray, x: FloatArray) -> None:
    """Solve with the Cholesky factors of the Schur complements, in place."""
    base = first_columns(l)
    for part in parts:
        S, size = view(w.dense, l.dense_at[part], l.dense_at[part + 1]), l.col_start[part + 1] - l.col_start[part]
        own = view(x, base + l.col_start[part], base + l.col_start[part + 1])
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
def multiply_dense(l: RowIndex, w: Work, parts: IntArray, x: FloatArray, scratch: FloatArray) -> None:
    """Multiply by the inverses of the Schur complements, in place."""
    base = first_columns(l)
    for part in parts:
        S, size = view(w.dense, l.dense_at[part], l.dense_at[part + 1]), l.col_start[part + 1] - l.col_start[part]
        own = view(x, base + l.col_start[part], base + l.col_start[part + 1])
        for i in range(size):
            total = 0.0
            row = view(S, i * size, (i + 1) * size)
            for k in range(size):
                total += row[k] * own[k]
            scratch[i] = total
        for i in range(size):
            own[i] = scratch[i]


@kernel
def invert_dense(l: RowIndex, w: Work, parts: IntArray) -> None:
    """Replace the Cholesky factors of the Schur complements by the inverses, both triangles."""
    for part in parts:
        m = l.col_start[part + 1] - l.col_start[part]
        S = view(w.dense, l.dense_at[part], l.dense_at[part + 1])
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
def select_inverse(l: RowIndex, w: Work, parts: IntArray) -> None:
    """Blocks of ``H^-1`` where ``A'WA`` has blocks, from the inverses of the Schur complements in ``w.dense``."""
    q, blocks = l.q[0], len(l.cross_at) - 1
    for part in parts:
        base, size = l.col_start[part], l.col_start[part + 1] - l.col_start[part]
        inverse = view(w.dense, l.dense_at[part], l.dense_at[part + 1])
        for j in range(l.part_start[part], l.part_start[part + 1]):
            R = view(w.root_own, j * q * q, (j + 1) * q * q)
            V = view(w.inverse_own, j * q * q, (j + 1) * q * q)
            fill(V, 0.0)
            for a in range(q):
                V[a * q + a] = 1.0
            _forward(R, q, V)
            _backward(R, q, V)
            cols = view(l.matrix_cols, l.matrix_at[j] // q, l.matrix_at[j + 1] // q)
            G, pairs = after(w.solved_pair, l.matrix_at[j]), after(w.inverse_pair, l.matrix_at[j])
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
        for k in range(l.own_start[part], l.own_start[part + 1]):
            width, at, col = l.q[l.own_factor[k]], l.own_at[k], l.own_col[k] - base
            for a in range(width):
                for b in range(width):
                    w.inverse_rest[at + a * width + b] = inverse[(col + a) * size + col + b]
        for k in range(l.cross_start[part], l.cross_start[part + 1]):
            left, right = l.q[l.cross_factors[k]], l.q[l.cross_factors[blocks + k]]
            row, col = l.cross_cols[k] - base, l.cross_cols[blocks + k] - base
            for a in range(left):
                for b in range(right):
                    w.inverse_cross[l.cross_at[k] + a * right + b] = inverse[(row + a) * size + col + b]


def effect_variances(layout: RowIndex, work: Work) -> FloatArray:
    """Conditional variances of all effects on the logit scale, in the order of ``u``, after an evaluation.

    An evaluation with its gradient leaves the blocks of ``L H^-1 L'`` in the places of those of ``H^-1``.
    """
    q = int(layout.q[0])
    base = (len(layout.row_start) - 1) * q
    variances = np.empty(len(work.u))
    variances[:base] = np.einsum("jaa->ja", work.inverse_own.reshape(-1, q, q)).ravel()
    for t in range(1, len(layout.q)):
        width = int(layout.q[t])
        own = layout.own_factor == t
        for a in range(width):
            at = layout.own_at[:-1][own] + a * width + a
            variances[base + layout.own_col[own] + a] = work.inverse_rest[at]
    return variances


@kernel
def spread_effects(l: RowIndex, w: Work, x: FloatArray) -> None:
    """Turn standard normal numbers into a draw from ``N(0, H^-1)``, in place; ``w.dense`` holds Cholesky factors."""
    q, base = l.q[0], first_columns(l)
    for part in range(len(l.part_start) - 1):
        S, size = view(w.dense, l.dense_at[part], l.dense_at[part + 1]), l.col_start[part + 1] - l.col_start[part]
        own = view(x, base + l.col_start[part], base + l.col_start[part + 1])
        for i in range(size - 1, -1, -1):
            own[i] /= S[i * size + i]
            for k in range(i):
                own[k] -= S[i * size + k] * own[i]
        for j in range(l.part_start[part], l.part_start[part + 1]):
            level = view(x, j * q, (j + 1) * q)
            _backward(view(w.root_own, j * q * q, (j + 1) * q * q), q, level)
            cols = view(l.matrix_cols, l.matrix_at[j] // q, l.matrix_at[j + 1] // q)
            for a in range(q):
                row, total = after(w.solved_pair, l.matrix_at[j] + a * len(cols)), 0.0
                for k in range(len(cols)):
                    total += row[k] * x[base + cols[k]]
                level[a] -= total
