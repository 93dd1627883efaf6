"""Tables in files of text, Parquet or Arrow, whose format is known by the ending of their names."""

from __future__ import annotations

import lzma
import re
import warnings
import zipfile
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..errors import DesignError
from ..validation import agree, number_of, quoted_list, reason_of, shortened

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as arrow_dataset

#: Endings of compressed text.
COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zip"})
#: Endings of text, with the character between columns.
SEPARATOR_OF = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
#: Endings of files of Parquet and Arrow, with the name that pyarrow has for the format.
ARROW_FORMATS = {".parquet": "parquet", ".feather": "ipc", ".arrow": "ipc"}
_ENDINGS = (
    "The name of a file must end in .csv or .tsv (also .gz, .bz2, .xz, .zip), .parquet, .feather or .arrow; a folder "
    "holds files of Parquet."
)
#: Endings of spreadsheets, which need a library of their own, and of files of other statistical packages.
OTHER_PROGRAMS = {
    ".xlsx": "a spreadsheet",
    ".xls": "a spreadsheet",
    ".ods": "a spreadsheet",
    ".sav": "a file of SPSS",
    ".dta": "a file of Stata",
    ".sas7bdat": "a file of SAS",
    ".rds": "a file of R",
    ".rdata": "a file of R",
}
#: Characters that often separate columns, with their names.
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def ending(path: Path) -> str:
    """The ending of a file's name by which its kind is known, in lower case and without that of a compression.

    Examples
    --------
    >>> ending(Path("survey v1.2.CSV.gz"))
    '.csv'
    """
    endings = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED]
    return endings[-1] if endings else ""


def check_file(path: Path) -> str:
    """The ending of the name of a file that holds a table.

    Raises
    ------
    DesignError
        If there is no such file, or it is of a kind that cannot be read.
    """
    kind = ending(path)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:  # such as a name that is too long, or a folder that may not be read
        raise DesignError(f"cannot open {shortened(str(path))}: {error.strerror}.") from None
    if kind not in ARROW_FORMATS and is_folder:
        if any(path.rglob("*.parquet")):
            return ".parquet"
        raise DesignError(
            f"the folder {path} holds no files whose names end in .parquet. Give a folder of such files, or the name "
            "of one file."
        )
    if kind in OTHER_PROGRAMS:
        raise DesignError(f"{path} is {OTHER_PROGRAMS[kind]}: export the table as CSV or Parquet from there.")
    if not kind and not exists:
        raise DesignError(f"there is no file or folder {shortened(str(path))}. {_ENDINGS}")
    if kind not in SEPARATOR_OF and kind not in ARROW_FORMATS:
        raise DesignError(
            f"the kind of the table {shortened(str(path))} is not known. {_ENDINGS} Read other files first, and pass "
            "the table."
        )
    if not (path.is_file() or (kind in ARROW_FORMATS and is_folder)):
        pattern = f" To read several files, give their folder, {path.parent}." if "*" in path.name else ""
        raise DesignError(f"there is no file {path}.{pattern}")
    return kind


def read_text_file(path: Path, *, sep: str | None = None, decimal: str = ".", encoding: str = "utf-8") -> pd.DataFrame:
    """The table in a text file, whose first line names the columns.

    Parameters
    ----------
    path : path
    sep : str or None
        Character between columns; by default a comma in .csv files and a tab in others.
    decimal : str
        Decimal character of numbers.
    encoding : str
        Encoding of the text, such as ``latin-1``.

    Raises
    ------
    DesignError
        If the file cannot be read, another character separates the columns (guessing could misread decimal commas), or
        the first line does not name each column once.
    """
    kind = ending(path)
    try:
        return _text_table(path, SEPARATOR_OF[kind] if sep is None else sep, decimal, encoding)
    except UnicodeDecodeError as error:
        raise DesignError(_undecodable(path, error, encoding)) from None
    except pd.errors.EmptyDataError:
        raise DesignError(f"{path} is empty: there is not even a line with the names of the columns.") from None
    except DesignError:
        raise
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise DesignError(f"cannot read {path} as {kind[1:]}: {reason_of(error)}.") from error


