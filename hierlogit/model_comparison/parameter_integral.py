"""The integral of a marginal posterior density over the parameters, by importance sampling at quasi-random points.

Points that fill the space evenly give the integral of a smooth function of a few variables with a smaller error than
independent ones. They are randomised several times, independently, and the differences between the means of these
replicates give the Monte Carlo error (Owen 1997, Annals of Statistics 25: 1541-1562).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..display import Shown, View
from ..engines.importance.proposal import DEGREES, SplitT, at_mode
from ..engines.importance.weighting import Densities, Weighted, adapted, log_mean
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

    Where it is not near enough, half of the points are those of a second one with the moments of the density.

    Parameters
    ----------
    model : Model
    nodes : int
        Quadrature nodes for the random effects.
    draws : int
        Rounded up to `REPLICATES` times a power of two, which is best for the points.
    seed : int
    """
    for_first, for_points = np.random.SeedSequence(seed).spawn(2)
    proposals = [at_mode(MarginalPosterior(model, nodes))]
    centre = proposals[0].centre
    densities = Densities(model, nodes, centre, 1)
    first = _points(proposals[0], uniform_points(FIRST_POINTS, len(centre) + 1, for_first))
    weighted = Weighted(first, densities.of(first, progress=False) - proposals[0].log_density(first))
    if weighted.should_be_adapted:
        proposals.append(adapted(weighted))
    each = 2 ** int(np.ceil(np.log2(max(draws / REPLICATES / len(proposals), 1))))
    points = np.concatenate(
        [
            _points(proposal, uniform_points(each, len(centre) + 1, one))
            for replicate in for_points.spawn(REPLICATES)
            for proposal, one in zip(proposals, replicate.spawn(len(proposals)), strict=True)
        ]
    )
    # Relative to the mixture, neither proposal can make weights large where the other has points.
    mixture = np.logaddexp.reduce([proposal.log_density(points) for proposal in proposals]) - np.log(len(proposals))
    return Integral(points, densities.of(points, progress=True) - mixture)


def uniform_points(count: int, dimensions: int, seed: np.random.SeedSequence) -> FloatArray:
    """Scrambled Sobol points, a power of two of them, strictly between 0 and 1; shape (count, dimensions)."""
    from scipy.stats.qmc import Sobol

    least = np.finfo(np.float64).eps
    points: FloatArray = Sobol(dimensions, rng=np.random.default_rng(seed)).random(count)
    return np.clip(points, least, 1 - least)


def _points(proposal: SplitT, uniform: FloatArray) -> FloatArray:
    """Points of a proposal with d variables from uniform ones of shape (count, d + 1)."""
    from scipy.special import chdtri, ndtri

    u, spread = uniform[:, :-1], np.sqrt(DEGREES / chdtri(DEGREES, uniform[:, -1:]))
    below = proposal.below / (proposal.below + proposal.above)
    # The probability of a side is in proportion to its scale.
    is_below = u < below
    normal = ndtri(np.where(is_below, 0.5 * u / below, 0.5 + 0.5 * (u - below) / (1 - below)))
    v = normal * spread * np.where(is_below, proposal.below, proposal.above)
    points: FloatArray = proposal.centre + v @ proposal.factor.T
    return points
