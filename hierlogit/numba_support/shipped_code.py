"""Machine code that comes with the package: functions compiled when a wheel was built, in one archive."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import llvmlite
import numba

from .target import TARGET

#: The archive, which only wheels for one platform hold.
ARCHIVE = Path(__file__).with_name("machine_code.zip")
#: Its list of contents: what the code was made for, and the names of the functions.
CONTENTS = "contents.json"


def made_for(sources: str) -> dict[str, Any]:
    """What machine code depends on: the versions here, the target, and the digest of the source files."""
    return {
        "python": sys.implementation.cache_tag,
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "target": list(TARGET.target_context.codegen().magic_tuple()),
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
        contents = {"made_for": made_for(sources), "functions": sorted(names)}
        file.writestr(ZipInfo(CONTENTS), json.dumps(contents))


class ShippedCode:
    """What an archive holds, if it was made for the versions, the processor and the source files here.

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
            if contents["made_for"] == made_for(sources):
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
    """The archive of this package."""
    return ShippedCode(ARCHIVE, sources)
