"""Files that are complete or not there: written under another name first, and sealed with a digest of their content."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import escape
from itertools import count
from pathlib import Path

from .errors import FileWarning, warn

_numbers = count(1)
#: The last line of a sealed file: what is before it has this digest.
_SEAL = re.compile(rb"\nhierlogit sha256 ([0-9a-f]{64})\n")
_SEAL_SIZE = 83
#: Bytes of the superblock with which HDF5 files begin, and bytes that are read at a time.
_HEAD_SIZE = 56
_BLOCK = 2**20


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Context with another path to write to, which takes the place of `path` once the block has ended without an error.

    The other path has the number of this process in its name, so that several processes and threads can write the same
    file. Those of processes that were killed are removed first, with a warning that names them.

    Parameters
    ----------
    path : Path
        The file; an existing one is replaced.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = Path(folder, "page.html")
    ...     with written_whole(place) as partial:
    ...         _ = partial.write_text("all of it")
    ...     [file.name for file in Path(folder).iterdir()]
    ['page.html']
    """
    _remove_leftovers(path)
    partial = path.with_name(f"{path.name}.{os.getpid()}-{next(_numbers)}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    name = re.compile(rf"{re.escape(path.name)}(\.(?P<process>\d+)-\d+)?\.partial", re.DOTALL)
    removed = []
    for other in path.parent.glob(f"{escape(path.name)}*.partial"):
        found = name.fullmatch(other.name)
        if found is None or _is_running(found["process"]):
            continue
        try:
            other.unlink()
            removed.append(str(other))
        except OSError:  # another process has removed it, or may not be disturbed
            continue
    if removed:
        warn(
            f"removed {' and '.join(sorted(removed))}, left behind when writing {path.name} was interrupted.",
            FileWarning,
        )


def _is_running(process: str | None) -> bool:
    """Whether the process with this number exists. Windows cannot be asked, but keeps open files from being removed."""
    if process is None or os.name == "nt":
        return False
    try:
        os.kill(int(process), 0)  # sends no signal
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def seal(path: Path) -> None:
    """Add a line with the digest of the content to the end of a file, which readers of netCDF skip."""
    digest = _digest(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(b"\nhierlogit sha256 %s\n" % digest.encode())


def check_seal(path: Path) -> None:
    """Check that a file in the format HDF5 has the content that was written.

    Libraries could crash on damaged content, or read other numbers. A file without a seal, as other programs write it,
    must end where its first bytes say.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it has another content, or another length.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD_SIZE)
        file.seek(max(size - _SEAL_SIZE, 0))
        found = _SEAL.fullmatch(file.read(_SEAL_SIZE))
    if found is None:
        if size != _stated_size(head):
            raise ValueError("it is cut off, or not a netCDF file")
    elif found[1].decode() != _digest(path, size - _SEAL_SIZE):
        raise ValueError("its content was changed after it had been written")


def _stated_size(head: bytes) -> int:
    """Size of a file in the format HDF5 according to its superblock; -1 if it has none (HDF5 specification, II.A)."""
    if len(head) < _HEAD_SIZE or not head.startswith(b"\x89HDF\r\n\x1a\n"):
        return -1
    at = {0: 40, 1: 44, 2: 28, 3: 28}.get(head[8], 0)
    return int.from_bytes(head[at : at + 8], "little")


def digest_of_folder(folder: Path, parts: Sequence[str]) -> str:
    """Digest of the files in some parts of a folder, which are files or folders, with their names."""
    digest = hashlib.sha256()
    for part in parts:
        place = folder / part
        files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
        for one in files:
            content = _digest(one, one.stat().st_size)
            digest.update(f"{one.relative_to(folder).as_posix()}\n{content}\n".encode())
    return digest.hexdigest()


def _digest(path: Path, size: int) -> str:
    """Digest of the first bytes of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0:
            block = file.read(min(size, _BLOCK))
            if not block:
                break
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()
