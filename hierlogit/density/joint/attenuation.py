"""Units of averaged probabilities for the fixed effects, in which these do not move with the sds.

Averaged over random effects whose part of the linear predictor has variance s^2, logits shrink by about
``sqrt(1 + c^2 s^2)``, where c = 16 sqrt(3) / (15 pi) (Zeger, Liang and Albert 1988, Biometrics 44: 1049-1060). What the
data tell is the averaged logits, so that the fixed effects grow with the sds. They are sampled in units of

    k = sqrt((1 + a) / (1 + a_0)),        a = v / (1 + v / m),        v = c^2 sum_t tr(L_t' M_t L_t),

one at the centre. M_t has the mean products of factor t's columns over the trials, where columns count less the more
reliable their effects: what the data tell of the effects is not averaged over. The bound m keeps k from growing without
end, by which chains that try very large sds would diverge.
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
#: m, as a multiple of 1 + v at the centre.
LARGEST = 4.0


@exact_kernel
def _variance(joint: Joint, cholesky: FloatArray) -> float:
    """The variance v at Cholesky factors of all grouping factors."""
    total, at = 0.0, 0
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
    variance = _variance(joint, cholesky)
    value: float = 0.5 * math.log1p(variance / (1.0 + variance / joint.attenuation0[1])) - joint.attenuation0[0]
    return value


@exact_kernel
def add_attenuation(joint: Joint, cholesky: FloatArray, dlog_k: float, dcholesky: FloatArray) -> None:
    """Add to the derivative in the Cholesky factors what reaches them through log k."""
    variance = _variance(joint, cholesky)
    kept = 1.0 / (1.0 + variance / joint.attenuation0[1])
    factor, at = dlog_k * kept * kept / (1.0 + variance * kept), 0
    for t in range(len(joint.q)):
        q = joint.q[t]
        for a in range(q):
            for d in range(a + 1):
                for c in range(d, q):
                    dcholesky[at + a * q + d] += factor * joint.attenuation[at + a * q + c] * cholesky[at + c * q + d]
        at += q * q
