"""Differences between rows of a result, probabilities of direction and practical equivalence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import PredictionError
from ..summaries.intervals import DrawTable, Interval
from ..validation import as_float, flag, listed, number_array, number_of, one_of, quoted_list, shortened
from .query import MAX_CELLS, Evaluated

FloatArray = npt.NDArray[np.float64]
#: Function of the draws of all rows, shape (draws, rows), that combines rows.
Difference = Callable[[FloatArray], FloatArray]
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

    def table(self, quantity: str, described: pd.DataFrame, values: Evaluated, interval: Interval) -> DrawTable:
        """Summaries of the rows or of their differences, with the probabilities added.

        Raises
        ------
        PredictionError
            If there is only one row, or the number of weights differs from the number of rows.
        """
        null = self.null
        if self.hypothesis is not None:
            if isinstance(self.hypothesis, str):
                labels, difference = _named_differences(self.hypothesis, described, len(values.draws))
            else:
                labels, difference = self._weighted(len(described))
            described = pd.DataFrame({"hypothesis": labels})
            values, null = values.mapped(difference), 0.0
            quantity = f"{quantity}, combined over rows"
        extra = {}
        # Rows with missing values have draws of NaN, which are on neither side.
        if self.direction:
            sides = (values.draws > null).mean(axis=0), (values.draws < null).mean(axis=0)
            extra["p_direction"] = np.where(np.isnan(values.draws[0]), np.nan, np.maximum(*sides))
        if self.rope is not None:
            low, high = _bounds(self.rope)
            inside = ((values.draws >= low) & (values.draws <= high)).mean(axis=0)
            extra["p_rope"] = np.where(np.isnan(values.draws[0]), np.nan, inside)
        return values.table(quantity, described, interval, extra)

    def _given_weights(self) -> FloatArray:
        what = f"one of {quoted_list(HYPOTHESES)}, or numbers, one for each row of the result"
        return number_array("hypothesis", self.hypothesis, PredictionError, what)

    def _weighted(self, count: int) -> tuple[list[str], Difference]:
        """Labels of the combinations of rows, and the function of the rows that gives them."""
        weights = self._given_weights()
        if weights.ndim not in (1, 2) or len(weights) != count:
            raise PredictionError(
                f"hypothesis has shape {weights.shape}; the result has {number_of(count, 'row')}, so the shape "
                f"must be ({count},) or ({count}, differences)."
            )
        weights = weights.reshape(count, -1)
        return [f"weights {k + 1}" for k in range(weights.shape[1])], lambda draws: draws @ weights


def _named_differences(hypothesis: str, described: pd.DataFrame, draws: int) -> tuple[list[str], Difference]:
    """Labels of the differences between rows, and the function of the rows that gives them.

    Raises
    ------
    PredictionError
        If there is only one row, or there are too many pairs of rows.
    """
    count = len(described)
    if count < 2:
        raise PredictionError(f"hypothesis='{hypothesis}' compares rows of the result, which has only one.")
    if hypothesis == "pairwise" and draws * count * (count - 1) // 2 > MAX_CELLS:
        raise PredictionError(
            f"hypothesis='pairwise': {count:,} rows make {count * (count - 1) // 2:,} pairs, whose {draws:,} draws do "
            "not fit into memory. Average over groups of rows with by=, or take fewer rows or draws."
        )
    pairs = {"pairwise": combinations(range(count), 2), "sequential": pairwise(range(count))}
    low, high = np.array(list(pairs.get(hypothesis, ((0, k) for k in range(1, count))))).T
    columns = _identifying_columns(described)
    names = [_name(row, columns) for row in described.to_dict("records")]
    labels = [f"({names[second]}) - ({names[first]})" for first, second in zip(low, high, strict=True)]
    return labels, lambda values: values[:, high] - values[:, low]


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


def _name(row: Mapping[Any, Any], columns: list[Any]) -> str:
    return ", ".join(f"{name} {row[name]}" if name == "row" else str(row[name]) for name in columns)
