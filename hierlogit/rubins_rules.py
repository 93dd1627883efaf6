"""Rubin's rules: variances within and between imputations, degrees of freedom and the information that is missing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class MissingInformation(NamedTuple):
    """What missing values cost in each of several estimates, by the names of R's mice; arrays of the same shape.

    Attributes
    ----------
    df : ndarray
        Degrees of freedom of the t distribution of the estimate.
    fmi : ndarray
        Fraction of missing information.
    riv : ndarray
        Relative increase in variance due to missing values.
    share : ndarray
        Share of the variance due to missing values, which mice calls lambda.
    """

    df: FloatArray
    fmi: FloatArray
    riv: FloatArray
    share: FloatArray

    @property
    def columns(self) -> dict[str, FloatArray]:
        """The quantities besides the degrees of freedom, as columns of a table."""
        return {"fmi": self.fmi, "riv": self.riv, "lambda": self.share}


def between_factor(imputations: int) -> float:
    """What the variance between estimates counts for in the total variance: 1 + 1/m."""
    return 1 + 1 / imputations


def missing_information(
    within: npt.ArrayLike, between: npt.ArrayLike, imputations: int, complete_df: npt.ArrayLike
) -> MissingInformation:
    """Degrees of freedom and missing information of estimates from several imputations.

    Parameters
    ----------
    within : array_like
        Means of the squared standard errors.
    between : array_like
        Variances of the estimates between imputations, with m - 1 in the denominator.
    imputations : int
        Their number m, at least 2.
    complete_df : array_like
        Degrees of freedom that the estimates would have without missing values; infinite for the normal distribution.

    References
    ----------
    Rubin (1987), Multiple Imputation for Nonresponse in Surveys, sections 3.1 and 3.3; Barnard and Rubin (1999),
    Biometrika 86: 948-955, equations 3 to 5; van Buuren (2018), Flexible Imputation of Missing Data, section 2.3.

    Examples
    --------
    >>> missing_information(within=0.04, between=0.01, imputations=5, complete_df=30.0).df.round(2)
    np.float64(16.82)
    """
    within, complete = np.asarray(within, dtype=np.float64), np.asarray(complete_df, dtype=np.float64)
    missing = between_factor(imputations) * np.asarray(between, dtype=np.float64)
    total = within + missing
    with np.errstate(divide="ignore", invalid="ignore"):
        riv = np.where(total > 0, missing / within, np.nan)
        share = np.where(total > 0, missing / total, np.nan)
        of_imputations = (imputations - 1) / share**2
        observed = (complete + 1) / (complete + 3) * complete * (1 - share)
        both = np.where(
            np.isinf(complete), of_imputations, 1 / (1 / of_imputations + 1 / np.where(observed > 0, observed, np.nan))
        )
        df = np.where(np.isnan(both), complete, both)
        fmi = np.where(np.isinf(riv), 1.0, (riv + 2 / (df + 3)) / (riv + 1))
    return MissingInformation(df, fmi, riv, share)


class JointTest(NamedTuple):
    """Wald's test that several estimates are zero, from several imputations.

    Attributes
    ----------
    statistic : float
        D1, which has an F distribution.
    numerator_df, df : float
        Degrees of freedom of the numerator, the number of estimates, and of the denominator.
    p_value : float
    riv : float
        Relative increase in variance due to missing values, averaged over the estimates.
    """

    statistic: float
    numerator_df: float
    df: float
    p_value: float
    riv: float


def joint_test(estimates: FloatArray, covariances: FloatArray, complete_df: float) -> JointTest:
    """Wald's test that k estimates are zero, which mice and mitml call D1.

    Parameters
    ----------
    estimates : ndarray, shape (m, k)
        By imputation.
    covariances : ndarray, shape (m, k, k)
        Their covariance matrices.
    complete_df : float
        Degrees of freedom without missing values; infinite for the chi-squared distribution.

    References
    ----------
    Li, Raghunathan and Rubin (1991), Journal of the American Statistical Association 86: 1065-1073, equations 1.17 to
    1.20; Reiter (2007), Biometrika 94: 502-508, equations 1 and 2, for few degrees of freedom. The degrees of freedom
    of a single estimate are Barnard and Rubin's, so that its test is that of `missing_information`.

    Examples
    --------
    >>> estimates = np.array([[0.9, 0.4], [1.0, 0.5], [1.1, 0.6]])
    >>> round(joint_test(estimates, np.tile(0.04 * np.eye(2), (3, 1, 1)), np.inf).p_value, 6)
    7.2e-05
    """
    from scipy.special import fdtrc

    m, k = estimates.shape
    mean, within = estimates.mean(axis=0), covariances.mean(axis=0)
    apart = estimates - mean
    between = apart.T @ apart / (m - 1)
    riv = between_factor(m) * float(np.trace(np.linalg.solve(within, between))) / k
    statistic = float(mean @ np.linalg.solve(within, mean)) / (k * (1 + riv))
    if k == 1:
        df = float(missing_information(within[0, 0], between[0, 0], m, complete_df).df)
    else:
        df = _joint_df(k * (m - 1), k, riv, complete_df)
    p_value = float(fdtrc(k, df if np.isfinite(df) else 1e12, statistic))
    return JointTest(statistic, float(k), df, p_value, riv)


def _joint_df(t: int, k: int, riv: float, complete_df: float) -> float:
    """Degrees of freedom of the denominator; `t` is k (m - 1)."""
    if riv == 0:
        return complete_df
    if t <= 4:
        return t * (1 + 1 / k) * (1 + 1 / riv) ** 2 / 2
    if np.isinf(complete_df):
        return 4 + (t - 4) * (1 + (1 - 2 / t) / riv) ** 2
    a, v = riv * t / (t - 2), (complete_df + 1) / (complete_df + 3) * complete_df
    first, second, c0 = v - 2 * (1 + a), v - 4 * (1 + a), 1 / (t - 4)
    if second <= 0:  # too few for the expansion
        return 4.0
    z = (
        1 / second
        + c0 * a**2 * first / ((1 + a) ** 2 * second)
        + c0 * (8 * a**2 * first / ((1 + a) * second**2) + 4 * a**2 / ((1 + a) * second))
        + c0 * (4 * a**2 / (second * first) + 16 * a**2 * first / second**3)
        + c0 * 8 * a**2 / second**2
    )
    return float(4 + 1 / z)
