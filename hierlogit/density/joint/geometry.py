"""Centres and scales of a posterior: the constants of the change of variables that makes it nearly standard normal.

They affect how quickly the sampler moves and not what it samples: the change of variables is exact for any constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...design.arrangement import Arrangement
from ...priors import families as pr
from ..marginal.fixed_effects import information_and_modes
from ..marginal.laplace import LaplaceLikelihood
from .attenuation import ATTENUATION, LARGEST
from .coupling import Coupling, coupling_at_mode, uncoupled
from .scale_variables import signed

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: The least sd at which a log sd is centred, for an effect on a column with an sd of one: logarithms have no minimum.
LEAST_SD = 0.1
#: The largest value at which a correlation variable is centred: a correlation of 0.96.
MOST_Z = 2.0
#: The largest scale of log sds and of correlation variables.
WIDEST = 1.0
#: If the expected log-likelihood falls by this much between an sd and zero, the data tell the sd from zero.
TOLD_FROM_ZERO = 4.0
#: Prior families whose densities at zero are neither zero nor infinite, so that sds can pass through it.
THROUGH_ZERO = (pr.HalfNormal, pr.HalfStudentT, pr.HalfCauchy, pr.Exponential)
#: Share of the rows' information at the mode by which effects are centred. Away from the mode rows hold less
#: information, the less the larger the sds: with all of it, effects and their sds would be correlated. Half of it was
#: much better for clusters of few rows, and elsewhere cost at most a tenth of the effective sample size.
SHARE = 0.5


@dataclass(frozen=True)
class Geometry:
    """Centres, scales and local information, in the order of an arrangement's factors and rows.

    Attributes
    ----------
    gamma0 : ndarray, shape (p,)
        Coefficients of the basis at the centre.
    gamma_scale : ndarray, shape (p, p)
        A matrix G with ``G G'`` their covariance matrix.
    centre, width : ndarray, shape (E + K,)
        Of the log sds of all factors, then of the correlation variables.
    growth : ndarray, shape (E,)
        Rates of the sds that have a sign, since the data hardly tell them from zero; 0 for the others.
    attenuation : list of ndarray, shape (q_t, q_t)
        By how much logits averaged over each factor's effects shrink with their covariances.
    attenuation0 : ndarray, shape (2,)
        Half the log of this shrinkage at the centre, and its bound.
    weighted_Z : ndarray, shape (q_0, n)
        Columns of the first factor times the weights of the rows; shape (q_0, 0) if there is no other factor.
    information : list of ndarray, shape (q_t, q_t, J_t)
        Information about the effects of each level, given the fixed effects; for the first factor also given the
        effects of the other factors.
    score : list of ndarray, shape (q_t, J_t)
        Score of each level's effects, where these and the coefficients of the basis are zero.
    cross_information : list of ndarray, shape (p, q_t, J_t)
        Information about a level's effects and the coefficients of the basis jointly, by which the score falls with
        these coefficients.
    coupling : Coupling
        Of the effects of all factors but the first, with each other and with the fixed effects.
    """

    gamma0: FloatArray
    gamma_scale: FloatArray
    centre: FloatArray
    width: FloatArray
    growth: FloatArray
    attenuation: list[FloatArray]
    attenuation0: FloatArray
    weighted_Z: FloatArray
    information: list[FloatArray]
    score: list[FloatArray]
    cross_information: list[FloatArray]
    coupling: Coupling


def non_centred(model: ModelSpec) -> Geometry:
    """The non-centred form: standardised effects, fixed effects in the orthogonal basis, everything centred at zero."""
    arrangement = model.arrangement
    row_index, p = arrangement.row_index, len(model.design.fixed_effects)
    shapes = [(int(q), J) for q, J in zip(row_index.q, level_counts(arrangement), strict=True)]
    scales, dispersion = scale_count(model, arrangement), int(model.overdispersed)
    return Geometry(
        gamma0=np.zeros(p),
        gamma_scale=np.eye(p),
        centre=np.zeros(scales),
        width=np.ones(scales),
        growth=np.zeros(sum(q for q, _ in shapes) + dispersion),
        attenuation=[np.zeros((q, q)) for q, _ in shapes],
        attenuation0=np.array([0.0, 1.0]),
        weighted_Z=np.zeros((shapes[0][0], len(row_index.y) if len(shapes) > 1 else 0)),
        information=[np.zeros((q, q, J)) for q, J in shapes],
        score=[np.zeros((q, J)) for q, J in shapes],
        cross_information=[np.zeros((p, q, J)) for q, J in shapes],
        coupling=uncoupled(p, sum(q * J for q, J in shapes[1:])),
    )


def centred_by_information(
    model: ModelSpec,
    likelihood: LaplaceLikelihood,
    gamma: FloatArray,
    share: float = SHARE,
    share_of_first: float | None = None,
) -> Geometry:
    """Centres and scales from Laplace's method at a maximum of the marginal posterior, or near one.

    Parameters
    ----------
    model : Model
    likelihood : LaplaceLikelihood
        Evaluated there.
    gamma : ndarray, shape (p,)
        Coefficients of the basis there.
    share : float
        Share of the rows' information by which effects are centred. With all of it they are independent of each other
        and of the fixed effects at the point of evaluation, to second order.
    share_of_first : float, optional
        That of the first factor, if it is another.

    Returns
    -------
    Geometry
        The effects of each level are standardised given the fixed effects; those of the first factor given the other
        factors' effects as well, those of the other factors with the first factor's effects integrated out.
    """
    arrangement = likelihood.arrangement
    row_index, work = arrangement.row_index, likelihood.work
    n = len(row_index.y)
    q, J = row_index.q, level_counts(arrangement)
    cholesky = [
        likelihood.cholesky[at : at + k * k].reshape(k, k)
        for at, k in zip(row_index.cholesky_at[:-1], q.tolist(), strict=True)
    ]
    Z = [row_index.Z[at * n : (at + k) * n].reshape(k, n) for at, k in zip(row_index.z_at, q.tolist(), strict=True)]
    levels = row_levels(arrangement)
    weight, residual = share * work.weight, work.residual
    positions = level_positions(arrangement)
    modes = [work.b[at] for at in positions]
    others = np.zeros(n)
    for columns, level, mode in zip(Z[1:], levels[1:], modes[1:], strict=True):
        others += np.einsum("ai,ia->i", columns, mode[level])

    information, scores, cross_information = [], [], []
    weighted = row_index.X * weight[:, None]
    for t in range(len(q)):
        information.append(_sums(np.einsum("ai,ci,i->aci", Z[t], Z[t], weight), levels[t], J[t]))
        cross_information.append(_sums(np.einsum("ai,ik->kai", Z[t], weighted), levels[t], J[t]))
    if len(q) > 1:
        A0 = _indicator(Z[0], levels[0], J[0])
        conditional = _conditional_covariance(information[0], cholesky[0])
        solved = conditional @ cross_information[0].reshape(len(gamma), A0.shape[1]).T
        for t in range(1, len(q)):
            cross = (_indicator(Z[t], levels[t], J[t]).T * weight) @ A0  # (q_t J_t, q_0 J_0)
            eliminated = cross @ conditional
            for a, c in np.ndindex(int(q[t]), int(q[t])):
                row, column = slice(a * J[t], (a + 1) * J[t]), slice(c * J[t], (c + 1) * J[t])
                information[t][a, c] -= np.asarray(eliminated[row].multiply(cross[column]).sum(axis=1)).ravel()
            cross_information[t] -= (cross @ solved).T.reshape(cross_information[t].shape)
    centre, width, growth = _scales(model, arrangement, cholesky, information)
    attenuation = [
        _attenuation(row_index.trials, *of_factor) for of_factor in zip(Z, levels, cholesky, information, strict=True)
    ]
    if share_of_first is not None:  # the other factors no longer need these
        information[0] *= share_of_first / share
        cross_information[0] *= share_of_first / share
        weight *= share_of_first / share
    for t in range(len(q)):
        working = residual + weight * others if t == 0 else residual
        scores.append(
            np.einsum("acj,jc->aj", information[t], modes[t])
            + _sums(Z[t] * working, levels[t], J[t])
            + np.einsum("kaj,k->aj", cross_information[t], gamma)
        )
    of_gamma, modes_by_gamma = information_and_modes(likelihood)
    gamma_scale = _gamma_scale(model, arrangement, of_gamma)
    return Geometry(
        gamma0=gamma,
        gamma_scale=gamma_scale,
        centre=centre,
        width=width,
        growth=growth,
        attenuation=attenuation,
        attenuation0=_attenuation_at(cholesky, attenuation),
        weighted_Z=Z[0] * weight if len(q) > 1 else np.empty((int(q[0]), 0)),
        information=information,
        score=scores,
        cross_information=cross_information,
        coupling=coupling_at_mode(
            likelihood,
            modes_by_gamma,
            gamma_scale,
            cholesky[1:],
            positions[1:],
            information[1:],
            cross_information[1:],
        ),
    )


def with_log_phi(model: ModelSpec, geometry: Geometry, mode: float, width: float) -> Geometry:
    """The geometry with centre and width of log phi, which stand between those of log sds and correlation variables."""
    sds = sum(len(group.effects) for group in model.design.groups)
    return replace(
        geometry,
        centre=np.insert(geometry.centre, sds, mode),
        width=np.insert(geometry.width, sds, width),
        growth=np.append(geometry.growth, 0.0),
    )


def level_counts(arrangement: Arrangement) -> list[int]:
    """Levels of each of an arrangement's factors."""
    row_index = arrangement.row_index
    counts = [int((row_index.other_factor == t).sum()) for t in range(1, len(row_index.q))]
    return [len(row_index.row_start) - 1, *counts]


