"""Several fits of the same outcomes, the best one first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..errors import FitError
from ..fits.fit import Fit
from ..validation import quoted_list
from .icl import icl
from .loo import loo
from .nesting import maxima, refuse_other_rows

#: Criteria of likelihood fits; all are on the scale of -2 log-likelihood, smaller being better.
CRITERIA = ("aic", "bic", "icl")


def compare(
    fits: Mapping[str, Fit], *, criterion: str | None = None, group: str | None = None, method: str = "stacking"
) -> pd.DataFrame:
    """Compare models fitted to the same rows.

    Parameters
    ----------
    fits : mapping of str to Fit
        By name; all of them by likelihood engines, or all by a sampler.
    criterion : {"aic", "bic", "icl"}, optional
        Of likelihood fits, what they are sorted by; ``"aic"`` if not given.
    group : str, optional
        Of samplers' fits, what is left out: a row if not given, or a cluster of this grouping factor; see `loo`.
    method : {"stacking", "BB-pseudo-BMA", "pseudo-BMA"}
        Of samplers' fits, how weights are found; see ``arviz_stats.compare``.

    Returns
    -------
    pandas.DataFrame
        Indexed by name, the best first. Of likelihood fits: ``log_likelihood``, ``parameters``, ``aic``, ``bic`` (with
        the number of rows, which is in ``table.attrs``), ``icl`` (experimental, see `icl`), ``difference`` from the
        best by the criterion, and ``weight``, of that difference by Akaike's formula ``exp(-difference / 2)``. Of
        samplers' fits the table of ``arviz_stats.compare``: expected log predictive density, effective parameters,
        differences with their standard errors, weights.

    Raises
    ------
    FitError
        If fits are of different rows, by different methods of integration, or of both kinds.

    References
    ----------
    Burnham and Anderson (2002), Model Selection and Multimodel Inference, section 2.9: weights.
    Vehtari, Gelman and Gabry (2017), Statistics and Computing 27: 1413-1432: leave-one-out.

    Examples
    --------
    >>> import hierlogit as hl
    >>> data = hl.datasets.load("contraception")
    >>> formulas = {"one": "use ~ urban + (1 | district)", "two": "use ~ urban + (1 + urban | district)"}
    >>> fits = {name: hl.Model(text, data).fit("laplace") for name, text in formulas.items()}
    >>> print(hl.compare(fits)[["parameters", "aic", "difference", "weight"]].round(3).to_string())
           parameters       aic  difference  weight
    model
    two             5  2496.850       0.000   0.998
    one             3  2509.172      12.322   0.002
    """
    if not isinstance(fits, Mapping) or len(fits) < 2 or not all(isinstance(fit, Fit) for fit in fits.values()):
        raise FitError("compare needs two or more fits by name: hl.compare({'one': fit1, 'two': fit2}).")
    refuse_other_rows(fits)
    sampled = [name for name, fit in fits.items() if fit.estimate is None]
    if not sampled:
        if group is not None:
            raise FitError("group= is for NUTS fits; these are by a likelihood engine: pass criterion= instead.")
        return _by_criterion(fits, criterion or "aic")
    if len(sampled) < len(fits):
        raise FitError(
            f"there are fits by a sampler ({quoted_list(sampled)}) and by likelihood engines: draws of a posterior "
            "and a maximum have no criterion in common. Fit all of them with the same engine."
        )
    if criterion is not None:
        raise FitError(f"criterion={criterion!r} is for likelihood fits; these are by a sampler and compared by loo.")
    import arviz_stats

    found: dict[str, Any] = {name: loo(fit, group=group) for name, fit in fits.items()}
    table: pd.DataFrame = arviz_stats.compare(found, method=method, round_to="none")
    return table


def _by_criterion(fits: Mapping[str, Fit], criterion: str) -> pd.DataFrame:
    if criterion not in CRITERIA:
        raise FitError(f"criterion={criterion!r} is not allowed; choose one of {quoted_list(CRITERIA)}.")
    found = maxima(fits)
    table = pd.DataFrame(
        {
            "log_likelihood": [one.log_likelihood for one in found.values()],
            "parameters": [one.n_parameters for one in found.values()],
            "aic": [one.aic for one in found.values()],
            "bic": [one.bic for one in found.values()],
            "icl": [icl(fit) for fit in fits.values()],
        },
        index=pd.Index(list(fits), name="model"),
    ).sort_values(criterion, kind="stable")
    table["difference"] = table[criterion] - table[criterion].iloc[0]
    weight = np.exp(-0.5 * table["difference"])
    table["weight"] = weight / weight.sum()
    table.attrs = {"criterion": criterion, "rows": next(iter(found.values())).n_rows}
    return table
