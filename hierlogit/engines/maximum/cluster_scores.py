"""Log marginal likelihood of each independent cluster and its gradient, the score, at the estimates of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...density.marginal.overdispersed_laplace import laplace_likelihood
from ...design.arrangement import arrange
from ...errors import FitError
from ...fits.row_clusters import Clusters, known_names
from ...validation import quoted_list
from .integrator import integrator
from .objective import Objective

if TYPE_CHECKING:
    from ...design.grouping import GroupBlock
    from ...estimate import Estimate
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class ClusterScores:
    """Contributions of clusters that share no random effect to the marginal log-likelihood, and to its gradient.

    Attributes
    ----------
    log_likelihood : ndarray, shape (J,)
        With the binomial coefficients, and with sampling weights if there are any.
    scores : ndarray, shape (J, m)
        Derivatives in the fixed effects and the free entries of the Cholesky factors, the parameters whose covariance
        matrix an `Estimate` has. Of a fit by MAP these are those of the likelihood alone: its prior belongs to no
        cluster.
    """

    log_likelihood: FloatArray
    scores: FloatArray


def cluster_scores(model: ModelSpec, estimate: Estimate, index: IntArray) -> ClusterScores:
    """The contribution of each cluster at an estimate, by the exact gradient of its approach.

    Parameters
    ----------
    model : Model
    estimate : Estimate
        Its likelihood is by Laplace's method or quadrature, with the estimate's number of nodes.
    index : ndarray of int, shape (n,)
        Number of each row's cluster, from 0; clusters that `is_independent` accepts.
    """
    design, count = model.design, int(index.max()) + 1
    if design.groups:
        objective = Objective(model, integrator(design, estimate.nodes)(model.arrangement), penalised=False)
        to_cluster = _cluster_of_parts(model, index)
    else:
        objective = Objective(model, laplace_likelihood(arrange(design, index)), penalised=False)
        to_cluster = np.arange(count)
    objective.evaluate(objective.at(estimate))
    coefficients = design.outcome.log_coefficients
    values, weights = objective.likelihood.values, objective.likelihood.arrangement.weights
    if weights is not None:
        coefficients, values = weights.coefficients * coefficients, weights.parts * values
    log_likelihood = np.bincount(index, coefficients, count) + np.bincount(to_cluster, values, count)
    return ClusterScores(log_likelihood, _added_up(objective.scores(), to_cluster, count))


def scores_by_cluster(model: ModelSpec, scores: FloatArray, index: IntArray) -> FloatArray:
    """Scores of clusters, shape (J, m), from those of the independent parts of a model with random effects.

    Parameters
    ----------
    model : Model
    scores : ndarray, shape (parts, m)
    index : ndarray of int, shape (n,)
        Number of each row's cluster, from 0.
    """
    return _added_up(scores, _cluster_of_parts(model, index), int(index.max()) + 1)


def _added_up(scores: FloatArray, to_cluster: IntArray, count: int) -> FloatArray:
    """Sums of the scores of the parts of each cluster."""
    sums = np.column_stack([np.bincount(to_cluster, column, count) for column in scores.T])
    return sums.reshape(count, scores.shape[1])


def _cluster_of_parts(model: ModelSpec, index: IntArray) -> IntArray:
    """The cluster of each independent part of the rows."""
    return _partner(_part_of_rows(model), index)


def _part_of_rows(model: ModelSpec) -> npt.NDArray[Any]:
    """The independent part of each row, shape (n,); without random effects, each row is one."""
    groups = model.design.groups
    if not groups:
        return np.arange(model.design.n_rows)
    return model.arrangement.parts_of(0)[groups[0].index]


def is_independent(model: ModelSpec, index: IntArray) -> bool:
    """Whether rows of different clusters share no cluster of the model, directly or through others."""
    return _inside(_part_of_rows(model), index)


def independent_clusters(model: ModelSpec, cluster: Any) -> Clusters:
    """Clusters of rows that share no random effect with rows of others.

    Parameters
    ----------
    model : Model
    cluster : str, series, array-like or None
        As for `hierlogit.robust`.

    Raises
    ------
    FitError
        If there are none, or those that are chosen share random effects; the message names those that do not.
    """
    groups = model.design.groups
    if cluster is None:
        top = top_factor(model)
        if top is None:
            what = "no random effects" if not groups else "crossed grouping factors"
            raise FitError(
                f"the model has {what}: pass cluster=, whose clusters are taken to be independent. {_remedy(model)}"
            )
        chosen = Clusters.named(model, top.name, "cluster")
    elif isinstance(cluster, str):
        if cluster not in known_names(model):
            raise FitError(
                f"cluster='{cluster}' is neither a grouping factor nor a column of the formula, which are "
                f"{quoted_list(known_names(model))}. Pass another column of the table by its values: "
                f"cluster=data['{cluster}']."
            )
        chosen = Clusters.named(model, cluster, "cluster")
    else:
        chosen = Clusters.of_rows(model, cluster, "cluster")
    if not is_independent(model, chosen.index):
        why = why_dependent(dependent_factors(model, chosen.index))
        raise FitError(f"cluster='{chosen.group}': {why}. {_remedy(model)}")
    return chosen


def dependent_factors(model: ModelSpec, index: IntArray) -> list[str]:
    """The grouping factors with clusters that have rows in several of other clusters."""
    return [group.name for group in model.design.groups if not _inside(group.index, index)]


def why_dependent(factors: Sequence[str]) -> str:
    """Why clusters are not independent, as a clause, from the factors that have rows in several of them."""
    if not factors:
        return "its clusters share rows with others through crossed grouping factors, and are not independent"
    return (
        f"clusters of {quoted_list(factors)} have rows in several of its clusters, which are therefore not independent"
    )


def top_factor(model: ModelSpec) -> GroupBlock | None:
    """The grouping factor in which all others are nested, if there is one."""
    for group in sorted(model.design.groups, key=lambda one: len(one.levels)):
        if is_independent(model, group.index):
            return group
    return None


def _inside(inner: npt.NDArray[Any], outer: IntArray) -> bool:
    """Whether each cluster lies in one of the others."""
    return bool(np.array_equal(_partner(inner, outer)[inner], outer))


def _partner(inner: npt.NDArray[Any], outer: IntArray) -> IntArray:
    """For each cluster, one of the others with which it shares rows."""
    partner = np.empty(int(inner.max()) + 1, dtype=np.intp)
    partner[inner] = outer
    return partner


def _remedy(model: ModelSpec) -> str:
    """Which clusters would do."""
    by_values = "a column of the table by its values, cluster=data['region']"
    if not model.design.groups:
        return f"Pass the name of a column of the formula, or {by_values}."
    fit = [name for name in known_names(model) if _is_possible(model, name)]
    names = f"choose {quoted_list(fit)}, or pass " if fit else "pass "
    return f"Each cluster of every grouping factor must lie in one of them: {names}{by_values}."


def _is_possible(model: ModelSpec, name: str) -> bool:
    """Whether a factor or column makes independent clusters, and is not part of the outcome."""
    if name in model.design.response_columns:
        return False
    try:
        return is_independent(model, Clusters.named(model, name, "cluster").index)
    except FitError:
        return False
