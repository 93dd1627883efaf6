"""Vectors in compiled code: views of their entries, and the loops that everything is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from .compile import kernel
from .struct_by_address import borrowed_array

FloatArray = npt.NDArray[np.float64]


@intrinsic  # type: ignore[untyped-decorator]
def view(_typing_context: Any, values: Any, start: Any, stop: Any) -> Any:
    """``values[start:stop]`` without a check and without ownership.

    A loop over it becomes vector instructions, which one over ``values[start + i]`` does not, since that index might be
    negative and then count from the end. A slice would count one more owner, which costs more than a short loop, and
    asks whether its bounds are negative or too large, which costs more to compile than what is done with it.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        own, first, last = _converted(context, builder, signature, arguments)
        return _view(context, builder, signature, own, first, builder.sub(last, first))

    return _arranged(values, [start, stop], generate)


@intrinsic  # type: ignore[untyped-decorator]
def window(_typing_context: Any, values: Any, start: Any, count: Any) -> Any:
    """As `view`, of ``values[start : start + count]``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        own, first, length = _converted(context, builder, signature, arguments)
        return _view(context, builder, signature, own, first, length)

    return _arranged(values, [start, count], generate)


@intrinsic  # type: ignore[untyped-decorator]
def after(_typing_context: Any, values: Any, start: Any) -> Any:
    """As `view`, of ``values[start:]``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        own = make_array(signature.args[0])(context, builder, arguments[0])
        first = arguments[1]
        (length,) = cgutils.unpack_tuple(builder, own.shape)
        return _view(context, builder, signature, own, first, builder.sub(length, first))

    return _arranged(values, [start], generate)


def _arranged(values: Any, bounds: list[Any], generate: Any) -> Any:
    """What an intrinsic returns; None where it does not take such arguments."""
    flat = isinstance(values, types.Array) and values.ndim == 1 and values.layout == "C"
    if not (flat and all(isinstance(bound, types.Integer) for bound in bounds)):
        return None
    return types.Array(values.dtype, 1, "C")(values, *len(bounds) * [types.intp]), generate


def _converted(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return make_array(signature.args[0])(context, builder, arguments[0]), arguments[1], arguments[2]


def _view(context: Any, builder: Any, signature: Any, own: Any, start: Any, length: Any) -> Any:
    return borrowed_array(
        context, builder, signature.return_type, cgutils.gep_inbounds(builder, own.data, start), length
    )


@kernel
def allocate(values: FloatArray, start: int, count: int) -> tuple[FloatArray, int]:
    """``values[start : start + count]``, as `window`, and where it ends."""
    return window(values, start, count), start + count


@kernel
def fill(values: FloatArray, number: float) -> None:
    """``values[:] = number``."""
    for i in range(len(values)):
        values[i] = number


@kernel
def copy(values: FloatArray, out: FloatArray) -> None:
    """``out[:] = values``: a loop, since a slice is assigned to by a general routine that is many times slower."""
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
