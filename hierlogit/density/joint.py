"""The joint log density of all parameters and cluster effects, and its gradient, for any model: compiled once.

The sampler's position x holds, one after the other, p variables of the fixed effects, the standard deviations, the
correlations, and a variable for every effect of every level (`density.whitening`). All of them are shifted and scaled
by constants, so that a posterior that is nearly normal is nearly standard normal in x:

    gamma = gamma0 + G x_fixed          log sd = centre + width x_sd          z = centre + width x_cor

The rows are taken a few hundred at a time, level by level of the first grouping factor, and every row's linear
predictor, log-likelihood and residual are used while they are in the cache.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .addressed import by_address
from .compiled import exact_kernel, kernel
from .rows import exp_of_negative, log1p_of_unit
from .scales import make_roots, scale_priors, symmetric_density, through_roots, total_square
from .vectors import add_column, copy, dot, part, view
from .whitening import gather, spread

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
    level_of: IntArray  # ((T - 1) n,) level of each row, of the factors but the first
    row_start: IntArray  # (J_0 + 1,)
    batch_start: IntArray  # levels of the first factor that are taken together
    single: IntArray  # of each batch, 1 if all of its rows have one trial
    effect_at: IntArray  # (T + 1,) of each factor, where its effects start among all E
    variable_at: IntArray  # (T + 1,) among the variables of all levels and effects
    information_at: IntArray  # (T + 1,)


@kernel
def add_rows(y: FloatArray, trials: FloatArray, eta: FloatArray, residual: FloatArray) -> float:
    """Log-likelihood of some rows, without binomial coefficients; writes the residuals ``y - m p``."""
    total = 0.0
    for i in range(len(y)):
        x = eta[i]
        e = exp_of_negative(-abs(x))
        d = 1.0 / (1.0 + e)
        p = d if x >= 0.0 else e * d
        residual[i] = y[i] - trials[i] * p
        total += y[i] * min(x, 0.0) - (trials[i] - y[i]) * max(x, 0.0) - trials[i] * log1p_of_unit(e)
    return total


#: Rows whose ``1 + exp(-|eta|)`` are multiplied before one logarithm is taken of all: factors of at most 2.
MULTIPLIED = 512


@kernel
def _add_single_rows(y: FloatArray, eta: FloatArray, residual: FloatArray) -> float:
    """As `add_rows`, of at most `MULTIPLIED` rows of one trial each."""
    total, product = 0.0, 1.0
    for i in range(len(y)):
        x = eta[i]
        e = exp_of_negative(-abs(x))
        factor = 1.0 + e
        d = 1.0 / factor
        p = d if x >= 0.0 else e * d
        residual[i] = y[i] - p
        total += y[i] * min(x, 0.0) - (1.0 - y[i]) * max(x, 0.0)
        product *= factor
    return total - math.log(product)


@kernel
def add_single_rows(y: FloatArray, eta: FloatArray, residual: FloatArray) -> float:
    """As `add_rows`, of rows of one trial each: a logarithm of products takes a third of the time."""
    total = 0.0
    for start in range(0, len(y), MULTIPLIED):
        count = min(MULTIPLIED, len(y) - start)
        total += _add_single_rows(part(y, start, count), part(eta, start, count), part(residual, start, count))
    return total


@kernel
def add_effects(column: FloatArray, level: IntArray, effect: FloatArray, eta: FloatArray) -> None:
    """``eta += column * effect[level]``."""
    for i in range(len(column)):
        eta[i] += column[i] * effect[level[i]]


@exact_kernel
def add_by_level(column: FloatArray, level: IntArray, values: FloatArray, total: FloatArray) -> None:
    """``total[level] += column * values``."""
    for i in range(len(column)):
        total[level[i]] += column[i] * values[i]


@kernel
def sum_segments(
    columns: FloatArray, n: int, q: int, values: FloatArray, row_start: IntArray, sign: float, total: FloatArray
) -> None:
    """Add to ``total[a * m + j]`` the sum of column a times the values over the rows of level j; m levels."""
    first, m = row_start[0], len(row_start) - 1
    for a in range(q):
        for j in range(m):
            start, count = row_start[j], row_start[j + 1] - row_start[j]
            total[a * m + j] += sign * dot(part(columns, a * n + start, count), part(values, start - first, count))


@kernel
def add_segments(
    columns: FloatArray, n: int, q: int, effects: FloatArray, row_start: IntArray, sign: float, values: FloatArray
) -> None:
    """``values += sign * column a * effects[a * m + j]`` over the rows of level j, for all a."""
    first, m = row_start[0], len(row_start) - 1
    for a in range(q):
        for j in range(m):
            start, count = row_start[j], row_start[j + 1] - row_start[j]
            add_column(
                part(columns, a * n + start, count), sign * effects[a * m + j], part(values, start - first, count)
            )


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
    family: IntArray, arguments: FloatArray, form0: FloatArray, form: FloatArray, x: FloatArray, grad: FloatArray
) -> float:
    """Log prior density of the fixed effects; its gradient is added."""
    p, value = len(form0), 0.0
    stated, slope = np.empty(p), np.empty(p)
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
    p, E, T = len(l.gamma0), len(l.sd_family), len(l.q)
    n, scales = len(l.y), len(l.centre)
    first_v = p + scales
    gamma, dgamma, unbounded, slope = np.empty(p), np.zeros(p), np.empty(scales), np.empty(scales)
    n_roots = total_square(l.q)
    sd, rows, roots, droots = np.empty(E), np.zeros(n_roots), np.zeros(n_roots), np.zeros(n_roots)
    affine(l.gamma0, l.spread, x, gamma)
    for k in range(scales):
        unbounded[k] = l.centre[k] + l.width[k] * x[p + k]
    for k in range(p):
        grad[k] = 0.0
    value = fixed_prior(l.beta_family, l.beta_arguments, l.form0, l.form, x, grad)
    value += scale_priors(l.sd_family, l.sd_arguments, l.set_size, unbounded, sd, slope)
    value += make_roots(l.q, l.effect_at, l.set_first, l.cor_start, l.power, unbounded, sd, rows, roots, slope)

    # ---- all factors but the first ----
    at_others, squares_at = l.variable_at[1], l.information_at[1]
    columns, squares = l.variable_at[T] - at_others, l.information_at[T] - squares_at
    kappa, centre, inverse, db = np.empty(columns), np.empty(columns), np.empty(columns), np.zeros(columns)
    cholesky, product = np.empty(squares), np.empty(squares)
    root_at = l.q[0] * l.q[0]
    for t in range(1, T):
        q, J = l.q[t], l.levels[t]
        at, square = l.variable_at[t], l.information_at[t] - squares_at
        own_kappa = part(kappa, at - at_others, q * J)
        copy(part(l.pull, at, q * J), own_kappa)
        for c in range(p):
            add_column(part(l.coupling, at * p + c * q * J, q * J), -gamma[c], own_kappa)
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
    most_levels, most_rows = 0, 0
    for k in range(len(l.batch_start) - 1):
        j0, j1 = l.batch_start[k], l.batch_start[k + 1]
        most_levels, most_rows = max(most_levels, j1 - j0), max(most_rows, l.row_start[j1] - l.row_start[j0])
    eta, residual = np.empty(most_rows), np.empty(most_rows)
    wide = q * most_levels
    kappa_b, centre_b, inverse_b, u_b, b_b = (
        np.empty(wide),
        np.empty(wide),
        np.empty(wide),
        np.empty(wide),
        np.empty(wide),
    )
    db_b, slope_b, dkappa_b = np.empty(wide), np.empty(wide), np.empty(wide)
    cholesky_b, product_b, dcholesky_b = np.empty(q * wide), np.empty(q * wide), np.empty(q * wide)
    for k in range(len(l.batch_start) - 1):
        j0 = l.batch_start[k]
        m, r0 = l.batch_start[k + 1] - j0, l.row_start[j0]
        count, row_start = l.row_start[j0 + m] - r0, part(l.row_start, j0, m + 1)
        for a in range(q):
            own_kappa = part(kappa_b, a * m, m)
            copy(part(l.pull, a * J + j0, m), own_kappa)
            for c in range(p):
                add_column(part(l.coupling, (c * q + a) * J + j0, m), -gamma[c], own_kappa)
        for j in range(q * m):
            db_b[j] = 0.0
        if T > 1:
            # What the other factors' effects take away from this one's pull, before anything else is in eta.
            for i in range(count):
                eta[i] = 0.0
            for t in range(1, T):
                level = part(l.level_of, (t - 1) * n + r0, count)
                for a in range(l.q[t]):
                    column = part(l.Z, (l.effect_at[t] + a) * n + r0, count)
                    add_effects(column, level, part(b, l.variable_at[t] + a * l.levels[t], l.levels[t]), eta)
            sum_segments(l.pulled, n, q, eta, row_start, -1.0, kappa_b)
            add_column(part(l.offset, r0, count), 1.0, eta)
        else:
            copy(part(l.offset, r0, count), eta)
        for c in range(p):
            add_column(part(l.X, c * n + r0, count), gamma[c], eta)
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
        add_segments(l.Z, n, q, b_b, row_start, 1.0, eta)
        if l.single[k]:
            value += add_single_rows(part(l.y, r0, count), eta, residual)
        else:
            value += add_rows(part(l.y, r0, count), part(l.trials, r0, count), eta, residual)
        sum_segments(l.Z, n, q, residual, row_start, 1.0, db_b)
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
        for c in range(p):
            dgamma[c] += dot(part(l.X, c * n + r0, count), residual)
            for a in range(q):
                dgamma[c] -= dot(part(l.coupling, (c * q + a) * J + j0, m), part(dkappa_b, a * m, m))
        if T > 1:
            add_segments(l.pulled, n, q, dkappa_b, row_start, -1.0, residual)
            for t in range(1, T):
                level = part(l.level_of, (t - 1) * n + r0, count)
                for a in range(l.q[t]):
                    column = part(l.Z, (l.effect_at[t] + a) * n + r0, count)
                    total = part(db, l.variable_at[t] - at_others + a * l.levels[t], l.levels[t])
                    add_by_level(column, level, residual, total)

    # ---- back through all factors but the first ----
    root_at = q * q
    scratch, dkappa, dcholesky = np.empty(columns), np.empty(columns), np.empty(squares)
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
            part(scratch, at - at_others, q * J),
            part(dcholesky, square, q * q * J),
            part(dkappa, at - at_others, q * J),
            grad,
            J,
            first_v + at,
            part(droots, root_at, q * q),
        )
        for c in range(p):
            dgamma[c] -= dot(part(l.coupling, at * p + c * q * J, q * J), part(dkappa, at - at_others, q * J))
        root_at += q * q
    through_roots(l.q, l.effect_at, l.set_first, l.cor_start, unbounded, sd, rows, droots, slope)
    add_transposed(l.spread, dgamma, grad)
    for k in range(scales):
        grad[p + k] = l.width[k] * slope[k]
    return value
