"""Which random effects the rows of clusters tell about: slopes of what does not vary in a cluster, and the like."""

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
from .variance_within import spanned, varies_within


def informed_clusters(block: GroupBlock) -> npt.NDArray[np.bool_]:
    """Whether the rows of each cluster can tell each effect from the cluster's intercept; shape (J, q).

    A slope needs a column that varies in the cluster. In a block without an intercept it needs one that is not zero:
    ``(0 + treated | group)`` is a model of clusters that differ where they are treated.
    """
    if "Intercept" not in block.effects:
        sums = [np.bincount(block.index, weights=np.abs(column), minlength=len(block.levels)) for column in block.Z.T]
        return np.array(sums).T > 0
    informed = varies_within(block.Z, block)
    informed[:, block.effects.index("Intercept")] = True
    return informed


def effect_table(design: Design) -> pd.DataFrame:
    """One row for each random effect: in how many clusters the rows tell of it, and whether the fixed part has it."""
    rows = [
        (block.name, effect, len(block.levels), int(count), spanned(block.Z[:, [k]], design.X))
        for block in design.groups
        for k, (effect, count) in enumerate(zip(block.effects, informed_clusters(block).sum(axis=0), strict=True))
    ]
    return pd.DataFrame(rows, columns=["factor", "effect", "clusters", "informed_by", "in_fixed_part"])


def slope_findings(block: GroupBlock, effects: pd.DataFrame) -> Iterator[Finding]:
    """Say which random effects of a factor cannot be estimated, and of which the clusters tell little.

    Parameters
    ----------
    block : GroupBlock
    effects : pandas.DataFrame
        What `effect_table` returned.
    """
    informed = informed_clusters(block)
    counts = informed.sum(axis=0)
    constant = [effect for effect, count in zip(block.effects, counts, strict=True) if count == 0]
    if constant:
        yield _not_identified(block, constant)
    for k, effect in enumerate(block.effects):
        if 0 < counts[k] < min(FEW, len(block.levels)):
            yield _in_few(block, effect, list(block.levels[informed[:, k]]))
    yield from _uncorrelated(block, informed)
    absent = list(effects.loc[(effects["factor"] == block.name) & ~effects["in_fixed_part"], "effect"])
    if absent:
        yield Finding(
            "missing_fixed_effect",
            "note",
            f"{quoted_list(absent)} {'varies' if len(absent) == 1 else 'vary'} over the clusters of '{block.name}' but "
            f"{'is' if len(absent) == 1 else 'are'} not in the fixed part: the clusters' effects then have a mean of "
            "zero, which goes into their sd if it is not so.",
            "Add it to the fixed part, unless zero is meant.",
        )


def _not_identified(block: GroupBlock, effects: list[str]) -> Finding:
    one = len(effects) == 1
    return Finding(
        "slope_not_identified",
        "error",
        f"{quoted_list(effects)} {'is' if one else 'are'} constant in every one of the {len(block.levels):,} "
        f"clusters of '{block.name}': within a cluster {'its slope' if one else 'their slopes'} cannot be told from "
        "the intercept.",
        f"Leave {'it' if one else 'them'} out of the random term of '{block.name}'; in the fixed part the effect can "
        "be estimated. A slope over the clusters of another factor, within which it varies, may be what is meant.",
    )


def _in_few(block: GroupBlock, effect: str, names: list[object]) -> Finding:
    what = "varies" if "Intercept" in block.effects else "is other than zero"
    return Finding(
        "slope_in_few_clusters",
        "warning",
        f"'{effect}' {what} in {len(names):,} of the {len(block.levels):,} clusters of '{block.name}' only "
        f"({quoted_list(names)}): the sd of its slopes and their correlations rest on these.",
        "Leave the slope out of the random term, or use NUTS with a prior of its sd that you can defend.",
    )


def _uncorrelated(block: GroupBlock, informed: npt.NDArray[np.bool_]) -> Iterator[Finding]:
    """Correlations of effects that no cluster tells of together."""
    counts = informed.sum(axis=0)
    apart = [
        (i, j)
        for i, j in block.correlated_pairs
        if counts[i] and counts[j] and not np.any(informed[:, i] & informed[:, j])
    ]
    if apart:
        named = "; ".join(f"'{block.effects[i]}' and '{block.effects[j]}'" for i, j in apart)
        yield Finding(
            "correlation_not_identified",
            "warning",
            f"No cluster of '{block.name}' tells of both {named}: the data do not know the correlation.",
            f"Write the random term with two bars, (... || {block.name}), which has none.",
        )
