"""Predicted probabilities of rows, and their recalibration by isotonic regression of the outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..effects.query import PredictionQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Forecasts:
    """Rows grouped by their predicted probability, in increasing order.

    Attributes
    ----------
    probability : ndarray, shape (k,)
        Distinct predicted probabilities.
    trials : ndarray, shape (k,)
        Number of trials with each probability.
    member : ndarray of int, shape (n,)
        Position of the probability of each row.
    """

    probability: FloatArray
    trials: FloatArray
    member: IntArray

    @classmethod
    def of(cls, probability: FloatArray, trials: FloatArray) -> Forecasts:
        """Group rows, shape (n,)."""
        distinct, member = np.unique(probability, return_inverse=True)
        return cls(distinct, np.bincount(member, weights=trials, minlength=len(distinct)), member)

    def recalibrated(self, y: FloatArray) -> FloatArray:
        """Isotonic regression of the outcomes on the predicted probabilities, shape (k,)."""
        from scipy.optimize import isotonic_regression

        events = np.bincount(self.member, weights=y, minlength=len(self.probability))
        regression: FloatArray = isotonic_regression(events / self.trials, weights=self.trials).x
        return regression

    def decomposition(self, y: FloatArray) -> dict[str, float]:
        """The Brier score and its parts: ``brier = miscalibration - discrimination + uncertainty``.

        Miscalibration is by how much recalibration lowers the score, discrimination by how much the recalibrated
        probabilities lower it compared with a single probability, and uncertainty the score of that probability.
        """
        total = self.trials.sum()
        rate = np.bincount(self.member, weights=y, minlength=len(self.probability)) / self.trials
        better, mean = self.recalibrated(y), float(y.sum() / total)

        def score(p: FloatArray | float) -> float:
            return float((self.trials * (rate * (1 - p) ** 2 + (1 - rate) * p**2)).sum() / total)

        as_is, recalibrated, constant = score(self.probability), score(better), score(mean)
        return {
            "brier": as_is,
            "miscalibration": as_is - recalibrated,
            "discrimination": constant - recalibrated,
            "uncertainty": constant,
        }


def fitted_probability(
    fit: Fit, clusters: str | Mapping[str, str], num_draws: int | None = None, seed: int | None = None
) -> FloatArray:
    """Probability of the event in each training row: its posterior mean, of a likelihood fit that at the maximum."""
    return mean_probability(PredictionQuery.for_predictions(fit, clusters=clusters, num_draws=num_draws, seed=seed))


def mean_probability(query: PredictionQuery) -> FloatArray:
    """Probability in each complete row of a query: its posterior mean, of a likelihood fit that at the maximum."""
    rows = query.place(query.rows)
    if query.point is not None and not rows.new:
        at_maximum: FloatArray = query.treatment.predict(query.point, rows)[0]
        return at_maximum
    total: FloatArray = np.zeros(len(rows))
    for part, draws in query.draws.chunks(len(rows)):
        total += query.treatment.of_part(part).predict(draws, rows).sum(axis=0)
    return total / len(query.draws)
