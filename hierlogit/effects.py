"""Effects on the scale people ask about: comparisons of predictions, and their slopes, per posterior draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from .contrasts import SMALL_STEP, Contrast, chosen_variables, contrasts, is_amount
from .density.linear import Draws
from .errors import PredictionError
from .fit import Fit
from .intervals import DrawTable, Interval, summarise
from .predict import MAX_CELLS
from .predicted import Averages, Setting, chosen_draws, row_weights
from .progress import progress
from .table import listed, read_table

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
_NULL = {"ratio": 1.0, "oddsratio": 1.0}
HYPOTHESES = ("pairwise", "reference", "sequential")


def comparisons(
    fit: Fit,
    variables: Any = None,
    newdata: Any = None,
    *,
    comparison: str | Callable[[FloatArray, FloatArray], FloatArray] = "difference",
    clusters: str = "observed",
    kind: str = "probability",
    by: str | Sequence[str] | bool | None = None,
    weights: str | Sequence[float] | None = None,
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
    clusters : {"observed", "new", "average", "typical"}
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
    allow_new_levels, draws, ci_prob, ci_kind, seed
        As of `predictions`.

    Returns
    -------
    DrawTable
        ``term``, ``contrast``, the columns of the rows or groups, ``mean``, ``sd`` and the interval's ends. ``.draws``
        has the draws, dims (chain, draw, row).

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
    frame, setting, chosen, chain_shape = _prepared(fit, newdata, clusters, kind, allow_new_levels, draws, seed)
    varied = contrasts(fit.model, frame, variables)
    groups = _groups(frame, by, weights)
    encode = fit.model.design.encode
    rows = [(encode(one.low), encode(one.high)) for one in varied]
    size = len(frame) if groups is None else len(groups.described)
    _check_size(len(chosen), size * len(varied))
    values = np.empty((len(chosen), len(varied), size))
    for part, some in progress(list(chosen.chunks(len(frame))), "Comparing"):
        own = setting.of_part(part)
        for k, (low, high) in enumerate(rows):
            both = [own.predict(some, one) for one in (high, low)]
            if groups is not None:
                both = [groups.of(one) for one in both]
            values[part, k] = _compared(measure, *both)
    null = _NULL.get(comparison, 0.0) if isinstance(comparison, str) else 0.0
    described = _described(frame if groups is None else groups.described, varied)
    return _table(described, values.reshape(len(chosen), -1), chain_shape, hypothesis, direction, rope, null,
                  Interval.of(ci_prob, ci_kind))  # fmt: skip


def slopes(
    fit: Fit,
    variables: str | Sequence[str] | None = None,
    newdata: Any = None,
    *,
    slope: str = "dydx",
    clusters: str = "observed",
    kind: str = "probability",
    by: str | Sequence[str] | bool | None = None,
    weights: str | Sequence[float] | None = None,
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
    clusters, kind, by, weights, hypothesis, direction, rope, allow_new_levels, draws, ci_prob, ci_kind, seed
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
        raise PredictionError(f"slope={slope!r} is not known; choose one of 'dydx', 'eyex', 'eydx', 'dyex'.")
    frame, setting, chosen, chain_shape = _prepared(fit, newdata, clusters, kind, allow_new_levels, draws, seed)
    names = _amounts(fit, variables)
    groups = _groups(frame, by, weights)
    encode = fit.model.design.encode
    rows = encode(frame)
    moved = []
    for name in names:
        half = SMALL_STEP * float(fit.model.design.table.frame[name].astype(float).std())
        values = frame[name].astype(float)
        moved.append(
            (encode(frame.assign(**{name: values + half})), encode(frame.assign(**{name: values - half})), 2 * half)
        )
    size = len(frame) if groups is None else len(groups.described)
    _check_size(len(chosen), size * len(names))
    found = np.empty((len(chosen), len(names), size))
    for part, some in progress(list(chosen.chunks(len(frame))), "Taking slopes"):
        own = setting.of_part(part)
        for k, (name, (above, below, gap)) in enumerate(zip(names, moved, strict=True)):
            change = own.slope(some, rows, above, below, gap)
            if slope.startswith("ey"):
                change /= own.predict(some, rows)
            if slope.endswith("ex"):
                change *= frame[name].to_numpy(dtype=float)
            found[part, k] = change if groups is None else groups.of(change)
    described = _repeated(frame if groups is None else groups.described, [(name, slope) for name in names], "slope")
    return _table(described, found.reshape(len(chosen), -1), chain_shape, hypothesis, direction, rope, 0.0,
                  Interval.of(ci_prob, ci_kind))  # fmt: skip


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
            f"comparison={comparison!r} is not known; choose one of {listed(list(COMPARISONS))}, or pass a function of "
            "the high and the low predictions."
        )
    return COMPARISONS[comparison]


def _compared(measure: Callable[[FloatArray, FloatArray], FloatArray], high: FloatArray, low: FloatArray) -> FloatArray:
    found = np.asarray(measure(high, low), dtype=np.float64)
    if found.shape != high.shape:
        raise PredictionError(
            f"the comparison returned shape {found.shape}; it must return {high.shape}, as it was given."
        )
    return found


def _prepared(
    fit: Fit, newdata: Any, clusters: str, kind: str, allow_new: bool, draws: int | None, seed: int | None
) -> tuple[pd.DataFrame, Setting, Draws, tuple[int, int]]:
    table = fit.model.design.table
    frame = table.frame.set_axis(table.rows) if newdata is None else read_table(newdata)
    random = np.random.default_rng(seed)
    setting = Setting(fit.model, clusters, kind, allow_new, int(random.integers(2**32)))
    return frame, setting, *chosen_draws(fit, draws)


def _groups(frame: pd.DataFrame, by: Any, weights: Any) -> Averages | None:
    if by is None or by is False:
        if weights is not None:
            raise PredictionError("weights count in averages: pass by=True, or the columns to average by.")
        return None
    return Averages.by(frame, by, row_weights(frame, weights))


def _check_size(draws: int, cells: int) -> None:
    if draws * cells > MAX_CELLS:
        raise PredictionError(
            f"{draws:,} draws of {cells:,} effects do not fit into memory. Pass draws={max(MAX_CELLS // cells, 1):,} "
            "or fewer, average with by=True, or take parts of the rows."
        )


def _amounts(fit: Fit, variables: Any) -> list[str]:
    names = list(chosen_variables(fit.model, variables))
    labels = [name for name in names if not is_amount(fit.model, name)]
    if variables is None:
        names = [name for name in names if name not in labels]
    if (variables is not None and labels) or not names:
        raise PredictionError(
            f"{listed(labels) or 'the model'} has no slope: its values are labels. Call comparisons for differences "
            "between them."
        )
    return names


def _described(frame: pd.DataFrame, varied: list[Contrast]) -> pd.DataFrame:
    return _repeated(frame, [(one.variable, one.label) for one in varied], "contrast")


def _repeated(frame: pd.DataFrame, terms: list[tuple[str, str]], what: str) -> pd.DataFrame:
    """The rows once for each term, which stands before their columns."""
    taken = {"term", what, "row"}
    kept = frame.rename(columns={name: f"{name}_in_data" for name in frame.columns if name in taken})
    parts = []
    for term, label in terms:
        one = kept.copy()
        one["term"], one[what], one["row"] = term, label, kept.index
        parts.append(one)
    together = pd.concat(parts, ignore_index=True)
    order = ["term", what, *([] if len(frame.columns) == 0 or "rows" in frame.columns else ["row"]), *kept.columns]
    return together[order]


def _table(
    described: pd.DataFrame,
    values: FloatArray,
    chain_shape: tuple[int, int],
    hypothesis: Any,
    direction: bool,
    rope: tuple[float, float] | None,
    null: float,
    interval: Interval,
) -> DrawTable:
    if hypothesis is not None:
        described, values = _tested(described, values, hypothesis)
        null = 0.0
    columns = summarise(values, interval)
    if direction:
        above = (values > null).mean(axis=0)
        columns["p_direction"] = np.maximum(above, (values < null).mean(axis=0))
    if rope is not None:
        low, high = float(rope[0]), float(rope[1])
        columns["rope"] = ((values >= low) & (values <= high)).mean(axis=0)
    kept = described.rename(columns={name: f"{name}_in_data" for name in columns})
    table = pd.concat([kept, pd.DataFrame(columns, index=kept.index)], axis=1)
    array = xr.DataArray(
        values.reshape(*chain_shape, -1), dims=("chain", "draw", "row"), coords={"row": np.arange(len(table))}
    )
    return DrawTable.of(table, array)


def _tested(described: pd.DataFrame, values: FloatArray, hypothesis: Any) -> tuple[pd.DataFrame, FloatArray]:
    """Differences between rows, or other weighted sums of them."""
    count = values.shape[1]
    names = [_name(row) for row in described.to_dict("records")]
    if isinstance(hypothesis, str):
        if hypothesis not in HYPOTHESES:
            raise PredictionError(
                f"hypothesis={hypothesis!r} is not known; choose one of {listed(HYPOTHESES)}, or pass weights."
            )
        pairs = {
            "pairwise": list(combinations(range(count), 2)),
            "reference": [(0, k) for k in range(1, count)],
            "sequential": list(pairwise(range(count))),
        }[hypothesis]
        if not pairs:
            raise PredictionError(f"hypothesis={hypothesis!r} compares rows of the result, which has only one.")
        labels = [f"({names[high]}) - ({names[low]})" for low, high in pairs]
        gaps = np.stack([values[:, high] - values[:, low] for low, high in pairs], axis=1)
        return pd.DataFrame({"hypothesis": labels}), gaps
    weights = np.asarray(hypothesis, dtype=np.float64)
    if weights.ndim not in (1, 2) or len(weights) != count:
        raise PredictionError(
            f"hypothesis has shape {weights.shape}; the result has {count} rows: ({count},) or ({count}, k)."
        )
    weights = weights.reshape(count, -1)
    labels = [f"weights {k + 1}" for k in range(weights.shape[1])]
    return pd.DataFrame({"hypothesis": labels}), values @ weights


def _name(row: Mapping[Any, Any]) -> str:
    return ", ".join(str(value) for name, value in row.items() if name not in ("row", "rows"))
