"""Section: coefficients, odds ratios and variance components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ...formatting import number, probability, span
from ...plots.ratio_forest import forest
from ...plots.style import interval_name
from ...summaries.intervals import columns_of_ends
from ...summaries.tables import odds_ratios, summary
from ..html import beside, paragraph, table
from ..images import picture
from ..request import Request, Subject, attempted


def content(request: Request) -> str:
    """The section, fit by fit."""
    return "".join(request.each(lambda subject, _: _of(subject, request)))


def _of(subject: Subject, request: Request) -> Iterator[str]:
    kind = request.intervals
    rows = summary(subject.fit, progress=False, **(kind if subject.sampled else {"ci_prob": request.interval.prob}))
    within = ", for rows of the same cluster" if subject.design.groups else ""
    count = len(subject.design.fixed_effects)
    fixed, varying = rows.iloc[:count], rows.iloc[count:]
    has_ratios = any(label != "Intercept" for label in fixed.index)
    if len(fixed):
        yield paragraph(
            f"A coefficient is a difference in the log-odds of {subject.event}{within}. Its exponential, the odds "
            "ratio, is the factor by which the odds are multiplied."
        )
    ratios = odds_ratios(subject.fit, **kind) if has_ratios else None
    parts = [_fixed(subject, fixed, ratios, request)] if len(fixed) else []
    if len(varying):
        parts.append(_varying(subject, varying, _name_of(subject, request)))
    yield beside(*parts)
    if has_ratios:
        yield attempted(
            "The plot of the odds ratios",
            lambda: picture(
                lambda: forest(subject.fit, **kind), "Odds ratios of the fixed effects. At 1 there is no difference."
            ),
        )


def middle(frame: pd.DataFrame) -> str:
    """Name of the column with the point estimate: that at the maximum, or the mean of the draws."""
    return "estimate" if "estimate" in frame else "mean"


def _fixed(subject: Subject, rows: pd.DataFrame, ratios: pd.DataFrame | None, request: Request) -> str:
    low, high = columns_of_ends(rows)
    uncertain = "p_value" if "p_value" in rows else None
    head = ["Fixed effect", "Coefficient", _name_of(subject, request)]
    head += [] if ratios is None else ["Odds ratio", request.interval_name]
    last = "p" if uncertain else "Probability above 0"
    above = (subject.fit.posterior["beta"] > 0).mean(("chain", "draw")).to_series() if not uncertain else None
    lines = []
    for label, row in rows.iterrows():
        lines.append(
            [
                f"`{label}`",
                number(row[middle(rows)]),
                span(row[low], row[high]),
                *([] if ratios is None else _ratio(ratios, str(label))),
                probability(row["p_value"] if above is None else above[str(label)]),
            ]
        )
    return table([*head, last], lines, "Fixed effects")


def _ratio(ratios: pd.DataFrame, label: str) -> list[str]:
    """The odds ratio of a fixed effect and its interval; the intercept has none."""
    if label not in ratios.index:
        return ["–", "–"]
    low, high = columns_of_ends(ratios)
    ratio: Any = ratios.loc[label]
    return [number(ratio["estimate" if "estimate" in ratio else "median"]), span(ratio[low], ratio[high])]


def _varying(subject: Subject, rows: pd.DataFrame, interval: str) -> str:
    low, high = columns_of_ends(rows)
    lines = [[f"`{label}`", number(row[middle(rows)]), span(row[low], row[high])] for label, row in rows.iterrows()]
    groups = " and ".join(f"`{group.name}`" for group in subject.design.groups)
    return table(
        ["Between clusters", "Estimate", interval],
        lines,
        f"Variation between clusters of {groups}: standard deviations in log-odds, and correlations",
    )


def _name_of(subject: Subject, request: Request) -> str:
    """Name of the intervals in a table of the summary; likelihood fits have Wald intervals, which are neither kind."""
    return request.interval_name if subject.sampled else interval_name(request.interval.prob, "eti")
