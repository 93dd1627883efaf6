"""Display of objects: one description of each, shown as text on terminals and as HTML in notebooks.

An object is described by a `View`, with a title and parts. The text fits on a screen of 40 lines of 100 characters, and
is as narrow as the terminal; the HTML shows the same and has more behind folds.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from html import escape
from itertools import groupby, repeat
from math import isfinite
from numbers import Real
from typing import TYPE_CHECKING, Any, Protocol

from .formatting import CRITERIA, NO_VALUE, cell, fixed, is_missing, plain

if TYPE_CHECKING:
    import pandas as pd

#: Size of a screen in characters, and the widest and narrowest terminal for which text is made.
WIDTH, HEIGHT = 100, 40
WIDEST, NARROWEST = 200, 60
#: Width of tables in HTML, where characters take less room.
PAGE = 120
#: Tables with at most `MOST` rows are shown completely, of longer ones the first `HEAD` rows.
MOST, HEAD = 30, 10
#: Columns whose numbers have the standard error that one of the others holds, as have ends of intervals.
ESTIMATES, ERRORS = ("estimate", "mean", "median"), ("se", "sd")
#: Largest number of rows, facts or sentences behind a fold.
FOLDED = 100
#: Largest number of characters of a name or a cell, and of lines of a fact or a sentence.
LONGEST, LINES = 40, 6
#: Largest number of lines that name the columns that are not shown.
REMARK = 3
#: Blanks before the lines of a part.
INDENT = 2
#: Smallest width of the labels of facts, so that facts of most objects are aligned.
LABEL = 9
#: Styles of tables and of their cells.
_TABLE = "border-collapse:collapse; margin:0.5em 0"
_CELL = "padding:0.1em 1em 0.1em 0; vertical-align:top"
_LEFT = f"text-align:left; {_CELL}"
_CENTRE = f"text-align:center; {_CELL}; border-bottom:1px solid"
_RIGHT = f"text-align:right; font-variant-numeric:tabular-nums; {_CELL}"


class Part(Protocol):
    """A part of a view."""

    def lines(self, limit: int) -> list[str]:
        """The part as text, in at most `limit` lines."""
        ...

    def html(self, limit: int) -> str:
        """The part as HTML; what exceeds `limit` lines of text is behind a fold."""
        ...


@dataclass(frozen=True)
class View:
    """A description of an object.

    Attributes
    ----------
    title : str
        Empty if no title is needed.
    parts : tuple of Part

    Examples
    --------
    >>> print(View("Fit by Laplace", (Facts((("rows", "1,934"), ("clusters", "60 districts"))),)).text())
    Fit by Laplace
      rows      1,934
      clusters  60 districts
    """

    title: str
    parts: tuple[Part, ...] = ()

    def text(self) -> str:
        """The description as text of at most one screen."""
        lines = _wrapped(self.title, "", "    ") if self.title else []
        for k, (part, limit) in enumerate(zip(self.parts, self._limits(HEIGHT - len(lines)), strict=True)):
            more = part.lines(limit)
            # A table has an empty line above it, but not directly below the title.
            lines += more[1:] if k == 0 and more[:1] == [""] else more
        return "\n".join(lines).lstrip("\n")

    def html(self) -> str:
        """The description as a self-contained block of HTML."""
        title = element("p", element("strong", escape(self.title))) if self.title else ""
        used = len(_wrapped(self.title, "", "    ")) if self.title else 0
        folds = sum(isinstance(part, Folded) for part in self.parts)
        parts = zip(self.parts, self._limits(HEIGHT - used - folds), strict=True)
        return element("div", title + "".join(part.html(limit) for part, limit in parts))

    def _repr_html_(self) -> str:
        return self.html()

    def _limits(self, room: int) -> list[int]:
        return _shares([len(part.lines(HEIGHT)) for part in self.parts], room)


def _shares(wanted: Sequence[int], room: int) -> list[int]:
    """Number of lines of each part: all lines, or at most a common bound, the largest with which all parts fit."""
    bound = next((bound for bound in range(room, 0, -1) if sum(min(n, bound) for n in wanted) <= room), 1)
    return [min(n, bound) for n in wanted]


class Shown:
    """Base class of objects that are displayed by their view."""

    __slots__ = ()

    def _view(self) -> View:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._view().text()

    def _repr_html_(self) -> str:
        return self._view().html()


class ShownAsCall:
    """Base class of dataclasses that are displayed as a call with the fields that differ from their defaults."""

    __slots__ = ()

    def __repr__(self) -> str:
        return call_text(type(self).__name__, self._given())

    def _repr_html_(self) -> str:
        return call_html(repr(self), self._values())

    def _values(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self) if item.repr}  # type: ignore[arg-type]

    def _given(self) -> dict[str, Any]:
        defaults = {item.name: item.default for item in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in self._values().items() if not _same(value, defaults[name])}


def call_text(name: str, values: Mapping[str, object]) -> str:
    """A call as text, with keyword arguments; arrays are shown by their shape.

    Examples
    --------
    >>> call_text("NUTS", {"draws": 2000, "backend": "native"})
    "NUTS(draws=2000, backend='native')"
    """
    shown = [f"{key}={_shortened(value)}" for key, value in values.items()]
    return "\n".join(_wrapped(f"{name}({', '.join(shown)})", "", "    "))


def call_html(text: str, values: Mapping[str, object]) -> str:
    """A call as HTML, with all arguments behind a fold."""
    rows = [(name, _shortened(value)) for name, value in values.items()]
    return element("div", element("code", escape(text)) + _folded("All fields", _rows_html(rows)))


def _same(value: object, default: object) -> bool:
    return default is not MISSING and type(value) is type(default) and value == default


def _shortened(value: object) -> str:
    """A value as text; arrays are shown by their shape, long collections are cut off."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"<{' × '.join(f'{size:,}' for size in shape)} values>"
    if isinstance(value, Mapping):
        return _cut("{" + ", ".join(f"{key!r}: {_shortened(item)}" for key, item in _first(value.items())) + "}", WIDTH)
    if isinstance(value, tuple):
        inside = ", ".join(_shortened(item) for item in _first(value))
        return _cut(f"({inside},)" if len(value) == 1 else f"({inside})", WIDTH)
    if callable(value):
        return f"<function {getattr(value, '__name__', type(value).__name__)}>"
    return _cut(repr(value), WIDTH)