def level_positions(arrangement: Arrangement) -> list[npt.NDArray[np.int64]]:
    """Positions of the effects of each factor's levels in an arrangement's ``u``, shape (J, q).

    Levels of the first factor are numbered in the order of the rows, those of the others in the order of their columns.
    """
    row_index = arrangement.row_index
    firsts = [np.arange(len(row_index.row_start) - 1) * row_index.q[0]]
    columns = (len(row_index.row_start) - 1) * int(row_index.q[0])
    for t in range(1, len(row_index.q)):
        firsts.append(columns + np.sort(row_index.other_col[row_index.other_factor == t]))
    return [first[:, None] + np.arange(int(q)) for first, q in zip(firsts, row_index.q, strict=True)]


def row_levels(arrangement: Arrangement) -> list[npt.NDArray[np.int64]]:
    """For each factor the level of every row, shape (n,)."""
    row_index = arrangement.row_index
    n = len(row_index.y)
    levels = [np.repeat(np.arange(len(row_index.row_start) - 1), np.diff(row_index.row_start))]
    for t in range(1, len(row_index.q)):
        columns = np.sort(row_index.other_col[row_index.other_factor == t])
        levels.append(np.searchsorted(columns, row_index.row_col[(t - 1) * n : t * n]).astype(np.int64))
    return levels


