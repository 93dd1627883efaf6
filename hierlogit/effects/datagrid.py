"""Grids of rows to predict for: chosen values of some predictors, typical values or all levels of the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.grouping import with_whole_labels
from ..design.row_counts import column_means, most_frequent
from ..design.table import TrainingTable, clean_column, with_columns
from ..errors import DesignError, PredictionError
from ..fits.arguments import model_of
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from ..validation import LARGEST_COUNT, choice, listed, mapping, quoted_list, unknown_names
from .contrasts import is_numeric, levels_of, predictors_of

FloatArray = npt.NDArray[np.float64]

#: Which values columns have that are not given.
GRID_TYPES = ("mean_or_mode", "balanced")


def datagrid(
    fit: Fit | ModelSpec,
    values: Mapping[str, Any] | None = None,
    /,
    *,
    grid_type: str = "mean_or_mode",
    **columns: Any,
) -> pd.DataFrame:
    """A table with all combinations of the given values, and the other columns at their mean or most frequent value.

    Parameters
    ----------
    fit : Fit or Model
    values : mapping of str to scalar or sequence, optional
        Values of columns of the training data, including grouping factors: for names that Python does not take as
        keywords, ``{"body mass": [20, 30]}``.
    grid_type : {"mean_or_mode", "balanced"}
        Values of the columns not given. ``"mean_or_mode"``: numbers are at their mean, text, factors and True/False at
        their most frequent value. ``"balanced"``: numbers are at their mean, text, factors and True/False have all
        their levels, in all combinations. Averages over these rows give all levels the same weight: they are the
        estimated marginal means of R's emmeans, with ``clusters="typical"`` and ``scale="link"``.
    **columns : scalar or sequence
        Values of further columns, ``age=[20, 30]``.

    Returns
    -------
    pandas.DataFrame
        The columns that predictions need. Clusters not given are those of the most frequent combination.

    Raises
    ------
    PredictionError
        If a name is not a column that the model predicts from, or a value is a level for which there is no estimate.

    Notes
    -----
    The column of the clusters is filled with the most frequent cluster, so that ``between(x, g)`` and ``within(x, g)``
    use the mean of ``x`` in that cluster, whatever ``x`` is in the grid. For the means of other clusters, name them:
    ``datagrid(fit, x=[1, 2], g=[3, 8])``. A cluster that is not in the training data has the mean of its rows in the
    grid: with a new number or name, ``datagrid(fit, x=[1, 3], g=1000)`` has ``between(x, g) = 2`` in both rows.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ age + urban + (1 | district)", hl.datasets.load("contraception"))
    >>> hl.datagrid(model, urban=["N", "Y"], age=0)[["age", "urban"]].to_dict("list")
    {'age': [0, 0], 'urban': ['N', 'Y']}
    >>> hl.datagrid(model, age=[0, 5], grid_type="balanced")[["age", "urban"]].to_dict("list")
    {'age': [0, 0, 5, 5], 'urban': ['N', 'Y', 'N', 'Y']}
    """
    model = model_of(fit, "fit")
    choice("grid_type", grid_type, GRID_TYPES, PredictionError)
    predictors = model.design.predictors
    chosen = _chosen(values, columns, predictors)
    labels = model.design.level_columns
    given: dict[str, list[Any]] = {}
    for name, value in chosen.items():
        cells = listed(value)
        given[name] = [value] if cells is None else cells
        _refuse_unusable(name, given[name])
        if name in model.design.fixed_columns:
            model.design.refuse_unseen_levels(name, given[name])
    if grid_type == "balanced":
        varied = [name for name in predictors_of(model) if name not in given and not is_numeric(model, name)]
        given |= {name: levels_of(model, name) for name in varied}
    count = math.prod(len(cells) for cells in given.values())
    if count > LARGEST_COUNT:
        raise PredictionError(f"datagrid: {count:,} combinations are more than {LARGEST_COUNT:,}. Give fewer values.")
    rows = pd.DataFrame(list(product(*given.values())), columns=list(given))
    clusters = [name for name in predictors if name in model.design.group_columns]
    rows = _with_clusters(rows, model.design.table, clusters)
    frame, counts = model.design.table.frame, model.design.table.row_counts
    for name in predictors:
        if name not in rows:
            rows[name] = typical_value(frame[name], label=name in labels, counts=counts)
    return with_whole_labels(rows[list(predictors)], clusters)


def _chosen(values: Any, columns: Mapping[str, Any], predictors: Sequence[str]) -> dict[str, Any]:
    """The values by column, from the mapping and the keywords.

    Raises
    ------
    PredictionError
        If a column is not a predictor, or has values twice.
    """
    if isinstance(columns.get("values"), Mapping):  # the mapping, passed by name
        values, columns = columns["values"], {name: cells for name, cells in columns.items() if name != "values"}
    what = "values by predictor, {'age': [20, 30]}"
    given = {} if values is None else mapping("datagrid", values, PredictionError, what)
    unknown = [name for name in (*given, *columns) if name not in predictors]
    if unknown:
        raise PredictionError(unknown_names("datagrid", unknown, predictors, "predictor"))
    twice = [name for name in columns if name in given]
    if twice:
        raise PredictionError(f"datagrid: {quoted_list(twice)} has values in the mapping and as a keyword. Keep one.")
    return {**given, **columns}


def _refuse_unusable(name: str, cells: list[Any]) -> None:
    if not cells:
        raise PredictionError(f"datagrid: {name} is an empty list. Give it a value, or leave it out.")
    try:
        missing = clean_column(pd.Series(cells, dtype=object), name).isna().any()
    except DesignError as error:
        raise PredictionError(f"datagrid: {error}") from error
    if missing:
        raise PredictionError(f"datagrid: {name} has a missing value. Give it another value, or leave it out.")


def _with_clusters(rows: pd.DataFrame, table: TrainingTable, clusters: list[str]) -> pd.DataFrame:
    """The rows with the grouping columns not given: their most frequent combination, given the others.

    Chosen one by one, they could name a cluster that does not exist, such as a mother from another community.
    """
    given, open_ = [name for name in clusters if name in rows], [name for name in clusters if name not in rows]
    if not open_:
        return rows
    frame, counts = table.frame, table.row_counts
    chosen: dict[tuple[Any, ...], Any] = {}
    labels = list(rows[given].itertuples(index=False, name=None)) if given else [()] * len(rows)
    for row in dict.fromkeys(labels):
        same = (frame[given].astype(object) == list(row)).all(axis=1)
        candidates = frame.loc[same, open_] if same.any() else frame[open_]
        own = counts if counts is None or not same.any() else counts[same]
        chosen[row] = most_frequent(candidates.astype(object), own)
    columns = zip(*(chosen[row] for row in labels), strict=True)
    return with_columns(rows, dict(zip(open_, map(list, columns), strict=True)))


def typical_value(values: pd.Series[Any], *, label: bool, counts: FloatArray | None = None) -> Any:
    """The mean of a numeric column; the most frequent value of text, True/False and numbers that are labels.

    Rows count once, or as often as `counts`, shape (n,), say.
    """
    if values.dtype.kind in "iuf" and not label:
        return float(values.mean() if counts is None else column_means(values.to_numpy(dtype=np.float64), counts))
    return most_frequent(values, counts)
