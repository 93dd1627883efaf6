"""Rows, trials and events of every cluster, and findings about few, small or one-outcome clusters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...design.design import Design
from ...design.grouping import GroupBlock
from ...fits.findings import Finding
from ...validation import agree, quoted_list

#: Fewer clusters with two or more trials than these get a warning and a note.
VERY_FEW, FEW = 5, 10
#: Fractions of clusters with a single outcome, among those with two or more trials, that get a note and a warning, if
#: there are this many sds more of them than expected by chance.
SOME_ONE_SIDED, MANY_ONE_SIDED, BEYOND_CHANCE = 0.1, 0.5, 3.0
#: Fraction of clusters with a single trial that gets a note.
MANY_SINGLE = 0.5
COUNTS = ("rows", "trials", "events", "non_events")
QUANTILES = {"min": 0.0, "q1": 0.25, "median": 0.5, "q3": 0.75, "max": 1.0}


def cluster_table(design: Design, group: GroupBlock) -> pd.DataFrame:
    """Count rows, trials, events and non-events of each cluster, in the order of the levels."""
    outcome, clusters = design.outcome, len(group.levels)
    rows = group.rows_of_clusters
    trials, events = (
        np.bincount(group.index, weights=counts, minlength=clusters).astype(np.int64)
        for counts in (outcome.trials, outcome.y)
    )
    index = pd.Index(group.levels, name=group.name)
    table = pd.DataFrame(dict(zip(COUNTS, (rows, trials, events, trials - events), strict=True)), index=index)
    return table.assign(share=events / trials)


def size_summary(table: pd.DataFrame) -> dict[str, float]:
    """Summarise the clusters of one factor: how many, their sizes, and how many have one trial or one outcome."""
    summary: dict[str, float] = {"clusters": len(table)}
    for name in COUNTS:
        quantiles = np.quantile(table[name], list(QUANTILES.values()))
        summary |= {f"{name}_{label}": float(value) for label, value in zip(QUANTILES, quantiles, strict=True)}
    summary["one_row"] = int((table["rows"] == 1).sum())
    summary["one_trial"] = int((table["trials"] == 1).sum())
    summary["no_event"] = int((table["events"] == 0).sum())
    summary["only_events"] = int((table["non_events"] == 0).sum())
    return summary


def size_findings(table: pd.DataFrame) -> Iterator[Finding]:
    """Findings about the number and the sizes of the clusters of one factor."""
    name, several = str(table.index.name), table[table["trials"] > 1]
    if not len(several):  # a finding of its own
        return
    yield from _few(name, len(table), len(several))
    single = len(table) - len(several)
    if single >= MANY_SINGLE * len(table):
        yield Finding(
            "singleton_clusters",
            "note",
            f"{_of(single, len(table))} clusters of '{name}' {agree(single, 'has', 'have')} a single trial, "
            f"and no information about the differences between clusters: the sd of '{name}' is estimated from the "
            f"other {len(several):,}.",
            "Keep them: they contribute to the fixed effects. Check the labels if the clusters should be larger.",
        )
    yield from _one_sided(name, several)


def _few(name: str, clusters: int, several: int) -> Iterator[Finding]:
    if several >= FEW:
        return
    very = several < VERY_FEW
    smaller = f", {several:,} of them with more than one trial" if several < clusters else ""
    yield Finding(
        "few_clusters",
        "warning" if very else "note",
        f"'{name}' has {clusters:,} clusters{smaller}: so few carry little information about the sd between clusters, "
        "and maximum likelihood tends to underestimate it.",
        "Put the clusters into the fixed part if no others are of interest, or use NUTS with a prior for the sd that "
        "you can defend (hl.prior_from_mor)."
        if very
        else "Prefer NUTS with a prior for the sd that you can defend (hl.prior_from_mor), and report the interval of "
        "the sd.",
    )


def _one_sided(name: str, several: pd.DataFrame) -> Iterator[Finding]:
    never, always = (list(several.index[several[kind] == 0]) for kind in ("events", "non_events"))
    one_sided, clusters = len(never) + len(always), len(several)
    expected, sd = _one_sided_by_chance(several)
    few_mixed = clusters >= FEW > clusters - one_sided
    if not few_mixed and (one_sided < SOME_ONE_SIDED * clusters or one_sided <= expected + BEYOND_CHANCE * sd):
        return
    many = few_mixed or one_sided >= MANY_ONE_SIDED * clusters
    kinds = ((never, "no event"), (always, "only events"))
    named = [f"{len(some):,} {what} ({quoted_list(some)})" for some, what in kinds if some]
    yield Finding(
        "one_outcome_clusters",
        "warning" if many else "note",
        f"{_of(one_sided, clusters)} clusters of '{name}' with two or more trials "
        f"{agree(one_sided, 'has', 'have')} a single outcome: "
        f"{', '.join(named)}. If clusters did not differ, about {expected:,.0f} would.",
        f"Only the other {clusters - one_sided:,} {agree(clusters - one_sided, 'limits', 'limit')} the sd of '{name}' "
        "from above, and Laplace's approximation may be poor: check it with hl.check_quadrature(fit), or use AGQ or "
        "NUTS."
        if many
        else "Keep all of them: they contribute to the sd, and their effects are estimated with the help of the other "
        "clusters. As fixed effects, these clusters would have infinite estimates.",
    )


def _one_sided_by_chance(several: pd.DataFrame) -> tuple[float, float]:
    """Mean and sd of the number of clusters with a single outcome if every trial had the same probability."""
    p = several["events"].sum() / several["trials"].sum()
    chance = p ** several["trials"] + (1 - p) ** several["trials"]
    return float(chance.sum()), float(np.sqrt((chance * (1 - chance)).sum()))


def _of(some: int, all_: int) -> str:
    return f"{some:,} of {all_:,} ({some / all_:.0%})"


def smallest_first(table: pd.DataFrame) -> pd.DataFrame:
    """Order clusters by their trials, then by the rarer of their two outcomes."""
    rarer = np.minimum(table["events"].to_numpy(), table["non_events"].to_numpy())
    return table.iloc[np.lexsort([rarer, table["trials"].to_numpy()])]
