"""Measures of the distribution of the cluster effects: skewness and kurtosis, which are zero in the model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...design.grouping import GroupBlock
from ...engines.maximum.refitted import RefittedModel
from .measures import Measure

FloatArray = npt.NDArray[np.float64]


def effect_measures(design: Design) -> list[Measure]:
    """Skewness and tails of every effect of every grouping factor."""
    return [
        measure
        for group in design.groups
        for k in range(len(group.effects))
        for measure in (_skewness(group, k), _tails(group, k))
    ]


def _skewness(group: GroupBlock, k: int) -> Measure:
    def skewness(fitted: RefittedModel) -> float:
        return third_moment(*_standardised(fitted, group, k))

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        side = "high" if value > simulated.mean() else "low"
        return (
            f"The {group.effects[k]} effects of '{group.name}' are not normal: they have a long tail on the {side} "
            f"side (score for skewness {value:.2f} per cluster)"
        )

    about, statistic = f"{group.name}[{group.effects[k]}]", "score for skewness, per cluster"
    return Measure("skewed_effects", about, statistic, "both", skewness, evidence, _remedy(group))


def _tails(group: GroupBlock, k: int) -> Measure:
    def tails(fitted: RefittedModel) -> float:
        return fourth_moment(*_standardised(fitted, group, k))

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        longer = value > simulated.mean()
        shape = "longer tails than a normal distribution" if longer else "shorter tails, as with two kinds of clusters"
        return (
            f"The {group.effects[k]} effects of '{group.name}' are not normal: they have {shape} (score for kurtosis "
            f"{value:.2f} per cluster)"
        )

    about, statistic = f"{group.name}[{group.effects[k]}]", "score for kurtosis, per cluster"
    return Measure("nonnormal_tails", about, statistic, "both", tails, evidence, _remedy(group))


def _remedy(group: GroupBlock) -> str:
    return (
        f"Look at hl.plots.effects_qq(fit, {group.name!r}). Often a predictor of the clusters is missing. Fixed "
        "effects within clusters are hardly affected; the intercept, the sd of the effects and predictions for new "
        "clusters are."
    )


def _standardised(fitted: RefittedModel, group: GroupBlock, k: int) -> tuple[FloatArray, FloatArray]:
    """Conditional modes of an effect and conditional variances about them, in units of its sd.

    Their limits are 0 and 1 as the sd goes to zero.
    """
    sd = float(fitted.sds[group.name][k])
    if sd < 1e-6:
        return np.zeros(len(group.levels)), np.ones(len(group.levels))
    return fitted.modes[group.name][:, k] / sd, fitted.variances[group.name][:, k] / sd**2


def third_moment(mode: FloatArray, variance: FloatArray) -> float:
    """Mean over clusters of ``E(u^3 - 3u)``, for effects u with a normal distribution about their modes.

    It is the score at c = 0 for a density that is the normal one times ``1 + c (u^3 - 3u)`` (Gram and Charlier), with
    the effects integrated out. The variance about the modes corrects for their shrinkage.

    Examples
    --------
    >>> third_moment(np.array([2.0]), np.array([0.0]))  # a known effect of 2
    2.0
    """
    return float(np.mean(mode**3 + 3 * mode * (variance - 1)))


def fourth_moment(mode: FloatArray, variance: FloatArray) -> float:
    """Mean over clusters of ``E(u^4 - 6u^2 + 3)``, the score for kurtosis; see `third_moment`.

    Examples
    --------
    >>> fourth_moment(np.array([2.0]), np.array([0.0]))
    -5.0
    """
    second = mode**2 + variance
    fourth = mode**4 + 6 * mode**2 * variance + 3 * variance**2
    return float(np.mean(fourth - 6 * second + 3))
