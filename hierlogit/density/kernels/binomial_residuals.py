"""Log-likelihood and residuals of binomial rows with few logarithms, compiled, for the joint density.

With ``e = exp(-|eta|)`` a row's log-likelihood is ``y eta - m max(eta, 0) - m log(1 + e)``. Logarithms are most of its
cost, and few are needed: the sum of logarithms is the logarithm of a product.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import kernel
from ...numba_support.vectors import window
from .binomial import MULTIPLIED, log1p_of_unit, logistic

FloatArray = npt.NDArray[np.float64]

#: All rows of a batch have one trial; up to seven, so that powers are products of squares; any number.
ONE, FEW, MANY = 0, 1, 2
MOST_OF_FEW = 7
#: For `ONE` and `FEW`, how many rows' ``(1 + e)^m`` are multiplied before the logarithm is taken.
MULTIPLIED_ROWS = (MULTIPLIED, MULTIPLIED // MOST_OF_FEW)


def kind_of(trials: FloatArray) -> int:
    """How many trials rows have: `ONE`, `FEW` or `MANY`.

    Examples
    --------
    >>> kind_of(np.ones(3)) == ONE, kind_of(np.array([2.0, 7.0])) == FEW, kind_of(np.array([2.0, 8.0])) == MANY
    (True, True, True)
    """
    if np.all(trials == 1):  # rows that are left out have no trials
        return ONE
    return FEW if trials.max() <= MOST_OF_FEW else MANY


@kernel
def add_rows(kind: int, y: FloatArray, trials: FloatArray, eta: FloatArray, residual: FloatArray) -> float:
    """Log-likelihood of some rows, without binomial coefficients.

    Parameters
    ----------
    kind : int
        How many trials rows have: `ONE`, `FEW` or `MANY`.
    y, trials : ndarray, shape (n,)
    eta : ndarray, shape (n,)
        Linear predictors; replaced by ``exp(-|eta|)``.
    residual : ndarray, shape (n,)
        Written: ``y - m p``.

    Returns
    -------
    float
    """
    total = _add_linear(y, trials, eta, residual)
    if kind == MANY:
        return total - _weighted_logarithms(trials, eta)
    step = MULTIPLIED_ROWS[kind]
    for start in range(0, len(y), step):
        count = min(step, len(y) - start)
        if kind == ONE:
            product = _product(window(eta, start, count))
        else:
            product = _product_of_powers(window(trials, start, count), window(eta, start, count))
        total -= math.log(product)
    return total


@kernel
def sums_of_rows(kind: int, y: FloatArray, trials: FloatArray, eta: FloatArray, out: FloatArray) -> None:
    """Log-likelihood of all rows together for each draw, without binomial coefficients.

    Parameters
    ----------
    kind, y, trials
        As for `add_rows`.
    eta : ndarray, shape (draws * n,)
        Linear predictors; replaced by ``exp(-|eta|)``.
    out : ndarray, shape (draws,)
        Written.
    """
    n = len(y)
    residual = np.empty(n)
    for s in range(len(out)):
        out[s] = add_rows(kind, y, trials, window(eta, s * n, n), residual)


@kernel
def _add_linear(y: FloatArray, trials: FloatArray, eta: FloatArray, residual: FloatArray) -> float:
    total = 0.0
    for i in range(len(y)):
        x = eta[i]
        e, _, p = logistic(x)
        residual[i] = y[i] - trials[i] * p
        total += y[i] * x - trials[i] * max(x, 0.0)
        eta[i] = e
    return total


@kernel
def _weighted_logarithms(trials: FloatArray, e: FloatArray) -> float:
    total = 0.0
    for i in range(len(e)):
        total += trials[i] * log1p_of_unit(e[i])
    return total


@kernel
def _product(e: FloatArray) -> float:
    product = 1.0
    for i in range(len(e)):
        product *= 1.0 + e[i]
    return product


@kernel
def power(once: float, exponent: float) -> float:
    """``once ** exponent`` for a whole number from 0 to `MOST_OF_FEW`."""
    twice = once * once
    # Binary digits of the exponent.
    fours = exponent >= 4.0
    rest = exponent - 4.0 if fours else exponent
    twos = rest >= 2.0
    rest = rest - 2.0 if twos else rest
    return (twice * twice if fours else 1.0) * (twice if twos else 1.0) * (once if rest >= 1.0 else 1.0)


@kernel
def _product_of_powers(trials: FloatArray, e: FloatArray) -> float:
    product = 1.0
    for i in range(len(e)):
        product *= power(1.0 + e[i], trials[i])
    return product
