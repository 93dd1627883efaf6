"""Weighted draws of the parameters -> draws of the posterior with cluster effects, findings and a fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import ConvergenceWarning, warn
from ...fits.diagnostics import Diagnostics, versions
from ...fits.findings import Finding, status_of, warning_text
from ...fits.fit import Fit
from ...fits.identification import findings_of_model
from ...fits.posterior import assemble
from ..maximum.conditional_effects import conditional_effects
from ..maximum.gaussian_draws import posterior_of
from ..maximum.integrator import MOST_NODES
from ..maximum.marginal_posterior import MarginalPosterior
from .nodes import compared_with, finer, integration_changes
from .weighting import Densities, Weighted, propose

if TYPE_CHECKING:
    import xarray as xr

    from ...model_spec import ModelSpec
    from ..stages import Stages
    from .proposal import SplitT

FloatArray = npt.NDArray[np.float64]

#: The least effective size of the weighted draws that is no finding.
LEAST_EFFECTIVE = 400
#: Draws at which the integration is checked afterwards, and the sd of the changes there that is a finding.
CHECKED, LARGE_CHANGE = 25, 0.1


@dataclass(frozen=True)
class Options:
    """Options of one run; those of `hierlogit.ImportanceSampling` have the same names. Every default is filled in."""

    draws: int
    nodes: int
    seed: int
    cores: int
    progress: bool

    def settings(self) -> dict[str, Any]:
        """The options for a fit's diagnostics, which hold the seed apart."""
        return {name: value for name, value in asdict(self).items() if name != "seed"}

    def seeds(self) -> list[np.random.SeedSequence]:
        """Seeds for the weighted draws, for choosing among them, and for the cluster effects."""
        return np.random.SeedSequence(self.seed).spawn(3)


def weighted_draws(model: ModelSpec, proposal: SplitT, options: Options) -> tuple[Weighted, bool]:
    """Weighted draws of the parameters, and whether an interruption ended them early.

    Raises
    ------
    KeyboardInterrupt
        If there are none yet.
    """
    weighted = None
    try:
        densities = Densities(model, options.nodes, proposal.centre, options.cores)
        of_draws = partial(densities.of, progress=options.progress)
        for weighted in propose(of_draws, proposal, options.draws, options.seeds()[0]):  # noqa: B007  the last are kept
            pass
    except KeyboardInterrupt:
        if weighted is None:
            raise
        return weighted, True
    assert weighted is not None
    return weighted, False


def finished_fit[M: ModelSpec](
    model: M, options: Options, weighted: Weighted, stages: Stages, *, interrupted: bool
) -> Fit[M]:
    """The fit of weighted draws, with its diagnostics.

    Parameters
    ----------
    model : Model
    options : Options
    weighted : Weighted
    stages : Stages
        Its current stage ends here.
    interrupted : bool
        Whether there are fewer weighted draws than were wanted.
    """
    x = chosen_draws(weighted, options)
    stages.begin("effects")
    posterior = _posterior(model, x, options, options.seeds()[2])
    stages.begin("check")
    measures = measures_of(weighted, integration_changes(model, options.nodes, x[:CHECKED]))
    about_draws = _findings(measures, options, interrupted=interrupted)
    about_model = findings_of_model(model)
    diagnostics = Diagnostics(
        engine="ImportanceSampling",
        exact=True,
        status=status_of((*about_draws, *about_model)),
        findings=(*about_draws, *about_model),
        settings=options.settings(),
        seed=options.seed,
        measures=measures,
        seconds=stages.end(),
        versions=versions("arviz", "scipy", "numba"),
    )
    if text := warning_text(about_draws):
        warn(text, ConvergenceWarning)
    return Fit(model, assemble(model, posterior, None), diagnostics)


def chosen_draws(weighted: Weighted, options: Options) -> FloatArray:
    """Draws of the posterior, chosen by the weights; shape (draws, d)."""
    count = min(options.draws, len(weighted.x))
    return weighted.x[weighted.chosen(count, np.random.default_rng(options.seeds()[1]))]


def measures_of(weighted: Weighted, integration_changes: FloatArray) -> dict[str, float]:
    """The measures of a fit from its weighted draws, and from the changes of log densities by another quadrature."""
    return {
        "pareto_k": weighted.pareto_k,
        "ess_weights": weighted.effective_size,
        "proposed": float(len(weighted.x)),
        "log_evidence": weighted.log_evidence,
        "mcse_log_evidence": weighted.log_evidence_error,
        "integration_change": float(np.std(integration_changes)),
    }


def _posterior(model: ModelSpec, x: FloatArray, options: Options, seed: np.random.SeedSequence) -> xr.Dataset:
    density = MarginalPosterior(model, options.nodes)
    beta, cholesky = density.beta(x), density.cholesky(x)
    u = conditional_effects(
        model.arrangement,
        np.ascontiguousarray(beta @ model.arrangement.triangular.T),
        density.objective.flat_cholesky(density.psi(x)),
        options.nodes,
        seed,
        cores=options.cores,
        progress=options.progress,
    )
    return posterior_of(model, beta, cholesky, u)


def _findings(measures: dict[str, float], options: Options, *, interrupted: bool) -> tuple[Finding, ...]:
    findings = findings_of_measures(measures, options.nodes, ", or use NUTS")
    if interrupted:
        findings.insert(
            0,
            Finding(
                "interrupted",
                "warning",
                f"Sampling was interrupted after {measures['proposed']:,.0f} draws had been proposed, from which those "
                "of the posterior were chosen.",
                "These draws are kept; to get all of them, fit again with the same seed.",
            ),
        )
    return tuple(findings)


def findings_of_measures(measures: dict[str, float], nodes: int, otherwise: str) -> list[Finding]:
    """What the measures of a fit tell.

    Parameters
    ----------
    measures : dict of str to float
        As from `measures_of`.
    nodes : int
    otherwise : str
        What can be done instead of more draws or nodes: the end of a clause, or nothing.
    """
    findings = []
    if measures["ess_weights"] < LEAST_EFFECTIVE:
        findings.append(
            Finding(
                "low_ess_weights",
                "warning",
                f"The weighted draws are worth {measures['ess_weights']:.0f} draws of the posterior; it should be at "
                f"least {LEAST_EFFECTIVE}.",
                f"Raise draws{otherwise}: means and intervals are still imprecise.",
            )
        )
    if measures["integration_change"] > LARGE_CHANGE:
        other = compared_with(nodes)
        remedy = (
            f"Use more, hl.ImportanceSampling(nodes={finer(nodes)}){otherwise}."
            if nodes < MOST_NODES
            else f"More are not possible: use priors under which sds of hundreds are not plausible{otherwise}."
        )
        findings.append(
            Finding(
                "inaccurate_integration",
                "warning",
                f"{nodes} quadrature nodes are too few here: quadrature with {other} nodes changes the log "
                f"densities of the draws by different amounts, with an sd of {measures['integration_change']:.2g}.",
                remedy,
            )
        )
    return findings
