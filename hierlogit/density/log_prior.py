"""Log prior densities: of all draws by parameter, for power-scaling checks, and of one point with its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..model_spec import ModelSpec
from ..priors.families import LKJ, CoefficientPrior, Decov, ScalePrior

if TYPE_CHECKING:
    import xarray as xr

FloatArray = npt.NDArray[np.float64]


def log_prior(model: ModelSpec, posterior: xr.Dataset) -> xr.Dataset:
    """The ``log_prior`` group of a fit: prior densities of fixed effects, sds, correlations and phi.

    Cluster effects are not included: their distribution is part of the model.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset
        With ``beta``, ``sd_<group>`` and ``cor_<group>``.

    Returns
    -------
    xarray.Dataset
        ``beta`` by fixed effect, for the intercept at the predictors' means; ``sd_<group>`` by effect, or one value if
        the prior is joint; ``cor_<group>``; ``phi``.
    """
    import xarray as xr

    design, densities = model.design, {}
    if design.fixed_effects:
        densities["beta"] = _fixed(model, posterior["beta"])
    for group in design.groups:
        name, dim = group.result_name, model.effect_dim(group)
        priors, sd = model.priors.sd[group.name], posterior[f"sd_{name}"]
        for k, members in enumerate(group.set_slices):
            prior = priors[members.start]
            if isinstance(prior, Decov):
                values = prior.logpdf(sd.isel({dim: members}).transpose("chain", "draw", dim).to_numpy())
                densities[f"sd_{name}[{k}]"] = xr.DataArray(values, dims=("chain", "draw"))
        separate = [i for i, prior in enumerate(priors) if not isinstance(prior, Decov)]
        if separate:
            densities[f"sd_{name}"] = _each(sd.isel({dim: separate}), dim, [priors[i] for i in separate])
        if group.name in model.priors.cor:
            densities[f"cor_{name}"] = _correlations(model, group.name, posterior[f"cor_{name}"].to_numpy())
    if model.priors.phi is not None:
        phi = posterior["phi"].transpose("chain", "draw")
        densities["phi"] = phi.copy(data=model.priors.phi.logpdf(phi.to_numpy()))
    return xr.Dataset(densities, coords={"chain": posterior["chain"], "draw": posterior["draw"]})


def _fixed(model: ModelSpec, beta: xr.DataArray) -> xr.DataArray:
    design = model.design
    shifted = beta.transpose("chain", "draw", "fixed_effect").copy()
    if design.has_intercept:
        position = design.fixed_effects.index("Intercept")
        shifted[..., position] = shifted.to_numpy() @ design.column_means
    return _each(shifted, "fixed_effect", [model.priors.fixed[label] for label in design.fixed_effects])


def _each(values: xr.DataArray, dim: str, priors: Sequence[CoefficientPrior] | Sequence[ScalePrior]) -> xr.DataArray:
    """Log density of each column along `dim` under its prior, dims (chain, draw, `dim`)."""
    columns = values.transpose("chain", "draw", dim)
    numbers = columns.to_numpy()
    densities = [prior.logpdf(numbers[..., k]) for k, prior in enumerate(priors)]
    return columns.copy(data=np.stack(densities, axis=-1))


def _correlations(model: ModelSpec, name: str, cor: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> xr.DataArray:
    import xarray as xr

    group = next(group for group in model.design.groups if group.name == name)
    total = np.zeros(cor.shape[:2])
    for members, part in zip(group.sets, group.set_slices, strict=True):
        if len(members) > 1:
            total += model.priors.cor[name].logpdf(cor[..., part, part])
    return xr.DataArray(total, dims=("chain", "draw"))


def point_log_prior(
    model: ModelSpec, beta: FloatArray, cholesky: Sequence[FloatArray]
) -> tuple[float, FloatArray, list[FloatArray]]:
    """Log prior density of one point, over (beta, sd, correlation), with its gradient in beta and the Cholesky factors.

    Parameters
    ----------
    model : Model
    beta : ndarray, shape (p,)
        Fixed effects.
    cholesky : sequence of ndarray, shape (q, q)
        Cholesky factors L of the covariance matrices, by grouping factor.

    Returns
    -------
    value : float
    dbeta : ndarray, shape (p,)
    dcholesky : list of ndarray, shape (q, q)
        Zero above the diagonal. At an sd of zero, where it is not defined, the derivative along the diagonal.
    """
    design = model.design
    means = design.column_means if design.has_intercept else np.zeros(len(beta))
    value, dbeta = 0.0, np.zeros(len(beta))
    for k, (label, coefficient) in enumerate(zip(design.fixed_effects, beta.tolist(), strict=True)):
        prior = model.priors.fixed[label]
        if label == "Intercept":  # the prior is for the intercept at the predictors' means
            log_density, score = prior.log_density_and_score(float(means @ beta))
            dbeta += score * means
        else:
            log_density, score = prior.log_density_and_score(coefficient)
            dbeta[k] += score
        value += log_density
    dcholesky = []
    for group, L in zip(design.groups, cholesky, strict=True):
        dL = np.zeros_like(L)
        sd = np.sqrt((L**2).sum(axis=1))
        direction = _directions(L, sd)
        for members, part in zip(group.sets, group.set_slices, strict=True):
            log_density, dsd = _sds_of_set(model.priors.sd[group.name][part], sd[part])
            value += log_density
            # At an sd of zero, where its density may be infinite, some entries have no direction.
            if not np.isfinite(dsd).all():
                moves = direction[part] != 0
                dL[part] += np.multiply(dsd[:, None], direction[part], out=np.zeros_like(dL[part]), where=moves)
            else:
                dL[part] += dsd[:, None] * direction[part]
            if len(members) > 1:
                value += _add_correlation(model, group.name, L[part, part], dL[part, part])
        dcholesky.append(dL)
    return value, dbeta, dcholesky


def _directions(L: FloatArray, sd: FloatArray) -> FloatArray:
    """The direction in which each sd increases; along the diagonal where the sd is zero."""
    if sd.all():
        return L / sd[:, None]
    direction = np.eye(len(sd))
    return np.divide(L, sd[:, None], out=direction, where=sd[:, None] > 0)


def _sds_of_set(priors: Sequence[ScalePrior], sd: FloatArray) -> tuple[float, FloatArray]:
    if isinstance(priors[0], Decov):
        return float(priors[0].logpdf(sd)), priors[0].score(sd)
    values = [prior.log_density_and_score(x) for prior, x in zip(priors, sd.tolist(), strict=True)]
    return sum(log_density for log_density, _ in values), np.array([score for _, score in values])


def _add_correlation(model: ModelSpec, name: str, L: FloatArray, dL: FloatArray) -> float:
    """Log density of the correlations of one set; adds its gradient in the Cholesky factor to `dL`."""
    prior = model.priors.cor[name]
    sd, diagonal, power = np.sqrt((L**2).sum(axis=1)), L.diagonal(), prior.eta - 1
    constant = _log_density_of_independence(prior, len(sd))
    if diagonal.all():
        if not power:
            return constant
        dL.flat[:: len(sd) + 1] += 2 * power / diagonal
        dL -= 2 * power * L / sd[:, None] ** 2
        with np.errstate(invalid="ignore"):  # entries may be infinite
            return constant + power * float(2 * np.log(np.abs(diagonal) / sd).sum())
    # An effect with an sd of zero has no correlations; the limit along the diagonal is that it is independent.
    varies = sd > 0
    diagonal, sd = np.where(varies, diagonal, 1.0), np.where(varies, sd, 1.0)
    if power:
        with np.errstate(divide="ignore"):
            dL[np.diag_indices(len(sd))] += np.where(varies, 2 * power / diagonal, 0.0)
        dL -= 2 * power * L / sd[:, None] ** 2
    # log det R = 2 sum log(L_ii / sd_i); the constant is the density of independence.
    with np.errstate(divide="ignore", invalid="ignore"):
        logdet = 2 * np.log(np.abs(diagonal) / sd).sum()
    return constant + (power * float(logdet) if power else 0.0)


@lru_cache(maxsize=256)
def _log_density_of_independence(prior: LKJ, size: int) -> float:
    return float(prior.logpdf(np.eye(size)))
