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
    eliminate,
    factorise_dense,
    first_columns,
    invert_dense,
    joint_log_density,
    make_work,
    most_entries,
    multiply_dense,
    product,
    scale_effects,
    select_inverse,
    solve_dense,
    solve_first,
    solve_last,
    spread_effects,
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
def slope_of(l: RowIndex, w: Work, roots: FloatArray, parts: IntArray) -> None:
    """Gradient in u of the joint log density, ``A' residual - u``, into ``w.slope`` and ``w.step``."""
    add_scores(l, parts, w.residual, w.score)
    _times_roots_transposed(l, roots, parts, w.score, w.slope)
    q, base = l.q[0], first_columns(l)
    for part in parts:
        for c in range(l.part_start[part] * q, l.part_start[part + 1] * q):
            w.slope[c] -= w.u[c]
            w.step[c] = w.slope[c]
        for c in range(base + l.col_start[part], base + l.col_start[part + 1]):
            w.slope[c] -= w.u[c]
            w.step[c] = w.slope[c]


@kernel
def _transposed(root: FloatArray, q: int, x: FloatArray, out: FloatArray) -> None:
    for a in range(q):
        total = 0.0
        for c in range(a, q):
            total += root[c * q + a] * x[c]
        out[a] = total


@kernel
def _times_roots_transposed(l: RowIndex, roots: FloatArray, parts: IntArray, x: FloatArray, out: FloatArray) -> None:
    """``out = L' x`` for the levels of some parts."""
    q, base = l.q[0], first_columns(l)
    for part in parts:
        for j in range(l.part_start[part], l.part_start[part + 1]):
            _transposed(roots, q, view(x, j * q, (j + 1) * q), view(out, j * q, (j + 1) * q))
        for k in range(l.own_start[part], l.own_start[part + 1]):
            t, at = l.own_factor[k], base + l.own_col[k]
            _transposed(after(roots, l.root_at[t]), l.q[t], view(x, at, at + l.q[t]), view(out, at, at + l.q[t]))


@kernel
def move(l: RowIndex, part: int, factor: float, x: FloatArray, out: FloatArray) -> None:
    """Add `factor` times x over the levels of one part."""
    q, base = l.q[0], first_columns(l)
    for c in range(l.part_start[part] * q, l.part_start[part + 1] * q):
        out[c] += factor * x[c]
    for c in range(base + l.col_start[part], base + l.col_start[part + 1]):
        out[c] += factor * x[c]


@kernel
def ascend(l: RowIndex, w: Work, roots: FloatArray, eta: FloatArray, parts: IntArray) -> None:
    """Take the steps of some parts, halved until no joint log density is lower than before."""
    before = w.value.copy()
    for part in parts:
        move(l, part, 1.0, w.step, w.u)
    joint_log_density(l, w, roots, eta, parts)
    fraction, chosen = 1.0, np.empty_like(parts)
    for _ in range(MOST_HALVINGS):
        # Not "lower than": a value that is not a number has to be mended as well.
        count = 0
        for part in parts:
            if not w.value[part] >= before[part] - 1e-12 * abs(before[part]):
                chosen[count] = part
                count += 1
        if count == 0:
            return
        worse = chosen[:count]
        fraction *= 0.5
        for part in worse:
            move(l, part, -fraction, w.step, w.u)
        joint_log_density(l, w, roots, eta, worse)


@kernel
def settle(l: RowIndex, w: Work, roots: FloatArray, eta: FloatArray, parts: IntArray) -> None:
    """Find the modes of some parts by Newton's method, from the effects in ``w.u``.

    Afterwards the work arrays hold the factorisation of H at the mode.
    """
    joint_log_density(l, w, roots, eta, parts)
    active, kept = parts, np.empty_like(parts)
    for _ in range(MOST_STEPS):
        slope_of(l, w, roots, active)
        sum_products(l, w, active)
        eliminate(l, w, roots, active)
        factorise_dense(l, w, active)
        solve_first(l, w, active, w.step)
        solve_dense(l, w, active, w.step)
        solve_last(l, w, active, w.step)
        for part in active:
            w.gain[part] = product(l, part, w.slope, w.step)
        count = 0
        for part in active:
            if w.gain[part] > ENOUGH:
                kept[count] = part  # not before its own place in `active`, which may be the same memory
                count += 1
        if count == 0:
            return
        active = kept[:count]
        ascend(l, w, roots, eta, active)


