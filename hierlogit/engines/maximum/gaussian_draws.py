"""A maximum -> draws from the Gaussian approximation of the parameters there and of effects given them, with ratios.

The diagonals of the Cholesky factors are drawn as logarithms where they are well known, and on their own scale, up to
their signs, where they may be zero. The effects given the parameters are drawn from their exact distribution if these
were found by quadrature, and otherwise from the Gaussian at their mode. The Pareto shape k-hat of the ratios of the
density of the parameters that was maximised, with the effects integrated out, to that of the Gaussian shows how good
the approximation is: the smaller, the better (Vehtari et al. 2024, Journal of Machine Learning Research 25). With few
clusters, fixed effects are then given the tails of t distributions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...density.log_prior import point_log_prior
from ...density.marginal import overdispersed_mode
from ...density.marginal.effect_draws import draw_effects, draw_effects_by_part
from ...fits.posterior import assemble, posterior_of_arrays
from ...python_process import usable_cores
from .conditional_effects import conditional_effects
from .many_likelihoods import log_likelihoods
from .objective import Objective
from .t_tails import with_t_tails

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from ...design.arrangement import RowIndex
    from ...model_spec import ModelSpec
    from .optimizer import Optimum
    from .search_result import Approach, SearchResult

FloatArray = npt.NDArray[np.float64]

#: Rows times nodes times draws evaluated for k-hat, which limits its time to a few seconds.
ROWS_EVALUATED = 5 * 10**7
LEAST_WEIGHTED = 100
#: A diagonal entry is drawn as a logarithm if its standard error is below this fraction of it.
WELL_KNOWN = 0.4
#: Operations that a factorisation for every draw may cost; above this, effects have their covariance at the maximum.
AFFORDABLE = 10**9
#: Effects drawn together, which limits the memory for the random numbers behind them.
TOGETHER = 2**22


@dataclass(frozen=True)
class Sample:
    """Draws as plain arrays.

    Attributes
    ----------
    psi : ndarray, shape (draws, parameters)
    u : ndarray, shape (draws, effects)
        Standardised effects, in the order of the arrangement.
    """

    psi: FloatArray
    u: FloatArray


def sample(result: SearchResult, approach: Approach, draws: int, seed: int) -> Sample:
    """Draws of parameters and effects; the parameters of the first ones are the same however many there are.

    Parameters
    ----------
    result : SearchResult
    approach : Approach
        How the random effects were integrated out.
    draws : int
    seed : int
    """
    for_parameters, for_effects, for_tails = np.random.SeedSequence(seed).spawn(3)
    steps_in_sds = _normal_steps(result, draws, for_parameters)
    steps_in_sds = with_t_tails(steps_in_sds, result.optimum.covariance_factor, approach.df, for_tails)
    psi = _parameters(result, steps_in_sds)
    objective, optimum, laplace = result.objective, result.optimum, result.laplace
    row_index, work, R = laplace.arrangement.row_index, laplace.work, laplace.arrangement.triangular
    gammas = np.ascontiguousarray(psi[:, : objective.p] @ R.T)
    flat = objective.flat_cholesky(psi)
    if approach.nodes > 1:
        cores = usable_cores()
        u = conditional_effects(
            laplace.arrangement, gammas, flat, approach.nodes, for_effects, cores=cores, progress=False
        )
        return Sample(psi, u)
    random, u = np.random.default_rng(for_effects), np.empty((draws, len(optimum.modes)))
    work.u[:] = optimum.modes
    laplace.factorise()
    eta, refactorise = np.empty(len(row_index.y)), draws * _operations(row_index) < AFFORDABLE
    step = max(1, TOGETHER // max(len(optimum.modes), 1))
    for start in range(0, draws, step):
        part = slice(start, min(start + step, draws))
        np.dot(steps_in_sds[part], optimum.mode_derivatives.T, out=u[part])
        u[part] += optimum.modes
        noise = random.standard_normal(u[part].shape)
        if objective.overdispersed:
            overdispersed_mode.draw_effects(row_index, work, gammas[part], flat[part], u[part], noise, eta)
        elif laplace.parts_without_schur:
            draw_effects_by_part(
                row_index, work, laplace.parts_without_schur, gammas[part], flat[part], u[part], noise, eta
            )
        else:
            draw_effects(row_index, work, gammas[part], flat[part], u[part], noise, refactorise, eta)
    return Sample(psi, u)


def log_ratios(result: SearchResult, approach: Approach, draws: int, seed: int) -> FloatArray:
    """Logarithms of the density that was maximised over that of the draws of the parameters, up to a constant.

    The random effects are integrated out as in the search. Of the first draws of `sample`, of as many as can be
    evaluated in a few seconds; shape (weighted draws,).
    """
    objective, optimum = result.objective, result.optimum
    row_index, q = result.laplace.arrangement.row_index, len(result.laplace.arrangement.row_index.q)
    points = approach.nodes ** (q if q > 1 else int(row_index.q[0]))
    per_draw = max(len(row_index.y) * points, _operations(row_index) * ROWS_EVALUATED / AFFORDABLE)
    draws = min(draws, max(LEAST_WEIGHTED, int(ROWS_EVALUATED / per_draw)))
    steps_in_sds = _normal_steps(result, draws, np.random.SeedSequence(seed).spawn(2)[0])
    psi = _parameters(result, steps_in_sds)
    # Arrays of its own, since those of the search hold the maximum.
    likelihood = approach.likelihood(result.laplace.arrangement)
    likelihood.work.u[:] = optimum.modes
    density = log_likelihoods(Objective(objective.model, likelihood, penalised=False), approach.nodes, psi)
    if approach.penalised:
        free = np.flatnonzero(optimum.free)
        logged = free[_drawn_as_logarithms(objective, optimum, free)]
        density += [_log_prior(objective, one, logged) for one in psi]
    ratios: FloatArray = density + 0.5 * (steps_in_sds**2).sum(axis=1)
    return ratios


def _normal_steps(result: SearchResult, draws: int, seed: np.random.SeedSequence) -> FloatArray:
    """Standard normal steps along the columns of the covariance factor, from which parameters are drawn."""
    optimum = result.optimum
    noise = np.random.default_rng(seed).standard_normal((draws, optimum.covariance_factor.shape[1]))
    # Without a maximum there is no covariance to draw from: all draws are at the estimate, and a finding reports it.
    return noise if optimum.positive_definite else np.zeros_like(noise)


def _parameters(result: SearchResult, steps_in_sds: FloatArray) -> FloatArray:
    """Draws of the parameters, by steps along the columns of the covariance factor."""
    objective, optimum = result.objective, result.optimum
    free = np.flatnonzero(optimum.free)
    logged = _drawn_as_logarithms(objective, optimum, free)
    # Derivative of what is drawn with respect to the parameters: 1 / L_ii for those drawn as logarithms.
    jacobian = np.where(logged, 1.0 / np.where(logged, optimum.point.psi[free], 1.0), 1.0)
    steps = steps_in_sds @ optimum.covariance_factor[free].T * jacobian
    psi = np.repeat(optimum.point.psi[None], len(steps_in_sds), axis=0)
    drawn = psi[:, free] + steps
    drawn[:, logged] = optimum.point.psi[free][logged] * np.exp(steps[:, logged])
    psi[:, free] = drawn
    return _with_positive_diagonals(objective, psi)


def _operations(row_index: RowIndex) -> float:
    """Approximate number of operations of one assembly and factorisation."""
    rows = 20.0 * len(row_index.y) * float(row_index.q.sum()) ** 2
    pairs = float((np.diff(row_index.matrix_at).astype(float) ** 2).sum())
    dense = float((np.diff(row_index.col_start).astype(float) ** 3).sum()) / 3
    return rows + pairs + dense


def to_datatree(model: ModelSpec, result: SearchResult, draws: Sample, *, penalised: bool) -> xr.DataTree:
    """The draws in ArviZ's groups."""
    objective = result.objective
    cholesky = cholesky_draws(objective, draws.psi)
    posterior = posterior_of(model, draws.psi[:, : objective.p], cholesky, draws.u, objective.phi(draws.psi))
    return assemble(model, posterior, None, priors=penalised)


