"""Maximum likelihood by adaptive Gauss-Hermite quadrature."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ...display import ShownAsCall
from ...fits.arguments import require_model
from .fit_by_likelihood import check_options, fit_by_likelihood
from .search_result import Approach

if TYPE_CHECKING:
    from ...fits.fit import Fit
    from ...model_spec import ModelSpec


@dataclass(frozen=True, repr=False)
class AGQ(ShownAsCall):
    """Maximum likelihood, with the random effects integrated out by adaptive Gauss-Hermite quadrature.

    More accurate than Laplace's method for clusters with few rows, and as accurate as desired with enough nodes. For
    one grouping factor with up to three effects, or two nested factors with one effect each, ``(1 | a/b)``.

    Parameters
    ----------
    nodes : int
        Nodes in each dimension, 1 to 100. One node is Laplace's method.
    draws : int
        Draws of parameters and effects from the Gaussian approximation at the maximum, for verbs that need draws.
    seed : int, optional
        Another seed gives other draws; 0 if not given. The estimates do not depend on it.
    restricted : bool
        Whether to maximise the restricted likelihood, in which the fixed effects are integrated out too, by Laplace's
        method. Its sds are less biased with few clusters. As REML in lme4 and glmmTMB, it compares models with the same
        fixed effects only.
    df : {"between-within", "normal"}, optional
        Degrees of freedom of tests, intervals and draws of the fixed effects: Student's t distribution with
        between-within degrees of freedom, or the normal distribution. If not given, t if a grouping factor has fewer
        than 40 clusters, and otherwise normal.

    Raises
    ------
    EngineError
        If an option is not allowed, quadrature cannot integrate out the model's random effects, or the restricted
        likelihood does not exist, because outcomes are separated.

    References
    ----------
    Pinheiro and Bates (1995), Journal of Computational and Graphical Statistics 4: 12-35. Li and Redden (2015), BMC
    Medical Research Methodology 15: 38, for the degrees of freedom.

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
    restricted: bool = False
    df: str | None = None

    def __post_init__(self) -> None:
        check_options(self)

    def run[M: ModelSpec](self, model: M) -> Fit[M]:
        """Maximise the likelihood of `model`."""
        require_model(model)
        approach = Approach.of_likelihood("AGQ", model.design, self.nodes, restricted=self.restricted, df=self.df)
        settings = {name: value for name, value in asdict(self).items() if name != "seed"}
        return fit_by_likelihood(model, approach, self.draws, self.seed, settings)