@kernel
def _add_curvature(
    M: FloatArray, q: int, p: int, root: FloatArray, V: FloatArray, transposed: bool, droot: FloatArray
) -> None:
    """Subtract ``M root V'`` from the derivative of a root; of the transposed blocks where `transposed`.

    M and V are q x p blocks of ``Z'WZ`` and ``H^-1``. The result is q x q, or p x p for the transposed.
    """
    rows, inner = (p, q) if transposed else (q, p)
    for a in range(rows):
        for c in range(inner):
            total = 0.0  # (M root)[a, c]
            for d in range(c, inner):
                total += (M[d * p + a] if transposed else M[a * p + d]) * root[d * inner + c]
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
def _curvatures(l: RowIndex, w: Work, roots: FloatArray, parts: IntArray, droots: FloatArray) -> None:
    """Add the direct share of ``log|H|`` to the roots' derivative; turn the inverse's blocks to the logit scale."""
    _curvatures_of_pairs(l, w, roots, parts, droots)
    q, blocks = l.q[0], len(l.cross_at) - 1
    scratch = np.empty(most_entries(l))
    for part in parts:
        for j in range(l.part_start[part], l.part_start[part + 1]):
            V = after(w.inverse_own, j * q * q)
            _add_curvature(after(w.own, j * q * q), q, q, roots, V, False, droots)
            _to_predictor(roots, q, roots, q, V, scratch)
        for k in range(l.own_start[part], l.own_start[part + 1]):
            t, at = l.own_factor[k], l.own_at[k]
            root, width, droot = after(roots, l.root_at[t]), l.q[t], after(droots, l.root_at[t])
            _add_curvature(
                after(w.rest, at),
                width,
                width,
                root,
                after(w.inverse_rest, at),
                False,
                droot,
            )
            _to_predictor(root, width, root, width, after(w.inverse_rest, at), scratch)
        for k in range(l.cross_start[part], l.cross_start[part + 1]):
            s, t, at = l.cross_factors[k], l.cross_factors[blocks + k], l.cross_at[k]
            left, right = after(roots, l.root_at[s]), after(roots, l.root_at[t])
            M, V = after(w.cross, at), after(w.inverse_cross, at)
            _add_curvature(M, l.q[s], l.q[t], right, V, False, after(droots, l.root_at[s]))
            _add_curvature(M, l.q[s], l.q[t], left, V, True, after(droots, l.root_at[t]))
            _to_predictor(left, l.q[s], right, l.q[t], V, scratch)


