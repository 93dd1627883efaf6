"""What was observed: rows, events, clusters, and what the data can tell."""

from __future__ import annotations

from collections.abc import Iterator

from ...formatting import number, percent
from ...plots.cluster_sizes import check_data as draw
from ..finding_list import finding_list
from ..html import facts, paragraph, table
from ..images import picture
from ..request import Request, Subject, attempted


def content(asked: Request) -> str:
    """Facts, clusters, their picture and findings; of several fits only once where they share rows and clusters."""
    first = asked.subjects[0]
    if all(_same(first, other) for other in asked.subjects[1:]):
        return "".join(_of(first))
    return "".join(asked.each(lambda one, _: _of(one)))


def _same(first: Subject, other: Subject) -> bool:
    names = [[group.name for group in one.design.groups] for one in (first, other)]
    return names[0] == names[1] and first.design.table.frame.equals(other.design.table.frame)


def _of(one: Subject) -> Iterator[str]:
    yield facts(_facts(one))
    if one.design.groups:
        yield attempted("The clusters", lambda: _clusters(one))
        yield attempted("The picture of the clusters", lambda: _picture(one))
    yield attempted(
        "What the data can tell",
        lambda: finding_list(one.data.findings, "Nothing in the data stands against fitting this model."),
    )


def _facts(one: Subject) -> list[tuple[str, str]]:
    outcome, rows = one.design.outcome, one.design.table
    events, trials = float(outcome.y.sum()), float(outcome.trials.sum())
    unit = "trials" if outcome.binomial else "rows"
    found = [
        ("Event", one.event),
        ("Seen in", f"{events:,.0f} of {trials:,.0f} {unit} ({percent(events / trials)})"),
        ("Rows", f"{one.design.n_rows:,}"),
    ]
    if rows.n_missing:
        by_column = ", ".join(f"`{name}` {count:,}" for name, count in rows.missing_by_column.items())
        found.append(("Rows left out for missing values", f"{rows.n_missing:,} ({by_column})"))
    return found


def _clusters(one: Subject) -> str:
    unit = "Trials" if one.design.outcome.binomial else "Rows"
    rows = [
        [
            f"`{name}`",
            number(row["clusters"]),
            number(row["trials_min"]),
            number(row["trials_median"]),
            number(row["trials_max"]),
            number(row["no_event"]),
            number(row["only_events"]),
            number(row["reliability_median"]),
        ]
        for name, row in one.data.factors.iterrows()
    ]
    head = ["Factor", "Clusters", f"{unit}, fewest", "Median", "Most", "Never the event", "Always", "Reliability"]
    note = (
        "Reliability, from 0 to 1, is how far a median cluster's own rows settle its level. The lower it is, the "
        "more the estimate is drawn to the mean of all clusters."
    )
    return table(head, rows, "Clusters") + paragraph(note, "note")


def _picture(one: Subject) -> str:
    return picture(
        lambda: draw(one.data),
        "How large the clusters are, and in how many the event is seen. Left of the line a cluster's estimate owes "
        "more to the mean of all clusters than to its own rows.",
    )
