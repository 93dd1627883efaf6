"""Likelihood-ratio tests of all terms of a likelihood fit, with their reference distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..engines.maximum.refit import search
from ..engines.maximum.search_result import Approach
from ..errors import FitError
from ..parallel.tasks import Done
from ..parallel.workers import AnyExecutor
from ..progress import progress
from ..studies.checkpoint import Checkpoint, identity
from ..studies.failures import warn_of_failures
from ..studies.simulated_outcomes import generator, simulated_outcome
from ..studies.simulated_ratio import ratio_of_refits, ratio_statistic
from .likelihood_ratio import CONSEQUENCE, chi_squared_tail, chibar, no_mixture
from .nesting import Difference, difference
from .restricted_model import Constrained, Kept, RestrictedModel, near_maximum

if TYPE_CHECKING:
    from ..estimate import Estimate
    from ..fits.fit import Fit
    from ..model_spec import ModelSpec
    from .term_comparisons import TermComparison

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TermRatio:
    """Two nested models with their maxima, and the likelihood-ratio statistic.

    Attributes
    ----------
    comparison : TermComparison
    smaller, larger : ModelSpec
    smaller_estimate, larger_estimate : Estimate
    gap : Difference
    statistic : float
    """

    comparison: TermComparison
    smaller: ModelSpec
    larger: ModelSpec
    smaller_estimate: Estimate
    larger_estimate: Estimate
    gap: Difference
    statistic: float

    @property
    def naive_p_value(self) -> float:
        """The p-value by the chi-squared distribution with a degree of freedom for each parameter."""
        return chi_squared_tail(self.statistic, self.gap.parameters)

    def reference(self) -> tuple[float, str]:
        """The p-value by the reference distribution with its description; missing, with the reason, if not known."""
        reason = no_mixture(self.gap, self.smaller_estimate)
        if reason:
            return np.nan, f"not known, method='bootstrap' simulates it: {reason}"
        return chibar(self.statistic, self.gap, self.smaller_estimate)

    def wald(self) -> tuple[float, float]:
        """Wald's joint test of the fixed effects that are tested, in the larger model."""
        return joint_wald(self.larger_estimate, self.comparison.tested)


def joint_wald(estimate: Estimate, tested: Sequence[int]) -> tuple[float, float]:
    """Wald's chi-squared statistic of several fixed effects by their positions, and its p-value.

    The p-value is by the F distribution if the coefficients have t tests, else by the chi-squared distribution. Both
    are missing without fixed effects, or if the covariance matrix of these is unknown or singular.
    """
    from scipy.special import fdtrc

    places = list(tested)
    beta, covariance = estimate.beta[places], estimate.covariance[np.ix_(places, places)]
    if not places or not np.all(np.isfinite(covariance)):
        return np.nan, np.nan
    units = np.sqrt(np.diag(covariance))
    if np.any(units == 0) or np.linalg.matrix_rank(covariance / np.outer(units, units)) < len(places):
        return np.nan, np.nan
    statistic, df = float(beta @ np.linalg.solve(covariance, beta)), float(estimate.df[places].min())
    if np.isinf(df):
        return statistic, chi_squared_tail(statistic, len(places))
    return statistic, float(fdtrc(len(places), df, statistic / len(places)))


class Maxima:
    """Maxima of restrictions of a model, each found once by a search that starts near the maximum of the whole one.

    Parameters
    ----------
    fit : Fit
        By maximum likelihood.
    estimate : Estimate
        Its estimate.
    """

    def __init__(self, fit: Fit, estimate: Estimate) -> None:
        self._model, self._estimate = fit.model, estimate
        self._known: dict[Kept, tuple[ModelSpec, Estimate]] = {Kept.all_of(fit.model.design): (fit.model, estimate)}

    def of(self, kept: Kept) -> tuple[ModelSpec, Estimate]:
        """A restricted model and its estimate.

        Raises
        ------
        FitError
            If the search does not end at a maximum.
        """
        if kept not in self._known:
            model = RestrictedModel(self._model, kept)
            nodes = self._estimate.nodes if model.design.groups else 1
            df = "between-within" if self._estimate.has_t_tests else "normal"
            approach = Approach.of_likelihood("refit", model.design, nodes, restricted=False, df=df)
            # At a boundary the gradient is zero, so that a search would not leave it.
            near = None if self._estimate.boundary else near_maximum(self._model, self._estimate, kept)
            self._known[kept] = model, search(model, approach, near, self._estimate.phi).maximum()
        return self._known[kept]


