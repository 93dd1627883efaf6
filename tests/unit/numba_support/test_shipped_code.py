"""Machine code that comes with the package: used where it fits, and replaced by compilation where it does not."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from numba import types

from hierlogit.errors import EngineError
from hierlogit.numba_support import compile as compiled
from hierlogit.numba_support import shipped_code as shipped
from hierlogit.numba_support.code_files import code_files, pack_code_files
from hierlogit.numba_support.shipped_code import ShippedCode, made_for, member, pack
from hierlogit.numba_support.target import TARGET


def _one_more(x: float) -> float:
    return x + 1


def _two_more(x: float) -> float:
    return x + 2


NAME = f"{__name__}._one_more"
SIGNATURE = types.double(types.double)


def hits(function: Any) -> int:
    return sum(function.stats.cache_hits.values())


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of compiled functions, as in a new process that has compiled none."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.setattr(compiled, "_CACHES", [])
    monkeypatch.setattr(compiled, "_SAID", Event())
    return tmp_path / "kept"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive with the function for floats, which comes with the package."""
    with monkeypatch.context() as patch:
        patch.setattr("numba.config.CACHE_DIR", str(tmp_path / "built"))
        patch.setattr(compiled, "_CACHES", [])
        function: Any = compiled.exact_kernel(_one_more)
        assert function(1.0) == 2.0
        path = tmp_path / "machine_code.zip"
        pack(path, compiled.sources(), ((NAME, *kept) for kept in function._cache.kept()))
    use(path, monkeypatch)
    return path


