"""A model in sentences: the outcome, the meaning of each coefficient, the clusters and the priors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..density.variables import GroupVariables, ModelVariables, model_variables
from ..design.rank import DroppedColumn, reasons
from ..display import Facts, Shown, View
from ..priors.families import Decov
from ..validation import agree
from .coefficients import listed, meanings

if TYPE_CHECKING:
    from ..model_spec import ModelSpec


@dataclass(frozen=True, repr=False)
class Paragraph(Shown):
    """Sentences about a part of a model.

    Attributes
    ----------
    title : str
    sentences : str
        Names from the data and from results are between backticks.
    points : tuple of (str, str)
        Names with their descriptions.
    """

    title: str
    sentences: str
    points: tuple[tuple[str, str], ...] = ()

    def facts(self) -> Facts:
        """The paragraph as a part of a view."""
        points = tuple((name, text.replace("`", "")) for name, text in self.points)
        return Facts(points, f"{self.title}: {self.sentences}".replace("`", ""), ".words")

    def _view(self) -> View:
        return View("", (self.facts(),))

    def plain(self) -> str:
        """The paragraph as plain text."""
        lines = [f"{self.title}: {self.sentences}".replace("`", "")]
        width = max((len(name) for name, _ in self.points), default=0)
        return "\n".join([*lines, *(f"  {name:<{width}}  {text}".replace("`", "") for name, text in self.points)])


def words(model: ModelSpec) -> tuple[Paragraph, ...]:
    """Description of a model in words.

    Parameters
    ----------
    model : hierlogit.Model

    Returns
    -------
    tuple of Paragraph
        Paragraphs on the outcome, the fixed effects, each grouping factor, and the priors.

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
    variables = model_variables(model)
    parts = [_outcome(model)]
    if model.design.fixed_effects:
        parts.append(_fixed(model))
    parts += [_clusters(model, of_group) for of_group in variables.groups]
    return (*parts, _priors(model, variables))


def _outcome(model: ModelSpec) -> Paragraph:
    outcome, n = model.design.outcome, model.design.n_observations
    events, trials = f"{outcome.y.sum():,.0f}", f"{outcome.trials.sum():,.0f}"
    if outcome.binomial:
        observed = f"The {n:,} rows have {events} events (`{outcome.event}`) in {trials} trials. {_trials(model)}"
    else:
        observed = (
            f"The event, `{outcome.event}`, occurs in {events} of {trials} rows. Each row has a probability p of the "
            "event."
        )
    return Paragraph(
        "Outcome",
        f"{observed} The model is for the log-odds of the event, log(p / (1 - p)): log-odds of 0 are a probability of "
        "one half, and adding 1 to the log-odds multiplies the odds by 2.72.",
    )


def _trials(model: ModelSpec) -> str:
    """The probability of the event in the trials of a row."""
    if not model.overdispersed:
        return "All trials of a row have the same probability p of the event."
    return (
        "All trials of a row have the same probability of the event, which has a beta distribution with the mean p: "
        "rows with the same p differ, and counts vary more than binomial ones. The precision of this distribution, "
        "`phi`, is estimated; any two trials of a row have the correlation 1 / (phi + 1), so that large values mean "
        "that counts are nearly binomial."
    )


def _fixed(model: ModelSpec) -> Paragraph:
    design = model.design
    points = tuple(zip(design.fixed_effects, meanings(design), strict=True))
    where = "in all clusters" if design.groups else "for all rows"
    offset = " The offset of the row is added with a coefficient of 1." if design.offset.any() else ""
    text = f"The log-odds are a sum of terms with the coefficients below, which are the same {where}.{offset}"
    return Paragraph("Fixed effects", text + _dropped(design.dropped), points)


def _clusters(model: ModelSpec, of_group: GroupVariables) -> Paragraph:
    group, sd = of_group.group, of_group.sd.name
    title, J = f"Clusters of {group.name}", len(group.levels)
    if group.effects == ("Intercept",):
        text = (
            f"Each of the {J:,} clusters has a deviation, which is added to the log-odds of all its rows. Deviations "
            f"are normally distributed with mean 0. Their standard deviation, `{sd}[Intercept]`, is estimated: 0 would "
            "mean that clusters do not differ."
        )
        return Paragraph(title, text)
    known = {"Intercept", *model.design.fixed_effects}
    points = tuple((effect, _deviation(effect, sd, with_mean=effect in known)) for effect in group.effects)
    text = f"Each of the {J:,} clusters has {_together(of_group)}{_dropped(group.dropped)}"
    return Paragraph(title, text, points)


def _dropped(columns: Sequence[DroppedColumn]) -> str:
    """The sentence on columns that were dropped, after a space; nothing if there are none."""
    if not columns:
        return ""
    which = agree(columns, "A column is left out, as if its", "Columns are left out, as if their")
    return f" {which} {agree(columns, 'coefficient', 'coefficients')} were 0: {reasons(columns)}."


def _deviation(effect: str, sd: str, *, with_mean: bool) -> str:
    subject = "the log-odds of all its rows" if effect == "Intercept" else "the coefficient of this column"
    mean = "" if with_mean else ", which is 0 on average, since there is no such fixed effect"
    return f"deviation of {subject}{mean}; its standard deviation is `{sd}[{effect}]`"


def _together(of_group: GroupVariables) -> str:
    group = of_group.group
    if len(group.effects) == 1:
        return "a deviation; deviations are normally distributed with mean 0."
    normal = "several deviations, which are normally distributed with mean 0."
    if of_group.cor is None:
        return f"{normal} They are independent."
    cor = f"`{of_group.cor.name}`"
    if len(group.sets) == 1:
        return f"{normal} Their correlations are in {cor}."
    sets = [listed([f"`{group.effects[i]}`" for i in members]) for members in group.sets if len(members) > 1]
    return f"{normal} Those of {'; those of '.join(sets)} are correlated ({cor}); all others are independent."


def _priors(model: ModelSpec, variables: ModelVariables) -> Paragraph:
    fixed = variables.fixed
    centred = fixed is not None and fixed.intercept is not None and fixed.slopes is not None
    points = tuple(
        (label, f"{prior}, where all columns are at their means" if centred and label == "Intercept" else prior)
        for label, prior in model.priors.table(model.design)
    )
    text = (
        "The prior distributions of the parameters, before the data are seen. NUTS and MAP use them; Laplace and AGQ "
        "do not."
    )
    if any(isinstance(stated.prior, Decov) for of_group in variables.groups for stated in of_group.sd.priors):
        text += (
            " Decov is a Gamma prior for the overall size of the standard deviations, with a Dirichlet prior for their "
            "shares of the variance."
        )
    return Paragraph("Priors", text, points)
