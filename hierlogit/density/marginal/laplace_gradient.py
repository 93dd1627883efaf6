"""The exact gradient of the Laplace approximation, compiled.

It takes into account that the mode moves with the parameters. With ``V = H^-1``, ``h_i = a_i' V a_i``,
``t_i = -w'_i h_i / 2``, ``s = A't``, ``k = V s`` and ``c_i = r_i + t_i - w_i a_i'k``,

    d log L / d beta = X'c,    d log L / d L = sum_i z_i (c_i u + r_i k - w_i V a_i)'

with the entries of u, k and ``V a_i`` that belong to the row's level. Sums over rows are taken by level and by block.
The derivative in L is kept by part, since the parts are independent: `dcholesky` has that of one part after the other,
and is zero before. The derivative in beta by part is that of its rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import kernel
from ...numba_support.vectors import after, fill, view
from .block_cholesky import solve_first, solve_last
from .effects_to_predictor import add_effects, scale_effects, sum_by_level, times_cholesky_transposed
from .selected_inverse import invert_dense, multiply_dense, select_inverse
from .work import Work, first_columns, largest_block

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@kernel
def _add_curvature(
    M: FloatArray, q: int, p: int, L: FloatArray, V: FloatArray, transposed: bool, dL: FloatArray
) -> None:
    """Subtract ``M L V'`` from the derivative in L; with the transposed blocks where `transposed`.

    M and V are q x p blocks of ``Z'WZ`` and ``H^-1``. The result is q x q, or p x p for the transposed.
    """
    rows, inner = (p, q) if transposed else (q, p)
    for a in range(rows):
        for c in range(inner):
            total = 0.0  # (M L)[a, c]
            for d in range(c, inner):
                total += (M[d * p + a] if transposed else M[a * p + d]) * L[d * inner + c]
            for b in range(rows):
                dL[a * rows + b] -= total * (V[c * p + b] if transposed else V[b * p + c])


@kernel
def _to_predictor(left: FloatArray, q: int, right: FloatArray, p: int, V: FloatArray, scratch: FloatArray) -> None:
    """Replace a block V (q x p) by ``left V right'``, covariances of effects on the logit scale."""
    for a in range(q):
        for b in range(p):
            total = 0.0
            for c in range(a + 1):
                total += left[a * q + c] * V[c * p + b]
            scratch[a * p + b] = total
    for a in range(q):
        for b in range(p):
            total = 0.0
            for c in range(b + 1):
                total += scratch[a * p + c] * right[b * p + c]
            V[a * p + b] = total


@kernel
def _curvatures(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray, dcholesky: FloatArray) -> None:
    """Add the derivative of ``-log|H| / 2`` in L at fixed weights; put the inverse's blocks on the logit scale."""
    _curvatures_of_pairs(r, w, cholesky, parts, dcholesky)
    q, blocks, entries = r.q[0], len(r.cross_at) - 1, r.cholesky_at[len(r.q)]
    scratch = np.empty(largest_block(r))
    for part in parts:
        own = after(dcholesky, part * entries)
        for j in range(r.part_start[part], r.part_start[part + 1]):
            V = after(w.inverse_first, j * q * q)
            _add_curvature(after(w.products_first, j * q * q), q, q, cholesky, V, False, own)
            _to_predictor(cholesky, q, cholesky, q, V, scratch)
        if not r.several_factors:
            continue
        for k in range(r.other_start[part], r.other_start[part + 1]):
            t, at = r.other_factor[k], r.other_at[k]
            L, dL, width = after(cholesky, r.cholesky_at[t]), after(own, r.cholesky_at[t]), r.q[t]
            V = after(w.inverse_other, at)
            _add_curvature(after(w.products_other, at), width, width, L, V, False, dL)
            _to_predictor(L, width, L, width, V, scratch)
        for k in range(r.cross_start[part], r.cross_start[part + 1]):
            s, t, at = r.cross_factors[k], r.cross_factors[blocks + k], r.cross_at[k]
            left, right = after(cholesky, r.cholesky_at[s]), after(cholesky, r.cholesky_at[t])
            M, V = after(w.products_cross, at), after(w.inverse_cross, at)
            _add_curvature(M, r.q[s], r.q[t], right, V, False, after(own, r.cholesky_at[s]))
            _add_curvature(M, r.q[s], r.q[t], left, V, True, after(own, r.cholesky_at[t]))
            _to_predictor(left, r.q[s], right, r.q[t], V, scratch)


