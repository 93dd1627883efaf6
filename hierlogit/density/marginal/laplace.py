"""The marginal likelihood with the random effects integrated out by Laplace's method, and its exact gradient.

At the mode ``u`` of a part's joint log density, with ``H = I + A'WA``:

    log L = l(u) - |u|^2 / 2 - log|H| / 2

The gradient takes into account that the mode moves with the parameters. With ``V = H^-1``, ``h_i = a_i' V a_i``,
``t_i = -w'_i h_i / 2``, ``s = A't``, ``k = V s`` and ``c_i = r_i + t_i - w_i a_i'k``,

    d log L / d beta = X'c,    d log L / d L = sum_i z_i (c_i u + r_i k - w_i V a_i)'

with the entries of u, k and ``V a_i`` that belong to the row's level. Sums over rows are taken by level and by block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...design.arrangement import Arrangement, RowIndex
from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.vectors import add_column, after, copy, dot, fill, view
from .block_cholesky import (
    Work,
    add_effects,
    add_scores,
    correlate_noise,
    eliminate,
    factorise_dense,
    first_columns,
    invert_dense,
    joint_log_density,
    largest_block,
    make_work,
    multiply_dense,
    product,
    scale_effects,
    select_inverse,
    solve_dense,
    solve_first,
    solve_last,
    sum_products,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Newton's steps end where the joint log density can rise by less than half of this.
ENOUGH = 1e-18
MOST_STEPS = 200
MOST_HALVINGS = 40
#: Parts whose other factors have more columns than this are factorised by LAPACK.
LARGE = 96


@kernel
def mode_gradient(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray) -> None:
    """Gradient in u of the joint log density, ``A' residual - u``, into ``w.gradient`` and ``w.step``."""
    add_scores(r, parts, w.residual, w.score)
    times_cholesky_transposed(r, cholesky, parts, w.score, w.gradient)
    q, base = r.q[0], first_columns(r)
    for part in parts:
        for c in range(r.part_start[part] * q, r.part_start[part + 1] * q):
            w.gradient[c] -= w.u[c]
            w.step[c] = w.gradient[c]
        for c in range(base + r.col_start[part], base + r.col_start[part + 1]):
            w.gradient[c] -= w.u[c]
            w.step[c] = w.gradient[c]


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
        for k in range(r.other_start[part], r.other_start[part + 1]):
            t, at = r.other_factor[k], base + r.other_col[k]
            _lower_transposed_times(
                after(cholesky, r.cholesky_at[t]), r.q[t], view(x, at, at + r.q[t]), view(out, at, at + r.q[t])
            )


@kernel
def move(r: RowIndex, part: int, factor: float, x: FloatArray, out: FloatArray) -> None:
    """Add `factor` times x over the levels of one part."""
    q, base = r.q[0], first_columns(r)
    for c in range(r.part_start[part] * q, r.part_start[part + 1] * q):
        out[c] += factor * x[c]
    for c in range(base + r.col_start[part], base + r.col_start[part + 1]):
        out[c] += factor * x[c]


@kernel
def ascend(r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray, parts: IntArray) -> None:
    """Take the steps of some parts, halved until no joint log density is lower than before."""
    before = w.log_joint.copy()
    for part in parts:
        move(r, part, 1.0, w.step, w.u)
    joint_log_density(r, w, cholesky, eta, parts)
    fraction, chosen = 1.0, np.empty_like(parts)
    for _ in range(MOST_HALVINGS):
        # Not "lower than": a value that is not a number has to be mended as well.
        count = 0
        for part in parts:
            if not w.log_joint[part] >= before[part] - 1e-12 * abs(before[part]):
                chosen[count] = part
                count += 1
        if count == 0:
            return
        worse = chosen[:count]
        fraction *= 0.5
        for part in worse:
            move(r, part, -fraction, w.step, w.u)
        joint_log_density(r, w, cholesky, eta, worse)


