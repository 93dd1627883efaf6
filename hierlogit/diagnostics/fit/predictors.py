"""Whether the formula has the right functional form of numeric predictors: score tests of powers and steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...design.projection import unexplained
from ...design.row_counts import row_quantiles
from .measures import Measure
from .score_test import AddedColumns

if TYPE_CHECKING:
    from ...design.design import Design
    from ...engines.maximum.refitted import ReferenceFit, RefittedModel

FloatArray = npt.NDArray[np.float64]

HIGHEST_POWER = 4
#: Steps that a predictor is cut into at most, and rows that each should have.
MOST_STEPS = 8
ROWS_OF_STEP = 25


def shape_measures(reference: ReferenceFit) -> list[Measure]:
    """Two measures of every numeric predictor: the lowest power that the model lacks, and steps."""
    design = reference.model.design
    powers, steps = {}, {}
    for name in numeric_predictors(design):
        values, counts = design.table.frame[name].to_numpy(dtype=np.float64), design.table.row_counts
        powers[name] = _missing_power(values, design.X, counts)
        steps[name] = unexplained(steps_of(values, counts), design.X, counts)
    curves = {f"{name}^{power}": columns for name, (power, columns) in powers.items() if columns.shape[1]}
    cuts = {name: columns for name, columns in steps.items() if columns.shape[1]}
    added = AddedColumns(reference, {**curves, **{f"steps of {name}": columns for name, columns in cuts.items()}})
    measures = [_curve(added, name, powers[name][0]) for name in powers if powers[name][1].shape[1]]
    few = {name: design.table.frame[name].nunique() <= MOST_STEPS for name in cuts}
    return measures + [_steps(added, name, columns.shape[1], few=few[name]) for name, columns in cuts.items()]


def numeric_predictors(design: Design) -> list[str]:
    """Predictors that are amounts, not labels, with at least three values."""
    frame, labels = design.table.frame, design.level_columns
    return [
        name
        for name in design.predictors
        if name not in labels and frame[name].dtype.kind in "iuf" and frame[name].nunique() > 2
    ]


def _missing_power(values: FloatArray, X: FloatArray, counts: FloatArray | None) -> tuple[int, FloatArray]:
    """The lowest power that the model's columns do not span, and its part that is orthogonal to them."""
    scaled = (values - values.mean()) / values.std()
    for power in range(1, HIGHEST_POWER + 1):
        columns = unexplained(scaled[:, None] ** power, X, counts)
        if columns.shape[1]:
            break
    return power, columns


def _curve(added: AddedColumns, name: str, power: int) -> Measure:
    key = f"{name}^{power}"
    term = name if power == 1 else key

    def statistic(fitted: RefittedModel) -> float:
        return added.statistic(fitted, key)

    def evidence(_: RefittedModel, value: float, __: FloatArray) -> str:
        return (
            f"The functional form of '{name}' is wrong: adding {term} would raise the log-likelihood by about "
            f"{value / 2:.1f}"
        )

    write = name if power == 1 else f"I({name}**{power})"
    remedy = f"Look at hl.plots.residuals(fit, by={name!r}), and try {write} or bs({name}, df=4) in the formula."
    return Measure("nonlinear_effect", name, f"score test of adding {term}", "upper", statistic, evidence, remedy)


def _steps(added: AddedColumns, name: str, count: int, *, few: bool) -> Measure:
    def statistic(fitted: RefittedModel) -> float:
        return added.statistic(fitted, f"steps of {name}")

    def evidence(_: RefittedModel, value: float, __: FloatArray) -> str:
        return (
            f"The residuals have a trend over '{name}': {count} coefficients for steps of it would raise the "
            f"log-likelihood by about {value / 2:.1f}"
        )

    write = f"C({name})" if few else f"bs({name}, df=5)"
    remedy = f"Look at hl.plots.residuals(fit, by={name!r}), and try {write} in the formula."
    what = f"score test of adding {count} steps"
    return Measure("residual_trend", name, what, "upper", statistic, evidence, remedy)


def steps_of(values: FloatArray, counts: FloatArray | None = None) -> FloatArray:
    """Indicators of the steps of a predictor: its values if they are few, or else quantiles; shape (n, steps).

    Rows count once, or as often as `counts`, shape (n,), say.
    """
    distinct = np.unique(values)
    if len(distinct) <= MOST_STEPS:
        code = np.searchsorted(distinct, values)
    else:
        count = max(2, min(MOST_STEPS, len(values) // ROWS_OF_STEP))
        edges = np.unique(row_quantiles(values, counts, np.arange(1, count) / count))
        code = np.searchsorted(edges, values, side="right")
    return np.asarray(code[:, None] == np.unique(code), dtype=np.float64)
