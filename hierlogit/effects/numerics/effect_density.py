"""The density of effects given binomial outcomes, with its derivatives, for many draws of the parameters, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...density.kernels.binomial import LN2, bernoulli_variance, log1p_of_unit, log_sum, logarithm, logistic
from ...density.kernels.binomial_residuals import MANY, ONE, add_rows, power
from ...numba_support.compile import kernel
from ...numba_support.vectors import add_column, copy, dot, fill, vector, window

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Exponentials of numbers up to here are multiplied; the product of two of them is finite.
LARGE = 350.0


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
    order: IntArray,
    out: FloatArray,
) -> None:
    """Logarithms of sums over nodes around the mode of each draw, of the densities that `log_densities` computes.

    Each row is evaluated at all nodes at once. What the effects add to its linear predictor, and the exponentials of
    that, are those of the row before, if both have the same coefficients.

    Parameters
    ----------
    draws, kind, y, trials, eta, A
        As for `log_densities`.
    modes : ndarray, shape (draws * d,)
    scales : ndarray, shape (draws * d * d,)
        Matrices by which the points are multiplied before the modes are added.
    points : ndarray, shape (d * nodes,)
    log_weights : ndarray, shape (nodes,)
    order : ndarray of int, shape (n,)
        In which the rows are evaluated: best with the same coefficients one after the other.
    out : ndarray, shape (draws,)
        Written.
    """
    n, nodes, d = len(y), len(log_weights), len(modes) // draws
    effects, logs, product = vector(d * nodes), vector(nodes), vector(nodes)
    added, odds, row_odds, farthest = vector(nodes), vector(nodes), vector(n), vector(d)
    for s in range(draws):
        others, coefficients = window(eta, s * n, n), window(A, s * d * n, d * n)
        copy(log_weights, logs)
        for k in range(d):
            effect = window(effects, k * nodes, nodes)
            fill(effect, modes[s * d + k])
            for m in range(d):
                add_column(window(points, m * nodes, nodes), scales[(s * d + k) * d + m], effect)
            farthest[k] = 0.0
            for node in range(nodes):
                logs[node] -= 0.5 * effect[node] * effect[node]
                farthest[k] = max(farthest[k], abs(effect[node]))
            add_column(effect, dot(y, window(coefficients, k * n, n)), logs)
        for i in range(n):
            row_odds[i] = _exponential(others[i])
        fill(product, 1.0)
        largest, bound, before = 0.0, 0.0, -1
        for i in order:
            if before < 0 or _differ(coefficients, n, before, i):
                fill(added, 0.0)
                for k in range(d):
                    add_column(window(effects, k * nodes, nodes), coefficients[k * n + i], added)
                for node in range(nodes):
                    odds[node] = _exponential(added[node])
                largest = 0.0
                for k in range(d):
                    largest += abs(coefficients[k * n + i]) * farthest[k]
            before = i
            log_factor = trials[i] * (LN2 + max(0.0, others[i] + largest))
            if kind == MANY or max(others[i], largest, log_factor) > LARGE:
                _subtract_row(trials[i], others[i], added, logs)
                continue
            bound += log_factor
            if bound > LARGE:
                _subtract_logarithms(product, logs)
                bound = log_factor
            _multiply(kind, trials[i], row_odds[i], odds, product)
        _subtract_logarithms(product, logs)
        out[s] = dot(y, others) + log_sum(logs)


@kernel
def _differ(A: FloatArray, n: int, before: int, i: int) -> bool:
    """Whether two rows have different coefficients."""
    different = False
    for k in range(0, len(A), n):
        different |= A[k + i] != A[k + before]
    return different


@kernel
def _exponential(x: float) -> float:
    e = logistic(x)[0]
    return 1.0 / e if x > 0.0 else e


@kernel
def _multiply(kind: int, trials: float, row_odds: float, odds: FloatArray, product: FloatArray) -> None:
    """Multiply products by ``(1 + exp(x))^trials`` of a row, whose odds are ``exp(x)`` at each node."""
    if kind == ONE:
        for node in range(len(product)):
            product[node] *= 1.0 + row_odds * odds[node]
    else:
        for node in range(len(product)):
            product[node] *= power(1.0 + row_odds * odds[node], trials)


@kernel
def _subtract_row(trials: float, others: float, added: FloatArray, logs: FloatArray) -> None:
    """Subtract ``trials * log(1 + exp(x))`` of a row, whose linear predictor x may be of any size."""
    for node in range(len(logs)):
        x = others + added[node]
        logs[node] -= trials * (max(x, 0.0) + log1p_of_unit(logistic(x)[0]))


@kernel
def _subtract_logarithms(product: FloatArray, logs: FloatArray) -> None:
    """Subtract the logarithms of products, which begin anew."""
    for node in range(len(logs)):
        logs[node] -= logarithm(product[node])
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
def expansions(
    draws: int,
    kind: int,
    y: FloatArray,
    trials: FloatArray,
    eta: FloatArray,
    A: FloatArray,
    u: FloatArray,
    values: FloatArray,
    gradient: FloatArray,
    H: FloatArray,
) -> None:
    """Log density of each draw as `log_densities` has it, with its gradient and negative Hessian.

    Parameters
    ----------
    draws, kind, y, trials, eta, A
        As for `log_densities`.
    u : ndarray, shape (draws * d,)
    values : ndarray, shape (draws,)
        Written.
    gradient : ndarray, shape (draws * d,)
        Written.
    H : ndarray, shape (draws * d * d,)
        Written.
    """
    n, d = len(y), len(u) // draws
    predictor, residual, weight = np.empty(n), np.empty(n), np.empty(n)
    for s in range(draws):
        effects, coefficients = window(u, s * d, d), window(A, s * d * n, d * n)
        predict(window(eta, s * n, n), coefficients, effects, predictor)
        values[s] = add_rows(kind, y, trials, predictor, residual)
        for i in range(n):
            e = predictor[i]
            weight[i] = trials[i] * bernoulli_variance(e, 1.0 / (1.0 + e))
        for k in range(d):
            one = window(coefficients, k * n, n)
            gradient[s * d + k] = dot(one, residual) - effects[k]
            values[s] -= 0.5 * effects[k] * effects[k]
            for m in range(k + 1):
                other = window(coefficients, m * n, n)
                total = 1.0 if m == k else 0.0
                for i in range(n):
                    total += one[i] * weight[i] * other[i]
                H[(s * d + k) * d + m] = total
                H[(s * d + m) * d + k] = total
