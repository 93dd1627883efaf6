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
from ...numba_support.vectors import copy, fill, matrix, vector, view
from ..kernels.binomial import expit, logistic, row_log_likelihood
from .conditional_mode import find_modes
from .evaluation import MODE_TOLERANCE, Evaluation, sum_of_parts
from .fixed_effects import fixed_predictor
from .work import Work, make_work

if TYPE_CHECKING:
    from collections.abc import Sequence

FloatArray = npt.NDArray[np.float64]
FloatMatrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]

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
def _multiply(A: FloatArray, B: FloatArray, out: FloatArray) -> None:
    """``out = A B``, by loops: BLAS costs more for a few effects, and seconds to compile the calls."""
    rows, columns = out.shape
    for a in range(rows):
        for k in range(columns):
            out[a, k] = 0.0
        for c in range(len(B)):
            for k in range(columns):
                out[a, k] += A[a, c] * B[c, k]


@kernel
def _multiply_transposed(A: FloatArray, B: FloatArray, out: FloatArray) -> None:
    """``out = A' B``."""
    rows, columns = out.shape
    for a in range(rows):
        for k in range(columns):
            out[a, k] = 0.0
        for c in range(len(B)):
            for k in range(columns):
                out[a, k] += A[c, a] * B[c, k]


@kernel
def _invert_lower(R: FloatArray, out: FloatArray) -> None:
    """Inverse of a lower triangular matrix; `out` is zero above the diagonal."""
    for j in range(len(R)):
        out[j, j] = 1.0 / R[j, j]
        for i in range(j + 1, len(R)):
            total = 0.0
            for k in range(j, i):
                total -= R[i, k] * out[k, j]
            out[i, j] = total / R[i, i]


@kernel
def _derivative_in_curvature(
    R: FloatArray, inverse: FloatArray, dC: FloatArray, half: FloatArray, scratch: FloatArray, dH: FloatArray
) -> None:
    """Derivative of the objective in ``H = R R'``, given that in ``C = R^-T``, of an objective with ``-log|R|``."""
    q = len(R)
    # d C = -R^-T dR' R^-T, so that the derivative in R is -R^-T dC' R^-T; only its lower triangle counts.
    _multiply(dC, inverse, scratch)
    _multiply(inverse, scratch, half)
    for a in range(q):
        for b in range(q):
            dH[a, b] = -half[b, a] if b <= a else 0.0
        dH[a, a] -= 1.0 / R[a, a]
    # Reverse of the Cholesky factorisation (Murray 2016, arXiv 1602.07527, equation 10).
    _multiply_transposed(R, dH, half)
    for a in range(q):
        for b in range(a + 1):
            scratch[a, b] = scratch[b, a] = 0.5 * half[a, b]
    _multiply_transposed(inverse, scratch, half)
    _multiply(half, inverse, dH)


@kernel
def _place_nodes(
    u: FloatArray, inverse: FloatArray, nodes: FloatArray, steps: FloatArray, points: FloatArray, logs: FloatArray
) -> None:
    """Nodes ``u + sqrt(2) R^-T v`` in `points`; subtract half of their squared lengths from `logs`."""
    _multiply_transposed(inverse, nodes, steps)
    rows, columns = steps.shape
    for a in range(rows):
        for k in range(columns):
            steps[a, k] *= SQRT2
    for a in range(rows):
        for k in range(columns):
            points[a, k] = u[a] + steps[a, k]
            logs[k] -= 0.5 * points[a, k] * points[a, k]


