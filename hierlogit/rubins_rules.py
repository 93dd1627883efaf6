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
    np.float64(16.83)
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
