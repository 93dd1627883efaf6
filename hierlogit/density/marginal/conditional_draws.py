"""Draws of the random effects given the parameters, from their exact conditional distribution, compiled.

The log density of one standardised effect given the rows of its level is concave, also where the effects of levels
inside it have been integrated out: one effect a level is drawn by adaptive rejection, of nested factors the outer
effect first and the inner ones given it. Several effects of a level are drawn by an independence sampler, whose
proposals are from a t distribution at their mode.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.vectors import copy, fill, vector, view
from ..kernels.binomial import logistic, row_log_likelihood
from .block_cholesky import solve_lower_transposed
from .conditional_mode import find_modes
from .fixed_effects import fixed_predictor
from .inner_quadrature import (
    add_at_mode,
    add_at_pairs,
    inner_modes,
    inner_shares,
    mean_residuals,
    place_inner_nodes,
)
from .log_concave import MOST_TANGENTS, draw_below_hull, insert_tangent, normal, uniform
from .work import Work, first_columns

FloatArray = npt.NDArray[np.float64]
UintArray = npt.NDArray[np.uint64]

#: Where the first tangents touch, in conditional sds from the mode: best for a normal density.
REACH = math.sqrt(2.0)
#: Standardised effects of outer levels at which the integral over the inner ones is evaluated first.
OUTER_POINTS = np.linspace(-3.5, 3.5, 8)
#: Farthest standardised effect at which a tangent is looked for.
FARTHEST = 1e3
#: Proposals of the independence sampler for each draw. From a proposal whose largest density ratio is R, the
#: distribution after k of them differs from the exact one by less than (1 - 1 / R)^k; R is about 1.2 for usual levels.
PROPOSALS = 16


@kernel
def level_density(
    y: FloatArray, trials: FloatArray, eta: FloatArray, column: FloatArray, u: float
) -> tuple[float, float, float]:
    """Log density of a level's effect without constants, its derivative, and minus its second derivative.

    `column` is the column of the effect times its sd.
    """
    value, slope, curvature = -0.5 * u * u, -u, 1.0
    for i in range(len(y)):
        x = eta[i] + column[i] * u
        e, d, p = logistic(x)
        value += row_log_likelihood(y[i], trials[i], x, e)
        slope += column[i] * (y[i] - trials[i] * p)
        curvature += column[i] * column[i] * trials[i] * e * d * d
    return value, slope, curvature


@exact_kernel
def draw_level(
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    column: FloatArray,
    nothing: FloatArray,
    tangents: FloatArray,
    state: UintArray,
) -> float:
    """A draw of one effect of a level; `nothing` are zeros, one for each row."""
    points, values, slopes, masses = tangents[0], tangents[1], tangents[2], tangents[3]
    mode, origin, scratch = np.zeros(1), np.zeros(1), np.empty(4)
    inner_modes(y, trials, eta, column, nothing, origin, mode, scratch)
    value, slope, curvature = level_density(y, trials, eta, column, mode[0])
    count = insert_tangent(points, values, slopes, 0, mode[0], value, slope)
    for side in (-1.0, 1.0):
        reach = REACH / math.sqrt(curvature)
        while reach < FARTHEST:
            x = mode[0] + side * reach
            value, slope, _ = level_density(y, trials, eta, column, x)
            if side * slope < 0.0:
                count = insert_tangent(points, values, slopes, count, x, value, slope)
                break
            reach *= 2.0
    while True:
        x, hull = draw_below_hull(points, values, slopes, count, masses, state)
        value, slope, _ = level_density(y, trials, eta, column, x)
        if not math.log(uniform(state)) > value - hull:  # so that NaN does not go on for ever
            return x
        count = insert_tangent(points, values, slopes, count, x, value, slope)


@exact_kernel
def draw_single(
    r: RowIndex, gammas: FloatArray, cholesky: FloatArray, states: UintArray, u: FloatArray, stop: UintArray
) -> None:
    """Draw the effects of one factor with one effect a level.

    Parameters
    ----------
    gammas : shape (draws, p)
    cholesky : shape (draws, 1)
    states : shape (draws, 1)
        States of the generators of random numbers.
    u : shape (draws, levels)
        Written: standardised effects.
    stop : shape (1,)
        The work ends before the next draw if it is not zero.
    """
    n = len(r.y)
    eta, column, nothing, tangents = np.empty(n), np.empty(n), np.zeros(n), np.empty((4, MOST_TANGENTS))
    for s in range(len(gammas)):
        if stop[0]:
            break
        fixed_predictor(r, gammas[s], eta)
        for i in range(n):
            column[i] = cholesky[s, 0] * r.Z[i]
        for j in range(len(r.row_start) - 1):
            one, end = r.row_start[j], r.row_start[j + 1]
            u[s, j] = draw_level(
                view(r.y, one, end),
                view(r.trials, one, end),
                view(eta, one, end),
                view(column, one, end),
                view(nothing, one, end),
                tangents,
                states[s],
            )


@kernel
def add_inner_integrals(
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    Z: FloatArray,
    s: float,
    inner: FloatArray,
    outer: FloatArray,
    v: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    logs: FloatArray,
    slopes: FloatArray,
) -> None:
    """Add the log-likelihood of an inner level, integrated over its effect, at outer effects v; and its derivatives."""
    size, pairs = len(v), len(v) * len(nodes)
    mode, scratch = vector(size), vector(4 * size)
    fill(mode, 0.0)
    inner_modes(y, trials, eta, inner, outer, v, mode, scratch)
    top, score, curvature, third = vector(size), vector(size), vector(size), vector(size)
    weight, dweight, scale = vector(size), vector(size), vector(size)
    for k in range(size):
        top[k], score[k], curvature[k], third[k] = -0.5 * mode[k] * mode[k], 0.0, 0.0, 0.0
    for i in range(len(y)):
        add_at_mode(y[i], trials[i], eta[i], Z[i], s, outer[i], v, mode, top, weight, dweight, score, curvature, third)
    for k in range(size):
        scale[k] = math.sqrt(2.0 / (1.0 + s * s * curvature[k]))
    points, outer_points = vector(pairs), vector(pairs)
    pair_logs, share, probability = vector(pairs), vector(pairs), vector(len(y) * pairs)
    place_inner_nodes(mode, scale, top, v, nodes, log_weights, points, outer_points, pair_logs)
    for i in range(len(y)):
        kept = view(probability, i * pairs, (i + 1) * pairs)
        add_at_pairs(y[i], trials[i], eta[i], inner[i], outer[i], points, outer_points, pair_logs, kept)
    total, first, second = vector(size), vector(size), vector(size)
    inner_shares(pair_logs, nodes, share, total, first, second)
    mean, by_inner, by_node = vector(size), vector(size), vector(size)
    fill(by_inner, 0.0)
    fill(by_node, 0.0)
    for i in range(len(y)):
        kept = view(probability, i * pairs, (i + 1) * pairs)
        mean_residuals(y[i], trials[i], Z[i], kept, share, nodes, mean, by_inner, by_node)
        for k in range(size):
            slopes[k] += outer[i] * mean[k]
    for k in range(size):
        logs[k] += top[k] + math.log(total[k] * scale[k])


@kernel
def outer_density(
    r: RowIndex,
    part: int,
    s: float,
    eta: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    v: FloatArray,
    logs: FloatArray,
    slopes: FloatArray,
) -> None:
    """Log density of an outer level's effect at v, without constants, and its derivative."""
    for k in range(len(v)):
        logs[k], slopes[k] = -0.5 * v[k] * v[k], -v[k]
    for j in range(r.part_start[part], r.part_start[part + 1]):
        one, end = r.row_start[j], r.row_start[j + 1]
        add_inner_integrals(
            view(r.y, one, end),
            view(r.trials, one, end),
            view(eta, one, end),
            view(r.Z, one, end),
            s,
            view(inner, one, end),
            view(outer, one, end),
            v,
            nodes,
            log_weights,
            logs,
            slopes,
        )


