"""Maximise, diagnose and assemble a Fit: what Laplace, AGQ and MAP have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...density.marginal.selected_inverse import effect_variances
from ...design.degrees_of_freedom import checked_df
from ...errors import ConvergenceWarning, EngineError, warn
from ...estimate import ROWS, Clustered, Estimate
from ...fits.diagnostics import DeferredMeasures, Diagnostics, versions
from ...fits.findings import status_of, warning_text
from ...fits.fit import Fit
from ...fits.identification import findings_of_design, findings_of_model
from ...fits.posterior import values_per_draw
from ...fits.psis import psis
from ...numba_support.compiled_beside import compiled_beside
from ...validation import flag, refuse_beyond_memory, seed_or_none, whole_number
from ..stages import Stages
from .convergence import search_findings
from .gaussian_draws import log_ratios, sample, to_datatree
from .integrator import MOST_NODES, compiled_later
from .maximum_search import search_maximum
from .objective import Objective
from .singularity import boundary_names
from .starting_values import starting_point

if TYPE_CHECKING:
    import xarray as xr

    from ...design.design import Design
    from ...model_spec import ModelSpec
    from .optimizer import Optimum
    from .search_result import Approach, SearchResult

FloatArray = npt.NDArray[np.float64]

LEAST_DRAWS = 100
#: Without a seed of the user's, so that a fit and what is computed from its draws are the same each time.
DEFAULT_SEED = 0


def check_options(engine: Any) -> None:
    """Check the options of a likelihood engine, and keep them in Python's own types.

    Raises
    ------
    EngineError
    """
    name = type(engine).__name__
    checked: dict[str, object] = {
        "draws": whole_number(f"{name}: draws", engine.draws, EngineError, least=LEAST_DRAWS),
        "seed": seed_or_none(f"{name}: seed", engine.seed, EngineError),
    }
    if hasattr(engine, "nodes"):
        checked["nodes"] = whole_number(f"{name}: nodes", engine.nodes, EngineError, least=1, most=MOST_NODES)
    if hasattr(engine, "restricted"):
        checked["restricted"] = flag(f"{name}: restricted", engine.restricted, EngineError)
        checked["df"] = checked_df(f"{name}: df", engine.df, EngineError)
    for option, value in checked.items():
        object.__setattr__(engine, option, value)


def fit_by_likelihood[M: ModelSpec](
    model: M, approach: Approach, draws: int, seed: int | None, settings: Mapping[str, Any]
) -> Fit[M]:
    """A fit at the maximum, whose draws are made when they are first read.

    Parameters
    ----------
    model : Model
    approach : Approach
    draws : int
        Draws from the Gaussian approximation at the maximum.
    seed : int or None
    settings : mapping
        The engine's options, for the diagnostics.
    """
    refuse_beyond_memory(f"{approach.engine}: draws", draws, values_per_draw(model), EngineError)
    stages = Stages("arrange")
    likelihood = approach.likelihood(model.arrangement)
    stages.begin("search")
    objective = Objective(model, likelihood, penalised=approach.penalised)
    with compiled_beside(compiled_later(model.design)):
        result = search_maximum(approach, objective, *starting_point(objective))
        estimate = estimate_of(approach, result)
        about_search = search_findings(result, approach, estimate)
    about_model = findings_of_model(model) if approach.penalised else findings_of_design(model.design)
    findings = about_search + about_model
    seconds = stages.end()
    seed_used = DEFAULT_SEED if seed is None else seed
    if text := warning_text(about_search):
        warn(text, ConvergenceWarning)

    drawing = Lock()

    def data() -> xr.DataTree:
        with drawing:  # all draws use the same arrays, and threads may share a fit
            drawn = sample(result, approach, draws, seed_used)
        return to_datatree(model, result, drawn, penalised=approach.penalised)

    def pareto_k() -> float:
        return float(psis(log_ratios(result, approach, draws, seed_used))[1])

    search = {
        "evaluations": float(objective.evaluations),
        "gradient_norm": result.optimum.gradient_norm,
        "possible_gain": result.optimum.possible_gain,
    }
    diagnostics = Diagnostics(
        engine=approach.engine,
        exact=False,
        status=status_of(findings),
        findings=findings,
        settings=dict(settings),
        seed=seed_used,
        # With sampling weights, the draws are those of a sandwich, not an approximation of what was maximised.
        measures=DeferredMeasures(search, {} if estimate.weighted else {"pareto_k": pareto_k}),
        seconds=seconds,
        versions=versions("scipy", "numba"),
    )
    return Fit(model, data, diagnostics, estimate)


def estimate_of(approach: Approach, result: SearchResult) -> Estimate:
    """The result of a search in the user's parameters."""
    design = result.objective.model.design
    arrangement, work = result.laplace.arrangement, result.laplace.work
    variances = effect_variances(arrangement.row_index, work)
    positions = {group.name: at for group, at in zip(design.groups, arrangement.positions, strict=True)}
    return replace(
        estimate_without_modes(approach, result.objective, result.optimum, design.n_observations),
        modes={name: work.b[at] for name, at in positions.items()},
        conditional_sds={name: np.sqrt(variances[at]) for name, at in positions.items()},
        clustered=_clustered(design, result.model_covariance),
    )


def estimate_without_modes(approach: Approach, objective: Objective, optimum: Optimum, n_rows: int) -> Estimate:
    """The end of a search in the user's parameters, without the conditional modes of the clusters."""
    design = objective.model.design
    names = [group.name for group in design.groups]
    phi = objective.phi(optimum.point.psi)
    return Estimate(
        nodes=approach.nodes,
        penalised=approach.penalised,
        log_likelihood=optimum.point.log_likelihood,
        fixed_effects=design.fixed_effects,
        effects={group.name: group.effects for group in design.groups},
        beta=optimum.point.psi[: objective.p],
        cholesky=dict(zip(names, objective.cholesky(optimum.point.psi), strict=True)),
        covariance=optimum.covariance,
        entries=tuple((names[g], a, b) for g, a, b in objective.entries),
        boundary=boundary_names(objective, optimum),
        modes={},
        conditional_sds={},
        n_parameters=len(objective),
        n_rows=n_rows,
        df=approach.df,
        restricted=approach.restricted,
        phi=None if phi is None else float(phi),
        weighted=design.sampling is not None,
    )


def _clustered(design: Design, model_covariance: FloatArray | None) -> Clustered | None:
    """The clusters of the top level, or the rows, from which the sandwich covariance matrix was computed."""
    if model_covariance is None or design.sampling is None:
        return None
    top = [group for group in design.groups if group.name == design.sampling.top]
    index = top[0].index if top else np.arange(design.n_rows)
    return Clustered("robust", top[0].name if top else ROWS, index, model_covariance)
