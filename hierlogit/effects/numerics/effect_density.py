"""The density of effects given binomial outcomes, with its derivatives, for many draws of the parameters, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...density.kernels.binomial import bernoulli_variance, logistic
from ...density.kernels.binomial_residuals import add_rows
from ...numba_support.compile import kernel
from ...numba_support.vectors import window

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
