"""Entries of arrays, loops over ranges and variables in few instructions, so that functions compile in less time.

For an entry of an array Numba writes the seven fields of the array to memory and reads most of them back, for a loop
over a range it checks the sign of the step and writes an iterator to memory, and after its last use it sets a number to
zero, as if it held a reference. LLVM removes all of it again, but to write it down and to read it takes long. Here
fields are read from where they were set: most arrays are views, whose references are not counted, and most ranges have
a step of one.
"""

from __future__ import annotations

import operator
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.compiler_machinery import register_pass
from numba.core.imputils import Registry, builtin_registry
from numba.core.lowering import Lower
from numba.core.runtime.context import NRTContext
from numba.core.typed_passes import BaseNativeLowering

registry = Registry("hierlogit.short_code")
#: Positions in the structure of an array, of a range and of its iterator.
MEMINFO, COUNT, ITEMSIZE, DATA, SHAPE, STRIDES = 0, 2, 3, 4, 5, 6
START, STOP, STEP = 0, 1, 2
NEXT, LEFT = 0, 3


def field(builder: Any, structure: Any, *place: int) -> Any:
    """A field of a structure: the value that it was set to in this function, or an instruction that reads it."""
    inner = structure
    while isinstance(inner, ir.instructions.InsertValue):
        at = tuple(inner.indices)
        if at == place:
            return inner.operands[1]
        if at == place[: len(at)]:
            return builder.extract_value(structure, place)
        inner = inner.operands[0]
    if isinstance(inner, ir.Constant) and isinstance(inner.constant, (list, tuple)):
        for k in place:
            inner = inner.constant[k]
        return inner
    return builder.extract_value(structure, place)


def borrowed_array(context: Any, builder: Any, kind: Any, address: Any, length: Any) -> Any:
    """A one-dimensional array that does not own its memory, as an LLVM value; the address is a number or a pointer."""
    pointer = context.get_data_type(kind.dtype).as_pointer()
    data = builder.inttoptr(address, pointer) if isinstance(address.type, ir.IntType) else address
    structure = context.get_value_type(kind)
    fields = [ir.Constant(one, None) for one in structure.elements]
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    fields[ITEMSIZE], fields[STRIDES] = size, ir.Constant(structure.elements[STRIDES], [size])
    fields[SHAPE] = ir.Constant(structure.elements[SHAPE], [ir.Constant(size.type, None)])
    array = builder.insert_value(ir.Constant(structure, fields), data, DATA)
    array = builder.insert_value(array, length, COUNT)
    return builder.insert_value(array, length, [SHAPE, 0])


class References(NRTContext):  # type: ignore[misc]
    """Numba's counting of references, which reads one field of an array in place of nine."""

    def get_meminfos(self, builder: Any, ty: Any, val: Any) -> list[tuple[Any, Any]]:
        """What is counted in a value, with its types."""
        if not isinstance(ty, types.Array):
            found: list[tuple[Any, Any]] = super().get_meminfos(builder, ty, val)
            return found
        counted = field(builder, val, MEMINFO)
        is_borrowed = isinstance(counted, ir.Constant) and counted.constant is None
        return [] if is_borrowed else [(ty, counted)]


class _ShortLower(Lower):  # type: ignore[misc]
    """Numba's translation of a function, which leaves a variable without references as it is once it is not needed."""

    def _holds_references(self, name: str) -> bool:
        return bool(self.context.data_model_manager[self.typeof(name)].contains_nrt_meminfo())

    def storevar(self, value: Any, name: str, argidx: int | None = None) -> None:
        """Set a variable."""
        if argidx is not None or name in self._singly_assigned_vars or self._holds_references(name):
            super().storevar(value, name, argidx)
        else:
            self.builder.store(value, self.getvar(name))

    def delvar(self, name: str) -> None:
        """Drop a variable."""
        if self._holds_references(name):
            super().delvar(name)
        elif name not in self._blk_local_varmap:
            # Of a block that is translated later, which has to set it in memory, as by Numba's method.
            self._singly_assigned_vars.discard(name)


@register_pass(mutates_CFG=True, analysis_only=False)
class ShortLowering(BaseNativeLowering):  # type: ignore[misc]
    """The pass of Numba's compiler that writes LLVM's language."""

    _name = "hierlogit_short_lowering"

    @property
    def lowering_class(self) -> type[_ShortLower]:
        """What it translates functions with."""
        return _ShortLower


