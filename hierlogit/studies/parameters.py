"""What is assumed of a population: parameters by label → the arrays of a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..design.design import Design
from ..design.grouping import GroupBlock
from ..errors import StudyError
from ..validation import quoted_list

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Population:
    """Parameters as arrays.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Fixed effects.
    cholesky : mapping of str to ndarray, shape (q, q)
        By grouping factor, the Cholesky factor of the covariance matrix of its effects.
    """

    beta: FloatArray
    cholesky: Mapping[str, FloatArray]


@dataclass(frozen=True)
class AssumedParameters:
    """Parameters by label, as a person gives them.

    Attributes
    ----------
    beta : mapping of str to float
        Fixed effects.
    sd : mapping of str to float or mapping
        By grouping factor, the sd of its effect, or the sds of its effects by label.
    cor : mapping of str to float or mapping
        By grouping factor, the correlation of each two of its effects, or correlations by ``"effect, effect"``; zero
        where none is given.
    """

    beta: Mapping[str, float]
    sd: Mapping[str, Any] = field(default_factory=dict)
    cor: Mapping[str, Any] = field(default_factory=dict)

    def of(self, design: Design) -> Population:
        """The same for the columns of a design.

        Raises
        ------
        StudyError
            If a parameter is missing, unknown or impossible.
        """
        beta = _complete(self.beta, design.fixed_effects, "beta", "coefficient")
        names = [block.name for block in design.groups]
        for what, given in (("sd", self.sd), ("cor", self.cor)):
            strange = [name for name in given if name not in names]
            if strange:
                raise StudyError(
                    f"{what} names {quoted_list(strange)}; the model's grouping factors are {quoted_list(names)}."
                )
        return Population(beta, {block.name: self._cholesky(block) for block in design.groups})

    def _cholesky(self, block: GroupBlock) -> FloatArray:
        given = self.sd.get(block.name, {})
        if not isinstance(given, Mapping):
            if len(block.effects) > 1:
                raise StudyError(
                    f"sd has one number for '{block.name}', over which {quoted_list(block.effects)} vary: give a "
                    "number for each, by label."
                )
            given = {block.effects[0]: given}
        sd = _complete(given, block.effects, f"sd of '{block.name}'", "standard deviation")
        if np.any(sd < 0):
            raise StudyError(f"the sds of '{block.name}' are {sd.tolist()}; none can be negative.")
        try:
            L: FloatArray = sd[:, None] * np.linalg.cholesky(self._correlations(block))
        except np.linalg.LinAlgError:
            raise StudyError(f"the correlations of '{block.name}' cannot all be true at once.") from None
        return L

    def _correlations(self, block: GroupBlock) -> FloatArray:
        given, pairs = self.cor.get(block.name, {}), block.correlated_pairs
        labels = [f"{block.effects[i]}, {block.effects[j]}" for i, j in pairs]
        if not isinstance(given, Mapping):
            given = dict.fromkeys(labels, given) if labels else {"": given}
        strange = [label for label in given if label not in labels]
        if strange:
            known = quoted_list(labels) if labels else "none that may correlate"
            raise StudyError(f"cor of '{block.name}' names {quoted_list(strange)}; its pairs of effects are {known}.")
        R = np.eye(len(block.effects))
        for (i, j), label in zip(pairs, labels, strict=True):
            R[i, j] = R[j, i] = _number(given.get(label, 0.0), f"the correlation {label}")
        return R


def _complete(given: Mapping[str, float], labels: tuple[str, ...], where: str, what: str) -> FloatArray:
    if not isinstance(given, Mapping):
        raise StudyError(f"{where} is {given!r}; it must have a {what} for each of {quoted_list(labels)}, by label.")
    strange = [name for name in given if name not in labels]
    missing = [name for name in labels if name not in given]
    if strange or missing:
        said = [f"names {quoted_list(strange)}, which the model does not have"] if strange else []
        said += [f"lacks {quoted_list(missing)}"] if missing else []
        raise StudyError(f"{where} {' and '.join(said)}. The model has {quoted_list(labels)}.")
    return np.array([_number(given[name], f"the {what} of '{name}'") for name in labels])


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
        raise StudyError(f"{what} is {value!r}; it must be a number.")
    return float(value)
