"""The contrasts of a comparison: for each variable, the pairs of values that are set in the rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import pandas as pd

from ..design.column_parts import level_text
from ..design.table import with_columns
from ..errors import PredictionError
from ..model_spec import ModelSpec
from ..validation import LARGEST_NUMBER, as_float, choice, listed, names, quoted_list, shortened

#: Ways to contrast the levels of a categorical variable.
LEVEL_CONTRASTS = ("reference", "pairwise", "sequential")
#: Steps of a numeric variable by name.
NAMED_STEPS = ("sd", "2sd", "iqr", "minmax")
#: Half of the step of a central difference, in standard deviations of the variable.
SMALL_STEP = 1e-4
#: Format of the numbers in labels.
DIGITS = ".4g"


@dataclass(frozen=True)
class Contrast:
    """The rows with one variable at a low and at a high value.

    Attributes
    ----------
    variable : str
    label : str
        Such as ``"Y - N"`` or ``"+1"``.
    low, high : pandas.DataFrame
        The rows with the low value and with the high value.
    """

    variable: str
    label: str
    low: pd.DataFrame
    high: pd.DataFrame


def predictors_of(model: ModelSpec) -> list[str]:
    """Variables that can be varied: all columns that the model predicts from, except its grouping factors."""
    clusters = {column for group in model.design.groups for column in group.columns}
    return [name for name in model.design.predictors if name not in clusters]


def chosen_variables(model: ModelSpec, variables: Any) -> dict[str, Any]:
    """The variables to vary, each with its contrast, or None for the default contrast.

    Raises
    ------
    PredictionError
        If a variable is not a predictor of the model.
    """
    known = predictors_of(model)
    if not known:
        raise PredictionError("the model has no predictors to vary: its fixed part is an intercept only.")
    if variables is None:
        return dict.fromkeys(known)
    chosen = names(
        "variables",
        list(variables) if isinstance(variables, Mapping) else variables,
        known,
        PredictionError,
        "predictor",
    )
    return dict(variables) if isinstance(variables, Mapping) else dict.fromkeys(chosen)


def is_numeric(model: ModelSpec, name: str) -> bool:
    """Whether a column holds numbers that are amounts, not labels of levels."""
    values = model.design.table.frame[name]
    return values.dtype.kind in "iuf" and name not in model.design.level_columns


def contrasts(model: ModelSpec, frame: pd.DataFrame, variables: Any) -> list[Contrast]:
    """The contrasts of all variables, on the rows of a table.

    Raises
    ------
    PredictionError
        If a contrast does not fit its variable.
    """
    pairs: list[Contrast] = []
    for name, contrast in chosen_variables(model, variables).items():
        if is_numeric(model, name):
            label, low, high = _numeric_contrast(model, frame, name, 1 if contrast is None else contrast)
            frames = (with_columns(frame, {name: value}) for value in (low, high))
            pairs.append(Contrast(name, label, *frames))
        else:
            for low, high in _level_contrasts(model, name, "reference" if contrast is None else contrast):
                frames = (with_columns(frame, {name: _column(model, name, value, frame)}) for value in (low, high))
                pairs.append(Contrast(name, f"{level_text(high)} - {level_text(low)}", *frames))
    return pairs


def _numeric_contrast(model: ModelSpec, frame: pd.DataFrame, name: str, contrast: Any) -> tuple[str, Any, Any]:
    trained = model.design.table.column(name)
    if isinstance(contrast, str):
        choice(f"variables['{name}']", contrast, NAMED_STEPS, PredictionError)
        if contrast == "iqr":
            low, high = trained.quantile([0.25, 0.75])
            return f"{high:{DIGITS}} - {low:{DIGITS}}", low, high
        if contrast == "minmax":
            return f"{trained.max():{DIGITS}} - {trained.min():{DIGITS}}", trained.min(), trained.max()
        half, values = trained.std() * (0.5 if contrast == "sd" else 1.0), _numbers(frame, name)
        return f"{contrast} around", values - half, values + half
    pair = listed(contrast)
    ends = [as_float(value) for value in ([contrast] if pair is None else pair)]
    if not all(abs(value) <= LARGEST_NUMBER for value in ends) or len(ends) not in ((1,) if pair is None else (2,)):
        raise PredictionError(
            f"variables['{name}']={shortened(contrast)} must be a step, two values (low, high), or one of "
            f"{quoted_list(NAMED_STEPS)}."
        )
    if pair is not None:
        low, high = ends
        return f"{high:{DIGITS}} - {low:{DIGITS}}", low, high
    (step,), values = ends, _numbers(frame, name)
    if step == 0:
        raise PredictionError(f"variables['{name}']={shortened(contrast)}: the step must not be zero.")
    return f"{step:+{DIGITS}}", values, values + step


def _numbers(frame: pd.DataFrame, name: str) -> pd.Series[float]:
    """The values that a step starts from."""
    if name not in frame.columns:
        raise PredictionError(f"the new data lack the column '{name}', whose values are varied. Add it to newdata.")
    try:
        return frame[name].astype(float)
    except (TypeError, ValueError):
        raise PredictionError(f"column '{name}' of the new data must hold numbers.") from None


def _level_contrasts(model: ModelSpec, name: str, contrast: Any) -> list[tuple[Any, Any]]:
    levels = levels_of(model, name)
    if isinstance(contrast, str) and contrast in LEVEL_CONTRASTS:
        if contrast == "reference":
            return [(levels[0], level) for level in levels[1:]]
        return list(pairwise(levels)) if contrast == "sequential" else list(combinations(levels, 2))
    pair = listed(contrast) or []
    if len(pair) != 2 or any(not isinstance(level, Hashable) or level not in levels for level in pair):
        raise PredictionError(
            f"variables['{name}']={shortened(contrast)} must be one of {quoted_list(LEVEL_CONTRASTS)}, or two of the "
            f"levels {quoted_list([level_text(level) for level in levels])}."
        )
    return [(pair[0], pair[1])]


def levels_of(model: ModelSpec, name: str) -> list[Any]:
    """The levels of a categorical variable that the training rows have, in order."""
    values = model.design.table.frame[name]
    if isinstance(values.dtype, pd.CategoricalDtype):
        return [level for level in values.cat.categories if (values == level).any()]
    return sorted(values.unique())


def _column(model: ModelSpec, name: str, value: Any, frame: pd.DataFrame) -> Any:
    values = model.design.table.frame[name]
    if isinstance(values.dtype, pd.CategoricalDtype):
        return pd.Categorical([value] * len(frame), dtype=values.dtype)
    return value
