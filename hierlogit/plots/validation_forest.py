"""Forest plot of a validation: measures of the clusters, their mean, and the interval for a new cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..diagnostics.new_clusters.cluster_measures import MEASURES, cluster_intervals
from ..diagnostics.new_clusters.validate import Validation
from ..errors import FitError
from ..formatting import number
from ..summaries.intervals import end_names
from ..validation import instance, names
from .cluster_axis import height_for, marks_for, name_clusters
from .ratio_axis import ratio_axis
from .style import (
    BLUE,
    GREY,
    INK,
    MAX_NAMED,
    PALE,
    VERMILLION,
    AxesArray,
    counted,
    describe,
    given_axes,
    house_style,
    names_of,
    new_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The name of each measure on its axis, and the value with which intervals are compared, if there is one.
LABELS: dict[str, tuple[str, float | None]] = {
    "calibration_intercept": ("Calibration intercept", 0.0),
    "calibration_slope": ("Calibration slope", 1.0),
    "oe": ("Observed / expected events", 1.0),
    "auc": ("AUC within the cluster", 0.5),
    "brier": ("Brier score", None),
    "log_score": ("Logarithmic score", None),
}
#: Rows at the bottom: the interval for a new cluster, the mean, and an empty one.
SUMMARY = ("a new cluster", "mean of clusters", "")
#: Share of the clusters' values that the axis is sure to reach, and room beside them as a share of its length.
REACH, ROOM = 0.95, 0.12
#: Measures drawn on a logarithmic axis.
RATIOS = ("oe",)


def validation(
    result: Validation,
    measures: Sequence[str] | str = ("calibration_intercept", "calibration_slope", "auc"),
    *,
    axes: Any = None,
) -> AxesArray:
    """Forest plot of measures of the clusters, with their mean and the interval for a new cluster.

    The clusters with the most rows are on top. Intervals that exclude the value of perfect calibration, or an AUC of
    0.5, are blue. The mean is at the bottom, and below it the interval for the true value in a new cluster, which is
    also shaded. Values beyond the ends of the axis are triangles there. Up to 80 clusters are named.

    Parameters
    ----------
    result : Validation
        From `hierlogit.validate`.
    measures : list of str
        One panel for each of ``"calibration_intercept"``, ``"calibration_slope"``, ``"oe"``, ``"auc"``, ``"brier"``
        and ``"log_score"``.
    axes : matplotlib Axes, or an array of them, optional
        One for each measure; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (measures,)

    Raises
    ------
    FitError
        If there is no such measure, or `result` is not a validation.

    See Also
    --------
    hierlogit.validate : Computes the values shown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.validation(hl.validate(fit), ["oe", "auc"])  # doctest: +SKIP
    """
    instance("result", result, Validation, FitError, "a Validation", "Compute it first: hl.validate(fit).")
    chosen = names("measures", measures, list(MEASURES), FitError, "measure", "a validation")
    table = result.table.sort_values("rows", ascending=True, kind="stable")  # from the bottom to the top
    rows = len(table) + len(SUMMARY)
    with house_style():
        if axes is None:
            width = 1.4 + 2.3 * len(chosen)
            drawn = new_axes(len(chosen), width=width, height=height_for(rows) + 0.3, sharey=True)
        else:
            drawn = given_axes(axes, len(chosen), "one for each measure")
        for ax, measure in zip(drawn, chosen, strict=True):
            _panel(ax, result, table, measure)
        labels = [*SUMMARY, *names_of(table.index)]
        name_clusters(drawn[0], labels, result.group, ordered=True)
        if len(labels) > MAX_NAMED:
            drawn[0].set_ylabel(f"{counted(len(table), result.group)}, the largest on top")
    return drawn


def _panel(ax: Axes, result: Validation, table: pd.DataFrame, measure: str) -> None:
    label, null = LABELS[measure]
    of_clusters = cluster_intervals(table, measure, result.interval)
    pooled = result.pooled.T[measure]
    mean, ends, ends_of_new = _summary(pooled, result)
    bounds = _bounds(of_clusters, [mean, *ends, *ends_of_new, null], logarithmic=measure in RATIOS)
    _summary_rows(ax, mean, ends, ends_of_new)
    _clusters(ax, of_clusters, null, bounds)
    if null is not None:
        ax.axvline(null, color=INK, linewidth=0.8, zorder=0.5)
    if measure in RATIOS:
        ratio_axis(ax, np.array(bounds))
    ax.set_xlim(*bounds)
    ax.set_ylim(-0.9, len(table) + len(SUMMARY) - 0.1)
    ax.tick_params(axis="y", length=0)
    absent = int(of_clusters["value"].isna().sum())
    notes = [f"blue: excludes {null:g}"] if null is not None else []
    notes += [f"not estimable: {absent:,} of {len(table):,}"] if absent else []
    ax.set_xlabel("\n".join([label, f"{100 * result.interval.prob:g}% intervals", *notes]))
    describe(
        ax,
        f"{label} of {counted(len(table), result.group)}, estimable in {len(table) - absent:,}: mean {number(mean)}, "
        f"{100 * result.interval.prob:g}% interval {_span(ends)}, interval for a new cluster {_span(ends_of_new)}, "
        f"heterogeneity tau {number(float(pooled['tau']))} on the {pooled['scale']} scale.",
    )


def _span(ends: tuple[float, float]) -> str:
    return "not estimable" if np.isnan(ends).any() else f"from {number(ends[0])} to {number(ends[1])}"


def _summary(pooled: pd.Series[Any], result: Validation) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """The mean, the ends of its interval, and of that for a new cluster."""
    prob = result.interval.prob
    (low, high), (lower, higher) = (end_names(kind, prob) for kind in ("wald", "prediction"))
    return (
        float(pooled["estimate"]),
        (float(pooled[low]), float(pooled[high])),
        (float(pooled[lower]), float(pooled[higher])),
    )


def _bounds(of_clusters: pd.DataFrame, others: list[float | None], *, logarithmic: bool) -> tuple[float, float]:
    """Ends of the axis, between which most of the clusters' values lie, and all of the others."""
    values = of_clusters["value"].dropna()
    middle = np.quantile(values, [(1 - REACH) / 2, (1 + REACH) / 2]) if len(values) else np.empty(0)
    inside = np.array([*middle, *(value for value in others if value is not None)])
    inside = inside[np.isfinite(inside)]
    if logarithmic:
        inside = np.log(inside[inside > 0])
    low, high = (float(inside.min()), float(inside.max())) if len(inside) else (0.0, 1.0)
    room = ROOM * (high - low) or 0.5
    ends = np.array([low - room, high + room])
    first, last = np.exp(ends) if logarithmic else ends
    return float(first), float(last)


