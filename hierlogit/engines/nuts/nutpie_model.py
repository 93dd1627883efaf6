"""Model -> nutpie's model: the compiled joint density, the variables kept of each draw, and starting points.

nutpie calls the density as a C function, without Python, as it does with the models it compiles itself. That interface
is private and may change. With releases whose interface is not known here, nutpie's public interface for Python
functions is used, which costs some tens of microseconds for each evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...density.integrated import c_callbacks as integrated_callbacks
from ...density.integrated.arrays import IntegratedArrays
from ...density.integrated.log_density import evaluate as evaluate_integrated
from ...density.joint import c_callbacks as joint_callbacks
from ...density.joint.c_callbacks import Outputs
from ...density.joint.log_density import evaluate
from ...density.joint.model_arrays import JointArrays
from ...fits.posterior import posterior_layout
from ...late_imports import put_off
from .options import INTEGRATION_ERROR

# nutpie needs ArviZ, which loads Matplotlib, for results in another form only.
with put_off({"arviz": ()}):
    from nutpie import _lib
    from nutpie.compiled_pyfunc import from_pyfunc
    from nutpie.sample import CompiledModel

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Shape = tuple[int, ...]

#: Releases of nutpie that have the interface to C functions used here.
KNOWN_INTERFACES = ("0.16.",)
#: Chains start at standard normal variables times this, wider than the posterior, whose sds are about 1.
START_SPREAD = 1.5


class OutsideError(ValueError):
    """The density is not finite at this position; the sampler rejects it and goes on."""

    is_recoverable = True


@dataclass(frozen=True)
class NativeModel(CompiledModel):  # type: ignore[misc]
    """A joint density as nutpie takes it.

    Parameters
    ----------
    model : Model
    joint : JointArrays
    store_u : bool
        Whether standardised effects are kept.
    """

    #: Names of numbers that are written behind the kept variables of each draw.
    checks: ClassVar[tuple[str, ...]] = ()

    dims: dict[str, tuple[str, ...]] | None = field(default=None, init=False)
    model: ModelSpec
    joint: JointArrays
    store_u: bool

    @cached_property
    def outputs(self) -> Outputs:
        """The variables that are kept, for compiled code."""
        groups, arrangement = self.model.design.groups, self.model.arrangement
        factors = [arrangement.factors.index(k) for k in range(len(groups))]
        none = np.empty(0, dtype=np.int64)
        return Outputs(
            factor=np.array(factors, dtype=np.int64),
            correlated=np.array([group.correlated for group in groups], dtype=np.int64),
            standardised=np.full(len(groups), int(self.store_u), dtype=np.int64),
            order=np.concatenate([none, *self.joint.orders]),
            scale=np.array([len(self.joint.arrays.sd_family) - 1] if self.model.overdispersed else [], dtype=np.int64),
        )

    @property
    def n_dim(self) -> int:
        """Length of a position."""
        return self.joint.n_dim

    @property
    def n_out(self) -> int:
        """How many numbers are kept of each draw."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shapes of the variables that are kept, by name, in the order in which they are written."""
        layout = posterior_layout(self.model, store_u=self.store_u)
        return {name: one.shape for name, one in layout.items()} | dict.fromkeys(self.checks, ())

    @property
    def coords(self) -> dict[str, Any]:
        """Empty: labels are added later."""
        return {}

    def start(self, seed: int) -> FloatArray:
        """Where a chain starts."""
        return START_SPREAD * np.random.default_rng(seed).standard_normal(self.n_dim)

    def _make_sampler(self, settings: Any, init_mean: Any, cores: int, *rest: Any) -> Any:
        if version("nutpie").startswith(KNOWN_INTERFACES):
            return _lib.PySampler.from_pymc(settings, cores, self._make_model(init_mean), *rest)
        return self.as_python_functions()._make_sampler(settings, init_mean, cores, *rest)

    def c_functions(self) -> tuple[int, IntArray, int, IntArray]:
        """Addresses of the density and of what writes the kept numbers, each with its table."""
        _, density, expand = joint_callbacks.CALLBACKS[type(self.joint.arrays)]
        table, kept = (
            joint_callbacks.table_of(one, self.outputs) for one in (self.joint.arrays, self.joint.of_effects)
        )
        return density.address, table, expand.address, kept

    def log_density(self, x: FloatArray, gradient: FloatArray) -> float:
        """The density; its gradient is written."""
        effects = int(self.joint.arrays.variable_at[-1])
        return float(evaluate(self.joint.arrays, x, gradient, np.empty(effects), np.empty(effects)))

    def write(self, x: FloatArray, out: FloatArray) -> None:
        """Write the kept numbers of a position."""
        joint_callbacks.expand(self.joint.of_effects, self.outputs, x, out)

    def _make_model(self, _init_mean: Any) -> Any:
        density, table, write, kept = self.c_functions()
        owner = (self, table, kept)  # kept alive as long as nutpie's model is
        sizes = {f"{name}_{k}": size for name, shape in self.shapes.items() for k, size in enumerate(shape)}
        dims = {name: [f"{name}_{k}" for k in range(len(shape))] for name, shape in self.shapes.items()}
        sizes["unconstrained_parameter"] = self.n_dim
        kinds, shapes = ["float64"] * len(dims), [list(shape) for shape in self.shapes.values()]
        return _lib.PyMcModel(
            _lib.LogpFunc(density, table.ctypes.data, owner),
            _lib.ExpandFunc(self.n_dim, self.n_out, write, kept.ctypes.data, owner),
            _lib.PyVariable.new_variables(list(dims), kinds, shapes, sizes, dims),
            self.n_dim,
            sizes,
            {},
            self.start,
            None,
        )

    def as_python_functions(self) -> Any:
        """The same model by nutpie's public interface."""
        shapes = self.shapes

        def make_log_density() -> Any:
            def log_density(x: FloatArray) -> tuple[float, FloatArray]:
                gradient = np.empty_like(x)
                value = self.log_density(x, gradient)
                if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
                    raise OutsideError
                return value, gradient

            return log_density

        def make_expand(_first_seed: int, _second_seed: int, _chain: int) -> Any:
            def expanded(x: FloatArray) -> dict[str, FloatArray]:
                out = np.empty(self.n_out)
                self.write(x, out)
                ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
                parts = np.split(out, ends[:-1])
                return {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}

            return expanded

        return from_pyfunc(
            self.n_dim,
            make_log_density,
            make_expand,
            [np.dtype(np.float64)] * len(shapes),
            list(shapes.values()),
            list(shapes),
            make_initial_point_fn=self.start,
        )