@kernel
def _curvatures_of_pairs(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray, dcholesky: FloatArray) -> None:
    """The blocks of `_curvatures` between levels of the eliminated factor and levels of the others."""
    if not r.several_factors:
        return
    q, entries = r.q[0], r.cholesky_at[len(r.q)]
    for part in parts:
        own = after(dcholesky, part * entries)
        for j in range(r.part_start[part], r.part_start[part + 1]):
            columns = (r.matrix_at[j + 1] - r.matrix_at[j]) // q
            M = view(w.products_pair, r.matrix_at[j], r.matrix_at[j + 1])
            V = view(w.inverse_pair, r.matrix_at[j], r.matrix_at[j + 1])
            scaled = view(w.scaled_pair, r.matrix_at[j], r.matrix_at[j + 1])
            for a in range(q):
                for b in range(q):
                    total = 0.0
                    for k in range(columns):
                        total += scaled[a * columns + k] * V[b * columns + k]
                    own[a * q + b] -= total
            for a in range(q - 1, -1, -1):  # L V in place of V
                for k in range(columns):
                    V[a * columns + k] *= cholesky[a * q + a]
                for c in range(a):
                    for k in range(columns):
                        V[a * columns + k] += cholesky[a * q + c] * V[c * columns + k]
            for p in range(r.pair_start[j], r.pair_start[j + 1]):
                t, first = r.pair_factor[p], r.pair_first[p]
                L, dL, width = after(cholesky, r.cholesky_at[t]), after(own, r.cholesky_at[t]), r.q[t]
                for d in range(q):
                    row = d * columns + first
                    for a in range(width):
                        for b in range(width):
                            dL[a * width + b] -= M[row + a] * V[row + b]
                    for b in range(width - 1, -1, -1):  # V L' in place of V
                        V[row + b] *= L[b * width + b]
                        for c in range(b):
                            V[row + b] += L[b * width + c] * V[row + c]


@kernel
def _add_variance(
    one: FloatArray,
    qa: int,
    other: FloatArray,
    qb: int,
    n: int,
    at: IntArray,
    times: float,
    V: FloatArray,
    out: FloatArray,
) -> None:
    for a in range(qa):
        za = view(one, a * n, a * n + len(at))
        for b in range(qb):
            zb, v = view(other, b * n, b * n + len(at)), after(V, a * qb + b)
            for i in range(len(at)):
                out[i] += times * za[i] * zb[i] * v[at[i]]


@kernel
def predictor_variance(r: RowIndex, w: Work, parts: IntArray, out: FloatArray) -> None:
    """Conditional variance ``h_i`` of each row's linear predictor, once the inverse's blocks are on the logit scale."""
    n, q, others = len(r.y), r.q[0], len(r.q) - 1
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            start, stop = r.row_start[j], r.row_start[j + 1]
            segment = view(out, start, stop)
            fill(segment, 0.0)
            for a in range(q):
                one = view(r.Z, a * n + start, a * n + stop)
                for b in range(q):
                    other, entry = view(r.Z, b * n + start, b * n + stop), w.inverse_first[j * q * q + a * q + b]
                    for i in range(len(segment)):
                        segment[i] += entry * one[i] * other[i]
            if not r.several_factors:
                continue
            columns = (r.matrix_at[j + 1] - r.matrix_at[j]) // q
            for f in range(others):
                at = view(r.row_pair, f * n + start, f * n + stop)
                for a in range(q):
                    one = view(r.Z, a * n + start, a * n + stop)
                    for b in range(r.q[f + 1]):
                        z = (r.z_at[f + 1] + b) * n
                        other, v = view(r.Z, z + start, z + stop), after(w.inverse_pair, a * columns + b)
                        for i in range(len(segment)):
                            segment[i] += 2.0 * one[i] * other[i] * v[at[i]]
        if not r.several_factors:
            continue
        first, last = r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]
        segment = view(out, first, last)
        k = 0
        for f in range(others):
            z, width = after(r.Z, r.z_at[f + 1] * n + first), r.q[f + 1]
            at = view(r.row_other, f * n + first, f * n + last)
            _add_variance(z, width, z, width, n, at, 1.0, w.inverse_other, segment)
            for g in range(f + 1, others):
                at, right = (
                    view(r.row_cross, k * n + first, k * n + last),
                    after(r.Z, r.z_at[g + 1] * n + first),
                )
                _add_variance(z, width, right, r.q[g + 1], n, at, 2.0, w.inverse_cross, segment)
                k += 1


