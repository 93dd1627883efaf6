"""Section: rows, events and clusters, and findings about the data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...formatting import number, percent
from ...plots.cluster_sizes import check_data as draw
from ..finding_list import finding_list
from ..html import facts, paragraph, table
from ..images import picture
from ..request import Request, Subject, attempted


def content(request: Request) -> str:
    """The section, fit by fit; once if all fits have the same rows and clusters."""
    first, *others = request.subjects
    if not all(_same(first, other) for other in others):
        return "".join(request.each(lambda subject, _: [*_rows(subject), _findings(subject)]))
    findings = {subject.name: _findings(subject) for subject in request.subjects}
    if len(set(findings.values())) == 1:
        return "".join(_rows(first)) + findings[first.name]
    return "".join(_rows(first)) + "".join(request.each(lambda subject, _: [findings[subject.name]]))


def _same(first: Subject, other: Subject) -> bool:
    """Whether two models have the same outcomes and clusters, whatever their predictors."""
    one, two = first.design, other.design
    return (
        [group.name for group in one.groups] == [group.name for group in two.groups]
        and first.same_outcomes(other)
        and all(np.array_equal(a.index, b.index) for a, b in zip(one.groups, two.groups, strict=True))
    )


def _rows(subject: Subject) -> Iterator[str]:
    yield facts(_facts(subject))
    if subject.design.groups:
        yield attempted("The clusters", lambda: _clusters(subject))
        yield attempted("The plot of the clusters", lambda: _picture(subject))


def _findings(subject: Subject) -> str:
    return attempted(
        "The checks of the data",
        lambda: finding_list(subject.data.findings, "The checks found no problems in the data for this model."),
    )


def _facts(subject: Subject) -> list[tuple[str, str]]:
    outcome, rows = subject.design.outcome, subject.design.table
    events, trials = float(outcome.y.sum()), float(outcome.trials.sum())
    unit = "trials" if outcome.binomial else "rows"
    pairs = [
        ("Event", f"`{outcome.event}`"),
        ("Occurred in", f"{events:,.0f} of {trials:,.0f} {unit} ({percent(events / trials)})"),
        ("Rows", f"{subject.design.n_observations:,}"),
    ]
    if rows.counts is not None:
        pairs.append(("Rows with different predictors or clusters, to which they are counted", f"{len(rows.frame):,}"))
    if rows.weights is not None:
        pairs.append(("Weights", f"`{rows.weights!r}`"))
    if rows.n_repeated:
        pairs.append(("Rows of the table, counted", f"{rows.n_repeated:,}"))
    if rows.n_weightless:
        pairs.append(("Rows left out because their weight is zero", f"{rows.n_weightless:,}"))
    if rows.n_missing:
        by_column = ", ".join(f"`{name}` {count:,}" for name, count in rows.missing_by_column.items())
        pairs.append(("Rows left out for missing values", f"{rows.n_missing:,} ({by_column})"))
    if rows.n_untried:
        pairs.append(("Rows left out because they have no trials", f"{rows.n_untried:,}"))
    pairs += [(f"Columns dropped from {where}", why) for where, why in subject.design.drops]
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
    return table(head, rows, "Sizes of the clusters") + paragraph(note, "note")


def _picture(subject: Subject) -> str:
    return picture(
        lambda: draw(subject.data),
        "How large the clusters are, and how many events they have. To the left of the line, the estimate of a cluster "
        "depends more on the mean of all clusters than on its own rows.",
    )
