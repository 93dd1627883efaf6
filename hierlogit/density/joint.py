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

from .compiled import exact_kernel, kernel
from .rows import exp_of_negative, log1p_of_unit
from .scales import cholesky_row, scale_priors, symmetric_density, through_cholesky_row
from .whitening import gather, spread

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


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
    pulled: FloatArray  # (q_0 n,) Z of the first factor times the weights at the fixed point
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
    coupling: FloatArray  # (sum over t > 0 of q_t J_t p,) how pull falls with gamma, coefficient by coefficient
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
    effect_at: IntArray  # (T + 1,) of each factor, where its effects start among all E
    variable_at: IntArray  # (T + 1,) among the variables of all levels and effects
    information_at: IntArray  # (T + 1,)


@kernel
def add_rows(
    y: FloatArray, trials: FloatArray, eta: FloatArray, residual: FloatArray
) -> float:
    """Log-likelihood of some rows, without binomial coefficients; writes the residuals ``y - m p``."""
    total = 0.0
    for i in range(len(eta)):
        x = eta[i]
        e = exp_of_negative(-abs(x))
        d = 1.0 / (1.0 + e)
        p = d if x >= 0.0 else e * d
        residual[i] = y[i] - trials[i] * p
        total += y[i] * min(x, 0.0) - (trials[i] - y[i]) * max(x, 0.0) - trials[i] * log1p_of_unit(e)
    return total


@kernel
def add_column(column: FloatArray, factor: float, eta: FloatArray) -> None:
    """``eta += factor * column``."""
    for i in range(len(eta)):
        eta[i] += factor * column[i]


@kernel
def dot(a: FloatArray, b: FloatArray) -> float:
    """Sum of products."""
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@kernel
def add_effects(column: FloatArray, level: IntArray, effect: FloatArray, eta: FloatArray) -> None:
    """``eta += column * effect[level]``."""
    for i in range(len(eta)):
        eta[i] += column[i] * effect[level[i]]


@exact_kernel
def add_by_level(column: FloatArray, level: IntArray, values: FloatArray, total: FloatArray) -> None:
    """``total[level] += column * values``."""
    for i in range(len(values)):
        total[level[i]] += column[i] * values[i]


@kernel
def sum_segments(column: FloatArray, values: FloatArray, starts: IntArray, sign: float, total: FloatArray) -> None:
    """Add ``sign`` times the sum of ``column * values`` over each segment."""
    first = starts[0]
    for j in range(len(starts) - 1):
        own = 0.0
        for i in range(starts[j] - first, starts[j + 1] - first):
            own += column[i] * values[i]
        total[j] += sign * own


@kernel
def add_segments(column: FloatArray, effect: FloatArray, starts: IntArray, sign: float, values: FloatArray) -> None:
    """``values += sign * column * effect`` of each row's segment."""
    first = starts[0]
    for j in range(len(starts) - 1):
        factor = sign * effect[j]
        for i in range(starts[j] - first, starts[j + 1] - first):
            values[i] += factor * column[i]


@exact_kernel
def affine(start: FloatArray, matrix: FloatArray, x: FloatArray, out: FloatArray) -> None:
    """``out = start + matrix x``."""
    p = len(start)
    for k in range(p):
        total = start[k]
        for m in range(p):
            total += matrix[k * p + m] * x[m]
        out[k] = total


@exact_kernel
def add_transposed(matrix: FloatArray, slope: FloatArray, out: FloatArray) -> None:
    """``out += matrix' slope``."""
    p = len(slope)
    for k in range(p):
        for m in range(p):
            out[m] += matrix[k * p + m] * slope[k]


@exact_kernel
def fixed_prior(l: Joint, x: FloatArray, form: FloatArray, slope: FloatArray, grad: FloatArray) -> float:
    """Log prior density of the fixed effects; its gradient is added."""
    p, value = len(l.gamma0), 0.0
    affine(l.form0, l.form, x[:p], form)
    for k in range(p):
        location, scale, nu = l.beta_arguments[3 * k], l.beta_arguments[3 * k + 1], l.beta_arguments[3 * k + 2]
        own, slope[k] = symmetric_density(l.beta_family[k], location, scale, nu, form[k])
        value += own
    add_transposed(l.form, slope, grad[:p])
    return value


@exact_kernel
def make_roots(
    l: Joint, unbounded: FloatArray, sd: FloatArray, rows: FloatArray, roots: FloatArray, slope: FloatArray
) -> float:
    """Roots of the covariances; returns the log prior density of what they are made of, with its gradient in `slope`.

    Row a of a factor's root, of q entries, is its sd times a row of the Cholesky factor of the correlations (`rows`).
    """
    effects = len(l.sd_family)
    value = scale_priors(l.sd_family, l.sd_arguments, l.set_size, unbounded[:effects], sd, slope[:effects])
    at = 0
    for t in range(len(l.q)):
        for e in range(l.effect_at[t], l.effect_at[t + 1]):
            begin, stop = l.cor_start[e], l.cor_start[e + 1]
            first = at + l.set_first[e]
            row = rows[first : first + stop - begin + 1]
            z, dz = unbounded[effects + begin : effects + stop], slope[effects + begin : effects + stop]
            value += cholesky_row(z, l.power[begin:stop], row, dz)
            for b in range(len(row)):
                roots[first + b] = sd[e] * row[b]
            at += l.q[t]
    return value


