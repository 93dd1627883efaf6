"""Section: rows, events and clusters, and findings about the data."""

from __future__ import annotations

from collections.abc import Iterator

from ...formatting import number, percent
from ...plots.cluster_sizes import check_data as draw
from ..finding_list import finding_list
from ..html import facts, paragraph, table
from ..images import picture
from ..request import Request, Subject, attempted


def content(request: Request) -> str:
    """The section, fit by fit; once if all fits have the same rows and clusters."""
    first = request.subjects[0]
    if all(_same(first, other) for other in request.subjects[1:]):
        return "".join(_of(first))
    return "".join(request.each(lambda subject, _: _of(subject)))


def _same(first: Subject, other: Subject) -> bool:
    names = [[group.name for group in subject.design.groups] for subject in (first, other)]
    return names[0] == names[1] and first.design.table.frame.equals(other.design.table.frame)


def _of(subject: Subject) -> Iterator[str]:
    yield facts(_facts(subject))
    if subject.design.groups:
        yield attempted("The clusters", lambda: _clusters(subject))
        yield attempted("The plot of the clusters", lambda: _picture(subject))
    yield attempted(
        "The checks of the data",
        lambda: finding_list(subject.data.findings, "The checks found no problems in the data for this model."),
    )


def _facts(subject: Subject) -> list[tuple[str, str]]:
    outcome, rows = subject.design.outcome, subject.design.table
    events, trials = float(outcome.y.sum()), float(outcome.trials.sum())
    unit = "trials" if outcome.binomial else "rows"
    pairs = [
        ("Event", subject.event),
        ("Occurred in", f"{events:,.0f} of {trials:,.0f} {unit} ({percent(events / trials)})"),
        ("Rows", f"{subject.design.n_rows:,}"),
    ]
    if rows.n_missing:
        by_column = ", ".join(f"`{name}` {count:,}" for name, count in rows.missing_by_column.items())
        pairs.append(("Rows left out for missing values", f"{rows.n_missing:,} ({by_column})"))
    return pairs


def _clusters(subject: Subject) -> str:
    unit = "Trials" if subject.design.outcome.binomial else "Rows"
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
        for name, row in subject.data.factors.iterrows()
    ]
    head = ["Factor", "Clusters", f"{unit}, fewest", "Median", "Most", "Without events", "Only events", "Reliability"]
    note = (
        "Reliability (median over clusters), from 0 to 1, is the weight of a cluster's own rows in the estimate of its "
        "level. The lower it is, the more the estimate is drawn towards the mean of all clusters."
    )
    return table(head, rows, "Clusters") + paragraph(note, "note")


def _picture(subject: Subject) -> str:
    return picture(
        lambda: draw(subject.data),
        "How large the clusters are, and how many events they have. To the left of the line, the estimate of a cluster "
        "depends more on the mean of all clusters than on its own rows.",
    )
