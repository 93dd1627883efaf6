"""Differences between rows of a result, probabilities of direction and practical equivalence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import PredictionError
from ..summaries.intervals import DrawTable, Interval
from ..validation import as_float, flag, listed, number_array, number_of, one_of, quoted_list, shortened
from .query import Evaluated

FloatArray = npt.NDArray[np.float64]
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
            labels, weights = self._weights(described)
            described = pd.DataFrame({"hypothesis": labels})
            values, null = values.mapped(lambda draws: draws @ weights), 0.0
            quantity = f"{quantity}, combined over rows"
        extra = {}
        if self.direction:
            extra["p_direction"] = np.maximum((values.draws > null).mean(axis=0), (values.draws < null).mean(axis=0))
        if self.rope is not None:
            low, high = _bounds(self.rope)
            extra["p_rope"] = ((values.draws >= low) & (values.draws <= high)).mean(axis=0)
        return values.table(quantity, described, interval, extra)

    def _given_weights(self) -> FloatArray:
        what = f"one of {quoted_list(HYPOTHESES)}, or numbers, one for each row of the result"
        return number_array("hypothesis", self.hypothesis, PredictionError, what)

    def _weights(self, described: pd.DataFrame) -> tuple[list[str], FloatArray]:
        """Labels of the differences, and the weights of the rows in each, shape (rows, differences)."""
        count = len(described)
        if not isinstance(self.hypothesis, str):
            weights = self._given_weights()
            if weights.ndim not in (1, 2) or len(weights) != count:
                raise PredictionError(
                    f"hypothesis has shape {weights.shape}; the result has {number_of(count, 'row')}, so the shape "
                    f"must be ({count},) or ({count}, differences)."
                )
            weights = weights.reshape(count, -1)
            return [f"weights {k + 1}" for k in range(weights.shape[1])], weights
        pairs = {
            "pairwise": list(combinations(range(count), 2)),
            "reference": [(0, k) for k in range(1, count)],
            "sequential": list(pairwise(range(count))),
        }[self.hypothesis]
        if not pairs:
            raise PredictionError(f"hypothesis='{self.hypothesis}' compares rows of the result, which has only one.")
        names = [_name(row, _identifying_columns(described)) for row in described.to_dict("records")]
        weights = np.zeros((count, len(pairs)))
        for k, (low, high) in enumerate(pairs):
            weights[low, k], weights[high, k] = -1.0, 1.0
        return [f"({names[high]}) - ({names[low]})" for low, high in pairs], weights


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
