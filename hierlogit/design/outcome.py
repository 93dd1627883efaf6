"""Outcomes of rows: successes and trials from the left-hand side of a formula, and the definition of the event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import Facts, Shown, View
from ..errors import DesignError
from ..formula.terms import Response
from ..validation import agree, choice, number_of, quoted_list
from .table import Missing, TrainingTable, say_dropped, with_columns

FloatArray = npt.NDArray[np.float64]
Family = Literal["binomial", "betabinomial"]
FAMILIES: tuple[Family, ...] = ("binomial", "betabinomial")

#: Counts that differ less than this from whole numbers are rounded: products such as ``prop * n`` are not exact.
WHOLE_TOLERANCE = 1e-6
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
    """

    name: str
    event: str
    y: FloatArray
    trials: FloatArray
    binomial: bool
    family: Family = "binomial"

    @property
    def counted(self) -> str:
        """The event and how often it occurred, as text: ``use = 1: 759 of 1,934 rows``."""
        unit = "trials" if self.binomial else "rows"
        return f"{self.event}: {self.y.sum():,.0f} of {self.trials.sum():,.0f} {unit}"

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


def read_outcome(response: Response, frame: pd.DataFrame) -> Outcome:
    """Outcomes of the training rows.

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
            f"the outcome is constant: the event ({outcome.event}) {always} happens in the {len(outcome.y):,} complete "
            "rows. A logistic regression needs both outcomes: check how the event is coded, and which rows were "
            "selected."
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
    untried = _binomial(response, table.frame).trials == 0
    if not untried.any():
        return table
    if untried.all():
        raise DesignError(f"no row of {response.text} has any trials. Check which column holds the trials.")
    say_dropped(untried, f"no trials in {response.text}", "Leave them out", table.rows, missing)
    return table.without_untried(untried)


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
    if before.binomial:
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
    shown = f"'{event}'" if isinstance(event, str) else f"{event:g}" if isinstance(event, float) else str(event)
    return Outcome(name, f"{name} = {shown}", y, np.ones(len(y)), binomial=False)


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


def _binomial(response: Response, frame: pd.DataFrame) -> Outcome:
    name = response.column
    y = _counts(frame, name, "successes")
    if response.failures is not None:
        failures = _counts(frame, response.failures, "failures")
        trials, event = y + failures, f"{name}, against {response.failures}"
    elif isinstance(response.trials, int):
        trials, event = np.full(len(y), float(response.trials)), f"{name} of {response.trials}"
    else:
        assert response.trials is not None
        trials, event = _counts(frame, response.trials, "trials"), f"{name} of {response.trials}"
    _refuse_rows(y > trials, f"more successes ('{name}') than trials", "Check which column is which.")
    return Outcome(name, event, y, trials, binomial=True)


def _counts(frame: pd.DataFrame, column: str, role: str) -> FloatArray:
    values = frame[column]
    if values.dtype.kind not in "iuf":
        held = "True/False" if values.dtype == bool else "text or categories"
        raise DesignError(f"the {role} in '{column}' must be whole numbers; the column holds {held}.")
    counts = values.to_numpy(dtype=np.float64)
    whole = np.round(counts)
    _refuse_rows(whole < 0, f"negative {role} in '{column}'", "Counts start at 0.")
    fractional = np.abs(counts - whole) > WHOLE_TOLERANCE
    if fractional.any():
        _refuse_rows(fractional, f"fractional {role} in '{column}', {_fractions(counts[fractional])}", _GIVE_COUNTS)
    return whole


def _fractions(values: FloatArray) -> str:
    return f"such as {', '.join(f'{value:.6g}' for value in values[:3])}"


def _refuse_rows(bad: npt.NDArray[np.bool_], what: str, remedy: str) -> None:
    if bad.any():
        rows = np.flatnonzero(bad).tolist()
        raise DesignError(
            f"{len(rows):,} of {number_of(len(bad), 'row')} {agree(rows, 'has', 'have')} {what}; counted from 0 among "
            f"the complete rows: {quoted_list(rows)}. {remedy}"
        )
