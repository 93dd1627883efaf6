"""Measures of all rows together: calibration of the probabilities, and whether the link bends as it should."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..calibration import Forecasts
from .measures import Measure
from .refitted import RefittedModel

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
            f"Events do not happen as often as predicted: recalibrating the probabilities would take {value:.2g} off "
            f"the Brier score, where {simulated.mean():.2g} is expected"
        )

    remedy = "Look at hl.plots.calibration(fit) for where, then at hl.plots.residuals(fit, by=...) for which predictor."
    return Measure("miscalibration", "", "miscalibration of the Brier score", "upper", miscalibration, evidence, remedy)


def _link() -> Measure:
    """Residuals against the square of the linear predictor (Pregibon 1980, Applied Statistics 29: 15-24)."""

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        ends = "more" if value > simulated.mean() else "less"
        return (
            f"The logit link does not fit: towards both ends of the linear predictor events are {ends} frequent than "
            f"the model says (standardised {value:.1f})"
        )

    remedy = (
        "Look at hl.plots.residuals(fit). A missing curve or interaction of a predictor does this too, and is the "
        "first thing to try; what stays is a link that is not symmetric, as the complementary log-log."
    )
    statistic = "residuals on the squared linear predictor, standardised"
    return Measure("link_misfit", "", statistic, "both", bend, evidence, remedy)


def bend(fitted: RefittedModel) -> float:
    """Sum of the residuals times the square of the linear predictor, less what intercept and slope account for."""
    eta, weight = fitted.eta, fitted.weight
    columns = np.column_stack([np.ones_like(eta), eta])
    root = np.sqrt(weight)[:, None]
    line = np.linalg.lstsq(root * columns, root[:, 0] * eta**2, rcond=None)[0]
    bend = eta**2 - columns @ line
    spread = float(np.sqrt((weight * bend**2).sum()))
    # One or two distinct linear predictors have no curve.
    if not spread > 1e-6 * float(np.sqrt((weight * eta**4).sum())):
        return np.nan
    return float((fitted.residual * bend).sum()) / spread
