"""The naive logistic regression, of the same rows without random effects, for any outcomes of these rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...design.identical_rows import identical_rows
from ...variance.logistic_regressions import LogisticRegressions, logistic_regressions

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class NaiveRegression:
    """A logistic regression without random effects, whose rows with the same predictors and offset are added up.

    Attributes
    ----------
    X : ndarray, shape (k, p)
        The distinct rows of the fixed effects.
    offset, trials : ndarray, shape (k,)
    row_of : ndarray of int, shape (n,)
        For each row of the design, its distinct row.
    """

    X: FloatArray
    offset: FloatArray
    trials: FloatArray
    row_of: IntArray

    @classmethod
    def of(cls, design: Design) -> NaiveRegression:
        """The regression for the rows of a design."""
        first, row_of = identical_rows(np.column_stack([design.X, design.offset]))
        trials = np.bincount(row_of, weights=design.outcome.trials)
        return cls(design.X[first], design.offset[first], trials, row_of)

    def sums(self, values: FloatArray) -> FloatArray:
        """Sums of values of the design's rows, shape (n,), over those with the same predictors; shape (k,)."""
        return np.bincount(self.row_of, weights=values, minlength=len(self.trials))

    def fitted_to(self, successes: FloatArray, start: FloatArray) -> LogisticRegressions:
        """The regressions of several numbers of successes, shape (fits, k), with coefficients to start from, (p,)."""
        starts = np.broadcast_to(start, (len(successes), len(start)))
        return logistic_regressions(successes / self.trials, self.X, self.offset, self.trials, starts)
