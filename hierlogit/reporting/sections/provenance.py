"""Section: methods, engine, settings, seed and versions of each fit, and a program that reproduces the report."""

from __future__ import annotations

from collections.abc import Iterator

from ...formatting import number
from ..html import code, facts, paragraph
from ..methods import methods
from ..request import Request, Subject
from ..script import program


def content(request: Request, title: str | None, path: str) -> str:
    """The section, fit by fit, followed by the program."""
    parts = [*request.each(lambda subject, _: _of(subject, request))]
    parts.append(paragraph("With the same rows, this program reproduces the fits and this page:"))
    parts.append(code(program(request, title, path), "Program"))
    return "".join(parts)


def _of(subject: Subject, request: Request) -> Iterator[str]:
    yield paragraph(methods(subject, request.interval_name))
    diagnostics = subject.fit.diagnostics
    settings = ", ".join(f"{name}={value}" for name, value in diagnostics.settings.items() if value is not None)
    pairs = [
        ("Engine", f"{diagnostics.engine} ({settings})" if settings else diagnostics.engine),
        ("Seed", str(diagnostics.seed)),
        ("Seconds", ", ".join(f"{name} {number(value)}" for name, value in diagnostics.seconds.items())),
        ("Versions", ", ".join(f"{name} {text}" for name, text in diagnostics.versions.items())),
    ]
    yield facts(pairs)
