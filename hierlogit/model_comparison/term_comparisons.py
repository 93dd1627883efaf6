"""For every term of a model, the two nested models whose comparison tests it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .nesting import Difference, difference
from .restricted_model import Kept, RestrictedModel

if TYPE_CHECKING:
    from ..design.column_parts import Parts
    from ..design.design import Design
    from ..model_spec import ModelSpec

#: The term that stands for all effects of a grouping factor.
ALL_EFFECTS = "all effects"


@dataclass(frozen=True)
class TermComparison:
    """A term, and the models with and without it.

    A term that others contain, as ``x:z`` contains ``x`` and a slope contains the intercept, is tested between models
    without these others, since the meaning of its coefficients depends on how theirs are coded (type II; Fox 2016,
    Applied Regression Analysis and Generalized Linear Models, section 8.2).

    Attributes
    ----------
    component : str
        ``"fixed"``, or the grouping factor of a random effect.
    term : str
        The term, or `ALL_EFFECTS` of the grouping factor.
    smaller, larger : Kept
        Effects of the two models.
    without : tuple of str
        The terms that contain this one, which both models lack.
    """

    component: str
    term: str
    smaller: Kept
    larger: Kept
    without: tuple[str, ...]

    @property
    def names(self) -> dict[str, str]:
        """The columns of tables that say what is tested."""
        return {"term": self.term, "component": self.component, "without": ", ".join(self.without)}

    @property
    def label(self) -> str:
        """The term as in a formula: ``age``, ``age | district``."""
        return self.term if self.component == "fixed" else f"{self.term} | {self.component}"

    @property
    def tested(self) -> tuple[int, ...]:
        """Positions of the tested fixed effects among those of the larger model; none for random effects."""
        return tuple(place for place, k in enumerate(self.larger.fixed) if k not in self.smaller.fixed)


def difference_of(model: ModelSpec, comparison: TermComparison) -> Difference:
    """The parameters that the smaller model of a comparison lacks."""
    smaller, larger = (RestrictedModel(model, kept).design for kept in (comparison.smaller, comparison.larger))
    return difference(smaller, larger)


def term_comparisons(design: Design) -> tuple[TermComparison, ...]:
    """The comparisons for the terms of the fixed part, except the intercept, and for those of each grouping factor.

    A grouping factor with several terms also has one for all of them together.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ age * urban + (1 + urban | district)", hl.datasets.load("contraception"))
    >>> [(one.label, one.without) for one in term_comparisons(model.design)][:3]
    [('age', ('age:urban',)), ('urban', ('age:urban',)), ('age:urban', ())]
    >>> [(one.label, one.without) for one in term_comparisons(model.design)][3:]
    [('Intercept | district', ('urban',)), ('urban | district', ()), ('all effects | district', ())]
    """
    return (*_of_fixed_part(design), *_of_grouping_factors(design))


def _of_fixed_part(design: Design) -> Iterator[TermComparison]:
    whole = Kept.all_of(design)
    for term, own, others, containing in _divided(design.fixed_terms, design.fixed_parts):
        if term != "Intercept":
            larger = Kept(tuple(sorted(own + others)), whole.random)
            yield TermComparison("fixed", term, Kept(others, whole.random), larger, containing)


def _of_grouping_factors(design: Design) -> Iterator[TermComparison]:
    whole, parts = Kept.all_of(design), iter(design.varying_parts)
    for place, group in enumerate(design.groups):

        def with_effects(effects: tuple[int, ...], place: int = place) -> Kept:
            return Kept(whole.fixed, (*whole.random[:place], effects, *whole.random[place + 1 :]))

        of_group = [next(parts) for _ in group.effects]
        for term, own, others, containing in _divided(group.terms, of_group):
            larger = with_effects(tuple(sorted(own + others)))
            yield TermComparison(group.name, term, with_effects(others), larger, containing)
        if len(set(group.terms)) > 1:
            yield TermComparison(group.name, ALL_EFFECTS, with_effects(()), whole, ())


def _divided(
    terms: Sequence[str], parts: Sequence[Parts]
) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...], tuple[str, ...]]]:
    """For each term: its columns, those of the terms that do not contain it, and the terms that do."""
    components = {
        term: frozenset(part.component for part in of_column) for term, of_column in zip(terms, parts, strict=True)
    }
    for term, inside in components.items():
        containing = tuple(other for other, of_other in components.items() if of_other > inside)
        own = tuple(k for k, name in enumerate(terms) if name == term)
        yield (
            term,
            own,
            tuple(k for k, name in enumerate(terms) if name != term and name not in containing),
            containing,
        )
