"""The model of the sliders made from a fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import Draws
from ..design.design import EncodedRows
from ..design.grouping import GroupBlock
from ..design.identical_rows import identical_rows
from ..effects.contrasts import is_numeric, levels_of, predictors_of
from ..effects.datagrid import datagrid
from ..effects.query import Query
from ..errors import PredictionError
from ..fits.central_draw import central_draw
from ..fits.fit import Fit
from ..formatting import number
from ..validation import text, unknown_names
from ..variance.by_factor import fixed_part, mean_variance, spread
from .slider_model import LARGEST_SIZE, Axis, Points, Position, SliderModel, upper_end

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: Rows that stand for those of the data, and groups of them by the second effect's column.
MOST_ROWS, MOST_GROUPS = 400, 20
#: Points along a numeric predictor, the log-odds at both ends of the axis if there is none, and the levels of another.
POINTS, END, MOST_LEVELS = 41, 6.0, 30
#: Columns whose variance is a smaller share than this after regression on the others depend on them.
DEPENDENT = 1e-10


def slider_model(fit: Fit, x: str | None = None, group: str | None = None) -> SliderModel:
    """The model of the sliders.

    Parameters
    ----------
    fit : Fit
    x : str, optional
        The predictor on the horizontal axis of the curves; if not given, that of the random slope, a numeric one, or
        any other.
    group : str, optional
        The grouping factor; the first in the formula if not given.

    Raises
    ------
    FitError
        If the model has no random effects, or no such grouping factor.
    PredictionError
        If `x` is not a predictor, or has too many levels.
    """
    factor, design = fit.model.design.chosen_groups(group)[0], fit.model.design
    name = _chosen(fit, factor, x)
    draws, chosen = central_draw(fit), list(range(min(len(factor.effects), 2)))
    training, trials = design.training_rows(), design.shares
    covariance = (draws.cholesky[factor.name][0] @ draws.cholesky[factor.name][0].T)[np.ix_(chosen, chosen)]
    at = _reference(factor)
    if at:
        shift = np.array([[1.0, at], [0.0, 1.0]])
        covariance = shift @ covariance @ shift.T
    sizes = np.bincount(factor.index, weights=design.outcome.trials)
    start = _position(covariance, int(np.clip(np.median(sizes), 1, LARGEST_SIZE)))
    whole = _points(draws, training, factor, at, start)
    moments = (whole.z * trials[:, None]).T @ whole.z / trials.sum()
    variances = {one.name: float(mean_variance(draws, one, trials)[0]) for one in design.groups}
    rows, weights = _fewer(whole, trials)
    columns, coefficients, focus = _regression(fit, factor, draws, rows, weights)
    axis, curve = _along(fit, name, draws, factor, at, start, rows, weights)
    return SliderModel(
        group=factor.name,
        event=design.outcome.event,
        unit="trials" if design.outcome.binomial else "rows",
        effects=_labels(factor, at),
        ends=tuple(map(upper_end, factor.column_sds, (start.sd, start.sd_slope))),
        start=start,
        moments=moments,
        own=variances[factor.name] - float(np.sum(start.covariance * moments)),
        others=sum(value for name, value in variances.items() if name != factor.name),
        rows=rows,
        weights=weights,
        columns=columns,
        coefficients=coefficients,
        focus=focus,
        axis=axis,
        curve=curve,
    )


def _chosen(fit: Fit, factor: GroupBlock, x: str | None) -> str | None:
    """The predictor on the axis; None if the model has none that can be drawn."""
    model = fit.model
    known = predictors_of(model)
    if x is not None:
        name = text("x", x, PredictionError)
        if name not in known:
            raise PredictionError(unknown_names("x", [name], known, "predictor"))
        if not is_numeric(model, name) and len(levels_of(model, name)) > MOST_LEVELS:
            raise PredictionError(
                f"x='{name}' has more than {MOST_LEVELS} levels, which cannot be drawn. Choose another predictor."
            )
        return name
    usable = [name for name in known if is_numeric(model, name) or len(levels_of(model, name)) <= MOST_LEVELS]
    usable.sort(key=lambda name: (name not in factor.terms[1:2], not is_numeric(model, name)))
    return usable[0] if usable else None


def _reference(factor: GroupBlock) -> float:
    """Value of the slope's column at which the sd of the intercept is that between clusters: 0 if it is observed."""
    if factor.effects[0] != "Intercept" or len(factor.effects) == 1:
        return 0.0
    low, high, mean = (float(values[1]) for values in factor.column_ranges)
    return 0.0 if low <= 0 <= high else mean


def _labels(factor: GroupBlock, at: float) -> tuple[str, ...]:
    first, *others = factor.effects[:2]
    return (f"{first} at {others[0]} = {number(at)}" if at else first, *others)


def _position(covariance: FloatArray, size: int) -> Position:
    sd = np.sqrt(np.diag(covariance))
    if len(sd) == 1:
        return Position(float(sd[0]), 0.0, 0.0, size)
    product = float(sd[0] * sd[1])
    correlation = float(np.clip(covariance[0, 1] / product, -1, 1)) if product > 0 else 0.0
    return Position(float(sd[0]), float(sd[1]), correlation, size)


