"""What each cluster does to the estimates, seen by leaving it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..engines.maximum.refit import likelihood_engine, maximum_of
from ..errors import FitError
from ..fits.fit import Fit
from ..fits.posterior import parameter_draws
from ..fits.psis import khat_threshold
from ..model_comparison.leave_out import (
    Reweighted,
    SearchedAgain,
    asked_of,
    asked_of_draws,
    weights_without,
)
from ..model_spec import ModelSpec
from ..studies.bootstrap import Statistic
from ..studies.tasks import Done, run_tasks
from ..summaries.tables import summary
from ..validation import quoted_list

FloatArray = npt.NDArray[np.float64]
#: Clusters that a printed result shows.
SHOWN = 10
#: What a status means for the clusters that follow.
SAID = {
    "check": "weights of draws cannot be trusted (refit=True samples again) without",
    "failed": "no estimates without",
    "interrupted": "interrupted before",
}


@dataclass(frozen=True, repr=False)
class Influence:
    """How estimates change when each cluster is left out.

    Attributes
    ----------
    group : str
        The grouping factor, or the column, that makes the clusters.
    table : pandas.DataFrame
        One row for each cluster, the most influential first: ``rows``; ``cooks_distance``; ``dfbetas``, the largest
        change of a parameter in standard errors, and ``parameter``, which it is; ``status``: ``"converged"``,
        ``"check"`` where weights of draws cannot be trusted, ``"failed"`` where the estimates without the cluster could
        not be had, or ``"interrupted"``; of a sampler's fit also ``pareto_k``, none where it was sampled again.
    changes : pandas.DataFrame
        Estimate without the cluster minus estimate with it, in the order of the table: one column for each parameter,
        and behind them what `influence` was asked for besides.
    dfbetas : pandas.DataFrame
        Changes of the parameters in standard errors.
    estimate : pandas.Series
        With all clusters.
    se : pandas.Series
        Standard errors of the parameters with all clusters, or their posterior sds.
    failures : mapping of object to str
        What went wrong, by cluster.
    method : str
        How the estimates without a cluster were had.
    """

    group: str
    table: pd.DataFrame
    changes: pd.DataFrame
    dfbetas: pd.DataFrame
    estimate: pd.Series[float]
    se: pd.Series[float]
    failures: Mapping[Any, str]
    method: str

    def _head(self) -> list[str]:
        lines = [f"Influence of {len(self.table):,} clusters of {self.group}, {self.method}"]
        for status, said in SAID.items():
            found = self.table.index[self.table["status"] == status]
            lines += [f"  {len(found):,} of them {status}: {said} {quoted_list(list(found))}"] if len(found) else []
        return lines

    def _shown(self) -> pd.DataFrame:
        return self.table.head(SHOWN).round(3)

    def __repr__(self) -> str:
        rest = len(self.table) - SHOWN
        more = [f"  and {rest:,} more"] if rest > 0 else []
        return "\n".join([*self._head(), self._shown().to_string(), *more])

    def _repr_html_(self) -> str:
        head = "<br>".join(escape(line.strip()) for line in self._head())
        return f"<div><p>{head}</p>{self._shown().to_html()}</div>"


def influence(
    fit: Fit,
    group: str | None = None,
    estimand: Statistic | None = None,
    *,
    refit: bool = True,
    executor: Executor | None = None,
) -> Influence:
    """Leave out each cluster in turn, and see what changes.

    Of a likelihood engine's fit the search is repeated without the cluster, from the maximum found: milliseconds each.
    Of a sampler's fit its draws are weighted as if the cluster were not there, by Pareto-smoothed importance sampling.
    Estimates are posterior means then, and standard errors posterior sds.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        A grouping factor, or a column of the table that the formula uses; the grouping factor if there is only one.
    estimand : callable, optional
        What else to follow: of a `Fit`, to a number, an array, or numbers by name, such as an average effect. It gets a
        fit with the same rows, whose parameters are estimated without the cluster; the cluster's own effects are then
        those of one of which nothing is known. What needs draws of them takes longest.
    refit : bool
        Of a sampler's fit: whether to sample again without those clusters for which the weights of the draws cannot be
        trusted, because their Pareto k-hat is above ``min(1 - 1 / log10(draws), 0.7)``; if not, their status is
        ``"check"``.
    executor : concurrent.futures.Executor, optional
        Spreads refits over workers; `estimand` must be picklable then.

    Returns
    -------
    Influence
        Its ``table`` has one row for each cluster, the most influential first. Ctrl-C ends early with what was done.

    Raises
    ------
    FitError
        If there is no such grouping factor or column.

    Notes
    -----
    With ``b`` the p fixed effects, ``b(j)`` those without cluster j and ``V`` the covariance matrix of the estimates,
    Cook's distance is ``(b - b(j))' V^-1 (b - b(j)) / p``, and DFBETAS are the changes over the roots of V's diagonal
    (Nieuwenhuis, te Grotenhuis and Pelzer 2012, whose DFBETAS have the standard error without the cluster below; here
    one scale serves all clusters). They look at Cook's distances above ``4 / J`` and DFBETAS beyond ``2 / sqrt(J)``, J
    the number of clusters: not as tests, but as places to look at. An sd or a correlation is followed as a fixed effect
    is; the correlation of an effect whose sd is zero is none.

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
    >>> found.table[["rows", "cooks_distance", "parameter"]].head(3).round(2)
          rows  cooks_distance   parameter
    herd
    11       4            0.43  period[p2]
    1        4            0.34  period[p3]
    5        4            0.18  period[p2]
    """
    clusters = Clusters.of(fit.model, group)
    if fit.estimate is None:
        return _by_weights(fit, clusters, estimand, executor, refit=refit)
    task = SearchedAgain.of(fit, clusters.index, estimand)
    estimate = pd.Series(asked_of(fit, estimand))
    done = _run(task, clusters, executor)
    p = len(fit.model.design.fixed_effects)
    scale = Scale(summary(fit, interval="wald")["se"], maximum_of(fit).covariance[:p, :p])
    engine = type(likelihood_engine(maximum_of(fit), 0)).__name__
    return _assembled(clusters, estimate, scale, done, f"fitted again by {engine} without each")


def _by_weights(
    fit: Fit, clusters: Clusters, estimand: Statistic | None, executor: Executor | None, *, refit: bool
) -> Influence:
    weights, shapes = weights_without(fit, clusters.index, len(clusters.labels))
    distrusted = frozenset(np.flatnonzero(~(shapes <= khat_threshold(weights.shape[1]))).tolist())
    again = distrusted if refit else frozenset()
    task = Reweighted(fit, clusters.index, weights, again, estimand)
    estimate = pd.Series(asked_of_draws(fit, estimand))
    done = _run(task, clusters, executor)
    draws = parameter_draws(fit.model, fit.posterior)
    values = draws.to_numpy().reshape(-1, draws.sizes["parameter"])
    p = len(fit.model.design.fixed_effects)
    scale = Scale(
        pd.Series(values.std(axis=0, ddof=1), index=draws["parameter"].to_numpy()),
        np.cov(values[:, :p], rowvar=False).reshape(p, p),
    )
    found = _assembled(clusters, estimate, scale, done, "draws weighted as without each")
    of_label = pd.Series(np.where(np.isin(np.arange(len(shapes)), list(again)), np.nan, shapes), clusters.labels)
    doubted = found.table.index.isin(clusters.labels[sorted(distrusted - again)])
    table = found.table.assign(pareto_k=of_label.reindex(found.table.index))
    table["status"] = table["status"].mask(doubted & (table["status"] == "converged"), "check")
    return replace(found, table=table)


def _run(
    task: Callable[[int], dict[str, float]], clusters: Clusters, executor: Executor | None
) -> Done[dict[str, float]]:
    done: Done[dict[str, float]] = Done({}, {})

    def keep(more: Done[dict[str, float]]) -> None:
        done.results.update(more.results)
        done.failures.update(more.failures)

    run_tasks(task, range(len(clusters.labels)), executor, "Leaving out clusters", keep)
    return done


@dataclass(frozen=True)
class Clusters:
    """Groups of rows that are left out together.

    Attributes
    ----------
    group : str
    labels : pandas.Index
        In the order of their numbers.
    index : ndarray of int, shape (n,)
        Number of each row's cluster.
    """

    group: str
    labels: pd.Index[Any]
    index: npt.NDArray[np.intp]

    @classmethod
    def of(cls, model: ModelSpec, group: str | None) -> Clusters:
        """The levels of a grouping factor, or the values of a column.

        Raises
        ------
        FitError
            If there is none of this name, or its values are all the same.
        """
        groups, frame = model.design.groups, model.design.table.frame
        if group is None:
            if len(groups) != 1:
                names = dict.fromkeys([*(block.name for block in groups), *frame.columns])
                raise FitError(
                    f"the model has {len(groups)} grouping factors; say whose clusters to leave out, "
                    f"group= one of {quoted_list(list(names))}."
                )
            group = groups[0].name
        for block in groups:
            if block.name == group:
                return cls(group, pd.Index(block.levels, name=group), block.index)
        if group not in frame.columns:
            known = list(dict.fromkeys([*(block.name for block in groups), *frame.columns]))
            raise FitError(f"there are no clusters of '{group}'; the model's table has {quoted_list(known)}.")
        index, values = pd.factorize(frame[group], sort=True)
        if len(values) < 2:
            raise FitError(f"'{group}' has one value only: without its rows there are none.")
        return cls(group, pd.Index(np.asarray(values), name=group), index)


@dataclass(frozen=True)
class Scale:
    """What changes are measured by.

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
        """Of changes of the fixed effects, shape (clusters, p)."""
        se = np.sqrt(np.diag(self.covariance))
        # One that a prior holds in its place has no standard error and does not move.
        free = np.flatnonzero(se > 0)
        if not len(free):
            return np.full(len(changes), np.nan)
        # In standard errors: predictors in any units give well-scaled matrices.
        steps = changes[:, free] / se[free]
        correlations = self.covariance[np.ix_(free, free)] / np.outer(se[free], se[free])
        distance: FloatArray = (steps * np.linalg.solve(correlations, steps.T).T).sum(axis=1) / len(free)
        return distance


