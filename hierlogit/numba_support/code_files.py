"""Files with the machine code of the package's functions: which functions have some, where they are, and their size."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..errors import EngineError
from .compile import ELSEWHERE, NO_FOLDER, FileCache, are_kept, caches, source_files, sources
from .shipped_code import FOLDER, pack, shipped_code

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class CodeFiles:
    """Machine code of the package on disk.

    Attributes
    ----------
    functions : int
        Functions that were compiled here.
    missing : tuple of str
        Functions without machine code, with their modules.
    size : int
        Bytes of those compiled here.
    folder : Path
        The folder that holds all their files, perhaps in folders of its own.
    shipped : int
        Functions whose machine code came with the package.
    """

    functions: int
    missing: tuple[str, ...]
    size: int
    folder: Path
    shipped: int = 0


def code_files() -> CodeFiles:
    """Machine code of all functions that are declared to be compiled, whether this process uses them or not.

    Raises
    ------
    EngineError
        If there is no folder in which it can be kept, and none came with the package.
    """
    _declare_all()
    shipped = shipped_code(sources()).functions
    if not are_kept() and not shipped:
        raise EngineError(f"{NO_FOLDER}. {ELSEWHERE}")
    found = {name: cache.files for name, cache in _own_caches().items()}
    return CodeFiles(
        functions=sum(map(bool, found.values())),
        missing=tuple(sorted(name for name, files in found.items() if not files and name not in shipped)),
        size=sum(one.stat().st_size for files in found.values() for one in files),
        folder=Path(os.path.commonpath({cache.cache_path for cache in caches()} or {FOLDER})),
        shipped=len(shipped),
    )


def pack_code_files(archive: Path) -> None:
    """Write all machine code that is on disk into an archive that can come with the package."""
    _declare_all()
    own = _own_caches()
    functions = ((name, *kept) for name, cache in own.items() for kept in cache.kept())
    pack(archive, sources(), functions, [name for name, cache in own.items() if cache.files])


def _declare_all() -> None:
    """Import the modules with compiled functions."""
    for path in source_files():
        inside = path.relative_to(PACKAGE).with_suffix("").parts
        import_module(".".join([PACKAGE.name, *(part for part in inside if part != "__init__")]))


def _own_caches() -> dict[str, FileCache]:
    """Caches of the package's functions, by their names; programs may declare functions of their own."""
    return {cache.function_name: cache for cache in caches() if cache.function_name.startswith(f"{PACKAGE.name}.")}
