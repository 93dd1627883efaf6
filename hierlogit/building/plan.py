"""The plan of a build-up: rows, levels and fixed effects of the largest model, and the formulas of smaller ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..design.design import Collinear, Design
from ..design.grouping import GroupBlock
from ..design.table import Missing
from ..design.table_sources import read_table
from ..diagnostics.data.nesting import Relation, relations
from ..errors import ModelError
from ..formula.parser import parse
from ..model import Model
from ..model_spec import ModelSpec
from ..validation import kind_of, listed, quoted_list, shortened


@dataclass(frozen=True)
class Slope:
    """A random slope.

    Attributes
    ----------
    term : str
        A term as formulas write it, with all its columns.
    group : str
        The grouping factor over whose clusters it varies.
    correlated : bool
        Whether it may be correlated with the other effects of the clusters.
    """

    term: str
    group: str
    correlated: bool = True

    def __str__(self) -> str:
        return f"{self.term} {'|' if self.correlated else '||'} {self.group}"


@dataclass(frozen=True)
class Structure:
    """What a model of a build-up contains besides the intercept.

    Attributes
    ----------
    levels : tuple of str
        Grouping factors with random intercepts.
    predictors : bool
        Whether it has the fixed effects.
    slopes : tuple of Slope
    """

    levels: tuple[str, ...] = ()
    predictors: bool = False
    slopes: tuple[Slope, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The largest model of a build-up, from which all others are made.

    Attributes
    ----------
    largest : ModelSpec
        The formula as given, whose rows are those of all models, so that their likelihoods can be compared.
    """

    largest: ModelSpec

    @classmethod
    def of(
        cls,
        formula: str,
        data: Any,
        clusters: str | Sequence[str] | None,
        *,
        missing: Missing,
        collinear: Collinear,
        namespace: Mapping[str, Any] | None,
    ) -> Plan:
        """The plan for a formula and a table.

        Raises
        ------
        ModelError
            If there are no clusters, they are given twice, or the fixed part has no intercept.
        """
        parsed, frame = parse(formula), read_table(data)
        if clusters is not None:
            if parsed.random:
                raise ModelError(
                    f"the formula has random terms ({', '.join(term.text for term in parsed.random)}), and clusters= "
                    "gives clusters too: leave one of the two out."
                )
            formula = " + ".join([formula, *(f"(1 | {one})" for one in _cluster_texts(clusters, list(frame.columns)))])
        elif not parsed.random:
            raise ModelError(
                f"there are no clusters. Write them into the formula, {parsed.line} + (1 | cluster), or pass their "
                "columns: clusters=['school', 'class']."
            )
        largest = ModelSpec(formula, frame, missing=missing, collinear=collinear, namespace=namespace)
        if not largest.design.has_intercept:
            raise ModelError(
                f"the fixed part '{largest.formula.fixed}' has no intercept, with which a build-up begins: leave the "
                "0 or -1 out of the formula."
            )
        return cls(largest)

    @property
    def design(self) -> Design:
        """The design of the largest model."""
        return self.largest.design

    @cached_property
    def levels(self) -> tuple[GroupBlock, ...]:
        """The grouping factors, the highest first: a factor has at least as many clusters as one in which it lies."""
        return tuple(sorted(self.design.groups, key=lambda group: len(group.levels)))

    @cached_property
    def relations(self) -> list[Relation]:
        """How every two grouping factors are related."""
        return relations(self.levels)

    def group(self, name: str) -> GroupBlock:
        """The grouping factor of that name."""
        return next(group for group in self.levels if group.name == name)

    @property
    def predictors(self) -> str:
        """The fixed part without intercept and offsets, as text; empty if there is nothing else."""
        terms = [term for term in dict.fromkeys(self.design.fixed_terms) if term != "Intercept"]
        return self.largest.formula.fixed if terms else ""

    @cached_property
    def slopes(self) -> tuple[Slope, ...]:
        """The random slopes in question, level by level.

        Those of the formula if it has any; otherwise each term of the fixed part that is no interaction, for each
        grouping factor.
        """
        return self._written or tuple(
            Slope(_as_written(term, self.design), group.name)
            for group in self.levels
            for term, parts in self._parts.items()
            if len(parts) == 1
        )

    @cached_property
    def interactions(self) -> dict[Slope, tuple[str, ...]]:
        """Slopes of interactions, level by level, with the terms beside whose slopes they are in question.

        These are the parts of the interaction and the lower interactions of the fixed part; without their slopes, those
        of the interaction would depend on where the predictors have their zero. There are none if the formula has
        slopes.
        """
        if self._written:
            return {}
        return {
            Slope(term, group.name): (
                *parts,
                *(low for low, some in self._parts.items() if 1 < len(some) < len(parts) and set(some) < set(parts)),
            )
            for group in self.levels
            for term, parts in self._parts.items()
            if len(parts) > 1
        }

    @cached_property
    def _written(self) -> tuple[Slope, ...]:
        """The slopes that the formula has."""
        return tuple(slope for group in self.levels for slope in _slopes_of(group, self.design))

    @cached_property
    def _parts(self) -> dict[str, tuple[str, ...]]:
        """Terms of the fixed part with the terms whose interaction they are, or themselves."""
        columns = zip(self.design.fixed_terms, self.design.fixed_parts, strict=True)
        return {term: tuple(part.component for part in parts) for term, parts in columns if term != "Intercept"}

    def formula(self, structure: Structure) -> str:
        """The formula of a model of the build-up."""
        offsets = self.design.offset_terms
        fixed = self.largest.formula.fixed if structure.predictors else " + ".join(["1", *offsets])
        random = (self._random(level, structure.slopes) for level in structure.levels)
        return f"{self.largest.formula.response.text} ~ {' + '.join([fixed, *random])}"

    def model(self, structure: Structure) -> Model:
        """A model of the build-up, of the rows of the largest one."""
        return Model.from_parts(
            self.formula(structure),
            self.design.table,
            namespace=dict(self.largest.namespace) or None,
            family=self.largest.family,
        )

    def _random(self, level: str, slopes: Sequence[Slope]) -> str:
        own = [slope for slope in slopes if slope.group == level]
        bars = "||" if any(not slope.correlated for slope in own) else "|"
        clusters = ":".join(map(in_formula, self.group(level).columns))
        return f"({' + '.join(['1', *(slope.term for slope in own)])} {bars} {clusters})"