def _assembled(
    clusters: Clusters, estimate: pd.Series[float], scale: Scale, done: Done[dict[str, float]], method: str
) -> Influence:
    labels = clusters.labels
    found = pd.DataFrame.from_dict(done.results, orient="index", columns=list(estimate.index), dtype=np.float64)
    changes = (found - estimate).reindex(range(len(labels)))
    dfbetas = changes[scale.se.index] / scale.se
    largest = dfbetas.abs()
    table = pd.DataFrame(
        {
            "rows": np.bincount(clusters.index, minlength=len(labels)),
            "cooks_distance": scale.cooks_distance(changes.to_numpy()[:, : len(scale.covariance)]),
            "dfbetas": largest.max(axis=1),
            "parameter": largest.fillna(-1.0).idxmax(axis=1).where(largest.notna().any(axis=1), ""),
            "status": [_status(number, done) for number in range(len(labels))],
        }
    )
    order = table.sort_values(["cooks_distance", "dfbetas"], ascending=False, kind="stable").index
    table, changes, dfbetas = (one.loc[order].set_axis(labels[order]) for one in (table, changes, dfbetas))
    failures = {labels[number]: text for number, text in sorted(done.failures.items())}
    return Influence(clusters.group, table, changes, dfbetas, estimate, scale.se, failures, method)


def _status(number: int, done: Done[dict[str, float]]) -> str:
    if number in done.results:
        return "converged"
    return "failed" if number in done.failures else "interrupted"
