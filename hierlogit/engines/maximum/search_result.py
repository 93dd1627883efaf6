"""How an engine integrates and what it maximises, and where its search ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...density.marginal.laplace import LaplaceLikelihood
from ...design.arrangement import Arrangement
from .flat_directions import bounded
from .integrator import integrator
from .objective import Likelihood, Objective, Point
from .optimizer import Optimum, maximise

if TYPE_CHECKING:
    from ...design.design import Design

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
    likelihood : callable
        Arrangement -> Likelihood.
    """

    engine: str
    nodes: int
    penalised: bool
    likelihood: Callable[[Arrangement], Likelihood]

    @classmethod
    def of(cls, engine: str, design: Design, nodes: int, *, penalised: bool) -> Approach:
        """The approach of an engine to a design, with the likelihood that the number of nodes stands for.

        Raises
        ------
        EngineError
            If quadrature with more than one node cannot integrate out the design's random effects.
        """
        return cls(engine, nodes, penalised, integrator(design, nodes))


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
    """

    objective: Objective
    optimum: Optimum
    laplace: LaplaceLikelihood
    infinite: tuple[str, ...]
    unidentified: npt.NDArray[np.intp]

    @classmethod
    def of(cls, objective: Objective, start: Point, scale: FloatArray) -> SearchResult:
        """Maximise an objective; the arguments are those of `maximise`."""
        found = bounded(objective, maximise(objective, start, scale))
        laplace = objective.laplace_at(found.optimum.point.psi, found.optimum.modes)
        return cls(objective, found.optimum, laplace, found.infinite, found.unidentified)
