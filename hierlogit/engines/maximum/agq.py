"""Maximum likelihood by adaptive Gauss-Hermite quadrature."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from .fit_by_likelihood import check_draws, fit_by_likelihood
from .integrator import check_nodes
from .search_result import Approach

if TYPE_CHECKING:
    from ...fits.fit import Fit
    from ...model_spec import ModelSpec


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

    def run[M: ModelSpec](self, model: M) -> Fit[M]:
        """Maximise the likelihood of `model`."""
        approach = Approach.of("AGQ", model.design, self.nodes, penalised=False)
        settings = {name: value for name, value in asdict(self).items() if name != "seed"}
        return fit_by_likelihood(model, approach, self.draws, self.seed, settings)
