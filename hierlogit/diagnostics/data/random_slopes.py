"""How many clusters are informative about each random effect."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...design.design import Design
from ...design.grouping import GroupBlock
from ...fits.findings import Finding
from ...validation import quoted_list
from .cluster_sizes import FEW
from .variance_within import spanned


def effect_table(design: Design) -> pd.DataFrame:
    """One row for each random effect: in how many clusters there is information, and whether it has a fixed effect."""
    rows = [
        (group.name, effect, len(group.levels), int(count), spanned(group.Z[:, [k]], design.X))
        for group in design.groups
        for k, (effect, count) in enumerate(zip(group.effects, group.informed.sum(axis=0), strict=True))
    ]
    return pd.DataFrame(rows, columns=["factor", "effect", "clusters", "informed_by", "in_fixed_part"])


def slope_findings(group: GroupBlock, effects: pd.DataFrame) -> Iterator[Finding]:
    """Findings about random effects about which few clusters are informative.

    Parameters
    ----------
    group : GroupBlock
    effects : pandas.DataFrame
        From `effect_table`.
    """
    informed = group.informed
    counts = informed.sum(axis=0)
    for k, effect in enumerate(group.effects):
        if 0 < counts[k] < min(FEW, len(group.levels)):
            yield _in_few(group, effect, list(group.levels[informed[:, k]]))
    yield from _uncorrelated(group, informed)
    absent = list(effects.loc[(effects["factor"] == group.name) & ~effects["in_fixed_part"], "effect"])
    if absent:
        yield Finding(
            "missing_fixed_effect",
            "note",
            f"{quoted_list(absent)} {'varies' if len(absent) == 1 else 'vary'} over the clusters of '{group.name}' but "
            f"{'is' if len(absent) == 1 else 'are'} not in the fixed part: the effects are assumed to have a mean of "
            "zero, and any other mean inflates their sd.",
            "Add it to the fixed part, unless a mean of zero is intended.",
        )


def _in_few(group: GroupBlock, effect: str, names: list[object]) -> Finding:
    what = "varies" if "Intercept" in group.effects else "is other than zero"
    return Finding(
        "slope_in_few_clusters",
        "warning",
        f"'{effect}' {what} in {len(names):,} of the {len(group.levels):,} clusters of '{group.name}' only "
        f"({quoted_list(names)}): the sd of its slopes and their correlations depend on these.",
        "Leave the slope out of the random term, or use NUTS with a prior for its sd that you can defend.",
    )


def _uncorrelated(group: GroupBlock, informed: npt.NDArray[np.bool_]) -> Iterator[Finding]:
    """Findings about correlations of effects about which no cluster is informative jointly."""
    counts = informed.sum(axis=0)
    apart = [
        (i, j)
        for i, j in group.correlated_pairs
        if counts[i] and counts[j] and not np.any(informed[:, i] & informed[:, j])
    ]
    if apart:
        named = "; ".join(f"'{group.effects[i]}' and '{group.effects[j]}'" for i, j in apart)
        yield Finding(
            "correlation_not_identified",
            "warning",
            f"No cluster of '{group.name}' is informative about both {named}: their correlation cannot be estimated.",
            f"Write the random term with two bars, (... || {group.name}), which has no correlations.",
        )
