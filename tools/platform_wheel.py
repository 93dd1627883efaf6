"""Make a wheel with compiled functions for this platform, from the wheel without any.

    python tools/platform_wheel.py dist/hierlogit-0.1.0-py3-none-any.whl FOLDER

The Python is that of an environment in which the given wheel is installed. The new one is for the Python, the system
and the kind of processor of the installed Numba, whose version, with that of llvmlite, the functions need. With others,
and on processors below the level of `hierlogit/numba_support/target.py`, it works as the given wheel does.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from base64 import urlsafe_b64encode
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo


def main() -> None:
    """Compile everything into an empty folder, and write the wheel."""
    given, folder = (Path(argument).absolute() for argument in sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as compiled:
        os.environ["NUMBA_CACHE_DIR"] = compiled
        name, archive = compiled_functions(Path(compiled, "archive"))
    made = folder / with_file(given, name, archive, platform_tags(), folder)
    print(f"{made}: {made.stat().st_size / 1e6:.1f} MB, and {given.stat().st_size / 1e6:.1f} MB without functions")


def compiled_functions(path: Path) -> tuple[str, bytes]:
    """Name of the archive in the wheel, and its content, which is first written to the path."""
    # After the folder of compiled functions has been set.
    import hierlogit
    from hierlogit.compile_ahead import compile_ahead
    from hierlogit.numba_support.code_files import pack_code_files
    from hierlogit.numba_support.shipped_code import ARCHIVE

    if ARCHIVE.exists():
        raise SystemExit(f"{ARCHIVE} exists: install the wheel without compiled functions.")
    found = compile_ahead()
    print(f"{found.functions} functions are compiled; left out: {', '.join(found.missing) or 'none'}.")
    pack_code_files(path)
    return ARCHIVE.relative_to(Path(hierlogit.__file__).parents[1]).as_posix(), path.read_bytes()


def with_file(given: Path, name: str, content: bytes, tags: list[tuple[str, str, str]], folder: Path) -> str:
    """Write the wheel with one more file and other tags into the folder; returns its name."""
    with ZipFile(given) as old:
        members = {one.filename: old.read(one) for one in old.infolist()}
    members[name] = content
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
