"""The levels that errors of estimates come from, rows and clusters, and the degrees of freedom that follow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Directions shorter than this, relative to the longest, are rounding errors of others.
ROUNDING = 1e-9


def combined_df(deviations: FloatArray, factor: FloatArray, df: FloatArray) -> FloatArray:
    """Degrees of freedom of functions of the parameters, whose variances are sums over the levels; shape (k,).

    By the formula of Satterthwaite (1946, Biometrics Bulletin 2: 110-114).

    Parameters
    ----------
    deviations : ndarray, shape (r, k)
        Derivatives of the functions along the columns of the factor.
    factor : ndarray, shape (m, r)
        The columns times their transpose are the covariances of the parameters, fixed effects first.
    df : ndarray, shape (p,)
        Degrees of freedom of the fixed effects.
    """
    total, spread = np.zeros(deviations.shape[1]), np.zeros(deviations.shape[1])
    for value, directions in error_levels(factor, df):
        variance = ((directions.T @ deviations) ** 2).sum(axis=0)
        total += variance
        spread += variance**2 / value
    return np.divide(total**2, spread, out=np.full_like(total, np.inf), where=spread > 0)


def error_levels(factor: FloatArray, df: FloatArray) -> Iterator[tuple[float, FloatArray]]:
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
