"""Which quadrature a design's random effects allow, and the likelihood by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...density.marginal import gauss_hermite, nested_gauss_hermite
from ...density.marginal.fixed_effects import columns_times, cross_with_effects
from ...density.marginal.gauss_hermite import QuadratureLikelihood
from ...density.marginal.laplace_gradient import differentiate
from ...density.marginal.nested_gauss_hermite import NestedQuadratureLikelihood
from ...density.marginal.overdispersed_laplace import laplace_likelihood
from ...design.arrangement import Arrangement, OneFactorRowIndex
from ...errors import EngineError
from ...estimate import Estimate
from ...model_spec import ModelSpec
from ...validation import number_of, quoted_list
from .objective import Likelihood, Objective

if TYPE_CHECKING:
    from ...design.design import Design

MOST_NODES = 100
#: Effects per level that a product rule is offered for.
MOST_EFFECTS = 3


def integrator(
    design: Design, nodes: int, otherwise: str = "hl.Laplace() and hl.NUTS()"
) -> Callable[[Arrangement], Likelihood]:
    """The likelihood of a design by quadrature with that many nodes, or by Laplace's method with one node.

    Parameters
    ----------
    design : Design
    nodes : int
    otherwise : str
        The engines that take any random effects, for the message.

    Raises
    ------
    EngineError
        If quadrature cannot integrate out the design's random effects; the message names the engines that can.
    """
    sampling = design.sampling
    if nodes == 1:
        if sampling is not None and sampling.inner:
            raise EngineError(
                f"Laplace's method takes sampling weights of rows and of clusters of '{sampling.top}', the top level, "
                f"but not of {quoted_list(sampling.inner)}. Use hl.AGQ(nodes=25), which takes them for two nested "
                "factors with one effect each, (1 | a/b)."
            )
        return laplace_likelihood
    if design.outcome.family == "betabinomial":
        raise EngineError(
            "quadrature is for binomial outcomes, and this model's are beta-binomial: use hl.Laplace(), hl.MAP() with "
            "nodes=1, or hl.NUTS()."
        )
    groups = design.groups
    effects = [len(group.effects) for group in groups]
    if _is_single(design):
        return lambda arrangement: QuadratureLikelihood(arrangement, nodes)
    if _is_nested(design):
        return lambda arrangement: NestedQuadratureLikelihood(arrangement, nodes)
    if not groups:
        raise EngineError("the model has no random effects to integrate out: use model.fit('laplace').")
    has = ", ".join(
        f"'{group.name}' with {number_of(count, 'effect')}" for group, count in zip(groups, effects, strict=True)
    )
    raise EngineError(
        f"quadrature needs one grouping factor with up to {MOST_EFFECTS} effects, or two nested factors with one "
        f"effect each, (1 | a/b); this model has {has}. {otherwise} take any random effects."
    )


def _is_single(design: Design) -> bool:
    return len(design.groups) == 1 and len(design.groups[0].effects) <= MOST_EFFECTS


def _is_nested(design: Design) -> bool:
    groups = design.groups
    if [len(group.effects) for group in groups] != [1, 1]:
        return False
    return groups[0].nested_in(groups[1]) or groups[1].nested_in(groups[0])


def compiled_later(design: Design) -> tuple[Any, ...]:
    """Compiled functions that a fit needs last, about half of the work besides that which finds the modes.

    A fit by Laplace's method is compared with quadrature where that is possible.
    """
    if design.outcome.family == "betabinomial":
        return ()
    last: tuple[Any, ...] = (columns_times, cross_with_effects)
    if len(design.groups) > 1:
        return (nested_gauss_hermite.integrate, *last) if _is_nested(design) else (differentiate,)
    kernels: tuple[Any, ...] = (gauss_hermite.integrate, *last) if _is_single(design) else (differentiate,)
    return tuple(one.taking(OneFactorRowIndex) for one in kernels)


def likelihood_at(model: ModelSpec, estimate: Estimate, nodes: int) -> Likelihood:
    """The likelihood with that many nodes, evaluated at an estimate."""
    likelihood = integrator(model.design, nodes)(model.arrangement)
    objective = Objective(model, likelihood, penalised=False)
    objective.evaluate(objective.at(estimate))
    return likelihood
