"""Random-effects meta-analysis of estimates from clusters: their mean, heterogeneity, and an interval for a new one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...student_t import t_quantile

FloatArray = npt.NDArray[np.float64]
#: Largest number of steps of Fisher scoring and of halvings of a step, and the relative change at which it ends.
STEPS, HALVINGS, ACCURACY = 500, 40, 1e-12
#: Fewest clusters for a mean with an interval, and for an interval for a new cluster, whose t has two fewer df.
FEWEST, FEWEST_FOR_NEW = 2, 3


@dataclass(frozen=True)
class RandomEffects:
    """Estimates that vary between clusters, with a normal distribution.

    Attributes
    ----------
    mean, se : float
        Mean over clusters, and its standard error by Hartung and Knapp's method.
    tau : float
        Standard deviation between clusters, by restricted maximum likelihood.
    i2 : float
        Share of the variance of the estimates that is between clusters (Higgins and Thompson 2002, Statistics in
        Medicine 21: 1539-1558).
    count : int
        Number of clusters.
    """

    mean: float
    se: float
    tau: float
    i2: float
    count: int

    @classmethod
    def of(cls, estimate: FloatArray, se: FloatArray) -> RandomEffects:
        """Pool at least one estimate, shape (k,), with finite standard errors above zero.

        Examples
        --------
        >>> pooled = RandomEffects.of(np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.2, 0.2]))
        >>> round(pooled.mean, 3), round(pooled.tau, 3), round(pooled.i2, 3)
        (0.5, 0.346, 0.75)
        """
        variance, k = se**2, len(estimate)
        between = _restricted_maximum(estimate, variance) if k >= FEWEST else np.nan
        weights = 1 / (variance + (between if k >= FEWEST else 0.0))
        mean = float(weights @ estimate / weights.sum())
        if k < FEWEST:
            return cls(mean, float(se[0]), np.nan, np.nan, k)
        spread = float(weights @ (estimate - mean) ** 2) / (k - 1)
        i2 = between / (between + shared_variance(variance))
        return cls(mean, float(np.sqrt(spread / weights.sum())), float(np.sqrt(between)), float(i2), k)

    def interval(self, prob: float) -> tuple[float, float]:
        """Ends of the confidence interval of the mean; NaN for fewer than two clusters."""
        if self.count < FEWEST:
            return np.nan, np.nan
        half = float(t_quantile(self.count - 1, prob)) * self.se
        return self.mean - half, self.mean + half

    def prediction_interval(self, prob: float) -> tuple[float, float]:
        """Ends of the interval for the true value in a new cluster; NaN for fewer than three clusters."""
        if self.count < FEWEST_FOR_NEW:
            return np.nan, np.nan
        half = float(t_quantile(self.count - 2, prob)) * float(np.hypot(self.tau, self.se))
        return self.mean - half, self.mean + half


def shared_variance(variances: FloatArray) -> float:
    """One variance in place of those of at least two clusters, for I2 (Higgins and Thompson 2002, equation 9)."""
    w = 1 / variances
    return float((len(w) - 1) * w.sum() / (w.sum() ** 2 - (w**2).sum()))


def _restricted_maximum(estimate: FloatArray, variance: FloatArray) -> float:
    """Variance between clusters at the maximum of the restricted likelihood, by Fisher scoring from the moments."""
    between = _by_moments(estimate, variance)
    height = _restricted_likelihood(estimate, variance, between)
    for _ in range(STEPS):
        w = 1 / (variance + between)
        total = w.sum()
        mean = w @ estimate / total
        trace = total - (w**2).sum() / total
        squared_trace = (w**2).sum() - 2 * (w**3).sum() / total + ((w**2).sum() / total) ** 2
        step = float(((w**2) @ (estimate - mean) ** 2 - trace) / squared_trace)
        for _ in range(HALVINGS):
            tried = max(between + step, 0.0)
            reached = _restricted_likelihood(estimate, variance, tried)
            if reached >= height:
                break
            step /= 2
        else:
            return between
        change, between, height = abs(tried - between), tried, reached
        if change <= ACCURACY * (between + variance.min()):
            break
    return between


def _by_moments(estimate: FloatArray, variance: FloatArray) -> float:
    """DerSimonian and Laird's estimate (1986, Controlled Clinical Trials 7: 177-188)."""
    w = 1 / variance
    total = w.sum()
    mean = w @ estimate / total
    excess = w @ (estimate - mean) ** 2 - (len(w) - 1)
    return max(float(excess / (total - (w**2).sum() / total)), 0.0)


def _restricted_likelihood(estimate: FloatArray, variance: FloatArray, between: float) -> float:
    w = 1 / (variance + between)
    mean = w @ estimate / w.sum()
    return float(np.log(w).sum() - np.log(w.sum()) - w @ (estimate - mean) ** 2) / 2
