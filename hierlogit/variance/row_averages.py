"""Averages of smooth functions of the linear predictor over many rows, from few evaluations of the function."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..design.design import EncodedRows

FloatArray = npt.NDArray[np.float64]

#: Minus the natural logarithm of the relative error.
DIGITS = 21.0
#: Linear predictors that polynomials are evaluated for at once, so that they stay in the processor's cache.
TOGETHER = 2**13


def average_over_rows(
    function: Callable[[FloatArray], list[FloatArray]], eta: FloatArray, share: FloatArray
) -> list[FloatArray]:
    """``sum_i share_i f(eta_i)`` for each draw, for functions as smooth as the logistic one.

    The poles of these functions are at least pi from the real line, so that Chebyshev interpolation between the
    smallest and the largest linear predictor of a draw converges geometrically (Trefethen 2013, Approximation Theory
    and Approximation Practice, theorem 8.2). Some 30 evaluations are enough for any number of rows.

    Parameters
    ----------
    function : callable
        Takes linear predictors, shape (draws, k); returns one array of the same shape for each function.
    eta : ndarray, shape (draws, n)
    share : ndarray, shape (n,)

    Returns
    -------
    list of ndarray, shape (draws,)

    Examples
    --------
    >>> eta = np.linspace(-4, 3, 5000)[None]
    >>> (average,) = average_over_rows(lambda x: [1 / (1 + np.exp(-x))], eta, np.full(5000, 1 / 5000))
    >>> bool(abs(average[0] - (1 / (1 + np.exp(-eta))).mean()) < 1e-8)
    True
    """
    low, high = eta.min(axis=1, keepdims=True), eta.max(axis=1, keepdims=True)
    centre, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-300)
    count = int(np.ceil(DIGITS / np.arcsinh(np.pi / half.max()))) + 1
    if count >= eta.shape[1]:
        return [values @ share for values in function(eta)]
    angles = np.pi * (np.arange(count) + 0.5) / count
    transform = np.cos(np.outer(angles, np.arange(count))) * (2 / count)
    transform[:, 0] /= 2
    moments = _chebyshev_moments((eta - centre) / half, share, count)
    return [((values @ transform) * moments).sum(axis=1) for values in function(centre + half * np.cos(angles))]


def _chebyshev_moments(x: FloatArray, share: FloatArray, count: int) -> FloatArray:
    """``sum_i share_i T_k(x_i)`` for k below `count`, shape (draws, count).

    With ``T_(m+k) = 2 T_m T_k - T_(m-k)``, sums of products of two short lists of polynomials are enough: those of the
    degrees below the width, and of its multiples.
    """
    width = int(np.ceil(np.sqrt(count)))
    multiples = -(-count // width)
    products = np.zeros((len(x), multiples, width))
    at_once = max(1, TOGETHER // x.shape[1])
    for first in range(0, len(x), at_once):
        for start in range(0, x.shape[1], TOGETHER):
            draws, rows = slice(first, first + at_once), slice(start, start + TOGETHER)
            low = _chebyshev_polynomials(x[draws, rows], width + 1)
            high = _chebyshev_polynomials(low[:, width], multiples)
            products[draws] += (high * share[rows]) @ low[:, :width].transpose(0, 2, 1)
    moments = np.empty((len(x), multiples * width))
    for m in range(multiples):
        at = m * width
        moments[:, at] = products[:, m, 0]
        for k in range(1, width):
            moments[:, at + k] = 2 * products[:, m, k] - moments[:, at - k] if m else products[:, 0, k]
    return moments[:, :count]


def _chebyshev_polynomials(x: FloatArray, count: int) -> FloatArray:
    """``T_k(x)`` for k below `count`, shape (draws, count, n); of ``T_n(x)`` they are ``T_kn(x)``."""
    values = np.empty((len(x), count, x.shape[1]))
    values[:, 0] = 1.0
    if count > 1:
        values[:, 1] = x
    for k in range(2, count):
        np.multiply(x, values[:, k - 1], out=values[:, k])
        values[:, k] *= 2.0
        values[:, k] -= values[:, k - 2]
    return values


def distinct_rows(rows: EncodedRows, weights: FloatArray | None = None) -> tuple[EncodedRows, FloatArray]:
    """Rows with distinct predictors, and the share of all rows (or of their weights) that each stands for.

    The clusters of the rows do not matter.
    """
    columns = np.column_stack([rows.X, rows.offset, *(group.Z for group in rows.groups.values())])
    _, first, inverse = np.unique(columns, axis=0, return_index=True, return_inverse=True)
    totals = np.bincount(inverse.ravel(), weights=weights).astype(np.float64)
    return rows.at(first), totals / totals.sum()


def varying_alike(rows: EncodedRows) -> list[npt.NDArray[np.intp]]:
    """Positions of rows with the same variance over clusters, in groups with the same random-effects columns."""
    Z = np.column_stack([group.Z for group in rows.groups.values()])
    alike = np.unique(Z, axis=0, return_inverse=True)[1].ravel()
    return np.split(np.argsort(alike, kind="stable"), np.cumsum(np.bincount(alike))[:-1])
