"""The columns of a table that a formula needs, checked and without missing values."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import Facts, Shown, View
from ..errors import DataWarning, DesignError, warn
from ..validation import agree, choice, number_of, quoted_list
from .column_rules import ColumnRule
from .row_counts import CountedColumn, RowCounts
from .table_sources import read_table
from .weights import FrequencyWeights, SamplingWeights, Weights, weights_in

Missing = Literal["drop", "error"]
MISSING_CHOICES: tuple[Missing, ...] = ("drop", "error")
#: From this share of rows with missing values on, results may depend on how these are handled.
MANY_MISSING = 0.1
#: What to do in place of dropping many rows.
INSTEAD_OF_DROPPING = " Multiple imputation keeps them: hl.fit_imputed fits the model to imputed tables."
#: Number of levels of a column that a view of a table shows.
_LEVELS_SHOWN = 8


def with_columns(frame: pd.DataFrame, columns: Mapping[Any, Any]) -> pd.DataFrame:
    """The frame with columns added or replaced, whatever their names: `DataFrame.assign` takes them as keywords.

    Examples
    --------
    >>> with_columns(pd.DataFrame({"self": [0, 1]}), {"self": 2, "other": [3, 4]}).to_dict("list")
    {'self': [2, 2], 'other': [3, 4]}
    """
    changed = frame.copy(deep=False)
    for name, values in columns.items():
        changed[name] = values
    return changed


@dataclass(frozen=True, repr=False)
class TrainingTable(Shown):
    """The rows and columns to which a model is fitted.

    Attributes
    ----------
    frame : pandas.DataFrame
        The columns of the formula and the complete rows, numbered from 0. Text is categorical with sorted levels;
        categoricals keep the order of their levels. Levels without rows are dropped.
    rows : pandas.Index
        Labels of the rows in the user's table; positions if its labels were not unique.
    n_missing : int
        Number of rows left out because of missing values. All numbers of rows are those before rows are counted.
    missing_by_column : mapping of str to int
        Number of missing values, for each column that has some.
    unused_levels : mapping of str to tuple of str
        Levels of categoricals without rows, by column.
    n_untried : int
        Number of rows left out because they have no trials.
    weights : FrequencyWeights or SamplingWeights, optional
        Rows with frequency weights are repeated in `frame`; sampling weights are columns of it.
    n_repeated : int
        With frequency weights, the number of rows that are repeated.
    n_weightless : int
        Number of rows left out because their weight is zero.
    source : str
        The file or the kind of lazy frame that the rows were read from; empty for a table in memory.
    counts : RowCounts, optional
        If rows have been counted: the columns of `frame` with the number of rows that each row stands for. The columns
        of the outcome then hold sums.
    rules : mapping of str to ColumnRule, optional
        If these are some rows of a larger table: what ``scale(x)`` and other calls have learned from all of its rows.
    """

    frame: pd.DataFrame
    rows: pd.Index[Any]
    n_missing: int
    missing_by_column: Mapping[str, int]
    unused_levels: Mapping[str, tuple[str, ...]]
    n_untried: int = 0
    weights: Weights | None = None
    n_repeated: int = 0
    n_weightless: int = 0
    source: str = ""
    counts: RowCounts | None = None
    rules: Mapping[str, ColumnRule] | None = None

    @property
    def row_counts(self) -> npt.NDArray[np.float64] | None:
        """How many rows each row stands for, shape (n,); None if rows have not been counted."""
        return None if self.counts is None else self.frame[self.counts.column].to_numpy(dtype=np.float64)

    @property
    def n_rows(self) -> int:
        """Number of rows, before they are counted."""
        return len(self.frame) if self.counts is None else int(self.frame[self.counts.column].sum())

    def column(self, name: str) -> pd.Series[Any] | CountedColumn:
        """A column of numbers, with its mean, standard deviation and quantiles over all rows."""
        counts = self.row_counts
        if counts is None:
            return self.frame[name].astype(np.float64)
        return CountedColumn(self.frame[name].to_numpy(dtype=np.float64), counts)

    @property
    def counted(self) -> str:
        """Number of rows, their weights, and numbers of rows dropped, as text."""
        where = ", ".join(f"{name} {count:,}" for name, count in self.missing_by_column.items())
        gone = [f"{self.n_missing:,} more dropped for missing values: {where}"] if self.n_missing else []
        gone += [f"{self.n_untried:,} more dropped, without trials"] if self.n_untried else []
        gone += [f"{self.n_weightless:,} more dropped, with weight zero"] if self.n_weightless else []
        if isinstance(self.weights, FrequencyWeights):
            gone.insert(0, f"{number_of(self.n_repeated, 'row')} of the table, counted by '{self.weights.rows}'")
        return f"{self.n_rows:,}{self.counted_to}" + (f" ({'; '.join(gone)})" if gone else "")

    @property
    def unit(self) -> str:
        """What results by row are for: rows or, if rows have been counted, those that differ."""
        return "rows" if self.counts is None else "distinct rows"

    @property
    def counted_to(self) -> str:
        """To how many rows the rows have been counted, as the end of a text; empty if they have not."""
        return "" if self.counts is None else f", counted to {number_of(len(self.frame), 'distinct row')}"

    def counted_apart(self, other: TrainingTable) -> bool:
        """Whether rows have been counted in another way than those of another table: each by its own predictors.

        Log-likelihoods of the same rows still agree.
        """
        first, second = self.row_counts, other.row_counts
        if first is None or second is None:
            return first is not second
        return not np.array_equal(first, second) or not self.frame.columns.equals(other.frame.columns)

    @property
    def shown(self) -> pd.DataFrame:
        """The rows as results show them: with their numbers if they have been counted, but without constants."""
        hidden = None if self.counts is None else self.counts.coefficients
        return self.frame if hidden is None else self.frame.drop(columns=hidden)

    def with_column(self, name: str, values: Any) -> TrainingTable:
        """The table with another column, which is computed from the others."""
        return replace(self, frame=with_columns(self.frame, {name: values}))

    def number_of_rows(self, chosen: npt.NDArray[np.bool_]) -> int:
        """Number of rows, before they are counted, where `chosen`, shape (n,), is true."""
        counts = self.row_counts
        return int(chosen.sum()) if counts is None else int(counts[chosen].sum())

    def without_untried(self, untried: npt.NDArray[np.bool_]) -> TrainingTable:
        """The table without the rows where `untried`, shape (n,), is true."""
        frame, unused = _with_used_levels(self.frame.loc[~untried].reset_index(drop=True))
        return replace(
            self,
            frame=frame,
            rows=self.rows[~untried],
            unused_levels=_joined(self.unused_levels, unused),
            n_untried=self.number_of_rows(untried),
        )

    def repeated(self, weights: FrequencyWeights, *, keep: bool) -> TrainingTable:
        """The table with each row repeated as often as it counts; with `keep`, the counts stay a column of it.

        Raises
        ------
        DesignError
            If the column does not hold counts.
        """
        counts = weights.counts(self.frame)
        frame = self.frame if keep else self.frame.drop(columns=weights.rows)
        frame, unused = _with_used_levels(frame.loc[frame.index.repeat(counts)].reset_index(drop=True))
        weightless = int((counts == 0).sum())
        return replace(
            self,
            frame=frame,
            rows=self.rows[counts == 1] if counts.max() == 1 else pd.RangeIndex(len(frame)),
            unused_levels=_joined(self.unused_levels, unused),
            weights=weights,
            n_repeated=len(counts) - weightless,
            n_weightless=weightless,
        )

    def sampled(self, weights: SamplingWeights) -> TrainingTable:
        """The table with sampling weights, without the rows whose weight is zero.

        Raises
        ------
        DesignError
            If a column does not hold weights.
        """
        by_column = [weights_in(self.frame, name) for name in weights.columns]
        weightless = np.any(np.array(by_column) == 0, axis=0)
        if weightless.all():
            raise DesignError(
                f"all weights in {quoted_list(list(weights.columns))} are zero. Check which columns these are."
            )
        frame, unused = _with_used_levels(self.frame.loc[~weightless].reset_index(drop=True))
        return replace(
            self,
            frame=frame,
            rows=self.rows[~weightless],
            unused_levels=_joined(self.unused_levels, unused),
            weights=weights,
            n_weightless=self.number_of_rows(weightless),
        )

    def multiplied(self, weights: FrequencyWeights, column: str, *, keep: bool) -> TrainingTable:
        """The table whose rows count as often as their weights, times their numbers if they have been counted.

        Parameters
        ----------
        weights : FrequencyWeights
        column : str
            Name of the column with the counts.
        keep : bool
            Whether the column of the weights stays.

        Raises
        ------
        DesignError
            If the column of the weights does not hold counts, or there are more rows than can be counted.
        """
        times, before = weights.counts(self.frame), self.row_counts
        there = times > 0
        counted = times if before is None else times * before  # as floating numbers, which do not overflow
        weights.refuse_too_many(float(counted.sum()))
        rows = counted.astype(np.int64)
        frame = self.frame if keep else self.frame.drop(columns=weights.rows)
        frame = with_columns(frame, {column: rows}).loc[there].reset_index(drop=True)
        frame, unused = _with_used_levels(frame)
        return replace(
            self,
            frame=frame,
            rows=pd.RangeIndex(len(frame)),
            unused_levels=_joined(self.unused_levels, unused),
            weights=weights,
            n_repeated=self.number_of_rows(there),
            n_weightless=self.number_of_rows(~there),
            counts=RowCounts(column),
        )

    def _view(self) -> View:
        columns = tuple((str(name), self._values_of(str(name))) for name in self.frame.columns)
        source = (("read from", self.source),) if self.source else ()
        rows = Facts((("rows", self.counted), *source))
        return View("Rows and columns that the model is fitted to", (rows, Facts(columns, "columns", ".frame")))

    def _values_of(self, name: str) -> str:
        """The values of a column, as text; of a binary outcome whose rows have been counted, its own ones."""
        values = _values_of(self.frame[name])
        outcomes = None if self.counts is None else self.counts.outcomes
        if outcomes is None or outcomes.name != name:
            return values
        other, event = map(str, outcomes)
        return f"{other}, {event}; {event} in {values} of the rows counted together"


def _joined(before: Mapping[str, tuple[str, ...]], after: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Unused levels by column, with those that are unused from now on."""
    return {**before, **{name: (*before.get(name, ()), *levels) for name, levels in after.items()}}


