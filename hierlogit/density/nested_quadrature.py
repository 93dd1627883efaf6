"""The marginal likelihood of two nested grouping factors by adaptive Gauss-Hermite quadrature, and its exact gradient.

One scalar effect each: v of an outer level, u of each inner level j in it, both standardised. With nodes x and weights
omega, ``log L = log sum_k omega_k exp(x_k^2 + F(v_k)) + log sd - log(pi) / 2`` for every outer level, where

    F(v) = sum_j log I_j(v) - v^2 / 2,                        v_k = v + sqrt(2) sd x_k
    I_j(v) = sum_m omega_m exp(x_m^2 + f_j(u_m, v)) / sqrt(pi h),    u_m = u(v) + sqrt(2 / h) x_m
    f_j(u, v) = l_j(u, v) - u^2 / 2,                          h = -d^2 f_j / du^2 at its mode u(v)

(Pinheiro and Chao 2006, Journal of Computational and Graphical Statistics 15: 58-81; Rabe-Hesketh, Skrondal and Pickles
2005, Journal of Econometrics 128: 301-323). The inner nodes are placed anew at every outer node; the outer ones by the
mode of v and u together, with ``sd^-2`` the Schur complement of Laplace's method. So one node is Laplace's method.

The gradient is that of these sums themselves: all nodes move with the parameters, since modes and curvatures do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from ..errors import EngineError
from .blocks import Work, first_columns, make_work
from .layout import Arrangement, Layout
from .marginal import SETTLED, Evaluation, columns_times, evaluate_parts, fixed_predictor
from .quadrature import grid
from .rows import SUMS, exp_of_negative, log1p_of_unit

FloatArray = npt.NDArray[np.float64]

#: A Newton step this short ends the search for an inner mode: its square, in units of the log-likelihood.
SHORT = 1e-12
MOST_STEPS = 100
#: Probabilities kept for the gradient, in numbers: what fits into a fast cache.
KEPT = 32768


@njit(cache=True, error_model="numpy", fastmath=SUMS)
def _find_modes(
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
    shift: FloatArray,
    mode: FloatArray,
    scratch: FloatArray,
) -> bool:
    """Modes of an inner effect at all outer nodes by Newton's method, from those given; whether all were found.

    The gradient falls in u, so that its zero stays between two bounds: steps that leave them are replaced by halving.
    """
    size = len(mode)
    slope, curvature = scratch[:size], scratch[size : 2 * size]
    low, high = scratch[2 * size : 3 * size], scratch[3 * size : 4 * size]
    lowest = highest = 0.0
    for i in range(len(y)):
        lowest += min(inner[i] * y[i], inner[i] * (y[i] - trials[i]))
        highest += max(inner[i] * y[i], inner[i] * (y[i] - trials[i]))
    for k in range(size):
        low[k], high[k] = lowest, highest
        mode[k] = min(max(mode[k], lowest), highest)
    for _ in range(MOST_STEPS):
        for k in range(size):
            slope[k] = -mode[k]
            curvature[k] = 1.0
        for i in range(len(y)):
            for k in range(size):
                x = eta[i] + outer[i] * shift[k] + inner[i] * mode[k]
                e = exp_of_negative(-abs(x))
                d = 1.0 / (1.0 + e)
                p = d if x >= 0.0 else e * d
                slope[k] += inner[i] * (y[i] - trials[i] * p)
                curvature[k] += inner[i] * inner[i] * trials[i] * (e * d * d)
        longest = 0.0
        for k in range(size):
            low[k] = mode[k] if slope[k] > 0.0 else low[k]
            high[k] = mode[k] if slope[k] < 0.0 else high[k]
            moved = mode[k] + slope[k] / curvature[k]
            moved = moved if low[k] <= moved <= high[k] else 0.5 * (low[k] + high[k])
            longest = max(longest, curvature[k] * (moved - mode[k]) ** 2)
            mode[k] = moved
        if longest <= SHORT:
            return True
    return False
