"""Measures of all rows together: calibration of the probabilities, and misfit of the link."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...engines.maximum.refitted import RefittedModel
from ..recalibration import Forecasts
from .measures import Measure

FloatArray = npt.NDArray[np.float64]


def row_measures() -> list[Measure]:
    """Calibration and link."""
    return [_calibration(), _link()]


def _calibration() -> Measure:
    """Miscalibration of the fitted probabilities (Dimitriadis, Gneiting and Jordan 2021)."""

    def miscalibration(fitted: RefittedModel) -> float:
        return Forecasts.of(fitted.probability, fitted.trials).decomposition(fitted.y)["miscalibration"]

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        return (
            f"Events do not happen as often as predicted: recalibrating the probabilities would lower the Brier score "
            f"by {value:.2g}, in simulated data by {simulated.mean():.2g}"
        )

    remedy = (
        "Look at hl.plots.calibration(fit) for the probabilities, and at hl.plots.residuals(fit, by=...) for the "
        "predictors, that are concerned."
    )
    return Measure("miscalibration", "", "miscalibration of the Brier score", "upper", miscalibration, evidence, remedy)


def _link() -> Measure:
    """Residuals against the square of the linear predictor (Pregibon 1980, Applied Statistics 29: 15-24)."""

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        ends = "more" if value > simulated.mean() else "less"
        return (
            f"The logit link does not fit: at both ends of the linear predictor events are {ends} frequent than "
            f"predicted (standardised score {value:.1f})"
        )

    remedy = (
        "Look at hl.plots.residuals(fit). A missing curve or interaction of a predictor has the same effect and is the "
        "first thing to try; otherwise the link is not symmetric, as the complementary log-log link."
    )
    statistic = "residuals on the squared linear predictor, standardised"
    return Measure("link_misfit", "", statistic, "both", link_score, evidence, remedy)


def link_score(fitted: RefittedModel) -> float:
    """Score of the squared linear predictor as an added column, over its standard deviation.

    The square is adjusted for intercept and slope. Not a number if the linear predictor takes one or two values.
    """
    eta, weight = fitted.eta, fitted.weight
    columns = np.column_stack([np.ones_like(eta), eta])
    sds = np.sqrt(weight)[:, None]
    line = np.linalg.lstsq(sds * columns, sds[:, 0] * eta**2, rcond=None)[0]
    adjusted = eta**2 - columns @ line
    sd = float(np.sqrt((weight * adjusted**2).sum()))
    if not sd > 1e-6 * float(np.sqrt((weight * eta**4).sum())):
        return np.nan
    return float((fitted.residual * adjusted).sum()) / sd