def scale_count(model: ModelSpec, arrangement: Arrangement) -> int:
    """Number of sds and correlation variables, and of log phi."""
    groups = [model.design.groups[k] for k in arrangement.factors]
    return sum(len(group.effects) + len(group.correlated_pairs) for group in groups) + int(model.overdispersed)


def _sums(values: FloatArray, level: npt.NDArray[np.int64], count: int) -> FloatArray:
    """Sums over the rows of each level, on the last axis."""
    flat = values.reshape(-1, values.shape[-1])
    total = np.array([np.bincount(level, weights=one, minlength=count) for one in flat])
    return total.reshape(*values.shape[:-1], count)


def _indicator(Z: FloatArray, level: npt.NDArray[np.int64], count: int) -> csr_array:
    """Columns of a factor as a sparse matrix, shape (n, q J), effect by effect."""
    from scipy.sparse import csr_array

    q, n = Z.shape
    columns = (np.arange(q)[:, None] * count + level).T.ravel()
    return csr_array((Z.T.ravel(), columns, np.arange(n + 1) * q), shape=(n, q * count))


def _conditional_covariance(information: FloatArray, L: FloatArray) -> csr_array:
    """``L (1 + L' I L)^-1 L'`` of every level as a sparse matrix, effect by effect."""
    from scipy.sparse import csr_array

    q, _, count = information.shape
    H = np.eye(q) + np.einsum("ba,bcj,cd->jad", L, information, L)
    blocks = L @ np.linalg.solve(H, np.broadcast_to(L.T, (count, q, q)))
    a, c, j = np.meshgrid(np.arange(q), np.arange(q), np.arange(count), indexing="ij")
    values = blocks.transpose(1, 2, 0)
    return csr_array((values.ravel(), ((a * count + j).ravel(), (c * count + j).ravel())), shape=(q * count,) * 2)


def _attenuation(
    trials: FloatArray, Z: FloatArray, level: npt.NDArray[np.int64], L: FloatArray, information: FloatArray
) -> FloatArray:
    """By how much logits shrink with the covariance matrix of a factor's effects, shape (q, q).

    Only what the data leave unknown of the effects is averaged over: columns count less the more reliable the effects.
    """
    signal = (L**2).sum(axis=1)[:, None] * np.einsum("aaj->aj", information)
    unknown = Z / np.sqrt(1 + signal)[:, level]
    shrinkage: FloatArray = ATTENUATION * (unknown * trials) @ unknown.T / trials.sum()
    return shrinkage


def _partial_information(covariance: FloatArray, least: FloatArray, information: FloatArray) -> FloatArray:
    """Information about each effect of every level with the level's other effects integrated out, shape (q, J).

    These have the given covariance matrix, and sds of at least `least`.
    """
    q = len(information)
    partial = np.einsum("aaj->aj", information).copy()
    for a in range(q):
        rest = np.arange(q) != a
        if rest.any():
            prior = covariance[np.ix_(rest, rest)] + np.diag(least[rest] ** 2)
            cross = information[a, rest].T
            precision = np.linalg.inv(prior) + information[np.ix_(rest, rest)].transpose(2, 0, 1)
            partial[a] -= np.einsum("jc,jc->j", cross, np.linalg.solve(precision, cross[..., None])[..., 0])
    return np.asarray(np.maximum(partial, 0.0))