@kernel
def _curvatures_of_pairs(l: RowIndex, w: Work, roots: FloatArray, parts: IntArray, droots: FloatArray) -> None:
    """The share of `_curvatures` between levels of the eliminated factor and others."""
    q = l.q[0]
    if len(l.q) == 1:
        return
    for part in parts:
        for j in range(l.part_start[part], l.part_start[part + 1]):
            columns = (l.matrix_at[j + 1] - l.matrix_at[j]) // q
            M, V = (
                view(w.pair, l.matrix_at[j], l.matrix_at[j + 1]),
                view(w.inverse_pair, l.matrix_at[j], l.matrix_at[j + 1]),
            )
            half = view(w.half_pair, l.matrix_at[j], l.matrix_at[j + 1])
            for a in range(q):
                for b in range(q):
                    total = 0.0
                    for k in range(columns):
                        total += half[a * columns + k] * V[b * columns + k]
                    droots[a * q + b] -= total
            for a in range(q - 1, -1, -1):  # L V in place of V
                for k in range(columns):
                    V[a * columns + k] *= roots[a * q + a]
                for c in range(a):
                    for k in range(columns):
                        V[a * columns + k] += roots[a * q + c] * V[c * columns + k]
            for p in range(l.pair_start[j], l.pair_start[j + 1]):
                t, first = l.pair_factor[p], l.pair_first[p]
                root, droot, width = (
                    after(roots, l.root_at[t]),
                    after(droots, l.root_at[t]),
                    l.q[t],
                )
                for d in range(q):
                    row = d * columns + first
                    for a in range(width):
                        for b in range(width):
                            droot[a * width + b] -= M[row + a] * V[row + b]
                    for b in range(width - 1, -1, -1):  # times the other root, transposed
                        V[row + b] *= root[b * width + b]
                        for c in range(b):
                            V[row + b] += root[b * width + c] * V[row + c]


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
def predictor_variance(l: RowIndex, w: Work, parts: IntArray, out: FloatArray) -> None:
    """Conditional variance ``h_i`` of each row's linear predictor, once the inverse's blocks are on the logit scale."""
    n, q, others = len(l.y), l.q[0], len(l.q) - 1
    for part in parts:
        for j in range(l.part_start[part], l.part_start[part + 1]):
            start, stop = l.row_start[j], l.row_start[j + 1]
            segment = view(out, start, stop)
            fill(segment, 0.0)
            for a in range(q):
                one = view(l.Z, a * n + start, a * n + stop)
                for b in range(q):
                    other, v = view(l.Z, b * n + start, b * n + stop), w.inverse_own[j * q * q + a * q + b]
                    for i in range(len(segment)):
                        segment[i] += v * one[i] * other[i]
            columns = (l.matrix_at[j + 1] - l.matrix_at[j]) // q
            for f in range(others):
                at = view(l.row_pair, f * n + start, f * n + stop)
                for a in range(q):
                    one = view(l.Z, a * n + start, a * n + stop)
                    for b in range(l.q[f + 1]):
                        z = (l.z_at[f + 1] + b) * n
                        other, own = (
                            view(l.Z, z + start, z + stop),
                            after(w.inverse_pair, a * columns + b),
                        )
                        for i in range(len(segment)):
                            segment[i] += 2.0 * one[i] * other[i] * own[at[i]]
        first, last = l.row_start[l.part_start[part]], l.row_start[l.part_start[part + 1]]
        segment = view(out, first, last)
        k = 0
        for f in range(others):
            z, width = after(l.Z, l.z_at[f + 1] * n + first), l.q[f + 1]
            at = view(l.row_own, f * n + first, f * n + last)
            _add_variance(z, width, z, width, n, at, 1.0, w.inverse_rest, segment)
            for g in range(f + 1, others):
                at, right = (
                    view(l.row_cross, k * n + first, k * n + last),
                    after(l.Z, l.z_at[g + 1] * n + first),
                )
                _add_variance(z, width, right, l.q[g + 1], n, at, 2.0, w.inverse_cross, segment)
                k += 1


@kernel
def _add_outer(l: RowIndex, parts: IntArray, score: FloatArray, u: FloatArray, droots: FloatArray) -> None:
    """Add ``sum_j score_j u_j'`` by factor."""
    q, base = l.q[0], first_columns(l)
    for part in parts:
        for j in range(l.part_start[part], l.part_start[part + 1]):
            for a in range(q):
                for b in range(q):
                    droots[a * q + b] += score[j * q + a] * u[j * q + b]
        for k in range(l.own_start[part], l.own_start[part + 1]):
            t, at = l.own_factor[k], base + l.own_col[k]
            width = l.q[t]
            for a in range(width):
                for b in range(width):
                    droots[l.root_at[t] + a * width + b] += score[at + a] * u[at + b]


@kernel
def pull_rows(l: RowIndex, w: Work, roots: FloatArray, parts: IntArray, droots: FloatArray) -> None:
    """First half of the gradient: ``t_i`` into ``w.pull``, and ``A't`` into ``w.step``, to be solved by H."""
    _curvatures(l, w, roots, parts, droots)
    predictor_variance(l, w, parts, w.pull)
    for part in parts:
        first, last = l.row_start[l.part_start[part]], l.row_start[l.part_start[part + 1]]
        pull, weight, tilt = view(w.pull, first, last), view(w.weight, first, last), view(w.tilt, first, last)
        for i in range(len(pull)):
            pull[i] *= -0.5 * weight[i] * tilt[i]
    add_scores(l, parts, w.pull, w.slope)
    _times_roots_transposed(l, roots, parts, w.slope, w.step)


