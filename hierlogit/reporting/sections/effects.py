"""Section: average effects on probabilities, and conditional and population-averaged coefficients."""

from __future__ import annotations

from collections.abc import Iterator

from ...formatting import number, points, span
from ...plots.effect_layout import MAX_COLOURS
from ...plots.effect_pictures import predictions
from ...summaries.intervals import columns_of_ends
from ...validation import quoted_list
from ...variance.attenuation import conditional_vs_average
from ..html import paragraph, table
from ..images import picture
from ..request import Request, Subject, attempted
from .estimates import middle

#: Largest number of numeric predictors that are drawn together with one that has levels.
MOST_PICTURES = 2


def content(request: Request) -> str:
    """The section, fit by fit."""
    return "".join(request.each(lambda subject, _: _of(subject, request)))


def _of(subject: Subject, request: Request) -> Iterator[str]:
    if not subject.predictors:
        yield paragraph("The model has no predictors.")
        return
    yield attempted("Effects on probabilities", lambda: _effects(subject, request))
    yield attempted("The pictures of predictions", lambda: _pictures(subject, request))
    if subject.design.groups:
        yield attempted("Conditional and average coefficients", lambda: _coefficients(subject, request))


def _effects(subject: Subject, request: Request) -> str:
    table_of_effects = request.effects[subject.name]
    low, high = columns_of_ends(table_of_effects)
    rows = [
        [
            f"`{row['term']}`",
            str(row["contrast"]),
            points(row[middle(table_of_effects)]),
            f"{points(row[low])} to {points(row[high])}",
        ]
        for _, row in table_of_effects.iterrows()
    ]
    gone = [name for name in subject.predictors if name not in subject.compared]
    without = f" {quoted_list(gone)} cannot be compared in all rows: some combinations have no data." if gone else ""
    over = " and over the population of clusters" if subject.design.groups else ""
    return paragraph(
        f"Difference in the probability of {subject.event}, in percentage points, if one predictor changes and the "
        f"others stay as they are, on average over the rows{over}{_thinned(subject)}.{without}"
    ) + table(["Predictor", "Change", "Percentage points", request.interval_name], rows, "Average effects")


def _pictures(subject: Subject, request: Request) -> Iterator[str]:
    """Predictions by numeric predictors, together with the predictor with levels whose average effect is largest."""
    effects, levels = request.effects[subject.name], subject.labelled(MAX_COLOURS)
    sizes = effects[middle(effects)].abs().groupby(effects["term"]).max()
    known = [name for name in levels if name in sizes.index]
    if not known:
        return
    other = max(known, key=lambda name: float(sizes[name]))
    over = ", averaged over the population of clusters" if subject.design.groups else ""
    for name in subject.amounts[:MOST_PICTURES]:
        yield picture(
            lambda name=name: predictions(subject.fit, [name, other], **request.intervals),  # type: ignore[misc]
            f"Probability of {subject.event} by `{name}` and `{other}`{over}, with {request.interval_name}s.",
        )


def _coefficients(subject: Subject, request: Request) -> str:
    coefficients = conditional_vs_average(subject.fit, **request.intervals)
    average, ratio = (coefficients[[name]].droplevel(0, axis="columns") for name in ("average", "ratio"))
    chosen, (low, high) = middle(average), columns_of_ends(average)
    rows = [
        [
            f"`{term}`",
            number(coefficients.loc[term, ("conditional", chosen)]),
            number(average.loc[term, chosen]),
            span(average.loc[term, low], average.loc[term, high]),
            number(ratio.loc[term, "median" if chosen == "mean" else chosen]),
        ]
        for term in coefficients.index
    ]
    return paragraph(
        "Conditional coefficients compare rows of the same cluster. Population-averaged coefficients compare rows of "
        "any clusters and are closer to zero, the more so the more clusters differ. Both are right, but answer "
        "different questions."
    ) + table(
        ["Coefficient", "Conditional", "Population-averaged", request.interval_name, "Ratio"],
        rows,
        "Conditional and population-averaged coefficients",
    )


def _thinned(subject: Subject) -> str:
    """How many draws were used, if not all."""
    if subject.affordable_draws is None:
        return ""
    sizes = subject.fit.posterior.sizes
    return f", from {subject.affordable_draws:,} of the {sizes['chain'] * sizes['draw']:,} draws"