@kernel
def find_modes(r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray, parts: IntArray) -> None:
    """Find the modes of some parts by Newton's method, from the effects in ``w.u``.

    Afterwards the work arrays hold the factorisation of H at the mode.
    """
    joint_log_density(r, w, cholesky, eta, parts)
    active, kept = parts, np.empty_like(parts)
    for _ in range(MOST_STEPS):
        mode_gradient(r, w, cholesky, active)
        sum_products(r, w, active)
        eliminate(r, w, cholesky, active)
        factorise_dense(r, w, active)
        solve_first(r, w, active, w.step)
        solve_dense(r, w, active, w.step)
        solve_last(r, w, active, w.step)
        for part in active:
            w.decrement[part] = product(r, part, w.gradient, w.step)
        count = 0
        for part in active:
            if w.decrement[part] > ENOUGH:
                kept[count] = part  # not before its own place in `active`, which may be the same memory
                count += 1
        if count == 0:
            return
        active = kept[:count]
        ascend(r, w, cholesky, eta, active)


@kernel
def _add_curvature(
    M: FloatArray, q: int, p: int, L: FloatArray, V: FloatArray, transposed: bool, droot: FloatArray
) -> None:
    """Subtract ``M L V'`` from the derivative of a root; of the transposed blocks where `transposed`.

    M and V are q x p blocks of ``Z'WZ`` and ``H^-1``. The result is q x q, or p x p for the transposed.
    """
    rows, inner = (p, q) if transposed else (q, p)
    for a in range(rows):
        for c in range(inner):
            total = 0.0  # (M root)[a, c]
            for d in range(c, inner):
                total += (M[d * p + a] if transposed else M[a * p + d]) * L[d * inner + c]
            for b in range(rows):
                droot[a * rows + b] -= total * (V[c * p + b] if transposed else V[b * p + c])


@kernel
def _to_predictor(left: FloatArray, q: int, right: FloatArray, p: int, V: FloatArray, scratch: FloatArray) -> None:
    """Replace a block V (q x p) by ``left V right'``: covariances of effects on the logit scale."""
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
    """Add the direct share of ``log|H|`` to the roots' derivative; turn the inverse's blocks to the logit scale."""
    _curvatures_of_pairs(r, w, cholesky, parts, dcholesky)
    q, blocks = r.q[0], len(r.cross_at) - 1
    scratch = np.empty(largest_block(r))
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            V = after(w.inverse_first, j * q * q)
            _add_curvature(after(w.products_first, j * q * q), q, q, cholesky, V, False, dcholesky)
            _to_predictor(cholesky, q, cholesky, q, V, scratch)
        for k in range(r.other_start[part], r.other_start[part + 1]):
            t, at = r.other_factor[k], r.other_at[k]
            L, width, droot = after(cholesky, r.cholesky_at[t]), r.q[t], after(dcholesky, r.cholesky_at[t])
            _add_curvature(
                after(w.products_other, at),
                width,
                width,
                L,
                after(w.inverse_other, at),
                False,
                droot,
            )
            _to_predictor(L, width, L, width, after(w.inverse_other, at), scratch)
        for k in range(r.cross_start[part], r.cross_start[part + 1]):
            s, t, at = r.cross_factors[k], r.cross_factors[blocks + k], r.cross_at[k]
            left, right = after(cholesky, r.cholesky_at[s]), after(cholesky, r.cholesky_at[t])
            M, V = after(w.products_cross, at), after(w.inverse_cross, at)
            _add_curvature(M, r.q[s], r.q[t], right, V, False, after(dcholesky, r.cholesky_at[s]))
            _add_curvature(M, r.q[s], r.q[t], left, V, True, after(dcholesky, r.cholesky_at[t]))
            _to_predictor(left, r.q[s], right, r.q[t], V, scratch)


