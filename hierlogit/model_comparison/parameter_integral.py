"""The integral of a marginal posterior density over the parameters, by importance sampling at quasi-random points.

Points that fill the space evenly give the integral of a smooth function of a few variables with a smaller error than
independent ones. They are randomised several times, independently, and the differences between the means of these
replicates give the Monte Carlo error (Owen 1997, Annals of Statistics 25: 1541-1562).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.random import SeedSequence

from ..display import Shown, View
from ..engines.importance.proposal import SplitT, at_mode
from ..engines.importance.weighting import Densities, Proposal, Weighted, adapted, log_mean, log_mixture
from ..engines.importance.wide_proposal import WideProposal
from ..engines.maximum.marginal_posterior import MarginalPosterior
from ..fits.psis import psis
from ..formatting import fixed
from ..model_spec import ModelSpec
from ..validation import number_of

FloatArray = npt.NDArray[np.float64]

#: Independent randomisations of the points.
REPLICATES = 16
#: Points from whose weighted moments a second proposal is made, if few of them are worth as much as draws of the
#: density itself.
FIRST_POINTS = 512
#: Points of the wide proposal by which the usual one is judged, and how many more there are if it misses something.
WIDE_POINTS = (256, 1024)
#: Share of the integral where the density of the wide proposal is above that of the usual one, above which it is used.
MISSED = 0.1
#: Central probability of each variable from which moments are taken where the tails are heavy.
CENTRAL = 0.9


@dataclass(frozen=True, repr=False)
class Integral(Shown):
    """The integral of a density over its variables.

    Attributes
    ----------
    points : ndarray, shape (draws, d)
        One randomisation after the other, of the same size.
    log_ratio : ndarray, shape (draws,)
        Log density less that of the proposal.
    """

    points: FloatArray
    log_ratio: FloatArray

    @property
    def log_value(self) -> float:
        """Logarithm of the integral, the mean ratio."""
        return log_mean(self.log_ratio)

    @property
    def error(self) -> float:
        """Monte Carlo standard error of `log_value`."""
        means = np.exp(self.log_ratio - self.log_ratio.max()).reshape(REPLICATES, -1).mean(axis=1)
        return float(means.std(ddof=1) / np.sqrt(REPLICATES) / means.mean())

    @property
    def pareto_k(self) -> float:
        """Pareto k-hat of the ratios."""
        return float(psis(self.log_ratio)[1])

    def _view(self) -> View:
        size = f"{len(self.points):,} points of {number_of(self.points.shape[1], 'variable')}"
        return View(f"Integral of a posterior density, from {size}: logarithm {fixed(self.log_value, 3)}")

    def of_density_times(self, log_factor: FloatArray) -> Integral:
        """The integral of the density times a function, whose logarithms at the points are given."""
        return Integral(self.points, self.log_ratio + log_factor)


def integral_over_parameters(model: ModelSpec, nodes: int, draws: int, seed: int) -> Integral:
    """The integral of prior times marginal likelihood, by points of a t distribution at its mode.

    Where it is not near enough, as many points are those of a second one with the moments of the density; and where it
    misses some of it, as many are those of a distribution as wide as the priors.

    Parameters
    ----------
    model : Model
    nodes : int
        Quadrature nodes for the random effects.
    draws : int
        Rounded up to `REPLICATES` times a power of two for each distribution, which is best for the points.
    seed : int
    """
    for_first, for_points, for_wide = SeedSequence(seed).spawn(3)
    posterior = MarginalPosterior(model, nodes)
    usual, wide = at_mode(posterior), WideProposal.of(model, posterior.variables)
    densities = Densities(model, nodes, usual.centre, 1)
    proposals = _chosen(usual, wide, densities, for_first, for_wide)
    each = 2 ** int(np.ceil(np.log2(max(draws / REPLICATES / len(proposals), 1))))
    points = np.concatenate(
        [
            proposal.points(uniform_points(each, posterior.n_dim + 1, one))
            for replicate in for_points.spawn(REPLICATES)
            for proposal, one in zip(proposals, replicate.spawn(len(proposals)), strict=True)
        ]
    )
    # Relative to the mixture, no proposal can make weights large where another has points.
    mixture = log_mixture(proposals, [each] * len(proposals), points)
    return Integral(points, densities.of(points, progress=True) - mixture)


def _chosen(
    usual: SplitT, wide: WideProposal, densities: Densities, for_first: SeedSequence, for_wide: SeedSequence
) -> Sequence[Proposal]:
    """The proposals whose points are used."""
    dimensions = len(usual.centre) + 1
    first = usual.points(uniform_points(FIRST_POINTS, dimensions, for_first))
    log_density = densities.of(first, progress=False)
    few, many = (
        uniform_points(size, dimensions, one) for size, one in zip(WIDE_POINTS, for_wide.spawn(2), strict=True)
    )
    points = wide.points(few)
    x, values = np.concatenate([first, points]), np.concatenate([log_density, densities.of(points, progress=False)])
    both: list[Proposal] = [usual, wide]
    counts = [len(first), len(points)]
    weights = Weighted(x, values - log_mixture(both, counts, x)).weights
    if weights[wide.log_density(x) > usual.log_density(x)].sum() <= MISSED:
        weighted = Weighted(first, log_density - usual.log_density(first))
        return [usual, adapted(weighted)] if weighted.should_be_adapted else [usual]
    points = wide.points(many)
    x, values = np.concatenate([x, points]), np.concatenate([values, densities.of(points, progress=False)])
    counts[1] += len(points)
    weighted = Weighted(x, values - log_mixture(both, counts, x))
    # Tails may have no moments.
    return [*both, adapted(weighted.within(CENTRAL))] if weighted.has_moments else both


def uniform_points(count: int, dimensions: int, seed: SeedSequence) -> FloatArray:
    """Scrambled Sobol points, a power of two of them, strictly between 0 and 1; shape (count, dimensions)."""
    from scipy.stats.qmc import Sobol

    least = np.finfo(np.float64).eps
    points: FloatArray = Sobol(dimensions, rng=np.random.default_rng(seed)).random(count)
    return np.clip(points, least, 1 - least)
