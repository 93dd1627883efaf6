"""Differences between rows of a result, probabilities of direction and practical equivalence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import PredictionError
from ..summaries.intervals import DrawTable, Interval
from ..validation import as_float, flag, listed, number_array, number_of, one_of, quoted_list, shortened
from .evaluated import Evaluated, summary_table
from .query import MAX_CELLS
from .row_by_row import RowByRow

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
HYPOTHESES = ("pairwise", "reference", "sequential")


@dataclass(frozen=True)
class RowTests:
    """Options that test or compare the rows of a result.

    Attributes
    ----------
    hypothesis : {"pairwise", "reference", "sequential"}, array of float or None
        Differences between rows, which replace them; an array holds weights, shape (rows,) or (rows, differences).
    direction : bool
        Whether to add the probability of direction.
    rope : pair of float or None
        Bounds of a region of practical equivalence, to add the posterior probability inside it.
    null : float
        The value if there is no effect.
    """

    hypothesis: Any
    direction: bool
    rope: tuple[float, float] | None
    null: float

    def __post_init__(self) -> None:
        flag("direction", self.direction, PredictionError)
        if isinstance(self.hypothesis, str) and self.hypothesis not in HYPOTHESES:
            raise PredictionError(
                f"hypothesis={shortened(self.hypothesis)} is not allowed; {one_of(HYPOTHESES)}, or pass weights of the "
                "rows."
            )
        if self.hypothesis is not None and not isinstance(self.hypothesis, str):
            self._given_weights()
        if self.rope is not None:
            _bounds(self.rope)

    def table(
        self, quantity: str, described: pd.DataFrame, values: Evaluated | RowByRow, interval: Interval
    ) -> DrawTable:
        """Summaries of the rows or of their differences, with the probabilities added.

        Raises
        ------
        PredictionError
            If there is only one row, or the number of weights differs from the number of rows.
        """
        if self.hypothesis is None:
            return summary_table(values, quantity, described, interval, lambda draws: self._tests(draws, self.null))
        if isinstance(self.hypothesis, str):
            low, high = _pairs(self.hypothesis, len(described), values.count)
            names = np.array(list(_names(described)), dtype=object)
            labels = [f"({second}) - ({first})" for first, second in zip(names[low], names[high], strict=True)]
            values = values.differences(low, high)
        else:
            weights = self._weights(len(described))
            labels = [f"weights {k + 1}" for k in range(weights.shape[1])]
            values = values.combined(weights)
        described = pd.DataFrame({"hypothesis": labels})
        combined = f"{quantity}, combined over rows"
        return summary_table(values, combined, described, interval, lambda draws: self._tests(draws, 0.0))

    def _tests(self, draws: FloatArray, null: float) -> dict[str, FloatArray]:
        """Columns with the probabilities of the tests, for draws of shape (draws, values)."""
        columns = {}
        if self.direction:
            columns["p_direction"] = np.maximum((draws > null).mean(axis=0), (draws < null).mean(axis=0))
        if self.rope is not None:
            low, high = _bounds(self.rope)
            columns["p_rope"] = ((draws >= low) & (draws <= high)).mean(axis=0)
        # Rows with missing values have draws of NaN, which are on neither side.
        return {name: np.where(np.isnan(draws[0]), np.nan, values) for name, values in columns.items()}

    def _given_weights(self) -> FloatArray:
        what = f"one of {quoted_list(HYPOTHESES)}, or numbers, one for each row of the result"
        return number_array("hypothesis", self.hypothesis, PredictionError, what)

    def _weights(self, count: int) -> FloatArray:
        """Weights of the rows, shape (rows, differences)."""
        weights = self._given_weights()
        if weights.ndim not in (1, 2) or len(weights) != count:
            raise PredictionError(
                f"hypothesis has shape {weights.shape}; the result has {number_of(count, 'row')}, so the shape "
                f"must be ({count},) or ({count}, differences)."
            )
        return weights.reshape(count, -1)


def _pairs(hypothesis: str, count: int, draws: int) -> tuple[IntArray, IntArray]:
    """Positions of the rows that are subtracted, and of those that they are subtracted from.

    Raises
    ------
    PredictionError
        If there is only one row, or there are too many pairs of rows.
    """
    if count < 2:
        raise PredictionError(f"hypothesis='{hypothesis}' compares rows of the result, which has only one.")
    if hypothesis == "pairwise" and draws * count * (count - 1) // 2 > MAX_CELLS:
        raise PredictionError(
            f"hypothesis='pairwise': {count:,} rows make {count * (count - 1) // 2:,} pairs, whose {draws:,} draws do "
            "not fit into memory. Average over groups of rows with by=, or take fewer rows or draws."
        )
    if hypothesis == "pairwise":
        low, high = np.triu_indices(count, 1)
        return low, high
    others = np.arange(1, count)
    return (others - 1 if hypothesis == "sequential" else np.zeros_like(others)), others


def _bounds(rope: Any) -> tuple[float, float]:
    """Both ends, which may be infinite."""
    ends = [as_float(end) for end in listed(rope) or []]
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise PredictionError(f"rope={shortened(rope)} must be two numbers, (low, high) with low < high.")
    return ends[0], ends[1]


def _identifying_columns(described: pd.DataFrame) -> list[Any]:
    """Columns whose values differ between the rows; all columns if there are none."""
    varying = [name for name in described.columns if name != "rows" and described[name].nunique(dropna=False) > 1]
    return varying or list(described.columns)


def _names(described: pd.DataFrame) -> Iterator[str]:
    """A name for each row, from the columns in which the rows differ."""
    columns = _identifying_columns(described)
    named = [
        [f"row {value}" if name == "row" else str(value) for value in described[name].tolist()] for name in columns
    ]
    return map(", ".join, zip(*named, strict=True))
