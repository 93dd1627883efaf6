"""The integral over one inner effect at each node of the outer one, by adaptive Gauss-Hermite quadrature, compiled.

For the notation see `nested_gauss_hermite`: s and g are the Cholesky factors of the inner and the outer effect, their
standard deviations up to signs. Vectors "by outer node" have one entry for each v_k, vectors "by pair" one for each
inner node at each outer node, inner nodes innermost.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import kernel
from ...numba_support.vectors import view
from ..kernels.binomial import bernoulli_variance, exp_of_negative, logistic, one_minus_two_p, row_log_likelihood

FloatArray = npt.NDArray[np.float64]

#: The search for inner modes ends with a Newton step whose squared length, in units of log-likelihood, is below this.
#: The error that it leaves is of the order of this square.
TOLERANCE = 1e-12
MOST_STEPS = 100
#: Steps whose squared length is below this are Newton's in any case, which then converge quadratically.
FAR = 1e-3


@kernel
def inner_modes(
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
    v: FloatArray,
    mode: FloatArray,
    scratch: FloatArray,
) -> bool:
    """Modes of an inner effect at each outer node by Newton's method, from those given; whether all converged.

    The gradient decreases in u and its zero lies between two bounds: a step that would leave them, or is longer than
    half of what is between them, goes halfway between them instead. Without the latter, steps might go to and fro.
    """
    size = len(mode)
    gradient, curvature = view(scratch, 0, size), view(scratch, size, 2 * size)
    low, high = view(scratch, 2 * size, 3 * size), view(scratch, 3 * size, 4 * size)
    lowest = highest = 0.0
    for i in range(len(y)):
        one, other = inner[i] * y[i], inner[i] * (y[i] - trials[i])
        lowest += min(one, other)
        highest += max(one, other)
    for k in range(size):
        low[k], high[k] = lowest, highest
        mode[k] = min(max(mode[k], lowest), highest)
    for _ in range(MOST_STEPS):
        for k in range(size):
            gradient[k] = -mode[k]
            curvature[k] = 1.0
        for i in range(len(y)):
            for k in range(size):
                e, d, p = logistic(eta[i] + outer[i] * v[k] + inner[i] * mode[k])
                gradient[k] += inner[i] * (y[i] - trials[i] * p)
                curvature[k] += inner[i] * inner[i] * trials[i] * bernoulli_variance(e, d)
        error = 0.0
        for k in range(size):
            low[k] = mode[k] if gradient[k] > 0.0 else low[k]
            high[k] = mode[k] if gradient[k] < 0.0 else high[k]
            moved = mode[k] + gradient[k] / curvature[k]
            step = moved - mode[k]
            long = (2.0 * abs(step) > high[k] - low[k]) & (curvature[k] * step * step > FAR)
            inside = (moved >= low[k]) & (moved <= high[k]) & (not long)
            moved = moved if inside else 0.5 * (low[k] + high[k])
            error += curvature[k] * (moved - mode[k]) * (moved - mode[k])
            mode[k] = moved
        # Written so that NaN ends the search: no further step would change it.
        if not error > TOLERANCE:
            return True
    return False


@kernel
def add_at_mode(
    y: float,
    trials: float,
    eta: float,
    z: float,
    s: float,
    outer: float,
    v: FloatArray,
    mode: FloatArray,
    top: FloatArray,
    weight: FloatArray,
    dweight: FloatArray,
    score: FloatArray,
    curvature: FloatArray,
    third: FloatArray,
) -> None:
    """Add one row's log-likelihood at the inner modes, and its derivatives in the unscaled inner effect ``s u``.

    The second and third derivatives in the linear predictor, with the opposite sign, go into `weight` and `dweight`.
    """
    for k in range(len(mode)):
        x = eta + outer * v[k] + z * s * mode[k]
        e, d, p = logistic(x)
        top[k] += row_log_likelihood(y, trials, x, e)
        w = trials * bernoulli_variance(e, d)
        t = w * one_minus_two_p(x, e, d)
        weight[k] = w
        dweight[k] = t
        score[k] += z * (y - trials * p)
        curvature[k] += z * z * w
        third[k] += z * z * z * t


@kernel
def place_inner_nodes(
    mode: FloatArray,
    scale: FloatArray,
    top: FloatArray,
    v: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    points: FloatArray,
    outer_points: FloatArray,
    logs: FloatArray,
) -> None:
    """By pair: the inner and the outer node, and the logarithm of the integrand without the rows' share.

    The integrand is taken relative to that at the mode.
    """
    inner = len(nodes)
    for k in range(len(mode)):
        for m in range(inner):
            u = mode[k] + scale[k] * nodes[m]
            points[k * inner + m] = u
            outer_points[k * inner + m] = v[k]
            logs[k * inner + m] = log_weights[m] - 0.5 * u * u - top[k]


@kernel
def add_at_pairs(
    y: float,
    trials: float,
    eta: float,
    inner: float,
    outer: float,
    points: FloatArray,
    outer_points: FloatArray,
    logs: FloatArray,
    probability: FloatArray,
) -> None:
    """Add one row's log-likelihood at every pair of nodes, and keep its probabilities."""
    for k in range(len(logs)):
        x = eta + outer * outer_points[k] + inner * points[k]
        e, _, p = logistic(x)
        logs[k] += row_log_likelihood(y, trials, x, e)
        probability[k] = p


@kernel
def inner_shares(
    logs: FloatArray, nodes: FloatArray, share: FloatArray, total: FloatArray, first: FloatArray, second: FloatArray
) -> None:
    """By pair, the share of the inner node in the sum; by outer node, that sum and the nodes' first two moments."""
    inner = len(nodes)
    for k in range(len(logs)):
        # The integrand is highest at the mode, so that only rounding takes these above the largest weight's.
        share[k] = exp_of_negative(min(logs[k], 0.0))
    for k in range(len(total)):
        shares = view(share, k * inner, (k + 1) * inner)
        a = b = c = 0.0
        for m in range(inner):
            a += shares[m]
            b += shares[m] * nodes[m]
            c += shares[m] * nodes[m] * nodes[m]
        for m in range(inner):
            shares[m] /= a
        total[k], first[k], second[k] = a, b / a, c / a


@kernel
def mean_residuals(
    y: float,
    trials: float,
    z: float,
    probability: FloatArray,
    share: FloatArray,
    nodes: FloatArray,
    mean: FloatArray,
    score: FloatArray,
    node_score: FloatArray,
) -> None:
    """One row's residual averaged over the inner nodes, and its scores with and without the node as a factor."""
    inner = len(nodes)
    for k in range(len(mean)):
        p, shares = view(probability, k * inner, (k + 1) * inner), view(share, k * inner, (k + 1) * inner)
        a = b = 0.0
        for m in range(inner):
            r = shares[m] * (y - trials * p[m])
            a += r
            b += r * nodes[m]
        mean[k] = a
        score[k] += z * a
        node_score[k] += z * b
