"""Grids of rows to predict for: chosen values of some predictors, typical values of the others."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pandas as pd

from ..design.table import clean_column
from ..errors import DesignError, PredictionError
from ..fits.arguments import model_of
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from ..validation import LARGEST_COUNT, listed, unknown_names


def datagrid(fit: Fit | ModelSpec, **values: Any) -> pd.DataFrame:
    """A table with all combinations of the given values, and the other columns at their mean or most frequent value.

    Parameters
    ----------
    fit : Fit or Model
    **values : scalar or sequence
        Values of columns of the training data, including grouping factors.

    Returns
    -------
    pandas.DataFrame
        The columns that predictions need. Numeric columns not given are at their mean; text, factors and numbered
        clusters at their most frequent value.

    Raises
    ------
    PredictionError
        If a name is not a column that the model predicts from.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ age + urban + (1 | district)", hl.datasets.load("contraception"))
    >>> hl.datagrid(model, urban=["N", "Y"], age=0)[["age", "urban"]].to_dict("list")
    {'age': [0, 0], 'urban': ['N', 'Y']}
    """
    model = model_of(fit, "fit")
    frame, predictors = model.design.table.frame, model.design.predictors
    unknown = [name for name in values if name not in predictors]
    if unknown:
        raise PredictionError(unknown_names("datagrid", unknown, predictors, "predictor"))
    labels = model.design.level_columns
    given: dict[str, list[Any]] = {}
    for name, value in values.items():
        cells = listed(value)
        given[name] = [value] if cells is None else cells
        _refuse_unusable(name, given[name])
    count = math.prod(len(cells) for cells in given.values())
    if count > LARGEST_COUNT:
        raise PredictionError(f"datagrid: {count:,} combinations are more than {LARGEST_COUNT:,}. Give fewer values.")
    rows = pd.DataFrame(list(product(*given.values())), columns=list(given))
    clusters = [name for name in predictors if any(name in group.columns for group in model.design.groups)]
    rows = _with_clusters(rows, frame, clusters)
    for name in predictors:
        if name not in rows:
            rows[name] = typical_value(frame[name], label=name in labels)
    return rows[list(predictors)]


def _refuse_unusable(name: str, cells: list[Any]) -> None:
    if not cells:
        raise PredictionError(f"datagrid: {name} is an empty list. Give it a value, or leave it out.")
    try:
        missing = clean_column(pd.Series(cells, dtype=object), name).isna().any()
    except DesignError as error:
        raise PredictionError(f"datagrid: {error}") from error
    if missing:
        raise PredictionError(f"datagrid: {name} has a missing value. Give it another value, or leave it out.")


def _with_clusters(rows: pd.DataFrame, frame: pd.DataFrame, clusters: list[str]) -> pd.DataFrame:
    """The rows with the grouping columns not given: their most frequent combination, given the others.

    Chosen one by one, they could name a cluster that does not exist, such as a mother from another community.
    """
    given, open_ = [name for name in clusters if name in rows], [name for name in clusters if name not in rows]
    if not open_:
        return rows
    chosen = []
    for _, row in rows[given].iterrows():
        same = (frame[given].astype(object) == row).all(axis=1)
        candidates = frame.loc[same, open_] if same.any() else frame[open_]
        chosen.append(candidates.astype(object).value_counts(sort=True).index[0])
    return rows.assign(**{name: list(values) for name, values in zip(open_, zip(*chosen, strict=True), strict=True)})


def typical_value(values: pd.Series[Any], *, label: bool) -> Any:
    """The mean of a numeric column; the most frequent value of text, True/False and numbers that are labels."""
    if values.dtype.kind in "iuf" and not label:
        return float(values.mean())
    return values.value_counts(sort=True).index[0]
