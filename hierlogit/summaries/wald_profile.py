"""Table of the estimates of a likelihood fit, with standard errors and Wald or profile-likelihood intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import FitError
from ..estimate import LARGEST_RELATIVE_ERROR
from ..fits.fit import Fit
from ..result_table import ResultTable
from .intervals import Interval, end_names

if TYPE_CHECKING:
    from ..estimate import Estimate

FloatArray = npt.NDArray[np.float64]


def summary_of_estimate(fit: Fit, kind: str, prob: float, *, progress: bool) -> ResultTable:
    """Table of the estimates of a likelihood fit.

    Parameters
    ----------
    fit : Fit
    kind : {"wald", "profile"}
    prob : float
    progress : bool
        Whether profiling shows a progress bar.

    Raises
    ------
    FitError
        If the fit has no estimate.
    """
    if fit.estimate is None:
        raise FitError(
            f"interval='{kind}' is for fits by hl.Laplace(), hl.AGQ() and hl.MAP(); this one is by "
            f"{fit.diagnostics.engine}, whose intervals come from its draws."
        )
    table, values, errors = _estimates(fit.estimate)
    ends = (
        _profile(fit, fit.estimate, prob, progress=progress)
        if kind == "profile"
        else _wald(table, values, errors, prob)
    )
    for name, column in zip(end_names(kind, prob), ends, strict=True):
        table[name] = column
    if not fit.estimate.penalised:
        fixed = len(fit.estimate.fixed_effects)
        for name, tests in (("z", fit.estimate.z_values), ("p_value", fit.estimate.p_values)):
            table[name] = np.concatenate([tests, np.full(len(table) - fixed, np.nan)])
    return ResultTable.of(table, "Parameters (logit scale)", spare=["component", "z", "p_value", "se"])


def _estimates(estimate: Estimate) -> tuple[pd.DataFrame, FloatArray, FloatArray]:
    places, spread, covariance = estimate.spread_covariance()
    labels = [*estimate.fixed_effects, *(estimate.spread_label(*place) for place in places)]
    components = ["fixed"] * len(estimate.fixed_effects) + [name for name, *_ in places]
    values = np.concatenate([estimate.beta, spread])
    with np.errstate(invalid="ignore"):
        errors = np.concatenate([estimate.standard_errors, np.sqrt(np.diag(covariance))])
    errors = np.where(errors > 0, errors, np.nan)  # what is held at a boundary has none
    index = pd.Index(labels, name="parameter")
    return pd.DataFrame({"component": components, "estimate": values, "se": errors}, index=index), values, errors


def _wald(table: pd.DataFrame, values: FloatArray, errors: FloatArray, prob: float) -> tuple[FloatArray, FloatArray]:
    reach = Interval(prob, "eti").quantile * errors
    low, high = values - reach, values + reach
    is_sd, is_cor = (table.index.str.startswith(what) & (table["component"] != "fixed") for what in ("sd_", "cor_"))
    known = errors > 0
    # Sds on the log scale. Where the standard error is several times the estimate, an sd has no end but zero.
    sds = np.flatnonzero(is_sd & known)
    vague = errors[sds] > LARGEST_RELATIVE_ERROR * values[sds]
    factor = np.exp(reach[sds] / np.where(vague, np.inf, values[sds]))
    low[sds] = np.where(vague, 0.0, values[sds] / factor)
    high[sds] = np.where(vague, np.inf, values[sds] * factor)
    cors = np.flatnonzero(is_cor & known)
    z, width = np.arctanh(values[cors]), reach[cors] / (1 - values[cors] ** 2)
    low[cors], high[cors] = np.tanh(z - width), np.tanh(z + width)
    return low, high


def _profile(fit: Fit, estimate: Estimate, prob: float, *, progress: bool) -> tuple[FloatArray, FloatArray]:
    """Ends of intervals in the order of the table; NaN for parameters that have no profile."""
    from rich.console import Console
    from rich.progress import track

    from ..engines.maximum.profile import Profiler

    profiler = Profiler(fit.model, estimate)
    console = Console(stderr=True)
    steps = track(
        list(profiler.profiles().values()),
        description="Profiling",
        console=console,
        transient=True,
        disable=not (progress and console.is_terminal),
    )
    ends = [(np.nan, np.nan) if profile is None else profiler.ends(profile, prob) for profile in steps]
    profiler.warn_if_higher()
    low, high = (np.array(column, dtype=np.float64) for column in zip(*ends, strict=True))
    return low, high
