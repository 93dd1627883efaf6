"""A run of the sampler that is written to disk while it goes on, and read back, whole or broken off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from ..errors import EngineError, FitError
from ..fit import Fit
from ..model_storage import model_record, read_model, rows_dataset
from .native_draws import from_disk, kept_variables
from .nuts import NUTS, finished_fit

if TYPE_CHECKING:
    from ..model import Model

MODEL_FILE = "model.nc"
DRAWS_FOLDER = "draws"
#: Version of the layout of the folder; a reader knows all layouts up to its own.
LAYOUT = 1


def begin_run(folder: Path, model: Model, engine: NUTS, seed: int) -> Path:
    """Make the folder of a run, with the model in it; returns the folder for its draws.

    Raises
    ------
    EngineError
        If there is something in the folder already, or it cannot be written to.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise EngineError(
            f"NUTS: store={str(folder)!r} is not empty. Name a new folder; to read the run that is in it, call "
            "hierlogit.recover(folder)."
        )
    record = {"layout": LAYOUT, **model_record(model), "engine": asdict(engine) | {"store": str(folder)}, "seed": seed}
    rows = rows_dataset(model.design.table)
    rows.attrs["hierlogit_run"] = json.dumps(record)
    draws = folder / DRAWS_FOLDER
    partial = folder / f"{MODEL_FILE}.partial"
    try:
        draws.mkdir(parents=True, exist_ok=True)
        rows.to_netcdf(partial, engine="h5netcdf")
        partial.replace(folder / MODEL_FILE)  # there whole, or not at all
    except OSError as error:
        raise EngineError(f"NUTS: cannot write to store={str(folder)!r}: {error}.") from error
    return draws


def recover(folder: str | PathLike[str], *, namespace: Mapping[str, Any] | None = None) -> Fit:
    """Read a run of `NUTS(store=folder)` back, also one whose process has died.

    Parameters
    ----------
    folder : str or path
        As it was given to `NUTS`. Nothing in it is changed.
    namespace : mapping of str to object, optional
        The functions and values of your own that the formula uses, which no file can hold.

    Returns
    -------
    Fit
        With the largest part of the chains and draws that is complete; of a run that was broken off the report's status
        is ``"interrupted"``.

    Raises
    ------
    FitError
        If the folder is none of ours, no chain has got as far as its draws, or the rows now give another design.

    Examples
    --------
    >>> import tempfile
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ 1 + (1 | ID)", hl.datasets.load("bacteria"))
    >>> folder = tempfile.mkdtemp()
    >>> fit = model.fit(hl.NUTS(draws=500, seed=1, progress=False, store=folder))
    >>> bool((hl.recover(folder).posterior["beta"] == fit.posterior["beta"]).all())
    True
    """
    source = Path(folder)
    if not (source / MODEL_FILE).exists():
        raise FitError(f"{source} does not hold a run of the sampler: there is no {MODEL_FILE} in it.")
    try:
        rows = xr.load_dataset(source / MODEL_FILE, engine="h5netcdf")
        record = json.loads(rows.attrs["hierlogit_run"])
    except (OSError, KeyError, ValueError) as error:
        raise FitError(f"{source / MODEL_FILE} cannot be read: {error}.") from error
    if record["layout"] > LAYOUT:
        raise FitError(f"{source} was written by a later version of hierlogit, whose folders this one cannot read.")
    model = read_model(record, rows, namespace, source)
    engine = NUTS(**record["engine"])
    try:
        drawn, stats = from_disk(model, kept_variables(model, store_u=engine.store_u), source / DRAWS_FOLDER)
    except (OSError, KeyError, ValueError) as error:
        raise FitError(f"no draws can be read from {source / DRAWS_FOLDER}: {error}.") from error
    try:
        return finished_fit(model, engine, "native", (), record["seed"], drawn, stats, {})
    except KeyboardInterrupt:
        raise FitError(f"the run in {source} ended before any chain had got through its tuning.") from None
