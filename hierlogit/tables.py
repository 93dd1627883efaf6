"""Tables of a fit: parameters with their convergence, odds ratios, cluster effects."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .errors import FitError
from .fit import Fit, parameter_draws
from .grouping import GroupBlock
from .intervals import Interval, summarise
from .table import listed


def summary(fit: Fit, *, ci_prob: float | None = None, ci_kind: str | None = None) -> pd.DataFrame:
    """Fixed effects and variance components together, with intervals and convergence measures.

    Parameters
    ----------
    fit : Fit
    ci_prob : float, optional
        Probability of the intervals; ArviZ's default (0.89) if not given.
    ci_kind : {"eti", "hdi"}, optional
        Equal-tailed or highest-density; ArviZ's default if not given.

    Returns
    -------
    pandas.DataFrame
        One row for each parameter: fixed effects, then for every grouping factor ``sd_<group>[effect]`` and
        ``cor_<group>[effect, effect]``. Columns ``component`` (``fixed`` or the grouping factor), ``mean``, ``sd``, the
        interval's ends, ``r_hat``, ``ess_bulk``, ``ess_tail``, ``mcse_mean``, ``mcse_sd``. All on the logit scale.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.summary(fit, ci_prob=0.95)  # doctest: +SKIP
    """
    import arviz_stats

    interval = Interval.of(ci_prob, ci_kind)
    dataset = parameter_draws(fit.model, fit.posterior).to_dataset(name="value")
    draws = dataset["value"].to_numpy().reshape(-1, dataset.sizes["parameter"])
    index = pd.Index(dataset["parameter"].to_numpy(), name="parameter")
    table = pd.DataFrame({"component": dataset["component"].to_numpy()}, index=index)
    for name, values in summarise(draws, interval).items():
        table[name] = values
    if dataset.sizes["chain"] > 1:
        table["r_hat"] = arviz_stats.rhat(dataset)["value"].to_numpy()
    table["ess_bulk"] = arviz_stats.ess(dataset, method="bulk")["value"].to_numpy()
    table["ess_tail"] = arviz_stats.ess(dataset, method="tail")["value"].to_numpy()
    table["mcse_mean"] = arviz_stats.mcse(dataset, method="mean")["value"].to_numpy()
    table["mcse_sd"] = arviz_stats.mcse(dataset, method="sd")["value"].to_numpy()
    return table


def odds_ratios(fit: Fit, *, ci_prob: float | None = None, ci_kind: str | None = None) -> pd.DataFrame:
    """Odds ratios ``exp(beta)`` within a cluster, for one unit of each predictor.

    They are conditional on the cluster: they compare rows of the same cluster, or of clusters with equal effects. The
    intercept is left out, being no ratio.

    Parameters
    ----------
    fit : Fit
    ci_prob, ci_kind
        As for `summary`.

    Returns
    -------
    pandas.DataFrame
        One row for each fixed effect: ``median``, ``mean``, ``sd``, the interval's ends, all of the ratio's draws, and
        ``p_above_1``, the posterior probability that the effect raises the odds.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.odds_ratios(fit).loc["urban[Y]"]  # doctest: +SKIP
    """
    labels = [label for label in fit.model.design.fixed_effects if label != "Intercept"]
    if not labels:
        raise FitError("the model has no fixed effect besides the intercept, so there are no odds ratios.")
    beta = fit.posterior["beta"].sel(fixed_effect=labels).transpose("chain", "draw", "fixed_effect")
    ratios = np.exp(beta.to_numpy().reshape(-1, len(labels)))
    columns = {"median": np.median(ratios, axis=0), **summarise(ratios, Interval.of(ci_prob, ci_kind))}
    columns["p_above_1"] = (ratios > 1).mean(axis=0)
    return pd.DataFrame(columns, index=pd.Index(labels, name="fixed_effect"))


def ranef(
    fit: Fit, group: str | None = None, *, ci_prob: float | None = None, ci_kind: str | None = None
) -> pd.DataFrame:
    """Effects of the clusters: deviations from the fixed part on the logit scale.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        One grouping factor; all of them if not given.
    ci_prob, ci_kind
        As for `summary`.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``group``, ``level`` and ``effect``; columns ``mean``, ``sd`` and the interval's ends.

    Raises
    ------
    FitError
        If the model has no random effects, or not that grouping factor.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.ranef(fit, "district").xs("Intercept", level="effect")  # doctest: +SKIP
    """
    interval = Interval.of(ci_prob, ci_kind)
    tables = []
    for block in chosen_groups(fit, group):
        dims = (fit.model.dim(block), fit.model.effect_dim(block))
        effects = fit.posterior[f"b_{block.result_name}"].transpose("chain", "draw", *dims).to_numpy()
        draws = effects.reshape(-1, len(block.levels) * len(block.effects))
        index = pd.MultiIndex.from_product(
            [[block.name], block.levels, block.effects], names=["group", "level", "effect"]
        )
        tables.append(pd.DataFrame(summarise(draws, interval), index=index))
    return pd.concat(tables)


def chosen_groups(fit: Fit, group: str | None) -> list[GroupBlock]:
    """The grouping factor of that name, or all of them.

    Raises
    ------
    FitError
        If there is none.
    """
    groups = fit.model.design.groups
    if not groups:
        raise FitError("the model has no random effects: its formula has no (1 | group) term.")
    chosen = [block for block in groups if group is None or block.name == group]
    if not chosen:
        raise FitError(
            f"the model has no grouping factor '{group}'; it has {listed([block.name for block in groups])}."
        )
    return chosen
