"""Assumed parameters of a population, by label and as arrays for a design."""

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
    """Parameters of a population, as arrays.

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
    """Parameters of a population, by label.

    Attributes
    ----------
    beta : mapping of str to float
        Fixed effects.
    sd : mapping of str to float or mapping
        By grouping factor, the sd of its effect, or the sds of its effects by label.
    cor : mapping of str to float or mapping
        By grouping factor, the correlation of all pairs of its effects, or correlations by ``"effect, effect"``; zero
        if not given.
    """

    beta: Mapping[str, float]
    sd: Mapping[str, Any] = field(default_factory=dict)
    cor: Mapping[str, Any] = field(default_factory=dict)

    def of(self, design: Design) -> Population:
        """The parameters as arrays for the columns of a design.

        Raises
        ------
        StudyError
            If a parameter is missing, unknown or out of range.
        """
        beta = _complete(self.beta, design.fixed_effects, "beta", "coefficient")
        names = [group.name for group in design.groups]
        for what, given in (("sd", self.sd), ("cor", self.cor)):
            strange = [name for name in given if name not in names]
            if strange:
                raise StudyError(
                    f"{what} names {quoted_list(strange)}; the model's grouping factors are {quoted_list(names)}."
                )
        return Population(beta, {group.name: self._cholesky(group) for group in design.groups})

    def _cholesky(self, group: GroupBlock) -> FloatArray:
        given = self.sd.get(group.name, {})
        if not isinstance(given, Mapping):
            if len(group.effects) > 1:
                raise StudyError(
                    f"sd has one number for '{group.name}', over which {quoted_list(group.effects)} vary: give a "
                    "number for each, by label."
                )
            given = {group.effects[0]: given}
        sd = _complete(given, group.effects, f"sd of '{group.name}'", "standard deviation")
        if np.any(sd < 0):
            raise StudyError(f"the sds of '{group.name}' are {sd.tolist()}; none can be negative.")
        try:
            L: FloatArray = sd[:, None] * np.linalg.cholesky(self._correlations(group))
        except np.linalg.LinAlgError:
            raise StudyError(f"the correlations of '{group.name}' cannot all be true at once.") from None
        return L

    def _correlations(self, group: GroupBlock) -> FloatArray:
        given, pairs = self.cor.get(group.name, {}), group.correlated_pairs
        labels = [f"{group.effects[i]}, {group.effects[j]}" for i, j in pairs]
        if not isinstance(given, Mapping):
            given = dict.fromkeys(labels, given) if labels else {"": given}
        strange = [label for label in given if label not in labels]
        if strange:
            known = quoted_list(labels) if labels else "none that may correlate"
            raise StudyError(f"cor of '{group.name}' names {quoted_list(strange)}; its pairs of effects are {known}.")
        R = np.eye(len(group.effects))
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