def term_ratios(
    fit: Fit, estimate: Estimate, comparisons: Sequence[TermComparison]
) -> dict[TermComparison, TermRatio | str]:
    """The likelihood ratio of each comparison, or why there is none."""
    maxima = Maxima(fit, estimate)
    found: dict[TermComparison, TermRatio | str] = {}
    for comparison in progress(comparisons, "Testing terms"):
        try:
            (smaller, below), (larger, above) = maxima.of(comparison.smaller), maxima.of(comparison.larger)
            statistic = ratio_statistic(below, above)
        except FitError as error:
            found[comparison] = str(error)
        else:
            gap = difference(smaller.design, larger.design)
            found[comparison] = TermRatio(comparison, smaller, larger, below, above, gap, statistic)
    return found


@dataclass(frozen=True)
class OfTerms:
    """Task that computes the likelihood ratio of one term in one replicate.

    Outcomes are simulated from the model without the term, with the same random numbers for all terms.

    Attributes
    ----------
    model : ModelSpec
        The whole model.
    ratios : tuple of TermRatio
    seed : int
    """

    model: ModelSpec
    ratios: tuple[TermRatio, ...]
    seed: int

    def __call__(self, number: int) -> dict[str, float]:
        """The statistic of a term in a replicate; `number` counts the terms of the first replicate first."""
        replicate, place = divmod(number, len(self.ratios))
        one, design = self.ratios[place], self.model.design
        parameters = Constrained.of(design, one.smaller_estimate, one.comparison.smaller)
        y = simulated_outcome(design, parameters, generator(self.seed, replicate))
        return {
            "statistic": ratio_of_refits(y, one.smaller, one.smaller_estimate, one.larger, one.larger_estimate),
        }


@dataclass(frozen=True)
class SimulatedRatios:
    """Likelihood ratios of each term in simulated data.

    Attributes
    ----------
    statistics : tuple of ndarray
        For each term, of the replicates with a result.
    failures : tuple of int
        For each term, the number of replicates without a result.
    """

    statistics: tuple[FloatArray, ...]
    failures: tuple[int, ...]

    @classmethod
    def of(cls, done: Done[list[float]], terms: int) -> SimulatedRatios:
        """From finished tasks."""
        return cls(
            tuple(
                np.array([done.results[number][0] for number in sorted(done.results) if number % terms == place])
                for place in range(terms)
            ),
            tuple(sum(number % terms == place for number in done.failures) for place in range(terms)),
        )


def simulated_ratios(
    fit: Fit,
    estimate: Estimate,
    ratios: Sequence[TermRatio],
    replicates: int,
    seed: int,
    executor: AnyExecutor | None,
    store: str | PathLike[str] | None,
) -> SimulatedRatios:
    """The distribution of each term's likelihood ratio in data simulated from the model without it."""
    labels = [one.comparison.label for one in ratios]
    study = identity(fit.model, estimate, seed, ["statistic"]) | {"terms": labels}
    task = OfTerms(fit.model, tuple(ratios), seed)
    done, _ = Checkpoint.of(store, study).completed(task, replicates * len(ratios), executor, "Simulating")
    warn_of_failures(done.failures, len(done.results) + len(done.failures), CONSEQUENCE)
    return SimulatedRatios.of(done, len(ratios))