def _first(items: Iterable[Any]) -> list[Any]:
    return [item for item, _ in zip(items, range(FOLDED), strict=False)]


# ---- parts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """Facts: labels with texts.

    Attributes
    ----------
    pairs : tuple of (str, str)
    heading : str
        A line above them.
    where : str
        Where to find those for which there is no room.
    """

    pairs: tuple[tuple[str, str], ...]
    heading: str = ""
    where: str = ""

    def lines(self, limit: int) -> list[str]:
        """One line for each fact, or several if it is long."""
        indent = "    " if self.heading else "  "
        head, blocks = self._head(), self._blocks(indent)
        shown = _fitting(blocks, limit - len(head))
        rest = [f"{indent}{_more(len(blocks) - shown, self.where)}"] if shown < len(blocks) else []
        return [*head, *(line for block in blocks[:shown] for line in block), *rest]

    def html(self, limit: int) -> str:
        """A table with one row for each fact."""
        shown = _fitting(self._blocks("  "), limit - len(self._head()))
        head = element("p", escape(self.heading)) if self.heading else ""
        rest = self.pairs[shown : shown + FOLDED]
        title = _more(len(self.pairs) - shown, self.where)
        return (
            head
            + (_rows_html(self.pairs[:shown]) if shown else "")
            + (_folded(title, _rows_html(rest)) if rest else "")
        )

    def _head(self) -> list[str]:
        return _wrapped(self.heading, "  ", "  ") if self.heading else []

    def _blocks(self, indent: str) -> list[list[str]]:
        labels = [_cut(label) for label, _ in self.pairs]
        longest = max(map(len, labels), default=0)
        width = longest + 2 if self.heading or longest > LABEL else LABEL + 1
        return [
            _wrapped(text, f"{indent}{label:<{width}}", " " * (len(indent) + width))
            for label, (_, text) in zip(labels, self.pairs, strict=True)
        ]


@dataclass(frozen=True)
class Sentences:
    """Sentences or paragraphs, such as findings.

    Attributes
    ----------
    items : tuple of str
    where : str
        Where to find those for which there is no room.
    """

    items: tuple[str, ...]
    where: str = ""

    def lines(self, limit: int) -> list[str]:
        """The sentences, each on its own lines."""
        blocks = [_wrapped(item, "  ", "    ") for item in self.items]
        shown = _fitting(blocks, limit)
        rest = [f"  {_more(len(blocks) - shown, self.where)}"] if shown < len(blocks) else []
        return [*(line for block in blocks[:shown] for line in block), *rest]

    def html(self, limit: int) -> str:
        """A list."""
        if not self.items:
            return ""
        shown = _fitting([_wrapped(item, "  ", "    ") for item in self.items], limit)
        rest = self.items[shown : shown + FOLDED]
        title = _more(len(self.items) - shown, self.where)
        return _list_html(self.items[:shown]) + (_folded(title, _list_html(rest)) if rest else "")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
    cells : tuple of str
    number : bool
        Whether the cells are numbers, which are aligned by their decimal points.
    label : bool
        Whether the cells are labels of the rows.
    spare : int
        If there is not enough room, columns with the largest number are left out first, then the last ones.
    group : str
        A heading that it shares with the columns beside it.
    """

    name: str
    cells: tuple[str, ...]
    number: bool = True
    label: bool = False
    spare: int = 0
    group: str = ""

    @property
    def aligned(self) -> list[str]:
        """The cells as plain text of equal width, with the name first."""
        cells = [plain(_cut(text)) for text in self.cells]
        cells = [_cut(self.name), *(_by_the_point(cells, " ", " ") if self.number else cells)]
        width = max(map(len, cells))
        return [f"{text:>{width}}" if self.number else f"{text:<{width}}" for text in cells]

    def html(self, rows: range, longest: int) -> list[str]:
        """Elements of the name and of some of the cells, aligned to the left or to the right."""
        cells = [_cut(self.cells[k], longest) for k in rows]
        side, cells = (_RIGHT, _by_the_point(cells, "\u2008", "\u2007")) if self.number else (_LEFT, cells)
        kind, scope = ("th", "row") if self.label else ("td", None)
        head = element("th", escape(_cut(self.name, longest)), scope="col", style=side)
        return [head, *(element(kind, escape(text), scope=scope, style=side) for text in cells)]