@kernel
def _curvatures_of_pairs(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray, dcholesky: FloatArray) -> None:
    """The share of `_curvatures` between levels of the eliminated factor and others."""
    q = r.q[0]
    if len(r.q) == 1:
        return
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            columns = (r.matrix_at[j + 1] - r.matrix_at[j]) // q
            M, V = (
                view(w.products_pair, r.matrix_at[j], r.matrix_at[j + 1]),
                view(w.inverse_pair, r.matrix_at[j], r.matrix_at[j + 1]),
            )
            half = view(w.scaled_pair, r.matrix_at[j], r.matrix_at[j + 1])
            for a in range(q):
                for b in range(q):
                    total = 0.0
                    for k in range(columns):
                        total += half[a * columns + k] * V[b * columns + k]
                    dcholesky[a * q + b] -= total
            for a in range(q - 1, -1, -1):  # L V in place of V
                for k in range(columns):
                    V[a * columns + k] *= cholesky[a * q + a]
                for c in range(a):
                    for k in range(columns):
                        V[a * columns + k] += cholesky[a * q + c] * V[c * columns + k]
            for p in range(r.pair_start[j], r.pair_start[j + 1]):
                t, first = r.pair_factor[p], r.pair_first[p]
                L, droot, width = (
                    after(cholesky, r.cholesky_at[t]),
                    after(dcholesky, r.cholesky_at[t]),
                    r.q[t],
                )
                for d in range(q):
                    row = d * columns + first
                    for a in range(width):
                        for b in range(width):
                            droot[a * width + b] -= M[row + a] * V[row + b]
                    for b in range(width - 1, -1, -1):  # times the other root, transposed
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
            zb, own = view(other, b * n, b * n + len(at)), after(V, a * qb + b)
            for i in range(len(at)):
                out[i] += times * za[i] * zb[i] * own[at[i]]


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
                    other, v = view(r.Z, b * n + start, b * n + stop), w.inverse_first[j * q * q + a * q + b]
                    for i in range(len(segment)):
                        segment[i] += v * one[i] * other[i]
            columns = (r.matrix_at[j + 1] - r.matrix_at[j]) // q
            for f in range(others):
                at = view(r.row_pair, f * n + start, f * n + stop)
                for a in range(q):
                    one = view(r.Z, a * n + start, a * n + stop)
                    for b in range(r.q[f + 1]):
                        z = (r.z_at[f + 1] + b) * n
                        other, own = (
                            view(r.Z, z + start, z + stop),
                            after(w.inverse_pair, a * columns + b),
                        )
                        for i in range(len(segment)):
                            segment[i] += 2.0 * one[i] * other[i] * own[at[i]]
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
    q, base = r.q[0], first_columns(r)
    for part in parts:
        for j in range(r.part_start[part], r.part_start[part + 1]):
            for a in range(q):
                for b in range(q):
                    dcholesky[a * q + b] += score[j * q + a] * u[j * q + b]
        for k in range(r.other_start[part], r.other_start[part + 1]):
            t, at = r.other_factor[k], base + r.other_col[k]
            width = r.q[t]
            for a in range(width):
                for b in range(width):
                    dcholesky[r.cholesky_at[t] + a * width + b] += score[at + a] * u[at + b]


@kernel
def start_gradient(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray, dcholesky: FloatArray) -> None:
    """First half of the gradient: ``t_i`` into ``w.deta``, and ``A't`` into ``w.step``, to be solved by H."""
    _curvatures(r, w, cholesky, parts, dcholesky)
    predictor_variance(r, w, parts, w.deta)
    for part in parts:
        first, last = r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]
        deta, weight, one_minus_2p = (
            view(w.deta, first, last),
            view(w.weight, first, last),
            view(w.one_minus_2p, first, last),
        )
        for i in range(len(deta)):
            deta[i] *= -0.5 * weight[i] * one_minus_2p[i]
    add_scores(r, parts, w.deta, w.gradient)
    times_cholesky_transposed(r, cholesky, parts, w.gradient, w.step)


