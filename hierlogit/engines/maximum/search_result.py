"""How an engine integrates and what it maximises, and where its search ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...density.marginal.laplace import LaplaceLikelihood
from ...design.arrangement import Arrangement
from .objective import Likelihood, Objective
from .optimizer import Optimum

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Approach:
    """How an engine integrates and what it maximises.

    Attributes
    ----------
    engine : str
        The engine's name.
    method : str
        How the random effects are integrated out, in words.
    nodes : int
        Quadrature nodes in each dimension; 1 for Laplace's method.
    penalised : bool
        Whether priors are part of what is maximised.
    likelihood : callable
        Arrangement -> Likelihood.
    """

    engine: str
    method: str
    nodes: int
    penalised: bool
    likelihood: Callable[[Arrangement], Likelihood]


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
