"""Numbers of rows, events, non-events and parameters, and findings about them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from ...design.design import Design
from ...design.table import MANY_MISSING
from ...fits.findings import Finding
from ...fits.identification import few_events, parameter_counts
from ...model_spec import ModelSpec
from ...priors.families import Normal

#: Below this share the rarer outcome is called rare.
RARE = 0.05
#: The finding mentions the intercept's prior if the logit of the share is more sds than this from its mean.
FAR = 2.0


def totals(design: Design) -> dict[str, float]:
    """Counts of the whole table."""
    outcome = design.outcome
    trials, events = int(outcome.trials.sum()), int(outcome.y.sum())
    rarer, (coefficients, parameters) = min(events, trials - events), parameter_counts(design)
    return {
        "rows": design.n_observations,
        "rows_missing": design.table.n_missing,
        "trials": trials,
        "events": events,
        "non_events": trials - events,
        "share": events / trials,
        "coefficients": coefficients,
        "parameters": parameters,
        "events_per_coefficient": rarer / coefficients if coefficients else math.nan,
        "events_per_parameter": rarer / parameters,
    }


def outcome_findings(model: ModelSpec, counts: pd.Series[float]) -> Iterator[Finding]:
    """Findings about few events, rare outcomes and missing values."""
    yield from (finding for finding in few_events(model.design) if finding.severity != "error")
    yield from _rare(model, counts)
    yield from _missing(model.design)


def _rare(model: ModelSpec, counts: pd.Series[float]) -> Iterator[Finding]:
    rare = min(counts["share"], 1 - counts["share"])
    if rare >= RARE:
        return
    what = "Events" if counts["share"] < RARE else "Non-events"
    logit = math.log(counts["events"] / counts["non_events"])
    prior = model.priors.fixed.get("Intercept")
    beside = ""
    if isinstance(prior, Normal) and abs(logit - prior.mu) > FAR * prior.sigma:
        beside = f", {abs(logit - prior.mu) / prior.sigma:.1f} sds from the mean of the intercept's prior, {prior}"
    yield Finding(
        "rare_outcome",
        "note",
        f"{what} ({model.design.outcome.event}) are rare: {min(counts['events'], counts['non_events']):,.0f} of "
        f"{counts['trials']:,.0f} trials (a share of {rare:.2g}, logit {logit:.1f}{beside}). Precision depends on "
        "their number, not on the number of rows.",
        "Prefer profile intervals or NUTS to Wald intervals"
        + (", and centre the intercept's prior on a plausible rate of such events." if beside else "."),
    )


def _missing(design: Design) -> Iterator[Finding]:
    table = design.table
    if not table.n_missing:
        return
    rows = table.n_missing + design.n_observations
    share = table.n_missing / rows
    where = ", ".join(f"'{name}' {count:,}" for name, count in table.missing_by_column.items())
    yield Finding(
        "missing_values",
        "warning" if share >= MANY_MISSING else "note",
        f"{table.n_missing:,} of {rows:,} rows ({share:.1%}) were left out because of missing values: {where}.",
        "The complete rows are representative if completeness does not depend on the outcome, given the predictors. "
        "Otherwise impute the missing values several times, and pass the imputed tables to hl.fit_imputed.",
    )
