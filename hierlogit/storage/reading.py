"""The error of files that are damaged or come from another program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import FitError, HierlogitError
from ..validation import reason_of


@contextmanager
def reading(source: Path, what: str) -> Iterator[None]:
    """Context in which every error of another library becomes a `FitError` that names the file.

    Libraries raise errors of many kinds on damaged files.

    Parameters
    ----------
    source : Path
        The file or folder that is read.
    what : str
        What it should be, such as ``"a fit saved by hierlogit"``.
    """
    try:
        yield
    except (HierlogitError, Warning):  # warnings that the user has turned into errors are about the fit
        raise
    except Exception as error:
        raise FitError(f"{source} is not {what}, or it is damaged: {reason_of(error)}.") from error
