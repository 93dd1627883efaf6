"""Vectors in compiled code: views of some of their entries, and elementary loops over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compile import kernel
from .short_code import DATA, SHAPE, borrowed_array, field

FloatArray = npt.NDArray[np.float64]


@intrinsic  # type: ignore[untyped-decorator]
def view(_typing_context: Any, values: Any, start: Any, stop: Any) -> Any:
    """``values[start:stop]`` without a check and without ownership.

    A loop over a view becomes vector instructions. A loop over ``values[start + i]`` does not, since a negative index
    would count from the end. A slice increments a reference count, which takes longer than a short loop, and checks
    its bounds, which takes longer to compile than the loop.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, first, last = arguments
        return _view(context, builder, signature, array, first, builder.sub(last, first))

    return _typed(values, [start, stop], generate)


@intrinsic  # type: ignore[untyped-decorator]
def window(_typing_context: Any, values: Any, start: Any, count: Any) -> Any:
    """As `view`, for ``values[start : start + count]``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, first, length = arguments
        return _view(context, builder, signature, array, first, length)

    return _typed(values, [start, count], generate)


@intrinsic  # type: ignore[untyped-decorator]
def after(_typing_context: Any, values: Any, start: Any) -> Any:
    """As `view`, for ``values[start:]``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, first = arguments
        length = builder.sub(field(builder, array, SHAPE, 0), first)
        return _view(context, builder, signature, array, first, length)

    return _typed(values, [start], generate)


def _typed(values: Any, bounds: list[Any], generate: Any) -> Any:
    """What an intrinsic returns; None if it does not take arguments of these types."""
    flat = isinstance(values, types.Array) and values.ndim == 1 and values.layout == "C"
    if not (flat and all(isinstance(bound, types.Integer) for bound in bounds)):
        return None
    return types.Array(values.dtype, 1, "C")(values, *len(bounds) * [types.intp]), generate


def _view(context: Any, builder: Any, signature: Any, array: Any, start: Any, length: Any) -> Any:
    data = cgutils.gep_inbounds(builder, field(builder, array, DATA), start)
    return borrowed_array(context, builder, signature.return_type, data, length)


#: Numbers that are left free behind scratch.
_APART = 64


@kernel
def vector(count: int) -> FloatArray:
    """Scratch for a vector, which is not set.

    The memory behind it is left free. A loop over arrays that begin close to each other in memory is executed one
    number at a time, since it might read what it has just written; over others it is executed by vector instructions,
    which sum in another order. Without a distance, the last digits would depend on where memory happens to be free.
    """
    scratch: FloatArray = np.empty(count + _APART)[:count]
    return scratch


@kernel
def allocate(values: FloatArray, start: int, count: int) -> tuple[FloatArray, int]:
    """The next `count` entries of a scratch array as a `window`, and where they end."""
    return window(values, start, count), start + count


@kernel
def fill(values: FloatArray, number: float) -> None:
    """``values[:] = number``."""
    for i in range(len(values)):
        values[i] = number


@kernel
def copy(values: FloatArray, out: FloatArray) -> None:
    """``out[:] = values``, by a loop: assigning to a slice calls a general routine that is many times slower."""
    for i in range(len(values)):
        out[i] = values[i]


@kernel
def add_column(column: FloatArray, factor: float, out: FloatArray) -> None:
    """``out += factor * column``."""
    for i in range(len(column)):
        out[i] += factor * column[i]


@kernel
def dot(column: FloatArray, values: FloatArray) -> float:
    """Sum of products."""
    total = 0.0
    for i in range(len(column)):
        total += column[i] * values[i]
    return total
