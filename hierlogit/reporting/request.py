"""The content of a report: fits by name and options, and what several sections share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..diagnostics.data.check_data import DataCheck, check_data
from ..diagnostics.fit.check import Check, check
from ..effects.comparisons import avg_comparisons
from ..effects.contrasts import is_numeric
from ..errors import HierlogitError, PredictionError
from ..fits.fit import Fit
from ..fits.posterior import draws_within
from ..plots.style import interval_name
from ..summaries.intervals import Interval
from .html import gap, heading

if TYPE_CHECKING:
    import pandas as pd

    from ..building.models_tried import Build
    from ..design.design import Design
    from ..parallel.workers import AnyExecutor

#: Rows times draws of averages over rows and clusters, beyond which fewer draws are used, and how many at least.
MOST_VALUES, FEWEST_DRAWS = 10**7, 200


@dataclass(frozen=True)
class Subject:
    """A fit in a report.

    Attributes
    ----------
    name : str
        The name under which the report shows it.
    fit : Fit
    """

    name: str
    fit: Fit

    @property
    def design(self) -> Design:
        """The design of its model."""
        return self.fit.model.design

    def same_outcomes(self, other: Subject) -> bool:
        """Whether another fit has the same outcomes in the same order, whatever its predictors and clusters."""
        one, two = self.design.outcome, other.design.outcome
        return (
            (one.name, one.event) == (two.name, two.event)
            and np.array_equal(one.y, two.y)
            and np.array_equal(one.trials, two.trials)
        )

    @property
    def predictors(self) -> list[str]:
        """Columns that it predicts from, except those that define its clusters."""
        clusters = {name for group in self.design.groups for name in group.columns}
        return [name for name in self.design.predictors if name not in clusters]

    @cached_property
    def compared(self) -> list[str]:
        """Those of the predictors that can be compared in all rows; others would lead to combinations without data."""
        return [name for name in self.predictors if not self.design.dropped or self._comparable(name)]

    @cached_property
    def amounts(self) -> list[str]:
        """Those of the predictors that are numbers with more than two values."""
        model, frame = self.fit.model, self.design.table.frame
        return [name for name in self.predictors if is_numeric(model, name) and frame[name].nunique() > 2]

    def labelled(self, most: int) -> list[str]:
        """The other predictors, as far as they have at most so many values."""
        frame = self.design.table.frame
        return [name for name in self.predictors if name not in self.amounts and frame[name].nunique() <= most]

    def _comparable(self, name: str) -> bool:
        try:
            avg_comparisons(self.fit, name, clusters="average" if self.design.groups else "observed", num_draws=1)
        except PredictionError:
            return False
        return True

    @property
    def event(self) -> str:
        """The event as it is named in the data, as code; of counts, the column of the successes, without the trials."""
        outcome = self.design.outcome
        return f"`{outcome.name if outcome.binomial else outcome.event}`"

    @property
    def engine(self) -> str:
        """The engine in the words of a text: the name of a method in place of that of a class."""
        engine = self.fit.diagnostics.engine
        return "importance sampling" if engine == "ImportanceSampling" else engine

    @property
    def sampled(self) -> bool:
        """Whether it is a sampled fit."""
        return self.fit.estimate is None

    @property
    def affordable_draws(self) -> int | None:
        """How many draws averages over rows and clusters use; None for all of them."""
        return draws_within(self.fit.posterior, self.design.n_rows, MOST_VALUES, FEWEST_DRAWS)

    @cached_property
    def data(self) -> DataCheck:
        """The result of `check_data` for its model."""
        return check_data(self.fit.model)


@dataclass(frozen=True)
class Request:
    """The fits and options of a report.

    Attributes
    ----------
    subjects : tuple of Subject
    chosen : tuple of str or None
        Keys of the chosen sections, in order; None for all.
    interval : Interval
        Probability and kind of the intervals.
    seed : int
        Seed of all simulations.
    replicates : int
        Number of data sets simulated for the checks.
    build : Build or None
        The build-up whose proposed model is reported.
    executor : concurrent.futures.Executor, distributed.Client or None
        Where simulations and refits run.
    """

    subjects: tuple[Subject, ...]
    chosen: tuple[str, ...] | None
    interval: Interval
    seed: int
    replicates: int
    build: Build | None = None
    executor: AnyExecutor | None = None

    @property
    def several(self) -> bool:
        """Whether there is more than one fit."""
        return len(self.subjects) > 1

    @property
    def intervals(self) -> dict[str, Any]:
        """Probability and kind of the intervals, as arguments of functions."""
        return {"ci_prob": self.interval.prob, "ci_kind": self.interval.kind}

    @property
    def interval_name(self) -> str:
        """Name of the intervals of draws in tables."""
        return interval_name(self.interval.prob, self.interval.kind)

    @cached_property
    def checks(self) -> dict[str, Check | str]:
        """Results of `check` by name of the fit, or the reason why a fit could not be checked."""
        results: dict[str, Check | str] = {}
        for subject in self.subjects:
            try:
                results[subject.name] = check(
                    subject.fit, replicates=self.replicates, seed=self.seed, executor=self.executor
                )
            except Exception as error:
                results[subject.name] = reason(error)
        return results

    @cached_property
    def effects(self) -> dict[str, pd.DataFrame]:
        """Average comparisons by name of the fit; the average is over rows and, if there are any, clusters."""
        return {
            subject.name: avg_comparisons(
                subject.fit,
                subject.compared or None,
                clusters="average" if subject.design.groups else "observed",
                num_draws=subject.affordable_draws,
                **self.intervals,
            )
            for subject in self.subjects
            if subject.predictors
        }

    def printed(self, subject: Subject) -> bool:
        """Whether long tables of a fit are printed though they are folded: those of the first one only."""
        return subject is self.subjects[0]

    def each(self, make: Callable[[Subject, int], Iterable[str]]) -> Iterator[str]:
        """Content for each fit, under its name if there are several; `make` takes the fit and the level of headings."""
        for subject in self.subjects:
            if self.several:
                yield heading(subject.name, 3)
            yield from make(subject, 4 if self.several else 3)


def attempted(what: str, make: Callable[[], str | Iterable[str]]) -> str:
    """Content, or a line that says why it is missing, so that a part that fails does not affect the others.

    Parameters
    ----------
    what : str
        Name of the content, as the start of a sentence.
    make : callable
        Returns the content.
    """
    try:
        content = make()
        return content if isinstance(content, str) else "".join(content)
    except Exception as error:
        return gap(f"{what}: not available, because {reason(error)}")


def reason(error: Exception) -> str:
    """The message of an error on one line.

    Examples
    --------
    >>> reason(ValueError("too few rows"))
    'ValueError: too few rows.'
    """
    message = re.sub(r"\s+", " ", str(error)).strip().rstrip(".") or "no reason was given"
    return f"{message}." if isinstance(error, HierlogitError) else f"{type(error).__name__}: {message}."
