"""The integral over the effects of a block of levels, by Gauss-Hermite quadrature, and its gradient, compiled.

Given the fixed effects, the standard deviations and the other factors' effects, the levels of the first factor are
independent. With the change of variables of `joint.partial_centring`, in which a level's standardised effect is
``u = m + s v`` for a v that is nearly standard normal, and with nodes v_k and weights w_k for that distribution,

    log L_j = log s + log sum_k w_k exp(l_j(u_k) - u_k^2 / 2 + v_k^2 / 2),    u_k = m + s v_k

m and s follow the parameters by fixed constants: no mode is searched for. The gradient is that of the integral itself
by Fisher's identity, the posterior mean of the rows' scores at fixed u, with the nodes' shares in the sum as their
probabilities. It differs from the gradient of the sum by the error of the quadrature. A sampler that accepts by the
value alone stays exact.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.vectors import add_column, allocate, copy, fill, window
from ..joint.arrays import Joint
from ..joint.row_batches import add_other_effects, sum_for_other_effects
from ..kernels.binomial import exp_of_negative, log1p_of_unit, logistic, sum_of_logarithms
from ..kernels.binomial_residuals import FEW, ONE, power
from ..kernels.design_products import add_columns, dot_columns
from .arrays import Blocks

FloatArray = npt.NDArray[np.float64]


@exact_kernel
def block_size(blocks: Blocks) -> int:
    """How many numbers `add_block` writes to its scratch."""
    levels, rows, nodes = blocks.most[0], blocks.most[1], len(blocks.nodes)
    size: int = (2 + nodes) * rows + (6 + 3 * nodes) * levels
    return size


@exact_kernel
def centre_block(
    joint: Joint,
    blocks: Blocks,
    k: int,
    gamma: FloatArray,
    sd: float,
    b: FloatArray,
    eta: FloatArray,
    middle: FloatArray,
    spread: FloatArray,
) -> float:
    """Linear predictors of block k without its own effects, and the map from v to u of its levels.

    Parameters
    ----------
    joint : Joint
    blocks : Blocks
    k : int
    gamma : ndarray, shape (p,)
        Coefficients of the basis.
    sd : float
        That of the first factor's effects.
    b : ndarray
        Effects of the other factors.
    eta : ndarray, shape (rows,)
        Written.
    middle, spread : ndarray, shape (levels,)
        Written: m and s.

    Returns
    -------
    float
        Sum of the logarithms of s.
    """
    n, J, j0, r0 = len(joint.y), joint.levels[0], blocks.level_start[k], blocks.row_start[k]
    m, rows = len(middle), len(eta)
    copy(window(joint.score, j0, m), middle)
    add_columns(joint.cross_information, J, j0, gamma, -1.0, middle)
    fill(eta, 0.0)
    if len(joint.q) > 1:
        add_other_effects(joint, r0, b, eta)
        for r in range(0, rows, m):
            _add_products(-1.0, window(joint.weighted_Z, r0 + r, m), window(eta, r, m), middle)
    add_column(window(joint.offset, r0, rows), 1.0, eta)
    add_columns(joint.X, n, r0, gamma, 1.0, eta)
    return _map_of_levels(sd, window(joint.information, j0, m), middle, spread)


@kernel
def _add_products(sign: float, left: FloatArray, right: FloatArray, out: FloatArray) -> None:
    for j in range(len(out)):
        out[j] += sign * left[j] * right[j]


@kernel
def _map_of_levels(sd: float, information: FloatArray, middle: FloatArray, spread: FloatArray) -> float:
    """From the score in `middle` to m and s of each level; the sum of the logarithms of s."""
    for j in range(len(middle)):
        spread[j] = 1.0 + sd * sd * information[j]
    twice = sum_of_logarithms(spread)
    for j in range(len(middle)):
        middle[j] *= sd / spread[j]
        spread[j] = 1.0 / math.sqrt(spread[j])
    return -0.5 * twice


@kernel
def _begin_node(
    node: float,
    log_weight: float,
    sd: float,
    middle: FloatArray,
    spread: FloatArray,
    shift: FloatArray,
    logs: FloatArray,
    product: FloatArray,
    score: FloatArray,
) -> None:
    for j in range(len(middle)):
        u = middle[j] + spread[j] * node
        shift[j] = sd * u
        logs[j] = log_weight - 0.5 * u * u
        product[j] = 1.0
        score[j] = 0.0


# One row of every level: `product` gets what stands in the denominator of its likelihood and `logs` the logarithm of
# the rest, so that a level needs one logarithm for all its rows and nodes.
@kernel
def _add_single(
    y: FloatArray,
    trials: FloatArray,
    z: FloatArray,
    eta: FloatArray,
    shift: FloatArray,
    residual: FloatArray,
    logs: FloatArray,
    product: FloatArray,
    score: FloatArray,
) -> None:
    for j in range(len(y)):
        x = eta[j] + z[j] * shift[j]
        e, _, p = logistic(x)
        residual[j] = y[j] - trials[j] * p
        logs[j] += y[j] * x - trials[j] * max(x, 0.0)
        product[j] *= 1.0 + trials[j] * e  # a row has one trial or none
        score[j] += z[j] * residual[j]


@kernel
def _add_few(
    y: FloatArray,
    trials: FloatArray,
    z: FloatArray,
    eta: FloatArray,
    shift: FloatArray,
    residual: FloatArray,
    logs: FloatArray,
    product: FloatArray,
    score: FloatArray,
) -> None:
    for j in range(len(y)):
        x = eta[j] + z[j] * shift[j]
        e, _, p = logistic(x)
        residual[j] = y[j] - trials[j] * p
        logs[j] += y[j] * x - trials[j] * max(x, 0.0)
        product[j] *= power(1.0 + e, trials[j])
        score[j] += z[j] * residual[j]


@kernel
def _add_many(
    y: FloatArray,
    trials: FloatArray,
    z: FloatArray,
    eta: FloatArray,
    shift: FloatArray,
    residual: FloatArray,
    logs: FloatArray,
    score: FloatArray,
) -> None:
    for j in range(len(y)):
        x = eta[j] + z[j] * shift[j]
        e, _, p = logistic(x)
        residual[j] = y[j] - trials[j] * p
        logs[j] += y[j] * x - trials[j] * (max(x, 0.0) + log1p_of_unit(e))
        score[j] += z[j] * residual[j]


@kernel
def _highest(logs: FloatArray, m: int, top: FloatArray) -> None:
    copy(window(logs, 0, m), top)
    for at in range(m, len(logs), m):
        some = window(logs, at, m)
        for j in range(m):
            top[j] = max(top[j], some[j])


@kernel
def _shares(logs: FloatArray, product: FloatArray, top: FloatArray, total: FloatArray) -> float:
    """Turn the nodes' logarithms into shares, which sum to one for each level; the sum of the levels' log-likelihoods.

    `total` is scratch.
    """
    m, value = len(top), 0.0
    fill(total, 0.0)
    for at in range(0, len(logs), m):
        some, under = window(logs, at, m), window(product, at, m)
        for j in range(m):
            some[j] = exp_of_negative(some[j] - top[j]) / under[j]
            total[j] += some[j]
    for j in range(m):
        value += top[j]
    value += sum_of_logarithms(total)
    for j in range(m):
        total[j] = 1.0 / total[j]
    for at in range(0, len(logs), m):
        some = window(logs, at, m)
        for j in range(m):
            some[j] *= total[j]
    return value


@kernel
def _sd_gradient(node: float, middle: FloatArray, spread: FloatArray, share: FloatArray, score: FloatArray) -> float:
    total = 0.0
    for j in range(len(middle)):
        total += share[j] * score[j] * (middle[j] + spread[j] * node)
    return total


@exact_kernel
def add_block(
    joint: Joint,
    blocks: Blocks,
    k: int,
    gamma: FloatArray,
    sd: float,
    scratch: FloatArray,
    b: FloatArray,
    db_others: FloatArray,
    dgamma: FloatArray,
    dcholesky: FloatArray,
    value: float,
) -> float:
    """`value` plus the log-likelihood of block k; the gradient is added to `dgamma`, `dcholesky` and `db_others`."""
    n, K = len(joint.y), len(blocks.nodes)
    m, r0 = blocks.level_start[k + 1] - blocks.level_start[k], blocks.row_start[k]
    rows = blocks.row_start[k + 1] - r0
    eta, used = allocate(scratch, 0, rows)
    deta, used = allocate(scratch, used, rows)
    residual, used = allocate(scratch, used, K * rows)
    middle, used = allocate(scratch, used, m)
    spread, used = allocate(scratch, used, m)
    shift, used = allocate(scratch, used, m)
    top, used = allocate(scratch, used, m)
    total, used = allocate(scratch, used, m)
    logs, used = allocate(scratch, used, K * m)
    product, used = allocate(scratch, used, K * m)
    score, used = allocate(scratch, used, K * m)
    value += centre_block(joint, blocks, k, gamma, sd, b, eta, middle, spread)
    for node in range(K):
        of_node = node * m
        l_k, d_k, s_k = window(logs, of_node, m), window(product, of_node, m), window(score, of_node, m)
        _begin_node(blocks.nodes[node], blocks.log_weights[node], sd, middle, spread, shift, l_k, d_k, s_k)
        for r in range(0, rows, m):
            y, trials, z = window(joint.y, r0 + r, m), window(joint.trials, r0 + r, m), window(joint.Z, r0 + r, m)
            eta_r, out = window(eta, r, m), window(residual, node * rows + r, m)
            if blocks.kind[k] == ONE:
                _add_single(y, trials, z, eta_r, shift, out, l_k, d_k, s_k)
            elif blocks.kind[k] == FEW:
                _add_few(y, trials, z, eta_r, shift, out, l_k, d_k, s_k)
            else:
                _add_many(y, trials, z, eta_r, shift, out, l_k, s_k)
    _highest(logs, m, top)
    value += _shares(logs, product, top, total)
    fill(deta, 0.0)
    for node in range(K):
        share = window(logs, node * m, m)
        dcholesky[0] += _sd_gradient(blocks.nodes[node], middle, spread, share, window(score, node * m, m))
        for r in range(0, rows, m):
            _add_products(1.0, share, window(residual, node * rows + r, m), window(deta, r, m))
    dot_columns(joint.X, n, r0, deta, 1.0, dgamma)
    if len(joint.q) > 1:
        sum_for_other_effects(joint, r0, deta, db_others)
    return value
