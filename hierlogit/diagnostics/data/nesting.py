"""How grouping factors lie to each other: nested, crossed, or the same clusters under two names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ...design.grouping import GroupBlock
from ...fits.findings import Finding
from ...validation import quoted_list
from .cluster_sizes import FEW, VERY_FEW

#: Up to this share of a factor's clusters in several clusters of another, they look like mistakes in the labels.
STRAYING = 0.05


@dataclass(frozen=True)
class Relation:
    """How the clusters of one factor lie to those of another.

    Attributes
    ----------
    factor, other : str
        Of nested ones the inner factor comes first.
    kind : {"nested", "crossed", "same"}
    combinations : int
        Pairs of a cluster of one and a cluster of the other that have rows.
    possible : int
        Pairs that there could be.
    shared : int
        Clusters of `other` that meet two clusters of `factor` or more.
    strays : tuple
        Labels of the clusters of `factor` that meet two clusters of `other` or more.
    several : int
        Clusters of `factor` of two rows or more.
    """

    factor: str
    other: str
    kind: str
    combinations: int
    possible: int
    shared: int
    strays: tuple[Any, ...]
    several: int

    def __str__(self) -> str:
        if self.kind == "same":
            return f"the same clusters as {self.other}"
        if self.kind == "nested":
            return f"nested in {self.other}, {self.shared:,} of whose clusters hold two or more"
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
    return Relation(one.name, other.name, kind, int(of_one.sum()), possible, shared, strays, several)


def relation_table(found: Sequence[Relation]) -> pd.DataFrame:
    """One row for each two factors, with a column ``said`` that tells it in words."""
    columns = ["factor", "other", "kind", "combinations", "possible", "shared"]
    table = pd.DataFrame([[getattr(one, name) for name in columns] for one in found], columns=columns)
    return table.assign(said=[str(one) for one in found])


def relation_findings(found: Sequence[Relation]) -> Iterator[Finding]:
    """Say which factors' standard deviations cannot be told apart, and where labels look mistaken."""
    for one in found:
        if one.kind == "same":
            yield _same(one)
        elif one.kind == "nested" and one.shared < FEW:
            yield _weakly_nested(one)
        elif one.kind == "crossed" and len(one.strays) <= STRAYING * one.several:
            yield _almost_nested(one)


def _same(one: Relation) -> Finding:
    return Finding(
        "identical_factors",
        "error",
        f"'{one.factor}' and '{one.other}' make the same {one.combinations:,} clusters under two names: their "
        "variances cannot be told apart.",
        "Keep one of the two in the random terms.",
    )


def _weakly_nested(one: Relation) -> Finding:
    return Finding(
        "weakly_nested",
        "warning" if one.shared < VERY_FEW else "note",
        f"Only {one.shared:,} clusters of '{one.other}' hold two or more clusters of '{one.factor}': what varies "
        "between the clusters of the one is hardly told from what varies between those of the other.",
        "Keep one of the two in the random terms, or read the sum of their variances only.",
    )


def _almost_nested(one: Relation) -> Finding:
    return Finding(
        "almost_nested",
        "note",
        f"'{one.factor}' is almost nested in '{one.other}': {len(one.strays):,} of its {one.several:,} clusters with "
        f"two rows or more lie in several clusters of '{one.other}': {quoted_list(one.strays)}.",
        f"Check their labels. If a label means different clusters in different clusters of '{one.other}', write "
        f"(1 | {one.other}:{one.factor}).",
    )
