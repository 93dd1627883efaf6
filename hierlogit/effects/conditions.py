"""Conditions: the values of up to three predictors at which predictions, comparisons and slopes are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..design.grouping import GroupBlock
from ..design.row_counts import CountedColumn
from ..design.table import with_columns
from ..errors import PredictionError
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from ..validation import listed, mapping, names, quoted_list, shortened, unknown_names
from .contrasts import is_numeric, levels_of
from .datagrid import datagrid

#: Most predictors of a condition that have several values: one on the axis, one as colour and one as panels.
MOST_NAMES = 3
#: More clusters than this are too many lines; some are then left out.
MOST_LINES = 200
#: Points along a numeric predictor on the axis.
POINTS = 60
#: Numeric predictors with at most this number of different values have all of them where they are no axis.
FEW_VALUES = 5
#: Values of a numeric predictor by name, as functions of the column.
NAMED_VALUES: dict[str, Callable[[pd.Series[Any] | CountedColumn], list[float]]] = {
    "threenum": lambda column: [column.mean() + k * column.std() for k in (-1, 0, 1)],
    "fivenum": lambda column: column.quantile([0, 0.25, 0.5, 0.75, 1]).tolist(),
    "quartile": lambda column: column.quantile([0.25, 0.5, 0.75]).tolist(),
    "minmax": lambda column: [column.min(), column.max()],
}


@dataclass(frozen=True)
class Condition:
    """Predictors with the values at which something is drawn.

    Attributes
    ----------
    values : mapping of str to list
        Values of each predictor that the condition names.
    varied : tuple of str
        Those on the axis, as colour and as panels, in this order. The others have one value.
    """

    values: Mapping[str, list[Any]]
    varied: tuple[str, ...]

    @classmethod
    def of(cls, model: ModelSpec, condition: Any) -> Condition:
        """The condition that a user has given: a name, a list of names, or a dict of values by name.

        In a dict, None stands for the values that a predictor has in a list of names; a single value keeps a predictor
        at it.

        Raises
        ------
        PredictionError
            If a name is not a predictor or is given twice, or a value cannot be used.
        """
        known = list(model.design.predictors)
        if isinstance(condition, Mapping):
            given = mapping("condition", condition, PredictionError, "values by predictor, {'age': [20, 30]}")
            unknown = [name for name in given if name not in known]
            if unknown:
                raise PredictionError(unknown_names("condition", unknown, known, "predictor"))
        else:
            given = dict.fromkeys(names("condition", condition, known, PredictionError, "predictor"))
            if len(given) < len(listed(condition) or given):
                raise PredictionError(
                    f"condition={shortened(condition)} names a predictor twice. Name each once: for the axis, the "
                    "colours or the panels."
                )
        varied = tuple(name for name, value in given.items() if not _is_single(model, name, value))
        if not 0 < len(varied) <= MOST_NAMES:
            raise PredictionError(
                f"condition={shortened(condition)} must vary from one to {MOST_NAMES} predictors: the axis, colours "
                "and panels. Give others a single value, {'age': 30}."
            )
        values = {
            name: _values(model, name, value, along=name == varied[0]) if name in varied else listed(value) or [value]
            for name, value in given.items()
        }
        return cls(values, varied)

    def grid(self, fit: Fit, clusters: Sequence[GroupBlock] = ()) -> pd.DataFrame:
        """Rows with all combinations of the values, for each cluster of these factors that has rows, up to 200."""
        grid, frame = datagrid(fit, dict(self.values)), fit.model.design.table.frame
        columns = dict.fromkeys(column for factor in clusters for column in factor.columns)
        free = [column for column in columns if column not in self.values]
        if not free:
            return grid
        labels = frame[free].drop_duplicates().sort_values(free)
        labels = labels.iloc[spread_out(range(len(labels)), MOST_LINES)]
        rows = grid.iloc[np.tile(np.arange(len(grid)), len(labels))].reset_index(drop=True)
        return with_columns(rows, {name: np.repeat(np.asarray(labels[name]), len(grid)) for name in free})


def spread_out[T](items: Sequence[T], most: int) -> list[T]:
    """At most this number of the items, evenly spaced.

    Examples
    --------
    >>> spread_out(range(10), 4)
    [0, 3, 6, 9]
    """
    if len(items) <= most:
        return list(items)
    return [items[k] for k in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _is_single(model: ModelSpec, name: str, value: Any) -> bool:
    """Whether a predictor is kept at one value."""
    if value is None or callable(value) or (isinstance(value, str) and is_numeric(model, name)):
        return False
    cells = listed(value)
    return cells is None or len(cells) == 1


def _values(model: ModelSpec, name: str, value: Any, *, along: bool) -> list[Any]:
    """Values of a predictor that varies, on the axis or elsewhere."""
    column = model.design.table.frame[name]
    if value is None:
        return _usual_values(model, name, along=along)
    if callable(value):
        value = value(column.copy())
    elif isinstance(value, str):
        if value not in NAMED_VALUES:
            allowed = quoted_list(list(NAMED_VALUES))
            raise PredictionError(
                f"condition['{name}']={shortened(value)} must be a list of values, or one of {allowed}."
            )
        value = NAMED_VALUES[value](model.design.table.column(name))
    cells = listed(value)
    if not cells:
        raise PredictionError(
            f"condition['{name}']={shortened(value)} must be a list of values, a function of the column that returns "
            f"one, or for numbers one of {quoted_list(list(NAMED_VALUES))}."
        )
    try:
        return list(dict.fromkeys(cells))
    except TypeError:
        raise PredictionError(f"condition['{name}'] must be a list of single values.") from None


def _usual_values(model: ModelSpec, name: str, *, along: bool) -> list[Any]:
    column = model.design.table.frame[name]
    if not is_numeric(model, name) or column.nunique() <= (2 if along else FEW_VALUES):
        levels = list(levels_of(model, name))
        crowd = not along and name in model.design.group_columns
        return spread_out(levels, MOST_LINES) if crowd else levels
    if along:
        return list(np.linspace(column.min(), column.max(), POINTS).tolist())
    return list(dict.fromkeys(NAMED_VALUES["fivenum"](model.design.table.column(name))))
