"""What was fitted: the formula, in words, as mathematics, and with its priors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...display import element
from ...plots.prior_probabilities import prior_predictive
from ...translations.latex import latex
from ...translations.mathml import mathml
from ...translations.words import words
from ..html import bullets, code, folded, heading, paragraph, prose, scrolled, table
from ..images import picture
from ..request import Request, Subject, attempted

if TYPE_CHECKING:
    from ...translations.words import Paragraph


def content(asked: Request) -> str:
    """Each model."""
    return "".join(asked.each(lambda one, level: _of(one, asked, level)))


def _of(one: Subject, asked: Request, level: int) -> Iterator[str]:
    yield code(one.fit.model.formula.line, "Formula")
    *said, _ = words(one.fit.model)
    yield "".join(_paragraph(part) for part in said)
    yield folded(
        "The same as mathematics",
        attempted(
            "The mathematics", lambda: scrolled(mathml(latex(one.fit.model), priors=one.fit.with_priors), "Equations")
        ),
    )
    if not one.fit.with_priors:
        yield paragraph("Estimated by maximum likelihood: no priors took part.")
        return
    yield heading("Priors", level)
    yield attempted("The priors", lambda: _priors(one))
    yield attempted("What the priors imply", lambda: _implied(one, asked))


def _paragraph(part: Paragraph) -> str:
    title = element("b", f"{prose(part.title)}.")
    points = bullets(f"{element('code', prose(name))}: {prose(said)}" for name, said in part.points)
    return element("p", f"{title} {prose(part.sentences)}") + (points if part.points else "")


def _priors(one: Subject) -> str:
    design = one.design
    centred = design.has_intercept and len(design.fixed_effects) > 1
    rows = [
        [f"`{label}`" + (" (where all columns are at their means)" if centred and label == "Intercept" else ""), text]
        for label, text in one.fit.model.priors.table(design)
    ]
    said = "What is taken for likely before the data are seen, on the scale of log-odds."
    if design.groups:
        said += " MOR, the median odds ratio, is how far apart two clusters would be expected to be."
    return paragraph(said) + table(["Parameter", "Prior"], rows, "Priors")


def _implied(one: Subject, asked: Request) -> str:
    return picture(
        lambda: prior_predictive(one.fit.model, draws=500, seed=asked.seed),
        "What these priors say of probabilities before any outcome is seen. Bars in blue are near 0 or 1: if they are "
        "tall, the priors call extremes likely.",
    )
