"""The joint density sampled by nutpie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...density.joint.model_arrays import joint_arrays
from ...fits.posterior import posterior_layout
from ..stages import Stages
from .adaptation_start import GEOMETRIES
from .nutpie_draws import from_disk, from_memory

if TYPE_CHECKING:
    import xarray as xr

    from ...model_spec import ModelSpec
    from .options import SamplerOptions


def sample_native(model: ModelSpec, options: SamplerOptions) -> tuple[xr.Dataset, xr.Dataset, dict[str, float]]:
    """Draws, statistics and seconds by stage; chains that were interrupted end in values that are not numbers."""
    import nutpie

    from ...density.joint.background_compile import joint_density_compiled_beside
    from .nutpie_model import NativeModel
    from .run_folder import begin_run, end_run

    stages = Stages("locate")
    folder = None if options.store is None else begin_run(Path(options.store), model, options)
    with joint_density_compiled_beside():
        geometry = GEOMETRIES[options.parameterization](model)
        stages.begin("compile")  # which the second process may not have finished
    stages.begin("locate")
    native = NativeModel(model, joint_arrays(model, geometry), options.store_u)
    stages.begin("sample")
    trace = nutpie.sample(
        native,
        draws=options.draws,
        tune=options.tune,
        chains=options.chains,
        cores=options.cores,
        seed=options.seed,
        target_accept=options.target_accept,
        progress_bar=options.progress,
        return_raw_trace=True,
        zarr_store=None if folder is None else nutpie.zarr_store.LocalStore(str(folder)),
    )
    layout = posterior_layout(model, store_u=options.store_u)
    if folder is None:
        drawn, stats = from_memory(model, layout, trace)
    else:
        end_run(folder.parent)
        drawn, stats = from_disk(model, layout, folder, (options.chains, options.draws))
    return drawn, stats, stages.end()
