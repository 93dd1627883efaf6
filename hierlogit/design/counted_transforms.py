"""Transformations that learn from counted rows what they would learn from all rows: means, knots and polynomials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .column_rules import ColumnRule
from .formulae_parts import BSpline, Polynomial
from .row_counts import quantiles
from .transforms import Between, Within

FloatArray = npt.NDArray[np.float64]


class CountedCenter:
    """``center(x)``: `x` minus its mean over all rows."""

    def __init__(self, counts: FloatArray) -> None:
        self._counts = counts
        self._mean: float | None = None

    def __call__(self, x: Any) -> Any:
        """Deviations from the mean, shape (n,)."""
        if self._mean is None:
            self._mean = float(np.average(x, weights=self._counts))
        return x - self._mean


class CountedScale:
    """``scale(x)``: deviations from the mean over all rows, in units of the standard deviation (denominator n)."""

    def __init__(self, counts: FloatArray) -> None:
        self._counts = counts
        self._learned: tuple[float, float] | None = None

    def __call__(self, x: Any) -> Any:
        """Standardised values, shape (n,)."""
        if self._learned is None:
            mean = float(np.average(x, weights=self._counts))
            self._learned = mean, float(np.sqrt(np.average((x - mean) ** 2, weights=self._counts)))
        mean, sd = self._learned
        return (x - mean) / sd


class CountedSpline(BSpline):  # type: ignore[misc]
    """``bs(x, df)``: a B-spline whose inner knots are quantiles over all rows."""

    def __init__(self, counts: FloatArray) -> None:
        super().__init__()
        self._counts = counts

    def _initialize(
        self, x: Any, df: Any, knots: Any, degree: Any, intercept: Any, lower_bound: Any, upper_bound: Any
    ) -> None:
        """Choose the knots where only their number is given."""
        if knots is None:
            chosen = knot_probabilities(df, degree, intercept)
            knots = None if chosen is None else quantiles(np.asarray(x, dtype=np.float64), self._counts, chosen)
        super()._initialize(x, df, knots, degree, intercept, lower_bound, upper_bound)


def knot_probabilities(df: Any = None, degree: Any = 3, intercept: Any = False) -> FloatArray | None:
    """The probabilities whose quantiles are the inner knots of ``bs(x, df)``; None if `df` is not given or too small.

    Examples
    --------
    >>> knot_probabilities(df=5)
    array([0.33333333, 0.66666667])
    """
    inner = -1 if df is None else df - (degree + 1) + (not intercept)
    return np.linspace(0, 1, inner + 2)[1:-1] if inner >= 0 else None


class CountedPolynomial(Polynomial):  # type: ignore[misc]
    """``poly(x, degree)``: polynomials that are orthonormal over all rows."""

    def __init__(self, counts: FloatArray) -> None:
        super().__init__()
        self._counts = counts

    def __call__(self, x: Any, degree: int = 1, raw: bool = False) -> Any:
        """Polynomials of `x`, shape (n, degree)."""
        if not self.norms2 and not raw:
            self._learn(np.asarray(x, dtype=np.float64), degree)
        return super().__call__(x, degree, raw)

    def _learn(self, x: FloatArray, degree: int) -> None:
        """The coefficients of the recurrence by which formulae computes the polynomials."""
        before, current = np.zeros_like(x), np.ones_like(x)
        for k in range(degree + 1):
            self.norms2[k] = self._counts @ current**2
            self.alpha[k] = self._counts @ (x * current**2) / self.norms2[k]
            beta = self.norms2[k] / self.norms2[k - 1] if k else 0.0
            before, current = current, (x - self.alpha[k]) * current - beta * before


class Learned:
    """A transformation that is made anew for each call in a formula, and learns from the rows as often as they count.

    Parameters
    ----------
    kind : callable
        Takes the counts.
    counts : ndarray, shape (n,)
    """

    # With this attribute, formulae makes one instance for each call in a formula.
    __stateful_transform__ = True

    def __init__(self, kind: Callable[[FloatArray], Any], counts: FloatArray) -> None:
        self._kind, self._counts = kind, counts

    def __call__(self) -> Any:
        """A transformation that has learned nothing yet."""
        return self._kind(self._counts)


class LearnedElsewhere:
    """A transformation that has learned from all rows of a table before it is applied to some of them.

    Parameters
    ----------
    kind : callable
        Takes the counts.
    rule : ColumnRule
        Of what it is applied to.
    """

    # With this attribute, formulae makes one instance for each call in a formula.
    __stateful_transform__ = True

    def __init__(self, kind: Callable[[FloatArray], Any], rule: ColumnRule) -> None:
        self._kind, self._rule = kind, rule

    def __call__(self) -> Any:
        """The transformation for one call."""
        transform = self._kind(self._rule.counts)

        def apply(x: Any, *arguments: Any, **options: Any) -> Any:
            # Only the first time counts: after that, the transformation applies what it has learned.
            self._rule.teach(transform, *arguments, **options)
            return transform(x, *arguments, **options)

        return apply


#: Transformations of formulae by name, with those that replace them.
OF_FORMULAE: Mapping[str, Callable[[FloatArray], Any]] = {
    "center": CountedCenter,
    "scale": CountedScale,
    "standardize": CountedScale,
    "bs": CountedSpline,
    "poly": CountedPolynomial,
}
#: Transformations of this package, which know of counts themselves.
OWN: Mapping[str, Callable[[FloatArray], Any]] = {"within": Within, "between": Between}
#: All that learn from the rows.
LEARNING: Mapping[str, Callable[[FloatArray], Any]] = {**OF_FORMULAE, **OWN}
