"""Predictions of a fit for its own rows and new ones, per posterior draw and then summarised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..density.linear_predictor import Draws
from ..errors import PredictionError
from ..fits.arguments import require_fit
from ..fits.repeated_findings import repeats_findings
from ..summaries.intervals import DrawTable, Interval
from ..validation import choice
from .averaging_by import Averages, average
from .cluster_choice import Clusters, cluster_choices
from .cluster_effects import SCALES, ClusterTreatment, PlacedRows
from .distinct_rows import distinct_for_averages
from .effects_picture import EffectsPicture
from .evaluated import Evaluated
from .hypothesis import IDENTITY, LOGIT, RowTests
from .over_imputations import described_rows, over_imputations
from .query import PredictionQuery
from .row_by_row import RowByRow

if TYPE_CHECKING:
    from ..fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
KINDS = ("expected", "outcome")


@repeats_findings
def predictions(
    fit: Fit,
    newdata: Any = None,
    *,
    clusters: Clusters = "observed",
    scale: str = "response",
    kind: str = "expected",
    by: str | Sequence[str] | bool | None = None,
    weights: str | Sequence[float] | None = None,
    given: Any = None,
    hypothesis: str | Any = None,
    direction: bool = False,
    rope: tuple[float, float] | None = None,
    adjust: str | None = None,
    allow_new_levels: bool = False,
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    seed: int | None = None,
) -> DrawTable:
    """Predicted probabilities, log-odds or simulated outcomes, row by row or averaged over rows.

    Parameters
    ----------
    fit : Fit
    newdata : table, optional
        Rows to predict for; the training rows if not given. Only columns that play a part are needed, and rows with
        missing values in them have results of NaN, with a warning that gives their number.
    clusters : {"observed", "new", "average", "typical", "low", "middle", "high"}, float, list or dict
        Which cluster effects count. ``"observed"``: those of the row's own clusters. ``"new"``: effects of clusters not
        in the training data, drawn from their distribution; rows with the same label share a draw, different labels get
        independent ones, and rows without the grouping columns are all in the same new cluster. ``"average"``: the
        probability averaged over the distribution of clusters, by quadrature. ``"typical"``: effects of zero. A number
        between 0 and 1: the representative cluster at this quantile of the distribution of clusters; ``"low"``,
        ``"middle"`` and ``"high"`` are those at 10, 50 and 90 %. A list of quantiles predicts for each of them. Only
        ``"observed"`` needs the grouping columns. A dict chooses for each factor, with ``"observed"`` as default:
        ``{"id": "average"}`` predicts for known items, averaged over persons, and ``{"id": [0.1, 0.9]}`` for known
        items and two persons.
    scale : {"response", "link"}
        Probabilities, or their logits.
    kind : {"expected", "outcome"}
        The expected value, or successes simulated with the row's trials (on the response scale only).
    by : str, list of str, or True, optional
        Columns whose groups of rows are averaged over, within each draw; True averages over all rows.
    weights : str or sequence of float, optional
        With `by`: a column of the rows, or one number for each row, such as the number of people that a cell of a
        census stands for (poststratification); by default all rows have the same weight, whatever their trials.
    given : table, optional
        Rows of clusters not in the training data whose outcomes are known. The effects of these clusters are drawn
        given their outcomes, one draw for each posterior draw, and count in `newdata` as those of training clusters do.
    hypothesis : str, list of str or array, optional
        Hypotheses about rows of the result, which replace them. Differences by name: ``"pairwise"``, ``"reference"``
        and ``"sequential"``, with the opposite sign ``"revpairwise"``, ``"revreference"`` and ``"revsequential"``.
        Relations between rows: ``"Y - N > 0.05"``, ``"b1 = b2"``, as for `hypotheses`. An array holds weights, shape
        (rows,) or (rows, hypotheses).
    direction : bool
        Whether to add ``p_direction``, the posterior probability that a value is on the same side as its median: above
        or below a probability of 0.5, log-odds of 0 or, with `hypothesis`, a difference of 0. For maximum-likelihood
        fits also ``z``, or ``t`` and ``df`` with few clusters, and ``p_value``.
    rope : pair of float, optional
        Bounds of a region of practical equivalence; adds ``p_rope``, the posterior probability inside it, and for
        maximum-likelihood fits ``p_equivalence``, the p-value of the two one-sided tests of equivalence.
    adjust : {"holm", "single-step"}, optional
        How to allow for the number of rows or hypotheses: Holm's adjustment of the p-values of maximum-likelihood
        fits, or the distribution of the largest deviation of all rows, which gives simultaneous intervals for all
        fits, and adjusted p-values.
    allow_new_levels : bool
        With ``clusters="observed"``, whether a cluster not in the training data is treated as ``"new"``; otherwise it
        is an error.
    num_draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.
    seed : int, optional
        Makes the effects of new clusters and simulated outcomes reproducible.

    Returns
    -------
    DrawTable
        The rows' columns, without grouping columns that play no part, with ``mean``, ``sd`` and the ends of the
        interval, labelled as the rows are in their table; a column of the data with one of these names becomes
        ``mean_in_data``. With `by` the columns averaged by, and ``rows``, the number of rows in each average, with
        `weights` also ``total_weight``, the sum of their weights. With quantiles of clusters, the first column is
        ``clusters``, which names them (``district 10%``), and the rows are repeated for each. For likelihood fits also
        ``estimate``, at the maximum and the conditional modes, unless effects or outcomes are drawn at random. Modes
        differ less than the effects of clusters do: with many small clusters, the estimate of an average can lie
        outside its interval, which is over draws of the effects. A note then says so; report the mean.
        ``.draws`` has the draws, dims (chain, draw, row). If the rows times the draws are more than two hundred
        million, the table is computed in blocks of rows, and draws are computed again when they are read from
        ``.draws``.

    Raises
    ------
    PredictionError
        If an option is not allowed, or the rows have a cluster or level that is not in the training data; it is named.

    Warns
    -----
    DataWarning
        If rows of `newdata` have missing values. Averages leave these rows out.

    Notes
    -----
    Over clusters, the sum ``z'b`` of the effects with their predictors is normal with variance ``z' Sigma z``. The
    representative cluster at the quantile p has ``z'b = q sqrt(z' Sigma z)``, with the normal quantile q of p, at the
    row's predictors and in each draw. At these predictors, a share p of all clusters has smaller probabilities. With
    random slopes, one cluster need not be low everywhere: the low cluster at age 20 may not be that at age 40. With
    several grouping factors, a quantile for all is that of the sum of their contributions (``id + item 10%``); in a
    dict, each factor has its own (``id 10%, item 10%``, which is less likely).

    References
    ----------
    Duchateau and Janssen (2005), The American Statistician 59: 143-146, for quantiles of clusters.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> rows = hl.datagrid(fit, urban=["N", "Y"])
    >>> hl.predictions(fit, rows, clusters="typical")[["urban", "estimate"]]
    Probability of use = 1
      urban  estimate
      N         0.332
      Y         0.488
    >>> hl.predictions(fit, rows, clusters="typical", hypothesis="pairwise")[["hypothesis", "estimate"]]
    Probability of use = 1, combined over rows
      hypothesis  estimate
      (Y) - (N)      0.156
    >>> hl.predictions(fit, rows, clusters=["low", "high"])[["clusters", "urban", "estimate"]]
    Probability of use = 1
      clusters      urban  estimate
      district 10%  N         0.222
      district 10%  Y         0.353
      district 90%  N         0.464
      district 90%  Y         0.624
    """
    interval = Interval.of(ci_prob, ci_kind)
    choice("scale", scale, SCALES, PredictionError)
    choice("kind", kind, KINDS, PredictionError)
    if kind == "outcome" and scale == "link":
        raise PredictionError("kind='outcome' simulates outcomes, which have no link scale: leave scale= out.")
    probabilities = kind == "expected" and scale == "response"
    tests = RowTests.of(
        fit,
        hypothesis=hypothesis,
        direction=direction,
        rope=rope,
        adjust=adjust,
        null=0.5 if probabilities else 0.0,
        scale=LOGIT if probabilities else IDENTITY,
    )
    if kind == "outcome" and tests.direction and hypothesis is None:
        raise PredictionError(
            "direction=True: simulated outcomes are counts, which have no direction. Pass hypothesis= to compare rows, "
            "or leave kind= at 'expected'."
        )

    def values_of(one: Fit, count: int | None) -> tuple[PredictionQuery, Evaluated | RowByRow]:
        query = PredictionQuery.for_predictions(
            one,
            newdata,
            clusters=clusters,
            scale=scale,
            by=by,
            weights=weights,
            given=given,
            allow_new_levels=allow_new_levels,
            num_draws=count,
            seed=seed,
            others=fit.model.design.trial_columns if kind == "outcome" else (),
        )
        return query, _simulated(query) if kind == "outcome" else _expected(query)

    queries, values = over_imputations(fit, num_draws, values_of)
    query = queries[0]
    what = f"simulated outcomes, {query.design.outcome.event}" if kind == "outcome" else query.predicted_quantity
    quantity = what if query.averages is None else f"average {what}"
    described = query.for_each_set(described_rows(queries))
    picture = EffectsPicture.of("predictions", query)
    return tests.table(quantity[0].upper() + quantity[1:], described, values, interval, picture, query.at_modes)


@repeats_findings
def avg_predictions(
    fit: Fit,
    newdata: Any = None,
    *,
    clusters: Clusters = "observed",
    scale: str = "response",
    kind: str = "expected",
    by: str | Sequence[str] | bool = True,
    weights: str | Sequence[float] | None = None,
    given: Any = None,
    hypothesis: str | Any = None,
    direction: bool = False,
    rope: tuple[float, float] | None = None,
    adjust: str | None = None,
    allow_new_levels: bool = False,
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    seed: int | None = None,
) -> DrawTable:
    """Predictions averaged over rows, within each draw: over all rows, or by groups.

    Parameters
    ----------
    fit : Fit
    newdata : table, optional
        Rows to predict for; the training rows if not given.
    clusters, scale, kind
        As for `predictions`.
    by : str, list of str, or True
        Columns whose groups of rows are averaged over; True averages over all rows.
    weights, given, hypothesis, direction, rope, adjust, allow_new_levels, num_draws, ci_prob, ci_kind, seed
        As for `predictions`.

    Returns
    -------
    DrawTable
        As for `predictions` with `by`.

    Raises
    ------
    PredictionError
        As for `predictions`.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.avg_predictions(fit, clusters="average")["mean"].round(2).to_list()
    [0.38]
    >>> pairs = hl.avg_predictions(fit, by="urban", hypothesis="pairwise", direction=True, rope=(-0.02, 0.02))
    >>> pairs[["hypothesis", "estimate", "p_direction", "p_rope"]]
    Average probability of use = 1, combined over rows
      hypothesis  estimate  p_direction   p_rope
      (Y) - (N)      0.176      > 0.999  < 0.001
    """
    return predictions(
        fit,
        newdata,
        clusters=clusters,
        scale=scale,
        kind=kind,
        by=by,
        weights=weights,
        given=given,
        hypothesis=hypothesis,
        direction=direction,
        rope=rope,
        adjust=adjust,
        allow_new_levels=allow_new_levels,
        num_draws=num_draws,
        ci_prob=ci_prob,
        ci_kind=ci_kind,
        seed=seed,
    )


def _expected(query: PredictionQuery) -> Evaluated | RowByRow:
    """Predictions of the rows, or their averages over groups of rows."""
    rows = query.place(query.rows)
    averages, chosen = distinct_for_averages(query.averages, [rows])
    rows = rows.at(chosen)
    return query.predicted(partial(_predicted_rows, averages, rows), 1, rows, "Predicting")


def _predicted_rows(
    averages: Averages | None, rows: PlacedRows, treatment: ClusterTreatment, draws: Draws, run: slice
) -> list[FloatArray]:
    return [average(treatment.predict(draws, rows.part(run)), averages)]


def _simulated(query: PredictionQuery) -> Evaluated | RowByRow:
    """Outcomes simulated for the rows, or their averages over groups of rows."""
    if "average" in query.treatment.clusters.values():
        raise PredictionError(
            "kind='outcome' needs a cluster for each row, and clusters='average' averages over clusters. Use "
            "clusters='new' for rows of clusters that are not in the training data."
        )
    design, rows = query.design, query.place(query.rows)
    trials = design.outcome.trials if query.data.of_training else design.encode_trials(query.data.complete_frame)
    simulated = partial(_simulated_rows, query.averages, rows, trials)
    return replace(query, point=None).predicted(simulated, 1, rows, "Simulating")


def _simulated_rows(
    averages: Averages | None,
    rows: PlacedRows,
    trials: FloatArray,
    treatment: ClusterTreatment,
    draws: Draws,
    run: slice,
) -> list[FloatArray]:
    return [average(treatment.simulate(draws, rows.part(run), trials[run]), averages)]


@repeats_findings
def posterior_predictive(
    fit: Fit,
    newdata: Any = None,
    *,
    clusters: str | Mapping[str, str] = "observed",
    num_draws: int | None = None,
    allow_new_levels: bool = False,
    seed: int | None = None,
) -> xr.DataTree:
    """Outcomes simulated from the fit, for predictive checks with ArviZ.

    ``fit.data`` holds no simulated outcomes: ArviZ's checks, such as ``az.plot_ppc_dist``, take the result of this
    function in its place.

    Parameters
    ----------
    fit : Fit
    newdata : table, optional
        Rows to simulate; the training rows if not given.
    clusters : {"observed", "new", "typical"}, or dict of these by grouping factor
        Which cluster effects count, as for `predictions`.
    num_draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    allow_new_levels : bool
        Whether a cluster not in the training data gets effects drawn from their distribution; otherwise it is an error.
    seed : int, optional
        Makes the outcomes reproducible.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior_predictive`` with the outcome, dims (chain, draw, obs), and for the training rows
        ``observed_data`` and ``constant_data``. Rows with missing values have outcomes of NaN. If the rows times the
        draws are more than two hundred million, outcomes are simulated when they are read: ``num_draws=`` makes fewer.
        The fit itself is not changed.

    Raises
    ------
    PredictionError
        If an option is not allowed, or the rows have a cluster or level that is not in the training data.

    Examples
    --------
    >>> import arviz as az, hierlogit as hl
    >>> az.plot_ppc_pava(hl.posterior_predictive(fit, num_draws=100, seed=1))  # doctest: +SKIP
    """
    require_fit(fit)

    def simulated_by(one: Fit, count: int | None) -> tuple[PredictionQuery, Evaluated | RowByRow]:
        query = PredictionQuery.for_predictions(
            one,
            newdata,
            clusters=cluster_choices(fit.model, clusters),
            allow_new_levels=allow_new_levels,
            num_draws=count,
            seed=seed,
            others=fit.model.design.trial_columns,
        )
        return query, _simulated(query)

    queries, values = over_imputations(fit, num_draws, simulated_by)
    data = queries[0].data
    labels = fit.model.coords["obs"] if newdata is None else np.arange(len(data.frame))
    number = np.int64 if data.complete.all() else np.float64
    simulated = values.array(np.asarray(labels), number).rename(row="obs")
    groups = {"posterior_predictive": xr.Dataset({fit.model.outcome_name: simulated})}
    if newdata is None:
        named = [name for name in ("observed_data", "constant_data") if name in fit.data.children]
        groups |= {name: fit.data[name].to_dataset() for name in named}
    return xr.DataTree.from_dict(groups)
