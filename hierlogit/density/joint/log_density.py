"""The joint log density of parameters and random effects, and its gradient, compiled once for all models.

The sampler's position x holds, one after the other, p variables for the fixed effects, the standard deviations, the
correlations, and a variable for every effect of every level (`partial_centring`). All of them are shifted and scaled by
constants, so that a posterior that is nearly normal is nearly standard normal in x:

    gamma = k (gamma0 + G x_fixed)      log sd = centre + width x_sd          z = centre + width x_cor

Fixed effects grow with the sds, and are in units that grow alike, k (`attenuation`). Sds that may vanish have a sign
(`scale_variables`). The variables of the effects of all factors but the first also depend on each other and on x_fixed
(`coupling`).

The gradient is that of reverse-mode differentiation: each step has its counterpart on the way back.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel
from ...numba_support.vectors import allocate, dot, fill, window
from ..kernels.scale_priors import cholesky_backward, cholesky_forward, scale_priors, symmetric_density, total_square
from .arrays import Joint
from .attenuation import add_attenuation, log_attenuation
from .other_factors import others_backward, others_columns, others_forward, others_size
from .outcomes import begin_rows, end_rows
from .row_batches import add_batch, batch_size
from .scale_variables import scales_backward, scales_forward, set_signs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@exact_kernel
def affine(start: FloatArray, matrix: FloatArray, x: FloatArray, out: FloatArray) -> None:
    """``out = start + matrix x``, with the first entries of x."""
    p = len(start)
    for k in range(p):
        total = start[k]
        for m in range(p):
            total += matrix[k * p + m] * x[m]
        out[k] = total


@exact_kernel
def add_transposed(matrix: FloatArray, gradient: FloatArray, out: FloatArray) -> None:
    """``out += matrix' gradient``, to the first entries of `out`."""
    p = len(gradient)
    for k in range(p):
        for m in range(p):
            out[m] += matrix[k * p + m] * gradient[k]


@exact_kernel
def fixed_prior(
    family: IntArray,
    arguments: FloatArray,
    centred0: FloatArray,
    centred_scale: FloatArray,
    x: FloatArray,
    factor: float,
    grad: FloatArray,
    centred: FloatArray,
    dcentred: FloatArray,
) -> tuple[float, float]:
    """Log prior density of the fixed effects, ``factor (centred0 + centred_scale x)``; its derivative in log factor.

    The gradient in x is added to `grad`. The last two, of shape (p,), are scratch.
    """
    p, value, derivative = len(centred0), 0.0, 0.0
    affine(centred0, centred_scale, x, centred)
    for k in range(p):
        location, scale, nu = arguments[3 * k], arguments[3 * k + 1], arguments[3 * k + 2]
        log_density, slope = symmetric_density(family[k], location, scale, nu, factor * centred[k])
        value += log_density
        dcentred[k] = factor * slope
        derivative += centred[k] * dcentred[k]
    add_transposed(centred_scale, dcentred, grad)
    return value, derivative


@exact_kernel
def evaluate(joint: Joint, x: FloatArray, grad: FloatArray, u: FloatArray, b: FloatArray) -> float:
    """Log density at x up to a constant.

    Parameters
    ----------
    joint : Joint
    x, grad : ndarray, shape (d,)
        The gradient is written.
    u, b : ndarray, shape (sum of q_t J_t,)
        Written: standardised effects and effects on the logit scale.

    Returns
    -------
    float
    """
    # One array for everything: Numba counts the references to each array and frees it, which takes longer than most
    # loops over it.
    scratch = np.empty(scratch_size(joint))
    return evaluate_with(joint, x, grad, u, b, scratch)


@exact_kernel
def scratch_size(joint: Joint) -> int:
    """How many numbers `evaluate_with` writes to its scratch."""
    size: int = parameters_size(joint) + others_size(joint) + batch_size(joint)
    return size


@exact_kernel
def evaluate_with(
    joint: Joint, x: FloatArray, grad: FloatArray, u: FloatArray, b: FloatArray, scratch: FloatArray
) -> float:
    """`evaluate`, with the memory that it writes to."""
    of_parameters, used = allocate(scratch, 0, parameters_size(joint))
    of_others, used = allocate(scratch, used, others_size(joint))
    batch, used = allocate(scratch, used, batch_size(joint))
    value = parameters_forward(joint, x, 0.0, grad, of_parameters)
    gamma, dgamma, cholesky, dcholesky = shared_parts(joint, of_parameters)
    if joint.several_factors:
        value = others_forward(joint, x, gamma, cholesky, of_others, u, b, value)
    first = joint.q[0] * joint.q[0]
    L, dL, db_others = window(cholesky, 0, first), window(dcholesky, 0, first), derivative_in_others(joint, of_others)
    _, dunbounded, sd, _ = _own_parts(joint, of_parameters)
    begin_rows(joint, sd, batch)
    for k in range(len(joint.batch_start) - 1):
        value = add_batch(joint, k, x, gamma, L, batch, u, b, db_others, grad, dgamma, dL, value)
    if joint.several_factors:
        others_backward(joint, cholesky, of_others, u, grad, dgamma, dcholesky)
    parameters_backward(joint, grad, of_parameters)
    end_rows(joint, dunbounded, sd, batch)
    p, scales = len(joint.gamma0), len(joint.centre)
    scales_backward(joint, window(x, p, scales), dunbounded, window(grad, p, scales))
    return value


