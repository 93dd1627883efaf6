"""Posterior predictive p-values from simulated outcomes in new clusters, with the model refitted to each data set.

A statistic of the outcomes alone, such as the sd of the clusters' proportions, is compared with its posterior
predictive distribution (Rubin 1984, Annals of Statistics 12: 1151-1172). A statistic that also needs a fit, such as one
of residuals, is computed with a refit to each simulated data set: if one fit, which depends on the observed outcomes,
served all of them, p-values would be far too near to one half (Robins, van der Vaart and Ventura 2000, Journal of the
American Statistical Association 95: 1143-1156).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...effects.cluster_choice import cluster_choices
from ...effects.cluster_effects import ClusterTreatment
from ...effects.query import Query
from ...progress import progress
from ...studies.tail_probability import leave_one_out_tail_probabilities, tail_probability
from .measures import CheckResult, Measure

if TYPE_CHECKING:
    from ...engines.maximum.refitted import ReferenceFit, RefittedModel
    from ...fits.fit import Fit

FloatArray = npt.NDArray[np.float64]

#: A check is made only if the statistic can be computed for this fraction of the replicates.
ENOUGH = 0.8


def simulated_outcomes(fit: Fit, count: int, seed: int) -> Iterator[FloatArray]:
    """Successes of each row, shape (n,), from evenly spaced draws of the fit, in clusters with new effects."""
    design = fit.model.design
    draws = Query.of(fit, None, count).draws
    treatment = ClusterTreatment(fit.model, cluster_choices(fit.model, "new"), "response", False, seed)
    rows = treatment.place(design.training_rows())
    for k in range(count):
        one_draw = treatment.of_part(slice(k, k + 1))
        yield one_draw.simulate(draws[k : k + 1], rows, design.outcome.trials)[0]


def simulated_fits(fit: Fit, reference: ReferenceFit, count: int, seed: int) -> Iterator[RefittedModel]:
    """The model refitted to simulated data sets, at most as many as the fit has draws."""
    available = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    used = min(count, available)
    for y in progress(simulated_outcomes(fit, used, seed), "Checking", total=used):
        yield reference.fitted_to(y)


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
    fit: Fit, reference: ReferenceFit, measures: Sequence[Measure], count: int, seed: int
) -> Comparison:
    """Compare each measure of the data with its values in simulated data.

    Parameters
    ----------
    fit : Fit
    reference : ReferenceFit
    measures : sequence of Measure
    count : int
        Data sets to simulate, at most as many as the fit has draws.
    seed : int
    """
    values = _simulated_values(fit, reference, measures, count, seed)
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


def _simulated_values(
    fit: Fit, reference: ReferenceFit, measures: Sequence[Measure], count: int, seed: int
) -> FloatArray:
    """Each measure of each simulated data set, shape (replicates, measures)."""
    fits = simulated_fits(fit, reference, count, seed)
    return np.array([[measure.of(fitted) for measure in measures] for fitted in fits])


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
