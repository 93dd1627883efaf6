"""Probabilities averaged over the population of clusters, as one-dimensional integrals.

The linear predictor of a row in a randomly drawn cluster is normal, with the fixed part ``m`` as its mean and
``s^2 = sum_t z_t' Sigma_t z_t`` as its variance. Whatever the number of random effects, the average probability is
``integral expit(m + s v) phi(v) dv`` (Zeger, Liang and Albert 1988, Biometrics 44: 1049-1060).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from ...density.kernels.binomial import bernoulli_variance, expit, logistic
from ...density.linear_predictor import Draws, cached_blocks
from ...design.design import EncodedRows
from ...design.identical_rows import identical_rows
from ...numba_support.compile import kernel
from ...numba_support.vectors import fill, vector, window

FloatArray = npt.NDArray[np.float64]

#: Where the normal distribution is truncated: a probability of 1e-10 lies outside.
REACH = 6.5
#: Minus the logarithm of the allowed error.
EXPONENT = 22.0
#: Half of the squared distance from the real line of the poles of expit, times the squared standard deviation.
HALF_POLE = np.pi**2 / 2
#: Above this standard deviation the integral is over the logistic variable.
LARGEST = 16.0
#: Distance of the nodes of that rule, and where it is truncated: a probability of 1e-13 lies outside.
LOGISTIC_STEP, LOGISTIC_REACH = 2 * np.pi**2 / EXPONENT, 30.0
ROOT_HALF, ROOT_TWO_PI = math.sqrt(0.5), math.sqrt(2 * math.pi)
#: Linear predictors between which average probabilities are interpolated, and their number.
END, POINTS = 12.0, 481
#: As many of them for averages of many rows, whose interpolation is more exact than the rule, and the least rows.
FINE, LEAST_ROWS = 1441, 20_000
#: Beyond this linear predictor, nodes are not taken in pairs: the exponential of the predictor alone is too small.
FARTHEST = 600.0
#: The rows of a draw mostly have few different sds, of which as many are kept.
KEPT = 4


@cache
def _rule(halves: int) -> tuple[FloatArray, FloatArray]:
    nodes = np.linspace(-REACH, REACH, 2 * halves + 1)
    weights = np.exp(-0.5 * nodes**2)
    return nodes, weights / weights.sum()


def _logistic_rule() -> tuple[FloatArray, FloatArray]:
    halves = math.ceil(LOGISTIC_REACH / LOGISTIC_STEP)
    nodes = LOGISTIC_STEP * np.arange(-halves, halves + 1, dtype=np.float64)
    weights = 1 / np.cosh(nodes / 2) ** 2
    return nodes, weights / weights.sum()


LOGISTIC_NODES, LOGISTIC_WEIGHTS = _logistic_rule()


def rule_for(sd: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of a rule that is exact to about 1e-9 for standard deviations up to the largest in `sd`.

    It is not meant for standard deviations above `LARGEST`, with which the number of nodes would grow in proportion.

    It is the trapezoidal rule (Trefethen and Weideman 2014, SIAM Review 56: 385-458). With the same number of nodes it
    is as accurate as Gauss-Hermite quadrature, whose weights underflow where a large sd needs hundreds of nodes. With a
    step h, the poles of expit(m + s v) at a distance d = pi / s from the real line cause an error of
    exp(d^2 / 2 - 2 pi d / h); where d is larger than 2 pi / h, the normal density itself causes one of
    exp(-2 pi^2 / h^2).
    """
    # The step that bounds the first error is longest at this sd; below it, the second error dominates.
    s = max(min(float(np.max(sd, initial=0.0)), LARGEST), float(np.sqrt(HALF_POLE / EXPONENT)))
    step = 2 * np.pi**2 / (EXPONENT * s + HALF_POLE / s)
    halves = int(np.ceil(REACH / step / 4)) * 4  # rounded up to few different rules, which are cached
    return _rule(halves)


