"""Calibration, discrimination and scores of predicted probabilities in each cluster by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...effects.hypothesis import IDENTITY, LOG, LOGIT, Scale
from ...summaries.intervals import Interval
from ...variance.no_pooling import unpooled_estimates
from ..row_scores import auc, auc_error, log_kernel, mean_error, squared_errors

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Probabilities are kept this far from 0 and 1 where their logits are needed.
TINY = 1e-12


@dataclass(frozen=True)
class PoolingScale:
    """The scale on which estimates of clusters are pooled.

    Attributes
    ----------
    name : str
    scale : Scale
    derivative : callable
        Of the way to the scale.
    """

    name: str
    scale: Scale
    derivative: Callable[[FloatArray], FloatArray]

    def estimates(self, values: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values and standard errors on the scale; NaN unless the error is finite there and above zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            on_scale, se = self.scale.of(values), errors * self.derivative(values)
        usable = np.isfinite(se) & (se > 0)
        return np.where(usable, on_scale, np.nan), np.where(usable, se, np.nan)


ON_IDENTITY = PoolingScale("identity", IDENTITY, np.ones_like)
ON_LOG = PoolingScale("log", LOG, lambda v: 1 / v)
ON_LOGIT = PoolingScale("logit", LOGIT, lambda v: 1 / (v * (1 - v)))
#: The measures, with the scale on which each is nearly normal (Snell, Ensor, Debray, Moons and Riley 2018).
MEASURES = {
    "calibration_intercept": ON_IDENTITY,
    "calibration_slope": ON_IDENTITY,
    "oe": ON_LOG,
    "auc": ON_LOGIT,
    "brier": ON_LOG,
    "log_score": ON_LOG,
}


def measures_of(p: FloatArray, y: FloatArray, trials: FloatArray, index: IntArray, count: int) -> pd.DataFrame:
    """All measures of each cluster with their standard errors, NaN where the cluster's rows do not tell them.

    Parameters
    ----------
    p, y, trials : ndarray, shape (n,)
        Predicted probabilities, successes and trials.
    index : ndarray of int, shape (n,)
        Number of each row's cluster.
    count : int
        Number of clusters; those without rows have no measures.

    Returns
    -------
    pandas.DataFrame
        One row for each cluster: ``rows``, ``trials``, ``events`` and ``expected``, and each of `MEASURES` with its
        standard error, such as ``auc_se``.
    """
    weights = {"t": trials, "y": y, "e": trials * p, "v": trials * p * (1 - p)}
    sums = {name: np.bincount(index, values, count) for name, values in weights.items()}
    table = pd.DataFrame(
        {
            "rows": np.bincount(index, minlength=count),
            "trials": sums["t"].round().astype(np.int64),
            "events": sums["y"].round().astype(np.int64),
            "expected": sums["e"],
        }
    )
    for name, (value, error) in _recalibration(p, y, trials, index, count).items():
        table[name], table[f"{name}_se"] = value, error
    with np.errstate(divide="ignore", invalid="ignore"):
        table["oe"] = sums["y"] / sums["e"]
        # By the predicted variance of the events: by the observed one, clusters whose events are many by chance would
        # have smaller errors and more weight.
        table["oe_se"] = table["oe"] * np.sqrt(sums["v"]) / sums["e"]
    each = {"brier": squared_errors(p, y, trials), "log_score": -log_kernel(p, y, trials)}
    scores = np.full((count, 2 * (1 + len(each))), np.nan)
    order = np.argsort(index, kind="stable")
    for number, rows in enumerate(np.split(order, np.cumsum(np.bincount(index, minlength=count))[:-1])):
        if not len(rows):
            continue
        own = p[rows], y[rows], trials[rows]
        if 0 < own[1].sum() < own[2].sum():
            scores[number, :2] = auc(*own), auc_error(*own)
        for k, values in enumerate(each.values(), start=1):
            score = values[rows].sum() / own[2].sum()
            scores[number, 2 * k : 2 * k + 2] = score, mean_error(values[rows], own[2])
    for k, name in enumerate(("auc", *each)):
        table[name], table[f"{name}_se"] = scores[:, 2 * k], scores[:, 2 * k + 1]
    return table


def logit(p: FloatArray) -> FloatArray:
    """Logits of probabilities, finite also for those that are 0 or 1 in floating-point numbers."""
    return LOGIT.of(np.clip(p, TINY, 1 - TINY))


def _recalibration(
    p: FloatArray, y: FloatArray, trials: FloatArray, index: IntArray, count: int
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Intercept with the logits as an offset, and slope of the logits, of logistic regressions of each cluster."""
    eta, ones = logit(p), np.ones((len(p), 1))
    in_the_large = unpooled_estimates(y, trials, eta, ones, index, np.zeros((count, 1)), np.eye(1))
    start = np.tile([0.0, 1.0], (count, 1))
    columns, slope_only = np.column_stack([ones, eta]), np.array([[0.0, 1.0]])
    slope = unpooled_estimates(y, trials, np.zeros(len(p)), columns, index, start, slope_only)
    return {
        name: (estimate[:, 0], np.sqrt(covariance[:, 0, 0]))
        for name, (estimate, covariance) in (("calibration_intercept", in_the_large), ("calibration_slope", slope))
    }


def overall_measures(p: FloatArray, y: FloatArray, trials: FloatArray) -> pd.Series[float]:
    """The measures of all rows together, by name."""
    table = measures_of(p, y, trials, np.zeros(len(p), dtype=np.intp), 1)
    return table.iloc[0][list(MEASURES)].astype(np.float64)


def cluster_intervals(table: pd.DataFrame, measure: str, interval: Interval) -> pd.DataFrame:
    """A measure of each cluster with the ends of its normal interval on the scale of pooling.

    Returns
    -------
    pandas.DataFrame
        Columns ``value``, NaN where it is not estimable, and ``low`` and ``high``, NaN without a standard error, with
        the index of the table.
    """
    scale = MEASURES[measure]
    values, errors = scale.estimates(*(table[key].to_numpy(dtype=np.float64) for key in (measure, f"{measure}_se")))
    low, high = (scale.scale.back(values + sign * interval.quantile * errors) for sign in (-1, 1))
    return pd.DataFrame({"value": table[measure], "low": low, "high": high})
