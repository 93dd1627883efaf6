"""`Fit` → `robust`: a fit whose standard errors are computed from differences between clusters, for all functions."""

from __future__ import annotations

from typing import Any

from ..engines.maximum.cluster_covariance import clustered_maximum, robust_fit, with_cluster_covariance
from ..engines.maximum.cluster_scores import independent_clusters
from ..errors import FitError
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from ..parallel.workers import AnyExecutor, check_executor
from ..validation import choice
from .cluster_jackknife import jackknife

COVARIANCES = ("robust", "jackknife")


def robust[M: ModelSpec](
    fit: Fit[M],
    cluster: Any = None,
    *,
    covariance: str = "robust",
    executor: AnyExecutor | None = None,
) -> Fit[M]:
    """A likelihood fit with cluster-robust standard errors, which all functions then use.

    The estimates stay as they are. Their covariance matrix is computed from how much the clusters differ, in place of
    what the model says that they should: it is right in large numbers of clusters even where the model is wrong about
    the outcomes within a cluster, for example about a level of clusters that it leaves out. The draws of the fit are
    made anew with it, so that predictions, comparisons, slopes, hypotheses and reports have the uncertainty that goes
    with it.

    Parameters
    ----------
    fit : Fit
        By `Laplace`, `AGQ` or `MAP`.
    cluster : str or array-like, optional
        The clusters, which are taken to be independent: a grouping factor, a column of the formula, or a value for each
        row, such as ``data["region"]``, which may be any column of the table. Each cluster of the model must lie in one
        of them. If not given, the grouping factor in which all others are nested.
    covariance : {"robust", "jackknife"}
        From the scores of the clusters at the estimates, or from the estimates without each cluster, which takes a
        search for each. The jackknife tends to larger standard errors, and is the more cautious with few clusters.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes the searches of the jackknife over workers.

    Returns
    -------
    Fit
        Of the same model. ``.estimate.covariance`` is the new covariance matrix and ``.estimate.clustered`` says where
        it comes from.

    Raises
    ------
    FitError
        If the fit is by a sampler or pooled over imputations, has no maximum, or is restricted, for which there is the
        jackknife alone; if the clusters depend on each other; or if there are no estimates without a cluster.
    StudyError
        If the executor cannot run functions, or the jackknife is interrupted.

    Warns
    -----
    ConvergenceWarning
        If there are fewer than 20 clusters, or fewer than parameters.

    See Also
    --------
    summary : Has the robust standard errors of a fit with ``covariance="robust"``.
    bootstrap : Simulates from the model, and takes it to be right.

    Notes
    -----
    With the inverse V of the observed information, J clusters and the score ``s_j`` of cluster j, the gradient of its
    marginal log-likelihood, the robust covariance matrix is ``J / (J - 1) V (sum_j s_j s_j') V``. Of a fit by MAP, V
    has the curvature of the prior, while the scores are those of the likelihood less their mean. With the estimates t
    and those without cluster j ``t_j``, that of the jackknife is ``(J - 1) / J sum_j (t_j - t) (t_j - t)'``.

    With fewer than 40 clusters, fixed effects have t distributions with the degrees of freedom of the fit, but at most
    ``J - 1``. Parameters at a boundary stay there without a standard error. The effects of clusters are drawn given
    the parameters as the model has them. Functions that compare likelihoods do not use standard errors: profiles and
    likelihood ratios are refused, `compare` is as before.

    References
    ----------
    Huber (1967), Proceedings of the Fifth Berkeley Symposium 1: 221-233; White (1982), Econometrica 50: 1-25: the
    sandwich. Liang and Zeger (1986), Biometrika 73: 13-22: clusters. Cameron and Miller (2015), Journal of Human
    Resources 50: 317-372: few clusters. MacKinnon, Nielsen and Webb (2023), Journal of Econometrics 232: 272-299:
    the jackknife, their CV3.

    Examples
    --------
    Women of the same district are alike, which a model without effects of districts leaves out. Its standard error of
    ``urban``, which is nearly the same for all women of a district, is too small:

    >>> import hierlogit as hl
    >>> rows = hl.datasets.load("contraception")
    >>> fit = hl.Model("use ~ urban + livch", rows).fit("laplace")
    >>> hl.summary(fit)["se"].head(2).round(3).to_dict()
    {'Intercept': 0.11, 'urban[Y]': 0.105}
    >>> hl.summary(hl.robust(fit, rows["district"]))["se"].head(2).round(3).to_dict()
    {'Intercept': 0.159, 'urban[Y]': 0.188}

    A model that has them, with effects that need not be right either:

    >>> fit = hl.Model("use ~ urban + livch + (1 | district)", rows).fit("laplace")
    >>> hl.summary(hl.robust(fit))[["estimate", "se", "z", "p_value"]].head(3)
    Parameters (logit scale); robust standard errors by district
      parameter  estimate     se       z  p_value
      Intercept    -1.476  0.170  -8.663  < 0.001
      urban[Y]      0.719  0.166   4.322  < 0.001
      livch[1]      1.001  0.186   5.397  < 0.001
    """
    require_fit(fit)
    choice("covariance", covariance, COVARIANCES, FitError)
    check_executor(executor)
    if covariance == "robust":
        return robust_fit(fit, cluster)
    estimate = clustered_maximum(fit)
    clusters = independent_clusters(fit.model, cluster)
    return with_cluster_covariance(fit, clusters, "jackknife", jackknife(fit.model, estimate, clusters, executor))
