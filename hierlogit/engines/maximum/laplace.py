"""Maximum likelihood by Laplace's method."""

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
class Laplace(ShownAsCall):
    """Maximum likelihood, with the random effects integrated out by Laplace's method, as lme4's ``glmer`` does.

    For any formula: nested and crossed factors, several correlated effects. Priors are ignored. The approximation is
    good where clusters have many rows, and poor where they have few and differ much, which a finding then reports.

    Parameters
    ----------
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
        If an option is not allowed, or the restricted likelihood does not exist: the model has no random effects, or
        outcomes are separated.

    References
    ----------
    Bates, Maechler, Bolker and Walker (2015), Journal of Statistical Software 67 (1). Li and Redden (2015), BMC Medical
    Research Methodology 15: 38, for the degrees of freedom.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ urban + (1 + urban | district)", hl.datasets.load("contraception"))
    >>> fit = model.fit(hl.Laplace(seed=1))
    >>> [round(float(value), 3) for value in fit.estimate.beta]
    [-0.718, 0.741]
    """

    draws: int = 1000
    seed: int | None = None
    restricted: bool = False
    df: str | None = None

    def __post_init__(self) -> None:
        check_options(self)

    def run[M: ModelSpec](self, model: M) -> Fit[M]:
        """Maximise the likelihood of `model`."""
        require_model(model)
        approach = Approach.of_likelihood("Laplace", model.design, 1, restricted=self.restricted, df=self.df)
        settings = {name: value for name, value in asdict(self).items() if name != "seed"}
        return fit_by_likelihood(model, approach, self.draws, self.seed, settings)
