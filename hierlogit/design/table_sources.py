"""Tables of every kind read as pandas frames: frames of other libraries, lazy ones, Arrow data, and files."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import DesignError
from ..validation import kind_of, quoted_list, reason_of
from .table_files import (
    ARROW_FORMATS,
    check_file,
    column_names,
    index_columns,
    open_dataset,
    read_arrow_file,
    read_text_file,
    refuse_absent,
    stored_labels,
)

if TYPE_CHECKING:
    import narwhals as nw
    import pyarrow as pa

#: Seconds after which a thread that waits for a query looks whether it is interrupted.
PAUSE = 0.2
#: Keys of the metadata of Arrow tables that pandas and R have written; their dictionaries are factors.
_WRITERS_OF_FACTORS = (b"pandas", b"r")
#: Beginning of the keys of polars for a dictionary that is an Enum.
_POLARS_ENUM = b"_PL_ENUM"
_NO_RESULT = (
    "the connection to DuckDB given as data holds no result. Pass a table of it, connection.table('visits'), or what a "
    "query returns, connection.sql('SELECT ...')."
)


def read_table(data: Any, wanted: Collection[str] | None = None) -> pd.DataFrame:
    """A table as a pandas frame, with unchanged values.

    Parameters
    ----------
    data : table
        A pandas frame; a frame that narwhals knows, such as those of polars, DuckDB, Modin, Dask and Ibis, also lazy; a
        pyarrow Table, RecordBatch or reader; anything with the Arrow PyCapsule interface; the result of a query of
        DuckDB; a mapping of columns; or the name of a file: .csv, .tsv, .parquet, .feather, .arrow.
    wanted : collection of str, optional
        The columns that will be used. Others of lazy frames and of files of Parquet and Arrow are not read, unless one
        of these does not exist: the caller then needs to know which do.

    Returns
    -------
    pandas.DataFrame
        The columns. A pandas frame is returned as it is. Rows of other tables are numbered from 0, except for those of
        Arrow data in which pandas has stored their labels.

    Raises
    ------
    DesignError
        If `data` is not a table, cannot be read, has no rows, or has two columns with the same name.

    Examples
    --------
    >>> read_table({"y": [0, 1], "g": ["a", "b"]}).shape
    (2, 2)
    """
    frame = data if isinstance(data, pd.DataFrame) else _to_pandas(data, wanted)
    if frame.columns.nlevels > 1:
        raise DesignError(
            f"the columns of the table have names of several levels: {quoted_list(list(frame.columns))}. Give each "
            "column one name, such as df.columns = ['_'.join(map(str, name)) for name in df.columns]."
        )
    frame = _named_by_text(frame)
    refuse_same_names(frame.columns)
    refuse_empty(frame)
    return frame


def source_of(data: Any) -> str:
    """Where rows came from that were not in memory: the file, or the kind of lazy frame; otherwise nothing.

    Examples
    --------
    >>> source_of("data/survey.parquet"), source_of({"y": [0, 1]})
    ('survey.parquet', '')
    """
    if isinstance(data, (pd.DataFrame, Mapping)):
        return ""
    if isinstance(data, (str, PathLike)):
        return Path(data).name
    module = _library(data)
    if module == "duckdb" and not _is_connection(data):
        return "query of duckdb, executed"
    return f"{kind_of(data)} of {module}, collected" if lazy_frame(data) is not None else ""


def _named_by_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with names of columns as text, as formulas write them: `0` in backticks for the number 0."""
    if all(type(name) is str for name in frame.columns):
        return frame
    named = frame.copy(deep=False)
    named.columns = pd.Index([str(name) for name in frame.columns], dtype=object)
    return named


def refuse_empty(frame: pd.DataFrame) -> None:
    """Refuse a table without rows.

    Raises
    ------
    DesignError
    """
    if len(frame) == 0:
        raise DesignError("the table has no rows.")


