"""The marginal likelihood of two nested grouping factors by adaptive Gauss-Hermite quadrature, and its exact gradient.

Each factor has one effect: v of an outer level, u_j of each inner level j in it, all standardised. With nodes x and
weights omega, the likelihood of an outer level is a sum over nodes for v of products of sums over nodes for each u_j:

    log L = log sum_k omega_k exp(x_k^2 + F(v_k)) + log sd - log(pi) / 2,            v_k = v + sqrt(2) sd x_k
    F(v) = sum_j log I_j(v) - v^2 / 2
    log I_j(v) = log sum_m omega_m exp(x_m^2 + f_j(u_m, v)) - log(pi h) / 2,         u_m = u_j(v) + sqrt(2 / h) x_m
    f_j(u, v) = l_j(u, v) - u^2 / 2,  with its mode u_j(v) and h = -d^2 f_j / d u^2 there

(Rabe-Hesketh, Skrondal and Pickles 2005, Journal of Econometrics 128: 301-323; Pinheiro and Chao 2006, Journal of
Computational and Graphical Statistics 15: 58-81). Inner nodes are placed anew at each outer node, and the outer ones
by the mode of all effects together, with ``sd^-2`` the Schur complement there; so one node is Laplace's method.

The gradient is that of this sum itself, not of the integral: nodes of both levels move with the parameters, since
modes and curvatures do, and derivatives are taken through all of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.arrangement import Arrangement, RowIndex
from ...errors import EngineError
from ...numba_support.compile import kernel
from ...numba_support.vectors import view
from ..kernels.binomial import bernoulli_variance, exp_of_negative, logistic, one_minus_two_p, row_log_likelihood
from .block_cholesky import Work, first_columns, make_work
from .gauss_hermite import grid
from .laplace import MODE_TOLERANCE, Evaluation, columns_times, evaluate_parts, fixed_predictor

FloatArray = npt.NDArray[np.float64]

#: The search for inner modes ends with a Newton step whose square, in units of log-likelihood, is below this. The error
#: that it leaves is of the order of the square.
SHORT = 1e-12
MOST_STEPS = 100
#: Numbers that may be kept of the rows of an inner level, from its value for its gradient, unless one outer node needs
#: more: 2 MiB.
KEPT = 262144


@kernel
def _find_modes(
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
    v: FloatArray,
    mode: FloatArray,
    scratch: FloatArray,
) -> bool:
    """Modes of an inner effect at each outer node by Newton's method, from those given; whether all were found.

    The slope falls in u and its zero lies between two bounds: steps that would leave them go halfway between.
    """
    size = len(mode)
    slope, curvature = view(scratch, 0, size), view(scratch, size, 2 * size)
    low, high = view(scratch, 2 * size, 3 * size), view(scratch, 3 * size, 4 * size)
    lowest = highest = 0.0
    for i in range(len(y)):
        one, other = inner[i] * y[i], inner[i] * (y[i] - trials[i])
        lowest += min(one, other)
        highest += max(one, other)
    for k in range(size):
        low[k], high[k] = lowest, highest
        mode[k] = min(max(mode[k], lowest), highest)
    for _ in range(MOST_STEPS):
        for k in range(size):
            slope[k] = -mode[k]
            curvature[k] = 1.0
        for i in range(len(y)):
            for k in range(size):
                x = eta[i] + outer[i] * v[k] + inner[i] * mode[k]
                e, d, p = logistic(x)
                slope[k] += inner[i] * (y[i] - trials[i] * p)
                curvature[k] += inner[i] * inner[i] * trials[i] * bernoulli_variance(e, d)
        left = 0.0
        for k in range(size):
            low[k] = mode[k] if slope[k] > 0.0 else low[k]
            high[k] = mode[k] if slope[k] < 0.0 else high[k]
            moved = mode[k] + slope[k] / curvature[k]
            inside = (moved >= low[k]) & (moved <= high[k])
            moved = moved if inside else 0.5 * (low[k] + high[k])
            left += curvature[k] * (moved - mode[k]) * (moved - mode[k])
            mode[k] = moved
        # Not "below": what is no number will not become one.
        if not left > SHORT:
            return True
    return False


@kernel
def _at_mode(
    y: float,
    trials: float,
    eta: float,
    z: float,
    L: float,
    outer: float,
    v: FloatArray,
    mode: FloatArray,
    top: FloatArray,
    weight: FloatArray,
    bend: FloatArray,
    score: FloatArray,
    curvature: FloatArray,
    bends: FloatArray,
) -> None:
    """Add one row's log-likelihood at the inner modes, and its derivatives by the inner effect before it is scaled.

    The second and third derivatives in the linear predictor, with the opposite sign, go into `weight` and `bend`.
    """
    for k in range(len(mode)):
        x = eta + outer * v[k] + z * L * mode[k]
        e, d, p = logistic(x)
        top[k] += row_log_likelihood(y, trials, x, e)
        w = trials * bernoulli_variance(e, d)
        t = w * one_minus_two_p(x, e, d)
        weight[k] = w
        bend[k] = t
        score[k] += z * (y - trials * p)
        curvature[k] += z * z * w
        bends[k] += z * z * z * t


@kernel
def _place(
    mode: FloatArray,
    spread: FloatArray,
    top: FloatArray,
    v: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    points: FloatArray,
    levels: FloatArray,
    logs: FloatArray,
) -> None:
    """Inner nodes at each outer node, one after the other, with the outer node; start of the logarithms there.

    These are taken in relation to the integrand at the mode.
    """
    inner = len(nodes)
    for k in range(len(mode)):
        for m in range(inner):
            u = mode[k] + spread[k] * nodes[m]
            points[k * inner + m] = u
            levels[k * inner + m] = v[k]
            logs[k * inner + m] = log_weights[m] - 0.5 * u * u - top[k]


@kernel
def _add_row(
    y: float,
    trials: float,
    eta: float,
    inner: float,
    outer: float,
    points: FloatArray,
    levels: FloatArray,
    logs: FloatArray,
    probability: FloatArray,
) -> None:
    """Add one row's log-likelihood at every pair of nodes, and keep its probabilities."""
    for k in range(len(logs)):
        x = eta + outer * levels[k] + inner * points[k]
        e, _, p = logistic(x)
        logs[k] += row_log_likelihood(y, trials, x, e)
        probability[k] = p


