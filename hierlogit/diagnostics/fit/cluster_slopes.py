"""Measures of the slopes within clusters: reversed slopes in one cluster, and heterogeneity between clusters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...design.grouping import GroupBlock
from ...engines.maximum.refitted import RefittedModel
from .measures import Measure

FloatArray = npt.NDArray[np.float64]


def slope_measures(design: Design) -> list[Measure]:
    """Measures of every grouping factor within whose clusters a predictor varies."""
    return [
        measure
        for group in design.groups
        if _varies_within(design, group)
        for measure in (_reversed_slopes(group), _heterogeneous_slopes(group))
    ]


def _varies_within(design: Design, group: GroupBlock) -> bool:
    """Whether any predictor differs between the rows of a cluster."""
    columns = np.column_stack([design.X, design.offset, *(factor.Z for factor in design.groups)])
    first = np.unique(group.index, return_index=True)[1]
    return bool(np.any(columns != columns[first][group.index]))


def _reversed_slopes(group: GroupBlock) -> Measure:
    name = group.name

    def largest_score(fitted: RefittedModel) -> float:
        return float(np.max(np.abs(slope_scores(fitted, group))))

    def evidence(fitted: RefittedModel, _: float, __: FloatArray) -> str:
        scores = slope_scores(fitted, group)
        level = int(np.argmax(np.abs(scores)))
        how = "weaker than in the others, or reversed" if scores[level] < 0 else "stronger than in the others"
        return (
            f"In cluster {group.levels.tolist()[level]!r} of '{name}' the association of the outcomes with the "
            f"predictors is {how} (standardised score {scores[level]:.1f})"
        )

    remedy = f"Check the coding of its outcomes and predictors, and look at hl.influence(fit, {name!r})."
    statistic = "largest standardised slope score of a cluster"
    return Measure("reversed_slopes", name, statistic, "upper", largest_score, evidence, remedy)


def _heterogeneous_slopes(group: GroupBlock) -> Measure:
    name = group.name

    def mean_square(fitted: RefittedModel) -> float:
        return float(np.mean(slope_scores(fitted, group) ** 2))

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        return (
            f"The association of the outcomes with the predictors differs more between the clusters of '{name}' than "
            f"the model allows for: the mean square of the clusters' slope scores is {value:.2f}, in simulated data "
            f"{simulated.mean():.2f}"
        )

    remedy = (
        f"Add a random slope of a predictor that varies within clusters, (1 + x | {name}), and look at "
        f"hl.plots.curves(fit, 'x', group={name!r})."
    )
    statistic = "mean square of the clusters' slope scores"
    return Measure("heterogeneous_slopes", name, statistic, "upper", mean_square, evidence, remedy)


def slope_scores(fitted: RefittedModel, group: GroupBlock) -> FloatArray:
    """Score of each cluster for a factor that multiplies its slopes, over its standard deviation; shape (J,).

    The score is the sum of the cluster's residuals times its centred linear predictor. It is negative where outcomes
    depend less on the predictors than the model predicts, and zero where the predictors do not vary.
    """

    def total(values: FloatArray) -> FloatArray:
        return np.bincount(group.index, weights=values, minlength=len(group.levels))

    weight = fitted.weight
    centre = np.divide(
        total(weight * fitted.eta), total(weight), out=np.zeros(len(group.levels)), where=total(weight) > 0
    )
    centred = fitted.eta - centre[group.index]
    sd = np.sqrt(total(weight * centred**2))
    return np.divide(total(fitted.residual * centred), sd, out=np.zeros_like(sd), where=sd > 1e-8)
