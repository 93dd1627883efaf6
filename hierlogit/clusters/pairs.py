"""All pairs of clusters: how many have a known order, and intervals of ranks that hold for all clusters at once.

No array of pairs and draws is made, and of the pairs themselves only those of a few clusters at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..numba_support.compile import kernel
from ..progress import progress
from ..summaries.multiplicity import LargestDeviation

FloatArray = npt.NDArray[np.float64]
SingleArray = npt.NDArray[np.float32]

#: Clusters that are compared with as many others while the draws of both are in the processor's cache.
TILE = 32
#: Variances of differences below this fraction of those of the effects are rounding errors.
ROUNDING = 1e-6


@kernel
def _ordered_pairs(ranks: SingleArray, first: int, tile: int, least: int) -> int:
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


@kernel
def _raise_largest(around: SingleArray, scale: SingleArray, first: int, tile: int, largest: SingleArray) -> None:
    """Raise the largest scaled difference of each draw to those of the clusters of a tile and later ones."""
    count, draws = around.shape
    for start in range(first, count, tile):
        for a in range(first, min(first + tile, count)):
            for b in range(max(a + 1, start), min(start + tile, count)):
                weight = scale[a - first, b]
                for s in range(draws):
                    largest[s] = max(largest[s], abs(around[a, s] - around[b, s]) * weight)


def ordered_pairs(ranks: SingleArray, probability: float) -> int:
    """Number of pairs of clusters of which one ranks above the other with at least a probability.

    Parameters
    ----------
    ranks : ndarray, shape (draws, J)
    probability : float
        Above 0.5.

    Examples
    --------
    >>> ordered_pairs(np.array([[1, 2, 3], [1, 3, 2], [1, 2, 3]], dtype=np.float32), 0.9)
    2
    """
    by_cluster = np.ascontiguousarray(ranks.T)
    least = int(np.ceil(probability * len(ranks) - 1e-9))
    starts = range(0, len(by_cluster), TILE)
    return sum(_ordered_pairs(by_cluster, first, TILE, least) for first in progress(starts, "Comparing clusters"))


def simultaneous_ranks(effects: FloatArray, prob: float) -> tuple[FloatArray, FloatArray]:
    """Ends of intervals that contain the ranks of all clusters at once with a probability, shape (J,) each.

    Intervals of the differences of all pairs, of equal width in posterior standard deviations, contain all differences
    at once with this probability. A cluster then ranks above as many others as lie surely below it, and so on (Mogstad,
    Romano, Shaikh and Wilhelm 2024, Review of Economic Studies 91: 476-518, section 3, with posterior draws in place of
    the bootstrap, and in a single step).

    Parameters
    ----------
    effects : ndarray, shape (draws, J)
        Rank 1 has the smallest.
    prob : float

    Examples
    --------
    >>> effects = np.array([0.0, 6.0, 6.2]) + np.random.default_rng(1).normal(size=(500, 3))
    >>> [ends.tolist() for ends in simultaneous_ranks(effects, 0.9)]
    [[1.0, 2.0, 2.0], [1.0, 3.0, 3.0]]
    """
    centre = effects.mean(axis=0)
    around = np.ascontiguousarray((effects - centre).T, dtype=np.float32)
    largest = np.zeros(len(effects), dtype=np.float32)
    for first, sds in progress(_sds_of_differences(around), "Comparing clusters", _tiles(around)):
        scale = np.divide(1, sds, out=np.zeros_like(sds), where=sds > 0)
        _raise_largest(around, scale, first, TILE, largest)
    critical = LargestDeviation(np.sort(largest.astype(np.float64))).quantile(prob)
    low, high = np.ones(len(centre)), np.full(len(centre), float(len(centre)))
    for first, sds in progress(_sds_of_differences(around), "Comparing clusters", _tiles(around)):
        part = slice(first, first + len(sds))
        gaps, reach = centre[part, None] - centre, critical * sds
        low[part] += (gaps > reach).sum(axis=1)
        high[part] -= (gaps < -reach).sum(axis=1)
    return low, high


def _tiles(around: SingleArray) -> int:
    return -(-len(around) // TILE)


def _sds_of_differences(around: SingleArray) -> Iterator[tuple[int, SingleArray]]:
    """First cluster of each tile, with the sds of differences between its clusters and all others, shape (tile, J)."""
    degrees = max(around.shape[1] - 1, 1)
    variances = np.einsum("js,js->j", around, around) / degrees
    for first in range(0, len(around), TILE):
        part = slice(first, first + TILE)
        sums = variances[part, None] + variances
        of_pairs = sums - 2 * (around[part] @ around.T) / degrees
        of_pairs[of_pairs < ROUNDING * sums] = 0.0
        yield first, np.sqrt(of_pairs)
