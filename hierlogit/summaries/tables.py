"""Tables of parameters with their convergence, of odds ratios, and of cluster effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..engines.maximum.cluster_covariance import robust_fit
from ..errors import DataWarning, FitError, warn
from ..estimate import Estimate
from ..fits.arguments import refuse_pooled, require_fit
from ..fits.fit import Fit
from ..fits.pooled_fit import PooledFit
from ..fits.posterior import parameter_draws
from ..fits.repeated_findings import note_of_zero_sds, repeats_findings
from ..parallel.workers import AnyExecutor, check_executor
from ..pictures import Picture
from ..result_table import ResultTable
from ..student_t import t_cdf, t_quantile, two_sided_p_value
from ..validation import choice, flag, quoted_list, shortened
from .cluster_picture import ClusterPicture
from .convergence import convergence_columns
from .intervals import Interval, end_names, summarise
from .log_odds_contrasts import log_odds_contrasts
from .wald_profile import PARAMETERS, summary_of_estimate, title_of_tests, with_df

if TYPE_CHECKING:
    import xarray as xr

    from ..model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: Exponentials of larger numbers, up or down, are infinite or zero.
LARGEST_LOGARITHM = 700.0
#: How tables of odds ratios are drawn.
PICTURE_OF_RATIOS = Picture("forest")
INTERVALS = ("draws", "wald", "profile")
COVARIANCES = ("model", "robust", "jackknife")
#: Columns that are left out first where there is not enough room.
SPARE = ("mcse_sd", "mcse_mean", "component", "ess_tail", "ess_bulk", "r_hat", "sd")


def summary(
    fit: Fit,
    *,
    interval: str | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    df: str | None = None,
    covariance: str = "model",
    cluster: Any = None,
    progress: bool = True,
    executor: AnyExecutor | None = None,
) -> ResultTable:
    """Fixed effects and variance components in one table, with intervals and convergence measures.

    Parameters
    ----------
    fit : Fit
    interval : {"draws", "wald", "profile"}, optional
        Basis of the intervals. ``"draws"``: posterior draws. ``"wald"``: estimate and standard error, on the log scale
        for sds and phi and on the scale of Fisher's z for correlations. ``"profile"``: the likelihood, or for fits by
        MAP the posterior density, maximised over all other parameters (see `profile`). If not given, draws for sampled
        fits and Wald for likelihood fits.
    ci_prob : float, optional
        Probability of the intervals, such as 0.95; ArviZ's default if not given, which is 0.89 unless
        ``arviz.rcParams["stats.ci_prob"]`` has been changed.
    ci_kind : {"eti", "hdi"}, optional
        Equal-tailed or highest-density intervals of draws; ArviZ's default if not given.
    df : {"between-within", "normal"}, optional
        For Wald intervals and p-values of the fixed effects: Student's t distribution with between-within degrees of
        freedom, or the normal distribution. If not given, as in the fit, whose engine has the same option: t if a
        grouping factor has fewer than 40 clusters. Profile intervals are those of likelihood-ratio tests by the
        chi-squared distribution in any case.
    covariance : {"model", "robust"}
        Where the standard errors of a likelihood fit come from: from the model, or from differences between clusters,
        as with `robust`: ``hl.summary(fit, covariance="robust")`` is short for ``hl.summary(hl.robust(fit))``. Those of
        the jackknife, which takes longer, are in ``hl.summary(hl.robust(fit, covariance="jackknife"))``.
    cluster : str or array-like, optional
        For robust standard errors: the clusters, as for `robust`.
    progress : bool
        Whether profiling shows a progress bar on a terminal.
    executor : concurrent.futures.Executor or distributed.Client, optional
        Distributes profiles over workers, as for `bootstrap`.

    Returns
    -------
    ResultTable
        One row for each parameter: fixed effects, then for each grouping factor ``sd_<group>[effect]`` and
        ``cor_<group>[effect, effect]``, all on the logit scale, then ``phi`` of beta-binomial outcomes. The column
        ``component`` is ``fixed``, the grouping factor or ``phi``. With intervals from draws, the other columns are
        ``mean``, ``sd``, the ends of the interval and, for sampled fits, ``r_hat``, ``ess_bulk``, ``ess_tail``,
        ``mcse_mean`` and ``mcse_sd``. With Wald and profile intervals, they are ``estimate``, ``se`` and the ends of
        the interval, for fits without priors also ``z``, or ``t`` with its degrees of freedom ``df``, and ``p_value``
        of the fixed effects. Pooled likelihood fits have the missing information ``fmi``, ``riv`` and ``lambda`` of
        `pool` too; the convergence measures of pooled sampled fits are those within the imputations.

    Raises
    ------
    FitError
        If the interval, `df` or the covariance is not available for this fit.
    StudyError
        If the executor cannot run the searches.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"))
    >>> table = hl.summary(model.fit("laplace"), interval="profile", ci_prob=0.95)
    >>> table[["profile95_lb", "profile95_ub"]].loc["sd_herd[Intercept]"].round(2).tolist()
    [0.35, 1.1]
    """
    require_fit(fit)
    progress = flag("progress", progress, FitError)
    check_executor(executor)
    choice("covariance", covariance, COVARIANCES, FitError)
    if covariance == "jackknife":
        raise FitError(
            "covariance='jackknife' takes a search for each cluster, which hl.summary does not start: make a fit with "
            f"it once, fit = {_with_jackknife(fit, cluster)}, and pass that to hl.summary and other functions. "
            "covariance='robust' takes no searches."
        )
    if covariance == "robust":
        fit = robust_fit(fit, cluster)
    elif cluster is not None:
        raise FitError("cluster= is for covariance='robust': pass both, or leave both out.")
    if interval is not None:
        choice("interval", interval, INTERVALS, FitError)
    chosen = interval or ("draws" if fit.estimate is None else "wald")
    if chosen == "draws":
        if df is not None:
            raise FitError(
                f"df={shortened(df)} is for interval='wald' and interval='profile'; draws have the degrees of freedom "
                "of the engine: hl.Laplace(df=...)."
            )
        # Of likelihood fits, draws are independent: there are no chains that could not converge.
        convergence = convergence_columns(fit) if fit.estimate is None else {}
        return table_of_draws(fit.model, fit.posterior, Interval.of(ci_prob, ci_kind), convergence)
    if chosen == "profile":
        refuse_pooled(fit, "fit", "A profile is of the likelihood", "Leave interval= out for Wald intervals.")
    return summary_of_estimate(
        fit, chosen, Interval.of(ci_prob, ci_kind).prob, df, progress=progress, executor=executor
    )


def _with_jackknife(fit: Fit, cluster: Any) -> str:
    """The call that makes a fit with the standard errors of the jackknife."""
    options = f"{'' if cluster is None else 'cluster, '}covariance='jackknife'"
    if isinstance(fit, PooledFit):
        return f"hl.pool([hl.robust(one, {options}) for one in fit.fits])"
    return f"hl.robust(fit, {options})"


def table_of_draws(
    model: ModelSpec, posterior: xr.Dataset, interval: Interval, convergence: Mapping[str, FloatArray]
) -> ResultTable:
    """Table of the parameters from posterior draws.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset
    interval : Interval
    convergence : mapping of str to ndarray
        Convergence measures of each parameter, by the names of their columns.
    """
    dataset = parameter_draws(model, posterior).to_dataset(name="value")
    draws = dataset["value"].to_numpy().reshape(-1, dataset.sizes["parameter"])
    index = pd.Index(dataset["parameter"].to_numpy(), name="parameter")
    table = pd.DataFrame({"component": dataset["component"].to_numpy()}, index=index)
    for name, values in summarise(draws, interval).items():
        table[name] = values
    for name, values in convergence.items():
        table[name] = values
    return ResultTable.of(table, PARAMETERS, spare=SPARE)


@repeats_findings
def odds_ratios(
    fit: Fit, *, ci_prob: float | None = None, ci_kind: str | None = None, df: str | None = None
) -> ResultTable:
    """Odds ratios ``exp(beta)`` of the fixed effects, with intervals.

    They are conditional on the cluster: they compare rows of the same cluster, or of clusters with equal effects, that
    differ by one unit of the predictor. The intercept is left out, since it is not a ratio. Terms that share a
    variable, such as ``age + I(age**2)`` or the columns of ``poly(age, 2)``, cannot change one without the other. In
    place of their coefficients there is a row for the variable, with its upper quartile in the rows rather than the
    lower one: ``age[8.44 rather than -8.56]``. Interactions of all these terms with another predictor are left out;
    `comparisons` shows how the curves differ.

    Parameters
    ----------
    fit : Fit
    ci_prob, ci_kind, df
        As for `summary`.

    Returns
    -------
    ResultTable
        One row for each fixed effect or variable. For sampled fits ``median``, ``mean``, ``sd`` and the ends of the
        interval, all from the draws of the ratio, and ``p_above_1``, the posterior probability that the ratio is above
        1. For likelihood fits ``estimate``, the ratio at the maximum, with the ends of the Wald interval of its
        logarithm (``wald89_lb``, ``wald89_ub``), and ``p_value``, or ``p_above_1`` if the fit used the priors.

    Raises
    ------
    FitError
        If the model has no fixed effects besides the intercept, or `df` is given for a fit by a sampler or MAP.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.odds_ratios(fit).loc["urban[Y]"]  # doctest: +SKIP
    """
    require_fit(fit)
    contrasts = log_odds_contrasts(fit.model.design)
    if not contrasts:
        raise FitError("the model has no fixed effect besides the intercept, so there are no odds ratios.")
    interval = Interval.of(ci_prob, ci_kind)
    index = pd.Index([contrast.label for contrast in contrasts], name="fixed_effect")
    title = "Odds ratios, within a cluster" if fit.model.design.groups else "Odds ratios"
    weights = np.array([contrast.weights for contrast in contrasts])
    if fit.estimate is not None or df is not None:
        estimate = with_df(fit, df)
        _warn_beyond_floats(index, weights @ estimate.beta)
        table = pd.DataFrame(_ratios_at_maximum(estimate, weights, interval), index=index)
        return ResultTable.of(table, "; ".join([title, *title_of_tests(estimate)]), picture=PICTURE_OF_RATIOS)
    beta = fit.posterior["beta"].transpose("chain", "draw", "fixed_effect").to_numpy()
    logarithms = beta.reshape(-1, weights.shape[1]) @ weights.T
    _warn_beyond_floats(index, np.median(logarithms, axis=0))
    with np.errstate(over="ignore"):
        ratios = np.exp(logarithms)
    columns = {"median": np.median(ratios, axis=0), **summarise(ratios, interval)}
    columns["p_above_1"] = (ratios > 1).mean(axis=0)
    return ResultTable.of(pd.DataFrame(columns, index=index), title, picture=PICTURE_OF_RATIOS)


def _warn_beyond_floats(labels: pd.Index[str], logarithms: FloatArray) -> None:
    beyond = np.abs(logarithms) > LARGEST_LOGARITHM
    if beyond.any():
        warn(
            f"the odds ratios for one more unit of {quoted_list(list(labels[beyond]))} are too far from 1 for a "
            "number: a unit is many times the range of the column. Measure it in smaller units, or pass a smaller "
            "step: hl.comparisons(fit, {'x': step}, comparison='lnoddsratio').",
            DataWarning,
        )


def _ratios_at_maximum(estimate: Estimate, weights: FloatArray, interval: Interval) -> dict[str, FloatArray]:
    """Odds ratios of contrasts with Wald intervals, which are symmetric on the logarithmic scale.

    A contrast of several coefficients has the smallest of their degrees of freedom, reduced by missing values.
    """
    # Only the coefficients in a contrast: the errors of others may be infinite or missing.
    used = [np.flatnonzero(row) for row in weights]
    middle = np.array([row[j] @ estimate.beta[j] for row, j in zip(weights, used, strict=True)])
    variances = [row[j] @ estimate.covariance[np.ix_(j, j)] @ row[j] for row, j in zip(weights, used, strict=True)]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # separated outcomes have infinite ratios
        errors = np.sqrt(variances)
        complete = np.array([estimate.complete_df[j].min() for j in used])
        df = estimate.reduced_df(estimate.deviations()[:, : len(estimate.beta)] @ weights.T, complete)
        reach = t_quantile(df, interval.prob) * errors
        low, high = end_names("wald", interval.prob)
        columns = {"estimate": np.exp(middle), low: np.exp(middle - reach), high: np.exp(middle + reach)}
        t_values = middle / errors
    if estimate.penalised:
        return {**columns, "p_above_1": t_cdf(t_values, df)}
    return {**columns, "p_value": two_sided_p_value(t_values, df)}


@repeats_findings
def ranef(
    fit: Fit, group: str | None = None, *, ci_prob: float | None = None, ci_kind: str | None = None
) -> ResultTable:
    """Random effects of each cluster, as deviations from the fixed effects on the logit scale.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        One grouping factor; all of them if not given.
    ci_prob, ci_kind
        As for `summary`.

    Returns
    -------
    ResultTable
        Indexed by ``group``, ``level`` and ``effect``. For sampled fits ``mean``, ``sd`` and the ends of the interval.
        For likelihood fits ``mode`` and ``conditional_sd``, the conditional mode and standard deviation of the effect
        given the estimates, as in lme4, and the ends of the normal interval that they give. It does not include the
        uncertainty of the estimates; the draws in ``fit.posterior`` do. Effects whose sd is estimated as zero are all
        zero, which a note below the table says.

    Raises
    ------
    FitError
        If the model has no random effects, or no such grouping factor.

    See Also
    --------
    hierlogit.plots.caterpillar : Draws them, as does ``plot()`` of the table.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.ranef(fit, "district").xs("Intercept", level="effect")  # doctest: +SKIP
    """
    require_fit(fit)
    interval = Interval.of(ci_prob, ci_kind)
    tables, factors = [], fit.model.design.chosen_groups(group)
    for factor in factors:
        if fit.estimate is None:
            dims = (fit.model.dim(factor), fit.model.effect_dim(factor))
            effects = fit.posterior[f"b_{factor.result_name}"].transpose("chain", "draw", *dims).to_numpy()
            columns = summarise(effects.reshape(-1, len(factor.levels) * len(factor.effects)), interval)
        else:
            columns = _conditional_modes(fit.estimate, factor.name, interval)
        index = pd.MultiIndex.from_product(
            [[factor.name], factor.levels, factor.effects], names=["group", "level", "effect"]
        )
        tables.append(pd.DataFrame(columns, index=index))
    title = "Deviations of clusters from the fixed effects (logit scale)"
    note = note_of_zero_sds(fit, factors)
    return ResultTable.of(pd.concat(tables), title, picture=ClusterPicture("caterpillar"), note=note)


def _conditional_modes(estimate: Estimate, group: str, interval: Interval) -> dict[str, FloatArray]:
    mode, sd = estimate.modes[group].ravel(), estimate.conditional_sds[group].ravel()
    low, high = interval.columns
    return {
        "mode": mode,
        "conditional_sd": sd,
        low: mode - interval.quantile * sd,
        high: mode + interval.quantile * sd,
    }
