"""How an engine integrates and what it maximises, and where its search ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...density.marginal.laplace import LaplaceLikelihood
from ...design.arrangement import Arrangement
from .integrator import integrator
from .objective import Likelihood, Objective
from .optimizer import Optimum

if TYPE_CHECKING:
    from ...design.design import Design


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
    problem : Objective
    peak : Optimum
    laplace : LaplaceLikelihood
        Evaluated at the peak, for modes, variances and draws.
    """

    problem: Objective
    peak: Optimum
    laplace: LaplaceLikelihood
