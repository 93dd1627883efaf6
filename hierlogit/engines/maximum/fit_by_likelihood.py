"""What Laplace, quadrature and MAP have in common: arrange, search, judge the end, and put a Fit together."""

from __future__ import annotations

import secrets
import time
import warnings
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...density.marginal.block_cholesky import effect_variances
from ...errors import ConvergenceWarning, EngineError
from ...estimate import Estimate
from ...fits.diagnostics import Diagnostics, versions
from ...fits.findings import status_of, warning_text
from ...fits.fit import Fit
from ...fits.psis import psis
from .convergence import boundary_names, search_findings
from .gaussian_draws import Sample, groups_of, sample, weighted_draws
from .objective import Objective
from .optimizer import maximise
from .search_result import Approach, SearchResult
from .starting_values import starting_point

if TYPE_CHECKING:
    import xarray as xr

    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

LEAST_DRAWS = 100


def check_draws(engine: str, draws: object, seed: object) -> None:
    """Refuse options of draws that cannot be used.

    Raises
    ------
    EngineError
    """
    if not isinstance(draws, (int, np.integer)) or isinstance(draws, bool) or draws < LEAST_DRAWS:
        raise EngineError(f"{engine}: draws={draws!r} must be a whole number of at least {LEAST_DRAWS}.")
    if seed is not None and (
        not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**32
    ):
        raise EngineError(f"{engine}: seed={seed!r} must be a whole number from 0 to 2**32 - 1, or None.")


def fit_by_likelihood[M: ModelSpec](
    model: M, approach: Approach, draws: int, seed: int | None, settings: Mapping[str, Any]
) -> Fit[M]:
    """Maximise, and return a fit whose draws are made when they are first read.

    Parameters
    ----------
    model : Model
    approach : Approach
    draws : int
        Draws from the Gaussian approximation at the maximum.
    seed : int or None
    settings : mapping
        The engine's options, for the report.
    """
    started = time.perf_counter()
    likelihood = approach.likelihood(model.arrangement)
    arranged = time.perf_counter()
    problem = Objective(model, likelihood, penalised=approach.penalised)
    peak = maximise(problem, *starting_point(problem))
    found = SearchResult(problem, peak, problem.laplace_at(peak.point.psi, peak.modes))
    estimate = estimate_at(approach, found)
    findings = search_findings(found, approach)
    searched = time.perf_counter()
    used = secrets.randbits(31) if seed is None else int(seed)
    if text := warning_text(findings):
        warnings.warn(text, ConvergenceWarning, stacklevel=4)

    @cache
    def drawn(count: int) -> Sample:
        return sample(found, count, used, penalised=approach.penalised)

    def data() -> xr.DataTree:
        return groups_of(model, found, drawn(draws), penalised=approach.penalised)

    def diagnostics() -> Diagnostics:
        return Diagnostics(
            engine=approach.engine,
            exact=False,
            status=status_of(findings),
            findings=findings,
            settings=dict(settings),
            seed=used,
            measures={
                "evaluations": float(problem.evaluations),
                "gradient_norm": peak.gradient_norm,
                "possible_gain": peak.possible_gain,
                "pareto_k": float(psis(drawn(weighted_draws(found, draws)).log_ratio)[1]),
            },
            seconds={"arrange": arranged - started, "search": searched - arranged},
            versions=versions("scipy", "numba"),
        )

    return Fit(model, data, diagnostics, estimate)


def estimate_at(approach: Approach, found: SearchResult) -> Estimate:
    """What a finished search found, in the user's parameters."""
    problem, peak = found.problem, found.peak
    design = problem.model.design
    arrangement, work = found.laplace.arrangement, found.laplace.work
    variances = effect_variances(arrangement.row_index, work)
    positions = {group.name: at for group, at in zip(design.groups, arrangement.positions, strict=True)}
    names = [group.name for group in design.groups]
    return Estimate(
        nodes=approach.nodes,
        penalised=approach.penalised,
        log_likelihood=peak.point.log_likelihood,
        beta=peak.point.psi[: problem.p],
        cholesky=dict(zip(names, problem.cholesky(peak.point.psi), strict=True)),
        covariance=peak.covariance,
        entries=tuple((names[g], a, b) for g, a, b in problem.entries),
        boundary=boundary_names(problem, peak),
        modes={name: work.b[at] for name, at in positions.items()},
        conditional_sds={name: np.sqrt(variances[at]) for name, at in positions.items()},
        n_parameters=len(problem),
        n_rows=design.n_rows,
    )
