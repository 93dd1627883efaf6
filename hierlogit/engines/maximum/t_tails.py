"""Draws of the fixed effects with the tails of t distributions, where few clusters tell of them.

The errors of the fixed effects come from several levels: from differences within clusters, and from differences between
the clusters of each factor. Only the part of a draw that comes from a level with few clusters is scaled, by the same
factor for all coefficients of the level. An intercept where a predictor is far from zero, for example, owes most of its
error to the slope, which rows within clusters tell of, and keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Directions shorter than this, relative to the longest, are rounding errors of others.
ROUNDING = 1e-9


def with_t_tails(steps: FloatArray, factor: FloatArray, df: FloatArray, seed: np.random.SeedSequence) -> FloatArray:
    """Standard normal steps with some of their parts scaled, so that each fixed effect has its t distribution.

    The parameters are taken in the order of their degrees of freedom, the largest first: all that have no t
    distribution, then the coefficients of the rows, of inner and of outer factors. What is new in the steps that move
    each of these sets of parameters is scaled together, and so has a multivariate t distribution.

    Parameters
    ----------
    steps : ndarray, shape (draws, r)
        Independent standard normal numbers.
    factor : ndarray, shape (m, r)
        The steps times its transpose are errors of the parameters, of which the fixed effects come first.
    df : ndarray, shape (p,)
        Degrees of freedom of the fixed effects; infinite for the normal distribution.
    seed : SeedSequence
    """
    if not np.any(np.isfinite(df)):
        return steps
    random, scaled = np.random.default_rng(seed), steps.copy()
    for value, directions in _levels(factor, df):
        if np.isfinite(value):
            scale = np.sqrt(value / random.chisquare(value, len(steps)))
            scaled += (scale - 1)[:, None] * (steps @ directions @ directions.T)
    return scaled


def combined_df(deviations: FloatArray, factor: FloatArray, df: FloatArray) -> FloatArray:
    """Degrees of freedom of functions of the parameters, whose variances are sums over the levels; shape (k,).

    By the formula of Satterthwaite (1946, Biometrics Bulletin 2: 110-114).

    Parameters
    ----------
    deviations : ndarray, shape (r, k)
        Derivatives of the functions along the columns of the factor.
    factor : ndarray, shape (m, r)
        As for `with_t_tails`.
    df : ndarray, shape (p,)
        Degrees of freedom of the fixed effects.
    """
    total, spread = np.zeros(deviations.shape[1]), np.zeros(deviations.shape[1])
    for value, directions in _levels(factor, df):
        variance = ((directions.T @ deviations) ** 2).sum(axis=0)
        total += variance
        spread += variance**2 / value
    return np.divide(total**2, spread, out=np.full_like(total, np.inf), where=spread > 0)


def _levels(factor: FloatArray, df: FloatArray) -> Iterator[tuple[float, FloatArray]]:
    """Degrees of freedom, the largest first, each with the directions of steps that are new there, shape (r, k)."""
    of_parameters = np.concatenate([df, np.full(len(factor) - len(df), np.inf)])
    known = np.zeros((factor.shape[1], 0))
    for value in sorted(set(of_parameters), reverse=True):
        new = _new_directions(factor[of_parameters == value], known)
        known = np.column_stack([known, new])
        if new.shape[1]:
            yield float(value), new


def _new_directions(rows: FloatArray, known: FloatArray) -> FloatArray:
    """Orthonormal directions of steps that move some parameters, orthogonal to those that are known; shape (r, k)."""
    lengths = np.linalg.norm(rows, axis=1)
    moved = rows[lengths > 0] / lengths[lengths > 0, None]
    _, sizes, directions = np.linalg.svd(moved - (moved @ known) @ known.T, full_matrices=False)
    new: FloatArray = directions[sizes > ROUNDING * max(1.0, float(sizes.max(initial=0.0)))].T
    return new