def refuse_same_names(names: Sequence[Any] | pd.Index[Any]) -> None:
    """Refuse a table in which two columns have the same name.

    Raises
    ------
    DesignError
    """
    index = pd.Index(names)
    duplicated = list(dict.fromkeys(index[index.duplicated()]))
    if duplicated:
        raise DesignError(
            f"the table has more than one column named {quoted_list(duplicated)}. "
            "Every column needs a name of its own: rename or drop the duplicates."
        )


def _to_pandas(data: Any, wanted: Collection[str] | None) -> pd.DataFrame:
    if isinstance(data, Mapping):
        return _from_mapping(data)
    path = path_of(data)
    if path is not None:
        if check_file(path) in ARROW_FORMATS:
            return _from_arrow(read_arrow_file(path, wanted))
        return read_text_file(path)
    if _is_connection(data):
        return _from_arrow(_result_of(data), factors=True)
    if _library(data) == "pyarrow":
        return _from_arrow(_from_stream(data))
    import narwhals as nw

    known = _known(data)
    if known is None:
        return _from_arrow(_from_stream(data))
    if isinstance(known, nw.LazyFrame):
        known = _collected(known, wanted, data)
    return frame_of(known, data)


def path_of(data: Any) -> Path | None:
    """The path of a file whose name is given as data; None for a table."""
    if not isinstance(data, (str, PathLike)):
        return None
    path = Path(data)
    return path.expanduser() if path.parts[:1] == ("~",) else path


def refuse_incomplete_files(data: Any, columns: Collection[str]) -> None:
    """Refuse a folder of files of Parquet if one of them lacks a column that is used and that others have.

    Parameters
    ----------
    data : table
        As for `read_table`.
    columns : collection of str
        Those that are used; some may not exist.

    Raises
    ------
    DesignError
    """
    path = path_of(data)
    dataset = None if path is None else open_dataset(path)
    if path is not None and dataset is not None:
        refuse_absent(dataset, [name for name in column_names(dataset, path) if name in columns], path)


def lazy_frame(data: Any) -> nw.LazyFrame[Any] | None:
    """A lazy frame of any library, for narwhals; None for anything else."""
    if isinstance(data, (pd.DataFrame, Mapping)) or _is_connection(data) or _library(data) == "pyarrow":
        return None
    import narwhals as nw

    known = _known(data)
    return known if isinstance(known, nw.LazyFrame) else None


def _known(data: Any) -> nw.DataFrame[Any] | nw.LazyFrame[Any] | None:
    """A frame of any library, for narwhals; None for what it does not know."""
    import narwhals as nw

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about packages that other frames will need
        try:
            known: nw.DataFrame[Any] | nw.LazyFrame[Any] = nw.from_native(data)
        except (TypeError, ImportError, AttributeError):
            return None
    return known


def frame_of(known: nw.DataFrame[Any], data: Any) -> pd.DataFrame:
    """The rows that were computed from a frame of a library."""
    import narwhals as nw

    native = nw.to_native(known)
    if _library(native) == "pyarrow":
        return _from_arrow(native, factors=_library(data) == "duckdb")
    return pd.DataFrame({name: _to_series(known[name]) for name in known.columns})


def frame_from_arrow(table: pa.Table, metadata: Mapping[bytes, bytes] | None) -> pd.DataFrame:
    """An Arrow table as a pandas frame without row labels; the metadata name the program that has written it."""
    plain = table.replace_schema_metadata(None)
    return _from_arrow(plain, factors=any(key in (metadata or {}) for key in _WRITERS_OF_FACTORS))


def _library(data: Any) -> str:
    """The library that an object is of."""
    return type(data).__module__.partition(".")[0].lstrip("_")


def _is_connection(data: Any) -> bool:
    """Whether this is a connection to DuckDB, which holds the result of its last query."""
    return _library(data) == "duckdb" and hasattr(data, "execute") and hasattr(data, "cursor")


