"""The joint density sampled by nutpie."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..density.joint_arrays import joint_arrays
from .native_draws import from_disk, from_memory, kept_variables
from .native_start import GEOMETRIES

if TYPE_CHECKING:
    import xarray as xr

    from ..model import Model
    from .nuts import NUTS


def sample_native(model: Model, engine: NUTS, seed: int) -> tuple[xr.Dataset, xr.Dataset, dict[str, float]]:
    """Draws, statistics and seconds by stage; chains that were interrupted end in values that are not numbers."""
    import nutpie

    from ..density.side_process import joint_density_compiled_beside
    from .native_model import NativeModel
    from .stored_run import begin_run

    started = time.perf_counter()
    folder = None if engine.store is None else begin_run(Path(engine.store), model, engine, seed)
    with joint_density_compiled_beside():
        geometry = GEOMETRIES[engine.parameterization](model)
    native = NativeModel(model, joint_arrays(model, geometry), engine.store_u)
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
        zarr_store=None if folder is None else nutpie.zarr_store.LocalStore(str(folder)),
    )
    kept = kept_variables(model, store_u=engine.store_u)
    drawn, stats = from_memory(model, kept, trace) if folder is None else from_disk(model, kept, folder)
    return drawn, stats, {"locate": located - started, "sample": time.perf_counter() - located}
