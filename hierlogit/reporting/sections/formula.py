"""Section: the model as formula, in words and as mathematics, with its priors."""

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


def content(request: Request) -> str:
    """The section, model by model."""
    return "".join(request.each(lambda subject, level: _of(subject, request, level)))


def _of(subject: Subject, request: Request, level: int) -> Iterator[str]:
    yield code(subject.fit.model.formula.line, "Formula")
    *sentences, _ = words(subject.fit.model)
    yield "".join(_paragraph(part) for part in sentences)
    yield folded(
        "The model as mathematics",
        attempted(
            "The mathematics",
            lambda: scrolled(mathml(latex(subject.fit.model), priors=subject.fit.with_priors), "Equations"),
        ),
    )
    if not subject.fit.with_priors:
        yield paragraph("Estimated by maximum likelihood, without priors.")
        return
    yield heading("Priors", level)
    yield attempted("The priors", lambda: _priors(subject))
    yield attempted("The plot of the priors", lambda: _implied(subject, request))


def _paragraph(part: Paragraph) -> str:
    title = element("b", f"{prose(part.title)}.")
    points = bullets(f"{element('code', prose(name))}: {prose(said)}" for name, said in part.points)
    return element("p", f"{title} {prose(part.sentences)}") + (points if part.points else "")


def _priors(subject: Subject) -> str:
    design = subject.design
    centred = design.has_intercept and len(design.fixed_effects) > 1
    rows = [
        [f"`{label}`" + (" (where all columns are at their means)" if centred and label == "Intercept" else ""), text]
        for label, text in subject.fit.model.priors.table(design)
    ]
    text = "The priors state which values are plausible before the data are seen, in log-odds."
    if design.groups:
        text += " MOR is the median odds ratio between two clusters that the prior implies."
    return paragraph(text) + table(["Parameter", "Prior"], rows, "Prior of each parameter")


def _implied(subject: Subject, request: Request) -> str:
    return picture(
        lambda: prior_predictive(subject.fit.model, draws=500, seed=request.seed),
        "Probabilities that these priors imply before any outcome is used. The blue bars are near 0 or 1: if they are "
        "tall, the priors make extreme probabilities likely.",
    )
