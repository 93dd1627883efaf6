"""A maximum -> draws: the Gaussian approximation of parameters and effects there, and how far it can be trusted.

Parameters are drawn on the scale on which they are unbounded, the logarithm of the roots' diagonals; the effects given
them from the Gaussian at their mode, which moves with the parameters. The ratio of the exact joint density to that of
the draws has a Pareto shape k-hat, the smaller the better (Vehtari et al. 2024, Journal of Machine Learning Research 25).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..density.blocks import joint_log_density, make_work, roots_of_dense, spread_effects
from ..density.marginal import fixed_predictor
from ..density.prior import point_log_prior
from ..fit import assemble

if TYPE_CHECKING:
    from ..grouping import GroupBlock
    from ..model import Model
    from .likelihood import Found
    from .problem import Problem

FloatArray = npt.NDArray[np.float64]

#: Rows times draws evaluated for k-hat: bounds its time to about a second.
ROWS_EVALUATED = 5 * 10**7
LEAST_WEIGHTED = 100


def draw(model: Model, found: Found, draws: int, seed: int, *, penalised: bool) -> tuple[xr.DataTree, float]:
    """Draws in ArviZ's groups, and the Pareto k-hat of their importance weights.

    Parameters
    ----------
    model : Model
    found : Found
        The finished search.
    draws : int
    seed : int
    penalised : bool
        Whether the density approximated has the priors in it.
    """
    rng = np.random.default_rng(seed)
    problem, peak, laplace = found.problem, found.peak, found.laplace
    layout = laplace.arrangement.layout
    free = np.flatnonzero(peak.free)
    logged = _logged(problem, free, peak.point.psi)
    # Derivative of the unbounded parameters in the parameters: 1 / L_ii for those that are logarithms.
    rate = np.where(logged, 1.0 / np.where(logged, peak.point.psi[free], 1.0), 1.0)
    covariance = peak.covariance[np.ix_(free, free)] * np.outer(rate, rate)
    if not np.all(np.isfinite(covariance)):
        covariance = np.zeros_like(covariance)  # no maximum: the report says so, and draws would only pretend
    noise = rng.standard_normal((draws, len(free)))
    steps = noise @ _root(covariance).T
    psi = np.repeat(peak.point.psi[None], draws, axis=0)
    moved = psi[:, free] + steps
    moved[:, logged] = peak.point.psi[free][logged] * np.exp(steps[:, logged])
    psi[:, free] = moved

    effects_noise = rng.standard_normal((draws, len(peak.modes)))
    shares = (effects_noise**2).sum(axis=1)
    spread_effects(layout, laplace.work, roots_of_dense(layout, laplace.work), effects_noise)
    u = peak.modes + steps @ (peak.moves[:, free] / rate).T + effects_noise

    roots = _roots(problem, psi)
    posterior = _posterior(model, psi[:, : problem.p], roots, u, laplace.arrangement.positions)
    weighted = min(draws, max(LEAST_WEIGHTED, ROWS_EVALUATED // max(len(layout.y), 1)))
    proposal = -0.5 * ((noise**2).sum(axis=1) + shares)[:weighted]
    target = _joint(found, psi[:weighted], u[:weighted], penalised=penalised, logged=free[logged])
    tree = assemble(model, posterior, None, priors=penalised)
    return tree, _pareto_k(target - proposal)


def _logged(problem: Problem, free: npt.NDArray[np.intp], psi: FloatArray) -> npt.NDArray[np.bool_]:
    return np.array([k in problem.diagonal and psi[k] > 0 for k in free], dtype=bool)


def _root(covariance: FloatArray) -> FloatArray:
    """A root of a matrix that may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    root: FloatArray = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def _roots(problem: Problem, psi: FloatArray) -> list[FloatArray]:
    made = [np.zeros((len(psi), len(group.effects), len(group.effects))) for group in problem.model.design.groups]
    for k, (g, a, b) in enumerate(problem.entries):
        made[g][:, a, b] = psi[:, problem.p + k]
    return made


def _posterior(
    model: Model, beta: FloatArray, roots: list[FloatArray], u: FloatArray, positions: tuple[npt.NDArray[np.int64], ...]
) -> xr.Dataset:
    variables: dict[str, tuple[tuple[str, ...], FloatArray]] = {}
    dims = ("chain", "draw")
    if beta.shape[1]:
        variables["beta"] = ((*dims, "fixed_effect"), beta[None])
    effects = {}
    for group, L, at in zip(model.design.groups, roots, positions, strict=True):
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


def _joint(
    found: Found, psi: FloatArray, u: FloatArray, *, penalised: bool, logged: npt.NDArray[np.intp]
) -> FloatArray:
    """Log joint density of data, parameters and standardised effects, on the scale of the draws, up to a constant."""
    problem, arrangement = found.problem, found.laplace.arrangement
    layout = arrangement.layout
    work = make_work(layout)
    eta = np.empty(len(layout.y))
    parts = np.arange(len(layout.part_start) - 1)
    values = np.empty(len(psi))
    for s in range(len(psi)):
        fixed_predictor(layout, arrangement.triangular @ psi[s, : problem.p], eta)
        work.u[:] = u[s]
        joint_log_density(layout, work, problem.flat_roots(psi[s]), eta, parts)
        values[s] = work.value.sum()
        if penalised:
            values[s] += _log_prior(problem, psi[s], logged)
    return values


def _log_prior(problem: Problem, psi: FloatArray, logged: npt.NDArray[np.intp]) -> float:
    """Log prior density of one draw, turned from (sd, correlation) to the scale of the draws.

    With ``|d Sigma / d L| = 2^q prod L_ii^(q - i + 1)`` and ``|d Sigma / d(sd, R)| = 2^q prod sd_i^q`` for the q effects
    of a set, i from 1.
    """
    roots = problem.roots(psi)
    value = point_log_prior(problem.model, psi[: problem.p], roots)[0]
    for group, root in zip(problem.model.design.groups, roots, strict=True):
        for members in group.sets:
            q = len(members)
            diagonal = np.diag(root)[list(members)]
            sd = np.sqrt((root[list(members)] ** 2).sum(axis=1))
            if np.all(diagonal > 0):
                value += float((np.arange(q, 0, -1) * np.log(diagonal)).sum() - q * np.log(sd).sum())
    return value + float(np.log(psi[logged]).sum())


def _pareto_k(log_weights: FloatArray) -> float:
    from arviz_stats.base import array_stats

    if not np.all(np.isfinite(log_weights)) or np.ptp(log_weights) == 0:
        return float("nan")
    return float(array_stats.psislw(log_weights)[1])
