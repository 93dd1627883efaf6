"""What predictors do to probabilities, averaged over the population, and how coefficients shrink on the way there."""

from __future__ import annotations

from collections.abc import Iterator

from ...effects.comparisons import avg_comparisons
from ...formatting import number, points, span
from ...variance.attenuation import conditional_vs_average
from ..html import paragraph, table
from ..request import Request, Subject, attempted
from .estimates import ends, middle

#: Draws that averages over rows and clusters are made of: more would take long and change no digit that is shown.
MOST_DRAWS = 1000


def content(asked: Request) -> str:
    """Each fit."""
    return "".join(asked.each(lambda one, _: _of(one, asked)))


def _of(one: Subject, asked: Request) -> Iterator[str]:
    if not one.predictors:
        yield paragraph("The model has no predictors whose effects could be averaged.")
        return
    yield attempted("Effects on probabilities", lambda: _effects(one, asked))
    if one.design.groups:
        yield attempted("Conditional and average coefficients", lambda: _coefficients(one, asked))


def _effects(one: Subject, asked: Request) -> str:
    clusters = "average" if one.design.groups else "observed"
    found = avg_comparisons(one.fit, clusters=clusters, num_draws=_draws(one), **asked.intervals)
    low, high = ends(found)
    rows = [
        [
            f"`{row['term']}`",
            str(row["contrast"]),
            points(row[middle(found)]),
            f"{points(row[low])} to {points(row[high])}",
        ]
        for _, row in found.iterrows()
    ]
    over = ", and over all clusters that there might be" if one.design.groups else ""
    return paragraph(
        f"How many percentage points the probability of {one.event} is higher, on average over the rows{over}, if one "
        "predictor changes and the others stay as they are."
    ) + table(["Predictor", "Change", "Percentage points", asked.interval_name], rows, "Average effects")


def _coefficients(one: Subject, asked: Request) -> str:
    found = conditional_vs_average(one.fit, num_draws=_draws(one), **asked.intervals)
    chosen, (low, high) = middle(found), ends(found)
    rows = []
    for term, part in found.groupby("term", sort=False):
        by = {row["quantity"]: row for _, row in part.iterrows()}
        average = by["average"]
        rows.append(
            [
                f"`{term}`",
                number(by["conditional"][chosen]),
                number(average[chosen]),
                span(average[low], average[high]),
                number(by["attenuation"][chosen]),
            ]
        )
    return paragraph(
        "Coefficients compare rows of one cluster. Between people of any clusters the differences of log-odds are "
        "smaller, the more so the more clusters differ: both are right, and answer different questions."
    ) + table(
        ["Coefficient", "Within clusters", "In the population", asked.interval_name, "Ratio"],
        rows,
        "Conditional and population-averaged coefficients",
    )


def _draws(one: Subject) -> int | None:
    sizes = one.fit.posterior.sizes
    return MOST_DRAWS if sizes["chain"] * sizes["draw"] > MOST_DRAWS else None
