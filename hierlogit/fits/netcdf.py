"""Writing a fit to a netCDF file, which `hierlogit.storage.load` reads.

The file contains the draws, the diagnostics, the estimate and the model (see `model_record`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import xarray as xr

from ..errors import FitError
from ..estimate import Estimate, to_dataset
from ..model_spec import ModelSpec
from ..validation import reason_of
from ..whole_files import seal, written_whole
from .diagnostics import Diagnostics
from .model_record import model_record, rows_dataset

#: Version of the file layout; a reader can read all layouts up to its own version.
LAYOUT = 1
#: Groups that are computed from the model and the posterior on reading. All others are stored, including the user's.
_MADE_ANEW = ("log_likelihood", "log_prior", "observed_data", "constant_data")
ROWS_GROUP = "training_rows"
ESTIMATE_GROUP = "estimate"


def write_fit(
    path: Path, model: ModelSpec, data: xr.DataTree, diagnostics: Diagnostics, estimate: Estimate | None
) -> Path:
    """Write a fit to one sealed netCDF file; an existing file is replaced when the new one is complete."""
    stored = [name for name in data.children if name not in _MADE_ANEW]
    tree = {name: data[name].to_dataset() for name in stored}
    tree[ROWS_GROUP] = rows_dataset(model.design.table)
    if estimate is not None:
        tree[ESTIMATE_GROUP] = to_dataset(estimate)
    tree["/"] = xr.Dataset(attrs={"hierlogit": json.dumps(_metadata(model, diagnostics))})
    try:
        with written_whole(path) as partial:
            xr.DataTree.from_dict(tree).to_netcdf(partial, engine="h5netcdf")
            seal(partial)
    except (OSError, ValueError, TypeError, AttributeError) as error:  # raised by the file libraries
        raise FitError(f"cannot write the fit to {path}: {reason_of(error)}.") from error
    return path


def _metadata(model: ModelSpec, diagnostics: Diagnostics) -> dict[str, Any]:
    return {"layout": LAYOUT, **model_record(model), "diagnostics": asdict(diagnostics)}
