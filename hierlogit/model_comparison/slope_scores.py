"""Slopes that a model takes to be the same in all clusters, and the scores of their variances.

With ``l`` the marginal log-likelihood and ``t`` the variance of independent slopes ``v_j`` of the columns Z, the score
at ``t = 0`` is, by Laplace's method,

    dl / dt = sum_j |Z_j' r_j|^2 / 2 + (Z_j' r_j)' Z_j' (c_j - r_j) - tr(Z_j' P_j Z_j) / 2

with the residuals ``r = y - m p`` at the conditional modes, ``c = dl / d eta``, which is the residual averaged over the
conditional distribution of the effects, and ``P = W - W A H^-1 A' W`` (notation of `laplace_gradient`). It is the score
of Lin (1997, Biometrika 84: 309-326, section 3) for effects integrated out by Laplace's method. In P, only the effects
of the cluster's own factor count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.projection import orthogonal, unexplained

if TYPE_CHECKING:
    from ..design.column_parts import Parts
    from ..design.design import Design
    from ..design.grouping import GroupBlock
    from ..engines.maximum.refitted import RefittedModel

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AbsentSlope:
    """A term that varies within the clusters of a grouping factor, but whose slopes do not vary between them.

    Attributes
    ----------
    group, term : str
    columns : ndarray, shape (n, r)
        The part of the term's columns that the intercept and the effects of the factor do not explain, as orthogonal
        columns with mean squares of one: what is tested does not depend on the coding of the term.
    unit : float
        Standard deviation of the slopes of the term's own columns, as a root mean square, if those of the orthogonal
        columns are independent with a standard deviation of one.
    clusters : int
        Number of clusters within which the term varies.
    """

    group: str
    term: str
    columns: FloatArray
    unit: float
    clusters: int

    @property
    def label(self) -> str:
        """Term and grouping factor, as in a formula."""
        return f"{self.term} | {self.group}"


class SlopeScore(NamedTuple):
    """The derivative of the log-likelihood in the variance of slopes, at zero.

    Attributes
    ----------
    value : float
    information : float
        Its variance, if the other parameters are known and the effects are normal given the outcomes.
    """

    value: float
    information: float


class _Term(NamedTuple):
    columns: FloatArray
    parts: Parts


def absent_slopes(design: Design) -> tuple[AbsentSlope, ...]:
    """All slopes that could vary over clusters and do not.

    These are the terms of the fixed part and of the other random terms that vary within clusters of a factor. Of an
    interaction all parts must do so: the slope of ``x`` differs between clusters with ``w``, but that of ``x:w`` has no
    meaning within a cluster if ``w`` is the same in all of its rows.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ age * urban + (1 + urban | district)", hl.datasets.load("contraception"))
    >>> [slope.label for slope in absent_slopes(model.design)]
    ['age | district', 'age:urban | district']
    """
    terms = _terms(design)
    found: list[AbsentSlope] = []
    for group in design.groups:
        for name in terms:
            if name not in group.terms and _all_parts_vary(design, terms, group, name):
                found += _absent_slope(group, name, terms[name].columns)
    return tuple(found)


def _terms(design: Design) -> dict[str, _Term]:
    """The terms of the fixed part, and those that only random terms have."""
    sources = [(design.fixed_terms, design.X, design.fixed_parts)]
    parts = iter(design.varying_parts)
    sources += [(group.terms, group.Z, tuple(next(parts) for _ in group.terms)) for group in design.groups]
    found: dict[str, _Term] = {}
    for names, columns, of_columns in sources:
        for name in dict.fromkeys(names):
            if name not in found and name != "Intercept":
                of_term = [k for k, one in enumerate(names) if one == name]
                found[name] = _Term(columns[:, of_term], of_columns[of_term[0]])
    return found


def _all_parts_vary(design: Design, terms: dict[str, _Term], group: GroupBlock, name: str) -> bool:
    """Whether a term and all parts of an interaction vary within clusters."""
    frame = design.table.frame

    def varies(component: str, variables: frozenset[str]) -> bool:
        if component in terms:
            return bool(group.varies_within(terms[component].columns).any())
        known = [variable for variable in variables if variable in frame]
        codes = np.array([pd.factorize(frame[variable])[0] for variable in known], dtype=np.float64).T
        return not known or bool(group.varies_within(codes).any())

    parts = terms[name].parts
    return varies(name, frozenset()) and all(
        varies(part.component, part.variables) for part in parts if part.component != name
    )


def _absent_slope(group: GroupBlock, name: str, columns: FloatArray) -> Iterator[AbsentSlope]:
    """The slope of a term, unless the effects of the factor span it."""
    rows, counts = len(columns), group.counts
    # Effects such as (0 + urban | g) span the intercept already.
    centred = group.Z - group.column_ranges[2]
    effects = orthogonal(centred / group.column_sds, counts)
    new = unexplained(columns, np.column_stack([np.ones(rows), effects]), counts)
    if new.shape[1]:
        weighted = columns if counts is None else columns * (counts / counts.mean())[:, None]
        to_own = np.linalg.pinv(new.T @ weighted / rows)
        unit = float(np.sqrt((to_own**2).sum(axis=1).mean()))
        yield AbsentSlope(group.name, name, new, unit, int(group.varies_within(columns).any(axis=1).sum()))


def slope_scores(fitted: RefittedModel, slopes: Sequence[AbsentSlope]) -> list[SlopeScore]:
    """The score of each slope's variance, at the maximum of the model without it."""
    factors = {group.name: _Factor.of(fitted, group) for group in fitted.design.groups}
    return [factors[slope.group].score(fitted, slope.columns) for slope in slopes]


