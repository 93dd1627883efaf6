"""The joint log density of all parameters and cluster effects, and its gradient, for any model: compiled once.

The sampler's position x holds, one after the other, p variables of the fixed effects, the standard deviations, the
correlations, and a variable for every effect of every level (`density.whitening`). All of them are shifted and scaled
by constants, so that a posterior that is nearly normal is nearly standard normal in x:

    gamma = gamma0 + G x_fixed          log sd = centre + width x_sd          z = centre + width x_cor

The rows are taken a few hundred at a time, level by level of the first grouping factor, and every row's linear
predictor, log-likelihood and residual are used while they are in the cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel
from ...numba_support.struct_by_address import by_address
from ...numba_support.vectors import add_column, allocate, copy, fill, view, window
from ..kernels.binomial_residuals import add_rows
from ..kernels.design_products import add_by_level, add_columns, add_effects, add_sorted, dot_columns, sum_sorted
from ..kernels.scale_priors import cholesky_backward, cholesky_forward, scale_priors, symmetric_density, total_square
from .partial_centring import backward, forward

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@by_address
class Joint(NamedTuple):
    """A model's arrays for the joint density; all of one dimension, floats first.

    n rows, p fixed effects, T grouping factors, the first of which orders the rows; q_t effects for each of J_t levels,
    E effects of all factors together, K correlation variables. Arrays by effect and level have one effect after the
    other, levels innermost.
    """

    y: FloatArray  # (n,)
    trials: FloatArray  # (n,)
    offset: FloatArray  # (n,)
    X: FloatArray  # (p n,) columns of the orthogonal basis
    Z: FloatArray  # (E n,)
    weighted_Z: FloatArray  # (q_0 n,) Z of the first factor times the weights at the fixed point; empty if T is 1
    gamma0: FloatArray  # (p,)
    gamma_scale: FloatArray  # (p p,) G
    beta0: FloatArray  # (p,)
    beta_scale: FloatArray  # (p p,) beta = beta0 + beta_spread x_fixed
    centred0: FloatArray  # (p,) what priors are stated of: the coefficients, the intercept at the predictors' means
    centred_scale: FloatArray  # (p p,)
    beta_arguments: FloatArray  # (3 p,) location, scale, degrees of freedom
    centre: FloatArray  # (E + K,)
    width: FloatArray  # (E + K,)
    sd_arguments: FloatArray  # (3 E,)
    cor_power: FloatArray  # (K,)
    information: FloatArray  # (sum of q_t^2 J_t,) factor by factor
    score: FloatArray  # (sum of q_t J_t,)
    cross_information: (
        FloatArray  # (sum of q_t J_t p,) how pull falls with gamma, of each factor coefficient by coefficient
    )
    beta_family: IntArray  # (p,)
    sd_family: IntArray  # (E,)
    set_size: IntArray  # (E,)
    set_first: IntArray  # (E,) first effect of each effect's set, counted within its factor
    cor_start: IntArray  # (E + 1,) correlation variables of each effect's row
    q: IntArray  # (T,)
    levels: IntArray  # (T,)
    level_of: IntArray  # (T n,) level of each row, factor by factor
    row_start: IntArray  # (J_0 + 1,)
    batch_start: IntArray  # levels of the first factor that are taken together
    kind: IntArray  # of each batch, how many trials its rows have: see `density.residuals`
    most: IntArray  # levels and rows of the largest batch
    effect_at: IntArray  # (T + 1,) of each factor, where its effects start among all E
    variable_at: IntArray  # (T + 1,) among the variables of all levels and effects
    information_at: IntArray  # (T + 1,)


@exact_kernel
def affine(start: FloatArray, matrix: FloatArray, x: FloatArray, out: FloatArray) -> None:
    """``out = start + matrix x``, with the first entries of x."""
    p = len(start)
    for k in range(p):
        total = start[k]
        for m in range(p):
            total += matrix[k * p + m] * x[m]
        out[k] = total


@exact_kernel
def add_transposed(matrix: FloatArray, slope: FloatArray, out: FloatArray) -> None:
    """``out += matrix' slope``, to the first entries of `out`."""
    p = len(slope)
    for k in range(p):
        for m in range(p):
            out[m] += matrix[k * p + m] * slope[k]


@exact_kernel
def fixed_prior(
    family: IntArray,
    arguments: FloatArray,
    centred0: FloatArray,
    centred_scale: FloatArray,
    x: FloatArray,
    grad: FloatArray,
    centred: FloatArray,
    slope: FloatArray,
) -> float:
    """Log prior density of the fixed effects; its gradient is added. The last two, of shape (p,), are scratch."""
    p, value = len(centred0), 0.0
    affine(centred0, centred_scale, x, centred)
    for k in range(p):
        location, scale, nu = arguments[3 * k], arguments[3 * k + 1], arguments[3 * k + 2]
        own, slope[k] = symmetric_density(family[k], location, scale, nu, centred[k])
        value += own
    add_transposed(centred_scale, slope, grad)
    return value


