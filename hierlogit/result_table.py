"""Tables of results: pandas frames with all digits, which are shown rounded, on one screen, with a title."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, NoReturn, Self

import pandas as pd

from .display import Column, Sentences, Shown, Table, View
from .formatting import latex_cell, markdown_cell
from .pictures import Picture, TablePlots

#: Kinds of intervals, by the prefix of the columns that hold their ends.
INTERVAL_KINDS = {
    "eti": "equal-tailed",
    "hdi": "highest-density",
    "wald": "Wald",
    "profile": "profile-likelihood",
    "percentile": "percentile",
    "basic": "basic bootstrap",
    "normal": "normal",
    "simultaneous": "simultaneous",
    "wilson": "Wilson",
    "prediction": "prediction",
}
_END = re.compile(rf"({'|'.join(INTERVAL_KINDS)})([\d_]+)_(?:lb|ub)")
#: What pandas calls operations after which the numbers are those of the table, so that its title is still true.
_SAME_NUMBERS = frozenset(
    {None, "copy", "take", "reindex", "sort_values", "sort_index", "rename", "reset_index", "round", "astype", "fillna"}
    | {"transpose", "stack", "unstack", "infer_objects", "convert_dtypes"}
)
#: Those of them after which the numbers are in other places, where the picture of the table does not look for them.
_OTHER_PLACES = frozenset({"transpose", "stack", "unstack"})
#: Options of pandas that say how numbers are written: with them, nothing is rounded here.
_FORMATS = frozenset({"float_format", "formatters", "decimal", "floatfmt", "intfmt"})


def is_end(column: object) -> bool:
    """Whether a column holds an end of an interval.

    Examples
    --------
    >>> is_end("eti89_lb"), is_end("wald95_ub"), is_end("age")
    (True, True, False)
    """
    return bool(_END.fullmatch(str(column)))


def interval_title(table: pd.DataFrame) -> str:
    """Probability and kind of the intervals in a table; an empty text if there are none.

    Examples
    --------
    >>> interval_title(pd.DataFrame(columns=["mean", "eti89_lb", "eti89_ub"]))
    '89% equal-tailed interval'
    """
    names = [last_level(key) for key in table.columns]
    ends = dict.fromkeys((found[2], found[1]) for found in map(_END.fullmatch, names) if found)
    return " and ".join(f"{prob.replace('_', '.')}% {INTERVAL_KINDS[kind]} interval" for prob, kind in ends)


class ResultTable(pd.DataFrame):
    """A table of results.

    It is a `pandas.DataFrame` and has all digits. Printed, in notebooks, and by ``to_string``, ``to_html``,
    ``to_markdown`` and ``to_latex`` it is rounded: to the decimals that twice the Monte Carlo standard error leaves, if
    the table has it, otherwise to three or four significant digits; effective sample sizes to whole numbers. Files such
    as those by ``to_csv`` have all digits. Selected, sorted and merged tables are shown in the same way. After
    ``table.round(5)`` five decimals are shown, and ``pandas.DataFrame(table)`` shows the numbers as pandas does.

    Attributes
    ----------
    quantity : str
        What the table is about, and on which scale: the first part of its title.
    note : str
        What must be known of the fit to read the numbers, shown below them; empty if there is nothing.

    See Also
    --------
    pandas.DataFrame : What a table can do.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"))
    >>> hl.summary(model.fit("laplace"), ci_prob=0.95)
    Parameters (logit scale); t with between-within df; 95% Wald interval
      parameter           component  estimate     se  wald95_lb  wald95_ub       t   df  p_value
      Intercept           fixed        -1.399  0.232     -1.897     -0.900  -6.016   14  < 0.001
      period[p2]          fixed        -0.992  0.307     -1.594     -0.390  -3.236  824   0.0013
      period[p3]          fixed        -1.129  0.327     -1.770     -0.488  -3.455  824  < 0.001
      period[p4]          fixed        -1.580  0.427     -2.419     -0.741  -3.697  824  < 0.001
      sd_herd[Intercept]  herd          0.642  0.179      0.372      1.108       -    -        -
    """

    quantity: str = ""
    note: str = ""
    # Columns that the table was made with, those of them with values of the user's data, columns that are left out
    # first where there is not enough room, the decimals that the user has rounded to, and how the table is drawn.
    _own: frozenset[str] = frozenset()
    _of_data: frozenset[str] = frozenset()
    _spare: tuple[str, ...] = ()
    _decimals: int | None = None
    _picture: Picture | None = None

    _metadata = ["quantity", "note", "_own", "_of_data", "_spare", "_decimals", "_picture"]  # noqa: RUF012  pandas reads it

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        quantity: str = "",
        *,
        data: Sequence[Hashable] = (),
        spare: Sequence[str] = (),
        picture: Picture | None = None,
        note: str = "",
    ) -> Self:
        """A table of results.

        Parameters
        ----------
        table : pandas.DataFrame
        quantity : str
        data : sequence of str
            Columns with values of the user's data, which are not rounded.
        spare : sequence of str
            Columns that are left out first, in this order, where there is not enough room.
        picture : Picture, optional
            How the table is drawn.
        note : str
        """
        result = cls(table)
        result.attrs = table.attrs
        object.__setattr__(result, "quantity", quantity)
        object.__setattr__(result, "note", note)
        object.__setattr__(result, "_own", frozenset(map(last_level, table.columns)))
        object.__setattr__(result, "_of_data", frozenset(map(str, data)))
        object.__setattr__(result, "_spare", tuple(spare))
        object.__setattr__(result, "_picture", picture)
        return result

    @property
    def plot(self) -> TablePlots:
        """Plots of the table: ``table.plot()`` draws it as `hierlogit.plots` does, and the rest is that of pandas."""
        return TablePlots(self)

    @property
    def _constructor(self) -> Callable[..., ResultTable]:
        return ResultTable

    def __finalize__(self, other: Any, method: str | None = None, **options: Any) -> Self:
        result: Self = super().__finalize__(other, method=method, **options)  # type: ignore[misc]  # not in the stubs
        joined = [one for one in _inputs(other) if isinstance(one, ResultTable)]
        for name in self._metadata if joined else ():
            object.__setattr__(result, name, getattr(joined[0], name, None))
        if len({(one.quantity, one.note) for one in joined}) > 1 or not (joined or method in _SAME_NUMBERS):
            _untitled(result)
        if len({one._picture for one in joined}) > 1 or method in _OTHER_PLACES:
            object.__setattr__(result, "_picture", None)
        return result

    # Numbers that are computed from the table are on another scale than its title says.

    def _arith_method(self, other: Any, operator: Any) -> Any:
        return _untitled(super()._arith_method(other, operator))  # type: ignore[misc]

    def _cmp_method(self, other: Any, operator: Any) -> Any:
        return _untitled(super()._cmp_method(other, operator))  # type: ignore[misc]

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return _untitled(super().__array_ufunc__(function, method, *inputs, **options))  # type: ignore[misc]

    def _title(self) -> str:
        return "; ".join(filter(None, (self.quantity, interval_title(self))))

    def _view(self) -> View:
        title = self._title() if self.quantity else ""
        table = Table.of(
            pd.DataFrame(self), ".to_string()", data=self._data(), spare=self._spare, decimals=self._decimals
        )
        return View(title, (table, Sentences((self.note,))) if self.note else (table,))

    def _data(self) -> list[str]:
        """Columns of the user's data, and whole numbers that the user added, which may be years or labels."""
        kinds = zip(map(last_level, self.columns), self.dtypes, strict=True)
        return [name for name, of in kinds if name in self._of_data or (name not in self._own and of.kind != "f")]

    def __repr__(self) -> str:
        return self._view().text() if self.shape[1] else super().__repr__()

    def _repr_html_(self) -> str:
        return self._view().html()

    def _display_(self) -> View:
        """What marimo shows in place of its own view of data frames."""
        return self._view()

    def round(self, decimals: Any = 0, *arguments: Any, **options: Any) -> ResultTable:
        """The table rounded to a number of decimals, with which it is shown; as for `pandas.DataFrame.round`."""
        result: ResultTable = super().round(decimals, *arguments, **options)
        object.__setattr__(result, "_decimals", int(decimals) if isinstance(decimals, Integral) else None)
        return result

    def to_string(self, *arguments: Any, **options: Any) -> Any:
        """All rows and columns as text, rounded; options as for `pandas.DataFrame.to_string`."""
        if _FORMATS & options.keys():
            return pd.DataFrame(self).to_string(*arguments, **options)
        cells = [column.aligned[1:] for column in self._cells()]
        return _with_cells(self, cells, str).to_string(*arguments, **options)

    def to_html(self, *arguments: Any, **options: Any) -> Any:
        """All rows and columns as an HTML table, rounded; options as for `pandas.DataFrame.to_html`."""
        if _FORMATS & options.keys():
            return pd.DataFrame(self).to_html(*arguments, **options)
        cells = [column.cells for column in self._cells()]
        return _with_cells(self, cells, str).to_html(*arguments, **options)

    def to_markdown(self, *arguments: Any, **options: Any) -> Any:
        """All rows and columns as a table in Markdown, rounded; options as for `pandas.DataFrame.to_markdown`."""
        if _FORMATS & options.keys():
            return pd.DataFrame(self).to_markdown(*arguments, **options)
        columns = self._cells()
        labels = ["left"] * (self.index.nlevels if options.get("index", True) else 0)
        sides = [*labels, *("right" if column.number else "left" for column in columns)]
        options = {"disable_numparse": True, "colalign": sides if len(self) else None, **options}
        texts = _with_cells(self, [column.cells for column in columns], markdown_cell)
        if self.columns.nlevels > 1:
            texts.columns = texts.columns.map(" ".join)
        return texts.to_markdown(*arguments, **options)

    def to_latex(self, *arguments: Any, **options: Any) -> Any:
        """All rows and columns as a table in LaTeX, rounded and escaped; options as for `pandas.DataFrame.to_latex`.

        It needs the LaTeX package ``booktabs``.
        """
        if "columns" in options:
            return self[options.pop("columns")].to_latex(*arguments, **options)
        if _FORMATS & options.keys() or options.get("escape") is False:
            return pd.DataFrame(self).to_latex(*arguments, **{"escape": True, **options})
        columns = self._cells()
        labelled = options.pop("index", True)
        sides = "l" * (labelled * self.index.nlevels) + "".join("r" if column.number else "l" for column in columns)
        options = {"column_format": sides, "multicolumn_format": "r", **options, "escape": False}
        texts = _with_cells(self, [column.cells for column in columns], latex_cell)
        if labelled:  # as columns, since pandas gives their names a line of their own
            texts = texts.reset_index(allow_duplicates=True, names=[name or "" for name in texts.index.names])
        return texts.to_latex(*arguments, **options, index=False)

    def _cells(self) -> tuple[Column, ...]:
        """All cells as they are shown, by column."""
        frame = pd.DataFrame(self)
        return Table.of(frame, index=False, data=self._data(), rows=len(self), decimals=self._decimals).columns


