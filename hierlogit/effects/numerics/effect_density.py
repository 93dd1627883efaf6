"""The density of effects given binomial outcomes, with its derivatives, for many draws of the parameters, compiled."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ...density.kernels.binomial import bernoulli_variance, log1p_of_unit, log_sum, logistic
from ...density.kernels.binomial_residuals import MANY, MULTIPLIED_ROWS, ONE, add_rows, power
from ...numba_support.compile import kernel
from ...numba_support.vectors import add_column, copy, fill, vector, window

FloatArray = npt.NDArray[np.float64]


@kernel
def log_densities(
    draws: int,
    kind: int,
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    A: FloatArray,
    u: FloatArray,
    out: FloatArray,
) -> None:
    """Log densities of standardised effects at several points, up to a constant, without binomial coefficients.

    Parameters
    ----------
    draws : int
    kind : int
        How many trials rows have, from `kind_of`.
    y, trials : ndarray, shape (n,)
    eta : ndarray, shape (draws * n,)
        Linear predictors without the effects.
    A : ndarray, shape (draws * d * n,)
        Coefficients of the effects in the linear predictors.
    u : ndarray, shape (points * draws * d,)
    out : ndarray, shape (points * draws,)
        Written.
    """
    n, d = len(y), len(u) // len(out)
    predictor, residual = np.empty(n), np.empty(n)
    for s in range(draws):
        for at in range(s, len(out), draws):
            effects = window(u, at * d, d)
            predict(window(eta, s * n, n), window(A, s * d * n, d * n), effects, predictor)
            square = 0.0
            for k in range(d):
                square += effects[k] * effects[k]
            out[at] = add_rows(kind, y, trials, predictor, residual) - 0.5 * square


@kernel
def log_integrals(
    draws: int,
    kind: int,
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    A: FloatArray,
    modes: FloatArray,
    scales: FloatArray,
    points: FloatArray,
    log_weights: FloatArray,
    out: FloatArray,
) -> None:
    """Logarithms of sums over nodes around the mode of each draw, of the densities that `log_densities` computes.

    Each row is evaluated at all nodes at once.

    Parameters
    ----------
    draws, kind, y, trials, eta, A
        As for `log_densities`.
    modes : ndarray, shape (draws * d,)
    scales : ndarray, shape (draws * d * d,)
        Matrices by which the points are multiplied before the modes are added.
    points : ndarray, shape (d * nodes,)
    log_weights : ndarray, shape (nodes,)
    out : ndarray, shape (draws,)
        Written.
    """
    n, nodes, d = len(y), len(log_weights), len(modes) // draws
    effects, predictor, product, logs = vector(d * nodes), vector(nodes), vector(nodes), vector(nodes)
    for s in range(draws):
        copy(log_weights, logs)
        for k in range(d):
            effect = window(effects, k * nodes, nodes)
            fill(effect, modes[s * d + k])
            for m in range(d):
                add_column(window(points, m * nodes, nodes), scales[(s * d + k) * d + m], effect)
            for node in range(nodes):
                logs[node] -= 0.5 * effect[node] * effect[node]
        fill(product, 1.0)
        waiting = 0
        for i in range(n):
            fill(predictor, eta[s * n + i])
            for k in range(d):
                add_column(window(effects, k * nodes, nodes), A[(s * d + k) * n + i], predictor)
            _add_row(kind, y[i], trials[i], predictor, product, logs)
            waiting += 1
            if kind != MANY and waiting == MULTIPLIED_ROWS[kind]:
                _subtract_logarithms(product, logs)
                waiting = 0
        _subtract_logarithms(product, logs)
        out[s] = log_sum(logs)


@kernel
def _add_row(kind: int, y: float, trials: float, predictor: FloatArray, product: FloatArray, logs: FloatArray) -> None:
    """Add a row's log-likelihood at each linear predictor, but for a factor ``(1 + e)^trials`` of the product."""
    for node in range(len(logs)):
        x = predictor[node]
        logs[node] += y * x - trials * max(x, 0.0)
        predictor[node] = logistic(x)[0]
    if kind == ONE:
        for node in range(len(logs)):
            product[node] *= 1.0 + predictor[node]
    elif kind == MANY:
        for node in range(len(logs)):
            logs[node] -= trials * log1p_of_unit(predictor[node])
    else:
        for node in range(len(logs)):
            product[node] *= power(1.0 + predictor[node], trials)


@kernel
def _subtract_logarithms(product: FloatArray, logs: FloatArray) -> None:
    """Subtract the logarithms of products, which begin anew."""
    for node in range(len(logs)):
        logs[node] -= math.log(product[node])
        product[node] = 1.0


@kernel
def predict(others: FloatArray, A: FloatArray, effects: FloatArray, predictor: FloatArray) -> None:
    """Write the linear predictors of a draw's rows."""
    n = len(predictor)
    for i in range(n):
        predictor[i] = others[i]
    for k in range(len(effects)):
        effect, coefficients = effects[k], window(A, k * n, n)
        for i in range(n):
            predictor[i] += coefficients[i] * effect


@kernel
def derivatives(
    draws: int,
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    A: FloatArray,
    u: FloatArray,
    gradient: FloatArray,
    H: FloatArray,
) -> None:
    """Gradient and negative Hessian of the log density of each draw.

    Parameters
    ----------
    draws, y, trials, eta, A
        As for `log_densities`.
    u : ndarray, shape (draws * d,)
    gradient : ndarray, shape (draws * d,)
        Written.
    H : ndarray, shape (draws * d * d,)
        Written.
    """
    n, d = len(y), len(u) // draws
    residual, weight = np.empty(n), np.empty(n)
    for s in range(draws):
        effects, coefficients = window(u, s * d, d), window(A, s * d * n, d * n)
        predict(window(eta, s * n, n), coefficients, effects, residual)
        for i in range(n):
            e, inverse, p = logistic(residual[i])
            residual[i] = y[i] - trials[i] * p
            weight[i] = trials[i] * bernoulli_variance(e, inverse)
        for k in range(d):
            one = window(coefficients, k * n, n)
            total = 0.0
            for i in range(n):
                total += one[i] * residual[i]
            gradient[s * d + k] = total - effects[k]
            for m in range(k + 1):
                other = window(coefficients, m * n, n)
                total = 1.0 if m == k else 0.0
                for i in range(n):
                    total += one[i] * weight[i] * other[i]
                H[(s * d + k) * d + m] = total
                H[(s * d + m) * d + k] = total
