"""Units of averaged probabilities for the fixed effects, in which these do not move with the sds.

Averaged over random effects whose part of the linear predictor has variance s^2, logits shrink by about
``sqrt(1 + c^2 s^2)``, where c = 16 sqrt(3) / (15 pi) (Zeger, Liang and Albert 1988, Biometrics 44: 1049-1060). What the
data tell is the averaged logits, so that the fixed effects grow with the sds. They are sampled in units of

    k = sqrt((1 + c^2 s^2) / (1 + c^2 s_0^2)),          s^2 = sum_t tr(L_t' M_t L_t),

one at the centre s_0, where M_t has the mean products of factor t's columns over the trials.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel
from .arrays import Joint

FloatArray = npt.NDArray[np.float64]

#: c^2 = (16 sqrt(3) / (15 pi))^2, by which averaging over clusters shrinks logits.
ATTENUATION = 3.0 * (16.0 / (15.0 * np.pi)) ** 2


@exact_kernel
def _shrinkage(joint: Joint, cholesky: FloatArray) -> float:
    """``1 + c^2 s^2`` at Cholesky factors of all grouping factors."""
    total, at = 1.0, 0
    for t in range(len(joint.q)):
        q = joint.q[t]
        for a in range(q):
            for c in range(q):
                product = 0.0
                for d in range(min(a, c) + 1):
                    product += cholesky[at + a * q + d] * cholesky[at + c * q + d]
                total += joint.attenuation[at + a * q + c] * product
        at += q * q
    return total


@exact_kernel
def log_attenuation(joint: Joint, cholesky: FloatArray) -> float:
    """Log k at Cholesky factors of all grouping factors."""
    value: float = 0.5 * math.log(_shrinkage(joint, cholesky)) - joint.log_attenuation0[0]
    return value


@exact_kernel
def add_attenuation(joint: Joint, cholesky: FloatArray, dlog_k: float, dcholesky: FloatArray) -> None:
    """Add to the derivative in the Cholesky factors what reaches them through log k."""
    factor, at = dlog_k / _shrinkage(joint, cholesky), 0
    for t in range(len(joint.q)):
        q = joint.q[t]
        for a in range(q):
            for d in range(a + 1):
                for c in range(d, q):
                    dcholesky[at + a * q + d] += factor * joint.attenuation[at + a * q + c] * cholesky[at + c * q + d]
        at += q * q
