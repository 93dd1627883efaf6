"""Compiled functions that are translated once, and become machine code only with the functions that Python calls."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args, get_type_hints

import numpy as np
from llvmlite.binding import Linkage, parse_bitcode
from numba import from_dtype, types
from numba.core.caching import CompileResultCacheImpl
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult
from numba.core.dispatcher import _FunctionCompiler  # type: ignore[attr-defined]
from numba.core.environment import Environment
from numba.core.runtime import rtsys
from numba.core.target_extension import dispatcher_registry, target_registry
from numba.core.typed_passes import NativeLowering
from numba.core.untyped_passes import DeadBranchPrune

from .constant_fields import ConstantFields
from .short_code import ShortLowering
from .target import TARGET_NAME, TargetDispatcher


class SelfContained(JITCodeLibrary):  # type: ignore[misc]
    """Machine code of a function with private copies of all functions that it calls.

    Numba leaves it to the linker whether a function calls its own copy of another function or one that is in memory
    already. The copies are optimised separately, so that with reordered sums their results differ in the last digit: a
    process that has just compiled would get other draws from a seed than one that reads the same functions from disk.
    """

    def finalize(self) -> None:
        """Add what the function calls, and the functions that count references: its wrapper for Python may call them.

        Otherwise the linker would look for them among those that this process has compiled for this target.
        """
        self.add_linking_library(rtsys.library)
        super().finalize()

    def _finalize_final_module(self) -> None:
        # Functions that call this one copy the module as it is now.
        self._shared_module = self._final_module.clone()
        _set_linkage(self._shared_module, Linkage.external, Linkage.linkonce_odr)
        _set_linkage(self._final_module, Linkage.linkonce_odr, Linkage.internal)
        super()._finalize_final_module()


class Translated(JITCodeLibrary):  # type: ignore[misc]
    """A function, with all that it calls, in LLVM's language: it is optimised where it is called, and only there."""

    def finalize(self) -> None:
        """Add what the function calls."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            if hasattr(self, "_reload_init"):  # not in all releases of Numba
                self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._share()

    def _share(self) -> None:
        self._finalize_dynamic_globals()
        _set_linkage(self._final_module, Linkage.external, Linkage.linkonce_odr)
        self._shared_module = self._final_module
        self._finalized = True

    def reduce(self) -> tuple[str, bytes]:
        """Name and content, to be kept on disk."""
        self._ensure_finalized()
        return self.name, self._final_module.as_bitcode()

    @classmethod
    def from_disk(cls, codegen: Any, name: str, content: bytes) -> Translated:
        """What `reduce` has returned, as a library."""
        library = cls(codegen, name)
        library._final_module = parse_bitcode(content)
        library._share()
        return library


def _set_linkage(module: Any, before: Linkage, after: Linkage) -> None:
    for function in module.functions:
        if not function.is_declaration and function.linkage == before:
            function.linkage = after


#: Passes of Numba's compiler for what the package's functions do not have: closures, and expressions of whole arrays,
#: which would be evaluated by one loop. They go through every function all the same.
SUPERFLUOUS = ("InlineClosureLikes", "NopythonRewrites")


class _Translation(Compiler):  # type: ignore[misc]
    """Numba's compiler without machine code."""

    def define_pipelines(self) -> Any:
        state = self.state
        state.flags.no_compile = True
        state.library = Translated(state.targetctx.codegen(), state.func_id.func_qualname)
        pipelines = super().define_pipelines()
        for pipeline in pipelines:
            pipeline.passes = [
                (ShortLowering if one[0] is NativeLowering else one[0], *one[1:]) for one in pipeline.passes
            ]
        return pipelines


class _OwnTranslation(_Translation):
    """The same without passes that functions of the package do not need, and with the constants of their arguments."""

    def define_pipelines(self) -> Any:
        pipelines = super().define_pipelines()
        for pipeline in pipelines:
            pipeline.passes = [one for one in pipeline.passes if one[0].__name__ not in SUPERFLUOUS]
            first = next(k for k, one in enumerate(pipeline.passes) if one[0] is DeadBranchPrune)
            pipeline.passes.insert(first, (ConstantFields, "constants of arguments"))
            pipeline.finalize()
        return pipelines