def _points(draws: Draws, rows: EncodedRows, factor: GroupBlock, at: float, start: Position) -> Points:
    """Rows with their log-odds in a typical cluster, the columns of the two effects and all other variance."""
    z = np.zeros((len(rows), 2))
    columns = rows.groups[factor.name].Z[:, :2]
    z[:, : columns.shape[1]] = columns
    z[:, 1] -= at
    variance = np.sum([values[0] for values in spread(draws, rows).values()], axis=0)
    return Points(fixed_part(draws, rows)[0], z, variance - start.variance(z))


def _fewer(points: Points, trials: FloatArray) -> tuple[Points, FloatArray]:
    """At most `MOST_ROWS` rows for those of the data, each the mean of rows that are nearly alike, and their trials."""
    values = np.column_stack([points.eta, points.z, points.rest])
    _, place = identical_rows(values.round(10))
    if place.max() >= MOST_ROWS:
        slope = _binned(points.z[:, 1], np.zeros(len(values), dtype=np.intp), MOST_GROUPS)
        groups = int(slope.max()) + 1
        place = _binned(points.eta, slope, MOST_ROWS // groups)
    weights = np.bincount(place, weights=trials)
    means = np.column_stack([np.bincount(place, weights=trials * column) / weights for column in values.T])
    return Points(means[:, 0], means[:, 1:3], means[:, 3]), weights


def _binned(values: FloatArray, within: IntArray, most: int) -> IntArray:
    """Number of each row's bin: bins of neighbouring values, as equal in size as they can be, inside each group."""
    frame = pd.DataFrame({"value": values, "group": within})
    ranks = frame.groupby("group")["value"].rank(method="dense", pct=True)
    bins = np.minimum((ranks * most).astype(int), most - 1)
    found: IntArray = frame.assign(bin=bins).groupby(["group", "bin"]).ngroup().to_numpy().astype(np.intp)
    return found


def _regression(
    fit: Fit, factor: GroupBlock, draws: Draws, rows: Points, weights: FloatArray
) -> tuple[FloatArray, FloatArray, str]:
    """Standardised columns of the linear predictor, their coefficients, and the fixed effect that is the first.

    The column of the random slope, if it has a fixed effect, and the rest of the linear predictor.
    """
    labels = fit.model.design.fixed_effects
    slope = factor.effects[1] if len(factor.effects) > 1 else ""
    parts: list[tuple[FloatArray, float]] = []
    if slope in labels and (beta := float(draws.beta[0, labels.index(slope)])):
        parts.append((rows.z[:, 1], beta))
    explained = sum((column * beta for column, beta in parts), start=np.zeros(len(weights)))
    parts.append((rows.eta - explained, 1.0))
    columns: list[FloatArray] = []
    coefficients: list[float] = []
    share = weights / weights.sum()
    for column, beta in parts:
        centred = column - share @ column
        sd = float(np.sqrt(share @ centred**2))
        known = np.column_stack([np.ones(len(weights)), *columns]) * np.sqrt(share)[:, None]
        left = centred * np.sqrt(share)
        left = left - known @ np.linalg.lstsq(known, left)[0]
        if float(left @ left) > DEPENDENT * max(sd**2, 1e-12):
            columns.append(centred / sd)
            coefficients.append(beta * sd)
    focus = slope if len(parts) > 1 and columns else ""
    return np.array(columns).reshape(-1, len(weights)).T, np.array(coefficients), focus


def _along(
    fit: Fit,
    x: str | None,
    draws: Draws,
    factor: GroupBlock,
    at: float,
    start: Position,
    rows: Points,
    weights: FloatArray,
) -> tuple[Axis, Points]:
    """The axis of the curves and the rows along it; of log-odds if there is no predictor."""
    if x is None:
        eta, share = np.linspace(-END, END, POINTS), weights / weights.sum()
        z, rest = np.tile(share @ rows.z, (POINTS, 1)), np.full(POINTS, share @ rows.rest)
        ticks = tuple((0.5 + value / (2 * END), number(value)) for value in np.linspace(-END, END, 5))
        return Axis("log-odds in a typical cluster", True, np.linspace(0, 1, POINTS), ticks), Points(eta, z, rest)
    model = fit.model
    values: Any
    if numeric := is_numeric(model, x):
        column = model.design.table.frame[x]
        values = np.linspace(column.min(), column.max(), POINTS)
        axis = Axis(x, numeric, np.linspace(0, 1, POINTS), _ticks(float(values[0]), float(values[-1])))
    else:
        values = levels_of(model, x)
        places = (np.arange(len(values)) + 0.5) / len(values)
        axis = Axis(x, numeric, places, tuple((float(p), str(v)) for p, v in zip(places, values, strict=True)))
    encoded = Query.of(fit, datagrid(fit, {x: list(values)})).rows
    return axis, _points(draws, encoded, factor, at, start)


def _ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    from matplotlib.ticker import MaxNLocator

    values = [value for value in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= value <= high]
    return tuple(((value - low) / (high - low), f"{value:.10g}".replace("-", "−")) for value in values)
