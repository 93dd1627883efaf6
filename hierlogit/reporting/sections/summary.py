"""Section: the main results in a few sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ...formatting import number, percent, points, span
from ...summaries.intervals import columns_of_ends
from ...validation import number_of
from ...variance.odds_ratios import mor
from ..html import bullets, prose
from ..request import Request, Subject, attempted
from .estimates import middle

#: How many effects have a sentence of their own.
MOST_EFFECTS = 6


def content(request: Request) -> str:
    """The section, fit by fit."""
    return "".join(request.each(lambda subject, _: [bullets(_sentences(subject, request))]))


def _sentences(subject: Subject, request: Request) -> Iterator[str]:
    yield prose(_outcome(subject))
    if subject.predictors:
        yield attempted("The average effects", lambda: "</li><li>".join(map(prose, _effects(subject, request))))
    if subject.design.groups:
        yield attempted("The differences between clusters", lambda: prose(_clusters(subject, request)))
    yield prose(_computation(subject))
    if request.chosen is None or "checks" in request.chosen:
        yield prose(_checks(subject, request))


def _outcome(subject: Subject) -> str:
    outcome = subject.design.outcome
    events, trials = float(outcome.y.sum()), float(outcome.trials.sum())
    unit = "trials" if outcome.binomial else "rows"
    clusters = [f"{number_of(len(group.levels), 'cluster')} of `{group.name}`" for group in subject.design.groups]
    of = f", from {' and '.join(clusters)}" if clusters else ""
    return f"{subject.event} in {percent(events / trials)} of {trials:,.0f} {unit}{of}."


def _effects(subject: Subject, request: Request) -> Iterator[str]:
    """A sentence for each of the largest effects whose interval excludes zero, and one for all others."""
    table = request.effects[subject.name]
    low, high = columns_of_ends(table)
    clear = table[(table[low] > 0) | (table[high] < 0)]
    largest = clear.reindex(clear[middle(table)].abs().sort_values(ascending=False).index)
    over = "rows and clusters" if subject.design.groups else "rows"
    for place, (_, row) in enumerate(largest.head(MOST_EFFECTS).iterrows()):
        average = f" on average over {over}" if place == 0 else ""
        estimate = float(row[middle(table)])
        yield (
            f"{_contrast(row)}: the probability of {subject.event} is {points(abs(estimate), signed=False)} percentage "
            f"points {'higher' if estimate > 0 else 'lower'}{average} ({request.interval_name} of the difference "
            f"{points(row[low])} to {points(row[high])})."
        )
    smaller = largest.iloc[MOST_EFFECTS:]
    if len(smaller):
        yield f"The intervals of {number_of(len(smaller), 'smaller effect')} exclude 0 as well."
    unclear = table.drop(index=clear.index)
    if len(unclear):
        named = ", ".join(_contrast(row) for _, row in unclear.head(MOST_EFFECTS).iterrows())
        more = f" and {len(unclear) - MOST_EFFECTS} more" if len(unclear) > MOST_EFFECTS else ""
        yield f"The interval of the difference includes 0 for {named}{more}."


def _contrast(row: pd.Series[Any]) -> str:
    contrast = str(row["contrast"])
    return f"`{row['term']}` {contrast}" if contrast[:1] in "+-" else f"`{row['term']}`, {contrast}"


def _clusters(subject: Subject, request: Request) -> str:
    ratios = mor(subject.fit, **request.intervals)
    low, high = columns_of_ends(ratios)
    texts = [
        f"{number(row[middle(ratios)])} for `{row['group']}` ({span(row[low], row[high])})"
        for _, row in ratios.iterrows()
    ]
    return (
        "Clusters differ: of two of them drawn at random, the odds in one are larger than in the other by a median "
        f"factor of {', and of '.join(texts)}."
    )


def _computation(subject: Subject) -> str:
    match subject.fit.diagnostics.status:
        case "converged":
            return "The computation converged."
        case "interrupted":
            return "The computation was interrupted: there are fewer draws than requested."
        case "check":
            return "The computation ended with warnings, which are listed below: check them before using the results."
        case _:
            return "The computation failed: do not use the results."


def _checks(subject: Subject, request: Request) -> str:
    result = request.checks[subject.name]
    if isinstance(result, str):
        return "The model could not be checked."
    against = [finding for finding in result.findings if finding.severity != "note"]
    if not against:
        return "The checks found no evidence against the model."
    return f"The checks found evidence against the model. {against[0].meaning}"
