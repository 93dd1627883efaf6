"""Simultaneous bands of curves and of normal order statistics."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: The shape of a band is that of the pointwise band between this quantile and one minus it, and at least so wide.
SHAPE, LEAST_WIDTH = 0.025, 1e-3
SIMULATIONS = 1000


def normal_scores(count: int) -> FloatArray:
    """Expected order statistics of that many standard normal numbers, by Blom's approximation (1958).

    Examples
    --------
    >>> normal_scores(3).round(2)
    array([-0.87,  0.  ,  0.87])
    """
    from scipy.special import ndtri

    return np.asarray(ndtri((np.arange(1, count + 1) - 0.375) / (count + 0.25)))


def simultaneous_band(simulated: FloatArray, prob: float) -> tuple[FloatArray, FloatArray]:
    """Ends, shape (k,), of a band that contains a given fraction of simulated curves as a whole; shape (curves, k).

    Its shape is that of the pointwise band, on either side of the mean (Myllymäki, Mrkvička, Grabarnik, Seijo and Hahn
    2017, Journal of the Royal Statistical Society B 79: 381-404).

    Examples
    --------
    >>> curves = np.random.default_rng(1).normal(size=(2000, 40))
    >>> low, high = simultaneous_band(curves, 0.9)
    >>> float(((curves >= low) & (curves <= high)).all(axis=1).mean())
    0.9
    """
    middle = simulated.mean(axis=0)
    low, high = np.quantile(simulated, [SHAPE, 1 - SHAPE], axis=0)
    below, above = np.maximum(middle - low, LEAST_WIDTH), np.maximum(high - middle, LEAST_WIDTH)
    deviation = simulated - middle
    largest = np.maximum(deviation / above, -deviation / below).max(axis=1)
    width = float(np.quantile(largest, prob, method="inverted_cdf"))
    return middle - width * below, middle + width * above


def normal_simultaneous_band(count: int, ranks: IntArray, prob: float) -> tuple[FloatArray, FloatArray]:
    """Simultaneous band of some order statistics of independent standard normal numbers, by simulation.

    Parameters
    ----------
    count : int
        Sample size.
    ranks : ndarray of int, shape (k,)
        Ranks of the order statistics, increasing from 0.
    prob : float
    """
    from scipy.special import ndtri

    # Uniform order statistics are partial sums of count + 1 exponential variables over their total; sums from one rank
    # to the next are gamma variables.
    gaps = np.diff(np.concatenate([[-1], ranks, [count]])).astype(np.float64)
    sums = np.cumsum(np.random.default_rng(0).gamma(gaps, size=(SIMULATIONS, len(gaps))), axis=1)
    return simultaneous_band(np.asarray(ndtri(sums[:, :-1] / sums[:, -1:])), prob)
