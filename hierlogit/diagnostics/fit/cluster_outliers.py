"""Measures of the clusters' outcomes: how much their proportions differ, how far they reach, which sticks out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...design.grouping import GroupBlock
from .measures import Measure
from .refitted import RefittedModel

FloatArray = npt.NDArray[np.float64]
#: Share of an effect's variance that a cluster's outcomes must explain for its standardised mode to mean anything.
LEAST_KNOWN = 1e-3


def cluster_measures(design: Design) -> list[Measure]:
    """Measures of every grouping factor."""
    return [
        measure
        for block in design.groups
        for measure in (_spread(block), _lowest(block), _highest(block), _outlier(block))
    ]


def _spread(block: GroupBlock) -> Measure:
    def spread(fitted: RefittedModel) -> float:
        return float(proportions(fitted, block).std(ddof=1))

    def evidence(_: RefittedModel, value: float, simulated: FloatArray) -> str:
        more = "more" if value > simulated.mean() else "less"
        return (
            f"The clusters of '{block.name}' differ {more} than the model makes them: the sd of their proportions is "
            f"{value:.3g}, of simulated clusters {simulated.mean():.3g}"
        )

    remedy = f"{_look(block)}, and at hl.check_quadrature(fit) if the fit is by Laplace's method."
    return Measure("cluster_spread", block.name, "sd of the clusters' proportions", "both", spread, evidence, remedy)


def _lowest(block: GroupBlock) -> Measure:
    def lowest(fitted: RefittedModel) -> float:
        return float(proportions(fitted, block).min())

    def evidence(fitted: RefittedModel, value: float, simulated: FloatArray) -> str:
        return _extreme_evidence(block, int(np.argmin(proportions(fitted, block))), "lowest", value, simulated)

    return Measure(
        "lowest_cluster", block.name, "lowest proportion of a cluster", "both", lowest, evidence, f"{_look(block)}."
    )


def _highest(block: GroupBlock) -> Measure:
    def highest(fitted: RefittedModel) -> float:
        return float(proportions(fitted, block).max())

    def evidence(fitted: RefittedModel, value: float, simulated: FloatArray) -> str:
        return _extreme_evidence(block, int(np.argmax(proportions(fitted, block))), "highest", value, simulated)

    return Measure(
        "highest_cluster", block.name, "highest proportion of a cluster", "both", highest, evidence, f"{_look(block)}."
    )


def _extreme_evidence(block: GroupBlock, level: int, which: str, value: float, simulated: FloatArray) -> str:
    return (
        f"The {which} proportion of events in a cluster of '{block.name}' is {value:.3g}, in cluster "
        f"{block.levels.tolist()[level]!r}; of simulated clusters it is {simulated.mean():.3g} on average"
    )


def _outlier(block: GroupBlock) -> Measure:
    name = block.name

    def outlier(fitted: RefittedModel) -> float:
        return float(np.max(np.abs(standardised_modes(fitted, block))))

    def evidence(fitted: RefittedModel, value: float, simulated: FloatArray) -> str:
        level, effect = np.unravel_index(np.argmax(np.abs(standardised_modes(fitted, block))), fitted.modes[name].shape)
        return (
            f"Cluster {block.levels.tolist()[level]!r} of '{name}' sticks out: its {block.effects[effect]} effect lies "
            f"{value:.1f} sds from the centre, where the furthest of simulated clusters lies at {simulated.mean():.1f} "
            f"({_trials(fitted, block)[level]:g} trials, {proportions(fitted, block)[level]:.0%} events)"
        )

    return Measure(
        "outlying_cluster",
        name,
        "largest standardised effect of a cluster",
        "upper",
        outlier,
        evidence,
        f"Check the coding of its outcomes. {_look(block)}, and hl.influence(fit, {name!r}) for what depends on it.",
    )


def _look(block: GroupBlock) -> str:
    return f"Look at hl.plots.cluster_check(fit, {block.name!r})"


def _trials(fitted: RefittedModel, block: GroupBlock) -> FloatArray:
    return np.bincount(block.index, weights=fitted.trials, minlength=len(block.levels))


def proportions(fitted: RefittedModel, block: GroupBlock) -> FloatArray:
    """Share of events in each cluster, shape (J,)."""
    return np.bincount(block.index, weights=fitted.y, minlength=len(block.levels)) / _trials(fitted, block)


def standardised_modes(fitted: RefittedModel, block: GroupBlock) -> FloatArray:
    """Modes of the effects over the sd that modes have, shape (J, q); zero where a cluster says nothing of an effect.

    A mode is shrunken: over clusters its variance is that of the effect less the one left about it (Lange and Ryan
    1989, Annals of Statistics 17: 624-642).
    """
    own, modes = fitted.sds[block.name] ** 2, fitted.modes[block.name]
    known = own - fitted.variances[block.name]
    told = known > LEAST_KNOWN * np.maximum(own, 1e-12)
    return np.divide(modes, np.sqrt(np.maximum(known, 0)), out=np.zeros_like(modes), where=told)
