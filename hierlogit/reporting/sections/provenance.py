"""Section: methods, engine, settings, seed and versions of each fit, and a program that reproduces the report."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from ...display import element
from ...formatting import number as numeral
from ..html import bullets, code, copied, facts, folded, paragraph, prose, scrolled
from ..methods import cited, methods
from ..request import Request, Subject
from ..script import program


def content(request: Request, title: str | None, path: str) -> str:
    """The section, fit by fit, followed by the program."""
    parts = [*request.each(lambda subject, _: _of(subject, request))]
    parts.append(paragraph("With the same rows, this program reproduces the fits and this page:"))
    parts.append(copied("program", code(program(request, title, path), "Program"), "the program"))
    return "".join(parts)


def _of(subject: Subject, request: Request) -> Iterator[str]:
    number = request.subjects.index(subject) + 1
    text = element("p", prose(methods(subject, request.interval_name)))
    references = bullets(escape(reference.text) for reference in cited(subject))
    yield copied(f"methods-{number}", text + references, "the methods and references")
    entries = element("pre", element("code", escape("\n\n".join(one.bibtex for one in cited(subject)))))
    bibtex = copied(f"bibtex-{number}", scrolled(entries, "BibTeX"), "the BibTeX entries")
    yield folded("References as BibTeX", bibtex, printed=False)
    diagnostics = subject.fit.diagnostics
    settings = ", ".join(f"{name}={value}" for name, value in diagnostics.settings.items() if value is not None)
    pairs = [
        ("Engine", f"{diagnostics.engine} ({settings})" if settings else diagnostics.engine),
        ("Seed", str(diagnostics.seed)),
        ("Seconds", ", ".join(f"{name} {numeral(value)}" for name, value in diagnostics.seconds.items())),
        ("Versions", ", ".join(f"{name} {text}" for name, text in diagnostics.versions.items())),
    ]
    yield facts(pairs)
