"""The parts of a fit written to one netCDF file; `hierlogit.storage.load` reads it.

The file holds the draws, the diagnostics, the estimate and, as `model_record` writes it, the model.
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
from .diagnostics import Diagnostics
from .model_record import model_record, rows_dataset

#: Version of the layout of the file; a reader knows all layouts up to its own.
LAYOUT = 1
#: Groups that follow from the model and the posterior; all others are kept, those a user has added among them.
_MADE_ANEW = ("log_likelihood", "log_prior", "observed_data", "constant_data")
ROWS_GROUP = "training_rows"
ESTIMATE_GROUP = "estimate"


def write_fit(
    path: Path, model: ModelSpec, data: xr.DataTree, diagnostics: Diagnostics, estimate: Estimate | None
) -> Path:
    """Write a fit to one netCDF file; an existing file is replaced when the new one is complete."""
    stored = [name for name in data.children if name not in _MADE_ANEW]
    tree = {name: data[name].to_dataset() for name in stored}
    tree[ROWS_GROUP] = rows_dataset(model.design.table)
    if estimate is not None:
        tree[ESTIMATE_GROUP] = to_dataset(estimate)
    tree["/"] = xr.Dataset(attrs={"hierlogit": json.dumps(_metadata(model, diagnostics))})
    partial = path.with_name(f"{path.name}.partial")
    try:
        xr.DataTree.from_dict(tree).to_netcdf(partial, engine="h5netcdf")
        partial.replace(path)
    except (OSError, ValueError, TypeError, AttributeError) as error:  # what the file libraries raise
        raise FitError(f"cannot write the fit to {path}: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _metadata(model: ModelSpec, diagnostics: Diagnostics) -> dict[str, Any]:
    return {"layout": LAYOUT, **model_record(model), "diagnostics": asdict(diagnostics)}
