"""Log sds and correlation variables from the sampler's variables, shifted and scaled, and bent where sds vanish.

Correlation variables are ``centre + width x``. So are log sds, unless the data can hardly tell the sd from zero. The
posterior of its logarithm then has a tail as long as that of ``e^x``, however narrow the rest: in units of a small
width this tail is far too long for steps that fit the rest. The slope therefore rises from the width to 1 towards it:

    log sd = centre + width x - bend (s(-x - t) - s(-t)),    s(z) = log(1 + e^z),    t = TURN / width^2

with ``bend = 1 - width``. Where the data do tell it from zero, the likelihood falls steeply there and not slowly, and
the bend is 0.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel
from .arrays import Joint

FloatArray = npt.NDArray[np.float64]

#: Where the slope rises; narrower posteriors reach their tail later.
TURN = 0.12


@exact_kernel
def _softplus(z: float) -> float:
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


@exact_kernel
def scales_forward(joint: Joint, x: FloatArray, unbounded: FloatArray) -> float:
    """Write log sds and correlation variables; returns the log density of the change of variables, up to a constant."""
    value = 0.0
    for k in range(len(unbounded)):
        unbounded[k] = joint.centre[k] + joint.width[k] * x[k]
    for e in range(len(joint.sd_family)):
        width, bend = joint.width[e], joint.bend[e]
        if bend > 0.0:
            turn = TURN / (width * width)
            unbounded[e] -= bend * (_softplus(-x[e] - turn) - _softplus(-turn))
            value += math.log(width + bend / (1.0 + math.exp(x[e] + turn)))
    return value


@exact_kernel
def scales_backward(joint: Joint, x: FloatArray, dunbounded: FloatArray, dx: FloatArray) -> None:
    """The gradient through `scales_forward`: from the derivative in its result to that in x, which is written."""
    for k in range(len(dunbounded)):
        dx[k] = joint.width[k] * dunbounded[k]
    for e in range(len(joint.sd_family)):
        width, bend = joint.width[e], joint.bend[e]
        if bend > 0.0:
            share = 1.0 / (1.0 + math.exp(x[e] + TURN / (width * width)))
            dx[e] += bend * share * dunbounded[e] - bend * share * (1.0 - share) / (width + bend * share)