@kernel
def integrate(
    r: RowIndex,
    w: Work,
    cholesky: FloatArray,
    nodes: FloatMatrix,
    log_weights: FloatArray,
    values: FloatArray,
    dcholesky: FloatArray,
) -> None:
    """Log-likelihood of every level from its mode; the rows' share of the gradient into ``w.deta``.

    `dcholesky` has the derivative in L of one level after the other, and is zero before.
    """
    n, q, size = len(r.y), r.q[0], len(log_weights)
    L, R, inverse = matrix(q, q), matrix(q, q), matrix(q, q)
    dC, dH, on_logits = matrix(q, q), matrix(q, q), matrix(q, q)
    half, scratch = matrix(q, q), matrix(q, q)
    dmode, by_rows, step, logit_step = matrix(q, 1), matrix(q, 1), matrix(q, 1), matrix(q, 1)
    for a in range(q):
        for b in range(q):
            L[a, b] = cholesky[a * q + b]
    logs, share, residual, shift = vector(size), vector(size), vector(size), vector(size)
    scores, points = matrix(q, size), matrix(q, size)
    steps, shifts, gradients = matrix(q, size), matrix(q, size), matrix(q, size)
    for j in range(len(r.row_start) - 1):
        start, stop = r.row_start[j], r.row_start[j + 1]
        u, dL = view(w.u, j * q, (j + 1) * q), view(dcholesky, j * q * q, (j + 1) * q * q)
        for a in range(q):
            for b in range(a + 1):
                R[a, b] = w.cholesky_first[(j * q + a) * q + b]
        _invert_lower(R, inverse)
        copy(log_weights, logs)
        _place_nodes(u, inverse, nodes, steps, points, logs)
        _multiply(L, steps, shifts)
        for i in range(start, stop):
            fill(shift, 0.0)
            for a in range(q):
                z = r.Z[a * n + i]
                for k in range(size):
                    shift[k] += z * shifts[a, k]
            add_log_likelihood(r.y[i], r.trials[i], w.eta[i], shift, logs)
        top = logs[0]
        for k in range(1, size):
            top = max(top, logs[k])
        total = 0.0
        for k in range(size):
            share[k] = math.exp(logs[k] - top)
            total += share[k]
        for k in range(size):
            share[k] /= total
        values[j] = top + math.log(total) - 0.5 * w.log_det[j] - 0.5 * q * math.log(math.pi)

        for a in range(q):
            for k in range(size):
                scores[a, k] = 0.0
        for i in range(start, stop):
            fill(shift, 0.0)
            for a in range(q):
                z = r.Z[a * n + i]
                for k in range(size):
                    shift[k] += z * shifts[a, k]
            w.deta[i] = _residuals(r.y[i], r.trials[i], w.eta[i], shift, share, residual)
            for a in range(q):
                z = r.Z[a * n + i]
                for k in range(size):
                    scores[a, k] += z * residual[k]
        # Gradients of f at the nodes: they give the derivatives in the mode and in C, which places the nodes.
        _multiply_transposed(L, scores, gradients)
        for a in range(q):
            dmode[a, 0] = by_rows[a, 0] = 0.0
            for k in range(size):
                gradients[a, k] -= points[a, k]
                dmode[a, 0] += share[k] * gradients[a, k]
            for b in range(q):
                dC[a, b] = 0.0
                for k in range(size):
                    dC[a, b] += SQRT2 * share[k] * gradients[a, k] * nodes[b, k]
                    dL[a * q + b] += share[k] * scores[a, k] * points[b, k]
        _derivative_in_curvature(R, inverse, dC, half, scratch, dH)
        # Through H: directly, and by the weights of the rows, which move with the mode.
        _multiply(L, dH, half)
        for a in range(q):
            for b in range(q):
                on_logits[a, b] = 0.0  # L dH L'
                for c in range(q):
                    on_logits[a, b] += half[a, c] * L[b, c]
        for i in range(start, stop):
            change = 0.0
            for a in range(q):
                for b in range(q):
                    change += r.Z[a * n + i] * on_logits[a, b] * r.Z[b * n + i]
            change *= w.weight[i] * w.one_minus_2p[i]
            w.deta[i] += change
            for a in range(q):
                by_rows[a, 0] += r.Z[a * n + i] * change
        # H^-1 times the derivative in the mode, for standardised effects and on the logit scale.
        _multiply_transposed(L, by_rows, logit_step)
        for a in range(q):
            logit_step[a, 0] += dmode[a, 0]
        _multiply(inverse, logit_step, dmode)
        _multiply_transposed(inverse, dmode, step)
        _multiply(L, step, logit_step)
        for i in range(start, stop):
            moved = 0.0
            for a in range(q):
                moved += r.Z[a * n + i] * logit_step[a, 0]
            moved *= w.weight[i]
            w.deta[i] -= moved
            for a in range(q):
                by_rows[a, 0] -= r.Z[a * n + i] * moved
        for a in range(q):
            for b in range(q):
                direct = 0.0
                for c in range(q):
                    direct += w.products_first[(j * q + a) * q + c] * half[c, b]
                dL[a * q + b] += 2.0 * direct + by_rows[a, 0] * u[b] + w.score[j * q + a] * step[b, 0]


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
        self._nodes, self._log_weights = grid(nodes, int(row_index.q[0]))

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
