"""The PyMC graph of a model sampled by one of PyMC's samplers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ...fits.posterior import posterior_variables

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
    whole = time.perf_counter() - built
    drawn = tree["posterior"].to_dataset()
    sampling: Any = drawn.attrs.get("sampling_time")
    seconds = {"build": built - started}
    seconds |= (
        {"sample": whole} if sampling is None else {"compile": whole - float(sampling), "sample": float(sampling)}
    )
    return _public(model, drawn, store_u=options.store_u), tree["sample_stats"].to_dataset(), seconds


def _public(model: ModelSpec, drawn: xr.Dataset, *, store_u: bool) -> xr.Dataset:
    names = posterior_variables(model)
    if store_u:
        names += [f"u_{group.result_name}" for group in model.design.groups]
    # Copies, because the JAX samplers return arrays that cannot be written to.
    kept = drawn[names].map(lambda values: values.copy(data=np.array(values)), keep_attrs=True)
    for name in names:
        if name.startswith("cor_"):  # exactly 1, without the rounding errors of its Cholesky factor
            np.einsum("...ii->...i", kept[name].values)[...] = 1.0
    return kept.drop_vars([name for name in kept.coords if name not in kept.dims])
