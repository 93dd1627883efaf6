"""Random effects of all grouping factors but the first, and the gradient through them, compiled.

The rows are ordered by the first factor and are handled with its levels (`row_batches`); the effects of the other
factors must be known before any row is read, and their gradient is complete after the last one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel
from ...numba_support.vectors import allocate, copy, fill, window
from ..kernels.design_products import add_columns, dot_columns
from .arrays import Joint
from .partial_centring import backward, forward

FloatArray = npt.NDArray[np.float64]


@exact_kernel
def others_columns(joint: Joint) -> tuple[int, int]:
    """Numbers of the other factors' effects at all levels, and of the entries of their information matrices."""
    T = len(joint.q)
    return joint.variable_at[T] - joint.variable_at[1], joint.information_at[T] - joint.information_at[1]


@exact_kernel
def _couple(joint: Joint, x_fixed: FloatArray, v: FloatArray) -> None:
    """From the sampler's variables of the other factors to those of `partial_centring`, in place."""
    for d in range(len(joint.coupling_stretch)):
        start, stop = joint.coupling_start[d], joint.coupling_start[d + 1]
        along = 0.0
        for i in range(start, stop):
            along += joint.coupling_entry[i] * v[joint.coupling_index[i]]
        along *= joint.coupling_stretch[d]
        for i in range(start, stop):  # directions are orthogonal: those that follow do not see the change
            v[joint.coupling_index[i]] += along * joint.coupling_entry[i]
    add_columns(joint.coupling_by_fixed, len(v), 0, x_fixed, 1.0, v)


@exact_kernel
def _couple_backward(joint: Joint, dv: FloatArray, dx_fixed: FloatArray) -> None:
    """The gradient through `_couple`: from the derivative in its result to those in its arguments, the first added."""
    dot_columns(joint.coupling_by_fixed, len(dv), 0, dv, 1.0, dx_fixed)
    for d in range(len(joint.coupling_stretch)):
        start, stop = joint.coupling_start[d], joint.coupling_start[d + 1]
        along = 0.0
        for i in range(start, stop):
            along += joint.coupling_entry[i] * dv[joint.coupling_index[i]]
        along *= joint.coupling_stretch[d]
        for i in range(start, stop):
            dv[joint.coupling_index[i]] += along * joint.coupling_entry[i]


@exact_kernel
def others_forward(
    joint: Joint,
    x: FloatArray,
    gamma: FloatArray,
    cholesky: FloatArray,
    scratch: FloatArray,
    u: FloatArray,
    b: FloatArray,
    value: float,
) -> float:
    """Effects of the other factors into u and b; `value` plus their log density.

    The first numbers of `scratch` are then for the derivative in b, and zero. `others_backward` finds the rest there.
    """
    p, first_v = len(gamma), len(gamma) + len(joint.centre)
    at_others, squares_at = joint.variable_at[1], joint.information_at[1]
    columns, squares = others_columns(joint)
    db, used = allocate(scratch, 0, columns)
    kappa, used = allocate(scratch, used, columns)
    centre, used = allocate(scratch, used, columns)
    inverse, used = allocate(scratch, used, columns)
    C, used = allocate(scratch, used, squares)
    IL, used = allocate(scratch, used, squares)
    v, used = allocate(scratch, used, columns)
    copy(window(x, first_v + at_others, columns), v)
    _couple(joint, window(x, 0, p), v)
    fill(db, 0.0)
    cholesky_at = joint.q[0] * joint.q[0]
    for t in range(1, len(joint.q)):
        q, J = joint.q[t], joint.levels[t]
        at, square = joint.variable_at[t], joint.information_at[t] - squares_at
        kappa_t = window(kappa, at - at_others, q * J)
        copy(window(joint.score, at, q * J), kappa_t)
        add_columns(joint.cross_information, q * J, at * p, gamma, -1.0, kappa_t)
        value += forward(
            q,
            window(cholesky, cholesky_at, q * q),
            window(joint.information, joint.information_at[t], q * q * J),
            J,
            kappa_t,
            v,
            J,
            at - at_others,
            J,
            window(C, square, q * q * J),
            window(inverse, at - at_others, q * J),
            window(IL, square, q * q * J),
            window(centre, at - at_others, q * J),
            window(u, at, q * J),
            window(b, at, q * J),
        )
        cholesky_at += q * q
    return value


@exact_kernel
def others_backward(
    joint: Joint,
    cholesky: FloatArray,
    scratch: FloatArray,
    u: FloatArray,
    grad: FloatArray,
    dgamma: FloatArray,
    dcholesky: FloatArray,
) -> None:
    """The gradient through `others_forward`, which wrote to `scratch`, from the derivative in b at its start."""
    p, first_v = len(dgamma), len(dgamma) + len(joint.centre)
    at_others, squares_at = joint.variable_at[1], joint.information_at[1]
    columns, squares = others_columns(joint)
    db, used = allocate(scratch, 0, columns)
    kappa, used = allocate(scratch, used, columns)
    centre, used = allocate(scratch, used, columns)
    inverse, used = allocate(scratch, used, columns)
    C, used = allocate(scratch, used, squares)
    IL, used = allocate(scratch, used, squares)
    dv, used = allocate(scratch, used, columns)
    dt, used = allocate(scratch, used, columns)
    dkappa, used = allocate(scratch, used, columns)
    dC, used = allocate(scratch, used, squares)
    cholesky_at = joint.q[0] * joint.q[0]
    for t in range(1, len(joint.q)):
        q, J = joint.q[t], joint.levels[t]
        at, square = joint.variable_at[t], joint.information_at[t] - squares_at
        dkappa_t = window(dkappa, at - at_others, q * J)
        backward(
            q,
            window(cholesky, cholesky_at, q * q),
            window(kappa, at - at_others, q * J),
            J,
            window(C, square, q * q * J),
            window(inverse, at - at_others, q * J),
            window(IL, square, q * q * J),
            window(centre, at - at_others, q * J),
            window(u, at, q * J),
            window(db, at - at_others, q * J),
            window(dt, at - at_others, q * J),
            window(dC, square, q * q * J),
            dkappa_t,
            dv,
            J,
            at - at_others,
            window(dcholesky, cholesky_at, q * q),
        )
        dot_columns(joint.cross_information, q * J, at * p, dkappa_t, -1.0, dgamma)
        cholesky_at += q * q
    _couple_backward(joint, dv, window(grad, 0, p))
    copy(dv, window(grad, first_v + at_others, columns))


@exact_kernel
def others_size(joint: Joint) -> int:
    """How many numbers `others_forward` and `others_backward` write to their scratch."""
    columns, squares = others_columns(joint)
    return 7 * columns + 3 * squares
