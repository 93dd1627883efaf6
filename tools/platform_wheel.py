"""Make a wheel with compiled functions for this platform, from the wheel without any.

    python tools/platform_wheel.py dist/hierlogit-0.1.0-py3-none-any.whl FOLDER

The Python is that of an environment in which the given wheel is installed. The new one is for the Python, the system
and the kind of processor of the installed Numba, whose version, with that of llvmlite, the functions need. It holds
functions for each level of `hierlogit/numba_support/target.py` that this processor has. With other versions, and on
processors without these levels, it works as the given wheel does.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from base64 import urlsafe_b64encode
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

#: Compiles everything and packs it, in a process of its own, which is for one level.
PROGRAM = """
import sys
from pathlib import Path
from hierlogit.compile_ahead import compile_ahead
from hierlogit.numba_support.code_files import pack_code_files
found = compile_ahead()
print(f"{found.functions} functions are compiled; left out: {', '.join(found.missing) or 'none'}.")
pack_code_files(Path(sys.argv[1]))
"""


def main() -> None:
    """Compile everything for each level, and write the wheel."""
    given, folder = (Path(argument).absolute() for argument in sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / with_files(given, archives(), platform_tags(), folder)
    print(f"{made}: {made.stat().st_size / 1e6:.1f} MB, and {given.stat().st_size / 1e6:.1f} MB without functions")


def archives() -> dict[str, bytes]:
    """The archives in the wheel, by name: one for each level of this processor."""
    import hierlogit
    from hierlogit.numba_support.shipped_code import archive_of
    from hierlogit.numba_support.target import TARGET

    levels = TARGET.target_context.codegen().levels
    if not levels:
        raise SystemExit("This processor has none of the levels for which wheels are made.")
    found = {}
    for level in levels:
        path = archive_of(level)
        if path.exists():
            raise SystemExit(f"{path} exists: install the wheel without compiled functions.")
        print(level, flush=True)
        found[path.relative_to(Path(hierlogit.__file__).parents[1]).as_posix()] = compiled_functions(level)
    return found


def compiled_functions(level: str) -> bytes:
    """The archive for a level."""
    with TemporaryDirectory() as folder:
        archive = Path(folder, "archive")
        # An empty folder for compiled functions, and the level as Numba's name of the processor.
        own = {"NUMBA_CACHE_DIR": str(Path(folder, "compiled")), "NUMBA_CPU_NAME": level}
        subprocess.run([sys.executable, "-c", PROGRAM, str(archive)], env=os.environ | own, check=True)
        return archive.read_bytes()


def with_files(given: Path, files: dict[str, bytes], tags: list[tuple[str, str, str]], folder: Path) -> str:
    """Write the wheel with more files and other tags into the folder; returns its name."""
    with ZipFile(given) as old:
        members = {one.filename: old.read(one) for one in old.infolist()} | files
    (metadata,) = {one.partition("/")[0] for one in members if one.endswith(".dist-info/WHEEL")}
    text = members[f"{metadata}/WHEEL"].decode().replace("Root-Is-Purelib: true", "Root-Is-Purelib: false")
    lines = "".join(f"Tag: {'-'.join(tag)}\n" for tag in tags)
    members[f"{metadata}/WHEEL"] = re.sub(r"(Tag: \S+\n?)+", lines, text).encode()
    members[f"{metadata}/RECORD"] = record(members, f"{metadata}/RECORD")
    compressed = (".".join(sorted(set(parts))) for parts in zip(*tags, strict=True))
    made = f"{'-'.join([metadata.removesuffix('.dist-info'), *compressed])}.whl"
    with ZipFile(folder / made, "w") as new:
        for member, data in members.items():
            info = ZipInfo(member)
            info.external_attr = 0o100644 << 16  # a file that all can read
            new.writestr(info, data, ZIP_DEFLATED)
    return made


def platform_tags() -> list[tuple[str, str, str]]:
    """Tags of the installed Numba: Python, its binary interface, and platform."""
    lines = (distribution("numba").read_text("WHEEL") or "").splitlines()
    tags = [line.removeprefix("Tag: ").split("-") for line in lines if line.startswith("Tag: ")]
    return [(python, interface, platform) for python, interface, platform in tags]


def record(members: dict[str, bytes], own: str) -> bytes:
    """The list of all files with their digests and sizes, which is itself in the file `own`."""
    lines = []
    for name, content in members.items():
        digest = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},," if name == own else f"{name},sha256={digest},{len(content)}")
    return "".join(f"{line}\n" for line in lines).encode()


if __name__ == "__main__":
    main()
