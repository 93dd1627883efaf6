"""Measures of the clusters' outcomes: spread and extremes of their proportions, and outlying clusters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...design.grouping import GroupBlock
from ...engines.maximum.refitted import RefittedModel
from .measures import Measure

FloatArray = npt.NDArray[np.float64]
#: Standardised modes are zero where the outcomes explain less than this fraction of the effect's variance.
LEAST_EXPLAINED = 1e-3


def cluster_measures(design: Design) -> list[Measure]:
    """Measures of every grouping factor."""
    return [
        measure
        for group in design.groups
        for measure in (_spread(group), _lowest(group), _highest(group), _outlier(group))
    ]


def _spread(group: GroupBlock) -> Measure:
    def spread(fitted: RefittedModel) -> float:
        return float(proportions(fitted, group).std(ddof=1))

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        more = "more" if value > simulated.mean() else "less"
        return (
            f"The clusters of '{group.name}' differ {more} than in data simulated from the model: the sd of their "
            f"proportions is {value:.3g}, in simulated data {simulated.mean():.3g}"
        )

    remedy = f"{_look(group)}, and at hl.check_quadrature(fit) if the fit is by Laplace's method."
    return Measure("cluster_spread", group.name, "sd of the clusters' proportions", "both", spread, evidence, remedy)


def _lowest(group: GroupBlock) -> Measure:
    def lowest(fitted: RefittedModel) -> float:
        return float(proportions(fitted, group).min())

    def evidence(fitted: RefittedModel, value: float, simulated: FloatArray) -> str:
        return _extreme_evidence(group, int(np.argmin(proportions(fitted, group))), "lowest", value, simulated)

    return Measure(
        "lowest_cluster", group.name, "lowest proportion of a cluster", "both", lowest, evidence, f"{_look(group)}."
    )


def _highest(group: GroupBlock) -> Measure:
    def highest(fitted: RefittedModel) -> float:
        return float(proportions(fitted, group).max())

    def evidence(fitted: RefittedModel, value: float, simulated: FloatArray) -> str:
        return _extreme_evidence(group, int(np.argmax(proportions(fitted, group))), "highest", value, simulated)

    return Measure(
        "highest_cluster", group.name, "highest proportion of a cluster", "both", highest, evidence, f"{_look(group)}."
    )


def _extreme_evidence(group: GroupBlock, level: int, which: str, value: float, simulated: FloatArray) -> str:
    return (
        f"The {which} proportion of events in a cluster of '{group.name}' is {value:.3g}, in cluster "
        f"{group.levels.tolist()[level]!r}; in simulated data it is {simulated.mean():.3g} on average"
    )


def _outlier(group: GroupBlock) -> Measure:
    name = group.name

    def outlier(fitted: RefittedModel) -> float:
        return float(np.max(np.abs(standardised_modes(fitted, group))))

    def evidence(fitted: RefittedModel, value: float, simulated: FloatArray) -> str:
        level, effect = np.unravel_index(np.argmax(np.abs(standardised_modes(fitted, group))), fitted.modes[name].shape)
        return (
            f"Cluster {group.levels.tolist()[level]!r} of '{name}' is an outlier: its {group.effects[effect]} effect "
            f"is {value:.1f} sds from zero, the furthest one in simulated data {simulated.mean():.1f} "
            f"({_trials(fitted, group)[level]:g} trials, {proportions(fitted, group)[level]:.0%} events)"
        )

    return Measure(
        "outlying_cluster",
        name,
        "largest standardised effect of a cluster",
        "upper",
        outlier,
        evidence,
        f"Check the coding of its outcomes. {_look(group)}, and at hl.influence(fit, {name!r}) for its influence.",
    )


def _look(group: GroupBlock) -> str:
    return f"Look at hl.plots.cluster_check(fit, {group.name!r})"


def _trials(fitted: RefittedModel, group: GroupBlock) -> FloatArray:
    return np.bincount(group.index, weights=fitted.trials, minlength=len(group.levels))


def proportions(fitted: RefittedModel, group: GroupBlock) -> FloatArray:
    """Share of events in each cluster, shape (J,)."""
    return np.bincount(group.index, weights=fitted.y, minlength=len(group.levels)) / _trials(fitted, group)


def standardised_modes(fitted: RefittedModel, group: GroupBlock) -> FloatArray:
    """Conditional modes over their own standard deviations, shape (J, q); zero where the outcomes are uninformative.

    Modes are shrunken: their variance over clusters is the variance of the effects minus the conditional variance
    (Lange and Ryan 1989, Annals of Statistics 17: 624-642).
    """
    variance, modes = fitted.sds[group.name] ** 2, fitted.modes[group.name]
    explained = variance - fitted.variances[group.name]
    informative = explained > LEAST_EXPLAINED * np.maximum(variance, 1e-12)
    return np.divide(modes, np.sqrt(np.maximum(explained, 0)), out=np.zeros_like(modes), where=informative)
