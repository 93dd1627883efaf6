"""The integrated density as C functions, which a sampler written in another language calls without Python.

Their table has the arrays of `Joint`, `Outputs` and `Blocks`, the address of `evaluate_callback`, and the address of a
table that differs in the nodes alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import c_function, exact_kernel
from ...numba_support.struct_by_address import ENTRY, array_at, at_address, number_at, pointer_at, table_of_arrays
from ...numba_support.vectors import allocate, window
from ..joint.arrays import Joint
from ..joint.c_callbacks import (
    EVALUATE,
    EXPAND,
    JOINT_ARRAYS,
    LOG_DENSITY,
    WRONG_SIZE,
    Outputs,
    call_evaluate,
    checked_density,
    write_kept,
)
from ..joint.log_density import shared_parts
from .arrays import Blocks, IntegratedArrays
from .effect_draws import draw_effects, draw_size, key_of
from .log_density import evaluate, evaluate_with, scratch_size
from .marginal_scale import forward, forward_size, full_position, log_scale, of_parameters, position_sizes

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Where in the table the arrays of `Blocks` stand, and the two addresses behind all arrays.
BLOCKS = JOINT_ARRAYS + len(Outputs._fields)
FUNCTION = ENTRY * (BLOCKS + len(Blocks._fields))
FINER = FUNCTION + 1
#: The error of the quadrature is computed for one of so many draws, chosen by their random numbers; a power of two.
CHECKED = np.uint64(16)
_ONE = np.uint64(1)

_joint_at, _outputs_at, _blocks_at = at_address(Joint), at_address(Outputs), at_address(Blocks)


@c_function(EVALUATE)
def evaluate_callback(table: Any, x: Any, grad: Any, u: Any, b: Any) -> float:
    """`evaluate` for the other functions here, each of which would otherwise contain a copy of its machine code."""
    joint, blocks = _joint_at(table, 0), _blocks_at(table, BLOCKS)
    parameters, integrated, others = position_sizes(joint)
    size, effects = parameters + others, integrated + others
    scratch = np.empty(scratch_size(joint, blocks))
    return evaluate_with(
        joint, blocks, array_at(x, size), array_at(grad, size), array_at(u, effects), array_at(b, effects), scratch
    )


@exact_kernel
def is_checked(x: FloatArray) -> bool:
    """Whether the error of the quadrature is computed for a draw."""
    checked: bool = (key_of(x) & (CHECKED - _ONE)) == 0
    return checked


@exact_kernel
def write_draw(joint: Joint, o: Outputs, blocks: Blocks, x: FloatArray, out: FloatArray) -> None:
    """Write what is kept of a position, as `write_kept` does, with effects of the first factor drawn for it."""
    # Memory of which only parts are named is freed while they are in use: it is an argument of another function.
    scratch = np.empty(2 * joint.variable_at[-1] + forward_size(joint) + draw_size(blocks) + len(joint.centre))
    _write_draw_with(joint, o, blocks, x, out, scratch)


@exact_kernel
def _write_draw_with(
    joint: Joint, o: Outputs, blocks: Blocks, x: FloatArray, out: FloatArray, scratch: FloatArray
) -> None:
    effects = joint.variable_at[-1]
    u, used = allocate(scratch, 0, effects)
    b, used = allocate(scratch, used, effects)
    of_forward, used = allocate(scratch, used, forward_size(joint))
    of_draws, used = allocate(scratch, used, draw_size(blocks) + len(joint.centre))
    forward(joint, blocks, x, u, b, of_forward)
    gamma, _, cholesky, _ = shared_parts(joint, of_parameters(joint, of_forward))
    draw_effects(joint, blocks, gamma, cholesky[0], key_of(x), of_draws, u, b)
    log_k, _ = log_scale(joint, blocks, x, of_draws)
    write_kept(joint, o, full_position(joint, of_forward), log_k, u, b, out)


@c_function(LOG_DENSITY)
def log_density_callback(n: int, x: Any, grad: Any, value: Any, table: Any) -> int:
    """Value and gradient, with the signature that nutpie expects of a compiled model."""
    joint = _joint_at(table, 0)
    parameters, integrated, others = position_sizes(joint)
    size, effects = parameters + others, integrated + others
    if n != size:
        return WRONG_SIZE
    function = number_at(table, FUNCTION)
    return checked_density(function, table, effects, array_at(x, size), array_at(grad, size), array_at(value, 1))


@c_function(EXPAND)
def expand_callback(n: int, n_out: int, x: Any, out: Any, table: Any) -> int:
    """What is kept of a position, with the signature that nutpie expects of a compiled model.

    Behind it stands the error of the quadrature, which is not a number for most draws.
    """
    joint = _joint_at(table, 0)
    parameters, integrated, others = position_sizes(joint)
    size, effects = parameters + others, integrated + others
    if n != size:
        return WRONG_SIZE
    position, kept = array_at(x, size), array_at(out, n_out)
    write_draw(joint, _outputs_at(table, JOINT_ARRAYS), _blocks_at(table, BLOCKS), position, window(kept, 0, n_out - 1))
    kept[n_out - 1] = np.nan
    if is_checked(position):
        grad, u, b = np.empty(size), np.empty(effects), np.empty(effects)
        function = number_at(table, FUNCTION)
        density = call_evaluate(function, table, x, grad, u, b)
        kept[n_out - 1] = density - call_evaluate(function, pointer_at(table, FINER), x, grad, u, b)
    return 0


CALLBACKS = (evaluate_callback, log_density_callback, expand_callback)


def table_of(arrays: IntegratedArrays, finer: IntegratedArrays, outputs: Outputs) -> IntArray:
    """The table for the C functions, inside one that holds it and that of a finer rule, whose errors are compared.

    The arrays must outlive it.
    """
    functions = np.array([evaluate_callback.address, 0], dtype=np.int64)
    tables = [[*map(table_of_arrays, (one.joint.arrays, outputs, one.blocks)), functions] for one in (arrays, finer)]
    both = np.concatenate([array for table in tables for array in table])
    both[FINER] = both.ctypes.data + both.nbytes // 2
    return both


def expand(arrays: IntegratedArrays, finer: IntegratedArrays, outputs: Outputs, x: FloatArray, out: FloatArray) -> None:
    """Write what is kept of a position, and the error of the quadrature."""
    write_draw(arrays.joint.arrays, outputs, arrays.blocks, x, out[:-1])
    out[-1] = integration_error(arrays, finer, x) if is_checked(x) else math.nan


def integration_error(arrays: IntegratedArrays, finer: IntegratedArrays, x: FloatArray) -> float:
    """By how much the log densities of two rules differ at a position."""
    gradient = np.empty_like(x)
    values = [evaluate(one.joint.arrays, one.blocks, x, gradient) for one in (arrays, finer)]
    return float(values[0] - values[1])
