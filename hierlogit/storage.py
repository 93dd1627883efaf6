"""One netCDF file <-> Fit.

The file holds the draws, the report and, as `model_storage` writes it, the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from .errors import FitError
from .estimate import from_dataset, to_dataset
from .findings import Finding
from .fit import EngineReport, Fit, assemble
from .model_storage import model_record, read_model, rows_dataset

#: Version of the layout of the file; a reader knows all layouts up to its own.
LAYOUT = 1
#: Groups that follow from the model and the posterior; all others are kept, those a user has added among them.
_MADE_ANEW = ("log_likelihood", "log_prior", "observed_data", "constant_data")
_ROWS_GROUP = "training_rows"
_ESTIMATE_GROUP = "estimate"


def write_fit(fit: Fit, path: Path) -> Path:
    """Write a fit to one netCDF file; an existing file is replaced when the new one is complete."""
    stored = [name for name in fit.data.children if name not in _MADE_ANEW]
    tree = {name: fit.data[name].to_dataset() for name in stored}
    tree[_ROWS_GROUP] = rows_dataset(fit.model.design.table)
    if fit.estimate is not None:
        tree[_ESTIMATE_GROUP] = to_dataset(fit.estimate)
    tree["/"] = xr.Dataset(attrs={"hierlogit": json.dumps(_metadata(fit))})
    partial = path.with_name(f"{path.name}.partial")
    try:
        xr.DataTree.from_dict(tree).to_netcdf(partial, engine="h5netcdf")
        partial.replace(path)
    except (OSError, ValueError, TypeError, AttributeError) as error:  # what the file libraries raise
        raise FitError(f"cannot write the fit to {path}: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def load(path: str | PathLike[str], *, namespace: Mapping[str, Any] | None = None) -> Fit:
    """Read a fit that `Fit.save` wrote.

    Parameters
    ----------
    path : str or path
    namespace : mapping of str to object, optional
        The functions and values of your own that the formula uses, which no file can hold.

    Returns
    -------
    Fit

    Raises
    ------
    FitError
        If the file is missing or none of ours, needs a namespace, or its rows now give another design.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.load("fit.nc")  # doctest: +SKIP
    """
    source = Path(path)
    if not source.exists():
        raise FitError(f"there is no file {source}.")
    try:
        with xr.open_datatree(source, engine="h5netcdf") as opened:
            tree = opened.load()
        metadata = json.loads(tree.attrs["hierlogit"])
    except (OSError, KeyError, ValueError) as error:
        raise FitError(f"{source} is not a fit saved by hierlogit: {error}.") from error
    if metadata["layout"] > LAYOUT:
        made_by = metadata["report"]["versions"].get("hierlogit", "a later version")
        raise FitError(f"{source} was written by hierlogit {made_by}, whose files this version cannot read: update it.")
    model = read_model(metadata, tree[_ROWS_GROUP].to_dataset(), namespace, source)
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else None
    estimate = from_dataset(tree[_ESTIMATE_GROUP].to_dataset()) if _ESTIMATE_GROUP in tree.children else None
    data = assemble(model, tree["posterior"].to_dataset(), stats, priors=estimate is None or estimate.penalised)
    for name in tree.children:
        if name not in (*data.children, _ROWS_GROUP, _ESTIMATE_GROUP):
            data[name] = tree[name]
    return Fit(model, data, _read_report(metadata["report"]), estimate)


def _metadata(fit: Fit) -> dict[str, Any]:
    return {"layout": LAYOUT, **model_record(fit.model), "report": asdict(fit.report)}


def _read_report(record: dict[str, Any]) -> EngineReport:
    return EngineReport(**{**record, "findings": tuple(Finding(**finding) for finding in record["findings"])})