@kernel
def normal_cdf(z: float) -> float:
    """Distribution function of the standard normal distribution."""
    return 0.5 * math.erfc(-ROOT_HALF * z)


@kernel
def average_of_row(m: float, s: float, nodes: FloatArray, weights: FloatArray) -> float:
    """``E expit(m + s V)`` for a standard normal V, by the rule for s or, above `LARGEST`, the logistic one.

    expit is the distribution function of the logistic variable L, so that the average is the probability of
    ``L - s V <= m``, which is ``E Phi((m - L) / s)``. The larger s, the smoother is this function of L.
    """
    if s == 0.0:
        return expit(m)
    total = 0.0
    if s <= LARGEST:
        for k in range(len(nodes)):
            total += weights[k] * expit(m + s * nodes[k])
    else:
        for k in range(len(LOGISTIC_NODES)):
            total += LOGISTIC_WEIGHTS[k] * normal_cdf((m - LOGISTIC_NODES[k]) / s)
    return total


@kernel
def slope_of_row(m: float, s: float, dm: float, ds: float, nodes: FloatArray, weights: FloatArray) -> float:
    """Derivative of `average_of_row` where m and s have the derivatives dm and ds."""
    total = 0.0
    if s <= LARGEST:
        for k in range(len(nodes)):
            e, d, _ = logistic(m + s * nodes[k])
            total += weights[k] * bernoulli_variance(e, d) * (dm + ds * nodes[k])
        return total
    for k in range(len(LOGISTIC_NODES)):
        z = (m - LOGISTIC_NODES[k]) / s
        total += LOGISTIC_WEIGHTS[k] * math.exp(-0.5 * z * z) * (dm - ds * z)
    return total / (s * ROOT_TWO_PI)


@kernel
def _average(mean: FloatArray, sd: FloatArray, nodes: FloatArray, weights: FloatArray, probability: FloatArray) -> None:
    halves = len(nodes) // 2
    kept, spreads, latest = vector(KEPT), vector(KEPT * halves), 0
    fill(kept, -1.0)
    for i in range(len(mean)):
        s = sd[i]
        if s == 0.0 or s > LARGEST or abs(mean[i]) > FARTHEST:
            probability[i] = average_of_row(mean[i], s, nodes, weights)
            continue
        place = 0
        while place < KEPT and kept[place] != s:
            place += 1
        if place == KEPT:
            latest = (latest + 1) % KEPT
            place = latest
            kept[place] = s
            _spread(s, nodes, window(spreads, place * halves, halves))
        probability[i] = _average_of_pairs(mean[i], window(spreads, place * halves, halves), weights)


@kernel
def _spread(s: float, nodes: FloatArray, out: FloatArray) -> None:
    """Write ``2 cosh(s v)`` for the nodes v above zero."""
    above = window(nodes, len(out) + 1, len(out))
    for k in range(len(out)):
        e = logistic(s * above[k])[0]
        out[k] = e + 1.0 / e


@kernel
def _average_of_pairs(m: float, spread: FloatArray, weights: FloatArray) -> float:
    """What `average_of_row` computes, for two opposite nodes at a time, without an exponential for each.

    With ``a = exp(-|m|)`` and ``c = 2 cosh(s v)``, ``expit(m + s v) + expit(m - s v)`` is
    ``(2 + a c) / (1 + a (a + c))`` for m >= 0 and ``a (c + 2 a) / (1 + a (a + c))`` below: no digits cancel.
    """
    a, _, p = logistic(m)
    halves = len(spread)
    above = window(weights, halves + 1, halves)
    total = 0.0
    if m >= 0.0:
        for k in range(halves):
            total += above[k] * ((2.0 + a * spread[k]) / (1.0 + a * (a + spread[k])))
    else:
        for k in range(halves):
            total += above[k] * (a * (spread[k] + 2.0 * a) / (1.0 + a * (a + spread[k])))
    average: float = total + weights[halves] * p
    return average


