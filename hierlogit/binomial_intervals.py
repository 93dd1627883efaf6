"""Intervals for a probability from the proportion of events in a number of trials: exact ones, and Wilson's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def clopper_pearson(events: FloatArray, trials: FloatArray, prob: float) -> tuple[FloatArray, FloatArray]:
    """Ends of the exact interval for a probability (Clopper and Pearson 1934, Biometrika 26: 404-413).

    Examples
    --------
    >>> low, high = clopper_pearson(np.array([0.0, 5.0]), np.array([10.0, 10.0]), 0.95)
    >>> low.round(4), high.round(4)
    (array([0.    , 0.1871]), array([0.3085, 0.8129]))
    """
    from scipy.special import betaincinv

    tail, missed = (1 - prob) / 2, trials - events
    low = np.where(events > 0, betaincinv(np.maximum(events, 1.0), missed + 1, tail), 0.0)
    high = np.where(missed > 0, betaincinv(events + 1, np.maximum(missed, 1.0), 1 - tail), 1.0)
    return low, high


def wilson(share: FloatArray, trials: FloatArray, quantile: float) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends of Wilson's interval for a probability, in the shape of `share`.

    Parameters
    ----------
    share : ndarray
        Observed proportions of events.
    trials : ndarray
    quantile : float
        Standard normal quantile at the upper end of the interval.

    Examples
    --------
    >>> low, high = wilson(np.array([0.0, 0.5]), np.array([2.0, 100.0]), 1.959964)
    >>> low.round(3), high.round(3)
    (array([0.   , 0.404]), array([0.658, 0.596]))
    """
    z2 = quantile**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = quantile / (1 + z2 / trials) * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    # At proportions of 0 and 1 one end is exactly 0 or 1, which rounding could exceed.
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