def _values_of(column: pd.Series[Any]) -> str:
    """The levels or the range of a column, as text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = [str(level) for level in column.cat.categories[:_LEVELS_SHOWN]]
        rest = len(column.cat.categories) - len(levels)
        return f"{', '.join(levels)}{f' and {rest:,} more levels' if rest else ''}"
    if column.dtype == bool:
        return "False, True"
    return f"{column.min():.6g} to {column.max():.6g}"


def training_table(
    data: Any,
    columns: Sequence[str],
    missing: Missing,
    counts: RowCounts | None = None,
    *,
    of_weights: Sequence[str] = (),
) -> TrainingTable:
    """The columns that a formula uses, checked and without incomplete rows.

    Parameters
    ----------
    data : table
        As for `read_table`.
    columns : sequence of str
        Names of the columns; all of them exist.
    missing : {"drop", "error"}
        What to do with rows that have missing values in these columns.
    counts : RowCounts, optional
        Names the column with how many rows each row of the table stands for.
    of_weights : sequence of str
        Those of the columns that hold weights.

    Raises
    ------
    DesignError
        For infinite values, columns of mixed or unusable types, missing values if `missing` is "error", and if no row
        is complete.
    """
    choice("missing", missing, MISSING_CHOICES, DesignError)
    table = read_table(data)
    labels = table.index if table.index.is_unique and table.index.nlevels == 1 else pd.RangeIndex(len(table))
    numbers = None if counts is None else table[counts.column].to_numpy(dtype=np.int64)
    used = pd.DataFrame({name: clean_column(table[name], name) for name in columns}, index=table.index)
    used.index = pd.RangeIndex(len(used))
    for name in columns:
        _refuse_infinite(used[name], name, labels, numbers)

    absent = used.isna()
    incomplete = absent.any(axis=1).to_numpy()
    totals = absent.sum() if numbers is None else absent.mul(numbers, axis=0).sum()
    by_column = {str(name): int(count) for name, count in totals.items() if count}
    if incomplete.any():
        imputable = absent.drop(columns=list(of_weights)).any(axis=1).to_numpy()
        _say_missing(incomplete, imputable, by_column, labels, missing, numbers)
    if counts is not None:
        used[counts.column] = numbers
    complete = used.loc[~incomplete].reset_index(drop=True)
    if len(complete) == 0:
        where = ", ".join(f"{name} ({number:,})" for name, number in by_column.items())
        raise DesignError(
            f"every row has a missing value, in {where}. Fill them, or leave a column out of the formula."
        )

    for name in columns:
        if isinstance(complete[name].dtype, pd.CategoricalDtype):
            continue
        if complete[name].dtype == object:  # True/False that had missing values
            complete[name] = complete[name].astype(bool)
        elif pd.api.types.is_extension_array_dtype(complete[name].dtype):  # whole numbers that had missing values
            complete[name] = complete[name].astype(np.int64)
    complete, unused = _with_used_levels(complete)
    n_missing = int(incomplete.sum() if numbers is None else numbers[incomplete].sum())
    return TrainingTable(complete, labels[~incomplete], n_missing, by_column, unused, counts=counts)


def _with_used_levels(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]]]:
    """The rows with categoricals that have only the levels in them, and the levels that are gone, by column."""
    used: dict[str, pd.Series[Any]] = {}
    gone: dict[str, tuple[str, ...]] = {}
    for name in map(str, frame):
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            before = frame[name].cat.categories
            used[name] = frame[name].cat.remove_unused_categories()
            rest = before.difference(used[name].cat.categories, sort=False)
            if len(rest):
                gone[name] = tuple(str(level) for level in rest)
    return with_columns(frame, used), gone


def _say_missing(
    incomplete: npt.NDArray[np.bool_],
    imputable: npt.NDArray[np.bool_],
    by_column: Mapping[str, int],
    labels: pd.Index[Any],
    missing: Missing,
    counts: npt.NDArray[np.int64] | None,
) -> None:
    """Say which rows have missing values, and which of them are in columns that can be imputed, unlike weights."""
    where = ", ".join(f"{name} ({number:,})" for name, number in by_column.items())
    other = "" if np.average(imputable, weights=counts) < MANY_MISSING else INSTEAD_OF_DROPPING
    say_dropped(incomplete, f"missing values in {where}", "Fill or drop them", labels, missing, other, counts)


def say_dropped(
    gone: npt.NDArray[np.bool_],
    what: str,
    remedy: str,
    labels: pd.Index[Any],
    missing: Missing,
    other: str = "",
    counts: npt.NDArray[Any] | None = None,
) -> None:
    """Warn that rows are dropped, or refuse them.

    Parameters
    ----------
    gone : ndarray of bool, shape (n,)
        The rows.
    what : str
        What they have, such as ``missing values in x (2)``.
    remedy : str
        What to do about it if they are refused.
    labels : pandas.Index, length n
    missing : {"drop", "error"}
    other : str
        Another remedy, if they are dropped.
    counts : ndarray, shape (n,), optional
        How many rows each row stands for, which have no labels then.

    Raises
    ------
    DesignError
        If `missing` is "error".
    """
    numbers = np.ones(len(gone), dtype=np.int64) if counts is None else counts
    count, total = int(numbers[gone].sum()), int(numbers.sum())
    if missing == "error":
        which = f": {agree(count, 'row', 'rows')} {quoted_list(list(labels[gone]))}" if counts is None else ""
        raise DesignError(
            f"{count:,} of {number_of(total, 'row')} {agree(count, 'has', 'have')} {what}{which}. {remedy}, or pass "
            "missing='drop'."
        )
    warn_of_data(f"{rows_dropped(count, total, what)} Pass missing='error' to refuse them instead.{other}")


def rows_dropped(count: int, total: int, what: str) -> str:
    """The sentence on rows that are dropped because of what they have, such as ``missing values in x (2)``."""
    return (
        f"{count:,} of {number_of(total, 'row')} {agree(count, 'has', 'have')} {what} and "
        f"{agree(count, 'was', 'were')} dropped."
    )


def warn_of_data(text: str) -> None:
    """Give a `DataWarning` that points to the user's own line."""
    warn(text, DataWarning)


