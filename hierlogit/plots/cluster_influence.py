"""Influence of clusters: the largest Cook's distances, and every parameter's changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..diagnostics.influence import Influence
from ..errors import FitError
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

#: Inches that a named row takes, and the least height of a picture.
ROW_HEIGHT, LEAST_HEIGHT = 0.19, 2.6
#: With more clusters than this their points are small and pale.
CROWD = 200
#: Its multiples fill the numbers from 0 to 1 evenly.
GOLDEN = 0.6180339887


def influence(found: Influence, top: int = 20, *, axes: Any = None) -> AxesArray:
    """Draw the clusters with the largest Cook's distances, and how leaving each cluster out moves each parameter.

    Parameters
    ----------
    found : Influence
        What `hierlogit.influence` returned.
    top : int
        How many clusters the first panel shows.
    axes : array of two matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2,)
        The first panel has the largest Cook's distances and the line ``4 / J``, the second one DFBETAS of all clusters,
        a row for each parameter with the name of the cluster that moves it most, and the lines ``+-2 / sqrt(J)``. What
        lies beyond a line is blue.

    Raises
    ------
    FitError
        If there is nothing to draw.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.influence(hl.influence(fit), top=10)  # doctest: +SKIP
    """
    if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 1:
        raise FitError(f"top={top!r} must be a whole number of at least 1.")
    table = found.table.dropna(subset=["cooks_distance"])
    if not len(table):
        raise FitError("there are no Cook's distances to draw: no fixed effects, or no estimates without a cluster.")
    rows = max(min(top, len(table)), found.dfbetas.shape[1])
    with house_style():
        if axes is None:
            height = max(LEAST_HEIGHT, 1.2 + ROW_HEIGHT * rows)
            drawn = new_axes(2, width=9.2, height=height, width_ratios=(3, 4))
        else:
            drawn = given_axes(axes, 2, "Cook's distances and DFBETAS")
        _distances(drawn[0], found, table.head(top), len(table) - min(top, len(table)))
        _moves(drawn[1], found)
    return drawn


def _distances(ax: Axes, found: Influence, table: pd.DataFrame, rest: int) -> None:
    limit, clusters = 4 / len(found.table), len(found.table)
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
    ax.set_ylabel(found.group)
    set_title(ax, "Cook's distance")
    missing = int(found.table["cooks_distance"].isna().sum())
    unseen = [f"{rest:,} more are smaller"] if rest else []
    unseen += [f"{missing:,} have none"] if missing else []
    ax.set_xlabel(f"of the fixed effects; line: 4 / {clusters:,}\n{'; '.join(unseen) or 'all clusters'}")
    largest = ", ".join(f"{name} {value:.2g}" for name, value in zip(names[:5], distance[:5], strict=True))
    describe(
        ax,
        f"Cook's distances of the clusters of {found.group} from the fixed effects; the largest are {largest}; "
        f"{int((found.table['cooks_distance'] > limit).sum())} of {clusters:,} exceed 4 / {clusters:,}.",
    )


def _moves(ax: Axes, found: Influence) -> None:
    limit = 2 / np.sqrt(len(found.table))
    changes = found.dfbetas
    crowded = len(changes) > CROWD
    positions = np.arange(changes.shape[1])[::-1]
    reach = float(np.nanmax(np.abs(changes.to_numpy()), initial=limit))
    ax.axvline(0, color=INK, linewidth=0.8, zorder=0.5)
    for side in (-limit, limit):
        ax.axvline(side, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
    told = []
    for position, name in zip(positions, changes.columns, strict=True):
        values = changes[name].dropna()
        ax.axhline(position, color=PALE, linewidth=0.6, zorder=0.4)
        if not len(values):
            ax.text(0, position, " no standard error", fontsize=SMALL, color=GREY, va="bottom")
            continue
        colours = list(np.where(values.abs() > limit, BLUE, GREY))
        # A crowd is spread over the height of its row, the same way each time, so that one sees how many there are.
        spread = 0.5 * ((GOLDEN * np.arange(len(values))) % 1 - 0.5) if crowded else np.zeros(len(values))
        at = int(np.argmax(np.abs(values)))
        spread[at] = spread.max()  # under its name, which stands above the others
        ax.scatter(values, position + spread, s=4 if crowded else 14, c=colours, alpha=0.6, linewidths=0, zorder=2)
        most, value = values.index[at], float(values.iloc[at])
        told.append(f"{name} by {most} ({value:+.2g})")
        ax.annotate(
            str(most),
            xy=(value, position + spread[at]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="left" if value < 0 else "right",  # inwards, where there is room for long names
            va="bottom",
            fontsize=SMALL,
        )
    ax.set_yticks(positions, list(changes.columns))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.7, len(positions) - 0.3)
    ax.set_xlim(-1.08 * reach, 1.08 * reach)
    set_title(ax, "DFBETAS")
    ax.set_xlabel(f"change without a cluster, in standard errors\nlines: 2 / root of {len(found.table):,} clusters")
    describe(ax, f"Change of each parameter without each cluster, in standard errors; most moved: {', '.join(told)}.")
