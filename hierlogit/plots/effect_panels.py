"""Panels of a picture of predictions, comparisons or slopes: curves with bands, points with intervals, lines, lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..effects.conditions import MOST_LINES, spread_out
from .effect_layout import MANY_VALUES, EffectLayout, EffectTable, text_of
from .predictor_axis import mark_levels
from .style import BLUE, GREEN, GREY, INK, MAX_NAMED, ORANGE, PURPLE, SKY, SMALL, VERMILLION, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]
#: Colours and marks of groups.
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK)
MARKS = ("o", "D", "s", "^", "v", "P", "X")
#: Dashes of representative clusters: solid in the middle, and then away from it on both sides.
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 2, 1, 2)), (0, (9, 3)))
#: More levels than this are listed from top to bottom.
MOST_LEVELS = 12
#: Most rows that are drawn in the order of their values.
MOST_ROWS = 2000
#: Distance between the points of groups in a level, the largest share of a level that all of them take, and the
#: distance at a number, as a share of that to the next number.
ASIDE, SPREAD, NEAR = 0.16, 0.6, 0.03
#: Lists with more rows have small labels.
FEW_ROWS = 24
#: Characters in a line of a label of a list.
LABEL_WIDTH = 34


@dataclass(frozen=True)
class Group:
    """Rows of one colour and one representative cluster: these, and how they are drawn."""

    value: Any
    colour: str
    mark: str
    chosen: str | None = None
    dashes: Any = "-"


@dataclass(frozen=True)
class Drawing:
    """What the panels of a picture share.

    Attributes
    ----------
    table : EffectTable
    layout : EffectLayout
    """

    table: EffectTable
    layout: EffectLayout

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows: ``x``, ``colour``, ``panel``, ``set``, ``line``, ``middle``, ``low`` and ``high``."""
        frame, layout, ends = self.table.frame, self.layout, self.table.ends
        rows = pd.DataFrame(
            {
                "x": frame[layout.axis[0]].astype(float) if self.numeric else self._places(),
                "colour": None if layout.colour is None else _known(frame[layout.colour]),
                "panel": self._titles(),
                "set": list(frame[layout.sets]) if layout.sets is not None else None,
                "line": self.table.texts(layout.lines, " "),
                "middle": frame[self.table.middle].astype(float),
            }
        )
        for name, end in zip(("low", "high"), ends or (None, None), strict=True):
            rows[name] = np.nan if end is None else frame[end].astype(float)
        return rows.mask(rows.isin([np.inf, -np.inf]))

    def _places(self) -> list[str]:
        if self.layout.axis:
            return self.table.texts(self.layout.axis)
        if self.layout.effects == "axis":
            return self.table.effects
        return self.table.labels if len(self.table.frame) > 1 else [""]

    def _titles(self) -> list[str]:
        panel = self.layout.panel
        effects = [""] * len(self.table.frame) if self.layout.effects == "axis" else self.table.effects
        values = [""] * len(effects) if panel is None else [f"{panel} = {text}" for text in self.table.texts([panel])]
        return ["; ".join(filter(None, pair)) for pair in zip(effects, values, strict=True)]

    @cached_property
    def numeric(self) -> bool:
        """Whether the axis has numbers."""
        return len(self.layout.axis) == 1 and self.table.is_amount(self.layout.axis[0])

    @cached_property
    def kind(self) -> str:
        """How rows are drawn: as a curve, at numbers, at levels, in a list, as a cloud, or in the order of values."""
        if not self.layout.unique:
            return "cloud" if self.layout.axis else "rows"
        if self.numeric:
            return "curve" if self.table.frame[self.layout.axis[0]].nunique() > MANY_VALUES else "numbers"
        return "list" if not self.layout.axis or self.of_clusters or len(self.levels) > MOST_LEVELS else "levels"

    @property
    def flat(self) -> bool:
        """Whether values are along the horizontal axis."""
        return self.kind in {"list", "rows"}

    @cached_property
    def of_clusters(self) -> bool:
        """Whether the axis has clusters."""
        return bool(self.layout.axis) and {*self.layout.axis} <= {*self.table.picture.cluster_columns}

    @cached_property
    def panels(self) -> list[str]:
        """Titles of the panels, in order."""
        keys = [] if self.layout.panel is None else [self.layout.panel]
        order = self._order(keys)
        return list(dict.fromkeys(self.rows["panel"].iloc[order]))

    @cached_property
    def levels(self) -> list[str]:
        """Levels along the axis, in order: that of a categorical column, else that of the table."""
        return list(dict.fromkeys(self.rows["x"].iloc[self._order(list(self.layout.axis))]))

    @cached_property
    def groups(self) -> list[Group]:
        """The groups of rows by colour; numbers have a range of colours."""
        name = self.layout.colour
        values: list[Any] = [None]
        colours: Sequence[str] = COLOURS
        if name is not None:
            values = list(dict.fromkeys(self.rows["colour"].iloc[self._order([name])]))
            colours = _shades(len(values)) if self.table.is_amount(name) else COLOURS
        by_colour = [Group(*item) for item in zip(values, colours, MARKS, strict=False)]
        return [replace(group, **style) for group in by_colour for style in self._styles()]

    def _styles(self) -> list[dict[str, Any]]:
        """The styles of representative clusters, solid lines for those in the middle."""
        if self.layout.sets is None:
            return [{}]
        chosen = self.table.sets
        ranks = np.argsort(np.argsort(np.abs(np.arange(len(chosen)) - (len(chosen) - 1) // 2), kind="stable"))
        return [
            {"chosen": name, "dashes": DASHES[rank], "mark": MARKS[rank]}
            for name, rank in zip(chosen, ranks, strict=True)
        ]

    def _order(self, columns: Sequence[str]) -> npt.NDArray[np.intp]:
        """Positions of the rows with the levels of categories and numbers in order; else as they are."""
        order = np.arange(len(self.table.frame))
        for name in reversed(columns):
            column = self.table.frame[name].iloc[order]
            if isinstance(column.dtype, pd.CategoricalDtype):
                order = order[np.argsort(column.cat.codes.to_numpy(), kind="stable")]
            elif column.dtype.kind in "biuf":
                order = order[np.argsort(column.to_numpy(dtype=float), kind="stable")]
        return order

    def of_panel(self, title: str) -> pd.DataFrame:
        """The rows of a panel."""
        return self.rows[self.rows["panel"] == title]

    def of_group(self, rows: pd.DataFrame, group: Group) -> pd.DataFrame:
        """Those of the rows that have the colour of a group."""
        if self.layout.colour is not None:
            rows = rows[[value == group.value for value in rows["colour"]]]
        return rows if group.chosen is None else rows[rows["set"] == group.chosen]

    def name_of(self, group: Group) -> str:
        """What the rows of a group have in common; nothing if they are all rows."""
        colour = self.layout.colour
        value = "" if colour is None else f"{colour} = {self.table.text_of(colour, group.value)}"
        return ", ".join(filter(None, [value, group.chosen]))

    def lines(self, rows: pd.DataFrame) -> list[str]:
        """The clusters whose lines are drawn."""
        return spread_out(list(dict.fromkeys(rows["line"])), MOST_LINES)

    def asides(self, positions: FloatArray) -> list[float]:
        """Distances of the groups from their place on the axis."""
        count = len(self.groups)
        gap = float(np.diff(np.unique(positions)).min(initial=np.inf))
        share = NEAR if self.numeric else min(ASIDE, SPREAD / count)
        step = share * (gap if np.isfinite(gap) else 1.0)
        return [(k - (count - 1) / 2) * step for k in range(count)]


def _known(column: pd.Series[Any]) -> pd.Series[Any]:
    """The values of a column, None where they are missing, so that they can be compared."""
    known = [None if missing else value for value, missing in zip(column, column.isna(), strict=True)]
    return pd.Series(known, index=column.index, dtype=object)  # text alone would have NaN in place of None


def _shades(count: int) -> list[str]:
    """Colours from dark to light, for numbers."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](share)) for share in np.linspace(0.0, 0.82, count)]


def draw_panel(ax: Axes, drawing: Drawing, title: str) -> None:
    """Draw the rows of a panel: values, their intervals, and the value if there is no effect."""
    rows = drawing.of_panel(title)
    null = drawing.table.picture.null
    if null is not None:
        (ax.axvline if drawing.flat else ax.axhline)(null, color=INK, linewidth=0.8, zorder=0.5)
    if drawing.layout.lines:
        draw_lines(ax, drawing, title)
    elif drawing.kind == "curve":
        for group in drawing.groups:
            _draw_curve(ax, drawing.of_group(rows, group).sort_values("x"), group)
    elif drawing.flat:
        _draw_list(ax, drawing, rows)
    else:
        _draw_points(ax, drawing, rows)


def draw_lines(ax: Axes, drawing: Drawing, title: str) -> None:
    """Draw a thin line for each cluster."""
    rows, several = drawing.of_panel(title), drawing.layout.colour is not None
    clusters = drawing.lines(drawing.rows)
    width = float(np.clip(4 / len(clusters) ** 0.5, 0.4, 1.2))
    marks: dict[str, Any] = {} if drawing.kind == "curve" else {"marker": "o", "markersize": 2.5, "markeredgewidth": 0}
    for group in drawing.groups:
        parts = dict(iter(drawing.of_group(rows, group).groupby("line", sort=False)))
        for name in clusters:
            if name not in parts:
                continue
            part = parts[name].assign(x=_positions(drawing, parts[name])).sort_values("x")
            colour = group.colour if several else GREY
            options = {"linestyle": group.dashes, **marks}
            ax.plot(part["x"], part["middle"], color=colour, linewidth=width, alpha=0.45, zorder=1, **options)
    if not drawing.numeric:
        mark_levels(ax, drawing.levels)


def _draw_curve(ax: Axes, rows: pd.DataFrame, group: Group) -> None:
    alpha = 0.2 if group.chosen is None else 0.12
    ax.fill_between(rows["x"], rows["low"], rows["high"], color=group.colour, alpha=alpha, linewidth=0, zorder=2)
    ax.plot(rows["x"], rows["middle"], color=group.colour, linewidth=2.0, linestyle=group.dashes, zorder=3)


def _positions(drawing: Drawing, rows: pd.DataFrame) -> FloatArray:
    if drawing.numeric:
        return rows["x"].to_numpy(dtype=np.float64)
    places = {level: float(k) for k, level in enumerate(drawing.levels)}
    return np.array([places[level] for level in rows["x"]])


def _draw_points(ax: Axes, drawing: Drawing, rows: pd.DataFrame) -> None:
    """Draw points with intervals at numbers or levels; those of groups beside each other."""
    cloud = drawing.kind == "cloud"
    asides = [0.0] * len(drawing.groups) if cloud and drawing.numeric else drawing.asides(_positions(drawing, rows))
    for group, aside in zip(drawing.groups, asides, strict=True):
        part = drawing.of_group(rows, group)
        at = _positions(drawing, part) + aside
        ax.vlines(
            at, part["low"], part["high"], colors=group.colour, linewidth=0.5 if cloud else 2.0,
            alpha=0.25 if cloud else 1.0, zorder=2,
        )  # fmt: skip
        ax.plot(
            at, part["middle"], color=group.colour, linestyle="none", marker=group.mark,
            markersize=2.5 if cloud else 5.5, markeredgewidth=0, zorder=3,
        )  # fmt: skip
        if drawing.kind == "numbers":
            ordered = np.argsort(at)
            ax.plot(at[ordered], part["middle"].iloc[ordered], color=group.colour, linewidth=0.8, alpha=0.6, zorder=1.5)
    if not drawing.numeric:
        mark_levels(ax, drawing.levels)


def _draw_list(ax: Axes, drawing: Drawing, rows: pd.DataFrame) -> None:
    """Draw values from top to bottom: in the order of the levels, or in that of the values of clusters and rows."""
    if drawing.kind == "rows":
        ordered = rows.sort_values("middle").dropna(subset="middle")
        _draw_in_order(ax, ordered.iloc[spread_out(range(len(ordered)), MOST_ROWS)])
        return
    present = set(rows["x"])
    levels = [level for level in reversed(drawing.levels) if level in present]
    if drawing.of_clusters:
        values = rows.groupby("x", sort=False)["middle"].mean()
        levels = sorted(levels, key=lambda level: float(values[level]))
    places = {level: float(k) for k, level in enumerate(levels)}
    crowded = len(levels) > MAX_NAMED
    for group, aside in zip(drawing.groups, drawing.asides(np.arange(len(levels) + 1.0)), strict=True):
        part = drawing.of_group(rows, group)
        at = np.array([places[level] for level in part["x"]]) - aside
        width, alpha = (0.4, 0.35) if crowded else (1.6, 1.0)
        ax.hlines(at, part["low"], part["high"], colors=group.colour, linewidth=width, alpha=alpha, zorder=2)
        ax.scatter(
            part["middle"], at, s=1.5 if crowded else 18, c=group.colour, marker=group.mark, linewidths=0, zorder=3
        )
    _name_places(ax, [] if crowded else [wrapped(level, LABEL_WIDTH) for level in levels], len(levels))


def _draw_in_order(ax: Axes, rows: pd.DataFrame) -> None:
    at, few = np.arange(len(rows), dtype=np.float64), len(rows) <= MAX_NAMED
    ax.hlines(at, rows["low"], rows["high"], colors=BLUE, linewidth=1.2 if few else 0.4, alpha=0.35, zorder=2)
    ax.scatter(rows["middle"], at, s=12 if few else 1.5, c=BLUE, linewidths=0, zorder=3)
    _name_places(ax, list(rows["x"]) if few else [], len(rows))


def _name_places(ax: Axes, names: Sequence[str], count: int) -> None:
    """Write the names of the levels beside the axis, or what there are so many of."""
    ax.set_ylim(-0.8, count - 0.2)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    if names:
        ax.set_yticks(np.arange(len(names)), names, fontsize=SMALL if len(names) > FEW_ROWS else SMALL + 1)
    else:
        ax.set_yticks([])


def described(drawing: Drawing, title: str) -> Iterator[str]:
    """What a panel shows, in words: values at both ends of a curve, at each level, or their range."""
    rows = drawing.of_panel(title)
    for group in drawing.groups:
        part = drawing.of_group(rows, group).dropna(subset="middle")
        if not len(part):
            continue
        named = drawing.name_of(group)
        name = f"{named}: " if named else ""
        if drawing.kind in {"curve", "numbers"} and not drawing.layout.lines:
            ends = part.sort_values("x").iloc[[0, -1]]
            yield name + ", ".join(f"{_value(row)} at {text_of(row['x'])}" for _, row in ends.iterrows())
        elif drawing.kind in {"levels", "list"} and len(part) <= MOST_LEVELS and not drawing.layout.lines:
            yield name + ", ".join(f"{row['x']} {_value(row)}" for _, row in part.iterrows())
        else:
            yield f"{name}from {part['middle'].min():.3g} to {part['middle'].max():.3g}"


def _value(row: pd.Series[Any]) -> str:
    interval = "" if np.isnan(row["low"]) else f" [{row['low']:.3g}, {row['high']:.3g}]"
    return f"{row['middle']:.3g}{interval}"