@exact_kernel
def draw_nested(
    r: RowIndex,
    gammas: FloatArray,
    cholesky: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    states: UintArray,
    u: FloatArray,
    stop: UintArray,
) -> None:
    """Draw the effects of two nested factors with one effect each; see `draw_single`.

    `nodes` and `log_weights` are those of the quadrature over the inner effects.
    """
    n, base = len(r.y), first_columns(r)
    eta, inner, outer, nothing = np.empty(n), np.empty(n), np.empty(n), np.zeros(n)
    tangents, one_point, one_log, one_slope = np.empty((4, MOST_TANGENTS)), np.empty(1), np.empty(1), np.empty(1)
    points, values, slopes, masses = tangents[0], tangents[1], tangents[2], tangents[3]
    for d in range(len(gammas)):
        if stop[0]:
            break
        fixed_predictor(r, gammas[d], eta)
        s, g = cholesky[d, 0], cholesky[d, 1]
        for i in range(n):
            inner[i], outer[i] = s * r.Z[i], g * r.Z[n + i]
        for part in range(len(r.part_start) - 1):
            count = len(OUTER_POINTS)
            copy(OUTER_POINTS, view(points, 0, count))
            outer_density(
                r,
                part,
                s,
                eta,
                inner,
                outer,
                nodes,
                log_weights,
                view(points, 0, count),
                view(values, 0, count),
                view(slopes, 0, count),
            )
            # Farther out if the mode is beyond the points.
            reach = 2.0 * abs(OUTER_POINTS[0])
            while (slopes[0] <= 0.0 or slopes[count - 1] >= 0.0) and reach < FARTHEST:
                one_point[0] = -reach if slopes[0] <= 0.0 else reach
                outer_density(r, part, s, eta, inner, outer, nodes, log_weights, one_point, one_log, one_slope)
                count = insert_tangent(points, values, slopes, count, one_point[0], one_log[0], one_slope[0])
                reach *= 2.0
            while True:
                one_point[0], hull = draw_below_hull(points, values, slopes, count, masses, states[d])
                outer_density(r, part, s, eta, inner, outer, nodes, log_weights, one_point, one_log, one_slope)
                if not math.log(uniform(states[d])) > one_log[0] - hull:
                    break
                count = insert_tangent(points, values, slopes, count, one_point[0], one_log[0], one_slope[0])
            v = one_point[0]
            u[d, base + r.col_start[part]] = v
            for i in range(r.row_start[r.part_start[part]], r.row_start[r.part_start[part + 1]]):
                eta[i] += outer[i] * v
            for j in range(r.part_start[part], r.part_start[part + 1]):
                one, end = r.row_start[j], r.row_start[j + 1]
                u[d, j] = draw_level(
                    view(r.y, one, end),
                    view(r.trials, one, end),
                    view(eta, one, end),
                    view(inner, one, end),
                    view(nothing, one, end),
                    tangents,
                    states[d],
                )


