"""Rows that each stand for several identical ones, and statistics of their columns as of all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RowCounts:
    """How rows have been counted: each row of a table stands for several rows with the same predictors.

    Attributes
    ----------
    column : str
        The column of the table with the number of rows that each row stands for.
    coefficients : str, optional
        The column with the sum of their log binomial coefficients; for a binary outcome, which has none, not given.
    outcomes : pandas.Series, optional
        The two values of a binary outcome as they are in the data, the event last; not given before the successes are
        added up, and for successes out of trials.
    """

    column: str
    coefficients: str | None = None
    outcomes: pd.Series[Any] | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that hold the counts."""
        return [self.column] if self.coefficients is None else [self.column, self.coefficients]


def unused_name(name: str, taken: Sequence[str]) -> str:
    """The name, or the name with underscores if it is taken.

    Examples
    --------
    >>> unused_name("rows", ["y", "rows"])
    'rows_'
    """
    while name in taken:
        name += "_"
    return name


def column_means(columns: FloatArray, counts: FloatArray | None) -> FloatArray:
    """Mean of each column, shape (p,), over rows that count once or as often as given."""
    means: FloatArray = columns.mean(axis=0) if counts is None else counts @ columns / counts.sum()
    return means


def standard_deviations(columns: FloatArray, counts: FloatArray | None) -> FloatArray:
    """Standard deviation of each column, shape (p,), with the number of rows less 1 in the denominator."""
    if counts is None:
        deviations: FloatArray = columns.std(axis=0, ddof=1)
        return deviations
    squares = counts @ (columns - column_means(columns, counts)) ** 2
    return np.asarray(np.sqrt(squares / (counts.sum() - 1)))


def quantiles(values: FloatArray, counts: FloatArray, q: Any) -> Any:
    """Quantiles of values that each occur several times, interpolated as by ``numpy.quantile``.

    Examples
    --------
    >>> float(quantiles(np.array([1.0, 2.0, 5.0]), np.array([3.0, 1.0, 2.0]), 0.5))
    1.5
    >>> float(np.quantile([1, 1, 1, 2, 5, 5], 0.5))
    1.5
    """
    order = np.argsort(values, kind="stable")
    ordered, ends = values[order], np.cumsum(counts[order])
    below, above = quantile_ranks(ends[-1], q)
    low, high = (ordered[np.searchsorted(ends, rank, side="right")] for rank in (below, above))
    return low + (high - low) * ((ends[-1] - 1) * np.asarray(q, dtype=np.float64) - below)


def quantile_ranks(rows: float, q: Any) -> tuple[Any, Any]:
    """Ranks of the two values, counted from 0, between which quantiles of so many values lie.

    Examples
    --------
    >>> quantile_ranks(6, np.array([0.5, 1.0]))
    (array([2., 5.]), array([3., 5.]))
    """
    below = np.floor((rows - 1) * np.asarray(q, dtype=np.float64))
    return below, np.minimum(below + 1, rows - 1)


def row_quantiles(values: FloatArray, counts: FloatArray | None, q: Any) -> Any:
    """Quantiles of values over rows that count once or as often as given."""
    return np.quantile(values, q) if counts is None else quantiles(values, counts, q)


class CountedColumn:
    """A column of numbers that each occur several times, with the statistics that pandas has for the whole column.

    Parameters
    ----------
    values : ndarray, shape (n,)
    counts : ndarray, shape (n,)
    """

    def __init__(self, values: FloatArray, counts: FloatArray) -> None:
        self._values, self._counts = values, counts

    def mean(self) -> float:
        """The mean."""
        return float(column_means(self._values, self._counts))

    def std(self) -> float:
        """The standard deviation, with the number of rows less 1 in the denominator."""
        return float(standard_deviations(self._values, self._counts))

    def quantile(self, q: float | Sequence[float]) -> Any:
        """A quantile, or a series of several."""
        found = quantiles(self._values, self._counts, q)
        return float(found) if np.ndim(found) == 0 else pd.Series(found, index=np.asarray(q))

    def median(self) -> float:
        """The median."""
        return float(quantiles(self._values, self._counts, 0.5))

    def min(self) -> float:
        """The smallest value."""
        return float(self._values.min())

    def max(self) -> float:
        """The largest value."""
        return float(self._values.max())


def most_frequent(values: pd.Series[Any] | pd.DataFrame, counts: FloatArray | None) -> Any:
    """The value, or the tuple of values, that most rows have, where rows count once or as often as given.

    Of several, it is the first in their order: rows that have been counted have none of their own.
    """
    numbers = pd.Series(1.0 if counts is None else counts, index=values.index)
    if isinstance(values, pd.Series):
        return numbers.groupby(values, observed=True).sum().idxmax()
    label = numbers.groupby([values[name] for name in values], observed=True).sum().idxmax()
    return label if values.shape[1] > 1 else (label,)
