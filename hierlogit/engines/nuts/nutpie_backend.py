"""The joint density sampled by nutpie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...density.integrated.accuracy import fewest_nodes
from ...density.joint.model_arrays import JointArrays, class_of_arrays, joint_arrays
from ...fits.posterior import posterior_layout
from ..stages import Stages
from .adaptation_start import start_of
from .nutpie_draws import from_disk, from_memory
from .nutpie_model import IntegratedModel, NativeModel
from .options import SamplerOptions, checks_of

if TYPE_CHECKING:
    import xarray as xr

    from ...model_spec import ModelSpec
    from ...numba_support.compiled_beside import Compilable


def sample_native(
    model: ModelSpec, options: SamplerOptions
) -> tuple[xr.Dataset, xr.Dataset, dict[str, float], SamplerOptions]:
    """Draws, statistics, seconds by stage, and the options with what was chosen on the way.

    Chains that were interrupted end in values that are not numbers.
    """
    from ...numba_support.compiled_beside import compiled_beside
    from .run_folder import begin_run, end_run, refuse_used

    stages = Stages("locate")
    if options.store is not None:
        refuse_used(Path(options.store))
    integrated = options.effects == "integrated"
    callbacks = _callbacks(model, integrated=integrated)
    with compiled_beside(callbacks[:-1]):  # this process, which has less to compile, has time for the last one
        import nutpie  # which takes long, meanwhile

        geometry = start_of(model, options.parameterization, integrated=integrated)
        stages.begin("compile")  # which the second process may not have finished
        for one in callbacks:
            one.compile_ahead()
    stages.begin("locate")
    native = _native(model, joint_arrays(model, geometry), options)
    if isinstance(native, IntegratedModel):
        options = replace(options, nodes=native.integrated.nodes)
    folder = None if options.store is None else begin_run(Path(options.store), model, options)
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
        drawn, stats = from_memory(model, layout, trace, checks_of(options))
    else:
        end_run(folder.parent)
        drawn, stats = from_disk(model, layout, folder, (options.chains, options.draws), checks_of(options))
    return drawn, stats, stages.end(), options


def _callbacks(model: ModelSpec, *, integrated: bool) -> tuple[Compilable, ...]:
    """The functions of the density that is sampled."""
    if integrated:
        from ...density.integrated import c_callbacks as of_integrated

        return of_integrated.CALLBACKS
    from ...density.joint import c_callbacks as of_joint

    return of_joint.CALLBACKS[class_of_arrays(model)]


def _native(model: ModelSpec, joint: JointArrays, options: SamplerOptions) -> NativeModel:
    """What nutpie samples."""
    if options.effects != "integrated":
        return NativeModel(model, joint, options.store_u)
    arrays, finer = fewest_nodes(joint)
    return IntegratedModel(model, arrays.joint, options.store_u, arrays, finer)
