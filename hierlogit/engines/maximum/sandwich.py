"""The sandwich covariance matrix of a maximum of a weighted log-likelihood, from the scores of independent clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .search_result import SearchResult

FloatArray = npt.NDArray[np.float64]


def with_sandwich(result: SearchResult) -> SearchResult:
    """The end of a search, with the sandwich covariance matrix in place of the inverse of the information.

    ``H^-1 (sum_j s_j s_j') H^-1 J / (J - 1)``, with the weighted scores ``s_j`` of the J clusters of the top level, or
    of the rows of a model without random effects (Rabe-Hesketh and Skrondal 2006, section 2.3). With ``H^-1 = F F'``
    it is ``F K K' F'``, where ``K K' = F' (sum_j s_j s_j') F J / (J - 1)``, so that draws are made along ``F K``.
    Unlike `cluster_covariance.sandwich`, it does not centre the scores, whose sum is zero at the maximum.
    """
    optimum, factor = result.optimum, result.optimum.covariance_factor
    along = weighted_scores(result) @ factor
    count = len(along)
    variances, axes = np.linalg.eigh(along.T @ along * (count / max(count - 1, 1)))
    turned = axes * np.sqrt(np.maximum(variances, 0.0))
    changed = factor @ turned
    changed_optimum = replace(
        optimum,
        covariance=np.where(np.isnan(optimum.covariance), np.nan, changed @ changed.T),
        covariance_factor=changed,
        mode_derivatives=optimum.mode_derivatives @ turned,
    )
    return replace(result, optimum=changed_optimum, model_covariance=optimum.covariance)


def weighted_scores(result: SearchResult) -> FloatArray:
    """Contributions to the gradient at the end of a search, shape (J, parameters), each with its sampling weight.

    There is one for each cluster of the top level or, without random effects, for each row.
    """
    objective, psi = result.objective, result.optimum.point.psi
    design, weights = objective.model.design, objective.likelihood.arrangement.weights
    if design.groups:
        objective.evaluate(psi)
        return objective.scores()
    from scipy.special import expit

    outcome = design.outcome
    residual: FloatArray = outcome.y - outcome.trials * expit(design.X @ psi + design.offset)
    return design.X * (residual if weights is None else weights.rows * residual)[:, None]