@kernel
def _share(
    logs: FloatArray, nodes: FloatArray, share: FloatArray, total: FloatArray, first: FloatArray, second: FloatArray
) -> None:
    """Turn logarithms into each inner node's share, with their sum and the first two moments of the nodes."""
    inner = len(nodes)
    for k in range(len(logs)):
        # The integrand is highest at the mode, so that only rounding takes these above the largest weight's.
        share[k] = exp_of_negative(min(logs[k], 0.0))
    for k in range(len(total)):
        own = view(share, k * inner, (k + 1) * inner)
        a = b = c = 0.0
        for m in range(inner):
            a += own[m]
            b += own[m] * nodes[m]
            c += own[m] * nodes[m] * nodes[m]
        for m in range(inner):
            own[m] /= a
        total[k], first[k], second[k] = a, b / a, c / a


@kernel
def _residuals(
    y: float,
    trials: float,
    z: float,
    probability: FloatArray,
    share: FloatArray,
    nodes: FloatArray,
    mean: FloatArray,
    score: FloatArray,
    turn: FloatArray,
) -> None:
    """One row's residual, averaged over the inner nodes; its scores, with and without the node as a factor."""
    inner = len(nodes)
    for k in range(len(mean)):
        p, own = view(probability, k * inner, (k + 1) * inner), view(share, k * inner, (k + 1) * inner)
        a = b = 0.0
        for m in range(inner):
            r = own[m] * (y - trials * p[m])
            a += r
            b += r * nodes[m]
        mean[k] = a
        score[k] += z * a
        turn[k] += z * b


