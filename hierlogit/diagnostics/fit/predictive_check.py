"""Posterior predictive p-values from simulated outcomes in new clusters, with the model refitted to each data set.

A statistic of the outcomes alone, such as the sd of the clusters' proportions, is compared with its posterior
predictive distribution (Rubin 1984, Annals of Statistics 12: 1151-1172). A statistic that also needs a fit, such as one
of residuals, is computed with a refit to each simulated data set: if one fit, which depends on the observed outcomes,
served all of them, p-values would be far too near to one half (Robins, van der Vaart and Ventura 2000, Journal of the
American Statistical Association 95: 1143-1156).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...density.linear_predictor import Draws
from ...effects.cluster_choice import cluster_choices
from ...effects.cluster_effects import ClusterTreatment, PlacedRows
from ...effects.query import Query
from ...engines.maximum.refitted import ReferenceFit
from ...parallel.tasks import all_results
from ...progress import progress
from ...studies.tail_probability import leave_one_out_tail_probabilities, tail_probability
from .measures import CheckResult, Measure

if TYPE_CHECKING:
    from ...engines.maximum.refitted import RefittedModel
    from ...fits.fit import Fit
    from ...model_spec import ModelSpec
    from ...parallel.workers import AnyExecutor

FloatArray = npt.NDArray[np.float64]

#: A check is made only if the statistic can be computed for this fraction of the replicates.
ENOUGH = 0.8


@dataclass(frozen=True)
class SimulatedOutcomes:
    """Outcomes simulated from evenly spaced draws of a fit, in clusters with new effects, by number.

    Attributes
    ----------
    model : ModelSpec
    draws : Draws
    seed : int
    """

    model: ModelSpec
    draws: Draws
    seed: int

    @classmethod
    def of(cls, fit: Fit, count: int, seed: int) -> SimulatedOutcomes:
        """From a number of draws of a fit."""
        return cls(fit.model, Query.of(fit, None, count).draws, seed)

    def __call__(self, number: int) -> FloatArray:
        """Successes of each row, shape (n,), by one of the draws."""
        treatment, rows = self._placed
        one_draw = treatment.of_part(slice(number, number + 1))
        trials = self.model.design.outcome.trials
        successes: FloatArray = one_draw.simulate(self.draws[number : number + 1], rows, trials)[0]
        return successes

    @cached_property
    def _placed(self) -> tuple[ClusterTreatment, PlacedRows]:
        treatment = ClusterTreatment(self.model, cluster_choices(self.model, "new"), "response", False, self.seed)
        return treatment, treatment.place(self.model.design.training_rows())


def simulated_outcomes(fit: Fit, count: int, seed: int) -> Iterator[FloatArray]:
    """Successes of each row, shape (n,), from evenly spaced draws of the fit, in clusters with new effects."""
    return map(SimulatedOutcomes.of(fit, count, seed), range(count))


def simulated_fits(fit: Fit, reference: ReferenceFit, count: int, seed: int) -> Iterator[RefittedModel]:
    """The model refitted to simulated data sets, at most as many as the fit has draws."""
    used = _available(fit, count)
    for y in progress(simulated_outcomes(fit, used, seed), "Checking", total=used):
        yield reference.fitted_to(y)


def _available(fit: Fit, count: int) -> int:
    """Number of data sets, each from a draw of its own."""
    return min(count, fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"])


@dataclass(frozen=True)
class _OfReplicate:
    """Task that refits the model to simulated outcomes and measures the refit.

    Attributes
    ----------
    outcomes : SimulatedOutcomes
    reference : ReferenceFit
    measures_of : callable
        Makes the measures, which cannot be sent to other processes themselves.
    """

    outcomes: SimulatedOutcomes
    reference: ReferenceFit
    measures_of: Callable[[ReferenceFit], Sequence[Measure]]

    def __call__(self, number: int) -> list[float]:
        """The measures of one data set."""
        fitted = self.reference.fitted_to(self.outcomes(number))
        return [measure.of(fitted) for measure in self._measures]

    @cached_property
    def _measures(self) -> Sequence[Measure]:
        return self.measures_of(self.reference)


@dataclass(frozen=True)
class Comparison:
    """Measures of the data compared with those of simulated data.

    Attributes
    ----------
    results : list of CheckResult
    p_values : ndarray, shape (replicates, measures)
        p-values of each simulated data set compared with the others; 1 where there is none.
    """

    results: list[CheckResult]
    p_values: FloatArray


def compare_with_simulated(
    fit: Fit,
    reference: ReferenceFit,
    measures_of: Callable[[ReferenceFit], Sequence[Measure]],
    count: int,
    seed: int,
    executor: AnyExecutor | None,
) -> Comparison:
    """Compare each measure of the data with its values in simulated data.

    Parameters
    ----------
    fit : Fit
    reference : ReferenceFit
    measures_of : callable
        A function of the reference that makes the measures, at the top level of a module.
    count : int
        Data sets to simulate, at most as many as the fit has draws.
    seed : int
    executor : concurrent.futures.Executor, distributed.Client or None
    """
    used, measures = _available(fit, count), measures_of(reference)
    task = _OfReplicate(SimulatedOutcomes.of(fit, used, seed), ReferenceFit(fit.model, reference.estimate), measures_of)
    values = np.array(list(all_results(task, range(used), executor, "Checking").values()))
    results, p_values = [], np.ones_like(values)
    for k, measure in enumerate(measures):
        computed = np.isfinite(values[:, k])
        value = measure.of(reference.observed)
        if not np.isfinite(value) or computed.mean() < ENOUGH:
            why = "the statistic cannot be computed for these data, or for many data simulated from the fit."
            results.append(CheckResult.not_made(measure.check, measure.about, measure.statistic, why))
            continue
        simulated = values[computed, k]
        p_values[computed, k] = leave_one_out_tail_probabilities(simulated, measure.tail)
        results.append(_result(reference, measure, value, simulated))
    return Comparison(results, p_values)


def _result(reference: ReferenceFit, measure: Measure, value: float, simulated: FloatArray) -> CheckResult:
    return CheckResult(
        check=measure.check,
        about=measure.about,
        statistic=measure.statistic,
        value=value,
        expected=float(simulated.mean()),
        p_value=tail_probability(value, simulated, measure.tail),
        beyond=False,
        evidence=measure.evidence(reference.observed, value, simulated),
        remedy=measure.remedy,
    )
