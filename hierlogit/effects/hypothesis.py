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
from ..validation import quoted_list
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
        if isinstance(self.hypothesis, str) and self.hypothesis not in HYPOTHESES:
            raise PredictionError(
                f"hypothesis={self.hypothesis!r} is not allowed; choose one of {quoted_list(HYPOTHESES)}, or pass "
                "weights of the rows."
            )
        if self.rope is not None:
            _bounds(self.rope)

    def table(self, described: pd.DataFrame, values: Evaluated, interval: Interval) -> DrawTable:
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
        extra = {}
        if self.direction:
            extra["p_direction"] = np.maximum((values.draws > null).mean(axis=0), (values.draws < null).mean(axis=0))
        if self.rope is not None:
            low, high = _bounds(self.rope)
            extra["p_rope"] = ((values.draws >= low) & (values.draws <= high)).mean(axis=0)
        return values.table(described, interval, extra)

    def _weights(self, described: pd.DataFrame) -> tuple[list[str], FloatArray]:
        """Labels of the differences, and the weights of the rows in each, shape (rows, differences)."""
        count = len(described)
        if not isinstance(self.hypothesis, str):
            try:
                weights = np.asarray(self.hypothesis, dtype=np.float64)
            except (TypeError, ValueError):
                raise PredictionError(f"hypothesis={self.hypothesis!r} must be a name or numbers.") from None
            if weights.ndim not in (1, 2) or len(weights) != count:
                raise PredictionError(
                    f"hypothesis has shape {weights.shape}; the result has {count} rows: ({count},) or ({count}, k)."
                )
            weights = weights.reshape(count, -1)
            return [f"weights {k + 1}" for k in range(weights.shape[1])], weights
        pairs = {
            "pairwise": list(combinations(range(count), 2)),
            "reference": [(0, k) for k in range(1, count)],
            "sequential": list(pairwise(range(count))),
        }[self.hypothesis]
        if not pairs:
            raise PredictionError(f"hypothesis={self.hypothesis!r} compares rows of the result, which has only one.")
        names = [_name(row, _identifying_columns(described)) for row in described.to_dict("records")]
        weights = np.zeros((count, len(pairs)))
        for k, (low, high) in enumerate(pairs):
            weights[low, k], weights[high, k] = -1.0, 1.0
        return [f"({names[high]}) - ({names[low]})" for low, high in pairs], weights


def _bounds(rope: Any) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in rope)
    except (TypeError, ValueError):
        raise PredictionError(f"rope={rope!r} must be two numbers, (low, high).") from None
    if not low < high:
        raise PredictionError(f"rope={rope!r} must be (low, high) with low < high.")
    return low, high


def _identifying_columns(described: pd.DataFrame) -> list[Any]:
    """Columns whose values differ between the rows; all columns if there are none."""
    varying = [name for name in described.columns if name != "rows" and described[name].nunique(dropna=False) > 1]
    return varying or list(described.columns)


def _name(row: Mapping[Any, Any], columns: list[Any]) -> str:
    return ", ".join(f"{name} {row[name]}" if name == "row" else str(row[name]) for name in columns)
