"""Plot of partial pooling: raw proportions of clusters against estimated probabilities, or two coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..fits.arguments import model_of, require_group
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from ..variance.partial_pooling import Pooling, pooling
from .coefficient_shrinkage import draw_coefficients, two_coefficients
from .style import (
    BLUE,
    GREY,
    INK,
    MAX_NAMED,
    VERMILLION,
    AxesArray,
    counted,
    describe,
    given_axes,
    house_style,
    new_axes,
    probability_label,
    proportion_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]

#: Area of the point of the largest cluster, smallest area, and both if there are too many clusters to name.
LARGEST, SMALLEST = 160.0, 7.0
LARGEST_IN_CROWD, SMALLEST_IN_CROWD = 40.0, 2.0
#: Space around the points, as a share of their range.
ROOM = 0.05


def shrinkage(
    result: Pooling | Fit | ModelSpec,
    group: str | None = None,
    *,
    effects: Sequence[str] | None = None,
    axes: Any = None,
) -> AxesArray:
    """Plot of the raw proportion of events of each cluster against its estimated probability, or of two coefficients.

    The diagonal is no pooling; the vermillion line or marks are complete pooling. The vertical line from the diagonal
    to a point is the change by partial pooling, which is large for small points, the clusters with few trials. With
    more than 80 clusters, only the points are drawn.

    With `effects`, arrows lead from the coefficients of each cluster by itself to those by partial pooling. Where the
    clusters' own estimates are imprecise, arrows are long and lead towards the fixed effects. Clusters whose own
    estimates are not finite have open points, and the legend counts them. Arrows from far away may begin outside of the
    axes.

    Parameters
    ----------
    result : Pooling, Fit or Model
        From `hierlogit.pooling`, or a fit or model for which to call it.
    group : str, optional
        With a fit or a model, the grouping factor whose clusters are drawn; the first in the formula if not given.
    effects : sequence of two str, optional
        Two coefficients that vary over the clusters, such as ``["Intercept", "urban[Y]"]``, for both axes.
    axes : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)

    Raises
    ------
    FitError
        If the model has no random effects, no such grouping factor or coefficients, or the result has another factor.

    See Also
    --------
    hierlogit.pooling : Computes the values shown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.shrinkage(fit)  # doctest: +SKIP
    >>> hl.plots.shrinkage(fit, effects=["Intercept", "urban[Y]"])  # doctest: +SKIP
    """
    given = None if axes is None else given_axes(axes, 1, "one panel")
    if not isinstance(result, Pooling):
        model_of(result, "result")
        result = pooling(result, group=group)
    require_group(group, result.group, "pooling")
    pair = None if effects is None else two_coefficients(result, effects)
    with house_style():
        drawn = new_axes(1, width=5.6, height=5.6) if given is None else given
        (ax,) = drawn
        if pair is not None:
            draw_coefficients(ax, result, pair, new=axes is None)
            return drawn
        limits = _limits(result)
        _references(ax, result, limits)
        _clusters(ax, result)
        ax.set_xlim(limits)
        ax.set_ylim(limits)
        ax.set_aspect("equal")
        ax.set_xlabel(f"{proportion_label(result.partial)}, raw")
        ax.set_ylabel(f"{probability_label(result.partial)}, estimated")
        _legend(ax, result, new=axes is None)
        _describe(ax, result)
    return drawn


def _limits(result: Pooling) -> tuple[float, float]:
    values = result.table[["raw", "complete", "partial"]].to_numpy()
    low, high = float(values.min()), float(values.max())
    room = ROOM * (high - low)
    return low - room, high + room


def _references(ax: Axes, result: Pooling, limits: tuple[float, float]) -> None:
    """Draw the diagonal and complete pooling: a line if it is one number, otherwise a mark for each cluster."""
    ax.plot(limits, limits, color=GREY, linewidth=1.0, zorder=0.5)
    complete, crowded = result.table["complete"], len(result.table) > MAX_NAMED
    if _one_number(result):
        ax.axhline(complete.iloc[0], color=VERMILLION, linewidth=1.2, linestyle=(0, (5, 3)), zorder=0.6)
        return
    ax.scatter(
        result.table["raw"],
        complete,
        marker="_",
        s=12 if crowded else 30,
        color=VERMILLION,
        linewidths=0.6 if crowded else 1.1,
        alpha=0.25 if crowded else 1.0,
        zorder=2.5,
    )


def _one_number(result: Pooling) -> bool:
    return bool(np.ptp(result.table["complete"]) < 1e-9)


def _clusters(ax: Axes, result: Pooling) -> None:
    table = result.table.sort_values("trials", ascending=False)  # small points on top of large ones
    crowded = len(table) > MAX_NAMED
    raw, partial = table["raw"].to_numpy(), table["partial"].to_numpy()
    if not crowded:
        ax.vlines(raw, np.minimum(raw, partial), np.maximum(raw, partial), colors=GREY, linewidth=0.7, zorder=1)
    ax.scatter(
        raw,
        partial,
        s=list(areas(table["trials"].to_numpy(dtype=np.float64), crowded)),
        color=BLUE,
        alpha=0.3 if crowded else 0.7,
        edgecolors="white",
        linewidths=0.0 if crowded else 0.5,
        zorder=3,
    )


def areas(trials: FloatArray, crowded: bool) -> FloatArray:
    """Areas of points in proportion to the trials of clusters, with the smallest still visible."""
    largest, smallest = (LARGEST_IN_CROWD, SMALLEST_IN_CROWD) if crowded else (LARGEST, SMALLEST)
    return np.maximum(largest * trials / trials.max(), smallest)


def _legend(ax: Axes, result: Pooling, *, new: bool) -> None:
    from matplotlib.lines import Line2D

    table, crowded = result.table, len(result.table) > MAX_NAMED
    if _one_number(result):
        complete: Any = Line2D([], [], color=VERMILLION, linewidth=1.2, linestyle=(0, (5, 3)))
    else:
        complete = Line2D([], [], color=VERMILLION, linestyle="none", marker="_", markersize=6)
    handles = [Line2D([], [], color=GREY, linewidth=1.0), complete]
    value = f": {table['complete'].iloc[0]:.2f}" if _one_number(result) else ", by cluster"
    labels = ["no pooling", f"complete pooling{value}"]
    unit = "trial" if result.partial.model.design.outcome.binomial else "row"
    sizes = np.unique(np.round(np.quantile(table["trials"], [0, 0.5, 1])))
    scaled = areas(np.append(sizes, float(table["trials"].max())), crowded)[: len(sizes)]
    for size, area in zip(sizes, scaled, strict=True):
        handles.append(
            Line2D(
                [],
                [],
                color=BLUE,
                linestyle="none",
                marker="o",
                markersize=float(np.sqrt(area)),
                alpha=0.7,
                markeredgewidth=0,
            )
        )
        labels.append(f"{size:,.0f} {unit}{'' if size == 1 else 's'}")
    options: dict[str, Any] = {"title": counted(len(table), result.group), "alignment": "left", "handlelength": 1.6}
    if new:
        ax.figure.legend(handles, labels, loc="outside upper left", ncols=3, columnspacing=1.2, **options)
    else:
        ax.legend(handles, labels, loc="best", **options)


def _describe(ax: Axes, result: Pooling) -> None:
    table = result.table
    moved = (table["partial"] - table["raw"]).abs()
    place = int(moved.to_numpy().argmax())
    farthest, row = table.index[place], table.iloc[place]
    middle = table["shrinkage"].dropna().median()
    median_text = f"; the median shrinkage towards complete pooling is {middle:.0%}" if middle > 0 else ""
    describe(
        ax,
        f"{proportion_label(result.partial)} in {counted(len(table), result.group)}, from {table['raw'].min():.2f} to "
        f"{table['raw'].max():.2f}, against the estimated probabilities, from {table['partial'].min():.2f} to "
        f"{table['partial'].max():.2f}{median_text}. The largest change is that of {farthest}, with "
        f"{row['events']:,.0f} events in {row['trials']:,.0f} trials, from {row['raw']:.2f} to {row['partial']:.2f}.",
    )
    ax.tick_params(colors=GREY, labelcolor=INK)
