"""Folders to write files to, which must not hold others."""

from __future__ import annotations

from pathlib import Path

from ..errors import HierlogitError
from ..validation import path, reason_of, shortened


def new_folder(name: str, value: object, error: type[HierlogitError]) -> Path:
    """An empty folder, which is made if it does not exist.

    Raises
    ------
    HierlogitError
        If there are files in it, or it cannot be made.
    """
    place = path(name, value, error)
    try:
        place.mkdir(parents=True, exist_ok=True)
        empty = not any(place.iterdir())
    except OSError as why:
        raise error(f"{name}={shortened(value)} cannot be made: {reason_of(why)}. Name another folder.") from why
    if not empty:
        raise error(f"{name}={shortened(value)} is not empty. Name a new folder, or delete what is in this one.")
    return place
