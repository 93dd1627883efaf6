"""Section: clusters compared with what is expected of their rows, and how far they can be ranked."""

from __future__ import annotations

from collections.abc import Iterator

from ...clusters.league_table import LeagueTable, league_table
from ...formatting import number, percent, span
from ...plots.cluster_ranks import league_table as ranks
from ...plots.control_limits import funnel
from ...variance.by_factor import between_rows
from ..html import beside, folded, heading, kept, paragraph, table
from ..images import picture
from ..request import Request, Subject, attempted

#: Largest number of clusters that are listed, and of those whose ranks are drawn.
MOST_LISTED, MOST_DRAWN = 100, 500


def content(request: Request) -> str:
    """The section, fit by fit."""
    return "".join(request.each(lambda subject, level: _of(subject, request, level)))


def _of(subject: Subject, request: Request, level: int) -> Iterator[str]:
    factors = [group for group in subject.design.groups if group.name not in between_rows(subject.design)]
    if not factors:
        yield paragraph("The model has no clusters of several rows.")
    for group in factors:
        if len(factors) > 1:
            yield heading(f"`{group.name}`", level)
        yield attempted(
            f"The comparison of clusters of `{group.name}`",
            lambda group=group: _compared(  # type: ignore[misc]
                league_table(subject.fit, group.name, **request.intervals), request, request.printed(subject)
            ),
        )


def _compared(league: LeagueTable, request: Request, printed: bool) -> Iterator[str]:
    low, high = (league.rankability[name] for name in league.interval.columns)
    said = paragraph(
        f"{league.statement} Of the differences between the clusters' own estimates, "
        f"{percent(league.rankability['mean'])} ({request.interval_name} {percent(low)} to {percent(high)}) are not "
        "chance (rankability). Rank 1 has the lowest probability of the event."
    )
    pictures = [
        picture(
            lambda: funnel(league),
            "Observed events of each cluster, relative to those expected of its rows, against its size. If clusters "
            "differed by chance alone, 95% and 99.8% of them would lie between the lines.",
        )
    ]
    if len(league.table) <= MOST_DRAWN:
        pictures.append(
            picture(
                lambda: ranks(league),
                "Expected ranks of the clusters with intervals; the pale lines hold for all clusters at once.",
            )
        )
    yield kept(said, beside(*pictures))
    if len(league.table) <= MOST_LISTED:
        yield folded("All clusters", _table(league, request), printed=printed)


def _table(league: LeagueTable, request: Request) -> str:
    low, high = league.interval.columns
    rows = [
        [
            f"`{label}`",
            f"{row['events']:,.0f} of {row['trials']:,.0f}",
            percent(row["standardised_rate"]),
            number(row["odds_ratio"]),
            span(row[f"odds_ratio_{low}"], row[f"odds_ratio_{high}"]),
            f"{row['expected_rank']:.1f}",
            f"{row[f'rank_{low}']:.0f} to {row[f'rank_{high}']:.0f}",
        ]
        for label, row in league.table.iterrows()
    ]
    head = ["Cluster", "Events", "Standardised", "Odds ratio", request.interval_name, "Expected rank", "Rank, interval"]
    return table(head, rows, f"Clusters of {league.group}, beside a typical one")
