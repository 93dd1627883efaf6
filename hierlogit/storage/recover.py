"""Reading a run of the sampler that was written to disk while it ran, complete or interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any

import xarray as xr

from ..engines.nuts.finished_fit import finished_fit
from ..engines.nuts.nutpie_draws import from_disk
from ..engines.nuts.options import SamplerOptions
from ..engines.nuts.run_folder import DRAWS_FOLDER, LAYOUT, MODEL_FILE
from ..errors import FitError
from ..fits.fit import Fit
from ..fits.model_record import read_model
from ..fits.posterior import posterior_layout
from ..model import Model
from ..validation import mapping, path, reason_of


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
        If the folder does not contain a run of the sampler, no chain has finished its tuning, a name of the namespace
        is missing, or the rows now give a different design.

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
    try:
        rows = xr.load_dataset(source / MODEL_FILE, engine="h5netcdf")
        record = json.loads(rows.attrs["hierlogit_run"])
        later = record["layout"] > LAYOUT
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise FitError(f"{source / MODEL_FILE} cannot be read: {reason_of(error)}.") from error
    if later:
        raise FitError(
            f"{source} was written by a later version of hierlogit, whose folders this one cannot read: update "
            "hierlogit."
        )
    model = read_model(Model, record, rows, namespace, source)
    options = SamplerOptions(**record["options"])
    try:
        drawn, stats = from_disk(model, posterior_layout(model, store_u=options.store_u), source / DRAWS_FOLDER)
    except (OSError, KeyError, ValueError) as error:
        raise FitError(f"no draws can be read from {source / DRAWS_FOLDER}: {reason_of(error)}.") from error
    try:
        return finished_fit(model, options, (), drawn, stats, {})
    except KeyboardInterrupt:
        raise FitError(f"the run in {source} ended before any chain had finished tuning. Sample again.") from None