@exact_kernel
def draw_several(
    r: RowIndex,
    w: Work,
    gammas: FloatArray,
    cholesky: FloatArray,
    states: UintArray,
    u: FloatArray,
    stop: UintArray,
) -> None:
    """Draw the effects of one factor with several effects a level; see `draw_single`.

    An independence sampler with proposals from a t distribution with 8 degrees of freedom at
    the mode of the level's effects, with their curvature.
    """
    n, q = len(r.y), r.q[0]
    parts = np.arange(len(r.part_start) - 1)
    eta = np.empty(n)
    noise, logits = np.empty(q), np.empty(q)
    for s in range(len(gammas)):
        if stop[0]:
            break
        fixed_predictor(r, gammas[s], eta)
        find_modes(r, w, cholesky[s], eta, parts)
        for j in range(len(r.row_start) - 1):
            R = view(w.cholesky_first, j * q * q, (j + 1) * q * q)
            mode = view(w.u, j * q, (j + 1) * q)
            current, weight = view(u[s], j * q, (j + 1) * q), -math.inf
            for step in range(PROPOSALS):
                squared = 0.0
                for a in range(q):
                    noise[a] = normal(states[s])
                    squared += noise[a] * noise[a]
                # Half a chi-squared number with 8 degrees of freedom is a sum of four exponential ones.
                halved = 0.0
                for _ in range(4):
                    halved -= math.log(uniform(states[s]))
                stretch = math.sqrt(4.0 / halved)
                for a in range(q):
                    noise[a] *= stretch
                log_proposal = -0.5 * (8.0 + q) * math.log1p(squared * stretch * stretch / 8.0)
                solve_lower_transposed(R, q, noise)
                value = -log_proposal
                for a in range(q):
                    logits[a] = 0.0
                    for b in range(a + 1):
                        logits[a] += cholesky[s, a * q + b] * noise[b]
                    moved = mode[a] + noise[a]
                    value -= 0.5 * moved * moved
                for i in range(r.row_start[j], r.row_start[j + 1]):
                    x = w.eta[i]
                    for a in range(q):
                        x += r.Z[a * n + i] * logits[a]
                    e, _, _ = logistic(x)
                    value += row_log_likelihood(r.y[i], r.trials[i], x, e)
                if step == 0 or math.log(uniform(states[s])) < value - weight:
                    weight = value
                    for a in range(q):
                        current[a] = mode[a] + noise[a]
