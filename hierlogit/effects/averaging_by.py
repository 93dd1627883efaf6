"""Averages over groups of rows, for ``by=`` and ``weights=``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.grouping import with_whole_labels
from ..errors import PredictionError
from ..summaries.intervals import set_aside
from ..validation import names, number_array, quoted_list
from .new_rows import Rows

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Averages:
    """Groups of rows whose predictions are averaged, within each draw.

    Attributes
    ----------
    described : pandas.DataFrame
        Values of the columns that define each group, and ``rows``, its number of rows.
    order, starts : ndarray of int
        Row numbers sorted by group, and where each group starts among them.
    share : ndarray, shape (n,)
        Weights of the rows in that order, which sum to one in each group.
    """

    described: pd.DataFrame
    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    share: FloatArray

    @classmethod
    def by(cls, data: Rows, by: str | Sequence[str] | bool, weights: FloatArray | None = None) -> Averages:
        """Groups of complete rows with the same values in the columns `by`; one group of all if `by` is True.

        Raises
        ------
        PredictionError
            If a column does not exist.
        """
        frame = data.complete_frame.reset_index(drop=True)  # whose labels may be named like a column
        weights = np.ones(len(frame)) if weights is None else weights
        if by is True:
            everything = pd.DataFrame(index=pd.RangeIndex(1))
            return cls._of(everything, np.zeros(len(frame), dtype=np.intp), weights)
        hint = " Pass columns that the formula does not use with newdata=, or by=True to average over all rows."
        columns = names("by", by, list(frame.columns), PredictionError, "column", "the rows", hint)
        try:
            codes = frame.groupby(columns, observed=True, sort=True, dropna=False).ngroup().to_numpy().astype(np.intp)
        except TypeError:  # lists and the like
            raise PredictionError(
                f"by: the values in {quoted_list(columns)} cannot be grouped. Turn them into numbers or text."
            ) from None
        firsts = np.unique(codes, return_index=True)[1]
        described = with_whole_labels(frame.iloc[firsts][columns], data.design.group_columns.intersection(columns))
        described = set_aside(described.reset_index(drop=True), ["rows"]).assign(rows=np.bincount(codes))
        return cls._of(described, codes, weights)

    @classmethod
    def _of(cls, described: pd.DataFrame, codes: npt.NDArray[np.intp], weights: FloatArray) -> Averages:
        totals = np.bincount(codes, weights=weights)
        if not np.all(totals > 0):
            raise PredictionError(
                "weights: they sum to zero in a group of rows, which then has no average. Leave these rows out, or "
                "give one of them a positive weight."
            )
        order = np.argsort(codes, kind="stable")
        counts = np.bincount(codes)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
        return cls(described, order, starts, (weights / totals[codes])[order])

    def of(self, values: FloatArray) -> FloatArray:
        """Averages over the rows of each group, shape (draws, groups)."""
        averages: FloatArray = np.add.reduceat(values[:, self.order] * self.share, self.starts, axis=1)
        return averages


def average(values: FloatArray, averages: Averages | None) -> FloatArray:
    """Averages of the values over the groups of rows, shape (draws, groups); the values as given without groups."""
    return values if averages is None else averages.of(values)


def row_weights(data: Rows, weights: str | Sequence[float] | None) -> FloatArray | None:
    """Weights of the complete rows, taken from a column or given as numbers for all rows.

    Raises
    ------
    PredictionError
        If the column does not exist, the number of weights is wrong, or a weight is negative or not a number.
    """
    if weights is None:
        return None
    what = "the name of a column, or a number for each row"
    if isinstance(weights, str):
        frame = data.complete_frame
        (column,) = names("weights", weights, list(frame.columns), PredictionError, "column", "the rows")
        values = number_array("weights", frame[column], PredictionError, what)
    else:
        values = number_array("weights", weights, PredictionError, what)
        if values.shape != data.complete.shape:
            raise PredictionError(
                f"weights have shape {values.shape}; one number is needed for each of the {len(data.frame):,} rows."
            )
        values = values[data.complete]
    if np.any(values < 0):
        raise PredictionError("weights must not be negative.")
    return values
