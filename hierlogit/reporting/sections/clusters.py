"""The clusters themselves: probability curves, effects, and how far estimates were drawn together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ...plots.cluster_curves import MAX_LEVELS, curves
from ...plots.cluster_effects import caterpillar
from ...plots.cluster_shrinkage import shrinkage
from ..html import heading, paragraph
from ..images import picture
from ..request import Request, Subject, attempted

#: Predictors whose curves are drawn.
MOST_CURVES = 3


def content(asked: Request) -> str:
    """Each fit."""
    return "".join(asked.each(lambda one, level: _of(one, asked, level)))


def _of(one: Subject, asked: Request, level: int) -> Iterator[str]:
    kind = asked.intervals
    for name in _drawn(one):
        yield attempted(f"The curves along `{name}`", lambda name=name: _curves(one, name, kind))  # type: ignore[misc]
    if not one.design.groups:
        if not one.predictors:
            yield paragraph("The model has neither clusters nor predictors: there is nothing to draw.")
        return
    for group in one.design.groups:
        if len(one.design.groups) > 1:
            yield heading(f"`{group.name}`", level)
        yield attempted(
            f"The effects of `{group.name}`",
            lambda group=group: picture(  # type: ignore[misc]
                lambda: caterpillar(one.fit, group.name, **kind),
                f"How clusters of `{group.name}` differ from a typical one, on the scale of log-odds, in order. In "
                "blue those whose interval leaves out 0.",
            ),
        )
        yield attempted(
            f"The shrinkage of `{group.name}`",
            lambda group=group: picture(  # type: ignore[misc]
                lambda: shrinkage(one.fit, group.name),
                "The share of events in each cluster and what the model makes of it. Small clusters are drawn to what "
                "the others say; large ones stay near what they have shown.",
            ),
        )


def _drawn(one: Subject) -> list[str]:
    """Predictors to draw curves along: numbers first, then levels."""
    usable, frame = one.predictors, one.design.table.frame
    numbers = [name for name in usable if pd.api.types.is_numeric_dtype(frame[name]) and frame[name].nunique() > 2]
    levels = [name for name in usable if name not in numbers and frame[name].nunique() <= MAX_LEVELS]
    return [*numbers, *levels][:MOST_CURVES]


def _curves(one: Subject, name: str, kind: dict[str, Any]) -> str:
    if not one.design.groups:
        said = f"Probability of {one.event} along `{name}`; other predictors at the values above the picture."
    else:
        said = (
            f"Probability of {one.event} along `{name}`: a line for each cluster, a typical one in blue, and the "
            "average over all clusters there might be in orange; other predictors at the values above the picture."
        )
    return picture(lambda: curves(one.fit, name, **kind), said)