def use(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ShippedCode(archive, compiled.sources())
    monkeypatch.setattr(compiled, "shipped_code", lambda _sources: found)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("archive")
class TestUse:
    def test_functions_are_not_compiled(self, empty: Path) -> None:
        function: Any = compiled.exact_kernel(_one_more)
        assert (function(1.0), hits(function)) == (2.0, 1)
        assert not files(empty)

    def test_for_other_arguments_they_are_compiled(self, empty: Path) -> None:
        function: Any = compiled.exact_kernel(_one_more)
        assert (function(1), hits(function)) == (2, 0)
        assert isinstance(function(1), int)
        assert files(empty)

    def test_others_are_compiled(self) -> None:
        function: Any = compiled.exact_kernel(_two_more)
        assert (function(1.0), hits(function)) == (3.0, 0)

    def test_no_folder_is_needed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(_locator: Any) -> None:
            raise PermissionError

        monkeypatch.setattr("numba.core.caching._CacheLocator.ensure_cache_path", refused)
        assert compiled.exact_kernel(_one_more)(1.0) == 2.0
        assert not compiled.are_kept()


def test_c_functions_are_not_compiled(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("numba.config.CACHE_DIR", str(tmp_path / "built"))
        built = compiled.CFunction(_one_more, SIGNATURE)
        built.compile_ahead()
        pack(tmp_path / "code.zip", compiled.sources(), ((NAME, *kept) for kept in built._caches.machine_code.kept()))
    use(tmp_path / "code.zip", monkeypatch)
    function = compiled.CFunction(_one_more, SIGNATURE)
    assert not function.is_left()
    assert function.ctypes(1.0) == 2.0
    assert not files(empty)


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9])
def test_a_damaged_archive_is_as_none(place: float, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(archive.read_bytes())
    first = int(place * len(content))
    content[first : first + 40] = bytes(40)
    archive.write_bytes(content)
    use(archive, monkeypatch)
    function: Any = compiled.exact_kernel(_one_more)
    assert (function(1.0), hits(function)) == (2.0, 0)


@pytest.mark.parametrize("end", [0, 10, 1000])
def test_an_incomplete_archive_is_as_none(end: int, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.write_bytes(archive.read_bytes()[:end])
    use(archive, monkeypatch)
    function: Any = compiled.exact_kernel(_one_more)
    assert (function(1.0), hits(function)) == (2.0, 0)


@pytest.mark.parametrize("what", list(made_for("", [])))
def test_an_archive_that_was_made_for_something_else_is_not_used(
    what: str, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ShippedCode(archive, compiled.sources()).functions == {NAME}
    monkeypatch.setattr(shipped, "made_for", lambda *given: made_for(*given) | {what: "other"})
    found = ShippedCode(archive, compiled.sources())
    assert not found.functions
    assert found.read(NAME, (types.double,)) is None


def test_every_function_has_a_member_for_each_list_of_types() -> None:
    names = [member(name, kinds) for name in "ab" for kinds in ([types.double], [types.int64], [types.double] * 2)]
    assert len(set(names)) == 6


def test_the_code_is_made_for_the_target_and_for_what_the_files_hold() -> None:
    assert made_for("1", ["a"]) != made_for("2", ["a"])
    assert made_for("1", ["a"]) != made_for("1", ["b"])


@pytest.fixture
def levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an archive with a function named for a level of processors; this one has two levels, high and low."""
    codegen = TARGET.target_context.codegen()
    triple = codegen.magic_tuple()[0]

    def make(level: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(type(codegen), "magic_tuple", lambda _self: (triple, level, ""))
            pack(shipped.archive_of(level), "sources", [(level, (types.double,), b"code")])

    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    monkeypatch.setattr(shipped, "shipped_code", shipped.shipped_code.__wrapped__)
    monkeypatch.setitem(codegen.__dict__, "levels", ("high", "low"))
    return make


def test_code_for_the_best_level_is_used(levels: Any) -> None:
    levels("low")
    levels("high")
    assert shipped.shipped_code("sources").functions == {"high"}


def test_code_for_a_lower_level_is_used_where_there_is_none_for_the_best(levels: Any) -> None:
    assert shipped.shipped_code("sources").functions == set()
    levels("higher still")
    assert shipped.shipped_code("sources").functions == set()
    levels("low")
    assert shipped.shipped_code("sources").functions == {"low"}
    shipped.archive_of("low").rename(shipped.archive_of("high"))
    assert shipped.shipped_code("sources").functions == {"low"}


def test_code_for_a_level_that_the_processor_lacks_is_not_used(levels: Any) -> None:
    levels("higher still")
    shipped.archive_of("higher still").rename(shipped.archive_of("high"))
    assert shipped.shipped_code("sources").functions == set()


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function as one of the package, which has no others."""
    with suppress(EngineError):
        code_files()  # loads all modules, whose functions are left out
    monkeypatch.setattr(compiled, "_CACHES", [])

    def function(x: float) -> float:
        return x + 1.0

    function.__module__ = "hierlogit.made_up"
    return function


def test_functions_on_disk_are_packed(function: Any, tmp_path: Path) -> None:
    compiled.CFunction(function, SIGNATURE).compile_ahead()
    pack_code_files(tmp_path / "code.zip")
    name = f"hierlogit.made_up.{function.__qualname__}"
    found = ShippedCode(tmp_path / "code.zip", compiled.sources())
    assert found.functions == {name}
    assert found.read(name, (types.double,))


def test_functions_that_came_with_the_package_are_not_missing(
    function: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = f"hierlogit.made_up.{function.__qualname__}"
    compiled.exact_kernel(function)
    pack(tmp_path / "code.zip", compiled.sources(), [(name, (types.double,), b"")])
    found = ShippedCode(tmp_path / "code.zip", compiled.sources())
    assert code_files().missing == (name,)
    monkeypatch.setattr("hierlogit.numba_support.code_files.shipped_code", lambda _sources: found)
    assert (code_files().missing, code_files().functions, code_files().shipped) == ((), 0, 1)


def test_functions_inside_the_machine_code_of_others_are_not_missing(tmp_path: Path) -> None:
    path = tmp_path / "code.zip"
    pack(path, compiled.sources(), [], ["hierlogit.made_up.inner"])
    found = ShippedCode(path, compiled.sources())
    assert found.functions == {"hierlogit.made_up.inner"}
    assert found.read("hierlogit.made_up.inner", ()) is None
