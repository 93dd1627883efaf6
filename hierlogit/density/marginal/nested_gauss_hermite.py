"""The marginal likelihood of two nested grouping factors by adaptive Gauss-Hermite quadrature, and its exact gradient.

Each factor has one effect: v of an outer level, u_j of each inner level j in it, all standardised. With nodes x and
weights omega, the likelihood of an outer level is a sum over nodes for v of products of sums over nodes for each u_j:

    log L = log sum_k omega_k exp(x_k^2 + F(v_k)) + log sd - log(pi) / 2,            v_k = v + sqrt(2) sd x_k
    F(v) = sum_j p_j log I_j(v) - v^2 / 2,    with powers p_j that are 1 unless inner levels have sampling weights
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
from ...numba_support.vectors import vector, view
from .evaluation import MODE_TOLERANCE, Evaluation, sum_of_parts
from .fixed_effects import fixed_predictor
from .gauss_hermite import grid
from .inner_quadrature import (
    add_at_mode,
    add_at_pairs,
    inner_modes,
    inner_shares,
    mean_residuals,
    place_inner_nodes,
)
from .laplace import evaluate_parts
from .work import Work, first_columns, make_work

FloatArray = npt.NDArray[np.float64]

#: How many probabilities of an inner level's rows are kept for its gradient, unless one outer node needs more: 2 MiB.
KEPT = 262144


@kernel
def integrate(
    r: RowIndex,
    w: Work,
    cholesky: FloatArray,
    eta: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    powers: FloatArray,
    values: FloatArray,
    dcholesky: FloatArray,
) -> int:
    """Log-likelihood of every outer level, with nodes around the Laplace modes; returns how many searches failed.

    These are the searches for inner modes. The rows' share of the gradient goes into ``w.deta``; `dcholesky` has the
    derivatives in the two sds of one outer level after the other, and is zero before.
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
    v, outer_logs, outer_share = vector(size), vector(size), vector(size)
    ds, by_outer = vector(size), vector(size)
    mode, top, scale, h = vector(size), vector(size), vector(size), vector(size)
    mode_score, curvature, third = vector(size), vector(size), vector(size)
    total, first, second = vector(size), vector(size), vector(size)
    score, node_score, dcurvature, dmode = vector(size), vector(size), vector(size), vector(size)
    scratch = vector(4 * size)
    # By row and outer node.
    weight, dweight, deta = vector(most_rows * size), vector(most_rows * size), vector(most_part * size)
    # By pair of nodes.
    points, outer_points = vector(size * size), vector(size * size)
    logs, share = vector(size * size), vector(size * size)
    probability = vector(max(KEPT, most_rows * size))
    inner, outer = vector(most_rows), vector(most_rows)
    by_outer_mode, by_sd = np.empty(len(values)), np.empty(len(values))
    failures = 0
    for part in range(len(r.part_start) - 1):
        column = base + r.col_start[part]
        start_of_part = r.row_start[r.part_start[part]]
        variance = w.schur[r.schur_at[part]]
        sd = np.sqrt(variance)
        for k in range(size):
            v[k] = w.u[column] + np.sqrt(2.0) * sd * nodes[k]
            outer_logs[k] = log_weights[k] - 0.5 * v[k] * v[k] + np.log(sd) - 0.5 * np.log(np.pi)
            ds[k] = by_outer[k] = 0.0
        for j in range(r.part_start[part], r.part_start[part + 1]):
            start, stop = r.row_start[j], r.row_start[j + 1]
            rows = stop - start
            for i in range(rows):
                inner[i] = s * r.Z[start + i]
                outer[i] = g * r.Z[n + start + i]
            # The joint mode gives u_j(v) to first order: u_j falls by D_j^-1 B_j for each unit of v.
            slope = w.solved_pair[r.matrix_at[j]]
            for k in range(size):
                mode[k] = w.u[j] - slope * (v[k] - w.u[column])
            if not inner_modes(
                view(r.y, start, stop),
                view(r.trials, start, stop),
                view(eta, start, stop),
                view(inner, 0, rows),
                outer,
                v,
                mode,
                scratch,
            ):
                failures += 1
            for k in range(size):
                top[k] = -0.5 * mode[k] * mode[k]
                mode_score[k] = curvature[k] = third[k] = score[k] = node_score[k] = 0.0
            for i in range(rows):
                add_at_mode(
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
                    view(dweight, i * size, (i + 1) * size),
                    mode_score,
                    curvature,
                    third,
                )
            for k in range(size):
                h[k] = 1.0 + s * s * curvature[k]
                scale[k] = np.sqrt(2.0 / h[k])
            # As many outer nodes at a time as there is room for the rows' probabilities.
            block = min(size, len(probability) // (rows * size))
            for one in range(0, size, block):
                few = slice(one, min(one + block, size))
                pairs = (few.stop - one) * size
                place_inner_nodes(
                    mode[few], scale[few], top[few], v[few], nodes, inner_weights, points, outer_points, logs
                )
                for i in range(rows):
                    add_at_pairs(
                        r.y[start + i],
                        r.trials[start + i],
                        eta[start + i],
                        inner[i],
                        outer[i],
                        points,
                        outer_points,
                        view(logs, 0, pairs),
                        view(probability, i * pairs, (i + 1) * pairs),
                    )
                inner_shares(view(logs, 0, pairs), nodes, share, total[few], first[few], second[few])
                for i in range(rows):
                    at = (start + i - start_of_part) * size
                    mean_residuals(
                        r.y[start + i],
                        r.trials[start + i],
                        r.Z[start + i],
                        view(probability, i * pairs, (i + 1) * pairs),
                        share,
                        nodes,
                        view(deta, at + one, at + few.stop),
                        score[few],
                        node_score[few],
                    )
            for k in range(size):
                outer_logs[k] += powers[j] * (top[k] + constant + np.log(total[k]) - 0.5 * np.log(h[k]))
                # Derivatives of the inner sum in the nodes' scale, in the curvature that sets it, and in the mode.
                dscale = s * node_score[k] - mode[k] * first[k] - scale[k] * second[k]
                dcurvature[k] = -0.5 * (scale[k] * dscale + 1.0) / h[k]
                moving = s * score[k] - mode[k] - scale[k] * first[k]
                dmode[k] = (moving + s * s * s * dcurvature[k] * third[k]) / h[k]
                # In s: at fixed nodes, in the curvature, in the gradient at the mode, and through the linear
                # predictor there.
                curved = s * s * dcurvature[k] * third[k] - s * dmode[k] * curvature[k]
                ds[k] += powers[j] * (
                    mode[k] * score[k]
                    + scale[k] * node_score[k]
                    + 2.0 * s * curvature[k] * dcurvature[k]
                    + dmode[k] * mode_score[k]
                    + mode[k] * curved
                )
            for i in range(rows):
                z, other = r.Z[start + i], r.Z[n + start + i]
                at = (start + i - start_of_part) * size
                row_deta = view(deta, at, at + size)
                ws, ts = view(weight, i * size, (i + 1) * size), view(dweight, i * size, (i + 1) * size)
                for k in range(size):
                    row_deta[k] += s * z * (s * z * dcurvature[k] * ts[k] - dmode[k] * ws[k])
                    row_deta[k] *= powers[j]
                    by_outer[k] += other * row_deta[k]

        highest = outer_logs.max()
        sum_of_shares = 0.0
        for k in range(size):
            outer_share[k] = np.exp(outer_logs[k] - highest)
            sum_of_shares += outer_share[k]
        values[part] = highest + np.log(sum_of_shares)
        by_outer_mode[part], by_sd[part] = 0.0, 1.0 / sd
        for k in range(size):
            outer_share[k] /= sum_of_shares
            dv = outer_share[k] * (g * by_outer[k] - v[k])
            by_outer_mode[part] += dv
            by_sd[part] += np.sqrt(2.0) * nodes[k] * dv
            dcholesky[2 * part] += outer_share[k] * ds[k]
            dcholesky[2 * part + 1] += outer_share[k] * by_outer[k] * v[k]
        for i in range(start_of_part, r.row_start[r.part_start[part + 1]]):
            row_deta = view(deta, (i - start_of_part) * size, (i - start_of_part + 1) * size)
            mean = 0.0
            for k in range(size):
                mean += outer_share[k] * row_deta[k]
            w.deta[i] = mean
    _move_outer_nodes(r, w, cholesky, by_outer_mode, by_sd, dcholesky)
    return failures


@kernel
def _move_outer_nodes(
    r: RowIndex, w: Work, cholesky: FloatArray, by_outer_mode: FloatArray, by_sd: FloatArray, dcholesky: FloatArray
) -> None:
    """Add to the gradient what comes through the places of the outer nodes.

    Given the derivatives of each outer level's log-likelihood in the mode of v and in ``sd = S^-1/2``, where
    ``S = C - sum_j B_j^2 / D_j`` in blocks of ``H``, and the mode of all effects solves ``A' residual = u``.
    """
    n, base = len(r.y), first_columns(r)
    s, g = cholesky[0], cholesky[1]
    for part in range(len(r.part_start) - 1):
        column, dL = base + r.col_start[part], view(dcholesky, 2 * part, 2 * part + 2)
        levels = range(r.part_start[part], r.part_start[part + 1])
        variance = w.schur[r.schur_at[part]]
        by_schur = -0.5 * variance * np.sqrt(variance) * by_sd[part]
        solved = by_outer_mode[part]
        dL[1] += by_schur * 2.0 * g * w.products_other[r.other_at[r.other_start[part]]]
        for j in levels:
            slope, pair = w.solved_pair[r.matrix_at[j]], w.products_pair[r.matrix_at[j]]
            dL[0] += by_schur * 2.0 * slope * (slope * s * w.products_first[j] - g * pair)
            dL[1] -= by_schur * 2.0 * slope * s * pair
            for i in range(r.row_start[j], r.row_start[j + 1]):
                along = g * r.Z[n + i] - slope * s * r.Z[i]
                solved += along * (by_schur * along * along * w.weight[i] * w.one_minus_2p[i])
        outer_step = variance * solved
        dL[1] += outer_step * w.score[column]
        for j in levels:
            slope, right = w.solved_pair[r.matrix_at[j]], 0.0
            for i in range(r.row_start[j], r.row_start[j + 1]):
                along = g * r.Z[n + i] - slope * s * r.Z[i]
                right += s * r.Z[i] * (by_schur * along * along * w.weight[i] * w.one_minus_2p[i])
            inner_step = right / (w.cholesky_first[j] * w.cholesky_first[j]) - slope * outer_step
            dL[0] += inner_step * w.score[j]
            for i in range(r.row_start[j], r.row_start[j + 1]):
                z, other = r.Z[i], r.Z[n + i]
                along = g * other - slope * s * z
                change = w.weight[i] * (
                    by_schur * along * along * w.one_minus_2p[i] - s * z * inner_step - g * other * outer_step
                )
                w.deta[i] += change
                dL[0] += z * w.u[j] * change
                dL[1] += other * w.u[column] * change


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
        Flat Cholesky factors of the last evaluation.
    values : ndarray
        Log-likelihood of each outer level, without binomial coefficients.
    dcholesky : ndarray, shape (outer levels, 2)
        Derivative of each of them in the two sds.

    Raises
    ------
    EngineError
        If the arrangement is any other.
    """

    #: No part is evaluated by itself.
    parts_without_schur: tuple[()] = ()

    def __init__(self, arrangement: Arrangement, nodes: int) -> None:
        row_index = arrangement.row_index
        _check_nested(row_index)
        self.arrangement = arrangement
        self.work = make_work(row_index)
        self.cholesky = np.zeros(int(row_index.cholesky_at[-1]))
        self.values = np.zeros(len(row_index.part_start) - 1)
        self.dcholesky = np.zeros((len(self.values), len(self.cholesky)))
        self._eta = np.empty(len(row_index.y))
        weights = arrangement.weights
        self._powers = np.ones(len(row_index.row_start) - 1) if weights is None else weights.levels
        self._parts = np.arange(len(self.values))
        points, self._log_weights = grid(nodes, 1)
        self._nodes = np.ascontiguousarray(points[0])

    def evaluate(self, gamma: FloatArray, cholesky: FloatArray) -> Evaluation:
        """Log-likelihood and gradient at coefficients of the basis and flat Cholesky factors."""
        row_index, work = self.arrangement.row_index, self.work
        if not np.all(np.isfinite(work.u)):
            work.u[:] = 0.0
        self.cholesky = cholesky
        fixed_predictor(row_index, gamma, self._eta)
        dcholesky = self.dcholesky.ravel()
        evaluate_parts(row_index, work, cholesky, self._eta, self._parts, dcholesky)
        dcholesky[:] = 0.0
        failures = integrate(
            row_index, work, cholesky, self._eta, self._nodes, self._log_weights, self._powers, self.values, dcholesky
        )
        converged = failures == 0 and bool(work.decrement.max() <= MODE_TOLERANCE)
        return sum_of_parts(self.arrangement, self.values, work.deta, self.dcholesky, converged=converged)


def _check_nested(row_index: RowIndex) -> None:
    """Refuse anything but two nested factors of one effect each.

    The factor with more levels comes first in a row index. A part of rows that share levels has one level of the other
    factor if and only if the first is nested in it; where it has one level of each, either may be called the outer one.
    """
    widths = [int(width) for width in row_index.q]
    allowed = "quadrature over two levels needs two nested grouping factors with one effect each, (1 | a/b)."
    remedy = "Use Laplace's method for this model."
    if len(widths) != 2:
        raise EngineError(f"{allowed} The number of grouping factors here is {len(widths)}. {remedy}")
    if widths != [1, 1]:
        raise EngineError(f"{allowed} Here they have {max(widths)} and {min(widths)}. {remedy}")
    if np.diff(row_index.col_start).max() != 1:
        raise EngineError(f"{allowed} Here levels of each share rows with several of the other. {remedy}")
