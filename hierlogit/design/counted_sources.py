"""Sources of many rows, which are counted where they lie: lazy frames by their own engine, files of Parquet by Arrow.

Rows that are alike in all columns of a model become one row with their number, so that only distinct rows come into
memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from ..errors import DesignError
from ..progress import progress
from ..validation import gigabytes, memory, number_of
from .table import no_dates
from .table_files import column_names, in_chunks, open_dataset, reading, refuse_absent
from .table_sources import (
    collected,
    computing,
    frame_from_arrow,
    frame_of,
    lazy_frame,
    path_of,
    read_table,
    refuse_empty,
    refuse_same_names,
    source_of,
)

if TYPE_CHECKING:
    import narwhals as nw
    import pyarrow as pa
    import pyarrow.dataset as arrow_dataset

#: Smaller sources are read row by row.
COUNTED_FROM = 1_000_000
#: Rows are counted if this leaves at most this share of them.
WORTH_COUNTING = 0.5
#: Bytes of memory that a model and its fit take for each value of a column of the distinct rows, by measurement: the
#: value itself, columns of the design that it becomes, and their copies in the order of the clusters.
BYTES_PER_VALUE = 160
#: The share of the memory that rows may take.
MOST_MEMORY = 0.5
#: Rows of files that are counted at once.
CHUNK = 2_000_000


class Source(Protocol):
    """A table that is not in memory.

    Attributes
    ----------
    names : list of str
        Names of the columns.
    name : str
        What it is, for users.
    subject : str
        The same within a sentence: with an article, unless it is a file.
    text : str
        What it is if all of its rows are read.
    """

    names: list[str]
    name: str
    subject: str
    text: str

    def check(self, columns: Sequence[str]) -> None:
        """Refuse columns that cannot be used, before rows are read."""

    def few(self, columns: Sequence[str]) -> pd.DataFrame | None:
        """The rows if there are at most `COUNTED_FROM`."""

    def size(self) -> int:
        """Number of rows."""

    def first(self, columns: Sequence[str], most: int) -> pd.DataFrame:
        """The first rows, at most so many."""

    def rows(self, columns: Sequence[str]) -> pd.DataFrame:
        """All rows."""

    def counted(self, columns: Sequence[str], count: str, most: int) -> pd.DataFrame | None:
        """The distinct rows with their number in the column `count`; None if there are more than `most`."""


def open_source(data: Any) -> Source | None:
    """A lazy frame, or files of Parquet; None for all other tables, which are in memory or are read as a whole.

    Raises
    ------
    DesignError
        If it cannot be opened.
    """
    path = path_of(data)
    if path is not None:
        dataset = open_dataset(path)
        return None if dataset is None else _Files(dataset, path)
    lazy = lazy_frame(data)
    return None if lazy is None else _Lazy(lazy, data)


def count_rows(source: Source, columns: Sequence[str], count: str, uncountable: str) -> tuple[pd.DataFrame, str]:
    """The rows of a source, counted if there are many of them and few distinct ones.

    Parameters
    ----------
    source : Source
    columns : sequence of str
        The columns that are used.
    count : str
        Name of the column for the numbers of rows.
    uncountable : str
        Why the rows cannot be added up, as a clause; empty if they can.

    Returns
    -------
    rows : pandas.DataFrame
        With the column `count` if rows have been counted.
    text : str
        Where they come from, and whether they were counted.

    Raises
    ------
    DesignError
        If the source cannot be computed, has no rows, or neither its distinct rows nor all rows fit into memory.
    """
    few = source.few(columns)
    if few is not None:
        refuse_empty(few)
        return few, source.text
    room = max(int(MOST_MEMORY * memory() / (BYTES_PER_VALUE * max(len(columns), 1))), 1)
    if not uncountable:
        counted = source.counted(columns, count, room)
        if counted is not None and len(counted) <= WORTH_COUNTING * counted[count].sum():
            return counted, f"{source.name}, rows counted"
    size = source.size()
    many = f"more than {room:,}" if room < WORTH_COUNTING * size else "most"
    why = uncountable or f"{many} of them are distinct"
    if size > room:
        raise _too_many(source, size, room, columns, why, distinct=not uncountable)
    return source.rows(columns), f"{source.text}; rows not counted, since {why}"


def _too_many(source: Source, size: int, room: int, columns: Sequence[str], why: str, *, distinct: bool) -> DesignError:
    values, remedy = _most_values(source, room, columns) if distinct else ("", "")
    needed = BYTES_PER_VALUE * len(columns) * size
    return DesignError(
        f"the {number_of(size, 'row')} of {source.subject} cannot be counted together, since {why}{values}, and a "
        f"model of all of them would need about {gigabytes(needed)} of memory, more than half of the "
        f"{gigabytes(memory())} of this machine; about {room:,} rows fit. {remedy}Divide the rows into files of whole "
        "clusters with hl.Shards.write, or fit the model to a sample of the clusters."
    )


def _most_values(source: Source, room: int, columns: Sequence[str]) -> tuple[str, str]:
    """The column with the most values in the first rows, in parentheses, and what to do about it."""
    rows = source.first(columns, min(room, COUNTED_FROM))
    values = {name: _distinct(rows[name]) for name in columns}
    most = max(values, key=values.__getitem__)
    return (
        f" ('{most}' has {values[most]:,} different values in the first {number_of(len(rows), 'row')})",
        f"If '{most}' is a predictor, round it in the source, cut it into intervals or leave it out. ",
    )


def _distinct(column: pd.Series) -> int:
    try:
        return int(column.nunique(dropna=False))
    except TypeError:  # lists, which are refused once they have been read
        return 0


class _Lazy:
    """A lazy frame of any library that narwhals knows."""

    def __init__(self, lazy: nw.LazyFrame[Any], data: Any) -> None:
        self._lazy, self._data, self.text = lazy, data, source_of(data)
        self.name = self.text.rpartition(",")[0]
        self.subject = f"the {self.name}"
        with computing(data):
            self._schema = lazy.collect_schema()
        self.names: list[str] = self._schema.names()
        refuse_same_names(self.names)

    def check(self, columns: Sequence[str]) -> None:
        for name in columns:
            if self._schema[name].is_temporal():
                raise no_dates(name, type(self._schema[name]).__name__)

    def few(self, columns: Sequence[str]) -> pd.DataFrame | None:
        first = self.first(columns, COUNTED_FROM + 1)
        return first if len(first) <= COUNTED_FROM else None

    def first(self, columns: Sequence[str], most: int) -> pd.DataFrame:
        return frame_of(collected(self._lazy.select(list(columns)).head(most), self._data), self._data)

    def size(self) -> int:
        import narwhals as nw

        return int(collected(self._lazy.select(nw.len()), self._data).item())

    def rows(self, columns: Sequence[str]) -> pd.DataFrame:
        return frame_of(collected(self._lazy.select(list(columns)), self._data), self._data)

    def counted(self, columns: Sequence[str], count: str, most: int) -> pd.DataFrame | None:
        import narwhals as nw

        distinct = self._lazy.select(list(columns)).group_by(*columns).agg(nw.len().alias(count))
        found = collected(distinct.head(most + 1), self._data)
        return frame_of(found, self._data) if len(found) <= most else None


class _Files:
    """Files of Parquet or Arrow, one or a folder of them."""

    def __init__(self, dataset: arrow_dataset.Dataset, path: Path) -> None:
        self._dataset, self._path = dataset, path
        self.name = self.subject = self.text = path.name
        self.names: list[str] = column_names(dataset, path)
        refuse_same_names(self.names)

    def check(self, columns: Sequence[str]) -> None:
        import pyarrow as pa

        refuse_absent(self._dataset, columns, self._path)
        for name in columns:
            kind = self._dataset.schema.field(name).type
            if pa.types.is_temporal(kind):
                raise no_dates(name, str(kind))

    def few(self, columns: Sequence[str]) -> pd.DataFrame | None:
        return self.rows(columns) if self.size() <= COUNTED_FROM else None

    def first(self, columns: Sequence[str], most: int) -> pd.DataFrame:
        with reading(self._path, self._dataset, columns):
            return frame_from_arrow(self._dataset.head(most, columns=list(columns)), self._dataset.schema.metadata)

    def size(self) -> int:
        return self._size

    @cached_property
    def _size(self) -> int:
        with reading(self._path):  # the ends of all files, which may be many
            return int(self._dataset.count_rows())

    def rows(self, columns: Sequence[str]) -> pd.DataFrame:
        return read_table(self._path, columns)

    def counted(self, columns: Sequence[str], count: str, most: int) -> pd.DataFrame | None:
        size = self.size()
        most = min(most, int(WORTH_COUNTING * size))
        levels = {name: _Levels() for name in columns if _is_dictionary(self._dataset, name)}
        parts: list[pa.Table] = []
        with reading(self._path, self._dataset, columns):
            chunks = progress(
                in_chunks(self._dataset.to_batches(columns=list(columns)), CHUNK),
                "Counting rows",
                max(size // CHUNK, 1),
            )
            for chunk in chunks:
                parts.append(_counted(_with_codes(chunk, levels), columns, count))
                if sum(map(len, parts)) > CHUNK:
                    parts = [_added_up(parts, columns, count)]
                if len(parts[0]) > most:
                    return None
            found = _added_up(parts, columns, count)
        if len(found) > most:
            return None
        return frame_from_arrow(_with_levels(found, levels, self._dataset.schema), self._dataset.schema.metadata)


def _is_dictionary(dataset: arrow_dataset.Dataset, name: str) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_dictionary(dataset.schema.field(name).type))


class _Levels:
    """The levels of a column of dictionaries, which may differ between parts of the rows, in the order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def codes(self, column: pa.ChunkedArray) -> pa.Array:
        """The number of each value's level."""
        import pyarrow as pa

        encoded = column.unify_dictionaries().combine_chunks()
        numbers = [self._numbers.setdefault(level, len(self._numbers)) for level in encoded.dictionary.to_pylist()]
        return pa.array(np.array(numbers, dtype=np.int32)).take(encoded.indices)

    def column(self, codes: pa.ChunkedArray, kind: pa.DictionaryType) -> pa.Array:
        """The values of these numbers."""
        import pyarrow as pa

        levels = pa.array(list(self._numbers), kind.value_type)
        return pa.DictionaryArray.from_arrays(codes.combine_chunks(), levels, ordered=kind.ordered)


