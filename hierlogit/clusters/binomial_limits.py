"""Exact binomial control limits of proportions, and over-dispersion of clusters about them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Share of the clusters at each end whose deviations are drawn in before over-dispersion is computed.
WINSORISED = 0.1


def control_limits(trials: FloatArray, target: float, prob: float) -> tuple[FloatArray, FloatArray]:
    """Exact binomial limits of a proportion of events, between which it lies with a probability, by trials.

    Proportions of so many or more events as at the upper limit, and of so few or fewer as at the lower one, have a
    probability of ``(1 - prob) / 2`` each. In between whole numbers of events and trials the binomial distribution is
    continued by the incomplete beta function, which makes the limits smooth; they are less than an event from the
    interpolated ones of Spiegelhalter (2005, Statistics in Medicine 24: 1185-1202, appendix A.1.1). There is no limit,
    so that it is 0 or 1, where even no events, or nothing but events, are more probable.

    Parameters
    ----------
    trials : ndarray
        Not necessarily whole numbers.
    target : float
        Probability of the event.
    prob : float

    Examples
    --------
    >>> low, high = control_limits(np.array([2.0, 10.0, 1000.0]), 0.3, 0.95)
    >>> low.round(3), high.round(3)
    (array([0.   , 0.   , 0.271]), array([1.   , 0.646, 0.329]))
    """
    from scipy.special import bdtrik

    tail = (1 - prob) / 2
    low = np.where((1 - target) ** trials > tail, 0.0, bdtrik(tail, trials, target))
    high = np.where(target**trials > tail, trials, bdtrik(1 - tail, trials, target) + 1)
    return low / trials, np.minimum(high, trials) / trials


def tail_probabilities(events: FloatArray, trials: FloatArray, target: FloatArray | float) -> FloatArray:
    """Binomial probability of so many or more events, or of so few or fewer, whichever is smaller.

    Examples
    --------
    >>> tail_probabilities(np.array([0.0, 2.0]), np.array([10.0, 2.0]), 0.3).round(4)
    array([0.0282, 0.09  ])
    """
    from scipy.special import betainc

    missed = trials - events
    at_most = np.where(missed > 0, betainc(np.maximum(missed, 0.5), events + 1, 1 - np.asarray(target)), 1.0)
    at_least = np.where(events > 0, betainc(np.maximum(events, 0.5), missed + 1, target), 1.0)
    smaller: FloatArray = np.minimum(at_most, at_least)
    return smaller


def overdispersion(events: FloatArray, expected: FloatArray, variance: FloatArray) -> float:
    """Mean of the squared standardised deviations of the clusters, with the outermost tenths drawn in.

    It is about 1 if the clusters differ from what is expected by chance alone, and phi of Spiegelhalter (2005,
    section 4). NaN if no cluster has a variance.

    Parameters
    ----------
    events, expected, variance : ndarray, shape (J,)
        Variance by chance.

    Examples
    --------
    >>> overdispersion(np.array([8.0, 12.0, 14.0]), np.full(3, 10.0), np.full(3, 4.0))
    2.0
    """
    known = variance > 0
    if not known.any():
        return float("nan")
    z = (events[known] - expected[known]) / np.sqrt(variance[known])
    drawn_in = int(WINSORISED * len(z))
    ordered = np.sort(z)
    z = np.clip(z, ordered[drawn_in], ordered[len(z) - 1 - drawn_in])
    return float(np.mean(z**2))
