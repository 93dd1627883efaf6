"""Where the columns of a table of predictions, comparisons or slopes go in its picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..effects.conditions import MOST_NAMES
from ..effects.effects_picture import EffectsPicture
from ..errors import PredictionError
from ..formatting import is_missing
from ..result_table import ResultTable, is_end
from ..summaries.intervals import columns_of_ends, is_summary
from ..validation import names, quoted_list
from .style import names_of

#: Colours and styles that can be told apart, and most panels.
MAX_COLOURS, MAX_STYLES, MAX_PANELS = 7, 5, 12
#: Numbers with more different values than this are a curve.
MANY_VALUES = 12
#: Tables with more combinations of values for each row are not a grid, but rows of data.
LEAST_FILLED = 4
#: Format of numbers in captions.
DIGITS = ".4g"


@dataclass(frozen=True)
class EffectTable:
    """A table of predictions, comparisons or slopes, with what its picture needs to know beside it.

    Attributes
    ----------
    frame : pandas.DataFrame
        The table with row numbers as index.
    picture : EffectsPicture
    labels : ndarray of str
        Labels of the rows.
    quantity : str
        What the values are.
    """

    frame: pd.DataFrame
    picture: EffectsPicture
    labels: list[str]
    quantity: str

    @classmethod
    def of(cls, table: ResultTable, plot: str) -> EffectTable:
        """The table that a verb has returned, or a part of it.

        Raises
        ------
        PredictionError
            If it is another table, or lacks the columns with the values.
        """
        picture = table._picture
        if not isinstance(picture, EffectsPicture) or picture.plot != plot:
            raise PredictionError(
                f"result is not a table by hl.{plot} or hl.avg_{plot}, nor a part of one. Pass such a table, or a fit."
            )
        named = [name for name in table.index.names if name is not None]
        frame = pd.DataFrame(table).reset_index(level=named) if named else pd.DataFrame(table)
        if not {"estimate", "mean"}.intersection(frame.columns):
            raise PredictionError("result has neither the column 'estimate' nor 'mean'. Keep one of them in the table.")
        if not len(frame):
            raise PredictionError("result has no rows. Pass a table with rows.")
        return cls(frame.reset_index(drop=True), picture, names_of(table.index), table.quantity)

    @property
    def middle(self) -> str:
        """The column with the values: estimates, or posterior means."""
        return "estimate" if "estimate" in self.frame else "mean"

    @property
    def ends(self) -> tuple[str, str] | None:
        """The columns with the ends of the intervals, if the table has them."""
        ends = [name for name in self.frame if is_end(name)]
        return columns_of_ends(self.frame[ends]) if len(ends) == 2 else None

    @property
    def described(self) -> list[str]:
        """The columns of the data."""
        skipped = {"row", *self.picture.labels}
        return [str(name) for name in self.frame if not is_summary(name) and name not in skipped]

    @property
    def varying(self) -> list[str]:
        """The columns of the data with several values."""
        return [name for name in self.described if name != self.picture.sets and _different(self.frame[name]) > 1]

    @property
    def sets(self) -> list[str]:
        """The representative clusters of the rows, each once."""
        column = self.picture.sets
        return [] if column is None or column not in self.frame else list(dict.fromkeys(self.frame[column]))

    @property
    def effects(self) -> list[str]:
        """Which effect each row is about: ``urban: Y - N``; empty texts for predictions."""
        labels = [name for name in self.picture.labels if name in self.frame]
        labels = [name for name in labels if name == "term" or _different(self.frame[name]) > 1 or name == "contrast"]
        return self.texts(labels, ": ")

    def texts(self, columns: Sequence[str], separator: str = ", ") -> list[str]:
        """The values of some columns in each row, as text."""
        written = [[self.text_of(name, value) for value in self.frame[name]] for name in columns]
        return [separator.join(row) for row in zip(*written, strict=True)] if columns else [""] * len(self.frame)

    def text_of(self, column: str, value: Any) -> str:
        """A value of a column as it is written in a picture, with the decimals that matter in the data."""
        return text_of(value, dict(self.picture.decimals).get(column))

    def is_amount(self, name: str) -> bool:
        """Whether a column holds numbers that are amounts, with more than two values."""
        column = self.frame[name]
        return column.dtype.kind in "iuf" and name not in self.picture.level_columns and column.nunique() > 2

    def constants(self) -> str:
        """Predictors with one value in all rows, as text."""
        terms = set(self.frame["term"]) if "term" in self.picture.labels and "term" in self.frame else set()
        clusters = self.picture.cluster_columns
        kept = [name for name in self.described if name not in terms and name not in clusters]
        shown = [name for name in kept if name != self.picture.sets and _different(self.frame[name]) == 1]
        return ", ".join(f"{name} = {self.text_of(name, self.frame[name].iloc[0])}" for name in shown)


@dataclass(frozen=True)
class EffectLayout:
    """Where the columns of a table go.

    Attributes
    ----------
    axis : tuple of str
        Columns along the axis; empty for all rows in the order of their values, or for effects.
    colour : str or None
    panel : str or None
    lines : tuple of str
        Columns of clusters, each of which is a thin line.
    effects : {"axis", "panel"} or None
        Where different effects go, if there are several.
    sets : str or None
        Column of representative clusters, each of which has a style of lines and points.
    unique : bool
        Whether there is one row for each place.
    """

    axis: tuple[str, ...]
    colour: str | None = None
    panel: str | None = None
    lines: tuple[str, ...] = ()
    effects: str | None = None
    sets: str | None = None
    unique: bool = True

    @classmethod
    def of(cls, table: EffectTable, condition: Any = None, option: str = "condition") -> EffectLayout:
        """The layout that the user has chosen by an option, or one that fits the table.

        Raises
        ------
        PredictionError
            If a column that is chosen does not exist, or cannot be used in its place.
        """
        several = len(set(table.effects)) > 1
        if condition is not None:
            return cls._chosen(table, condition, option, "panel" if several else None)
        return cls._found(table, several).with_sets(table)

    @classmethod
    def _found(cls, table: EffectTable, several: bool) -> EffectLayout:
        """A layout that fits the table."""
        clusters = [name for name in table.varying if name in table.picture.cluster_columns]
        others = [name for name in table.varying if name not in clusters]
        if clusters and (not others or not _repeated(table, clusters)):
            colour = others[0] if len(others) == 1 and _different(table.frame[others[0]]) <= MAX_COLOURS else None
            layout = cls(tuple(clusters), colour, effects="panel" if several else None)
        elif not others and not several and len(table.sets) > 1:
            layout = cls((str(table.picture.sets),))
        elif not others:
            layout = cls((), effects="axis" if several else None)
        else:
            others.sort(key=lambda name: not (table.is_amount(name) and table.frame[name].nunique() > MANY_VALUES))
            axis, colour, panel, *more = [*others, None, None]
            layout = cls((str(axis),), colour, panel, tuple(clusters), "panel" if several else None)
            if any(more) or not layout._fits(table):
                return cls._of_rows(table, several)
        return layout if _is_grid(table, layout) else cls._of_rows(table, several)

    @classmethod
    def _of_rows(cls, table: EffectTable, several: bool) -> EffectLayout:
        """The layout of rows of data, in the order of their values."""
        panel = table.picture.sets if len(table.sets) > 1 else None
        return cls((), panel=panel, effects="panel" if several else None, unique=False)

    @classmethod
    def _chosen(cls, table: EffectTable, condition: Any, option: str, effects: str | None) -> EffectLayout:
        if isinstance(condition, Mapping):
            raise PredictionError(
                "condition is a dict, which gives values at which a fit is drawn; the table has its values. Name up to "
                "three of its columns: the axis, colours and panels."
            )
        chosen = names(option, condition, table.described, PredictionError, "column", "the table")
        if len(chosen) > MOST_NAMES:
            raise PredictionError(
                f"{option} names {len(chosen)} columns, {quoted_list(chosen)}; at most three can be drawn: the axis, "
                "colours and panels."
            )
        axis, colour, panel = [*chosen, None, None][:3]
        layout = cls((str(axis),), colour, panel, (), effects).with_lines(table).with_sets(table)
        unique = _is_unique(table, layout)
        for role, name, most in (("colours", layout.colour, MAX_COLOURS), ("panels", layout.panel, MAX_PANELS)):
            if name is not None and _different(table.frame[name]) > most:
                raise PredictionError(
                    f"'{name}' has {_different(table.frame[name]):,} different values, too many for {role}; at most "
                    f"{most} can be distinguished. Name it first, give fewer values, or leave it out."
                )
        return replace(layout, unique=unique, lines=layout.lines if unique else ())

    def with_lines(self, table: EffectTable) -> EffectLayout:
        """The layout with clusters that are neither on the axis nor panels as lines, and so with too many colours."""
        colour, clusters = self.colour, table.picture.cluster_columns
        if colour in clusters and _different(table.frame[colour]) > MAX_COLOURS:
            colour = None
        placed = {*self.axis, colour, self.panel}
        lines = tuple(name for name in table.varying if name in clusters and name not in placed)
        lines = lines if lines and _repeated(table, lines) else ()
        return replace(self, colour=colour, lines=lines)

    def with_sets(self, table: EffectTable) -> EffectLayout:
        """The layout with a style for each representative cluster, or with thin lines if there are many of them."""
        column, count = table.picture.sets, len(table.sets)
        if column is None or count < 2 or column in {*self.axis, self.colour, self.panel}:
            return self
        return replace(self, sets=column) if count <= MAX_STYLES else replace(self, lines=(*self.lines, column))

    def _fits(self, table: EffectTable) -> bool:
        sizes = ((self.colour, MAX_COLOURS), (self.panel, MAX_PANELS))
        return all(name is None or _different(table.frame[name]) <= most for name, most in sizes)

    @property
    def columns(self) -> list[str]:
        """All columns that have a place."""
        return [*self.axis, *(name for name in (self.colour, self.panel, self.sets) if name is not None), *self.lines]


def text_of(value: Any, decimals: int | None = None) -> str:
    """A value as it is written in a picture, rounded to these decimals if they are given.

    Examples
    --------
    >>> text_of(2.0), text_of(0.123456), text_of(0.0022, 2), text_of("b"), text_of(12345), text_of(None)
    ('2', '0.1235', '0', 'b', '12345', 'missing')
    """
    if is_missing(value):
        return "missing"
    if isinstance(value, float | np.floating):
        return f"{(value if decimals is None else round(float(value), decimals)) + 0.0:{DIGITS}}"
    return names_of([value])[0]


def _different(column: pd.Series[Any]) -> int:
    try:
        return int(column.nunique(dropna=False))
    except TypeError:  # lists and the like, which have no place in a picture
        return 0


def _keys(table: EffectTable, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of the rows, with their effects and representative clusters."""
    sets = [] if table.picture.sets is None or not table.sets else [table.picture.sets]
    keys = table.frame[list(dict.fromkeys([*columns, *sets]))].copy()
    keys[len(keys.columns)] = table.effects
    return keys


def _is_unique(table: EffectTable, layout: EffectLayout) -> bool:
    """Whether there is one row for each effect and each combination of the columns that have a place."""
    return not _keys(table, layout.columns).duplicated().any()


def _is_grid(table: EffectTable, layout: EffectLayout) -> bool:
    """Whether there is one row for each place, and not many more combinations of values than rows, as in data."""
    combinations = math.prod(_different(table.frame[name]) for name in {*layout.columns}.difference(layout.axis))
    along = len(table.frame[list(layout.axis)].drop_duplicates()) if layout.axis else 1
    effects = len(set(table.effects))
    return _is_unique(table, layout) and len(table.frame) * LEAST_FILLED >= combinations * along * effects


def _repeated(table: EffectTable, clusters: Sequence[str]) -> bool:
    """Whether the clusters have several rows of the same effect."""
    return bool(_keys(table, clusters).duplicated().any())
