"""Files with the machine code of the package's functions: which functions have some, where they are, and their size."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..errors import EngineError
from .compile import ELSEWHERE, NO_FOLDER, are_kept, caches, source_files


@dataclass(frozen=True)
class CodeFiles:
    """Machine code of the package on disk.

    Attributes
    ----------
    functions : int
        Functions with machine code.
    missing : tuple of str
        Functions without any, with their modules.
    size : int
        Bytes.
    folder : Path
        The folder that holds all files, perhaps in folders of its own.
    """

    functions: int
    missing: tuple[str, ...]
    size: int
    folder: Path


def code_files() -> CodeFiles:
    """Machine code of all functions that are declared to be compiled, whether this process uses them or not.

    Raises
    ------
    EngineError
        If there is no folder in which it can be kept.
    """
    package = Path(__file__).parents[1]
    for path in source_files():
        inside = path.relative_to(package).with_suffix("").parts
        import_module(".".join([package.name, *(part for part in inside if part != "__init__")]))
    if not are_kept():
        raise EngineError(f"{NO_FOLDER}. {ELSEWHERE}")
    # Programs may declare functions of their own.
    own = [cache for cache in caches() if cache.function_name.startswith(f"{package.name}.")]
    found = {cache.function_name: cache.files for cache in own}
    return CodeFiles(
        functions=sum(map(bool, found.values())),
        missing=tuple(sorted(name for name, files in found.items() if not files)),
        size=sum(one.stat().st_size for files in found.values() for one in files),
        folder=Path(os.path.commonpath({cache.cache_path for cache in caches()})),
    )
