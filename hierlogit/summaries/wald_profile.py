"""Table of the estimates of a likelihood fit, with standard errors and Wald or profile-likelihood intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.degrees_of_freedom import checked_df, degrees_of_freedom
from ..engines.maximum.cluster_covariance import clustered_df
from ..errors import FitError
from ..estimate import LARGEST_RELATIVE_ERROR
from ..fits.arguments import NO_LIKELIHOOD, refuse_sampling_weights
from ..fits.fit import Fit
from ..result_table import ResultTable
from ..student_t import t_quantile
from .intervals import end_names

if TYPE_CHECKING:
    from ..estimate import Estimate
    from ..parallel.workers import AnyExecutor

FloatArray = npt.NDArray[np.float64]

#: Title of tables of parameters.
PARAMETERS = "Parameters (logit scale)"
#: Label and component of the precision of beta-binomial outcomes.
PHI = "phi"
#: Columns that are left out first where there is not enough room.
SPARE = ("component", "riv", "lambda", "df", "t", "z", "p_value", "fmi", "se")


def summary_of_estimate(
    fit: Fit, kind: str, prob: float, df: str | None, *, progress: bool, executor: AnyExecutor | None = None
) -> ResultTable:
    """Table of the estimates of a likelihood fit.

    Parameters
    ----------
    fit : Fit
    kind : {"wald", "profile"}
    prob : float
    df : {"between-within", "normal"}, optional
        Degrees of freedom of the fixed effects; those of the fit if not given.
    progress : bool
        Whether profiling shows a progress bar.
    executor : concurrent.futures.Executor, distributed.Client or None
        Distributes profiles over workers.

    Raises
    ------
    FitError
        If the fit has no estimate, or a profile is requested of a restricted fit.
    """
    if fit.estimate is None:
        raise FitError(
            f"interval='{kind}' is for fits by hl.Laplace(), hl.AGQ() and hl.MAP(); this one is by "
            f"{fit.diagnostics.engine}, whose intervals come from its draws."
        )
    estimate = with_df(fit, df)
    if kind == "profile":
        refuse_sampling_weights(fit.model, "interval='profile'", NO_LIKELIHOOD)
        from .profiling import profile_ends

        ends = profile_ends(fit.model, estimate, prob, executor, "Profiling" if progress else None)
        return profile_table(estimate, prob, ends)
    return wald_table(estimate, prob)


def profile_table(estimate: Estimate, prob: float, ends: tuple[FloatArray, FloatArray]) -> ResultTable:
    """Table of estimates with standard errors, tests and the ends of profile intervals of that probability."""
    return _with_ends(estimate, _estimates(estimate)[0], "profile", prob, ends)


def wald_table(estimate: Estimate, prob: float) -> ResultTable:
    """Table of estimates with standard errors, Wald intervals of that probability and tests."""
    table, values, errors = _estimates(estimate)
    df_of_all = np.concatenate([estimate.df, estimate.other_df])
    ends = _wald(table, values, errors, df_of_all, prob, len(estimate.fixed_effects))
    return _with_ends(estimate, table, "wald", prob, ends)


def _with_ends(
    estimate: Estimate, table: pd.DataFrame, kind: str, prob: float, ends: tuple[FloatArray, FloatArray]
) -> ResultTable:
    """The table with the ends of the intervals, and the tests of fits without priors."""
    for name, column in zip(end_names(kind, prob), ends, strict=True):
        table[name] = column
    if not estimate.penalised:
        fixed = len(estimate.fixed_effects)
        for name, values_of_tests in estimate.tests.items():
            table[name] = np.concatenate([values_of_tests, np.full(len(table) - fixed, np.nan)])
    for name, missing in estimate.missing_information.items():
        table[name] = missing
    return ResultTable.of(table, "; ".join([PARAMETERS, *title_of_tests(estimate)]), spare=SPARE)


def with_df(fit: Fit, df: str | None) -> Estimate:
    """The estimate of a likelihood fit, with other degrees of freedom of the fixed effects if they are given.

    Raises
    ------
    FitError
        If `df` is given and the fit has no tests.
    """
    df = checked_df("df", df, FitError)
    if df is None:
        assert fit.estimate is not None
        return fit.estimate
    if fit.estimate is None or fit.estimate.penalised:
        raise FitError(
            f"df='{df}' is for the tests and intervals of fits by hl.Laplace() and hl.AGQ(); this one is by "
            f"{fit.diagnostics.engine}, whose intervals are those of the posterior."
        )
    values, clustered = degrees_of_freedom(fit.model.design, df), fit.estimate.clustered
    if clustered is not None and df != "normal":
        values = clustered_df(values, clustered.count)
    return fit.estimate.with_df(values)


def title_of_tests(estimate: Estimate) -> list[str]:
    """What the title of a table says of the likelihood and the tests, where they are not the usual ones."""
    special = [estimate.likelihood] if estimate.restricted else []
    if estimate.clustered is not None:
        special.append(f"{estimate.clustered.kind} standard errors by {estimate.clustered.group}")
    return [*special, f"t with {estimate.kind_of_df} df"] if estimate.has_t_tests else special


def _estimates(estimate: Estimate) -> tuple[pd.DataFrame, FloatArray, FloatArray]:
    places, spread, covariance = estimate.spread_covariance()
    labels = [*estimate.fixed_effects, *(estimate.spread_label(*place) for place in places)]
    components = ["fixed"] * len(estimate.fixed_effects) + [name for name, *_ in places]
    values = np.concatenate([estimate.beta, spread])
    with np.errstate(invalid="ignore"):
        errors = np.concatenate([estimate.standard_errors, np.sqrt(np.diag(covariance))])
    if estimate.phi is not None:
        labels, components = [*labels, PHI], [*components, PHI]
        values, errors = np.append(values, estimate.phi), np.append(errors, estimate.phi_se)
    errors = np.where(errors > 0, errors, np.nan)  # what is held at a boundary has none
    index = pd.Index(labels, name="parameter")
    return pd.DataFrame({"component": components, "estimate": values, "se": errors}, index=index), values, errors


def _wald(
    table: pd.DataFrame, values: FloatArray, errors: FloatArray, df: FloatArray, prob: float, fixed: int
) -> tuple[FloatArray, FloatArray]:
    reach = t_quantile(df, prob) * errors
    low, high = values - reach, values + reach
    # By position: a column may be named as a parameter is, and a grouping factor "fixed" or "phi".
    other = np.arange(len(table)) >= fixed
    is_sd, is_cor = (table.index.str.startswith(what) & other for what in ("sd_", "cor_"))
    known = errors > 0
    is_sd |= other & (table.index == PHI)
    # Sds and phi on the log scale. Where the standard error is several times the estimate, an sd has no end but zero.
    sds = np.flatnonzero(is_sd & known)
    vague = errors[sds] > LARGEST_RELATIVE_ERROR * values[sds]
    factor = np.exp(reach[sds] / np.where(vague, np.inf, values[sds]))
    low[sds] = np.where(vague, 0.0, values[sds] / factor)
    high[sds] = np.where(vague, np.inf, values[sds] * factor)
    cors = np.flatnonzero(is_cor & known)
    z, width = np.arctanh(values[cors]), reach[cors] / (1 - values[cors] ** 2)
    low[cors], high[cors] = np.tanh(z - width), np.tanh(z + width)
    return low, high
