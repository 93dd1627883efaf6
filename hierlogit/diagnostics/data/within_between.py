"""Which predictors vary within clusters, between clusters, or both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...design.design import Design
from ...design.grouping import GroupBlock
from ...design.row_counts import standard_deviations
from ...fits.findings import Finding
from ...validation import quoted_list
from .variance_within import Parts, cluster_means, spanned

FloatArray = npt.NDArray[np.float64]

#: A predictor also varies between clusters if the share of variance between them is at least this, and significant.
BETWEEN_SHARE, LEVEL = 0.05, 0.01
#: With fewer degrees of freedom between clusters, normal intervals for cluster-level predictors are too narrow.
FEW_DEGREES = 10


@dataclass(frozen=True)
class Levels:
    """Where the fixed-effect columns vary, for one grouping factor.

    Attributes
    ----------
    group : GroupBlock
    varies_in : ndarray of int, shape (p,)
        Number of clusters in which each column takes more than one value.
    parts : Parts
        Variance of each column between clusters and within.
    """

    group: GroupBlock
    varies_in: npt.NDArray[np.int64]
    parts: Parts

    @classmethod
    def of(cls, design: Design, group: GroupBlock) -> Levels:
        """Of the columns of a design."""
        return cls(group, group.varies_within(design.X).sum(axis=0), Parts.of(design.X, group))

    @property
    def of_clusters(self) -> npt.NDArray[np.intp]:
        """Columns that are constant within every cluster, including the intercept."""
        return np.flatnonzero(self.varies_in == 0)

    def names_of_clusters(self, design: Design) -> list[str]:
        """Labels of these columns, without the intercept."""
        return [design.fixed_effects[k] for k in self.of_clusters if design.fixed_effects[k] != "Intercept"]


def level_table(design: Design, levels: list[Levels]) -> pd.DataFrame:
    """One row for each fixed-effect column: its term, its sd (missing with a single row), and where it varies."""
    several = len(design.X) > 1
    table = pd.DataFrame(
        {
            "term": design.fixed_terms,
            "sd": standard_deviations(design.X, design.table.row_counts) if several else np.nan,
        },
        index=pd.Index(design.fixed_effects, name="column"),
    )
    for one in levels:
        name = one.group.result_name
        table[f"varies_in_{name}"], table[f"between_{name}"] = one.varies_in, one.parts.share
    return table


def level_findings(design: Design, levels: Levels) -> Iterator[Finding]:
    """Findings about cluster-level predictors, and about predictors that vary at both levels."""
    yield from _few_degrees(design, levels)
    yield from _both_levels(design, levels)


def _few_degrees(design: Design, levels: Levels) -> Iterator[Finding]:
    names, group = levels.names_of_clusters(design), levels.group
    clusters = len(group.levels)
    degrees = clusters - len(levels.of_clusters)
    saturated = degrees <= 0 and "Intercept" in group.effects  # a finding of its own
    if not names or degrees >= FEW_DEGREES or saturated:
        return
    yield Finding(
        "few_clusters_for_predictors",
        "note",
        f"{quoted_list(names)} {'is' if len(names) == 1 else 'are'} constant within the clusters of '{group.name}'. "
        f"With {clusters:,} clusters, this leaves {degrees} degrees of freedom between clusters.",
        "Standard errors of these effects are too small and Wald intervals too narrow: prefer profile intervals, the "
        "bootstrap or NUTS, and leave out predictors that were not planned from the start.",
    )


def _both_levels(design: Design, levels: Levels) -> Iterator[Finding]:
    terms = _first_terms(design)
    both = {name: term for name, term in terms.items() if _at_both_levels(design, levels, term)}
    if not both:
        return
    shares = ", ".join(f"'{name}' ({_share(design, levels, term):.0%})" for name, term in both.items())
    split = next(filter(None, (_split(design, name, levels.group) for name in both)), _ANY_SPLIT)
    yield Finding(
        "within_and_between",
        "note",
        f"{shares} {'varies' if len(both) == 1 else 'vary'} both within and between the clusters of "
        f"'{levels.group.name}' (share of variance between in brackets). One coefficient then averages the effects "
        "within and between clusters.",
        f"If the two may differ, separate them in the formula{', as in' if len(both) > 1 else ':'} {split}.",
    )


_ANY_SPLIT = "within(x, g) + between(x, g), with x of numbers or 0 and 1, and g a column of the clusters"


def predictors_of(design: Design, term: str) -> list[str]:
    """Columns of the table that a term uses, without those that define clusters, as the second in ``between(x, g)``."""
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
    """For each predictor, the first term of the fixed part that uses it alone."""
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
    # If the formula has the cluster means, by between() or as columns of the table, the two are separate already.
    means = cluster_means(design.X[:, chosen], levels.group)
    known = cluster_means(design.X[:, levels.of_clusters], levels.group)
    return not spanned(means, known)


def _split(design: Design, name: str, group: GroupBlock) -> str:
    """The formula that splits a predictor; empty if it has more than two levels or the clusters are not one column."""
    frame = design.table.frame
    clusters = next((column for column in group.columns if frame[column].nunique() == len(group.levels)), None)
    levels = list(frame[name].cat.categories) if isinstance(frame[name].dtype, pd.CategoricalDtype) else []
    if clusters is None or len(levels) > 2:
        return ""
    written, by = (one if one.isidentifier() else f"`{one}`" for one in (name, clusters))
    written += f" == {levels[-1]!r}" if levels else ""
    return f"within({written}, {by}) + between({written}, {by})"
