"""Probabilities and outcomes of the rows in data simulated from a fit: what pictures of a right model look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...effects.cluster_choice import cluster_choices
from ...effects.query import PredictionQuery
from ...engines.maximum.refitted import ReferenceFit
from ...errors import PredictionError
from ...progress import progress
from ..recalibration import fitted_probability
from .predictive_check import simulated_fits, simulated_outcomes

if TYPE_CHECKING:
    from ...fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
#: With fewer replicates than this the ends of a band are mostly luck.
FEWEST_REPLICATES = 20


@dataclass(frozen=True)
class SimulatedRows:
    """Data sets simulated from a fit, with the probabilities that the model has for them.

    With the rows' own cluster effects, the model is refitted to each data set, since these effects are estimated from
    the same outcomes. Otherwise the probabilities are those of the fit, and clusters have new effects.

    Attributes
    ----------
    fit : Fit
    reference : ReferenceFit or None
        What is refitted; None if the probabilities do not depend on the outcomes of the row's cluster.
    probability : ndarray, shape (n,)
        Probability of the event in each row, for the observed outcomes.
    phi : float or None
        Precision of beta-binomial outcomes with these probabilities.
    replicates : int
    seed : int
    """

    fit: Fit
    reference: ReferenceFit | None
    probability: FloatArray
    phi: float | None
    replicates: int
    seed: int

    @classmethod
    def of(
        cls, fit: Fit, clusters: str | Mapping[str, str], num_draws: int | None, replicates: int, seed: int
    ) -> SimulatedRows:
        """Data sets simulated from a fit, at most as many as it has draws.

        Raises
        ------
        PredictionError
            If an option is not allowed, or the model would have to be refitted and the fit is not at a maximum.
        """
        PredictionQuery.for_predictions(fit, clusters=clusters, num_draws=num_draws, seed=seed)  # refuses wrong options
        used = min(replicates, _draws_of(fit))
        own = all(chosen == "observed" for chosen in cluster_choices(fit.model, clusters).values())
        if not own:
            return cls(fit, None, fitted_probability(fit, clusters, num_draws, seed), None, used, seed)
        reference = ReferenceFit.of(fit)
        if not reference.usable:
            raise PredictionError(
                "the fit is not at a maximum, so the model cannot be fitted to data simulated from it, with which the "
                "rows are compared: see fit.diagnostics.findings, or pass clusters='average'."
            )
        if fit.estimate is None:
            return cls(fit, reference, reference.observed.probability, reference.observed.phi, used, seed)
        return cls(fit, reference, fitted_probability(fit, clusters), fit.estimate.phi, used, seed)

    @classmethod
    def of_probabilities(cls, fit: Fit, probability: FloatArray, replicates: int, seed: int) -> SimulatedRows:
        """Given probabilities, shape (n,), with data sets simulated in clusters with new effects."""
        return cls(fit, None, probability, None, min(replicates, _draws_of(fit)), seed)

    @property
    def trials(self) -> FloatArray:
        """Trials of each row."""
        return self.fit.model.design.outcome.trials

    def __iter__(self) -> Iterator[tuple[FloatArray, FloatArray, float | None]]:
        """Probabilities and successes of the rows in each data set, and phi."""
        if self.reference is None:
            for y in progress(simulated_outcomes(self.fit, self.replicates, self.seed), "Simulating", self.replicates):
                yield self.probability, y, self.phi
            return
        for fitted in simulated_fits(self.fit, self.reference, self.replicates, self.seed):
            yield fitted.probability, fitted.y, fitted.phi


def _draws_of(fit: Fit) -> int:
    """Number of posterior draws, each of which is simulated from at most once."""
    return fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
