"""Frequencies out of a round number, at values of predictors and in the middle 80% of clusters."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log10
from typing import Any

import numpy as np
import numpy.typing as npt

from ...effects.contrasts import is_numeric, levels_of
from ...effects.predictions import avg_predictions
from ...summaries.intervals import DrawTable, Interval
from ...variance.by_factor import between_rows
from ..request import Subject
from .estimates import middle

FloatArray = npt.NDArray[np.float64]

#: Values shown of a predictor, and draws for frequencies, which are rounded to whole numbers.
MOST_VALUES, MOST_DRAWS = 6, 200
#: Shares of clusters with a lower probability, for the range of the middle 80%.
SHARES = (0.1, 0.9)


@dataclass(frozen=True)
class Frequency:
    """Frequencies out of a round number, in whole numbers."""

    base: int

    @property
    def text(self) -> str:
        """The round number."""
        return f"{self.base:,}"

    def __call__(self, share: float) -> str:
        """A share as a whole number."""
        count = round(share * self.base)
        if count == 0 and share > 0:
            return "fewer than 1"
        if count == self.base and share < 1:
            return f"more than {self.base - 1:,}"
        return f"{count:,}"

    def more(self, difference: float) -> str:
        """A difference in words."""
        count = round(abs(difference) * self.base)
        return "as many" if count == 0 else f"{count:,} {'more' if difference > 0 else 'fewer'}"


def out_of(rate: float) -> Frequency:
    """Frequencies out of 100 or, for rare events, the power of ten out of which two or more are expected.

    Examples
    --------
    >>> out_of(0.39).base, out_of(0.004).base
    (100, 1000)
    """
    rarer = max(min(rate, 1 - rate), 1e-5)
    return Frequency(10 ** max(2, ceil(log10(2 / rarer) - 1e-9)))


@dataclass(frozen=True)
class Compared:
    """Average probabilities at values of a predictor: at the estimates, and by draw, shape (draws,)."""

    name: str
    #: Its levels, its two values, or the ends of the middle half of its values.
    values: list[Any]
    halves: bool
    estimates: list[float]
    draws: list[FloatArray]

    @property
    def largest(self) -> float:
        """Largest difference from the first value."""
        return max(abs(estimate - self.estimates[0]) for estimate in self.estimates)


def compared(subject: Subject, name: str) -> Compared:
    """Average probabilities at values of one predictor."""
    model = subject.fit.model
    frame = model.design.table.frame
    halves = False
    if is_numeric(model, name):
        column = model.design.table.column(name)
        low, high = (float(value) for value in column.quantile([0.25, 0.75]))
        halves = low < high and frame[name].nunique() > 2
        values = [low, high] if halves else [float(column.min()), float(column.max())]
    else:
        values = levels_of(model, name)[:MOST_VALUES]
    clusters = "average" if subject.design.groups else "observed"
    tables = [average(subject, clusters, frame.assign(**{name: value})) for value in values]
    estimates = [float(table[middle(table)].iloc[0]) for table in tables]
    return Compared(name, values, halves, estimates, [table.draws.to_numpy().ravel() for table in tables])


def average(subject: Subject, clusters: str | dict[str, Any], rows: Any = None) -> DrawTable:
    """Average predictions from a few hundred draws, which are enough for whole numbers."""
    sizes = subject.fit.posterior.sizes
    draws = min(MOST_DRAWS, sizes["chain"] * sizes["draw"])
    return avg_predictions(subject.fit, rows, clusters=clusters, num_draws=draws)


def difference(one: Compared, k: int, among: Frequency, interval: Interval) -> str:
    """How the value number `k` differs from the first one in words, with the interval; empty for the first."""
    if k == 0:
        return ""
    estimate, draws = one.estimates[k] - one.estimates[0], one.draws[k] - one.draws[0]
    low, high = (float(end) for end in interval.ends(draws))
    first, last = sorted((low, high), key=abs)
    if low * high > 0 and round(abs(first) * among.base):
        # Both ends have the same direction, which is named once.
        return f"{among.more(estimate)} ({round(abs(first) * among.base):,} to {among.more(last)})"
    return f"{among.more(estimate)} ({among.more(low)} to {among.more(high)})"


def middle_clusters(subject: Subject, among: Frequency) -> dict[str, str]:
    """Frequencies, from low to high, in the middle 80% of clusters, by factor, except where rows are clusters."""
    found = {}
    for group in subject.design.groups:
        if group.name in between_rows(subject.design):
            continue
        others = {one.name: "typical" for one in subject.design.groups if one is not group}
        table = average(subject, {group.name: list(SHARES), **others})
        low, high = map(among, table[middle(table)])
        found[group.name] = low if low == high else f"{low} to {high}"
    return found
