"""Machine code on disk: damaged files, full disks, folders that cannot be written, and processes that write at once."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from hierlogit.errors import EngineError, FileWarning
from hierlogit.numba_support import compile as compiled
from hierlogit.numba_support.code_files import code_files


def _one_more(x: float) -> float:
    return x + 1


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """The function, declared as by a new process whose compiled functions are in the temporary folder."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiled, "_CACHES", [])
    monkeypatch.setattr(compiled, "_SAID", Event())
    return lambda: compiled.exact_kernel(_one_more)


def hits(function: Any) -> int:
    return sum(function.stats.cache_hits.values())


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_damaged_files_are_written_anew(declared: Callable[[], Any], tmp_path: Path, kind: str) -> None:
    assert declared()(1.0) == 2.0
    for path in tmp_path.rglob(f"*.{kind}"):
        path.write_bytes(path.read_bytes()[:20])
    again = declared()
    assert again(1.0) == 2.0
    assert hits(again) == 0
    mended = declared()
    assert mended(1.0) == 2.0
    assert hits(mended) == 1


def test_a_file_of_another_signature_is_not_used(declared: Callable[[], Any], tmp_path: Path) -> None:
    # As when two processes write at the same time, and the index of one stays with the files of the other.
    first = declared()
    assert (first(1.0), first(1)) == (2.0, 2)
    files = list(tmp_path.rglob("*.nbc"))
    for other in (path for path in files if path.name.endswith(".2.nbc")):
        other.write_bytes(other.with_name(other.name.replace(".2.nbc", ".1.nbc")).read_bytes())
    assert len(files) == 4  # machine code, and the form for callers that are compiled
    again = declared()
    assert again(3) == 4
    assert isinstance(again(3), int)


def test_a_full_disk_is_a_warning_once(
    declared: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_data", full)
    function = declared()
    with pytest.warns(FileWarning, match=r"No space left on device.*Set NUMBA_CACHE_DIR") as caught:
        assert (function(1.0), function(1)) == (2.0, 2)
    assert len(caught) == 1
    assert not list(tmp_path.rglob("*.nbi"))


def test_folders_that_cannot_be_written_are_a_warning(
    declared: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_locator: Any) -> None:
        raise PermissionError

    with suppress(EngineError):  # loads all modules that no test has loaded yet
        code_files()
    monkeypatch.setattr(compiled, "_CACHES", [])
    monkeypatch.setattr("numba.core.caching._CacheLocator.ensure_cache_path", refused)
    function = declared()
    with pytest.warns(FileWarning, match=r"Neither the package's folder.*Set NUMBA_CACHE_DIR"):
        assert function(1.0) == 2.0
    assert not compiled.are_kept()
    with pytest.raises(EngineError, match="Set NUMBA_CACHE_DIR"):
        code_files()