@kernel
def _average_derivative(
    mean: FloatArray,
    sd: FloatArray,
    dmean: FloatArray,
    dsd: FloatArray,
    nodes: FloatArray,
    weights: FloatArray,
    derivative: FloatArray,
) -> None:
    for i in range(len(mean)):
        derivative[i] = slope_of_row(mean[i], sd[i], dmean[i], dsd[i], nodes, weights)


def flat(array: FloatArray) -> FloatArray:
    """The entries in the order of memory, which may be written to: functions would be compiled anew for others."""
    return np.require(array, requirements=["C", "W"]).ravel()


def average_probability(mean: FloatArray, sd: FloatArray) -> FloatArray:
    """``E expit(mean + sd V)`` for a standard normal V, elementwise, in the shape of `mean`.

    Examples
    --------
    >>> average_probability(np.array([2.0]), np.array([0.0])).round(6)
    array([0.880797])
    >>> average_probability(np.array([2.0]), np.array([4.0])).round(6)
    array([0.676172])
    >>> average_probability(np.array([2.0]), np.array([4e6])).round(6)
    array([0.5])
    """
    out = np.empty(mean.shape)
    _average(flat(mean), flat(sd), *rule_for(sd), out.ravel())
    return out


def average_slope(mean: FloatArray, sd: FloatArray, dmean: FloatArray, dsd: FloatArray) -> FloatArray:
    """Derivative of `average_probability` where the mean and sd have the derivatives `dmean` and `dsd`."""
    out, nodes, weights = np.empty(mean.shape), *rule_for(sd)
    _average_derivative(flat(mean), flat(sd), flat(dmean), flat(dsd), nodes, weights, out.ravel())
    return out


@kernel
def _between_points(
    eta: FloatArray, values: FloatArray, slopes: FloatArray, low: float, step: float, probability: FloatArray
) -> None:
    """Cubic Hermite interpolation by draw; NaN outside of the points."""
    last = values.shape[1] - 1
    for s in range(eta.shape[0]):
        for i in range(eta.shape[1]):
            place = (eta[s, i] - low) / step
            if not 0.0 <= place < last:
                probability[s, i] = np.nan
                continue
            k = int(place)
            t = place - k
            rest = 1.0 - t
            probability[s, i] = rest * rest * ((1.0 + 2.0 * t) * values[s, k] + t * step * slopes[s, k]) + t * t * (
                (3.0 - 2.0 * t) * values[s, k + 1] - rest * step * slopes[s, k + 1]
            )


@dataclass(frozen=True)
class AverageTable:
    """`average_probability` for many linear predictors of each draw, with an sd for each draw, by interpolation.

    Attributes
    ----------
    sd : ndarray, shape (draws, 1)
    values, slopes : ndarray, shape (draws, points)
        Average probabilities and their derivatives at equidistant linear predictors from -`END` to `END`. The fourth
        derivative of a probability is below 0.13, so that cubic interpolation between `POINTS` of them is exact to
        3e-9, and between `FINE` of them to 4e-11.
    """

    sd: FloatArray
    values: FloatArray
    slopes: FloatArray

    @classmethod
    def of(cls, sd: FloatArray, count: int = POINTS) -> AverageTable:
        """The table for one sd in each draw, shape (draws,), with a number of points.

        Examples
        --------
        >>> table = AverageTable.of(np.array([4.0, 0.0]))
        >>> table(slice(None), np.array([[2.0, 99.0], [2.0, -99.0]])).round(6)
        array([[0.676172, 1.      ],
               [0.880797, 0.      ]])
        """
        points = np.linspace(-END, END, count)
        mean = np.tile(points, (len(sd), 1))
        sds = np.repeat(sd[:, None], count, axis=1)
        slopes = average_slope(mean, sds, np.ones_like(mean), np.zeros_like(mean))
        return cls(sd[:, None], average_probability(mean, sds), slopes)

    def __call__(self, part: slice, eta: FloatArray) -> FloatArray:
        """Average probabilities of some draws, in the shape of `eta`."""
        out, step = np.empty_like(eta), 2 * END / (self.values.shape[1] - 1)
        _between_points(eta, self.values[part], self.slopes[part], -END, step, out)
        outside = np.isnan(out)
        if outside.any():
            out[outside] = average_probability(eta[outside], np.broadcast_to(self.sd[part], eta.shape)[outside])
        return out


