"""Section: variance between clusters, and variance explained by the model."""

from __future__ import annotations

from collections.abc import Iterator

from ...formatting import number, percent, span
from ...summaries.intervals import columns_of_ends
from ...variance.icc_vpc import icc, vpc
from ...variance.odds_ratios import mor
from ...variance.r_squared import r2
from ..html import paragraph, table
from ..request import Request, Subject, attempted
from .estimates import middle


def content(request: Request) -> str:
    """The section, fit by fit."""
    return "".join(request.each(lambda subject, _: _of(subject, request)))


def _of(subject: Subject, request: Request) -> Iterator[str]:
    if not subject.design.groups:
        yield paragraph("The model has no clusters.")
        return
    yield attempted("The variance partition", lambda: _between(subject, request))
    yield attempted("The explained variance", lambda: _explained(subject, request))


def _between(subject: Subject, request: Request) -> str:
    latent, observed, ratios = (verb(subject.fit, **request.intervals) for verb in (icc, vpc, mor))
    rows = []
    shares = {
        "Share of the variance, latent scale (ICC)": latent,
        "Share of the variance, response scale (VPC)": observed,
    }
    for name, frame in shares.items():
        low, high = columns_of_ends(frame)
        for _, row in frame.iterrows():
            label = f"{name}: `{row['group']}`" + ("" if row["kind"] == "share" else f", {row['kind']}")
            rows.append([label, percent(row[middle(frame)]), f"{percent(row[low])} to {percent(row[high])}"])
    low, high = columns_of_ends(ratios)
    for _, row in ratios.iterrows():
        rows.append(
            [
                f"Median odds ratio: `{row['group']}`",
                number(row[middle(ratios)]),
                span(row[low], row[high]),
            ]
        )
    return paragraph(
        "The share of the variance that lies between clusters is 0% if clusters do not differ, and 100% if all "
        "differences are between clusters. The median odds ratio compares two rows with the same predictors from two "
        "randomly drawn clusters: it is the median factor by which the higher odds exceed the lower."
    ) + table(["Between clusters", "Estimate", request.interval_name], rows, "Variance partition")


def _explained(subject: Subject, request: Request) -> str:
    explained = r2(subject.fit, **request.intervals)
    low, high = columns_of_ends(explained)
    meant = {"marginal": "by the fixed effects", "conditional": "by fixed effects and clusters"}
    rows = [
        [
            f"Explained {meant.get(row['quantity'], row['quantity'])}",
            percent(row[middle(explained)]),
            f"{percent(row[low])} to {percent(row[high])}",
        ]
        for _, row in explained.iterrows()
    ]
    return table(["R² on the latent scale", "Estimate", request.interval_name], rows, "Explained variance")
