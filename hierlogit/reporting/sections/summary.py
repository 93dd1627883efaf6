"""Section: one page for readers without statistics, with the question, frequencies and whether to trust the results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

import numpy as np
import numpy.typing as npt

from ...display import element
from ...effects.contrasts import is_numeric, levels_of
from ...effects.predictions import avg_predictions
from ...formatting import number
from ...summaries.intervals import DrawTable, Interval
from ...validation import number_of
from ...variance.by_factor import between_rows
from ..html import heading, paragraph, prose
from ..request import Request, Subject, attempted
from .estimates import middle

FloatArray = npt.NDArray[np.float64]

#: Predictors that are shown, values of each, and draws for frequencies, which are rounded to whole numbers.
MOST_PREDICTORS, MOST_VALUES, MOST_DRAWS = 4, 6, 200
#: Shares of clusters with a lower probability, for the range of the middle 80%.
SHARES = (0.1, 0.9)


def content(request: Request) -> str:
    """The section, fit by fit."""
    return "".join(request.each(lambda subject, level: _of(subject, request, level)))


def _of(subject: Subject, request: Request, level: int) -> Iterator[str]:
    yield heading("The question", level) + paragraph(_question(subject))
    if subject.compared:
        yield heading("What was found", level)
        yield attempted("The frequencies", lambda: _frequencies(subject, request.interval, request.interval_name))
    if subject.design.groups:
        yield heading("How much do clusters differ?", level)
        yield attempted("The differences between clusters", lambda: paragraph(_clusters(subject)))
    yield heading("Can it be trusted?", level) + paragraph(_trust(subject, request))


def _question(subject: Subject) -> str:
    outcome = subject.design.outcome
    events, trials = float(outcome.y.sum()), float(outcome.trials.sum())
    unit, among = "trials" if outcome.binomial else "rows", _out_of(events / trials)
    named = [f"`{name}`" for name in subject.predictors]
    others = f" and {len(named) - MOST_VALUES} more" if len(named) > MOST_VALUES else ""
    asked = (
        [f"how the probability of {subject.event} depends on {_listed(named[:MOST_VALUES])}{others}"] if named else []
    )
    groups = subject.design.groups
    if groups:
        clusters = _listed([f"the {number_of(len(one.levels), 'cluster')} of `{one.name}`" for one in groups])
        asked.append(f"how much it differs between {clusters}")
    text = ", and ".join(asked) or f"how large the probability of {subject.event} is"
    return (
        f"The question is {text}. There are {trials:,.0f} {unit}, {events:,.0f} of them with {subject.event}: "
        f"{among(events / trials)} of {among.text}."
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# ---- frequencies ----


@dataclass(frozen=True)
class _Frequency:
    """Frequencies out of a round number, in whole numbers."""

    base: int

    @property
    def text(self) -> str:
        return f"{self.base:,}"

    def __call__(self, share: float) -> str:
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


def _out_of(rate: float) -> _Frequency:
    """Frequencies out of 100 or, for rare events, the power of ten out of which two or more are expected.

    Examples
    --------
    >>> _out_of(0.39).base, _out_of(0.004).base
    (100, 1000)
    """
    rarer = max(min(rate, 1 - rate), 1e-5)
    return _Frequency(10 ** max(2, ceil(log10(2 / rarer) - 1e-9)))


@dataclass(frozen=True)
class _Compared:
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


def _compared(subject: Subject, name: str) -> _Compared:
    model = subject.fit.model
    frame = model.design.table.frame
    halves = False
    if is_numeric(model, name):
        column = frame[name].astype(float)
        low, high = (float(value) for value in column.quantile([0.25, 0.75]))
        halves = low < high and column.nunique() > 2
        values = [low, high] if halves else [float(column.min()), float(column.max())]
    else:
        values = levels_of(model, name)[:MOST_VALUES]
    clusters = "average" if subject.design.groups else "observed"
    tables = [_average(subject, clusters, frame.assign(**{name: value})) for value in values]
    estimates = [float(table[middle(table)].iloc[0]) for table in tables]
    return _Compared(name, values, halves, estimates, [table.draws.to_numpy().ravel() for table in tables])


def _average(subject: Subject, clusters: str | dict[str, Any], rows: Any = None) -> DrawTable:
    """Average predictions from a few hundred draws, which are enough for whole numbers."""
    sizes = subject.fit.posterior.sizes
    draws = min(MOST_DRAWS, sizes["chain"] * sizes["draw"])
    return avg_predictions(subject.fit, rows, clusters=clusters, num_draws=draws)


def _frequencies(subject: Subject, interval: Interval, interval_name: str) -> str:
    """Bars with the frequency of the event at values of the predictors that matter most."""
    outcome = subject.design.outcome
    among = _out_of(float(outcome.y.sum() / outcome.trials.sum()))
    found = sorted((_compared(subject, name) for name in subject.compared), key=lambda one: -one.largest)
    unit = "trials" if outcome.binomial else "rows"
    shown, left_out = found[:MOST_PREDICTORS], [f"`{one.name}`" for one in found[MOST_PREDICTORS:]]
    rows = "".join(_bars(one, among, interval) for one in shown)
    head = ("Predictor", "Value", f"Of {among.text}", f"Compared with the first value ({interval_name})")
    top = element("thead", element("tr", "".join(element("th", prose(words), scope="col") for words in head)))
    caption = element("caption", element("span", prose(f"Frequency of {subject.event} among {among.text} {unit}")))
    others = "One predictor changes, and all others stay as they are. " if len(found) > 1 else ""
    halves = [f"`{one.name}`" for one in shown if one.halves]
    ends = f"The values of {_listed(halves)} are the ends of the middle half in the data. " if halves else ""
    less = f"Differences by {_listed(left_out)} are smaller. " if left_out else ""
    return element("table", caption + top + rows, class_="frequencies") + paragraph(
        f"{others}{ends}{less}Where an interval goes from fewer to more, the data do not tell the direction."
    )


def _bars(one: _Compared, among: _Frequency, interval: Interval) -> str:
    rows = []
    for k, (value, estimate) in enumerate(zip(one.values, one.estimates, strict=True)):
        name = element("th", prose(f"`{one.name}`"), scope="rowgroup", rowspan=str(len(one.values))) if k == 0 else ""
        bar = element("span", "", class_="bar", style=f"--share:{min(estimate, 1):.3f}", aria_hidden="true")
        said = "" if k == 0 else _difference(estimate - one.estimates[0], one.draws[k] - one.draws[0], among, interval)
        label = number(value) if isinstance(value, float) else str(value)
        cells = (prose(label), bar + prose(among(estimate)), prose(said))
        rows.append(element("tr", name + "".join(element("td", cell) for cell in cells)))
    return element("tbody", "".join(rows))


def _difference(estimate: float, draws: FloatArray, among: _Frequency, interval: Interval) -> str:
    low, high = (float(end) for end in interval.ends(draws))
    first, last = sorted((low, high), key=abs)
    if low * high > 0 and round(abs(first) * among.base):
        # Both ends have the same direction, which is named once.
        return f"{among.more(estimate)} ({round(abs(first) * among.base):,} to {among.more(last)})"
    return f"{among.more(estimate)} ({among.more(low)} to {among.more(high)})"


# ---- clusters, and trust ----


def _clusters(subject: Subject) -> str:
    outcome = subject.design.outcome
    among = _out_of(float(outcome.y.sum() / outcome.trials.sum()))
    texts = []
    for group in subject.design.groups:
        if group.name in between_rows(subject.design):
            continue
        others = {one.name: "typical" for one in subject.design.groups if one is not group}
        table = _average(subject, {group.name: list(SHARES), **others})
        low, high = map(among, table[middle(table)])
        frequency = low if low == high else f"{low} to {high}"
        texts.append(
            f"In the middle 80% of clusters of `{group.name}`, the event is expected in {frequency} "
            f"of {among.text} {'trials' if outcome.binomial else 'rows'} with the same predictors."
        )
    return " ".join(texts) or "Each cluster is a single row."


def _trust(subject: Subject, request: Request) -> str:
    against = _against(subject, request)
    if subject.fit.diagnostics.status == "failed":
        return "No: the computation failed. Do not use the results."
    answer = (
        f"With care: {'; '.join(against)}."
        if against
        else "The computation converged, and the checks found no evidence against the model."
    )
    return (
        f"{answer} Intervals show how far the results may be from those of all rows and clusters of this kind. "
        "Differences between values of a predictor are associations: they are effects only if nothing else explains "
        "them."
    )


def _against(subject: Subject, request: Request) -> list[str]:
    """What limits the trust in the results, in words."""
    found = []
    match subject.fit.diagnostics.status:
        case "interrupted":
            found.append("the computation was interrupted, so that there are fewer draws than requested")
        case "check":
            found.append("the computation ended with warnings, which are listed below")
    if request.chosen is None or "checks" in request.chosen:
        result = request.checks[subject.name]
        if isinstance(result, str):
            found.append("the model could not be checked")
        else:
            evidence = [finding.meaning for finding in result.findings if finding.severity != "note"]
            if evidence:
                meaning = evidence[0].rstrip(".")
                found.append(f"the checks found evidence against the model: {meaning[0].lower()}{meaning[1:]}")
    return found