def _by_the_point(cells: Sequence[str], point: str, digit: str) -> list[str]:
    """Right-aligned cells with their decimal points below each other.

    Parameters
    ----------
    cells : sequence of str
    point, digit : str
        Blanks of the width of a point and of a digit.
    """
    is_number = [text[-1:].isdigit() and text[0] not in "<>" for text in cells]
    tails = [
        len(text) - text.find(".") if one and "." in text else 0 for text, one in zip(cells, is_number, strict=True)
    ]
    longest = max(tails, default=0)
    padded = []
    for text, one, tail in zip(cells, is_number, tails, strict=True):
        missing = digit * (longest - tail) if tail else point + digit * (longest - 1)
        padded.append(text + missing if one and longest else text)
    return padded


@dataclass(frozen=True)
class Table:
    """The first rows of a table.

    Attributes
    ----------
    columns : tuple of Column
        Cells of the rows that are shown, and of those behind a fold.
    rows : int
        Number of rows of the whole table.
    where : str
        Where to find the whole table.
    most, head : int
        Tables with at most `most` rows are shown completely, of longer ones the first `head` rows.
    width : int
        Largest width of the columns together, in characters.
    """

    columns: tuple[Column, ...]
    rows: int
    where: str = ""
    most: int = MOST
    head: int = HEAD
    width: int = WIDTH

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        where: str = "",
        *,
        index: bool = True,
        data: Sequence[str] = (),
        spare: Sequence[str] = (),
        rows: int = MOST + FOLDED,
        decimals: int | None = None,
    ) -> Table:
        """The table of a data frame, with formatted numbers.

        Columns with several levels are shown by their last, below a heading of the others.

        Parameters
        ----------
        frame : pandas.DataFrame
        where : str
            Where to find the whole table.
        index : bool
            Whether the index labels the rows, unless it only counts them; otherwise the first column does.
        data : sequence of str
            Columns with values of the user's data, which are not rounded.
        spare : sequence of str
            Columns, or headings of several, that are left out first, in this order, if there is not enough room.
        rows : int
            How many rows are formatted.
        decimals : int, optional
            Decimals of all numbers that are not whole; if not given, they depend on the number and its error.
        """
        shown = frame.iloc[:rows]
        labels = shown.index.get_level_values(-1).tolist()
        columns = []
        index = index and not _only_counts(frame.index)
        for k, name in enumerate(shown.index.names if index else ()):
            texts = tuple(_datum(value) for value in shown.index.get_level_values(k))
            columns.append(Column("" if name is None else str(name), texts, number=False, label=True))
        values = [shown.iloc[:, k].tolist() for k in range(shown.shape[1])]
        places: dict[Any, int] = {key: k for k, key in enumerate(shown.columns)}
        for k, key in enumerate(shown.columns):
            *above, name = map(str, key) if isinstance(key, tuple) else [str(key)]
            if name in data:
                cells = [_datum(value) for value in values[k]]
            elif decimals is not None:
                cells = [_with_decimals(name, value, decimals) for value in values[k]]
            else:
                mcse = _beside(values, places, key, (f"mcse_{_has_error_of(name)}", f"{name}_mcse"))
                error = _beside(values, places, key, ERRORS if _is_estimate(name) else ())
                names = [label if isinstance(label, str) and label in CRITERIA else name for label in labels]
                cells = list(map(cell, names, values[k], mcse or repeat(None), error or repeat(None)))
            is_number = shown.dtypes.iloc[k].kind in "iuf"
            first = not columns and not is_number
            group = ", ".join(filter(None, above))
            rank = max((len(spare) - spare.index(text) for text in (name, group) if text in spare), default=0)
            columns.append(Column(name, tuple(cells), is_number, first, rank, group))
        return cls(tuple(columns), len(frame), where)

    @property
    def whole(self) -> Table:
        """The table for a fold, with many rows and all columns."""
        return replace(self, most=FOLDED, head=FOLDED, width=FOLDED * WIDTH)

    def lines(self, limit: int) -> list[str]:
        """An empty line, the head of the table and its first rows."""
        if not self.columns:
            return []
        shown, hidden = self._fitting(limit)
        columns, missing = self._chosen(self._room)
        table = [Column(c.name, c.cells[:shown], c.number).aligned for c in columns]
        widths = _with_headings(columns, [len(text[0]) for text in table])
        for column, texts, width in zip(columns, table, widths, strict=True):
            texts[:] = [f"{text:>{width}}" if column.number else f"{text:<{width}}" for text in texts]
        lines = ["", *_headings(columns, widths)]
        lines += [f"{' ' * INDENT}{'  '.join(row).rstrip()}" for row in zip(*table, strict=True)]
        return lines + self._remark_lines(hidden, missing)

    def html(self, limit: int) -> str:
        """The first rows as HTML, with more rows behind a fold."""
        if not self.columns:
            return ""
        shown, hidden = self._fitting(limit)
        columns, missing = self._chosen(PAGE if self.width == WIDTH else self.width)
        remark = self._remark(hidden, missing)
        # All columns fit behind the fold; if some were left out above, the first rows are repeated there.
        rest = _table_html(self.columns, 0 if missing else shown, len(self.columns[0].cells), WIDTH) if remark else ""
        longest = LONGEST if self.width == WIDTH else WIDTH
        return _table_html(columns, 0, shown, longest) + (_folded(remark, rest) if remark else "")

    @property
    def _room(self) -> int:
        """Characters of a line of text."""
        return _terminal() if self.width == WIDTH else self.width

    def _fitting(self, limit: int) -> tuple[int, int]:
        """How many rows are shown, and how many are not."""
        shown = self.rows if self.rows <= self.most else self.head
        missing = self._chosen(self._room)[1]
        above = 2 + any(column.group for column in self.columns)  # an empty line and the head
        if shown > limit - above - len(self._remark_lines(self.rows - shown, missing)):
            shown = max(limit - above - len(self._remark_lines(self.rows, missing)), 0)
        return shown, self.rows - shown

    def _chosen(self, room: int) -> tuple[list[Column], list[Column]]:
        """The columns for which there is room, and the others."""
        left = list(self.columns)
        own = {id(c): len(Column(c.name, c.cells[: self.most], c.number).aligned[0]) for c in left}
        while sum(_with_headings(left, [own[id(c)] for c in left])) + 2 * len(left) > room and len(left) > 1:
            spare = [column for column in left[1:] if not column.label] or left
            last = max(reversed(spare), key=lambda column: column.spare)
            # Both ends of an interval are left out together.
            out = (
                {id(last)}
                if _stem(last.name) == last.name
                else {id(column) for column in left if _paired(column, last)}
            )
            left = [column for column in left if id(column) not in out]
        shown = set(map(id, left))
        return left, [column for column in self.columns if id(column) not in shown]

    def _remark_lines(self, hidden: int, missing: Sequence[Column]) -> list[str]:
        remark = self._remark(hidden, missing)
        return _wrapped(remark, "  ", "    ", lines=REMARK) if remark else []

    def _remark(self, hidden: int, missing: Sequence[Column]) -> str:
        more = _more(hidden, self.where) if hidden else ""
        names = [" ".join(filter(None, (column.group, column.name))) for column in missing]
        columns = f"columns not shown: {', '.join(names)}" if missing else ""
        return "; ".join(filter(None, (more, columns)))


