"""Bands for ordered numbers beside normal quantiles: as a whole they hold all of them with a given probability."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: Quantiles on both sides that give a band its shape, and the least distance of them from the middle.
SHAPE, LEAST_WIDTH = 0.025, 1e-3
SIMULATIONS = 1000


def normal_places(count: int) -> FloatArray:
    """Where the lowest to the highest of so many standard normal numbers lie on average (Blom 1958).

    Examples
    --------
    >>> normal_places(3).round(2)
    array([-0.87,  0.  ,  0.87])
    """
    from scipy.special import ndtri

    return np.asarray(ndtri((np.arange(1, count + 1) - 0.375) / (count + 0.25)))


def whole_band(simulated: FloatArray, prob: float) -> tuple[FloatArray, FloatArray]:
    """Band that a given share of simulated curves, shape (curves, k), never leave; shape (k,) each.

    Its shape is that of the band of the pointwise quantiles, on either side of the mean (Myllymäki, Mrkvička,
    Grabarnik, Seijo and Hahn 2017, Journal of the Royal Statistical Society B 79: 381-404).

    Examples
    --------
    >>> curves = np.random.default_rng(1).normal(size=(2000, 40))
    >>> low, high = whole_band(curves, 0.9)
    >>> float(((curves >= low) & (curves <= high)).all(axis=1).mean())
    0.9
    """
    middle = simulated.mean(axis=0)
    low, high = np.quantile(simulated, [SHAPE, 1 - SHAPE], axis=0)
    below, above = np.maximum(middle - low, LEAST_WIDTH), np.maximum(high - middle, LEAST_WIDTH)
    away = simulated - middle
    furthest = np.maximum(away / above, -away / below).max(axis=1)
    reach = float(np.quantile(furthest, prob, method="inverted_cdf"))
    return middle - reach * below, middle + reach * above


def normal_band(count: int, ranks: IntArray, prob: float) -> tuple[FloatArray, FloatArray]:
    """Band of some of the ordered values of so many independent standard normal numbers, by simulation.

    Parameters
    ----------
    count : int
    ranks : ndarray of int, shape (k,)
        Which of them, increasing from 0.
    prob : float
    """
    from scipy.special import ndtri

    # Ordered uniform numbers are sums of exponential ones over the sum of count + 1: of gamma ones from rank to rank.
    gaps = np.diff(np.concatenate([[-1], ranks, [count]])).astype(np.float64)
    sums = np.cumsum(np.random.default_rng(0).gamma(gaps, size=(SIMULATIONS, len(gaps))), axis=1)
    return whole_band(np.asarray(ndtri(sums[:, :-1] / sums[:, -1:])), prob)