@kernel
def finish_gradient(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray, dcholesky: FloatArray) -> None:
    """Second half of the gradient, with k in ``w.step``: ``c_i`` into ``w.deta`` and the rest of the roots' share."""
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
    add_scores(r, parts, w.deta, w.gradient)
    _add_outer(r, parts, w.gradient, w.u, dcholesky)


def evaluate_parts(
    r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray, parts: IntArray, dcholesky: FloatArray
) -> None:
    """Laplace approximation of some parts; of its gradient the rows' share is left in ``w.deta``."""
    # Two compiled functions: one that called both would hold another copy of each, and take as long to compile.
    find_modes(r, w, cholesky, eta, parts)
    differentiate(r, w, cholesky, parts, dcholesky)


@kernel
def differentiate(r: RowIndex, w: Work, cholesky: FloatArray, parts: IntArray, dcholesky: FloatArray) -> None:
    """The gradient of some parts, whose modes are settled."""
    invert_dense(r, w, parts)
    select_inverse(r, w, parts)
    start_gradient(r, w, cholesky, parts, dcholesky)
    solve_first(r, w, parts, w.step)
    multiply_dense(r, w, parts, w.step, w.gradient)
    solve_last(r, w, parts, w.step)
    finish_gradient(r, w, cholesky, parts, dcholesky)


@kernel
def fixed_predictor(r: RowIndex, gamma: FloatArray, out: FloatArray) -> None:
    """Offset plus ``X gamma``."""
    n = len(out)
    copy(r.offset, out)
    for k in range(len(gamma)):
        add_column(view(r.X, k * n, (k + 1) * n), gamma[k], out)


@kernel
def columns_times(r: RowIndex, deta: FloatArray, out: FloatArray) -> None:
    """``X' deta``."""
    n = len(deta)
    for k in range(len(out)):
        out[k] = dot(view(r.X, k * n, (k + 1) * n), deta)


@dataclass(frozen=True)
class Evaluation:
    """Value and gradient of a marginal log-likelihood at one point.

    Attributes
    ----------
    value : float
        Log-likelihood, with the binomial coefficients.
    dgamma : ndarray, shape (p,)
        Gradient in the coefficients of the basis of the fixed effects.
    dcholesky : ndarray
        Gradient in the flat roots: the whole square matrices, of which the lower triangles count.
    converged : bool
        Whether the mode of the random effects was found.
    """

    value: float
    dgamma: FloatArray
    dcholesky: FloatArray
    converged: bool


#: What Newton's steps for the mode may leave undone and still count as settled, in units of log-likelihood.
MODE_TOLERANCE = 1e-9


class LaplaceLikelihood:
    """Marginal log-likelihood by Laplace's method, with its gradient.

    Each evaluation starts from the modes of the one before it. Not to be used by two threads at a time.

    Parameters
    ----------
    arrangement : Arrangement
    """

    def __init__(self, arrangement: Arrangement) -> None:
        self.arrangement = arrangement
        row_index = arrangement.row_index
        self.work = make_work(row_index)
        self.cholesky = np.zeros(int(row_index.cholesky_at[-1]))
        self._eta = np.empty(len(row_index.y))
        sizes = np.diff(row_index.col_start)
        self._small = np.flatnonzero(sizes <= LARGE)
        self._large = [_LargePart(row_index, int(part)) for part in np.flatnonzero(sizes > LARGE)]

    @property
    def values(self) -> FloatArray:
        """Log-likelihood of each part at the last evaluation, without binomial coefficients."""
        return self.work.log_joint - 0.5 * self.work.log_det

    def evaluate(self, gamma: FloatArray, cholesky: FloatArray) -> Evaluation:
        """Log-likelihood and gradient at coefficients of the basis and flat roots."""
        row_index, work = self.arrangement.row_index, self.work
        if not np.all(np.isfinite(work.u)):
            work.u[:] = 0.0
        self.cholesky = cholesky
        fixed_predictor(row_index, gamma, self._eta)
        dcholesky = np.zeros(len(cholesky))
        if len(self._small):
            evaluate_parts(row_index, work, cholesky, self._eta, self._small, dcholesky)
        for part in self._large:
            part.evaluate(row_index, work, cholesky, self._eta, dcholesky)
        dgamma = np.empty(len(gamma))
        columns_times(row_index, work.deta, dgamma)
        value = float(work.log_joint.sum() - 0.5 * work.log_det.sum()) + self.arrangement.log_coefficients
        return Evaluation(value, dgamma, dcholesky, bool(work.decrement.max() <= MODE_TOLERANCE))

    def factorise(self) -> None:
        """Leave the Cholesky factors of the last evaluation's H in the work arrays, in place of its inverse."""
        row_index, work = self.arrangement.row_index, self.work
        sum_products(row_index, work, self._small)
        eliminate(row_index, work, self.cholesky, self._small)
        factorise_dense(row_index, work, self._small)
        for part in self._large:
            part.factorise(row_index, work, self.cholesky)