def in_formula(name: str) -> str:
    """The name of a column as formulas write it."""
    return name if name.isidentifier() else f"`{name}`"


def column_name(term: str) -> str:
    """The name of a term in a design, which has no backticks."""
    return term.strip("`")


def _cluster_texts(clusters: str | Sequence[str], columns: Sequence[str]) -> Iterator[str]:
    """Each of the clusters as the right-hand side of a random term, for a table with these columns."""
    given = [clusters] if isinstance(clusters, str) else listed(clusters)
    if not given or not all(isinstance(one, str) and one.strip() for one in given):
        raise ModelError(
            f"clusters={shortened(clusters)} ({kind_of(clusters)}) names no clusters; pass a column or a list of "
            "them, clusters=['school', 'class'], or factors as in a random term, clusters='school/class'."
        )
    if len(set(given)) < len(given):
        raise ModelError(f"clusters= names the same clusters twice: {quoted_list(given)}.")
    for one in given:
        # What joins columns is written as in a formula; anything else is a column, which an error can name.
        yield one if one not in columns and re.search(r"[/:`]", one) else in_formula(one)


def _slopes_of(group: GroupBlock, design: Design) -> Iterator[Slope]:
    """The slopes that the random terms of a factor have."""
    intercept = group.effects.index("Intercept") if "Intercept" in group.effects else None
    for term in dict.fromkeys(term for term in group.terms if term != "Intercept"):
        first = group.terms.index(term)
        apart = intercept is not None and (min(intercept, first), max(intercept, first)) not in group.correlated_pairs
        yield Slope(_as_written(term, design), group.name, correlated=not apart)


def _as_written(term: str, design: Design) -> str:
    return in_formula(term) if term in design.table.frame.columns else term