@dataclass(frozen=True)
class Folded:
    """A part that is behind a fold in HTML, and left out in text.

    Attributes
    ----------
    title : str
    part : Part
    """

    title: str
    part: Part

    def lines(self, limit: int) -> list[str]:  # noqa: ARG002  text has no folds
        """Nothing."""
        return []

    def html(self, limit: int) -> str:  # noqa: ARG002  a fold takes one line, whatever is behind it
        """A fold."""
        inside = self.part.html(2 * FOLDED)
        return _folded(self.title, inside) if inside else ""


@dataclass(frozen=True)
class Content:
    """A piece of HTML that is left out in text."""

    content: str

    def lines(self, limit: int) -> list[str]:  # noqa: ARG002  there is no text
        """Nothing."""
        return []

    def html(self, limit: int) -> str:  # noqa: ARG002  it is behind a fold
        """The content."""
        return self.content


def _only_counts(index: pd.Index[Any]) -> bool:
    """Whether an index holds the numbers 0, 1, ... of the rows and no more."""
    from pandas import RangeIndex

    return isinstance(index, RangeIndex) and index.name is None and index.equals(RangeIndex(len(index)))


def _terminal() -> int:
    """Width of the terminal, or of a screen where there is none."""
    return min(max(shutil.get_terminal_size((WIDTH, HEIGHT)).columns, NARROWEST), WIDEST)


