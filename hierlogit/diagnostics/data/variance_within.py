"""Variance of columns within the clusters of a grouping factor and between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...design.grouping import GroupBlock
from ...design.row_counts import column_means

FloatArray = npt.NDArray[np.float64]


def cluster_means(columns: FloatArray, group: GroupBlock) -> FloatArray:
    """Mean of each column, shape (n, p), over the rows of each cluster; shape (J, p)."""
    clusters = len(group.levels)
    counted = columns if group.counts is None else columns * group.counts[:, None]
    sums = [np.bincount(group.index, weights=column, minlength=clusters) for column in counted.T]
    means: FloatArray = np.array(sums).reshape(-1, clusters).T / group.rows_of_clusters[:, None]
    return means


@dataclass(frozen=True)
class Parts:
    """Variance components of columns, by analysis of variance with random clusters.

    Attributes
    ----------
    between : ndarray, shape (p,)
        Variance of the clusters' expectations; 0 if the means differ no more than expected by chance.
    within : ndarray, shape (p,)
        Variance within clusters; not a number if every cluster has one row.
    p_value : ndarray, shape (p,)
        p-value of the F test that all clusters have the same expectation.
    """

    between: FloatArray
    within: FloatArray
    p_value: FloatArray

    @classmethod
    def of(cls, columns: FloatArray, group: GroupBlock) -> Parts:
        """Variance components of columns, shape (n, p)."""
        from scipy.special import fdtrc

        sizes, means = group.rows_of_clusters, cluster_means(columns, group)
        n, clusters = int(sizes.sum()), len(sizes)
        rest = n - clusters
        if not rest:
            nothing = np.full(columns.shape[1], np.nan)
            return cls(nothing, nothing, nothing)
        spread = (sizes[:, None] * (means - column_means(columns, group.counts)) ** 2).sum(axis=0) / (clusters - 1)
        squares = (columns - means[group.index]) ** 2
        within = (squares.sum(axis=0) if group.counts is None else group.counts @ squares) / rest
        typical_size = (n - (sizes**2).sum() / n) / (clusters - 1)
        ratio = np.divide(spread, within, out=np.full_like(spread, np.inf), where=within > 0)
        between = np.maximum(spread - within, 0.0) / typical_size
        return cls(between, within, np.asarray(fdtrc(clusters - 1, rest, ratio)))

    @property
    def share(self) -> FloatArray:
        """Fraction of the variance that is between clusters, shape (p,): the intraclass correlation of a column."""
        total = self.between + self.within
        return np.divide(self.between, total, out=np.full_like(total, np.nan), where=total > 0)


def spanned(columns: FloatArray, basis: FloatArray) -> bool:
    """Whether columns are linear combinations of those of a basis, up to rounding."""
    if not basis.shape[1]:
        return not np.any(columns)
    rest = columns - basis @ np.linalg.lstsq(basis, columns, rcond=None)[0]
    return bool(np.all((rest**2).sum(axis=0) <= 1e-12 * (columns**2).sum(axis=0)))