@kernel
def integrate(
    r: RowIndex,
    w: Work,
    cholesky: FloatArray,
    eta: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    values: FloatArray,
    dcholesky: FloatArray,
) -> int:
    """Log-likelihood of every outer level, from modes found by Laplace's method; how many inner modes were not found.

    The rows' share of the gradient goes into ``w.deta``.
    """
    n, size, base = len(r.y), len(nodes), first_columns(r)
    s, g = cholesky[0], cholesky[1]
    most_rows, most_part = 0, 0
    for j in range(len(r.row_start) - 1):
        most_rows = max(most_rows, r.row_start[j + 1] - r.row_start[j])
    for part in range(len(r.part_start) - 1):
        most_part = max(most_part, r.row_start[r.part_start[part + 1]] - r.row_start[r.part_start[part]])
    largest = log_weights.max()
    inner_weights = log_weights - largest
    constant = largest - 0.5 * np.log(np.pi)

    # By outer node.
    v, outer_logs, outer_share = np.empty(size), np.empty(size), np.empty(size)
    by_inner, by_outer = np.empty(size), np.empty(size)
    mode, top, spread, h = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    mode_score, curvature, bends = np.empty(size), np.empty(size), np.empty(size)
    total, first, second = np.empty(size), np.empty(size), np.empty(size)
    score, turn, by_curvature, kappa = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    scratch = np.empty(4 * size)
    # By row and outer node.
    weight, bend, deta = np.empty(most_rows * size), np.empty(most_rows * size), np.empty(most_part * size)
    # By pair of nodes.
    points, levels = np.empty(size * size), np.empty(size * size)
    logs, share = np.empty(size * size), np.empty(size * size)
    probability = np.empty(max(KEPT, most_rows * size))
    inner, outer = np.empty(most_rows), np.empty(most_rows)
    by_mode, by_sd = np.empty(len(values)), np.empty(len(values))
    lost = 0
    for part in range(len(r.part_start) - 1):
        column = base + r.col_start[part]
        start_of_part = r.row_start[r.part_start[part]]
        variance = w.schur[r.schur_at[part]]
        sd = np.sqrt(variance)
        for k in range(size):
            v[k] = w.u[column] + np.sqrt(2.0) * sd * nodes[k]
            outer_logs[k] = log_weights[k] - 0.5 * v[k] * v[k] + np.log(sd) - 0.5 * np.log(np.pi)
            by_inner[k] = by_outer[k] = 0.0
        for j in range(r.part_start[part], r.part_start[part + 1]):
            start, stop = r.row_start[j], r.row_start[j + 1]
            rows = stop - start
            for i in range(rows):
                inner[i] = s * r.Z[start + i]
                outer[i] = g * r.Z[n + start + i]
            follow = w.solved_pair[r.matrix_at[j]]
            for k in range(size):
                mode[k] = w.u[j] - follow * (v[k] - w.u[column])
            if not _find_modes(
                view(r.y, start, stop),
                view(r.trials, start, stop),
                view(eta, start, stop),
                view(inner, 0, rows),
                outer,
                v,
                mode,
                scratch,
            ):
                lost += 1
            for k in range(size):
                top[k] = -0.5 * mode[k] * mode[k]
                mode_score[k] = curvature[k] = bends[k] = score[k] = turn[k] = 0.0
            for i in range(rows):
                _at_mode(
                    r.y[start + i],
                    r.trials[start + i],
                    eta[start + i],
                    r.Z[start + i],
                    s,
                    outer[i],
                    v,
                    mode,
                    top,
                    view(weight, i * size, (i + 1) * size),
                    view(bend, i * size, (i + 1) * size),
                    mode_score,
                    curvature,
                    bends,
                )
            for k in range(size):
                h[k] = 1.0 + s * s * curvature[k]
                spread[k] = np.sqrt(2.0 / h[k])
            # As many outer nodes at a time as there is room for the rows' probabilities.
            block = min(size, len(probability) // (rows * size))
            for one in range(0, size, block):
                few = slice(one, min(one + block, size))
                pairs = (few.stop - one) * size
                _place(mode[few], spread[few], top[few], v[few], nodes, inner_weights, points, levels, logs)
                for i in range(rows):
                    _add_row(
                        r.y[start + i],
                        r.trials[start + i],
                        eta[start + i],
                        inner[i],
                        outer[i],
                        points,
                        levels,
                        view(logs, 0, pairs),
                        view(probability, i * pairs, (i + 1) * pairs),
                    )
                _share(view(logs, 0, pairs), nodes, share, total[few], first[few], second[few])
                for i in range(rows):
                    at = (start + i - start_of_part) * size
                    _residuals(
                        r.y[start + i],
                        r.trials[start + i],
                        r.Z[start + i],
                        view(probability, i * pairs, (i + 1) * pairs),
                        share,
                        nodes,
                        view(deta, at + one, at + few.stop),
                        score[few],
                        turn[few],
                    )
            for k in range(size):
                outer_logs[k] += top[k] + constant + np.log(total[k]) - 0.5 * np.log(h[k])
                # How the inner sum changes with the nodes' spread, with the curvature that sets it, and with the mode.
                spreading = s * turn[k] - mode[k] * first[k] - spread[k] * second[k]
                by_curvature[k] = -0.5 * (spread[k] * spreading + 1.0) / h[k]
                moving = s * score[k] - mode[k] - spread[k] * first[k]
                kappa[k] = (moving + s * s * s * by_curvature[k] * bends[k]) / h[k]
                # The inner root: at nodes that stay, in the curvature, in the slope at the mode, and through the
                # linear predictor there.
                curved = s * s * by_curvature[k] * bends[k] - s * kappa[k] * curvature[k]
                by_inner[k] += (
                    mode[k] * score[k]
                    + spread[k] * turn[k]
                    + 2.0 * s * curvature[k] * by_curvature[k]
                    + kappa[k] * mode_score[k]
                    + mode[k] * curved
                )
            for i in range(rows):
                z, other = r.Z[start + i], r.Z[n + start + i]
                at = (start + i - start_of_part) * size
                own, ws, ts = (
                    view(deta, at, at + size),
                    view(weight, i * size, (i + 1) * size),
                    view(bend, i * size, (i + 1) * size),
                )
                for k in range(size):
                    own[k] += s * z * (s * z * by_curvature[k] * ts[k] - kappa[k] * ws[k])
                    by_outer[k] += other * own[k]

        highest = outer_logs.max()
        sum_of_shares = 0.0
        for k in range(size):
            outer_share[k] = np.exp(outer_logs[k] - highest)
            sum_of_shares += outer_share[k]
        values[part] = highest + np.log(sum_of_shares)
        by_mode[part], by_sd[part] = 0.0, 1.0 / sd
        for k in range(size):
            outer_share[k] /= sum_of_shares
            slope = outer_share[k] * (g * by_outer[k] - v[k])
            by_mode[part] += slope
            by_sd[part] += np.sqrt(2.0) * nodes[k] * slope
            dcholesky[0] += outer_share[k] * by_inner[k]
            dcholesky[1] += outer_share[k] * by_outer[k] * v[k]
        for i in range(start_of_part, r.row_start[r.part_start[part + 1]]):
            own = view(deta, (i - start_of_part) * size, (i - start_of_part + 1) * size)
            mean = 0.0
            for k in range(size):
                mean += outer_share[k] * own[k]
            w.deta[i] = mean
    _move_outer_nodes(r, w, cholesky, by_mode, by_sd, dcholesky)
    return lost


@kernel
def _move_outer_nodes(
    r: RowIndex, w: Work, cholesky: FloatArray, by_mode: FloatArray, by_sd: FloatArray, dcholesky: FloatArray
) -> None:
    """Add to the gradient what comes through the places of the outer nodes.

    Given the derivatives of each outer level's log-likelihood in the mode of v and in ``sd = S^-1/2``, where
    ``S = C - sum_j B_j^2 / D_j`` in blocks of ``H``, and the mode of all effects solves ``A' residual = u``.
    """
    n, base = len(r.y), first_columns(r)
    s, g = cholesky[0], cholesky[1]
    for part in range(len(r.part_start) - 1):
        column = base + r.col_start[part]
        levels = range(r.part_start[part], r.part_start[part + 1])
        variance = w.schur[r.schur_at[part]]
        by_schur = -0.5 * variance * np.sqrt(variance) * by_sd[part]
        solved = by_mode[part]
        dcholesky[1] += by_schur * 2.0 * g * w.products_other[r.other_at[r.other_start[part]]]
        for j in levels:
            follow, pair = w.solved_pair[r.matrix_at[j]], w.products_pair[r.matrix_at[j]]
            dcholesky[0] += by_schur * 2.0 * follow * (follow * s * w.products_first[j] - g * pair)
            dcholesky[1] -= by_schur * 2.0 * follow * s * pair
            for i in range(r.row_start[j], r.row_start[j + 1]):
                along = g * r.Z[n + i] - follow * s * r.Z[i]
                solved += along * (by_schur * along * along * w.weight[i] * w.one_minus_2p[i])
        outer_step = variance * solved
        dcholesky[1] += outer_step * w.score[column]
        for j in levels:
            follow, right = w.solved_pair[r.matrix_at[j]], 0.0
            for i in range(r.row_start[j], r.row_start[j + 1]):
                along = g * r.Z[n + i] - follow * s * r.Z[i]
                right += s * r.Z[i] * (by_schur * along * along * w.weight[i] * w.one_minus_2p[i])
            inner_step = right / (w.cholesky_first[j] * w.cholesky_first[j]) - follow * outer_step
            dcholesky[0] += inner_step * w.score[j]
            for i in range(r.row_start[j], r.row_start[j + 1]):
                z, other = r.Z[i], r.Z[n + i]
                along = g * other - follow * s * z
                change = w.weight[i] * (
                    by_schur * along * along * w.one_minus_2p[i] - s * z * inner_step - g * other * outer_step
                )
                w.deta[i] += change
                dcholesky[0] += z * w.u[j] * change
                dcholesky[1] += other * w.u[column] * change


class NestedQuadratureLikelihood:
    """Marginal log-likelihood of two nested factors by adaptive Gauss-Hermite quadrature, with its gradient.

    Each evaluation starts from the modes of the one before it. Not to be used by two threads at a time.

    Parameters
    ----------
    arrangement : Arrangement
        With two grouping factors of one effect each, such that each level of one lies in one level of the other.
    nodes : int
        For the effect of an outer level, and for that of each inner one at every outer node.

    Attributes
    ----------
    arrangement : Arrangement
    work : Work
        At the mode of all effects together, as Laplace's method leaves it, but for the rows' share of the gradient.
    cholesky : ndarray
        Flat roots of the last evaluation.
    values : ndarray
        Log-likelihood of each outer level, without binomial coefficients.

    Raises
    ------
    EngineError
        If the arrangement is any other.
    """

    def __init__(self, arrangement: Arrangement, nodes: int) -> None:
        row_index = arrangement.row_index
        _check_nested(row_index)
        self.arrangement = arrangement
        self.work = make_work(row_index)
        self.cholesky = np.zeros(int(row_index.cholesky_at[-1]))
        self.values = np.zeros(len(row_index.part_start) - 1)
        self._eta = np.empty(len(row_index.y))
        self._parts = np.arange(len(self.values))
        points, self._log_weights = grid(nodes, 1)
        self._nodes = np.ascontiguousarray(points[0])

    def evaluate(self, gamma: FloatArray, cholesky: FloatArray) -> Evaluation:
        """Log-likelihood and gradient at coefficients of the basis and flat roots."""
        row_index, work = self.arrangement.row_index, self.work
        if not np.all(np.isfinite(work.u)):
            work.u[:] = 0.0
        self.cholesky = cholesky
        fixed_predictor(row_index, gamma, self._eta)
        dcholesky = np.zeros(len(cholesky))
        evaluate_parts(row_index, work, cholesky, self._eta, self._parts, dcholesky)
        dcholesky[:] = 0.0
        lost = integrate(row_index, work, cholesky, self._eta, self._nodes, self._log_weights, self.values, dcholesky)
        dgamma = np.empty(len(gamma))
        columns_times(row_index, work.deta, dgamma)
        value = float(self.values.sum()) + self.arrangement.log_coefficients
        return Evaluation(value, dgamma, dcholesky, lost == 0 and bool(work.decrement.max() <= MODE_TOLERANCE))


def _check_nested(row_index: RowIndex) -> None:
    """Refuse anything but two nested factors of one effect each.

    The factor with more levels comes first in a layout. A part of rows that share levels has one level of the other
    factor if and only if the first is nested in it; where it has one level of each, either may be called the outer one.
    """
    widths = [int(width) for width in row_index.q]
    allowed = (
        "Quadrature of two levels needs two grouping factors with one effect each, one nested in the other: (1 | a/b)."
    )
    remedy = "Use Laplace's method for this model."
    if len(widths) != 2:
        raise EngineError(f"{allowed} The number of grouping factors here is {len(widths)}. {remedy}")
    if widths != [1, 1]:
        raise EngineError(f"{allowed} Here they have {max(widths)} and {min(widths)}. {remedy}")
    if np.diff(row_index.col_start).max() != 1:
        raise EngineError(f"{allowed} Here levels of each share rows with several of the other. {remedy}")
