"""Tables of rows read from files, whose format is known by the suffix of their names."""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from codecs import lookup
from pathlib import Path
from typing import TYPE_CHECKING

from ..validation import reason_of, shortened
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
                chosen = sep or ("," if kind == ".csv" else "\t")
                rows = pd.read_csv(path, sep=_separator(chosen), decimal=decimal, encoding=encoding)
                return _with_columns(rows, path, chosen, encoding)
            case ".parquet":
                return pd.read_parquet(path)
    except UnicodeDecodeError as error:
        raise CommandError(_undecodable(path, error, encoding)) from None
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
    return f"{path} is not text in {encoding}: it has the byte 0x{byte:02x}. {hint[0].upper()}{hint[1:]}."


def _with_columns(rows: pd.DataFrame, path: Path, sep: str, encoding: str) -> pd.DataFrame:
    """The rows, unless another character separates the columns; guessing could misread decimal commas."""
    header = str(rows.columns[0]) if len(rows.columns) == 1 else ""
    for character, name in SEPARATORS.items():
        if character != _separator(sep) and character in header:
            passed = "tab" if character == "\t" else character
            also = ""
            if _has_decimal_commas(path, character, encoding):
                also = " and, because numbers are written with commas, --decimal ','"
            raise CommandError(f"the columns of {path} seem to be separated by {name}: pass --sep {passed!r}{also}.")
    return rows


def _has_decimal_commas(path: Path, separator: str, encoding: str) -> bool:
    """Whether a number of the first rows is written with a comma."""
    import pandas as pd

    first = pd.read_csv(path, sep=separator, dtype=str, nrows=20, encoding=encoding)
    return any(re.fullmatch(r"[+-]?\d+,\d+", str(value).strip()) for value in first.to_numpy().ravel())
