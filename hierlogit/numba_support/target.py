"""The processor that functions are compiled for: a level that many have, so that machine code fits many computers.

Numba compiles for the processor at hand. The length of its vectors decides the order in which sums are added, so that a
seed would give other draws on another computer, and machine code could not be handed on. All levels of one kind of
processor have vectors of the same length. A target of its own keeps the functions of this package apart from those that
programs compile with Numba themselves.
"""

from __future__ import annotations

import platform
import re
from functools import cached_property, partial
from typing import Any, NamedTuple

import llvmlite.binding as ll
from numba import config, jit, types
from numba.core import imputils
from numba.core.codegen import JITCPUCodegen
from numba.core.cpu import CPUContext
from numba.core.dispatcher import Dispatcher
from numba.core.registry import CPUTarget
from numba.core.target_extension import CPU, jit_registry, target_override, target_registry
from numba.core.typing import Context, templates

from .interruptions import later_interruption
from .short_code import References, field, registry

#: Name of the target among those of Numba.
TARGET_NAME = "hierlogit"


class Level(NamedTuple):
    """A level of processors.

    Attributes
    ----------
    name : str
        LLVM's name.
    needs : frozenset of str
        LLVM's names of the instructions that a processor of the level has, besides those of all its kind.
    """

    name: str
    needs: frozenset[str]


