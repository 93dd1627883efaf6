"""Tables of rows read from files, whose format is known by the suffix of their names."""

from __future__ import annotations

import lzma
import re
import warnings
import zipfile
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, lookup
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..validation import number_of, quoted_list, reason_of, shortened
from .output import CommandError

if TYPE_CHECKING:
    import pandas as pd

#: Suffixes of compressed tables.
COMPRESSED = {".gz", ".bz2", ".xz", ".zip"}
#: Suffixes of spreadsheets, which need a library of their own, and of files of other statistical packages.
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
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def read_rows(path: Path, *, sep: str | None = None, decimal: str = ".", encoding: str = "utf-8") -> pd.DataFrame:
    """The table in a file, whose format is known by its suffix.

    Parameters
    ----------
    path : path
    sep : str or None
        Character between columns: by default a comma in .csv files and a tab in .tsv files.
    decimal : str
        Decimal character of numbers.
    encoding : str
        Encoding of the text, such as ``latin-1``.

    Raises
    ------
    CommandError
        If there is no such file, it cannot be read, or an option is not one for text files.
    """
    import pandas as pd

    if not path.is_file():
        raise CommandError(f"there is no file {path}.")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED]
    kind = suffixes[-1] if suffixes else ""
    _check_options(kind, sep, decimal, encoding)
    try:
        match kind:
            case ".csv" | ".tsv" | ".tab" | ".txt":
                chosen = _separator(sep or ("," if kind == ".csv" else "\t"))
                return _text_table(path, chosen, decimal, encoding)
            case ".parquet":
                return pd.read_parquet(path)
    except UnicodeDecodeError as error:
        raise CommandError(_undecodable(path, error, encoding)) from None
    except pd.errors.EmptyDataError:
        raise CommandError(f"{path} is empty: there is not even a line with the names of the columns.") from None
    except (OSError, EOFError, ValueError, ImportError, zlib.error, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise CommandError(f"cannot read {path} as {kind[1:]}: {reason_of(error)}.") from error
    if kind in OTHER_PROGRAMS:
        raise CommandError(f"{path} is {OTHER_PROGRAMS[kind]}: export the table as CSV from there.")
    raise CommandError(f"the kind of the table {path} is not known: its name must end in .csv, .tsv or .parquet.")


def _check_options(kind: str, sep: str | None, decimal: str, encoding: str) -> None:
    if kind == ".parquet" and (sep is not None or decimal != "." or encoding != "utf-8"):
        raise CommandError("--sep, --decimal and --encoding are for text files; a .parquet file needs none of them.")
    if sep is not None and len(_separator(sep)) != 1:
        raise CommandError(f"--sep must be one character, such as ';' or tab; got {shortened(sep)}.")
    if len(decimal) != 1:
        raise CommandError(f"--decimal must be one character, such as ','; got {shortened(decimal)}.")
    if decimal == _separator(sep or ","):
        raise CommandError(
            f"--decimal and --sep are both {shortened(decimal)}: with decimal commas, columns are usually separated by "
            "semicolons, --sep ';'."
        )
    try:
        lookup(encoding)
    except LookupError:
        raise CommandError(
            f"there is no encoding {shortened(encoding)}; common ones are utf-8, latin-1, cp1252 and utf-16."
        ) from None


def _separator(given: str) -> str:
    """The character itself: a tab is hard to type on a command line."""
    return "\t" if given in {"tab", "\\t"} else given


def _undecodable(path: Path, error: UnicodeDecodeError, encoding: str) -> str:
    """Message about a byte that is not text in this encoding."""
    byte = error.object[error.start]
    hint = "pass the encoding that it was written with"
    if encoding.lower().replace("_", "-") in {"utf-8", "utf8"}:
        hint = "save the table as UTF-8, or pass --encoding latin-1 (Western European), cp1252 (Windows) or another"
        if error.object[:2] in {BOM_UTF16_LE, BOM_UTF16_BE}:
            hint = "its first bytes are those of UTF-16: pass --encoding utf-16"
    return f"{path} is not text in {encoding}: it has the byte 0x{byte:02x}. {hint[0].upper()}{hint[1:]}."


def _text_table(path: Path, separator: str, decimal: str, encoding: str) -> pd.DataFrame:
    """The table in a text file, whose first line names the columns.

    Raises
    ------
    CommandError
        If another character separates the columns (guessing could misread decimal commas), or the first line does not
        name each column once.
    """
    import pandas as pd

    first = pd.read_csv(path, sep=separator, header=None, dtype=str, nrows=1, encoding=encoding).iloc[0]
    names = [name if isinstance(name, str) else f"Unnamed: {number}" for number, name in enumerate(first)]
    if len(names) == 1:
        _refuse_other_separator(names[0], path, separator, encoding)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CommandError(
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
    raise CommandError(
        f"the first line of {path} names {number_of(len(names), 'column')}, but there are rows with more fields. The "
        "first line must name the columns: remove titles and comments above it, and put values that contain the "
        "separator into double quotation marks."
    )


def _refuse_other_separator(header: str, path: Path, separator: str, encoding: str) -> None:
    """Raise if a first line of one name holds another character that often separates columns."""
    for character, name in SEPARATORS.items():
        if character != separator and character in header:
            passed = "tab" if character == "\t" else character
            also = ""
            if _has_decimal_commas(path, character, encoding):
                also = " and, because numbers are written with commas, --decimal ','"
            raise CommandError(f"the columns of {path} seem to be separated by {name}: pass --sep {passed!r}{also}.")


def _has_decimal_commas(path: Path, separator: str, encoding: str) -> bool:
    """Whether a number of the first rows is written with a comma."""
    import pandas as pd

    first = pd.read_csv(path, sep=separator, dtype=str, nrows=20, encoding=encoding)
    return any(re.fullmatch(r"[+-]?\d+,\d+", str(value).strip()) for value in first.to_numpy().ravel())
