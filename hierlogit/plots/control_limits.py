"""Funnel plot: proportions of events, or observed / expected events, of clusters against their size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..clusters.binomial_limits import control_limits, overdispersion, tail_probabilities
from ..clusters.league_table import LeagueTable, league_table_of
from ..errors import FitError
from ..fits.fit import Fit
from ..validation import choice
from .style import (
    BLUE,
    GREY,
    INK,
    MAX_NAMED,
    SMALL,
    VERMILLION,
    AxesArray,
    counted,
    describe,
    given_axes,
    house_style,
    names_of,
    new_axes,
    proportion_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

FloatArray = npt.NDArray[np.float64]

KINDS = ("oe", "rate")
#: Probabilities of the control limits, those of two and three standard deviations (Spiegelhalter 2005).
INNER, OUTER = 0.95, 0.998
#: Points of a curve, clusters beyond the outer limits that are named, and the ratio of sizes for a logarithmic axis.
POINTS, NAMED, WIDE = 300, 6, 50
#: Pixels around a name that are free of other names.
PADDING = 2.0


@dataclass(frozen=True)
class Funnel:
    """Clusters with what limits are drawn for.

    Attributes
    ----------
    size : ndarray, shape (J,)
        Trials; of observed / expected events, trials with the overall rate for which they vary as much by chance.
    value : ndarray, shape (J,)
    tail : ndarray, shape (J,)
        Probability of a value as far from what is expected, on its side, without differences between clusters.
    centre : float
        Value without differences between clusters.
    rate : float
        Proportion of events in all rows.
    overdispersion : float
    """

    size: FloatArray
    value: FloatArray
    tail: FloatArray
    centre: float
    rate: float
    overdispersion: float

    @classmethod
    def of(cls, league: LeagueTable, kind: str) -> Funnel:
        """The clusters of a league table.

        Raises
        ------
        FitError
            If all trials have the same outcome.
        """
        table = league.table
        events, trials = (table[name].to_numpy(dtype=np.float64) for name in ("events", "trials"))
        rate = float(events.sum() / trials.sum())
        if not 0 < rate < 1:
            raise FitError("there is no funnel to draw: all trials have the same outcome.")
        if kind == "rate":
            phi = overdispersion(events, rate * trials, rate * (1 - rate) * trials)
            return cls(trials, events / trials, tail_probabilities(events, trials, rate), rate, rate, phi)
        expected = table["expected_population"].to_numpy()
        risk = expected / trials
        size = trials * (risk / (1 - risk)) / (rate / (1 - rate))
        tail = tail_probabilities(events, trials, risk)
        return cls(size, events / expected, tail, 1.0, rate, league.overdispersion)

    def limits(self, size: FloatArray, prob: float) -> tuple[FloatArray, FloatArray]:
        """Control limits of the values of clusters of some sizes."""
        low, high = control_limits(size, self.rate, prob)
        return low * self.centre / self.rate, high * self.centre / self.rate

    def beyond(self, prob: float) -> npt.NDArray[np.bool_]:
        """Whether each cluster lies outside its limits."""
        return np.asarray(self.tail <= (1 - prob) / 2)


def funnel(result: LeagueTable | Fit, group: str | None = None, *, kind: str = "oe", axes: Any = None) -> AxesArray:
    """Funnel plot of the clusters: observed / expected events, or proportions of events, against their size.

    The lines are exact binomial limits, between which 95 % and 99.8 % of the clusters lie if they differ by chance
    alone; they do not depend on the variance between clusters in the fit. Clusters beyond the inner limits are blue,
    those beyond the outer ones vermillion diamonds, of which the farthest are named. Over-dispersion is about 1 if
    clusters differ by chance alone; if it is much larger, many clusters lie beyond the limits that are not exceptional
    among clusters as they are.

    Parameters
    ----------
    result : LeagueTable or Fit
        From `hierlogit.league_table`, or a fit for which to call it.
    group : str, optional
        With a fit, the grouping factor; the first in the formula if not given.
    kind : {"oe", "rate"}
        Observed / expected events, with those expected over the population of clusters, so that predictors are allowed
        for; or the proportions of events as they are.
    axes : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)

    Raises
    ------
    FitError
        If an option is not allowed, the model has no random effects or no such grouping factor, the result has another
        one, all trials have the same outcome, or outcomes are beta-binomial.

    See Also
    --------
    hierlogit.league_table : Computes the values shown.

    Notes
    -----
    With ``kind="oe"``, clusters stand at their trials times the odds of their expected rate, divided by the odds of the
    overall rate: the number of trials at the overall rate for which O/E has the same variance by chance. Whether a
    cluster lies beyond limits is judged by its own trials and expected rate.

    References
    ----------
    Spiegelhalter (2005), Funnel plots for comparing institutional performance, Statistics in Medicine 24: 1185-1202.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.funnel(fit, kind="rate")  # doctest: +SKIP
    """
    kind = choice("kind", kind, KINDS, FitError)
    league = league_table_of(result, group)
    if league.fit.model.overdispersed:
        raise FitError(
            "the control limits are those of binomial counts, and counts of this model are beta-binomial: limits of a "
            "cluster would depend on the trials of each of its rows. hl.plots.league_table shows the clusters with "
            "intervals."
        )
    shown = Funnel.of(league, kind)
    with house_style():
        drawn = new_axes(1, width=5.6, height=4.4) if axes is None else given_axes(axes, 1, "one panel")
        ax = drawn[0]
        _lines(ax, shown)
        _clusters(ax, shown)
        ax.set_xlabel("Trials" if kind == "rate" else "Trials at the overall rate")
        ax.set_ylabel(proportion_label(league.fit) if kind == "rate" else "Observed / expected events")
        ax.legend(
            title=f"{counted(len(shown.size), league.group)}\nover-dispersion {shown.overdispersion:.3g}",
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=2 if axes is None else 1,
            title_fontsize=SMALL + 1,
            alignment="left",
            columnspacing=1.2,
            handlelength=1.6,
            borderaxespad=0.2,
        )
        _name_farthest(ax, shown, names_of(league.table.index))
        _describe(ax, shown, league)
    return drawn


def _lines(ax: Axes, shown: Funnel) -> None:
    smallest, largest = float(shown.size.min()), float(shown.size.max())
    wide = largest > WIDE * smallest
    first, last = (smallest / 1.2, largest * 1.2) if wide else (max(smallest - 0.04 * largest, 0.5), 1.04 * largest)
    space = np.geomspace if wide else np.linspace
    sizes = space(first, last, POINTS)
    ax.axhline(shown.centre, color=INK, linewidth=0.8, zorder=0.5)
    for prob, style in ((INNER, (0, (4, 2))), (OUTER, "solid")):
        low, high = shown.limits(sizes, prob)
        low[low <= 0], high[high >= shown.centre / shown.rate] = np.nan, np.nan  # there is no limit
        ax.plot(sizes, low, color=GREY, linewidth=1.0, linestyle=style, label=f"{100 * prob:g}% limits")
        ax.plot(sizes, high, color=GREY, linewidth=1.0, linestyle=style)
    ax.set_xlim(first, last)
    if wide:
        from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if largest < WIDE**2 * smallest else (1.0,)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        ax.xaxis.set_minor_formatter(NullFormatter())


def _clusters(ax: Axes, shown: Funnel) -> None:
    inner, outer, crowded = shown.beyond(INNER), shown.beyond(OUTER), len(shown.size) > MAX_NAMED
    groups = (
        (~inner, GREY, "o", "inside"),
        (inner & ~outer, BLUE, "o", f"beyond {100 * INNER:g}%"),
        (outer, VERMILLION, "D", f"beyond {100 * OUTER:g}%"),
    )
    for chosen, colour, marker, label in groups:
        ax.scatter(
            shown.size[chosen],
            shown.value[chosen],
            s=5 if crowded else 18,
            color=colour,
            marker=marker,
            linewidths=0,
            alpha=0.7,
            zorder=3,
            label=f"{label} ({int(chosen.sum()):,})",
        )
    # The outer limits of the largest cluster are in sight.
    ends = [float(end[0]) for end in shown.limits(shown.size.max(keepdims=True), OUTER)]
    lowest, highest = min(float(shown.value.min()), ends[0]), max(float(shown.value.max()), ends[1])
    room = 0.06 * (highest - lowest)
    ax.set_ylim(lowest - room, highest + room)


def _name_farthest(ax: Axes, shown: Funnel, names: list[str]) -> None:
    """Name the least probable clusters beyond the outer limits, where there is room beside them."""
    outer = np.flatnonzero(shown.beyond(OUTER))
    farthest = outer[np.argsort(shown.tail[outer], kind="stable")][:NAMED]
    texts = []
    for k in farthest:
        at = ax.transLimits.transform(ax.transScale.transform((float(shown.size[k]), float(shown.value[k]))))
        inwards = at[0] > 0.5
        texts.append(
            ax.annotate(
                names[k],
                xy=(float(shown.size[k]), float(shown.value[k])),
                xytext=(-5 if inwards else 5, 0),
                textcoords="offset points",
                ha="right" if inwards else "left",
                va="center",
                fontsize=SMALL,
            )
        )
    if not texts:
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # places the axes, so that the room is known
    inside = ax.get_window_extent()
    taken: list[Bbox] = []
    for text in texts:
        box = text.get_window_extent().padded(PADDING)
        if box.x0 < inside.x0 or box.x1 > inside.x1 or any(box.overlaps(other) for other in taken):
            text.remove()
        else:
            taken.append(box)


def _describe(ax: Axes, shown: Funnel, league: LeagueTable) -> None:
    table = pd.Series(shown.value, index=league.table.index)
    count = len(table)
    describe(
        ax,
        f"{ax.get_ylabel()} of {counted(count, league.group)} against their size, from {table.min():.2f} "
        f"({table.idxmin()}) to {table.max():.2f} ({table.idxmax()}); {int(shown.beyond(INNER).sum()):,} of {count:,} "
        f"lie beyond the {100 * INNER:g}% limits and {int(shown.beyond(OUTER).sum()):,} beyond the {100 * OUTER:g}% "
        f"limits. Over-dispersion {shown.overdispersion:.3g}.",
    )
