"""Tables of rows read from files, with the options of the command line for text."""

from __future__ import annotations

from codecs import lookup
from pathlib import Path
from typing import Any

from ..validation import shortened
from .output import CommandError


def read_rows(path: Path, *, sep: str | None = None, decimal: str = ".", encoding: str = "utf-8") -> Any:
    """The table in a file, or the path of a file that needs no options.

    Parameters
    ----------
    path : path
    sep : str or None
        Character between columns: by default a comma in .csv files and a tab in .tsv files.
    decimal : str
        Decimal character of numbers.
    encoding : str
        Encoding of the text, such as ``latin-1``.

    Returns
    -------
    pandas.DataFrame or path
        A path for files of Parquet and Arrow, of which models read only the columns that they use.

    Raises
    ------
    CommandError
        If an option is not one for text files.
    DesignError
        If there is no such file, or it cannot be read.
    """
    from ..design.table_files import ARROW_FORMATS, check_file, read_text_file

    kind = check_file(path)
    if kind in ARROW_FORMATS:
        if sep is not None or decimal != "." or encoding != "utf-8":
            raise CommandError(f"--sep, --decimal and --encoding are for text files; a {kind} file needs none of them.")
        return path
    _check_options(sep, decimal, encoding)
    return read_text_file(path, sep=None if sep is None else _separator(sep), decimal=decimal, encoding=encoding)


def _check_options(sep: str | None, decimal: str, encoding: str) -> None:
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
