"""Outcomes of rows: successes and trials from the left-hand side of a formula, and the definition of the event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..binomial import log_binomial_coefficient
from ..display import Facts, Shown, View
from ..errors import DesignError
from ..formula.terms import Response
from ..validation import WHOLE_TOLERANCE, agree, choice, number_of, quoted_list, shortened
from .row_counts import RowCounts, unused_name
from .table import Missing, TrainingTable, say_dropped, with_columns

FloatArray = npt.NDArray[np.float64]
Family = Literal["binomial", "betabinomial"]
FAMILIES: tuple[Family, ...] = ("binomial", "betabinomial")

_GIVE_COUNTS = (
    "Give counts, not proportions: p(prop * n, n), or p(round(prop * n), n) if the proportion was rounded before."
)


@dataclass(frozen=True, repr=False)
class Outcome(Shown):
    """Observed outcomes of all rows.

    Attributes
    ----------
    name : str
        Column of the outcome, or of the successes.
    event : str
        The event as it is named in the data: ``use = 1``, ``outcome = 'severe'``, ``incidence of size``.
    y : ndarray of float, shape (n,)
        Successes of each row.
    trials : ndarray of float, shape (n,)
        Trials of each row; all 1 for a binary outcome.
    binomial : bool
        Whether the formula gave trials or failures.
    family : {"binomial", "betabinomial"}
        Distribution of the successes of a row, given its linear predictor.
    of_counted : ndarray, shape (n,), optional
        If rows have been counted: the sum of the log binomial coefficients of the rows that each row stands for. It is
        zero for a binary outcome.
    """

    name: str
    event: str
    y: FloatArray
    trials: FloatArray
    binomial: bool
    family: Family = "binomial"
    of_counted: FloatArray | None = None

    @property
    def grouped(self) -> bool:
        """Whether rows have several trials: their numbers are in the formula, or rows have been counted."""
        return self.binomial or self.of_counted is not None

    @property
    def log_coefficients(self) -> FloatArray:
        """Log binomial coefficient of each row, or of the rows that it stands for; shape (n,)."""
        if self.of_counted is None:
            return log_binomial_coefficient(self.y, self.trials)
        return np.where(self.trials > 0, self.of_counted, 0.0)

    @cached_property
    def beyond_binomial(self) -> FloatArray:
        """What the log-likelihood of counted rows has in addition to the binomial one of their sums, shape (n,).

        It is negative: which of the rows have events is known, so that their order does not count.
        """
        return self.log_coefficients - log_binomial_coefficient(self.y, self.trials)

    @property
    def totals(self) -> tuple[float, float]:
        """Number of events, and of trials."""
        return float(self.y.sum()), float(self.trials.sum())

    @property
    def counted(self) -> str:
        """The event and how often it occurred, as text: ``use = 1: 759 of 1,934 rows``."""
        unit = "trials" if self.binomial else "rows"
        return f"{self.event}: {self.y.sum():,.0f} of {self.trials.sum():,.0f} {unit}"

    def silenced(self, rows: npt.NDArray[np.bool_]) -> Outcome:
        """The outcomes with zero trials in the rows where `rows`, shape (n,), is true."""
        return replace(self, y=self.y * ~rows, trials=self.trials * ~rows)

    def _view(self) -> View:
        return View(f"Outcome {self.name}", (Facts((("event", self.counted), ("rows", f"{len(self.y):,}"))),))


def known_family(family: object) -> Family:
    """The family of a model's outcomes.

    Raises
    ------
    DesignError
    """
    return choice("family", family, FAMILIES, DesignError)


def of_family(outcome: Outcome, family: Family) -> Outcome:
    """The outcomes with the distribution of a family.

    Raises
    ------
    DesignError
        If the family is beta-binomial and all rows have one trial: the likelihood does not depend on phi.
    """
    if family == "betabinomial" and outcome.trials.max() <= 1:
        counts = "no row has more than one trial" if outcome.binomial else f"'{outcome.name}' is binary"
        raise DesignError(
            f"family='betabinomial': {counts}, and a single trial cannot vary more than a binomial one, so that phi "
            "is not identified. Give counts of several trials, p(successes, trials) ~ ..., or leave family out."
        )
    return replace(outcome, family=family)


def read_outcome(response: Response, frame: pd.DataFrame, rows: int | None = None) -> Outcome:
    """Outcomes of the training rows; `rows` is their number before they are counted, for messages.

    The event of a text outcome with two levels is the second level, in sorted order or in the order of the categorical,
    as in R's ``glm``; ``use[N] ~`` chooses another.

    Raises
    ------
    DesignError
        If the outcome is not binary or is constant, or counts are negative, fractional or larger than their trials.
    """
    outcome = _binomial(response, frame) if response.binomial else _binary(response, frame)
    if outcome.y.sum() == 0 or np.array_equal(outcome.y, outcome.trials):
        always = "never" if outcome.y.sum() == 0 else "always"
        raise DesignError(
            f"the outcome is constant: the event ({outcome.event}) {always} happens in the "
            f"{rows or len(outcome.y):,} complete rows. A logistic regression needs both outcomes: check how the event "
            "is coded, and which rows were selected."
        )
    return outcome


def tried_rows(response: Response, table: TrainingTable, missing: Missing) -> TrainingTable:
    """The table without the rows that have no trials, which a warning counts: they do not change the likelihood.

    Raises
    ------
    DesignError
        If `missing` is "error" and there are such rows, if no row has trials, or if counts are negative, fractional or
        larger than their trials.
    """
    if not response.binomial:
        return table
    untried = _binomial(response, table.frame, labelled=table.counts is None).trials == 0
    if not untried.any():
        return table
    if untried.all():
        raise DesignError(f"no row of {response.text} has any trials. Check which column holds the trials.")
    what, counts = f"no trials in {response.text}", table.row_counts
    say_dropped(untried, what, "Leave them out", table.rows, missing, counts=counts)
    return table.without_untried(untried)


def added_up(response: Response, table: TrainingTable, by: Sequence[str]) -> TrainingTable:
    """The table with one row for each combination of the other columns, in which counted outcomes are added up.

    Parameters
    ----------
    response : Response
        Its columns are not among the others.
    table : TrainingTable
        Its rows have been counted for each outcome.
    by : sequence of str
        The other columns.

    Raises
    ------
    DesignError
        As for `read_outcome`.
    """
    frame, counts = table.frame, table.row_counts
    assert table.counts is not None
    assert counts is not None
    outcome = read_outcome(response, frame, table.n_rows)
    which = frame.groupby(list(by), observed=True).ngroup().to_numpy() if by else np.zeros(len(frame), dtype=np.intp)
    first = np.unique(which, return_index=True)[1]

    def total(values: FloatArray) -> npt.NDArray[np.int64]:
        return np.round(np.bincount(which, weights=values * counts)).astype(np.int64)

    sums = {response.column: total(outcome.y)}
    outcomes, coefficients = None, None
    if response.binomial:
        coefficients = unused_name("log_coefficients", [*frame.columns])
        if response.failures is not None:
            sums[response.failures] = total(outcome.trials - outcome.y)
        elif isinstance(response.trials, str):
            sums[response.trials] = total(outcome.trials)
    else:
        values = frame[response.column]
        outcomes = pd.concat([values[outcome.y == flag].iloc[:1] for flag in (0, 1)], ignore_index=True)
    sums[table.counts.column] = total(np.ones(len(frame)))
    collapsed = with_columns(frame[list(by)].iloc[first].reset_index(drop=True), sums)
    if coefficients is not None:
        # Added up in one order, whatever that of the source, so that not even the last digit depends on it.
        order = np.lexsort((counts, outcome.trials, outcome.y))
        constants = np.bincount(which[order], weights=(outcome.log_coefficients * counts)[order])
        collapsed = with_columns(collapsed, {coefficients: constants})
    return replace(
        table,
        frame=collapsed,
        rows=pd.RangeIndex(len(collapsed)),
        counts=RowCounts(table.counts.column, coefficients, outcomes),
    )


def outcome_of(response: Response, table: TrainingTable) -> Outcome:
    """Outcomes of the training rows, which may have been counted and added up.

    Raises
    ------
    DesignError
        As for `read_outcome`.
    """
    if table.counts is None:
        return read_outcome(response, table.frame)
    outcome = counted_outcome(response, table.frame, table.counts)
    of_counted = np.zeros(len(table.frame))
    if table.counts.coefficients is not None:
        of_counted = table.frame[table.counts.coefficients].to_numpy(dtype=np.float64)
    return replace(outcome, of_counted=of_counted)


def counted_outcome(response: Response, frame: pd.DataFrame, counts: RowCounts) -> Outcome:
    """Outcomes of rows with sums in the columns of the outcome.

    Raises
    ------
    DesignError
        If sums are negative, fractional or larger than their trials.
    """
    if response.failures is not None or isinstance(response.trials, str):
        return _binomial(response, frame)
    each = response.trials or 1
    trials = with_columns(frame, {counts.column: each * frame[counts.column]})
    outcome = _binomial(replace(response, trials=counts.column), trials)
    event = f"{response.column} of {each}" if response.binomial else _event(response.column, counts)
    return replace(outcome, event=event, binomial=response.binomial)


def outcomes_of_rows(response: Response, counts: RowCounts, outcome: Outcome) -> tuple[pd.DataFrame, Outcome]:
    """Rows before they were counted, one of each binary outcome, with their outcomes, by which others are coded."""
    if counts.outcomes is None:
        return pd.DataFrame(), outcome
    flags = np.arange(2.0)
    return pd.DataFrame({response.column: counts.outcomes}), replace(outcome, y=flags, trials=np.ones(2))


def _event(name: str, counts: RowCounts) -> str:
    """The event of a binary outcome whose rows have been counted."""
    assert counts.outcomes is not None
    return f"{name} = {_shown_level(counts.outcomes.iloc[-1])}"


def code_outcome(response: Response, frame: pd.DataFrame, trained: pd.DataFrame, outcome: Outcome) -> Outcome:
    """Outcomes of other rows, with the same event as in the training rows; they may be constant.

    Parameters
    ----------
    response : Response
    frame, trained : pandas.DataFrame
        The other rows and the training rows, with the columns of the outcome.
    outcome : Outcome
        Outcomes of the training rows.

    Raises
    ------
    DesignError
        If an outcome is neither of the two in the training rows, or counts are negative, fractional or larger than
        their trials.
    """
    if response.binomial:
        return _binomial(response, frame)
    values, known = frame[response.column], trained[response.column]
    event, other = (known[outcome.y == flag].iloc[0] for flag in (1, 0))
    strange = list(dict.fromkeys(value for value in values if value not in (event, other)))
    if strange:
        raise DesignError(
            f"the outcome '{response.column}' has {agree(strange, 'the value', 'the values')} {quoted_list(strange)}; "
            f"it must be one of {quoted_list([other, event])}."
        )
    y = (values == event).to_numpy(dtype=np.float64)
    return Outcome(outcome.name, outcome.event, y, np.ones(len(y)), binomial=False)


def outcome_columns(response: Response, frame: pd.DataFrame, before: Outcome, after: Outcome) -> pd.DataFrame:
    """The rows with other outcomes.

    Parameters
    ----------
    response : Response
    frame : pandas.DataFrame
        The rows, with the columns of the outcome.
    before, after : Outcome
        The outcomes in the rows, and those that replace them.
    """
    if before.grouped:
        changed = {response.column: after.y.astype(np.int64)}
        if response.failures is not None:
            changed[response.failures] = (after.trials - after.y).astype(np.int64)
        return with_columns(frame, changed)
    values = frame[response.column]
    event, other = (int(np.flatnonzero(before.y == flag)[0]) for flag in (1, 0))
    coded = values.take(np.where(after.y == 1, event, other)).set_axis(frame.index)
    return with_columns(frame, {response.column: coded})


def _binary(response: Response, frame: pd.DataFrame) -> Outcome:
    name, values = response.column, frame[response.column]
    levels = _levels(values)
    if len(levels) < 2:
        raise DesignError(
            f"the outcome '{name}' is constant: every complete row has {quoted_list(levels)}. A logistic regression "
            "needs both outcomes."
        )
    if response.event is not None:
        event = _named_event(response.event, levels, name)
    elif values.dtype == bool:
        event = True
    elif isinstance(values.dtype, pd.CategoricalDtype):
        event = levels[-1]
    else:
        event = _zero_one_event(levels, name)
    if len(levels) > 2:
        raise DesignError(
            f"the outcome '{name}' has {len(levels)} levels: {quoted_list(levels)}. A logistic regression needs two: "
            f"make a 0/1 column of the event you mean and use that, or give counts as p(successes, trials)."
        )
    y = (values == event).to_numpy(dtype=np.float64)
    return Outcome(name, f"{name} = {_shown_level(event)}", y, np.ones(len(y)), binomial=False)


def _shown_level(level: Any) -> str:
    """A level of the outcome, as text."""
    return f"'{level}'" if isinstance(level, str) else f"{level:g}" if isinstance(level, float) else str(level)


def _levels(values: pd.Series[Any]) -> list[Any]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return list(values.cat.categories)
    return [value.item() for value in np.sort(values.unique())]


def _zero_one_event(levels: list[Any], name: str) -> Any:
    if set(levels) <= {0, 1}:
        return 1
    if len(levels) == 2:
        raise DesignError(
            f"the outcome '{name}' has the numbers {quoted_list(levels)}, and it is not known which of them is the "
            f"event. Name it in the formula, {name}[{levels[1]:g}] ~ ..., or code the column as 0/1."
        )
    raise DesignError(
        f"the outcome '{name}' is not binary: it has {len(levels)} different numbers, {quoted_list(levels)}. Use a "
        f"0/1, True/False or two-level text column, or counts as p(successes, trials) or cbind(successes, failures)."
    )


def _named_event(wanted: str, levels: list[Any], name: str) -> Any:
    for level in levels:
        if str(level) == wanted or (isinstance(level, float) and f"{level:g}" == wanted):
            return level
    raise DesignError(
        f"the outcome '{name}' has no level '{wanted}' to be the event; its levels are {quoted_list(levels)}. "
        f"Write one of them in {name}[...]."
    )


def _binomial(response: Response, frame: pd.DataFrame, *, labelled: bool = True) -> Outcome:
    """Successes and trials; unless rows are `labelled`, their positions mean nothing to users."""
    name = response.column
    y = _counts(frame, name, "successes", labelled)
    if response.failures is not None:
        failures = _counts(frame, response.failures, "failures", labelled)
        trials, event = y + failures, f"{name}, against {response.failures}"
    elif isinstance(response.trials, int):
        trials, event = np.full(len(y), float(response.trials)), f"{name} of {response.trials}"
    else:
        assert response.trials is not None
        trials, event = _counts(frame, response.trials, "trials", labelled), f"{name} of {response.trials}"
    _refuse_rows(y > trials, frame, f"more successes ('{name}') than trials", "Check which column is which.", labelled)
    return Outcome(name, event, y, trials, binomial=True)


def _counts(frame: pd.DataFrame, column: str, role: str, labelled: bool) -> FloatArray:
    values = frame[column]
    if values.dtype.kind not in "iuf":
        held = "True/False" if values.dtype == bool else "text or categories"
        raise DesignError(f"the {role} in '{column}' must be whole numbers; the column holds {held}.")
    counts = values.to_numpy(dtype=np.float64)
    whole = np.round(counts)
    _refuse_rows(whole < 0, frame, f"negative {role} in '{column}'", "Counts start at 0.", labelled)
    fractional = np.abs(counts - whole) > WHOLE_TOLERANCE
    if fractional.any():
        what = f"fractional {role} in '{column}', {_fractions(counts[fractional])}"
        _refuse_rows(fractional, frame, what, _GIVE_COUNTS, labelled)
    return whole


def _fractions(values: FloatArray) -> str:
    return f"such as {', '.join(f'{value:.6g}' for value in values[:3])}"


def _refuse_rows(bad: npt.NDArray[np.bool_], frame: pd.DataFrame, what: str, remedy: str, labelled: bool) -> None:
    """Refuse rows, which are named by their positions if these mean something, and by the values of the first."""
    if not bad.any():
        return
    rows = np.flatnonzero(bad)
    unit = "row" if labelled else "distinct row"
    where = f"; counted from 0 among the complete rows: {quoted_list(rows.tolist())}" if labelled else ""
    first = ", ".join(f"{name} = {shortened(value)}" for name, value in frame.iloc[rows[0]].astype(object).items())
    raise DesignError(
        f"{len(rows):,} of {number_of(len(bad), unit)} {agree(len(rows), 'has', 'have')} {what}{where}. "
        f"{agree(len(rows), 'It', 'The first')} has {first}. {remedy}"
    )
