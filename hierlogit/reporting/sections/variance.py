"""How much of the variation lies between clusters, and what the model explains."""

from __future__ import annotations

from collections.abc import Iterator

from ...formatting import number, percent, span
from ...variance.icc_vpc import icc, vpc
from ...variance.odds_ratios import mor
from ...variance.r_squared import r2
from ..html import paragraph, table
from ..request import Request, Subject, attempted
from .estimates import ends, middle


def content(asked: Request) -> str:
    """Each fit."""
    return "".join(asked.each(lambda one, _: _of(one, asked)))


def _of(one: Subject, asked: Request) -> Iterator[str]:
    if not one.design.groups:
        yield paragraph("The model has no clusters between which there could be variance.")
        return
    yield attempted("The variance partition", lambda: _between(one, asked))
    yield attempted("The explained variance", lambda: _explained(one, asked))


def _between(one: Subject, asked: Request) -> str:
    latent, observed, ratios = (verb(one.fit, **asked.intervals) for verb in (icc, vpc, mor))
    rows = []
    shares = {"Share of the variance, scale of log-odds (ICC)": latent, "Share, scale of probabilities": observed}
    for name, frame in shares.items():
        low, high = ends(frame)
        for _, row in frame.iterrows():
            label = f"{name}: `{row['group']}`" + ("" if row["kind"] == "share" else f", {row['kind']}")
            rows.append([label, percent(row[middle(frame)]), f"{percent(row[low])} to {percent(row[high])}"])
    low, high = ends(ratios)
    for _, row in ratios.iterrows():
        rows.append(
            [
                f"Median odds ratio: `{row['group']}`",
                number(row[middle(ratios)]),
                span(row[low], row[high]),
            ]
        )
    return paragraph(
        "How alike rows of one cluster are: 0% if clusters do not differ, 100% if nothing else does. The median odds "
        "ratio compares two rows that are alike but for their clusters, drawn at random: in the middle case the odds "
        "of one are higher by this factor."
    ) + table(["Between clusters", "Estimate", asked.interval_name], rows, "Variance partition")


def _explained(one: Subject, asked: Request) -> str:
    found = r2(one.fit, **asked.intervals)
    low, high = ends(found)
    meant = {"marginal": "by the fixed effects", "conditional": "by fixed effects and clusters"}
    rows = [
        [
            f"Explained {meant.get(row['quantity'], row['quantity'])}",
            percent(row[middle(found)]),
            f"{percent(row[low])} to {percent(row[high])}",
        ]
        for _, row in found.iterrows()
    ]
    return table(["R² on the scale of log-odds", "Estimate", asked.interval_name], rows, "Explained variance")
