"""Quantiles and p-values of Student's t distribution; with infinite degrees of freedom, of the normal distribution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def t_quantile(df: npt.ArrayLike, prob: float) -> FloatArray:
    """The quantile at the upper end of an equal-tailed interval with probability `prob`, for each value of `df`.

    Examples
    --------
    >>> t_quantile([6, np.inf], 0.95).round(2)
    array([2.45, 1.96])
    """
    from scipy.special import ndtri, stdtrit

    df, upper = np.asarray(df, dtype=np.float64), 0.5 + prob / 2
    quantile: FloatArray = np.where(np.isinf(df), ndtri(upper), stdtrit(np.where(np.isinf(df), 1.0, df), upper))
    return quantile


def t_cdf(t: npt.ArrayLike, df: npt.ArrayLike) -> FloatArray:
    """Probability of a value below each `t`.

    Examples
    --------
    >>> t_cdf([-2.45, -1.96], [6, np.inf]).round(3)
    array([0.025, 0.025])
    """
    from scipy.special import ndtr, stdtr

    df, t = np.asarray(df, dtype=np.float64), np.asarray(t, dtype=np.float64)
    below: FloatArray = np.where(np.isinf(df), ndtr(t), stdtr(np.where(np.isinf(df), 1.0, df), t))
    return below


def two_sided_p_value(t: npt.ArrayLike, df: npt.ArrayLike) -> FloatArray:
    """Probability of a value further from zero than each `t`.

    Examples
    --------
    >>> two_sided_p_value([2.45, 1.96], [6, np.inf]).round(3)
    array([0.05, 0.05])
    """
    return 2 * t_cdf(-np.abs(np.asarray(t, dtype=np.float64)), df)
