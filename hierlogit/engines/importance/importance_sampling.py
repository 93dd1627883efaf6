"""Importance sampling of the posterior of the parameters, with the random effects integrated out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...display import ShownAsCall
from ...errors import EngineError
from ...fits.arguments import NO_POSTERIOR, refuse_sampling_weights, require_model
from ...fits.findings import Finding
from ...fits.fit import Fit
from ...fits.posterior import values_per_draw
from ...fits.psis import khat_threshold
from ...python_process import usable_cores
from ...validation import flag, refuse_beyond_memory, seed_or_new, seed_or_none, whole_number
from ..maximum.fit_by_likelihood import LEAST_DRAWS
from ..maximum.integrator import MOST_NODES, integrator
from ..maximum.marginal_posterior import MarginalPosterior
from ..nuts.nuts import NUTS, sampled_instead
from ..stages import Stages
from .finished_fit import Options, finished_fit, weighted_draws
from .nodes import nodes_needed
from .proposal import at_mode

if TYPE_CHECKING:
    from ...model_spec import ModelSpec
    from .weighting import Weighted

#: Chains of NUTS where the weights are not reliable, and the fewest draws of each.
CHAINS, LEAST_PER_CHAIN = 4, 250
MOST_CORES = 10_000


@dataclass(frozen=True, repr=False)
class ImportanceSampling(ShownAsCall):
    """Independent draws from the posterior, by importance sampling with the random effects integrated out.

    The posterior density of fixed effects, sds and correlations alone has a few variables, however many clusters there
    are. Draws of a t distribution at its mode are weighted by this density, computed by adaptive Gauss-Hermite
    quadrature; draws of the posterior are chosen by the Pareto-smoothed weights, without repeating any, and the cluster
    effects are drawn from their exact distribution given them. The draws are in no order, so that they are one chain.
    For one grouping factor with up to three effects, two nested factors with one effect each, ``(1 | a/b)``, and models
    without random effects.

    Where the Pareto k-hat of the weights is above 0.7, they are not reliable: the posterior is then sampled by
    `hierlogit.NUTS`, and a finding says so.

    Parameters
    ----------
    draws : int
        Draws of the posterior. A few times as many are proposed.
    nodes : int, optional
        Quadrature nodes in each dimension, 2 to 100. If not given, the fewest with which finer quadrature does not
        change the posterior.
    seed : int, optional
        Repeats the draws exactly. If not given, a random seed is drawn and kept in the fit's diagnostics.
    cores : int, optional
        Threads; by default as many as the machine has cores. The draws do not depend on it.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    EngineError
        If an option is out of range, or quadrature cannot integrate out the model's random effects.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), Journal of Machine Learning Research 25(72).

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"))
    >>> fit = model.fit(hl.ImportanceSampling(seed=1))
    >>> fit.diagnostics.measures["pareto_k"] < 0.7
    True
    """

    draws: int = 1000
    nodes: int | None = None
    seed: int | None = None
    cores: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        name = type(self).__name__
        checked: dict[str, object] = {
            "draws": whole_number(f"{name}: draws", self.draws, EngineError, least=LEAST_DRAWS),
            "seed": seed_or_none(f"{name}: seed", self.seed, EngineError),
            "progress": flag(f"{name}: progress", self.progress, EngineError),
        }
        if self.nodes is not None:
            checked["nodes"] = whole_number(f"{name}: nodes", self.nodes, EngineError, least=2, most=MOST_NODES)
        if self.cores is not None:
            checked["cores"] = whole_number(f"{name}: cores", self.cores, EngineError, least=1, most=MOST_CORES)
        for option, value in checked.items():
            object.__setattr__(self, option, value)

    def run[M: ModelSpec](self, model: M) -> Fit[M]:
        """Draw from the posterior of `model`.

        An interruption keeps the draws that have been proposed, if their weights are reliable.
        """
        require_model(model)
        if model.overdispersed:
            raise EngineError(
                "importance sampling integrates the effects out by quadrature, which is for binomial outcomes, and "
                "this model's are beta-binomial: use hl.NUTS()."
            )
        refuse_sampling_weights(model, "hl.ImportanceSampling()", NO_POSTERIOR, EngineError)
        refuse_beyond_memory("ImportanceSampling: draws", self.draws, values_per_draw(model), EngineError)
        if model.design.groups:
            integrator(model.design, 2)  # refuses random effects that quadrature cannot integrate out
        stages, seed = Stages("locate"), seed_or_new(self.seed, EngineError)
        cores = self.cores or usable_cores()
        nodes = self.nodes if self.nodes is not None and model.design.groups else nodes_needed(model)
        options = Options(self.draws, nodes, seed, cores, self.progress)
        proposal = at_mode(MarginalPosterior(model, nodes))
        stages.begin("weigh")
        weighted, interrupted = weighted_draws(model, proposal, options)
        if weighted.pareto_k > khat_threshold(len(weighted.x)):
            if interrupted:  # whoever stopped this engine does not want another one to start
                raise KeyboardInterrupt
            return self._sampled_instead(model, seed, weighted)
        return finished_fit(model, options, weighted, stages, interrupted=interrupted)

    def _sampled_instead[M: ModelSpec](self, model: M, seed: int, weighted: Weighted) -> Fit[M]:
        """A fit by NUTS, with a finding that says why."""
        per_chain = max(math.ceil(self.draws / CHAINS), LEAST_PER_CHAIN)
        engine = NUTS(draws=per_chain, chains=CHAINS, cores=self.cores, seed=seed, progress=self.progress)
        fit = sampled_instead(model, engine, type(self).__name__)
        limit = khat_threshold(len(weighted.x))
        note = Finding(
            "engine_changed",
            "note",
            f"The Pareto k-hat of the importance weights is {weighted.pareto_k:.2f}; it should be at most {limit:.2f}.",
            f"The posterior was sampled by NUTS instead, with {CHAINS} chains of {per_chain:,} draws.",
        )
        diagnostics = replace(fit.diagnostics, findings=(*fit.diagnostics.findings, note))
        return Fit(fit.model, fit.data, diagnostics)
