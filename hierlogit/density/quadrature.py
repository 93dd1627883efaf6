"""The marginal likelihood of one grouping factor by adaptive Gauss-Hermite quadrature, and its exact gradient.

For each level, with the mode ``u`` and the Cholesky factor ``H = R R'`` of Laplace's method, nodes v and weights omega,

    u_k = u + sqrt(2) R^-T v_k
    log L_j = log sum_k omega_k exp(f(u_k) + |v_k|^2) - log|R| - q log(pi) / 2,    f(u) = l(u) - |u|^2 / 2

(Pinheiro and Bates 1995, Journal of Computational and Graphical Statistics 4: 12-35, section 2.4). One node is
Laplace's method. The gradient is that of this sum itself: nodes move with the parameters, since mode and curvature do.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .blocks import Work, make_work
from .compiled import kernel
from .layout import Arrangement, Layout
from .marginal import SETTLED, Evaluation, columns_times, fixed_predictor, settle
from .rows import exp_of_negative, log1p_of_unit
from .vectors import fill, view

if TYPE_CHECKING:
    from collections.abc import Sequence

FloatArray = npt.NDArray[np.float64]


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
    from scipy.special import roots_hermite

    v, omega = roots_hermite(nodes)
    axes = np.meshgrid(*[np.arange(nodes)] * dimensions, indexing="ij")
    places: Sequence[npt.NDArray[np.intp]] = [axis.ravel() for axis in axes]
    points = np.stack([v[place] for place in places])
    weights = np.sum([np.log(omega[place]) + v[place] ** 2 for place in places], axis=0)
    return np.ascontiguousarray(points), weights


@kernel
def _add_log_likelihood(y: float, m: float, eta: float, shift: FloatArray, out: FloatArray) -> None:
    """Add one row's log-likelihood at every node."""
    for k in range(len(out)):
        x = eta + shift[k]
        e = exp_of_negative(-abs(x))
        out[k] -= m * log1p_of_unit(e) + y * max(-x, 0.0) + (m - y) * max(x, 0.0)


@kernel
def _residuals(y: float, m: float, eta: float, shift: FloatArray, share: FloatArray, out: FloatArray) -> float:
    """One row's residual at every node; their mean under the nodes' shares."""
    mean = 0.0
    for k in range(len(out)):
        x = eta + shift[k]
        e = exp_of_negative(-abs(x))
        d = 1.0 / (1.0 + e)
        out[k] = y - m * (d if x >= 0.0 else e * d)
        mean += share[k] * out[k]
    return mean


@kernel
def _invert_root(R: FloatArray, q: int, out: FloatArray) -> None:
    """Inverse of a flat lower triangular matrix."""
    fill(out, 0.0)
    for j in range(q):
        out[j * q + j] = 1.0 / R[j * q + j]
        for i in range(j + 1, q):
            total = 0.0
            for k in range(j, i):
                total -= R[i * q + k] * out[k * q + j]
            out[i * q + j] = total / R[i * q + i]


