"""Quantities of interest over the models of a build-up: coefficients, average comparisons or the user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ..design.design import Design
from ..diagnostics.data.within_between import predictors_of
from ..effects.averaging_by import SIZES
from ..errors import HierlogitError, ModelError
from ..fits.fit import Fit
from ..fits.repeated_findings import findings_shown
from ..studies.bootstrap import numbers
from ..summaries.intervals import Interval
from ..summaries.tables import summary
from ..validation import kind_of, listed, quoted_list, reason_of, shortened, unknown_names
from .delta_method import average_differences

#: Names of parameters and predictors, or a function of a fit; None for all coefficients and average comparisons.
Estimand = tuple[str, ...] | Callable[[Fit], Any] | None
COLUMNS = ("estimate", "se", "lower", "upper")
#: Errors of a user's function that mean that the model lacks what the function asks for.
LACKING = (HierlogitError, LookupError)


def chosen_estimand(estimand: Any, design: Design) -> Estimand:
    """The quantities that are meant.

    Parameters
    ----------
    estimand : str, sequence of str, callable or None
    design : Design
        Of the largest model.

    Raises
    ------
    ModelError
        If a name is neither that of a parameter nor of a predictor.
    """
    if estimand is None:
        return None
    if callable(estimand):
        function: Callable[[Fit], Any] = estimand
        return function
    given = [estimand] if isinstance(estimand, str) else listed(estimand)
    if not given or not all(isinstance(name, str) for name in given):
        raise ModelError(
            f"estimand={shortened(estimand)} ({kind_of(estimand)}) is not understood. Pass the name of a predictor or "
            "a parameter, a list of them, or a function of a Fit that returns a number, numbers by name or a table."
        )
    unknown = [name for name in given if name not in _spread_labels(design) and name not in _known(design)]
    if unknown:
        raise ModelError(unknown_names("estimand", unknown, _known(design), "parameter or predictor", "the fixed part"))
    return tuple(map(str, given))


def _known(design: Design) -> list[str]:
    """Names of coefficients and predictors."""
    return list(dict.fromkeys([*design.fixed_effects, *_predictors(design)]))


def _spread_labels(design: Design) -> set[str]:
    """Labels that sds and correlations can have, whichever slopes the models have."""
    labels = dict.fromkeys([*design.fixed_effects, *(effect for group in design.groups for effect in group.effects)])
    names = [group.result_name for group in design.groups]
    sds = {f"sd_{name}[{label}]" for name in names for label in labels}
    return sds | {f"cor_{name}[{one}, {other}]" for name in names for one, other in combinations(labels, 2)}


def _predictors(design: Design) -> list[str]:
    clusters = {column for group in design.groups for column in group.columns}
    return [name for name in design.predictors if name in design.fixed_columns and name not in clusters]


def estimates(fit: Fit, estimand: Estimand, prob: float) -> pd.DataFrame:
    """The quantities of one model; those that it lacks are left out.

    Parameters
    ----------
    fit : Fit
    estimand : tuple of str, callable or None
    prob : float
        Probability of the intervals.

    Returns
    -------
    pandas.DataFrame
        By label: ``estimate``, ``se``, ``lower`` and ``upper``, missing if the user's function returns numbers. Those
        of average comparisons are by the delta method.
    """
    with findings_shown():
        if callable(estimand):
            return _of_value(estimand(fit))
        return pd.concat([_parameters(fit, estimand, prob), _comparisons(fit, estimand, prob)])


def coefficients(fit: Fit, prob: float) -> pd.DataFrame:
    """The coefficients of one model, as `estimates` returns them, which need no draws."""
    return _parameters(fit, None, prob)


def _parameters(fit: Fit, estimand: Sequence[str] | None, prob: float) -> pd.DataFrame:
    design = fit.model.design
    table = pd.DataFrame(summary(fit, interval="wald", ci_prob=prob))
    of_predictors = [
        label
        for label, term in zip(design.fixed_effects, design.fixed_terms, strict=True)
        if estimand is None or set(estimand).intersection(predictors_of(design, term))
    ]
    wanted = [label for label in table.index if label in of_predictors or label in (estimand or ())]
    ends = [name for name in table.columns if name.endswith(("_lb", "_ub"))]
    return table.loc[wanted, ["estimate", "se", *ends]].set_axis(COLUMNS, axis=1).rename_axis("quantity")


def _comparisons(fit: Fit, estimand: Sequence[str] | None, prob: float) -> pd.DataFrame:
    design = fit.model.design
    varied = [name for name in _predictors(design) if estimand is None or name in estimand]
    if not varied:
        return _nothing()
    table, errors = average_differences(fit, varied)
    labels = [f"average difference, {term}: {contrast}" for term, contrast in table[["term", "contrast"]].to_numpy()]
    estimate, reach = table["estimate"].to_numpy(), Interval.of(prob, "eti").quantile * errors
    values = {"estimate": estimate, "se": errors, "lower": estimate - reach, "upper": estimate + reach}
    return pd.DataFrame(values, index=pd.Index(labels, name="quantity"))


def _of_value(value: Any) -> pd.DataFrame:
    """What the user's function returned: a table of this package or numbers by name."""
    if isinstance(value, pd.DataFrame) and {"estimate", "mean"}.intersection(value.columns):
        table = pd.DataFrame(value)
        labels = list(map(str, table.index))
        if isinstance(table.index, pd.RangeIndex):  # what stands before the numbers says what they are
            first = next(k for k, name in enumerate(table.columns) if name in ("estimate", "mean"))
            described = table.iloc[:, :first].drop(columns=[*SIZES], errors="ignore")
            labels = [" ".join(map(str, row)) for row in described.to_numpy()]
        return _with_labels(table, labels)
    by_name = numbers(value, "estimand")
    return pd.DataFrame({"estimate": by_name}).reindex(columns=COLUMNS).rename_axis("quantity")


def _with_labels(table: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """The columns of a table of estimates under the names that all have in common."""
    found = {
        "estimate": "estimate" if "estimate" in table else "mean",
        "se": "se" if "se" in table else "sd",
        "lower": next((name for name in table.columns if str(name).endswith("_lb")), ""),
        "upper": next((name for name in table.columns if str(name).endswith("_ub")), ""),
    }
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise ModelError(
            f"estimand: the table of the function has several rows with the same labels: {quoted_list(repeated)}. "
            "Return numbers by name, a dict, in place of the table."
        )
    columns = {name: table[source].to_numpy() if source in table else np.nan for name, source in found.items()}
    return pd.DataFrame(columns, index=pd.Index(labels, name="quantity"))


def _nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=COLUMNS, index=pd.Index([], name="quantity"), dtype=np.float64)


def over_models(fits: Iterable[tuple[str, Fit]], estimand: Estimand, prob: float) -> pd.DataFrame:
    """The quantities of several models, by name of the model and label.

    Raises
    ------
    ModelError
        If the user's function fails for every model.
    """
    parts: dict[str, pd.DataFrame] = {}
    failure = None
    for name, fit in fits:
        try:
            parts[name] = estimates(fit, estimand, prob)
        except LACKING as error:
            failure = error
    if not parts and failure is not None:
        raise ModelError(
            f"estimand: the function fails for every model, at last with {type(failure).__name__}: "
            f"{reason_of(failure)}. Fit one of the models with hl.Model(...) and try the function on that fit."
        )
    found = {name: part for name, part in parts.items() if len(part)}
    return pd.concat(found or parts, names=["model"])
