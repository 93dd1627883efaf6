"""The marginal likelihood of one grouping factor by adaptive Gauss-Hermite quadrature, and its exact gradient.

For each level, with the mode ``u`` and the Cholesky factor ``H = R R'`` of Laplace's method, nodes v and weights omega,

    u_k = u + sqrt(2) R^-T v_k
    log L_j = log sum_k omega_k exp(f(u_k) + |v_k|^2) - log|R| - q log(pi) / 2,    f(u) = l(u) - |u|^2 / 2

(Pinheiro and Bates 1995, Journal of Computational and Graphical Statistics 4: 12-35, section 2.4). One node is
Laplace's method. The gradient is that of this sum itself: nodes move with the parameters, since mode and curvature do.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numpy.polynomial.hermite import hermgauss

from ...design.arrangement import Arrangement, RowIndex
from ...numba_support.compile import kernel
from ...numba_support.vectors import add_column, allocate, copy, fill, window
from ..kernels.binomial import expit, logistic, row_log_likelihood
from .conditional_mode import find_modes
from .evaluation import MODE_TOLERANCE, Evaluation, sum_of_parts
from .fixed_effects import fixed_predictor
from .small_matrices import derivative_in_curvature, invert_lower, multiply, multiply_transposed
from .work import Work, make_work

if TYPE_CHECKING:
    from collections.abc import Sequence

FloatArray = npt.NDArray[np.float64]

SQRT2 = math.sqrt(2.0)


@cache
def grid(nodes: int, dimensions: int) -> tuple[FloatArray, FloatArray]:
    """Nodes of a product rule and the logarithms of ``omega exp(|v|^2)``.

    Parameters
    ----------
    nodes : int
        In each dimension.
    dimensions : int

    Returns
    -------
    v : ndarray, shape (dimensions, nodes ** dimensions)
    log_weights : ndarray, shape (nodes ** dimensions,)

    Examples
    --------
    >>> grid(1, 2)[0].shape
    (2, 1)
    """
    v, omega = hermgauss(nodes)
    axes = np.meshgrid(*[np.arange(nodes)] * dimensions, indexing="ij")
    places: Sequence[npt.NDArray[np.intp]] = [axis.ravel() for axis in axes]
    points = np.stack([v[place] for place in places])
    weights = np.sum([np.log(omega[place]) + v[place] ** 2 for place in places], axis=0)
    return np.ascontiguousarray(points), weights


@kernel
def add_log_likelihood(y: float, m: float, eta: float, shift: FloatArray, out: FloatArray) -> None:
    """Add one row's log-likelihood at every node."""
    for k in range(len(out)):
        x = eta + shift[k]
        e, _, _ = logistic(x)
        out[k] += row_log_likelihood(y, m, x, e)


@kernel
def _residuals(y: float, m: float, eta: float, shift: FloatArray, share: FloatArray, out: FloatArray) -> float:
    """One row's residual at every node; their mean under the nodes' shares."""
    mean = 0.0
    for k in range(len(out)):
        out[k] = y - m * expit(eta + shift[k])
        mean += share[k] * out[k]
    return mean


@kernel
def _place_nodes(
    u: FloatArray, inverse: FloatArray, nodes: FloatArray, steps: FloatArray, points: FloatArray, logs: FloatArray
) -> None:
    """Nodes ``u + sqrt(2) R^-T v`` in `points`; subtract half of their squared lengths from `logs`."""
    q, size = len(u), len(logs)
    multiply_transposed(q, inverse, nodes, steps)
    for a in range(q):
        step, point = window(steps, a * size, size), window(points, a * size, size)
        for k in range(size):
            step[k] *= SQRT2
            point[k] = u[a] + step[k]
            logs[k] -= 0.5 * point[k] * point[k]


@kernel
def _shift_at_nodes(r: RowIndex, i: int, shifts: FloatArray, shift: FloatArray) -> None:
    """By how much the linear predictor of row i is shifted at every node, given the effects on the logit scale."""
    n, size = len(r.y), len(shift)
    fill(shift, 0.0)
    for a in range(r.q[0]):
        add_column(window(shifts, a * size, size), r.Z[a * n + i], shift)


@kernel
def _shares(logs: FloatArray, share: FloatArray) -> float:
    """Shares of the nodes in the integral, whose logarithm is returned."""
    top = logs[0]
    for k in range(1, len(logs)):
        top = max(top, logs[k])
    total = 0.0
    for k in range(len(logs)):
        share[k] = math.exp(logs[k] - top)
        total += share[k]
    for k in range(len(logs)):
        share[k] /= total
    log_sum: float = top + math.log(total)
    return log_sum


