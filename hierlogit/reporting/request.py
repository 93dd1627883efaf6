"""What a report is asked to show: fits by name, and how."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..diagnostics.data.check_data import DataCheck, check_data
from ..diagnostics.fit.check import Check, check
from ..errors import HierlogitError
from ..fits.fit import Fit
from ..plots.style import interval_name
from ..summaries.intervals import Interval
from .html import gap, heading

if TYPE_CHECKING:
    from ..design.design import Design


@dataclass(frozen=True)
class Subject:
    """One fit of a report.

    Attributes
    ----------
    name : str
        As the reader is told.
    fit : Fit
    """

    name: str
    fit: Fit

    @property
    def design(self) -> Design:
        """Of its model."""
        return self.fit.model.design

    @property
    def predictors(self) -> list[str]:
        """Columns that it predicts from, without those that make its clusters only."""
        clusters = {name for group in self.design.groups for name in group.columns}
        return [name for name in self.design.predictors if name not in clusters]

    @property
    def event(self) -> str:
        """What a success is, in the data's words, as code."""
        return f"`{self.design.outcome.event}`"

    @property
    def sampled(self) -> bool:
        """Whether its draws are a sampler's."""
        return self.fit.estimate is None

    @cached_property
    def data(self) -> DataCheck:
        """What the data can tell of its model."""
        return check_data(self.fit.model)


@dataclass(frozen=True)
class Request:
    """What a report is asked to show.

    Attributes
    ----------
    subjects : tuple of Subject
    chosen : tuple of str or None
        Keys of the sections that were asked for, in order; None for all.
    interval : Interval
        Which intervals.
    seed : int
        Of everything that is simulated for the report.
    replicates : int
        Data sets simulated by the checks.
    """

    subjects: tuple[Subject, ...]
    chosen: tuple[str, ...] | None
    interval: Interval
    seed: int
    replicates: int

    @property
    def several(self) -> bool:
        """Whether fits are set beside each other."""
        return len(self.subjects) > 1

    @property
    def intervals(self) -> dict[str, Any]:
        """Which intervals, as arguments of the verbs that make them."""
        return {"ci_prob": self.interval.prob, "ci_kind": self.interval.kind}

    @property
    def interval_name(self) -> str:
        """How a table calls the intervals of draws."""
        return interval_name(self.interval.prob, self.interval.kind)

    @cached_property
    def checks(self) -> dict[str, Check | str]:
        """What the checks found by name of the fit, or why they were not made."""
        found: dict[str, Check | str] = {}
        for one in self.subjects:
            try:
                found[one.name] = check(one.fit, replicates=self.replicates, seed=self.seed)
            except Exception as error:
                found[one.name] = reason(error)
        return found

    def each(self, make: Callable[[Subject, int], Iterable[str]]) -> Iterator[str]:
        """Content for each fit, under its name if there are several; `make` takes the fit and the level of headings."""
        for one in self.subjects:
            if self.several:
                yield heading(one.name, 3)
            yield from make(one, 4 if self.several else 3)


def attempted(what: str, make: Callable[[], str | Iterable[str]]) -> str:
    """Content, or a line that says why it is not there: one part that fails must not lose the others.

    Parameters
    ----------
    what : str
        What the content shows, as the start of a sentence.
    make : callable
    """
    try:
        made = make()
        return made if isinstance(made, str) else "".join(made)
    except Exception as error:
        return gap(f"{what}: not shown, since {reason(error)}")


def reason(error: Exception) -> str:
    """What went wrong, in one line.

    Examples
    --------
    >>> reason(ValueError("too few rows"))
    'ValueError: too few rows.'
    """
    said = re.sub(r"\s+", " ", str(error)).strip().rstrip(".") or "no more is known"
    return f"{said}." if isinstance(error, HierlogitError) else f"{type(error).__name__}: {said}."
