"""The figure of predictions, comparisons or slopes: its size, panels, legend and text alternative."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import PredictionError
from ..result_table import interval_title
from .cluster_shrinkage import areas
from .effect_layout import EffectLayout, EffectTable, text_of
from .effect_panels import FEW_ROWS, LABEL_WIDTH, Drawing, Group, described, draw_lines, draw_panel
from .predictor_axis import draw_rug
from .ratio_axis import ratio_axis
from .style import (
    CHARACTER,
    GREY,
    INK,
    MAX_NAMED,
    SMALL,
    AxesArray,
    counted,
    describe,
    given_axes,
    house_style,
    new_axes,
    panel_width,
    set_title,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Most panels, most of them side by side, also of lists, and the largest width of a figure in inches.
MOST_PANELS, ACROSS, LISTS_ACROSS, WIDEST = 36, 4, 3, 13.0
#: Width of a character of the legend in inches.
LEGEND_CHARACTER = 0.068
#: Heights of a row of a list with few and with more rows, and of a figure with too many to name them, in inches.
ROW_HEIGHT, DENSE_HEIGHT, CROWD_HEIGHT = 0.2, 0.15, 7.0


@dataclass(frozen=True)
class Extras:
    """What is drawn beside the rows of a table.

    Attributes
    ----------
    lines : EffectTable or None
        The same values for each cluster, as thin lines.
    proportions : pandas.DataFrame or None
        Proportions of events in the rows, by the colour and the panel where these columns have a few values.
    rug : pandas.DataFrame or None
        The rows whose values on the axis get a tick.
    """

    lines: EffectTable | None = None
    proportions: pd.DataFrame | None = None
    rug: pd.DataFrame | None = None


def draw_figure(table: EffectTable, layout: EffectLayout, extras: Extras, axes: Any) -> AxesArray:
    """Draw a table in a new figure or on given axes, one for each panel."""
    drawing = Drawing(table, layout)
    thin = None if extras.lines is None else Drawing(extras.lines, layout.with_lines(extras.lines))
    panels = drawing.panels
    if len(panels) > MOST_PANELS:
        raise PredictionError(
            f"there would be {len(panels):,} panels, one for each effect and value; at most {MOST_PANELS} can be "
            "drawn. Compare fewer variables or levels, or leave out the predictor of the panels."
        )
    with house_style():
        if axes is None:
            drawn = _new_axes(drawing)
        else:
            drawn = given_axes(axes, len(panels), "one for each panel" if len(panels) > 1 else "one panel")
        for k, (ax, title) in enumerate(zip(drawn, panels, strict=True)):
            if thin is not None:
                draw_lines(ax, thin, title)
            draw_panel(ax, drawing, title)
            if table.picture.null == 1:
                ratio_axis(ax, _ratios(drawing, thin), "x" if drawing.flat else "y")
            if extras.proportions is not None:
                _draw_proportions(ax, drawing, title, extras.proportions)
            if extras.rug is not None:
                draw_rug(ax, _of_panel(extras.rug, drawing, title)[layout.axis[0]])
            _label(ax, drawing, first=axes is not None or k % _across(drawing) == 0)
            set_title(ax, wrapped(title, max(int(panel_width(ax) / CHARACTER), 12)))
            _describe(ax, drawing, title, extras)
        _legend(drawn, drawing, thin, extras, new=axes is None)
    return drawn


def _ratios(*drawings: Drawing | None) -> npt.NDArray[np.float64]:
    """All ratios that are drawn, with the ends of their intervals."""
    columns = ["middle", "low", "high"]
    values = np.concatenate([drawing.rows[columns].to_numpy().ravel() for drawing in drawings if drawing is not None])
    return values[values > 0]


def _across(drawing: Drawing) -> int:
    """Panels side by side: those of one effect, where there are effects and other panels."""
    panels, layout = drawing.panels, drawing.layout
    if layout.panel is not None and layout.effects == "panel":
        return min(int(drawing.table.frame[layout.panel].nunique()), ACROSS)
    return min(len(panels), LISTS_ACROSS if drawing.flat else ACROSS)


def _new_axes(drawing: Drawing) -> AxesArray:
    panels, across = len(drawing.panels), _across(drawing)
    down = -(-panels // across)
    if not drawing.flat:
        width, height = (6.4, 4.2) if panels == 1 else (min(3.3 * across, WIDEST), 3.1 * down + 0.9)
        if drawing.kind == "levels":
            width = float(np.clip(across * (1.1 + 0.5 * len(drawing.levels)), width, WIDEST))
        return new_axes(panels, columns=across, width=width, height=height, sharex=drawing.numeric, sharey=True)
    rows = (
        drawing.rows.groupby("panel")["x"].nunique() if drawing.kind == "list" else drawing.rows["panel"].value_counts()
    )
    most = int(rows.max())
    longest = max(len(line) for level in drawing.levels for line in wrapped(level, LABEL_WIDTH).split("\n"))
    each = (ROW_HEIGHT if most <= FEW_ROWS else DENSE_HEIGHT) * max(1.0, 0.6 * len(drawing.groups))
    height = CROWD_HEIGHT if most > MAX_NAMED else 1.4 + each * most
    width = across * (3.0 + (0.0 if most > MAX_NAMED else 0.07 * longest))
    return new_axes(panels, columns=across, width=max(width, 4.4), height=height * down + 0.3, sharex=True)


def _label(ax: Axes, drawing: Drawing, *, first: bool) -> None:
    """Write what is along both axes."""
    quantity = drawing.table.quantity or drawing.table.middle
    if drawing.flat:
        ax.set_xlabel(wrapped(quantity, max(int(panel_width(ax) / CHARACTER), 16)))
        if first:
            ax.set_ylabel(_listed(drawing, ax))
        return
    ax.set_xlabel(", ".join(drawing.layout.axis))
    if first:
        tall = ax.get_position().height * float(ax.figure.get_figheight())  # type: ignore[union-attr]
        ax.set_ylabel(wrapped(quantity, max(int(tall / 0.075), 16)))


def _listed(drawing: Drawing, ax: Axes) -> str:
    """What is listed from top to bottom; a number where there are no names."""
    if drawing.kind == "rows":
        return f"{int(drawing.rows['panel'].value_counts().max()):,} rows, in the order of their values"
    named, name = bool(len(ax.get_yticks())), ", ".join(drawing.layout.axis)
    if named or not name:
        return name
    return f"{counted(len(drawing.levels), name)}, in the order of their values" if drawing.of_clusters else name


def _of_panel(frame: pd.DataFrame, drawing: Drawing, title: str) -> pd.DataFrame:
    """The rows of a table of data that have the value of a panel, if its column has a few values."""
    panel = drawing.layout.panel
    if panel is None or panel not in frame or drawing.table.is_amount(panel):
        return frame
    values = {text_of(value) for value in drawing.table.frame[panel][drawing.rows["panel"] == title]}
    return frame[[text_of(value) in values for value in frame[panel]]]


def _draw_proportions(ax: Axes, drawing: Drawing, title: str, proportions: pd.DataFrame) -> None:
    rows, colour = _of_panel(proportions, drawing, title), drawing.layout.colour
    if not len(rows):
        return
    sizes = areas(rows["trials"].to_numpy(dtype=np.float64), False)
    by_colour = colour is not None and colour in rows
    groups = drawing.groups if by_colour else [Group(None, GREY, "o")]
    asides = drawing.asides(np.arange(2.0)) if by_colour and not drawing.numeric else [0.0] * len(groups)
    for group, aside in zip(groups, asides, strict=True):
        chosen = np.array(
            [not by_colour or value == group.value for value in rows[colour]] if by_colour else [True] * len(rows)
        )
        part = rows[chosen]
        at = part["axis"] if drawing.numeric else [_place(drawing, value) + aside for value in part["axis"]]
        ax.scatter(
            at, part["proportion"], s=list(sizes[chosen]), facecolors="none", edgecolors=group.colour, linewidths=0.9,
            alpha=0.8, zorder=2.5,
        )  # fmt: skip


def _place(drawing: Drawing, value: Any) -> float:
    level = text_of(value)
    return float(drawing.levels.index(level)) if level in drawing.levels else np.nan


def _notes(drawing: Drawing) -> str:
    """What holds for all rows: the interval, the clusters, and predictors with one value."""
    table, interval = drawing.table, interval_title(drawing.table.frame)
    at = table.constants() if drawing.layout.unique else ""
    cluster = f"cluster at {table.sets[0]}" if len(table.sets) == 1 else ""
    parts = [f"{table.middle} with {interval}" if interval else table.middle, table.picture.clusters, cluster]
    return "; ".join(filter(None, [*parts, f"at {at}" if at else ""]))


def _lines_text(thin: Drawing) -> str:
    """What the thin lines are: clusters of a factor, all or some of them."""
    columns, drawn = thin.layout.lines, len(thin.lines(thin.rows))
    for name, own, levels in thin.table.picture.factors:
        if {*own} == {*columns}:
            return counted(levels, name) if drawn == levels else f"{drawn:,} of {counted(levels, name)}"
    if columns == (thin.table.picture.sets,):
        return f"{drawn:,} representative clusters"
    return f"{drawn:,} combinations of {' and '.join(columns)}"


def _keys(drawing: Drawing) -> Iterator[tuple[str, str, Group]]:
    """Texts, colours and styles of the legend: the groups by colour, and then the representative clusters."""
    by_colour = drawing.layout.colour is not None
    if by_colour:
        groups: dict[str, Group] = {}
        for group in drawing.groups:
            groups.setdefault(drawing.name_of(replace(group, chosen=None)), group)
        for label, group in groups.items():
            plain = replace(group, dashes="-", mark="o") if drawing.layout.sets is not None else group
            yield label, group.colour, plain
    for chosen, group in {group.chosen: group for group in drawing.groups}.items():
        if chosen is not None:
            yield chosen, INK if by_colour else group.colour, group


def _legend(drawn: AxesArray, drawing: Drawing, thin: Drawing | None, extras: Extras, *, new: bool) -> None:
    """Draw the legend above the panels of a new figure, or in the first of the given axes."""
    from matplotlib.lines import Line2D

    handles: list[Any] = []
    labels: list[str] = []
    for label, colour, group in _keys(drawing):
        style: Any = {"linewidth": 2.0, "linestyle": group.dashes}
        if drawing.kind != "curve" and not drawing.layout.lines:
            style = {"marker": group.mark, "linestyle": "none"}
        handles.append(Line2D([], [], color=colour, **style))
        labels.append(label)
    lines = thin or (drawing if drawing.layout.lines else None)
    if lines is not None:
        handles.append(Line2D([], [], color=GREY, linewidth=1.0))
        labels.append(_lines_text(lines))
    if extras.proportions is not None:
        handles.append(Line2D([], [], color=GREY, linestyle="none", marker="o", markersize=5, markerfacecolor="none"))
        labels.append("proportions of events in the rows")
    room = float(drawn[0].figure.get_figwidth()) if new else panel_width(drawn[0])
    characters = max(int(room / LEGEND_CHARACTER) - 3, 18)
    labels = [wrapped(label, characters - 6) for label in labels]
    longest = max((len(line) for label in labels for line in label.split("\n")), default=0)
    options: dict[str, Any] = {
        "alignment": "left",
        "handlelength": 1.8 if drawing.layout.sets is None else 2.6,
    }
    if new:
        columns = int(np.clip(characters // (longest + 7), 1, max(len(labels), 1)))
        notes = {"title": wrapped(_notes(drawing), characters), "title_fontsize": SMALL + 1}
        drawn[0].figure.legend(handles, labels, loc="outside upper left", ncols=columns, **notes, **options)
        return
    for ax in drawn:
        ax.set_xlabel(f"{ax.get_xlabel()}\n{wrapped(_notes(drawing), characters)}".strip(), fontsize=SMALL + 1)
    if handles:
        drawn[0].legend(handles, labels, loc="best", **options)


def _describe(ax: Axes, drawing: Drawing, title: str, extras: Extras) -> None:
    quantity = drawing.table.quantity or drawing.table.middle
    axis = ", ".join(drawing.layout.axis)
    against = f" against {axis}" if axis else ""
    where = f" ({title})" if title else ""
    thin = None if extras.lines is None else Drawing(extras.lines, drawing.layout.with_lines(extras.lines))
    lines = thin or (drawing if drawing.layout.lines else None)
    more = "" if lines is None else f" Thin lines: {_lines_text(lines)}."
    values = "; ".join(described(drawing, title))
    describe(ax, f"{quantity}{against}{where}: {values} ({_notes(drawing)}).{more}")
