"""Posterior draws assembled in ArviZ's groups, and extracted by parameter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..density.linear_predictor import pointwise_log_likelihood
from ..density.log_prior import log_prior
from ..density.variables import model_variables
from ..model_spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy.typing as npt
    import xarray as xr

    from ..density.variables import ModelVariables, Variable
    from ..design.design import Design

    FloatArray = npt.NDArray[np.float64]


def assemble(
    model: ModelSpec, posterior: xr.Dataset, sample_stats: xr.Dataset | None, *, priors: bool = True
) -> xr.DataTree:
    """The groups of a fit, assembled from its draws.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset
        Draws with the names of results, dims (chain, draw, ...).
    sample_stats : xarray.Dataset or None
        Statistics of the sampler.
    priors : bool
        Whether the fit used the priors, so that there is a group ``log_prior``.

    Returns
    -------
    xarray.DataTree
    """
    import xarray as xr

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


def posterior_layout(model: ModelSpec, *, store_u: bool = False) -> dict[str, Variable]:
    """Variables of a posterior by name, with their dimensions and shapes, in the order of results.

    Samplers write the numbers of a draw in this order, too.

    Parameters
    ----------
    model : Model
    store_u : bool
        Whether the standardised effects are included.

    Returns
    -------
    dict of str to Variable

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ age + (1 + urban | district)", hl.datasets.load("contraception"))
    >>> {name: variable.shape for name, variable in posterior_layout(model).items()}
    {'beta': (2,), 'sd_district': (2,), 'cor_district': (2, 2), 'b_district': (60, 2)}
    """
    variables = model_variables(model)
    stored = [variables.fixed.beta] if variables.fixed else []
    stored += [item for of_group in variables.groups for item in (of_group.sd, of_group.cor) if item is not None]
    stored += [variables.phi] if variables.phi else []
    stored += [of_group.b for of_group in variables.groups]
    stored += [of_group.u for of_group in variables.groups if store_u]
    return {variable.name: variable for variable in stored}


def posterior_dataset(
    model: ModelSpec, layout: Mapping[str, Variable], draws: Mapping[str, npt.NDArray[Any]]
) -> xr.Dataset:
    """The draws as a dataset with dimensions and labels.

    Parameters
    ----------
    model : Model
    layout : mapping of str to Variable
        The variables, from `posterior_layout`.
    draws : mapping of str to ndarray, shape (chains, draws, ...)
        Values of the draws by name.
    """
    import xarray as xr

    variables = {name: (("chain", "draw", *variable.dims), draws[name]) for name, variable in layout.items()}
    chains, count = next(iter(draws.values())).shape[:2]
    used = {dim for variable in layout.values() for dim in variable.dims}
    labels = {dim: labels for dim, labels in model.coords.items() if dim in used}
    return xr.Dataset(variables, coords={"chain": range(chains), "draw": range(count), **labels})


def posterior_of_arrays(
    model: ModelSpec,
    beta: FloatArray,
    cholesky: Mapping[str, FloatArray],
    effects: Mapping[str, FloatArray],
    phi: FloatArray | None = None,
) -> xr.Dataset:
    """Draws in one chain, with the names of results.

    Parameters
    ----------
    model : Model
    beta : ndarray, shape (draws, p)
    cholesky : mapping of str to ndarray, shape (draws, q, q)
        By grouping factor, Cholesky factors of the covariance matrices of its effects.
    effects : mapping of str to ndarray, shape (draws, J, q)
        Random effects by grouping factor.
    phi : ndarray, shape (draws,), optional
        Precision of beta-binomial outcomes.
    """
    variables = model_variables(model)
    draws = _parameters(variables, beta, cholesky)
    draws |= {of_group.b.name: effects[of_group.group.name] for of_group in variables.groups}
    if variables.phi is not None and phi is not None:
        draws[variables.phi.name] = phi
    return posterior_dataset(model, posterior_layout(model), {name: values[None] for name, values in draws.items()})


def posterior_of_parameters(model: ModelSpec, beta: FloatArray, cholesky: Mapping[str, FloatArray]) -> xr.Dataset:
    """Draws in one chain, with the names of results, without the random effects.

    Parameters
    ----------
    model : Model
        Of binomial outcomes.
    beta : ndarray, shape (draws, p)
    cholesky : mapping of str to ndarray, shape (draws, q, q)
        By grouping factor, Cholesky factors of the covariance matrices of its effects.
    """
    draws = _parameters(model_variables(model), beta, cholesky)
    layout = {name: variable for name, variable in posterior_layout(model).items() if name in draws}
    return posterior_dataset(model, layout, {name: values[None] for name, values in draws.items()})


def _parameters(
    variables: ModelVariables, beta: FloatArray, cholesky: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Draws of fixed effects, sds and correlations, by the names of the variables."""
    draws = {variables.fixed.beta.name: beta} if variables.fixed else {}
    for of_group in variables.groups:
        L = cholesky[of_group.group.name]
        sd = np.sqrt((L**2).sum(axis=2))
        draws[of_group.sd.name] = sd
        if of_group.cor is not None:
            draws[of_group.cor.name] = _correlations(L, sd)
    return draws


