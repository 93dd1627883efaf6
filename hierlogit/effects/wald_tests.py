"""Wald's tests of values of a likelihood fit: one- and two-sided, of equivalence, and adjusted in families."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..student_t import t_cdf, t_quantile, two_sided_p_value
from ..summaries.multiplicity import LargestDeviation, holm, single_step

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WaldTests:
    """Tests of estimates that are approximately normal, or have t distributions because clusters are few.

    Attributes
    ----------
    estimate, error : ndarray, shape (k,)
        Estimates and their standard errors.
    null : ndarray, shape (k,)
        The values that are tested.
    side : ndarray of int, shape (k,)
        1 if the alternative is a value above, -1 for one below, 0 for one on either side.
    df : ndarray, shape (k,)
        Degrees of freedom; infinite for the normal distribution.
    deviations : ndarray, shape (m, k), or None
        Deviations whose cross-products have the correlations of the estimates; None if they do not fit into memory.
    """

    estimate: FloatArray
    error: FloatArray
    null: FloatArray
    side: npt.NDArray[Any]
    df: FloatArray
    deviations: FloatArray | None = None

    def distance(self, value: FloatArray | float) -> FloatArray:
        """Estimates less a value, in standard errors, shape (k,); NaN where there is no standard error."""
        known = self.error > 0
        with np.errstate(invalid="ignore"):
            return np.divide(self.estimate - value, self.error, out=np.full_like(self.error, np.nan), where=known)

    @cached_property
    def t_values(self) -> FloatArray:
        """Distances from the null values in standard errors, shape (k,)."""
        return self.distance(self.null)

    def interval(self, prob: float) -> tuple[FloatArray, FloatArray]:
        """Ends of the interval of each value."""
        reach = t_quantile(self.df, prob) * self.error
        return self.estimate - reach, self.estimate + reach

    @cached_property
    def raw_p_values(self) -> FloatArray:
        """P-values without adjustment, shape (k,)."""
        both = two_sided_p_value(self.t_values, self.df)
        p: FloatArray = np.where(self.side == 0, both, t_cdf(-self.side * self.t_values, self.df))
        return p

    def p_values(self, adjust: str | None) -> FloatArray:
        """P-values, shape (k,), adjusted by "holm", by "single-step" or not at all."""
        if adjust is None:
            return self.raw_p_values
        if adjust == "holm":
            return holm(self.raw_p_values)
        return single_step(self.raw_p_values, self.t_values, self._largest)

    def columns(self, adjust: str | None) -> dict[str, FloatArray]:
        """Statistics and p-values as columns of a table: ``z``, or ``t`` with its ``df``, and ``p_value``."""
        p_values = self.p_values(adjust)
        if not np.any(np.isfinite(self.df)):
            return {"z": self.t_values, "p_value": p_values}
        return {"t": self.t_values, "df": self.df, "p_value": p_values}

    def equivalence(self, low: FloatArray | float, high: FloatArray | float) -> FloatArray:
        """P-values of the two one-sided tests that the value is above `low` and below `high`; the larger, shape (k,).

        Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15: 657-680.
        """
        p: FloatArray = np.maximum(t_cdf(-self.distance(low), self.df), t_cdf(self.distance(high), self.df))
        return p

    # The normal or t distribution stands for the posterior in what follows, that with flat priors for a likelihood.

    @property
    def direction(self) -> FloatArray:
        """Probabilities of being on the same side of the null values as the estimates, shape (k,)."""
        return t_cdf(np.abs(self.t_values), self.df)

    @property
    def probability_of_side(self) -> FloatArray:
        """Probabilities of being on the side of the alternatives, shape (k,); NaN for alternatives on either side."""
        return np.where(self.side == 0, np.nan, t_cdf(self.side * self.t_values, self.df))

    def probability_between(self, low: FloatArray | float, high: FloatArray | float) -> FloatArray:
        """Probabilities of being between two values, shape (k,)."""
        return t_cdf(-self.distance(high), self.df) - t_cdf(-self.distance(low), self.df)

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
        deviations = self.deviations[:, known]
        lengths = np.sqrt((deviations**2).sum(axis=0))
        return LargestDeviation.of_t(deviations / lengths, float(self.df[known].min()))
