"""How grouping factors are related: nested, crossed, or identical."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ...design.grouping import GroupBlock
from ...fits.findings import Finding
from ...validation import agree, number_of, quoted_list
from .cluster_sizes import FEW, VERY_FEW

#: If no more than this fraction of a factor's clusters lie in several clusters of another, labels may be mistakes.
STRAYING = 0.05


@dataclass(frozen=True)
class Relation:
    """How the clusters of two grouping factors are related.

    Attributes
    ----------
    factor, other : str
        The inner factor first, if they are nested.
    kind : {"nested", "crossed", "same"}
    combinations : int
        Pairs of a cluster of one and a cluster of the other that have rows.
    possible : int
        All pairs.
    shared : int
        Clusters of `other` with rows of at least two clusters of `factor`.
    strays : tuple
        Labels of the clusters of `factor` with rows of at least two clusters of `other`.
    several : int
        Clusters of `factor` with at least two rows.
    differences : int
        Independent differences between clusters of `factor` within the same cluster of `other`: what is known of the
        variance of a nested factor apart from that of the outer one.
    """

    factor: str
    other: str
    kind: str
    combinations: int
    possible: int
    shared: int
    strays: tuple[Any, ...]
    several: int
    differences: int

    def __str__(self) -> str:
        if self.kind == "same":
            return f"the same clusters as {self.other}"
        if self.kind == "nested":
            return f"nested in {self.other}, {self.shared:,} of whose clusters contain two or more"
        if self.combinations == self.possible:
            return f"crossed with {self.other}, in all {self.possible:,} combinations"
        return f"crossed with {self.other}, in {self.combinations:,} of {self.possible:,} combinations"


def relations(groups: Sequence[GroupBlock]) -> list[Relation]:
    """Compare every two factors of a design."""
    return [_relation(one, other) for one, other in combinations(groups, 2)]


def _relation(one: GroupBlock, other: GroupBlock) -> Relation:
    of_one, of_other = one.overlaps(other), other.overlaps(one)
    if (of_other > 1).mean() < (of_one > 1).mean():  # the second is the inner one, or nearly
        return _relation(other, one)
    inner, outer = one.nested_in(other), other.nested_in(one)
    kind = "crossed" if not inner else "same" if outer else "nested"
    strays = tuple(one.levels[of_one > 1].tolist())
    several = int((np.bincount(one.index) > 1).sum())
    shared, possible = int((of_other > 1).sum()), len(one.levels) * len(other.levels)
    differences = int((of_other - 1).sum())
    return Relation(one.name, other.name, kind, int(of_one.sum()), possible, shared, strays, several, differences)


def relation_table(related: Sequence[Relation]) -> pd.DataFrame:
    """One row for each pair of factors, with a column ``description`` in words."""
    columns = ["factor", "other", "kind", "combinations", "possible", "shared"]
    table = pd.DataFrame([[getattr(one, name) for name in columns] for one in related], columns=columns)
    return table.assign(description=[str(one) for one in related])


def relation_findings(related: Sequence[Relation]) -> Iterator[Finding]:
    """Findings about factors whose variances can hardly be separated, and about labels that may be mistakes."""
    for one in related:
        if one.kind == "nested" and one.differences < FEW:
            yield _weakly_nested(one)
        elif one.kind == "crossed" and len(one.strays) <= STRAYING * one.several:
            yield _almost_nested(one)


def _weakly_nested(one: Relation) -> Finding:
    return Finding(
        "weakly_nested",
        "warning" if one.differences < VERY_FEW else "note",
        f"Only {number_of(one.shared, 'cluster')} of '{one.other}' {agree(one.shared, 'contains', 'contain')} two or "
        f"more clusters of '{one.factor}', with {number_of(one.differences, 'difference')} between them in all: the "
        "variances between the clusters of the two can hardly be separated.",
        "Keep one of the two in the random terms, or interpret only the sum of their variances.",
    )


def _almost_nested(one: Relation) -> Finding:
    return Finding(
        "almost_nested",
        "note",
        f"'{one.factor}' is almost nested in '{one.other}': {len(one.strays):,} of its {one.several:,} clusters with "
        f"two rows or more lie in several clusters of '{one.other}': {quoted_list(one.strays)}.",
        f"Check their labels. If a label denotes different clusters in different clusters of '{one.other}', write "
        f"(1 | {one.other}:{one.factor}).",
    )
