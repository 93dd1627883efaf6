"""Tail probabilities of a statistic by its values in simulated data sets."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Tail = Literal["upper", "both"]

#: With this many replicates beyond the observed value the p-value is their fraction; with fewer, the tail of a fitted
#: distribution.
COUNTED = 10
#: A distribution less skewed than this counts as normal.
LEAST_SKEWNESS = 1e-3


def leave_one_out_tail_probabilities(simulated: FloatArray, tail: Tail) -> FloatArray:
    """`tail_probability` of each simulated value, compared with the other simulated values."""
    return np.array([tail_probability(simulated[k], np.delete(simulated, k), tail) for k in range(len(simulated))])


def tail_probability(value: float, simulated: FloatArray, tail: Tail) -> float:
    """Probability of a simulated value at least as extreme, on one side or on both.

    It is the fraction of simulated values beyond, if there are at least `COUNTED` of them; otherwise the tail of a
    Pearson type III distribution with their mean, sd and skewness, which is more informative than "less than one in the
    number of replicates" (Winkler, Ridgway, Douaud, Nichols and Smith 2016, NeuroImage 141: 502-516).

    Examples
    --------
    >>> simulated = np.random.default_rng(1).normal(size=400)
    >>> [tail_probability(value, simulated, "upper") < 0.01 for value in (0.0, 5.0)]
    [False, True]
    """
    upper = _beyond(value, simulated)
    return upper if tail == "upper" else min(1.0, 2 * min(upper, _beyond(-value, -simulated)))


def _beyond(value: float, simulated: FloatArray) -> float:
    larger = int((simulated >= value).sum())
    fraction = (1 + larger) / (1 + len(simulated))
    if larger >= COUNTED:
        return fraction
    centred = simulated - simulated.mean()
    sd = float(centred.std(ddof=1))
    if sd == 0:
        return fraction
    # With negative skewness the tail would have an end, beyond which nothing is possible: then the normal tail serves.
    skewness = max(0.0, float((centred**3).mean()) / sd**3)
    return pearson_tail((value - float(simulated.mean())) / sd, skewness)


def pearson_tail(value: float, skewness: float) -> float:
    """Probability above a value in a Pearson type III distribution with mean 0, sd 1 and a skewness of 0 or more.

    The variable is ``(g - a) / sqrt(a)``, with g gamma distributed with shape ``a = 4 / skewness^2``.

    Examples
    --------
    >>> round(pearson_tail(2.0, 2.0), 4)  # an exponential distribution's P(g > 3)
    0.0498
    """
    from scipy.special import gammaincc, ndtr

    if skewness < LEAST_SKEWNESS:
        return float(ndtr(-value))
    shape = 4 / skewness**2
    return float(gammaincc(shape, max(shape + value * np.sqrt(shape), 0.0)))
