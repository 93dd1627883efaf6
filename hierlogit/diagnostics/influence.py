"""The influence of each cluster on the estimates, by leaving it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import Sentences, Table, View
from ..engines.maximum.refit import finite_maximum_of, likelihood_engine
from ..errors import FitError, StudyError
from ..fits.arguments import refuse_pooled, require_unweighted
from ..fits.fit import Fit
from ..fits.posterior import parameter_draws
from ..fits.psis import khat_threshold
from ..fits.row_clusters import Clusters
from ..model_comparison.leave_out import (
    RefitWithoutCluster,
    ReweightedWithoutCluster,
    estimates,
    posterior_means,
    weights_without,
)
from ..parallel.tasks import Done, collect_tasks
from ..parallel.workers import AnyExecutor, check_executor
from ..pictures import Picture, Pictured
from ..result_table import HasTables, ResultTable
from ..studies.bootstrap import Statistic
from ..studies.failures import count_failures
from ..summaries.tables import summary
from ..validation import flag, function_or_none, quoted_list

FloatArray = npt.NDArray[np.float64]
#: What a status means for the clusters that follow.
STATUS_TEXTS = {
    "check": "weights of draws are unreliable (refit=True samples again) without",
    "failed": "no estimates without",
    "interrupted": "interrupted before",
}


@dataclass(frozen=True, repr=False)
class Influence(HasTables, Pictured):
    """How estimates change when each cluster is left out.

    Attributes
    ----------
    group : str
        The grouping factor, or the column, that makes the clusters.
    table : pandas.DataFrame
        One row for each cluster, the most influential first: ``rows``; ``cooks_distance``; ``dfbetas``, the largest
        change of a parameter in standard errors, and ``parameter``, which it is; ``status``: ``"converged"``,
        ``"check"`` if the weights of the draws are unreliable, ``"failed"`` if there are no estimates without the
        cluster, or ``"interrupted"``; for a fit by a sampler also ``pareto_k``, missing if it was sampled again.
    changes : pandas.DataFrame
        Estimate without the cluster minus estimate with it, in the order of the table: one column for each parameter,
        then those of the estimand.
    dfbetas : pandas.DataFrame
        Changes of the parameters in standard errors.
    estimate : pandas.Series
        With all clusters.
    se : pandas.Series
        Standard errors of the parameters with all clusters, or their posterior sds.
    failures : mapping of object to str
        What went wrong, by cluster.
    method : str
        How the estimates without a cluster were computed.
    """

    _picture: ClassVar[Picture] = Picture("influence")

    group: str
    table: pd.DataFrame
    changes: pd.DataFrame
    dfbetas: pd.DataFrame
    estimate: pd.Series[float]
    se: pd.Series[float]
    failures: Mapping[Any, str]
    method: str

    def _view(self) -> View:
        title = f"Influence of {len(self.table):,} clusters of {self.group}, {self.method}"
        return View(title, (Sentences(tuple(self._remarks())), Table.of(self.table, ".table")))

    def _remarks(self) -> Iterator[str]:
        for status, meaning in STATUS_TEXTS.items():
            clusters = self.table.index[self.table["status"] == status]
            if len(clusters):
                yield f"{len(clusters):,} of them {status}: {meaning} {quoted_list(list(clusters))}"
        consequence = "They have no measures of influence, although the estimates depend on them most."
        yield from count_failures(self.failures, len(self.table), consequence, "clusters")


def influence(
    fit: Fit,
    group: str | None = None,
    estimand: Statistic | None = None,
    *,
    refit: bool = True,
    executor: AnyExecutor | None = None,
) -> Influence:
    """Changes of the estimates when each cluster is left out in turn.

    For a fit by a likelihood engine, the search is repeated without the cluster, which takes milliseconds. For a fit by
    a sampler, the draws are weighted as if the cluster were not there, by Pareto-smoothed importance sampling;
    estimates are then posterior means, and standard errors posterior sds.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        A grouping factor, or a column of the table that the formula uses; the grouping factor if there is only one.
    estimand : callable, optional
        What else to follow, such as an average effect: a function of a `Fit` that returns a number, an array, or
        numbers by name. It is called with a fit of the same rows whose parameters are estimated without the cluster;
        the effects of the cluster itself are those of a new one.
    refit : bool
        For fits by a sampler: whether to sample again without those clusters for which the weights of the draws are
        unreliable, with a Pareto k-hat above ``min(1 - 1 / log10(draws), 0.7)``; if not, their status is ``"check"``.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes refits over workers; `estimand` must then be picklable.

    Returns
    -------
    Influence
        With ``.table``, one row for each cluster, the most influential first. Ctrl-C returns what is done so far.

    Raises
    ------
    FitError
        If there is no such grouping factor or column, or a likelihood fit is not at a maximum because the search failed
        or estimates are infinite.

    Notes
    -----
    With ``b`` the p fixed effects, ``b(j)`` those without cluster j and ``V`` the covariance matrix of the estimates,
    Cook's distance is ``(b - b(j))' V^-1 (b - b(j)) / p``, and DFBETAS are the changes divided by the standard errors,
    the square roots of the diagonal of V (Nieuwenhuis, te Grotenhuis and Pelzer 2012 divide by the standard error
    without the cluster; here all clusters have the same scale). Their cut-offs are ``4 / J`` for Cook's distances and
    ``2 / sqrt(J)`` for DFBETAS, with J the number of clusters: these are not tests, but places to look at. DFBETAS of
    sds and correlations are computed likewise; a correlation is missing if an effect has an sd of zero.

    References
    ----------
    Cook (1977), Technometrics 19: 15-18; Belsley, Kuh and Welsch (1980), Regression Diagnostics; Demidenko (2013),
    Mixed Models, section 4.16; Nieuwenhuis, te Grotenhuis and Pelzer (2012), R Journal 4(2): 38-47; Vehtari, Gelman and
    Gabry (2017), Statistics and Computing 27: 1413-1432: weights of draws.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace")
    >>> found = hl.influence(fit)
    >>> found.table[["rows", "cooks_distance", "parameter"]].head(3)
    Influence of the clusters of herd, fitted again by Laplace without each
      herd  rows  cooks_distance  parameter
      11       4           0.434  period[p2]
      1        4           0.342  period[p3]
      5        4           0.183  period[p2]
    """
    require_unweighted(
        fit,
        "hl.influence",
        "Cook's distances are changes in units of the curvature of a log-likelihood. "
        "hl.robust(fit, covariance='jackknife') fits the model without each cluster.",
    )
    refuse_pooled(fit, "fit", "Influence is on the estimates")
    function_or_none("estimand", estimand, StudyError, "a function of a Fit that returns a number or numbers")
    refit = flag("refit", refit, FitError)
    check_executor(executor)
    clusters = Clusters.of(fit.model, group)
    if fit.estimate is None:
        return _by_weights(fit, clusters, estimand, executor, refit=refit)
    maximum = finite_maximum_of(fit)
    task = RefitWithoutCluster.of(fit, clusters.index, estimand)
    estimate = pd.Series(estimates(fit, estimand))
    done = _run(task, clusters, executor)
    p = len(fit.model.design.fixed_effects)
    scale = Scale(summary(fit, interval="wald")["se"], maximum.model_covariance[:p, :p])
    engine = type(likelihood_engine(maximum, 0)).__name__
    return _assembled(clusters, estimate, scale, done, f"fitted again by {engine} without each")


def _by_weights(
    fit: Fit, clusters: Clusters, estimand: Statistic | None, executor: AnyExecutor | None, *, refit: bool
) -> Influence:
    weights, shapes = weights_without(fit, clusters.index, len(clusters.labels))
    unreliable = frozenset(np.flatnonzero(~(shapes <= khat_threshold(weights.shape[1]))).tolist())
    again = unreliable if refit else frozenset()
    task = ReweightedWithoutCluster(fit, clusters.index, weights, again, estimand)
    estimate = pd.Series(posterior_means(fit, estimand))
    done = _run(task, clusters, executor)
    draws = parameter_draws(fit.model, fit.posterior)
    values = draws.to_numpy().reshape(-1, draws.sizes["parameter"])
    p = len(fit.model.design.fixed_effects)
    scale = Scale(
        pd.Series(values.std(axis=0, ddof=1), index=draws["parameter"].to_numpy()),
        np.cov(values[:, :p], rowvar=False).reshape(p, p),
    )
    result = _assembled(clusters, estimate, scale, done, "draws weighted as without each")
    of_label = pd.Series(np.where(np.isin(np.arange(len(shapes)), list(again)), np.nan, shapes), clusters.labels)
    not_refitted = result.table.index.isin(clusters.labels[sorted(unreliable - again)])
    table = result.table.assign(pareto_k=of_label.reindex(result.table.index))
    table["status"] = table["status"].mask(not_refitted & (table["status"] == "converged"), "check")
    return replace(result, table=table)


def _run(
    task: Callable[[int], dict[str, float]], clusters: Clusters, executor: AnyExecutor | None
) -> Done[dict[str, float]]:
    return collect_tasks(task, range(len(clusters.labels)), executor, "Leaving out clusters")[0]


@dataclass(frozen=True)
class Scale:
    """Standard errors and covariance matrix that changes are divided by.

    Attributes
    ----------
    se : pandas.Series
        Standard error of each parameter, fixed effects first.
    covariance : ndarray, shape (p, p)
        Of the fixed effects.
    """

    se: pd.Series[float]
    covariance: FloatArray

    def cooks_distance(self, changes: FloatArray) -> FloatArray:
        """Cook's distances of changes of the fixed effects, shape (clusters, p)."""
        se = np.sqrt(np.diag(self.covariance))
        # A coefficient held at the kink of its prior has no standard error and does not change.
        free = np.flatnonzero(se > 0)
        if not len(free):
            return np.full(len(changes), np.nan)
        # In standard errors, so that the matrix is well scaled whatever the units of the predictors.
        steps = changes[:, free] / se[free]
        correlations = self.covariance[np.ix_(free, free)] / np.outer(se[free], se[free])
        distance: FloatArray = (steps * np.linalg.solve(correlations, steps.T).T).sum(axis=1) / len(free)
        return distance


