"""The beta-binomial log-likelihood with its derivatives in the linear predictor and in the dispersion, compiled.

With ``p = expit(eta)``, ``q = 1 - p`` and ``tau = 1 / phi``, the log probability of y successes of m trials, without
the binomial coefficient, is

    sum_{k<y} log(p + k tau) + sum_{k<m-y} log(q + k tau) - sum_{k<m} log(1 + k tau)

(Skellam 1948, Journal of the Royal Statistical Society B 10: 257-261). It is smooth down to ``tau = 0``, where it is
that of the binomial distribution, whereas differences of gamma functions lose all digits there. Long sums are those of
their first `DIRECT` terms and the Euler-Maclaurin formula for the rest.
"""

from __future__ import annotations

import math

import numpy as np

from ...numba_support.compile import kernel
from .binomial import log1p_of_unit, logistic, one_minus_two_p

#: Terms that are added one by one; the remainder of the Euler-Maclaurin formula from there on is below 1e-13.
DIRECT = 16
#: Sums of fewer terms are added one by one altogether.
SHORT = 32
#: Below this, the averages over an interval of the Euler-Maclaurin formula are taken from their power series.
SMALL_WIDTH = 0.05
SERIES_TERMS = 13
#: A running product outside of these bounds is replaced by its logarithm.
LOWEST_PRODUCT, HIGHEST_PRODUCT = 1e-140, 1e140
SMALLEST_PROBABILITY = 1e-300


@kernel
def _averages(d: float) -> tuple[float, float, float, float]:
    """Averages over 0 < x < 1 of ``log(1 + d x)``, ``1 / (1 + d x)``, ``x / (1 + d x)`` and ``x / (1 + d x)^2``."""
    if d > SMALL_WIDTH:
        inverse = math.log1p(d) / d
        return (1.0 + d) * inverse - 1.0, inverse, (1.0 - inverse) / d, (inverse - 1.0 / (1.0 + d)) / d
    logarithm, inverse, first, second, power = 0.0, 0.0, 0.0, 0.0, 1.0
    for i in range(SERIES_TERMS):
        logarithm += power * d / ((i + 1.0) * (i + 2.0))
        inverse += power / (i + 1.0)
        first += power / (i + 2.0)
        second += power * (i + 1.0) / (i + 2.0)
        power *= -d
    return logarithm, inverse, first, second


@kernel
def _log_end(z: float, v: float) -> float:
    """The terms of the Euler-Maclaurin formula at one end of a sum of ``log z``, with ``v = z' / z``."""
    s = v * v
    return -0.5 * math.log(z) + v * (1.0 / 12.0 - s * (1.0 / 360.0 - s * (1.0 / 1260.0 - s / 1680.0)))


@kernel
def _power_end(k: float, v: float, a: float) -> float:
    """The terms of the Euler-Maclaurin formula at one end of a sum of ``k z^-a``, times ``z^a``; ``v = z' / z``."""
    moved, s = k * v, v * v
    value = -0.5 * k + (1.0 - a * moved) / 12.0
    rising = a * (a + 1.0)
    value -= s * rising * (3.0 - (a + 2.0) * moved) / 720.0
    rising *= (a + 2.0) * (a + 3.0)
    value += s * s * rising * (5.0 - (a + 4.0) * moved) / 30240.0
    rising *= (a + 4.0) * (a + 5.0)
    return value - s * s * s * rising * (7.0 - (a + 6.0) * moved) / 1209600.0


