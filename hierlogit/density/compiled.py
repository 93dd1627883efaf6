"""How functions of this folder are compiled: once for a machine, by Numba, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

#: Floating-point liberties that let sums be reordered, so that they use vector instructions; infinities and NaN keep
#: their meaning.
LIBERTIES = {"reassoc", "nsz", "contract", "arcp"}


def kernel[F: Callable[..., Any]](function: F) -> F:
    """Compile a function of arrays and numbers; sums may be taken in any order."""
    compiled: F = njit(cache=True, error_model="numpy", fastmath=LIBERTIES)(function)
    return compiled


def exact_kernel[F: Callable[..., Any]](function: F) -> F:
    """Compile a function whose operations happen in the order they are written in."""
    # Not merely left out: a function that says nothing is compiled with the liberties of whichever calls it first.
    compiled: F = njit(cache=True, error_model="numpy", fastmath=False)(function)
    return compiled
