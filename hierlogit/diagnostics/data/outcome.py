"""Numbers of rows, events, non-events and parameters, and findings about them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from ...design.design import Design
from ...fits.findings import Finding
from ...model_spec import ModelSpec
from ...priors.families import Normal

#: Fewer events or non-events for each coefficient get a warning.
FEW_EVENTS = 10
#: Below this share the rarer outcome is called rare; from this share on, missing rows get a warning.
RARE, MANY_MISSING = 0.05, 0.1
#: The finding mentions the intercept's prior if the logit of the share is more sds than this from its mean.
FAR = 2.0


def parameter_counts(design: Design) -> tuple[int, int]:
    """Count the coefficients other than the intercept, and all parameters, with sds and correlations."""
    coefficients = len(design.fixed_effects) - design.has_intercept
    spread = sum(len(group.effects) + len(group.correlated_pairs) for group in design.groups)
    return coefficients, len(design.fixed_effects) + spread


def totals(design: Design) -> dict[str, float]:
    """Counts of the whole table."""
    outcome = design.outcome
    trials, events = int(outcome.trials.sum()), int(outcome.y.sum())
    rarer, (coefficients, parameters) = min(events, trials - events), parameter_counts(design)
    return {
        "rows": design.n_rows,
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
    yield from _few_events(counts)
    yield from _rare(model, counts)
    yield from _missing(model.design)


def _few_events(counts: pd.Series[float]) -> Iterator[Finding]:
    each, of_all = counts["events_per_coefficient"], counts["events_per_parameter"]
    few = each < FEW_EVENTS
    if not few and of_all >= FEW_EVENTS:
        return
    rarer = "events" if counts["events"] <= counts["non_events"] else "non-events"
    number = min(counts["events"], counts["non_events"])
    yield Finding(
        "few_events",
        "warning" if few else "note",
        f"{number:,.0f} {rarer} for {counts['coefficients']:.0f} coefficients besides the intercept are {each:.1f} "
        f"each, and {of_all:.1f} for each of all {counts['parameters']:.0f} parameters. Fewer than {FEW_EVENTS} are "
        "few by a rule of thumb, which ignores how strong effects and how rare events are."
        if counts["coefficients"]
        else f"{number:,.0f} {rarer} for {counts['parameters']:.0f} parameters are {of_all:.1f} each; fewer than "
        f"{FEW_EVENTS} are few by a rule of thumb.",
        "Use hl.MAP() or NUTS with priors that you can defend, which keep estimates from being extreme; leave out "
        "terms that were not planned from the start, and simulate such a study with hl.power.",
    )


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
    share = table.n_missing / (table.n_missing + design.n_rows)
    where = ", ".join(f"'{name}' {count:,}" for name, count in table.missing_by_column.items())
    yield Finding(
        "missing_values",
        "warning" if share >= MANY_MISSING else "note",
        f"{table.n_missing:,} of {table.n_missing + design.n_rows:,} rows ({share:.1%}) were left out because of "
        f"missing values: {where}.",
        "The complete rows are representative if completeness does not depend on the outcome, given the predictors. "
        "Otherwise use multiple imputation first.",
    )
