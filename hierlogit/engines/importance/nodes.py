"""How many quadrature nodes a marginal posterior needs, and how far more would change it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..maximum.integrator import MOST_NODES, integrator
from ..maximum.marginal_posterior import MarginalPosterior
from .proposal import mode_and_covariance, upper_factor

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: Nodes that are tried first.
FEWEST = 5
#: Points about the mode at which rules are compared, and the seed that chooses them.
POINTS, SEED = 12, 0
#: The sd of the difference of the log densities by a rule and by a finer one, over these points, that is small enough:
#: it moves no posterior mean by more than this share of its sd, less than the Monte Carlo error of a thousand draws.
SMALL = 0.02


def finer(nodes: int) -> int:
    """Nodes of the next rule; the same if there is none."""
    return min(nodes + nodes // 2 + 1, MOST_NODES)


def compared_with(nodes: int) -> int:
    """Nodes of the rule that a rule is compared with: the next one, or a coarser one if there is none."""
    return finer(nodes) if nodes < MOST_NODES else 2 * nodes // 3


def nodes_needed(model: ModelSpec) -> int:
    """The fewest nodes, of a sequence, with which finer quadrature does not change the posterior.

    Raises
    ------
    EngineError
        If quadrature cannot integrate out the model's random effects.
    """
    if not model.design.groups:
        return 1
    integrator(model.design, FEWEST)  # raises
    return fewest_nodes(partial(MarginalPosterior, model))


def fewest_nodes(rule: Callable[[int], MarginalPosterior]) -> int:
    """The fewest nodes, of a sequence, with which finer quadrature does not change the posterior.

    Parameters
    ----------
    rule : callable
        The posterior with a number of nodes.
    """
    nodes = FEWEST
    while nodes < MOST_NODES:
        mode, covariance = mode_and_covariance(rule(nodes))
        noise = np.random.default_rng(SEED).standard_normal((POINTS, len(mode)))
        change = changes_by_nodes(rule, nodes, mode + noise @ upper_factor(covariance).T)
        if float(np.std(change)) < SMALL and abs(float(np.mean(change))) < SMALL:
            break
        nodes = finer(nodes)
    return nodes


def integration_changes(model: ModelSpec, nodes: int, x: FloatArray) -> FloatArray:
    """Log densities by another rule minus those by `nodes` nodes, at vectors of shape (m, d); shape (m,).

    The other rule is that of `compared_with`.
    """
    if not model.design.groups:
        return np.zeros(len(x))
    return changes_by_nodes(partial(MarginalPosterior, model), nodes, x)


def changes_by_nodes(rule: Callable[[int], MarginalPosterior], nodes: int, x: FloatArray) -> FloatArray:
    """Log densities by another rule minus those by `nodes` nodes, at vectors of shape (m, d); shape (m,).

    The other rule is that of `compared_with`.
    """
    given, other = (rule(count).log_densities(x) for count in (nodes, compared_with(nodes)))
    return other - given