@exact_kernel
def through_roots(
    l: Joint, unbounded: FloatArray, sd: FloatArray, rows: FloatArray, droots: FloatArray, slope: FloatArray
) -> None:
    """Add to `slope` the derivative that reaches the unbounded variables through the roots."""
    effects, at = len(l.sd_family), 0
    for t in range(len(l.q)):
        for e in range(l.effect_at[t], l.effect_at[t + 1]):
            begin, stop = l.cor_start[e], l.cor_start[e + 1]
            first = at + l.set_first[e]
            row, drow = rows[first : first + stop - begin + 1], droots[first : first + stop - begin + 1]
            for b in range(len(row)):
                drow[b] *= sd[e]
                slope[e] += drow[b] * row[b]
            z, dz = unbounded[effects + begin : effects + stop], slope[effects + begin : effects + stop]
            through_cholesky_row(z, row, drow, dz)
            at += l.q[t]


class Effects(NamedTuple):
    """What `spread` leaves for `gather`, of all factors but the first and of one batch of the first."""

    kappa: FloatArray
    cholesky: FloatArray
    inverse: FloatArray
    product: FloatArray
    centre: FloatArray
    u: FloatArray
    b: FloatArray
    db: FloatArray
    slope: FloatArray
    dcholesky: FloatArray
    dkappa: FloatArray


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
    p, effects, T = len(l.gamma0), len(l.sd_family), len(l.q)
    n, scales = len(l.y), len(l.centre)
    first_v = p + scales
    small = np.empty(3 * p + 2 * scales + effects)
    gamma, form, dgamma = small[:p], small[p : 2 * p], small[2 * p : 3 * p]
    unbounded, slope = small[3 * p : 3 * p + scales], small[3 * p + scales : 3 * p + 2 * scales]
    sd = small[3 * p + 2 * scales :]
    n_roots = 0
    for t in range(T):
        n_roots += l.q[t] * l.q[t]
    rows, roots, droots = np.zeros(n_roots), np.zeros(n_roots), np.zeros(n_roots)
    affine(l.gamma0, l.spread, x[:p], gamma)
    for k in range(scales):
        unbounded[k] = l.centre[k] + l.width[k] * x[p + k]
    grad[:p] = 0.0
    value = fixed_prior(l, x, form, dgamma, grad)
    value += make_roots(l, unbounded, sd, rows, roots, slope)
    dgamma[:] = 0.0

    # ---- all factors but the first ----
    columns = l.variable_at[T] - l.variable_at[1]
    squares = l.information_at[T] - l.information_at[1]
    kappa, centre, inverse = np.empty(columns), np.empty(columns), np.empty(columns)
    cholesky, product = np.empty(squares), np.empty(squares)
    db = np.zeros(columns)
    root_at = l.q[0] * l.q[0]
    for t in range(1, T):
        q, J = l.q[t], l.levels[t]
        at, stop = l.variable_at[t], l.variable_at[t + 1]
        own, square = slice(at - l.variable_at[1], stop - l.variable_at[1]), l.information_at[t] - l.information_at[1]
        kappa[own] = l.pull[at:stop]
        for k in range(p):
            begin = (at - l.variable_at[1]) * p + k * q * J
            add_column(l.coupling[begin : begin + q * J], -gamma[k], kappa[own])
        value += spread(
            q,
            roots[root_at : root_at + q * q],
            l.information[l.information_at[t] : l.information_at[t + 1]],
            J,
            0,
            kappa[own],
            x[first_v + at : first_v + stop],
            J,
            0,
            J,
            cholesky[square : square + q * q * J],
            inverse[own],
            product[square : square + q * q * J],
            centre[own],
            u[at:stop],
            b[at:stop],
        )
        root_at += q * q

    # ---- the rows, by batches of levels of the first factor ----
    q, J = l.q[0], l.levels[0]
    most_levels, most_rows = 0, 0
    for k in range(len(l.batch_start) - 1):
        j0, j1 = l.batch_start[k], l.batch_start[k + 1]
        most_levels, most_rows = max(most_levels, j1 - j0), max(most_rows, l.row_start[j1] - l.row_start[j0])
    of_rows, of_levels = np.empty(2 * most_rows), np.empty((8 * q + 3 * q * q) * most_levels)
    for k in range(len(l.batch_start) - 1):
        j0, j1 = l.batch_start[k], l.batch_start[k + 1]
        starts = l.row_start[j0 : j1 + 1]
        r0, r1, m = starts[0], starts[-1], j1 - j0
        eta, residual = of_rows[: r1 - r0], of_rows[most_rows : most_rows + r1 - r0]
        eta[:] = l.offset[r0:r1]
        for c in range(p):
            add_column(l.X[c * n + r0 : c * n + r1], gamma[c], eta)
        for t in range(1, T):
            for a in range(l.q[t]):
                column = (l.effect_at[t] + a) * n
                begin = l.variable_at[t] + a * l.levels[t]
                level = l.level_of[(t - 1) * n + r0 : (t - 1) * n + r1]
                add_effects(l.Z[column + r0 : column + r1], level, b[begin : begin + l.levels[t]], eta)
        kappa_b, centre_b, inverse_b = of_levels[: q * m], of_levels[q * m : 2 * q * m], of_levels[2 * q * m : 3 * q * m]
        u_b, b_b, db_b = of_levels[3 * q * m : 4 * q * m], of_levels[4 * q * m : 5 * q * m], of_levels[5 * q * m : 6 * q * m]
        slope_b, dkappa_b = of_levels[6 * q * m : 7 * q * m], of_levels[7 * q * m : 8 * q * m]
        square = 8 * q * m
        cholesky_b = of_levels[square : square + q * q * m]
        product_b = of_levels[square + q * q * m : square + 2 * q * q * m]
        dcholesky_b = of_levels[square + 2 * q * q * m : square + 3 * q * q * m]
        for a in range(q):
            kappa_b[a * m : (a + 1) * m] = l.pull[a * J + j0 : a * J + j1]
            sum_segments(l.pulled[a * n + r0 : a * n + r1], eta, starts, -1.0, kappa_b[a * m : (a + 1) * m])
        value += spread(
            q,
            roots[: q * q],
            l.information,
            J,
            j0,
            kappa_b,
            x[first_v:],
            J,
            j0,
            m,
            cholesky_b,
            inverse_b,
            product_b,
            centre_b,
            u_b,
            b_b,
        )
        for a in range(q):
            u[a * J + j0 : a * J + j1] = u_b[a * m : (a + 1) * m]
            b[a * J + j0 : a * J + j1] = b_b[a * m : (a + 1) * m]
            add_segments(l.Z[a * n + r0 : a * n + r1], b_b[a * m : (a + 1) * m], starts, 1.0, eta)
        value += add_rows(l.y[r0:r1], l.trials[r0:r1], eta, residual)
        db_b[:] = 0.0
        for a in range(q):
            sum_segments(l.Z[a * n + r0 : a * n + r1], residual, starts, 1.0, db_b[a * m : (a + 1) * m])
        gather(
            q,
            roots[: q * q],
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
            grad[first_v:],
            J,
            j0,
            droots[: q * q],
        )
        for a in range(q):
            add_segments(l.pulled[a * n + r0 : a * n + r1], dkappa_b[a * m : (a + 1) * m], starts, -1.0, residual)
        for c in range(p):
            dgamma[c] += dot(l.X[c * n + r0 : c * n + r1], residual)
        for t in range(1, T):
            for a in range(l.q[t]):
                column = (l.effect_at[t] + a) * n
                begin = l.variable_at[t] - l.variable_at[1] + a * l.levels[t]
                level = l.level_of[(t - 1) * n + r0 : (t - 1) * n + r1]
                add_by_level(l.Z[column + r0 : column + r1], level, residual, db[begin : begin + l.levels[t]])

    # ---- back through all factors but the first ----
    root_at = l.q[0] * l.q[0]
    scratch, dkappa, dcholesky = np.empty(columns), np.empty(columns), np.empty(squares)
    for t in range(1, T):
        q, J = l.q[t], l.levels[t]
        at, stop = l.variable_at[t], l.variable_at[t + 1]
        own, square = slice(at - l.variable_at[1], stop - l.variable_at[1]), l.information_at[t] - l.information_at[1]
        gather(
            q,
            roots[root_at : root_at + q * q],
            kappa[own],
            J,
            cholesky[square : square + q * q * J],
            inverse[own],
            product[square : square + q * q * J],
            centre[own],
            u[at:stop],
            db[own],
            scratch[own],
            dcholesky[square : square + q * q * J],
            dkappa[own],
            grad[first_v + at : first_v + stop],
            J,
            0,
            droots[root_at : root_at + q * q],
        )
        for k in range(p):
            begin = (at - l.variable_at[1]) * p + k * q * J
            dgamma[k] -= dot(l.coupling[begin : begin + q * J], dkappa[own])
        root_at += q * q
    through_roots(l, unbounded, sd, rows, droots, slope)
    add_transposed(l.spread, dgamma, grad[:p])
    for k in range(scales):
        grad[p + k] = l.width[k] * slope[k]
    return value
