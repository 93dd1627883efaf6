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
from ...numba_support.vectors import add_column, copy, fill, part, taken, view
from ..kernels.binomial_residuals import add_rows
from ..kernels.design_products import add_by_level, add_columns, add_effects, add_sorted, dot_columns, sum_sorted
from ..kernels.scale_priors import make_roots, scale_priors, symmetric_density, through_roots, total_square
from .partial_centring import gather, spread

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
    pulled: FloatArray  # (q_0 n,) Z of the first factor times the weights at the fixed point; empty if T is 1
    gamma0: FloatArray  # (p,)
    spread: FloatArray  # (p p,) G
    beta0: FloatArray  # (p,)
    beta_spread: FloatArray  # (p p,) beta = beta0 + beta_spread x_fixed
    form0: FloatArray  # (p,) what priors are stated of: the coefficients, the intercept at the predictors' means
    form: FloatArray  # (p p,)
    beta_arguments: FloatArray  # (3 p,) location, scale, degrees of freedom
    centre: FloatArray  # (E + K,)
    width: FloatArray  # (E + K,)
    sd_arguments: FloatArray  # (3 E,)
    power: FloatArray  # (K,)
    information: FloatArray  # (sum of q_t^2 J_t,) factor by factor
    pull: FloatArray  # (sum of q_t J_t,)
    coupling: FloatArray  # (sum of q_t J_t p,) how pull falls with gamma, of each factor coefficient by coefficient
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
    form0: FloatArray,
    form: FloatArray,
    x: FloatArray,
    grad: FloatArray,
    stated: FloatArray,
    slope: FloatArray,
) -> float:
    """Log prior density of the fixed effects; its gradient is added. The last two, of shape (p,), are scratch."""
    p, value = len(form0), 0.0
    affine(form0, form, x, stated)
    for k in range(p):
        location, scale, nu = arguments[3 * k], arguments[3 * k + 1], arguments[3 * k + 2]
        own, slope[k] = symmetric_density(family[k], location, scale, nu, stated[k])
        value += own
    add_transposed(form, slope, grad)
    return value


