"""Events predicted and expected in clusters for each posterior draw, and the information about their effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from ..binomial import variance_factor
from ..density.linear_predictor import Draws, add_effects, linear_predictor
from ..design.design import EncodedRows
from ..effects.numerics.population_average import (
    POINTS,
    AverageTable,
    average_probability,
    have_one_variance,
    predictor_sd,
)
from .rows_by_cluster import ARRAYS, RowsByCluster

FloatArray = npt.NDArray[np.float64]

#: With more rows, a table of average probabilities costs less than the averages of the rows.
LEAST_ROWS = 2 * POINTS


@dataclass(frozen=True)
class EventCounts:
    """Sums over the trials of each cluster, by draw, all of shape (draws, clusters) unless it is given.

    Attributes
    ----------
    predicted : ndarray
        Events that the cluster's own effects predict.
    typical : ndarray
        Events expected with effects of zero.
    population : ndarray
        Events expected on average over the population of clusters.
    variance : ndarray
        Variance of the events at the probabilities of the population of clusters.
    information : ndarray, shape (draws, clusters, q, q)
        ``Z'WZ``, the information of the cluster's rows about its effects; W has the information of each row
        about its log-odds.
    """

    predicted: FloatArray
    typical: FloatArray
    population: FloatArray
    variance: FloatArray
    information: FloatArray

    @classmethod
    def of(cls, draws: Draws, some: RowsByCluster, factor: str, averages: AveragedFactors) -> EventCounts:
        """The sums of some clusters for all draws.

        Parameters
        ----------
        draws : Draws
        some : RowsByCluster
        factor : str
            Name of the grouping factor whose clusters are compared.
        averages : AveragedFactors
        """
        chunks = draws.chunks(ARRAYS * len(some.rows))
        parts = [_counted(part, chunk, some, factor, averages) for part, chunk in chunks]
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True)
class AveragedFactors:
    """Probabilities averaged over the clusters of some factors.

    Attributes
    ----------
    others : tuple of str
        Factors over whose clusters all probabilities are averaged; of the rest, the observed effects count.
    tables : mapping of tuple of str to AverageTable
        By the factors that are averaged over, where their variance is the same for many rows.
    """

    others: tuple[str, ...]
    tables: Mapping[tuple[str, ...], AverageTable]

    @classmethod
    def of(cls, draws: Draws, rows: EncodedRows, factor: str, others: tuple[str, ...]) -> AveragedFactors:
        """For all draws, with the factor whose clusters are compared and the others that are averaged over."""
        tables = {}
        for factors in ((*others, factor), others):
            if factors and len(rows) > LEAST_ROWS and have_one_variance(rows, factors):
                one = rows.at(np.zeros(1, dtype=np.intp))
                tables[factors] = AverageTable.of(predictor_sd(draws, one, factors)[:, 0])
        return cls(others, tables)

    def probability(
        self, part: slice, draws: Draws, rows: EncodedRows, eta: FloatArray, factors: tuple[str, ...]
    ) -> FloatArray:
        """Probabilities averaged over some factors for a part of the draws, shape (draws, rows)."""
        from scipy.special import expit

        if not factors:
            return np.asarray(expit(eta))
        if factors in self.tables:
            return self.tables[factors](part, eta)
        return average_probability(eta, predictor_sd(draws, rows, factors))


def _counted(part: slice, draws: Draws, some: RowsByCluster, factor: str, averages: AveragedFactors) -> EventCounts:
    rows, own, others = some.rows, some.rows.groups[factor], averages.others
    held = {name: group for name, group in rows.groups.items() if name != factor and name not in others}
    eta = linear_predictor(draws, EncodedRows(rows.X, rows.offset, held))
    typical = averages.probability(part, draws, rows, eta, others)
    population = averages.probability(part, draws, rows, eta, (*others, factor))
    add_effects(eta, draws.effects[factor], own.index, own.Z)
    predicted = averages.probability(part, draws, rows, eta, others)
    ratio = variance_factor(some.trials, draws.phi)
    weights = some.trials * predicted * (1 - predicted) / ratio
    q = own.Z.shape[1]
    information = np.empty((len(draws), len(some.starts) - 1, q, q))
    for a in range(q):
        for b in range(a + 1):
            information[..., a, b] = information[..., b, a] = _sums(weights * (own.Z[:, a] * own.Z[:, b]), some)
    return EventCounts(
        _sums(some.trials * predicted, some),
        _sums(some.trials * typical, some),
        _sums(some.trials * population, some),
        _sums(some.trials * population * (1 - population) * ratio, some),
        information,
    )


def _sums(values: FloatArray, some: RowsByCluster) -> FloatArray:
    """Sums over the rows of each cluster, shape (draws, clusters)."""
    sums: FloatArray = np.add.reduceat(values, some.starts[:-1], axis=1)
    return sums


def noise_ratios(information: FloatArray, cholesky: FloatArray, weights: FloatArray) -> FloatArray:
    """Variance of a cluster's effect as its own rows alone tell it, over its variance between clusters.

    The effect is ``a'b``, with variance ``a'Sigma a`` between clusters and, given the rows of the cluster,
    ``v = a'(Sigma^-1 + M)^-1 a``. For a random intercept, ``s^2 = v tau^2 / (tau^2 - v)`` is ``1 / M``, the squared
    standard error of the cluster's own estimate, and the result ``s^2 / tau^2``. It is infinite where the rows tell
    nothing.

    Parameters
    ----------
    information : ndarray, shape (draws, clusters, q, q)
        M.
    cholesky : ndarray, shape (draws, q, q)
        Cholesky factors of Sigma.
    weights : ndarray, shape (clusters, q)
        a.

    Returns
    -------
    ndarray, shape (draws, clusters)

    Examples
    --------
    >>> noise_ratios(np.full((1, 1, 1, 1), 8.0), np.full((1, 1, 1), 0.5), np.ones((1, 1)))
    array([[0.5]])
    """
    q = weights.shape[1]
    scaled = np.einsum("sab,ja->sjb", cholesky, weights)
    inner = np.einsum("sai,sjab,sbk->sjik", cholesky, information, cholesky, optimize=True)
    between = np.einsum("sjb,sjb->sj", scaled, scaled)
    if q == 1:
        given = between / (1 + inner[..., 0, 0])
    else:
        given = np.einsum("sjb,sjb->sj", scaled, np.linalg.solve(np.eye(q) + inner, scaled[..., None])[..., 0])
    gained = np.maximum(between - given, 0.0)
    ratios: FloatArray = np.divide(given, gained, out=np.full_like(given, np.inf), where=gained > 0)
    return ratios