def clean_column(values: pd.Series[Any], name: str) -> pd.Series[Any]:
    """A column in one of three forms: floating-point or whole numbers, bool, or an ordered categorical.

    Missing values stay missing; with them, True/False has dtype object and whole numbers ``Int64``. Text becomes a
    categorical with sorted levels; an unordered categorical keeps the order of its levels, as a factor in R.

    Raises
    ------
    DesignError
        For dates, nested values, columns with several types of values, and whole numbers beyond 2**63.
    """
    values = _without_signalling(values)
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _plain_levels(values.cat.as_ordered(), name)
    if pd.api.types.is_bool_dtype(dtype):
        return values.astype(object if values.isna().any() else bool)
    if pd.api.types.is_complex_dtype(dtype):
        raise DesignError(f"column '{name}' holds complex numbers. Turn it into real ones.")
    if pd.api.types.is_numeric_dtype(dtype):
        return _plain_numbers(values, name)
    if isinstance(dtype, pd.PeriodDtype) or dtype.kind in "mM":
        raise no_dates(name, str(dtype))
    if isinstance(dtype, pd.StringDtype):
        return _ordered_levels(values)
    return _from_objects(values, name)


def _without_signalling(values: pd.Series[Any]) -> pd.Series[Any]:
    """The values with signalling NaNs of decimals, which cannot be compared with anything, as missing values."""
    if values.dtype != object:
        return values
    plain = [None if isinstance(value, Decimal) and value.is_snan() else value for value in values]
    return pd.Series(plain, index=values.index, dtype=object)


