"""Functions that are translated once, and become machine code only with the functions that Python calls."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import pytest
from numba.core.codegen import JITCodeLibrary
from numba.core.environment import Environment

from hierlogit.numba_support.compile import kernel
from hierlogit.numba_support.vectors import dot

FloatArray = npt.NDArray[np.float64]


def _total(values: FloatArray, factor: float) -> float:
    total = 0.0
    for i in range(len(values)):
        total += factor * values[i]
    return total


def _both(values: FloatArray) -> Any:
    return total(values, 2.0) + total(values, 3.0)


total: Any = None


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], SimpleNamespace]:
    """The functions, declared as by a new process whose compiled functions are in the temporary folder."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))

    def declared() -> SimpleNamespace:
        called = kernel(_total)
        monkeypatch.setitem(globals(), "total", called)
        return SimpleNamespace(total=called, both=kernel(_both))

    return declared


VALUES = np.array([1.0, 2.0, 4.0])


def test_only_functions_that_python_calls_have_machine_code(declare: Callable[[], Any], tmp_path: Path) -> None:
    made = declare()
    assert made.both(VALUES) == 35.0
    assert (len(made.both.signatures), len(made.total.signatures)) == (1, 0)
    names = {path.name.split(".")[1].split("-")[0] for path in tmp_path.rglob("*.nbc") if ".callee." not in path.name}
    assert names == {"_both"}
    assert made.total(VALUES, 1.0) == 7.0
    assert len(made.total.signatures) == 1


def test_a_later_process_compiles_callers_of_what_is_on_disk(
    declare: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert declare().both(VALUES) == 35.0
    later = declare()

    def refused(*_arguments: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("numba.core.dispatcher._FunctionCompiler._compile_core", refused)
    assert later.total(VALUES, 0.1) == pytest.approx(0.7, rel=1e-15)
    assert later.both(VALUES) == 35.0


def _ones(count: int) -> FloatArray:
    return np.ones(count)


def _count(count: int) -> float:
    return float(total(count).sum())


def _twice(count: int) -> float:
    return float(2.0 * total(count).sum())


def test_a_later_process_returns_arrays_of_what_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(globals(), "total", kernel(_ones))
    assert kernel(_count)(3) == 3.0
    np.testing.assert_array_equal(kernel(_ones)(3), np.ones(3))
    # One more process compiles a caller of what is on disk, before it reads machine code that has been made from it.
    monkeypatch.setattr(Environment, "_memo", WeakValueDictionary())
    monkeypatch.setitem(globals(), "total", kernel(_ones))
    assert kernel(_twice)(3) == 6.0
    np.testing.assert_array_equal(globals()["total"](3), np.ones(3))


def _number(count: int) -> FloatArray:
    return np.full(count, 0.5)


def test_functions_of_numpy_have_no_machine_code_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    assert kernel(_ones)(1).tolist() == [1.0]  # with the functions that count references
    made: list[str] = []
    finalize = JITCodeLibrary._finalize_specific

    def counted(library: Any) -> None:
        made.append(library.name.partition("[")[0])
        finalize(library)

    monkeypatch.setattr(JITCodeLibrary, "_finalize_specific", counted)
    assert kernel(_number)(2).tolist() == [0.5, 0.5]
    assert made == ["_number"]


def test_compiled_functions_are_copied_by_name() -> None:
    assert pickle.loads(pickle.dumps(dot)) is dot
