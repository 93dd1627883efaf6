"""Adjustment for the number of tests: Holm's p-values, and the largest of several correlated deviations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Simulated families, fewer for families of many, whose numbers would take long.
SIMULATIONS, NUMBERS = 200_000, 5 * 10**7
#: How many numbers are simulated at once.
TOGETHER = 2**21


def holm(p_values: FloatArray) -> FloatArray:
    """p-values adjusted by the procedure of Holm (1979, Scandinavian Journal of Statistics 6: 65-70).

    If all of k hypotheses are true, the probability that any adjusted p-value is below alpha is at most alpha, however
    the tests depend on each other. Missing values stay missing and do not count.

    Examples
    --------
    >>> holm(np.array([0.01, np.nan, 0.04, 0.03])).round(3)
    array([0.03,  nan, 0.06, 0.06])
    """
    adjusted = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)), 1.0)
    return adjusted


@dataclass(frozen=True)
class LargestDeviation:
    """The distribution of the largest of several standardised absolute deviations, ``max |t|``.

    Attributes
    ----------
    ordered : ndarray, shape (n,)
        Draws of the largest deviation, in ascending order.
    """

    ordered: FloatArray

    @classmethod
    def of_draws(cls, deviations: FloatArray) -> LargestDeviation:
        """From draws of the standardised deviations, shape (n, k)."""
        return cls(np.sort(np.abs(deviations).max(axis=1)))

    @classmethod
    def of_t(cls, deviations: FloatArray, df: float = np.inf) -> LargestDeviation:
        """Of a multivariate t distribution, whose correlation matrix is ``D'D`` for deviations D of shape (m, k).

        With infinite degrees of freedom, the variables are normal. It is simulated, always with the same random
        numbers: the errors of probabilities are below 0.001.
        """
        m, k = deviations.shape
        if m > k:  # fewer columns with the same cross-products
            deviations = np.linalg.qr(deviations, mode="r")
            m = len(deviations)
        random, count = np.random.default_rng(0), min(SIMULATIONS, NUMBERS // k)
        step = max(1, TOGETHER // k)
        largest = [
            np.abs(random.standard_normal((min(step, count - start), m)) @ deviations).max(axis=1)
            for start in range(0, count, step)
        ]
        drawn = np.concatenate(largest)
        if np.isfinite(df):
            drawn *= np.sqrt(df / random.chisquare(df, count))
        return cls(np.sort(drawn))

    def quantile(self, prob: float) -> float:
        """What the largest deviation does not exceed with a probability."""
        return float(np.quantile(self.ordered, prob, method="inverted_cdf"))

    def p_values(self, deviations: FloatArray) -> FloatArray:
        """Probabilities that the largest deviation is at least as large as each of these, shape (k,)."""
        below = np.searchsorted(self.ordered, deviations, side="left")
        return np.asarray((len(self.ordered) - below) / len(self.ordered), dtype=np.float64)


def single_step(raw: FloatArray, deviations: FloatArray, largest: LargestDeviation) -> FloatArray:
    """P-values adjusted by the distribution of the largest deviation of the family, shape (k,).

    They are at least the raw ones and at most those of Šidák (1967, Journal of the American Statistical Association 62:
    626-633), which also gives those that are too small to simulate.
    """
    sidak = -np.expm1(np.sum(~np.isnan(raw)) * np.log1p(-np.minimum(raw, 1 - 1e-16)))
    return np.clip(largest.p_values(np.abs(deviations)), raw, np.maximum(raw, sidak))
