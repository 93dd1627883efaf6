"""Named tuples of arrays that compiled functions take as one address.

Numba unpacks a tuple of arrays at every call, into seven numbers for each array: with fifty arrays, the calls take
longer to compile than the functions that they call, and longer to run than the work on a small cluster. Here a compiled
function gets the address of a table with the address and the length of each array, and reads the entries that it uses.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    models,
    register_model,
    typeof_impl,
    unbox,
)

from .short_code import borrowed_array

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

IntArray = npt.NDArray[np.int64]

#: How many numbers a table holds for each array: its address and its length.
ENTRY = 2


class Addressed(types.Type):  # type: ignore[misc]
    """The type of a named tuple of arrays in compiled code.

    Parameters
    ----------
    name : str
    fields : tuple of (str, str)
        Name and dtype of each array.
    constants : mapping of str to bool
        What holds for all values of the type.
    """

    def __init__(self, name: str, fields: tuple[tuple[str, str], ...], constants: Mapping[str, bool]) -> None:
        self.constants = constants
        self.fields = {field: (k, from_dtype(np.dtype(dtype))) for k, (field, dtype) in enumerate(fields)}
        # Types are equal if their names are equal, also those of functions read from disk.
        super().__init__(f"{name}({', '.join(f'{field}: {dtype}' for field, dtype in fields)})")


register_model(Addressed)(models.OpaqueModel)


class _Table:
    """A named tuple of arrays, with its table."""

    #: Name and dtype of each array.
    dtypes: ClassVar[tuple[tuple[str, str], ...]]

    @cached_property
    def table(self) -> IntArray:
        """Address and length of each array, one after the other.

        Raises
        ------
        TypeError
            If an array is not contiguous or does not have its field's dtype: compiled code would misread it.
        """
        for (name, dtype), array in zip(self.dtypes, self, strict=True):  # type: ignore[call-overload]
            if array.dtype != dtype or not array.flags.forc:
                raise TypeError(f"{type(self).__name__}.{name} must be a contiguous array of {dtype}.")
        return np.array([[one.ctypes.data, one.size] for one in self], dtype=np.int64).ravel()  # type: ignore[attr-defined]

    @cached_property
    def address(self) -> int:
        """Address of the table."""
        return int(self.table.ctypes.data)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the table, since the arrays of a copy have other addresses.
        return type(self), tuple(self)  # type: ignore[arg-type]


def by_address[T](arrays: type[T]) -> type[T]:
    """A named tuple, whose fields are annotated as arrays, for compiled functions.

    In compiled code each array is one-dimensional, with its entries in the order of memory. It is not owned: the caller
    keeps the named tuple alive. A class that inherits the fields of another one is another type in compiled code.
    Properties are constants of the class there, True or False: a branch that they rule out is not compiled.
    """
    names = {"__module__": arrays.__module__, "__qualname__": arrays.__qualname__, "__doc__": arrays.__doc__}
    bases = (arrays,) if issubclass(arrays, _Table) else (_Table, arrays)
    addressed: type[T] = type(arrays.__name__, bases, names)
    addressed.dtypes = _dtypes(addressed)  # type: ignore[attr-defined]
    kind = Addressed(addressed.__name__, addressed.dtypes, _constants(addressed))  # type: ignore[attr-defined]
    typeof_impl.register(addressed)(lambda _value, _context: kind)
    addressed.compiled_type = kind  # type: ignore[attr-defined]
    return addressed


def _constants(arrays: type) -> dict[str, bool]:
    """Properties of a class, which are the same for all its values."""
    found = {name: value for one in reversed(arrays.__mro__) for name, value in vars(one).items()}
    return {name: one.fget(arrays) for name, one in found.items() if isinstance(one, property) and one.fget is not None}


def _dtypes(arrays: type) -> tuple[tuple[str, str], ...]:
    """Name of each field with the name of the dtype in its annotation."""
    hints = get_type_hints(arrays)
    return tuple((name, _dtype(hints[name])) for name in arrays._fields)  # type: ignore[attr-defined]


def _dtype(hint: Any) -> str:
    """Name of the dtype in an annotation, which NumPy nests several levels deep."""
    while get_args(hint):
        hint = get_args(hint)[-1]
    return str(np.dtype(hint).name)


@unbox(Addressed)  # type: ignore[untyped-decorator]
def _take_address(_kind: Any, value: Any, context: Any) -> Any:
    api, builder = context.pyapi, context.builder
    number = api.object_getattr_string(value, "address")
    pointer = cgutils.alloca_once_value(builder, ir.Constant(api.voidptr, None))
    with builder.if_then(cgutils.is_not_null(builder, number)):
        builder.store(api.long_as_voidptr(number), pointer)
        api.decref(number)
    return NativeValue(builder.load(pointer), is_error=api.c_api_error())


@infer_getattr
class _Fields(AttributeTemplate):  # type: ignore[misc]
    key = Addressed

    def generic_resolve(self, kind: Addressed, name: str) -> Any:
        """Type of a field."""
        return types.Array(kind.fields[name][1], 1, "C") if name in kind.fields else None


@lower_getattr_generic(Addressed)  # type: ignore[untyped-decorator]
def _read_field(context: Any, builder: Any, kind: Addressed, value: Any, name: str) -> Any:
    k, dtype = kind.fields[name]
    table = builder.bitcast(value, ir.IntType(64).as_pointer())
    address, length = (_read_constant(builder, table, ENTRY * k + i) for i in range(ENTRY))
    return borrowed_array(context, builder, types.Array(dtype, 1, "C"), address, length)


def _read_constant(builder: Any, table: Any, k: int) -> Any:
    number = builder.load(cgutils.gep_inbounds(builder, table, k))
    # No function writes to a table, so that loops need not read it again.
    number.set_metadata("invariant.load", builder.module.add_metadata([]))
    return number


def at_address[T](arrays: type[T]) -> Callable[[Any, int], T]:
    """A function for compiled code that returns the named tuple in a table, after a number of other arrays."""
    kind = arrays.compiled_type  # type: ignore[attr-defined]

    @intrinsic  # type: ignore[untyped-decorator]
    def read(_typing_context: Any, _table: Any, _before: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            table, before = arguments
            place = builder.mul(before, ir.Constant(before.type, ENTRY * 8))
            return builder.gep(table, [place])

        return kind(types.voidptr, types.intp), generate

    reader: Callable[[Any, int], T] = read
    return reader


@intrinsic  # type: ignore[untyped-decorator]
def array_at(_typing_context: Any, pointer: Any, _length: Any) -> Any:
    """A C function's argument as an array."""
    kind = types.Array(pointer.dtype, 1, "C")

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return borrowed_array(context, builder, kind, *arguments)

    return kind(pointer, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def number_at(_typing_context: Any, _table: Any, _place: Any) -> Any:
    """A whole number in a table."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        table, place = arguments
        return builder.load(builder.gep(builder.bitcast(table, ir.IntType(64).as_pointer()), [place]))

    return types.int64(types.voidptr, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def pointer_at(_typing_context: Any, _table: Any, _place: Any) -> Any:
    """A number in a table as an address, such as that of another table."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        table, place = arguments
        number = builder.load(builder.gep(builder.bitcast(table, ir.IntType(64).as_pointer()), [place]))
        return builder.inttoptr(number, table.type)

    return types.voidptr(types.voidptr, types.intp), generate


def table_of_arrays(arrays: Any) -> IntArray:
    """The table of a named tuple of arrays."""
    table: IntArray = arrays.table
    return table