def _assembled(
    clusters: Clusters, estimate: pd.Series[float], scale: Scale, done: Done[dict[str, float]], method: str
) -> Influence:
    labels = clusters.labels
    without = pd.DataFrame.from_dict(done.results, orient="index", columns=list(estimate.index), dtype=np.float64)
    changes = (without - estimate).reindex(range(len(labels)))
    dfbetas = changes[scale.se.index] / scale.se
    largest = dfbetas.abs()
    table = pd.DataFrame(
        {
            "rows": clusters.sizes,
            "cooks_distance": scale.cooks_distance(changes.to_numpy()[:, : len(scale.covariance)]),
            "dfbetas": largest.max(axis=1),
            "parameter": largest.fillna(-1.0).idxmax(axis=1).where(largest.notna().any(axis=1), ""),
            "status": [_status(number, done) for number in range(len(labels))],
        }
    )
    order = table.sort_values(["cooks_distance", "dfbetas"], ascending=False, kind="stable").index
    table, changes, dfbetas = (one.loc[order].set_axis(labels[order]) for one in (table, changes, dfbetas))
    failures = {labels[number]: text for number, text in sorted(done.failures.items())}
    table = ResultTable.of(table, f"Influence of the clusters of {clusters.group}, {method}")
    return Influence(clusters.group, table, changes, dfbetas, estimate, scale.se, failures, method)


def _status(number: int, done: Done[dict[str, float]]) -> str:
    if number in done.results:
        return "converged"
    return "failed" if number in done.failures else "interrupted"
