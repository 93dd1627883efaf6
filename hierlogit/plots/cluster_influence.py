"""Plot of the influence of clusters: the largest Cook's distances, and the changes of all parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..diagnostics.influence import Influence
from ..errors import FitError
from ..validation import instance, whole_number
from .style import (
    BLUE,
    GREY,
    INK,
    PALE,
    SMALL,
    AxesArray,
    describe,
    given_axes,
    house_style,
    names_of,
    new_axes,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Height in inches of a named row, and the smallest height of a figure.
ROW_HEIGHT, LEAST_HEIGHT = 0.19, 2.6
#: With more clusters than this, their points are small and pale.
CROWD = 200
#: The fractional parts of its multiples fill the interval from 0 to 1 evenly.
GOLDEN = 0.6180339887


def influence(result: Influence, top: int = 20, *, axes: Any = None) -> AxesArray:
    """Plot of the largest Cook's distances, and of the change of each parameter without each cluster.

    Parameters
    ----------
    result : Influence
        From `hierlogit.influence`.
    top : int
        How many clusters the first panel shows.
    axes : array of two matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2,)
        The first panel shows the largest Cook's distances and the line ``4 / J``. The second shows the DFBETAS of all
        clusters, one row for each parameter with the name of its most influential cluster, and the lines
        ``+-2 / sqrt(J)``. Values beyond a line are blue.

    Raises
    ------
    FitError
        If an option is not allowed, or there are no Cook's distances.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.influence(hl.influence(fit), top=10)  # doctest: +SKIP
    """
    instance("result", result, Influence, FitError, "an Influence", "Compute it first: hl.influence(fit).")
    top = whole_number("top", top, FitError, least=1)
    table = result.table.dropna(subset=["cooks_distance"])
    if not len(table):
        raise FitError(
            "there are no Cook's distances to draw: the model has no fixed effects, or no fit without a cluster "
            "converged."
        )
    rows = max(min(top, len(table)), result.dfbetas.shape[1])
    with house_style():
        if axes is None:
            height = max(LEAST_HEIGHT, 1.2 + ROW_HEIGHT * rows)
            drawn = new_axes(2, width=9.2, height=height, width_ratios=(3, 4))
        else:
            drawn = given_axes(axes, 2, "Cook's distances and DFBETAS")
        _distances(drawn[0], result, table.head(top), len(table) - min(top, len(table)))
        _changes(drawn[1], result)
    return drawn


def _distances(ax: Axes, result: Influence, table: pd.DataFrame, rest: int) -> None:
    limit, clusters = 4 / len(result.table), len(result.table)
    distance, names, positions = table["cooks_distance"].to_numpy(), names_of(table.index), np.arange(len(table))[::-1]
    beyond = distance > limit
    colours = list(np.where(beyond, BLUE, GREY))
    ax.axvline(limit, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
    ax.hlines(positions, 0, distance, colors=colours, linewidth=1.2)
    ax.scatter(distance, positions, s=18, c=colours, linewidths=0, zorder=3)
    ax.set_yticks(positions, names, fontsize=SMALL)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.8, len(table) - 0.2)
    ax.set_xlim(0, 1.05 * max(float(distance.max()), limit))
    ax.set_ylabel(result.group)
    set_title(ax, "Cook's distance")
    missing = int(result.table["cooks_distance"].isna().sum())
    hidden = [f"{rest:,} smaller ones not shown"] if rest else []
    hidden += [f"{missing:,} without a value"] if missing else []
    ax.set_xlabel(f"for the fixed effects; line: 4 / {clusters:,}\n{'; '.join(hidden) or 'all clusters'}")
    largest = ", ".join(f"{name} {value:.2g}" for name, value in zip(names[:5], distance[:5], strict=True))
    describe(
        ax,
        f"Cook's distances of the clusters of {result.group} for the fixed effects; the largest are {largest}; "
        f"{int((result.table['cooks_distance'] > limit).sum())} of {clusters:,} exceed 4 / {clusters:,}.",
    )


def _changes(ax: Axes, result: Influence) -> None:
    limit = 2 / np.sqrt(len(result.table))
    changes = result.dfbetas
    crowded = len(changes) > CROWD
    positions = np.arange(changes.shape[1])[::-1]
    reach = float(np.nanmax(np.abs(changes.to_numpy()), initial=limit))
    ax.axvline(0, color=INK, linewidth=0.8, zorder=0.5)
    for side in (-limit, limit):
        ax.axvline(side, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
    most_influential = []
    for position, name in zip(positions, changes.columns, strict=True):
        values = changes[name].dropna()
        ax.axhline(position, color=PALE, linewidth=0.6, zorder=0.4)
        if not len(values):
            ax.text(0, position, " no standard error", fontsize=SMALL, color=GREY, va="bottom")
            continue
        colours = list(np.where(values.abs() > limit, BLUE, GREY))
        # Many points are spread over the height of the row, always in the same way, to show how many there are.
        spread = 0.5 * ((GOLDEN * np.arange(len(values))) % 1 - 0.5) if crowded else np.zeros(len(values))
        largest = int(np.argmax(np.abs(values)))
        spread[largest] = spread.max()  # right below its name, which is written above the others
        ax.scatter(values, position + spread, s=4 if crowded else 14, c=colours, alpha=0.6, linewidths=0, zorder=2)
        most, value = values.index[largest], float(values.iloc[largest])
        most_influential.append(f"{name} without {most} ({value:+.2g})")
        ax.annotate(
            str(most),
            xy=(value, position + spread[largest]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="left" if value < 0 else "right",  # towards the centre, where there is room for long names
            va="bottom",
            fontsize=SMALL,
        )
    ax.set_yticks(positions, list(changes.columns))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.7, len(positions) - 0.3)
    ax.set_xlim(-1.08 * reach, 1.08 * reach)
    set_title(ax, "DFBETAS")
    ax.set_xlabel(f"change without a cluster, in standard errors\nlines: ±2 / √{len(result.table):,}")
    describe(
        ax,
        "Change of each parameter without each cluster, in standard errors; the largest changes: "
        f"{', '.join(most_influential)}.",
    )
