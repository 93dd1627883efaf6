"""Model → sentences: what is modelled, what each coefficient is, how clusters come in, what is assumed beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..density.variables import GroupVariables, ModelVariables, model_variables
from ..display import Facts, Shown, View
from ..priors.families import Decov
from .column_sources import Factor, Source, plain_table, sources

if TYPE_CHECKING:
    from ..model_spec import ModelSpec


@dataclass(frozen=True, repr=False)
class Paragraph(Shown):
    """Some sentences on one part of a model.

    Attributes
    ----------
    title : str
    sentences : str
        Names of the data and of results stand between backticks.
    points : tuple of (str, str)
        A name and what is said of it, each.
    """

    title: str
    sentences: str
    points: tuple[tuple[str, str], ...] = ()

    def facts(self) -> Facts:
        """For views."""
        points = tuple((name, said.replace("`", "")) for name, said in self.points)
        return Facts(points, f"{self.title}: {self.sentences}".replace("`", ""), ".words")

    def _view(self) -> View:
        return View("", (self.facts(),))

    def plain(self) -> str:
        """As lines of text."""
        lines = [f"{self.title}: {self.sentences}".replace("`", "")]
        width = max((len(name) for name, _ in self.points), default=0)
        return "\n".join([*lines, *(f"  {name:<{width}}  {said}".replace("`", "") for name, said in self.points)])


def words(model: ModelSpec) -> tuple[Paragraph, ...]:
    """Say a model in words.

    Parameters
    ----------
    model : hierlogit.Model

    Returns
    -------
    tuple of Paragraph
        The outcome, the fixed effects, one for each grouping factor, and the priors.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"))
    >>> for paragraph in words(model):
    ...     print(paragraph.title)
    Outcome
    Fixed effects
    Clusters of ID
    Priors
    """
    table, variables = plain_table(model.design.table.frame), model_variables(model)
    parts = [_outcome(model)]
    if model.design.fixed_effects:
        parts.append(_fixed(model, table))
    parts += [_clusters(model, of_group) for of_group in variables.groups]
    return (*parts, _priors(model, variables))


def _outcome(model: ModelSpec) -> Paragraph:
    outcome, n = model.design.outcome, model.design.n_rows
    events, trials = f"{outcome.y.sum():,.0f}", f"{outcome.trials.sum():,.0f}"
    if outcome.binomial:
        seen = f"Each of {n:,} rows counts `{outcome.event}`, in all {events} of {trials} trials. Every trial of a row"
    else:
        seen = f"In {events} of {trials} rows the event is seen, `{outcome.event}`. Every row"
    return Paragraph(
        "Outcome",
        f"{seen} has a probability p of the event. What is added up is its log-odds, log(p / (1 - p)): 0 is a "
        "probability of one half, 1 more multiplies the odds by 2.72.",
    )


def _fixed(model: ModelSpec, table: pd.DataFrame) -> Paragraph:
    design = model.design
    held = sources(design.fixed_effects, design.X, table)
    points = tuple((one.label, _meaning(one, held, model, table)) for one in held)
    where = "in all clusters" if design.groups else "for all rows"
    offset = ", and the offset of the row, whose coefficient is 1" if design.offset.any() else ""
    return Paragraph("Fixed effects", f"The log-odds are a sum of these, the same {where}{offset}.", points)


def _meaning(one: Source, held: Sequence[Source], model: ModelSpec, table: pd.DataFrame) -> str:
    """What a coefficient is, given the others."""
    typical = ", in a typical cluster" if model.design.groups else ""
    if one.label == "Intercept":
        others = "all columns below are 0" if len(held) > 1 else "nothing else is known"
        return f"the log-odds where {others}{typical}"
    if one.code is None:
        return "the change of the log-odds for one more unit of this column of the formula"
    where = _where(one, held, table)
    if len(one.factors) > 1:
        return _interaction(one, held, table) + where
    (factor,) = one.factors
    if factor.level is None:
        return f"the change of the log-odds for one more unit of `{factor.text}`{where}"
    reference = _reference(factor, one, held, table)
    if reference is None:
        return f"the log-odds where `{factor.column}` is {factor.level}{where}{typical}"
    return f"how much higher the log-odds are where {_is(factor)} rather than {reference}{where}"


def _interaction(one: Source, held: Sequence[Source], table: pd.DataFrame) -> str:
    """How a coefficient of fewer factors changes; or whose coefficient it is, if there is none of fewer factors."""
    known = {_texts(other) for other in held}
    for factor in reversed(one.factors):
        if _texts(one) - {factor.text} not in known:
            continue
        of = ":".join(other.text for other in one.factors if other is not factor)
        if factor.level is None:
            return f"how much the coefficient of `{of}` changes for one more unit of `{factor.text}`"
        reference = _reference(factor, one, held, table)
        rather = "" if reference is None else f" rather than {reference}"
        return f"how much higher the coefficient of `{of}` is where {_is(factor)}{rather}"
    numbers = [factor.text for factor in one.factors if factor.level is None]
    levels = _and([_is(factor) for factor in one.factors if factor.level is not None])
    if not numbers:
        return f"the log-odds where {levels}, besides the other columns"
    return f"the coefficient of `{':'.join(numbers)}`" + (f" where {levels}" if levels else "")


def _texts(one: Source) -> frozenset[str]:
    return frozenset(factor.text for factor in one.factors)


def _is(factor: Factor) -> str:
    return f"`{factor.column}` is {factor.level}"


def _reference(factor: Factor, one: Source, held: Sequence[Source], table: pd.DataFrame) -> str | None:
    """The level that `factor` is compared with: the one that no column like `one` indicates, if there is one."""
    rest = _texts(one) - {factor.text}
    named = {
        like.level
        for other in held
        for like in other.factors
        if like.column == factor.column and _texts(other) - {like.text} == rest
    }
    left = [level for level in _levels(table[factor.column]) if level not in named]
    return left[0] if len(left) == 1 else None


def _levels(values: pd.Series[Any]) -> list[str]:
    return [f"{value:g}" if isinstance(value, float) else str(value) for value in values.unique().tolist()]


def _where(one: Source, held: Sequence[Source], table: pd.DataFrame) -> str:
    """Where the others stand that change this coefficient: at 0, or at their reference levels."""
    conditions: dict[str, None] = {}
    for other in held:
        if not _texts(one) < _texts(other):
            continue
        for factor in other.factors:
            if factor.text not in _texts(one):
                conditions[_at_zero(factor, other, held, table)] = None
    return f", where {_and(list(conditions))}" if conditions else ""


def _at_zero(factor: Factor, one: Source, held: Sequence[Source], table: pd.DataFrame) -> str:
    if factor.level is None:
        return f"`{factor.text}` is 0"
    reference = _reference(factor, one, held, table)
    return f"`{factor.column}` is not {factor.level}" if reference is None else f"`{factor.column}` is {reference}"


def _and(parts: Sequence[str]) -> str:
    """Parts of a sentence in a row.

    Examples
    --------
    >>> _and(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = parts or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _clusters(model: ModelSpec, of_group: GroupVariables) -> Paragraph:
    group, sd = of_group.group, of_group.sd.name
    title, J = f"Clusters of {group.name}", len(group.levels)
    if group.effects == ("Intercept",):
        said = (
            f"Each of {J:,} clusters has its own deviation, which is added to the log-odds of all its rows. Deviations "
            f"are normal with mean 0. Their standard deviation `{sd}[Intercept]` is estimated: 0 would mean that "
            "clusters do not differ."
        )
        return Paragraph(title, said)
    known = {"Intercept", *model.design.fixed_effects}
    points = tuple((effect, _deviation(effect, sd, with_mean=effect in known)) for effect in group.effects)
    return Paragraph(title, f"Each of {J:,} clusters has its own {_together(of_group)}", points)


def _deviation(effect: str, sd: str, *, with_mean: bool) -> str:
    what = "of the log-odds of all its rows" if effect == "Intercept" else "of the coefficient of this column"
    mean = "" if with_mean else ", which is 0 on average, since the fixed effects have no such column"
    return f"deviation {what}{mean}; its standard deviation is `{sd}[{effect}]`"


def _together(of_group: GroupVariables) -> str:
    group = of_group.group
    if len(group.effects) == 1:
        return "deviation; deviations are normal with mean 0."
    normal = "deviations, which are normal with mean 0."
    if of_group.cor is None:
        return f"{normal} They do not go together."
    cor = f"`{of_group.cor.name}`"
    if len(group.sets) == 1:
        return f"{normal} They may go together, as {cor} says."
    sets = [_and([f"`{group.effects[i]}`" for i in members]) for members in group.sets if len(members) > 1]
    return f"{normal} Those of {'; those of '.join(sets)} may go together, as {cor} says, and no others."


def _priors(model: ModelSpec, variables: ModelVariables) -> Paragraph:
    fixed = variables.fixed
    centred = fixed is not None and fixed.intercept is not None and fixed.slopes is not None
    points = tuple(
        (label, f"{prior}, where all columns are at their means" if centred and label == "Intercept" else prior)
        for label, prior in model.priors.table(model.design)
    )
    said = "These are assumed before the data are seen. NUTS and MAP use them; Laplace and AGQ do not."
    if any(isinstance(stated.prior, Decov) for of_group in variables.groups for stated in of_group.sd.priors):
        said += " Decov is a Gamma prior of the sds' common size, with a Dirichlet prior of their shares."
    return Paragraph("Priors", said, points)
