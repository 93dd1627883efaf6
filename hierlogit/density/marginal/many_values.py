"""Marginal log-likelihoods at many points without their gradients, compiled.

Each search for modes starts from those of the point before. In every function `gammas`, of shape (points, p), are the
coefficients of the basis of the fixed effects, `cholesky`, of shape (points, entries), the flat Cholesky factors, and
the work ends before the next point if `stop` is not zero, with the values that are left unchanged.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.vectors import copy, fill, vector, view
from ..kernels.binomial import log_sum
from .block_cholesky import solve_lower_transposed
from .conditional_draws import outer_density
from .conditional_mode import find_modes
from .fixed_effects import fixed_predictor
from .gauss_hermite import SQRT2, add_log_likelihood
from .work import Work, first_columns

FloatArray = npt.NDArray[np.float64]
UintArray = npt.NDArray[np.uint64]


@exact_kernel
def _modes_at(r: RowIndex, w: Work, gamma: FloatArray, cholesky: FloatArray, eta: FloatArray) -> None:
    """Find the modes of all effects, from those in ``w.u`` if they are numbers."""
    for k in range(len(w.u)):
        if not math.isfinite(w.u[k]):
            fill(w.u, 0.0)
            break
    fixed_predictor(r, gamma, eta)
    find_modes(r, w, cholesky, eta, np.arange(len(r.part_start) - 1))


@exact_kernel
def laplace_values(
    r: RowIndex, w: Work, gammas: FloatArray, cholesky: FloatArray, values: FloatArray, stop: UintArray
) -> None:
    """By Laplace's method; also of a model without random effects, without approximation."""
    eta = np.empty(len(r.y))
    for s in range(len(gammas)):
        if stop[0]:
            return
        _modes_at(r, w, gammas[s], cholesky[s], eta)
        values[s] = w.log_joint.sum() - 0.5 * w.log_det.sum()


@exact_kernel
def quadrature_values(
    r: RowIndex,
    w: Work,
    gammas: FloatArray,
    cholesky: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    values: FloatArray,
    stop: UintArray,
) -> None:
    """By quadrature over the effects of one factor."""
    eta = np.empty(len(r.y))
    for s in range(len(gammas)):
        if stop[0]:
            return
        _modes_at(r, w, gammas[s], cholesky[s], eta)
        values[s] = _sum_of_levels(r, w, cholesky[s], nodes, log_weights)


@kernel
def _sum_of_levels(r: RowIndex, w: Work, cholesky: FloatArray, nodes: FloatArray, log_weights: FloatArray) -> float:
    """Log-likelihood of all levels, with nodes around their modes."""
    n, q, size = len(r.y), r.q[0], len(log_weights)
    steps, on_logits = vector(q * size), vector(q * size)
    logs, shift, value = vector(size), vector(size), 0.0
    for j in range(len(r.row_start) - 1):
        for a in range(q):
            for k in range(size):
                steps[a * size + k] = SQRT2 * nodes[a, k]
        solve_lower_transposed(view(w.cholesky_first, j * q * q, (j + 1) * q * q), q, steps)
        copy(log_weights, logs)
        for a in range(q):
            u = w.u[j * q + a]
            logit, step = view(on_logits, a * size, (a + 1) * size), view(steps, a * size, (a + 1) * size)
            fill(logit, 0.0)
            for k in range(size):
                logs[k] -= 0.5 * (u + step[k]) * (u + step[k])
            for b in range(a + 1):
                other, factor = view(steps, b * size, (b + 1) * size), cholesky[a * q + b]
                for k in range(size):
                    logit[k] += factor * other[k]
        for i in range(r.row_start[j], r.row_start[j + 1]):
            fill(shift, 0.0)
            for a in range(q):
                z, logit = r.Z[a * n + i], view(on_logits, a * size, (a + 1) * size)
                for k in range(size):
                    shift[k] += z * logit[k]
            add_log_likelihood(r.y[i], r.trials[i], w.eta[i], shift, logs)
        value += log_sum(logs) - 0.5 * w.log_det[j] - 0.5 * q * math.log(math.pi)
    return value


@exact_kernel
def nested_values(
    r: RowIndex,
    w: Work,
    gammas: FloatArray,
    cholesky: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    values: FloatArray,
    stop: UintArray,
) -> None:
    """By quadrature over the effects of two nested factors with one effect each."""
    n, base, size, largest = len(r.y), first_columns(r), len(nodes), log_weights.max()
    eta, inner, outer = np.empty(n), np.empty(n), np.empty(n)
    v, logs, slopes, inner_weights = vector(size), vector(size), vector(size), log_weights - largest
    # Of each inner integral: sqrt(2 / h) is in it as if it were 1 / sqrt(h).
    constant = largest - 0.5 * math.log(2.0 * math.pi)
    for s in range(len(gammas)):
        if stop[0]:
            return
        _modes_at(r, w, gammas[s], cholesky[s], eta)
        for i in range(n):
            inner[i], outer[i] = cholesky[s, 0] * r.Z[i], cholesky[s, 1] * r.Z[n + i]
        value = (len(r.row_start) - 1) * constant
        for part in range(len(r.part_start) - 1):
            mode, sd = w.u[base + r.col_start[part]], 1.0 / w.schur[r.schur_at[part]]
            for k in range(size):
                v[k] = mode + SQRT2 * sd * nodes[k]
            outer_density(r, part, cholesky[s, 0], eta, inner, outer, nodes, inner_weights, v, logs, slopes)
            for k in range(size):
                logs[k] += log_weights[k]
            value += log_sum(logs) + math.log(sd) - 0.5 * math.log(math.pi)
        values[s] = value
