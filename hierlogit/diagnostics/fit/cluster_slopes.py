"""Measures of how outcomes depend on the predictors within clusters: where the relation is turned, or uneven."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...design.grouping import GroupBlock
from .measures import Measure
from .refitted import RefittedModel

FloatArray = npt.NDArray[np.float64]


def relation_measures(design: Design) -> list[Measure]:
    """Measures of every grouping factor within whose clusters rows differ."""
    return [
        measure
        for block in design.groups
        if _varies_within(design, block)
        for measure in (_turned(block), _uneven(block))
    ]


def _varies_within(design: Design, block: GroupBlock) -> bool:
    """Whether any predictor differs between the rows of a cluster."""
    columns = np.column_stack([design.X, design.offset, *(group.Z for group in design.groups)])
    first = np.unique(block.index, return_index=True)[1]
    return bool(np.any(columns != columns[first][block.index]))


def _turned(block: GroupBlock) -> Measure:
    name = block.name

    def turned(fitted: RefittedModel) -> float:
        return float(np.max(np.abs(relations(fitted, block))))

    def evidence(fitted: RefittedModel, _: float, __: FloatArray) -> str:
        found = relations(fitted, block)
        level = int(np.argmax(np.abs(found)))
        how = "weaker than in the others, or reversed" if found[level] < 0 else "stronger than in the others"
        return (
            f"In cluster {block.levels.tolist()[level]!r} of '{name}' the relation of outcomes to the predictors is "
            f"{how} (standardised {found[level]:.1f})"
        )

    remedy = f"Check the coding of its outcomes and predictors; hl.influence(fit, {name!r}) says what depends on it."
    statistic = "largest standardised relation within a cluster"
    return Measure("reversed_slopes", name, statistic, "upper", turned, evidence, remedy)


def _uneven(block: GroupBlock) -> Measure:
    name = block.name

    def uneven(fitted: RefittedModel) -> float:
        return float(np.mean(relations(fitted, block) ** 2))

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        return (
            f"The relation of outcomes to the predictors differs more between the clusters of '{name}' than the model "
            f"has it: mean square of the clusters' standardised relations {value:.2f}, expected {simulated.mean():.2f}"
        )

    remedy = (
        f"Let the slope of a predictor vary that varies within clusters, (1 + x | {name}), and look at "
        f"hl.plots.curves(fit, 'x', group={name!r})."
    )
    statistic = "mean square of the relations within clusters"
    return Measure("heterogeneous_slopes", name, statistic, "upper", uneven, evidence, remedy)


def relations(fitted: RefittedModel, block: GroupBlock) -> FloatArray:
    """Residuals of each cluster times its linear predictor less the cluster's mean, standardised; shape (J,).

    Negative where the outcomes depend less on the predictors than the model says, zero where they do not vary. It is
    the score, over its standard deviation, of a factor by which the cluster's linear predictor is stretched.
    """

    def total(values: FloatArray) -> FloatArray:
        return np.bincount(block.index, weights=values, minlength=len(block.levels))

    weight = fitted.weight
    centre = np.divide(
        total(weight * fitted.eta), total(weight), out=np.zeros(len(block.levels)), where=total(weight) > 0
    )
    away = fitted.eta - centre[block.index]
    spread = np.sqrt(total(weight * away**2))
    return np.divide(total(fitted.residual * away), spread, out=np.zeros_like(spread), where=spread > 1e-8)
