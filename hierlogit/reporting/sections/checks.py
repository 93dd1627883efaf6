"""Section: checks of the fitted model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...formatting import number, probability
from ...plots.cluster_proportions import cluster_check
from ...plots.reliability_curve import calibration
from ..finding_list import finding_list
from ..html import folded, gap, paragraph, table
from ..images import picture
from ..request import Request, Subject, attempted


def content(request: Request) -> str:
    """The section, fit by fit."""
    return "".join(request.each(lambda subject, _: _of(subject, request)))


def _of(subject: Subject, request: Request) -> Iterator[str]:
    kind: dict[str, Any] = {"ci_prob": request.interval.prob, "seed": request.seed}
    result = request.checks[subject.name]
    if isinstance(result, str):
        yield gap(f"The checks could not be made, because {result}")
    else:
        yield paragraph(
            f"{result.replicates} data sets were simulated from the fit, and each check compares the real data with "
            f"them. If the model is right, at least one of all checks has a finding in {result.alpha:.0%} of studies."
        )
        yield finding_list(result.findings, "The checks found no evidence against the model.")
        every = attempted("The table of checks", lambda: _table(result))
        yield folded("All checks", every, printed=request.printed(subject))
    yield attempted(
        "The calibration plot",
        lambda: picture(
            lambda: calibration(subject.fit, **kind),
            "How often the event happened against its predicted probability. The band is where the curve lies in data "
            "simulated from the model, to which the model is fitted again: it is steeper than the diagonal, since the "
            "estimated effects of clusters are shrunken. A curve outside the band speaks against the model.",
        ),
    )
    if subject.design.groups:
        yield attempted(
            "The plot of simulated clusters",
            lambda: picture(
                lambda: cluster_check(subject.fit, **kind),
                "The proportion of events in each cluster, with the interval of proportions simulated from the model; "
                "and the standard deviation of the proportions between clusters, observed and simulated.",
            ),
        )


def _table(result: Any) -> str:
    rows = []
    for _, row in result.table.iterrows():
        about = f": `{row['about']}`" if str(row["about"]) else ""
        verdict = str(row["not_made"]) or ("finding" if row["found"] else "no finding")
        statistic = str(row["statistic"])
        label = f"{statistic[:1].upper()}{statistic[1:]}{about}"
        rows.append([label, number(row["value"]), number(row["expected"]), probability(row["adjusted_p"]), verdict])
    note = (
        "Simulated: the mean of the statistic over data sets simulated from the model. p: the probability of a value "
        "at least as far from it if the model is right, adjusted for the number of checks."
    )
    head = ["Statistic", "Value", "Simulated", "p", "Result"]
    return table(head, rows, "Real data against simulated data") + paragraph(note, "note")
