"""Proportions of events in the rows, along an axis, to be drawn beside predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..fits.fit import Fit

#: Most groups of rows along a numeric axis.
MOST_GROUPS = 10


def raw_proportions(fit: Fit, axis: str, numeric: bool, others: Sequence[str]) -> pd.DataFrame:
    """Proportions of events by the values of other columns and along the axis.

    Parameters
    ----------
    fit : Fit
    axis : str
    numeric : bool
        Whether the values on the axis are cut into up to ten groups with about the same number of rows.
    others : sequence of str

    Returns
    -------
    pandas.DataFrame
        The other columns, ``axis`` (the level, or the mean of the numbers), ``proportion`` and ``trials``.
    """
    design = fit.model.design
    frame, outcome = design.table.frame, design.outcome
    along = frame[axis]
    keys: list[Any] = [frame[name].astype(object) for name in others]
    weight = design.shares / outcome.trials
    rows = pd.DataFrame({"events": outcome.y * weight, "trials": design.shares, "axis": along})
    if numeric:
        rows["total"] = along.astype(float) * design.shares
        keys.append(_groups(along.to_numpy(dtype=np.float64)))
    else:
        keys.append(along.astype(object))
    columns = ["events", "trials", *(["total"] if numeric else [])]
    sums = rows[columns].groupby([np.asarray(key) for key in keys], sort=True).sum()
    sums.index.names = [*others, "axis"]
    sums = sums[sums["trials"] > 0].reset_index()
    if numeric:
        sums["axis"] = sums.pop("total") / sums["trials"]
    return sums.assign(proportion=sums["events"] / sums["trials"]).drop(columns="events")


def _groups(values: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Numbers of groups of about equal size; rows with the same value are in the same group."""
    ends = np.unique(np.quantile(values, np.linspace(0, 1, MOST_GROUPS + 1)[1:-1]))
    return np.searchsorted(ends, values, side="left").astype(np.intp)
