"""The level of processors that functions are compiled for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit
from numba.core.codegen import JITCPUCodegen
from numba.core.registry import cpu_target

from hierlogit.numba_support import target
from hierlogit.numba_support.compile import kernel
from hierlogit.numba_support.target import X86_64

FloatArray = npt.NDArray[np.float64]


def dot(x: FloatArray) -> float:
    total = 0.0
    for one in x:
        total += one * one
    return total + x.sum()


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A computer of x86-64 whose processor has more than the level needs."""
    monkeypatch.setattr(target.platform, "system", lambda: "Linux")
    monkeypatch.setattr(target.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(JITCPUCodegen, "_get_host_cpu_name", lambda _self: "znver5")
    own = ",".join(f"+{one}" for one in sorted(X86_64.needs | {"avx512f"}))
    monkeypatch.setattr(JITCPUCodegen, "_get_host_cpu_features", lambda _self: own)
    return monkeypatch


def compiled_for() -> tuple[str, ...]:
    return target._Codegen("hierlogit.tried").magic_tuple()[1:]


def linked(library: Any) -> Iterator[Any]:
    """Libraries that are linked into one, at any depth."""
    for one in library._linking_libraries:
        yield one
        yield from linked(one)


@pytest.mark.skipif(target.platform.machine() not in ("x86_64", "AMD64"), reason="makes code for x86-64")
class TestX86:
    @pytest.mark.usefixtures("at_hand")
    def test_a_processor_with_more_gets_code_of_the_level(self) -> None:
        assert compiled_for() == ("x86-64-v3", "")

    @pytest.mark.parametrize("lacking", sorted(X86_64.needs))
    def test_a_processor_with_less_gets_code_of_its_own(self, lacking: str, at_hand: pytest.MonkeyPatch) -> None:
        own = ",".join(f"{'-' if one == lacking else '+'}{one}" for one in sorted(X86_64.needs))
        at_hand.setattr(JITCPUCodegen, "_get_host_cpu_features", lambda _self: own)
        assert compiled_for() == ("znver5", own)

    def test_a_kind_of_processor_without_a_level_gets_code_of_its_own(self, at_hand: pytest.MonkeyPatch) -> None:
        at_hand.setattr(target.platform, "machine", lambda: "riscv64")
        assert compiled_for()[0] == "znver5"


def test_the_version_of_macos_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JITCPUCodegen, "magic_tuple", lambda _self: ("arm64-apple-darwin24.1.0", "apple-m1", ""))
    assert target._Codegen("hierlogit.tried").magic_tuple() == ("arm64-apple-darwin", "apple-m1", "")


def test_functions_and_what_they_call_are_of_this_target_and_those_of_programs_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    own, of_program = kernel(dot), njit(fastmath=True)(dot)
    x = np.arange(100.0)
    assert own(x) == of_program(x) == dot(x)
    for function, context in ((own, target.TARGET.target_context), (of_program, cpu_target.target_context)):
        (compiled,) = function.overloads.values()
        assert compiled.library.codegen is context.codegen()
        sums = [one for one in linked(compiled.library) if "array_sum" in one.name]
        assert {one.codegen for one in sums} == {context.codegen()}


def larger(first: int, second: int) -> int:
    return max(first, second)


def sum_of_larger(first: int, second: int, third: int) -> int:
    return max(first, second) + max(second, third)


def test_programs_may_use_the_same_functions_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    assert kernel(larger)(2, 3) == 3
    assert njit(larger)(2, 3) == 3
    assert kernel(sum_of_larger)(2, 4, 3) == 8
    assert njit(sum_of_larger)(2, 4, 3) == 8