@kernel
def finish_gradient(l: RowIndex, w: Work, roots: FloatArray, parts: IntArray, droots: FloatArray) -> None:
    """Second half of the gradient, with k in ``w.step``: ``c_i`` into ``w.pull`` and the rest of the roots' share."""
    _add_outer(l, parts, w.score, w.step, droots)
    scale_effects(l, roots, parts, w.step, w.slope)
    for part in parts:
        first, last = l.row_start[l.part_start[part]], l.row_start[l.part_start[part + 1]]
        fill(view(w.eta, first, last), 0.0)
    add_effects(l, parts, w.slope, w.eta)
    for part in parts:
        first, last = l.row_start[l.part_start[part]], l.row_start[l.part_start[part + 1]]
        pull, residual = view(w.pull, first, last), view(w.residual, first, last)
        weight, shift = view(w.weight, first, last), view(w.eta, first, last)
        for i in range(len(pull)):
            pull[i] += residual[i] - weight[i] * shift[i]
    add_scores(l, parts, w.pull, w.slope)
    _add_outer(l, parts, w.slope, w.u, droots)


def evaluate_parts(
    l: RowIndex, w: Work, roots: FloatArray, eta: FloatArray, parts: IntArray, droots: FloatArray
) -> None:
    """Laplace approximation of some parts; of its gradient the rows' share is left in ``w.pull``."""
    # Two compiled functions: one that called both would hold another copy of each, and take as long to compile.
    settle(l, w, roots, eta, parts)
    differentiate(l, w, roots, parts, droots)


@kernel
def differentiate(l: RowIndex, w: Work, roots: FloatArray, parts: IntArray, droots: FloatArray) -> None:
    """The gradient of some parts, whose modes are settled."""
    invert_dense(l, w, parts)
    select_inverse(l, w, parts)
    pull_rows(l, w, roots, parts, droots)
    solve_first(l, w, parts, w.step)
    multiply_dense(l, w, parts, w.step, w.slope)
    solve_last(l, w, parts, w.step)
    finish_gradient(l, w, roots, parts, droots)


@kernel
def fixed_predictor(l: RowIndex, gamma: FloatArray, out: FloatArray) -> None:
    """Offset plus ``X gamma``."""
    n = len(out)
    copy(l.offset, out)
    for k in range(len(gamma)):
        add_column(view(l.X, k * n, (k + 1) * n), gamma[k], out)


@kernel
def columns_times(l: RowIndex, pull: FloatArray, out: FloatArray) -> None:
    """``X' pull``."""
    n = len(pull)
    for k in range(len(out)):
        out[k] = dot(view(l.X, k * n, (k + 1) * n), pull)


@dataclass(frozen=True)
class Evaluation:
    """Value and gradient of a marginal log-likelihood at one point.

    Attributes
    ----------
    value : float
        Log-likelihood, with the binomial coefficients.
    dgamma : ndarray, shape (p,)
        Gradient in the coefficients of the basis of the fixed effects.
    droots : ndarray
        Gradient in the flat roots: the whole square matrices, of which the lower triangles count.
    settled : bool
        Whether the mode of the random effects was found.
    """

    value: float
    dgamma: FloatArray
    droots: FloatArray
    settled: bool


#: What Newton's steps for the mode may leave undone and still count as settled, in units of log-likelihood.
SETTLED = 1e-9


