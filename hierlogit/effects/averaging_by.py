"""Averages over groups of rows, for ``by=`` and ``weights=``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import PredictionError
from ..validation import quoted_list

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
    def by(cls, frame: pd.DataFrame, by: str | Sequence[str] | bool, weights: FloatArray | None = None) -> Averages:
        """Groups of rows with the same values in the columns `by`; one group of all rows if `by` is True.

        Raises
        ------
        PredictionError
            If a column does not exist.
        """
        weights = np.ones(len(frame)) if weights is None else weights
        if by is True:
            everything = pd.DataFrame(index=pd.RangeIndex(1))
            return cls._of(everything, np.zeros(len(frame), dtype=np.intp), weights)
        columns = [by] if isinstance(by, str) else list(by) if not isinstance(by, bool) else []
        absent = [name for name in columns if name not in frame.columns]
        if absent:
            raise PredictionError(
                f"cannot average by {quoted_list(absent)}; the rows have {quoted_list(list(frame.columns))}. Columns "
                "that the formula does not use come with newdata=."
            )
        if not columns:
            raise PredictionError("by=[] names no column; pass by=True to average over all rows.")
        codes = frame.groupby(columns, observed=True, sort=True, dropna=False).ngroup().to_numpy().astype(np.intp)
        firsts = np.unique(codes, return_index=True)[1]
        described = frame.iloc[firsts][columns].reset_index(drop=True)
        described = described.rename(columns={"rows": "rows_in_data"}).assign(rows=np.bincount(codes))
        return cls._of(described, codes, weights)

    @classmethod
    def _of(cls, described: pd.DataFrame, codes: npt.NDArray[np.intp], weights: FloatArray) -> Averages:
        totals = np.bincount(codes, weights=weights)
        if not np.all(totals > 0):
            raise PredictionError("the weights of a group of rows sum to zero: nothing can be averaged there.")
        order = np.argsort(codes, kind="stable")
        counts = np.bincount(codes)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
        return cls(described, order, starts, (weights / totals[codes])[order])

    def of(self, values: FloatArray) -> FloatArray:
        """Averages over the rows of each group, shape (draws, groups)."""
        averages: FloatArray = np.add.reduceat(values[:, self.order] * self.share, self.starts, axis=1)
        return averages


def row_weights(frame: pd.DataFrame, weights: str | Sequence[float] | None) -> FloatArray | None:
    """Weights of the rows, taken from a column or given as numbers.

    Raises
    ------
    PredictionError
        If the column does not exist, the number of weights is wrong, or a weight is negative or not a number.
    """
    if weights is None:
        return None
    if isinstance(weights, str) and weights not in frame.columns:
        raise PredictionError(
            f"weights={weights!r} is no column of the rows, which have {quoted_list(list(frame.columns))}."
        )
    given = frame[weights] if isinstance(weights, str) else weights
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise PredictionError(f"weights={weights!r} must be numbers, one for each row.") from None
    if values.shape != (len(frame),):
        raise PredictionError(f"weights have shape {values.shape}; one is needed for each of the {len(frame)} rows.")
    if not np.all(np.isfinite(values)) or np.any(values < 0):
        raise PredictionError("weights must be finite and not negative.")
    return values