def _ordered_levels(values: pd.Series[Any]) -> pd.Series[Any]:
    """Text as a categorical with sorted levels."""
    codes, uniques = pd.factorize(values.to_numpy(dtype=np.object_))
    levels = [str(level) for level in uniques]
    order = sorted(range(len(levels)), key=levels.__getitem__)
    rank = np.empty(len(levels) + 1, dtype=np.intp)
    rank[order], rank[-1] = np.arange(len(levels)), -1  # missing values have the code -1
    categorical = pd.Categorical.from_codes(rank[codes], categories=pd.Index([levels[k] for k in order]), ordered=True)
    return pd.Series(categorical, index=values.index)


def _plain_levels(values: pd.Series[Any], name: str) -> pd.Series[Any]:
    """The categorical with levels such as the intervals of ``pandas.cut`` replaced by text, in their order."""
    levels = values.cat.categories
    if all(isinstance(level, (str, int, float, np.number, np.bool_)) for level in levels):
        return values
    words = [str(level) for level in levels]
    if len(set(words)) < len(words):
        raise DesignError(
            f"column '{name}' has different levels that are the same as text: {quoted_list(words)}. Rename them."
        )
    return values.cat.rename_categories(words)


def no_dates(name: str, kind: str) -> DesignError:
    """The error of a column of dates or durations, of a kind such as ``datetime64[ns]``."""
    return DesignError(
        f"column '{name}' holds dates or durations ({kind}). Turn it into a number, such as days since a "
        "start, or into text if it names clusters."
    )


