"""Likelihood-ratio statistics in data simulated from the smaller of two models: the bootstrap null distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..engines.maximum.refit import Refitter
from ..errors import FitError
from ..estimate import Estimate
from ..model_spec import ModelSpec
from .simulated_outcomes import generator, simulated_outcome

FloatArray = npt.NDArray[np.float64]
#: How far the maximum of the larger model may lie below that of the smaller one, due to the tolerance of the optimiser.
SHORT = 1e-4


@dataclass(frozen=True)
class OfRatio:
    """Task that computes the likelihood-ratio statistic of two nested models in one replicate.

    Attributes
    ----------
    model0, model1 : Model
        Models of the same rows; the first is nested in the second.
    estimate0, estimate1 : Estimate
        Their estimates; replicates are simulated from the first.
    seed : int
    """

    model0: ModelSpec
    estimate0: Estimate
    model1: ModelSpec
    estimate1: Estimate
    seed: int

    def __call__(self, number: int) -> dict[str, float]:
        """The statistic of replicate `number`."""
        y = simulated_outcome(self.model0.design, self.estimate0, generator(self.seed, number))
        return {"statistic": ratio_of_refits(y, self.model0, self.estimate0, self.model1, self.estimate1)}


def ratio_of_refits(
    y: FloatArray, model0: ModelSpec, estimate0: Estimate, model1: ModelSpec, estimate1: Estimate
) -> float:
    """Likelihood-ratio statistic of two nested models, both fitted to other successes y, shape (n,).

    Raises
    ------
    FitError
        If a search fails.
    """
    smaller = Refitter(model0, estimate0).with_outcome(y).maximum()
    larger = Refitter(model1, estimate1).with_outcome(y).maximum()
    return ratio_statistic(smaller, larger)


def ratio_statistic(smaller: Estimate, larger: Estimate) -> float:
    """Twice the difference of the log-likelihoods.

    Raises
    ------
    FitError
        If it is negative by more than rounding.
    """
    statistic = 2 * (larger.log_likelihood - smaller.log_likelihood)
    if statistic < -SHORT:
        raise FitError(
            f"the maximum found for the larger model is below that of the smaller one, by {-statistic / 2:.4g}."
        )
    return max(statistic, 0.0)
