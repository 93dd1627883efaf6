"""A folder of shards: its manifest, and the rows of one of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from ..design.table import with_columns
from ..design.table_sources import read_table
from ..display import ShownAsCall
from ..errors import DesignError
from ..stored_record import digest_of
from ..validation import reason_of
from ..whole_files import written_whole

MANIFEST = "shards.json"
#: What the manifest names its folder, and the number of the present form.
FORMAT, VERSION = "hierlogit shards", 1
#: Bytes at the end of a file that are compared.
_END = 2**16


@dataclass(frozen=True, repr=False)
class Shard(ShownAsCall):
    """One file of a folder of shards.

    Attributes
    ----------
    file : str
    rows : int
    clusters : int
    mark : str
        Of the content, as by `mark_of`.
    """

    file: str
    rows: int
    clusters: int
    mark: str


@dataclass(frozen=True, repr=False)
class Manifest(ShownAsCall):
    """What a folder of shards holds.

    Attributes
    ----------
    group : str
        The column with the clusters, each of which lies in one file.
    schema : mapping of str to str
        Names of the columns and their Arrow types.
    levels : mapping of str to list
        Levels of the categorical columns, in their order; files hold the values.
    shards : tuple of Shard
    """

    group: str
    schema: Mapping[str, str]
    levels: Mapping[str, Sequence[Any]]
    shards: tuple[Shard, ...]

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(shard.rows for shard in self.shards)

    @property
    def clusters(self) -> int:
        """Clusters in all files."""
        return sum(shard.clusters for shard in self.shards)

    def write(self, folder: Path) -> None:
        """Write the manifest, after the files, so that a folder with one is complete.

        Parameters
        ----------
        folder : Path
        """
        record = {"format": FORMAT, "version": VERSION, "rows": self.rows, "clusters": self.clusters, **asdict(self)}
        with written_whole(folder / MANIFEST) as partial:
            partial.write_text(json.dumps({**record, "digest": digest_of(record)}, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest of a folder.

        Parameters
        ----------
        folder : Path

        Raises
        ------
        DesignError
            If the folder does not hold shards, they were written by a later version, or the manifest was altered.
        """
        write = "Write shards of a table first: hl.Shards.write(table, folder, group='school')."
        if not (folder / MANIFEST).is_file():
            missing = "there is no such folder" if not folder.is_dir() else f"it has no file {MANIFEST}"
            raise DesignError(f"{folder} is not a folder of shards: {missing}. {write}")
        try:
            record = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if record["format"] != FORMAT or record["version"] != VERSION:
                raise DesignError(
                    f"{folder / MANIFEST} is of another format or a later version of hierlogit: "
                    f"{record['format']}, version {record['version']}. Install that version, or write the shards again."
                )
            if record.pop("digest") != digest_of(record):
                raise DesignError(
                    f"{folder / MANIFEST} is damaged or was edited: its content is not what was written. Restore it "
                    "from a copy, or write the shards again."
                )
            shards = tuple(Shard(**shard) for shard in record["shards"])
            return cls(record["group"], record["schema"], record["levels"], shards)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, DesignError):
                raise
            raise DesignError(f"cannot read {folder / MANIFEST}: {reason_of(error)}. {write}") from error


def mark_of(file: Path) -> str:
    """By what a file of Parquet that was exchanged or written anew is noticed, without reading all of it.

    This is a digest of its size and of its end, which has the places, numbers and extremes of the values.

    Raises
    ------
    DesignError
        If the file cannot be read.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as content:
            content.seek(max(size - _END, 0))
            end = content.read()
    except OSError as error:
        raise DesignError(
            f"cannot read {file}: {reason_of(error)}. Restore it from a copy, or write the shards again."
        ) from error
    return hashlib.sha256(f"{size} ".encode() + end).hexdigest()


def read_shard(folder: Path, manifest: Manifest, number: int, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of the rows of one shard, numbered from 0.

    Parameters
    ----------
    folder : Path
    manifest : Manifest
    number : int
        Of the shard, from 0.
    columns : sequence of str
        Names that a formula uses: those that are not columns are of functions and codings, as in ``C(ward, Diff)``.

    Raises
    ------
    DesignError
        If the file cannot be read, or is not the one that was written.
    """
    shard = manifest.shards[number]
    file = folder / shard.file
    if mark_of(file) != shard.mark:
        raise DesignError(
            f"{file} was altered after the shards were written. Restore it from a copy, or write the shards again."
        )
    present = [name for name in columns if name in manifest.schema]
    frame = read_table(file, present)[present]
    categorical = {
        name: pd.Categorical(frame[name], categories=manifest.levels[name], ordered=True)
        for name in present
        if name in manifest.levels
    }
    return with_columns(frame, categorical)