def _plain_numbers(values: pd.Series[Any], name: str) -> pd.Series[Any]:
    if not pd.api.types.is_integer_dtype(values.dtype):
        return values.astype(np.float64)
    if (values.dropna() > np.iinfo(np.int64).max).any():
        raise _too_large(name)
    if not values.isna().any():
        return values.astype(np.int64)
    # Converted through objects, since floating-point numbers cannot distinguish large cluster ids.
    return values.astype(object).astype("Int64")


def _too_large(name: str) -> DesignError:
    return DesignError(
        f"column '{name}' holds whole numbers beyond 2**63. Turn them into text if they name clusters, "
        "otherwise into floating numbers."
    )


def _from_objects(values: pd.Series[Any], name: str) -> pd.Series[Any]:
    present = values.dropna()
    if all(isinstance(value, str) for value in present):
        return _ordered_levels(values)
    if all(isinstance(value, (bool, np.bool_)) for value in present):
        return values
    kinds = sorted({type(value).__name__ for value in present})
    if all(isinstance(value, (date, time, timedelta, np.datetime64, np.timedelta64)) for value in present):
        raise no_dates(name, ", ".join(kinds))
    # Decimal is not a numbers.Real.
    if not all(isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, bool) for value in present):
        raise DesignError(
            f"column '{name}' holds values of the {agree(kinds, 'type', 'types')} {quoted_list(kinds)}. A column must "
            "hold numbers, True/False or text throughout: convert it first."
        )
    if all(isinstance(value, numbers.Integral) for value in present):
        if any(abs(int(value)) > np.iinfo(np.int64).max for value in present):
            raise _too_large(name)
        return _plain_numbers(values.astype("Int64"), name)
    return pd.Series([np.nan if pd.isna(value) else _as_float(value) for value in values], index=values.index)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a fraction beyond all floating-point numbers
        return math.inf if value > 0 else -math.inf


def _refuse_infinite(
    values: pd.Series[Any], name: str, labels: pd.Index[Any], counts: npt.NDArray[np.int64] | None
) -> None:
    if values.dtype.kind != "f":
        return
    infinite = np.isinf(values.to_numpy())
    if infinite.any():
        count = int(infinite.sum() if counts is None else counts[infinite].sum())
        which = f", in {agree(count, 'row', 'rows')} {quoted_list(list(labels[infinite]))}" if counts is None else ""
        raise DesignError(
            f"column '{name}' has {number_of(count, 'infinite value')}{which}. Replace infinite values by finite ones, "
            "or by missing ones to leave the rows out."
        )
