"""Power curves over the grid of a power study, with Monte Carlo intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..binomial_intervals import wilson
from ..errors import FitError
from ..studies.power import Power
from ..validation import choice, instance
from .style import (
    BLUE,
    GREY,
    INK,
    MEDIUM,
    SMALL,
    VERMILLION,
    AxesArray,
    describe,
    given_axes,
    house_style,
    new_axes,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Okabe and Ito's colours and a marker for each curve of a panel.
CURVES = ((BLUE, "o"), (VERMILLION, "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))
#: The power that studies are usually planned for.
USUAL = 0.8
#: Half-width of a 95% interval in standard errors.
REACH = 1.96


def power(result: Power, x: str | None = None, *, axes: Any = None) -> AxesArray:
    """Plot of the power of each tested coefficient over the grid, with 95% Monte Carlo intervals.

    Parameters
    ----------
    result : Power
        From `hierlogit.power`.
    x : str, optional
        The name in the grid that is on the axis; the first if not given. The others define the curves.
    axes : array of matplotlib Axes, optional
        One for each tested coefficient; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (coefficients,)
        With lines at a power of 0.8 and at the significance level.

    Raises
    ------
    FitError
        If the study has no grid, `x` is not in it, or there are too many curves to distinguish.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.power(result, "school")  # doctest: +SKIP
    """
    instance("result", result, Power, FitError, "a Power", "Compute it first: hl.power(formula, layout, ...).")
    if not result.grid:
        raise FitError("the study has only one cell, and so no curve: pass grid= to hl.power.")
    along = result.grid[0] if x is None else choice("x", x, result.grid, FitError)
    others = [name for name in result.grid if name != along]
    curves = result.table[others].drop_duplicates() if others else pd.DataFrame(index=[0])
    if len(curves) > len(CURVES):
        raise FitError(
            f"the grid has {len(curves):,} combinations besides '{along}'; at most {len(CURVES)} curves can be drawn. "
            "Choose another x, or try fewer values."
        )
    parameters = list(dict.fromkeys(result.table["parameter"]))
    with house_style():
        if axes is None:
            drawn = new_axes(len(parameters), width=1.2 + 3.6 * len(parameters), height=3.4, sharey=True)
        else:
            drawn = given_axes(axes, len(parameters), "one for each coefficient")
        for ax, name in zip(drawn, parameters, strict=True):
            rows = result.table[result.table["parameter"] == name]
            _panel(ax, rows, result, along, others, curves)
            true = rows["true"].unique()
            set_title(ax, f"{name} = {true[0]:.3g}" if len(true) == 1 else name)
        drawn[0].set_ylabel("Power")
        if len(curves) > 1:
            drawn[-1].legend(
                loc="upper left", bbox_to_anchor=(1.01, 1), title=", ".join(others), title_fontsize=MEDIUM - 1
            )
    return drawn


def _panel(ax: Axes, rows: pd.DataFrame, result: Power, along: str, others: list[str], curves: pd.DataFrame) -> None:
    values = np.sort(rows[along].unique())
    positions = np.arange(len(values)) if values.dtype == object else values
    # Curves are shifted slightly, so that their intervals do not cover each other.
    gap = 0.012 * float(positions[-1] - positions[0] or 1)
    curve_texts = []
    ax.axhline(USUAL, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
    ax.axhline(result.alpha, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0.5)
    for k, (_, curve) in enumerate(curves.iterrows()):
        points = rows[(rows[others] == curve).all(axis=1)].sort_values(along) if others else rows.sort_values(along)
        colour, marker = CURVES[k]
        place = positions[np.searchsorted(values, points[along])] + gap * (k - (len(curves) - 1) / 2)
        shares, counts = (np.asarray(points[name], dtype=np.float64) for name in ("power", "studies"))
        low, high = wilson(shares, counts, REACH)
        ax.vlines(place, low, high, colors=colour, linewidth=1.2)
        label = ", ".join(f"{value:g}" if isinstance(value, (int, float)) else str(value) for value in curve)
        ax.plot(place, points["power"], color=colour, marker=marker, markersize=4.5, linewidth=1.2, label=label)
        numbers = ", ".join(f"{value} {share:.2f}" for value, share in zip(points[along], points["power"], strict=True))
        curve_texts.append(f"{f'with {label}: ' if label else ''}{numbers}")
    ax.set_ylim(-0.02, 1.02)
    ax.set_xticks(positions, [str(value) for value in values])
    ax.set_xlabel(f"{along}\n")
    ax.annotate(
        f"95% intervals from {result.requested:,} studies",
        xy=(0, 0),
        xycoords="axes fraction",
        xytext=(0, -34),
        textcoords="offset points",
        fontsize=SMALL,
        color=GREY,
        va="top",
    )
    name = rows["parameter"].iloc[0]
    describe(ax, f"Power to reject {name} = 0 at alpha {result.alpha:g}, by {along}; {'; '.join(curve_texts)}.")
