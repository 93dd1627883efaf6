"""Rows of single clusters to predict for, at given values of the predictors, without effects of other factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..design.grouping import GroupBlock
from ..fits.fit import Fit


def others_typical(fit: Fit, group: GroupBlock, chosen: Any) -> dict[str, Any]:
    """The option ``clusters=`` for one grouping factor, with effects of 0 for the others."""
    names = [other.name for other in fit.model.design.groups]
    return {name: chosen if name == group.name else "typical" for name in names}


def rows_of_clusters(fit: Fit, group: GroupBlock, grid: pd.DataFrame, clusters: slice) -> pd.DataFrame:
    """The rows of `grid` for some of the clusters, one cluster after the other."""
    first = np.unique(group.index, return_index=True)[1][clusters]
    rows = grid.iloc[np.tile(np.arange(len(grid)), len(first))].reset_index(drop=True)
    for column in group.columns:
        rows[column] = np.repeat(np.asarray(fit.model.design.table.frame[column].iloc[first]), len(grid))
    return rows


def constant_values(fit: Fit, grid: pd.DataFrame, varied: set[str | None]) -> str:
    """Values of the predictors that are not varied, as text."""
    factors = {column for group in fit.model.design.groups for column in group.columns}
    shown = [name for name in grid.columns if name not in {*varied, *factors}]
    return ", ".join(f"{name} = {_value(grid[name].iloc[0], fit.model.design.table.frame[name])}" for name in shown)


def _value(value: Any, column: pd.Series[Any]) -> str:
    """A value with as many decimals as matter among the values of its column: two digits of their sd."""
    if not isinstance(value, float | np.floating):
        return str(value)
    sd = float(column.std())
    near = round(float(value), 1 - int(np.floor(np.log10(sd)))) if sd > 0 else float(value)
    return f"{near + 0.0:.6g}"