def _with_headings(columns: Sequence[Column], widths: Sequence[int]) -> list[int]:
    """The widths of columns, the first of which in a group is widened where the shared heading needs more room."""
    enough: list[int] = []
    for group, run in groupby(zip(columns, widths, strict=True), lambda pair: pair[0].group):
        first, *others = (width for _, width in run)
        needed = len(f"- {_cut(group)} -") if group else 0
        enough += [max(first, needed - sum(width + 2 for width in others)), *others]
    return enough


def _headings(columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    """The line with the headings that columns share, if there are any."""
    if not any(column.group for column in columns):
        return []
    texts = []
    for group, run in groupby(zip(columns, widths, strict=True), lambda pair: pair[0].group):
        room = sum(width + 2 for _, width in run) - 2
        texts.append(f" {_cut(group)} ".center(room, "-") if group else " " * room)
    return [f"{' ' * INDENT}{'  '.join(texts).rstrip()}"]


def _has_error_of(name: str) -> str:
    """The summary whose Monte Carlo error limits the decimals of a column: the mean's for ends of intervals."""
    return "mean" if name == "median" or _stem(name) != name else name


def _beside(values: Sequence[list[Any]], places: Mapping[Any, int], key: Any, names: Sequence[str]) -> list[Any] | None:
    """The values of the first of these columns that there is beside a column; None if there is none."""
    found = (places[other] for other in (_with_last(key, name) for name in names) if other in places)
    place = next(found, None)
    return None if place is None else values[place]


def _is_estimate(name: str) -> bool:
    """Whether the standard error of a table is that of the numbers in a column."""
    return name in ESTIMATES or _stem(name) != name


def _paired(column: Column, other: Column) -> bool:
    """Whether the columns are ends of one interval."""
    return column.group == other.group and _stem(column.name) == _stem(other.name)


def _with_last(key: Any, name: str) -> Any:
    """The key of a column whose last level has another name."""
    return (*key[:-1], name) if isinstance(key, tuple) else name


def _stem(name: str) -> str:
    return name.removesuffix("_lb").removesuffix("_ub")


def _datum(value: object) -> str:
    """A value of the user's data as text."""
    if is_missing(value):
        return NO_VALUE
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    return (f"{value:.6g}" if isinstance(value, float) else str(value)).replace("-", "−")


def _with_decimals(name: str, value: object, decimals: int) -> str:
    """A finite number with a number of decimals, other values as usual."""
    return fixed(value, decimals) if isinstance(value, float) and isfinite(value) else cell(name, value)


def _fitting(blocks: Sequence[Sequence[str]], limit: int) -> int:
    """How many blocks of lines fit; if some do not, one line is reserved for a remark."""
    if sum(map(len, blocks)) <= limit:
        return len(blocks)
    used = 1
    for shown, block in enumerate(blocks):
        used += len(block)
        if used > limit:
            return shown
    return len(blocks)


def _more(count: int, where: str) -> str:
    return f"… and {count:,} more{f' in {where}' if where else ''}"


def _cut(text: str, longest: int = LONGEST) -> str:
    """The text on one line, cut off after `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _wrapped(text: str, first: str, following: str, lines: int = LINES) -> list[str]:
    return textwrap.wrap(
        plain(text),
        min(WIDTH, _terminal()),
        initial_indent=first,
        subsequent_indent=following,
        break_on_hyphens=False,
        max_lines=lines,
        placeholder=" …",
    ) or [first.rstrip()]


# ---- HTML -------------------------------------------------------------------------------------------------------


def element(name: str, content: str = "", **attributes: str | bool | None) -> str:
    """Make an element around content; attributes are escaped, those that are None or False left out.

    An underscore at the end of an attribute's name is dropped, others become hyphens.

    Examples
    --------
    >>> element("a", "back", href="#top", class_="small", aria_label='to "top"')
    '<a href="#top" class="small" aria-label="to &quot;top&quot;">back</a>'
    """
    shown = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        shown.append(attribute if value is True else f'{attribute}="{escape(str(value))}"')
    return f"<{' '.join([name, *shown])}>{content}</{name}>"


def _folded(title: str, content: str) -> str:
    return element("details", element("summary", escape(title)) + content)


def _list_html(items: Iterable[str]) -> str:
    return element("ul", "".join(element("li", escape(item)) for item in items))


def _rows_html(pairs: Iterable[tuple[str, str]]) -> str:
    rows = (
        element("th", escape(label), scope="row", style=_LEFT) + element("td", escape(text), style=_LEFT)
        for label, text in pairs
    )
    return element("table", element("tbody", "".join(element("tr", row) for row in rows)), style=_TABLE)


def _table_html(columns: Sequence[Column], start: int, stop: int, longest: int) -> str:
    shown = range(start, min(stop, len(columns[0].cells)))
    head, *rows = ("".join(row) for row in zip(*(column.html(shown, longest) for column in columns), strict=True))
    body = "".join(element("tr", row) for row in rows)
    top = _headings_html(columns, longest) + element("tr", head)
    return element("table", element("thead", top) + element("tbody", body), style=_TABLE)


def _headings_html(columns: Sequence[Column], longest: int) -> str:
    """The row with the headings that columns share, if there are any."""
    if not any(column.group for column in columns):
        return ""
    cells = []
    for group, run in groupby(columns, lambda column: column.group):
        span = str(len(list(run)))
        kind, scope, style = ("th", "colgroup", _CENTRE) if group else ("td", None, None)
        cells.append(element(kind, escape(_cut(group, longest)), scope=scope, colspan=span, style=style))
    return element("tr", "".join(cells))
