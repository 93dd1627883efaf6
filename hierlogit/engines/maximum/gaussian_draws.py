"""A maximum -> draws: the Gaussian approximation of parameters and effects there, and how far it can be trusted.

The diagonals of the Cholesky factors are drawn on the scale of their logarithms where they are known well, and as they
are, up to their signs, where they may be zero; the effects given them from the Gaussian at their mode, which moves with
them. The ratio of the exact joint density to that of the draws has a Pareto shape k-hat, the smaller the better
(Vehtari et al. 2024, Journal of Machine Learning Research 25).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from ...density.log_prior import point_log_prior
from ...density.marginal.laplace import draw_effects
from ...fits.posterior import assemble

if TYPE_CHECKING:
    from ...design.arrangement import RowIndex
    from ...design.grouping import GroupBlock
    from ...model_spec import ModelSpec
    from .objective import Objective
    from .optimizer import Optimum
    from .search_result import SearchResult

FloatArray = npt.NDArray[np.float64]

#: Rows times draws evaluated for k-hat: bounds its time to a few seconds.
ROWS_EVALUATED = 5 * 10**7
LEAST_WEIGHTED = 100
#: A diagonal entry whose standard error is below this share of it is drawn as a logarithm.
WELL_KNOWN = 0.4
#: Operations that factorising anew for every draw may cost; above it the effects' spread is that at the maximum.
AFFORDABLE = 2 * 10**10


@dataclass(frozen=True)
class Sample:
    """Draws as plain arrays.

    Attributes
    ----------
    psi : ndarray, shape (draws, parameters)
    u : ndarray, shape (draws, effects)
        Standardised effects, in the order of the arrangement.
    log_ratio : ndarray, shape (draws,)
        Logarithm of the exact joint density over that of the draws, up to a constant.
    """

    psi: FloatArray
    u: FloatArray
    log_ratio: FloatArray


def sample(found: SearchResult, draws: int, seed: int, *, penalised: bool) -> Sample:
    """Draw parameters and effects; the first draws are the same however many there are.

    Parameters
    ----------
    found : SearchResult
        The finished search.
    draws : int
    seed : int
    penalised : bool
        Whether the density approximated has the priors in it.
    """
    of_parameters, of_effects = (np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(2))
    problem, peak, laplace = found.problem, found.peak, found.laplace
    row_index, work, R = laplace.arrangement.row_index, laplace.work, laplace.arrangement.triangular
    free = np.flatnonzero(peak.free)
    logged = _logged(problem, peak, free)
    # Derivative of the unbounded parameters in the parameters: 1 / L_ii for those that are logarithms.
    rate = np.where(logged, 1.0 / np.where(logged, peak.point.psi[free], 1.0), 1.0)
    noise = of_parameters.standard_normal((draws, len(free)))
    # Where there is no maximum draws would only pretend: the report says so, and they stay at the estimate.
    spread = noise if peak.positive else np.zeros_like(noise)
    steps = spread @ peak.root[free].T * rate
    psi = np.repeat(peak.point.psi[None], draws, axis=0)
    moved = psi[:, free] + steps
    moved[:, logged] = peak.point.psi[free][logged] * np.exp(steps[:, logged])
    psi[:, free] = moved
    psi = _without_signs(problem, psi)

    u = peak.modes + spread @ peak.moves.T
    effects_noise = of_effects.standard_normal((draws, len(peak.modes)))
    proposal = -0.5 * ((noise**2).sum(axis=1) + (effects_noise**2).sum(axis=1))
    joint, logarithms = np.empty(draws), np.empty(draws)
    flat = np.stack([problem.flat_cholesky(one) for one in psi])
    work.u[:] = peak.modes
    laplace.factorise()
    draw_effects(
        row_index,
        work,
        np.ascontiguousarray(psi[:, : problem.p] @ R.T),
        flat,
        u,
        effects_noise,
        draws * _operations(row_index) < AFFORDABLE,
        np.empty(len(row_index.y)),
        joint,
        logarithms,
    )
    if penalised:
        joint += [_log_prior(problem, one, free[logged]) for one in psi]
    return Sample(psi, u, joint - proposal - 0.5 * logarithms)


def _operations(row_index: RowIndex) -> float:
    """Operations of one assembly and factorisation, roughly."""
    rows = 20.0 * len(row_index.y) * float(row_index.q.sum()) ** 2
    pairs = float((np.diff(row_index.matrix_at).astype(float) ** 2).sum())
    dense = float((np.diff(row_index.col_start).astype(float) ** 3).sum()) / 3
    return rows + pairs + dense


def weighted_draws(found: SearchResult, draws: int) -> int:
    """How many of the draws k-hat is computed of."""
    return min(draws, max(LEAST_WEIGHTED, ROWS_EVALUATED // len(found.laplace.arrangement.row_index.y)))


def groups_of(model: ModelSpec, found: SearchResult, drawn: Sample, *, penalised: bool) -> xr.DataTree:
    """Draws in ArviZ's groups."""
    problem = found.problem
    cholesky = _cholesky_draws(problem, drawn.psi)
    posterior = _posterior(model, drawn.psi[:, : problem.p], cholesky, drawn.u, found.laplace.arrangement.positions)
    return assemble(model, posterior, None, priors=penalised)


