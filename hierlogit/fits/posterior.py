"""Posterior draws of a model put into groups as ArviZ has them, and taken out by parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..density.linear_predictor import pointwise_log_likelihood
from ..density.log_prior import log_prior
from ..model_spec import ModelSpec

if TYPE_CHECKING:
    pass


def assemble(
    model: ModelSpec, posterior: xr.Dataset, sample_stats: xr.Dataset | None, *, priors: bool = True
) -> xr.DataTree:
    """Put the groups of a fit together from its draws.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset
        Draws under the public names, dims (chain, draw, ...).
    sample_stats : xarray.Dataset or None
        The sampler's own statistics.
    priors : bool
        Whether the draws come from a posterior, with a density of the prior.

    Returns
    -------
    xarray.DataTree
    """
    outcome, design = model.design.outcome, model.design
    rows = {"obs": model.coords["obs"]}
    constant = {"trials": ("obs", outcome.trials.astype(int)), "offset": ("obs", design.offset)}
    for group in design.groups:
        constant[f"{group.result_name}_of_obs"] = ("obs", group.levels[group.index])
    groups = {
        "posterior": posterior,
        "log_likelihood": pointwise_log_likelihood(model, posterior),
        "observed_data": xr.Dataset({model.outcome_name: ("obs", outcome.y.astype(int))}, coords=rows),
        "constant_data": xr.Dataset(constant, coords=rows),
    }
    if priors:
        groups["log_prior"] = log_prior(model, posterior)
    if sample_stats is not None:
        groups["sample_stats"] = sample_stats
    return xr.DataTree.from_dict(groups)


def posterior_variables(model: ModelSpec) -> list[str]:
    """Names of the variables of a posterior group, in the order results show them."""
    names = ["beta"] if model.design.fixed_effects else []
    for group in model.design.groups:
        name = group.result_name
        names += [f"sd_{name}"] + ([f"cor_{name}"] if group.correlated else [])
    return names + [f"b_{group.result_name}" for group in model.design.groups]


def parameter_draws(model: ModelSpec, posterior: xr.Dataset) -> xr.DataArray:
    """Draws of every parameter that is estimated: fixed effects, then sds and correlations by grouping factor.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset

    Returns
    -------
    xarray.DataArray
        Dims (chain, draw, parameter), labelled by ``parameter`` (``sd_district[urban[Y]]``) and ``component``
        (``fixed`` or the grouping factor). What is fixed, such as the 1 on the diagonal of a correlation matrix, is
        left out.
    """
    parts = [("fixed", label, posterior["beta"].sel(fixed_effect=label)) for label in model.design.fixed_effects]
    for group in model.design.groups:
        name, dim = group.result_name, model.effect_dim(group)
        for i, effect in enumerate(group.effects):
            parts.append((group.name, f"sd_{name}[{effect}]", posterior[f"sd_{name}"].isel({dim: i})))
        for i, j in group.correlated_pairs:
            values = posterior[f"cor_{name}"].isel({dim: i, f"{dim}_bis": j})
            parts.append((group.name, f"cor_{name}[{group.effects[i]}, {group.effects[j]}]", values))
    draws = np.stack([values.transpose("chain", "draw").to_numpy() for *_, values in parts], axis=-1)
    coords = {
        "chain": posterior["chain"],
        "draw": posterior["draw"],
        "parameter": [label for _, label, _ in parts],
        "component": ("parameter", [component for component, *_ in parts]),
    }
    return xr.DataArray(draws, dims=("chain", "draw", "parameter"), coords=coords)
