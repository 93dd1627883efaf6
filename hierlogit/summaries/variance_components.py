"""Table of the standard deviations, variances and correlations of the random effects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.grouping import GroupBlock
from ..estimate import Estimate
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..fits.repeated_findings import note_of_zero_sds, repeats_findings
from ..result_table import ResultTable
from .intervals import Interval, summarise

FloatArray = npt.NDArray[np.float64]


@repeats_findings
def variance_components(
    fit: Fit, group: str | None = None, *, ci_prob: float | None = None, ci_kind: str | None = None
) -> ResultTable:
    """Standard deviations, variances and correlations of the random effects, with intervals.

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
        Indexed by ``group``, ``quantity`` (``sd``, ``variance``, ``cor``) and ``effect`` (for a correlation both
        effects, ``Intercept, urban[Y]``); columns ``mean``, ``sd`` and the ends of the interval, from the draws of each
        quantity. Sds and variances are on the logit scale. For likelihood fits also ``estimate``, at the maximum.

    Raises
    ------
    FitError
        If the model has no random effects, or no such grouping factor.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.variance_components(fit).xs("sd", level="quantity")  # doctest: +SKIP
    """
    require_fit(fit)
    interval = Interval.of(ci_prob, ci_kind)
    keys: list[tuple[str, str, str]] = []
    columns: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = []
    factors = fit.model.design.chosen_groups(group)
    for factor in factors:
        name, dim = factor.result_name, fit.model.effect_dim(factor)
        sd = fit.posterior[f"sd_{name}"].transpose("chain", "draw", dim).to_numpy().reshape(-1, len(factor.effects))
        for quantity, values in (("sd", sd), ("variance", sd**2)):
            keys += [(factor.name, quantity, effect) for effect in factor.effects]
            columns += list(values.T)
        if factor.correlated:
            cor = fit.posterior[f"cor_{name}"].transpose("chain", "draw", dim, f"{dim}_bis").to_numpy()
            for i, j in factor.correlated_pairs:
                keys.append((factor.name, "cor", f"{factor.effects[i]}, {factor.effects[j]}"))
                columns.append(cor[..., i, j].ravel())
    index = pd.MultiIndex.from_tuples(keys, names=["group", "quantity", "effect"])
    table = summarise(np.column_stack(columns), interval)
    if fit.estimate is not None:
        estimate = [_at_maximum(fit.estimate, factor) for factor in factors]
        table = {"estimate": np.concatenate(estimate), **table}
    title, note = "Variance between clusters (logit scale)", note_of_zero_sds(fit, factors)
    return ResultTable.of(pd.DataFrame(table, index=index), title, note=note)


def _at_maximum(estimate: Estimate, group: GroupBlock) -> FloatArray:
    sd, cor = estimate.sd(group.name), estimate.cor(group.name)
    return np.concatenate([sd, sd**2, [cor[i, j] for i, j in group.correlated_pairs]])
