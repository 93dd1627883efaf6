"""The axis of a predictor: levels below it, and ticks at the values in the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .style import CHARACTER, INK, names_of, panel_width, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Lines of a label below the axis, and characters in a line of a slanted one.
MAX_LABEL_LINES, SLANTED_LENGTH = 4, 24


def mark_levels(ax: Axes, values: Sequence[Any]) -> None:
    """Write the levels below the axis: side by side in a few lines each or, where there is no room, slanted."""
    names = names_of(values)
    room = max(int(panel_width(ax) / len(names) / CHARACTER) - 1, 1)
    beside = [wrapped(name, room) for name in names]
    fits = all(len(line) <= room + 1 for name in beside for line in name.split("\n"))
    if fits and all(name.count("\n") < MAX_LABEL_LINES for name in beside):
        ax.set_xticks(np.arange(len(names)), beside)
    else:
        slanted = [wrapped(name, SLANTED_LENGTH) for name in names]
        ax.set_xticks(np.arange(len(names)), slanted, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.5, len(names) - 0.5)


def draw_rug(ax: Axes, values: pd.Series[Any]) -> None:
    """Draw ticks along the axis at the values in the rows."""
    ax.vlines(np.unique(values.to_numpy()), 0, 0.025, colors=INK, linewidth=0.5, transform=ax.get_xaxis_transform())
