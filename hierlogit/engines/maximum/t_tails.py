"""Draws of the fixed effects with the tails of t distributions, where few clusters tell of them.

The errors of the fixed effects come from several levels: from differences within clusters, and from differences between
the clusters of each factor. Only the part of a draw that comes from a level with few clusters is scaled, by the same
factor for all coefficients of the level. An intercept where a predictor is far from zero, for example, owes most of its
error to the slope, which rows within clusters tell of, and keeps it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...error_levels import error_levels

FloatArray = npt.NDArray[np.float64]


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
    for value, directions in error_levels(factor, df):
        if np.isfinite(value):
            scale = np.sqrt(value / random.chisquare(value, len(steps)))
            scaled += (scale - 1)[:, None] * (steps @ directions @ directions.T)
    return scaled
