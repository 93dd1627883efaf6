"""Rows given the other rows of an outer cluster, with its effect and those of all clusters nested in it integrated out.

For one draw of the parameters, with v the standardised effect of the outer cluster and u_j that of inner cluster j,

    p(y_i | y_-i) = L / L_-i,
    L = integral of prod_j I_j(v) phi(v) dv,
    I_j(v) = integral of p(y_j | u, v) phi(u) du,

and L_-i as L without row i, all by adaptive Gauss-Hermite quadrature: nodes of u are placed anew at each node of v, as
for the likelihood of two nested factors. Leaving out a row changes one inner integral at the same nodes, unless the row
carries much of the information about an effect: the nodes are then placed without it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...density.kernels.binomial import bernoulli_variance, exp_of_negative, log_sum, logistic, row_log_likelihood
from ...density.marginal.inner_quadrature import inner_modes
from ...numba_support.compile import kernel
from ...numba_support.vectors import view

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

#: The search for the mode of an outer effect ends with a Newton step whose squared length, in units of the
#: log-likelihood, is below this: quadrature does not need the mode itself.
TOLERANCE = 1e-6
MOST_STEPS = 50


@kernel
def place_outer(
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
    starts: IntArray,
    modes: FloatArray,
    scratch: FloatArray,
) -> tuple[float, float]:
    """Mode of the outer effect, with the inner ones at their modes given it, and its standard deviation there.

    `modes` has those of the inner effects, from which the search starts and where it ends.
    """
    v, low, high = np.zeros(1), 0.0, 0.0
    for i in range(len(y)):
        one, other = outer[i] * y[i], outer[i] * (y[i] - trials[i])
        low += min(one, other)
        high += max(one, other)
    curvature = 1.0
    for _ in range(MOST_STEPS):
        gradient, curvature = -v[0], 1.0
        for j in range(len(starts) - 1):
            start, stop = starts[j], starts[j + 1]
            mode = view(modes, j, j + 1)
            inner_modes(
                view(y, start, stop),
                view(trials, start, stop),
                view(eta, start, stop),
                view(inner, start, stop),
                view(outer, start, stop),
                v,
                mode,
                scratch,
            )
            own, cross, of_inner = 0.0, 0.0, 1.0
            for i in range(start, stop):
                e, d, p = logistic(eta[i] + outer[i] * v[0] + inner[i] * mode[0])
                w = trials[i] * bernoulli_variance(e, d)
                gradient += outer[i] * (y[i] - trials[i] * p)
                own += w * outer[i] * outer[i]
                cross += w * outer[i] * inner[i]
                of_inner += w * inner[i] * inner[i]
            curvature += own - cross * cross / of_inner
        low = v[0] if gradient > 0.0 else low
        high = v[0] if gradient < 0.0 else high
        moved = v[0] + gradient / curvature
        moved = moved if (moved >= low) & (moved <= high) else 0.5 * (low + high)
        error = curvature * (moved - v[0]) * (moved - v[0])
        v[0] = moved
        # Written so that NaN ends the search: no further step would change it.
        if not error > TOLERANCE:
            break
    return v[0], 1.0 / np.sqrt(curvature)


@kernel
def inner_terms(
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
    v: FloatArray,
    mode: FloatArray,
    scratch: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    points: FloatArray,
    logs: FloatArray,
) -> None:
    """Nodes of an inner effect at each node v of the outer one, and logarithms of the terms whose sum is ``I_j(v)``.

    `points` and `logs` have one entry for each inner node at each outer node, inner nodes innermost.
    """
    inner_modes(y, trials, eta, inner, outer, v, mode, scratch)
    count = len(nodes)
    for k in range(len(v)):
        h = 1.0
        for i in range(len(y)):
            e, d, _ = logistic(eta[i] + outer[i] * v[k] + inner[i] * mode[k])
            h += trials[i] * bernoulli_variance(e, d) * inner[i] * inner[i]
        scale = np.sqrt(2.0 / h)
        for m in range(count):
            u = mode[k] + scale * nodes[m]
            points[k * count + m] = u
            logs[k * count + m] = log_weights[m] - 0.5 * u * u - 0.5 * np.log(np.pi * h)
        u, terms = view(points, k * count, (k + 1) * count), view(logs, k * count, (k + 1) * count)
        for i in range(len(y)):
            fixed = eta[i] + outer[i] * v[k]
            for m in range(count):
                x = fixed + inner[i] * u[m]
                terms[m] += row_log_likelihood(y[i], trials[i], x, logistic(x)[0])


@kernel
def cluster_terms(
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    inner: FloatArray,
    outer: FloatArray,
    starts: IntArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    outer_nodes: FloatArray,
    outer_log_weights: FloatArray,
    v: FloatArray,
    outer_logs: FloatArray,
    integrals: FloatArray,
    points: FloatArray,
    logs: FloatArray,
) -> None:
    """Nodes v of the outer effect, logarithms of the terms whose sum is L, and the inner integrals at the nodes.

    `integrals` has one entry for each outer node of each inner cluster, outer nodes innermost; `points` and `logs` have
    those of `inner_terms`, one inner cluster after the other.
    """
    size, pairs = len(outer_nodes), len(outer_nodes) * len(nodes)
    modes, mode, scratch = np.zeros(len(starts) - 1), np.empty(size), np.empty(4 * size)
    center, sd = place_outer(y, trials, eta, inner, outer, starts, modes, scratch)
    for k in range(size):
        v[k] = center + np.sqrt(2.0) * sd * outer_nodes[k]
        outer_logs[k] = outer_log_weights[k] - 0.5 * v[k] * v[k] + np.log(sd)
    for j in range(len(modes)):
        start, stop = starts[j], starts[j + 1]
        of_cluster, terms = view(integrals, j * size, (j + 1) * size), view(logs, j * pairs, (j + 1) * pairs)
        mode[:] = modes[j]
        inner_terms(
            view(y, start, stop),
            view(trials, start, stop),
            view(eta, start, stop),
            view(inner, start, stop),
            view(outer, start, stop),
            v,
            mode,
            scratch,
            nodes,
            log_weights,
            view(points, j * pairs, (j + 1) * pairs),
            terms,
        )
        for k in range(size):
            of_cluster[k] = log_sum(view(terms, k * len(nodes), (k + 1) * len(nodes)))
            outer_logs[k] += of_cluster[k]


@kernel
def without_row(
    y: float,
    trials: float,
    eta: float,
    inner: float,
    outer: float,
    v: FloatArray,
    points: FloatArray,
    logs: FloatArray,
    terms: FloatArray,
    p: FloatArray,
    integral: FloatArray,
    mean: FloatArray,
) -> None:
    """By outer node, the inner integral without a row and the mean probability of the row's event.

    `logs` are those of `inner_terms` for the row's inner cluster, from which its log-likelihood is taken; there is
    nothing to take if the row has no trials.
    """
    count = len(terms)
    for k in range(len(v)):
        u, whole = view(points, k * count, (k + 1) * count), view(logs, k * count, (k + 1) * count)
        for m in range(count):
            x = eta + outer * v[k] + inner * u[m]
            e, _, p[m] = logistic(x)
            terms[m] = whole[m] - row_log_likelihood(y, trials, x, e)
        integral[k], mean[k] = log_sum(terms), 0.0
        for m in range(count):
            mean[k] += exp_of_negative(min(terms[m] - integral[k], 0.0)) * p[m]


@kernel
def leave_out(
    y: FloatArray,
    trials: FloatArray,
    etas: FloatArray,
    z_inner: FloatArray,
    z_outer: FloatArray,
    scales: FloatArray,
    starts: IntArray,
    own_nodes: BoolArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    outer_nodes: FloatArray,
    outer_log_weights: FloatArray,
    log_probability: FloatArray,
    probability: FloatArray,
) -> None:
    """Log probability, without binomial coefficients, and probability of the event of all rows of an outer cluster.

    Parameters
    ----------
    y, trials : ndarray, shape (n,)
        Rows in the order of the inner clusters.
    etas : ndarray, shape (draws, n)
        Linear predictors without these effects.
    z_inner, z_outer : ndarray, shape (n,)
        Columns of the random effects.
    scales : ndarray, shape (draws, 2)
        Standard deviations of the inner and the outer effect.
    starts : ndarray of int, shape (inner clusters + 1,)
        First row of each inner cluster, and n.
    own_nodes : ndarray of bool, shape (n, 2)
        Whether nodes of the inner effect, and of the outer one, are placed without the row.
    nodes, log_weights, outer_nodes, outer_log_weights : ndarray
        Gauss-Hermite rules, as by `grid`.
    log_probability, probability : ndarray, shape (draws, n)
        Written.
    """
    n, size, count, clusters = len(y), len(outer_nodes), len(nodes), len(starts) - 1
    pairs = size * count
    inner, outer, eta, y_rest, trials_rest = np.empty(n), np.empty(n), np.empty(n), y.copy(), trials.copy()
    v, outer_logs, integrals = np.empty(size), np.empty(size), np.empty(clusters * size)
    points, logs = np.empty(clusters * pairs), np.empty(clusters * pairs)
    # Those of a row with nodes of its own.
    own_v, own_logs, own_integrals = np.empty(size), np.empty(size), np.empty(clusters * size)
    own_points, own_terms = np.empty(clusters * pairs), np.empty(clusters * pairs)
    terms, p, scratch, mode = np.empty(count), np.empty(count), np.empty(4 * size), np.empty(size)
    integral, mean, rest = np.empty(size), np.empty(size), np.empty(size)
    rules, predictors = (nodes, log_weights, outer_nodes, outer_log_weights), (eta, inner, outer, starts)
    results, own_results = (v, outer_logs, integrals, points, logs), (own_v, own_logs, own_integrals)
    for s in range(len(etas)):
        for i in range(n):
            eta[i], inner[i], outer[i] = etas[s, i], scales[s, 0] * z_inner[i], scales[s, 1] * z_outer[i]
        cluster_terms(y, trials, *predictors, *rules, *results)
        total = log_sum(outer_logs)
        for j in range(clusters):
            rows, here = slice(starts[j], starts[j + 1]), slice(j * size, (j + 1) * size)
            block = slice(j * pairs, (j + 1) * pairs)
            for i in range(starts[j], starts[j + 1]):
                row = (eta[i], inner[i], outer[i])
                y_rest[i] = trials_rest[i] = 0.0
                at, whole, of_cluster = v, outer_logs, integrals[here]
                if own_nodes[i, 1]:
                    cluster_terms(y_rest, trials_rest, *predictors, *rules, *own_results, own_points, own_terms)
                    at, whole, of_cluster = own_v, own_logs, own_integrals[here]
                if own_nodes[i, 0] or own_nodes[i, 1]:
                    mode[:] = 0.0
                    others = (y_rest[rows], trials_rest[rows], eta[rows], inner[rows], outer[rows])
                    inner_terms(*others, at, mode, scratch, nodes, log_weights, own_points, own_terms)
                    without_row(0.0, 0.0, *row, at, own_points, own_terms, terms, p, integral, mean)
                else:
                    without_row(y[i], trials[i], *row, at, points[block], logs[block], terms, p, integral, mean)
                y_rest[i], trials_rest[i] = y[i], trials[i]
                for k in range(size):
                    rest[k] = whole[k] - of_cluster[k] + integral[k]
                without = log_sum(rest)
                log_probability[s, i], probability[s, i] = total - without, 0.0
                for k in range(size):
                    probability[s, i] += exp_of_negative(min(rest[k] - without, 0.0)) * mean[k]
