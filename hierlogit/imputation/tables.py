"""Imputed tables as other packages give them: lists of tables, or one long table of all imputations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..design.table_sources import read_table
from ..errors import DataWarning, DesignError, warn
from ..validation import agree, number_of, quoted_list, shortened, text

#: Columns of the long table of R's mice: the number of the imputation, 0 for the data with missing values, and the row.
IMPUTATION, ROW = ".imp", ".id"
_A_LIST = "Pass a list of tables, or one long table with a column that numbers the imputations."


def imputed_tables(tables: Any, imputation: str | None) -> list[pd.DataFrame]:
    """The imputed tables as a list.

    Parameters
    ----------
    tables : iterable of tables, or table
        The imputed tables, or a long table of all of them.
    imputation : str, optional
        The column of a long table that numbers the imputations; ``.imp`` if not given.

    Raises
    ------
    DesignError
        If they are not tables, or there are fewer than two.

    Warns
    -----
    DataWarning
        If a long table has the rows with missing values too, and values that are not missing differ from them.
    """
    column = None if imputation is None else text("imputation", imputation, DesignError)
    if _is_list(tables):
        if column is not None:
            raise DesignError(
                f"imputation={shortened(column)} names the column of one long table; here is a list of tables. Leave "
                "it out."
            )
        found = [_read(table, k) for k, table in enumerate(tables)]
    else:
        found = _of_long_table(read_table(tables), column)
    if len(found) < 2:
        raise DesignError(f"{number_of(len(found), 'imputed table')}, where at least two are needed. {_A_LIST}")
    return found


def _is_list(tables: Any) -> bool:
    """Whether this is several tables, and not one: neither a frame nor a mapping of columns."""
    if isinstance(tables, Mapping):
        return False
    return isinstance(tables, (list, tuple)) or (isinstance(tables, Iterable) and not hasattr(tables, "columns"))


def _read(table: Any, k: int) -> pd.DataFrame:
    try:
        return read_table(table)
    except DesignError as error:
        raise DesignError(f"tables[{k}]: {error}") from None


def _of_long_table(table: pd.DataFrame, imputation: str | None) -> list[pd.DataFrame]:
    column = IMPUTATION if imputation is None else imputation
    if column not in table.columns:
        raise DesignError(
            f"one table is given, which has no column '{column}' that numbers the imputations. {_A_LIST} In R, "
            "mice::complete(imp, 'long') makes one; of a miceforest kernel, pass [kernel.complete_data(k) for k in "
            "range(m)]."
            if imputation is None
            else f"imputation='{column}' is not a column of the table, which has {quoted_list(list(table.columns))}."
        )
    numbers = table[column]
    if numbers.isna().any():
        raise DesignError(f"the column '{column}' has missing values in {number_of(int(numbers.isna().sum()), 'row')}.")
    labels = pd.unique(numbers)
    parts = {label: _rows_of(table, numbers == label, column) for label in labels}
    original = parts.pop(0, None) if pd.api.types.is_numeric_dtype(numbers) else None
    found = list(parts.values())
    if original is not None:
        _say_changed(original, found)
    return found


def _rows_of(table: pd.DataFrame, chosen: pd.Series[bool], column: str) -> pd.DataFrame:
    """The rows of one imputation, labelled by mice's number of the row if it has one."""
    rows = table.loc[chosen.to_numpy()].drop(columns=column)
    if ROW in rows.columns:
        return rows.set_index(ROW)
    return rows.reset_index(drop=True)


def _say_changed(original: pd.DataFrame, imputed: list[pd.DataFrame]) -> None:
    """Warn of observed values of the table with missing values that imputed tables do not have."""
    changed: dict[str, int] = {}
    for name in original.columns:
        known = original[name].notna().to_numpy()
        observed = original[name].astype(object).to_numpy()[known]
        for one in imputed:
            if len(one) == len(original):
                differ = one[name].astype(object).to_numpy()[known] != observed
                if differ.any():
                    changed[name] = max(changed.get(name, 0), int(np.sum(differ)))
    if changed:
        where = ", ".join(f"{name} ({number_of(count, 'row')})" for name, count in changed.items())
        warn(
            f"imputed tables differ from observed values of the table with missing values in {where}. Imputation "
            f"replaces missing values only: check that {agree(list(changed), 'this column was', 'these columns were')} "
            "not changed, or their rows not sorted, after it.",
            DataWarning,
        )
