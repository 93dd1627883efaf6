"""Measures of the slopes within clusters: reversed in one cluster, or different between clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...design.grouping import GroupBlock
from ...engines.maximum.refitted import RefittedModel
from ...model_comparison.slope_scores import AbsentSlope, absent_slopes, slope_scores
from .measures import Measure

FloatArray = npt.NDArray[np.float64]


def slope_measures(design: Design) -> list[Measure]:
    """Measures of every grouping factor within whose clusters a predictor varies, and of slopes that it lacks."""
    absent, measures = absent_slopes(design), []
    for group in design.groups:
        if _varies_within(design, group):
            measures.append(_reversed_slopes(group))
        slopes = [slope for slope in absent if slope.group == group.name]
        if slopes:
            measures.append(_heterogeneous_slopes(group, slopes))
    return measures


def _varies_within(design: Design, group: GroupBlock) -> bool:
    """Whether any predictor differs between the rows of a cluster."""
    columns = np.column_stack([design.X, design.offset, *(factor.Z for factor in design.groups)])
    first = np.unique(group.index, return_index=True)[1]
    return bool(np.any(columns != columns[first][group.index]))


def _reversed_slopes(group: GroupBlock) -> Measure:
    name = group.name

    def largest_score(fitted: RefittedModel) -> float:
        return float(np.max(np.abs(relations(fitted, group))))

    def evidence(fitted: RefittedModel, _: float, __: FloatArray) -> str:
        scores = relations(fitted, group)
        level = int(np.argmax(np.abs(scores)))
        how = "weaker than in the others, or reversed" if scores[level] < 0 else "stronger than in the others"
        return (
            f"In cluster {group.levels.tolist()[level]!r} of '{name}' the association of the outcomes with the "
            f"predictors is {how} (standardised score {scores[level]:.1f})"
        )

    remedy = f"Check the coding of its outcomes and predictors, and look at hl.influence(fit, {name!r})."
    statistic = "largest standardised slope score of a cluster"
    return Measure("reversed_slopes", name, statistic, "upper", largest_score, evidence, remedy)


def _heterogeneous_slopes(group: GroupBlock, slopes: Sequence[AbsentSlope]) -> Measure:
    name = group.name

    def standardised(fitted: RefittedModel) -> FloatArray:
        scores = slope_scores(fitted, slopes)
        return np.array([score.value / np.sqrt(max(score.information, 1e-300)) for score in scores])

    def largest_score(fitted: RefittedModel) -> float:
        return float(standardised(fitted).max())

    def evidence(fitted: RefittedModel, value: float, simulated: FloatArray) -> str:
        which = slopes[int(standardised(fitted).argmax())]
        among = f" (the largest of {len(slopes)})" if len(slopes) > 1 else ""
        return (
            f"The slope of '{which.term}' differs between the clusters of '{name}', and the model takes it to be the "
            f"same: the score of its variance is {value:.1f}{among}, and {simulated.mean():.1f} on average if it is"
        )

    remedy = (
        f"hl.test_slopes(fit) shows which slopes vary and how much: add the first one to the random term of '{name}', "
        "as in (1 + x | g), and test again."
    )
    return Measure(
        "heterogeneous_slopes", name, "largest score of a slope's variance", "upper", largest_score, evidence, remedy
    )


def relations(fitted: RefittedModel, group: GroupBlock) -> FloatArray:
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
