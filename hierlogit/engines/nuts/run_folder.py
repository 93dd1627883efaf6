"""The folder of a run whose draws are written to disk while it is sampled."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import EngineError
from ...fits.model_record import model_record, rows_dataset
from ...validation import reason_of
from .options import SamplerOptions

if TYPE_CHECKING:
    from ...model_spec import ModelSpec

MODEL_FILE = "model.nc"
DRAWS_FOLDER = "draws"
#: Version of the layout of the folder; a reader knows all layouts up to its own.
LAYOUT = 1


def begin_run(folder: Path, model: ModelSpec, options: SamplerOptions) -> Path:
    """Make the folder of a run, with the model in it; returns the folder for its draws.

    Raises
    ------
    EngineError
        If the folder is not empty, or cannot be written to.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise EngineError(
            f"NUTS: store={str(folder)!r} is not empty. Name a new folder; to read the run that is in it, call "
            "hierlogit.recover(folder)."
        )
    record = {"layout": LAYOUT, **model_record(model), "options": asdict(options)}
    rows = rows_dataset(model.design.table)
    rows.attrs["hierlogit_run"] = json.dumps(record)
    draws = folder / DRAWS_FOLDER
    partial = folder / f"{MODEL_FILE}.partial"
    try:
        draws.mkdir(parents=True, exist_ok=True)
        rows.to_netcdf(partial, engine="h5netcdf")
        partial.replace(folder / MODEL_FILE)  # there whole, or not at all
    except OSError as error:
        raise EngineError(f"NUTS: cannot write to store={str(folder)!r}: {reason_of(error)}.") from error
    return draws
