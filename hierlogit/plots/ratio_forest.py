"""Forest plot of odds ratios with intervals, on a logarithmic axis and as numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..design.design import Design
from ..errors import FitError
from ..fits.fit import Fit
from ..summaries.intervals import Interval, columns_of_ends
from ..summaries.log_odds_contrasts import log_odds_contrasts
from ..summaries.tables import odds_ratios
from ..validation import mapping, names, text, unknown_names
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
    fit: Fit,
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
    fit : Fit
    effects : list of str, optional
        Fixed effects by label (``"urban[Y]"``) or term (``"urban"``), in the order in which they are drawn; all except
        the intercept if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.
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
    interval = Interval.of(ci_prob, ci_kind)
    table = odds_ratios(fit, ci_prob=interval.prob, ci_kind=interval.kind)
    chosen = _chosen(fit.model.design, list(table.index), effects)
    texts = _texts(fit.model.design, list(table.index), labels)
    wanted = [wrapped(texts[label], LABEL_WIDTH) for label in chosen]
    longest = max(len(line) for name in wanted for line in name.split("\n"))
    heights = _heights(wanted)
    with house_style():
        if ax is None:
            drawn = new_axes(1, width=5.8 + CHARACTER * longest, height=1.3 + sum(heights))
        else:
            drawn = given_axes(ax, 1, "one forest")
        _draw(drawn[0], table.loc[chosen], wanted, interval)
    design = fit.model.design
    lines = [f"{label} {_figures(*row)}" for label, row in zip(chosen, _rows(table.loc[chosen]), strict=True)]
    named = interval_name(interval.prob, interval.kind)
    describe(drawn[0], f"Odds ratios of {design.outcome.event} with {named}s: {'; '.join(lines)}.")
    return drawn


def _texts(design: Design, known: list[str], labels: Mapping[str, str] | None) -> dict[str, str]:
    """What to write for each effect: the caller's text, or the readable label."""
    texts = {label: readable(label, design) for label in known}
    given = {} if labels is None else mapping("labels", labels, FitError, "texts by label, {'urban[Y]': 'Town'}")
    unknown = [name for name in given if name not in texts]
    if unknown:
        raise FitError(unknown_names("labels", unknown, known, "fixed effect"))
    return texts | {name: text(f"labels[{name!r}]", value, FitError) for name, value in given.items()}


def _chosen(design: Design, known: list[str], wanted: Sequence[str] | None) -> list[str]:
    if wanted is None:
        return known
    contrasts = log_odds_contrasts(design)
    allowed = list(dict.fromkeys([*known, *(name for contrast in contrasts for name in sorted(contrast.names))]))
    chosen: list[str] = []
    for name in names("effects", wanted, allowed, FitError, "fixed effect"):
        chosen += [one.label for one in contrasts if name in one.names and one.label not in chosen]
    return chosen


def _middle(table: pd.DataFrame) -> str:
    return "median" if "median" in table else "estimate"


def _rows(table: pd.DataFrame) -> list[tuple[float, float, float]]:
    columns = (table[name] for name in (_middle(table), *columns_of_ends(table)))
    return [(float(m), float(a), float(b)) for m, a, b in zip(*columns, strict=True)]


def _heights(labels: Sequence[str]) -> list[float]:
    """Inches for each row, more where its label has several lines."""
    return [0.16 + 0.14 * (1 + label.count("\n")) for label in labels]


def _draw(ax: Axes, table: pd.DataFrame, labels: list[str], interval: Interval) -> None:

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
        f"{_middle(table)} [{interval_name(interval.prob, interval.kind)}]",
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
