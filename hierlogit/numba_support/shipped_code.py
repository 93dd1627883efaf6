"""Machine code that comes with the package: functions compiled when a wheel was built, an archive for each level."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import llvmlite
import numba

from .target import TARGET

#: The folder of the archives, which only wheels for one platform hold.
FOLDER = Path(__file__).parent
#: An archive's list of contents: what the code was made for, and the names of the functions.
CONTENTS = "contents.json"


def archive_of(level: str) -> Path:
    """The archive for a level of processors."""
    return FOLDER / f"machine_code_{level}.zip"


def made_for(sources: str, target: Sequence[str]) -> dict[str, Any]:
    """What machine code depends on: the versions here, the target, and the digest of the source files."""
    return {
        "python": sys.implementation.cache_tag,
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "target": list(target),
        "sources": sources,
    }


def member(function: str, arguments: Iterable[Any]) -> str:
    """Name in the archive of a function with arguments of these types."""
    return hashlib.sha256(repr((function, *arguments)).encode()).hexdigest()


def pack(
    archive: Path, sources: str, functions: Iterable[tuple[str, Iterable[Any], bytes]], inside: Iterable[str] = ()
) -> None:
    """Write an archive.

    Parameters
    ----------
    archive : Path
    sources : str
        Digest of the source files.
    functions : iterable of (str, iterable of numba types, bytes)
        Name, types of the arguments, and machine code.
    inside : iterable of str
        Names of functions that are in the machine code of others.
    """
    names = set(inside)
    with ZipFile(archive, "w") as file:
        for function, arguments, code in functions:
            names.add(function)
            file.writestr(ZipInfo(member(function, arguments)), code, ZIP_DEFLATED)
        target = TARGET.target_context.codegen().magic_tuple()
        contents = {"made_for": made_for(sources, target), "functions": sorted(names)}
        file.writestr(ZipInfo(CONTENTS), json.dumps(contents))


class ShippedCode:
    """What an archive holds, if it was made for the versions and source files here, and a level of this processor.

    Parameters
    ----------
    archive : Path
    sources : str
        Digest of the source files.

    Attributes
    ----------
    functions : frozenset of str
        Names of the functions.
    """

    def __init__(self, archive: Path, sources: str) -> None:
        self.functions: frozenset[str] = frozenset()
        try:
            # In memory, because processes that are forked would share the position in an open file.
            self._file = ZipFile(BytesIO(archive.read_bytes()))
            contents = json.loads(self._file.read(CONTENTS))
            usable = TARGET.target_context.codegen().usable_targets()
            if contents["made_for"] in [made_for(sources, target) for target in usable]:
                self.functions = frozenset(contents["functions"])
        except Exception:  # there is none, or whatever damaged archives raise
            return

    def read(self, function: str, arguments: Iterable[Any]) -> bytes | None:
        """Machine code of a function with arguments of these types; None if there is none, or it is damaged."""
        if function not in self.functions:
            return None
        try:
            return self._file.read(member(function, arguments))
        except Exception:  # no such member, or whatever damaged archives raise
            return None


@cache
def shipped_code(sources: str) -> ShippedCode:
    """The package's archive for the best level of this processor for which there is one that fits."""
    for _triple, level, _features in TARGET.target_context.codegen().usable_targets():
        found = ShippedCode(archive_of(level), sources)
        if found.functions:
            break
    return found
