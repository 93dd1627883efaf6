"""`Fit` → `scores`: how good its probabilities are, for the rows it saw and for rows left out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..density.linear_predictor import Draws
from ..effects.cluster_choice import cluster_choices
from ..effects.cluster_effects import PlacedRows
from ..effects.query import PredictionQuery
from ..errors import PredictionError
from ..fits.arguments import require_fit
from ..fits.repeated_findings import repeats_findings
from ..lazy_draws import lazy_variable
from ..progress import progress
from ..summaries.intervals import DrawTable, Interval, summarise
from ..validation import flag, shortened
from .loo_rows import Unseen, log_kernel, unseen_rows

if TYPE_CHECKING:
    from ..design.outcome import Outcome
    from ..fits.fit import Fit

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
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    seed: int | None = None,
) -> DrawTable:
    """Brier score, logarithmic score and area under the ROC curve, in the sample and with rows left out.

    Parameters
    ----------
    fit : Fit
    clusters : {"observed", "average", "typical", "new"}, or dict of these by grouping factor
        Cluster effects of the probabilities in the sample; see `predictions`.
    loo : bool, optional
        Whether each row is also scored by a fit without it; by default for fits by NUTS, if `clusters` is
        ``"observed"``. Fits by a likelihood engine are refitted without each row, in milliseconds to seconds each.
    num_draws : int, optional
        How many posterior draws to use in the sample, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.
    seed : int, optional
        Repeats the effects of new clusters exactly.

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
        interval normal. For fits by a sampler, ``table.attrs["pareto_k"]`` has the k-hat of each row.

    Raises
    ------
    PredictionError
        If an option is out of range, or rows are left out and `clusters` is not ``"observed"``.

    Warns
    -----
    ConvergenceWarning
        If the Pareto k-hat of rows is so large that predictions without them are unreliable, or if there is no maximum
        without them.

    Notes
    -----
    A row with n trials counts n times, and is left out with all of them; its log score is that of its trials one by
    one, without the binomial coefficient. For fits by a sampler, the posterior without a row is approximated by
    Pareto-smoothed importance sampling (Vehtari, Gelman and Gabry 2017), as in `loo`. The other rows of the cluster
    stay: the scores are those of predictions for new rows of known clusters. Standard errors treat rows as independent;
    that of the AUC is by DeLong's method, or Obuchowski's if rows have several trials. Intervals of ``"training"``
    express uncertainty about the parameters, those of ``"loo"`` sampling variation of the rows.

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
    require_fit(fit)
    interval = Interval.of(ci_prob, ci_kind)
    own_clusters = all(chosen == "observed" for chosen in cluster_choices(fit.model, clusters).values())
    left_out = fit.estimate is None and own_clusters if loo is None else flag("loo", loo, PredictionError)
    if left_out and not own_clusters:
        raise PredictionError(
            f"clusters={shortened(clusters)}: with loo=True rows are left out one by one, and predicted with the "
            "effects of their own clusters. Leave clusters= at 'observed', or pass loo=False."
        )
    table = _in_sample(fit, clusters, num_draws, interval, seed)
    if not left_out:
        return table
    unseen = unseen_rows(fit)
    rows = _left_out(unseen, fit.model.design.outcome, interval)
    if fit.estimate is not None:
        rows = rows.rename(columns={"mean": "estimate"})
    both = DrawTable.with_draws(pd.concat([pd.DataFrame(table), rows], ignore_index=True), table.draws, table.quantity)
    if unseen.k_hat is not None:
        # Not an array: pandas compares the attributes of tables that it joins.
        both.attrs["pareto_k"] = tuple(unseen.k_hat.tolist())
    return both


def score_values(p: FloatArray, y: FloatArray, trials: FloatArray) -> FloatArray:
    """Brier score, log score and AUC of probabilities, shape (draws, n); shape (draws, 3)."""
    total = trials.sum()
    brier = _squared_errors(p, y, trials).sum(axis=1) / total
    return np.column_stack([brier, -log_kernel(p, y, trials).sum(axis=1) / total, [auc(one, y, trials) for one in p]])


