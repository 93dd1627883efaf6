"""Histograms of the trials and events per cluster, before a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..diagnostics.data.check_data import DataCheck
from ..errors import FitError
from ..validation import instance
from .style import (
    BLUE,
    GREY,
    INK,
    SMALL,
    VERMILLION,
    AxesArray,
    as_axes,
    counted,
    describe,
    given_axes,
    house_style,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Smallest and largest number of bars of a panel, and height of a row of panels in inches.
LEAST_BARS, MOST_BARS, ROW_HEIGHT = 8, 40, 2.5
#: The axis is logarithmic if the largest cluster is more than this many times the median; the line of the reliability
#: is drawn if it is at most this many times the largest cluster.
LONG_TAIL, FAR = 30, 3


def check_data(result: DataCheck, *, axes: Any = None) -> AxesArray:
    """Histograms of the trials and the events per cluster, for each grouping factor.

    Parameters
    ----------
    result : DataCheck
        From `hierlogit.check_data`.
    axes : array of matplotlib Axes, two for each grouping factor, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2 * factors,)
        Two panels for each factor. The first shows the trials per cluster, with a line where the reliability of the
        cluster's intercept is one half: to the left of it, the mean of all clusters has more weight than the cluster's
        own outcomes. The second shows the events per cluster; clusters with only one of the two outcomes are
        vermillion.

    Raises
    ------
    FitError
        If the model has no grouping factors.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ age + (1 | district)", hl.datasets.load("contraception"))
    >>> hl.plots.check_data(hl.check_data(model))  # doctest: +SKIP
    """
    instance("result", result, DataCheck, FitError, "a DataCheck", "Compute it first: hl.check_data(model).")
    factors = list(result.clusters)
    if not factors:
        raise FitError("the model has no grouping factors, and so no clusters to draw.")
    with house_style():
        if axes is None:
            drawn = _new_axes(len(factors))
        else:
            drawn = given_axes(axes, 2 * len(factors), "trials and events of each grouping factor")
        for k, name in enumerate(factors):
            _trials(drawn[2 * k], result, name)
            _events(drawn[2 * k + 1], result.clusters[name])
        if axes is None:
            _legend(drawn)
    return drawn


def _new_axes(factors: int) -> AxesArray:
    import matplotlib.pyplot as plt

    size = (8.2, 0.5 + ROW_HEIGHT * factors)
    _, axes = plt.subplots(factors, 2, figsize=size, layout="constrained", squeeze=False)
    return as_axes(axes)


def _trials(ax: Axes, result: DataCheck, name: str) -> None:
    trials, row = result.clusters[name]["trials"], result.factors.T[name]
    share, sd = float(result.totals["share"]), float(row["sd"])
    half = 1 / (sd**2 * share * (1 - share))
    seen = bool(half <= FAR * trials.max())
    _bars(ax, [trials], beside=half if seen else None, color=GREY)
    ax.set_xlabel(f"Trials per cluster of {name}")
    set_title(ax, counted(len(trials), name))
    text = f"{counted(len(trials), name)} have {trials.min():,} to {trials.max():,} trials, median {trials.median():,g}"
    if np.isfinite(sd):
        _half_line(ax, half, sd, seen=seen)
        text += f"; {row['low_reliability']:,.0f} have a reliability below 1/2 if the sd is {sd:.2g}"
    describe(ax, f"{text}.")


def _half_line(ax: Axes, half: float, sd: float, *, seen: bool) -> None:
    """Draw a line at the size with a reliability of one half, with a label above the bars where there is room."""
    ax.set_ylim(0, 1.14 * ax.get_ylim()[1])
    text, place = f" reliability 1/2 if the sd is {sd:.2g} ", 1.0
    if seen:
        ax.axvline(half, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
        ax.autoscale_view()  # now, before the position of the text is computed
        place = ax.transAxes.inverted().transform(ax.transData.transform((half, 0)))[0]
    else:
        text = f"reliability 1/2 at {half:,.0f} trials, if the sd is {sd:.2g}"
    side = "left" if place < 0.5 else "right"
    ax.text(place, 0.99, text, transform=ax.transAxes, ha=side, va="top", fontsize=SMALL)


def _events(ax: Axes, table: pd.DataFrame) -> None:
    events, name = table["events"], str(table.index.name)
    single = (events == 0) | (table["non_events"] == 0)
    labels = ["both outcomes", "one outcome only"]
    _bars(ax, [events[~single], events[single]], color=[BLUE, VERMILLION], label=labels)
    ax.set_xlabel(f"Events per cluster of {name}")
    set_title(ax, f"{int(single.sum()):,} with one outcome only")
    describe(
        ax,
        f"{counted(len(table), name)} have {events.min():,} to {events.max():,} events, median {events.median():,g}; "
        f"{int((events == 0).sum()):,} have no event and {int((table['non_events'] == 0).sum()):,} only events.",
    )


def _bars(ax: Axes, parts: list[pd.Series[int]], *, beside: float | None = None, **options: Any) -> None:
    """Draw stacked bars of whole numbers, on a logarithmic axis if a few are far larger than the others."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    values = np.concatenate(parts)
    most = int(np.clip(2 * np.sqrt(len(values)), LEAST_BARS, MOST_BARS))
    low, high = float(values.min()), float(values.max())
    wide = high > LONG_TAIL * max(1.0, float(np.median(values)))
    if wide:
        edges = np.unique([low, *np.round(np.geomspace(1, high + 1, most // 2))]) - 0.5
        edges = edges[edges >= low - 0.5]
        ax.set_xscale("symlog", linthresh=1.0)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    else:
        reach = max(high, beside or high) - min(low, beside or low)
        width = int(reach) // most + 1  # whole, so that all bars cover the same number of values
        edges = np.arange(low, high + width + 1, width) - 0.5
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.hist(parts, bins=list(edges), stacked=True, rwidth=0.9, **options)
    ax.set_ylabel("Clusters")
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _legend(drawn: AxesArray) -> None:
    handles, labels = drawn[1].get_legend_handles_labels()
    drawn[0].figure.legend(handles, labels, loc="outside upper right", ncols=2, handlelength=1, columnspacing=1.2)
