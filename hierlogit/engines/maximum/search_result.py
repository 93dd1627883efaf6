"""How an engine integrates and what it maximises, and where its search ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...density.marginal.laplace import LaplaceLikelihood
from ...design.arrangement import Arrangement
from ...design.degrees_of_freedom import degrees_of_freedom
from ...errors import EngineError
from .flat_directions import bounded
from .integrator import integrator
from .objective import Likelihood, Objective, Point
from .optimizer import Optimum, maximise

if TYPE_CHECKING:
    from ...design.design import Design
    from ...estimate import Estimate

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Approach:
    """How an engine integrates and what it maximises.

    Attributes
    ----------
    engine : str
        The engine's name.
    nodes : int
        Quadrature nodes in each dimension; 1 for Laplace's method.
    penalised : bool
        Whether priors are part of what is maximised.
    restricted : bool
        Whether the fixed effects are integrated out too, while the covariances are estimated.
    df : ndarray, shape (p,)
        Degrees of freedom of the fixed effects, infinite for normal distributions.
    likelihood : callable
        Arrangement -> Likelihood.
    """

    engine: str
    nodes: int
    penalised: bool
    restricted: bool
    df: FloatArray
    likelihood: Callable[[Arrangement], Likelihood]

    @classmethod
    def of_posterior(cls, engine: str, design: Design, nodes: int) -> Approach:
        """The approach of an engine that maximises the posterior density of a design.

        Raises
        ------
        EngineError
            If quadrature with more than one node cannot integrate out the design's random effects.
        """
        normal = np.full(len(design.fixed_effects), np.inf)
        return cls(engine, nodes, True, False, normal, integrator(design, nodes))

    @classmethod
    def of_likelihood(cls, engine: str, design: Design, nodes: int, *, restricted: bool, df: str | None) -> Approach:
        """The approach of an engine that maximises the likelihood of a design, or its restricted likelihood.

        Raises
        ------
        EngineError
            If quadrature with more than one node cannot integrate out the design's random effects, or the restricted
            likelihood is requested for a design without any.
        """
        if restricted and design.sampling is not None:
            raise EngineError(
                "restricted=True: there is no restricted likelihood with sampling weights, as the fixed effects are "
                "integrated out of all clusters together, which have different weights. Leave it out."
            )
        if restricted and not design.groups:
            raise EngineError(
                "restricted=True: the model has no random effects, whose sds the restricted likelihood is for. Use "
                "model.fit('laplace')."
            )
        if restricted and design.outcome.family == "betabinomial":
            raise EngineError(
                "restricted=True: the restricted likelihood is for binomial outcomes, and this model's are "
                "beta-binomial. Leave it out."
            )
        values = degrees_of_freedom(design, df)
        if np.any(np.isfinite(values)) and design.sampling is not None and design.sampling.top is not None:
            values = np.minimum(values, len(design.sampling.clusters[design.sampling.top]) - 1.0)
        return cls(engine, nodes, False, restricted, values, integrator(design, nodes))

    @classmethod
    def like(cls, estimate: Estimate, design: Design) -> Approach:
        """The approach that led to an estimate of a design."""
        kinds = (estimate.penalised, estimate.restricted)
        return cls("refit", estimate.nodes, *kinds, estimate.df, integrator(design, estimate.nodes))


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Attributes
    ----------
    objective : Objective
    optimum : Optimum
    laplace : LaplaceLikelihood
        Laplace's method at the optimum, for modes, variances and draws.
    infinite : tuple of str
        Fixed effects whose estimates are infinite: the estimate is then merely where the search stopped.
    unidentified : ndarray of int
        Positions of parameters in which the likelihood is flat.
    model_covariance : ndarray or None
        The inverse of the observed information where the covariance at the optimum is another, for sampling weights.
    """

    objective: Objective
    optimum: Optimum
    laplace: LaplaceLikelihood
    infinite: tuple[str, ...]
    unidentified: npt.NDArray[np.intp]
    model_covariance: FloatArray | None = None

    @classmethod
    def of(cls, objective: Objective, start: Point, scale: FloatArray) -> SearchResult:
        """Maximise an objective; the arguments are those of `maximise`."""
        found = bounded(objective, maximise(objective, start, scale))
        laplace = objective.laplace_at(found.optimum.point.psi, found.optimum.modes)
        return cls(objective, found.optimum, laplace, found.infinite, found.unidentified)
