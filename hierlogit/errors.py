"""Exceptions and warnings, one class for each stage of the work.

Every message says what was given, where, what is allowed and what to do. All of them derive from
:class:`HierlogitError`, so one ``except`` clause catches whatever the package raises on bad input.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path


class HierlogitError(Exception):
    """Base class of every error this package raises on purpose."""


class FormulaError(HierlogitError, ValueError):
    """The text of a formula is not a formula, or names something that does not exist.

    Parameters
    ----------
    message : str
        What is wrong, without the formula itself.
    formula : str, optional
        The whole formula as the user wrote it.
    span : tuple of int, optional
        Start and stop of the offending part in `formula`, counted in characters.
    hint : str, optional
        What is allowed and what to do; shown under the marked formula.

    Examples
    --------
    >>> print(FormulaError("unknown variable 'x'", formula="y ~ x", span=(4, 5)))
    unknown variable 'x'
      y ~ x
          ^
    """

    def __init__(
        self,
        message: str,
        *,
        formula: str | None = None,
        span: tuple[int, int] | None = None,
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.formula = formula
        self.span = span
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        lines = [self.message]
        if self.formula is not None:
            lines += _marked(self.formula, self.span)
        if self.hint:
            lines.append(self.hint)
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments are lost by the default pickling of exceptions, which process pools rely on.
        return (_rebuild_formula_error, (type(self), self.message, self.formula, self.span, self.hint))


def _rebuild_formula_error(
    cls: type[FormulaError], message: str, formula: str | None, span: tuple[int, int] | None, hint: str | None
) -> FormulaError:
    return cls(message, formula=formula, span=span, hint=hint)


def _marked(formula: str, span: tuple[int, int] | None) -> list[str]:
    """The formula indented, with carets under `span`; a formula of several lines keeps them."""
    if span is None:
        return [f"  {line}" for line in formula.splitlines()]
    start, stop = span
    shown: list[str] = []
    offset = 0
    for line in formula.splitlines(keepends=True):
        body = line.rstrip("\r\n")
        shown.append(f"  {body}")
        first, last = max(start - offset, 0), min(stop - offset, len(body))
        if first < last or (first == last == start - offset == len(body)):
            # Tabs are repeated under the line so that the carets stay in place.
            lead = "".join("\t" if character == "\t" else " " for character in body[:first])
            shown.append(f"  {lead}{'^' * max(last - first, 1)}")
        offset += len(line)
    return shown


class DesignError(HierlogitError, ValueError):
    """The data do not fit the formula: wrong types, values out of range, columns that depend on others."""


class PriorError(HierlogitError, ValueError):
    """A prior is for a parameter that the model does not have, or is not of a family allowed for it."""


class ModelError(HierlogitError, ValueError):
    """A model cannot be translated to another form, or an argument is not a model."""


class EngineError(HierlogitError, RuntimeError):
    """An estimation engine is unknown, misconfigured, not installed, or could not finish."""


class FitError(HierlogitError, ValueError):
    """A fit cannot be saved or read, or does not have what a function needs."""


class PredictionError(HierlogitError, ValueError):
    """An option of a prediction or summary is not allowed, or new data do not match the model."""


class PackageError(HierlogitError, ImportError):
    """An optional package that a function needs is not installed."""


class StudyError(HierlogitError, ValueError):
    """An option of a simulated study is not allowed, or its parameters do not match the model."""


class HierlogitWarning(UserWarning):
    """Base class of every warning this package gives."""


class DataWarning(HierlogitWarning):
    """Rows or columns were left out of a model, or the rows cannot tell what it asks; the text names them."""


class ConvergenceWarning(HierlogitWarning):
    """The estimates may be inaccurate; the text says why and what to do."""


class FileWarning(HierlogitWarning):
    """A file could not be written, or an incomplete one of an interrupted process was removed; the text names it."""


_unsaid: ContextVar[tuple[type[HierlogitWarning], ...]] = ContextVar("unsaid", default=())
#: Beginnings of the files in which a warning is not looked for by the user: those of the package and of contexts.
_INSIDE = (str(Path(__file__).parent), contextlib.__file__)


#: Where warnings of this context are collected; None if they are given.
_collected: ContextVar[list[tuple[str, type[HierlogitWarning]]] | None] = ContextVar("collected", default=None)


def warn(text: str, kind: type[HierlogitWarning]) -> None:
    """Give a warning that points to the user's own line, unless this thread is within `unsaid`."""
    if issubclass(kind, _unsaid.get()):
        return
    found = _collected.get()
    if found is None:
        warnings.warn(text, kind, skip_file_prefixes=_INSIDE)
    else:
        found.append((text, kind))


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[tuple[str, type[HierlogitWarning]]]]:
    """Context in which warnings of this package, in this thread, are put into a list, for `warn` in another place."""
    found: list[tuple[str, type[HierlogitWarning]]] = []
    tokens = _collected.set(found), _unsaid.set(())
    try:
        yield found
    finally:
        _collected.reset(tokens[0])
        _unsaid.reset(tokens[1])


@contextlib.contextmanager
def unsaid(kind: type[HierlogitWarning]) -> Iterator[None]:
    """Context in which this package gives no warnings of a kind, in this thread.

    Python's filters of warnings are shared by all threads: where two change them at the same time, one of the changes
    stays.
    """
    token = _unsaid.set((*_unsaid.get(), kind))
    try:
        yield
    finally:
        _unsaid.reset(token)