def _correlations(L: FloatArray, sd: FloatArray) -> FloatArray:
    unit = np.divide(L, sd[..., None], out=np.zeros_like(L), where=sd[..., None] > 0)
    R: FloatArray = np.einsum("sac,sbc->sab", unit, unit)
    diagonal = np.arange(L.shape[1])
    R[:, diagonal, diagonal] = 1.0
    return R


def values_per_draw(model: ModelSpec) -> int:
    """How many numbers a posterior draw consists of, including the random effects."""
    return max(sum(math.prod(variable.shape) for variable in posterior_layout(model).values()), 1)


def draws_within(posterior: xr.Dataset, rows: int, values: int, fewest: int) -> int | None:
    """How many draws keep a computation for all rows within a number of values; None if all of them do.

    Parameters
    ----------
    posterior : xarray.Dataset
    rows : int
    values : int
        Rows times draws that can be afforded.
    fewest : int
        Draws that are used in any case.
    """
    most = max(values // rows, fewest)
    return most if posterior.sizes["chain"] * posterior.sizes["draw"] > most else None


def parameter_labels(design: Design) -> list[str]:
    """Labels of all estimated parameters, in the order of `parameter_draws`.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ age + (1 + urban | district)", hl.datasets.load("contraception"))
    >>> parameter_labels(model.design)[2:]
    ['sd_district[Intercept]', 'sd_district[urban[Y]]', 'cor_district[Intercept, urban[Y]]']
    """
    labels = list(design.fixed_effects)
    for group in design.groups:
        name, effects = group.result_name, group.effects
        labels += [f"sd_{name}[{effect}]" for effect in effects]
        labels += [f"cor_{name}[{effects[i]}, {effects[j]}]" for i, j in group.correlated_pairs]
    return [*labels, "phi"] if design.outcome.family == "betabinomial" else labels


def parameter_draws(model: ModelSpec, posterior: xr.Dataset) -> xr.DataArray:
    """Draws of all estimated parameters: fixed effects, sds and correlations by grouping factor, then phi.

    Parameters
    ----------
    model : Model
    posterior : xarray.Dataset

    Returns
    -------
    xarray.DataArray
        Dims (chain, draw, parameter), labelled by ``parameter`` (``sd_district[urban[Y]]``) and ``component``
        (``fixed``, the grouping factor, or ``phi``). Constants, such as the diagonal of a correlation matrix, are left
        out.
    """
    import xarray as xr

    parts = [("fixed", posterior["beta"].sel(fixed_effect=label)) for label in model.design.fixed_effects]
    for group in model.design.groups:
        name, dim = group.result_name, model.effect_dim(group)
        parts += [(group.name, posterior[f"sd_{name}"].isel({dim: i})) for i in range(len(group.effects))]
        parts += [
            (group.name, posterior[f"cor_{name}"].isel({dim: i, f"{dim}_bis": j})) for i, j in group.correlated_pairs
        ]
    parts += [("phi", posterior["phi"])] if model.overdispersed else []
    draws = np.stack([values.transpose("chain", "draw").to_numpy() for _, values in parts], axis=-1)
    coords = {
        "chain": posterior["chain"],
        "draw": posterior["draw"],
        "parameter": parameter_labels(model.design),
        "component": ("parameter", [component for component, _ in parts]),
    }
    return xr.DataArray(draws, dims=("chain", "draw", "parameter"), coords=coords)
