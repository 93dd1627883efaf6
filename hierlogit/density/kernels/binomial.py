"""The binomial log-likelihood of rows and its first three derivatives in the linear predictor, compiled.

An exponential and a logarithm that the compiler can turn into vector instructions are most of the speed here: the
mathematical library's own are called row by row.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from ...numba_support.compile import fused_kernel, kernel
from ...numba_support.vectors import window

LOG2_E = 1.4426950408889634
#: ln 2 in two parts: the first has so few digits that whole multiples of it are exact.
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
#: Adding this number rounds to a whole one, which then stands in the lowest bits.
ROUNDER = 6755399441055744.0
#: exp(-708) is the least power of e that is a normal number.
LOWEST = -708.0
LN2 = 0.6931471805599453


@intrinsic  # type: ignore[untyped-decorator]
def _bits(_typing_context: Any, _value: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return numba.int64(numba.float64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _number(_typing_context: Any, _value: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return numba.float64(numba.int64), generate


# Without most liberties of a kernel: they would cancel the rounder against itself.
@fused_kernel
def exp_of_negative(x: float) -> float:
    """``exp(x)`` for x <= 0, to 1.5 units in the last place; 3.3e-308 below x = -708."""
    x = max(x, LOWEST)
    shifted = x * LOG2_E + ROUNDER
    whole = shifted - ROUNDER
    r = (x - whole * LN2_HIGH) - whole * LN2_LOW
    # Taylor's series to r^13: |r| <= ln(2)/2, so the next term is below 5e-18.
    s = 1.0 / 6227020800.0
    s = s * r + 1.0 / 479001600.0
    s = s * r + 1.0 / 39916800.0
    s = s * r + 1.0 / 3628800.0
    s = s * r + 1.0 / 362880.0
    s = s * r + 1.0 / 40320.0
    s = s * r + 1.0 / 5040.0
    s = s * r + 1.0 / 720.0
    s = s * r + 1.0 / 120.0
    s = s * r + 1.0 / 24.0
    s = s * r + 1.0 / 6.0
    s = s * r + 0.5
    s = s * r + 1.0
    s = s * r + 1.0
    power: float = _number((_bits(shifted) + 1023) << 52)
    return s * power


@fused_kernel
def log1p_of_unit(e: float) -> float:
    """``log(1 + e)`` for 0 <= e <= 1, to a few units in the last place."""
    # log(1 + e) = 2 atanh(e / (2 + e)); above sqrt(2) - 1, half of 1 + e is taken, so that |s| < 0.1716.
    large = e > 0.41421356237309503
    over, under = (e - 1.0, 3.0 + e) if large else (e, 2.0 + e)
    s = over / under
    z = s * s
    # 2 atanh(s) / s - 2 by its series to z^10: the next term is below 1e-18.
    t = 2.0 / 21.0
    t = t * z + 2.0 / 19.0
    t = t * z + 2.0 / 17.0
    t = t * z + 2.0 / 15.0
    t = t * z + 2.0 / 13.0
    t = t * z + 2.0 / 11.0
    t = t * z + 2.0 / 9.0
    t = t * z + 2.0 / 7.0
    t = t * z + 2.0 / 5.0
    t = t * z + 2.0 / 3.0
    value = 2.0 * s + s * (z * t)
    return value + LN2 if large else value


#: Numbers below 2 that are multiplied before a logarithm is taken: the largest number is 2^1024.
MULTIPLIED = 896
_FRACTION, _ONE, _NOT_FINITE = (1 << 52) - 1, 1023 << 52, 2047


@kernel
def sum_of_logarithms(values: np.ndarray) -> float:
    """Sum of the logarithms of numbers of at least 1; NaN if one is infinite or not a number.

    Each is a power of 2 times a number below 2: the former are counted, the latter multiplied.
    """
    total, powers, largest = 0.0, 0, 0
    for start in range(0, len(values), MULTIPLIED):
        own, product = window(values, start, min(MULTIPLIED, len(values) - start)), 1.0
        for i in range(len(own)):
            bits = _bits(own[i])
            power = (bits >> 52) & _NOT_FINITE  # without the sign, which NaN may have
            largest = max(largest, power)
            powers += power - 1023
            product *= _number((bits & _FRACTION) | _ONE)
        total += math.log(product)
    if largest >= _NOT_FINITE:
        return math.nan
    return total + powers * LN2


@kernel
def linearise(
    y: np.ndarray,
    trials: np.ndarray,
    eta: np.ndarray,
    residual: np.ndarray,
    weight: np.ndarray,
    one_minus_2p: np.ndarray,
    log_likelihood: np.ndarray,
) -> None:
    """Log-likelihood of some rows, without binomial coefficients, and its derivatives in the linear predictor.

    Writes the log-likelihood, its first derivative ``residual = y - m p``, minus its second, ``weight = m p (1 - p)``,
    and ``1 - 2 p``; minus its third derivative is ``weight * one_minus_2p``.
    """
    for i in range(len(eta)):
        x = eta[i]
        e = exp_of_negative(-abs(x))
        d = 1.0 / (1.0 + e)
        above = x >= 0.0
        p = d if above else e * d
        residual[i] = y[i] - trials[i] * p
        weight[i] = trials[i] * (e * d * d)
        one_minus_2p[i] = (e - 1.0) * d if above else (1.0 - e) * d
        # y log p + (m - y) log(1 - p), with -log p = max(-x, 0) + log1p(e): no digits cancel.
        fall = trials[i] * log1p_of_unit(e) + y[i] * max(-x, 0.0) + (trials[i] - y[i]) * max(x, 0.0)
        log_likelihood[i] = -fall
