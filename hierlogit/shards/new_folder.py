"""Folders to write files to, which must not hold others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import HierlogitError
from ..validation import path, reason_of, shortened


@contextmanager
def new_folder(name: str, value: object, error: type[HierlogitError]) -> Iterator[Path]:
    """Context with an empty folder, which is made if it does not exist.

    A folder that was made is removed again with all that is in it if the block ends in an error, so that the same call
    can be tried once more.

    Raises
    ------
    HierlogitError
        If there are files in it, or it cannot be made.
    """
    place = path(name, value, error)
    try:
        made = [one for one in (place, *place.parents) if not one.exists()]
        place.mkdir(parents=True, exist_ok=True)
        empty = not any(place.iterdir())
    except OSError as why:
        raise error(f"{name}={shortened(value)} cannot be made: {reason_of(why)}. Name another folder.") from why
    if not empty:
        raise error(f"{name}={shortened(value)} is not empty. Name a new folder, or delete what is in this one.")
    try:
        yield place
    except BaseException:
        if made:
            shutil.rmtree(place, ignore_errors=True)
        for parent in made[1:]:
            with suppress(OSError):  # others may have put files there meanwhile
                parent.rmdir()
        raise
