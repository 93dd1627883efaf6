"""Compilation by Numba, once on each machine, with the machine code kept on disk."""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, NullCache
from numba.core.ccallback import CFunc
from numba.core.compiler import Compiler
from numba.core.sigutils import normalize_signature
from numba.core.target_extension import target_override
from numba.extending import overload

from .. import compile_notice as _compile_notice  # noqa: F401 - shows what is compiled from here on
from ..compile_notice import compiling
from ..errors import FileWarning, warn
from ..progress import progress
from .compiled_beside import waits
from .inlining import Kernel, SelfContained, TranslatedResults, name_of, no_collections, on_a_large_stack
from .interruptions import later_interruption
from .machine_code import MachineCodeResults, rebuilt
from .shipped_code import shipped_code
from .target import TARGET, TARGET_NAME

#: Floating-point optimisations that allow sums to be reordered, so that they use vector instructions; infinities and
#: NaN keep their meaning.
LIBERTIES = {"reassoc", "nsz", "contract", "arcp"}
#: Folders and files with compiled functions, or with the tuples of arrays that these take, relative to the package.
COMPILED = (
    "numba_support",
    "design/arrangement.py",
    "density/kernels",
    "density/marginal",
    "density/joint",
    "density/integrated",
    "effects/numerics",
    "variance/shared_clusters.py",
    "clusters/pairs.py",
)


#: Why compiled functions cannot be kept on disk, and what to do.
NO_FOLDER = "Neither the package's folder nor the user's cache folder can hold compiled functions"
ELSEWHERE = "Set NUMBA_CACHE_DIR to a folder that can be written, with at least 30 MB left."


@cache
def _finalize_before_interruption() -> None:
    """Let interruptions wait while LLVM makes machine code or takes it from disk.

    LLVM calls Python functions for both. An interruption would end such a function, which LLVM does not notice: the
    interruption would be lost, and so would the machine code.
    """
    engine = TARGET.target_context.codegen()._engine
    finalize = engine.finalize_object

    def finalize_object() -> None:
        with later_interruption():
            finalize()

    engine.finalize_object = finalize_object


