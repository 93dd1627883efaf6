"""The logistic function and the binomial log-likelihood with its first three derivatives, compiled.

`logistic` is the one place where compiled code evaluates the logistic function. The exponential and the logarithm below
it are polynomials that the compiler turns into vector instructions, which it cannot do with the calls of a mathematical
library; they account for most of the speed.
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
#: ln 2 as a sum of two numbers: the first has so few digits that its multiples by whole numbers are exact.
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
#: Adding this number rounds to a whole number, which then stands in the lowest bits (1.5 * 2^52).
ROUNDER = 6755399441055744.0
#: The exponential is evaluated down to here: exp(-708) is the smallest power of e that is a normal number.
LOWEST = -708.0
LN2 = 0.6931471805599453


@intrinsic  # type: ignore[untyped-decorator]
def bits_of(_typing_context: Any, _value: Any) -> Any:
    """The 64 bits of a float as a whole number."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return numba.int64(numba.float64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _float(_typing_context: Any, _value: Any) -> Any:
    """The float with these 64 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return numba.float64(numba.int64), generate


# Not a `kernel`: if sums could be reordered, adding and subtracting the rounder would cancel.
@fused_kernel
def exp_of_negative(x: float) -> float:
    """``exp(x)`` for x <= 0, to 1.5 units in the last place; 3.3e-308 below x = -708.

    With ``x = k ln 2 + r`` for a whole number k, ``exp(x) = 2^k exp(r)``: k goes into the exponent's bits.
    """
    x = max(x, LOWEST)
    shifted = x * LOG2_E + ROUNDER
    whole = shifted - ROUNDER
    r = (x - whole * LN2_HIGH) - whole * LN2_LOW
    # Taylor series to r^13: |r| <= ln(2)/2, so the next term is below 5e-18.
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
    power: float = _float((bits_of(shifted) + 1023) << 52)
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


#: How many numbers below 2 are multiplied before the logarithm is taken: their product stays below 2^1024.
MULTIPLIED = 896
_FRACTION, _ONE, _NOT_FINITE = (1 << 52) - 1, 1023 << 52, 2047


@fused_kernel
def logarithm(x: float) -> float:
    """Logarithm of a finite number from 1 on, to a few units in the last place."""
    bits = bits_of(x)
    exponent = (bits >> 52) - 1023
    value: float = exponent * LN2 + log1p_of_unit(_float((bits & _FRACTION) | _ONE) - 1.0)
    return value


@kernel
def sum_of_logarithms(values: np.ndarray) -> float:
    """Sum of the logarithms of positive numbers that are not subnormal; NaN if one is infinite or NaN.

    Each number is a power of 2 times a number below 2: the exponents are added and the other factors multiplied, with
    one logarithm for many of them.
    """
    total, exponents, largest = 0.0, 0, 0
    for start in range(0, len(values), MULTIPLIED):
        some, product = window(values, start, min(MULTIPLIED, len(values) - start)), 1.0
        for i in range(len(some)):
            bits = bits_of(some[i])
            exponent = (bits >> 52) & _NOT_FINITE  # without the sign bit, which NaN may have
            largest = max(largest, exponent)
            exponents += exponent - 1023
            product *= _float((bits & _FRACTION) | _ONE)
        total += math.log(product)
    if largest >= _NOT_FINITE:
        return math.nan
    return total + exponents * LN2


@kernel
def log_sum(logs: np.ndarray) -> float:
    """Logarithm of the sum of the exponentials."""
    highest, total = logs.max(), 0.0
    for k in range(len(logs)):
        total += exp_of_negative(logs[k] - highest)
    value: float = highest + np.log(total)
    return value


@kernel
def logistic(x: float) -> tuple[float, float, float]:
    """``e = exp(-|x|)``, ``d = 1 / (1 + e)`` and the probability ``p = expit(x)``.

    p is d for x >= 0 and ``e d`` below. From these numbers everything about a row follows without loss of digits in
    either tail: the variance, ``1 - 2 p`` and the log-likelihood.
    """
    e = exp_of_negative(-abs(x))
    d = 1.0 / (1.0 + e)
    return e, d, (d if x >= 0.0 else e * d)


@kernel
def expit(x: float) -> float:
    """``1 / (1 + exp(-x))``."""
    return logistic(x)[2]


@kernel
def bernoulli_variance(e: float, d: float) -> float:
    """``p (1 - p)``, the derivative of `expit`, from what `logistic` returns."""
    return e * d * d


@kernel
def one_minus_two_p(x: float, e: float, d: float) -> float:
    """``1 - 2 p``, the relative derivative of ``p (1 - p)`` in x, from what `logistic` returns."""
    return (e - 1.0) * d if x >= 0.0 else (1.0 - e) * d


@kernel
def row_log_likelihood(y: float, trials: float, x: float, e: float) -> float:
    """``y log p + (m - y) log(1 - p)`` of a row with linear predictor x and ``e = exp(-|x|)``."""
    # -log p = max(-x, 0) + log1p(e) and -log(1 - p) = max(x, 0) + log1p(e): no digits cancel.
    return -(trials * log1p_of_unit(e) + y * max(-x, 0.0) + (trials - y) * max(x, 0.0))


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
        e, d, p = logistic(x)
        residual[i] = y[i] - trials[i] * p
        weight[i] = trials[i] * bernoulli_variance(e, d)
        one_minus_2p[i] = one_minus_two_p(x, e, d)
        log_likelihood[i] = row_log_likelihood(y[i], trials[i], x, e)
