"""`Fit` → `validate`: how good its probabilities are in clusters that it has not seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...display import Facts, Sentences, Table, View
from ...effects.cluster_choice import Clusters as ClusterOption
from ...errors import FitError, PredictionError
from ...fits.arguments import NOT_THE_POPULATION, refuse_pooled, require_unweighted
from ...fits.fit import Fit
from ...fits.repeated_findings import repeats_findings
from ...fits.row_clusters import Clusters
from ...parallel.workers import AnyExecutor, check_executor
from ...pictures import Picture, Pictured
from ...result_table import HasTables, ResultTable
from ...studies.failures import count_failures
from ...summaries.intervals import Interval
from ...validation import agree, flag, number_of, quoted_list, seed_or_new
from ..recalibration import fitted_probability
from .cluster_measures import MEASURES, measures_of, overall_measures
from .external_rows import ExternalRows
from .folds import KEPT, Folds
from .pooling import PredictedRows, pooled_measures
from .unseen_clusters import UnseenClusters, left_out_clusters, unseen_treatments

FloatArray = npt.NDArray[np.float64]
#: Columns of the clusters' table that are left out first where there is not enough room.
SPARE = ("expected", "log_score_se", "log_score", "brier_se", "trials", "fold", "status", "brier", "oe_se")


@dataclass(frozen=True, repr=False)
class Validation(HasTables, Pictured):
    """How good a model's probabilities are in clusters that it has not seen.

    Attributes
    ----------
    group : str
        The grouping factor or column whose clusters were left out.
    table : pandas.DataFrame
        One row for each cluster; see `hierlogit.validate` for the columns.
    pooled : pandas.DataFrame
        One row for each measure: its mean over clusters with intervals, an interval for a new cluster, and how much it
        differs between clusters.
    performance : pandas.DataFrame
        One row for each measure: its value over all rows, ``apparent`` and ``validated``, and their difference,
        ``optimism``.
    predictions : pandas.DataFrame
        One row for each row of the data: ``cluster``, ``fold``, ``y``, ``trials``, and ``probability``, missing for
        rows that were not predicted.
    interval : Interval
        Probability of the intervals.
    clusters : mapping of str to str
        Which cluster effects the predictions have, by grouping factor.
    failures : mapping of object to str
        What went wrong, by cluster or fold.
    method : str
        How the predictions were made, in words.
    event : str
        What is predicted.
    seed : int or None
        With which the clusters were assigned to folds; None if there are no folds of several clusters.
    """

    _picture: ClassVar[Picture] = Picture("validation")

    group: str
    table: pd.DataFrame
    pooled: pd.DataFrame
    performance: pd.DataFrame
    predictions: pd.DataFrame
    interval: Interval
    clusters: Mapping[str, str]
    failures: Mapping[Any, str]
    method: str
    event: str
    seed: int | None

    def _view(self) -> View:
        title = f"Validation of the probability of {self.event} on {len(self.table):,} clusters of {self.group}"
        seed = [] if self.seed is None else [("seed of the folds", str(self.seed))]
        facts = [("method", self.method), *seed, ("predictions", self._predicted)]
        return View(
            title,
            (
                Facts(tuple(facts)),
                Sentences(tuple(self._remarks())),
                Table.of(self.pooled, ".pooled", spare=("scale",)),
                Table.of(self.performance, ".performance"),
                Table.of(self.table, ".table", spare=SPARE),
            ),
        )

    @property
    def _predicted(self) -> str:
        meanings = {
            "average": "averaged over the population of clusters (marginal)",
            "typical": "for a cluster with effects of zero (conditional)",
            "observed": "with the effects of the row's own cluster",
        }
        by_choice: dict[str, list[str]] = {}
        for name, chosen in self.clusters.items():
            by_choice.setdefault(chosen, []).append(name)
        parts = [f"{', '.join(names)} {meanings[chosen]}" for chosen, names in by_choice.items()]
        return "; ".join(parts) or "of a model without random effects"

    def _remarks(self) -> Iterator[str]:
        total = int((self.table["status"] != "kept").sum())
        told = {
            "not_estimable": "Not estimable, without events, without non-events, or with too few rows",
            "not_pooled": "Not in the mean, without a value or standard error, or with a value at the end of its range",
        }
        for column, meaning in told.items():
            counts = [f"{name} in {count:,}" for name, count in self.pooled[column].items() if count]
            if counts:
                yield f"{meaning}: {', '.join(counts)} of {number_of(total, 'cluster')}"
        texts = {
            "kept": "in every fit, and not validated: they have fewer events or non-events than least_events",
            "check": "the weights of draws are unreliable (refit=True samples again)",
            "failed": "no fit without",
            "interrupted": "interrupted before",
        }
        for status, meaning in texts.items():
            chosen = self.table.index[self.table["status"] == status]
            if len(chosen):
                yield f"{number_of(len(chosen), 'cluster')} {status}: {meaning}: {quoted_list(list(chosen))}"
        yield from count_failures(
            self.failures, self.table["fold"].nunique(), "Their rows are not predicted.", "fits without clusters"
        )
        known = int((self.table["status"] == "known").sum())
        if known:
            yield (
                f"{known:,} of {number_of(total, 'cluster')} {agree(known, 'is', 'are')} in the training data: "
                f"{agree(known, 'it is', 'they are')} not new"
            )


@repeats_findings
def validate(
    fit: Fit,
    group: Any = None,
    *,
    data: Any = None,
    folds: int | None = None,
    least_events: int = 0,
    clusters: ClusterOption = "average",
    refit: bool = True,
    ci_prob: float | None = None,
    seed: int | None = None,
    executor: AnyExecutor | None = None,
) -> Validation:
    """Validation on clusters that the model has not seen: each is left out and predicted by a fit without it.

    Calibration, discrimination and scores are computed in each cluster by itself, and pooled over the clusters, with
    their heterogeneity and an interval for a new cluster. With a coarser column, such as a region or a year,
    this is internal-external validation; with `data`, external validation on another table.

    Parameters
    ----------
    fit : Fit
    group : str or column of values, optional
        The grouping factor, or column of the formula, whose clusters are left out; the grouping factor if there is only
        one. A column that is not in the formula is given by its values, such as ``rows["region"]``, a pandas Series
        with the labels of the table's rows. With `data`, a column of that table.
    data : table, optional
        Rows of other clusters, with their outcomes: they are predicted by the fit itself, and nothing is left out.
    folds : int, optional
        Divides the clusters at random into as many folds, which are left out together; each cluster by itself if not
        given.
    least_events : int
        Clusters with fewer events or fewer non-events are never left out, and are not validated.
    clusters : {"average", "typical", "observed"}, or dict of these by grouping factor
        Which cluster effects predictions have. ``"average"``: the probability averaged over the population of clusters
        (a marginal prediction); ``"typical"``: that in a cluster with effects of zero (conditional); ``"observed"``,
        for factors whose clusters have rows that are not left out: their own effects. Factors that a dict does not name
        are averaged over.
    refit : bool
        For fits by a sampler: whether to sample again without those folds for which the weights of the draws are
        unreliable, with a Pareto k-hat above ``min(1 - 1 / log10(draws), 0.7)``; if not, their status is ``"check"``.
    ci_prob : float, optional
        Probability of the intervals; ArviZ's default if not given.
    seed : int, optional
        For the assignment of clusters to folds; drawn, and kept in the result, if not given.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes refits over workers.

    Returns
    -------
    Validation
        ``.table`` has one row for each cluster, with ``rows``, ``trials``, ``events``, ``expected`` events, and these
        measures, each with its standard error (``auc_se``):

        - ``calibration_intercept``, calibration in the large: the intercept of a logistic regression of the outcomes
          with the logits of the predictions as an offset. 0 is perfect; above 0, there are more events than predicted.
        - ``calibration_slope``: the slope of the outcomes on the logits. 1 is perfect; below 1, predictions are too
          extreme.
        - ``oe``: observed / expected events.
        - ``auc``: the c-statistic within the cluster.
        - ``brier`` and ``log_score``, as in `hierlogit.scores`.

        and ``fold``, ``status`` and, for fits by a sampler, ``pareto_k`` of the cluster's fold, missing if it was
        sampled again. ``.pooled`` has one row for each measure: ``estimate``, the mean over clusters, with the ends of
        its interval (``wald89_lb``) and of the interval for the true value in a new cluster (``prediction89_lb``);
        ``tau``, the standard deviation between clusters on the ``scale`` of pooling, and ``i2``; how many ``clusters``
        are pooled and how many ``not_pooled``, and in how many the measure is ``not_estimable``. ``.performance`` has
        the measures of all rows together, and ``.predictions`` the probabilities. ``.plot()`` draws the clusters.
        Ctrl-C returns what is done so far.

    Raises
    ------
    FitError
        If there is no such grouping factor or column, a likelihood fit is not at a maximum, the model has sampling
        weights, or the fit is pooled over imputations.
    PredictionError
        If an option is out of range, there are fewer clusters than folds, effects are ``"observed"`` of which no rows
        remain, or `data` cannot be predicted.

    See Also
    --------
    hierlogit.scores, hierlogit.calibration : With ``group=``, over all rows.
    hierlogit.plots.validation, hierlogit.plots.validation_curves : Plots.

    Notes
    -----
    Fits by a likelihood engine are refitted without the rows, exactly. For fits by a sampler, draws are weighted by
    Pareto-smoothed importance sampling, with the effects of the clusters that are left out integrated out. What a
    formula learns from the rows (knots of splines, means of `scale`) and default priors stay those of all rows.

    A cluster's standard errors are those of its rows, which are independent given the cluster: of the AUC by DeLong's
    method, of log(O/E) ``sqrt(sum m p (1 - p)) / expected`` with the predictions p of m trials each.

    The calibration intercept and slope are pooled by mixed logistic regressions of all rows, in one stage: with the
    logits of the predictions as an offset and a random intercept, and with random intercepts and slopes of the logits.
    The other measures are pooled in two stages, by random-effects meta-analysis with restricted maximum likelihood and
    Hartung and Knapp's standard error; the AUC as a logit, O/E and the scores as logarithms. The AUC has standard
    errors from the variances of its placements in all clusters together, since DeLong's of a small cluster depends on
    its AUC. Intervals of the mean are by t with k - 1 degrees of freedom for k clusters. The interval for a new
    cluster is ``estimate +- t sqrt(tau^2 + se^2)`` on the scale of pooling, with k - 2. It is for the true value, not
    for what few rows of a cluster would show.

    Measures of a cluster without both outcomes are not estimable, except for its scores, and slopes of small clusters
    are imprecise: ``not_estimable`` counts them. Clusters without events have no log(O/E), so that where many have
    none, ``oe`` is that of clusters with more events; ``calibration_intercept`` is of all.

    The AUC of all rows compares patients of different clusters too, and is another quantity than that within clusters
    (van Klaveren et al. 2014). ``"typical"`` predictions are not calibrated in the large even by the right model: their
    probabilities are more extreme than those averaged over clusters (Pavlou et al. 2015).

    References
    ----------
    Debray, Damen, Snell et al. (2017), BMJ 356: i6460, and Debray, Damen, Riley et al. (2019), Statistical Methods in
    Medical Research 28: 2768-2786, for the meta-analysis of performance.
    Snell, Ensor, Debray, Moons and Riley (2018), Statistical Methods in Medical Research 27: 3505-3522, for the scales.
    Royston, Parmar and Sylvester (2004), Statistics in Medicine 23: 907-926, for internal-external validation.
    Higgins, Thompson and Spiegelhalter (2009), Journal of the Royal Statistical Society A 172: 137-159, and Partlett
    and Riley (2017), Statistics in Medicine 36: 301-317, for the interval for a new cluster.
    Skrondal and Rabe-Hesketh (2009), Journal of the Royal Statistical Society A 172: 659-687, and Pavlou, Ambler,
    Seaman and Omar (2015), BMC Medical Research Methodology 15: 59, for predictions in new clusters.
    van Klaveren, Steyerberg, Perel and Vergouwe (2014), BMC Medical Research Methodology 14: 5, for the AUC within
    clusters.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ age + urban + livch + (1 | district)", hl.datasets.load("contraception"))
    >>> found = hl.validate(model.fit(hl.Laplace(seed=1)), folds=10, seed=1)
    >>> found.pooled.loc[["calibration_slope", "auc"], ["estimate", "tau", "clusters", "not_estimable"]].round(2)
    Measures pooled over clusters of district
      measure            estimate   tau  clusters  not_estimable
      calibration_slope      1.13  0.83        60              5
      auc                    0.64  0.54        56              3
    """
    require_unweighted(fit, "hl.validate", NOT_THE_POPULATION)
    refuse_pooled(fit, "fit", "Predictions are validated by the outcomes")
    interval = Interval.of(ci_prob, "eti")
    seed = seed_or_new(seed, PredictionError)
    refit = flag("refit", refit, FitError)
    check_executor(executor)
    treatments = unseen_treatments(fit.model, clusters)
    if data is not None:
        return _external(fit, group, data, treatments, interval, _left_out_options(folds, least_events))
    chosen = left_out_clusters(fit, group)
    outcome = fit.model.design.outcome
    parts = Folds.of(chosen, outcome.y, outcome.trials, folds=folds, least_events=least_events, seed=seed)
    unseen = UnseenClusters.of(fit, parts, treatments, refit=refit, executor=executor)
    predictions = _predictions(
        chosen, parts.of_rows, outcome.y, outcome.trials, unseen.probability, fit.model.design.table.rows
    )
    table = _table(chosen, predictions)
    table["fold"] = np.where(parts.number == KEPT, 0, parts.number + 1)
    table["status"] = np.where(parts.number == KEPT, "kept", np.array(unseen.status, dtype=object)[parts.number])
    if unseen.pareto_k is not None:
        table["pareto_k"] = np.where(parts.number == KEPT, np.nan, unseen.pareto_k[parts.number])
    how = "each cluster left out" if folds is None else f"{parts.count:,} folds of clusters left out"
    failures = {parts.described(number): text for number, text in sorted(unseen.failures.items())}
    predicted = np.isfinite(unseen.probability)
    method = f"{how}, {unseen.method}"
    kept_seed = None if folds is None else seed
    return _assembled(fit, table, predictions, predicted, treatments, interval, failures, method, kept_seed)


def _left_out_options(folds: int | None, least_events: int) -> list[str]:
    """Options that were given and are for clusters that are left out."""
    return [name for name, given in (("folds", folds is not None), ("least_events", least_events != 0)) if given]


def _external(
    fit: Fit, group: Any, data: Any, treatments: Mapping[str, str], interval: Interval, given: list[str]
) -> Validation:
    """Validation on the rows of another table, by the fit itself."""
    if given:
        raise PredictionError(
            f"{quoted_list(given)} {agree(given, 'is', 'are')} for clusters that are left out. With data=, all "
            f"clusters of the table are predicted by the fit itself: leave {agree(given, 'it', 'them')} out."
        )
    rows = ExternalRows.of(fit, data, group, treatments)
    fold = np.zeros(len(rows.y), dtype=np.intp)
    predictions = _predictions(rows.clusters, fold, rows.y, rows.trials, rows.probability, rows.labels)
    table = _table(rows.clusters, predictions)
    table["fold"], table["status"] = 1, np.where(rows.known, "known", "converged")
    every = np.ones(fit.model.design.n_rows, dtype=bool)
    how = "rows of another table, predicted by the fit"
    return _assembled(fit, table, predictions, every, treatments, interval, {}, how)


def _predictions(
    clusters: Clusters, fold: npt.NDArray[np.intp], y: FloatArray, trials: FloatArray, p: FloatArray, rows: Any
) -> pd.DataFrame:
    columns = {"cluster": clusters.labels[clusters.index], "fold": fold + 1, "y": y, "trials": trials, "probability": p}
    return pd.DataFrame(columns, index=rows)


def _table(clusters: Clusters, predictions: pd.DataFrame) -> pd.DataFrame:
    """The measures of each cluster; those of clusters that were not predicted are missing."""
    told = predictions["probability"].notna().to_numpy()
    p, y, trials = (predictions[name].to_numpy()[told] for name in ("probability", "y", "trials"))
    table = measures_of(p, y, trials, clusters.index[told], len(clusters.labels)).set_axis(clusters.labels)
    for name, values in (("rows", None), ("trials", "trials"), ("events", "y")):
        weights = clusters.counts if values is None else predictions[values].to_numpy()
        counts = np.bincount(clusters.index, weights, len(clusters.labels))
        table[name] = counts.round().astype(np.int64)
    table["expected"] = table["expected"].where(table["brier"].notna())
    return table


def _assembled(
    fit: Fit,
    table: pd.DataFrame,
    predictions: pd.DataFrame,
    seen: npt.NDArray[np.bool_],
    treatments: Mapping[str, str],
    interval: Interval,
    failures: Mapping[Any, str],
    method: str,
    seed: int | None = None,
) -> Validation:
    """The result, with the apparent measures of the training rows that are `seen`."""
    outcome, group = fit.model.design.outcome, str(table.index.name)
    told = predictions.dropna(subset=["probability"])
    p, y, trials = (told[name].to_numpy() for name in ("probability", "y", "trials"))
    rows = PredictedRows(p, y, trials, table.index.get_indexer(pd.Index(told["cluster"])))
    validated = overall_measures(p, y, trials)
    apparent = overall_measures(fitted_probability(fit, treatments)[seen], outcome.y[seen], outcome.trials[seen])
    pooled = pooled_measures(table[table["status"] != "kept"], rows, interval)
    performance = pd.DataFrame({"apparent": apparent, "validated": validated, "optimism": apparent - validated})
    return Validation(
        group,
        ResultTable.of(table, f"Clusters of {group}", data=["fold"], spare=SPARE, picture=None),
        ResultTable.of(pooled, f"Measures pooled over clusters of {group}"),
        ResultTable.of(performance.loc[list(MEASURES)].rename_axis("measure"), "Measures of all rows together"),
        predictions,
        interval,
        treatments,
        failures,
        method,
        outcome.event,
        seed,
    )
