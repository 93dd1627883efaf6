"""How functions of this folder are compiled: once for a machine, by Numba, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core import event

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
