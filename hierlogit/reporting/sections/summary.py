"""Section: one page for readers without statistics, with the question, frequencies and whether to trust the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import batched
from typing import Any

from ...display import element
from ...formatting import number
from ...summaries.intervals import Interval
from ...validation import number_of
from ..html import facts, heading, paragraph, prose, scrolled
from ..request import Request, Subject, attempted
from .frequencies import Compared, Frequency, compared, difference, middle_clusters, out_of

#: Predictors that are shown, or named in the question, and fits that are shown side by side in one table.
MOST_PREDICTORS, MOST_NAMED, MOST_BESIDE = 4, 6, 4


def content(request: Request) -> str:
    """The section: a column for each of several fits of the same outcomes, and fit by fit otherwise."""
    first, *others = request.subjects
    if others and all(first.same_outcomes(other) for other in others):
        return "".join(_side_by_side(request))
    return "".join(request.each(lambda subject, level: _of(subject, request, level)))


def _of(subject: Subject, request: Request, level: int) -> Iterator[str]:
    among = _among(subject)
    yield heading("The question", level) + paragraph(_question([subject]))
    if subject.compared:
        yield heading("What was found", level)
        yield attempted("The frequencies", lambda: _frequencies(subject, among, request))
    if subject.design.groups:
        yield heading("How much do clusters differ?", level)
        yield attempted("The differences between clusters", lambda: paragraph(_clusters(subject, among)))
    yield heading("Can it be trusted?", level) + paragraph(f"{_trust(subject, request)} {_limits(subject)}")


def _among(subject: Subject) -> Frequency:
    """The number out of which events are counted, by how rare they are."""
    outcome = subject.design.outcome
    return out_of(float(outcome.y.sum() / outcome.trials.sum()))


def _unit(subject: Subject) -> str:
    return "trials" if subject.design.outcome.binomial else "rows"


def _question(subjects: Sequence[Subject]) -> str:
    """The question of fits of the same outcomes, about all their predictors and grouping factors."""
    first = subjects[0]
    outcome = first.design.outcome
    events, trials, among = float(outcome.y.sum()), float(outcome.trials.sum()), _among(first)
    named = list(dict.fromkeys(f"`{name}`" for subject in subjects for name in subject.predictors))
    others = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    asked = [f"how the probability of {first.event} depends on {_listed(named[:MOST_NAMED])}{others}"] if named else []
    groups = {group.name: len(group.levels) for subject in subjects for group in subject.design.groups}
    if groups:
        clusters = _listed([f"the {number_of(size, 'cluster')} of `{name}`" for name, size in groups.items()])
        asked.append(f"how much it differs between {clusters}")
    text = ", and ".join(asked) or f"how large the probability of {first.event} is"
    return (
        f"The question is {text}. There are {trials:,.0f} {_unit(first)}, {events:,.0f} of them with {first.event}: "
        f"{among(events / trials)} of {among.text}."
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# ---- one fit ----


def _frequencies(subject: Subject, among: Frequency, request: Request) -> str:
    """Bars with the frequency of the event at values of the predictors that matter most."""
    found = sorted((compared(subject, name) for name in subject.compared), key=lambda one: -one.largest)
    shown, left_out = found[:MOST_PREDICTORS], [f"`{one.name}`" for one in found[MOST_PREDICTORS:]]
    rows = "".join(_bars(one, among, request.interval) for one in shown)
    head = ("Predictor", "Value", f"Of {among.text}", f"Compared with the first value ({request.interval_name})")
    return _table(subject, among, head, rows) + paragraph(_explained(len(found) > 1, shown, left_out))


def _table(subject: Subject, among: Frequency, head: Sequence[str], rows: str, kind: str = "frequencies") -> str:
    top = element("thead", element("tr", "".join(element("th", prose(words), scope="col") for words in head)))
    words = prose(f"Frequency of {subject.event} among {among.text} {_unit(subject)}")
    return element("table", element("caption", element("span", words)) + top + rows, class_=kind)


def _explained(several: bool, shown: Sequence[Compared], left_out: list[str]) -> str:
    others = "One predictor changes, and all others stay as they are. " if several else ""
    halves = list(dict.fromkeys(f"`{one.name}`" for one in shown if one.halves))
    ends = f"The values of {_listed(halves)} are the ends of the middle half in the data. " if halves else ""
    less = f"Differences by {_listed(left_out)} are smaller. " if left_out else ""
    return f"{others}{ends}{less}Where an interval goes from fewer to more, the data do not tell the direction."


def _bars(one: Compared, among: Frequency, interval: Interval) -> str:
    rows = []
    for k, value in enumerate(one.values):
        name = element("th", prose(f"`{one.name}`"), scope="rowgroup", rowspan=str(len(one.values))) if k == 0 else ""
        cells = (prose(_label(value)), _bar(one, k, among), prose(difference(one, k, among, interval)))
        rows.append(element("tr", name + "".join(element("td", cell) for cell in cells)))
    return element("tbody", "".join(rows))


def _label(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _bar(one: Compared, k: int, among: Frequency) -> str:
    share = one.estimates[k]
    bar = element("span", "", class_="bar", style=f"--share:{min(share, 1):.3f}", aria_hidden="true")
    return bar + prose(among(share))


def _clusters(subject: Subject, among: Frequency) -> str:
    texts = [
        f"In the middle 80% of clusters of `{name}`, the event is expected in {frequency} "
        f"of {among.text} {_unit(subject)} with the same predictors."
        for name, frequency in middle_clusters(subject, among).items()
    ]
    return " ".join(texts) or "Each cluster is a single row."


# ---- several fits ----


def _side_by_side(request: Request) -> Iterator[str]:
    """The question once, tables with a column for each fit, and the answers of whether to trust them."""
    subjects = request.subjects
    yield heading("The question", 3) + paragraph(_question(subjects))
    if any(subject.compared or subject.design.groups for subject in subjects):
        yield heading("What was found, and how much clusters differ", 3)
        yield attempted("The frequencies", lambda: _columns(request))
    answers: dict[str, list[str]] = {}
    for subject in subjects:
        answers.setdefault(_trust(subject, request), []).append(subject.name)
    yield heading("Can it be trusted?", 3)
    yield facts((", ".join(names), answer) for answer, names in answers.items())
    if limits := _limits(*subjects):
        yield paragraph(limits)


def _columns(request: Request) -> Iterator[str]:
    subjects, first = request.subjects, request.subjects[0]
    among = _among(first)
    found = [{name: compared(subject, name) for name in subject.compared} for subject in subjects]
    clusters = [middle_clusters(subject, among) for subject in subjects]
    largest: dict[str, float] = {}
    for one in (one for columns in found for one in columns.values()):
        largest[one.name] = max(one.largest, largest.get(one.name, 0))
    names = sorted(largest, key=lambda name: -largest[name])
    shown = names[:MOST_PREDICTORS]
    factors = dict.fromkeys(name for column in clusters for name in column)
    for batch in batched(range(len(subjects)), MOST_BESIDE):
        rows = [_values(name, [found[k].get(name) for k in batch], among, request.interval) for name in shown]
        rows += [_ranges(name, [clusters[k].get(name, "") for k in batch]) for name in factors]
        head = ["Predictor", "Value", *(subjects[k].name for k in batch)]
        yield scrolled(_table(first, among, head, "".join(rows), "frequencies several"), "Frequencies")
    pairs = [columns[name] for columns in found for name in shown if name in columns]
    left_out = [f"`{name}`" for name in names[MOST_PREDICTORS:]]
    if pairs:
        yield paragraph(
            f"Below a frequency is its difference from that at the first value, with its {request.interval_name}. "
            f"{_explained(len(names) > 1, pairs, left_out)}"
        )
    if factors:
        yield paragraph(
            f"The range for clusters is that of the middle 80% of them, among {among.text} {_unit(first)} with the "
            "same predictors."
        )


def _values(name: str, columns: Sequence[Compared | None], among: Frequency, interval: Interval) -> str:
    """Rows of the values of a predictor, which may differ between fits from different rows."""
    values = list(dict.fromkeys(value for one in columns if one is not None for value in one.values))
    rows = []
    for row, value in enumerate(values):
        cells = [element("td", prose(_label(value)))]
        for one in columns:
            if one is None or value not in one.values:
                cells.append(element("td", "not in the model" if one is None and row == 0 else "", class_="note"))
                continue
            k = one.values.index(value)
            change = element("span", prose(difference(one, k, among, interval)), class_="change") if k else ""
            cells.append(element("td", _bar(one, k, among) + change))
        first = element("th", prose(f"`{name}`"), scope="rowgroup", rowspan=str(len(values))) if row == 0 else ""
        rows.append(element("tr", first + "".join(cells)))
    return element("tbody", "".join(rows))


def _ranges(name: str, columns: Sequence[str]) -> str:
    first = element("th", prose(f"Clusters of `{name}`"), scope="row") + element("td", "middle 80%")
    cells = "".join(element("td", prose(words)) for words in columns)
    return element("tbody", element("tr", first + cells))


# ---- trust ----


def _trust(subject: Subject, request: Request) -> str:
    against = _against(subject, request)
    if _failed(subject):
        return "No: the computation failed. Do not use the results."
    if against:
        return f"With care: {'; '.join(against)}."
    return "The computation converged, and the checks found no evidence against the model."


def _failed(subject: Subject) -> bool:
    return subject.fit.diagnostics.status == "failed"


def _limits(*subjects: Subject) -> str:
    """What holds for all results, unless there are none."""
    if all(map(_failed, subjects)):
        return ""
    return (
        "Intervals show how far the results may be from those of all rows and clusters of this kind. "
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
