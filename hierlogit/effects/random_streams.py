"""Random numbers by seed, posterior draw and cluster or row, whichever of them are computed at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..binomial import simulated_successes

FloatArray = npt.NDArray[np.float64]

#: Rows whose outcomes come from one stream in each draw; blocks of rows begin at multiples of it.
TILE = 256
#: Increment and multipliers of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA: 453-472, with Stafford's variant 13).
INCREMENT = np.uint64(0x9E3779B97F4A7C15)
FIRST_MULTIPLIER, SECOND_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def standard_normals(
    seed: int, stream: int, first_draw: int, draws: int, clusters: npt.NDArray[np.intp], shape: tuple[int, int]
) -> FloatArray:
    """Standard normal numbers of some clusters, the same whichever clusters and draws are asked for together.

    The number of a draw, cluster and effect is the one at that position in the sequence of a SplitMix64 generator,
    which can be computed without those before it, transformed by the normal quantile function.

    Parameters
    ----------
    seed, stream : int
        Different streams of a seed are independent.
    first_draw, draws : int
        The first of the posterior draws, and their number.
    clusters : ndarray of int, shape (m,)
        Numbers of the clusters, from 0.
    shape : tuple of int
        Number of all clusters, and of the effects of each.

    Returns
    -------
    ndarray, shape (draws, m, effects)

    Examples
    --------
    >>> whole = standard_normals(1, 0, 0, 3, np.arange(5), (5, 2))
    >>> bool(np.all(standard_normals(1, 0, 1, 2, np.array([4]), (5, 2)) == whole[1:, [4]]))
    True
    """
    from scipy.special import ndtri

    count, effects = shape
    start = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0]
    rows: npt.NDArray[np.uint64] = np.arange(first_draw, first_draw + draws, dtype=np.uint64)
    rows *= np.uint64(count * effects)
    cells = (clusters[:, None] * effects + np.arange(effects)).astype(np.uint64)
    bits = np.empty((draws, *cells.shape), dtype=np.uint64)
    np.add(rows[:, None, None], cells + np.uint64(1), out=bits)
    bits *= INCREMENT
    bits += start
    bits ^= bits >> np.uint64(30)
    bits *= FIRST_MULTIPLIER
    bits ^= bits >> np.uint64(27)
    bits *= SECOND_MULTIPLIER
    bits ^= bits >> np.uint64(31)
    bits >>= np.uint64(11)
    uniform = bits.astype(np.float64)
    uniform += 0.5
    uniform *= 2.0**-53
    normal: FloatArray = ndtri(uniform, out=uniform)
    return normal


def simulated_outcomes(
    seed: int,
    stream: int,
    first_draw: int,
    first_row: int,
    probability: FloatArray,
    trials: FloatArray,
    phi: FloatArray | None = None,
) -> FloatArray:
    """Successes of rows, the same whichever rows and draws are simulated together.

    Parameters
    ----------
    seed, stream : int
        Different streams of a seed are independent.
    first_draw : int
        Number of the first posterior draw.
    first_row : int
        Number of the first row, a multiple of `TILE`.
    probability : ndarray, shape (draws, n)
    trials : ndarray, shape (n,)
    phi : ndarray, shape (draws,), optional
        Precision of beta-binomial outcomes.

    Returns
    -------
    ndarray, shape (draws, n)

    Examples
    --------
    >>> p, ones = np.full((2, 600), 0.5), np.ones(600)
    >>> whole = simulated_outcomes(1, 0, 0, 0, p, ones)
    >>> bool(np.all(simulated_outcomes(1, 0, 1, 512, p[1:, 512:], ones[512:]) == whole[1:, 512:]))
    True
    """
    # The first stream is that of the seed itself, the others are its children.
    sequence = np.random.SeedSequence(seed, spawn_key=(stream,) if stream else ())
    generator = np.random.Philox(key=sequence.generate_state(2, np.uint64))
    random, state = np.random.Generator(generator), generator.state
    successes = np.empty_like(probability)
    for start in range(0, probability.shape[1], TILE):
        tile = slice(start, start + TILE)
        for draw in range(len(probability)):
            # A counter of its own, as if a new generator were made, but quicker.
            position = [0, first_draw + draw, (first_row + start) // TILE, 0]
            state["state"]["counter"] = np.array(position, dtype=np.uint64)
            generator.state = state
            of_draw = None if phi is None else phi[draw]
            successes[draw, tile] = simulated_successes(probability[draw, tile], trials[tile], random, of_draw)
    return successes
