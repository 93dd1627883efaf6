"""Effects on the scale people ask about: comparisons of predictions, and their slopes, per posterior draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import Draws
from ..design.design import EncodedRows
from ..errors import PredictionError
from ..fits.fit import Fit
from ..summaries.intervals import DrawTable, Interval
from ..validation import choice, quoted_list
from .cluster_effects import SCALES, ClusterTreatment
from .contrasts import SMALL_STEP, chosen_variables, contrasts, is_amount
from .hypothesis import RowTests
from .query import Evaluator

FloatArray = npt.NDArray[np.float64]
#: What a comparison can be: of high and low predictions.
COMPARISONS: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "difference": lambda high, low: high - low,
    "ratio": lambda high, low: high / low,
    "lnratio": lambda high, low: np.log(high) - np.log(low),
    "oddsratio": lambda high, low: high / (1 - high) * (1 - low) / low,
    "lnoddsratio": lambda high, low: np.log(high) - np.log1p(-high) + np.log1p(-low) - np.log(low),
}
#: What no effect is, for the probability of direction.
NULL = {"ratio": 1.0, "oddsratio": 1.0}


def comparisons(
    fit: Fit,
    variables: Any = None,
    newdata: Any = None,
    *,
    comparison: str | Callable[[FloatArray, FloatArray], FloatArray] = "difference",
    clusters: str | Mapping[str, str] = "observed",
    kind: str = "probability",
    by: str | Sequence[str] | bool | None = None,
    weights: str | Sequence[float] | None = None,
    given: Any = None,
    hypothesis: str | Any = None,
    direction: bool = False,
    rope: tuple[float, float] | None = None,
    allow_new_levels: bool = False,
    draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    seed: int | None = None,
) -> DrawTable:
    """How predictions differ between two values of a variable, row by row or averaged.

    Parameters
    ----------
    fit : Fit
    variables : str, list of str, or dict, optional
        What is varied; every predictor but the grouping factors if not given. A dict says how: of a numeric variable a
        step (1 if not given), two values ``(low, high)``, ``"sd"`` or ``"2sd"`` (around the row's value), ``"iqr"`` or
        ``"minmax"`` (of the training data); of a categorical one ``"reference"`` (the default), ``"pairwise"``,
        ``"sequential"``, or two levels ``(low, high)``.
    newdata : table, optional
        Rows at which to compare; the training rows if not given.
    comparison : {"difference", "ratio", "lnratio", "oddsratio", "lnoddsratio"} or callable
        Of the prediction with the high value and with the low one; a callable gets both as arrays (draws, rows).
    clusters : {"observed", "new", "average", "typical"} or dict
        Which cluster effects count, as in `predictions`. New levels have the same effects in both predictions.
    kind : {"probability", "linear"}
        Scale of the predictions.
    by : str, list of str, or True, optional
        Columns whose groups of rows are averaged over, within each draw; True averages over all rows. Predictions are
        averaged first and compared then, so that a ratio is one of averages.
    weights : str or sequence of float, optional
        Of the rows in the averages: a column, or one number for each.
    hypothesis : {"pairwise", "reference", "sequential"} or array, optional
        Differences between rows of the result in its place; an array holds weights, shape (rows,) or (rows, new rows).
    direction : bool
        Whether to add ``p_direction``: the posterior probability that the effect has the sign of its median.
    rope : pair of float, optional
        Adds ``rope``: the posterior share inside these bounds.
    given, allow_new_levels, draws, ci_prob, ci_kind, seed
        As of `predictions`.

    Returns
    -------
    DrawTable
        ``term``, ``contrast``, the columns of the rows or groups, ``mean``, ``sd`` and the interval's ends; of a
        likelihood engine also ``estimate``, at the maximum. ``.draws`` has the draws, dims (chain, draw, row).

    Raises
    ------
    PredictionError
        If an option, a variable or a contrast is unknown, or the rows hold a cluster that training did not have.

    References
    ----------
    Arel-Bundock, Greifer and Heiss (2024), Journal of Statistical Software 111(9): the words, and what they mean.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.comparisons(fit, "urban", by=True, clusters="average")[["term", "contrast", "mean"]].round(2)
        term contrast  mean
    0  urban    Y - N  0.15
    """
    measure = _measure(comparison)
    test = RowTests(hypothesis, direction, rope, NULL.get(comparison, 0.0) if isinstance(comparison, str) else 0.0)
    interval = Interval.of(ci_prob, ci_kind)
    choice("kind", kind, SCALES, PredictionError)
    asked = Evaluator.of(
        fit,
        newdata,
        clusters=clusters,
        scale=kind,
        by=by,
        weights=weights,
        given=given,
        allow_new_levels=allow_new_levels,
        draws=draws,
        seed=seed,
    )
    varied = contrasts(fit.model, asked.frame, variables)
    rows = [(asked.encode(one.low), asked.encode(one.high)) for one in varied]

    def compared(own: ClusterTreatment, some: Draws) -> FloatArray:
        found = []
        for low, high in rows:
            both = [asked.average(own.predict(some, one)) for one in (high, low)]
            found.append(_compared(measure, *both))
        return np.concatenate(found, axis=1)

    values = asked.evaluate(compared, len(varied), rows[0][0], "Comparing")
    described = _repeated(asked, [(one.variable, one.label) for one in varied], "contrast")
    return test.table(described, values, interval)


def slopes(
    fit: Fit,
    variables: str | Sequence[str] | None = None,
    newdata: Any = None,
    *,
    slope: str = "dydx",
    clusters: str | Mapping[str, str] = "observed",
    kind: str = "probability",
    by: str | Sequence[str] | bool | None = None,
    weights: str | Sequence[float] | None = None,
    given: Any = None,
    hypothesis: str | Any = None,
    direction: bool = False,
    rope: tuple[float, float] | None = None,
    allow_new_levels: bool = False,
    draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    seed: int | None = None,
) -> DrawTable:
    """How fast predictions change with a numeric variable, at each row or averaged.

    The linear predictor's derivative is taken by a central difference on the rows encoded anew, so that polynomials,
    splines and interactions count; that of the probability follows from it exactly.

    Parameters
    ----------
    fit : Fit
    variables : str or list of str, optional
        Numeric variables; all of them if not given.
    newdata : table, optional
        Rows at which to take slopes; the training rows if not given.
    slope : {"dydx", "eyex", "eydx", "dyex"}
        The derivative, the elasticity, or one of the two semi-elasticities.
    clusters, kind, by, weights, given, hypothesis, direction, rope, allow_new_levels, draws, ci_prob, ci_kind, seed
        As of `comparisons`. Averages are of the rows' slopes.

    Returns
    -------
    DrawTable
        As of `comparisons`, with ``slope`` in place of ``contrast``.

    Raises
    ------
    PredictionError
        If a variable is not numeric, or an option is unknown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.slopes(fit, "age", by=True)[["term", "slope", "mean"]].round(4)
      term slope    mean
    0  age  dydx  0.0019
    """
    if slope not in ("dydx", "eyex", "eydx", "dyex"):
        raise PredictionError(f"slope={slope!r} is not allowed; choose one of 'dydx', 'eyex', 'eydx', 'dyex'.")
    test = RowTests(hypothesis, direction, rope, 0.0)
    interval = Interval.of(ci_prob, ci_kind)
    choice("kind", kind, SCALES, PredictionError)
    asked = Evaluator.of(
        fit,
        newdata,
        clusters=clusters,
        scale=kind,
        by=by,
        weights=weights,
        given=given,
        allow_new_levels=allow_new_levels,
        draws=draws,
        seed=seed,
    )
    names = _amounts(fit, variables)
    rows = asked.rows()
    moved = [_moved(asked, name) for name in names]

    def changed(own: ClusterTreatment, some: Draws) -> FloatArray:
        found = []
        for name, (above, below, gap) in zip(names, moved, strict=True):
            change = own.slope(some, rows, above, below, gap)
            if slope.startswith("ey"):
                change /= own.predict(some, rows)
            if slope.endswith("ex"):
                change *= asked.frame[name].to_numpy(dtype=float)
            found.append(asked.average(change))
        return np.concatenate(found, axis=1)

    values = asked.evaluate(changed, len(names), rows, "Taking slopes")
    return test.table(_repeated(asked, [(name, slope) for name in names], "slope"), values, interval)


def avg_comparisons(
    fit: Fit, variables: Any = None, newdata: Any = None, *, by: str | Sequence[str] | bool = True, **options: Any
) -> DrawTable:
    """`comparisons` of predictions averaged over rows, within each draw: over all of them, or by groups.

    Parameters
    ----------
    fit, variables, newdata, by
        As of `comparisons`.
    **options
        As of `comparisons`.

    Returns
    -------
    DrawTable

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.avg_comparisons(fit, "urban", comparison="oddsratio", clusters="average")["mean"].round(1).to_list()
    [1.9]
    """
    return comparisons(fit, variables, newdata, by=by, **options)


def avg_slopes(
    fit: Fit,
    variables: str | Sequence[str] | None = None,
    newdata: Any = None,
    *,
    by: str | Sequence[str] | bool = True,
    **options: Any,
) -> DrawTable:
    """`slopes` averaged over rows, within each draw: over all of them, or by groups.

    Parameters
    ----------
    fit, variables, newdata, by
        As of `slopes`.
    **options
        As of `slopes`.

    Returns
    -------
    DrawTable

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.avg_slopes(fit, "age")["mean"].round(4).to_list()
    [0.0019]
    """
    return slopes(fit, variables, newdata, by=by, **options)


def _measure(comparison: Any) -> Callable[[FloatArray, FloatArray], FloatArray]:
    if callable(comparison):
        return comparison  # type: ignore[no-any-return]  # the user's own
    if comparison not in COMPARISONS:
        raise PredictionError(
            f"comparison={comparison!r} is not allowed; choose one of {quoted_list(list(COMPARISONS))}, or pass a "
            "function of the high and the low predictions."
        )
    return COMPARISONS[comparison]


def _compared(measure: Callable[[FloatArray, FloatArray], FloatArray], high: FloatArray, low: FloatArray) -> FloatArray:
    found = np.asarray(measure(high, low), dtype=np.float64)
    if found.shape != high.shape:
        raise PredictionError(
            f"the comparison returned shape {found.shape}; it must return {high.shape}, as it was given."
        )
    return found


def _moved(asked: Evaluator, name: str) -> tuple[EncodedRows, EncodedRows, float]:
    """The rows with a little more and a little less of a variable, and how far they are apart."""
    half = SMALL_STEP * float(asked.setting.model.design.table.frame[name].astype(float).std())
    values = asked.frame[name].astype(float)
    above, below = (asked.encode(asked.frame.assign(**{name: values + step})) for step in (half, -half))
    return above, below, 2 * half


def _amounts(fit: Fit, variables: Any) -> list[str]:
    names = list(chosen_variables(fit.model, variables))
    labels = [name for name in names if not is_amount(fit.model, name)]
    if variables is None:
        names = [name for name in names if name not in labels]
    if (variables is not None and labels) or not names:
        raise PredictionError(
            f"{quoted_list(labels) or 'the model'} has no slope: its values are labels. Call comparisons for "
            "differences between them."
        )
    return names


def _repeated(asked: Evaluator, terms: list[tuple[str, str]], what: str) -> pd.DataFrame:
    """The rows once for each term, which stands before their columns."""
    frame = asked.described
    first = ["term", what] if asked.averages is not None else ["term", what, "row"]
    kept = frame.rename(columns={name: f"{name}_in_data" for name in frame.columns if name in first})
    parts = []
    for term, label in terms:
        part = kept.assign(**{"term": term, what: label})
        parts.append(part if asked.averages is not None else part.assign(row=kept.index))
    return pd.concat(parts, ignore_index=True)[[*first, *kept.columns]]
