"""Forest plot of odds ratios with intervals, on a logarithmic axis and as numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..design.design import Design
from ..errors import FitError
from ..fits.fit import Fit
from ..result_table import ResultTable, interval_title
from ..summaries.intervals import Interval, columns_of_ends
from ..summaries.log_odds_contrasts import log_odds_contrasts
from ..summaries.tables import PICTURE_OF_RATIOS, odds_ratios
from ..validation import mapping, names, quoted_list, text, unknown_names
from .ratio_axis import ratio_axis
from .style import (
    BLUE,
    GREY,
    INK,
    MEDIUM,
    SMALL,
    AxesArray,
    describe,
    given_axes,
    house_style,
    interval_name,
    names_of,
    new_axes,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Where the axis ends, and at its inverse, for estimates that are infinite or nearly so.
LEAST_RATIO = 1e-6
#: Characters in a line of a label, and the width of a character in inches.
LABEL_WIDTH, CHARACTER = 34, 0.07
_SUPERSCRIPTS = {"2": "²", "3": "³", "4": "⁴"}


def forest(
    result: Fit | ResultTable,
    effects: Sequence[str] | None = None,
    *,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    labels: Mapping[str, str] | None = None,
    ax: Any = None,
) -> AxesArray:
    """Forest plot of the odds ratios of the fixed effects with intervals.

    Parameters
    ----------
    result : Fit or ResultTable
        A fit, or a table by `hierlogit.odds_ratios`, whose ``plot()`` is this function.
    effects : list of str, optional
        Fixed effects by label (``"urban[Y]"``) or term (``"urban"``), in the order in which they are drawn; all except
        the intercept if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals of a fit; ArviZ's defaults if not given.
    labels : mapping of str to str, optional
        Texts in place of the labels of effects, by label: ``{"urban[Y]": "Lives in a town"}``.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)

    Raises
    ------
    FitError
        If there is no fixed effect besides the intercept, or one that is chosen or labelled does not exist.

    See Also
    --------
    hierlogit.odds_ratios : Computes the values shown.

    Notes
    -----
    Points are medians of the draws or, for likelihood fits, the ratios at the maximum, with Wald intervals. The axis
    ends at 1e-6 and 1e6; the numbers beside it are complete. An odds ratio is for one unit of its predictor, so that
    odds ratios of predictors in different units cannot be compared by their distance from 1.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.forest(fit, ["urban", "livch"])  # doctest: +SKIP
    """
    ratios = (
        _of_table(result, ci_prob, ci_kind) if isinstance(result, ResultTable) else _of_fit(result, ci_prob, ci_kind)
    )
    chosen = ratios.chosen(effects)
    texts = ratios.labelled(labels)
    wanted = [wrapped(texts[label], LABEL_WIDTH) for label in chosen]
    longest = max(len(line) for name in wanted for line in name.split("\n"))
    heights = _heights(wanted)
    table = ratios.table.loc[chosen]
    with house_style():
        if ax is None:
            drawn = new_axes(1, width=5.8 + CHARACTER * longest, height=1.3 + sum(heights))
        else:
            drawn = given_axes(ax, 1, "one forest")
        _draw(drawn[0], table, wanted, ratios.interval)
    lines = [f"{label} {_figures(*row)}" for label, row in zip(chosen, _rows(table), strict=True)]
    describe(drawn[0], f"{ratios.title} with {ratios.interval}s: {'; '.join(lines)}.")
    return drawn


@dataclass(frozen=True)
class _Ratios:
    """Odds ratios to draw.

    Attributes
    ----------
    table : pandas.DataFrame
    texts : dict of str to str
        What is written for each row, by its label.
    names : dict of str to set of str
        By the label of a row, the names by which it can be chosen.
    title, interval : str
    """

    table: pd.DataFrame
    texts: dict[str, str]
    names: dict[str, set[str]]
    title: str
    interval: str

    def chosen(self, wanted: Sequence[str] | None) -> list[str]:
        """Labels of the rows in the order in which they are drawn."""
        if wanted is None:
            return list(self.texts)
        allowed = list(dict.fromkeys([*self.texts, *(name for one in self.names.values() for name in sorted(one))]))
        given = names("effects", wanted, allowed, FitError, "fixed effect")
        return list(dict.fromkeys(label for name in given for label, known in self.names.items() if name in known))

    def labelled(self, labels: Mapping[str, str] | None) -> dict[str, str]:
        """What to write for each row: the caller's text, or the readable label."""
        given = {} if labels is None else mapping("labels", labels, FitError, "texts by label, {'urban[Y]': 'Town'}")
        unknown = [name for name in given if name not in self.texts]
        if unknown:
            raise FitError(unknown_names("labels", unknown, list(self.texts), "fixed effect"))
        return self.texts | {name: text(f"labels[{name!r}]", value, FitError) for name, value in given.items()}