class _Pipeline(Compiler):  # type: ignore[misc]
    """Numba's compiler with self-contained libraries."""

    def define_pipelines(self) -> Any:
        _finalize_before_interruption()
        state = self.state
        if state.library is None:
            state.library = SelfContained(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
        return super().define_pipelines()


@cache
def source_files() -> tuple[Path, ...]:
    """Files with code of compiled functions: those of `COMPILED`."""
    package = Path(__file__).parents[1]
    chosen = [package / name for name in COMPILED]
    return tuple(sorted(path for one in chosen for path in (one.rglob("*.py") if one.is_dir() else [one])))


@cache
def _stamp() -> tuple[tuple[str, str], ...]:
    """Names and digests of these files: a package that is copied or installed again keeps its machine code."""
    package = Path(__file__).parents[1]
    return tuple(
        (path.relative_to(package).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in source_files()
    )


def sources() -> str:
    """Digest of all of them."""
    return hashlib.sha256(repr(_stamp()).encode()).hexdigest()


def _arguments(signature: Any) -> tuple[Any, ...]:
    """Types of the arguments in a signature, or in a list of them."""
    return tuple(normalize_signature(signature)[0])


def _shipped(name: str, signature: Any, target_context: Any) -> Any:
    """A function that comes with the package; None if it has to be compiled."""
    code = shipped_code(sources()).read(name, _arguments(signature))
    return None if code is None else rebuilt(target_context, pickle.loads(code))


class FileCache(FunctionCache):  # type: ignore[misc]
    """Functions on disk, compiled again when any file of `COMPILED` has changed.

    Numba checks only the file of the function itself, and would keep outdated copies of functions from other files.
    """

    _impl_class: Any = MachineCodeResults

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file._source_stamp = _stamp()
        self.function_name = name_of(function)

    @property
    def files(self) -> tuple[Path, ...]:
        """The indices of the function's machine code and of its form for callers, and the files that these are in."""
        folder, name = Path(self.cache_path), self._impl.filename_base
        indices = list(folder.glob(f"{name}.*nbi"))
        return (*indices, *folder.glob(f"{name}.*.nbc")) if indices else ()

    def kept(self) -> Iterator[tuple[tuple[Any, ...], bytes]]:
        """Types of the arguments, and machine code for them, of all that is on disk."""
        for (signature, *_), name in self._cache_file._load_index().items():
            yield _arguments(signature), Path(self.cache_path, name).read_bytes()

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The function that comes with the package, or the one on disk; None if there is none, or the file is damaged.

        Numba's method fills the compiler's tables of types and functions first, which takes longer than to read all
        functions of a fit. Machine code needs none of them.
        """
        _finalize_before_interruption()
        found = self._from_package(signature, target_context)
        if found is None:
            found = self._from_disk(signature, target_context)
        if found is None:
            for _ in self._waits():
                if (found := self._from_disk(signature, target_context)) is not None:
                    break
        return found

    def _waits(self) -> Iterator[None]:
        """Short waits while a second process compiles the function."""
        module = self.function_name.rpartition(".")[0]
        return progress(waits(self.function_name), compiling(module), patience=0.0)

    def lacks(self, signature: Any) -> bool:
        """Whether the function has not come with the package and is not on disk, where it could be kept."""
        if self.function_name in shipped_code(sources()).functions:
            return False
        try:
            key = self._index_key(_arguments(signature), TARGET.target_context.codegen())
            return key not in self._cache_file._load_index()
        except Exception:  # whatever damaged pickles raise
            return True

    def _from_disk(self, signature: Any, target_context: Any) -> Any:
        try:
            with self._guard_against_spurious_io_errors():
                found = self._load_overload(signature, target_context)
        except Exception:  # whatever damaged pickles raise
            self._forget()
            return None
        # Processes that write at the same time may give one name to the files of two signatures.
        return found if found is not None and tuple(found.signature.args) == _arguments(signature) else None

    def _from_package(self, signature: Any, target_context: Any) -> Any:
        return _shipped(self.function_name, signature, target_context)

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a function on disk, if that is possible."""
        try:
            # Numba's listing of the source with its types is long, and holds the path of the file.
            super().save_overload(signature, compiled._replace(type_annotation=""))
        except Exception as error:  # a full disk, or a damaged index that cannot be removed
            self._forget()  # it may name a file that an earlier version of the function has left
            _warn_that_nothing_is_kept(f"Compiled functions cannot be kept in {self.cache_path} ({error})")

    def _forget(self) -> None:
        """Remove the index of the function's files, so that they are written anew."""
        with suppress(OSError):
            Path(self.cache_path, f"{self._impl.filename_base}.nbi").unlink()


class _CalleeCache(FileCache):
    """Functions on disk in the form in which other compiled functions call them."""

    _impl_class = TranslatedResults

    def _from_package(self, _signature: Any, _target_context: Any) -> None:
        """None: only machine code comes with the package."""

    def _waits(self) -> Iterator[None]:
        """None: only for machine code does this process wait."""
        return iter(())


class _NoCache(NullCache):  # type: ignore[misc]
    """In place of a cache where no folder can be written."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function_name = name_of(function)

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The function that comes with the package; None if there is none, after a warning."""
        _finalize_before_interruption()
        shipped = _shipped(self._function_name, signature, target_context)
        if shipped is None:
            _warn_that_nothing_is_kept(NO_FOLDER)
        return shipped

    def lacks(self, _signature: Any) -> bool:
        """False: nothing can be kept."""
        return False


#: Whether it has been said that compiled functions cannot be kept.
_SAID = threading.Event()


def _warn_that_nothing_is_kept(why: str) -> None:
    if not _SAID.is_set():
        _SAID.set()
        warn(f"{why}, so that each new process compiles again. {ELSEWHERE}", FileWarning)


class Caches:
    """A function's caches, made when it is first used: for each, Numba tries whether its folder can be written.

    Parameters
    ----------
    function : callable
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @cached_property
    def machine_code(self) -> Any:
        """That of the function's machine code."""
        try:
            return FileCache(self._function)
        except RuntimeError:  # Numba has tried all folders
            return _NoCache(self._function)

    @cached_property
    def for_callers(self) -> Any:
        """That of its form for other compiled functions."""
        return _CalleeCache(self._function) if self.are_kept() else self.machine_code

    def are_kept(self) -> bool:
        """Whether there is a folder for them."""
        return isinstance(self.machine_code, FileCache)


#: Those of all functions that are declared in this process.
_CACHES: list[Caches] = []


def _caches_of(function: Callable[..., Any]) -> Caches:
    _CACHES.append(Caches(function))
    return _CACHES[-1]


def caches() -> tuple[FileCache, ...]:
    """The caches of all functions that the modules loaded so far declare to be compiled."""
    return tuple(one.machine_code for one in _CACHES if one.are_kept())


class _Callback(CFunc):
    """A C function in this cache, for the package's target."""

    _targetdescr = TARGET
    _pyfunc: Callable[..., Any]

    def _compile_uncached(self) -> Any:
        with target_override(TARGET_NAME), no_collections():
            return on_a_large_stack(super()._compile_uncached)  # type: ignore[misc]


#: Compiled functions hold no reference to Python objects, so that other threads may run meanwhile.
_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
    "nogil": True,
    "nopython": True,
}


def _nothing() -> None:
    """In place of work that is not needed."""


def _compiled[F: Callable[..., Any]](function: F, fastmath: set[str] | bool) -> F:
    compiled: Any = Kernel(function, {**_OPTIONS, "fastmath": fastmath}, _caches_of(function))
    # At the first call of a function, Numba loads the extensions of other packages, which its compiler does by itself.
    compiled._compilation_chain_init_hook = _nothing
    result: F = compiled
    return result


def kernel[F: Callable[..., Any]](function: F) -> F:
    """Compile a function of arrays and numbers; sums may be reordered."""
    return _compiled(function, LIBERTIES)


def exact_kernel[F: Callable[..., Any]](function: F) -> F:
    """Compile a function whose operations are executed in the order in which they are written."""
    # Not None: Numba would then compile the function with the options of its first caller.
    return _compiled(function, False)


def fused_kernel[F: Callable[..., Any]](function: F) -> F:
    """As `exact_kernel`, but a product and the sum it goes into may be rounded once instead of twice."""
    return _compiled(function, {"contract"})


def by_type(function: Callable[..., Any], implementations: Mapping[type, Callable[..., Any]]) -> None:
    """Give a function implementations in compiled code, of which the class of the first argument chooses one.

    They are compiled as by `exact_kernel`.

    Parameters
    ----------
    function : callable
    implementations : mapping of type to callable
        By class of named tuples of `struct_by_address`.
    """
    by_compiled_type: dict[Any, Callable[..., Any]] = {
        vars(kind)["compiled_type"]: implementation for kind, implementation in implementations.items()
    }

    def chosen(first: Any, *_others: Any) -> Callable[..., Any] | None:
        return by_compiled_type.get(first)

    options = {**_OPTIONS, "fastmath": False, "_target": TARGET_NAME}
    overload(function, jit_options=options, strict=False)(chosen)


class CFunction:
    """A function for callers in another language, compiled when it is first used.

    Parameters
    ----------
    function : callable
    signature : numba.core.typing.Signature
        With C types.
    """

    #: It has no variants by class.
    class_name: None = None

    def __init__(self, function: Callable[..., Any], signature: Any) -> None:
        self._function, self._signature = function, signature
        self._caches = _caches_of(function)

    @cached_property
    def _compiled(self) -> Any:
        options = {"fastmath": False, "error_model": "numpy"}
        callback: Any = _Callback(self._function, normalize_signature(self._signature), {}, options, _Pipeline)
        callback._cache = self._caches.machine_code
        callback.compile()
        return callback

    def compile_ahead(self) -> None:
        """Compile it, or read it from disk."""
        _ = self._compiled

    @property
    def address(self) -> int:
        """Address in this process."""
        return int(self._compiled.address)

    @property
    def ctypes(self) -> Any:
        """The function, callable through ctypes."""
        return self._compiled.ctypes

    @property
    def function_name(self) -> str:
        """Name of the function with its module."""
        return name_of(self._function)

    def is_left(self) -> bool:
        """Whether it is yet to be compiled, and could be kept then."""
        return "_compiled" not in vars(self) and self._caches.machine_code.lacks(self._signature)


def c_function(signature: Any) -> Callable[[Callable[..., Any]], CFunction]:
    """Decorator for C functions, whose operations are executed in the order in which they are written."""
    return lambda function: CFunction(function, signature)


def are_kept() -> bool:
    """Whether there is a folder in which compiled functions are kept on disk."""
    return any(one.are_kept() for one in _CACHES)
