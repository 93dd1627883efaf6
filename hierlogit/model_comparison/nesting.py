"""Which fits may be set against each other: to the same rows, by the same integration, one within the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..design.design import Design
from ..design.grouping import GroupBlock
from ..errors import FitError
from ..estimate import Estimate
from ..fits.fit import Fit
from ..validation import quoted_list

FloatArray = npt.NDArray[np.float64]

#: How far a column may be from the span of others, relative to its length.
IN_SPAN = 1e-7


def refuse_other_rows(fits: Mapping[str, Fit]) -> None:
    """Refuse fits that are not to the same outcomes of the same rows.

    Raises
    ------
    FitError
    """
    (first, fit), *others = fits.items()
    design = fit.model.design
    for name, other in others:
        its = other.model.design
        if its.n_rows != design.n_rows:
            raise FitError(
                f"'{name}' is fitted to {its.n_rows:,} rows and '{first}' to {design.n_rows:,}: likelihoods of "
                "different rows cannot be compared. Where missing values differ, fit both to the rows complete in both."
            )
        if its.outcome.binomial != design.outcome.binomial:
            raise FitError(
                f"'{name}' and '{first}' count the outcome in different units, rows with trials and single outcomes: "
                "their log-likelihoods differ by a constant. Fit both to the same table."
            )
        same = np.array_equal(its.outcome.y, design.outcome.y) and np.array_equal(
            its.outcome.trials, design.outcome.trials
        )
        if not same or not its.table.rows.equals(design.table.rows):
            raise FitError(f"'{name}' and '{first}' are fits to different outcomes, or to rows in another order.")


def maxima(fits: Mapping[str, Fit]) -> dict[str, Estimate]:
    """What likelihood engines found, refused where they integrated differently or priors took part.

    Raises
    ------
    FitError
    """
    found: dict[str, Estimate] = {}
    for name, fit in fits.items():
        if fit.estimate is None:
            raise FitError(
                f"'{name}' is a fit by a sampler and has no maximum of the likelihood: fit it with hl.Laplace() or "
                "hl.AGQ(), or compare fits by NUTS with hl.compare."
            )
        if fit.estimate.penalised:
            raise FitError(
                f"'{name}' is a fit by MAP, whose maximum is one of likelihood times prior: fit it with hl.Laplace() "
                "or hl.AGQ()."
            )
        found[name] = fit.estimate
    # Without random effects nothing is integrated, so that every method gives the same.
    integrated = {name: found[name] for name, fit in fits.items() if fit.model.design.groups}
    if len({estimate.nodes for estimate in integrated.values()}) > 1:
        methods = ", ".join(f"'{name}' by {estimate.method}" for name, estimate in integrated.items())
        raise FitError(
            f"the fits integrate out their random effects differently ({methods}), so their log-likelihoods do not "
            "compare the models alone. Fit all of them with the same engine and number of nodes."
        )
    return found


@dataclass(frozen=True)
class Difference:
    """What a model has that one within it lacks.

    Attributes
    ----------
    fixed : int
        Fixed effects.
    variances : tuple of str
        Random effects, by ``group[effect]``: variances that are zero in the smaller model.
    covariances : int
        Correlations.
    """

    fixed: int
    variances: tuple[str, ...]
    covariances: int

    @property
    def parameters(self) -> int:
        """How many in all."""
        return self.fixed + len(self.variances) + self.covariances


def difference(smaller: Design, larger: Design) -> Difference:
    """What the larger of two nested designs has beyond the smaller one.

    Raises
    ------
    FitError
        If they are not nested; says what the larger one lacks.
    """
    if not np.allclose(smaller.offset, larger.offset):
        raise FitError("the models are not nested: their offsets differ.")
    outside = _outside(smaller, larger)
    if outside:
        raise FitError(
            f"the models are not nested: {quoted_list(outside)} of the first one cannot be made from the fixed "
            "effects of the second one. Give the smaller model first."
        )
    blocks = {block.name: block for block in larger.groups}
    covariances = 0
    known: set[str] = set()
    for block in smaller.groups:
        if block.name not in blocks:
            raise FitError(f"the models are not nested: the second one has no random effects of '{block.name}'.")
        covariances -= _refuse_lacking(block, blocks[block.name])
        known |= {f"{block.name}[{effect}]" for effect in block.effects}
    covariances += sum(len(block.correlated_pairs) for block in larger.groups)
    new = [f"{block.name}[{effect}]" for block in larger.groups for effect in block.effects]
    return Difference(
        len(larger.fixed_effects) - len(smaller.fixed_effects),
        tuple(name for name in new if name not in known),
        covariances,
    )


def _outside(smaller: Design, larger: Design) -> list[str]:
    """Fixed effects of the one whose columns the other's do not span."""
    if not len(smaller.fixed_effects):
        return []
    basis = np.linalg.qr(larger.X / np.maximum(np.abs(larger.X).max(axis=0), 1e-300))[0]
    left = smaller.X - basis @ (basis.T @ smaller.X)
    off = np.linalg.norm(left, axis=0) > IN_SPAN * np.linalg.norm(smaller.X, axis=0)
    return [label for label, outside in zip(smaller.fixed_effects, off, strict=True) if outside]


def _refuse_lacking(block: GroupBlock, other: GroupBlock) -> int:
    """Refuse a factor whose effects or correlations another lacks; how many correlations it has itself."""
    lacking = [effect for effect in block.effects if effect not in other.effects]
    if lacking:
        raise FitError(
            f"the models are not nested: of '{block.name}' the second one lacks the effects {quoted_list(lacking)}."
        )
    at = [other.effects.index(effect) for effect in block.effects]
    if not np.allclose(block.Z, other.Z[:, at]):
        raise FitError(f"the models are not nested: the effects of '{block.name}' are of different columns in them.")
    own = block.correlated_pairs
    its = {frozenset((other.effects[i], other.effects[j])) for i, j in other.correlated_pairs}
    for i, j in own:
        pair = (block.effects[i], block.effects[j])
        if frozenset(pair) not in its:
            raise FitError(
                f"the models are not nested: {quoted_list(pair)} of '{block.name}' correlate in the first one and not "
                "in the second one."
            )
    return len(own)
