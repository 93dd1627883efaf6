"""Ranks of clusters by posterior draw, and their summaries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..density.linear_predictor import CHUNK_SIZE
from ..summaries.intervals import CHUNK_SIZE as SUMMARISED
from ..summaries.intervals import Interval

FloatArray = npt.NDArray[np.float64]
RankArray = npt.NDArray[np.float32]


def ranks_of(effects: FloatArray) -> RankArray:
    """Rank of each cluster in each draw, 1 for the smallest effect; equal effects share the mean of their ranks.

    Parameters
    ----------
    effects : ndarray, shape (draws, J)

    Examples
    --------
    >>> ranks_of(np.array([[0.3, -0.2, 0.1], [0.0, 0.0, 0.0]])).tolist()
    [[3.0, 1.0, 2.0], [2.0, 2.0, 2.0]]
    """
    draws, count = effects.shape
    ranks, step = np.empty(effects.shape, dtype=np.float32), max(CHUNK_SIZE // count, 1)
    for start in range(0, draws, step):
        part = effects[start : start + step]
        order = np.argsort(part, axis=1)
        of_part = ranks[start : start + step]
        np.put_along_axis(of_part, order, np.arange(1, count + 1, dtype=np.float32)[None], axis=1)
        tied = (np.diff(np.take_along_axis(part, order, axis=1), axis=1) == 0).any(axis=1)
        if tied.any():
            from scipy.stats import rankdata

            of_part[tied] = rankdata(part[tied], axis=1)
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
    best, worst : ndarray
        Probability of being among the first and among the last ranks.
    """

    expected: FloatArray
    low: FloatArray
    high: FloatArray
    best: FloatArray
    worst: FloatArray

    @classmethod
    def of(cls, ranks: RankArray, interval: Interval, among: int) -> RankSummaries:
        """The summaries of ranks, shape (draws, J), with the number of clusters that are the best or the worst."""
        draws, count = ranks.shape
        columns = [np.empty(count) for _ in range(5)]
        step = max(SUMMARISED // draws, 1)
        for start in range(0, count, step):
            part = slice(start, start + step)
            some = ranks[:, part].astype(np.float64)
            low, high = interval.ends(some)
            found = (
                some.mean(axis=0),
                np.floor(low),
                np.ceil(high),
                (some <= among).mean(axis=0),
                (some > count - among).mean(axis=0),
            )
            for column, values in zip(columns, found, strict=True):
                column[part] = values
        return cls(*columns)
