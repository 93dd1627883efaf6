"""What speaks against the model."""

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


def content(asked: Request) -> str:
    """Each fit."""
    return "".join(asked.each(lambda one, _: _of(one, asked)))


def _of(one: Subject, asked: Request) -> Iterator[str]:
    kind: dict[str, Any] = {"ci_prob": asked.interval.prob, "seed": asked.seed}
    found = asked.checks[one.name]
    if isinstance(found, str):
        yield gap(f"The checks were not made, since {found}")
    else:
        yield paragraph(
            f"{found.replicates} data sets were simulated from the fit, and each check compares the real data with "
            f"them. If the model is right, all checks together find something in {found.alpha:.0%} of studies."
        )
        yield finding_list(found.findings, "None of the checks found anything that speaks against the model.")
        yield folded("All checks", attempted("The table of checks", lambda: _table(found)))
    yield attempted(
        "The picture of calibration",
        lambda: picture(
            lambda: calibration(one.fit, **kind),
            "How often the event happened against how likely the model called it. On the diagonal the two agree; the "
            "band is where chance alone would leave the curve.",
        ),
    )
    if one.design.groups:
        yield attempted(
            "The picture of simulated clusters",
            lambda: picture(
                lambda: cluster_check(one.fit, **kind),
                "Each cluster's share of events, on the interval of what the model would simulate for it; and the "
                "spread between clusters among simulated spreads.",
            ),
        )


def _table(found: Any) -> str:
    rows = []
    for _, row in found.table.iterrows():
        about = f"`{row['about']}`" if str(row["about"]) else ""
        verdict = str(row["not_made"]) or ("found" if row["found"] else "nothing found")
        label = f"{row['check']} {about}".strip()
        rows.append([label, number(row["value"]), number(row["expected"]), probability(row["adjusted_p"]), verdict])
    return table(["Check", "Value", "Simulated", "p, adjusted", "Result"], rows, "Checks")
