"""Imputed tables for the fuzz tests: copies of a table that differ as imputations do, or as they must not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from .tables import HARMLESS, KINDS, Rows, kinds_of_tables, names, rows, some

#: What is done to a table, with a source of random numbers and the names of the columns by their roles.
Change = Callable[[pd.DataFrame, np.random.Generator, Callable[[str], str]], Any]


def other_numbers(role: str, sd: float) -> Change:
    """A few cells of a column moved by normal errors."""

    def change(frame: pd.DataFrame, rng: np.random.Generator, of: Callable[[str], str]) -> pd.DataFrame:
        moved = np.where(some(rng, len(frame), 0.3), rng.normal(0, sd, len(frame)), 0.0)
        return frame.assign(**{of(role): frame[of(role)].astype(float) + moved})

    return change


def exchanged(role: str) -> Change:
    """The values of a few rows of a column in another order."""

    def change(frame: pd.DataFrame, rng: np.random.Generator, of: Callable[[str], str]) -> pd.DataFrame:
        order, chosen = np.arange(len(frame)), np.flatnonzero(some(rng, len(frame), 0.3))
        order[chosen] = rng.permutation(chosen)
        return frame.assign(**{of(role): frame[of(role)].iloc[order].set_axis(frame.index)})

    return change


#: What differs between imputed tables.
IMPUTED: Mapping[str, Change] = {
    "numbers": other_numbers("x", 0.5),
    "other numbers": other_numbers("z", 0.1),
    "words": exchanged("t"),
    "booleans": exchanged("lg"),
    "outcomes": exchanged("y"),
    "sampling weights": exchanged("ws"),
    "counts": exchanged("wf"),
    "trials": exchanged("n"),
    "clusters": exchanged("g"),
}
#: What is wrong with the last of them.
WRONG: Mapping[str, Change] = {
    "a row less": lambda frame, *_: frame.iloc[:-1],
    "rows twice": lambda frame, *_: pd.concat([frame, frame]),
    "other order": lambda frame, *_: frame.iloc[::-1],
    "other labels": lambda frame, *_: frame.set_axis(np.arange(len(frame)) + 1000),
    "no column": lambda frame, _, of: frame.drop(columns=of("x")),
    "one level": lambda frame, _, of: frame.assign(**{of("t"): "a"}),
    "new level": lambda frame, _, of: frame.assign(**{of("t"): ["d", *frame[of("t")].iloc[1:]]}),
    "still missing": lambda frame, _, of: frame.assign(**{of("x"): [np.nan, *frame[of("x")].iloc[1:]]}),
    "constant": lambda frame, _, of: frame.assign(**{of("x"): 1.0}),
    "huge": lambda frame, _, of: frame.assign(**{of("x"): frame[of("x")].astype(float) * 1e200}),
    "separated": lambda frame, _, of: frame.assign(**{of("y"): (frame[of("x")].astype(float) > 0).astype(int)}),
    "text": lambda frame, _, of: frame.assign(**{of("x"): frame[of("x")].astype(str)}),
    "no rows": lambda frame, *_: frame.iloc[:0],
    "no table": lambda *_: 3,
    "nothing": lambda *_: None,
}
#: How the tables are passed on.
FORMS: Mapping[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": lambda tables: (table for table in tables),
    "polars": lambda tables: [KINDS["polars"](table) for table in tables],
    "duckdb": lambda tables: [KINDS["duckdb"](table) for table in tables],
    "mappings": lambda tables: [KINDS["lists"](table) for table in tables],
    "long": lambda tables: pd.concat([table.assign(**{".imp": k}) for k, table in enumerate(tables, start=1)]),
    "long with the original": lambda tables: pd.concat([table.assign(**{".imp": k}) for k, table in enumerate(tables)]),
    "long of polars": lambda tables: KINDS["polars"](FORMS["long"](tables)),
    "one": lambda tables: tables[:1],
    "none": lambda _: [],
    "one table": lambda tables: tables[0],
    "by name": lambda tables: dict(enumerate(tables)),
    "numbers": lambda _: np.array([1.0, 2.0]),
}


@dataclass(frozen=True)
class Imputed:
    """How imputed tables are made: of which rows, how many, what differs, what is wrong, and how they are passed on."""

    rows: Rows
    count: int
    differ: tuple[str, ...]
    wrong: str | None = None
    form: str = "list"

    @property
    def tables(self) -> Any:
        """The tables; changes and forms that are not possible are left out."""
        rng, original = np.random.default_rng(self.rows.seed), self.rows.frame
        tables: list[Any] = [original.copy() for _ in range(self.count)]
        for change in self.differ:
            tables = [_changed(IMPUTED[change], table, rng, self.rows) for table in tables]
        if self.wrong is not None:
            tables[-1] = _changed(WRONG[self.wrong], tables[-1], rng, self.rows)
        try:
            return FORMS[self.form](tables)
        except Exception:
            return tables


def _changed(change: Change, table: pd.DataFrame, rng: np.random.Generator, rows: Rows) -> Any:
    try:
        return change(table, rng, rows.name)
    except Exception:
        return table


differences = st.lists(st.sampled_from(["numbers", "numbers", "words", *IMPUTED]), max_size=2).map(tuple)
complete_rows = rows(
    st.lists(st.sampled_from(HARMLESS), max_size=1), st.one_of(st.just({}), st.just({}), names), kinds_of_tables
)
#: Imputed tables of which most can be fitted and pooled.
sound_imputed = st.builds(Imputed, complete_rows, st.integers(2, 5), differences)
#: Imputed tables with anything wrong.
any_imputed = st.builds(
    Imputed,
    complete_rows,
    st.integers(2, 4),
    differences,
    st.one_of(st.none(), st.sampled_from(list(WRONG))),
    st.one_of(st.just("list"), st.sampled_from(list(FORMS))),
)
