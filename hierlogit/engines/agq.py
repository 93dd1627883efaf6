"""Maximum likelihood by adaptive Gauss-Hermite quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import TYPE_CHECKING

from ..density.layout import Arrangement
from ..density.marginal import LaplaceLikelihood
from ..density.nested_quadrature import NestedQuadratureLikelihood
from ..density.quadrature import QuadratureLikelihood
from ..errors import EngineError
from ..table import listed
from .likelihood import Approach, check_draws, fit_by_likelihood
from .problem import Likelihood

if TYPE_CHECKING:
    from ..design import Design
    from ..fit import Fit
    from ..model import Model

MOST_NODES = 100
#: Effects per level that a product rule is offered for.
MOST_EFFECTS = 3


@dataclass(frozen=True)
class AGQ:
    """Maximum likelihood, with the random effects integrated out by adaptive Gauss-Hermite quadrature.

    Exact up to the number of nodes, where Laplace's method is an approximation: for clusters of few rows. For one
    grouping factor with up to three effects, and for two nested factors with one effect each, ``(1 | a/b)``.

    Parameters
    ----------
    nodes : int
        Nodes in each dimension, 1 to 100. One node is Laplace's method.
    draws : int
        Draws of parameters and effects from the Gaussian approximation at the maximum, for verbs that need draws.
    seed : int, optional
        Repeats the draws exactly; the estimates do not depend on it.

    Raises
    ------
    EngineError
        If an option is out of its range, or the model's random effects are not of a kind that quadrature can do.

    References
    ----------
    Pinheiro and Bates (1995), Journal of Computational and Graphical Statistics 4: 12-35.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("outcome ~ treatment * time + (1 | patientID)", hl.datasets.load("toenail"))
    >>> fit = model.fit(hl.AGQ(nodes=25, seed=1))
    >>> round(fit.estimate.log_likelihood, 2)
    -625.42
    """

    nodes: int = 25
    draws: int = 1000
    seed: int | None = None

    def __post_init__(self) -> None:
        check_nodes("AGQ", self.nodes)
        check_draws("AGQ", self.draws, self.seed)

    def run(self, model: Model) -> Fit:
        """Maximise the likelihood of `model`."""
        likelihood = integrator(model.design, self.nodes)
        approach = Approach("AGQ", f"quadrature with {self.nodes} nodes", self.nodes, False, likelihood)
        settings = {name: value for name, value in asdict(self).items() if name != "seed"}
        return fit_by_likelihood(model, approach, self.draws, self.seed, settings)


def check_nodes(engine: str, nodes: object) -> None:
    """Refuse a number of nodes that cannot be used.

    Raises
    ------
    EngineError
    """
    if not isinstance(nodes, Integral) or isinstance(nodes, bool) or not 1 <= nodes <= MOST_NODES:
        raise EngineError(f"{engine}: nodes={nodes!r} must be a whole number from 1 to {MOST_NODES}.")


def integrator(design: Design, nodes: int) -> Callable[[Arrangement], Likelihood]:
    """The likelihood of a design by quadrature with that many nodes; by Laplace's method with one.

    Raises
    ------
    EngineError
        If the random effects are not of a kind that quadrature can do; says what can.
    """
    if nodes == 1:
        return LaplaceLikelihood
    groups = design.groups
    effects = [len(group.effects) for group in groups]
    if len(groups) == 1 and effects[0] <= MOST_EFFECTS:
        return lambda arrangement: QuadratureLikelihood(arrangement, nodes)
    if len(groups) == 2 and effects == [1, 1] and _nested(design):
        return lambda arrangement: NestedQuadratureLikelihood(arrangement, nodes)
    if not groups:
        raise EngineError('the model has no random effects to integrate out: use model.fit("laplace").')
    has = listed([f"{group.name} with {count} effects" for group, count in zip(groups, effects, strict=True)])
    raise EngineError(
        f"quadrature with {nodes} nodes is for one grouping factor with up to {MOST_EFFECTS} effects, or for two nested "
        f"factors with one effect each, (1 | a/b); this model has {has}. hl.Laplace() and hl.NUTS() take any random "
        "effects."
    )


def _nested(design: Design) -> bool:
    """Whether each level of one of two factors lies in one level of the other."""
    first, second = design.groups
    pairs = len(set(zip(first.index.tolist(), second.index.tolist(), strict=True)))
    return pairs == max(len(first.levels), len(second.levels))
