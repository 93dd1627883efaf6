"""Families of hypotheses about the values of a result: by name, by weights, or written as expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import PredictionError
from ..validation import listed, number_array, number_of, one_of, quoted_list, shortened
from .expressions import RELATIONS, Hypothesis, Labels, parse_hypothesis, written
from .query import MAX_CELLS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Differences by name; those that begin with "rev" have the opposite sign.
HYPOTHESES = ("pairwise", "reference", "sequential", "revpairwise", "revreference", "revsequential")
#: The largest number of pairs of values: those of 100 values, more than anyone reads.
MOST_PAIRS = 4950


class Combinable(Protocol):
    """Values of which differences and sums with weights can be formed."""

    def differences(self, low: IntArray, high: IntArray) -> Any:
        """Differences between the values at two lists of positions."""

    def combined(self, weights: FloatArray) -> Any:
        """Sums of the values with weights, shape (values, sums)."""

    def computed(self, stated: Sequence[Hypothesis]) -> Any:
        """What hypotheses compare with their numbers, linear or not."""


@dataclass(frozen=True)
class Family:
    """Functions of values, each with the number that it is compared with.

    Attributes
    ----------
    labels : list of str, length k
    pairs : tuple of ndarray of int, or None
        Positions of the values that are subtracted, and of those that they are subtracted from.
    weights : ndarray, shape (values, k), or None
        In place of `pairs`.
    null : ndarray, shape (k,)
    side : ndarray of int, shape (k,)
        1 if the hypothesis is that a function is above its number, -1 for below, 0 for equal.
    stated : tuple of Hypothesis
        The hypotheses, if they are written as text; without weights, if one of them is not linear.
    """

    labels: list[str]
    pairs: tuple[IntArray, IntArray] | None
    weights: FloatArray | None
    null: FloatArray
    side: IntArray
    stated: tuple[Hypothesis, ...] = ()

    @classmethod
    def of(cls, hypothesis: Any, labels: Labels, draws: int) -> Self:
        """The family that the option `hypothesis` describes.

        Parameters
        ----------
        hypothesis : str, list of str or array of float
            It has passed `check_hypothesis`.
        labels : Labels
            Labels of the values.
        draws : int
            Number of draws of each value, which limits the number of pairs.

        Raises
        ------
        PredictionError
            If there is only one value to compare, the number of weights differs from the number of values, there are
            too many pairs, or an expression is wrong.
        """
        if isinstance(hypothesis, str) and hypothesis in HYPOTHESES:
            return cls._differences(hypothesis, labels, draws)
        texts = expressions_of(hypothesis)
        if texts is not None:
            return cls._stated([parse_hypothesis(text, labels) for text in texts], len(labels.names))
        weights = _given_weights(hypothesis)
        count = len(labels.names)
        if weights.ndim not in (1, 2) or len(weights) != count:
            raise PredictionError(
                f"hypothesis has shape {weights.shape}; the result has {number_of(count, labels.what)}, so the shape "
                f"must be ({count},) or ({count}, differences)."
            )
        weights = weights.reshape(count, -1)
        k = weights.shape[1]
        return cls([f"weights {j + 1}" for j in range(k)], None, weights, np.zeros(k), np.zeros(k, dtype=np.intp))

    @classmethod
    def zeros(cls, labels: Labels) -> Self:
        """The hypotheses that each value is zero."""
        k = len(labels.names)
        texts = [f"{written(label)} = 0" for label in labels.names]
        return cls(texts, None, np.eye(k), np.zeros(k), np.zeros(k, dtype=np.intp))

    @classmethod
    def _differences(cls, name: str, labels: Labels, draws: int) -> Self:
        low, high = _pairs(name, len(labels.names), draws, labels.what)
        texts = [labels.difference(*pair) for pair in zip(low.tolist(), high.tolist(), strict=True)]
        return cls(texts, (low, high), None, np.zeros(len(texts)), np.zeros(len(texts), dtype=np.intp))

    @classmethod
    def _stated(cls, stated: Sequence[Hypothesis], values: int) -> Self:
        weights = np.zeros((values, len(stated)))
        for k, one in enumerate(stated):
            for at, weight in (one.weights or {}).items():
                weights[at, k] = weight
        linear = all(one.weights is not None for one in stated)
        null = np.array([one.null for one in stated])
        side = np.array([one.side for one in stated], dtype=np.intp)
        return cls([one.text for one in stated], None, weights if linear else None, null, side, tuple(stated))

    @property
    def described(self) -> pd.DataFrame:
        """The column ``hypothesis``, and ``null`` with the numbers if there are others than zero."""
        described = pd.DataFrame({"hypothesis": self.labels})
        return described.assign(null=self.null) if self.null.any() else described

    def applied(self, values: Combinable) -> Any:
        """The functions of values, of a class of the same kind."""
        if self.pairs is not None:
            return values.differences(*self.pairs)
        return values.computed(self.stated) if self.weights is None else values.combined(self.weights)


def check_hypothesis(hypothesis: Any) -> None:
    """Refuse what is neither the name of differences, nor expressions, nor weights.

    Raises
    ------
    PredictionError
    """
    texts = expressions_of(hypothesis)
    if texts is None:
        _given_weights(hypothesis)
        return
    single = isinstance(hypothesis, str)
    for text in texts:
        if (single and text in HYPOTHESES) or any(relation in text for relation in RELATIONS):
            continue
        raise PredictionError(
            f"hypothesis={shortened(text)} is not allowed; {one_of(HYPOTHESES)}, write a relation such as 'b1 = b2' "
            "or 'b2 - b1 > 0.05', a list of relations, or pass weights."
        )


def expressions_of(hypothesis: Any) -> list[str] | None:
    """The texts of one or several hypotheses; None if they are no texts."""
    given = [hypothesis] if isinstance(hypothesis, str) else listed(hypothesis)
    return given if given and all(isinstance(item, str) for item in given) else None


def _given_weights(hypothesis: Any) -> FloatArray:
    what = f"one of {quoted_list(HYPOTHESES)}, relations such as 'b1 = b2', or numbers, one for each row of the result"
    weights = number_array("hypothesis", hypothesis, PredictionError, what)
    if not weights.size:
        raise PredictionError(f"hypothesis is empty; it must be {what}.")
    return weights


def _pairs(name: str, count: int, draws: int, what: str) -> tuple[IntArray, IntArray]:
    """Positions of the values that are subtracted, and of those that they are subtracted from.

    Raises
    ------
    PredictionError
        If there is only one value, or there are too many pairs.
    """
    if count < 2:
        raise PredictionError(f"hypothesis='{name}' compares {what}s of the result, which has only one.")
    kind = name.removeprefix("rev")
    pairs = count * (count - 1) // 2
    if kind == "pairwise" and (pairs > MOST_PAIRS or draws * pairs > MAX_CELLS):
        limit = (
            f"; at most {MOST_PAIRS:,} are compared"
            if pairs > MOST_PAIRS
            else f", whose {draws:,} draws do not fit into memory"
        )
        fewer = "Average over groups of rows with by=, compare" if what == "row" else "Compare"
        raise PredictionError(
            f"hypothesis='{name}': {count:,} {what}s make {pairs:,} pairs{limit}. {fewer} all {what}s with the first "
            "one or with the one before, hypothesis='reference' or 'sequential', or state the differences that matter: "
            "hypothesis=['b2 = b1', 'b5 = b1']."
        )
    if kind == "pairwise":
        low, high = np.triu_indices(count, 1)
    else:
        high = np.arange(1, count)
        low = high - 1 if kind == "sequential" else np.zeros_like(high)
    return (high, low) if name.startswith("rev") else (low, high)
