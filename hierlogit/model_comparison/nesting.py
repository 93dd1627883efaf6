"""Checks that fits can be compared: the same rows, the same method of integration, and nested models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..design.design import Design, EncodedRows
from ..design.grouping import GroupBlock
from ..design.weights import FrequencyWeights
from ..engines.maximum.integrator import MOST_NODES, likelihood_at
from ..errors import EngineError, FitError
from ..estimate import Estimate
from ..fits.fit import Fit
from ..fits.posterior import parameter_labels
from ..validation import agree, quoted_list

FloatArray = npt.NDArray[np.float64]

#: Error of the integration, in units of the log-likelihood, that does not matter for comparisons.
SMALL_ERROR = 0.05
#: How far a column may be from the span of others, relative to its length.
IN_SPAN = 1e-7


def refuse_other_rows(designs: Mapping[str, Design]) -> None:
    """Check that all models, given by their designs, are of the same outcomes of the same rows.

    Raises
    ------
    FitError
        If they are not.
    """
    (first, design), *others = designs.items()
    for name, other_design in others:
        if other_design.n_observations != design.n_observations:
            raise FitError(
                f"'{name}' is fitted to {other_design.n_observations:,} rows and '{first}' to "
                f"{design.n_observations:,}: likelihoods of different rows cannot be compared. If missing values are "
                "the cause, fit both to the rows that are complete in both."
            )
        if design.table.counted_apart(other_design.table):
            if design.outcome.totals == other_design.outcome.totals:
                continue
            raise FitError(
                f"'{name}' and '{first}' are fits to different outcomes: their numbers of events differ. Fit both to "
                "the same table."
            )
        if other_design.outcome.binomial != design.outcome.binomial:
            raise FitError(
                f"'{name}' and '{first}' count the outcome in different units, rows with trials and single outcomes: "
                "their log-likelihoods differ by a constant. Fit both to the same table."
            )
        same = np.array_equal(other_design.outcome.y, design.outcome.y) and np.array_equal(
            other_design.outcome.trials, design.outcome.trials
        )
        if not same or not other_design.table.rows.equals(design.table.rows):
            raise FitError(
                f"'{name}' and '{first}' are fits to different outcomes, or to rows in another order. Fit both to the "
                f"same table{_weighted_alike(design, other_design)}."
            )


def refuse_counted_apart(designs: Mapping[str, Design], what: str, remedy: str) -> None:
    """Refuse models whose rows have been counted by different predictors, where rows are compared one by one.

    Parameters
    ----------
    designs : mapping of str to Design
    what : str
        What compares rows.
    remedy : str
        What to do instead.

    Raises
    ------
    FitError
    """
    (first, design), *others = designs.items()
    for name, other in others:
        if design.table.counted_apart(other.table):
            raise FitError(
                f"{what} compares rows, but those of '{first}' and '{name}' have been counted by different predictors, "
                f"to {design.n_rows:,} and {other.n_rows:,} distinct rows. {remedy}"
            )


def _weighted_alike(design: Design, other: Design) -> str:
    """What to add of weights, if the rows of one of two designs are repeated by frequency weights."""
    counted = [one.table.weights for one in (design, other) if isinstance(one.table.weights, FrequencyWeights)]
    return f", with weights=hl.{counted[0]!r} in both: they repeat each row in its place" if len(counted) == 1 else ""


def maxima(fits: Mapping[str, Fit]) -> dict[str, Estimate]:
    """Estimates of maximum-likelihood fits.

    Raises
    ------
    FitError
        If a fit is not by maximum likelihood, the random effects are integrated out by different methods that do not
        agree, or likelihoods are restricted and the fixed effects differ.
    """
    estimates: dict[str, Estimate] = {}
    for name, fit in fits.items():
        if fit.estimate is None:
            raise FitError(
                f"'{name}' is a fit by a sampler and has no maximum of the likelihood: fit it with hl.Laplace() or "
                "hl.AGQ(), or compare fits by NUTS with hl.compare."
            )
        if fit.estimate.penalised:
            raise FitError(
                f"'{name}' is a fit by MAP, which maximises the likelihood times the prior: fit it with hl.Laplace() "
                "or hl.AGQ()."
            )
        estimates[name] = fit.estimate
    _refuse_other_integration(fits, estimates)
    _refuse_restricted(fits, estimates)
    return estimates


def _refuse_restricted(fits: Mapping[str, Fit], estimates: Mapping[str, Estimate]) -> None:
    """Check that restricted likelihoods are compared with each other only, and for the same fixed effects.

    Each is an integral over the fixed effects, whose value depends on the columns and their units.
    """
    restricted = [name for name, estimate in estimates.items() if estimate.restricted]
    if not restricted:
        return
    others = [name for name in estimates if name not in restricted]
    remedy = "Fit all of them with restricted=False, hl.Laplace() or hl.AGQ()."
    if others:
        raise FitError(
            f"{quoted_list(restricted)} maximised the restricted likelihood and "
            f"{quoted_list(others)} the likelihood, which cannot be compared. {remedy}"
        )
    first, *rest = restricted
    X = fits[first].model.design.X
    for name in rest:
        other = fits[name].model.design.X
        if other.shape != X.shape or not np.allclose(other, X):
            raise FitError(
                f"the restricted likelihoods of '{first}' and '{name}' cannot be compared, since their fixed effects "
                f"differ: each is an integral over its own fixed effects. {remedy}"
            )


def _refuse_other_integration(fits: Mapping[str, Fit], estimates: Mapping[str, Estimate]) -> None:
    """Check that log-likelihoods differ by the models, and not by how the random effects are integrated out.

    Different numbers of nodes are allowed if more nodes would change none of the log-likelihoods noticeably.
    """
    # Without random effects, there is nothing to integrate, and all methods agree.
    integrated = {name: estimates[name] for name, fit in fits.items() if fit.model.design.groups}
    if len({estimate.nodes for estimate in integrated.values()}) <= 1:
        return
    errors = {name: _integration_error(fits[name], estimate) for name, estimate in integrated.items()}
    inaccurate = {name: error for name, error in errors.items() if not abs(error) <= SMALL_ERROR}
    if not inaccurate:
        return
    methods = ", ".join(f"'{name}' by {estimate.method}" for name, estimate in integrated.items())
    changes = ", ".join(
        f"more nodes change that of '{name}' by {error:+.2g}"
        if np.isfinite(error)
        else f"that of '{name}' cannot be computed by quadrature"
        for name, error in inaccurate.items()
    )
    raise FitError(
        f"the fits integrate out their random effects differently ({methods}), so their log-likelihoods do not compare "
        f"the models alone: {changes}. Fit all of them with the same engine and number of nodes."
    )


def _integration_error(fit: Fit, estimate: Estimate) -> float:
    """Change of the log-likelihood with more quadrature nodes; not a number if there is no quadrature for the model."""
    finer = min(max(2 * estimate.nodes + 1, 11), MOST_NODES)
    try:
        values = [likelihood_at(fit.model, estimate, nodes).values.sum() for nodes in (estimate.nodes, finer)]
    except EngineError:
        return np.nan
    return float(values[1] - values[0])


@dataclass(frozen=True)
class Difference:
    """Parameters of a model that a model nested in it lacks.

    Attributes
    ----------
    fixed : int
        Number of fixed effects.
    variances : tuple of str
        Random effects, as ``group[effect]``, whose variances are zero in the smaller model; and ``"phi"`` if its
        outcomes are binomial and those of the larger model beta-binomial, whose extra variance can be zero as well.
    covariances : int
        Number of correlations.
    names : tuple of str
        Labels of the parameters that only the larger model has. There can be fewer fixed effects among them than
        `fixed`, if other columns span the same space.
    """

    fixed: int
    variances: tuple[str, ...]
    covariances: int
    names: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self.fixed + len(self.variances) + self.covariances


def difference(smaller: Design, larger: Design) -> Difference:
    """Parameters that the larger of two nested designs has and the smaller one lacks.

    Raises
    ------
    FitError
        If they are not nested; the message names what the larger one lacks.
    """
    families = smaller.outcome.family, larger.outcome.family
    if families == ("betabinomial", "binomial"):
        raise FitError("the models are not nested: only the first one has beta-binomial outcomes.")
    rows = _in_rows_of(smaller, larger)
    if not np.allclose(rows.offset, larger.offset):
        raise FitError("the models are not nested: their offsets differ.")
    outside = _outside(smaller.fixed_effects, rows.X, larger)
    if outside:
        raise FitError(
            f"the models are not nested: {quoted_list(outside)} of the first one "
            f"{agree(outside, 'is not a linear combination', 'are not linear combinations')} of the fixed effects of "
            "the second one. Give the smaller model first."
        )
    groups_of_larger = {group.name: group for group in larger.groups}
    covariances = 0
    known: set[str] = set()
    for group in smaller.groups:
        if group.name not in groups_of_larger:
            raise FitError(f"the models are not nested: the second one has no random effects of '{group.name}'.")
        covariances -= _refuse_lacking(group, rows.groups[group.name].Z, groups_of_larger[group.name])
        known |= {f"{group.name}[{effect}]" for effect in group.effects}
    covariances += sum(len(group.correlated_pairs) for group in larger.groups)
    new = [f"{group.name}[{effect}]" for group in larger.groups for effect in group.effects]
    return Difference(
        len(larger.fixed_effects) - len(smaller.fixed_effects),
        (*(name for name in new if name not in known), *(["phi"] if families[0] != families[1] else [])),
        covariances,
        tuple(name for name in parameter_labels(larger) if name not in parameter_labels(smaller)),
    )


def _in_rows_of(smaller: Design, larger: Design) -> EncodedRows:
    """The columns of the smaller design in the rows of the larger one, which may have been counted otherwise.

    Raises
    ------
    FitError
        If the larger design lacks a column of the table that the smaller one needs.
    """
    if not smaller.table.counted_apart(larger.table):
        return smaller.training_rows()
    lacking = [name for name in smaller.predictors if name not in larger.predictors]
    if lacking or larger.table.counts is None:
        raise FitError(
            f"the models are not nested: the second one has no {quoted_list(lacking)}."
            if lacking
            else "only the rows of the first model have been counted. Fit both to the same source."
        )
    return smaller.encode(larger.table.frame)


def _outside(labels: Sequence[str], X: FloatArray, larger: Design) -> list[str]:
    """Fixed effects of the smaller design whose columns those of the larger one do not span."""
    if not len(labels):
        return []
    basis = np.linalg.qr(larger.X / np.maximum(np.abs(larger.X).max(axis=0), 1e-300))[0]
    rest = X - basis @ (basis.T @ X)
    outside = np.linalg.norm(rest, axis=0) > IN_SPAN * np.linalg.norm(X, axis=0)
    return [label for label, is_outside in zip(labels, outside, strict=True) if is_outside]


def _refuse_lacking(group: GroupBlock, Z: FloatArray, other: GroupBlock) -> int:
    """Refuse a grouping factor whose effects or correlations `other` lacks; returns its number of correlations.

    Its columns in the rows of `other` are `Z`.
    """
    lacking = [effect for effect in group.effects if effect not in other.effects]
    if lacking:
        raise FitError(
            f"the models are not nested: the second one lacks the random {agree(lacking, 'effect', 'effects')} "
            f"{quoted_list(lacking)} of '{group.name}'."
        )
    positions = [other.effects.index(effect) for effect in group.effects]
    if not np.allclose(Z, other.Z[:, positions]):
        raise FitError(f"the models are not nested: the random effects of '{group.name}' have different columns.")
    correlated_in_other = {frozenset((other.effects[i], other.effects[j])) for i, j in other.correlated_pairs}
    for i, j in group.correlated_pairs:
        pair = (group.effects[i], group.effects[j])
        if frozenset(pair) not in correlated_in_other:
            raise FitError(
                f"the models are not nested: the random effects {quoted_list(pair)} of '{group.name}' are correlated "
                "in the first one only."
            )
    return len(group.correlated_pairs)