def _squared_errors(p: FloatArray, y: FloatArray, trials: FloatArray) -> FloatArray:
    """Squared errors of each row, summed over its trials."""
    return y * (1 - p) ** 2 + (trials - y) * p**2


def auc(p: FloatArray, y: FloatArray, trials: FloatArray) -> float:
    """Share of pairs of an event and a non-event in which the event had the higher probability, ties counting half.

    Examples
    --------
    >>> auc(np.array([0.2, 0.4, 0.4]), np.array([0.0, 1.0, 0.0]), np.ones(3))
    0.75
    """
    lower, _ = _placements(p, y, trials)
    return float((y * lower).sum() / y.sum())


def _placements(p: FloatArray, y: FloatArray, trials: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For each row, the share of non-events with a lower probability, and of events with a higher one; ties half."""
    distinct, member = np.unique(p, return_inverse=True)
    events = np.bincount(member, weights=y, minlength=len(distinct))
    others = np.bincount(member, weights=trials - y, minlength=len(distinct))
    lower = (np.cumsum(others) - others / 2) / others.sum()
    higher = (events.sum() - np.cumsum(events) + events / 2) / events.sum()
    return lower[member], higher[member]


def auc_error(p: FloatArray, y: FloatArray, trials: FloatArray) -> float:
    """Standard error of the AUC of independent rows (Obuchowski 1997, Biometrics 53: 567-578).

    Of rows of one trial it is that of DeLong, DeLong and Clarke-Pearson; trials of one row are not independent.
    """
    lower, higher = _placements(p, y, trials)
    area = (y * lower).sum() / y.sum()
    events, others = y * (lower - area), (trials - y) * (higher - area)
    with_events, with_others = int((y > 0).sum()), int((y < trials).sum())
    variance = (
        _per_row(with_events) * (events**2).sum() / y.sum() ** 2
        + _per_row(with_others) * (others**2).sum() / (trials - y).sum() ** 2
        + 2 * _per_row(len(y)) * (events * others).sum() / (y.sum() * (trials - y).sum())
    )
    return float(np.sqrt(max(variance, 0.0)))


def _per_row(count: int) -> float:
    """What a sum of squares about an estimated mean is too small by."""
    return count / (count - 1) if count > 1 else np.nan


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


def _left_out(unseen: Unseen, outcome: Outcome, interval: Interval) -> pd.DataFrame:
    """Scores of rows by fits without them, with standard errors and normal intervals."""
    y, trials, p = outcome.y, outcome.trials, unseen.probability
    each = {"brier": _squared_errors(p, y, trials), "log_score": -unseen.log_probability}
    # A mean over trials is a sum over rows of different size; rows are what is independent.
    total = float(trials.sum())
    scores_and_errors = {
        name: (float(values.sum()) / total, _sum_error(values) / total) for name, values in each.items()
    }
    scores_and_errors["auc"] = auc(p, y, trials), auc_error(p, y, trials)
    low, high = interval.columns
    table = pd.DataFrame(
        {
            "score": SCORES,
            "sample": "loo",
            "mean": [scores_and_errors[k][0] for k in SCORES],
            "sd": [scores_and_errors[k][1] for k in SCORES],
        }
    )
    limits = np.array([RANGES[name] for name in SCORES])
    table[low] = np.clip(table["mean"] - interval.quantile * table["sd"], limits[:, 0], limits[:, 1])
    table[high] = np.clip(table["mean"] + interval.quantile * table["sd"], limits[:, 0], limits[:, 1])
    return table


def _sum_error(values: FloatArray) -> float:
    """Standard error of a sum over independent rows."""
    return float(np.sqrt(len(values)) * values.std(ddof=1))