@exact_kernel
def parameters_size(joint: Joint) -> int:
    """How many numbers `parameters_forward` and `parameters_backward` write to their scratch."""
    p, E, scales, entries = len(joint.gamma0), len(joint.sd_family), len(joint.centre), total_square(joint.q)
    return 4 * p + 2 * scales + E + 3 * entries + 2


@exact_kernel
def shared_parts(joint: Joint, scratch: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """What effects and rows take from `parameters_forward`, and the derivatives that they add to.

    These are parts of its scratch: the coefficients of the basis and the derivative in them, then the Cholesky factors
    of all grouping factors and the derivative in them.
    """
    p, entries = len(joint.gamma0), total_square(joint.q)
    gamma, used = allocate(scratch, 0, p)
    dgamma, used = allocate(scratch, used, p)
    cholesky, used = allocate(scratch, used, entries)
    dcholesky, used = allocate(scratch, used, entries)
    return gamma, dgamma, cholesky, dcholesky


@exact_kernel
def derivative_in_others(joint: Joint, scratch: FloatArray) -> FloatArray:
    """The derivative in the other factors' effects: a part of the scratch of `others_forward`."""
    part: FloatArray = window(scratch, 0, others_columns(joint)[0])
    return part


@exact_kernel
def _own_parts(joint: Joint, scratch: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """What `parameters_backward` takes from `parameters_forward` besides: variables of sds and correlations and so on.

    The variables and the derivative in them, the sds, and the Cholesky factors of the correlation matrices.
    """
    E, scales, entries = len(joint.sd_family), len(joint.centre), total_square(joint.q)
    unbounded, used = allocate(scratch, 2 * len(joint.gamma0) + 2 * entries, scales)
    dunbounded, used = allocate(scratch, used, scales)
    sd, used = allocate(scratch, used, E)
    cor_cholesky, used = allocate(scratch, used, entries)
    return unbounded, dunbounded, sd, cor_cholesky


@exact_kernel
def parameters_forward(joint: Joint, x: FloatArray, log_scale: float, grad: FloatArray, scratch: FloatArray) -> float:
    """Log prior density of fixed effects, sds and correlations, and what the rest takes from them: `shared_parts`.

    `log_scale` is added to the log sds of all factors but the first. The gradient of the fixed effects' prior is
    written to the first entries of `grad`.
    """
    p, scales = len(joint.gamma0), len(joint.centre)
    gamma, dgamma, cholesky, dcholesky = shared_parts(joint, scratch)
    unbounded, dunbounded, sd, cor_cholesky = _own_parts(joint, scratch)
    kept, used = allocate(scratch, parameters_size(joint) - 2 * p - 2, 2)
    centred, used = allocate(scratch, used, p)
    dcentred, used = allocate(scratch, used, p)
    fill(dgamma, 0.0)
    fill(cor_cholesky, 0.0)
    fill(cholesky, 0.0)
    fill(dcholesky, 0.0)
    fill(window(grad, 0, p), 0.0)
    value = scales_forward(joint, window(x, p, scales), unbounded)
    for e in range(joint.q[0], len(joint.sd_family)):
        unbounded[e] += log_scale
    value += scale_priors(joint.sd_family, joint.sd_arguments, joint.set_size, unbounded, sd, dunbounded)
    set_signs(joint, window(x, p, scales), sd)
    value += cholesky_forward(
        joint.q,
        joint.effect_at,
        joint.set_first,
        joint.cor_start,
        joint.cor_power,
        unbounded,
        sd,
        cor_cholesky,
        cholesky,
        dunbounded,
    )
    log_k = log_attenuation(joint, cholesky)
    k = math.exp(log_k)
    affine(joint.gamma0, joint.gamma_scale, x, gamma)
    for i in range(p):
        gamma[i] *= k
    log_density, kept[1] = fixed_prior(
        joint.beta_family, joint.beta_arguments, joint.centred0, joint.centred_scale, x, k, grad, centred, dcentred
    )
    kept[0] = k
    return value + p * log_k + log_density


@exact_kernel
def parameters_backward(joint: Joint, grad: FloatArray, scratch: FloatArray) -> None:
    """The gradient through `parameters_forward`, whose scratch has the derivatives in its `shared_parts`.

    It is added to `grad` for the fixed effects, and to `derivative_in_scales`.
    """
    p = len(joint.gamma0)
    gamma, dgamma, cholesky, dcholesky = shared_parts(joint, scratch)
    unbounded, dunbounded, sd, cor_cholesky = _own_parts(joint, scratch)
    kept = window(scratch, parameters_size(joint) - 2 * p - 2, 2)
    add_attenuation(joint, cholesky, p + kept[1] + dot(gamma, dgamma), dcholesky)
    for i in range(p):
        dgamma[i] *= kept[0]
    cholesky_backward(
        joint.q, joint.effect_at, joint.set_first, joint.cor_start, unbounded, sd, cor_cholesky, dcholesky, dunbounded
    )
    add_transposed(joint.gamma_scale, dgamma, grad)


@exact_kernel
def derivative_in_scales(joint: Joint, scratch: FloatArray) -> FloatArray:
    """The derivative in log sds and correlation variables: a part of the scratch of `parameters_forward`."""
    derivative: FloatArray = _own_parts(joint, scratch)[1]
    return derivative