def read_arrow_file(path: Path, wanted: Collection[str] | None = None) -> pa.Table:
    """The table in a file of Parquet or Arrow, or in a folder of such files.

    Parameters
    ----------
    path : path
    wanted : collection of str, optional
        The columns to read; all of them if one of these does not exist.

    Raises
    ------
    DesignError
        If the file cannot be read.
    """
    stored = open_dataset(path)
    assert stored is not None
    names = stored.schema.names
    chosen = None
    if wanted and set(wanted) <= set(names):
        chosen = [name for name in names if name in {*wanted, *index_columns(stored.schema)}]
    with reading(path, stored, chosen):
        return stored.to_table(columns=chosen)


def open_dataset(path: Path) -> arrow_dataset.Dataset | None:
    """A file of Parquet or Arrow, or a folder of such files, of which nothing is read yet; None for a file of text.

    Folders may be those of values, as in ``visits/country=de/year=2024``.

    Raises
    ------
    DesignError
        If it cannot be opened.
    """
    kind = check_file(path)
    if kind not in ARROW_FORMATS:
        return None
    import pyarrow.dataset as arrow_dataset

    with reading(path):
        return arrow_dataset.dataset(path, format=ARROW_FORMATS[kind], partitioning="hive")


def column_names(dataset: arrow_dataset.Dataset, path: Path) -> list[str]:
    """Names of the columns of all files, in the order of the first one; Arrow knows only those of the first one.

    Raises
    ------
    DesignError
        If a file cannot be read.
    """
    with reading(path):
        by_file = [fragment.physical_schema.names for fragment in dataset.get_fragments()]
    first: list[str] = dataset.schema.names  # with those that the folders are named by
    return [*first, *(name for name in dict.fromkeys(chain.from_iterable(by_file)) if name not in first)]


def refuse_absent(dataset: arrow_dataset.Dataset, columns: Collection[str], path: Path) -> None:
    """Refuse a folder with a file that lacks one of these columns: Arrow would read missing values in their place.

    Raises
    ------
    DesignError
    """
    import pyarrow.dataset as arrow_dataset

    for fragment in dataset.get_fragments():
        of_folders = arrow_dataset.get_partition_keys(fragment.partition_expression)
        absent = [name for name in columns if name not in {*fragment.physical_schema.names, *of_folders}]
        if absent:
            raise DesignError(
                f"{fragment.path} lacks the {agree(absent, 'column', 'columns')} {quoted_list(absent)}, which other "
                f"files of {path} have. Write the file with all columns, or move it out of the folder."
            )


@contextmanager
def reading(
    path: Path, dataset: arrow_dataset.Dataset | None = None, columns: Sequence[str] | None = None
) -> Iterator[None]:
    """Context that turns errors of Arrow into those of this package.

    Parameters
    ----------
    path : path
    dataset : pyarrow.dataset.Dataset, optional
        What is read, if it can be a folder of several files: the file that cannot be read is looked for then.
    columns : sequence of str, optional
        The columns that are read; by default, all of them.

    Raises
    ------
    DesignError
    """
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        kind = check_file(path)[1:]
        unreadable = path if dataset is None else _first_unreadable(dataset, columns) or path
        raise DesignError(f"cannot read {unreadable} as {kind}: {reason_of(error)}.") from error


def _first_unreadable(dataset: arrow_dataset.Dataset, columns: Sequence[str] | None) -> str | None:
    """The first file of a dataset that cannot be read, which errors of Arrow do not always name."""
    import pyarrow as pa

    for fragment in dataset.get_fragments():
        try:
            for _ in fragment.to_batches(schema=dataset.schema, columns=columns):
                pass
        except (OSError, pa.ArrowException):
            return str(fragment.path)
    return None


