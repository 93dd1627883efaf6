"""The PyMC graph of a model, sampled by one of PyMC's samplers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ...density.variables import model_variables
from ...fits.posterior import posterior_layout

if TYPE_CHECKING:
    from ...model_spec import ModelSpec
    from .options import SamplerOptions


def sample_graph(
    model: ModelSpec, options: SamplerOptions
) -> tuple[xr.Dataset, xr.Dataset, dict[str, float], SamplerOptions]:
    """Draws, statistics, seconds by stage, and the options.

    Chains that were interrupted end in values that are not numbers.
    """
    import pymc as pm

    from ...density.pymc_graph import build_graph

    started = time.perf_counter()
    graph = build_graph(model)
    built = time.perf_counter()
    one_by_one = options.backend == "pymc" and min(options.cores, options.chains) == 1
    tree: xr.DataTree = _interruptible(
        pm.sample,
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
        **({"callback": _EndWithChain(options.tune + options.draws)} if one_by_one else {}),
    )
    elapsed = time.perf_counter() - built
    draws = tree["posterior"].to_dataset()
    sampling: Any = draws.attrs.get("sampling_time")
    seconds = {"build": built - started}
    seconds |= (
        {"sample": elapsed} if sampling is None else {"compile": elapsed - float(sampling), "sample": float(sampling)}
    )
    return _public(model, draws, store_u=options.store_u), tree["sample_stats"].to_dataset(), seconds, options


def _interruptible(sample: Callable[..., Any], **options: Any) -> Any:
    """The draws of PyMC's sampler; an interruption before the first draw after tuning is one, and no other error."""
    try:
        return sample(**options)
    except ValueError as error:
        if "Not enough samples to build a trace" in str(error):
            raise KeyboardInterrupt from None
        raise


class _EndWithChain:
    """Callback with which an interruption ends sampling: PyMC would go on with the next chain in the same process.

    Parameters
    ----------
    steps : int
        Steps of a whole chain.
    """

    def __init__(self, steps: int) -> None:
        self._last = steps - 1
        self._chain, self._step = 0, -1

    def __call__(self, trace: Any, draw: Any) -> None:  # noqa: ARG002  PyMC passes both by name
        """Interrupt a chain that follows one which did not reach its end."""
        if draw.chain != self._chain and self._step < self._last:
            raise KeyboardInterrupt
        self._chain, self._step = draw.chain, draw.draw_idx


def _public(model: ModelSpec, draws: xr.Dataset, *, store_u: bool) -> xr.Dataset:
    names = list(posterior_layout(model, store_u=store_u))
    # Copies, because the JAX samplers return arrays that cannot be written to.
    kept = draws[names].map(lambda values: values.copy(data=np.array(values)), keep_attrs=True)
    for of_group in model_variables(model).groups:
        if of_group.cor is not None:  # exactly 1, without the rounding errors of its Cholesky factor
            np.einsum("...ii->...i", kept[of_group.cor.name].values)[...] = 1.0
    return kept.drop_vars([name for name in kept.coords if name not in kept.dims])