@dataclass(frozen=True)
class _Factor:
    """A grouping factor with the conditional covariance of its effects.

    Attributes
    ----------
    group : GroupBlock
    covariance : ndarray, shape (J, q, q)
        Of the effects of each cluster, given the outcomes and the effects of other factors.
    """

    group: GroupBlock
    covariance: FloatArray

    @classmethod
    def of(cls, fitted: RefittedModel, group: GroupBlock) -> _Factor:
        return cls(group, conditional_covariances(fitted, group))

    def score(self, fitted: RefittedModel, columns: FloatArray) -> SlopeScore:
        group, weight = self.group, fitted.weight
        residual, shift = (
            _sums_of_products(group, columns, one[:, None], np.ones(len(one)))
            for one in (fitted.residual, fitted.gradient - fitted.residual)
        )
        crossed = _sums_of_products(group, group.Z, columns, weight)
        adjusted = _sums_of_products(group, columns, columns, weight)
        adjusted -= crossed.swapaxes(1, 2) @ self.covariance @ crossed
        value = 0.5 * (residual**2).sum() + (residual * shift).sum() - 0.5 * np.einsum("jaa->", adjusted)
        return SlopeScore(float(value), 0.5 * float((adjusted**2).sum()))


def conditional_covariances(fitted: RefittedModel, group: GroupBlock) -> FloatArray:
    """Covariance of the effects of each cluster given the outcomes and the effects of other factors, (J, q, q)."""
    L = fitted.cholesky[group.name]
    information = _sums_of_products(group, group.Z, group.Z, fitted.weight)
    covariances: FloatArray = L @ np.linalg.inv(np.eye(len(L)) + L.T @ information @ L) @ L.T
    return covariances


def _sums_of_products(group: GroupBlock, left: FloatArray, right: FloatArray, weight: FloatArray) -> FloatArray:
    """``left' diag(weight) right`` of the rows of each cluster, shape (J, a, b)."""
    sums = np.empty((len(group.levels), left.shape[1], right.shape[1]))
    for a in range(left.shape[1]):
        weighted = left[:, a] * weight
        for b in range(right.shape[1]):
            sums[:, a, b] = np.bincount(group.index, weighted * right[:, b], len(group.levels))
    return sums