@kernel
def _adjoint_of_curvature(R: np.ndarray, inverse: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Derivative of the objective in H, given ``spread``, that in ``C = R^-T``, and ``-log|R|``."""
    q = len(R)
    # d C = -R^-T dR' R^-T, so that the derivative in R is -R^-T spread' R^-T; only its lower triangle counts.
    bar = -(inverse.T @ spread.T) @ inverse.T
    for a in range(q):
        bar[a, a] -= 1.0 / R[a, a]
        for b in range(a + 1, q):
            bar[a, b] = 0.0
    # Reverse of the Cholesky factorisation (Murray 2016, arXiv 1602.07527, equation 10).
    half = R.T @ bar
    for a in range(q):
        half[a, a] *= 0.5
        for b in range(a + 1, q):
            half[a, b] = 0.0
    adjoint: FloatArray = inverse.T @ (0.5 * (half + half.T)) @ inverse
    return adjoint


@kernel
def integrate(
    l: Layout,
    w: Work,
    roots: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    values: FloatArray,
    droots: FloatArray,
) -> None:
    """Log-likelihood of every level from its settled mode; the rows' share of the gradient into ``w.pull``."""
    n, q, size = len(l.y), l.q[0], len(log_weights)
    L = np.ascontiguousarray(roots).reshape(q, q)
    inverse_flat = np.empty(q * q)
    logs, share, residual, shift = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    scores, points = np.empty((q, size)), np.empty((q, size))
    for j in range(len(l.row_start) - 1):
        start, stop = l.row_start[j], l.row_start[j + 1]
        u = view(w.u, j * q, (j + 1) * q)
        R = view(w.root_own, j * q * q, (j + 1) * q * q).copy().reshape(q, q)
        for a in range(q):
            for b in range(a + 1, q):
                R[a, b] = 0.0
        _invert_root(view(w.root_own, j * q * q, (j + 1) * q * q), q, inverse_flat)
        inverse = inverse_flat.reshape(q, q)
        steps = np.sqrt(2.0) * (inverse.T @ nodes)
        shifts = L @ steps
        for k in range(size):
            logs[k] = log_weights[k]
        for a in range(q):
            for k in range(size):
                points[a, k] = u[a] + steps[a, k]
                logs[k] -= 0.5 * points[a, k] * points[a, k]
        for i in range(start, stop):
            fill(shift, 0.0)
            for a in range(q):
                z = l.Z[a * n + i]
                for k in range(size):
                    shift[k] += z * shifts[a, k]
            _add_log_likelihood(l.y[i], l.trials[i], w.eta[i], shift, logs)
        top = logs.max()
        total = 0.0
        for k in range(size):
            share[k] = np.exp(logs[k] - top)
            total += share[k]
        for k in range(size):
            share[k] /= total
        values[j] = top + np.log(total) - 0.5 * w.logarithm[j] - 0.5 * q * np.log(np.pi)

        scores[:, :] = 0.0
        for i in range(start, stop):
            fill(shift, 0.0)
            for a in range(q):
                z = l.Z[a * n + i]
                for k in range(size):
                    shift[k] += z * shifts[a, k]
            w.pull[i] = _residuals(l.y[i], l.trials[i], w.eta[i], shift, share, residual)
            for a in range(q):
                z = l.Z[a * n + i]
                for k in range(size):
                    scores[a, k] += z * residual[k]
        # Gradient of f at the nodes: how the objective changes with the mode, and with the nodes' spread.
        slopes = L.T @ scores - points
        by_mode, spread = np.zeros(q), np.zeros((q, q))
        for a in range(q):
            for k in range(size):
                by_mode[a] += share[k] * slopes[a, k]
            for b in range(q):
                for k in range(size):
                    spread[a, b] += np.sqrt(2.0) * share[k] * slopes[a, k] * nodes[b, k]
                    droots[a * q + b] += share[k] * scores[a, k] * points[b, k]
        bar = _adjoint_of_curvature(R, inverse, spread)
        # By the curvature: directly, and through the weights of the rows, which move with the mode.
        spans = L @ bar @ L.T
        curved = np.zeros(q)
        for i in range(start, stop):
            change = 0.0
            for a in range(q):
                for b in range(q):
                    change += l.Z[a * n + i] * spans[a, b] * l.Z[b * n + i]
            change *= w.weight[i] * w.tilt[i]
            w.pull[i] += change
            for a in range(q):
                curved[a] += l.Z[a * n + i] * change
        k_mode = inverse.T @ (inverse @ (by_mode + L.T @ curved))
        kappa = L @ k_mode
        for i in range(start, stop):
            moved = 0.0
            for a in range(q):
                moved += l.Z[a * n + i] * kappa[a]
            moved *= w.weight[i]
            w.pull[i] -= moved
            for a in range(q):
                curved[a] -= l.Z[a * n + i] * moved
        own = view(w.own, j * q * q, (j + 1) * q * q).copy().reshape(q, q)
        direct = 2.0 * (own @ L @ bar)
        for a in range(q):
            for b in range(q):
                droots[a * q + b] += direct[a, b] + curved[a] * u[b] + w.score[j * q + a] * k_mode[b]


class QuadratureLikelihood:
    """Marginal log-likelihood by adaptive Gauss-Hermite quadrature, with its gradient.

    Parameters
    ----------
    arrangement : Arrangement
        With one grouping factor.
    nodes : int
        In each dimension.
    """

    def __init__(self, arrangement: Arrangement, nodes: int) -> None:
        self.arrangement = arrangement
        layout = arrangement.layout
        self.work = make_work(layout)
        self.roots = np.zeros(int(layout.root_at[-1]))
        self.values: FloatArray = np.zeros(len(layout.row_start) - 1)
        self._eta = np.empty(len(layout.y))
        self._levels = np.arange(len(self.values))
        self._nodes, self._log_weights = grid(nodes, int(layout.q[0]))

    def evaluate(self, gamma: FloatArray, roots: FloatArray) -> Evaluation:
        """Log-likelihood and gradient at coefficients of the basis and flat roots."""
        layout, work = self.arrangement.layout, self.work
        if not np.all(np.isfinite(work.u)):
            work.u[:] = 0.0
        self.roots = roots
        fixed_predictor(layout, gamma, self._eta)
        settle(layout, work, roots, self._eta, self._levels)
        droots = np.zeros(len(roots))
        integrate(layout, work, roots, self._nodes, self._log_weights, self.values, droots)
        dgamma = np.empty(len(gamma))
        columns_times(layout, work.pull, dgamma)
        value = float(self.values.sum()) + self.arrangement.log_coefficients
        return Evaluation(value, dgamma, droots, bool(work.gain.max() <= SETTLED))
