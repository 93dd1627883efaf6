"""Section: what a logistic regression of the same rows gets wrong by ignoring the clusters."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics.ignored_clusters.side_by_side import IgnoringClusters, ignoring_clusters
from ...formatting import is_missing, number, percent
from ..html import paragraph, table
from ..request import Request, Subject, attempted

#: Simulations for each coefficient; none with more rows than this.
REPLICATES, MOST_ROWS = 400, 20_000


def content(request: Request) -> str:
    """The section, fit by fit."""
    return "".join(request.each(lambda subject, _: _of(subject, request)))


def _of(subject: Subject, request: Request) -> Iterator[str]:
    if not subject.design.groups or not subject.design.fixed_effects:
        yield paragraph(
            "The model has no clusters." if subject.design.fixed_effects else "The model has no predictors."
        )
        return
    yield attempted("The regression without clusters", lambda: _beside(subject, request))


def _beside(subject: Subject, request: Request) -> Iterator[str]:
    replicates = REPLICATES if subject.design.n_rows <= MOST_ROWS else 0
    result = ignoring_clusters(
        subject.fit,
        replicates=replicates,
        num_draws=subject.affordable_draws,
        seed=request.seed,
        executor=request.executor,
        **request.intervals,
    )
    if result.interrupted:
        raise KeyboardInterrupt
    yield paragraph(
        "A logistic regression without clusters takes all outcomes as independent. Its coefficients are population "
        "averages, and its standard errors are wrong by the factor in the table."
    )
    yield table(*_columns(result), "Logistic regression without clusters, beside this model")


def _columns(result: IgnoringClusters) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table."""
    simulated = "false_positive" in result.table
    head = ["Coefficient", "Without clusters", "Population-averaged", "Standard error too small by", "Design effect"]
    head += ["False positives"] if simulated else []
    rows = []
    by_kind = {kind: result.coefficients[kind, "estimate"].to_dict() for kind in ("naive", "average")}
    for term, row in result.table.iterrows():
        estimates = [number(estimate[term]) for estimate in by_kind.values()]
        rates = row["false_positive"] if simulated else None
        cells = [f"`{term}`", *estimates, number(row["design_effect"] ** 0.5), number(row["design_effect"])]
        rows.append([*cells, *([("–" if is_missing(rates) else percent(float(rates)))] if simulated else [])])  # type: ignore[arg-type]
    return head, rows