def _from_mapping(data: Mapping[Any, Any]) -> pd.DataFrame:
    try:
        return pd.DataFrame(dict(data))
    except (TypeError, ValueError, AttributeError) as error:  # raised by pandas
        single = all(map(pd.api.types.is_scalar, data.values()))
        lists = "its values are not columns. Pass lists, also for one row: {'x': [1]}"
        reason = lists if single else reason_of(error)
        raise DesignError(f"the mapping given as data cannot be read as a table: {reason}.") from None


def _collected(lazy: nw.LazyFrame[Any], wanted: Collection[str] | None, data: Any) -> nw.DataFrame[Any]:
    """The rows of a lazy frame, computed now."""
    with computing(data):
        names = lazy.collect_schema().names()
        if wanted and set(wanted) <= set(names):
            lazy = lazy.select([name for name in names if name in set(wanted)])
    return collected(lazy, data)


def collected(lazy: nw.LazyFrame[Any], data: Any) -> nw.DataFrame[Any]:
    """The rows of a lazy frame that was made from the user's, computed now.

    Raises
    ------
    DesignError
    KeyboardInterrupt
        Soon after the user has interrupted the query.
    """
    import narwhals as nw

    with computing(data):
        native = nw.to_native(lazy)
        return _interruptible(lazy, native) if _library(native) == "duckdb" else lazy.collect()


def _interruptible(lazy: nw.LazyFrame[Any], relation: Any) -> nw.DataFrame[Any]:
    """The rows of a query of DuckDB, which does not notice itself that it is interrupted: it runs in another thread."""
    done: Future[nw.DataFrame[Any]] = Future()

    def run() -> None:
        try:
            done.set_result(lazy.collect())
        except BaseException as error:  # which the thread that waits raises again
            done.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        while not done.done():
            wait([done], timeout=PAUSE)
    except KeyboardInterrupt:
        interrupt = getattr(getattr(relation, "_con", None), "interrupt", None)
        if interrupt is not None:  # older versions have none, and their query ends by itself
            interrupt()
        raise
    return done.result()


@contextmanager
def computing(data: Any) -> Iterator[None]:
    """Context that turns whatever goes wrong in the user's own query, in any library, into an error of this package.

    Raises
    ------
    DesignError
    KeyboardInterrupt
        If the query was interrupted, for which libraries have errors of their own.
    """
    try:
        yield
    except Exception as error:
        if "interrupt" in f"{type(error).__name__} {error}".lower():
            raise KeyboardInterrupt from error
        raise DesignError(f"the {kind_of(data)} given as data cannot be computed: {reason_of(error)}.") from error


def _result_of(connection: Any) -> pa.Table:
    """The result of the last query of a connection to DuckDB."""
    fetch = getattr(connection, "to_arrow_table", None) or connection.fetch_arrow_table
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about a copy of the rows in memory
            table = fetch()
    except Exception as error:
        raise DesignError(_NO_RESULT) from error
    if table is None:
        raise DesignError(_NO_RESULT)
    return table


def _from_stream(data: Any) -> pa.Table:
    """The table of an object with Arrow's PyCapsule interface.

    Raises
    ------
    DesignError
        If it is no table.
    """
    # Single columns and arrays have this interface as well.
    single = isinstance(data, pd.Series) or _library(data) == "xarray"
    if hasattr(data, "__arrow_c_stream__") and not single:
        import pyarrow as pa

        try:
            return pa.RecordBatchReader.from_stream(data).read_all()
        except (pa.ArrowException, TypeError) as error:
            if "non-struct" not in str(error):  # those of other libraries than pandas and xarray
                raise DesignError(
                    f"the {kind_of(data)} given as data cannot be read as Arrow data: {reason_of(error)}."
                ) from error
    raise DesignError(
        "data must be a table: a pandas or polars DataFrame or LazyFrame, a pyarrow Table, an xarray Dataset, a DuckDB "
        "relation, another frame with Arrow's interface, a mapping of column names to values, or the name of a file; "
        f"got {_described(data)}"
    ) from None


