"""What a comparison compares: for each variable, the pairs of values that its rows are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from ..errors import PredictionError
from ..model_spec import ModelSpec
from ..validation import quoted_list

#: Ways to contrast the levels of a categorical variable.
LEVEL_CONTRASTS = ("reference", "pairwise", "sequential")
#: Steps of a numeric variable by name.
NAMED_STEPS = ("sd", "2sd", "iqr", "minmax")
#: Half of the step of a central difference, in standard deviations of the variable.
SMALL_STEP = 1e-4
#: Derived steps are said with this many digits.
DIGITS = ".4g"


@dataclass(frozen=True)
class Contrast:
    """One variable at two values.

    Attributes
    ----------
    variable : str
    label : str
        ``"Y - N"``, ``"+1"``.
    low, high : pandas.DataFrame
        The rows with the one value and with the other.
    """

    variable: str
    label: str
    low: pd.DataFrame
    high: pd.DataFrame


def predictors_of(model: ModelSpec) -> list[str]:
    """Columns whose effect can be asked for: all that the model predicts from, but for its grouping factors."""
    clusters = {column for group in model.design.groups for column in group.columns}
    return [name for name in model.design.predictors if name not in clusters]


def chosen_variables(model: ModelSpec, variables: Any) -> dict[str, Any]:
    """The variables asked for, each with its contrast, or None where the default is meant.

    Raises
    ------
    PredictionError
        If one is no predictor of the model.
    """
    known = predictors_of(model)
    if variables is None:
        asked: dict[str, Any] = dict.fromkeys(known)
    elif isinstance(variables, str):
        asked = {variables: None}
    elif isinstance(variables, Mapping):
        asked = dict(variables)
    else:
        asked = dict.fromkeys(variables)
    strange = [name for name in asked if name not in known]
    if strange or not asked:
        raise PredictionError(
            f"{quoted_list(strange) or 'nothing'} cannot be varied; the model predicts from {quoted_list(known)}."
        )
    return asked


def is_amount(model: ModelSpec, name: str) -> bool:
    """Whether a column holds amounts, not labels."""
    values = model.design.table.frame[name]
    return values.dtype.kind in "iuf" and name not in model.design.level_columns


def contrasts(model: ModelSpec, frame: pd.DataFrame, variables: Any) -> list[Contrast]:
    """The contrasts asked for, on the rows of a table.

    Raises
    ------
    PredictionError
        If a contrast does not fit its variable.
    """
    found: list[Contrast] = []
    for name, asked in chosen_variables(model, variables).items():
        if is_amount(model, name):
            label, low, high = _of_amount(model, frame, name, 1 if asked is None else asked)
            found.append(Contrast(name, label, frame.assign(**{name: low}), frame.assign(**{name: high})))
        else:
            for low, high in _of_levels(model, name, "reference" if asked is None else asked):
                made = [frame.assign(**{name: _column(model, name, value, frame)}) for value in (low, high)]
                found.append(Contrast(name, f"{high} - {low}", *made))
    return found


def _of_amount(model: ModelSpec, frame: pd.DataFrame, name: str, asked: Any) -> tuple[str, Any, Any]:
    values, trained = frame[name].astype(float), model.design.table.frame[name].astype(float)
    if isinstance(asked, str):
        if asked not in NAMED_STEPS:
            raise PredictionError(
                f"the contrast {asked!r} of '{name}' is not known; choose one of {quoted_list(NAMED_STEPS)}."
            )
        if asked == "iqr":
            low, high = trained.quantile([0.25, 0.75])
            return f"{high:{DIGITS}} - {low:{DIGITS}}", low, high
        if asked == "minmax":
            return f"{trained.max():{DIGITS}} - {trained.min():{DIGITS}}", trained.min(), trained.max()
        half = trained.std() * (0.5 if asked == "sd" else 1.0)
        return f"{asked} around", values - half, values + half
    if isinstance(asked, Sequence) and len(asked) == 2:
        low, high = float(asked[0]), float(asked[1])
        return f"{high:{DIGITS}} - {low:{DIGITS}}", low, high
    try:
        step = float(asked)
    except (TypeError, ValueError):
        raise PredictionError(
            f"the contrast {asked!r} of '{name}' must be a step, two values, or one of {quoted_list(NAMED_STEPS)}."
        ) from None
    if not np.isfinite(step) or step == 0:
        raise PredictionError(f"the step {asked!r} of '{name}' must be finite and not zero.")
    return f"{step:+{DIGITS}}", values, values + step


def _of_levels(model: ModelSpec, name: str, asked: Any) -> list[tuple[Any, Any]]:
    levels = _levels(model, name)
    if isinstance(asked, str) and asked in LEVEL_CONTRASTS:
        if asked == "reference":
            return [(levels[0], level) for level in levels[1:]]
        return list(pairwise(levels)) if asked == "sequential" else list(combinations(levels, 2))
    pair = list(asked) if isinstance(asked, Sequence) and not isinstance(asked, str) else []
    if len(pair) != 2 or any(level not in levels for level in pair):
        raise PredictionError(
            f"the contrast {asked!r} of '{name}' must be one of {quoted_list(LEVEL_CONTRASTS)}, or two of its levels "
            f"(low, high): {quoted_list([str(level) for level in levels])}."
        )
    return [(pair[0], pair[1])]


def _levels(model: ModelSpec, name: str) -> list[Any]:
    values = model.design.table.frame[name]
    if isinstance(values.dtype, pd.CategoricalDtype):
        return [level for level in values.cat.categories if (values == level).any()]
    return sorted(values.unique())


def _column(model: ModelSpec, name: str, value: Any, frame: pd.DataFrame) -> Any:
    values = model.design.table.frame[name]
    if isinstance(values.dtype, pd.CategoricalDtype):
        return pd.Categorical([value] * len(frame), dtype=values.dtype)
    return value