@exact_kernel
def evaluate(joint: Joint, x: FloatArray, grad: FloatArray, u: FloatArray, b: FloatArray) -> float:
    """Log density at x up to a constant.

    Parameters
    ----------
    joint : Joint
    x, grad : ndarray, shape (d,)
        The gradient is written.
    u, b : ndarray, shape (sum of q_t J_t,)
        Written: standardised effects and effects on the logit scale.

    Returns
    -------
    float
    """
    # One piece of memory for everything: an array of its own for each would be counted and freed, which takes longer
    # than most loops over it.
    scratch = np.empty(scratch_size(joint))
    return evaluate_with(joint, x, grad, u, b, scratch)


@exact_kernel
def scratch_size(joint: Joint) -> int:
    """How many numbers `evaluate_with` notes down."""
    p, E, scales, n_cholesky, T = (
        len(joint.gamma0),
        len(joint.sd_family),
        len(joint.centre),
        total_square(joint.q),
        len(joint.q),
    )
    columns, squares = joint.variable_at[T] - joint.variable_at[1], joint.information_at[T] - joint.information_at[1]
    wide = joint.q[0] * joint.most[0]
    of_others = 6 * columns + 3 * squares
    size: int = 4 * p + 2 * scales + E + 3 * n_cholesky + of_others + (8 + 3 * joint.q[0]) * wide + 2 * joint.most[1]
    return size


