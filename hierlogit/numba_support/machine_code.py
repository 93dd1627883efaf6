"""Machine code on disk: what is kept of a compiled function for calls by Python, and how it is read without a compiler.

Numba keeps a function's intermediate language too, and before it reads a function it compiles those that count
references. Both are needed by functions that are compiled only, and take longer than the machine code of a whole fit.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import llvmlite.binding as ll
from numba.core.caching import CompileResultCacheImpl
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult
from numba.core.environment import Environment
from numba.core.runtime import _nrt_python


class MachineCodeResults(CompileResultCacheImpl):  # type: ignore[misc]
    """Keeps compiled functions on disk, as they are called by Python and by other languages."""

    def reduce(self, result: Any) -> tuple[Any, ...]:
        """What is kept."""
        library, described = result.library, result.fndesc
        described.typemap = described.calltypes = None
        others = result._find_referenced_environments()
        return (
            (library.name, library._get_compiled_object(), _defined_by(library._final_module)),
            described,
            result.environment,
            result.signature,
            tuple(one for one in others if one.consts),
            tuple(one.env_name for one in others if not one.consts),
        )

    def rebuild(self, context: Any, kept: tuple[Any, ...]) -> Any:
        """The function that was kept."""
        return rebuilt(context, kept)


def _defined_by(module: Any) -> list[str]:
    symbols = [*module.functions, *module.global_variables]
    return [one.name for one in symbols if not one.is_declaration and one.linkage != ll.Linkage.internal]


#: That of functions inside others which use no Python objects. Numba would import the modules that they are from.
_NO_CONSTANTS = Environment({})


class _FromDisk(JITCodeLibrary):  # type: ignore[misc]
    """Machine code without the function in LLVM's language."""

    @classmethod
    def read(cls, codegen: Any, name: str, code: bytes, defined: list[str]) -> _FromDisk:
        library = cls(codegen, name)
        library.enable_object_caching()
        library._set_compiled_object(code)
        library._finalize_final_module()
        codegen._engine._defined_symbols.update(defined)
        return library


def rebuilt(context: Any, kept: tuple[Any, ...]) -> Any:
    """A compiled function from what `MachineCodeResults.reduce` has returned."""
    _name_functions_of_memory()
    content, described, environment, signature, others, without_constants = kept
    library = _FromDisk.read(context.codegen(), *content)
    for other in others:
        library.codegen.set_env(other.env_name, other)
    for name in without_constants:
        library.codegen.set_env(name, _NO_CONSTANTS)
    return CompileResult(
        **dict.fromkeys(CompileResult._fields)
        | {
            "typing_context": context.typing_context,
            "target_context": context,
            "entry_point": context.get_executable(library, described, environment),
            "environment": environment,
            "library": library,
            "fndesc": described,
            "signature": signature,
            "objectmode": False,
            "lifted": (),
            "reload_init": [],
            "referenced_envs": others,
        }
    )


@cache
def _name_functions_of_memory() -> None:
    """Tell LLVM the addresses of the functions with which machine code allocates arrays and frees them.

    Numba's `rtsys.initialize` does this and compiles those that count references, which machine code contains. It
    runs all the same before anything is compiled.
    """
    for name, address in _nrt_python.c_helpers.items():
        ll.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
