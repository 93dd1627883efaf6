"""The joint log density with the first factor's effects integrated out, and its gradient, compiled for all models."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel
from ...numba_support.vectors import allocate
from ..joint.arrays import Joint
from ..joint.log_density import derivative_in_others, shared_parts
from .arrays import Blocks
from .blocks import add_block, block_size
from .marginal_scale import backward, forward, forward_size, of_others, of_parameters

FloatArray = npt.NDArray[np.float64]


@exact_kernel
def scratch_size(joint: Joint, blocks: Blocks) -> int:
    """How many numbers `evaluate_with` writes to its scratch."""
    size: int = forward_size(joint) + block_size(blocks)
    return size


@exact_kernel
def evaluate_with(
    joint: Joint,
    blocks: Blocks,
    x: FloatArray,
    grad: FloatArray,
    u: FloatArray,
    b: FloatArray,
    scratch: FloatArray,
) -> float:
    """Log density at x up to a constant.

    Parameters
    ----------
    joint : Joint
    blocks : Blocks
    x, grad : ndarray, shape (d,)
        A position as in `marginal_scale`. The gradient is written.
    u, b : ndarray, shape (sum of q_t J_t,)
        Written for the other factors: standardised effects and effects on the logit scale.
    scratch : ndarray
        As many numbers as `scratch_size` says.

    Returns
    -------
    float
    """
    of_forward, used = allocate(scratch, 0, forward_size(joint))
    of_block, used = allocate(scratch, used, block_size(blocks))
    value = forward(joint, blocks, x, u, b, of_forward)
    gamma, dgamma, cholesky, dcholesky = shared_parts(joint, of_parameters(joint, of_forward))
    db_others = derivative_in_others(joint, of_others(joint, of_forward))
    for k in range(len(blocks.kind)):
        value = add_block(joint, blocks, k, gamma, cholesky[0], of_block, b, db_others, dgamma, dcholesky, value)
    backward(joint, blocks, x, u, b, grad, of_forward)
    return value


@exact_kernel
def evaluate(joint: Joint, blocks: Blocks, x: FloatArray, grad: FloatArray) -> float:
    """Log density at x up to a constant; the gradient is written."""
    u, b = np.empty(joint.variable_at[-1]), np.empty(joint.variable_at[-1])
    result: float = evaluate_with(joint, blocks, x, grad, u, b, np.empty(scratch_size(joint, blocks)))
    return result
