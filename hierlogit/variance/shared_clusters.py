"""Covariance of the outcomes of two rows that share clusters, by integrals over normal effects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..density.kernels.binomial import expit
from ..effects.numerics.population_average import rule_for
from ..numba_support.compile import kernel

FloatArray = npt.NDArray[np.float64]


@kernel
def _average(mean: float, sd: float, nodes: FloatArray, weights: FloatArray) -> float:
    total = 0.0
    for k in range(len(nodes)):
        total += weights[k] * expit(mean + sd * nodes[k])
    return total


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
    alone, whole = np.zeros(1), np.ones(1)
    for i in range(len(mean)):
        nodes, weights = (inner_nodes, inner_weights) if other[i] > 0.0 else (alone, whole)
        centre = _average(mean[i], other[i], nodes, weights)
        first, second = 0.0, 0.0
        # Deviations from the centre keep precision where the probability hardly varies.
        for k in range(len(outer_nodes)):
            away = _average(mean[i] + shared[i] * outer_nodes[k], other[i], nodes, weights) - centre
            first += outer_weights[k] * away
            second += outer_weights[k] * away * away
        covariance[i] = second - first * first if shared[i] > 0.0 else 0.0


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
    m, s, o = (np.ascontiguousarray(array).ravel() for array in (mean, shared, other))
    _covariance(m, s, o, *rule_for(s), *rule_for(o), out.ravel())
    return out