def _with_codes(chunk: pa.Table, levels: dict[str, _Levels]) -> pa.Table:
    for name, of_column in levels.items():
        chunk = chunk.set_column(chunk.column_names.index(name), name, of_column.codes(chunk.column(name)))
    return chunk


def _with_levels(counted: pa.Table, levels: dict[str, _Levels], schema: pa.Schema) -> pa.Table:
    """The table with dictionaries in place of codes, and the metadata of the columns in the files."""
    import pyarrow as pa

    columns = {
        name: levels[name].column(counted.column(name), schema.field(name).type)
        if name in levels
        else counted.column(name)
        for name in counted.column_names
    }
    fields = [
        schema.field(name) if name in schema.names else counted.schema.field(name) for name in counted.column_names
    ]
    fields = [pa.field(field.name, columns[field.name].type, metadata=field.metadata) for field in fields]
    return pa.table(columns, pa.schema(fields))


def _counted(rows: pa.Table, columns: Sequence[str], count: str) -> pa.Table:
    return rows.group_by(list(columns)).aggregate([([], "count_all")]).rename_columns([*columns, count])


def _added_up(parts: list[pa.Table], columns: Sequence[str], count: str) -> pa.Table:
    import pyarrow as pa

    together = pa.concat_tables(parts).group_by(list(columns)).aggregate([(count, "sum")])
    return together.rename_columns([*columns, count])
