"""Assumed parameters of a population, by label and as arrays for a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..design.design import Design
from ..design.grouping import GroupBlock
from ..design.outcome import Family
from ..errors import StudyError
from ..validation import mapping, quoted_list, real_number, shortened, unknown_names

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
    phi : float or None
        Precision of beta-binomial outcomes; None for binomial ones.
    """

    beta: FloatArray
    cholesky: Mapping[str, FloatArray]
    phi: float | None = None


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
    phi : float or None
        Precision of beta-binomial outcomes; None for binomial ones.
    """

    beta: Mapping[str, float]
    sd: Mapping[str, Any] = field(default_factory=dict)
    cor: Mapping[str, Any] = field(default_factory=dict)
    phi: float | None = None

    @classmethod
    def given(cls, beta: object, sd: object, cor: object, phi: object) -> AssumedParameters:
        """Check the arguments of a public function; None for no sds or correlations, or for binomial outcomes.

        Raises
        ------
        StudyError
        """
        sds = {} if sd is None else mapping("sd", sd, StudyError, "standard deviations by grouping factor, {'g': 0.5}")
        cors = {} if cor is None else mapping("cor", cor, StudyError, "correlations by grouping factor, {'g': 0.2}")
        precision = None if phi is None else real_number("phi", phi, StudyError, above=0)
        betas = mapping("beta", beta, StudyError, "coefficients by label, {'Intercept': -1, 'x': 0.3}")
        return cls(betas, sds, cors, precision)

    @property
    def family(self) -> Family:
        """Distribution of the outcomes."""
        return "binomial" if self.phi is None else "betabinomial"

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
            unknown = [name for name in given if name not in names]
            if unknown:
                raise StudyError(unknown_names(what, unknown, names, "grouping factor"))
        return Population(beta, {group.name: self._cholesky(group) for group in design.groups}, self.phi)

    def _cholesky(self, group: GroupBlock) -> FloatArray:
        given = self.sd.get(group.name, {})
        if not isinstance(given, Mapping):
            if len(group.effects) > 1:
                raise StudyError(
                    f"sd['{group.name}']={shortened(given)}: {quoted_list(group.effects)} vary over the clusters, so a "
                    "standard deviation is needed for each of them, by label."
                )
            given = {group.effects[0]: given}
        sd = _complete(given, group.effects, f"sd['{group.name}']", "standard deviation")
        if np.any(sd < 0):
            raise StudyError(f"sd['{group.name}']={sd.tolist()}: standard deviations must not be negative.")
        try:
            L: FloatArray = sd[:, None] * np.linalg.cholesky(self._correlations(group))
        except np.linalg.LinAlgError:
            raise StudyError(
                f"cor['{group.name}']: the correlations do not form a positive definite matrix. Bring them nearer to 0."
            ) from None
        return L

    def _correlations(self, group: GroupBlock) -> FloatArray:
        given, pairs = self.cor.get(group.name, {}), group.correlated_pairs
        labels = [f"{group.effects[i]}, {group.effects[j]}" for i, j in pairs]
        if not labels and not (isinstance(given, Mapping) and not given):
            raise StudyError(
                f"cor['{group.name}']: the model has no correlated effects of '{group.name}'. Leave it out."
            )
        if not isinstance(given, Mapping):
            given = dict.fromkeys(labels, given)
        unknown = [label for label in given if label not in labels]
        if unknown:
            raise StudyError(
                f"cor['{group.name}'] has {quoted_list(unknown)}; the pairs of correlated effects are: "
                f"{quoted_list(labels)}."
            )
        R = np.eye(len(group.effects))
        for (i, j), label in zip(pairs, labels, strict=True):
            R[i, j] = R[j, i] = real_number(f"cor['{group.name}']['{label}']", given.get(label, 0.0), StudyError)
        return R


def _complete(given: Mapping[str, float], labels: tuple[str, ...], where: str, what: str) -> FloatArray:
    if not isinstance(given, Mapping):
        raise StudyError(f"{where}={shortened(given)} must have a {what} for each of {quoted_list(labels)}, by label.")
    unknown = [name for name in given if name not in labels]
    missing = [name for name in labels if name not in given]
    if unknown or missing:
        parts = [f"has {quoted_list(unknown)}, which the model does not have"] if unknown else []
        parts += [f"lacks {quoted_list(missing)}"] if missing else []
        raise StudyError(f"{where} {', and '.join(parts)}. The labels of the model are: {quoted_list(labels)}.")
    return np.array([real_number(f"{where}['{name}']", given[name], StudyError) for name in labels])
