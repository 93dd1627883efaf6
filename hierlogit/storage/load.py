"""Reading a fit from a file written by `Fit.save`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any

import xarray as xr

from ..errors import FitError
from ..estimate import from_dataset
from ..fits.diagnostics import Diagnostics
from ..fits.findings import Finding
from ..fits.fit import Fit
from ..fits.model_record import read_model
from ..fits.netcdf import ESTIMATE_GROUP, LAYOUT, ROWS_GROUP
from ..fits.posterior import assemble
from ..model import Model
from ..validation import mapping, reason_of
from ..validation import path as checked_path


def load(path: str | PathLike[str], *, namespace: Mapping[str, Any] | None = None) -> Fit[Model]:
    """The fit stored in a file by `Fit.save`.

    Parameters
    ----------
    path : str or path
    namespace : mapping of str to object, optional
        Your own functions and values that the formula uses, since they cannot be stored in a file.

    Returns
    -------
    Fit

    Raises
    ------
    FitError
        If the file does not exist or was not written by `Fit.save`, a name of the namespace is missing, or the rows now
        give a different design.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.load("fit.nc")  # doctest: +SKIP
    """
    source = checked_path("path", path, FitError)
    if namespace is not None:
        namespace = mapping("namespace", namespace, FitError, "names with their values, {'f': f}")
    if not source.exists():
        raise FitError(f"there is no file {source}.")
    try:
        with xr.open_datatree(source, engine="h5netcdf") as opened:
            tree = opened.load()
        metadata = json.loads(tree.attrs["hierlogit"])
        later = metadata["layout"] > LAYOUT
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise FitError(f"{source} is not a fit saved by hierlogit: {reason_of(error)}.") from error
    if later:
        made_by = metadata["diagnostics"]["versions"].get("hierlogit", "a later version")
        raise FitError(
            f"{source} was written by hierlogit {made_by}, whose files this version cannot read: update hierlogit."
        )
    model = read_model(Model, metadata, tree[ROWS_GROUP].to_dataset(), namespace, source)
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else None
    estimate = (
        from_dataset(tree[ESTIMATE_GROUP].to_dataset(), model.design) if ESTIMATE_GROUP in tree.children else None
    )
    data = assemble(model, tree["posterior"].to_dataset(), stats, priors=estimate is None or estimate.penalised)
    for name in tree.children:
        if name not in (*data.children, ROWS_GROUP, ESTIMATE_GROUP):
            data[name] = tree[name]
    return Fit(model, data, _read_diagnostics(metadata["diagnostics"]), estimate)


def _read_diagnostics(record: dict[str, Any]) -> Diagnostics:
    return Diagnostics(**{**record, "findings": tuple(Finding(**finding) for finding in record["findings"])})