@kernel
def _sum_scores(
    r: RowIndex,
    w: Work,
    j: int,
    shifts: FloatArray,
    share: FloatArray,
    shift: FloatArray,
    residual: FloatArray,
    scores: FloatArray,
) -> None:
    """``Z' residual`` of level j at every node into `scores`; the rows' mean residuals into ``w.deta``."""
    n, size = len(r.y), len(share)
    fill(scores, 0.0)
    for i in range(r.row_start[j], r.row_start[j + 1]):
        _shift_at_nodes(r, i, shifts, shift)
        w.deta[i] = _residuals(r.y[i], r.trials[i], w.eta[i], shift, share, residual)
        for a in range(r.q[0]):
            add_column(residual, r.Z[a * n + i], window(scores, a * size, size))


@kernel
def _sum_over_nodes(
    share: FloatArray,
    nodes: FloatArray,
    points: FloatArray,
    scores: FloatArray,
    gradients: FloatArray,
    dmode: FloatArray,
    dC: FloatArray,
    dL: FloatArray,
) -> None:
    """The derivatives in the mode and in C, which places the nodes, from the gradients of f at the nodes.

    `gradients` are those of the log-likelihood. What reaches L through the rows' linear predictors is added to `dL`.
    """
    q, size = len(dmode), len(share)
    for a in range(q):
        gradient, score = window(gradients, a * size, size), window(scores, a * size, size)
        point = window(points, a * size, size)
        total = 0.0
        for k in range(size):
            gradient[k] -= point[k]
            total += share[k] * gradient[k]
        dmode[a] = total
        for b in range(q):
            node, other = window(nodes, b * size, size), window(points, b * size, size)
            in_place, in_scale = 0.0, 0.0
            for k in range(size):
                in_place += SQRT2 * share[k] * gradient[k] * node[k]
                in_scale += share[k] * score[k] * other[k]
            dC[a * q + b] = in_place
            dL[a * q + b] += in_scale


@kernel
def _add_through_weights(r: RowIndex, w: Work, j: int, on_logits: FloatArray, by_rows: FloatArray) -> None:
    """Add what reaches the linear predictors of level j through the weights of its rows; its sums into `by_rows`."""
    n, q = len(r.y), len(by_rows)
    fill(by_rows, 0.0)
    for i in range(r.row_start[j], r.row_start[j + 1]):
        change = 0.0
        for a in range(q):
            for b in range(q):
                change += r.Z[a * n + i] * on_logits[a * q + b] * r.Z[b * n + i]
        change *= w.weight[i] * w.one_minus_2p[i]
        w.deta[i] += change
        for a in range(q):
            by_rows[a] += r.Z[a * n + i] * change


@kernel
def _subtract_through_mode(r: RowIndex, w: Work, j: int, step: FloatArray, by_rows: FloatArray) -> None:
    """Subtract what reaches the linear predictors of level j through its mode; its sums from `by_rows`."""
    n, q = len(r.y), len(step)
    for i in range(r.row_start[j], r.row_start[j + 1]):
        moved = 0.0
        for a in range(q):
            moved += r.Z[a * n + i] * step[a]
        moved *= w.weight[i]
        w.deta[i] -= moved
        for a in range(q):
            by_rows[a] -= r.Z[a * n + i] * moved


@kernel
def _add_in_cholesky(
    w: Work, j: int, half: FloatArray, by_rows: FloatArray, step: FloatArray, u: FloatArray, dL: FloatArray
) -> None:
    """Add the derivative in L of level j through H, where `half` is ``L dH``, and through the rows and the mode."""
    q = len(u)
    for a in range(q):
        for b in range(q):
            direct = 0.0
            for c in range(q):
                direct += w.products_first[(j * q + a) * q + c] * half[c * q + b]
            dL[a * q + b] += 2.0 * direct + by_rows[a] * u[b] + w.score[j * q + a] * step[b]


@kernel
def integrate(
    r: RowIndex,
    w: Work,
    cholesky: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    values: FloatArray,
    dcholesky: FloatArray,
) -> None:
    """Log-likelihood of every level from its mode; the rows' share of the gradient into ``w.deta``.

    `nodes` has one dimension after the other. `dcholesky` has the derivative in L of one level after the other, and is
    zero before.
    """
    q, size = r.q[0], len(log_weights)
    scratch = np.empty(8 * q * q + 4 * q + (5 * q + 4) * size)
    _integrate_with(r, w, cholesky, nodes, log_weights, values, dcholesky, scratch)