def _of_fit(fit: Fit, ci_prob: float | None, ci_kind: str | None) -> _Ratios:
    interval = Interval.of(ci_prob, ci_kind)
    table = odds_ratios(fit, ci_prob=interval.prob, ci_kind=interval.kind)
    design = fit.model.design
    texts = {label: readable(label, design) for label in table.index}
    named = {one.label: {one.label, *one.names} for one in log_odds_contrasts(design)}
    title = f"Odds ratios of {design.outcome.event}"
    return _Ratios(table, texts, named, title, interval_name(interval.prob, interval.kind))


def _of_table(table: ResultTable, ci_prob: float | None, ci_kind: str | None) -> _Ratios:
    if table._picture != PICTURE_OF_RATIOS or not len(table) or interval_title(table) == "":
        raise FitError("result is not a table by hl.odds_ratios with its intervals. Pass such a table, or a fit.")
    given = [name for name, value in (("ci_prob", ci_prob), ("ci_kind", ci_kind)) if value is not None]
    if given:
        raise FitError(f"{quoted_list(given)} is for fits; result is a table, which has its intervals: leave it out.")
    labels = names_of(table.index)
    drawn = pd.DataFrame(table).set_axis(labels)
    return _Ratios(
        drawn,
        dict(zip(labels, labels, strict=True)),
        {one: {one} for one in labels},
        table.quantity or "Odds ratios",
        interval_title(table),
    )


def _middle(table: pd.DataFrame) -> str:
    return "median" if "median" in table else "estimate"


def _rows(table: pd.DataFrame) -> list[tuple[float, float, float]]:
    columns = (table[name] for name in (_middle(table), *columns_of_ends(table)))
    return [(float(m), float(a), float(b)) for m, a, b in zip(*columns, strict=True)]


def _heights(labels: Sequence[str]) -> list[float]:
    """Inches for each row, more where its label has several lines."""
    return [0.16 + 0.14 * (1 + label.count("\n")) for label in labels]


def _draw(ax: Axes, table: pd.DataFrame, labels: list[str], interval: str) -> None:

    rows = _rows(table)
    heights = np.array(_heights(labels))
    positions = heights.sum() - heights.cumsum() + heights / 2
    away = [low > 1 or high < 1 for _, low, high in rows]
    colours = [BLUE if apart else GREY for apart in away]
    ax.axvline(1, color=INK, linewidth=0.8, zorder=0.5)
    middle, low, high = np.clip(np.array(rows).T, LEAST_RATIO, 1 / LEAST_RATIO)
    ax.hlines(positions, low, high, colors=colours, linewidth=1.8)
    ax.scatter(middle, positions, s=28, c=colours, linewidths=0, zorder=3)
    ratio_axis(ax, np.concatenate([middle, low, high]))
    ax.set_yticks(positions, labels, fontsize=MEDIUM)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(-0.03, heights.sum() + 0.03)
    ax.set_xlabel("Odds ratio within a cluster\nblue: interval excludes 1")
    beside = ax.get_yaxis_transform()
    for position, row in zip(positions, rows, strict=True):
        ax.text(1.02, position, _figures(*row), transform=beside, va="center", fontsize=MEDIUM - 1)
    ax.annotate(
        f"{_middle(table)} [{interval}]",
        xy=(1.02, 1),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        va="bottom",
        fontsize=SMALL,
        color=GREY,
    )


def _figures(median: float, low: float, high: float) -> str:
    """A ratio and its interval as text, with decimals according to the width of the interval.

    Examples
    --------
    >>> _figures(2.1238, 1.633, 2.8045)
    '2.12 [1.63, 2.80]'
    >>> _figures(0.995494, 0.9943, 0.996647)
    '0.9955 [0.9943, 0.9966]'
    """
    if high >= 1e4 or low < 1e-3 or not high > low:
        return f"{median:.3g} [{low:.3g}, {high:.3g}]"
    decimals = int(np.clip(1 - np.floor(np.log10(high - low)), 2 if low < 10 else 0, 4))
    return f"{median:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"


def readable(label: str, design: Design) -> str:
    """Readable label of a fixed effect: a level with the one it is compared to, powers and products as symbols."""
    match = re.fullmatch(r"(.+?)\[(.+)\]", label)
    if match and label not in design.fixed_effects:  # a step along a curve
        return f"{match[1]}: {match[2].replace(' rather than ', ' vs ')}"
    if match and match[1] in design.table.frame.columns and ":" not in label:
        column, level = match[1], match[2]
        values = design.table.frame[column]
        levels = [
            str(value) for value in (values.cat.categories if hasattr(values, "cat") else sorted(values.unique()))
        ]
        coded = [name[len(column) + 1 : -1] for name in design.fixed_effects if name.startswith(f"{column}[")]
        reference = [name for name in levels if name not in coded]
        if level in levels and len(reference) == 1:
            return f"{column}: {level} vs {reference[0]}"
    power = re.fullmatch(r"I\((\w+) ?\*\* ?([234])\)", label)
    if power:
        return f"{power[1]}{_SUPERSCRIPTS[power[2]]}"
    return re.sub(r":(?![^\[]*\])", " × ", label)
