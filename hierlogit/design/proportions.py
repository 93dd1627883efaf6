"""Proportions given as outcomes: the response that is meant, with the column of the table that holds the trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError
from ..formula.terms import Formula
from ..validation import WHOLE_TOLERANCE
from .table import clean_column

FloatArray = npt.NDArray[np.float64]

#: Decimal places that rounded proportions are looked at with.
_MOST_PLACES = 6


def refuse_proportions(formula: Formula, outcome: pd.Series[Any], source: pd.DataFrame) -> None:
    """Refuse an outcome that is a proportion, and write out the response with successes and trials.

    Parameters
    ----------
    formula : Formula
        Its response is a column.
    outcome : pandas.Series
        The column of outcomes in the complete rows.
    source : pandas.DataFrame
        The user's table.

    Raises
    ------
    DesignError
        If the outcome has proportions or percentages, as numbers or as text.
    """
    name, right = formula.response.column, formula.line.partition("~")[2].strip()
    values = _values(outcome)
    if formula.response.event is not None or len(np.unique(values)) < 3 or values.min() < 0 or values.max() > 100:
        return
    one, what = (1, "proportions") if values.max() <= 1 else (100, "percentages")
    trials, rounded = _trials_of(_numbers(source, name) / one, name, source)
    if trials is None and one == 100:  # other numbers from 0 to 100
        return
    begin = f"the outcome '{name}' holds {what}. Write"
    if outcome.dtype.kind not in "iuf":
        numbers = f"data[{name!r}] = pd.to_numeric(data[{name!r}])"
        begin = f"the outcome '{name}' holds {what} as text. Turn it into numbers, {numbers}, and write"
    share = _quoted(name) if one == 1 else f"{_quoted(name)} / 100"
    count = f"{share} * {_quoted(trials or 'n')}"
    response = f"p({f'round({count})' if rounded else count}, {_quoted(trials or 'n')}) ~ {right}"
    begin += f" the successes and the trials: {response}"
    if trials is None:
        raise DesignError(
            f"{begin}, where n is the column with the number of trials of each row (weights in R's glm and glmer). "
            f"No column of the table gives whole numbers of successes with '{name}'."
        )
    raise DesignError(f"{begin}. In R this is {name} ~ {right} with weights = {trials}.")


def _trials_of(proportions: FloatArray, name: str, source: pd.DataFrame) -> tuple[str | None, bool]:
    """The first column of trials that fits the proportions in the column `name`, and whether these were rounded."""
    columns = {str(column): _numbers(source, column) for column in source.columns if column != name}
    candidates = {}
    for column, trials in columns.items():
        both = np.isfinite(proportions) & np.isfinite(trials)
        between = both & (proportions > 0) & (proportions < 1)  # needs two trials or more
        if between.any() and np.all(trials[both] == np.round(trials[both])) and trials[between].min() >= 2:
            candidates[column] = proportions[both], trials[both]
    for column, (shares, trials) in candidates.items():
        if np.all(np.abs(shares * trials - np.round(shares * trials)) <= WHOLE_TOLERANCE):
            return column, False
    for column, (shares, trials) in candidates.items():
        if _rounded_from(shares, trials):
            return column, True
    return None, False


def _rounded_from(shares: FloatArray, trials: FloatArray) -> bool:
    """Whether proportions are those of whole numbers of successes, rounded to two decimal places or more."""
    places = next((k for k in range(2, _MOST_PLACES) if np.allclose(shares, np.round(shares, k), atol=1e-12)), None)
    if places is None or trials.max() >= 10**places:  # each proportion would fit some number of successes
        return False
    exact = np.divide(np.round(shares * trials), trials, out=np.zeros_like(shares), where=trials > 0)
    return bool(np.all(np.abs(exact - shares) <= 0.5000001 * 10.0**-places))


def _values(column: pd.Series[Any]) -> FloatArray:
    """The numbers in a cleaned column, or in its texts; none for other columns."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        try:
            column = column.astype(str).astype(np.float64)
        except ValueError:
            return np.empty(0)
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan) if column.dtype.kind in "iuf" else np.empty(0)
    return numbers if np.isfinite(numbers).all() else np.empty(0)


def _numbers(source: pd.DataFrame, name: object) -> FloatArray:
    """A column of the user's table as numbers, with NaN for what is missing; all NaN for columns of other types."""
    try:
        values = clean_column(source[name], str(name))
        return pd.to_numeric(values.astype(object), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    except (DesignError, TypeError, ValueError):
        return np.full(len(source), np.nan)


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"
