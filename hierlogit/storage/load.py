"""Reading a fit from a file written by `Fit.save`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from ..errors import FitError
from ..estimate import from_dataset
from ..fits.diagnostics import Diagnostics
from ..fits.findings import Finding
from ..fits.fit import Fit
from ..fits.model_record import read_model
from ..fits.netcdf import ESTIMATE_GROUP, LAYOUT, ROWS_GROUP, imputation_group
from ..fits.pooled_fit import PooledFit
from ..fits.posterior import assemble, posterior_layout
from ..model import Model
from ..validation import mapping, memory
from ..validation import path as checked_path
from ..whole_files import check_seal
from .reading import reading


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
        If the file does not exist, was not written by `Fit.save` or was changed afterwards, a name of the namespace is
        missing, or the rows now give a different design.

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
    with reading(source, "a fit saved by hierlogit"):
        check_seal(source)
        with xr.open_datatree(source, engine="h5netcdf") as opened:
            _refuse_sizes(opened)
            tree = opened.load()
        metadata = json.loads(tree.attrs["hierlogit"])
        if "posterior_of_shards" in metadata:
            raise FitError(
                f"{source} has the draws of a model of shards, and not the rows that a fit needs: read them with "
                "xarray.open_datatree(path)."
            )
        if metadata["layout"] > LAYOUT:
            raise FitError(
                f"{source} was written by a later version of hierlogit, whose files this one cannot read: update "
                "hierlogit."
            )
        records = metadata.get("imputations")
        if records is None:
            return _read_fit(tree, metadata, namespace, source)
        parts = [tree.children[imputation_group(k)] for k in range(len(records))]
        fits = [_read_fit(part, one, namespace, source) for part, one in zip(parts, records, strict=True)]
        return PooledFit(fits, _read_diagnostics(metadata["diagnostics"]))


def _refuse_sizes(tree: xr.DataTree) -> None:
    """Refuse a file whose arrays would not fit into memory, before they are read."""
    needed = sum(node.to_dataset().nbytes for node in tree.subtree)
    if needed > memory():
        raise ValueError(f"its arrays have {needed:,} bytes, more than the memory of this machine")


def _read_fit(
    tree: xr.DataTree, metadata: Mapping[str, Any], namespace: Mapping[str, Any] | None, source: Path
) -> Fit[Model]:
    """A fit from its groups and metadata."""
    model = read_model(Model, metadata, tree[ROWS_GROUP].to_dataset(), namespace, source)
    return _assembled(model, tree, metadata["diagnostics"])


def _assembled(model: Model, tree: xr.DataTree, diagnostics: dict[str, Any]) -> Fit[Model]:
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else None
    estimate = (
        from_dataset(tree[ESTIMATE_GROUP].to_dataset(), model.design) if ESTIMATE_GROUP in tree.children else None
    )
    posterior = tree["posterior"].to_dataset()
    for name, variable in posterior_layout(model).items():
        drawn = posterior[name].transpose("chain", "draw", *variable.dims)
        if drawn.shape[2:] != variable.shape or drawn.dtype.kind != "f":
            raise ValueError(f"'{name}' is not an array of numbers with shape {variable.shape} for each draw")
    data = assemble(model, posterior, stats, priors=estimate is None or estimate.penalised)
    for name in tree.children:
        if name not in (*data.children, ROWS_GROUP, ESTIMATE_GROUP):
            data[name] = tree[name]
    return Fit(model, data, _read_diagnostics(diagnostics), estimate)


def _read_diagnostics(record: dict[str, Any]) -> Diagnostics:
    return Diagnostics(**{**record, "findings": tuple(Finding(**finding) for finding in record["findings"])})