def _is_simple(array: Any) -> bool:
    return array.ndim == 1 and array.layout == "C" and isinstance(array.dtype, (types.Number, types.Boolean))


def _entry(context: Any, builder: Any, array: Any, index_type: Any, index: Any) -> Any:
    """Address of an entry; a negative index counts from the end."""
    place = context.cast(builder, index, index_type, types.intp if index_type.signed else types.uintp)
    is_constant = isinstance(place, ir.Constant)
    if index_type.signed and not (is_constant and place.constant >= 0):
        is_negative = builder.icmp_signed("<", place, place.type(0))
        place = builder.select(is_negative, builder.add(place, field(builder, array, SHAPE, 0)), place)
    return builder.gep(field(builder, array, DATA), [place])


@registry.lower(operator.getitem, types.Array, types.Integer)  # type: ignore[untyped-decorator]
def _read(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    from numba.np import arrayobj  # which takes long, and is needed where something is compiled only

    kind, index_type = signature.args
    if not _is_simple(kind):
        return arrayobj.getitem_arraynd_intp(context, builder, signature, arguments)
    array, index = arguments
    return arrayobj.load_item(context, builder, kind, _entry(context, builder, array, index_type, index))


@registry.lower(operator.setitem, types.Array, types.Integer, types.Any)  # type: ignore[untyped-decorator]
def _write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    from numba.np import arrayobj

    kind, index_type, value_type = signature.args
    if not _is_simple(kind) or not isinstance(value_type, (types.Number, types.Boolean)):
        return arrayobj.setitem_array(context, builder, signature, arguments)
    array, index, value = arguments
    entry = _entry(context, builder, array, index_type, index)
    return arrayobj.store_item(context, builder, kind, context.cast(builder, value, value_type, kind.dtype), entry)


@registry.lower(len, types.Array)  # type: ignore[untyped-decorator]
def _length(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    return field(builder, arguments[0], SHAPE, 0)


def _range(builder: Any, start: Any, stop: Any, step: Any) -> Any:
    made = ir.Constant(ir.LiteralStructType([start.type] * 3), ir.Undefined)
    for k, value in enumerate((start, stop, step)):
        made = builder.insert_value(made, value, k)
    return made


@registry.lower(range, types.int64)  # type: ignore[untyped-decorator]
def _range_to(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    (stop,) = arguments
    return _range(builder, stop.type(0), stop, stop.type(1))


@registry.lower(range, types.int64, types.int64)  # type: ignore[untyped-decorator]
def _range_between(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    start, stop = arguments
    return _range(builder, start, stop, start.type(1))


@cache
def _general_iterator() -> Any:
    """Numba's implementation, for steps that are computed."""
    wanted = ("getiter", (types.range_state64_type,))
    return next(function for function, *key in builtin_registry.functions if tuple(key) == wanted)


@registry.lower("getiter", types.range_state64_type)  # type: ignore[untyped-decorator]
def _iterator(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    (values,) = arguments
    start, stop, step = (field(builder, values, k) for k in (START, STOP, STEP))
    if not (isinstance(step, ir.Constant) and step.constant):
        return _general_iterator()(context, builder, signature, arguments)
    difference = builder.sub(stop, start)
    if step.constant != 1:
        more = step.constant - 1 if step.constant > 0 else step.constant + 1
        difference = builder.sdiv(builder.add(difference, step.type(more)), step)
    following, left = (cgutils.alloca_once_value(builder, one) for one in (start, difference))
    made = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
    for k, value in enumerate((following, stop, step, left)):
        made = builder.insert_value(made, value, k)
    return made


@registry.lower("iternext", types.range_iter64_type)  # type: ignore[untyped-decorator]
def _following(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    (iterator,) = arguments
    at_next, at_left = (field(builder, iterator, k) for k in (NEXT, LEFT))
    value, left = builder.load(at_next), builder.load(at_left)
    builder.store(builder.sub(left, left.type(1), flags=["nsw"]), at_left)
    builder.store(builder.add(value, field(builder, iterator, STEP)), at_next)
    pair = ir.Constant(context.get_value_type(signature.return_type), ir.Undefined)
    return builder.insert_value(builder.insert_value(pair, value, 0), builder.icmp_signed(">", left, left.type(0)), 1)
