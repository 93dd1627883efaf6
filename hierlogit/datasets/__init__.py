"""Small published data sets with clustered binary outcomes.

Each is a CSV file with a TOML file of the same name, which has title, origin, licence and the meaning of the columns.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from textwrap import wrap
from typing import Any, Literal, overload

import pandas as pd

from ..display import Facts, Shown, View
from ..errors import HierlogitError
from ..validation import choice, nearest, shortened

# `list` is a function of this module. It comes last, and the module does not use the builtin of that name.
__all__ = ["Dataset", "DatasetError", "describe", "list", "load"]

#: Libraries whose frames `load` returns.
Backend = Literal["pandas", "polars", "pyarrow"]
BACKENDS: tuple[Backend, ...] = ("pandas", "polars", "pyarrow")
_WIDTH = 100


class DatasetError(HierlogitError, ValueError):
    """There is no data set with this name."""


@dataclass(frozen=True, repr=False)
class Dataset(Shown):
    """Description of a data set, without its rows.

    Attributes
    ----------
    name : str
        Its name in `load`.
    title : str
        One line about what was observed.
    rows : int
        Number of rows.
    clusters : str
        Number and kind of the clusters.
    outcome : str
        Column of the outcome; for counts, the columns of successes and trials.
    formula : str
        A model for these data.
    origin : str
        Who collected the data, and where they were first published.
    licence : str
        The R package that distributes them, and its licence.
    columns : dict of str to str
        Meaning of each column.
    levels : dict of str to tuple of str
        Levels of the columns that are not in alphabetical order, the reference level first.
    text : tuple of str
        Columns that are read as text, even if it looks like a number.

    Examples
    --------
    >>> import hierlogit as hl
    >>> print(hl.datasets.describe("cbpp"))
    cbpp: Contagious bovine pleuropneumonia in Ethiopian herds
      56 rows, 15 herds, outcome: successes of size
      model:    prop(successes, size) ~ period + (1 | herd)
      origin:   Lesnoff, M. et al. (2004), Preventive Veterinary Medicine 64: 27-40
      licence:  cbpp in the R package lme4 1.1-31, GPL (>= 2)
      columns:
        herd        identifier of the herd; the clusters
        obs         number of the row, for an observation-level random effect (over-dispersion)
        successes   animals of the herd that fell ill with the disease in the period
        size        animals of the herd at the start of the period
        period      period of observation, 'p1' to 'p4'
        period_num  `period` as a number, 1 to 4
    """

    name: str
    title: str
    rows: int
    clusters: str
    outcome: str
    formula: str
    origin: str
    licence: str
    columns: dict[str, str] = field(hash=False)
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    text: tuple[str, ...] = ()

    def __str__(self) -> str:
        width = max(len(column) for column in self.columns)
        lines = [
            f"{self.name}: {self.title}",
            f"  {self.rows:,} rows, {self.clusters}, outcome: {self.outcome}",
            _hanging("  model:    ", self.formula),
            _hanging("  origin:   ", self.origin),
            _hanging("  licence:  ", self.licence),
            "  columns:",
        ]
        lines += [_hanging(f"    {column:<{width}}  ", meaning) for column, meaning in self.columns.items()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _view(self) -> View:
        facts = (
            ("rows", f"{self.rows:,}, {self.clusters}"),
            ("outcome", self.outcome),
            ("model", self.formula),
            ("origin", self.origin),
            ("licence", self.licence),
        )
        return View(f"{self.name}: {self.title}", (Facts(facts), Facts(tuple(self.columns.items()), "columns")))


def describe(name: str) -> Dataset:
    """Description of a data set: its origin and the meaning of its columns.

    Parameters
    ----------
    name : str
        Name of the data set, from `list`.

    Returns
    -------
    Dataset
        Title, origin, licence, meaning of the columns, and a model for the data.

    Raises
    ------
    DatasetError
        If there is no data set with this name.

    Examples
    --------
    >>> import hierlogit as hl
    >>> about = hl.datasets.describe("toenail")
    >>> about.formula
    'outcome ~ treatment * time + (1 | patientID)'
    >>> about.columns["visit"]
    'number of the visit, 1 to 7'
    """
    facts = tomllib.loads(_file(name, "toml").read_text(encoding="utf-8"))
    facts["levels"] = {column: tuple(levels) for column, levels in facts.get("levels", {}).items()}
    facts["text"] = tuple(facts["text"])
    return Dataset(name=name, **facts)


@overload
def load(name: str) -> pd.DataFrame: ...
@overload
def load(name: str, backend: Literal["pandas"]) -> pd.DataFrame: ...
@overload
def load(name: str, backend: Backend) -> Any: ...
def load(name: str, backend: Backend = "pandas") -> Any:
    """The rows of a data set.

    Parameters
    ----------
    name : str
        Name of the data set, from `list`.
    backend : {"pandas", "polars", "pyarrow"}
        Library of the table. polars must be installed for its own.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        A new table, which can be changed. Text columns are strings, whose levels are in sorted order; columns with
        another order of levels are ordered categoricals, with the reference level first: in polars of type Enum, in
        Arrow ordered dictionaries.

    Raises
    ------
    DatasetError
        If there is no data set with this name, or `backend` is none of these or is not installed.

    Examples
    --------
    >>> import hierlogit as hl
    >>> women = hl.datasets.load("contraception")
    >>> women.shape
    (1934, 8)
    >>> sorted(women["livch"].unique())
    ['0', '1', '2', '3+']
    """
    choice("backend", backend, BACKENDS, DatasetError)
    about = describe(name)
    text = dict.fromkeys((*about.text, *about.levels), "str")
    with _file(name, "csv").open("r", encoding="utf-8") as lines:
        # No data set has missing values; a text such as "NA" must not be read as one.
        table = pd.read_csv(lines, dtype=text, keep_default_na=False)
    for column, levels in about.levels.items():
        table[column] = pd.Categorical(table[column], categories=levels, ordered=True)
    return table if backend == "pandas" else _converted(table, about, backend)


def _converted(table: pd.DataFrame, about: Dataset, backend: Backend) -> Any:
    """The table as one of another library."""
    if backend == "pyarrow":
        import pyarrow as pa

        return pa.Table.from_pandas(table, preserve_index=False)
    try:
        import polars as pl
    except ImportError:
        raise DatasetError("backend='polars' needs polars, which is not installed: pip install polars.") from None
    words = {column: table[column].to_list() for column in (*about.text, *about.levels)}
    types = {column: pl.Enum(levels) for column, levels in about.levels.items()}
    columns = {column: words.get(column, table[column].to_numpy()) for column in map(str, table)}
    return pl.DataFrame(columns, schema_overrides=types)


@cache
def _names() -> tuple[str, ...]:
    paths = [path.name for path in files(__name__).iterdir()]
    return tuple(sorted(name.removesuffix(".toml") for name in paths if name.endswith(".toml")))


def _file(name: str, suffix: str) -> Traversable:
    if not isinstance(name, str) or name not in _names():
        known = ", ".join(f"'{one}'" for one in _names())
        raise DatasetError(f"there is no data set {shortened(name)}; choose one of {known}.{nearest(name, _names())}")
    return files(__name__).joinpath(f"{name}.{suffix}")


def _hanging(lead: str, text: str) -> str:
    return "\n".join(wrap(text, _WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False))


def list() -> pd.DataFrame:
    """Table of the data sets, with one row for each.

    Returns
    -------
    pandas.DataFrame
        Columns ``name``, ``rows``, ``clusters``, ``outcome``, ``title``, ``origin``, ``licence``.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.datasets.list()[["name", "rows", "clusters"]]
                 name  rows                             clusters
    0        bacteria   220                          50 children
    1             bdf  2287                          131 schools
    2            cbpp    56                             15 herds
    3   contraception  1934                         60 districts
    4       crossbill  2355                 267 quadrats x 9 years
    5         guimmun  2159  1595 mothers within 161 communities
    6          medpar  1495                         54 hospitals
    7         opinion  2500                            48 states
    8   opinion_cells  1600                            50 states
    9     salamanders   644                 23 sites x 7 species
    10        toenail  1908                         294 patients
    11        verbagg  7584               316 persons x 24 items
    """
    shown = ("name", "rows", "clusters", "outcome", "title", "origin", "licence")
    described = (describe(name) for name in _names())
    return pd.DataFrame([[getattr(about, key) for key in shown] for about in described], columns=pd.Index(shown))
