"""Findings of a fit repeated, as one warning for each call, by functions that compute with the fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps

from ..design.grouping import GroupBlock
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


def note_of_zero_sds(fit: Fit, groups: Sequence[GroupBlock]) -> str:
    """What the finding of a singular fit says, below a table of effects whose sds are estimated as zero.

    Parameters
    ----------
    fit : Fit
    groups : sequence of GroupBlock
        The grouping factors in the table.

    Returns
    -------
    str
        Empty if all sds of these factors are above zero, or those of zero have a finding that is a warning.
    """
    estimate = fit.estimate
    if estimate is None or all(estimate.sd(group.name).all() for group in groups):
        return ""
    found = [finding.evidence for finding in fit.diagnostics.findings if finding.code == "singular_fit"]
    return found[0] if found else ""
