"""Measures of the cluster effects' distribution: skewness and tails, of which the model says that there are none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...design.grouping import GroupBlock
from .measures import Measure
from .refitted import RefittedModel

FloatArray = npt.NDArray[np.float64]


def effect_measures(design: Design) -> list[Measure]:
    """Skewness and tails of every effect of every grouping factor."""
    return [
        measure
        for block in design.groups
        for k in range(len(block.effects))
        for measure in (_skewness(block, k), _tails(block, k))
    ]


def _skewness(block: GroupBlock, k: int) -> Measure:
    def skewness(fitted: RefittedModel) -> float:
        return third_moment(*_standardised(fitted, block, k))

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        side = "high" if value > simulated.mean() else "low"
        return (
            f"The {block.effects[k]} effects of '{block.name}' are not normal: they have a long tail on the {side} "
            f"side (score for skewness {value:.2f} per cluster)"
        )

    about, statistic = f"{block.name}[{block.effects[k]}]", "score for skewness, per cluster"
    return Measure("skewed_effects", about, statistic, "both", skewness, evidence, _remedy(block))


def _tails(block: GroupBlock, k: int) -> Measure:
    def tails(fitted: RefittedModel) -> float:
        return fourth_moment(*_standardised(fitted, block, k))

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        longer = value > simulated.mean()
        shape = "longer tails than a normal distribution" if longer else "shorter tails, as of two kinds of clusters"
        return (
            f"The {block.effects[k]} effects of '{block.name}' are not normal: they have {shape} (score for kurtosis "
            f"{value:.2f} per cluster)"
        )

    about, statistic = f"{block.name}[{block.effects[k]}]", "score for kurtosis, per cluster"
    return Measure("nonnormal_tails", about, statistic, "both", tails, evidence, _remedy(block))


def _remedy(block: GroupBlock) -> str:
    return (
        f"Look at hl.plots.effects_qq(fit, {block.name!r}). A predictor of the clusters is often missing. Fixed "
        "effects within clusters hardly suffer; the intercept, the sd of the effects and predictions for new clusters "
        "do."
    )


def _standardised(fitted: RefittedModel, block: GroupBlock, k: int) -> tuple[FloatArray, FloatArray]:
    """Modes of an effect and variances about them, in units of its sd.

    As the sd goes to zero they go to 0 and 1: outcomes say nothing of effects that are not there.
    """
    sd = float(fitted.sds[block.name][k])
    if sd < 1e-6:
        return np.zeros(len(block.levels)), np.ones(len(block.levels))
    return fitted.modes[block.name][:, k] / sd, fitted.variances[block.name][:, k] / sd**2


def third_moment(mode: FloatArray, variance: FloatArray) -> float:
    """Mean over clusters of ``E(u^3 - 3u)`` for effects u that are normal about their modes.

    The score at c = 0 of a normal density times ``1 + c (u^3 - 3u)`` (Gram and Charlier): the derivative of the
    log-likelihood with the effects integrated out. The variance about the modes makes good for their shrinkage.

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