def _drawn_as_logarithms(objective: Objective, optimum: Optimum, free: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Which of the free parameters are drawn as logarithms."""
    psi = optimum.point.psi
    with np.errstate(invalid="ignore"):
        well_known = np.sqrt(np.diag(optimum.covariance)) < WELL_KNOWN * psi
    return np.array([k in objective.scales and well_known[k] for k in free], dtype=bool)


def _with_positive_diagonals(objective: Objective, psi: FloatArray) -> FloatArray:
    """Flip the columns of the Cholesky factors with a negative diagonal entry, which leaves the model the same."""
    flipped = psi.copy()
    for k, (g, a, b) in enumerate(objective.entries):
        if a == b:
            negative = psi[:, objective.p + k] < 0
            column = [objective.p + i for i, (h, _, c) in enumerate(objective.entries) if h == g and c == a]
            flipped[np.ix_(negative, column)] *= -1.0
    return flipped


def cholesky_draws(objective: Objective, psi: FloatArray) -> list[FloatArray]:
    """Cholesky factors of each grouping factor, shape (draws, q, q)."""
    cholesky = [np.zeros((len(psi), len(group.effects), len(group.effects))) for group in objective.model.design.groups]
    for k, (g, a, b) in enumerate(objective.entries):
        cholesky[g][:, a, b] = psi[:, objective.p + k]
    return cholesky


def posterior_of(
    model: ModelSpec, beta: FloatArray, cholesky: Sequence[FloatArray], u: FloatArray, phi: FloatArray | None = None
) -> xr.Dataset:
    """Draws in one chain, with the names of results.

    Parameters
    ----------
    model : Model
    beta : ndarray, shape (draws, p)
    cholesky : sequence of ndarray, shape (draws, q, q)
        Cholesky factors by grouping factor.
    u : ndarray, shape (draws, effects)
        Standardised effects, in the order of the arrangement.
    phi : ndarray, shape (draws,), optional
        Precision of beta-binomial outcomes.
    """
    names = [group.name for group in model.design.groups]
    by_name = dict(zip(names, cholesky, strict=True))
    positions = dict(zip(names, model.arrangement.positions, strict=True))
    effects = {name: effects_of(u, at, by_name[name]) for name, at in positions.items()}
    return posterior_of_arrays(model, beta, by_name, effects, phi)


def effects_of(u: FloatArray, at: npt.NDArray[np.int64], L: FloatArray) -> FloatArray:
    """Effects of the levels of a grouping factor, ``L u``, shape (draws, J, q)."""
    b = np.empty((len(u), *at.shape))
    step = max(1, TOGETHER // max(at.size, 1))
    for start in range(0, len(u), step):
        part = slice(start, start + step)
        np.einsum("sjc,sac->sja", u[part][:, at], L[part], out=b[part])
    return b


def _log_prior(objective: Objective, psi: FloatArray, logged: npt.NDArray[np.intp]) -> float:
    """Log prior density of one draw, transformed from sds and correlations to the scale of the draws.

    With ``|d Sigma / d L| = 2^q prod L_ii^(q - i + 1)`` and ``|d Sigma / d(sd, R)| = 2^q prod sd_i^q`` for the q
    effects of a set, i from 1.
    """
    cholesky = objective.cholesky(psi)
    value = point_log_prior(objective.model, psi[: objective.p], cholesky)[0]
    for group, L in zip(objective.model.design.groups, cholesky, strict=True):
        for of_set in group.set_slices:
            diagonal = np.diag(L)[of_set]
            q = len(diagonal)
            sd = np.sqrt((L[of_set] ** 2).sum(axis=1))
            if np.all(diagonal > 0):
                value += float((np.arange(q, 0, -1) * np.log(diagonal)).sum() - q * np.log(sd).sum())
    phi = objective.phi(psi)
    if phi is not None and objective.model.priors.phi is not None:
        # The density of 1 / sqrt(phi), up to a constant.
        value += float(objective.model.priors.phi.logpdf(phi)) + 1.5 * float(np.log(phi))
    return value + float(np.log(psi[logged]).sum())
