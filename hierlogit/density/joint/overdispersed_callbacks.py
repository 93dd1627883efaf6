"""The joint density of a model with beta-binomial outcomes as C functions, as in `c_callbacks`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import c_function
from ...numba_support.struct_by_address import array_at, at_address, number_at, table_of_arrays
from .arrays import Joint, OverdispersedJoint
from .c_callbacks import (
    EVALUATE,
    EXPAND,
    FUNCTION,
    JOINT_ARRAYS,
    LOG_DENSITY,
    WRONG_SIZE,
    Outputs,
    checked_density,
    evaluate_and_write,
    position_size,
)
from .log_density import evaluate_with, scratch_size

IntArray = npt.NDArray[np.int64]

_joint_at, _outputs_at = at_address(OverdispersedJoint), at_address(Outputs)


@c_function(EVALUATE)
def evaluate_callback(table: Any, x: Any, grad: Any, u: Any, b: Any) -> float:
    """`evaluate` for the other functions here, each of which would otherwise contain a copy of its machine code."""
    joint = _joint_at(table, 0)
    size, effects = position_size(joint), joint.variable_at[-1]
    scratch = np.empty(scratch_size(joint))
    return evaluate_with(
        joint, array_at(x, size), array_at(grad, size), array_at(u, effects), array_at(b, effects), scratch
    )


@c_function(LOG_DENSITY)
def log_density_callback(n: int, x: Any, grad: Any, value: Any, table: Any) -> int:
    """Value and gradient, with the signature that nutpie expects of a compiled model."""
    joint = _joint_at(table, 0)
    size, effects = position_size(joint), joint.variable_at[-1]
    if n != size:
        return WRONG_SIZE
    function = number_at(table, FUNCTION)
    return checked_density(function, table, effects, array_at(x, size), array_at(grad, size), array_at(value, 1))


@c_function(EXPAND)
def expand_callback(n: int, n_out: int, x: Any, out: Any, table: Any) -> int:
    """What is kept of a position, with the signature that nutpie expects of a compiled model."""
    joint = _joint_at(table, 0)
    size = position_size(joint)
    if n != size:
        return WRONG_SIZE
    outputs, function = _outputs_at(table, JOINT_ARRAYS), number_at(table, FUNCTION)
    evaluate_and_write(joint, outputs, function, table, array_at(x, size), array_at(out, n_out))
    return 0


CALLBACKS = (evaluate_callback, log_density_callback, expand_callback)


def table_of(arrays: Joint, outputs: Outputs) -> IntArray:
    """The table for the C functions: addresses and lengths of the arrays, which must outlive it, and a function."""
    tables = [table_of_arrays(arrays), table_of_arrays(outputs)]
    return np.concatenate([*tables, np.array([evaluate_callback.address], dtype=np.int64)])
