"""Coefficients and odds ratios, with the variation between clusters beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ...formatting import number, probability, span
from ...plots.ratio_forest import forest
from ...plots.style import interval_name
from ...summaries.tables import odds_ratios, summary
from ..html import beside, paragraph, table
from ..images import picture
from ..request import Request, Subject, attempted


def content(asked: Request) -> str:
    """Each fit."""
    return "".join(asked.each(lambda one, _: _of(one, asked)))


def _of(one: Subject, asked: Request) -> Iterator[str]:
    kind = asked.intervals
    rows = summary(one.fit, progress=False, **(kind if one.sampled else {"ci_prob": asked.interval.prob}))
    within = ", for rows of the same cluster" if one.design.groups else ""
    fixed = rows[rows["component"] == "fixed"]
    if len(fixed):
        yield paragraph(
            f"A coefficient is a difference of the log-odds of {one.event}{within}; its exponential, the odds ratio, "
            "is what the odds are multiplied by."
        )
    parts = [_fixed(one, fixed, odds_ratios(one.fit, **kind), asked)] if len(fixed) else []
    varying = rows[rows["component"] != "fixed"]
    if len(varying):
        parts.append(_varying(one, varying, _name_of(one, asked)))
    yield beside(*parts)
    if len(fixed) > 1 or (len(fixed) == 1 and fixed.index[0] != "Intercept"):
        yield attempted(
            "The picture of the odds ratios",
            lambda: picture(lambda: forest(one.fit, **kind), _caption(one)),
        )


def ends(frame: pd.DataFrame) -> tuple[str, str]:
    """Columns with the two ends of the intervals."""
    (low,) = [str(name) for name in frame if str(name).endswith("_lb")]
    return low, f"{low.removesuffix('_lb')}_ub"


def middle(frame: pd.DataFrame) -> str:
    """The column to state: the estimate of a maximum, or the mean of draws."""
    return "estimate" if "estimate" in frame else "mean"


def _fixed(one: Subject, rows: pd.DataFrame, ratios: pd.DataFrame, asked: Request) -> str:
    low, high = ends(rows)
    ratio_low, ratio_high = ends(ratios)
    uncertain = "p_value" if "p_value" in rows else None
    head = ["Fixed effect", "Coefficient", _name_of(one, asked), "Odds ratio", asked.interval_name]
    last = "p" if uncertain else "Probability above 0"
    above = (one.fit.posterior["beta"] > 0).mean(("chain", "draw")).to_series() if not uncertain else None
    lines = []
    for label, row in rows.iterrows():
        ratio: Any = ratios.loc[str(label)] if label in ratios.index else None
        lines.append(
            [
                f"`{label}`",
                number(row[middle(rows)]),
                span(row[low], row[high]),
                "–" if ratio is None else number(ratio["estimate" if "estimate" in ratio else "median"]),
                "–" if ratio is None else span(ratio[ratio_low], ratio[ratio_high]),
                probability(row["p_value"] if above is None else above[str(label)]),
            ]
        )
    return table([*head, last], lines, "Fixed effects")


def _varying(one: Subject, rows: pd.DataFrame, interval: str) -> str:
    low, high = ends(rows)
    lines = [[f"`{label}`", number(row[middle(rows)]), span(row[low], row[high])] for label, row in rows.iterrows()]
    groups = " and ".join(f"`{group.name}`" for group in one.design.groups)
    return table(
        ["Between clusters", "Estimate", interval],
        lines,
        f"How clusters of {groups} vary: standard deviations on the scale of log-odds, and correlations",
    )


def _name_of(one: Subject, asked: Request) -> str:
    """How a table of the summary calls its intervals: Wald's, where the fit is no sampler's, are of neither kind."""
    return asked.interval_name if one.sampled else interval_name(asked.interval.prob, "eti")


def _caption(one: Subject) -> str:
    said = "Odds ratios of the fixed effects. At 1 there is no difference."
    if one.sampled:
        return said
    return f"{said} Drawn are medians of draws, which differ from the table's estimates in the last digits."