@exact_kernel
def evaluate_with(
    joint: Joint, x: FloatArray, grad: FloatArray, u: FloatArray, b: FloatArray, scratch: FloatArray
) -> float:
    """`evaluate`, with the memory that it writes to."""
    p, E, T = len(joint.gamma0), len(joint.sd_family), len(joint.q)
    n, scales = len(joint.y), len(joint.centre)
    first_v, n_cholesky = p + scales, total_square(joint.q)
    gamma, used = allocate(scratch, 0, p)
    dgamma, used = allocate(scratch, used, p)
    centred, used = allocate(scratch, used, p)
    dcentred, used = allocate(scratch, used, p)
    unbounded, used = allocate(scratch, used, scales)
    slope, used = allocate(scratch, used, scales)
    sd, used = allocate(scratch, used, E)
    rows, used = allocate(scratch, used, n_cholesky)
    cholesky, used = allocate(scratch, used, n_cholesky)
    dcholesky, used = allocate(scratch, used, n_cholesky)
    fill(dgamma, 0.0)
    fill(rows, 0.0)
    fill(cholesky, 0.0)
    fill(dcholesky, 0.0)
    affine(joint.gamma0, joint.gamma_scale, x, gamma)
    for k in range(scales):
        unbounded[k] = joint.centre[k] + joint.width[k] * x[p + k]
    fill(window(grad, 0, p), 0.0)
    value = fixed_prior(
        joint.beta_family, joint.beta_arguments, joint.centred0, joint.centred_scale, x, grad, centred, dcentred
    )
    value += scale_priors(joint.sd_family, joint.sd_arguments, joint.set_size, unbounded, sd, slope)
    value += cholesky_forward(
        joint.q,
        joint.effect_at,
        joint.set_first,
        joint.cor_start,
        joint.cor_power,
        unbounded,
        sd,
        rows,
        cholesky,
        slope,
    )

    # ---- all factors but the first ----
    at_others, squares_at = joint.variable_at[1], joint.information_at[1]
    columns, squares = joint.variable_at[T] - at_others, joint.information_at[T] - squares_at
    kappa, used = allocate(scratch, used, columns)
    centre, used = allocate(scratch, used, columns)
    inverse, used = allocate(scratch, used, columns)
    db, used = allocate(scratch, used, columns)
    db_scratch, used = allocate(scratch, used, columns)
    dkappa, used = allocate(scratch, used, columns)
    C, used = allocate(scratch, used, squares)
    IL, used = allocate(scratch, used, squares)
    dC, used = allocate(scratch, used, squares)
    fill(db, 0.0)
    cholesky_at = joint.q[0] * joint.q[0]
    for t in range(1, T):
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
            window(kappa, at - at_others, q * J),
            x,
            J,
            first_v + at,
            J,
            window(C, square, q * q * J),
            window(inverse, at - at_others, q * J),
            window(IL, square, q * q * J),
            window(centre, at - at_others, q * J),
            window(u, at, q * J),
            window(b, at, q * J),
        )
        cholesky_at += q * q

    # ---- the rows, by batches of levels of the first factor ----
    q, J = joint.q[0], joint.levels[0]
    L, dL = window(cholesky, 0, q * q), window(dcholesky, 0, q * q)
    wide = q * joint.most[0]
    eta, used = allocate(scratch, used, joint.most[1])
    residual, used = allocate(scratch, used, joint.most[1])
    kappa_b, used = allocate(scratch, used, wide)
    centre_b, used = allocate(scratch, used, wide)
    inverse_b, used = allocate(scratch, used, wide)
    u_b, used = allocate(scratch, used, wide)
    b_b, used = allocate(scratch, used, wide)
    db_b, used = allocate(scratch, used, wide)
    slope_b, used = allocate(scratch, used, wide)
    dkappa_b, used = allocate(scratch, used, wide)
    C_b, used = allocate(scratch, used, q * wide)
    IL_b, used = allocate(scratch, used, q * wide)
    dC_b, used = allocate(scratch, used, q * wide)
    for k in range(len(joint.batch_start) - 1):
        j0 = joint.batch_start[k]
        m, r0 = joint.batch_start[k + 1] - j0, joint.row_start[j0]
        count, row_start = joint.row_start[j0 + m] - r0, window(joint.row_start, j0, m + 1)
        for a in range(q):
            kappa_t = window(kappa_b, a * m, m)
            copy(window(joint.score, a * J + j0, m), kappa_t)
            add_columns(joint.cross_information, q * J, a * J + j0, gamma, -1.0, kappa_t)
        fill(window(db_b, 0, q * m), 0.0)
        own_eta, own_residual = window(eta, 0, count), window(residual, 0, count)
        own_level = window(joint.level_of, r0, count)
        if T > 1:
            # What the other factors' effects take away from this one's pull, before anything else is in eta.
            fill(own_eta, 0.0)
            for t in range(1, T):
                level = window(joint.level_of, t * n + r0, count)
                for a in range(joint.q[t]):
                    column = window(joint.Z, (joint.effect_at[t] + a) * n + r0, count)
                    add_effects(
                        column,
                        level,
                        window(b, joint.variable_at[t] + a * joint.levels[t], joint.levels[t]),
                        1.0,
                        own_eta,
                    )
            sum_sorted(joint.weighted_Z, n, q, own_level, row_start, own_eta, -1.0, kappa_b)
            add_column(window(joint.offset, r0, count), 1.0, own_eta)
        else:
            copy(window(joint.offset, r0, count), own_eta)
        add_columns(joint.X, n, r0, gamma, 1.0, own_eta)
        value += forward(
            q,
            L,
            view(joint.information, j0, q * q * J),
            J,
            kappa_b,
            x,
            J,
            first_v + j0,
            m,
            C_b,
            inverse_b,
            IL_b,
            centre_b,
            u_b,
            b_b,
        )
        for a in range(q):
            copy(window(u_b, a * m, m), window(u, a * J + j0, m))
            copy(window(b_b, a * m, m), window(b, a * J + j0, m))
        add_sorted(joint.Z, n, q, own_level, row_start, b_b, 1.0, own_eta)
        value += add_rows(
            joint.kind[k], window(joint.y, r0, count), window(joint.trials, r0, count), own_eta, own_residual
        )
        sum_sorted(joint.Z, n, q, own_level, row_start, own_residual, 1.0, db_b)
        backward(
            q,
            L,
            kappa_b,
            m,
            C_b,
            inverse_b,
            IL_b,
            centre_b,
            u_b,
            db_b,
            slope_b,
            dC_b,
            dkappa_b,
            grad,
            J,
            first_v + j0,
            dL,
        )
        dot_columns(joint.X, n, r0, own_residual, 1.0, dgamma)
        for a in range(q):
            dot_columns(joint.cross_information, q * J, a * J + j0, window(dkappa_b, a * m, m), -1.0, dgamma)
        if T > 1:
            add_sorted(joint.weighted_Z, n, q, own_level, row_start, dkappa_b, -1.0, own_residual)
            for t in range(1, T):
                level = window(joint.level_of, t * n + r0, count)
                for a in range(joint.q[t]):
                    column = window(joint.Z, (joint.effect_at[t] + a) * n + r0, count)
                    total = window(db, joint.variable_at[t] - at_others + a * joint.levels[t], joint.levels[t])
                    add_by_level(column, level, own_residual, 1.0, total)

    # ---- back through all factors but the first ----
    cholesky_at = q * q
    for t in range(1, T):
        q, J = joint.q[t], joint.levels[t]
        at, square = joint.variable_at[t], joint.information_at[t] - squares_at
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
            window(db_scratch, at - at_others, q * J),
            window(dC, square, q * q * J),
            window(dkappa, at - at_others, q * J),
            grad,
            J,
            first_v + at,
            window(dcholesky, cholesky_at, q * q),
        )
        dot_columns(joint.cross_information, q * J, at * p, window(dkappa, at - at_others, q * J), -1.0, dgamma)
        cholesky_at += q * q
    cholesky_backward(joint.q, joint.effect_at, joint.set_first, joint.cor_start, unbounded, sd, rows, dcholesky, slope)
    add_transposed(joint.gamma_scale, dgamma, grad)
    for k in range(scales):
        grad[p + k] = joint.width[k] * slope[k]
    return value
