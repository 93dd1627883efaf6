"""What single clusters do to the results."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from ...diagnostics.influence import influence
from ...errors import HierlogitWarning
from ...formatting import number
from ...plots.cluster_influence import influence as draw
from ..html import paragraph, table
from ..images import picture
from ..request import Request, Subject, attempted

#: Clusters that the table shows.
SHOWN = 8


def content(asked: Request) -> str:
    """Each fit."""
    return "".join(asked.each(lambda one, _: _of(one)))


def _of(one: Subject) -> Iterator[str]:
    if not one.design.groups:
        yield paragraph("The model has no clusters that could be left out.")
        return
    # Clusters of the smallest number: those that carry most each.
    group = min(one.design.groups, key=lambda block: len(block.levels))
    yield attempted("The influence of clusters", lambda: _influence(one, group.name))


def _influence(one: Subject, group: str) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HierlogitWarning)
        # Weights of the draws that fail are named in the table: sampling again could take long.
        found = influence(one.fit, group=group, refit=False)
    yield paragraph(
        f"What happens to the estimates when one of {len(found.table):,} clusters of `{group}` is left out. Cook's "
        "distance sums up all parameters; DFBETAS is the move of the one that moves most, in standard errors."
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
        for label, row in found.table.head(SHOWN).iterrows()
    ]
    yield table(
        ["Cluster", "Rows", "Cook's distance", "DFBETAS", "Of", "Without it"], rows, "The most influential clusters"
    )
    caption = "The most influential clusters, and how far leaving each out moves every parameter."
    yield attempted("The picture of influence", lambda: picture(lambda: draw(found), caption))