class Evaluated(Protocol):
    """A likelihood that has been evaluated, with the factorisation at its point."""

    arrangement: Arrangement
    work: Work
    cholesky: FloatArray


def fixed_information(likelihood: Evaluated) -> FloatArray:
    """Information about the coefficients of the basis at the last evaluation, given the roots, shape (p, p).

    ``X'WX - X'WA H^-1 A'WX``: what the normal equations of the penalised least squares leave when the random effects
    are eliminated (Bates et al. 2015, Journal of Statistical Software 67, section 5.2).
    """
    row_index, work = likelihood.arrangement.row_index, likelihood.work
    p = row_index.X.shape[1]
    weighted = row_index.X * work.weight[:, None]
    crossed, solved = np.empty((p, len(work.u))), np.empty((p, len(work.u)))
    _cross_with_effects(row_index, work, likelihood.cholesky, np.ascontiguousarray(weighted.T), crossed, solved)
    information: FloatArray = weighted.T @ row_index.X - crossed @ solved.T
    return information


@exact_kernel
def _cross_with_effects(
    r: RowIndex, w: Work, cholesky: FloatArray, weighted: FloatArray, crossed: FloatArray, solved: FloatArray
) -> None:
    """``A'`` times each row of `weighted`, and ``H^-1`` times that."""
    parts = np.arange(len(r.part_start) - 1)
    for k in range(len(weighted)):
        add_scores(r, parts, weighted[k], w.gradient)
        times_cholesky_transposed(r, cholesky, parts, w.gradient, w.step)
        copy(w.step, crossed[k])
        solve_first(r, w, parts, w.step)
        multiply_dense(r, w, parts, w.step, w.gradient)
        solve_last(r, w, parts, w.step)
        copy(w.step, solved[k])