class LaplaceLikelihood:
    """Marginal log-likelihood by Laplace's method, with its gradient.

    Each evaluation starts from the modes of the one before it. Not to be used by two threads at a time.

    Parameters
    ----------
    arrangement : Arrangement
    """

    def __init__(self, arrangement: Arrangement) -> None:
        self.arrangement = arrangement
        layout = arrangement.layout
        self.work = make_work(layout)
        self.roots = np.zeros(int(layout.root_at[-1]))
        self._eta = np.empty(len(layout.y))
        sizes = np.diff(layout.col_start)
        self._small = np.flatnonzero(sizes <= LARGE)
        self._large = [_LargePart(layout, int(part)) for part in np.flatnonzero(sizes > LARGE)]

    @property
    def values(self) -> FloatArray:
        """Log-likelihood of each part at the last evaluation, without binomial coefficients."""
        return self.work.value - 0.5 * self.work.logarithm

    def evaluate(self, gamma: FloatArray, roots: FloatArray) -> Evaluation:
        """Log-likelihood and gradient at coefficients of the basis and flat roots."""
        layout, work = self.arrangement.layout, self.work
        if not np.all(np.isfinite(work.u)):
            work.u[:] = 0.0
        self.roots = roots
        fixed_predictor(layout, gamma, self._eta)
        droots = np.zeros(len(roots))
        if len(self._small):
            evaluate_parts(layout, work, roots, self._eta, self._small, droots)
        for part in self._large:
            part.evaluate(layout, work, roots, self._eta, droots)
        dgamma = np.empty(len(gamma))
        columns_times(layout, work.pull, dgamma)
        value = float(work.value.sum() - 0.5 * work.logarithm.sum()) + self.arrangement.log_coefficients
        return Evaluation(value, dgamma, droots, bool(work.gain.max() <= SETTLED))

    def factorise(self) -> None:
        """Leave the Cholesky factors of the last evaluation's H in the work arrays, in place of its inverse."""
        layout, work = self.arrangement.layout, self.work
        sum_products(layout, work, self._small)
        eliminate(layout, work, self.roots, self._small)
        factorise_dense(layout, work, self._small)
        for part in self._large:
            part.factorise(layout, work, self.roots)


class Evaluated(Protocol):
    """A likelihood that has been evaluated, with the factorisation at its point."""

    arrangement: Arrangement
    work: Work
    roots: FloatArray


def fixed_information(likelihood: Evaluated) -> FloatArray:
    """Information about the coefficients of the basis at the last evaluation, given the roots, shape (p, p).

    ``X'WX - X'WA H^-1 A'WX``: what the normal equations of the penalised least squares leave when the random effects
    are eliminated (Bates et al. 2015, Journal of Statistical Software 67, section 5.2).
    """
    layout, work = likelihood.arrangement.layout, likelihood.work
    p = layout.X.shape[1]
    weighted = layout.X * work.weight[:, None]
    crossed, solved = np.empty((p, len(work.u))), np.empty((p, len(work.u)))
    _cross_with_effects(layout, work, likelihood.roots, np.ascontiguousarray(weighted.T), crossed, solved)
    information: FloatArray = weighted.T @ layout.X - crossed @ solved.T
    return information


@exact_kernel
def _cross_with_effects(
    l: RowIndex, w: Work, roots: FloatArray, weighted: FloatArray, crossed: FloatArray, solved: FloatArray
) -> None:
    """``A'`` times each row of `weighted`, and ``H^-1`` times that."""
    parts = np.arange(len(l.part_start) - 1)
    for k in range(len(weighted)):
        add_scores(l, parts, weighted[k], w.slope)
        _times_roots_transposed(l, roots, parts, w.slope, w.step)
        copy(w.step, crossed[k])
        solve_first(l, w, parts, w.step)
        multiply_dense(l, w, parts, w.step, w.slope)
        solve_last(l, w, parts, w.step)
        copy(w.step, solved[k])


