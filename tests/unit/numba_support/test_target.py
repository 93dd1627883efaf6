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
from hierlogit.numba_support.target import X86_64_V3, X86_64_V4, Level

FloatArray = npt.NDArray[np.float64]


def dot(x: FloatArray) -> float:
    total = 0.0
    for one in x:
        total += one * one
    return total + x.sum()


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A computer of x86-64."""
    monkeypatch.setattr(target.platform, "system", lambda: "Linux")
    monkeypatch.setattr(target.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr("numba.config.CPU_FEATURES", None)
    monkeypatch.setattr("numba.config.CPU_NAME", None)
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "znver5")
    return monkeypatch


def with_instructions(at_hand: pytest.MonkeyPatch, *instructions: str, without: str = "") -> str:
    """Let the computer's processor have these instructions; returns LLVM's list of them."""
    own = ",".join(f"{'-' if one == without else '+'}{one}" for one in sorted(instructions))
    at_hand.setattr("numba.core.codegen.get_host_cpu_features", lambda: own)
    return own


def compiled_for() -> tuple[str, ...]:
    return codegen().magic_tuple()[1:]


def codegen() -> Any:
    return target._Codegen("hierlogit.tried")


def linked(library: Any) -> Iterator[Any]:
    """Libraries that are linked into one, at any depth."""
    for one in library._linking_libraries:
        yield one
        yield from linked(one)


@pytest.mark.skipif(target.platform.machine() not in ("x86_64", "AMD64"), reason="makes code for x86-64")
class TestX86:
    @pytest.mark.parametrize("level", [X86_64_V3, X86_64_V4], ids=lambda level: level.name)
    def test_a_processor_with_more_gets_code_of_the_level(self, level: Level, at_hand: pytest.MonkeyPatch) -> None:
        with_instructions(at_hand, *level.needs, "avx512f", "vaes")
        assert compiled_for() == (level.name, "")

    @pytest.mark.parametrize("lacking", sorted(X86_64_V4.needs - X86_64_V3.needs))
    def test_a_processor_with_less_gets_code_of_the_lower_level(
        self, lacking: str, at_hand: pytest.MonkeyPatch
    ) -> None:
        with_instructions(at_hand, *X86_64_V4.needs, without=lacking)
        assert compiled_for() == ("x86-64-v3", "")

    @pytest.mark.parametrize("lacking", sorted(X86_64_V3.needs))
    def test_a_processor_without_a_level_gets_code_of_its_own(self, lacking: str, at_hand: pytest.MonkeyPatch) -> None:
        own = with_instructions(at_hand, *X86_64_V4.needs, without=lacking)
        assert compiled_for() == ("znver5", own)
        assert codegen().usable_targets() == [codegen().magic_tuple()]

    def test_a_kind_of_processor_without_levels_gets_code_of_its_own(self, at_hand: pytest.MonkeyPatch) -> None:
        with_instructions(at_hand, *X86_64_V4.needs)
        at_hand.setattr(target.platform, "machine", lambda: "riscv64")
        assert compiled_for()[0] == "znver5"

    def test_code_of_lower_levels_is_usable(self, at_hand: pytest.MonkeyPatch) -> None:
        with_instructions(at_hand, *X86_64_V4.needs)
        assert [one[1:] for one in codegen().usable_targets()] == [("x86-64-v4", ""), ("x86-64-v3", "")]
        assert codegen().usable_targets()[0] == codegen().magic_tuple()

    @pytest.mark.parametrize(
        ("asked", "given"), [("x86-64-v4", "x86-64-v4"), ("x86-64-v3", "x86-64-v3"), ("znver2", "x86-64-v4")]
    )
    def test_a_lower_level_can_be_asked_for(self, asked: str, given: str, at_hand: pytest.MonkeyPatch) -> None:
        with_instructions(at_hand, *X86_64_V4.needs)
        at_hand.setattr("numba.config.CPU_NAME", asked)
        assert compiled_for() == (given, "")

    def test_a_higher_level_than_that_of_the_processor_is_not_given(self, at_hand: pytest.MonkeyPatch) -> None:
        with_instructions(at_hand, *X86_64_V3.needs)
        at_hand.setattr("numba.config.CPU_NAME", "x86-64-v4")
        assert compiled_for() == ("x86-64-v3", "")


def test_the_version_of_macos_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JITCPUCodegen, "magic_tuple", lambda _self: ("arm64-apple-darwin24.1.0", "apple-m1", ""))
    assert codegen().magic_tuple() == ("arm64-apple-darwin", "apple-m1", "")


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