def _described(data: Any) -> str:
    """The type of what is no table, and how to make one of it."""
    kind, module = kind_of(data), _library(data)
    if module == "xarray":
        return f"{kind} of {module}. Call .to_dataset(...) first."
    if isinstance(data, (list, tuple)) and data and all(isinstance(row, Mapping) for row in data):
        return f"a {kind} of rows. Call pandas.DataFrame(rows) first."
    if isinstance(data, pd.Series) or kind in ("Series", "ChunkedArray"):
        call = ".to_frame()" if kind == "Series" else "pyarrow.table({'name': ...})"
        return f"a {kind}, which is a single column. Call {call} first, or join it with others."
    if isinstance(data, np.ndarray) and data.dtype.names:
        return f"{kind} with fields. Call pandas.DataFrame(...) first."
    if isinstance(data, (np.ndarray, list, tuple)):
        return f"{kind}, which has no names of columns. Call pandas.DataFrame(..., columns=[...]) first."
    return f"{kind}."


def _from_arrow(table: pa.Table, *, factors: bool = False) -> pd.DataFrame:
    """An Arrow table as a pandas frame, with the row labels that pandas has stored in it.

    Dictionaries are text, and their order is that of first use, unless they are ordered or were written as factors:
    by pandas or R, by polars from an Enum, or wherever `factors` is true.
    """
    import narwhals as nw
    import pyarrow as pa

    refuse_same_names(table.column_names)
    metadata = table.schema.metadata or {}
    factors = factors or any(key in metadata for key in _WRITERS_OF_FACTORS)
    known = nw.from_native(table, eager_only=True)
    columns: dict[str, pd.Series[Any]] = {}
    for field in table.schema:
        enum = any(key.startswith(_POLARS_ENUM) for key in field.metadata or {})
        if pa.types.is_dictionary(field.type) and (factors or enum or field.type.ordered):
            columns[field.name] = _from_dictionary(table.column(field.name))
        else:
            columns[field.name] = _to_series(known[field.name])
    return _labelled(pd.DataFrame(columns), table.schema)


def _labelled(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """The frame with the row labels that pandas has stored: one column, or a range that may be of another length."""
    labels = index_columns(schema)
    if len(labels) == 1:
        return frame.set_index(labels[0])
    described = stored_labels(schema)
    if len(described) == 1 and isinstance(described[0], dict) and described[0].get("kind") == "range":
        ends = [end for name in ("start", "stop", "step") if isinstance(end := described[0].get(name), int)]
        numbers = range(*ends) if len(ends) == 3 and ends[2] else range(0)
        if len(numbers) == len(frame):
            return frame.set_axis(pd.RangeIndex.from_range(numbers))
    return frame.drop(columns=labels)


def _from_dictionary(column: pa.ChunkedArray) -> pd.Series[Any]:
    """A dictionary of Arrow as a categorical whose levels are in the order of the dictionary."""
    encoded = column.unify_dictionaries().combine_chunks()
    codes = encoded.indices.cast("int64").fill_null(-1).to_numpy(zero_copy_only=False)
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(encoded.dictionary.to_pylist()), ordered=True))


def _to_series(column: nw.Series[Any]) -> pd.Series[Any]:
    """The values as a pandas series, without pyarrow; whole numbers stay whole even with missing values."""
    import narwhals as nw

    if isinstance(column.dtype, nw.Enum):
        return pd.Series(pd.Categorical(column.to_list(), list(column.dtype.categories), ordered=True))
    wide = column.dtype in (nw.Int128, nw.UInt128)  # which NumPy does not have
    if column.dtype.is_numeric() and not column.dtype.is_decimal() and not wide and column.null_count() == 0:
        return pd.Series(column.to_numpy())
    if column.dtype.is_integer():
        values = column.to_list()
        if wide and any(value is not None and not -(2**63) <= value < 2**63 for value in values):
            return pd.Series(values, dtype=object)
        return pd.Series(pd.array(values, dtype="UInt64" if column.dtype == nw.UInt64 else "Int64"))
    # Categories of polars are in the order of their first use in the process; they are read as text.
    return pd.Series(column.to_list(), dtype=object)
