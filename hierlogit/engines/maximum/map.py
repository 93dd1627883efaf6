"""The mode of the marginal posterior density."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ...display import ShownAsCall
from ...errors import EngineError
from ...fits.arguments import NO_POSTERIOR, refuse_sampling_weights, require_model
from .fit_by_likelihood import check_options, fit_by_likelihood
from .search_result import Approach

if TYPE_CHECKING:
    from ...fits.fit import Fit
    from ...model_spec import ModelSpec


@dataclass(frozen=True, repr=False)
class MAP(ShownAsCall):
    """Maximum of the marginal likelihood times the prior density of fixed effects, sds and correlations.

    The random effects are integrated out, by Laplace's method or by quadrature: this is not the joint mode of
    parameters and effects, whose sds collapse or diverge. Priors are those of the model. They keep estimates finite
    despite separation, and away from the boundary if the prior of an sd vanishes at zero.

    Parameters
    ----------
    nodes : int
        Quadrature nodes in each dimension; 1 is Laplace's method, for any random effects.
    draws : int
        Draws of parameters and effects from the Gaussian approximation at the mode, for verbs that need draws.
    seed : int, optional
        Another seed gives other draws; 0 if not given. The estimates do not depend on it.

    Raises
    ------
    EngineError
        If an option is out of range, or quadrature cannot integrate out the model's random effects.

    References
    ----------
    Chung, Rabe-Hesketh, Dorie, Gelman and Liu (2013), Psychometrika 78: 685-709.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("p(successes, size) ~ period + (1 + period | herd)", hl.datasets.load("cbpp"))
    >>> model.fit(hl.MAP(seed=1)).estimate.penalised
    True
    """

    nodes: int = 1
    draws: int = 1000
    seed: int | None = None

    def __post_init__(self) -> None:
        check_options(self)

    def run[M: ModelSpec](self, model: M) -> Fit[M]:
        """Maximise the marginal posterior density of `model`."""
        require_model(model)
        refuse_sampling_weights(model, "hl.MAP()", NO_POSTERIOR, EngineError)
        approach = Approach.of_posterior("MAP", model.design, self.nodes)
        settings = {name: value for name, value in asdict(self).items() if name != "seed"}
        return fit_by_likelihood(model, approach, self.draws, self.seed, settings)