def predictor_sd(draws: Draws, rows: EncodedRows, factors: Iterable[str]) -> FloatArray:
    """Standard deviation of each row's linear predictor over the clusters of `factors`, shape (draws, n).

    It is ``sqrt(sum_t |L_t' z_t|^2)``, computed once for rows with the same random-effects columns.
    """
    variance = np.zeros((len(draws), len(rows)))
    for name in factors:
        first, which = identical_rows(rows.groups[name].Z)
        distinct = rows.groups[name].Z[first]
        squares = _forms(draws.cholesky[name], distinct, distinct)
        variance += squares if len(first) == len(rows) else squares[:, which]
    sd: FloatArray = np.sqrt(variance, out=variance)
    return sd


def predictor_sd_slope(
    sd: FloatArray, draws: Draws, above: EncodedRows, below: EncodedRows, gap: float, factors: Iterable[str]
) -> FloatArray:
    """Derivative of `predictor_sd`, whose value is `sd`, by the central difference of the variance between two rows.

    Parameters
    ----------
    sd : ndarray, shape (draws, n)
    draws : Draws
    above, below : EncodedRows
        The rows with a variable slightly higher and slightly lower, by `gap` in all.
    gap : float
    factors : iterable of str
    """
    variance_slope = np.zeros(sd.shape)
    for name in factors:
        high, low = above.groups[name].Z, below.groups[name].Z
        if np.any(high != low):
            # u'Su - v'Sv = (u - v)'S(u + v), without the cancellation
            variance_slope += _forms(draws.cholesky[name], (high - low) / gap, high + low)
    # d sd = d(sd^2) / (2 sd); where the sd is zero, so is the central difference.
    return np.divide(variance_slope, 2 * sd, out=variance_slope, where=sd > 0)


def _forms(cholesky: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """``l_i' L L' r_i`` for the rows of `left` and `right` and each draw's L, shape (draws, n)."""
    forms = np.zeros((len(cholesky), len(left)))
    for part in cached_blocks(*forms.shape):
        for column in range(cholesky.shape[2]):
            L = cholesky[part, :, column]
            one = L @ left.T
            forms[part] += one * (one if left is right else L @ right.T)
    return forms


def average_over_clusters(eta: FloatArray, draws: Draws, rows: EncodedRows, factors: Sequence[str]) -> FloatArray:
    """Probabilities of each draw and row, shape (draws, n), averaged over the clusters of `factors`.

    Where many rows have the same random-effects columns, they are interpolated between linear predictors.

    Parameters
    ----------
    eta : ndarray, shape (draws, n)
        Linear predictors without the effects of these clusters.
    draws : Draws
    rows : EncodedRows
    factors : sequence of str
    """
    if len(rows) > LEAST_ROWS and have_one_variance(rows, factors):
        one = rows.at(np.zeros(1, dtype=np.intp))
        return AverageTable.of(predictor_sd(draws, one, factors)[:, 0], FINE)(slice(None), eta)
    return average_probability(eta, predictor_sd(draws, rows, factors))


def have_one_variance(rows: EncodedRows, factors: Iterable[str]) -> bool:
    """Whether the effects of the factors have the same variance in all rows, whose columns for them are the same."""
    return all(np.all(np.ptp(rows.groups[name].Z, axis=0) == 0) for name in factors)
