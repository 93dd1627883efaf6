"""Batches of rows by level of the first grouping factor: linear predictors, log-likelihood and gradient, compiled.

A batch has so few rows that their linear predictors and residuals stay in the fastest cache while they are used.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel
from ...numba_support.vectors import add_column, allocate, copy, fill, view, window
from ..kernels.design_products import add_by_level, add_columns, add_effects, add_sorted, dot_columns, sum_sorted
from .arrays import Joint
from .outcomes import SHARED, add_rows
from .partial_centring import backward, forward

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@exact_kernel
def batch_size(joint: Joint) -> int:
    """How many numbers `add_batch` writes to its scratch."""
    size: int = (8 + 3 * joint.q[0]) * joint.q[0] * joint.most[0] + 2 * joint.most[1] + SHARED
    return size


@exact_kernel
def add_other_effects(joint: Joint, r0: int, b: FloatArray, eta: FloatArray) -> None:
    """Add the effects of the other factors to the linear predictors of some rows, the first of which is r0."""
    n, count = len(joint.y), len(eta)
    for t in range(1, len(joint.q)):
        J, level_t = joint.levels[t], window(joint.level_of, t * n + r0, count)
        for a in range(joint.q[t]):
            column = window(joint.Z, (joint.effect_at[t] + a) * n + r0, count)
            add_effects(column, level_t, window(b, joint.variable_at[t] + a * J, J), 1.0, eta)


@exact_kernel
def sum_for_other_effects(joint: Joint, r0: int, residual: FloatArray, db_others: FloatArray) -> None:
    """The gradient through `add_other_effects`: add to the derivatives in the other factors' effects."""
    n, count = len(joint.y), len(residual)
    for t in range(1, len(joint.q)):
        J, level_t = joint.levels[t], window(joint.level_of, t * n + r0, count)
        for a in range(joint.q[t]):
            column = window(joint.Z, (joint.effect_at[t] + a) * n + r0, count)
            total = window(db_others, joint.variable_at[t] - joint.variable_at[1] + a * J, J)
            add_by_level(column, level_t, residual, 1.0, total)


@exact_kernel
def add_batch(
    joint: Joint,
    k: int,
    x: FloatArray,
    gamma: FloatArray,
    L: FloatArray,
    scratch: FloatArray,
    u: FloatArray,
    b: FloatArray,
    db_others: FloatArray,
    grad: FloatArray,
    dgamma: FloatArray,
    dL: FloatArray,
    value: float,
) -> float:
    """`value` plus the log density of batch k: its rows, and its levels' effects, which go into u and b.

    The gradient is added to `dgamma`, to `dL` of the first factor's Cholesky factor L and to `db_others` of the other
    factors' effects; that in the variables of the batch's levels is written to `grad`.
    """
    n, q, J = len(joint.y), joint.q[0], joint.levels[0]
    j0 = joint.batch_start[k]
    m, r0 = joint.batch_start[k + 1] - j0, joint.row_start[j0]
    count, row_start = joint.row_start[j0 + m] - r0, window(joint.row_start, j0, m + 1)
    wide, first_v = q * joint.most[0], len(gamma) + len(joint.centre) + j0
    eta, used = window(scratch, 0, count), joint.most[1]
    residual, used = window(scratch, used, count), used + joint.most[1]
    kappa, used = allocate(scratch, used, wide)
    centre, used = allocate(scratch, used, wide)
    inverse, used = allocate(scratch, used, wide)
    u_k, used = allocate(scratch, used, wide)
    b_k, used = allocate(scratch, used, wide)
    db, used = allocate(scratch, used, wide)
    dt, used = allocate(scratch, used, wide)
    dkappa, used = allocate(scratch, used, wide)
    C, used = allocate(scratch, used, q * wide)
    IL, used = allocate(scratch, used, q * wide)
    dC, used = allocate(scratch, used, q * wide)
    for a in range(q):
        kappa_a = window(kappa, a * m, m)
        copy(window(joint.score, a * J + j0, m), kappa_a)
        add_columns(joint.cross_information, q * J, a * J + j0, gamma, -1.0, kappa_a)
    fill(window(db, 0, q * m), 0.0)
    level = window(joint.level_of, r0, count)
    if joint.several_factors and len(joint.q) > 1:
        fill(eta, 0.0)
        add_other_effects(joint, r0, b, eta)
        # The first factor's kappa takes from nothing else that is in eta.
        sum_sorted(joint.weighted_Z, n, q, level, row_start, eta, -1.0, kappa)
        add_column(window(joint.offset, r0, count), 1.0, eta)
    else:
        copy(window(joint.offset, r0, count), eta)
    add_columns(joint.X, n, r0, gamma, 1.0, eta)
    information = view(joint.information, j0, q * q * J)
    value += forward(q, L, information, J, kappa, x, J, first_v, m, C, inverse, IL, centre, u_k, b_k)
    for a in range(q):
        copy(window(u_k, a * m, m), window(u, a * J + j0, m))
        copy(window(b_k, a * m, m), window(b, a * J + j0, m))
    add_sorted(joint.Z, n, q, level, row_start, b_k, 1.0, eta)
    y, trials = window(joint.y, r0, count), window(joint.trials, r0, count)
    value += add_rows(joint, k, y, trials, eta, residual, scratch)
    sum_sorted(joint.Z, n, q, level, row_start, residual, 1.0, db)
    backward(q, L, kappa, m, C, inverse, IL, centre, u_k, db, dt, dC, dkappa, grad, J, first_v, dL)
    dot_columns(joint.X, n, r0, residual, 1.0, dgamma)
    for a in range(q):
        dot_columns(joint.cross_information, q * J, a * J + j0, window(dkappa, a * m, m), -1.0, dgamma)
    if joint.several_factors and len(joint.q) > 1:
        add_sorted(joint.weighted_Z, n, q, level, row_start, dkappa, -1.0, residual)
        sum_for_other_effects(joint, r0, residual, db_others)
    return value
