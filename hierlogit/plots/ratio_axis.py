"""A logarithmic axis of ratios, with ticks at round numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def ratio_axis(ax: Axes, values: npt.NDArray[np.float64], along: Literal["x", "y"] = "x") -> None:
    """Make the horizontal or the vertical axis logarithmic, with room for these ratios and for 1."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    axis = ax.xaxis if along == "x" else ax.yaxis
    ax.set(**{f"{along}scale": "log"})
    shown = [1.0, *values[np.isfinite(values)]]
    least, most = min(shown), max(shown)
    span = max(most / least, 1.02)
    limits = least / span**0.06, most * span**0.06
    ax.set(**{f"{along}lim": limits})
    axis.set_major_locator(FixedLocator(round_ratios(*limits)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    axis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis=along, which="minor", length=0)


def round_ratios(low: float, high: float) -> list[float]:
    """About four to eight round ratios between two limits, including 1.

    Examples
    --------
    >>> round_ratios(0.15, 3.0)
    [0.2, 0.5, 1.0, 2.0]
    """
    from matplotlib.ticker import MaxNLocator

    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    every = -(-len(decades) // 8)
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [float(f"{step}e{k}") for k in decades if k % every == 0 for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= 4:
            return inside
    return [float(tick) for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
