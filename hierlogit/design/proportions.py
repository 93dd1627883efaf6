"""Proportions given as outcomes: the response that is meant, with the column of the table that holds the trials."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError
from ..formula.terms import Formula
from ..validation import number_of
from .outcome import WHOLE_TOLERANCE
from .table import clean_column

FloatArray = npt.NDArray[np.float64]

#: Decimal places that rounded proportions are looked at with.
_MOST_PLACES = 6


def refuse_proportions(formula: Formula, outcome: pd.Series[float], source: pd.DataFrame) -> None:
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
        If the outcome has numbers strictly between 0 and 1, and none outside.
    """
    if outcome.dtype.kind not in "iuf" or formula.response.event is not None:
        return
    values = outcome.to_numpy(dtype=np.float64)
    if not (values.min() >= 0 and values.max() <= 1 and np.any((values > 0) & (values < 1))):
        return
    name, right = formula.response.column, " ".join(formula.text.partition("~")[2].split())
    trials, rounded = _trials_of(name, source)
    count = f"{_quoted(name)} * {_quoted(trials or 'n')}"
    response = f"p({f'round({count})' if rounded else count}, {_quoted(trials or 'n')}) ~ {right}"
    different = number_of(len(np.unique(values)), "different number")
    begin = f"the outcome '{name}' holds proportions, {different} from 0 to 1. Write the successes and the trials"
    if trials is None:
        raise DesignError(
            f"{begin}: {response}, where n is the column with the number of trials of each row (the weights of glm and "
            f"glmer in R). No column of the table gives whole numbers of successes with '{name}'."
        )
    raise DesignError(f"{begin}: {response}. In R this is {name} ~ {right} with weights = {trials}.")


def _trials_of(name: str, source: pd.DataFrame) -> tuple[str | None, bool]:
    """The first column of trials that fits the proportions, and whether these were rounded."""
    proportions = _numbers(source, name)
    columns = {str(column): _numbers(source, column) for column in source.columns if column != name}
    candidates = {}
    for column, trials in columns.items():
        both = np.isfinite(proportions) & np.isfinite(trials)
        if both.any() and np.all(trials[both] == np.round(trials[both])) and trials[both].min() >= 0:
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


def _numbers(source: pd.DataFrame, name: object) -> FloatArray:
    """The column as numbers, with NaN for what is missing; all NaN for columns of other types."""
    try:
        values = clean_column(source[name], str(name))
    except DesignError:
        return np.full(len(source), np.nan)
    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype.kind in "bO":
        return np.full(len(source), np.nan)
    numbers: FloatArray = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"
