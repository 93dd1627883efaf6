"""What nutpie keeps of a run of the joint density, in memory or on disk, as labelled draws and statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ...fits.posterior import posterior_variables

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

Array = npt.NDArray[Any]
#: Shape and dimensions of what is kept of a draw, by name.
PosteriorVariables = dict[str, tuple[tuple[int, ...], tuple[str, ...]]]

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


def kept_variables(model: ModelSpec, *, store_u: bool) -> PosteriorVariables:
    """Shapes and dimensions of the public variables, in the order in which the sampler writes them."""
    found: PosteriorVariables = {}
    if model.design.fixed_effects:
        found["beta"] = (len(model.design.fixed_effects),), ("fixed_effect",)
    for group in model.design.groups:
        name, dim, effect = group.result_name, model.dim(group), model.effect_dim(group)
        q, levels = len(group.effects), len(group.levels)
        found[f"sd_{name}"] = (q,), (effect,)
        if group.correlated:
            found[f"cor_{name}"] = (q, q), (effect, f"{effect}_bis")
        found[f"b_{name}"] = (levels, q), (dim, effect)
        if store_u:
            found[f"u_{name}"] = (levels, q), (dim, effect)
    return found


def from_memory(model: ModelSpec, kept: PosteriorVariables, trace: Any) -> tuple[xr.Dataset, xr.Dataset]:
    """Draws after tuning, and statistics; chains that were interrupted early end in values that are not numbers."""
    batches, statistics = trace.get_arrow_trace()
    tuning = [int(_column(one, "tuning").sum()) for one in statistics]

    def chains(sources: list[Any], name: str, shape: tuple[int, ...]) -> Array:
        own = [_column(one, name).reshape(-1, *shape)[first:] for one, first in zip(sources, tuning, strict=True)]
        missing = np.nan if own[0].dtype.kind == "f" else 0
        values = np.full((len(own), max(map(len, own)), *shape), missing, dtype=own[0].dtype)
        for chain, one in enumerate(own):
            values[chain, : len(one)] = one
        return values

    return _labelled(
        model, kept, lambda name: chains(batches, name, kept[name][0]), lambda n: chains(statistics, n, ())
    )


def from_disk(model: ModelSpec, kept: PosteriorVariables, folder: Path) -> tuple[xr.Dataset, xr.Dataset]:
    """As `from_memory`, of a run that was written to a folder; what is not there yet is not a number."""
    import zarr

    group = zarr.open_group(str(folder), mode="r")
    written = _written(folder, group["sample_stats/energy"])

    def read(path: str) -> Array:
        array: Any = group[path]
        return np.asarray(array[:, :written])

    return _labelled(model, kept, lambda name: read(f"posterior/{name}"), lambda name: read(f"sample_stats/{name}"))


def _written(folder: Path, energy: Any) -> int:
    """How many draws of a run on disk have been written, of the chain that got furthest.

    A run that was broken off may have a millionth of the chunks that it was to have, each of which would be looked for.
    """
    chunks = [int(one.name) for one in (folder / "sample_stats/energy/c").glob("*/*")]
    return min((max(chunks, default=-1) + 1) * int(energy.chunks[1]), int(energy.shape[1]))


def _labelled(
    model: ModelSpec, kept: Mapping[str, Any], draws: Callable[[str], Array], statistics: Callable[[str], Array]
) -> tuple[xr.Dataset, xr.Dataset]:
    order = posterior_variables(model)
    names = order + [name for name in kept if name not in order]
    variables = {name: (("chain", "draw", *kept[name][1]), draws(name)) for name in names}
    stats = {ours: (("chain", "draw"), statistics(theirs)) for theirs, ours in STATISTICS.items()}
    chains, count = stats["energy"][1].shape
    used = {dim for dims, _ in variables.values() for dim in dims}
    labels = {dim: labels for dim, labels in model.coords.items() if dim in used}
    counted = {"chain": range(chains), "draw": range(count)}
    return xr.Dataset(variables, coords={**counted, **labels}), xr.Dataset(stats, coords=counted)


def _column(batch: Any, name: str) -> Array:
    """The numbers of one column, flat."""
    import pyarrow

    column = pyarrow.array(batch.column(name))
    values: Array = (column.flatten() if hasattr(column, "flatten") else column).to_numpy(False)
    return values
