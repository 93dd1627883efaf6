"""How the report was made: versions, settings, seeds, and a program that makes it again."""

from __future__ import annotations

from collections.abc import Iterator

from ...formatting import number
from ..html import code, facts, paragraph
from ..request import Request, Subject
from ..script import program


def content(asked: Request, title: str | None, path: str) -> str:
    """Each fit, then the program."""
    made = [*asked.each(lambda one, _: _of(one))]
    made.append(paragraph("This program fits again and writes this page again, where the rows are the same:"))
    made.append(code(program(asked, title, path), "Program"))
    return "".join(made)


def _of(one: Subject) -> Iterator[str]:
    report = one.fit.diagnostics
    settings = ", ".join(f"{name}={value}" for name, value in report.settings.items() if value is not None)
    pairs = [
        ("Engine", f"{report.engine} ({settings})" if settings else report.engine),
        ("Seed", str(report.seed)),
        ("Seconds", ", ".join(f"{name} {number(value)}" for name, value in report.seconds.items())),
        ("Versions", ", ".join(f"{name} {text}" for name, text in report.versions.items())),
    ]
    yield facts(pairs)
