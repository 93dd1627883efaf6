"""Comparisons and slopes of predictions on the response or link scale, per posterior draw and then summarised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import Draws
from ..design.table import with_columns
from ..errors import PredictionError
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from ..summaries.intervals import DrawTable, Interval, set_aside
from ..validation import agree, choice, kind_of, one_of, quoted_list, shortened
from .averaging_by import Averages, average
from .cluster_choice import Clusters
from .cluster_effects import SCALES, ClusterTreatment, PlacedRows
from .contrasts import SMALL_STEP, Contrast, chosen_variables, contrasts, is_numeric
from .distinct_rows import distinct_for_averages
from .effects_picture import EffectsPicture
from .evaluated import Evaluated
from .hypothesis import IDENTITY, LOG, RowTests
from .over_imputations import described_rows, over_imputations
from .query import PredictionQuery
from .row_by_row import RowByRow

FloatArray = npt.NDArray[np.float64]
#: Function of the predictions with the high and with the low value, both shape (draws, rows).
Comparison = Callable[[FloatArray, FloatArray], FloatArray]
#: Comparisons by name, as functions of the predictions with the high and with the low value.
COMPARISONS: dict[str, Comparison] = {
    "difference": lambda high, low: high - low,
    "ratio": lambda high, low: high / low,
    "lnratio": lambda high, low: np.log(high) - np.log(low),
    "oddsratio": lambda high, low: high / (1 - high) * (1 - low) / low,
    "lnoddsratio": lambda high, low: np.log(high) - np.log1p(-high) + np.log1p(-low) - np.log(low),
}
#: Names of the comparisons in texts, followed by what is predicted.
COMPARISON_NAMES = {
    "difference": "Difference in",
    "ratio": "Ratio of",
    "lnratio": "Log ratio of",
    "oddsratio": "Odds ratio from",
    "lnoddsratio": "Log odds ratio from",
}
#: Comparisons that need probabilities.
OF_PROBABILITIES = ("lnratio", "oddsratio", "lnoddsratio")
#: dy/dx, the elasticity, and the two semi-elasticities.
SLOPES = ("dydx", "eyex", "eydx", "dyex")
#: Comparisons that are 1 if there is no effect, and more nearly normal as logarithms; the others are 0.
RATIOS = ("ratio", "oddsratio")


@repeats_findings
def comparisons(
    fit: Fit,
    variables: Any = None,
    *,
    newdata: Any = None,
    comparison: str | Comparison = "difference",
    clusters: Clusters = "observed",
    scale: str = "response",
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
    """Comparisons of predictions at two values of a variable, row by row or averaged.

    Parameters
    ----------
    fit : Fit
    variables : str, list of str, or dict, optional
        Variables to vary; every predictor except the grouping factors if not given. A dict chooses the contrast. For a
        numeric variable: a step (1 by default), two values ``(low, high)``, ``"sd"`` or ``"2sd"`` (around the row's
        value), ``"iqr"`` or ``"minmax"`` (of the training data). For a categorical variable: ``"reference"`` (the
        default), ``"pairwise"``, ``"sequential"``, or two levels ``(low, high)``.
    newdata : table, optional
        Rows at which to compare; the training rows if not given.
    comparison : {"difference", "ratio", "lnratio", "oddsratio", "lnoddsratio"} or callable
        Function of the prediction with the high value and the prediction with the low value. A callable takes both as
        arrays (draws, rows) and returns an array of that shape.
    clusters : {"observed", "new", "average", "typical", "low", "middle", "high"}, float, list or dict
        Which cluster effects count, as for `predictions`. New clusters have the same effects in both predictions, and
        representative clusters are at the same quantile: with a random slope of the variable that is compared, these
        are two different clusters.
    scale : {"response", "link"}
        Whether probabilities or their logits are compared.
    by : str, list of str, or True, optional
        Columns whose groups of rows are averaged over, within each draw; True averages over all rows. Predictions are
        averaged before they are compared, so that a ratio is a ratio of averages.
    weights : str or sequence of float, optional
        Weights of the rows in the averages: a column, or one number for each row; by default all rows have the same
        weight, whatever their trials.
    given : table, optional
        Rows of new clusters whose outcomes are known, as for `predictions`.
    hypothesis : str, list of str or array, optional
        Hypotheses about rows of the result, which replace them. Differences by name: ``"pairwise"``, ``"reference"``
        and ``"sequential"``, with the opposite sign ``"revpairwise"``, ``"revreference"`` and ``"revsequential"``.
        Relations between rows: ``"Y - N > 0.05"``, ``"b1 = b2"``, as for `hypotheses`. An array holds weights, shape
        (rows,) or (rows, hypotheses).
    direction : bool
        Whether to add ``p_direction``, the posterior probability that the effect has the sign of its median; for
        maximum-likelihood fits also ``z``, or ``t`` and ``df`` with few clusters, and ``p_value``.
    rope : pair of float, optional
        Bounds of a region of practical equivalence; adds ``p_rope``, the posterior probability inside it, and for
        maximum-likelihood fits ``p_equivalence``, the p-value of the two one-sided tests of equivalence.
    adjust : {"holm", "single-step"}, optional
        How to allow for the number of rows or hypotheses: Holm's adjustment of the p-values of maximum-likelihood
        fits, or the distribution of the largest deviation of all rows, which gives simultaneous intervals for all
        fits, and adjusted p-values.
    allow_new_levels, num_draws, ci_prob, ci_kind, seed
        As for `predictions`.

    Returns
    -------
    DrawTable
        ``term``, ``contrast``, the columns of the rows or groups, ``mean``, ``sd`` and the ends of the interval; for
        likelihood fits also ``estimate``, at the maximum. With quantiles of clusters, ``clusters`` comes first and
        names them. With `hypothesis`, its text in place of the first columns, and for maximum-likelihood fits ``z``, or
        ``t`` and ``df`` with few clusters, and ``p_value``. ``.draws`` has the draws, dims (chain, draw, row), which
        for very many rows are computed when they are read, as for `predictions`.

    Raises
    ------
    PredictionError
        If an option, a variable or a contrast is not allowed, or the rows have a cluster that is not in the training
        data.

    References
    ----------
    Arel-Bundock, Greifer and Heiss (2024), Journal of Statistical Software 111(9), for the terms.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.comparisons(fit, "urban", by=True, clusters="average")[["term", "contrast", "mean"]]
    Difference in the average probability of use = 1
      term   contrast   mean
      urban  Y - N     0.148
    """
    _measure(comparison)
    is_ratio = isinstance(comparison, str) and comparison in RATIOS
    test = RowTests.of(
        fit,
        hypothesis=hypothesis,
        direction=direction,
        rope=rope,
        adjust=adjust,
        null=1.0 if is_ratio else 0.0,
        scale=LOG if is_ratio else IDENTITY,
    )
    interval = Interval.of(ci_prob, ci_kind)
    choice("scale", scale, SCALES, PredictionError)
    if scale == "link" and comparison in OF_PROBABILITIES:
        raise PredictionError(f"comparison='{comparison}' compares probabilities: leave scale= at 'response'.")

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
        )
        return query, _compared_rows(query, contrasts(fit.model, query.data.complete_frame, variables), comparison)

    queries, values = over_imputations(fit, num_draws, values_of)
    query = queries[0]
    varied = contrasts(fit.model, query.data.complete_frame, variables)
    described = _repeated(queries, [(contrast.variable, contrast.label) for contrast in varied], "contrast")
    compared_by = COMPARISON_NAMES[comparison] if isinstance(comparison, str) else "Comparison of"
    averaged = "" if query.averages is None else "average "
    picture = EffectsPicture.of(
        "comparisons", query, labels=("term", "contrast"), null=None if callable(comparison) else test.null
    )
    title = f"{compared_by} the {averaged}{query.predicted_quantity}"
    return test.table(title, described, values, interval, picture, query.at_modes)


@repeats_findings
def slopes(
    fit: Fit,
    variables: str | Sequence[str] | None = None,
    *,
    newdata: Any = None,
    slope: str = "dydx",
    clusters: Clusters = "observed",
    scale: str = "response",
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
    """Slopes of predictions in a numeric variable, at each row or averaged.

    The derivative of the linear predictor is a central difference between rows that are encoded anew, so that
    polynomials, splines and interactions count; the derivative of the probability follows from it exactly.

    Parameters
    ----------
    fit : Fit
    variables : str or list of str, optional
        Numeric variables; all of them if not given.
    newdata : table, optional
        Rows at which to take slopes; the training rows if not given.
    slope : {"dydx", "eyex", "eydx", "dyex"}
        The derivative, the elasticity, or one of the two semi-elasticities.
    clusters, scale, by, weights, given, hypothesis, direction, rope, adjust
        As for `comparisons`. Averages are averages of the slopes of rows.
    allow_new_levels, num_draws, ci_prob, ci_kind, seed
        As for `predictions`.

    Returns
    -------
    DrawTable
        As for `comparisons`, with ``slope`` in place of ``contrast``.

    Raises
    ------
    PredictionError
        If a variable is not numeric, or an option is not allowed.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.slopes(fit, "age", by=True)[["term", "slope", "mean"]]
    Average slope of the probability of use = 1
      term  slope     mean
      age   dydx   0.00187
    """
    choice("slope", slope, SLOPES, PredictionError)
    test = RowTests.of(fit, hypothesis=hypothesis, direction=direction, rope=rope, adjust=adjust)
    interval = Interval.of(ci_prob, ci_kind)
    choice("scale", scale, SCALES, PredictionError)
    names = _numeric_variables(fit, variables)

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
        )
        rows = query.place(query.rows)
        moved = [_Moved.of(query, rows, name) for name in names]
        most = max((step.rows for step in moved), key=len)
        return query, query.predicted(partial(_slopes_of_run, moved, slope), len(names), most, "Taking slopes")

    queries, values = over_imputations(fit, num_draws, values_of)
    query = queries[0]
    described = _repeated(queries, [(name, slope) for name in names], "slope")
    averaged = "Slope" if query.averages is None else "Average slope"
    picture = EffectsPicture.of("slopes", query, labels=("term", "slope"), null=0.0)
    return test.table(
        f"{averaged} of the {query.predicted_quantity}", described, values, interval, picture, query.at_modes
    )


@repeats_findings
def avg_comparisons(
    fit: Fit,
    variables: Any = None,
    *,
    newdata: Any = None,
    comparison: str | Comparison = "difference",
    clusters: Clusters = "observed",
    scale: str = "response",
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
    """Comparisons of predictions averaged over rows, within each draw: over all rows, or by groups.

    Parameters
    ----------
    fit, variables, newdata, comparison, clusters, scale
        As for `comparisons`.
    by : str, list of str, or True
        Columns whose groups of rows are averaged over; True averages over all rows.
    weights, given, hypothesis, direction, rope, adjust, allow_new_levels, num_draws, ci_prob, ci_kind, seed
        As for `comparisons`.

    Returns
    -------
    DrawTable
        As for `comparisons` with `by`.

    Raises
    ------
    PredictionError
        As for `comparisons`.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.avg_comparisons(fit, "urban", comparison="oddsratio", clusters="average")["mean"].round(1).to_list()
    [1.9]
    """
    return comparisons(
        fit,
        variables,
        newdata=newdata,
        comparison=comparison,
        clusters=clusters,
        scale=scale,
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


@repeats_findings
def avg_slopes(
    fit: Fit,
    variables: str | Sequence[str] | None = None,
    *,
    newdata: Any = None,
    slope: str = "dydx",
    clusters: Clusters = "observed",
    scale: str = "response",
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
    """Slopes averaged over rows, within each draw: over all rows, or by groups.

    Parameters
    ----------
    fit, variables, newdata, slope, clusters, scale
        As for `slopes`.
    by : str, list of str, or True
        Columns whose groups of rows are averaged over; True averages over all rows.
    weights, given, hypothesis, direction, rope, adjust, allow_new_levels, num_draws, ci_prob, ci_kind, seed
        As for `slopes`.

    Returns
    -------
    DrawTable
        As for `slopes` with `by`.

    Raises
    ------
    PredictionError
        As for `slopes`.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.avg_slopes(fit, "age")["mean"].round(4).to_list()
    [0.0019]
    """
    return slopes(
        fit,
        variables,
        newdata=newdata,
        slope=slope,
        clusters=clusters,
        scale=scale,
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


def _measure(comparison: Any) -> Comparison:
    if callable(comparison):
        return comparison  # type: ignore[no-any-return]  # the user's own
    if not isinstance(comparison, str) or comparison not in COMPARISONS:
        raise PredictionError(
            f"comparison={shortened(comparison)} is not allowed; {one_of(list(COMPARISONS))}, or pass a function of "
            "the high and the low predictions."
        )
    return COMPARISONS[comparison]


def _compared_rows(
    query: PredictionQuery, varied: Sequence[Contrast], comparison: str | Comparison
) -> Evaluated | RowByRow:
    """Comparisons of the predictions at both values of each contrast, one contrast after the other."""
    pairs = [_Pair.of(query, one) for one in varied]
    most = max((pair.low for pair in pairs), key=len)
    return query.predicted(partial(_compared_run, pairs, comparison), len(varied), most, "Comparing")


@dataclass(frozen=True)
class _Pair:
    """Rows with both values of a contrast, and the groups of them that are averaged over."""

    averages: Averages | None
    low: PlacedRows
    high: PlacedRows

    @classmethod
    def of(cls, query: PredictionQuery, contrast: Contrast) -> _Pair:
        low, high = (query.place(query.encode(frame)) for frame in (contrast.low, contrast.high))
        averages, chosen = distinct_for_averages(query.averages, [low, high])
        return cls(averages, low.at(chosen), high.at(chosen))


def _compared_run(
    pairs: Sequence[_Pair],
    comparison: str | Comparison,
    treatment: ClusterTreatment,
    draws: Draws,
    run: slice,
) -> list[FloatArray]:
    measure, parts = _measure(comparison), []
    for pair in pairs:
        sides = (treatment.predict(draws, side.part(run)) for side in (pair.low, pair.high))
        low, high = (average(values, pair.averages) for values in sides)
        parts.append(_compared(measure, high, low))
    return parts


def _compared(measure: Comparison, high: FloatArray, low: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # at probabilities of 0 and 1
        returned = measure(high, low)
    try:
        values = np.asarray(returned, dtype=np.float64)
    except (TypeError, ValueError):
        raise PredictionError(f"comparison: the function returned {kind_of(returned)}, not numbers.") from None
    if values.shape != high.shape:
        raise PredictionError(
            f"comparison: the function returned shape {values.shape}; it must return {high.shape}, the shape of its "
            "arguments."
        )
    return values


@dataclass(frozen=True)
class _Moved:
    """Rows with a variable as it is, slightly higher and slightly lower.

    Attributes
    ----------
    averages : Averages or None
        Groups of the rows that are averaged over.
    values : ndarray, shape (n,)
        Of the variable.
    rows, above, below : PlacedRows
    gap : float
        Distance between the last two.
    """

    averages: Averages | None
    values: FloatArray
    rows: PlacedRows
    above: PlacedRows
    below: PlacedRows
    gap: float

    @classmethod
    def of(cls, query: PredictionQuery, rows: PlacedRows, name: str) -> _Moved:
        half = SMALL_STEP * float(query.model.design.table.column(name).std())
        frame = query.data.complete_frame
        values = frame[name].astype(float)
        above, below = (query.place(query.encode(with_columns(frame, {name: values + step}))) for step in (half, -half))
        own = np.asarray(values, dtype=np.float64)
        averages, chosen = distinct_for_averages(query.averages, [rows, above, below], own)
        return cls(averages, own[chosen], rows.at(chosen), above.at(chosen), below.at(chosen), 2 * half)


def _slopes_of_run(
    moved: Sequence[_Moved],
    slope: str,
    treatment: ClusterTreatment,
    draws: Draws,
    run: slice,
) -> list[FloatArray]:
    """Slopes in each variable at a run of rows, or their averages over groups of rows."""
    parts = []
    for step in moved:
        some = step.rows.part(run)
        change = treatment.slope(draws, some, step.above.part(run), step.below.part(run), step.gap)
        if slope.startswith("ey"):
            with np.errstate(invalid="ignore", divide="ignore"):  # a probability of 0 has no relative change
                change /= treatment.predict(draws, some)
        if slope.endswith("ex"):
            change *= step.values[run]
        parts.append(average(change, step.averages))
    return parts


def _numeric_variables(fit: Fit, variables: Any) -> list[str]:
    names = list(chosen_variables(fit.model, variables))
    labels = [name for name in names if not is_numeric(fit.model, name)]
    if variables is None:
        names = [name for name in names if name not in labels]
    if variables is not None and labels:
        raise PredictionError(
            f"variables: {quoted_list(labels)} {agree(labels, 'has no slope', 'have no slopes')}, because the values "
            "are labels. Call comparisons for differences between levels."
        )
    if not names:
        raise PredictionError("the model has no numeric predictors, and so no slopes. Call comparisons instead.")
    return names


def _repeated(queries: Sequence[PredictionQuery], terms: list[tuple[str, str]], what: str) -> pd.DataFrame:
    """The rows repeated for each term and label, which become the first columns, and for each set of clusters."""
    query, frame = queries[0], described_rows(queries)
    first = ["term", what] if query.averages is not None else ["term", what, "row"]
    described = set_aside(frame, first)
    parts = []
    for term, label in terms:
        part = with_columns(described, {"term": term, what: label})
        parts.append(part if query.averages is not None else part.assign(row=described.index))
    return query.for_each_set(pd.concat(parts, ignore_index=True)[[*first, *described.columns]])
