"""A model as formula, rows and priors that can be written to files and read from them.

Reading evaluates the formula on the rows again, which learns the same encodings. A fingerprint of the design, stored in
the file, confirms it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..design.design import Design
from ..design.row_counts import RowCounts
from ..design.table import TrainingTable
from ..design.weights import FrequencyWeights, SamplingWeights, Weights
from ..errors import FitError
from ..model_spec import ModelSpec
from ..priors.defaults import Priors
from ..priors.families import COEFFICIENT_FAMILIES, LKJ, SD_FAMILIES, Prior
from ..validation import agree, plain_value, quoted_list

if TYPE_CHECKING:
    import xarray as xr


def model_record(model: ModelSpec) -> dict[str, Any]:
    """Formula, family, names of the namespace, priors and fingerprint of a model, for JSON.

    Its rows are in `rows_dataset`.
    """
    return {
        "family": model.family,
        "formula": model.formula.text,
        "namespace": sorted({use.name.partition(".")[0] for use in model.formula.names} & set(model.namespace)),
        "priors": _priors_record(model.priors),
        "fingerprint": _fingerprint(model.design),
    }


def read_model[M: ModelSpec](
    kind: type[M], record: Mapping[str, Any], rows: xr.Dataset, namespace: Mapping[str, Any] | None, source: Path
) -> M:
    """The model stored in a file.

    Parameters
    ----------
    kind : type
        Class of the model.
    record : mapping
        From `model_record`.
    rows : xarray.Dataset
        From `rows_dataset`.
    namespace : mapping of str to object or None
        The user's functions and values that the formula uses.
    source : path
        The file, for error messages.

    Raises
    ------
    FitError
        If a name of the namespace is missing, or the rows now give a different design.
    """
    lacking = sorted(set(record["namespace"]) - set(namespace or {}))
    if lacking:
        raise FitError(
            f"the formula in {source} uses {quoted_list(lacking)}: pass namespace={{{lacking[0]!r}: ...}} with "
            f"{agree(lacking, 'its value', 'their values')}."
        )
    family = record.get("family", "binomial")  # older files have none
    model = kind.from_parts(record["formula"], _read_rows(rows), _read_priors(record["priors"]), namespace, family)
    _check_fingerprint(model.design, record["fingerprint"], source)
    return model


def _priors_record(priors: Priors) -> dict[str, Any]:
    def record(prior: Prior) -> dict[str, Any]:
        return {"family": type(prior).__name__, **prior.arguments()}

    return {
        "fixed": {label: record(prior) for label, prior in priors.fixed.items()},
        "sd": {group: [record(prior) for prior in of_group] for group, of_group in priors.sd.items()},
        "cor": {group: record(prior) for group, prior in priors.cor.items()},
        "phi": None if priors.phi is None else record(priors.phi),
    }


#: Families by the name that is stored; a file can name nothing else to be called.
_FAMILIES: Mapping[str, type[Prior]] = {kind.__name__: kind for kind in (*COEFFICIENT_FAMILIES, *SD_FAMILIES, LKJ)}


def _read_priors(record: Mapping[str, Any]) -> Priors:
    def prior(values: Mapping[str, Any]) -> Any:
        family = _FAMILIES[values["family"]]
        return family(**{name: value for name, value in values.items() if name != "family"})

    cor: dict[str, LKJ] = {group: prior(values) for group, values in record["cor"].items()}
    of_phi = record.get("phi")  # None, or not in older files, for binomial outcomes
    return Priors(
        {label: prior(values) for label, values in record["fixed"].items()},
        {group: tuple(prior(values) for values in of_group) for group, of_group in record["sd"].items()},
        cor,
        None if of_phi is None else prior(of_phi),
    )


def rows_dataset(table: TrainingTable) -> xr.Dataset:
    """The cleaned rows of a model, with the numbers of missing values and the unused levels."""
    import xarray as xr

    # Column names are stored as data, not as names of variables, since they can contain any character.
    variables: dict[str, Any] = {"row_label": ("row", _storable(table.rows))}
    columns = []
    for k, name in enumerate(table.frame.columns):
        values = table.frame[name]
        kind: str = values.dtype.kind
        levels = None
        if isinstance(values.dtype, pd.CategoricalDtype):
            kind, levels = "category", [plain_value(level) for level in values.cat.categories]
            variables[f"column_{k}"] = ("row", values.cat.codes.to_numpy())
        else:
            numbers = values.to_numpy()
            variables[f"column_{k}"] = ("row", numbers.astype(np.int8) if kind == "b" else numbers)
        columns.append({"name": name, "kind": kind, "levels": levels})
    left_out = {
        "columns": columns,
        "n_missing": table.n_missing,
        "n_untried": table.n_untried,
        "missing_by_column": dict(table.missing_by_column),
        "unused_levels": {name: list(levels) for name, levels in table.unused_levels.items()},
        "weights": _weights_record(table.weights),
        "n_repeated": table.n_repeated,
        "n_weightless": table.n_weightless,
        "source": table.source,
        "counts": _counts_record(table.counts),
    }
    return xr.Dataset(variables, attrs={"table": json.dumps(left_out)})


def _storable(labels: pd.Index[Any]) -> np.ndarray[Any, Any]:
    """Row labels that can be written: numbers and dates as they are, others as text or, if not unique, as positions."""
    values = labels.to_numpy()
    if values.dtype.kind in "iufM":
        return values
    words = np.array([str(label) for label in values], dtype=object)
    return words if len(set(words)) == len(words) else np.arange(len(words))


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
        record.get("n_untried", 0),  # older files have neither these, nor weights, nor a source
        _read_weights(record.get("weights")),
        record.get("n_repeated", 0),
        record.get("n_weightless", 0),
        record.get("source", ""),
        _read_counts(record.get("counts")),
    )


def _counts_record(counts: RowCounts | None) -> dict[str, Any] | None:
    """How rows have been counted."""
    if counts is None:
        return None
    record: dict[str, Any] = {"column": counts.column, "coefficients": counts.coefficients, "outcomes": None}
    if counts.outcomes is not None:
        values = counts.outcomes
        categorical = isinstance(values.dtype, pd.CategoricalDtype)
        record["outcome"] = values.name
        record["outcomes"] = [plain_value(value) for value in values]
        record["levels"] = [plain_value(level) for level in values.cat.categories] if categorical else None
    return record


def _read_counts(record: Mapping[str, Any] | None) -> RowCounts | None:
    if record is None:
        return None
    outcomes = None
    if record["outcomes"] is not None:
        levels, name = record["levels"], record.get("outcome")  # which older files do not have
        outcomes = pd.Series(record["outcomes"], name=name)
        if levels is not None:
            outcomes = pd.Series(pd.Categorical(record["outcomes"], categories=levels, ordered=True), name=name)
    return RowCounts(record["column"], record["coefficients"], outcomes)


def _weights_record(weights: Weights | None) -> dict[str, Any] | None:
    if isinstance(weights, SamplingWeights):
        return {"rows": weights.rows, "clusters": dict(weights.clusters), "scaling": weights.scaling}
    return None if weights is None else {"rows": weights.rows}


def _read_weights(record: Mapping[str, Any] | None) -> Weights | None:
    if record is None:
        return None
    return SamplingWeights(**record) if "scaling" in record else FrequencyWeights(record["rows"])


def _fingerprint(design: Design) -> dict[str, Any]:
    """Labels, sums and sums of squares of the columns of a design, and a digest of its outcomes and clusters."""
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
    current = _fingerprint(design)
    differ = [name for name, X in current["columns"].items() if not _same_columns(X, stored["columns"].get(name))]
    if current["digest"] != stored["digest"]:
        differ.append("outcomes or clusters")
    if differ:
        raise FitError(
            f"the rows in {source} now give another design than the one that was fitted ({quoted_list(differ)} "
            f"{agree(differ, 'differs', 'differ')}), so predictions would be wrong. Read the fit with the functions "
            "and package versions that it was made with."
        )


def _same_columns(current: Mapping[str, Any], stored: Mapping[str, Any] | None) -> bool:
    return (
        stored is not None
        and current["labels"] == stored["labels"]
        and np.allclose(current["squares"], stored["squares"], rtol=1e-8)
        and np.allclose(current["sums"], stored["sums"], rtol=1e-8, atol=1e-6)
    )