class HasTables(Shown):
    """Base class of results with data frames as attributes, which errors name where a result is taken for one."""

    __slots__ = ()

    if not TYPE_CHECKING:  # type checkers report unknown attributes themselves

        def __getattr__(self, name: str) -> object:
            known = name.startswith("_") or hasattr(type(self), name)
            if not known and hasattr(pd.DataFrame, name) and (tables := self._tables()):
                where = _named(tables, f"{next(iter(tables))}.{name}")
                raise AttributeError(f"the {type(self).__name__} has no attribute '{name}'. {where}", name=name)
            # Raises Python's error again, or that of a property which could not be computed.
            return object.__getattribute__(self, name)

        def __getitem__(self, key: object) -> NoReturn:
            tables = self._tables()
            having = [name for name, table in tables.items() if isinstance(key, str) and key in table]
            where = _named(tables, f"{having[0]}[{key!r}]" if having else f"{next(iter(tables))}[...]")
            raise TypeError(f"the {type(self).__name__} has no columns. {where}")

    def _tables(self) -> dict[str, pd.DataFrame]:
        """The data frames by attribute, the main one first."""
        tables = {name: value for name, value in vars(self).items() if isinstance(value, pd.DataFrame)}
        return dict(sorted(tables.items(), key=lambda item: item[0] != "table"))


