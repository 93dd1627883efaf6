"""Order statistics of a column that lies in parts, exact and without all of its values in one place.

Each part first tells the places of some of its values among all of them. These bound each order statistic by two values
between which few others lie, and the parts then count these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Values of a part whose places are kept.
PLACES = 4000


@dataclass(frozen=True)
class Places:
    """Some of the values of a part of a column, in their order, and how many others lie below them.

    Attributes
    ----------
    values : ndarray, shape (k,)
        Different values, among them the smallest and the largest one.
    below : ndarray of int, shape (k,)
        Number of the part's values that are smaller.
    upto : ndarray of int, shape (k,)
        Number of values that are not larger.
    """

    values: FloatArray
    below: IntArray
    upto: IntArray

    @classmethod
    def of(cls, values: FloatArray) -> Places:
        """All different values if there are at most `PLACES`; otherwise as many, with about equal numbers between them.

        Examples
        --------
        >>> Places.of(np.array([3.0, 1.0, 3.0]))
        Places(values=array([1., 3.]), below=array([0, 1]), upto=array([1, 3]))
        """
        different, counts = np.unique(values, return_counts=True)
        upto = np.cumsum(counts)
        if len(different) > PLACES:
            steps = np.linspace(0, len(values) - 1, PLACES).astype(np.int64)
            chosen = np.unique(np.searchsorted(upto, steps, side="right"))
            different, counts, upto = different[chosen], counts[chosen], upto[chosen]
        return cls(different, upto - counts, upto)


def order_statistics_between(parts: Sequence[Places], ranks: IntArray) -> tuple[FloatArray, FloatArray]:
    """Values of all parts between which their order statistics lie, each of shape (k,).

    Parameters
    ----------
    parts : sequence of Places
    ranks : ndarray of int, shape (k,)
        Counted from 0.

    Examples
    --------
    >>> parts = [Places.of(np.array([3.0, 1.0, 3.0])), Places.of(np.array([2.0]))]
    >>> low, high = order_statistics_between(parts, np.array([1, 2]))
    >>> low.tolist(), high.tolist()
    ([2.0, 3.0], [2.0, 3.0])
    """
    points = np.concatenate([part.values for part in parts])
    order = np.argsort(points, kind="stable")
    points = points[order]
    # At each value, at least so many of all values are not larger; after it, up to the next one, at most so many are
    # smaller: those below the part's next value.
    at_least = np.cumsum(np.concatenate([np.diff(part.upto, prepend=0) for part in parts])[order])
    at_most = np.cumsum(np.concatenate([np.diff(np.append(part.below, part.upto[-1])) for part in parts])[order])
    last = np.searchsorted(points, points, side="right") - 1  # of equal values
    first = np.searchsorted(points, points, side="left")
    smaller = np.where(first > 0, at_most[first - 1], 0)
    high = points[np.searchsorted(at_least[last], ranks, side="right")]
    low = points[np.searchsorted(smaller, ranks, side="right") - 1]
    return low, high


@dataclass(frozen=True)
class Intervals:
    """The values of a part of a column in some intervals, which include their ends.

    Attributes
    ----------
    below : ndarray of int, shape (k,)
        Number of the part's values that are smaller than those of each interval.
    values : tuple of ndarray, length k
        Different values in each interval.
    counts : tuple of ndarray, length k
        How often each occurs.
    """

    below: IntArray
    values: tuple[FloatArray, ...]
    counts: tuple[IntArray, ...]

    @classmethod
    def of(cls, values: FloatArray, low: FloatArray, high: FloatArray) -> Intervals:
        """The values between some others, each of shape (k,)."""
        ordered = np.sort(values)
        starts, stops = np.searchsorted(ordered, low, side="left"), np.searchsorted(ordered, high, side="right")
        inside = [np.unique(ordered[start:stop], return_counts=True) for start, stop in zip(starts, stops, strict=True)]
        return cls(starts, tuple(one[0] for one in inside), tuple(one[1] for one in inside))


def order_statistics(parts: Sequence[Intervals], ranks: IntArray) -> FloatArray:
    """Order statistics of all parts, of which there is one in each interval, shape (k,).

    Examples
    --------
    >>> ends = np.array([2.0]), np.array([3.0])
    >>> parts = [Intervals.of(np.array(part), *ends) for part in ([3.0, 1.0, 3.0], [2.0])]
    >>> order_statistics(parts, np.array([1])).tolist()
    [2.0]
    """
    below = reduce(np.add, [part.below for part in parts])
    found = []
    for k, rank in enumerate(ranks.tolist()):
        values = np.concatenate([part.values[k] for part in parts])
        order = np.argsort(values, kind="stable")
        upto = below[k] + np.cumsum(np.concatenate([part.counts[k] for part in parts])[order])
        found.append(values[order][np.searchsorted(upto, rank, side="right")])
    return np.array(found)
