"""Scores of predicted probabilities: squared errors, log probabilities, the area under the ROC curve, and their errors.

Standard errors take rows as independent, or clusters of rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


def squared_errors(p: FloatArray, y: FloatArray, trials: FloatArray) -> FloatArray:
    """Squared errors of each row, summed over its trials."""
    return y * (1 - p) ** 2 + (trials - y) * p**2


def log_kernel(p: FloatArray, y: FloatArray, trials: FloatArray) -> FloatArray:
    """Log-likelihood of trials one by one, without the binomial coefficient."""
    from scipy.special import xlog1py, xlogy

    values: FloatArray = np.asarray(xlogy(y, p) + xlog1py(trials - y, -p))
    return values


def auc(p: FloatArray, y: FloatArray, trials: FloatArray) -> float:
    """Share of pairs of an event and a non-event in which the event had the higher probability, ties counting half.

    Examples
    --------
    >>> auc(np.array([0.2, 0.4, 0.4]), np.array([0.0, 1.0, 0.0]), np.ones(3))
    0.75
    """
    lower, _ = _placements(p, y, trials)
    return float((y * lower).sum() / y.sum())


def _placements(p: FloatArray, y: FloatArray, trials: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For each row, the share of non-events with a lower probability, and of events with a higher one; ties half."""
    distinct, member = np.unique(p, return_inverse=True)
    events = np.bincount(member, weights=y, minlength=len(distinct))
    others = np.bincount(member, weights=trials - y, minlength=len(distinct))
    lower = (np.cumsum(others) - others / 2) / others.sum()
    higher = (events.sum() - np.cumsum(events) + events / 2) / events.sum()
    return lower[member], higher[member]


def auc_error(p: FloatArray, y: FloatArray, trials: FloatArray, cluster: IntArray | None = None) -> float:
    """Standard error of the AUC of independent rows or clusters (Obuchowski 1997, Biometrics 53: 567-578).

    Of rows of one trial it is that of DeLong, DeLong and Clarke-Pearson; trials of one row are not independent.

    Parameters
    ----------
    p, y, trials : ndarray, shape (n,)
    cluster : ndarray of int, shape (n,), optional
        Number of each row's cluster; each row is one if not given.
    """
    lower, higher = _placements(p, y, trials)
    area = (y * lower).sum() / y.sum()
    sums = [y, trials - y, y * (lower - area), (trials - y) * (higher - area)]
    if cluster is not None:
        sums = [np.bincount(cluster, weights=values) for values in sums]
    y, rest, events, others = sums
    variance = (
        _per_unit(int((y > 0).sum())) * (events**2).sum() / y.sum() ** 2
        + _per_unit(int((rest > 0).sum())) * (others**2).sum() / rest.sum() ** 2
        + 2 * _per_unit(int((y + rest > 0).sum())) * (events * others).sum() / (y.sum() * rest.sum())
    )
    return float(np.sqrt(max(variance, 0.0)))


def placement_variances(p: FloatArray, y: FloatArray, trials: FloatArray, cluster: IntArray) -> tuple[float, float]:
    """Variances of the placements of events and of non-events within clusters, the same in all of them.

    With them, the AUC of a cluster with m events and n non-events has the variance ``a / m + b / n``.

    Parameters
    ----------
    p, y, trials : ndarray, shape (n,)
    cluster : ndarray of int, shape (n,)
        Number of each row's cluster; those without both outcomes do not count.
    """
    sums, counts = np.zeros(2), np.zeros(2)
    order = np.argsort(cluster, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1):
        weights = y[rows], trials[rows] - y[rows]
        if not min(weight.sum() for weight in weights) > 0:
            continue
        area = auc(p[rows], y[rows], trials[rows])
        for k, placement in enumerate(_placements(p[rows], y[rows], trials[rows])):
            sums[k] += weights[k] @ (placement - area) ** 2
            counts[k] += weights[k].sum() - 1
    with np.errstate(invalid="ignore"):
        first, second = sums / counts
    return float(first), float(second)


def _per_unit(count: int) -> float:
    """What a sum of squares about an estimated mean is too small by."""
    return count / (count - 1) if count > 1 else np.nan


def mean_error(values: FloatArray, trials: FloatArray, cluster: IntArray | None = None) -> float:
    """Standard error of ``sum(values) / sum(trials)`` over independent rows or clusters, as a ratio of two sums.

    Examples
    --------
    >>> values = np.array([0.0, 1.0, 2.0, 3.0])
    >>> round(mean_error(values, np.ones(4)), 3), round(float(values.std(ddof=1)) / 2, 3)
    (0.645, 0.645)
    """
    if cluster is not None:
        values, trials = (np.bincount(cluster, weights=one) for one in (values, trials))
    deviations = values - trials * values.sum() / trials.sum()
    # Of rows with one and the same score, the mean may differ from it by rounding: their error is zero, not 1e-18.
    deviations[np.abs(deviations) <= len(values) * np.finfo(np.float64).eps * np.abs(values)] = 0.0
    return float(np.sqrt(_per_unit(int((trials > 0).sum())) * (deviations**2).sum()) / trials.sum())
