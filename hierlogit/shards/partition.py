"""Partition of the rows of a table into files of about equal numbers of rows, each with whole clusters."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.table_files import column_names, in_chunks, open_dataset, refuse_absent
from ..design.table_sources import computing, frame_from_arrow, lazy_frame, path_of, read_table, refuse_same_names
from ..errors import DesignError
from ..progress import progress
from ..validation import reason_of, unknown_names
from .folder import Manifest, Shard, mark_of

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows that are divided at once: enough that the row groups of the files are not small.
CHUNK = 1_000_000

#: Record batches with some columns, or with all of them.
type Batches = Callable[[list[str] | None], Iterator[pa.RecordBatch]]
#: The levels of categorical columns, in their order.
type Levels = dict[str, dict[Any, None]]


def write_shards(source: Any, folder: Path, group: str, shards: int) -> Manifest:
    """Write the rows of a table as shards; the arguments are those of `Shards.write`.

    Raises
    ------
    DesignError
    """
    with _opened(source, folder) as (schema, batches, levels):
        if group not in schema.names:
            raise DesignError(unknown_names("group", [group], schema.names, "column", "the table"))
        _refuse_categories(schema)
        try:
            clusters = _cluster_sizes(batches, group)
            shard_of = _assigned(clusters.to_numpy(), min(shards, len(clusters)))
            manifest = _write(schema, batches, folder, group, clusters.index, shard_of, levels)
        except _arrow_errors() as error:
            raise DesignError(f"the table cannot be written as Parquet: {reason_of(error)}.") from error
    manifest.write(folder)
    return manifest


def _refuse_categories(schema: pa.Schema) -> None:
    """Refuse categories that are neither text nor numbers, whose order the manifest cannot hold."""
    import pyarrow.types as kinds

    allowed = (kinds.is_string, kinds.is_large_string, kinds.is_integer, kinds.is_floating, kinds.is_boolean)
    for column in schema:
        kind = column.type.value_type if kinds.is_dictionary(column.type) else None
        if kind is not None and not any(is_kind(kind) for is_kind in (*allowed, kinds.is_null)):
            raise DesignError(
                f"the categories of the column '{column.name}' are of the type {kind}. Shards take categories that are "
                f"text or numbers: convert them, df['{column.name}'].astype(str), or leave the column out."
            )


def _arrow_errors() -> type[Exception]:
    import pyarrow as pa

    error: type[Exception] = pa.ArrowException
    return error


@contextmanager
def _opened(source: Any, folder: Path) -> Iterator[tuple[pa.Schema, Batches, Levels]]:
    """The schema of a table, a function that reads it in record batches, and levels that these do not have.

    Lazy frames are first written to a file by their own engine, since they would be computed twice otherwise. Not all
    engines write the levels of enumerations.
    """
    import narwhals as nw
    import pyarrow as pa

    path, temporary = path_of(source), folder / "source.parquet"
    lazy = lazy_frame(source) if path is None else None
    levels: Levels = {}
    try:
        if lazy is not None:
            with computing(source):
                kinds = lazy.collect_schema()
                lazy.sink_parquet(temporary)
            levels = {name: dict.fromkeys(kind.categories) for name, kind in kinds.items() if isinstance(kind, nw.Enum)}
            path = temporary
        dataset = None if path is None else open_dataset(path)
        if dataset is not None:
            assert path is not None
            refuse_same_names(dataset.schema.names)
            refuse_absent(dataset, column_names(dataset, path), path)
            yield dataset.schema, lambda columns: dataset.to_batches(columns=columns), levels
            return
        frame = read_table(source)
        try:
            table = pa.Table.from_pandas(frame, preserve_index=False)
        except pa.ArrowException as error:
            raise DesignError(f"the table cannot be written as Parquet: {reason_of(error)}.") from error
        yield (
            table.schema,
            lambda columns: iter((table if columns is None else table.select(columns)).to_batches()),
            levels,
        )
    finally:
        temporary.unlink(missing_ok=True)


def _values(column: pa.Array) -> pa.Array:
    """The values of a column, without a dictionary."""
    import pyarrow as pa

    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _labels(column: pa.Array) -> pd.Index[Any]:
    """The clusters of a column; whole numbers stay whole even with missing values."""
    import pyarrow as pa

    values = _values(column)
    if pa.types.is_integer(values.type) and values.null_count:
        labels: pd.Index[Any] = pd.Index(values.to_pylist(), dtype="Int64")
    else:
        labels = pd.Index(values.to_pandas())
    return labels


def _cluster_sizes(batches: Batches, group: str) -> pd.Series[Any]:
    """Number of rows of each cluster, in the order of their labels."""
    import pyarrow.compute as pc

    found: dict[Any, int] = {}
    for batch in progress(batches([group]), "Counting rows of clusters"):
        for one in pc.value_counts(_values(batch.column(0)).drop_null()).to_pylist():
            found[one["values"]] = found.get(one["values"], 0) + one["counts"]
    if not found:
        raise DesignError(f"the column '{group}' has no values, so there are no clusters to divide the rows by.")
    sizes = pd.Series(list(found.values()), index=pd.Index(list(found)))
    return sizes.sort_index()


def _assigned(sizes: npt.NDArray[Any], shards: int) -> npt.NDArray[np.intp]:
    """The shard of each cluster: the largest first, each to the shard that has the fewest rows so far.

    Examples
    --------
    >>> _assigned(np.array([5, 1, 3, 1]), 2).tolist()
    [0, 1, 1, 1]
    """
    shard_of = np.empty(len(sizes), dtype=np.intp)
    rows = [(0, number) for number in range(shards)]
    for cluster in np.argsort(-sizes, kind="stable"):
        taken, number = rows[0]
        shard_of[cluster] = number
        heapq.heapreplace(rows, (taken + int(sizes[cluster]), number))
    return shard_of


def _write(
    schema: pa.Schema,
    batches: Batches,
    folder: Path,
    group: str,
    clusters: pd.Index[Any],
    shard_of: npt.NDArray[np.intp],
    levels: Levels,
) -> Manifest:
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = pa.schema(
        [pa.field(one.name, one.type.value_type if pa.types.is_dictionary(one.type) else one.type) for one in schema]
    )
    count = int(shard_of.max()) + 1
    files, rows = [f"shard-{number:05}.parquet" for number in range(count)], np.zeros(count, dtype=np.int64)
    with ExitStack() as stack:
        writers = [stack.enter_context(pq.ParquetWriter(folder / file, plain)) for file in files]
        for chunk in progress(in_chunks(batches(None), CHUNK), "Writing shards"):
            _add_levels(levels, chunk, schema)
            columns = [pa.chunked_array([_values(part) for part in column.chunks]) for column in chunk.columns]
            # Rows without a cluster, which no model uses, are in the first file, so that they can be counted.
            place = clusters.get_indexer(_labels(chunk.column(group).combine_chunks()))
            number = np.where(place < 0, 0, shard_of[place])
            ordered = pa.table(columns, plain).take(pa.array(np.argsort(number, kind="stable")))
            ends = np.searchsorted(np.sort(number), np.arange(count + 1))
            for k, (start, stop) in enumerate(pairwise(ends.tolist())):
                if stop > start:
                    writers[k].write_table(ordered.slice(start, stop - start))
            rows += np.diff(ends)
    of_shards = np.bincount(shard_of, minlength=count)
    marks = [mark_of(folder / file) for file in files]
    return Manifest(
        group,
        {one.name: str(one.type) for one in plain},
        {name: list(found) for name, found in levels.items()},
        tuple(Shard(*values) for values in zip(files, rows.tolist(), of_shards.tolist(), marks, strict=True)),
    )


def _add_levels(levels: Levels, chunk: pa.Table, schema: pa.Schema) -> None:
    """Add the levels of the categorical columns of a chunk, in the order of its dictionaries."""
    import pyarrow as pa

    dictionaries = [one.name for one in schema if pa.types.is_dictionary(one.type)]
    if not dictionaries:
        return
    first = frame_from_arrow(chunk.select(dictionaries).slice(0, 1), schema.metadata)
    for name in _categorical(first, dictionaries):
        for part in chunk.column(name).chunks:
            levels.setdefault(name, {}).update(dict.fromkeys(part.dictionary.to_pylist()))


def _categorical(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Those columns that are read as categorical: other dictionaries are text."""
    return [name for name in names if name in frame and isinstance(frame[name].dtype, pd.CategoricalDtype)]
