"""One netCDF file <-> Fit.

The file holds the draws, the cleaned training rows, the formula, the resolved priors and the report. Reading it
evaluates the formula on those rows again, which learns the same encodings; a fingerprint of the design says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from . import priors as families
from .design import Design
from .errors import FitError
from .estimate import from_dataset, to_dataset
from .findings import Finding
from .fit import EngineReport, Fit, assemble
from .model import Model
from .prior_choice import Priors
from .priors import LKJ, Prior
from .table import TrainingTable, listed

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
    tree[_ROWS_GROUP] = _rows_dataset(fit.model.design.table)
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
    lacking = sorted(set(metadata["namespace"]) - set(namespace or {}))
    if lacking:
        raise FitError(f"the formula of {source} uses {listed(lacking)}; pass load(path, namespace={{...}}) with them.")
    table = _read_rows(tree[_ROWS_GROUP].to_dataset())
    model = Model.from_parts(metadata["formula"], table, _read_priors(metadata["priors"]), namespace)
    _check_fingerprint(model.design, metadata["fingerprint"], source)
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else None
    estimate = from_dataset(tree[_ESTIMATE_GROUP].to_dataset()) if _ESTIMATE_GROUP in tree.children else None
    data = assemble(model, tree["posterior"].to_dataset(), stats, priors=estimate is None or estimate.penalised)
    for name in tree.children:
        if name not in (*data.children, _ROWS_GROUP, _ESTIMATE_GROUP):
            data[name] = tree[name]
    return Fit(model, data, _read_report(metadata["report"]), estimate)


def _metadata(fit: Fit) -> dict[str, Any]:
    return {
        "layout": LAYOUT,
        "formula": fit.model.formula.text,
        "namespace": sorted({use.name.partition(".")[0] for use in fit.model.formula.names} & set(fit.model.namespace)),
        "priors": _priors_record(fit.model.priors),
        "fingerprint": _fingerprint(fit.model.design),
        "report": asdict(fit.report),
    }


def _priors_record(priors: Priors) -> dict[str, Any]:
    def record(prior: Prior) -> dict[str, Any]:
        return {"family": type(prior).__name__, **prior.arguments()}

    return {
        "fixed": {label: record(prior) for label, prior in priors.fixed.items()},
        "sd": {group: [record(prior) for prior in held] for group, held in priors.sd.items()},
        "cor": {group: record(prior) for group, prior in priors.cor.items()},
    }


def _read_priors(record: Mapping[str, Any]) -> Priors:
    def prior(values: Mapping[str, Any]) -> Any:
        family = getattr(families, values["family"])
        return family(**{name: value for name, value in values.items() if name != "family"})

    cor: dict[str, LKJ] = {group: prior(values) for group, values in record["cor"].items()}
    return Priors(
        {label: prior(values) for label, values in record["fixed"].items()},
        {group: tuple(prior(values) for values in held) for group, held in record["sd"].items()},
        cor,
    )


def _read_report(record: dict[str, Any]) -> EngineReport:
    return EngineReport(**{**record, "findings": tuple(Finding(**finding) for finding in record["findings"])})


def _rows_dataset(table: TrainingTable) -> xr.Dataset:
    # Column names are data, not variable names: they may hold any character.
    variables: dict[str, Any] = {"row_label": ("row", _storable(table.rows))}
    columns = []
    for k, name in enumerate(table.frame.columns):
        values = table.frame[name]
        kind: str = values.dtype.kind
        levels = None
        if isinstance(values.dtype, pd.CategoricalDtype):
            kind, levels = "category", [_plain(level) for level in values.cat.categories]
            variables[f"column_{k}"] = ("row", values.cat.codes.to_numpy())
        else:
            numbers = values.to_numpy()
            variables[f"column_{k}"] = ("row", numbers.astype(np.int8) if kind == "b" else numbers)
        columns.append({"name": name, "kind": kind, "levels": levels})
    left_out = {
        "columns": columns,
        "n_missing": table.n_missing,
        "missing_by_column": dict(table.missing_by_column),
        "unused_levels": {name: list(levels) for name, levels in table.unused_levels.items()},
    }
    return xr.Dataset(variables, attrs={"table": json.dumps(left_out)})


def _storable(labels: pd.Index[Any]) -> np.ndarray[Any, Any]:
    """Row labels as a file can hold them: numbers and dates as they are, others as text, or else positions."""
    values = labels.to_numpy()
    if values.dtype.kind in "iufM":
        return values
    words = np.array([str(label) for label in values], dtype=object)
    return words if len(set(words)) == len(words) else np.arange(len(words))


def _plain(level: Any) -> Any:
    return level.item() if isinstance(level, np.generic) else level


def _read_rows(stored: xr.Dataset) -> TrainingTable:
    record = json.loads(stored.attrs["table"])
    frame: dict[str, Any] = {}
    for k, column in enumerate(record["columns"]):
        values = stored[f"column_{k}"].to_numpy()
        if column["kind"] == "category":
            frame[column["name"]] = pd.Categorical.from_codes(values, categories=column["levels"], ordered=True)
        else:
            frame[column["name"]] = values.astype(bool) if column["kind"] == "b" else values
    return TrainingTable(
        pd.DataFrame(frame, index=pd.RangeIndex(stored.sizes["row"])),
        pd.Index(stored["row_label"].to_numpy()),
        record["n_missing"],
        record["missing_by_column"],
        {name: tuple(levels) for name, levels in record["unused_levels"].items()},
    )


def _fingerprint(design: Design) -> dict[str, Any]:
    """What the design is, in a few numbers: sums and squares of columns, labels, and a digest of what is exact."""
    columns = {"fixed": design.X, "offset": design.offset[:, None]}
    labels = {"fixed": list(design.fixed_effects), "offset": ["offset"]}
    exact = [design.outcome.y, design.outcome.trials]
    for group in design.groups:
        columns[group.name], labels[group.name] = group.Z, list(group.effects)
        exact += [group.index.astype(np.int64), np.array([str(level) for level in group.levels], dtype="U")]
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in exact)).hexdigest()
    return {
        "digest": digest,
        "columns": {
            name: {"labels": labels[name], "sums": X.sum(0).tolist(), "squares": (X**2).sum(0).tolist()}
            for name, X in columns.items()
        },
    }


def _check_fingerprint(design: Design, stored: Mapping[str, Any], source: Path) -> None:
    found = _fingerprint(design)
    differ = [name for name, X in found["columns"].items() if not _same_columns(X, stored["columns"].get(name))]
    if found["digest"] != stored["digest"]:
        differ.append("outcomes or clusters")
    if differ:
        raise FitError(
            f"the rows in {source} give another design ({listed(differ)}) with what is installed or passed now than "
            "the one that was fitted, so predictions would be wrong. Read it with the functions and the versions it "
            "was made with."
        )


def _same_columns(found: Mapping[str, Any], stored: Mapping[str, Any] | None) -> bool:
    return (
        stored is not None
        and found["labels"] == stored["labels"]
        and np.allclose(found["squares"], stored["squares"], rtol=1e-8)
        and np.allclose(found["sums"], stored["sums"], rtol=1e-8, atol=1e-6)
    )
