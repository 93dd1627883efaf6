"""Averages over many rows, computed from the distinct ones among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .averaging_by import Averages
from .cluster_effects import PlacedRows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Share of the rows that may be distinct; with more of them, computing all rows is not much slower.
MOST_DISTINCT = 0.5


def distinct_for_averages(
    averages: Averages | None, tables: Sequence[PlacedRows], *others: FloatArray
) -> tuple[Averages | None, IntArray | slice]:
    """Rows from which the averages over all rows can be computed, and the averages over these.

    Rows are alike if they are in the same group and have the same values, and the same clusters whose effects count, in
    each of the tables.

    Parameters
    ----------
    averages : Averages or None
        None where rows are not averaged over: each of them is then computed.
    tables : sequence of PlacedRows
        Tables of the same rows with different values of the predictors.
    others : ndarray, shape (n,)
        Further values of the rows.

    Returns
    -------
    averages : Averages or None
    chosen : ndarray of int, or slice
        Positions of the rows; all of them if few are alike.
    """
    if averages is None:
        return None, slice(None)
    which = _numbered([averages.groups, *others, *_columns(tables)], int(MOST_DISTINCT * len(averages.order)))
    if which is None:
        return averages, slice(None)
    first = np.unique(which, return_index=True)[1]
    return averages.of_distinct(first, which), first


def _columns(tables: Sequence[PlacedRows]) -> Iterator[npt.NDArray[Any]]:
    """Everything on which predictions of the rows depend, column by column."""
    for rows in tables:
        yield from rows.encoded.X.T
        yield rows.encoded.offset
        for group in rows.encoded.groups.values():
            yield group.index
            yield from group.Z.T
        yield from (new.codes for new in rows.new.values())


def _numbered(columns: Iterable[npt.NDArray[Any]], most: int) -> IntArray | None:
    """The number of each row's distinct row, in the order in which they appear; None if there are more than `most`."""
    code: IntArray | None = None
    for column in columns:
        own, levels = pd.factorize(column, use_na_sentinel=False)
        # Numbers of pairs, of which there are fewer than the square of the number of rows.
        code, found = pd.factorize(own if code is None else code * len(levels) + own)
        if len(found) > most:
            return None
    return code
