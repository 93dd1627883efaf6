"""Plot of a model comparison: expected log predictive densities or information criteria, the best model on top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import FitError
from ..model_comparison.compare import CRITERIA
from ..validation import instance, quoted_list
from .style import BLUE, GREY, INK, PALE, AxesArray, describe, given_axes, house_style, names_of, new_axes, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_HEIGHT, LEAST_HEIGHT = 0.34, 1.9


def compare(table: pd.DataFrame, *, ax: Any = None) -> AxesArray:
    """Plot of a model comparison by leave-one-out or by an information criterion, the best model on top.

    Parameters
    ----------
    table : pandas.DataFrame
        From `hierlogit.compare`.
    ax : matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)
        For sampled fits, the expected log predictive density of each model plus and minus one standard error, and in
        grey its difference from the best model with the standard error of the difference. For likelihood fits, the
        difference of the criterion from that of the best model.

    Raises
    ------
    FitError
        If the table is not from `hierlogit.compare`.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.compare(hl.compare({"one": fit1, "two": fit2}))  # doctest: +SKIP
    """
    remedy = "Compute it first: hl.compare({'one': fit1, 'two': fit2})."
    instance("table", table, pd.DataFrame, FitError, "a table made by hl.compare", remedy)
    sampled = {"elpd", "se", "elpd_diff", "dse"} <= set(table.columns)
    if not sampled and not ("criterion" in table.attrs and {"difference", "parameters"} <= set(table.columns)):
        raise FitError(
            f"table is not made by hl.compare: it has the columns {quoted_list(list(table.columns))}. {remedy}"
        )
    height = max(LEAST_HEIGHT, 1.1 + ROW_HEIGHT * len(table))
    with house_style():
        drawn = new_axes(1, width=6.2, height=height) if ax is None else given_axes(ax, 1, "one row for each model")
        (_densities if sampled else _criteria)(drawn[0], table)
        positions = np.arange(len(table))
        drawn[0].set_yticks(positions, names_of(table.index))
        drawn[0].tick_params(axis="y", length=0)
        drawn[0].set_ylim(len(table) - 0.4, -0.6)
    return drawn


def _densities(ax: Axes, table: pd.DataFrame) -> None:
    positions = np.arange(len(table))
    best = float(table["elpd"].iloc[0])
    ax.axvline(best, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
    ax.errorbar(table["elpd"], positions, xerr=table["se"], fmt="o", color=BLUE, markersize=5, elinewidth=1.2)
    rest = table.iloc[1:]
    # Below the row of the model: the difference from the best one, whose standard error is much smaller.
    ax.errorbar(rest["elpd"], positions[1:] - 0.25, xerr=rest["dse"], fmt="^", color=GREY, markersize=4, elinewidth=1.2)
    for position, (distance, error) in zip(
        positions[1:], zip(rest["elpd_diff"], rest["dse"], strict=True), strict=True
    ):
        ax.annotate(
            f"{-abs(distance):.1f} ± {error:.1f}",
            xy=(1.01, position),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=INK,
        )
    ax.set_xlabel("expected log predictive density ± standard error\ngrey: difference from the best ± standard error")
    set_title(ax, "Leave-one-out, larger is better")
    differences = [
        f"{name} {-abs(distance):.1f} (standard error {error:.1f})"
        for name, distance, error in zip(rest.index, rest["elpd_diff"], rest["dse"], strict=True)
    ]
    describe(
        ax,
        f"Expected log predictive density of {len(table)} models; the best is {table.index[0]} with {best:.1f}; "
        f"differences from it: {', '.join(differences)}.",
    )


def _criteria(ax: Axes, table: pd.DataFrame) -> None:
    positions, criterion = np.arange(len(table)), CRITERIA[table.attrs["criterion"]]
    difference = table["difference"].to_numpy()
    ax.hlines(positions, 0, difference, color=PALE, linewidth=1.5)
    ax.scatter(difference, positions, s=26, c=[BLUE, *[GREY] * (len(table) - 1)], linewidths=0, zorder=3)
    for position, value, count in zip(positions, difference, table["parameters"], strict=True):
        ax.annotate(
            f"+{value:.1f}, {count} parameters" if value else f"{count} parameters",
            xy=(value, position),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    ax.set_xlim(-0.03 * max(difference.max(), 1), 1.35 * max(difference.max(), 1))
    ax.set_xlabel(f"{criterion} minus that of the best model")
    title = f"{criterion[0].upper()}{criterion[1:]}"
    set_title(ax, f"{title}, smaller is better")
    others = [f"{name} +{value:.1f}" for name, value in zip(table.index[1:], difference[1:], strict=True)]
    describe(ax, f"{title} of {len(table)} models; the best is {table.index[0]}; the others: {', '.join(others)}.")
