"""Ranks of clusters by posterior draw, and their summaries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..density.linear_predictor import CHUNK_SIZE
from ..summaries.intervals import CHUNK_SIZE as SUMMARISED
from ..summaries.intervals import Interval
from ..summaries.multiplicity import LargestDeviation

FloatArray = npt.NDArray[np.float64]
RankArray = npt.NDArray[np.int32]

#: Ends this close to a whole rank are that rank.
ROUNDING = 1e-9


def ranks_of(effects: FloatArray) -> RankArray:
    """Rank of each cluster in each draw, 1 for the smallest effect; equal effects are ranked at random.

    Effects are equal where the sd between clusters is zero. Each of them then has every rank in some of the draws, as
    it should be where nothing is known about the order. The order is the same each time.

    Parameters
    ----------
    effects : ndarray, shape (draws, J)

    Examples
    --------
    >>> ranks_of(np.array([[0.3, -0.2, 0.1]])).tolist()
    [[3, 1, 2]]
    """
    draws, count = effects.shape
    ranks, step = np.empty(effects.shape, dtype=np.int32), max(CHUNK_SIZE // count, 1)
    random = np.random.default_rng(0)
    for start in range(0, draws, step):
        part = effects[start : start + step]
        order = np.argsort(part, axis=1)
        tied = (np.diff(np.take_along_axis(part, order, axis=1), axis=1) == 0).any(axis=1)
        if tied.any():
            order[tied] = np.lexsort((random.random(part[tied].shape), part[tied]), axis=1)
        of_part = ranks[start : start + step]
        np.put_along_axis(of_part, order, np.arange(1, count + 1, dtype=np.int32)[None], axis=1)
    return ranks


@dataclass(frozen=True)
class RankSummaries:
    """Summaries of the ranks of each cluster, all of shape (J,).

    Attributes
    ----------
    expected : ndarray
        Mean over the draws.
    low, high : ndarray
        Ends of the interval of the cluster's rank, rounded outwards to whole ranks.
    first, last : ndarray
        Ends of intervals that contain the ranks of all clusters at once.
    best, worst : ndarray
        Probability of being among the first and among the last ranks.
    """

    expected: FloatArray
    low: FloatArray
    high: FloatArray
    first: FloatArray
    last: FloatArray
    best: FloatArray
    worst: FloatArray

    @classmethod
    def of(cls, ranks: RankArray, interval: Interval, among: int) -> RankSummaries:
        """The summaries of ranks, shape (draws, J).

        The simultaneous intervals reach equally far from the expected ranks, measured by the root mean square of the
        deviations on either side, so that the share of the draws with all ranks inside is that of the interval.

        Parameters
        ----------
        ranks : ndarray of int, shape (draws, J)
        interval : Interval
        among : int
            Number of clusters that are the best, and the worst.

        Examples
        --------
        >>> effects = np.array([0.0, 6.0, 6.2]) + np.random.default_rng(1).normal(size=(500, 3))
        >>> found = RankSummaries.of(ranks_of(effects), Interval(0.9, "eti"), 1)
        >>> found.expected.round(1).tolist(), found.first.tolist(), found.last.tolist()
        ([1.0, 2.5, 2.5], [1.0, 2.0, 2.0], [1.0, 3.0, 3.0])
        """
        draws, count = ranks.shape
        expected, low, high, best, worst, below, above = (np.empty(count) for _ in range(7))
        largest, step = np.zeros(draws), max(SUMMARISED // draws, 1)
        for start in range(0, count, step):
            part = slice(start, start + step)
            some = ranks[:, part].astype(np.float64)
            expected[part] = some.mean(axis=0)
            low[part], high[part] = interval.ends(some)
            best[part], worst[part] = (some <= among).mean(axis=0), (some > count - among).mean(axis=0)
            some -= expected[part]
            below[part], above[part] = (np.sqrt((np.maximum(side, 0) ** 2).mean(axis=0)) for side in (-some, some))
            scale = np.where(some > 0, above[part], below[part])
            np.divide(np.abs(some, out=some), scale, out=some, where=scale > 0)
            np.maximum(largest, some.max(axis=1), out=largest)
        reach = LargestDeviation(np.sort(largest)).quantile(interval.prob)
        first = np.ceil(expected - reach * below - ROUNDING)
        last = np.floor(expected + reach * above + ROUNDING)
        return cls(expected, np.floor(low), np.ceil(high), np.maximum(first, 1), np.minimum(last, count), best, worst)
