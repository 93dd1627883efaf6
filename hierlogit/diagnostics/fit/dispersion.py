"""Whether counts vary more between rows than binomial ones: the variance ratio of rows with several trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...model_comparison.slope_scores import conditional_covariances
from ...variance.by_factor import between_rows
from .measures import Measure

if TYPE_CHECKING:
    from ...design.design import Design
    from ...engines.maximum.refitted import RefittedModel

FloatArray = npt.NDArray[np.float64]
REMEDY = (
    "Rows differ by what the model does not know. Start with this finding, which causes others: "
    "hl.check_overdispersion(fit) says whether an effect of each row or a beta-binomial distribution fits better."
)


def dispersion_measures(design: Design) -> list[Measure]:
    """Dispersion of counts, if rows have several trials and the model does not describe over-dispersion already."""
    described = between_rows(design) or design.outcome.family == "betabinomial"
    return [] if described or not np.any(design.outcome.trials > 1) else [_dispersion()]


def _dispersion() -> Measure:
    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        return (
            "Counts of rows with the same probability differ more than binomial ones: their variance is "
            f"{value:.3g} times the binomial one, in simulated data {simulated.mean():.2g} times, so that standard "
            "errors are too small"
        )

    return Measure("overdispersion", "", "variance ratio of the rows", "upper", variance_ratio, evidence, REMEDY)


def variance_ratio(fitted: RefittedModel) -> float:
    """Squared residuals of the rows with several trials over their binomial variances, both summed over the rows.

    The squares ``(y - m p)^2`` are averaged over the conditional distribution of the cluster effects, approximately:
    with the averaged residual c, the weight ``w = m p (1 - p)`` and the variance v of the log-odds, ``c^2 + w^2 v``.
    Their sum less that of w is twice the score of the variance of a row effect at zero (Dean 1992, Journal of the
    American Statistical Association 87: 451-457, for models without cluster effects). In Pearson's statistic, the mean
    of the ratios, rows of few trials would count as much as those of many, which tell more.
    """
    several = fitted.trials > 1
    weight = fitted.weight[several]
    variance = np.zeros(len(fitted.y))
    for group in fitted.design.groups:
        covariances = conditional_covariances(fitted, group)[group.index]
        variance += np.einsum("na,nab,nb->n", group.Z, covariances, group.Z)
    squares = fitted.gradient[several] ** 2 + weight**2 * variance[several]
    return float(squares.sum() / weight.sum()) if weight.sum() > 0 else np.nan
