"""The axis on which clusters stand one above the other, in plots of single clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .style import GREY, MAX_NAMED, SMALL, counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: How many clusters are named at each end if there are too many to name them all.
NAMED_AT_ENDS = 5
#: Height in inches of a name at the ends.
NAME_HEIGHT = 0.15

#: Height in inches of a named cluster, the smallest height of a figure, and the height if not all are named.
ROW_HEIGHT, LEAST_HEIGHT, CROWD_HEIGHT = 0.14, 2.2, 9.0
#: Width of a line and area of a point of a named cluster, and the smallest of each, where many clusters are close.
LINE, POINT = 1.2, 12.0
LEAST_LINE, LEAST_POINT = 0.4, 1.5


def height_for(clusters: int) -> float:
    """Height of a figure in inches."""
    return CROWD_HEIGHT if clusters > MAX_NAMED else max(LEAST_HEIGHT, 1.0 + ROW_HEIGHT * clusters)


def marks_for(ax: Axes, clusters: int) -> tuple[float, float]:
    """Width of the line and area of the point of a cluster: as for named clusters where there is room for it."""
    if clusters <= MAX_NAMED:
        return LINE, POINT
    row = 72 * _height(ax) / clusters
    return min(max(0.3 * row, LEAST_LINE), LINE), min(max(row**2, LEAST_POINT), POINT)


def _height(ax: Axes) -> float:
    """Height of a panel in inches."""
    return ax.get_position().height * float(ax.figure.get_figheight())  # type: ignore[union-attr]


def name_clusters(ax: Axes, names: list[str], factor: str, *, ordered: bool, order: str = "sorted") -> None:
    """Write the names of clusters at the positions 0, 1, ... of the vertical axis; of many, only those at the ends.

    Parameters
    ----------
    ax : matplotlib Axes
    names : list of str
        From the bottom to the top.
    factor : str
    ordered : bool
        Whether the ends are of interest.
    order : str
        How they are ordered, in words.
    """
    ax.set_ylim(-0.9, len(names) - 0.1)
    if len(names) > MAX_NAMED:
        ax.set_yticks([])
        ax.set_ylabel(counted(len(names), factor) + (f", {order}" if ordered else ""))
        if ordered:
            _name_ends(ax, names)
    else:
        ax.set_yticks(np.arange(len(names)), names, fontsize=SMALL)
        ax.tick_params(axis="y", length=0)
        ax.set_ylabel(factor)


def _name_ends(ax: Axes, names: list[str]) -> None:
    """Write the names of the lowest and highest clusters beside the axis, each with a line to its position."""
    count, step = len(names), NAME_HEIGHT / _height(ax)
    for k in range(NAMED_AT_ENDS):
        for position, height in ((k, 0.005 + step * k), (count - 1 - k, 0.995 - step * k)):
            ax.annotate(
                names[position],
                xy=(0, position),
                xycoords=("axes fraction", "data"),
                xytext=(-0.05, height),
                textcoords="axes fraction",
                ha="right",
                va="center",
                fontsize=SMALL,
                annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkA": 1, "shrinkB": 0},
            )
