"""Averages over groups of rows, for ``by=`` and ``weights=``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import cached_blocks
from ..design.design import Design
from ..design.grouping import with_whole_labels
from ..errors import PredictionError
from ..summaries.intervals import set_aside
from ..validation import agree, names, number_array, number_of, quoted_list
from .new_rows import Rows

FloatArray = npt.NDArray[np.float64]
#: Columns of averages that say how much each of them is over, and not of what.
SIZES = ("rows", "total_weight")


@dataclass(frozen=True)
class Averages:
    """Groups of rows whose predictions are averaged, within each draw.

    Attributes
    ----------
    described : pandas.DataFrame
        Values of the columns that define each group, ``rows``, its number of rows, and with weights
        ``total_weight``, their sum.
    order, starts : ndarray of int
        Row numbers sorted by group, and where each group starts among them.
    share : ndarray, shape (n,)
        Weights of the rows in that order, which sum to one in each group.
    of_sample : bool
        Whether the weights are the sampling weights of the model, so that the averages are over the population.
    """

    described: pd.DataFrame
    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    share: FloatArray
    of_sample: bool = False

    @classmethod
    def by(cls, data: Rows, by: str | Sequence[str] | bool, weights: FloatArray | None = None) -> Averages:
        """Groups of complete rows with the same values in the columns `by`; one group of all if `by` is True.

        Raises
        ------
        PredictionError
            If a column does not exist.
        """
        frame = data.complete_frame.reset_index(drop=True)  # whose labels may be named like a column
        counts = data.design.row_counts_of(frame)
        each = weights if counts is None else counts if weights is None else counts * weights
        if by is True:
            everything = pd.DataFrame(index=pd.RangeIndex(1))
            return cls._of(everything, np.zeros(len(frame), dtype=np.intp), each, {})
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
        sizes: dict[str, npt.NDArray[Any]] = {"rows": np.bincount(codes, counts).astype(np.intp)}
        if weights is not None:
            totals = np.bincount(codes, weights=each)
            counted = bool(np.all(weights == np.round(weights)) and np.all(totals < 2**53))
            sizes["total_weight"] = totals.astype(np.int64) if counted else totals  # people are shown in whole numbers
        return cls._of(described.reset_index(drop=True), codes, each, sizes)

    @classmethod
    def _of(
        cls,
        groups: pd.DataFrame,
        codes: npt.NDArray[np.intp],
        weights: FloatArray | None,
        sizes: Mapping[str, npt.NDArray[Any]],
    ) -> Averages:
        weights = np.ones(len(codes)) if weights is None else weights
        totals = np.bincount(codes, weights=weights)
        if not np.all(totals > 0):
            _refuse_weightless(groups[totals <= 0], len(groups))
        order, starts = _by_group(codes)
        described = set_aside(groups, list(sizes)).assign(**sizes)
        return cls(described, order, starts, (weights / totals[codes])[order])

    @property
    def groups(self) -> npt.NDArray[np.intp]:
        """The group of each row, shape (n,)."""
        codes = np.empty(len(self.order), dtype=np.intp)
        codes[self.order] = np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(self.order)))
        return codes

    def of_distinct(self, first: npt.NDArray[np.intp], which: npt.NDArray[np.intp]) -> Averages:
        """The same averages over distinct rows.

        Parameters
        ----------
        first : ndarray of int, shape (distinct,)
            Where each distinct row is first among all rows.
        which : ndarray of int, shape (n,)
            The number of each row's distinct row, which is in the same group.
        """
        totals = np.bincount(which[self.order], weights=self.share)
        order, starts = _by_group(self.groups[first])
        return replace(self, order=order, starts=starts, share=totals[order])

    def of(self, values: FloatArray) -> FloatArray:
        """Averages over the rows of each group, shape (draws, groups)."""
        averages = np.empty((len(values), len(self.starts)))
        for part in cached_blocks(len(values), len(self.order)):
            weighted = values[part].take(self.order, axis=1)
            weighted *= self.share
            np.add.reduceat(weighted, self.starts, axis=1, out=averages[part])
        return averages


def _by_group(codes: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Row numbers sorted by group, and where each group starts among them."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes))[:-1]]).astype(np.intp)
    return np.argsort(codes, kind="stable"), starts


def _refuse_weightless(groups: pd.DataFrame, count: int) -> None:
    """Name the groups without weight.

    Raises
    ------
    PredictionError
    """
    if groups.columns.empty:
        raise PredictionError("weights: they sum to zero, so that there is no average. Give a row a positive weight.")
    labels = [", ".join(map(str, label)) for label in groups.itertuples(index=False, name=None)]
    raise PredictionError(
        f"weights: they sum to zero in {len(labels):,} of {number_of(count, 'group')} of rows by "
        f"{quoted_list(list(groups.columns))}, {agree(labels, 'which has', 'which have')} no average: "
        f"{quoted_list(labels)}. Leave the rows of {agree(labels, 'this group', 'these groups')} out, or give one "
        "a positive weight."
    )


def average(values: FloatArray, averages: Averages | None) -> FloatArray:
    """Averages of the values over the groups of rows, shape (draws, groups); the values as given without groups."""
    return values if averages is None else averages.of(values)


def row_weights(data: Rows, weights: str | Sequence[float] | None, design: Design) -> FloatArray | None:
    """Weights of the complete rows, taken from a column or given as numbers for all rows.

    If none are given, the rows of a sample have the sampling weights of their model.

    Raises
    ------
    PredictionError
        If the column does not exist, the number of weights is wrong, or a weight is negative or not a number.
    """
    if weights is None:
        return design.sampling.population if data.of_training and design.sampling is not None else None
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
