"""Plot of a league table: ranks, ratios, rates or probabilities of clusters, in the order of their expected ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..clusters.league_table import BEST, LeagueTable, league_table_of
from ..errors import FitError
from ..fits.fit import Fit
from ..formatting import number
from ..summaries.intervals import end_names
from ..validation import choice
from .cluster_axis import height_for, marks_for, name_clusters
from .ratio_axis import ratio_axis
from .style import (
    BLUE,
    GREY,
    INK,
    MAX_NAMED,
    PALE,
    AxesArray,
    counted,
    describe,
    given_axes,
    house_style,
    interval_name,
    names_of,
    new_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]

#: What can be drawn, by the column of the table, with its name on the axis.
QUANTITIES = {
    "expected_rank": "Rank",
    "odds_ratio": "Odds ratio to a typical cluster",
    "pe": "Predicted / expected events",
    "standardised_rate": "Standardised rate",
    "p_best": "Probability of being {among} best",
    "p_worst": "Probability of being {among} worst",
}
#: Quantities with intervals, and what these are compared with, in words; those with a logarithmic axis.
COMPARED = {"expected_rank": "the middle rank", "odds_ratio": "1", "pe": "1", "standardised_rate": "the overall rate"}
RATIOS = ("odds_ratio", "pe")


def league_table(
    result: LeagueTable | Fit, group: str | None = None, *, show: str = "expected_rank", axes: Any = None
) -> AxesArray:
    """Plot of the ranks of clusters with intervals, or of another column of their league table.

    The best clusters are on top. Intervals that exclude the middle rank, a ratio of 1 or the overall rate are blue, and
    so are probabilities of at least 0.5; the others are grey. Behind the interval of each rank, a pale line shows the
    one that holds for all clusters at once. Up to 80 clusters are named on the axis; with more, only the five at each
    end.

    Parameters
    ----------
    result : LeagueTable or Fit
        From `hierlogit.league_table`, or a fit for which to call it. Call it yourself to pass options such as ``best``.
    group : str, optional
        With a fit, the grouping factor; the first in the formula if not given.
    show : {"expected_rank", "odds_ratio", "pe", "standardised_rate", "p_best", "p_worst"}
        The column that is drawn.
    axes : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)

    Raises
    ------
    FitError
        If an option is not allowed, the model has no random effects or no such grouping factor, or the result has
        another one.

    See Also
    --------
    hierlogit.league_table : Computes the values shown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.league_table(hl.league_table(fit, best="high"), show="p_best")  # doctest: +SKIP
    """
    show = choice("show", show, tuple(QUANTITIES), FitError)
    league = league_table_of(result, group)
    with house_style():
        if axes is None:
            drawn = new_axes(1, width=4.6, height=height_for(len(league.table)))
        else:
            drawn = given_axes(axes, 1, "one panel")
        _panel(drawn[0], league, show)
    return drawn


def _panel(ax: Axes, league: LeagueTable, show: str) -> None:
    table = league.table.iloc[::-1]  # the best on top
    names, positions, values = names_of(table.index), np.arange(len(table)), table[show].to_numpy()
    crowded = len(table) > MAX_NAMED
    width, size = marks_for(ax, len(table))
    low, high, middle = _ends(league, show)
    blue = (low > middle) | (high < middle) if show in COMPARED else values >= 0.5
    if show == "expected_rank":
        first, last = (table[name].to_numpy() for name in end_names("rank_simultaneous", league.interval.prob))
        ax.hlines(positions, first, last, colors=PALE, linewidth=2.5 * width, zorder=0.4)
    colours = list(np.where(blue, BLUE, GREY))
    ax.hlines(positions, low, high, colors=colours, linewidth=width, alpha=0.6 if crowded else 1.0, zorder=2)
    ax.scatter(values, positions, s=size, c=INK if crowded else colours, linewidths=0, zorder=3)
    name_clusters(ax, names, league.group, ordered=True, order="the best on top")
    _horizontal_axis(ax, show, np.concatenate([low, values, high]), len(table))
    label = QUANTITIES[show].format(among="the" if league.among == 1 else f"among the {league.among:,}")
    ax.set_xlabel(f"{label}\n{_key(league, show)}")
    if show in COMPARED:
        ax.axvline(middle, color=INK, linewidth=0.8, zorder=0.5)
        counted_blue = f"{int(blue.sum()):,} intervals exclude {number(middle)}"
    else:
        counted_blue = f"{int(blue.sum()):,} are at least 0.5"
    describe(
        ax,
        f"{label} of {counted(len(table), league.group)}, in the order of expected ranks, from {names[-1]} "
        f"({values[-1]:.2f}) to {names[0]} ({values[0]:.2f}); {counted_blue}. {league.statement}",
    )


def _ends(league: LeagueTable, show: str) -> tuple[FloatArray, FloatArray, float]:
    """Ends of the lines, from the worst to the best cluster, and the value that intervals are compared with."""
    table = league.table.iloc[::-1]
    if show not in COMPARED:
        values = table[show].to_numpy()
        return np.zeros_like(values), values, 0.0
    prefix = "rank" if show == "expected_rank" else show
    low, high = (table[f"{prefix}_{end}"].to_numpy() for end in league.interval.columns)
    overall = float(table["events"].sum() / table["trials"].sum())
    return low, high, {"expected_rank": (len(table) + 1) / 2, "standardised_rate": overall}.get(show, 1.0)


def _horizontal_axis(ax: Axes, show: str, values: FloatArray, clusters: int) -> None:
    if show in RATIOS:
        ratio_axis(ax, values)
    elif show == "expected_rank":
        from matplotlib.ticker import MaxNLocator

        ax.set_xlim(0.5 - 0.02 * clusters, 0.5 + 1.02 * clusters)
        ranks = MaxNLocator(integer=True, steps=[1, 2, 5, 10]).tick_values(1, clusters)
        ax.set_xticks([1, *(rank for rank in ranks if 1 < rank <= clusters)])
    elif show in COMPARED:
        ax.margins(x=0.03)
    else:
        ax.set_xlim(-0.03, 1.03)


def _key(league: LeagueTable, show: str) -> str:
    """What points, lines and colours mean."""
    if show not in COMPARED:
        return "blue: at least 0.5"
    point = {"expected_rank": "expected rank", "odds_ratio": "median"}.get(show, "mean")
    text = f"{point} and {interval_name(league.interval.prob, league.interval.kind)}\nblue: excludes {COMPARED[show]}"
    if show == "expected_rank":
        text = f"1: {BEST[league.best]} probability of {league.fit.model.design.outcome.event}\n{text}"
        text += "\npale: interval for all ranks at once"
    return text
