"""A marginal posterior -> draws of a proposal with importance weights, and draws of the posterior chosen by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ...fits.psis import psis
from ...progress import progress as shown
from ..maximum.marginal_posterior import MarginalPosterior
from .proposal import SplitT, upper_factor

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: Draws whose densities one thread computes in a row, from the same start: with any number of threads, the results are
#: the same to the last digit.
TOGETHER = 25
#: Share of draws that are worth as much as draws of the posterior, below which the proposal is adapted.
GOOD = 0.6
#: Draws from which moments are taken at least, and how many draws for each variable they have to be worth: a matrix of
#: moments of fewer says little, and that of a single one has no factor.
FEWEST_FOR_MOMENTS, WORTH = 500, 10.0
#: Share of the draws asked for that may be lost because draws with large weights are chosen only once.
LOST = 0.002
#: Times the draws asked for that are proposed at most.
MOST_TIMES = 10


def log_mean(logs: FloatArray) -> float:
    """Logarithm of the mean of values that are given by their logarithms."""
    top = float(logs.max())
    return top + float(np.log(np.mean(np.exp(logs - top))))


class Proposal(Protocol):
    """A distribution from which draws are proposed."""

    def points(self, uniform: FloatArray) -> FloatArray:
        """Points from uniform ones of shape (count, d + 1), shape (count, d)."""

    def log_density(self, x: FloatArray) -> FloatArray:
        """Normalised log density of vectors of shape (m, d), shape (m,)."""


@dataclass(frozen=True)
class Weighted:
    """Draws of proposals with importance weights.

    Attributes
    ----------
    x : ndarray, shape (m, d)
    log_ratio : ndarray, shape (m,)
        Log posterior density, not divided by the marginal likelihood, minus the log density of the draws.
    """

    x: FloatArray
    log_ratio: FloatArray

    @cached_property
    def _smoothed(self) -> tuple[FloatArray, float]:
        log_weights, k_hat = psis(self.log_ratio)
        return np.exp(log_weights), float(k_hat)

    @property
    def weights(self) -> FloatArray:
        """Pareto-smoothed weights, which sum to one; shape (m,)."""
        return self._smoothed[0]

    @property
    def pareto_k(self) -> float:
        """Pareto k-hat of the ratios."""
        return self._smoothed[1]

    @property
    def effective_size(self) -> float:
        """How many draws of the posterior the weighted draws are worth (Kish 1965)."""
        return float(1.0 / (self.weights**2).sum())

    @property
    def should_be_adapted(self) -> bool:
        """Whether a proposal with the moments of the weighted draws would do better, and these are known well."""
        return self.has_moments and self.effective_size < GOOD * len(self.x)

    @property
    def has_moments(self) -> bool:
        """Whether the moments of the weighted draws are known well."""
        return bool(WORTH * self.x.shape[1] <= self.effective_size)

    def within(self, prob: float) -> Weighted:
        """The draws with each variable cut off at the ends of its interval with this probability."""
        order = np.argsort(self.x, axis=0)
        shares = np.cumsum(self.weights[order], axis=0)
        ends = [
            np.take_along_axis(self.x, order, axis=0)[(shares < tail).sum(axis=0).clip(max=len(order) - 1), at]
            for tail in ((1 - prob) / 2, (1 + prob) / 2)
            for at in [np.arange(self.x.shape[1])]
        ]
        return Weighted(np.clip(self.x, *ends), self.log_ratio)

    @property
    def log_evidence(self) -> float:
        """Logarithm of the mean ratio: the log marginal likelihood of the model under its priors."""
        return log_mean(self.log_ratio)

    @property
    def log_evidence_error(self) -> float:
        """Monte Carlo standard error of `log_evidence`."""
        ratios = np.exp(self.log_ratio - self.log_ratio.max())
        return float(np.std(ratios, ddof=1) / np.mean(ratios) / np.sqrt(len(ratios)))

    def lost(self, draws: int) -> float:
        """Share of the weight that is lost where draws would be chosen more than once among so many."""
        return float(np.maximum(self.weights - 1 / draws, 0.0).sum())

    def chosen(self, draws: int, random: np.random.Generator) -> IntArray:
        """Numbers of distinct draws, each chosen with a probability in proportion to its weight.

        Systematic sampling in random order (Madow 1949, Annals of Mathematical Statistics 20: 333-354). Where a weight
        is so large that its draw would be chosen more than once, it is chosen for certain.
        """
        share = np.zeros(len(self.weights))
        certain, left = np.zeros(len(share), dtype=bool), draws
        while True:
            rest = np.where(certain, 0.0, self.weights)
            share = np.where(certain, 1.0, left * rest / max(rest.sum(), np.finfo(float).tiny))
            if not np.any(share > 1):
                break
            certain |= share >= 1
            left = draws - int(certain.sum())
        order = random.permutation(len(share))
        steps = np.floor(np.cumsum(share[order]) + random.uniform())
        picked = order[np.diff(steps, prepend=0.0) >= 1]
        return random.permutation(picked)[:draws]


def propose(
    densities: Callable[[FloatArray], FloatArray], proposal: SplitT, draws: int, seed: np.random.SeedSequence
) -> Iterator[Weighted]:
    """Weighted draws, more each time, until `draws` of them can be chosen for which hardly any should be repeated.

    Draws of the first proposal are followed, if few of them are worth anything, by draws of a second one with their
    weighted moments. Weights are relative to the mixture of both (Veach and Guibas 1995, SIGGRAPH: 419-428), so that
    neither can make them large where the other has draws.

    Parameters
    ----------
    densities : callable
        Log densities of vectors of shape (m, d), shape (m,).
    proposal : SplitT
    draws : int
    seed : numpy.random.SeedSequence

    Yields
    ------
    Weighted
        All draws so far.
    """
    random = np.random.default_rng(seed)
    proposals, counts = [proposal], [0]
    x, log_density = np.empty((0, len(proposal.centre))), np.empty(0)
    batch = max(draws, FEWEST_FOR_MOMENTS)
    while len(x) < MOST_TIMES * draws or not len(x):
        more = proposals[-1].draw(batch, random)
        x = np.concatenate([x, more])
        log_density = np.concatenate([log_density, densities(more)])
        counts[-1] += batch
        weighted = Weighted(x, log_density - log_mixture(proposals, counts, x))
        yield weighted
        if len(proposals) == 1 and weighted.should_be_adapted:
            proposals.append(adapted(weighted))
            counts.append(0)
        elif weighted.lost(draws) <= LOST:
            return


def adapted(weighted: Weighted) -> SplitT:
    """A proposal with the moments of weighted draws."""
    mean = weighted.weights @ weighted.x
    deviations = weighted.x - mean
    covariance = (deviations * weighted.weights[:, None]).T @ deviations
    ones = np.ones(len(mean))
    return SplitT(mean, upper_factor(covariance), ones, ones)


def log_mixture(proposals: Sequence[Proposal], counts: Sequence[int], x: FloatArray) -> FloatArray:
    """Log density of the mixture of proposals that have so many draws each, at vectors of shape (m, d)."""
    whole = sum(counts)
    logs = [np.log(count / whole) + one.log_density(x) for one, count in zip(proposals, counts, strict=True) if count]
    total: FloatArray = np.logaddexp.reduce(logs)
    return total


class Densities:
    """Log densities of many vectors, computed by several threads.

    Parameters
    ----------
    model : Model
    nodes : int
    centre : ndarray, shape (d,)
        Where the search for the modes of the random effects starts.
    cores : int
    """

    def __init__(self, model: ModelSpec, nodes: int, centre: FloatArray, cores: int) -> None:
        self._model, self._nodes, self._cores = model, nodes, cores
        first = MarginalPosterior(model, nodes)
        first.log_density(centre)
        self._modes = first.objective.modes()
        self._idle = [first]  # a thread that finds none makes its own
        self._stop = np.zeros(1, dtype=np.uint64)

    def of(self, x: FloatArray, *, progress: bool) -> FloatArray:
        """Log densities of vectors of shape (m, d), shape (m,).

        Raises
        ------
        KeyboardInterrupt
            Soon after an interruption.
        """
        parts = [x[start : start + TOGETHER] for start in range(0, len(x), TOGETHER)]
        self._stop[0] = 0
        with ThreadPoolExecutor(self._cores) as executor:
            try:
                done = executor.map(self._of_part, parts)
                what = "Weighing draws"
                return np.concatenate([*(shown(done, what, len(parts)) if progress else done)])
            finally:
                self._stop[0] = 1

    def _of_part(self, x: FloatArray) -> FloatArray:
        try:
            posterior = self._idle.pop()
        except IndexError:
            posterior = MarginalPosterior(self._model, self._nodes)
        try:
            posterior.objective.likelihood.work.u[:] = self._modes
            return posterior.log_densities(x, self._stop)
        finally:
            self._idle.append(posterior)
