"""Pairs of clusters whose order the draws know, counted without an array of all pairs and draws."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..numba_support.compile import kernel
from ..progress import progress

RankArray = npt.NDArray[np.int32]

#: Clusters that are compared with as many others while the draws of both are in the processor's cache.
TILE = 32


@kernel
def _ordered_pairs(ranks: RankArray, first: int, tile: int, least: int) -> int:
    """Pairs of a cluster from `first` on, in a tile, and a later one, with the same order in `least` draws."""
    count, draws = ranks.shape
    last, found = min(first + tile, count), 0
    for start in range(first, count, tile):
        for a in range(first, last):
            for b in range(max(a + 1, start), min(start + tile, count)):
                below, above = 0, 0
                for s in range(draws):
                    below += ranks[a, s] < ranks[b, s]
                    above += ranks[a, s] > ranks[b, s]
                if below >= least or above >= least:
                    found += 1
    return found


def ordered_pairs(ranks: RankArray, probability: float) -> int:
    """Number of pairs of clusters of which one ranks above the other with at least a probability.

    Parameters
    ----------
    ranks : ndarray, shape (draws, J)
    probability : float
        Above 0.5.

    Examples
    --------
    >>> ordered_pairs(np.array([[1, 2, 3], [1, 3, 2], [1, 2, 3]], dtype=np.int32), 0.9)
    2
    """
    by_cluster = np.ascontiguousarray(ranks.T)
    least = int(np.ceil(probability * len(ranks) - 1e-9))
    starts = range(0, len(by_cluster), TILE)
    return sum(_ordered_pairs(by_cluster, first, TILE, least) for first in progress(starts, "Comparing clusters"))
