"""`Fit` → `scores`: how good its probabilities are, for the rows it saw and for rows left out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..density.linear_predictor import Draws
from ..effects.cluster_choice import cluster_choices
from ..effects.cluster_effects import PlacedRows
from ..effects.query import PredictionQuery
from ..errors import PredictionError
from ..fits.arguments import NOT_THE_POPULATION, refuse_pooled, require_unweighted
from ..fits.repeated_findings import repeats_findings
from ..lazy_draws import lazy_variable
from ..parallel.workers import check_executor
from ..progress import progress
from ..summaries.intervals import DrawTable, Interval, summarise
from ..validation import flag, seed_or_new, shortened
from .loo_rows import Unseen, unseen_rows
from .new_clusters.folds import Folds
from .new_clusters.unseen_clusters import UnseenClusters, left_out_clusters, unseen_treatments
from .row_scores import auc, auc_error, log_kernel, mean_error, squared_errors

if TYPE_CHECKING:
    from ..design.outcome import Outcome
    from ..fits.fit import Fit
    from ..parallel.workers import AnyExecutor

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
SCORES = ("brier", "log_score", "auc")
#: Values that each of them can have.
RANGES = {"brier": (0.0, 1.0), "log_score": (0.0, np.inf), "auc": (0.0, 1.0)}


@repeats_findings
def scores(
    fit: Fit,
    *,
    clusters: str | Mapping[str, str] = "observed",
    loo: bool | None = None,
    group: Any = None,
    folds: int | None = None,
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    seed: int | None = None,
    executor: AnyExecutor | None = None,
) -> DrawTable:
    """Brier score, logarithmic score and area under the ROC curve, in the sample and with rows or clusters left out.

    Parameters
    ----------
    fit : Fit
    clusters : {"observed", "average", "typical", "new"}, or dict of these by grouping factor
        Cluster effects of the probabilities in the sample; see `predictions`.
    loo : bool, optional
        Whether each row is also scored by a fit without it; by default for fits by NUTS, if `clusters` is
        ``"observed"``. Fits by a likelihood engine are refitted without each row, in milliseconds to seconds each.
    group : str or column of values, optional
        In place of single rows, the clusters of this grouping factor or column are left out, and their rows predicted
        by the average over the population of clusters. `validate` has the scores of each cluster, and more options.
    folds : int, optional
        With `group`, into how many folds the clusters are divided; each is left out by itself if not given.
    num_draws : int, optional
        How many posterior draws to use in the sample, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.
    seed : int, optional
        Repeats the effects of new clusters, and the assignment of clusters to folds, exactly. That of the
        folds is drawn, and kept in ``table.attrs["seed"]``, if not given.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes the fits without each row or cluster over workers, as for `bootstrap`.

    Returns
    -------
    DrawTable
        One row for each score and ``sample``. Lower is better for ``brier``, the mean of (y - p)^2 over trials, and
        ``log_score``, the mean of -log p of the observed outcomes (in nats); higher is better for ``auc``, the
        probability that an event has a higher predicted probability than a non-event, ties counting half. With
        ``sample`` ``"training"``, ``mean``, ``sd`` and the ends of the interval are over the scores of the posterior
        draws, which ``.draws`` has. For likelihood fits there is only ``estimate``, the score at the maximum: it is
        better than the scores of nearly all draws, so that an interval over the draws would not contain it (unless
        effects of new clusters are drawn, which have no maximum); scores of draws are computed when they are read. With
        ``"loo"``, the score is that of probabilities by fits without the row, ``sd`` its standard error, and the
        interval normal. For fits by a sampler, ``table.attrs["pareto_k"]`` has the k-hat of each row. With `group`, the
        sample is ``"new clusters"``, and standard errors take clusters as independent.

    Raises
    ------
    PredictionError
        If an option is out of range, or rows are left out and `clusters` is not ``"observed"``.
    FitError
        If there is no such grouping factor or column, or no fit without some cluster.
    StudyError
        If the executor cannot run the fits.

    Warns
    -----
    ConvergenceWarning
        If the Pareto k-hat of rows is so large that predictions without them are unreliable, or if there is no maximum
        without them.

    Notes
    -----
    A row with n trials counts n times, and is left out with all of them; its log score is that of its trials one by
    one, without the binomial coefficient. It judges probabilities: with beta-binomial outcomes it does not depend on
    phi, and `loo` judges the distribution of the counts. For fits by a sampler, the posterior without a row is
    approximated by Pareto-smoothed importance sampling (Vehtari, Gelman and Gabry 2017), as in `loo`. The other rows of
    the cluster stay: the scores are those of predictions for new rows of known clusters. Standard errors treat rows as
    independent; that of the AUC is by DeLong's method, or Obuchowski's if rows have several trials. Intervals of
    ``"training"`` express uncertainty about the parameters, those of ``"loo"`` sampling variation of the rows.

    References
    ----------
    Gneiting and Raftery (2007), Journal of the American Statistical Association 102: 359-378.
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44: 837-845.
    Obuchowski (1997), Biometrics 53: 567-578.
    Vehtari, Gelman and Gabry (2017), Statistics and Computing 27: 1413-1432.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.scores(fit)[["score", "sample", "estimate"]]
    Scores of predicted probabilities
      score      sample    estimate
      brier      training     0.218
      log_score  training     0.626
      auc        training     0.679
    """
    require_unweighted(fit, "hl.scores", NOT_THE_POPULATION)
    refuse_pooled(fit, "fit", "Scores are of the rows")
    check_executor(executor)
    interval = Interval.of(ci_prob, ci_kind)
    own_clusters = all(chosen == "observed" for chosen in cluster_choices(fit.model, clusters).values())
    if group is not None:
        return _with_clusters_left_out(fit, clusters, loo, group, folds, num_draws, interval, seed, executor)
    if folds is not None:
        raise PredictionError("folds: name the clusters that are divided into folds, group='district'.")
    left_out = fit.estimate is None and own_clusters if loo is None else flag("loo", loo, PredictionError)
    if left_out and not own_clusters:
        raise PredictionError(
            f"clusters={shortened(clusters)}: with loo=True rows are left out one by one, and predicted with the "
            "effects of their own clusters. Leave clusters= at 'observed', or pass loo=False."
        )
    table = _in_sample(fit, clusters, num_draws, interval, seed)
    if not left_out:
        return table
    unseen = unseen_rows(fit, executor)
    both = _joined(fit, table, _left_out(unseen, fit.model.design.outcome, interval, "loo"))
    if unseen.k_hat is not None:
        # Not an array: pandas compares the attributes of tables that it joins.
        both.attrs["pareto_k"] = tuple(unseen.k_hat.tolist())
    return both


def _with_clusters_left_out(
    fit: Fit,
    clusters: str | Mapping[str, str],
    loo: bool | None,
    group: Any,
    folds: int | None,
    num_draws: int | None,
    interval: Interval,
    seed: int | None,
    executor: AnyExecutor | None,
) -> DrawTable:
    """Scores in the sample, and of rows by fits without their clusters."""
    if loo is not None and flag("loo", loo, PredictionError):
        raise PredictionError("loo=True leaves out rows and group= clusters: give one of them.")
    outcome, left_out = fit.model.design.outcome, left_out_clusters(fit, group)
    used_seed = seed_or_new(seed, PredictionError)
    parts = Folds.of(left_out, outcome.y, outcome.trials, folds=folds, seed=used_seed)
    treatments = unseen_treatments(fit.model, "average")
    p = UnseenClusters.of(fit, parts, treatments, executor=executor).complete(parts)
    unseen = Unseen(p, log_kernel(p, outcome.y, outcome.trials), None)
    table = _in_sample(fit, clusters, num_draws, interval, seed)
    both = _joined(fit, table, _left_out(unseen, outcome, interval, "new clusters", left_out.index))
    if folds is not None:
        both.attrs["seed"] = used_seed
    return both


def _joined(fit: Fit, table: DrawTable, rows: pd.DataFrame) -> DrawTable:
    """The scores in the sample with those of rows or clusters left out below."""
    if fit.estimate is not None and "estimate" in table:
        rows = rows.rename(columns={"mean": "estimate"})
    return DrawTable.with_draws(pd.concat([pd.DataFrame(table), rows], ignore_index=True), table.draws, table.quantity)


def score_values(p: FloatArray, y: FloatArray, trials: FloatArray) -> FloatArray:
    """Brier score, log score and AUC of probabilities, shape (draws, n); shape (draws, 3)."""
    total = trials.sum()
    brier = squared_errors(p, y, trials).sum(axis=1) / total
    return np.column_stack([brier, -log_kernel(p, y, trials).sum(axis=1) / total, [auc(one, y, trials) for one in p]])


def _in_sample(
    fit: Fit, clusters: str | Mapping[str, str], num_draws: int | None, interval: Interval, seed: int | None
) -> DrawTable:
    query = PredictionQuery.for_predictions(fit, clusters=clusters, num_draws=num_draws, seed=seed)
    outcome, rows = fit.model.design.outcome, query.place(query.rows)
    table = pd.DataFrame({"score": SCORES, "sample": "training"})
    dims, shape = ("chain", "draw", "row"), (*query.chain_shape, len(SCORES))
    if query.point is not None and not rows.new:
        table["estimate"] = score_values(query.treatment.predict(query.point, rows), outcome.y, outcome.trials)[0]
        # No column summarises the scores of the draws, for each of which the rows are sorted.
        draws = lazy_variable(dims, shape, partial(_scores_at, query, rows))
    else:
        values = _scores_of_draws(query, rows, query.draws)
        table = table.assign(**summarise(values, interval))
        draws = xr.Variable(dims, values.reshape(shape))
    array = xr.DataArray(draws, coords={"row": [f"{name} training" for name in SCORES]})
    return DrawTable.with_draws(table, array, "Scores of predicted probabilities")


def _scores_of_draws(query: PredictionQuery, rows: PlacedRows, draws: Draws) -> FloatArray:
    """Scores in the sample, shape (draws, 3)."""
    outcome = query.design.outcome
    values: FloatArray = np.empty((len(draws), len(SCORES)))
    for part, some in progress(list(draws.chunks(len(rows))), "Scoring"):
        p: FloatArray = query.treatment.of_part(part).predict(some, rows)
        values[part] = score_values(p, outcome.y, outcome.trials)
    return values


def _scores_at(
    query: PredictionQuery, rows: PlacedRows, chain: IntArray, draw: IntArray, score: IntArray
) -> FloatArray:
    picked = (chain[:, None] * query.chain_shape[1] + draw).ravel()
    values: FloatArray = _scores_of_draws(query, rows, query.draws[picked]).reshape(len(chain), len(draw), -1)
    return values[..., score]


def _left_out(
    unseen: Unseen, outcome: Outcome, interval: Interval, sample: str, cluster: IntArray | None = None
) -> pd.DataFrame:
    """Scores of rows by fits without them or their clusters, with standard errors and normal intervals."""
    y, trials, p = outcome.y, outcome.trials, unseen.probability
    each = {"brier": squared_errors(p, y, trials), "log_score": -unseen.log_probability}
    scores_and_errors = {
        name: (float(values.sum() / trials.sum()), mean_error(values, trials, cluster)) for name, values in each.items()
    }
    scores_and_errors["auc"] = auc(p, y, trials), auc_error(p, y, trials, cluster)
    low, high = interval.columns
    table = pd.DataFrame(
        {
            "score": SCORES,
            "sample": sample,
            "mean": [scores_and_errors[k][0] for k in SCORES],
            "sd": [scores_and_errors[k][1] for k in SCORES],
        }
    )
    limits = np.array([RANGES[name] for name in SCORES])
    table[low] = np.clip(table["mean"] - interval.quantile * table["sd"], limits[:, 0], limits[:, 1])
    table[high] = np.clip(table["mean"] + interval.quantile * table["sd"], limits[:, 0], limits[:, 1])
    return table
