"""Penalties of the hybrid BIC: which parameters the number of clusters informs, and which the number of rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..design.design import Design
from ..design.grouping import GroupBlock

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

#: Share of the sum of squares of a column that rounding may leave outside the span of others.
OUTSIDE = 1e-9


def hybrid_penalties(designs: Mapping[str, Design]) -> dict[str, float]:
    """For each of several models of the same rows, the sum of the logarithms of the numbers of units that count.

    For an sd or a correlation these are the clusters of its factor. For a fixed effect they are the clusters of a
    factor of which its column is one of the clusters (`cluster_columns`) in any of the models, of the factor with the
    fewest if there are several; for all others, the rows. Delattre, Lavielle and Poursat (2014), equation 3, look at
    each model by itself, so that a fixed effect costs less as soon as it varies between clusters: an effect that does
    not vary is then often preferred to vary.

    Parameters
    ----------
    designs : mapping of str to Design

    Returns
    -------
    dict of str to float
    """
    groups = {(one.name, one.effects): one for design in designs.values() for one in design.groups}
    penalties = {}
    for name, design in designs.items():
        units = np.full(len(design.fixed_effects), float(design.n_observations))
        for group in groups.values():
            if len(group.index) != design.n_rows:  # of rows that were counted by other predictors
                continue
            tied = cluster_columns(design, group)
            units[tied] = np.minimum(units[tied], len(group.levels))
        of_spread = [
            (len(group.effects) + len(group.correlated_pairs)) * np.log(len(group.levels)) for group in design.groups
        ]
        penalties[name] = float(np.log(units).sum() + sum(of_spread))
    return penalties


def cluster_columns(design: Design, group: GroupBlock) -> BoolArray:
    """Which columns of the fixed part are, in each cluster, linear combinations of those of the random effects.

    These are the intercept and predictors that are constant within clusters, if there is a random intercept, and a
    predictor with a random slope, with its interactions with predictors of the clusters: however many rows there are,
    their coefficients are means over the clusters.

    Parameters
    ----------
    design : Design
    group : GroupBlock

    Returns
    -------
    ndarray of bool, shape (p,)
    """
    Z, X = _scaled(group.Z), _scaled(design.X)
    J, index = len(group.levels), group.index
    total = (X**2).sum(axis=0)
    if "Intercept" in group.effects:  # centred within clusters, where predictors far from zero lose no digits
        Z, X = (columns - _sums(columns, index, J)[index] / np.bincount(index)[index, None] for columns in (Z, X))
    ZZ = np.stack([_sums(Z * Z[:, [k]], index, J) for k in range(Z.shape[1])], axis=1)
    ZX = np.stack([_sums(X * Z[:, [k]], index, J) for k in range(Z.shape[1])], axis=1)
    explained = np.einsum("jkp,jkp->p", ZX, np.linalg.pinv(ZZ, rcond=1e-12, hermitian=True) @ ZX)
    outside: FloatArray = (X**2).sum(axis=0) - explained
    return np.asarray(outside <= OUTSIDE * total)


def _scaled(columns: FloatArray) -> FloatArray:
    scaled: FloatArray = columns / np.maximum(np.abs(columns).max(axis=0, initial=0.0), 1e-300)
    return scaled


def _sums(columns: FloatArray, index: npt.NDArray[np.intp], J: int) -> FloatArray:
    """Sums of columns of shape (n, c) within clusters, shape (J, c)."""
    sums = np.empty((J, columns.shape[1]))
    for k, column in enumerate(columns.T):
        sums[:, k] = np.bincount(index, weights=column, minlength=J)
    return sums
