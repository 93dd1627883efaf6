"""A pass of Numba's compiler that knows the constants of named tuples, so that it leaves out what they rule out.

Whoever has one grouping factor then does not wait until the code for several of them is compiled.
"""

from __future__ import annotations

from typing import Any

from numba.core import ir
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.ir_utils import get_definition, guard

from .struct_by_address import Addressed


@register_pass(mutates_CFG=False, analysis_only=False)
class ConstantFields(FunctionPass):  # type: ignore[misc]
    """Replace the constants of arguments by their values; Numba's next pass leaves branches out."""

    _name = "constant_fields"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        """Whether something was replaced."""
        changed = False
        for block in state.func_ir.blocks.values():
            for statement in block.find_insts(ir.Assign):
                value = _constant(state, statement.value)
                if value is not None:
                    _replace(state.func_ir, statement, value)
                    changed = True
        return changed


def _constant(state: Any, expression: Any) -> bool | None:
    """The constant that an expression reads, if it reads one."""
    if not isinstance(expression, ir.Expr) or expression.op != "getattr":
        return None
    argument = guard(get_definition, state.func_ir, expression.value)
    kind = state.args[argument.index] if isinstance(argument, ir.Arg) else None
    return kind.constants.get(expression.attr) if isinstance(kind, Addressed) else None


def _replace(function: Any, statement: Any, value: bool) -> None:
    definitions = function._definitions[statement.target.name]
    place = definitions.index(statement.value)
    statement.value = definitions[place] = ir.Const(value, statement.loc)
