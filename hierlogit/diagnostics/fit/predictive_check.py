"""Outcomes simulated from the fit, in new clusters of the same layout, each with the model fitted to it anew.

A number of the outcomes alone, as the sd of the clusters' proportions, is compared with what the posterior predictive
distribution makes of it (Rubin 1984, Annals of Statistics 12: 1151-1172). A number that also needs a fit, as residuals
do, is computed at the fit of each simulated data set's own: p-values at a fit that has seen the outcomes, of replicates
that it has not seen, would be far too near to one half (Robins, van der Vaart and Ventura 2000, Journal of the American
Statistical Association 95: 1143-1156).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...effects.cluster_effects import ClusterTreatment, cluster_choices
from ...effects.query import Query
from ...progress import progress
from .measures import CheckResult, Measure, Tail

if TYPE_CHECKING:
    from ...fits.fit import Fit
    from .refitted import ReferenceFit, RefittedModel

FloatArray = npt.NDArray[np.float64]

#: Replicates beyond the observed number from which their share is taken; with fewer, the tail of a fitted distribution.
COUNTED = 10
#: A distribution less skewed than this counts as normal.
LEAST_SKEWNESS = 1e-3
#: Below this share of replicates with a number nothing is said.
ENOUGH = 0.8


def simulated_outcomes(fit: Fit, count: int, seed: int) -> Iterator[FloatArray]:
    """Successes of each row, shape (n,), from evenly spaced draws of the fit, in clusters with new effects."""
    design = fit.model.design
    draws, rows = Query.of(fit, None, count).draws, design.training_rows()
    setting = ClusterTreatment(fit.model, cluster_choices(fit.model, "new"), "response", False, seed)
    for k in range(count):
        own = setting.of_part(slice(k, k + 1))
        yield own.simulate(draws[k : k + 1], rows, design.outcome.trials)[0]


def simulated_fits(fit: Fit, anchor: ReferenceFit, count: int, seed: int) -> Iterator[RefittedModel]:
    """Simulated data sets with the model fitted to each; as many as the fit has draws at most."""
    available = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    used = min(count, available)
    for y in progress(simulated_outcomes(fit, used, seed), "Checking", total=used):
        yield anchor.fitted_to(y)


@dataclass(frozen=True)
class Comparison:
    """Measures of the data beside those of simulated data.

    Attributes
    ----------
    judged : list of CheckResult
    p_values : ndarray, shape (replicates, measures)
        Of the simulated data themselves, each beside all of them; 1 where there is none.
    """

    judged: list[CheckResult]
    p_values: FloatArray


def compare(fit: Fit, anchor: ReferenceFit, measures: Sequence[Measure], count: int, seed: int) -> Comparison:
    """Compare each measure of the data with that of simulated ones.

    Parameters
    ----------
    fit : Fit
    anchor : ReferenceFit
    measures : sequence of Measure
    count : int
        Data sets to simulate; as many as the fit has draws at most.
    seed : int
    """
    values = _simulated_values(fit, anchor, measures, count, seed)
    judged, p_values = [], np.ones_like(values)
    for k, measure in enumerate(measures):
        known = np.isfinite(values[:, k])
        value = measure.of(anchor.observed)
        if not np.isfinite(value) or known.mean() < ENOUGH:
            why = "the statistic cannot be computed for these data, or for many data simulated from the fit."
            judged.append(CheckResult.not_made(measure.check, measure.about, measure.statistic, why))
            continue
        simulated = values[known, k]
        p_values[known, k] = own_tail_probabilities(simulated, measure.tail)
        judged.append(_judged(anchor, measure, value, simulated))
    return Comparison(judged, p_values)


def _simulated_values(fit: Fit, anchor: ReferenceFit, measures: Sequence[Measure], count: int, seed: int) -> FloatArray:
    """Each measure of each simulated data set, shape (replicates, measures)."""
    made = simulated_fits(fit, anchor, count, seed)
    return np.array([[measure.of(fitted) for measure in measures] for fitted in made])


def _judged(anchor: ReferenceFit, measure: Measure, value: float, simulated: FloatArray) -> CheckResult:
    return CheckResult(
        check=measure.check,
        about=measure.about,
        statistic=measure.statistic,
        value=value,
        expected=float(simulated.mean()),
        p_value=tail_probability(value, simulated, measure.tail),
        beyond=False,
        evidence=measure.evidence(anchor.observed, value, simulated),
        remedy=measure.remedy,
    )


def own_tail_probabilities(simulated: FloatArray, tail: Tail) -> FloatArray:
    """`tail_probability` of each simulated number beside the others, as the data's stands beside all of them."""
    return np.array([tail_probability(simulated[k], np.delete(simulated, k), tail) for k in range(len(simulated))])


def tail_probability(value: float, simulated: FloatArray, tail: Tail) -> float:
    """Probability of a number as large, or as far out on either side, if it were one more of the simulated ones.

    The share of the simulated numbers beyond, where there are `COUNTED` of them; further out the tail of a Pearson
    type III distribution with their mean, sd and skewness, which says more than "less than one in the number of
    replicates" (Winkler, Ridgway, Douaud, Nichols and Smith 2016, NeuroImage 141: 502-516).

    Examples
    --------
    >>> simulated = np.random.default_rng(1).normal(size=400)
    >>> [tail_probability(value, simulated, "upper") < 0.01 for value in (0.0, 5.0)]
    [False, True]
    """
    upper = _beyond(value, simulated)
    return upper if tail == "upper" else min(1.0, 2 * min(upper, _beyond(-value, -simulated)))


def _beyond(value: float, simulated: FloatArray) -> float:
    larger = int((simulated >= value).sum())
    away = simulated - simulated.mean()
    sd = float(away.std(ddof=1))
    if larger >= COUNTED or sd == 0:
        return (1 + larger) / (1 + len(simulated))
    # A short tail would end, and make what lies beyond its end impossible: it is taken as a normal one.
    skewness = max(0.0, float((away**3).mean()) / sd**3)
    return pearson_tail((value - float(simulated.mean())) / sd, skewness)


def pearson_tail(value: float, skewness: float) -> float:
    """Probability of more than a value in a Pearson type III distribution of mean 0, sd 1 and no negative skewness.

    Such a variable is ``(g - a) / sqrt(a)`` with g gamma distributed of shape ``a = 4 / skewness^2``.

    Examples
    --------
    >>> round(pearson_tail(2.0, 2.0), 4)  # an exponential distribution's P(g > 3)
    0.0498
    """
    from scipy.special import gammaincc, ndtr

    if skewness < LEAST_SKEWNESS:
        return float(ndtr(-value))
    shape = 4 / skewness**2
    return float(gammaincc(shape, max(shape + value * np.sqrt(shape), 0.0)))
