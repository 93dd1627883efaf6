"""Parameters and other factors' effects in units of averaged probabilities, in which they do not move with the sd.

Averaged over the first factor's effects, with standard deviation s, logits shrink by about ``sqrt(1 + c^2 s^2)``, where
c = 16 sqrt(3) / (15 pi) (Zeger, Liang and Albert 1988, Biometrics 44: 1049-1060). What the data tell is the averaged
logits: given them, the fixed effects and all effects of the other factors grow with s. With the effects of the first
factor integrated out, these are therefore sampled in units of

    k = sqrt((1 + c^2 s^2) / (1 + c^2 s_0^2)),

one at the centre s_0. The position x is that of `joint.log_density` without the variables of the first factor's levels;
with ``gamma0 + G x = G (x + o)``, a primed quantity the one of `joint.log_density`, and t another factor,

    gamma = k gamma'(x)       log sd_t = log sd_t'(x) + log k       b_t = k b_t'(x, gamma', sd')

The change of variables is exact for any c.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.vectors import add_column, allocate, copy, dot, fill, window
from ..joint.arrays import Joint
from ..joint.log_density import (
    derivative_in_others,
    derivative_in_scales,
    parameters_backward,
    parameters_forward,
    parameters_size,
    shared_parts,
)
from ..joint.other_factors import others_backward, others_forward, others_size
from ..joint.scale_variables import scales_backward, scales_forward
from ..kernels.scale_priors import total_square
from .arrays import Blocks

FloatArray = npt.NDArray[np.float64]


@exact_kernel
def position_sizes(joint: Joint) -> tuple[int, int, int]:
    """Numbers of variables: of the parameters, of the first factor's effects, and of the other factors' effects."""
    integrated = joint.variable_at[1]
    return len(joint.gamma0) + len(joint.centre), integrated, joint.variable_at[-1] - integrated


@exact_kernel
def forward_size(joint: Joint) -> int:
    """How many numbers `forward` and `backward` write to their scratch."""
    parameters, integrated, others = position_sizes(joint)
    primed = len(joint.gamma0) + total_square(joint.q)
    size: int = 4 * (parameters + integrated + others) + 2 * primed + parameters_size(joint) + others_size(joint)
    return size


@exact_kernel
def of_parameters(joint: Joint, scratch: FloatArray) -> FloatArray:
    """The scratch of `joint.log_density.parameters_forward` in that of `forward`."""
    part: FloatArray = window(scratch, 0, parameters_size(joint))
    return part


@exact_kernel
def of_others(joint: Joint, scratch: FloatArray) -> FloatArray:
    """The scratch of `others_forward` in that of `forward`."""
    part: FloatArray = window(scratch, parameters_size(joint), others_size(joint))
    return part


@exact_kernel
def full_position(joint: Joint, scratch: FloatArray) -> FloatArray:
    """After `forward`, the position in the joint density with the same fixed effects, and log sds without log k."""
    parameters, integrated, others = position_sizes(joint)
    part: FloatArray = window(scratch, parameters_size(joint) + others_size(joint), parameters + integrated + others)
    return part


@exact_kernel
def _own_parts(
    joint: Joint, scratch: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """The rest of the scratch: gradient in the full position, primed position, coefficients and Cholesky factors.

    Each of the last three is followed by the derivative in it.
    """
    parameters, integrated, others = position_sizes(joint)
    size, p, entries = parameters + integrated + others, len(joint.gamma0), total_square(joint.q)
    dfull, used = allocate(scratch, parameters_size(joint) + others_size(joint) + size, size)
    primed, used = allocate(scratch, used, size)
    dprimed, used = allocate(scratch, used, size)
    gamma, used = allocate(scratch, used, p)
    dgamma, used = allocate(scratch, used, p)
    cholesky, used = allocate(scratch, used, entries)
    dcholesky, used = allocate(scratch, used, entries)
    return dfull, primed, dprimed, gamma, dgamma, cholesky, dcholesky


@exact_kernel
def log_scale(joint: Joint, blocks: Blocks, x: FloatArray, scratch: FloatArray) -> tuple[float, float]:
    """Log k, and its derivative in the logarithm of the first factor's sd.

    As many numbers of `scratch` are written as there are variables of sds and correlations.
    """
    scales = len(joint.centre)
    unbounded = window(scratch, 0, scales)
    scales_forward(joint, window(x, len(joint.gamma0), scales), unbounded)
    variance = blocks.attenuation[0] * math.exp(2.0 * unbounded[0])
    return 0.5 * math.log1p(variance) - blocks.attenuation[1], variance / (1.0 + variance)


@kernel
def _scaled(values: FloatArray, factor: float, out: FloatArray) -> None:
    for i in range(len(values)):
        out[i] = factor * values[i]


@exact_kernel
def forward(joint: Joint, blocks: Blocks, x: FloatArray, u: FloatArray, b: FloatArray, scratch: FloatArray) -> float:
    """Log density of all that comes before the rows, with the change of variables.

    Priors of the parameters, and the other factors' effects, which are written to u and b. The parameters are then in
    `shared_parts` of `of_parameters`, the derivative in the effects is to be added to `derivative_in_others`.
    """
    parameters, integrated, others = position_sizes(joint)
    p = len(joint.gamma0)
    full, priors, for_others = full_position(joint, scratch), of_parameters(joint, scratch), of_others(joint, scratch)
    dfull, primed, _, gamma_, _, cholesky_, _ = _own_parts(joint, scratch)
    log_k, _ = log_scale(joint, blocks, x, dfull)
    k = math.exp(log_k)
    copy(window(x, 0, parameters), window(primed, 0, parameters))
    copy(window(x, parameters, others), window(primed, parameters + integrated, others))
    copy(window(x, 0, parameters), window(full, 0, parameters))
    for i in range(p):
        full[i] = k * (x[i] + blocks.origin[i]) - blocks.origin[i]
    value = parameters_forward(joint, full, log_k, dfull, priors) + p * log_k
    gamma, _, cholesky, _ = shared_parts(joint, priors)
    _scaled(gamma, 1.0 / k, gamma_)
    _scaled(cholesky, 1.0 / k, cholesky_)
    value = others_forward(joint, primed, gamma_, cholesky_, for_others, u, b, value)
    effects = window(b, integrated, others)
    _scaled(effects, k, effects)
    return value


@exact_kernel
def backward(
    joint: Joint, blocks: Blocks, x: FloatArray, u: FloatArray, b: FloatArray, grad: FloatArray, scratch: FloatArray
) -> None:
    """The gradient through `forward`, which wrote to u, b and the scratch, where the rows' derivatives are."""
    parameters, integrated, others = position_sizes(joint)
    p, E, first = len(joint.gamma0), len(joint.sd_family), joint.q[0] * joint.q[0]
    priors, for_others = of_parameters(joint, scratch), of_others(joint, scratch)
    dfull, _, dprimed, gamma_, dgamma_, cholesky_, dcholesky_ = _own_parts(joint, scratch)
    log_k, slope = log_scale(joint, blocks, x, dprimed)
    k = math.exp(log_k)
    db = derivative_in_others(joint, for_others)
    dlog_k = p + dot(window(b, integrated, others), db)
    _scaled(db, k, db)
    fill(dgamma_, 0.0)
    fill(dcholesky_, 0.0)
    fill(window(dprimed, 0, p), 0.0)
    others_backward(joint, cholesky_, for_others, u, dprimed, dgamma_, dcholesky_)
    dlog_k -= dot(gamma_, dgamma_) + dot(cholesky_, dcholesky_)
    _, dgamma, _, dcholesky = shared_parts(joint, priors)
    add_column(dgamma_, 1.0 / k, dgamma)
    entries = len(dcholesky) - first
    add_column(window(dcholesky_, first, entries), 1.0 / k, window(dcholesky, first, entries))
    parameters_backward(joint, dfull, priors)
    for i in range(p):
        dlog_k += dfull[i] * k * (x[i] + blocks.origin[i])
        grad[i] = k * dfull[i] + dprimed[i]
    dunbounded = derivative_in_scales(joint, priors)
    for e in range(joint.q[0], E):
        dlog_k += dunbounded[e]
    dunbounded[0] += slope * dlog_k
    scales_backward(joint, window(x, p, parameters - p), dunbounded, window(grad, p, parameters - p))
    copy(window(dprimed, parameters + integrated, others), window(grad, parameters, others))
