"""A model without some of its fixed effects and random effects, for comparisons with the whole model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..model_spec import ModelSpec
from ..priors.defaults import Priors

if TYPE_CHECKING:
    from ..design.design import Design
    from ..design.grouping import GroupBlock
    from ..estimate import Estimate

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kept:
    """The effects that a restricted model keeps, by their positions in the whole model.

    Attributes
    ----------
    fixed : tuple of int
        Fixed effects.
    random : tuple of tuple of int
        Random effects of each grouping factor; a factor without any is left out.
    """

    fixed: tuple[int, ...]
    random: tuple[tuple[int, ...], ...]

    @classmethod
    def all_of(cls, design: Design) -> Kept:
        """All effects of a design."""
        return cls(
            tuple(range(len(design.fixed_effects))), tuple(tuple(range(len(group.effects))) for group in design.groups)
        )


class RestrictedModel(ModelSpec):
    """A model with some of the columns of another one. It is for engines, and cannot be saved.

    Parameters
    ----------
    whole : ModelSpec
    kept : Kept
    """

    _origin: tuple[ModelSpec, Kept]

    def __init__(self, whole: ModelSpec, kept: Kept) -> None:
        design = _restricted_design(whole.design, kept)
        self._set(whole.formula, design, _restricted_priors(whole, design, kept), whole.namespace)
        object.__setattr__(self, "_origin", (whole, kept))

    def __reduce__(self) -> tuple[object, ...]:
        return (RestrictedModel, self._origin)


def _restricted_design(design: Design, kept: Kept) -> Design:
    return replace(
        design,
        X=np.ascontiguousarray(design.X[:, list(kept.fixed)]),
        fixed_effects=tuple(design.fixed_effects[k] for k in kept.fixed),
        fixed_terms=tuple(design.fixed_terms[k] for k in kept.fixed),
        groups=tuple(
            _restricted_group(group, effects)
            for group, effects in zip(design.groups, kept.random, strict=True)
            if effects
        ),
    )


def _restricted_group(group: GroupBlock, effects: Sequence[int]) -> GroupBlock:
    place = {old: new for new, old in enumerate(effects)}
    sets = [tuple(place[k] for k in members if k in place) for members in group.sets]
    return replace(
        group,
        effects=tuple(group.effects[k] for k in effects),
        terms=tuple(group.terms[k] for k in effects),
        Z=np.ascontiguousarray(group.Z[:, list(effects)]),
        sets=tuple(members for members in sets if members),
    )


def _restricted_priors(whole: ModelSpec, design: Design, kept: Kept) -> Priors:
    priors = whole.priors
    random = {group.name: effects for group, effects in zip(whole.design.groups, kept.random, strict=True)}
    return Priors(
        {label: priors.fixed[label] for label in design.fixed_effects},
        {group.name: tuple(priors.sd[group.name][k] for k in random[group.name]) for group in design.groups},
        {group.name: priors.cor[group.name] for group in design.groups if group.correlated},
        priors.phi,
    )


def near_maximum(model: ModelSpec, estimate: Estimate, kept: Kept) -> tuple[FloatArray, list[FloatArray]]:
    """Parameters of a restricted model that make probabilities like those at the maximum of the whole one.

    Returns
    -------
    beta : ndarray
        Fixed effects, with what those left out contribute to the rows, as far as the others can.
    cholesky : list of ndarray
        For each grouping factor that is kept, the Cholesky factor of the covariance matrix of its effects.
    """
    fixed = list(kept.fixed)
    lost = [k for k in range(len(estimate.beta)) if k not in kept.fixed]
    beta = estimate.beta[fixed]
    if lost and fixed:
        X = model.design.X
        beta = beta + np.linalg.lstsq(X[:, fixed], X[:, lost] @ estimate.beta[lost], rcond=None)[0]
    cholesky = []
    for group, effects in zip(model.design.groups, kept.random, strict=True):
        if effects:
            triangle = np.linalg.qr(estimate.cholesky[group.name][list(effects)].T, mode="r").T
            cholesky.append(triangle * np.where(np.diag(triangle) < 0, -1.0, 1.0))
    return beta, cholesky


@dataclass(frozen=True)
class Constrained:
    """The parameters of a restricted model as those of the whole one, with zeros for what is left out.

    Attributes
    ----------
    beta : ndarray, shape (p,)
    cholesky : mapping of str to ndarray, shape (q, q)
        By grouping factor.
    phi : float or None
        Precision of beta-binomial outcomes; None for binomial ones.
    """

    beta: FloatArray
    cholesky: dict[str, FloatArray]
    phi: float | None

    @classmethod
    def of(cls, design: Design, estimate: Estimate, kept: Kept) -> Constrained:
        """From the design of the whole model and the estimate of the restricted one."""
        beta = np.zeros(len(design.fixed_effects))
        beta[list(kept.fixed)] = estimate.beta
        cholesky = {}
        for group, effects in zip(design.groups, kept.random, strict=True):
            cholesky[group.name] = np.zeros((len(group.effects),) * 2)
            if effects:
                cholesky[group.name][np.ix_(effects, effects)] = estimate.cholesky[group.name]
        return cls(beta, cholesky, estimate.phi)
