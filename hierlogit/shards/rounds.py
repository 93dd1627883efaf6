"""Rounds of a search over shards: kept in a file, so that an interrupted search goes on, and shown while it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import StudyError
from ..stored_record import read_record, write_record
from ..validation import file_path

FloatArray = npt.NDArray[np.float64]

#: Format of a file, stored in it.
FORMAT = "hierlogit rounds 1"


class Rounds:
    """Sums over all shards, in the order in which a search asked for them.

    A search is deterministic: a repeated one asks for the same sums, which come from the file as far as it has them.
    After a change of the package it may ask for others. Those in the file are then left out from there on.

    Parameters
    ----------
    path : Path or None
        The file to which each sum is written.
    study : mapping
        What the sums belong to, for JSON; a file with another study is refused.

    Raises
    ------
    StudyError
        If the file belongs to another study, is damaged, or was not written by hierlogit.
    """

    def __init__(self, path: Path | None, study: Mapping[str, Any]) -> None:
        self._path, self._study = path, study
        record = None if path is None else read_record(path, FORMAT, study)
        self._kept: list[dict[str, Any]] = [] if record is None else record["rounds"]
        self._next = 0

    @classmethod
    def of(cls, store: str | PathLike[str] | None, study: Mapping[str, Any]) -> Rounds:
        """The rounds of a search with the option `store`."""
        return cls(None if store is None else file_path("store", store, StudyError), study)

    @property
    def stored(self) -> str:
        """Where the rounds are kept, and how to go on: the end of a message."""
        if self._path is None:
            return "nothing of it is kept: store='fit.json' keeps the rounds in a file"
        if not self._kept:
            return f"nothing of it is in {self._path} yet"
        return f"{self._path} has its rounds: repeat the call with it"

    def result(
        self, what: str, nodes: int, at: FloatArray, compute: Callable[[], tuple[FloatArray, ...]]
    ) -> tuple[FloatArray, ...]:
        """Sums over the shards, from the file or computed now.

        Parameters
        ----------
        what : str
            Names the sums.
        nodes : int
            Quadrature nodes.
        at : ndarray
            Where the shards are evaluated.
        compute : callable
        """
        if self._path is None:
            return compute()
        asked = hashlib.sha256(f"{what} {nodes} ".encode() + at.tobytes()).hexdigest()
        place, self._next = self._next, self._next + 1
        if place < len(self._kept) and self._kept[place]["asked"] == asked:
            return tuple(np.array(values, dtype=np.float64) for values in self._kept[place]["sums"])
        sums = compute()
        self._kept[place:] = [{"asked": asked, "sums": [values.tolist() for values in sums]}]
        write_record(self._path, FORMAT, self._study, {"rounds": self._kept})
        return sums
