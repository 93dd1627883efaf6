"""The contrasts of the log-odds whose exponentials are odds ratios: single coefficients, and steps along curves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.column_parts import Curve, curves, part_of_curve
from ..design.design import Design
from ..design.row_counts import CountedColumn
from ..errors import PredictionError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogOddsContrast:
    """A difference in the log-odds.

    Attributes
    ----------
    label : str
        A fixed effect, or a variable with two values: ``age[8.4 rather than -8.6]``.
    names : frozenset of str
        What the contrast can be chosen by: its label and its term, or the variable and the terms of the curve.
    weights : ndarray, shape (p,)
        The weights of the fixed effects in the difference.
    """

    label: str
    names: frozenset[str]
    weights: FloatArray


def log_odds_contrasts(design: Design) -> tuple[LogOddsContrast, ...]:
    """One contrast for each fixed effect, except the intercept and those of terms that share a variable.

    For the latter there is one for each variable, between its upper and lower quartile in the rows. The other variables
    of these terms are at their medians. Interactions of such terms, which have no meaning of their own, have none.
    """
    found: list[LogOddsContrast] = []
    joint, identity = curves(design.fixed_parts), np.eye(len(design.fixed_effects))
    steps = {curve: list(_steps(design, curve)) for curve in dict.fromkeys(joint.values())}
    for j, (label, term) in enumerate(zip(design.fixed_effects, design.fixed_terms, strict=True)):
        curve = part_of_curve(design.fixed_parts[j], design.fixed_parts, joint)
        if curve is None or not steps[curve]:
            found += [LogOddsContrast(label, frozenset({label, term}), identity[j])] if label != "Intercept" else []
        elif steps[curve][0] not in found:
            found += steps[curve]
    return tuple(found)


def _steps(design: Design, curve: Curve) -> Iterator[LogOddsContrast]:
    """The step between the quartiles of each variable of a curve.

    There are none if one of them is not a column of numbers, or if the curve is in interactions only.
    """
    frame = design.table.frame
    if not all(name in frame and frame[name].dtype.kind in "iuf" for name in curve.variables):
        return
    inside = np.array(
        [bool(parts) and all(part.component in curve.components for part in parts) for parts in design.fixed_parts]
    )
    medians = {name: float(design.table.column(name).median()) for name in curve.variables}
    for name in curve.variables:
        low, high = _apart(design.table.column(name))
        rows = pd.concat([frame.iloc[[0]]] * 2, ignore_index=True)
        for variable, value in medians.items():
            rows[variable] = [low, high] if variable == name else value
        try:
            lower, upper = design.encode_fixed(rows)
        except PredictionError:  # columns were dropped that would be needed for these values
            return
        others = "".join(f", {other} {value:.4g}" for other, value in medians.items() if other != name)
        label = f"{name}[{high:.4g} rather than {low:.4g}{others}]"
        weights = (upper - lower) * inside
        if weights.any():
            yield LogOddsContrast(label, frozenset({label, name, *curve.components}), weights)


def _apart(values: pd.Series[float] | CountedColumn) -> tuple[float, float]:
    """The quartiles of a variable, or its ends if the quartiles are equal."""
    low, high = (float(value) for value in values.quantile([0.25, 0.75]))
    return (low, high) if low < high else (float(values.min()), float(values.max()))
