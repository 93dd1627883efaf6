"""Findings of a fit repeated, as one warning for each call, by functions that compute with the fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps

from ..errors import ConvergenceWarning, warn
from .findings import warning_text
from .fit import Fit

#: Whether a function that repeats findings, or shows them itself, is running: those that it calls do not.
_running: ContextVar[bool] = ContextVar("hierlogit_repeats_findings", default=False)


@contextmanager
def findings_shown() -> Iterator[None]:
    """Context of functions that show the findings of their fits themselves."""
    token = _running.set(True)
    try:
        yield
    finally:
        _running.reset(token)


def repeats_findings[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """A public function of fits that repeats their findings, except notes, as a `ConvergenceWarning`.

    Its result depends on what was found, and may be read without the fit: after separation, for example, some of the
    estimates that it is computed from are infinite.
    """

    @wraps(function)
    def repeating(*args: P.args, **kwargs: P.kwargs) -> R:
        if _running.get():
            return function(*args, **kwargs)
        with findings_shown():
            result = function(*args, **kwargs)
        given = [value for value in (*args, *kwargs.values()) if isinstance(value, Fit)]
        text = " ".join(dict.fromkeys(filter(None, (warning_text(fit.diagnostics.findings) for fit in given))))
        if text:
            warn(f"The fit behind this result has findings. {text}", ConvergenceWarning)
        return result

    return repeating
