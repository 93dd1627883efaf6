"""Are ranks uniform? Simultaneous bands for their empirical distribution, with exact probabilities.

Of n ranks from 0 to L, the number below i is binomial with probability i / (L + 1) if ranks are uniform. The bands of
Säilynoja, Bürkner and Vehtari (2022, Statistics and Computing 32: 32) hold these numbers for all i at once: at every i
the binomial's quantiles for one and the same tail probability, so small that a given share of uniform samples stays
inside everywhere. ArviZ finds it by simulation; here it is exact, since bands for many quantities together need
probabilities that are too small to simulate. Ranks are whole numbers, and their distribution is looked at between two
of them only, so nothing has to be randomised.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.linalg import toeplitz
from scipy.stats import binom, poisson

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def numbers_below(ranks: IntArray, L: int) -> IntArray:
    """How many ranks are below i, for i from 1 to L."""
    return np.cumsum(np.bincount(ranks, minlength=L + 1))[:L]


@lru_cache(maxsize=8)
def tail_probabilities(n: int, L: int) -> FloatArray:
    """The smaller binomial tail at each number of ranks below i, itself included; shape (L, n + 1)."""
    share, number = np.arange(1, L + 1)[:, None] / (L + 1), np.arange(n + 1)
    return np.minimum(binom.cdf(number, n, share), binom.sf(number - 1, n, share))


def smallest_tail(ranks: IntArray, L: int) -> float:
    """The tail probability where the empirical distribution of ranks is farthest out."""
    return float(tail_probabilities(len(ranks), L)[np.arange(L), numbers_below(ranks, L)].min())


def chance_of_tail(tail: float, n: int, L: int) -> float:
    """Probability that the smallest tail of n uniform ranks is no larger than `tail`.

    The number of ranks at each of the L + 1 values is multinomial, which is independent Poisson numbers given their
    sum. So sums are followed from value to value, and those that leave the band are dropped.
    """
    inside = tail_probabilities(n, L) > tail
    step = poisson.pmf(np.arange(n + 1), n / (L + 1))
    transition = toeplitz(step, np.zeros(n + 1))
    reached = np.eye(1, n + 1)[0]
    for allowed in inside:
        reached = (transition @ reached) * allowed
    return float(np.clip(1 - transition[n] @ reached / poisson.pmf(n, n), 0, 1))


def p_value(ranks: IntArray, L: int) -> float:
    """Probability that uniform ranks leave their band as far, somewhere, as these do."""
    return chance_of_tail(smallest_tail(ranks, L), len(ranks), L)


def band(n: int, L: int, prob: float) -> tuple[IntArray, IntArray]:
    """Fewest and most ranks below i, for i from 1 to L, between which uniform ranks stay with probability `prob`."""
    low, high = 0.0, 1.0  # tails whose bands hold too much, and too little
    for _ in range(40):
        tail = np.sqrt(max(low, 1e-18) * high)
        low, high = (tail, high) if chance_of_tail(tail, n, L) <= 1 - prob else (low, tail)
    inside = tail_probabilities(n, L) > low
    return inside.argmax(axis=1), n - inside[:, ::-1].argmax(axis=1)