@kernel
def rising_sums(p: float, log_p: float, count: float, tau: float) -> tuple[float, float, float, float, float]:
    """Sums over k below `count`, with ``z = p + k tau`` and ``t = p / z``.

    They are those of ``log z``, of ``t``, and of ``k / z`` times 1, t and ``t^2``. The first three are zero, and so is
    the last, without terms.

    Parameters
    ----------
    p : float
        Above 0.
    log_p : float
        Its logarithm, which is exact where p is near 1.
    count, tau : float
    """
    n = int(count)
    if n == 0:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    logs, product, means = log_p, 1.0, 1.0
    slopes, once, twice = 0.0, 0.0, 0.0
    for k in range(1, n if n <= SHORT else DIRECT):
        z = p + k * tau
        inverse = 1.0 / z
        t, slope = p * inverse, k * inverse
        means += t
        slopes += slope
        once += t * slope
        twice += t * t * slope
        product *= z
        if product < LOWEST_PRODUCT or product > HIGHEST_PRODUCT:
            logs += math.log(product)
            product = 1.0
    logs += math.log(product)
    if n <= SHORT:
        return logs, means, slopes, once, twice
    length, last = float(n - DIRECT), float(n)
    low, high = p + DIRECT * tau, p + n * tau
    # Where all z are nearly p, v is nearly zero, and the formula is the exact sum of powers of k.
    v, w, t, u = tau / low, tau / high, p / low, p / high
    logarithm, inverse, first, second = _averages(length * v)
    logs += length * (math.log(low) + logarithm) + _log_end(high, w) - _log_end(low, v)
    ratio = low / high
    one = length * (DIRECT * inverse + length * first) / low
    one += _power_end(last, w, 1.0) / high - _power_end(float(DIRECT), v, 1.0) / low
    two = length * (DIRECT * ratio + length * second) / low * t
    two += _power_end(last, w, 2.0) / high * u - _power_end(float(DIRECT), v, 2.0) / low * t
    three = 0.5 * length * (DIRECT * ratio * (1.0 + ratio) + length * ratio * ratio) / low * t * t
    three += _power_end(last, w, 3.0) / high * u * u - _power_end(float(DIRECT), v, 3.0) / low * t * t
    return logs, means + length - tau * one, slopes + one, once + two, twice + three


@kernel
def log_and_slope(count: float, tau: float) -> tuple[float, float]:
    """Sums over k below `count` of ``log(1 + k tau)`` and of ``k / (1 + k tau)``."""
    logs, _, slopes, _, _ = rising_sums(1.0, 0.0, count, tau)
    return logs, slopes


@kernel
def row_log_likelihood(y: float, trials: float, x: float, tau: float) -> float:
    """Log-likelihood of a row with linear predictor x, without the binomial coefficient."""
    e, d, _ = logistic(x)
    log_of_larger = -log1p_of_unit(e)
    large, small = d, max(e * d, SMALLEST_PROBABILITY)
    p, q, log_p, log_q = large, small, log_of_larger, log_of_larger - x
    if x < 0.0:
        p, q, log_p, log_q = small, large, log_of_larger + x, log_of_larger
    successes = rising_sums(p, log_p, y, tau)[0]
    failures = rising_sums(q, log_q, trials - y, tau)[0]
    return successes + failures - log_and_slope(trials, tau)[0]


@kernel
def log_likelihoods(y: np.ndarray, trials: np.ndarray, eta: np.ndarray, tau: np.ndarray, out: np.ndarray) -> None:
    """Log-likelihoods of rows, shape (n,), at linear predictors of several draws, shape (draws, n)."""
    for s in range(len(eta)):
        for i in range(len(y)):
            out[s, i] = row_log_likelihood(y[i], trials[i], eta[s, i], tau[s])


@kernel
def linearise(
    y: np.ndarray,
    trials: np.ndarray,
    eta: np.ndarray,
    tau: float,
    residual: np.ndarray,
    weight: np.ndarray,
    bend: np.ndarray,
    log_likelihood: np.ndarray,
) -> None:
    """Log-likelihood of some rows, without binomial coefficients, and its derivatives in the linear predictor.

    Writes what `hierlogit.density.kernels.binomial.linearise` does: the log-likelihood, its first derivative, minus its
    second, and `bend`, of which minus the third derivative is ``weight * bend``. The weight, minus the second
    derivative, can be negative.
    """
    for i in range(len(eta)):
        x = eta[i]
        e, d, _ = logistic(x)
        difference = one_minus_two_p(x, e, d)  # q - p
        log_of_larger = -log1p_of_unit(e)
        large, small = d, max(e * d, SMALLEST_PROBABILITY)
        p, q, log_p, log_q = large, small, log_of_larger, log_of_larger - x
        if x < 0.0:
            p, q, log_p, log_q = small, large, log_of_larger + x, log_of_larger
        logs, means, _, once, twice = rising_sums(p, log_p, y[i], tau)
        other_logs, other_means, _, other_once, other_twice = rising_sums(q, log_q, trials[i] - y[i], tau)
        residual[i] = q * means - p * other_means
        pq = p * q
        curved = q * q * tau * once - pq * means + p * p * tau * other_once - pq * other_means
        third = q * q * tau * (q * (once - 2.0 * twice) - 3.0 * p * once) - pq * difference * means
        third -= p * p * tau * (p * (other_once - 2.0 * other_twice) - 3.0 * q * other_once)
        third -= pq * difference * other_means
        weight[i] = -curved
        bend[i] = third / curved if curved != 0.0 else 0.0
        log_likelihood[i] = logs + other_logs - log_and_slope(trials[i], tau)[0]