def in_chunks(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Record batches put together to tables of so many rows or a little more."""
    import pyarrow as pa

    gathered: list[pa.RecordBatch] = []
    for batch in batches:
        gathered.append(batch)
        if sum(map(len, gathered)) >= rows:
            yield pa.Table.from_batches(gathered)
            gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered)


def stored_labels(schema: pa.Schema) -> list[Any]:
    """What pandas has stored about row labels: names of columns, or ranges; nothing if it cannot be read.

    Metadata are text that any program may have written.
    """
    try:
        described = schema.pandas_metadata
    except ValueError:  # no JSON, or no text
        return []
    labels = described.get("index_columns") if isinstance(described, dict) else None
    return labels if isinstance(labels, list) else []


def index_columns(schema: pa.Schema) -> list[str]:
    """The columns in which pandas has stored row labels."""
    return [name for name in stored_labels(schema) if isinstance(name, str) and name in schema.names]


def _undecodable(path: Path, error: UnicodeDecodeError, encoding: str) -> str:
    """Message about a byte that is not text in this encoding."""
    byte = error.object[error.start]
    begin = f"{path} is not text in {encoding}: it has the byte 0x{byte:02x}."
    if encoding.lower().replace("_", "-") not in {"utf-8", "utf8"}:
        return f"{begin} Give the encoding that it was written with."
    if error.object[:2] in {BOM_UTF16_LE, BOM_UTF16_BE}:
        return f"{begin} Its first bytes are those of UTF-16. {_reading(path, encoding='utf-16')}"
    return (
        f"{begin} Save the table as UTF-8, or give its encoding, such as latin-1 (Western European) or cp1252 "
        f"(Windows). {_reading(path, encoding='latin-1')}"
    )


def _reading(path: Path, **options: str) -> str:
    """How to read a text file with other options; ``cli/wording.py`` turns it into flags."""
    written = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f"Read it with pandas.read_csv({str(path)!r}, {written}) and pass the table."


def _text_table(path: Path, separator: str, decimal: str, encoding: str) -> pd.DataFrame:
    first = pd.read_csv(path, sep=separator, header=None, dtype=str, nrows=1, encoding=encoding).iloc[0]
    names = [name if isinstance(name, str) else f"Unnamed: {number}" for number, name in enumerate(first)]
    if len(names) == 1:
        _refuse_other_separator(names[0], path, separator, encoding)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DesignError(
            f"{path} has more than one column called {quoted_list(twice)}: rename them, or leave all but one out."
        )
    options: Any = {"sep": separator, "decimal": decimal, "encoding": encoding}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:  # fields stay under their names, also where each row ends in a separator
            table: pd.DataFrame = pd.read_csv(path, index_col=False, **options)
            return table
        except pd.errors.ParserWarning:  # a field would be lost
            named: pd.DataFrame = pd.read_csv(path, **options)
    if named.index.nlevels == 1 and named.index.is_unique:  # names of rows, as R writes them
        return named.reset_index(drop=True)
    raise DesignError(
        f"the first line of {path} names {number_of(len(names), 'column')}, but there are rows with more fields. The "
        "first line must name the columns: remove titles and comments above it, and put values that contain the "
        "separator into double quotation marks."
    )


def _refuse_other_separator(header: str, path: Path, separator: str, encoding: str) -> None:
    """Raise if a first line of one name holds another character that often separates columns."""
    for character, name in _SEPARATORS.items():
        if character != separator and character in header:
            options, also = {"sep": character}, ""
            if _has_decimal_commas(path, character, encoding):
                options, also = options | {"decimal": ","}, ", and its numbers to be written with commas"
            raise DesignError(
                f"the columns of {path} seem to be separated by {name}{also}. {_reading(path, **options)}"
            )


def _has_decimal_commas(path: Path, separator: str, encoding: str) -> bool:
    """Whether a number of the first rows is written with a comma."""
    first = pd.read_csv(path, sep=separator, dtype=str, nrows=20, encoding=encoding)
    return any(re.fullmatch(r"[+-]?\d+,\d+", str(value).strip()) for value in first.to_numpy().ravel())
