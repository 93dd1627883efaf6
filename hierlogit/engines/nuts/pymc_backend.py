"""The PyMC graph of a model, sampled by one of PyMC's samplers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ...density.variables import model_variables
from ...fits.posterior import posterior_layout

if TYPE_CHECKING:
    from ...model_spec import ModelSpec
    from .options import SamplerOptions


def sample_graph(model: ModelSpec, options: SamplerOptions) -> tuple[xr.Dataset, xr.Dataset, dict[str, float]]:
    """Draws, statistics and seconds by stage; chains that were interrupted end in values that are not numbers."""
    import pymc as pm

    from ...density.pymc_graph import build_graph

    started = time.perf_counter()
    graph = build_graph(model)
    built = time.perf_counter()
    tree: xr.DataTree = pm.sample(
        draws=options.draws,
        tune=options.tune,
        chains=options.chains,
        cores=options.cores,
        random_seed=options.seed,
        model=graph,
        nuts_sampler=options.backend,
        nuts={"target_accept": options.target_accept},
        progressbar=options.progress,
        quiet=not options.progress,
        compute_convergence_checks=False,
    )
    elapsed = time.perf_counter() - built
    draws = tree["posterior"].to_dataset()
    sampling: Any = draws.attrs.get("sampling_time")
    seconds = {"build": built - started}
    seconds |= (
        {"sample": elapsed} if sampling is None else {"compile": elapsed - float(sampling), "sample": float(sampling)}
    )
    return _public(model, draws, store_u=options.store_u), tree["sample_stats"].to_dataset(), seconds


def _public(model: ModelSpec, draws: xr.Dataset, *, store_u: bool) -> xr.Dataset:
    names = list(posterior_layout(model, store_u=store_u))
    # Copies, because the JAX samplers return arrays that cannot be written to.
    kept = draws[names].map(lambda values: values.copy(data=np.array(values)), keep_attrs=True)
    for of_group in model_variables(model).groups:
        if of_group.cor is not None:  # exactly 1, without the rounding errors of its Cholesky factor
            np.einsum("...ii->...i", kept[of_group.cor.name].values)[...] = 1.0
    return kept.drop_vars([name for name in kept.coords if name not in kept.dims])
