"""Section: influence of single clusters on the estimates."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics.influence import influence
from ...errors import HierlogitWarning, unsaid
from ...formatting import number
from ...plots.cluster_influence import influence as draw
from ..html import paragraph, table
from ..images import picture
from ..request import Request, Subject, attempted

#: Number of clusters in the table.
SHOWN = 8


def content(request: Request) -> str:
    """The section, fit by fit."""
    return "".join(request.each(lambda subject, _: _of(subject, request)))


def _of(subject: Subject, request: Request) -> Iterator[str]:
    if not subject.design.groups:
        yield paragraph("The model has no clusters.")
        return
    # The factor with the fewest clusters, where each has most influence.
    group = min(subject.design.groups, key=lambda factor: len(factor.levels))
    yield attempted("The influence of clusters", lambda: _influence(subject, group.name, request))


def _influence(subject: Subject, group: str, request: Request) -> Iterator[str]:
    with unsaid(HierlogitWarning):
        # The table marks clusters whose weights are unreliable, since sampling again could take long.
        result = influence(subject.fit, group=group, refit=False, executor=request.executor)
    yield paragraph(
        f"Change of the estimates when one of the {len(result.table):,} clusters of `{group}` is left out. Cook's "
        "distance summarises the change of all fixed effects; DFBETAS is the change of the most affected parameter, in "
        "standard errors."
    )
    rows = [
        [
            f"`{label}`",
            number(row["rows"]),
            number(row["cooks_distance"]),
            number(row["dfbetas"]),
            f"`{row['parameter']}`",
            str(row["status"]),
        ]
        for label, row in result.table.head(SHOWN).iterrows()
    ]
    yield table(
        ["Cluster", "Rows", "Cook's distance", "DFBETAS", "Parameter", "Status"], rows, "The most influential clusters"
    )
    caption = "The most influential clusters, and the change of each parameter without each cluster."
    yield attempted("The plot of influence", lambda: picture(lambda: draw(result), caption))