@kernel
def _add_outer(r: RowIndex, parts: IntArray, score: FloatArray, u: FloatArray, dcholesky: FloatArray) -> None:
    """Add ``sum_j score_j u_j'`` by factor."""
    q, base, entries = r.q[0], first_columns(r), r.cholesky_at[len(r.q)]
    for part in parts:
        own = after(dcholesky, part * entries)
        for j in range(r.part_start[part], r.part_start[part + 1]):
            for a in range(q):
                for b in range(q):
                    own[a * q + b] += score[j * q + a] * u[j * q + b]
        if not r.several_factors:
            continue
        for k in range(r.other_start[part], r.other_start[part + 1]):
            t, at = r.other_factor[k], base + r.other_col[k]
            width = r.q[t]
            for a in range(width):
                for b in range(width):
                    own[r.cholesky_at[t] + a * width + b] += score[at + a] * u[at + b]


@kernel
def start_gradient(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray, dcholesky: FloatArray) -> None:
    """First half of the gradient: ``t_i`` into ``w.deta``, and ``A't`` into ``w.step``, to be solved by H."""
    _curvatures(r, w, cholesky, parts, dcholesky)
    predictor_variance(r, w, parts, w.deta)
    for part in parts:
        first, last = r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]
        deta, weight = view(w.deta, first, last), view(w.weight, first, last)
        one_minus_2p = view(w.one_minus_2p, first, last)
        for i in range(len(deta)):
            deta[i] *= -0.5 * weight[i] * one_minus_2p[i]
    sum_by_level(r, parts, w.deta, w.gradient)
    times_cholesky_transposed(r, cholesky, parts, w.gradient, w.step)


@kernel
def finish_gradient(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray, dcholesky: FloatArray) -> None:
    """Second half of the gradient (k in ``w.step``): ``c_i`` into ``w.deta``, and the rest of the derivative in L."""
    _add_outer(r, parts, w.score, w.step, dcholesky)
    scale_effects(r, cholesky, parts, w.step, w.gradient)
    for part in parts:
        first, last = r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]
        fill(view(w.eta, first, last), 0.0)
    add_effects(r, parts, w.gradient, w.eta)
    for part in parts:
        first, last = r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]
        deta, residual = view(w.deta, first, last), view(w.residual, first, last)
        weight, shift = view(w.weight, first, last), view(w.eta, first, last)
        for i in range(len(deta)):
            deta[i] += residual[i] - weight[i] * shift[i]
    sum_by_level(r, parts, w.deta, w.gradient)
    _add_outer(r, parts, w.gradient, w.u, dcholesky)


@kernel
def differentiate(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray, dcholesky: FloatArray) -> None:
    """The gradient of some parts at their conditional modes, after `find_modes`."""
    invert_dense(r, w, parts)
    select_inverse(r, w, parts)
    start_gradient(r, w, cholesky, parts, dcholesky)
    solve_first(r, w, parts, w.step)
    multiply_dense(r, w, parts, w.step, w.gradient)
    solve_last(r, w, parts, w.step)
    finish_gradient(r, w, cholesky, parts, dcholesky)
