"""Writing a fit to a netCDF file, which `hierlogit.storage.load` reads.

The file contains the draws, the diagnostics, the estimate and the model (see `model_record`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FitError
from ..estimate import Estimate, to_dataset
from ..model_spec import ModelSpec
from ..validation import reason_of
from ..whole_files import seal, written_whole
from .diagnostics import Diagnostics
from .model_record import model_record, rows_dataset

if TYPE_CHECKING:
    import xarray as xr

#: Version of the file layout; a reader can read all layouts up to its own version. Pooled fits came with the second.
LAYOUT = 2
LAYOUT_OF_FITS = 1
#: Groups that are computed from the model and the posterior on reading. All others are stored, including the user's.
_MADE_ANEW = ("log_likelihood", "log_prior", "observed_data", "constant_data")
ROWS_GROUP = "training_rows"
ESTIMATE_GROUP = "estimate"


def stored_fit(
    model: ModelSpec, data: xr.DataTree, diagnostics: Diagnostics, estimate: Estimate | None
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Groups and metadata that stand for a fit in a file."""
    stored = [name for name in data.children if name not in _MADE_ANEW]
    tree = {name: data[name].to_dataset() for name in stored}
    tree[ROWS_GROUP] = rows_dataset(model.design.table)
    if estimate is not None:
        tree[ESTIMATE_GROUP] = to_dataset(estimate)
    return tree, {"layout": LAYOUT_OF_FITS, **model_record(model), "diagnostics": asdict(diagnostics)}


def stored_imputations(
    fits: Iterable[tuple[dict[str, xr.Dataset], dict[str, Any]]], diagnostics: Diagnostics
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Groups and metadata of a pooled fit from those of its fits."""
    tree: dict[str, xr.Dataset] = {}
    records = []
    for k, (groups, record) in enumerate(fits):
        tree |= {f"{imputation_group(k)}/{name}": group for name, group in groups.items()}
        records.append(record)
    return tree, {"layout": LAYOUT, "imputations": records, "diagnostics": asdict(diagnostics)}


def imputation_group(k: int) -> str:
    """Name of the group that holds the fit of the k-th imputation, from 0."""
    return f"imputation_{k}"


def write_tree(path: Path, tree: Mapping[str, xr.Dataset], metadata: Mapping[str, Any]) -> Path:
    """Write a fit to one sealed netCDF file; an existing file is replaced when the new one is complete."""
    import xarray as xr

    root = xr.Dataset(attrs={"hierlogit": json.dumps(metadata)})
    try:
        with written_whole(path) as partial:
            xr.DataTree.from_dict({**tree, "/": root}).to_netcdf(partial, engine="h5netcdf")
            seal(partial)
    except (OSError, ValueError, TypeError, AttributeError) as error:  # raised by the file libraries
        raise FitError(f"cannot write the fit to {path}: {reason_of(error)}.") from error
    return path