def _logged(problem: Objective, peak: Optimum, free: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Which of the free parameters are drawn as logarithms."""
    psi = peak.point.psi
    with np.errstate(invalid="ignore"):
        known = np.sqrt(np.diag(peak.covariance)) < WELL_KNOWN * psi
    return np.array([k in problem.diagonal and known[k] for k in free], dtype=bool)


def _without_signs(problem: Objective, psi: FloatArray) -> FloatArray:
    """Flip the columns of the Cholesky factors with a negative diagonal entry, which leaves the model the same."""
    turned = psi.copy()
    for k, (g, a, b) in enumerate(problem.entries):
        if a == b:
            negative = psi[:, problem.p + k] < 0
            column = [problem.p + i for i, (h, _, c) in enumerate(problem.entries) if h == g and c == a]
            turned[np.ix_(negative, column)] *= -1.0
    return turned


def _cholesky_draws(problem: Objective, psi: FloatArray) -> list[FloatArray]:
    made = [np.zeros((len(psi), len(group.effects), len(group.effects))) for group in problem.model.design.groups]
    for k, (g, a, b) in enumerate(problem.entries):
        made[g][:, a, b] = psi[:, problem.p + k]
    return made


def _posterior(
    model: ModelSpec,
    beta: FloatArray,
    cholesky: list[FloatArray],
    u: FloatArray,
    positions: tuple[npt.NDArray[np.int64], ...],
) -> xr.Dataset:
    variables: dict[str, tuple[tuple[str, ...], FloatArray]] = {}
    dims = ("chain", "draw")
    if beta.shape[1]:
        variables["beta"] = ((*dims, "fixed_effect"), beta[None])
    effects = {}
    for group, L, at in zip(model.design.groups, cholesky, positions, strict=True):
        name, dim = group.result_name, model.effect_dim(group)
        sd = np.sqrt((L**2).sum(axis=2))
        variables[f"sd_{name}"] = ((*dims, dim), sd[None])
        if group.correlated:
            variables[f"cor_{name}"] = ((*dims, dim, f"{dim}_bis"), _correlations(group, L, sd)[None])
        effects[f"b_{name}"] = ((*dims, model.dim(group), dim), np.einsum("sjc,sac->sja", u[:, at], L)[None])
    variables |= effects
    used = {dim for names, _ in variables.values() for dim in names}
    coords = {dim: labels for dim, labels in model.coords.items() if dim in used}
    return xr.Dataset(variables, coords={"chain": [0], "draw": np.arange(len(beta)), **coords})


def _correlations(group: GroupBlock, L: FloatArray, sd: FloatArray) -> FloatArray:
    unit = np.divide(L, sd[..., None], out=np.zeros_like(L), where=sd[..., None] > 0)
    R: FloatArray = np.einsum("sac,sbc->sab", unit, unit)
    for i in range(len(group.effects)):
        R[:, i, i] = 1.0
    return R


def _log_prior(problem: Objective, psi: FloatArray, logged: npt.NDArray[np.intp]) -> float:
    """Log prior density of one draw, turned from (sd, correlation) to the scale of the draws.

    With ``|d Sigma / d L| = 2^q prod L_ii^(q - i + 1)`` and ``|d Sigma / d(sd, R)| = 2^q prod sd_i^q`` for the q
    effects of a set, i from 1.
    """
    cholesky = problem.cholesky(psi)
    value = point_log_prior(problem.model, psi[: problem.p], cholesky)[0]
    for group, L in zip(problem.model.design.groups, cholesky, strict=True):
        for one in group.set_slices:
            diagonal = np.diag(L)[one]
            q = len(diagonal)
            sd = np.sqrt((L[one] ** 2).sum(axis=1))
            if np.all(diagonal > 0):
                value += float((np.arange(q, 0, -1) * np.log(diagonal)).sum() - q * np.log(sd).sum())
    return value + float(np.log(psi[logged]).sum())
