"""Fits of several models to the same rows, compared by information criteria or leave-one-out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import FitError
from ..fits.arguments import NO_LIKELIHOOD, USE_WALD, refuse_pooled, require_unweighted
from ..fits.fit import Fit
from ..parallel.workers import check_executor
from ..pictures import Picture
from ..result_table import ResultTable
from ..validation import choice, mapping, quoted_list
from .hybrid_bic import hybrid_penalties
from .loo import loo
from .nesting import maxima, refuse_counted_apart, refuse_other_rows

if TYPE_CHECKING:
    from ..parallel.workers import AnyExecutor

#: Criteria for likelihood fits, with their names; all are on the scale of -2 log-likelihood, and smaller is better.
CRITERIA = {"aic": "AIC", "bic": "BIC", "bic_clusters": "BIC by clusters", "bic_hybrid": "hybrid BIC"}
#: Columns that are left out first where there is not enough room, unless the models are sorted by them.
SPARE = ("bic_hybrid", "log_likelihood", "bic", "bic_clusters", "aic")
#: How weights of models are computed from leave-one-out predictions.
METHODS = ("stacking", "BB-pseudo-BMA", "pseudo-BMA")
#: How comparisons are drawn.
PICTURE = Picture("compare")


def compare(
    fits: Mapping[str, Fit],
    *,
    criterion: str | None = None,
    group: str | None = None,
    method: str = "stacking",
    executor: AnyExecutor | None = None,
) -> ResultTable:
    """Table of models fitted to the same rows, the best first.

    Parameters
    ----------
    fits : mapping of str to Fit
        Fits by name; all of them likelihood fits, or all of them sampled fits.
    criterion : {"aic", "bic", "bic_clusters", "bic_hybrid"}, optional
        For likelihood fits, the criterion to sort by; ``"aic"`` if not given.
    group : str, optional
        For sampled fits, a grouping factor whose clusters are left out one by one, as for `loo`; rows if not given.
    method : {"stacking", "BB-pseudo-BMA", "pseudo-BMA"}
        For sampled fits, how the weights are computed; see ``arviz_stats.compare``.
    executor : concurrent.futures.Executor or distributed.Client, optional
        For sampled fits, distributes the fits without a row or cluster whose weights are unreliable, as for `loo`.

    Returns
    -------
    ResultTable
        Indexed by name, the best first. For likelihood fits: ``log_likelihood``, ``parameters``, ``aic``, ``bic`` with
        the number of rows, ``bic_clusters`` with the number of clusters, ``bic_hybrid`` with either (see the notes),
        ``difference`` from the best by the criterion, and the Akaike-type ``weight``, proportional to
        ``exp(-difference / 2)``. The numbers are in ``table.attrs``. For sampled fits, the table of
        ``arviz_stats.compare``: expected log predictive density, effective number of parameters, differences with their
        standard errors, and weights.

    Raises
    ------
    FitError
        If the fits are to different rows, of both kinds, or integrate out random effects by different methods that do
        not agree: more nodes would change a log-likelihood by more than 0.05.
    StudyError
        If the executor cannot run the fits.

    Notes
    -----
    ``bic_clusters`` takes the clusters of the factor that has the fewest, in any of the models. ``bic_hybrid`` takes
    the clusters of its factor for an sd or a correlation, and also for a fixed effect whose column is constant within
    clusters or varies between them in its effect in one of the models; for other fixed effects, it takes the rows.
    Delattre, Lavielle and Poursat look at each model by itself, and so often find an effect to vary that does not. In
    simulated studies (the page on comparing models), ``bic_clusters`` chose the right model most often, before
    ``aic``.

    References
    ----------
    Burnham and Anderson (2002), Model Selection and Multimodel Inference, section 2.9, for the weights.
    Delattre, Lavielle and Poursat (2014), Electronic Journal of Statistics 8: 456-475, for the hybrid BIC.
    Vehtari, Gelman and Gabry (2017), Statistics and Computing 27: 1413-1432, for leave-one-out.

    Examples
    --------
    >>> import hierlogit as hl
    >>> data = hl.datasets.load("contraception")
    >>> formulas = {"one": "use ~ urban + (1 | district)", "two": "use ~ urban + (1 + urban | district)"}
    >>> fits = {name: hl.Model(text, data).fit("laplace") for name, text in formulas.items()}
    >>> hl.compare(fits)[["parameters", "aic", "difference", "weight"]]
    Models by AIC; smaller is better
      model  parameters       aic  difference  weight
      two             5  2,496.85        0.00  0.998
      one             3  2,509.17       12.32  0.0021
    """
    if not isinstance(fits, Mapping) or len(fits) < 2:
        raise FitError("compare needs two or more fits by name: hl.compare({'one': fit1, 'two': fit2}).")
    fits = mapping("fits", fits, FitError, "fits by name, {'one': fit1, 'two': fit2}")
    for name, fit in fits.items():
        require_unweighted(fit, "hl.compare", NO_LIKELIHOOD, f"fits['{name}']")
        refuse_pooled(fit, f"fits['{name}']", "AIC and leave-one-out are of the outcomes", USE_WALD)
    if criterion is not None:
        choice("criterion", criterion, tuple(CRITERIA), FitError)
    choice("method", method, METHODS, FitError)
    check_executor(executor)
    refuse_other_rows({name: fit.model.design for name, fit in fits.items()})
    sampled = [name for name, fit in fits.items() if fit.estimate is None]
    if not sampled:
        if group is not None:
            raise FitError("group= is for fits by NUTS; these are by a likelihood engine: pass criterion= instead.")
        return _by_criterion(fits, criterion or "aic")
    if len(sampled) < len(fits):
        raise FitError(
            f"some fits are by a sampler ({quoted_list(sampled)}) and others by likelihood engines, which have no "
            "criterion in common. Fit all of the models with the same engine."
        )
    if criterion is not None:
        raise FitError(
            f"criterion='{criterion}' is for fits by likelihood engines; these are by a sampler and are compared by "
            "leave-one-out: leave criterion= out."
        )
    if group is None:
        designs = {name: fit.model.design for name, fit in fits.items()}
        refuse_counted_apart(designs, "leave-one-out by rows", "Pass group=, whose clusters are left out instead.")
    import arviz_stats

    results: dict[str, Any] = {name: loo(fit, group=group, executor=executor) for name, fit in fits.items()}
    table: pd.DataFrame = arviz_stats.compare(results, method=method, round_to="none")
    what = next(iter(fits.values())).model.design.table.unit if group is None else f"clusters of {group}"
    title = f"Expected log predictive density, leaving out {what} one by one; larger is better"
    return ResultTable.of(table, title, picture=PICTURE)


def _by_criterion(fits: Mapping[str, Fit], criterion: str) -> ResultTable:
    estimates, designs = maxima(fits), {name: fit.model.design for name, fit in fits.items()}
    clusters = {group.name: len(group.levels) for design in designs.values() for group in design.groups}
    if criterion not in ("aic", "bic") and not clusters:
        raise FitError(f"criterion='{criterion}' counts clusters, which none of the models has: use 'aic' or 'bic'.")
    columns = {
        "log_likelihood": [estimate.log_likelihood for estimate in estimates.values()],
        "parameters": [estimate.n_parameters for estimate in estimates.values()],
        "aic": [estimate.aic for estimate in estimates.values()],
        "bic": [estimate.bic for estimate in estimates.values()],
    }
    if clusters:
        each, penalties = np.log(min(clusters.values())), hybrid_penalties(designs)
        columns["bic_clusters"] = [one.deviance + each * one.n_parameters for one in estimates.values()]
        columns["bic_hybrid"] = [one.deviance + penalties[name] for name, one in estimates.items()]
    table = pd.DataFrame(columns, index=pd.Index(list(fits), name="model")).sort_values(criterion, kind="stable")
    table["difference"] = table[criterion] - table[criterion].iloc[0]
    weight = np.exp(-0.5 * table["difference"])
    table["weight"] = weight / weight.sum()
    table.attrs = {"criterion": criterion, "rows": next(iter(estimates.values())).n_rows, "clusters": clusters}
    spare = [name for name in SPARE if name != criterion]
    return ResultTable.of(table, f"Models by {CRITERIA[criterion]}; smaller is better", spare=spare, picture=PICTURE)