@kernel
def _integrate_with(
    r: RowIndex,
    w: Work,
    L: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    values: FloatArray,
    dcholesky: FloatArray,
    scratch: FloatArray,
) -> None:
    """`integrate`, with the memory that it writes to."""
    q, size = r.q[0], len(log_weights)
    R, used = allocate(scratch, 0, q * q)
    inverse, used = allocate(scratch, used, q * q)
    dC, used = allocate(scratch, used, q * q)
    dH, used = allocate(scratch, used, q * q)
    on_logits, used = allocate(scratch, used, q * q)
    half, used = allocate(scratch, used, q * q)
    product, used = allocate(scratch, used, q * q)
    transposed, used = allocate(scratch, used, q * q)
    dmode, used = allocate(scratch, used, q)
    by_rows, used = allocate(scratch, used, q)
    step, used = allocate(scratch, used, q)
    logit_step, used = allocate(scratch, used, q)
    logs, used = allocate(scratch, used, size)
    share, used = allocate(scratch, used, size)
    residual, used = allocate(scratch, used, size)
    shift, used = allocate(scratch, used, size)
    scores, used = allocate(scratch, used, q * size)
    points, used = allocate(scratch, used, q * size)
    steps, used = allocate(scratch, used, q * size)
    shifts, used = allocate(scratch, used, q * size)
    gradients, used = allocate(scratch, used, q * size)
    fill(R, 0.0)
    fill(inverse, 0.0)
    for a in range(q):
        for b in range(q):
            transposed[a * q + b] = L[b * q + a]
    for j in range(len(r.row_start) - 1):
        u, dL = window(w.u, j * q, q), window(dcholesky, j * q * q, q * q)
        for a in range(q):
            for b in range(a + 1):  # above the diagonal, the arrays hold other numbers
                R[a * q + b] = w.cholesky_first[(j * q + a) * q + b]
        invert_lower(q, R, inverse)
        copy(log_weights, logs)
        _place_nodes(u, inverse, nodes, steps, points, logs)
        multiply(q, L, steps, shifts)
        for i in range(r.row_start[j], r.row_start[j + 1]):
            _shift_at_nodes(r, i, shifts, shift)
            add_log_likelihood(r.y[i], r.trials[i], w.eta[i], shift, logs)
        values[j] = _shares(logs, share) - 0.5 * w.log_det[j] - 0.5 * q * math.log(math.pi)

        _sum_scores(r, w, j, shifts, share, shift, residual, scores)
        multiply_transposed(q, L, scores, gradients)
        _sum_over_nodes(share, nodes, points, scores, gradients, dmode, dC, dL)
        derivative_in_curvature(q, R, inverse, dC, half, product, dH)
        # Through H: directly, and by the weights of the rows, which move with the mode.
        multiply(q, L, dH, half)
        multiply(q, half, transposed, on_logits)
        _add_through_weights(r, w, j, on_logits, by_rows)
        # H^-1 times the derivative in the mode, for standardised effects and on the logit scale.
        multiply_transposed(q, L, by_rows, logit_step)
        add_column(dmode, 1.0, logit_step)
        multiply(q, inverse, logit_step, dmode)
        multiply_transposed(q, inverse, dmode, step)
        multiply(q, L, step, logit_step)
        _subtract_through_mode(r, w, j, logit_step, by_rows)
        _add_in_cholesky(w, j, half, by_rows, step, u, dL)


class QuadratureLikelihood:
    """Marginal log-likelihood by adaptive Gauss-Hermite quadrature, with its gradient.

    Parameters
    ----------
    arrangement : Arrangement
        With one grouping factor.
    nodes : int
        In each dimension.
    """

    #: No part is evaluated by itself.
    parts_without_schur: tuple[()] = ()

    def __init__(self, arrangement: Arrangement, nodes: int) -> None:
        self.arrangement = arrangement
        row_index = arrangement.row_index
        self.work = make_work(row_index)
        self.cholesky = np.zeros(int(row_index.cholesky_at[-1]))
        self.values: FloatArray = np.zeros(len(row_index.row_start) - 1)
        self._eta = np.empty(len(row_index.y))
        self.dcholesky: FloatArray = np.zeros((len(self.values), len(self.cholesky)))
        self._levels = np.arange(len(self.values))
        points, self._log_weights = grid(nodes, int(row_index.q[0]))
        self._nodes = points.ravel()

    def evaluate(self, gamma: FloatArray, cholesky: FloatArray) -> Evaluation:
        """Log-likelihood and gradient at coefficients of the basis and flat Cholesky factors."""
        row_index, work = self.arrangement.row_index, self.work
        if not np.all(np.isfinite(work.u)):
            work.u[:] = 0.0
        self.cholesky = cholesky
        fixed_predictor(row_index, gamma, self._eta)
        find_modes(row_index, work, cholesky, self._eta, self._levels)
        self.dcholesky[:] = 0.0
        integrate(row_index, work, cholesky, self._nodes, self._log_weights, self.values, self.dcholesky.ravel())
        converged = bool(work.decrement.max() <= MODE_TOLERANCE)
        return sum_of_parts(self.arrangement, self.values, work.deta, self.dcholesky, converged=converged)