@kernel
def dispersion_slopes(
    y: np.ndarray,
    trials: np.ndarray,
    eta: np.ndarray,
    tau: float,
    score: np.ndarray,
    residual: np.ndarray,
    weight: np.ndarray,
) -> None:
    """Derivatives in tau of some rows' log-likelihoods, residuals and weights."""
    for i in range(len(eta)):
        e, d, _ = logistic(eta[i])
        large, small = d, max(e * d, SMALLEST_PROBABILITY)
        p, q = (large, small) if eta[i] >= 0.0 else (small, large)
        _, _, slopes, once, twice = rising_sums(p, 0.0, y[i], tau)
        _, _, other_slopes, other_once, other_twice = rising_sums(q, 0.0, trials[i] - y[i], tau)
        score[i] = slopes + other_slopes - log_and_slope(trials[i], tau)[1]
        residual[i] = p * other_once - q * once
        weight[i] = q * q * (once - 2.0 * twice) - p * q * once
        weight[i] += p * p * (other_once - 2.0 * other_twice) - p * q * other_once


@kernel
def variance_weight(trials: float, x: float, tau: float) -> float:
    """Squared slope of a row's mean over its variance, ``m p q (1 + tau) / (1 + m tau)``: positive, near the weight."""
    e, d, _ = logistic(x)
    return trials * e * d * d * (1.0 + tau) / (1.0 + trials * tau)


@kernel
def add_rows(
    y: np.ndarray, trials: np.ndarray, eta: np.ndarray, tau: float, residual: np.ndarray
) -> tuple[float, float]:
    """Log-likelihood of some rows, without binomial coefficients, and its derivative in tau.

    Writes the derivatives in the linear predictors to `residual`.
    """
    total, score, trials_before, log_total, slope_total = 0.0, 0.0, -1.0, 0.0, 0.0
    for i in range(len(y)):
        x = eta[i]
        e, d, _ = logistic(x)
        log_of_larger = -log1p_of_unit(e)
        large, small = d, max(e * d, SMALLEST_PROBABILITY)
        p, q, log_p, log_q = large, small, log_of_larger, log_of_larger - x
        if x < 0.0:
            p, q, log_p, log_q = small, large, log_of_larger + x, log_of_larger
        logs, means, slopes, _, _ = rising_sums(p, log_p, y[i], tau)
        other_logs, other_means, other_slopes, _, _ = rising_sums(q, log_q, trials[i] - y[i], tau)
        if trials[i] != trials_before:  # rows next to each other often have the same
            trials_before = trials[i]
            log_total, slope_total = log_and_slope(trials_before, tau)
        total += logs + other_logs - log_total
        score += slopes + other_slopes - slope_total
        residual[i] = q * means - p * other_means
    return total, score


@kernel
def scores(y: np.ndarray, trials: np.ndarray, eta: np.ndarray, tau: np.ndarray, out: np.ndarray) -> None:
    """Derivatives of the log-likelihoods of rows, shape (n,), in linear predictors of draws, shape (draws, n)."""
    for s in range(len(eta)):
        add_rows(y, trials, eta[s], tau[s], out[s])


@kernel
def cumulative(
    y: np.ndarray, trials: np.ndarray, eta: np.ndarray, tau: np.ndarray, fewer: np.ndarray, at_most: np.ndarray
) -> None:
    """Probabilities of fewer successes than y, and of at most y, by the ratio of each probability to the one before."""
    for s in range(len(eta)):
        for i in range(len(y)):
            m, x, t = trials[i], eta[s, i], tau[s]
            e, d, _ = logistic(x)
            p, q = (d, e * d) if x >= 0.0 else (e * d, d)
            log_probability, total = row_log_likelihood(0.0, m, x, t), 0.0
            for k in range(int(y[i])):
                total += math.exp(log_probability)
                above = max(p + k * t, SMALLEST_PROBABILITY)
                below = max(q + (m - k - 1.0) * t, SMALLEST_PROBABILITY)
                log_probability += math.log((m - k) * above / ((k + 1.0) * below))
            fewer[s, i] = min(total, 1.0)
            at_most[s, i] = min(total + math.exp(log_probability), 1.0)
