"""Wald's tests of values of a likelihood fit: one- and two-sided, of equivalence, and adjusted in families."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..summaries.multiplicity import LargestDeviation, holm, single_step

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WaldTests:
    """Tests of estimates that are approximately normal.

    Attributes
    ----------
    estimate, error : ndarray, shape (k,)
        Estimates and their standard errors.
    null : ndarray, shape (k,)
        The values that are tested.
    side : ndarray of int, shape (k,)
        1 if the alternative is a value above, -1 for one below, 0 for one on either side.
    deviations : ndarray, shape (m, k), or None
        Deviations whose cross-products are the covariances of the estimates; None if they do not fit into memory.
    """

    estimate: FloatArray
    error: FloatArray
    null: FloatArray
    side: npt.NDArray[Any]
    deviations: FloatArray | None = None

    def distance(self, value: FloatArray | float) -> FloatArray:
        """Estimates less a value, in standard errors, shape (k,); NaN where there is no standard error."""
        known = self.error > 0
        with np.errstate(invalid="ignore"):
            return np.divide(self.estimate - value, self.error, out=np.full_like(self.error, np.nan), where=known)

    @cached_property
    def z_values(self) -> FloatArray:
        """Distances from the null values in standard errors, shape (k,)."""
        return self.distance(self.null)

    @cached_property
    def raw_p_values(self) -> FloatArray:
        """P-values without adjustment, shape (k,)."""
        from scipy.special import ndtr

        p: FloatArray = np.where(self.side == 0, 2 * ndtr(-np.abs(self.z_values)), ndtr(-self.side * self.z_values))
        return p

    def p_values(self, adjust: str | None) -> FloatArray:
        """P-values, shape (k,), adjusted by "holm", by "single-step" or not at all."""
        if adjust is None:
            return self.raw_p_values
        if adjust == "holm":
            return holm(self.raw_p_values)
        return single_step(self.raw_p_values, self.z_values, self._largest)

    def equivalence(self, low: float, high: float) -> FloatArray:
        """P-values of the two one-sided tests that the value is above `low` and below `high`; the larger, shape (k,).

        Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15: 657-680.
        """
        from scipy.special import ndtr

        p: FloatArray = np.maximum(ndtr(-self.distance(low)), ndtr(self.distance(high)))
        return p

    # For estimates with priors, the normal distribution is that of the posterior.

    @property
    def direction(self) -> FloatArray:
        """Probabilities of being on the same side of the null values as the estimates, shape (k,)."""
        from scipy.special import ndtr

        p: FloatArray = ndtr(np.abs(self.z_values))
        return p

    @property
    def probability_of_side(self) -> FloatArray:
        """Probabilities of being on the side of the alternatives, shape (k,); NaN for alternatives on either side."""
        from scipy.special import ndtr

        return np.where(self.side == 0, np.nan, ndtr(self.side * self.z_values))

    def probability_between(self, low: float, high: float) -> FloatArray:
        """Probabilities of being between two values, shape (k,)."""
        from scipy.special import ndtr

        p: FloatArray = ndtr(-self.distance(high)) - ndtr(-self.distance(low))
        return p

    def simultaneous(self, prob: float) -> tuple[FloatArray, FloatArray]:
        """Ends of intervals that contain all values together with a probability."""
        reach = self._largest.quantile(prob) * self.error
        return self.estimate - reach, self.estimate + reach

    @cached_property
    def _largest(self) -> LargestDeviation:
        assert self.deviations is not None
        known = np.flatnonzero(self.error > 0)
        if not known.size:
            return LargestDeviation(np.zeros(1))
        return LargestDeviation.of_normal(self.deviations[:, known] / self.error[known])
