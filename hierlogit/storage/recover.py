"""Reading a run of the sampler that was written to disk while it ran, complete or interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any

import xarray as xr

from ..engines.nuts.finished_fit import finished_fit
from ..engines.nuts.nutpie_draws import from_disk
from ..engines.nuts.options import SamplerOptions, checks_of
from ..engines.nuts.run_folder import DRAWS_FOLDER, LAYOUT, MODEL_FILE, is_damaged
from ..errors import FitError
from ..fits.fit import Fit
from ..fits.model_record import read_model
from ..fits.posterior import posterior_layout
from ..model import Model
from ..validation import mapping, path
from ..whole_files import check_seal
from .reading import reading


def recover(folder: str | PathLike[str], *, namespace: Mapping[str, Any] | None = None) -> Fit[Model]:
    """The fit from a run of ``NUTS(store=folder)``, even if its process was killed.

    Parameters
    ----------
    folder : str or path
        The folder that was given to `NUTS`. Nothing in it is changed.
    namespace : mapping of str to object, optional
        Your own functions and values that the formula uses, since they cannot be stored in a file.

    Returns
    -------
    Fit
        With the largest complete set of chains and draws. If the run was interrupted, ``fit.diagnostics.status`` is
        ``"interrupted"``.

    Raises
    ------
    FitError
        If the folder does not contain a run of the sampler, a file in it is damaged, no chain has finished its tuning,
        a name of the namespace is missing, or the rows now give a different design.

    Examples
    --------
    >>> import tempfile
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ 1 + (1 | district)", hl.datasets.load("contraception"))
    >>> folder = tempfile.mkdtemp()
    >>> fit = model.fit(hl.NUTS(draws=500, seed=1, progress=False, store=folder))
    >>> bool((hl.recover(folder).posterior["beta"] == fit.posterior["beta"]).all())
    True
    """
    source = path("folder", folder, FitError)
    if namespace is not None:
        namespace = mapping("namespace", namespace, FitError, "names with their values, {'f': f}")
    if not (source / MODEL_FILE).exists():
        raise FitError(f"{source} is not the folder of a run of the sampler: there is no {MODEL_FILE} in it.")
    with reading(source / MODEL_FILE, "the model of a run of the sampler"):
        check_seal(source / MODEL_FILE)
        rows = xr.load_dataset(source / MODEL_FILE, engine="h5netcdf")
        record = json.loads(rows.attrs["hierlogit_run"])
        if record["layout"] > LAYOUT:
            raise FitError(
                f"{source} was written by a later version of hierlogit, whose folders this one cannot read: update "
                "hierlogit."
            )
        options = SamplerOptions(**record["options"])
        model = read_model(Model, record, rows, namespace, source / MODEL_FILE)
    with reading(source / DRAWS_FOLDER, "the draws of this run"):
        if is_damaged(source):
            raise ValueError("they were changed after they had been written")
        layout = posterior_layout(model, store_u=options.store_u)
        requested = (options.chains, options.draws)
        drawn, stats = from_disk(model, layout, source / DRAWS_FOLDER, requested, checks_of(options))
        try:
            return finished_fit(model, options, (), drawn, stats, {})
        except KeyboardInterrupt:
            raise FitError(f"the run in {source} ended before any chain had finished tuning. Sample again.") from None
