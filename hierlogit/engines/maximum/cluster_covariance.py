"""Covariance matrices of estimates from differences between independent clusters, and fits that have them.

They do not take the distribution of the outcomes within a cluster from the model: the scores of clusters vary as they
do, whatever makes the outcomes of a cluster alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...design.degrees_of_freedom import FEW_CLUSTERS
from ...errors import ConvergenceWarning, FitError, warn
from ...estimate import Clustered
from ...fits.findings import Finding, status_of, warning_text
from ...fits.fit import Fit
from ...pooled_estimate import PooledEstimate
from ...validation import number_of
from .cluster_scores import cluster_scores, independent_clusters
from .gaussian_draws import sample, to_datatree
from .refit import Refitter, refuse_without_maximum

if TYPE_CHECKING:
    import xarray as xr

    from ...estimate import Estimate
    from ...fits.diagnostics import Diagnostics
    from ...fits.row_clusters import Clusters
    from ...model_spec import ModelSpec
    from .optimizer import Optimum

FloatArray = npt.NDArray[np.float64]

#: With fewer clusters there is a warning: standard errors are themselves uncertain, and on average too small.
TOO_FEW = 20
#: What else to compare robust standard errors with then.
JACKKNIFE = "those of hl.robust(fit, covariance='jackknife'), which err on the side of caution, and with "


@dataclass(frozen=True)
class MoveSums:
    """Sums over independent clusters of their moves of the estimates, ``V s_j``, from which a sandwich is made.

    With the inverse information V, J clusters with scores ``s_j`` and their mean ``s``, the sandwich is

        J / (J - 1) V sum_j (s_j - s) (s_j - s)' V

    At the maximum of the likelihood the mean is zero. At that of a posterior density it is minus the derivative of the
    log prior density divided by J: the prior is known, and adds nothing to the variation of the scores.

    The sums are of moves, not of scores: predictors far from zero make V and the products of the scores nearly singular
    both, and their product would lose the digits of both.

    Attributes
    ----------
    count : int
        Number of clusters.
    mean : ndarray, shape (k,)
        Mean move of the parameters that have a standard error.
    products : ndarray, shape (k, k)
        Sum of the outer products of the moves less their mean.
    """

    count: int
    mean: FloatArray
    products: FloatArray

    @classmethod
    def of(cls, inverse: FloatArray, scores: FloatArray) -> MoveSums:
        """The sums over clusters.

        Parameters
        ----------
        inverse : ndarray, shape (m, m)
            V, which is NaN for parameters without a standard error.
        scores : ndarray, shape (J, m)
        """
        known = np.isfinite(np.diag(inverse))
        moves = scores[:, known] @ inverse[np.ix_(known, known)]
        mean = moves.mean(axis=0)
        return cls(len(scores), mean, (moves - mean).T @ (moves - mean))

    def joined(self, other: MoveSums) -> MoveSums:
        """The sums over the clusters of both."""
        count, apart = self.count + other.count, other.mean - self.mean
        # Chan, Golub and LeVeque (1983), The American Statistician 37: 242-247: nothing cancels.
        between = self.count * other.count / count * np.outer(apart, apart)
        return MoveSums(count, self.mean + other.count / count * apart, self.products + other.products + between)

    def sandwich(self, inverse: FloatArray) -> FloatArray:
        """The covariance matrix, shape (m, m), whose rows and columns without a standard error are NaN."""
        known = np.isfinite(np.diag(inverse))
        found = np.full_like(inverse, np.nan)
        found[np.ix_(known, known)] = self.count / (self.count - 1) * self.products
        return found


def sandwich(estimate: Estimate, scores: FloatArray) -> FloatArray:
    """The sandwich covariance matrix of an estimate from the scores of its clusters, shape (J, m)."""
    inverse = estimate.model_covariance
    return MoveSums.of(inverse, scores).sandwich(inverse)


def robust_fit[M: ModelSpec](fit: Fit[M], cluster: Any) -> Fit[M]:
    """The fit with the sandwich covariance matrix of its estimates; the arguments are those of `hierlogit.robust`.

    Raises
    ------
    FitError
        If the fit is by a sampler, has no maximum, is restricted or clustered already, or the clusters depend on each
        other.
    """
    estimate = clustered_maximum(fit)
    if estimate.restricted:
        raise FitError(
            "the restricted likelihood does not divide into likelihoods of clusters, from whose scores robust standard "
            "errors are computed: fit the model with restricted=False, or use hl.robust(fit, covariance='jackknife')."
        )
    clusters = independent_clusters(fit.model, cluster)
    scores = cluster_scores(fit.model, estimate, clusters.index).scores
    return with_cluster_covariance(fit, clusters, "robust", sandwich(estimate, scores))


def clustered_maximum(fit: Fit) -> Estimate:
    """The estimate of a fit whose covariance matrix can be computed from clusters.

    Raises
    ------
    FitError
        If the fit is by a sampler or pooled, has no maximum, or has such a covariance matrix already.
    """
    if fit.estimate is None:
        raise FitError(
            f"the fit is by {fit.diagnostics.engine}: a posterior follows from the model, and has no standard errors "
            "that could be replaced. Add a grouping factor for the clusters to the model, or fit it with hl.Laplace() "
            "or hl.AGQ()."
        )
    if isinstance(fit.estimate, PooledEstimate):
        raise FitError(
            f"the fit is pooled over {len(fit.estimate.members)} imputations, each of which has its own scores of "
            "clusters. Compute robust standard errors of each imputation, and pool these fits: "
            "hl.pool([hl.robust(one, cluster) for one in fit.fits])."
        )
    return finite_errors_of(fit.estimate, fit.diagnostics)


def finite_errors_of(estimate: Estimate, diagnostics: Diagnostics) -> Estimate:
    """The estimate at a maximum, whose covariance matrix can be computed from clusters.

    Raises
    ------
    FitError
        If it is no maximum, has no standard errors, or those of clusters already.
    """
    # With sampling weights, they are computed from clusters from the outset, perhaps from others than are wanted.
    if estimate.clustered is not None and not estimate.weighted:
        raise FitError(
            f"the standard errors of the fit are {estimate.clustered.described}, already: pass the fit that they "
            "were computed for."
        )
    refuse_without_maximum(diagnostics)
    if not np.isfinite(np.diag(estimate.covariance)).any():
        raise FitError("the fit has no standard errors, because the information is not positive definite at its end.")
    return estimate


def with_cluster_covariance[M: ModelSpec](fit: Fit[M], clusters: Clusters, kind: str, covariance: FloatArray) -> Fit[M]:
    """The fit with another covariance matrix of its estimates, and with draws from it.

    Parameters
    ----------
    fit : Fit
    clusters : Clusters
    kind : {"robust", "jackknife"}
    covariance : ndarray, shape (m, m)
    """
    assert fit.estimate is not None
    model, clustered = fit.model, Clustered(kind, clusters.group, clusters.index, fit.estimate.model_covariance)
    others = JACKKNIFE if kind == "robust" else ""
    estimate, diagnostics = with_clusters(fit.estimate, fit.diagnostics, clustered, covariance, others)
    draws = fit.diagnostics.settings.get("draws")

    def data() -> xr.DataTree:
        count = fit.posterior.sizes["draw"] if draws is None else int(draws)
        return _drawn(model, estimate, count, int(fit.diagnostics.seed or 0))

    return Fit(model, data, diagnostics, estimate)


def with_clusters(
    estimate: Estimate, diagnostics: Diagnostics, clustered: Clustered, covariance: FloatArray, others: str
) -> tuple[Estimate, Diagnostics]:
    """An estimate with the covariance matrix of its clusters, and its diagnostics; warns if there are few clusters.

    Parameters
    ----------
    estimate : Estimate
    diagnostics : Diagnostics
    clustered : Clustered
    covariance : ndarray, shape (m, m)
    others : str
        Further standard errors to compare with, if there are few clusters, as the beginning of a list.
    """
    few = _few_clusters(clustered, int((np.diag(covariance) > 0).sum()), others)
    findings = (*diagnostics.findings, *few)
    if text := warning_text(few):
        warn(text, ConvergenceWarning)
    measures = {name: diagnostics.measures[name] for name in diagnostics.measures if name != "pareto_k"}
    df = clustered_df(estimate.df, clustered.count)
    return (
        replace(estimate, covariance=covariance, df=df, clustered=clustered),
        replace(diagnostics, findings=findings, status=status_of(findings), measures=measures),
    )


def clustered_df(df: FloatArray, count: int) -> FloatArray:
    """Degrees of freedom of fixed effects whose standard errors are computed from so many clusters, shape (p,).

    Those of the model, but at most one less than the number of clusters, from which the standard errors are computed
    as those of a mean are from its values (Cameron and Miller 2015, Journal of Human Resources 50: 317-372, section
    VI.D). With many clusters, a model whose fixed effects have normal distributions keeps them.
    """
    if count >= FEW_CLUSTERS and not np.any(np.isfinite(df)):
        return df
    return np.minimum(df, count - 1.0)


def _few_clusters(clustered: Clustered, parameters: int, others: str) -> list[Finding]:
    count = clustered.count
    if count >= FEW_CLUSTERS:
        return []
    too_few = count < max(TOO_FEW, parameters + 1)
    evidence = f"The standard errors are computed from {number_of(count, 'cluster')} of {clustered.group}."
    if count <= parameters:
        evidence += f" Their covariance matrix is singular, since there are {parameters} parameters."
    remedy = f"Compare them with {others}those of a model that has a random intercept for these clusters."
    return [Finding("few_independent_clusters", "warning" if too_few else "note", evidence, remedy)]


def _drawn(model: ModelSpec, estimate: Estimate, draws: int, seed: int) -> xr.DataTree:
    """Draws of the parameters with the covariance matrix of an estimate, and of the effects given them."""
    refitter = Refitter(model, estimate)
    result = refitter.again()
    optimum = _with_covariance(result.optimum, estimate)
    result = replace(result, optimum=optimum)
    drawn = sample(result, refitter.approach, draws, seed)
    return to_datatree(model, result, drawn, penalised=estimate.penalised)


def _with_covariance(optimum: Optimum, estimate: Estimate) -> Optimum:
    """An optimum with the covariance matrix of an estimate, in the directions in which its own has variance."""
    factor, target = optimum.covariance_factor, estimate.deviations().T
    units = np.sqrt((factor**2).sum(axis=1))
    moving = units > 0
    scale = units[moving, None]
    turned = np.linalg.lstsq(factor[moving] / scale, target[moving] / scale, rcond=None)[0]
    return replace(
        optimum,
        covariance=estimate.covariance,
        covariance_factor=factor @ turned,
        mode_derivatives=optimum.mode_derivatives @ turned,
    )