def _summary_rows(ax: Axes, mean: float, ends: tuple[float, float], ends_of_new: tuple[float, float]) -> None:
    if not np.isnan(ends_of_new).any():
        ax.axvspan(*ends_of_new, color=PALE, alpha=0.45, linewidth=0, zorder=0)
        ax.hlines(0, *ends_of_new, colors=VERMILLION, linewidth=2.2)
    if not np.isnan(mean):
        ax.hlines(1, *ends, colors=VERMILLION, linewidth=2.2)
        ax.scatter([mean], [1], s=34, marker="D", color=VERMILLION, linewidths=0, zorder=3)


def _clusters(ax: Axes, of_clusters: pd.DataFrame, null: float | None, bounds: tuple[float, float]) -> None:
    value, low, high = (of_clusters[name].to_numpy() for name in ("value", "low", "high"))
    positions = len(SUMMARY) + np.arange(len(value))
    crowded = len(value) > MAX_NAMED
    width, size = marks_for(ax, len(value) + len(SUMMARY))
    away = np.zeros(len(value), dtype=bool) if null is None else (low > null) | (high < null)
    colours = np.where(away, BLUE, GREY)
    ax.hlines(positions, low, high, colors=list(colours), linewidth=width, alpha=0.6 if crowded else 1.0, zorder=2)
    for outside, marker, at in (
        (value < bounds[0], "<", bounds[0]),
        (value > bounds[1], ">", bounds[1]),
    ):
        ends = np.full(int(outside.sum()), at)
        shown = list(colours[outside])
        ax.scatter(ends, positions[outside], s=2 * size, marker=marker, c=shown, clip_on=False, linewidths=0, zorder=3)
    inside = (value >= bounds[0]) & (value <= bounds[1])
    ax.scatter(value[inside], positions[inside], s=size, c=list(colours[inside]), linewidths=0, zorder=3)
