"""Log sds and correlation variables from the sampler's variables, and signs of sds that the data hardly tell from zero.

Correlation variables are ``centre + width x``. So are log sds, unless the data can hardly tell the sd from zero, where
the prior density is neither zero nor infinite. The posterior of its logarithm then has a long tail towards minus
infinity, that of the sd ends at zero. Neither is anything like a normal distribution. What is nearly normal is an sd
with a sign: random effects are as likely with both signs, so that a posterior of either sign alone is continued
symmetrically, and zero becomes an interior point:

    sd = 2 e^centre sinh(a x)

This is linear near zero and exponential far from it. The rate `a` is `growth`, which is 0 for the other sds. The sign
is that of the effect's row of the Cholesky factor. What is kept of a draw has positive sds: the signs are moved to the
correlations and to the standardised effects (`c_callbacks`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel
from .arrays import Joint

FloatArray = npt.NDArray[np.float64]

#: Positions nearer to zero than this count as this far from it: logarithms there would have no digits left.
NEAREST = 1e-6
#: `growth`, as a share of the width that the logarithm of the sd has at the mode, where it has the slope of this width.
#: With half of the width there were divergences with few clusters, with less the tail of large sds is too long.
RATE = 0.3
#: The logarithm of an sd at its mode, less its centre.
AT_MODE = math.log(2.0 * math.sinh(math.atanh(RATE)))


def signed(log_sd: FloatArray, width: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Centre and growth of sds with a sign, whose logarithms have this mode and width."""
    return log_sd - AT_MODE, RATE * width


def log_sd_at_mode(centre: FloatArray, growth: FloatArray) -> FloatArray:
    """The modes of log sds for which the centres and growths were made."""
    return np.where(growth > 0, centre + AT_MODE, centre)


@exact_kernel
def scales_forward(joint: Joint, x: FloatArray, unbounded: FloatArray) -> float:
    """Write log sds and correlation variables; returns the log density of the change of variables, up to a constant."""
    value = 0.0
    for k in range(len(unbounded)):
        unbounded[k] = joint.centre[k] + joint.width[k] * x[k]
    for e in range(len(joint.sd_family)):
        if joint.growth[e] > 0.0:
            size = joint.growth[e] * max(abs(x[e]), NEAREST)
            rest = -math.expm1(-2.0 * size)
            unbounded[e] = joint.centre[e] + size + math.log(rest)
            value += math.log((2.0 - rest) / rest)
    return value


@exact_kernel
def scales_backward(joint: Joint, x: FloatArray, dunbounded: FloatArray, dx: FloatArray) -> None:
    """The gradient through `scales_forward`: from the derivative in its result to that in x, which is written."""
    for k in range(len(dunbounded)):
        dx[k] = joint.width[k] * dunbounded[k]
    for e in range(len(joint.sd_family)):
        if joint.growth[e] > 0.0:
            tanh = math.tanh(joint.growth[e] * max(abs(x[e]), NEAREST))
            dx[e] = math.copysign(joint.growth[e], x[e]) * (dunbounded[e] - 1.0 + tanh * tanh) / tanh


@exact_kernel
def set_signs(joint: Joint, x: FloatArray, sd: FloatArray) -> None:
    """Give the sds the signs that they have at a position."""
    for e in range(len(sd)):
        if joint.growth[e] > 0.0:
            sd[e] = math.copysign(sd[e], x[e])
