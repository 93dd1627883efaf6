"""Plot of a league table: ranks, ratios, rates or probabilities of clusters, in the order of their expected ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..clusters.standing import LeagueTable, league_table_of
from ..errors import FitError
from ..fits.fit import Fit
from ..validation import choice
from .cluster_axis import height_for, name_clusters
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
    "odds_ratio": "Odds ratio to the average cluster",
    "pe": "Predicted / expected events",
    "standardised_rate": "Standardised rate",
    "p_best": "Probability of being among the best {among:,}",
    "p_worst": "Probability of being among the worst {among:,}",
}
#: Quantities with a logarithmic axis.
RATIOS = ("odds_ratio", "pe")


def league_table(
    result: LeagueTable | Fit, group: str | None = None, *, show: str = "expected_rank", axes: Any = None
) -> AxesArray:
    """Plot of the ranks of clusters with intervals, or of another column of their league table.

    The best clusters are on top. Clusters whose interval excludes the middle rank, a ratio of 1 or the overall rate are
    blue, the others grey. Behind the interval of each rank, a pale line shows the one that holds for all clusters at
    once. Up to 80 clusters are named on the axis; with more, only the five at each end.

    Parameters
    ----------
    result : LeagueTable or Fit
        From `hierlogit.league_table`, or a fit for which to call it.
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
    label = QUANTITIES[show].format(among=league.among)
    middle = _middle(league, show)
    away = _differs(ax, league, show, middle, crowded=crowded)
    colours = list(np.where(away, BLUE, GREY))
    ax.scatter(values, positions, s=1.5 if crowded else 12, c=colours, linewidths=0, zorder=3)
    name_clusters(ax, names, league.group, ordered=True, order="the best on top")
    if show in RATIOS:
        ends = [f"{show}_{end}" for end in league.interval.columns]
        ratio_axis(ax, table[[show, *ends]].to_numpy().ravel())
    elif show == "expected_rank":
        from matplotlib.ticker import MaxNLocator

        ax.set_xlim(0.5 - 0.02 * len(table), 0.5 + 1.02 * len(table))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        ax.margins(x=0.03)
    if middle is None:
        ax.set_xlabel(label)
        ax.set_xlim(-0.03, 1.03)
    else:
        ax.axvline(middle, color=INK, linewidth=0.8, zorder=0.5)
        ax.set_xlabel(f"{label}\n{_key(league, show)}")
    best = f"{names[-1]} ({values[-1]:.2f})"
    excluded = "" if middle is None else f" {int(away.sum()):,} intervals exclude {middle:.3g}."
    describe(
        ax,
        f"{label} of {counted(len(table), league.group)}, in the order of expected ranks, from {best} to {names[0]} "
        f"({values[0]:.2f}).{excluded} {league.statement}",
    )


def _middle(league: LeagueTable, show: str) -> float | None:
    """What the intervals are compared with: the middle rank, a ratio of 1 or the rate of all rows."""
    if show == "expected_rank":
        return (len(league.table) + 1) / 2
    if show == "standardised_rate":
        return float(league.table["events"].sum() / league.table["trials"].sum())
    return 1.0 if show in RATIOS else None


def _differs(ax: Axes, league: LeagueTable, show: str, middle: float | None, *, crowded: bool) -> npt.NDArray[np.bool_]:
    """Draw the intervals, and return which of them exclude the middle; of probabilities, which are above a half."""
    table, positions = league.table.iloc[::-1], np.arange(len(league.table))
    if middle is None:
        above = table[show].to_numpy() >= 0.5
        ax.hlines(
            positions, 0, table[show], colors=list(np.where(above, BLUE, GREY)), linewidth=0.4 if crowded else 1.2
        )
        return above
    prefix = "rank" if show == "expected_rank" else show
    low, high = (table[f"{prefix}_{end}"].to_numpy() for end in league.interval.columns)
    away: npt.NDArray[np.bool_] = (low > middle) | (high < middle)
    together = [name for name in table if str(name).startswith("rank_simultaneous")]
    if show == "expected_rank" and together:
        first, last = (table[name].to_numpy() for name in together)
        ax.hlines(positions, first, last, colors=PALE, linewidth=0.4 if crowded else 3.0, zorder=0.4)
    ax.hlines(
        positions, low, high, colors=list(np.where(away, BLUE, GREY)), linewidth=0.4 if crowded else 1.2, zorder=2
    )
    return away


def _key(league: LeagueTable, show: str) -> str:
    """What points, lines and colours mean."""
    point = {"expected_rank": "expected rank", "odds_ratio": "median"}.get(show, "mean")
    interval = interval_name(league.interval.prob, league.interval.kind)
    compared = {"expected_rank": "the middle rank", "standardised_rate": "the overall rate"}.get(show, "1")
    text = f"{point} and {interval}\nblue: excludes {compared}"
    if show == "expected_rank" and any(str(name).startswith("rank_simultaneous") for name in league.table):
        text += "\npale: interval for all ranks at once"
    return text
