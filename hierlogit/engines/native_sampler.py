"""The joint density sampled by nutpie: chains of draws under the public names, and the sampler's statistics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..density.joint_arrays import joint_arrays
from .native_start import GEOMETRIES

if TYPE_CHECKING:
    from ..model import Model
    from .native_model import NativeModel
    from .nuts import NUTS

#: Statistics that are kept: nutpie's names, and ArviZ's.
STATISTICS = {
    "diverging": "diverging",
    "energy": "energy",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "n_steps": "n_steps",
    "step_size": "step_size",
    "mean_tree_accept": "acceptance_rate",
}


def sample_native(model: Model, engine: NUTS, seed: int) -> tuple[xr.Dataset, xr.Dataset, dict[str, float]]:
    """Draws, statistics and seconds by stage; chains that were interrupted end in values that are not numbers."""
    import nutpie

    from .native_model import NativeModel

    started = time.perf_counter()
    native = NativeModel(model, joint_arrays(model, GEOMETRIES[engine.parameterization](model)), engine.store_u)
    located = time.perf_counter()
    trace = nutpie.sample(
        native,
        draws=engine.draws,
        tune=engine.steps_of_tuning,
        chains=engine.chains,
        cores=engine.cores_used,
        seed=seed,
        target_accept=engine.acceptance,
        progress_bar=engine.progress,
        return_raw_trace=True,
    )
    posterior, stats = _from_arrow(native, trace, engine.draws)
    return posterior, stats, {"locate": located - started, "sample": time.perf_counter() - located}


def _from_arrow(native: NativeModel, trace: Any, draws: int) -> tuple[xr.Dataset, xr.Dataset]:
    """Draws after tuning, chain by chain, as nutpie keeps them in memory."""
    kept, statistics = trace.get_arrow_trace()
    tuning = [int(_column(one, "tuning").sum()) for one in statistics]
    variables: dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]] = {}
    stats: dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]] = {}
    for name, (shape, dims) in native.variables.items():
        values = np.full((len(kept), draws, *shape), np.nan)
        for chain, (batch, first) in enumerate(zip(kept, tuning, strict=True)):
            own = _column(batch, name).reshape(-1, *shape)[first:]
            values[chain, : len(own)] = own
        variables[name] = (("chain", "draw", *dims), values)
    for theirs, ours in STATISTICS.items():
        columns = [_column(one, theirs)[first:] for one, first in zip(statistics, tuning, strict=True)]
        values = np.zeros((len(columns), draws), dtype=columns[0].dtype)
        for chain, own in enumerate(columns):
            values[chain, : len(own)] = own
        stats[ours] = (("chain", "draw"), values)
    return labelled(native, variables), labelled(native, stats)


def _column(batch: Any, name: str) -> npt.NDArray[Any]:
    """The numbers of one column, flat."""
    import pyarrow

    column = pyarrow.array(batch.column(name))
    values: npt.NDArray[Any] = (column.flatten() if hasattr(column, "flatten") else column).to_numpy(False)
    return values


def labelled(native: NativeModel, variables: Mapping[str, tuple[tuple[str, ...], npt.NDArray[Any]]]) -> xr.Dataset:
    """Variables with the labels of their dimensions."""
    sizes = {dim: size for dims, values in variables.values() for dim, size in zip(dims, values.shape, strict=True)}
    coords = {dim: labels for dim, labels in native.model.coords.items() if dim in sizes}
    return xr.Dataset(variables, coords={"chain": range(sizes["chain"]), "draw": range(sizes["draw"]), **coords})