def _reach(information: FloatArray, priors: Sequence[pr.Prior]) -> FloatArray:
    """Sds to which the expected log-likelihood falls by no more than a half, or the prior's median if that is less."""
    total = np.maximum((information**2).sum(axis=1), np.finfo(float).tiny)
    medians = [prior.quantile(0.5) if isinstance(prior, THROUGH_ZERO) else np.inf for prior in priors]
    return np.minimum((2 / total) ** 0.25, medians)


def _attenuation_at(cholesky: list[FloatArray], attenuation: list[FloatArray]) -> FloatArray:
    """Half the log of the shrinkage at Cholesky factors, and its bound."""
    variance = sum(np.einsum("ac,ab,bc->", L, one, L) for L, one in zip(cholesky, attenuation, strict=True))
    bound = LARGEST * (1 + variance)
    return np.array([0.5 * np.log1p(variance / (1 + variance / bound)), bound])


def _gamma_scale(model: ModelSpec, arrangement: Arrangement, of_data: FloatArray) -> FloatArray:
    """A matrix G with ``G G'`` the covariance matrix of the coefficients of the basis, from data and prior."""
    design, R = model.design, arrangement.triangular
    p = len(design.fixed_effects)
    if not p:
        return np.empty((0, 0))
    centring = centring_matrix(model) @ np.linalg.inv(R)
    scales = [
        float(getattr(model.priors.fixed[label], model.priors.fixed[label].scale)) for label in design.fixed_effects
    ]
    information = of_data + (centring / np.square(scales)[:, None]).T @ centring
    gamma_scale: FloatArray = np.linalg.inv(np.linalg.cholesky(information)).T
    return gamma_scale


def centring_matrix(model: ModelSpec) -> FloatArray:
    """The matrix that turns beta into the coefficients that have priors: the intercept at the predictors' means."""
    design = model.design
    centring = np.eye(len(design.fixed_effects))
    if design.has_intercept:
        centring[design.fixed_effects.index("Intercept")] = design.column_means
    return centring


def _scales(
    model: ModelSpec, arrangement: Arrangement, cholesky: list[FloatArray], information: list[FloatArray]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centres and widths of log sds and correlation variables, and the growth of sds that have a sign.

    With the reliability ``r_j = sd^2 I_j / (1 + sd^2 I_j)`` of each level's effect, the information about the logarithm
    of the sd is ``2 sum r_j^2`` in the normal case. From there to an sd of zero the expected log-likelihood falls by
    ``sum (sd^2 I_j - log(1 + sd^2 I_j)) / 2``, where I_j is what the data tell of the effect without knowing the
    level's others.
    """
    log_sd, sd_width, growth, z, z_width = [], [], [], [], []
    for k, L, factor_information in zip(arrangement.factors, cholesky, information, strict=False):
        group = model.design.groups[k]
        least = LEAST_SD / group.column_sds
        sd = np.sqrt((L**2).sum(axis=1))
        at = np.maximum(sd, least)
        signal = at[:, None] ** 2 * np.einsum("aaj->aj", factor_information)
        reliability = signal / (1 + signal)
        widths = 1 / np.sqrt(np.maximum(2 * (reliability**2).sum(axis=1), WIDEST**-2))
        sd_width += widths.tolist()
        own = _partial_information(L @ L.T, least, factor_information)
        signal = at[:, None] ** 2 * own
        fall = 0.5 * (signal - np.log1p(signal)).sum(axis=1)
        priors = model.priors.sd[group.name]
        has_sign = (fall < TOLD_FROM_ZERO) & [isinstance(prior, THROUGH_ZERO) for prior in priors]
        with_sign, rate = signed(np.log(np.maximum(sd, _reach(own, priors))), widths)
        log_sd += np.where(has_sign, with_sign, np.log(at)).tolist()
        growth += np.where(has_sign, rate, 0.0).tolist()
        for one in group.set_slices:
            members = reliability[one]
            safe = np.where(sd[one, None] > least[one, None] / 10, L[one, one], np.diag(least[one]))
            unit = safe / np.sqrt((safe**2).sum(axis=1))[:, None]
            for a in range(1, len(unit)):
                left = 1.0
                for b in range(a):
                    partial = float(np.clip(unit[a, b] / max(left, 1e-12), -1, 1))
                    z.append(float(np.clip(np.arctanh(np.clip(partial, -0.999999, 0.999999)), -MOST_Z, MOST_Z)))
                    information_z = float((members[a] * members[b]).sum())
                    z_width.append(1 / np.sqrt(max(information_z, WIDEST**-2)))
                    left *= np.sqrt(max(1 - partial**2, 0.0))
    return np.array(log_sd + z), np.array(sd_width + z_width), np.array(growth)
