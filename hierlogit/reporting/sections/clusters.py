"""Section: curves, effects and shrinkage of the clusters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...plots.cluster_curves import MAX_LEVELS, curves
from ...plots.cluster_effects import caterpillar
from ...plots.cluster_shrinkage import shrinkage
from ...variance.partial_pooling import pooling
from ..html import heading, paragraph
from ..images import picture
from ..request import Request, Subject, attempted

#: Largest number of predictors whose curves are drawn.
MOST_CURVES = 3
#: Share of the clusters in the band of the curves.
BAND = 0.8


def content(request: Request) -> str:
    """The section, fit by fit."""
    return "".join(request.each(lambda subject, level: _of(subject, request, level)))


def _of(subject: Subject, request: Request, level: int) -> Iterator[str]:
    kind = request.intervals
    for name in _drawn(subject):
        yield attempted(f"The curves of `{name}`", lambda name=name: _curves(subject, name, kind))  # type: ignore[misc]
    if not subject.design.groups:
        if not subject.predictors:
            yield paragraph("The model has neither clusters nor predictors.")
        return
    for group in subject.design.groups:
        if len(subject.design.groups) > 1:
            yield heading(f"`{group.name}`", level)
        yield attempted(
            f"The effects of `{group.name}`",
            lambda group=group: picture(  # type: ignore[misc]
                lambda: caterpillar(subject.fit, group.name, **kind),
                f"Differences of the clusters of `{group.name}` from a typical one, in log-odds, sorted. Clusters "
                "whose interval excludes 0 are blue.",
            ),
        )
        yield attempted(f"The shrinkage of `{group.name}`", lambda group=group: _shrinkage(subject, group.name))  # type: ignore[misc]


def _shrinkage(subject: Subject, group: str) -> Iterator[str]:
    """Shrinkage of the probabilities and, if more than one coefficient varies, of the first two."""
    pooled = pooling(subject.fit, group=group)
    yield picture(
        lambda: shrinkage(pooled),
        "The raw proportion of events in each cluster and its estimated probability. Estimates of small clusters are "
        "drawn towards those of the others; large clusters stay near their own proportion.",
    )
    table = pooled.coefficients
    varying, own = list(table.index.unique("effect"))[:2], table["unpooled"].notna()
    if len(varying) == 2 and own.groupby(level="level").all().any():
        yield picture(
            lambda: shrinkage(pooled, effects=varying),
            f"Two coefficients of each cluster, `{varying[0]}` and `{varying[1]}`: from those of its own rows alone to "
            "those of the model. Arrows are long where a cluster's own rows tell little.",
        )


def _drawn(subject: Subject) -> list[str]:
    """Predictors whose curves are drawn: numeric ones first, then those with levels."""
    return [*subject.amounts, *subject.labelled(MAX_LEVELS)][:MOST_CURVES]


def _curves(subject: Subject, name: str, kind: dict[str, Any]) -> str:
    lines = (
        ": a line for each cluster, the middle 80% of clusters as a band, a typical cluster in blue, and the average "
        "over the population in orange"
    )
    if not subject.design.groups:
        lines = ""
    caption = (
        f"Probability of {subject.event} against `{name}`{lines}. The values of the other predictors are given above "
        "the plot."
    )
    return picture(
        lambda: curves(subject.fit, name, cluster_band=BAND if subject.design.groups else None, **kind), caption
    )