def _named(tables: Iterable[str], wanted: str) -> str:
    """Which attributes are data frames, and what to write.

    Examples
    --------
    >>> _named(["table"], "table.to_csv"), _named(["table", "shared"], "shared['g']")
    ('Its data frame is .table: use .table.to_csv.', "Its data frames are .table, .shared: use .shared['g'].")
    """
    names = [f".{name}" for name in tables]
    return f"Its data {'frame is' if len(names) == 1 else 'frames are'} {', '.join(names)}: use .{wanted}."


def last_level(key: object) -> str:
    """The last level of a column's label."""
    return str(key[-1] if isinstance(key, tuple) else key)


def _with_cells(table: pd.DataFrame, columns: Sequence[Sequence[str]], written: Callable[[str], str]) -> pd.DataFrame:
    """A frame of texts with the labels of a table; cells and labels are passed through a function."""
    texts = pd.DataFrame({k: [written(cell) for cell in cells] for k, cells in enumerate(columns)}, dtype=object)
    texts.index, texts.columns = _written_labels(table.index, written), _written_labels(table.columns, written)
    return texts


def _written_labels(labels: pd.Index[Any], written: Callable[[str], str]) -> pd.Index[Any]:
    names = [None if name is None else written(str(name)) for name in labels.names]
    levels = [[written(str(label)) for label in labels.get_level_values(k)] for k in range(labels.nlevels)]
    return pd.MultiIndex.from_arrays(levels, names=names) if len(levels) > 1 else pd.Index(levels[0], name=names[0])


def _inputs(other: Any) -> Sequence[Any]:
    """What pandas has concatenated or merged; nothing if `other` is a table, which may have columns of these names."""
    if isinstance(other, (pd.DataFrame, pd.Series)):
        return ()
    if hasattr(other, "input_objs"):
        found: Sequence[Any] = other.input_objs
        return found
    # Before pandas 3, they are named by what combines them.
    return getattr(other, "objs", None) or (getattr(other, "left", None), getattr(other, "right", None))


def _untitled(result: Any) -> Any:
    """The result of a computation, which is no longer what title and note of the table say, nor what is drawn."""
    for one in result if isinstance(result, tuple) else (result,):
        if isinstance(one, ResultTable):
            for name, nothing in (("quantity", ""), ("note", ""), ("_picture", None)):
                object.__setattr__(one, name, nothing)
    return result