class _Translator(_FunctionCompiler):  # type: ignore[misc]
    def _compile_core(self, args: Any, return_type: Any) -> Any:
        result = super()._compile_core(args, return_type)._replace(entry_point=object())
        result.target_context.insert_user_function(result.entry_point, result.fndesc, [result.library])
        return result


class _Callee(TargetDispatcher):
    """A function as other compiled functions call it; an object of its own stands for each signature."""

    translation: type[_Translation] = _Translation

    def __init__(self, py_func: Callable[..., Any], targetoptions: dict[str, Any], **_others: Any) -> None:
        options = targetoptions | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        super().__init__(py_func, targetoptions=options, pipeline_class=self.translation)
        self._compiler = _Translator(py_func, self.targetdescr, options, {}, self.translation)

    def add_overload(self, result: Any) -> None:
        """Keep a result, which Python cannot call."""
        self.overloads[tuple(result.signature.args)] = result


#: Numba makes dispatchers of this class for what functions call, such as those of NumPy.
dispatcher_registry[target_registry[TARGET_NAME]] = _Callee


class _OwnCallee(_Callee):
    """A function of the package as others of them call it."""

    translation = _OwnTranslation

    def __init__(self, function: Callable[..., Any], options: dict[str, Any], cache: Any) -> None:
        super().__init__(function, options)
        self._cache = cache


