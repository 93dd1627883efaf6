"""Posterior draws -> log prior density of every parameter, for power-scaling checks of the prior."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..model import Model
from ..priors import Decov


def log_prior(model: Model, posterior: xr.Dataset) -> xr.Dataset:
    """The ``log_prior`` group of a fit: densities of fixed effects, sds and correlations.

    The cluster effects are no part of it: their distribution is the model's, not prior knowledge.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset
        With ``beta``, ``sd_<group>`` and ``cor_<group>``.

    Returns
    -------
    xarray.Dataset
        ``beta`` by fixed effect, that of the intercept at the predictors' means; ``sd_<group>`` by effect, or one
        value where the prior is joint; ``cor_<group>``.
    """
    design, densities = model.design, {}
    if design.fixed_effects:
        densities["beta"] = _fixed(model, posterior["beta"])
    for group in design.groups:
        name, dim = group.result_name, model.effect_dim(group)
        priors, sd = model.priors.sd[group.name], posterior[f"sd_{name}"]
        for k, members in enumerate(group.sets):
            prior, chosen = priors[members[0]], sd.isel({dim: list(members)})
            if isinstance(prior, Decov):
                values = prior.logpdf(chosen.transpose("chain", "draw", dim).to_numpy())
                densities[f"sd_{name}[{k}]"] = xr.DataArray(values, dims=("chain", "draw"))
        separate = [i for i, prior in enumerate(priors) if not isinstance(prior, Decov)]
        if separate:
            parts = [xr.apply_ufunc(priors[i].logpdf, sd.isel({dim: i})) for i in separate]
            densities[f"sd_{name}"] = xr.concat(parts, dim).transpose("chain", "draw", dim)
        if group.name in model.priors.cor:
            densities[f"cor_{name}"] = _correlations(model, group.name, posterior[f"cor_{name}"].to_numpy())
    return xr.Dataset(densities, coords={"chain": posterior["chain"], "draw": posterior["draw"]})


def _fixed(model: Model, beta: xr.DataArray) -> xr.DataArray:
    design = model.design
    shifted = beta.copy()
    if design.has_intercept:
        means = xr.DataArray(design.X.mean(axis=0), dims="fixed_effect", coords={"fixed_effect": beta["fixed_effect"]})
        shifted.loc[{"fixed_effect": "Intercept"}] = (beta * means).sum("fixed_effect")
    parts = [
        xr.apply_ufunc(model.priors.fixed[label].logpdf, shifted.sel(fixed_effect=label))
        for label in design.fixed_effects
    ]
    together: xr.DataArray = xr.concat(parts, "fixed_effect").transpose("chain", "draw", "fixed_effect")
    return together


def _correlations(model: Model, name: str, cor: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> xr.DataArray:
    group = next(group for group in model.design.groups if group.name == name)
    total = np.zeros(cor.shape[:2])
    for members in group.sets:
        if len(members) > 1:
            total += model.priors.cor[name].logpdf(cor[..., members[0] : members[-1] + 1, members[0] : members[-1] + 1])
    return xr.DataArray(total, dims=("chain", "draw"))
