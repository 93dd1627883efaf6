"""Covariance of the outcomes of two rows that share clusters, by integrals over normal effects."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..effects.numerics.population_average import (
    LARGEST,
    LOGISTIC_REACH,
    REACH,
    average_of_row,
    flat,
    normal_cdf,
    rule_for,
    slope_of_row,
)
from ..numba_support.compile import kernel

FloatArray = npt.NDArray[np.float64]

#: Minus the logarithm of the Fourier transform at the frequency of the nodes: a higher power of t multiplies it than in
#: `population_average`, because the poles of g g' are threefold.
DECAY = 33.0


@kernel
def _covariance(
    mean: FloatArray,
    shared: FloatArray,
    other: FloatArray,
    outer_nodes: FloatArray,
    outer_weights: FloatArray,
    inner_nodes: FloatArray,
    inner_weights: FloatArray,
    covariance: FloatArray,
) -> None:
    for i in range(len(mean)):
        if shared[i] > max(LARGEST, other[i]):
            covariance[i] = _wide_covariance(-abs(mean[i]), shared[i], other[i], inner_nodes, inner_weights)
            continue
        # Where the others spread more widely, few nodes are enough, and `outer_nodes` are more.
        centre = average_of_row(mean[i], other[i], inner_nodes, inner_weights)
        first, second = 0.0, 0.0
        # Deviations from the centre keep precision where the probability hardly varies.
        for k in range(len(outer_nodes)):
            away = average_of_row(mean[i] + shared[i] * outer_nodes[k], other[i], inner_nodes, inner_weights) - centre
            first += outer_weights[k] * away
            second += outer_weights[k] * away * away
        covariance[i] = second - first * first if shared[i] > 0.0 else 0.0


@kernel
def _wide_covariance(m: float, shared: float, other: float, nodes: FloatArray, weights: FloatArray) -> float:
    """`shared_covariance` of one row where the shared effects spread widely, for m <= 0.

    With ``g(x) = E expit(x + other V)``, integration by parts gives ``E g(m + shared U)^2`` as the integral of
    ``2 g(x) g'(x) Phi((m - x) / shared)``, whose integrand is smooth and has the width of g', by the trapezoidal rule.
    """
    # The Fourier transform of g g' falls as exp(-pi t - (other t)^2 / 4), that of the factor Phi as
    # exp(-(shared t)^2 / 2), and that of their product as the largest product of the two at frequencies that sum to t.
    spread = other / math.sqrt(1.0 + 0.5 * (other / shared) ** 2)
    step = max(2.0 * math.pi**2 / DECAY, math.pi * spread / math.sqrt(DECAY))
    halves = math.ceil((LOGISTIC_REACH + REACH * other) / step)
    first, second = 0.0, 0.0
    for k in range(-halves, halves + 1):
        x = k * step
        rise = slope_of_row(x, other, 1.0, 0.0, nodes, weights) * normal_cdf((m - x) / shared) * step
        first += rise
        second += 2.0 * average_of_row(x, other, nodes, weights) * rise
    return second - first * first


def shared_covariance(mean: FloatArray, shared: FloatArray, other: FloatArray) -> FloatArray:
    """Variance of ``E[expit(mean + shared U + other V) | U]`` for standard normal U and V, elementwise.

    It is the covariance of the outcomes of two rows that share the effects U and have separate effects V.

    Parameters
    ----------
    mean : ndarray
        Linear predictors without the effects.
    shared, other : ndarray
        Standard deviations of the shared and of the other effects, in the shape of `mean`.

    Examples
    --------
    >>> one = np.ones(1)
    >>> shared_covariance(0 * one, one, 0 * one).round(6)
    array([0.043379])
    >>> shared_covariance(0 * one, 0.6 * one, 0.8 * one).round(6)
    array([0.0154])
    """
    out = np.empty(mean.shape)
    _covariance(flat(mean), flat(shared), flat(other), *rule_for(shared), *rule_for(other), out.ravel())
    return out
