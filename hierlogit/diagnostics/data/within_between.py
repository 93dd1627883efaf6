"""Which predictors vary within clusters, which between them, and which do both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...design.design import Design
from ...design.grouping import GroupBlock
from ...fits.findings import Finding
from ...validation import quoted_list
from .variance_within import Parts, cluster_means, spanned, varies_within

FloatArray = npt.NDArray[np.float64]

#: Share of a predictor's variance between clusters from which on it is told, and level of the test that there is any.
BETWEEN_SHARE, LEVEL = 0.05, 0.01
#: With fewer degrees of freedom between clusters, normal intervals of effects of clusters are too narrow.
FEW_DEGREES = 10


@dataclass(frozen=True)
class Levels:
    """Where the fixed-effect columns vary, as one grouping factor sees it.

    Attributes
    ----------
    group : GroupBlock
    varies_in : ndarray of int, shape (p,)
        Clusters in which each column takes more than one value.
    parts : Parts
        Variance of each column between clusters and within.
    """

    group: GroupBlock
    varies_in: npt.NDArray[np.int64]
    parts: Parts

    @classmethod
    def of(cls, design: Design, group: GroupBlock) -> Levels:
        """Look at the columns of a design."""
        return cls(group, varies_within(design.X, group).sum(axis=0), Parts.of(design.X, group))

    @property
    def of_clusters(self) -> npt.NDArray[np.intp]:
        """Columns that are the same in all rows of every cluster, the intercept among them."""
        return np.flatnonzero(self.varies_in == 0)

    def names_of_clusters(self, design: Design) -> list[str]:
        """Labels of these columns, the intercept left out."""
        return [design.fixed_effects[k] for k in self.of_clusters if design.fixed_effects[k] != "Intercept"]


def level_table(design: Design, levels: list[Levels]) -> pd.DataFrame:
    """One row for each fixed-effect column: its term, its sd, and where it varies."""
    table = pd.DataFrame(
        {"term": design.fixed_terms, "sd": design.X.std(axis=0, ddof=1)},
        index=pd.Index(design.fixed_effects, name="column"),
    )
    for one in levels:
        name = one.group.result_name
        table[f"varies_in_{name}"], table[f"between_{name}"] = one.varies_in, one.parts.share
    return table


def level_findings(design: Design, levels: Levels) -> Iterator[Finding]:
    """Say what clusters have in common, and offer to part what varies at both levels."""
    yield from _few_degrees(design, levels)
    yield from _both_levels(design, levels)


def _few_degrees(design: Design, levels: Levels) -> Iterator[Finding]:
    names, group = levels.names_of_clusters(design), levels.group
    clusters = len(group.levels)
    degrees = clusters - len(levels.of_clusters)
    if not names or degrees >= FEW_DEGREES:
        return
    if degrees <= 0 and "Intercept" in group.effects:
        yield Finding(
            "intercept_not_identified",
            "error",
            f"{quoted_list(names)} and the intercept tell all {clusters:,} clusters of '{group.name}' apart: nothing "
            "is left that random intercepts could explain.",
            f"Take (1 | {group.name}) or these terms out of the formula.",
        )
        return
    yield Finding(
        "few_clusters_for_predictors",
        "note",
        f"{quoted_list(names)} {'is' if len(names) == 1 else 'are'} the same in all rows of each cluster of "
        f"'{group.name}'. With {clusters:,} clusters that leaves {degrees} degrees of freedom between clusters.",
        "Standard errors and Wald intervals of these effects are too small: prefer profile intervals, the bootstrap or "
        "NUTS, and leave out what was not meant from the start.",
    )


def _both_levels(design: Design, levels: Levels) -> Iterator[Finding]:
    terms = _first_terms(design)
    found = {name: term for name, term in terms.items() if _at_both_levels(design, levels, term)}
    if not found:
        return
    shares = ", ".join(f"'{name}' ({_share(design, levels, term):.0%})" for name, term in found.items())
    written = next(filter(None, (_split(design, name, levels.group) for name in found)), _ANY_SPLIT)
    yield Finding(
        "within_and_between",
        "note",
        f"{shares} {'varies' if len(found) == 1 else 'vary'} both within and between the clusters of "
        f"'{levels.group.name}' (in brackets the share of variance between). One coefficient then averages the effect "
        "within clusters and the relation between them.",
        f"If the two may differ, part them in the formula{', as in' if len(found) > 1 else ':'} {written}.",
    )


_ANY_SPLIT = "within(x, g) + between(x, g), with x of numbers or 0 and 1, and g a column of the clusters"


def predictors_of(design: Design, term: str) -> list[str]:
    """Columns of the table that a term is made of; those that make clusters do not count, as in ``between(x, g)``."""
    clusters = {column for group in design.groups for column in group.columns}
    return [name for name in design.predictors if name not in clusters and _mentions(term, name)]


def _mentions(term: str, name: str) -> bool:
    """Whether a term uses a column.

    Examples
    --------
    >>> _mentions("I(age ** 2)", "age"), _mentions("np.log(woman_age)", "age")
    (True, False)
    """
    return re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.(])", term) is not None


def _first_terms(design: Design) -> dict[str, str]:
    """For each predictor the first term of the fixed part that is made of it alone."""
    first: dict[str, str] = {}
    for term in dict.fromkeys(design.fixed_terms):
        used = predictors_of(design, term)
        if len(used) == 1:
            first.setdefault(used[0], term)
    return first


def _columns_of(design: Design, term: str) -> list[int]:
    return [k for k, owner in enumerate(design.fixed_terms) if owner == term]


def _share(design: Design, levels: Levels, term: str) -> float:
    chosen, parts = _columns_of(design, term), levels.parts
    between, within = parts.between[chosen].sum(), parts.within[chosen].sum()
    return float(between / (between + within)) if between + within > 0 else 0.0


def _at_both_levels(design: Design, levels: Levels, term: str) -> bool:
    chosen = _columns_of(design, term)
    if not levels.varies_in[chosen].any() or not _share(design, levels, term) >= BETWEEN_SHARE:
        return False
    if levels.parts.p_value[chosen].min() >= LEVEL / len(chosen):
        return False
    # With the cluster means in the formula, by between() or as columns of the table, the two are parted already.
    means = cluster_means(design.X[:, chosen], levels.group)
    known = cluster_means(design.X[:, levels.of_clusters], levels.group)
    return not spanned(means, known)


def _split(design: Design, name: str, group: GroupBlock) -> str:
    """The split of a predictor as a formula has it; none where its or the clusters' values are not in one column."""
    frame = design.table.frame
    clusters = next((column for column in group.columns if frame[column].nunique() == len(group.levels)), None)
    levels = list(frame[name].cat.categories) if isinstance(frame[name].dtype, pd.CategoricalDtype) else []
    if clusters is None or len(levels) > 2:
        return ""
    written, by = (one if one.isidentifier() else f"`{one}`" for one in (name, clusters))
    written += f" == {levels[-1]!r}" if levels else ""
    return f"within({written}, {by}) + between({written}, {by})"
