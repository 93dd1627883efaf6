"""Calibration curves of predicted probabilities: a smooth one of all rows, and logistic ones of single clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...effects.hypothesis import LOGIT
from ...variance.logistic_regressions import logistic_regressions
from ...variance.no_pooling import unpooled_estimates
from .cluster_measures import logit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Quantiles of the logits at which the knots of the spline are (Harrell 2015, Regression Modeling Strategies, 2.4.6).
KNOTS = (0.05, 0.35, 0.65, 0.95)
#: Points of a curve.
POINTS = 60


@dataclass(frozen=True)
class CalibrationCurve:
    """Probability of the event as a function of the predicted probability.

    Attributes
    ----------
    predicted, observed : ndarray, shape (points,)
    """

    predicted: FloatArray
    observed: FloatArray


def smooth_curve(p: FloatArray, y: FloatArray, trials: FloatArray) -> CalibrationCurve | None:
    """A logistic regression on a restricted cubic spline of the logits; None if it has no finite maximum.

    With fewer than `KNOTS` different quantiles, the logits enter as a line.
    """
    eta = logit(p)
    knots = np.unique(np.quantile(eta, KNOTS))
    grid = np.linspace(eta.min(), eta.max(), POINTS)
    if not grid[-1] > grid[0]:
        return None
    columns, at = (_columns(values, knots) for values in (eta, grid))
    fitted = logistic_regressions((y / trials)[None], columns, np.zeros(len(p)), trials, _identity_line(columns))
    if not fitted.finite[0]:
        return None
    return CalibrationCurve(LOGIT.back(grid), LOGIT.back(at @ fitted.coefficients[0]))


def _columns(eta: FloatArray, knots: FloatArray) -> FloatArray:
    return np.column_stack([np.ones_like(eta), eta, *restricted_cubic_spline(eta, knots)])


def _identity_line(columns: FloatArray) -> FloatArray:
    start = np.zeros((1, columns.shape[1]))
    start[0, 1] = 1.0
    return start


def restricted_cubic_spline(x: FloatArray, knots: FloatArray) -> list[FloatArray]:
    """The nonlinear columns of a cubic spline that is linear beyond its first and last knot; none for two knots.

    Examples
    --------
    >>> [column.round(3) for column in restricted_cubic_spline(np.array([0.0, 1.0, 4.0]), np.array([0.0, 1.0, 2.0]))]
    [array([0.  , 0.25, 4.5 ])]
    """
    if len(knots) < len(KNOTS) - 1:
        return []
    last, before = knots[-1], knots[-2]

    def cube(knot: float) -> FloatArray:
        return np.asarray(np.maximum(x - knot, 0.0) ** 3)

    return [
        (cube(k) - cube(before) * (last - k) / (last - before) + cube(last) * (before - k) / (last - before))
        / (last - knots[0]) ** 2
        for k in knots[:-2]
    ]


def cluster_curves(
    p: FloatArray, y: FloatArray, trials: FloatArray, index: IntArray, count: int
) -> dict[int, CalibrationCurve]:
    """Logistic calibration of each cluster over its own predictions, by number; none of clusters without estimates."""
    eta = logit(p)
    columns = np.column_stack([np.ones_like(eta), eta])
    start = np.tile([0.0, 1.0], (count, 1))
    estimates, _ = unpooled_estimates(y, trials, np.zeros_like(eta), columns, index, start, np.eye(2))
    curves = {}
    for number in np.flatnonzero(np.isfinite(estimates).all(axis=1)).tolist():
        own = eta[index == number]
        grid = np.linspace(own.min(), own.max(), POINTS)
        curve = LOGIT.back(estimates[number, 0] + estimates[number, 1] * grid)
        curves[number] = CalibrationCurve(LOGIT.back(grid), curve)
    return curves