class _LargePart:
    """A part whose Schur complement is large enough for LAPACK.

    Between evaluations the inverse of the last one is kept: steps with it converge nearly as fast as Newton's and cost
    a fraction of a factorisation.
    """

    #: A step with an old factorisation that leaves more than this share of the gain asks for a new one.
    STALE = 0.2

    def __init__(self, row_index: RowIndex, part: int) -> None:
        self._part = np.array([part])
        self._size = int(row_index.col_start[part + 1] - row_index.col_start[part])
        first = int(first_columns(row_index) + row_index.col_start[part])
        self._columns = slice(first, first + self._size)
        self._dense = slice(int(row_index.schur_at[part]), int(row_index.schur_at[part + 1]))
        self._inverted = False

    def evaluate(self, r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray, dcholesky: FloatArray) -> None:
        """As `evaluate_parts`, for one part."""
        self._settle(r, w, cholesky, eta)
        self._invert(w)
        select_inverse(r, w, self._part)
        start_gradient(r, w, cholesky, self._part, dcholesky)
        self._solve(r, w)
        finish_gradient(r, w, cholesky, self._part, dcholesky)

    def _matrix(self, w: Work) -> FloatArray:
        return w.schur[self._dense].reshape(self._size, self._size)

    def _settle(self, r: RowIndex, w: Work, cholesky: FloatArray, eta: FloatArray) -> None:
        part = self._part
        joint_log_density(r, w, cholesky, eta, part)
        current = False
        if not self._inverted:
            self.factorise(r, w, cholesky)
            current = True
        before = np.inf
        for _ in range(MOST_STEPS):
            mode_gradient(r, w, cholesky, part)
            self._solve(r, w)
            gain = w.decrement[part[0]] = product(r, part[0], w.gradient, w.step)
            done = not gain > ENOUGH
            if not current and (done or gain > self.STALE * before):
                self.factorise(r, w, cholesky)
                current = True
                continue
            if done:
                return
            before = gain
            ascend(r, w, cholesky, eta, part)
            current = False

    def factorise(self, r: RowIndex, w: Work, cholesky: FloatArray) -> None:
        """Assemble the Schur complement at the current effects and factorise it."""
        from scipy.linalg.lapack import dpotrf

        sum_products(r, w, self._part)
        eliminate(r, w, cholesky, self._part)
        # The lower triangle in C order is the upper one in Fortran's.
        matrix = self._matrix(w)
        dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
        w.log_det[self._part] += 2.0 * np.log(np.diag(matrix)).sum()
        self._inverted = False

    def _invert(self, w: Work) -> None:
        from scipy.linalg.lapack import dpotri

        matrix = self._matrix(w)
        dpotri(matrix.T, lower=0, overwrite_c=1)
        _mirror(matrix)
        self._inverted = True

    def _solve(self, r: RowIndex, w: Work) -> None:
        from scipy.linalg.lapack import dpotrs

        solve_first(r, w, self._part, w.step)
        own, matrix = w.step[self._columns], self._matrix(w)
        own[:] = matrix @ own if self._inverted else dpotrs(matrix.T, own, lower=0)[0]
        solve_last(r, w, self._part, w.step)


@exact_kernel
def _mirror(A: FloatArray) -> None:
    for i in range(len(A)):
        for j in range(i):
            A[j, i] = A[i, j]


@exact_kernel
def draw_effects(
    r: RowIndex,
    w: Work,
    gammas: FloatArray,
    cholesky: FloatArray,
    starts: FloatArray,
    noise: FloatArray,
    renewed: bool,
    eta: FloatArray,
    joint: FloatArray,
    logarithms: FloatArray,
) -> None:
    """Draw effects from the Gaussian at their conditional mode, for each draw of the parameters.

    With `renewed`, mode and H are those of each draw. Without, the mode is one step from `starts` and H the one whose
    Cholesky factors are in the work arrays: for models in which factorising is dear and parameters are known well.

    Parameters
    ----------
    gammas : shape (draws, p)
    cholesky : shape (draws, flat roots)
    starts : shape (draws, effects)
        Replaced by the draws of the standardised effects.
    noise : shape (draws, effects)
        Standard normal numbers, used up.
    eta : shape (n,)
        Scratch.
    joint, logarithms : shape (draws,)
        Joint log density at the draws and ``log|H|``, written.
    """
    parts = np.arange(len(r.part_start) - 1)
    for s in range(len(gammas)):
        fixed_predictor(r, gammas[s], eta)
        copy(starts[s], w.u)
        if renewed:
            find_modes(r, w, cholesky[s], eta, parts)
        else:
            joint_log_density(r, w, cholesky[s], eta, parts)
            mode_gradient(r, w, cholesky[s], parts)
            solve_first(r, w, parts, w.step)
            solve_dense(r, w, parts, w.step)
            solve_last(r, w, parts, w.step)
            add_column(w.step, 1.0, w.u)
        logarithms[s] = w.log_det.sum()
        correlate_noise(r, w, noise[s])
        add_column(noise[s], 1.0, w.u)
        joint_log_density(r, w, cholesky[s], eta, parts)
        joint[s] = w.log_joint.sum()
        copy(w.u, starts[s])
