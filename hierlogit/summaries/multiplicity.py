"""Adjustment of p-values for the number of tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


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
