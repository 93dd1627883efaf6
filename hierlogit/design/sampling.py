"""Sampling weights scaled for a pseudo-likelihood, and weights by which averages over rows describe the population."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError
from ..validation import number_of, quoted_list, unknown_names
from .grouping import GroupBlock
from .weights import SamplingWeights, Scaling, weights_in

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Weights of one cluster that differ by less than this fraction are the same.
SAME = 1e-9


@dataclass(frozen=True)
class ScaledWeights:
    """Sampling weights of a design, scaled as Rabe-Hesketh and Skrondal (2006), section 3.

    Attributes
    ----------
    rows : ndarray, shape (n,)
        Weights of rows, scaled within the clusters of the innermost factor.
    clusters : mapping of str to ndarray, shape (J,)
        Weights of clusters by grouping factor, scaled within the clusters of the next one; those of the top level are
        divided by their mean.
    top : str or None
        The grouping factor in which all others are nested; None without random effects.
    population : ndarray, shape (n,)
        How much of the population each row stands for: the products of the weights as they were given.
    """

    rows: FloatArray
    clusters: Mapping[str, FloatArray]
    top: str | None
    population: FloatArray

    def of_contributions(self, groups: Sequence[GroupBlock]) -> FloatArray:
        """The weight of each row times those of all its clusters, all of them scaled, shape (n,)."""
        product = self.rows.copy()
        for group in groups:
            product *= self.clusters[group.name][group.index]
        return product

    @property
    def inner(self) -> tuple[str, ...]:
        """Grouping factors below the top level whose clusters have different weights."""
        differ = (name for name, weights in self.clusters.items() if np.ptp(weights) > SAME * weights.max())
        return tuple(name for name in differ if name != self.top)


def scaled_weights(
    weights: SamplingWeights, frame: pd.DataFrame, groups: Sequence[GroupBlock], trials: FloatArray
) -> ScaledWeights:
    """The weights of the rows and clusters of a design.

    Parameters
    ----------
    weights : SamplingWeights
    frame : pandas.DataFrame
        The rows, with the columns of the weights, none of which is zero or negative.
    groups : sequence of GroupBlock
        Grouping factors of the model.
    trials : ndarray, shape (n,)
        A row with several trials counts as that many rows of the same weight.

    Raises
    ------
    DesignError
        If the factors are crossed, a factor is not one of the model, clusters have several weights, or there is only
        one at the top.
    """
    chain = _from_inner_to_outer(groups)
    names = [group.name for group in chain]
    unknown = [name for name in weights.clusters if name not in names]
    if unknown:
        raise DesignError(unknown_names("SamplingWeights: clusters", unknown, names, "grouping factor"))
    rows = np.ones(len(frame)) if weights.rows is None else weights_in(frame, weights.rows)
    given = {
        group.name: _of_clusters(weights_in(frame, weights.clusters[group.name]), group, weights.clusters[group.name])
        for group in chain
        if group.name in weights.clusters
    }
    population = rows.copy()
    for group in chain:
        if group.name in given:
            population *= given[group.name][group.index]
    if not chain:
        return ScaledWeights(rows * trials.sum() / (rows @ trials), {}, None, population)
    scaled = {group.name: given.get(group.name, np.ones(len(group.levels))) for group in chain}
    for inner, outer in pairwise(chain):
        first = np.unique(inner.index, return_index=True)[1]
        scaled[inner.name] = _within(scaled[inner.name], outer.index[first], np.ones(len(first)), weights.scaling)
    top = chain[-1].name
    if len(chain[-1].levels) < 2:
        raise DesignError(
            f"sampling weights need at least two clusters of '{top}': standard errors come from the differences "
            f"between them. Leave the random effects of '{top}' out of the formula."
        )
    scaled[top] = scaled[top] / scaled[top].mean()
    return ScaledWeights(_within(rows, chain[0].index, trials, weights.scaling), scaled, top, population)


def _from_inner_to_outer(groups: Sequence[GroupBlock]) -> list[GroupBlock]:
    """The factors, each nested in the next.

    Raises
    ------
    DesignError
        If two are crossed.
    """
    chain = sorted(groups, key=lambda group: -len(group.levels))
    for inner, outer in pairwise(chain):
        if not inner.nested_in(outer):
            raise DesignError(
                f"sampling weights need nested grouping factors, but '{inner.name}' and '{outer.name}' are crossed: "
                "their clusters are not independent, so that there is neither a weight of each contribution to the "
                "log-likelihood nor a sandwich of them. Leave a factor out, or fit the model without weights, with "
                "the variables that decided on selection as predictors."
            )
    return chain


def _of_clusters(values: FloatArray, group: GroupBlock, column: str) -> FloatArray:
    """The weight of each cluster, from the rows.

    Raises
    ------
    DesignError
        If the weights differ between rows of a cluster.
    """
    first = np.unique(group.index, return_index=True)[1]
    weights = values[first]
    differ = np.unique(group.index[np.abs(values - weights[group.index]) > SAME * weights[group.index]])
    if len(differ):
        raise DesignError(
            f"the weights in '{column}' differ between rows of the same cluster in "
            f"{number_of(len(differ), 'cluster')} of '{group.name}': {quoted_list(list(group.levels[differ]))}. Every "
            "cluster has one weight; weights of rows are given as hl.SamplingWeights(rows=...)."
        )
    return weights


def _within(weights: FloatArray, cluster: IntArray, counts: FloatArray, scaling: Scaling) -> FloatArray:
    """Weights of units scaled in each cluster, where each unit is there `counts` times."""
    sums, squares, sizes = (np.bincount(cluster, counts * power) for power in (weights, weights**2, 1.0))
    factor = sizes / sums if scaling == "size" else sums / squares
    scaled: FloatArray = weights * factor[cluster]
    return scaled