#: Levels of x86-64. LLVM makes vectors of 256 bits for both; with what else the higher one has, evaluations are faster.
X86_64_V3 = Level("x86-64-v3", frozenset({"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"}))
X86_64_V4 = Level("x86-64-v4", X86_64_V3.needs | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"})
#: The levels of each kind of processor, best first, by system for arm64.
LEVELS = {
    ("Linux", "x86_64"): (X86_64_V4, X86_64_V3),
    ("Darwin", "x86_64"): (X86_64_V4, X86_64_V3),
    ("Windows", "AMD64"): (X86_64_V4, X86_64_V3),
    ("Linux", "aarch64"): (Level("generic", frozenset()),),
    ("Darwin", "arm64"): (Level("apple-m1", frozenset()),),
}


class _Codegen(JITCPUCodegen):  # type: ignore[misc]
    """Numba's code generation for the best level of this processor, or for the processor itself if it has none."""

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """Names of the levels of this processor, best first; not above the one that NUMBA_CPU_NAME names, if any."""
        # None where LLVM cannot tell, and fewer where Numba's settings forbid some.
        own = {one.removeprefix("+") for one in super()._get_host_cpu_features().split(",") if one.startswith("+")}
        known = LEVELS.get((platform.system(), platform.machine()), ())
        names = [level.name for level in known if level.needs <= own]
        asked = super()._get_host_cpu_name()
        return tuple(names[names.index(asked) if asked in names else 0 :])

    def _get_host_cpu_name(self) -> str:
        return self.levels[0] if self.levels else str(super()._get_host_cpu_name())

    def _get_host_cpu_features(self) -> str:
        return "" if self.levels else str(super()._get_host_cpu_features())

    def _function_pass_manager(self, *module: Any, **_options: Any) -> Any:
        """Optimisations of a function before it is copied to its callers, where all are run: those that shorten it."""
        # Some releases of Numba pass the module.
        return super()._function_pass_manager(*module, opt=1, loop_vectorize=False, slp_vectorize=False)

    def _pass_builder(self, **options: Any) -> Any:
        """LLVM's optimisations, without copies of loops.

        LLVM would write several turns of each loop one after the other, and several vectors in each of these turns.
        That doubles the machine code and the time to make it; loops over a few coefficients do not gain from it, and
        those over rows wait for memory.
        """
        tuning = ll.create_pipeline_tuning_options(options.get("opt", config.OPT))
        tuning.loop_vectorization = options.get("loop_vectorize", config.LOOP_VECTORIZE)
        tuning.slp_vectorization = options.get("slp_vectorize", config.SLP_VECTORIZE)
        tuning.loop_unrolling = tuning.loop_interleaving = False
        return ll.create_pass_builder(self._tm, tuning)

    def magic_tuple(self) -> tuple[str, ...]:
        """What machine code is kept for; without the version of macOS, which makes no difference."""
        triple, *processor = super().magic_tuple()
        return (re.sub(r"(darwin|macosx)[\d.]+", r"\1", triple), *processor)

    def usable_targets(self) -> list[tuple[str, ...]]:
        """What machine code that runs here can have been made for, best first: `magic_tuple` of each level."""
        triple, *processor = self.magic_tuple()
        return [(triple, name, "") for name in self.levels] or [(triple, *processor)]


class _NewRegistrations:
    """A context that passes over registries without new registrations.

    Numba looks for them in all registries before each function that it compiles.
    """

    #: The lists of a registry.
    registry_items: tuple[str, ...]

    @cached_property
    def _counts(self) -> dict[Any, int]:
        return {}

    def install_registry(self, registry: Any) -> None:
        """Add what is new in a registry."""
        count = sum(len(getattr(registry, item)) for item in self.registry_items)
        if self._counts.get(registry) != count:
            self._counts[registry] = count
            super().install_registry(registry)  # type: ignore[misc]


class _TypingContext(_NewRegistrations, Context):  # type: ignore[misc]
    """Numba's types of functions, which no interruption leaves incomplete, and which are found once.

    For each operation Numba tries dozens of rules in turn, although the same few operations of numbers and entries of
    arrays make up most of a program.
    """

    registry_items = templates.RegistryLoader.registry_items

    def init(self) -> None:
        """Begin without any."""
        self._found: dict[Any, Any] = {}
        super().init()

    def refresh(self) -> None:
        """Add what has been registered since the last time.

        Numba takes registrations from a queue. Those that an interruption left in neither place would be missing for as
        long as the process lives.
        """
        with later_interruption():
            super().refresh()

    def _resolve_user_function_type(self, function: Any, arguments: Any, keywords: Any, literals: Any = None) -> Any:
        # The type of a function includes its rules, so that another one is found when rules are added.
        kind = self._lookup_global(function) or function
        if not isinstance(kind, types.Function) or keywords:
            return super()._resolve_user_function_type(function, arguments, keywords, literals)
        key = kind, tuple(arguments)
        if key not in self._found:
            signature = super()._resolve_user_function_type(kind, arguments, keywords, literals)
            self._found[key] = signature, kind.get_impl_key(signature)
        # The type is shared with Numba's own target, whose implementation it may hold by now.
        signature, kind._impl_keys[signature.args] = self._found[key]
        return signature


class _Context(_NewRegistrations, CPUContext):  # type: ignore[misc]
    """Numba's context of a processor with this code generation."""

    registry_items = imputils.RegistryLoader.registry_items

    def init(self) -> None:
        """Replace the code generation for the processor at hand."""
        super().init()
        self._internal_codegen = _Codegen("hierlogit.exec")
        self._sizes: dict[Any, int] = {}

    def refresh(self) -> None:
        """As that of the types."""
        with later_interruption():
            super().refresh()

    def load_additional_registries(self) -> None:
        """Add what has been registered since the last time; it is called for every function that is compiled."""
        if registry in self._registries:
            # Numba's method imports some forty modules each time.
            for known in tuple(self._registries):
                self.install_registry(known)
        else:
            super().load_additional_registries()
            self.install_registry(registry)

    @property
    def nrt(self) -> References:
        """Counting of references."""
        return References(self, self.enable_nrt)

    def get_abi_sizeof(self, ty: Any) -> int:
        """Bytes of a value, for which Numba would compile a module each time."""
        if ty not in self._sizes:
            self._sizes[ty] = super().get_abi_sizeof(ty)
        return self._sizes[ty]

    def pair_first(self, builder: Any, val: Any, _type: Any) -> Any:
        """What an iterator yields."""
        return field(builder, val, 0)

    def pair_second(self, builder: Any, val: Any, _type: Any) -> Any:
        """Whether it yields something."""
        return field(builder, val, 1)


class _Target(CPUTarget):  # type: ignore[misc]
    """Numba's target of a processor with this context."""

    @cached_property
    def _toplevel_typing_context(self) -> _TypingContext:
        return _TypingContext()

    @property
    def target_context(self) -> _Context:
        """The context, the same in all threads."""
        return _CONTEXT


class _Processor(CPU):  # type: ignore[misc]
    """The class of the target; what is defined for Numba's processor is defined for it."""


target_registry[TARGET_NAME] = _Processor
TARGET = _Target(TARGET_NAME)
_CONTEXT = _Context(TARGET.typing_context, TARGET_NAME)


class TargetDispatcher(Dispatcher):
    """A compiled function of this target."""

    targetdescr = TARGET

    def compile(self, sig: Any) -> Any:
        """Compile the function for the types of its arguments, and what it calls for the same target."""
        with target_override(TARGET_NAME):
            return super().compile(sig)


# Numba compiles what functions call, such as those of NumPy, for the target of the caller.
jit_registry[_Processor] = partial(jit, _target=TARGET_NAME)