@contextmanager
def no_collections() -> Iterator[None]:
    """Context in which Python does not look for unused cycles of objects: a translation makes many that are in use."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def on_a_large_stack[R](function: Callable[..., R], *arguments: Any) -> R:
    """Call a function.

    Python keeps the frames of functions in chunks of 16 KiB. Where a chunk ends inside a loop, each call of a function
    in the loop maps memory and unmaps it again, which may happen a hundred thousand times while something is compiled.
    This function asks for a frame so large that it gets a chunk with room for all frames after it; the part that is not
    used takes no memory.
    """
    return function(*arguments)


on_a_large_stack.__code__ = on_a_large_stack.__code__.replace(co_stacksize=70_000)


class _Finisher(_FunctionCompiler):  # type: ignore[misc]
    """Makes machine code of a callee."""

    kernel: Any

    def _compile_core(self, args: Any, _return_type: Any) -> Any:
        callee = self.kernel.callee
        with no_collections():
            on_a_large_stack(callee.compile, args)
        result = callee.overloads[tuple(args)]
        described = result.fndesc
        # Not kept with a callee: machine code from disk has another, with the constants of the wrapper.
        environment = Environment.from_fndesc(described)
        # As for a callee that is compiled now; with one from disk, the wrapper would not know how to return an array.
        context = result.target_context.subtarget(enable_nrt=True)
        context.refresh()
        library = SelfContained(context.codegen(), described.qualname)
        library.enable_object_caching()
        library.add_linking_library(result.library)
        with context.push_code_library(library):
            context.create_cpython_wrapper(library, described, environment, None, release_gil=True)
        entry_point = context.get_executable(library, described, environment)
        return result._replace(library=library, entry_point=entry_point, environment=environment, metadata={})


def name_of(function: Callable[..., Any]) -> str:
    """Name of a function or a class with its module."""
    return f"{function.__module__}.{function.__qualname__}"


class Kernel(TargetDispatcher):
    """A compiled function, for Python and for other compiled functions.

    Parameters
    ----------
    function : callable
    options : dict
        Numba's options of compiled functions.
    caches : Caches
        Where its machine code is kept on disk, and its form for callers that are compiled.
    """

    #: It is compiled ahead for the class that its first argument is annotated with.
    class_name: None = None

    def __init__(self, function: Callable[..., Any], options: dict[str, Any], caches: Any) -> None:
        super().__init__(function, targetoptions=options)
        del self._cache  # Numba's, in place of the one below
        self._caches = caches
        self._compiler = _Finisher(function, self.targetdescr, options, {}, Compiler)
        self._compiler.kernel = self

    # Most functions are read from disk or called by others only, so that what compiling takes is made when it begins.
    @cached_property
    def _cache(self) -> Any:
        return self._caches.machine_code

    @cached_property
    def callee(self) -> Any:
        """The function as compiled functions call it."""
        return _OwnCallee(self.py_func, self.targetoptions, self._caches.for_callers)

    @property
    def function_name(self) -> str:
        """Name of the function with its module."""
        return name_of(self.py_func)

    def compile_ahead(self) -> None:
        """Compile it for the types that it is annotated with, or read it from disk."""
        self.compile(annotated_types(self.py_func))

    def is_left(self) -> bool:
        """Whether it is yet to be compiled for the annotated types, and could be kept then."""
        return not self.signatures and bool(self._cache.lacks(annotated_types(self.py_func)))

    def taking(self, kind: type) -> KernelTaking:
        """The function for a first argument of a class that inherits from the one that it is annotated with."""
        return KernelTaking(self, kind)

    def __reduce__(self) -> Any:
        return self.py_func.__qualname__  # copied by its name, as functions are

    def get_call_template(self, args: Any, keywords: Any) -> Any:
        """What Numba needs for a call by a compiled function."""
        return self.callee.get_call_template(args, keywords)

    def get_overload(self, signature: Any) -> Any:
        """What a compiled function calls."""
        return self.callee.get_overload(signature)


@dataclass(frozen=True)
class KernelTaking:
    """A kernel for named tuples of a class that inherits from the one that it is annotated with.

    Attributes
    ----------
    kernel : Kernel
    kind : type
    """

    kernel: Kernel
    kind: type

    @property
    def types(self) -> tuple[Any, ...]:
        """Types of the arguments in compiled code."""
        return (_compiled_type(self.kind), *annotated_types(self.kernel.py_func)[1:])

    @property
    def function_name(self) -> str:
        """Name of the function with its module."""
        return self.kernel.function_name

    @property
    def class_name(self) -> str:
        """Name of the class with its module."""
        return name_of(self.kind)

    def compile_ahead(self) -> None:
        """Compile it for this class, or read it from disk."""
        self.kernel.compile(self.types)

    def is_left(self) -> bool:
        """Whether it is yet to be compiled for this class, and could be kept then."""
        return self.types not in self.kernel.overloads and bool(self.kernel._cache.lacks(self.types))


def annotated_types(function: Callable[..., Any]) -> tuple[Any, ...]:
    """Types of a function's arguments in compiled code, from their annotations.

    Arrays whose annotation does not give a shape have one dimension. All have their entries in the order of memory.
    """
    hints = get_type_hints(function)
    hints.pop("return", None)
    return tuple(map(_compiled_type, hints.values()))


def _compiled_type(hint: Any) -> Any:
    if hasattr(hint, "compiled_type"):
        return hint.compiled_type
    if not get_args(hint):
        return from_dtype(np.dtype(hint))
    # NumPy's alias for arrays has no shape, or Any; some of its releases replace it by what it stands for.
    *shapes, dtype = get_args(hint)
    shape = (get_args(shapes[0]) if shapes else ()) or (Any, ...)
    (number,) = get_args(dtype) or (dtype,)
    return types.Array(from_dtype(np.dtype(number)), 1 if Ellipsis in shape else len(shape), "C")


class TranslatedResults(CompileResultCacheImpl):  # type: ignore[misc]
    """Keeps functions without machine code on disk."""

    @property
    def filename_base(self) -> str:
        """The beginning of the names of their files, which follows that of the functions' machine code."""
        return f"{super().filename_base}.callee"

    def reduce(self, result: Any) -> tuple[Any, ...]:
        """What is kept."""
        described = result.fndesc
        described.typemap = described.calltypes = None
        return (*result.library.reduce(), described, result.signature)

    def rebuild(self, context: Any, kept: tuple[Any, ...]) -> Any:
        """The function that was kept."""
        name, content, described, signature = kept
        nothing = dict.fromkeys(CompileResult._fields)
        return CompileResult(
            **nothing
            | {
                "typing_context": context.typing_context,
                "target_context": context,
                "entry_point": object(),
                "library": Translated.from_disk(context.codegen(), name, content),
                "fndesc": described,
                "signature": signature,
                "objectmode": False,
                "lifted": (),
                "reload_init": [],
            }
        )