@dataclass(frozen=True)
class IntegratedModel(NativeModel):
    """A joint density with the first factor's effects integrated out, as nutpie takes it.

    Parameters
    ----------
    model : Model
    joint : JointArrays
        In the order of the blocks of `integrated`.
    store_u : bool
        Whether standardised effects are kept.
    integrated : IntegratedArrays
    finer : IntegratedArrays
        The same with more nodes, by which the error of the quadrature is known.
    """

    checks: ClassVar[tuple[str, ...]] = (INTEGRATION_ERROR,)
    integrated: IntegratedArrays
    finer: IntegratedArrays

    @property
    def n_dim(self) -> int:
        """Length of a position."""
        return self.integrated.n_dim

    def c_functions(self) -> tuple[int, IntArray, int, IntArray]:
        """Addresses of the density and of what writes the kept numbers, each with its table."""
        table = integrated_callbacks.table_of(self.integrated, self.finer, self.outputs)
        functions = integrated_callbacks.log_density_callback, integrated_callbacks.expand_callback
        return functions[0].address, table, functions[1].address, table

    def log_density(self, x: FloatArray, gradient: FloatArray) -> float:
        """The density; its gradient is written."""
        return float(evaluate_integrated(self.joint.arrays, self.integrated.blocks, x, gradient))

    def write(self, x: FloatArray, out: FloatArray) -> None:
        """Write the kept numbers of a position."""
        integrated_callbacks.expand(self.integrated, self.finer, self.outputs, x, out)
