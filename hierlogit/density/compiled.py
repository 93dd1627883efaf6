"""How functions of this folder are compiled: once for a machine, by Numba, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import carray, njit, types
from numba.core import event
from numba.extending import intrinsic

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Floating-point liberties that let sums be reordered, so that they use vector instructions; infinities and NaN keep
#: their meaning.
LIBERTIES = {"reassoc", "nsz", "contract", "arcp"}


class _Notice(event.Listener):  # type: ignore[misc]
    """Tells a person who waits, once, that the first fit on a machine compiles."""

    def __init__(self) -> None:
        self._said = False

    def on_start(self, started: Any) -> None:
        """Say it when a function of this folder is compiled and not merely read from disk."""
        dispatcher = started.data.get("dispatcher")
        module = getattr(getattr(dispatcher, "py_func", None), "__module__", None) or ""
        if self._said or not module.startswith(f"{__package__}."):
            return
        self._said = True
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
        if console.is_terminal or console.is_jupyter:
            console.print("Compiling the likelihood for this machine: about a minute, this once.", style="dim")

    def on_end(self, _ended: Any) -> None:
        """Nothing to say."""


event.register("numba:compile", _Notice())


def kernel[F: Callable[..., Any]](function: F) -> F:
    """Compile a function of arrays and numbers; sums may be taken in any order."""
    compiled: F = njit(cache=True, error_model="numpy", fastmath=LIBERTIES, no_cfunc_wrapper=True)(function)
    return compiled


def exact_kernel[F: Callable[..., Any]](function: F) -> F:
    """Compile a function whose operations happen in the order they are written in."""
    # Not merely left out: a function that says nothing is compiled with the liberties of whichever calls it first.
    compiled: F = njit(cache=True, error_model="numpy", fastmath=False, no_cfunc_wrapper=True)(function)
    return compiled


@intrinsic  # type: ignore[untyped-decorator]
def pointer(_typing_context: Any, _address: Any) -> Any:
    """An address as a pointer."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate


@exact_kernel
def part(values: FloatArray, start: int, count: int) -> FloatArray:
    """``values[start : start + count]`` without a check and without ownership.

    A loop over it becomes vector instructions, which one over ``values[start + i]`` does not, since that index might be
    negative and then count from the end; and a slice would count one more owner, which costs more than a short loop.
    """
    found: FloatArray = carray(pointer(values.ctypes.data + 8 * start), (count,), np.float64)
    return found


@exact_kernel
def whole_part(values: IntArray, start: int, count: int) -> IntArray:
    """As `part`, of whole numbers."""
    found: IntArray = carray(pointer(values.ctypes.data + 8 * start), (count,), np.int64)
    return found
