"""nutpie's trace of a run, in memory or on disk -> labelled draws and statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ...fits.posterior import posterior_dataset

if TYPE_CHECKING:
    from ...density.variables import Variable
    from ...model_spec import ModelSpec

Array = npt.NDArray[Any]

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
#: A chunk on disk holds at most this many times the numbers of the array: a few draws are written together.
LARGEST_CHUNK = 64


def from_memory(
    model: ModelSpec, layout: Mapping[str, Variable], trace: Any, checks: tuple[str, ...] = ()
) -> tuple[xr.Dataset, xr.Dataset]:
    """Draws after tuning, and statistics; chains that were interrupted end in values that are not numbers.

    Numbers of the draws that are named in `checks` become statistics.
    """
    batches, statistics = trace.get_arrow_trace()
    tuning = [int(_column(one, "tuning").sum()) for one in statistics]

    def chains(sources: list[Any], name: str, shape: tuple[int, ...]) -> Array:
        drawn = [_column(one, name).reshape(-1, *shape)[first:] for one, first in zip(sources, tuning, strict=True)]
        missing = np.nan if drawn[0].dtype.kind == "f" else 0
        values = np.full((len(drawn), max(map(len, drawn)), *shape), missing, dtype=drawn[0].dtype)
        for chain, of_chain in enumerate(drawn):
            values[chain, : len(of_chain)] = of_chain
        return values

    draws = {name: chains(batches, name, one.shape) for name, one in layout.items()}
    stats = _statistics(lambda name: chains(statistics, name, ()))
    checked = {name: (("chain", "draw"), chains(batches, name, ())) for name in checks}
    return posterior_dataset(model, layout, draws), stats.assign(checked)


def from_disk(
    model: ModelSpec,
    layout: Mapping[str, Variable],
    folder: Path,
    requested: tuple[int, int],
    checks: tuple[str, ...] = (),
) -> tuple[xr.Dataset, xr.Dataset]:
    """As `from_memory`, for a run that was written to a folder; draws that are not there yet are not numbers.

    Parameters
    ----------
    model : Model
    layout : mapping of str to Variable
    folder : Path
    requested : (int, int)
        Chains and draws of the run.
    checks : tuple of str
        Numbers of the draws that become statistics.

    Raises
    ------
    ValueError
        If an array has another shape or other chunks than the run has written.
    """
    import zarr

    group = zarr.open_group(str(folder), mode="r")

    def stored(path: str, shape: tuple[int, ...]) -> Any:
        array: Any = group[path]
        expected = (*requested, *shape)
        # A damaged size must not allocate more memory than there is.
        if array.shape != expected or math.prod(array.chunks) > LARGEST_CHUNK * math.prod(expected):
            raise ValueError(f"{path} has shape {array.shape} in chunks of {array.chunks}, not {expected}")
        return array

    written = _written(folder, stored("sample_stats/energy", ()))
    draws = {name: stored(f"posterior/{name}", one.shape)[:, :written] for name, one in layout.items()}
    stats = _statistics(lambda name: np.asarray(stored(f"sample_stats/{name}", ())[:, :written]))
    checked = {name: (("chain", "draw"), np.asarray(stored(f"posterior/{name}", ())[:, :written])) for name in checks}
    return posterior_dataset(model, layout, draws), stats.assign(checked)


def _written(folder: Path, energy: Any) -> int:
    """How many draws the chain that got furthest has written to disk.

    Counting them avoids reading a run that stopped early in full, which would look for each of its missing chunks.
    """
    chunks = [int(one.name) for one in (folder / "sample_stats/energy/c").glob("*/*")]
    return min((max(chunks, default=-1) + 1) * int(energy.chunks[1]), int(energy.shape[1]))


def _statistics(read: Callable[[str], Array]) -> xr.Dataset:
    statistics = {ours: (("chain", "draw"), read(theirs)) for theirs, ours in STATISTICS.items()}
    chains, count = statistics["energy"][1].shape
    return xr.Dataset(statistics, coords={"chain": range(chains), "draw": range(count)})


def _column(batch: Any, name: str) -> Array:
    """The numbers of one column, flat."""
    import pyarrow

    column = pyarrow.array(batch.column(name))
    values: Array = (column.flatten() if hasattr(column, "flatten") else column).to_numpy(False)
    return values