@exact_kernel
def evaluate(l: Joint, x: FloatArray, grad: FloatArray, u: FloatArray, b: FloatArray) -> float:
    """Log density at x up to a constant.

    Parameters
    ----------
    l : Joint
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
    scratch = np.empty(scratch_size(l))
    return evaluate_with(l, x, grad, u, b, scratch)


@exact_kernel
def scratch_size(l: Joint) -> int:
    """How many numbers `evaluate_with` notes down."""
    p, E, scales, n_roots, T = len(l.gamma0), len(l.sd_family), len(l.centre), total_square(l.q), len(l.q)
    columns, squares = l.variable_at[T] - l.variable_at[1], l.information_at[T] - l.information_at[1]
    wide = l.q[0] * l.most[0]
    of_others = 6 * columns + 3 * squares
    size: int = 4 * p + 2 * scales + E + 3 * n_roots + of_others + (8 + 3 * l.q[0]) * wide + 2 * l.most[1]
    return size


@exact_kernel
def evaluate_with(
    l: Joint, x: FloatArray, grad: FloatArray, u: FloatArray, b: FloatArray, scratch: FloatArray
) -> float:
    """`evaluate`, with the memory that it writes to."""
    p, E, T = len(l.gamma0), len(l.sd_family), len(l.q)
    n, scales = len(l.y), len(l.centre)
    first_v, n_roots = p + scales, total_square(l.q)
    gamma, used = taken(scratch, 0, p)
    dgamma, used = taken(scratch, used, p)
    stated, used = taken(scratch, used, p)
    stated_slope, used = taken(scratch, used, p)
    unbounded, used = taken(scratch, used, scales)
    slope, used = taken(scratch, used, scales)
    sd, used = taken(scratch, used, E)
    rows, used = taken(scratch, used, n_roots)
    roots, used = taken(scratch, used, n_roots)
    droots, used = taken(scratch, used, n_roots)
    fill(dgamma, 0.0)
    fill(rows, 0.0)
    fill(roots, 0.0)
    fill(droots, 0.0)
    affine(l.gamma0, l.spread, x, gamma)
    for k in range(scales):
        unbounded[k] = l.centre[k] + l.width[k] * x[p + k]
    fill(part(grad, 0, p), 0.0)
    value = fixed_prior(l.beta_family, l.beta_arguments, l.form0, l.form, x, grad, stated, stated_slope)
    value += scale_priors(l.sd_family, l.sd_arguments, l.set_size, unbounded, sd, slope)
    value += make_roots(l.q, l.effect_at, l.set_first, l.cor_start, l.power, unbounded, sd, rows, roots, slope)

    # ---- all factors but the first ----
    at_others, squares_at = l.variable_at[1], l.information_at[1]
    columns, squares = l.variable_at[T] - at_others, l.information_at[T] - squares_at
    kappa, used = taken(scratch, used, columns)
    centre, used = taken(scratch, used, columns)
    inverse, used = taken(scratch, used, columns)
    db, used = taken(scratch, used, columns)
    db_scratch, used = taken(scratch, used, columns)
    dkappa, used = taken(scratch, used, columns)
    cholesky, used = taken(scratch, used, squares)
    product, used = taken(scratch, used, squares)
    dcholesky, used = taken(scratch, used, squares)
    fill(db, 0.0)
    root_at = l.q[0] * l.q[0]
    for t in range(1, T):
        q, J = l.q[t], l.levels[t]
        at, square = l.variable_at[t], l.information_at[t] - squares_at
        own_kappa = part(kappa, at - at_others, q * J)
        copy(part(l.pull, at, q * J), own_kappa)
        add_columns(l.coupling, q * J, at * p, gamma, -1.0, own_kappa)
        value += spread(
            q,
            part(roots, root_at, q * q),
            part(l.information, l.information_at[t], q * q * J),
            J,
            part(kappa, at - at_others, q * J),
            x,
            J,
            first_v + at,
            J,
            part(cholesky, square, q * q * J),
            part(inverse, at - at_others, q * J),
            part(product, square, q * q * J),
            part(centre, at - at_others, q * J),
            part(u, at, q * J),
            part(b, at, q * J),
        )
        root_at += q * q

    # ---- the rows, by batches of levels of the first factor ----
    q, J = l.q[0], l.levels[0]
    own_root, own_droot = part(roots, 0, q * q), part(droots, 0, q * q)
    wide = q * l.most[0]
    eta, used = taken(scratch, used, l.most[1])
    residual, used = taken(scratch, used, l.most[1])
    kappa_b, used = taken(scratch, used, wide)
    centre_b, used = taken(scratch, used, wide)
    inverse_b, used = taken(scratch, used, wide)
    u_b, used = taken(scratch, used, wide)
    b_b, used = taken(scratch, used, wide)
    db_b, used = taken(scratch, used, wide)
    slope_b, used = taken(scratch, used, wide)
    dkappa_b, used = taken(scratch, used, wide)
    cholesky_b, used = taken(scratch, used, q * wide)
    product_b, used = taken(scratch, used, q * wide)
    dcholesky_b, used = taken(scratch, used, q * wide)
    for k in range(len(l.batch_start) - 1):
        j0 = l.batch_start[k]
        m, r0 = l.batch_start[k + 1] - j0, l.row_start[j0]
        count, row_start = l.row_start[j0 + m] - r0, part(l.row_start, j0, m + 1)
        for a in range(q):
            own_kappa = part(kappa_b, a * m, m)
            copy(part(l.pull, a * J + j0, m), own_kappa)
            add_columns(l.coupling, q * J, a * J + j0, gamma, -1.0, own_kappa)
        fill(part(db_b, 0, q * m), 0.0)
        own_eta, own_residual = part(eta, 0, count), part(residual, 0, count)
        own_level = part(l.level_of, r0, count)
        if T > 1:
            # What the other factors' effects take away from this one's pull, before anything else is in eta.
            fill(own_eta, 0.0)
            for t in range(1, T):
                level = part(l.level_of, t * n + r0, count)
                for a in range(l.q[t]):
                    column = part(l.Z, (l.effect_at[t] + a) * n + r0, count)
                    add_effects(column, level, part(b, l.variable_at[t] + a * l.levels[t], l.levels[t]), 1.0, own_eta)
            sum_sorted(l.pulled, n, q, own_level, row_start, own_eta, -1.0, kappa_b)
            add_column(part(l.offset, r0, count), 1.0, own_eta)
        else:
            copy(part(l.offset, r0, count), own_eta)
        add_columns(l.X, n, r0, gamma, 1.0, own_eta)
        value += spread(
            q,
            own_root,
            view(l.information, j0, q * q * J),
            J,
            kappa_b,
            x,
            J,
            first_v + j0,
            m,
            cholesky_b,
            inverse_b,
            product_b,
            centre_b,
            u_b,
            b_b,
        )
        for a in range(q):
            copy(part(u_b, a * m, m), part(u, a * J + j0, m))
            copy(part(b_b, a * m, m), part(b, a * J + j0, m))
        add_sorted(l.Z, n, q, own_level, row_start, b_b, 1.0, own_eta)
        value += add_rows(l.kind[k], part(l.y, r0, count), part(l.trials, r0, count), own_eta, own_residual)
        sum_sorted(l.Z, n, q, own_level, row_start, own_residual, 1.0, db_b)
        gather(
            q,
            own_root,
            kappa_b,
            m,
            cholesky_b,
            inverse_b,
            product_b,
            centre_b,
            u_b,
            db_b,
            slope_b,
            dcholesky_b,
            dkappa_b,
            grad,
            J,
            first_v + j0,
            own_droot,
        )
        dot_columns(l.X, n, r0, own_residual, 1.0, dgamma)
        for a in range(q):
            dot_columns(l.coupling, q * J, a * J + j0, part(dkappa_b, a * m, m), -1.0, dgamma)
        if T > 1:
            add_sorted(l.pulled, n, q, own_level, row_start, dkappa_b, -1.0, own_residual)
            for t in range(1, T):
                level = part(l.level_of, t * n + r0, count)
                for a in range(l.q[t]):
                    column = part(l.Z, (l.effect_at[t] + a) * n + r0, count)
                    total = part(db, l.variable_at[t] - at_others + a * l.levels[t], l.levels[t])
                    add_by_level(column, level, own_residual, 1.0, total)

    # ---- back through all factors but the first ----
    root_at = q * q
    for t in range(1, T):
        q, J = l.q[t], l.levels[t]
        at, square = l.variable_at[t], l.information_at[t] - squares_at
        gather(
            q,
            part(roots, root_at, q * q),
            part(kappa, at - at_others, q * J),
            J,
            part(cholesky, square, q * q * J),
            part(inverse, at - at_others, q * J),
            part(product, square, q * q * J),
            part(centre, at - at_others, q * J),
            part(u, at, q * J),
            part(db, at - at_others, q * J),
            part(db_scratch, at - at_others, q * J),
            part(dcholesky, square, q * q * J),
            part(dkappa, at - at_others, q * J),
            grad,
            J,
            first_v + at,
            part(droots, root_at, q * q),
        )
        dot_columns(l.coupling, q * J, at * p, part(dkappa, at - at_others, q * J), -1.0, dgamma)
        root_at += q * q
    through_roots(l.q, l.effect_at, l.set_first, l.cor_start, unbounded, sd, rows, droots, slope)
    add_transposed(l.spread, dgamma, grad)
    for k in range(scales):
        grad[p + k] = l.width[k] * slope[k]
    return value
