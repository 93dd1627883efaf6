"""Wald's tests of the terms of a fit that is pooled over imputations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FitError
from ..progress import progress
from ..rubins_rules import joint_test
from .term_comparisons import TermComparison, difference_of
from .term_ratios import Maxima

if TYPE_CHECKING:
    from ..fits.pooled_fit import PooledFit

#: Why random effects have no test.
OF_RANDOM_EFFECTS = (
    "none: an sd of zero is the end of its range, where Wald's test does not apply, and likelihood ratios of different "
    "imputations have no common distribution. hl.test_terms of single imputations, fit.fits, shows whether they agree"
)
#: Why a term that others contain has no test by errors from differences between clusters.
OF_OTHER_MODELS = "none: fit the model without the terms in 'without', with these standard errors"


def wald_tests_of_terms(fit: PooledFit, comparisons: Sequence[TermComparison]) -> list[dict[str, Any]]:
    """Wald's joint test of all columns of each fixed term, in the larger model of its comparison.

    Raises
    ------
    FitError
        If a fit has no maximum.
    """
    maxima = [Maxima(one, one.estimate) for one in fit.fits if one.estimate is not None]
    return [_row(fit, one, maxima) for one in progress(comparisons, "Testing terms")]


def _row(fit: PooledFit, comparison: TermComparison, maxima: Sequence[Maxima]) -> dict[str, Any]:
    names = {"term": comparison.term, "component": comparison.component}
    row = names | {"parameters": difference_of(fit.model, comparison).parameters}
    missing = dict.fromkeys(("statistic", "df", "p_value", "riv"), np.nan)
    without = {"without": ", ".join(comparison.without)}
    tested = list(comparison.tested)
    if not tested:
        return row | missing | {"reference": OF_RANDOM_EFFECTS} | without
    estimates = [one.estimate for one in fit.fits if one.estimate is not None]
    if comparison.without:
        if estimates[0].clustered is not None:
            return row | missing | {"reference": OF_OTHER_MODELS} | without
        try:
            estimates = [one.of(comparison.larger)[1] for one in maxima]
        except FitError as error:
            return row | missing | {"reference": str(error)} | without
    beta = np.array([one.beta[tested] for one in estimates])
    covariances = np.array([one.covariance[np.ix_(tested, tested)] for one in estimates])
    if not np.all(np.isfinite(covariances)):
        return row | missing | {"reference": "none: an estimate is infinite in an imputation"} | without
    test = joint_test(beta, covariances, float(min(one.df[tested].min() for one in estimates)))
    found = {"statistic": test.statistic, "df": test.df, "p_value": test.p_value, "riv": test.riv}
    return row | found | {"reference": f"F({len(tested)}, df)"} | without
