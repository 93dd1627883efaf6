"""Standard deviations and correlations from unbounded variables, with their prior densities, compiled.

Standard deviations are parametrised by their logarithms, correlation matrices by canonical partial correlations: entry
(a, b) of the Cholesky factor of R is ``tanh(z_ab)`` times what columns before b leave of the row's unit length
(Lewandowski, Kurowicka and Joe 2009, Journal of Multivariate Analysis 100: 1989-2001). Under LKJ(eta) the density of
z_ab, with its change of variables, is proportional to ``(1 - tanh(z_ab)^2)^(eta + (k - 2 - b) / 2)`` for k effects,
columns counted from 0.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel
from ...numba_support.vectors import view

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Codes of the prior families in compiled code.
NORMAL, STUDENT_T, CAUCHY, LAPLACE = 0, 1, 2, 3
HALF_NORMAL, HALF_STUDENT_T, HALF_CAUCHY, EXPONENTIAL, GAMMA, LOG_NORMAL, DECOV = 10, 11, 12, 13, 14, 15, 16
#: A standard deviation whose prior is the joint one that stands with the first effect of its set.
JOINED = 20


@exact_kernel
def symmetric_density(family: int, location: float, scale: float, nu: float, x: float) -> tuple[float, float]:
    """Log density of a location-scale family, up to a constant, and its derivative."""
    z = (x - location) / scale
    if family == NORMAL:
        return -0.5 * z * z, -z / scale
    if family == STUDENT_T:
        return -0.5 * (nu + 1.0) * math.log1p(z * z / nu), -(nu + 1.0) * z / (nu + z * z) / scale
    if family == CAUCHY:
        return -math.log1p(z * z), -2.0 * z / (1.0 + z * z) / scale
    return -abs(z), -np.sign(z) / scale


@exact_kernel
def scale_density(family: int, first: float, second: float, sd: float) -> tuple[float, float]:
    """Log prior density of one standard deviation, up to a constant, and its derivative."""
    if family <= HALF_CAUCHY:  # the half families have the order of the symmetric ones
        scale, nu = (second, first) if family == HALF_STUDENT_T else (first, 0.0)
        return symmetric_density(family - HALF_NORMAL, 0.0, scale, nu, sd)
    if family == EXPONENTIAL:
        return -first * sd, -first
    if family == GAMMA:
        return (first - 1.0) * math.log(sd) - second * sd, (first - 1.0) / sd - second
    z = (math.log(sd) - first) / second
    return -0.5 * z * z - math.log(sd), -(z / second + 1.0) / sd


@exact_kernel
def decov_density(concentration: float, shape: float, scale: float, sd: FloatArray, gradient: FloatArray) -> float:
    """Log density of the standard deviations of one set under decov, up to a constant; its gradient into `gradient`."""
    k = len(sd)
    total, logs = 0.0, 0.0
    for a in range(k):
        total += sd[a] * sd[a]
        logs += math.log(sd[a])
    tau = math.sqrt(total / k)
    joint = k * concentration - 1.0
    value = (shape - 1.0) * math.log(tau) - tau / scale
    # The score in tau, times d tau / d sd = sd / (k tau) without the sd.
    per_sd = ((shape - 1.0) / tau - 1.0 / scale) / (k * tau)
    if k == 1:
        gradient[0] = per_sd * sd[0]
        return value
    # From the Dirichlet distribution of the shares and the change of variables, as in `priors.families.Decov`.
    value += (2.0 * concentration - 1.0) * logs - joint * math.log(total) - math.log(tau)
    for a in range(k):
        gradient[a] = per_sd * sd[a] + (2.0 * concentration - 1.0) / sd[a] - (2.0 * joint + 1.0) * sd[a] / total
    return value


@exact_kernel
def scale_priors(
    family: IntArray,
    arguments: FloatArray,
    set_size: IntArray,
    log_sd: FloatArray,
    sd: FloatArray,
    gradient: FloatArray,
) -> float:
    """Log prior density of all log standard deviations; writes the sds, and the gradient in their logarithms.

    The logarithms are the first entries of `log_sd`. `arguments` has three numbers for each sd, `set_size` the number
    of effects in its set.
    """
    value = 0.0
    for e in range(len(sd)):
        sd[e] = math.exp(log_sd[e])
    for e in range(len(sd)):
        first, second, third = arguments[3 * e], arguments[3 * e + 1], arguments[3 * e + 2]
        if family[e] == DECOV:
            stop = e + set_size[e]
            value += decov_density(first, second, third, view(sd, e, stop), view(gradient, e, stop))
        elif family[e] != JOINED:
            log_density, gradient[e] = scale_density(family[e], first, second, sd[e])
            value += log_density
    for e in range(len(sd)):
        value += log_sd[e]
        gradient[e] = gradient[e] * sd[e] + 1.0
    return value


@exact_kernel
def total_square(q: IntArray) -> int:
    """Entries of the Cholesky factors of all grouping factors together."""
    total = 0
    for t in range(len(q)):
        total += q[t] * q[t]
    return total


@exact_kernel
def cholesky_forward(
    q: IntArray,
    effect_at: IntArray,
    set_first: IntArray,
    cor_start: IntArray,
    cor_power: FloatArray,
    unbounded: FloatArray,
    sd: FloatArray,
    cor_cholesky: FloatArray,
    cholesky: FloatArray,
    gradient: FloatArray,
) -> float:
    """Cholesky factors L of the covariance matrices, and the log prior density of the correlations.

    L is lower triangular and zero above. Row e is the sd of effect e times row e of the Cholesky factor of the
    correlation matrix (`cor_cholesky`), whose columns run from the first effect of its set to its own. The correlation
    variables stand behind the log sds in `unbounded`, row by row; the gradient of their density is written to the same
    places of `gradient`.
    """
    value, at, E = 0.0, 0, len(sd)
    for t in range(len(q)):
        for e in range(effect_at[t], effect_at[t + 1]):
            first, begin, count = at + set_first[e], cor_start[e], cor_start[e + 1] - cor_start[e]
            left = 1.0
            for b in range(count):
                z = unbounded[E + begin + b]
                size = math.exp(-2.0 * abs(z))
                tanh = math.copysign((1.0 - size) / (1.0 + size), z)
                cor_cholesky[first + b] = tanh * left
                left *= 2.0 * math.exp(-abs(z)) / (1.0 + size)
                # log(1 - tanh(z)^2), written so that no digits cancel
                value += cor_power[begin + b] * (2.0 * math.log(2.0) - 2.0 * abs(z) - 2.0 * math.log1p(size))
                gradient[E + begin + b] = -2.0 * cor_power[begin + b] * tanh
            cor_cholesky[first + count] = left
            for b in range(count + 1):
                cholesky[first + b] = sd[e] * cor_cholesky[first + b]
            at += q[t]
    return value


@exact_kernel
def cholesky_backward(
    q: IntArray,
    effect_at: IntArray,
    set_first: IntArray,
    cor_start: IntArray,
    unbounded: FloatArray,
    sd: FloatArray,
    cor_cholesky: FloatArray,
    dcholesky: FloatArray,
    gradient: FloatArray,
) -> None:
    """Add to `gradient` the derivative that reaches log sds and correlation variables through the Cholesky factors."""
    at, E = 0, len(sd)
    for t in range(len(q)):
        for e in range(effect_at[t], effect_at[t + 1]):
            first, begin, count = at + set_first[e], cor_start[e], cor_start[e + 1] - cor_start[e]
            after = 0.0
            for b in range(count + 1):
                after += sd[e] * dcholesky[first + b] * cor_cholesky[first + b]
            gradient[e] += after
            # Entry b of the row has the factor tanh(z_b), the entries after it the factor 1 / cosh(z_b).
            left = 1.0
            for b in range(count):
                z, dentry = unbounded[E + begin + b], sd[e] * dcholesky[first + b]
                after -= dentry * cor_cholesky[first + b]
                sech = 1.0 / math.cosh(z)
                gradient[E + begin + b] += dentry * sech * sech * left - math.tanh(z) * after
                left *= sech
            at += q[t]
