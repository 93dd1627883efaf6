"""Measures of predicted probabilities pooled over clusters: their mean, heterogeneity, and an interval for a new one.

Standard errors that are computed from a cluster's own outcomes depend on its estimate: a cluster whose slope is steep
by chance has a larger one. In clusters of some dozens of rows this makes the variance between clusters far too small.
What is pooled therefore has errors that do not depend on the cluster's estimate, or comes from a regression of all
rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...engines.maximum.laplace import Laplace
from ...engines.maximum.refit import approach_of, search
from ...errors import ConvergenceWarning, DataWarning, unsaid
from ...model import Model
from ...summaries.intervals import Interval, end_names
from ..row_scores import placement_variances
from .cluster_measures import MEASURES, logit
from .meta_analysis import FEWEST, RandomEffects, shared_variance

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: The regressions of the outcomes on the logits of the predictions, and the coefficient of each that is the measure.
REGRESSIONS = {
    "calibration_intercept": ("p(y, trials) ~ 1 + offset(logit) + (1 | cluster)", 0),
    "calibration_slope": ("p(y, trials) ~ logit + (1 + logit | cluster)", 1),
}


@dataclass(frozen=True)
class PredictedRows:
    """Rows with predicted probabilities.

    Attributes
    ----------
    p, y, trials : ndarray, shape (n,)
    index : ndarray of int, shape (n,)
        Number of each row's cluster.
    """

    p: FloatArray
    y: FloatArray
    trials: FloatArray
    index: IntArray


def pooled_measures(table: pd.DataFrame, rows: PredictedRows, interval: Interval) -> pd.DataFrame:
    """The mean of each measure over the clusters, its heterogeneity, and an interval for a new cluster.

    Parameters
    ----------
    table : pandas.DataFrame
        Of the clusters, by `measures_of`.
    rows : PredictedRows
        Their rows.
    interval : Interval
        Probability of the intervals.

    Returns
    -------
    pandas.DataFrame
        One row for each measure; see `hierlogit.validate`.
    """
    ends, ends_of_new = end_names("wald", interval.prob), end_names("prediction", interval.prob)
    found = {}
    for name, scale in MEASURES.items():
        row: dict[str, object] = {"clusters": 0, "not_estimable": int(table[name].isna().sum()), "scale": scale.name}
        pooled = _pooled(name, table, rows)
        if pooled is not None:
            limits = [pooled.mean, *pooled.interval(interval.prob), *pooled.prediction_interval(interval.prob)]
            keys = ["estimate", *ends, *ends_of_new]
            row |= dict(zip(keys, scale.scale.back(np.array(limits)).tolist(), strict=True))
            row |= {"tau": pooled.tau, "i2": pooled.i2, "clusters": pooled.count}
        found[name] = row | {"not_pooled": len(table) - (0 if pooled is None else pooled.count)}
    columns = ["estimate", *ends, *ends_of_new, "tau", "i2", "clusters", "not_pooled", "not_estimable", "scale"]
    of_measures = pd.DataFrame.from_dict(found, orient="index").reindex(columns=columns)
    return of_measures.astype(dict.fromkeys(columns[:7], np.float64)).rename_axis("measure")


def _pooled(name: str, table: pd.DataFrame, rows: PredictedRows) -> RandomEffects | None:
    """A measure over the clusters; None if it is estimable in none of them."""
    if name in REGRESSIONS and len(np.unique(rows.index)) >= FEWEST:
        return _by_regression(name, table, rows)
    values, errors = (table[key].to_numpy(dtype=np.float64) for key in (name, f"{name}_se"))
    if name == "auc" and len(values) >= FEWEST:
        return _pooled_auc(values, table, rows)
    return _of_estimable(*MEASURES[name].estimates(values, errors))


def _of_estimable(values: FloatArray, errors: FloatArray) -> RandomEffects | None:
    told = np.isfinite(values) & np.isfinite(errors) & (errors > 0)
    return RandomEffects.of(values[told], errors[told]) if told.any() else None


def _pooled_auc(areas: FloatArray, table: pd.DataFrame, rows: PredictedRows) -> RandomEffects | None:
    """Logits of the areas, with the variances of placements that all clusters share, at the mean area."""
    of_events, of_others = placement_variances(rows.p, rows.y, rows.trials, rows.index)
    events = table["events"].to_numpy(dtype=np.float64)
    others = table["trials"].to_numpy(dtype=np.float64) - events
    with np.errstate(divide="ignore"):
        errors = np.sqrt(of_events / events + of_others / others)
    mean = _of_estimable(areas, errors)
    if mean is None or not 0 < mean.mean < 1:
        return None
    # An area of 0 or 1 has no logit.
    inside = np.where((areas > 0) & (areas < 1), areas, np.nan)
    on_logit = MEASURES["auc"].scale.of(inside)
    return _of_estimable(on_logit, errors / (mean.mean * (1 - mean.mean)))


def _by_regression(name: str, table: pd.DataFrame, rows: PredictedRows) -> RandomEffects | None:
    """A coefficient that varies between clusters, of a mixed logistic regression of the outcomes on the logits."""
    if not 0 < rows.y.sum() < rows.trials.sum():  # an infinite intercept
        return None
    errors = table[f"{name}_se"].dropna().to_numpy()
    # Predictions that differ between clusters alone tell nothing of a slope within them.
    if name == "calibration_slope" and len(errors) < FEWEST:
        return None
    formula, position = REGRESSIONS[name]
    columns = {"y": rows.y, "trials": rows.trials, "logit": logit(rows.p), "cluster": rows.index}
    with unsaid(DataWarning), unsaid(ConvergenceWarning):
        model = Model(formula, pd.DataFrame(columns))
        found = search(model, approach_of(Laplace(), model))
    estimate = found.estimate
    if found.unbounded or not found.converged or not np.isfinite(estimate.standard_errors[position]):
        return None
    tau = float(estimate.sd("cluster")[position])
    i2 = tau**2 / (tau**2 + shared_variance(errors**2)) if len(errors) >= FEWEST else np.nan
    count = len(np.unique(rows.index))
    return RandomEffects(float(estimate.beta[position]), float(estimate.standard_errors[position]), tau, i2, count)