class _LargePart:
    """A part whose Schur complement is large enough for LAPACK.

    Between evaluations the inverse of the last one is kept: steps with it converge nearly as fast as Newton's and cost
    a fraction of a factorisation.
    """

    #: A step with an old factorisation that leaves more than this share of the gain asks for a new one.
    STALE = 0.2

    def __init__(self, layout: RowIndex, part: int) -> None:
        self._part = np.array([part])
        self._size = int(layout.col_start[part + 1] - layout.col_start[part])
        first = int(first_columns(layout) + layout.col_start[part])
        self._columns = slice(first, first + self._size)
        self._dense = slice(int(layout.dense_at[part]), int(layout.dense_at[part + 1]))
        self._inverted = False

    def evaluate(self, l: RowIndex, w: Work, roots: FloatArray, eta: FloatArray, droots: FloatArray) -> None:
        """As `evaluate_parts`, for one part."""
        self._settle(l, w, roots, eta)
        self._invert(w)
        select_inverse(l, w, self._part)
        pull_rows(l, w, roots, self._part, droots)
        self._solve(l, w)
        finish_gradient(l, w, roots, self._part, droots)

    def _matrix(self, w: Work) -> FloatArray:
        return w.dense[self._dense].reshape(self._size, self._size)

    def _settle(self, l: RowIndex, w: Work, roots: FloatArray, eta: FloatArray) -> None:
        part = self._part
        joint_log_density(l, w, roots, eta, part)
        current = False
        if not self._inverted:
            self.factorise(l, w, roots)
            current = True
        before = np.inf
        for _ in range(MOST_STEPS):
            slope_of(l, w, roots, part)
            self._solve(l, w)
            gain = w.gain[part[0]] = product(l, part[0], w.slope, w.step)
            done = not gain > ENOUGH
            if not current and (done or gain > self.STALE * before):
                self.factorise(l, w, roots)
                current = True
                continue
            if done:
                return
            before = gain
            ascend(l, w, roots, eta, part)
            current = False

    def factorise(self, l: RowIndex, w: Work, roots: FloatArray) -> None:
        """Assemble the Schur complement at the current effects and factorise it."""
        from scipy.linalg.lapack import dpotrf

        sum_products(l, w, self._part)
        eliminate(l, w, roots, self._part)
        # The lower triangle in C order is the upper one in Fortran's.
        matrix = self._matrix(w)
        dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
        w.logarithm[self._part] += 2.0 * np.log(np.diag(matrix)).sum()
        self._inverted = False

    def _invert(self, w: Work) -> None:
        from scipy.linalg.lapack import dpotri

        matrix = self._matrix(w)
        dpotri(matrix.T, lower=0, overwrite_c=1)
        _mirror(matrix)
        self._inverted = True

    def _solve(self, l: RowIndex, w: Work) -> None:
        from scipy.linalg.lapack import dpotrs

        solve_first(l, w, self._part, w.step)
        own, matrix = w.step[self._columns], self._matrix(w)
        own[:] = matrix @ own if self._inverted else dpotrs(matrix.T, own, lower=0)[0]
        solve_last(l, w, self._part, w.step)


@exact_kernel
def _mirror(A: FloatArray) -> None:
    for i in range(len(A)):
        for j in range(i):
            A[j, i] = A[i, j]


@exact_kernel
def draw_effects(
    l: RowIndex,
    w: Work,
    gammas: FloatArray,
    roots: FloatArray,
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
    roots : shape (draws, flat roots)
    starts : shape (draws, effects)
        Replaced by the draws of the standardised effects.
    noise : shape (draws, effects)
        Standard normal numbers, used up.
    eta : shape (n,)
        Scratch.
    joint, logarithms : shape (draws,)
        Joint log density at the draws and ``log|H|``, written.
    """
    parts = np.arange(len(l.part_start) - 1)
    for s in range(len(gammas)):
        fixed_predictor(l, gammas[s], eta)
        copy(starts[s], w.u)
        if renewed:
            settle(l, w, roots[s], eta, parts)
        else:
            joint_log_density(l, w, roots[s], eta, parts)
            slope_of(l, w, roots[s], parts)
            solve_first(l, w, parts, w.step)
            solve_dense(l, w, parts, w.step)
            solve_last(l, w, parts, w.step)
            add_column(w.step, 1.0, w.u)
        logarithms[s] = w.logarithm.sum()
        spread_effects(l, w, noise[s])
        add_column(noise[s], 1.0, w.u)
        joint_log_density(l, w, roots[s], eta, parts)
        joint[s] = w.value.sum()
        copy(w.u, starts[s])
