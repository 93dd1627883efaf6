"""Linear dependence among design columns: which are kept, which are dropped, and which rows the kept ones determine.

Columns are kept from left to right, as by R's pivoted QR decomposition: one that is a linear combination of those
before it is dropped. The data do not determine all coefficients of such a design. They determine the linear predictor
of a row that is a linear combination of the training rows, which makes it *estimable*: its dropped columns depend on
the kept ones as they do in the training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import ShownAsCall
from ..errors import DesignError, PredictionError
from ..validation import LARGEST_NUMBER, SHOWN, agree, number_of, quoted_list
from .row_counts import standard_deviations

FloatArray = npt.NDArray[np.float64]

#: A column depends on the previous ones if the norm of its residual is below this share of its own norm.
RANK_TOLERANCE = 1e-10
#: Coefficients of a dependence below this are rounding errors; both columns have norm 1.
NO_SHARE = 1e-7
#: A row is not estimable if a dropped column differs by more than this share from what the kept columns give.
ESTIMABLE_TOLERANCE = 1e-7


def _refuse_tiny(columns: FloatArray, norms: FloatArray, labels: Sequence[str], where: str) -> None:
    for j in np.flatnonzero(norms < 1 / LARGEST_NUMBER).tolist():
        if columns[:, j].any():
            raise DesignError(
                f"in {where}, '{labels[j]}' is not 0, but closer to it than {1 / LARGEST_NUMBER:g} in every row. "
                "Express it in larger units, such as multiples of its standard deviation."
            )


def column_sds(columns: FloatArray, counts: FloatArray | None = None) -> FloatArray:
    """Standard deviation of each column, 1 for columns that do not vary; shape (p,).

    Parameters
    ----------
    columns : ndarray, shape (n, p)
    counts : ndarray, shape (n,), optional
        How often each row counts.
    """
    sds = standard_deviations(columns, counts) if len(columns) > 1 else np.zeros(columns.shape[1])
    return sds_or_one(sds, np.abs(columns).max(axis=0, initial=0.0))


def sds_or_one(sds: FloatArray, largest: FloatArray) -> FloatArray:
    """Standard deviations of columns, 1 for those that do not vary beside their largest absolute value; shape (p,)."""
    return np.where(sds <= 1e-12 * largest, 1.0, sds)


@dataclass(frozen=True, repr=False)
class DroppedColumn(ShownAsCall):
    """A column of a design that depends linearly on those before it.

    Attributes
    ----------
    label : str
    term : str
        The term of the column.
    where : str
        The part of the formula: ``the fixed part`` or ``the random term (1 + x | g)``.
    others : tuple of str
        The columns on which it depends; empty if it is zero in every row.
    """

    label: str
    term: str
    where: str
    others: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Why it was dropped, as the end of a sentence."""
        return f"a linear combination of {quoted_list(self.others)}" if self.others else "zero in every row"


@dataclass(frozen=True, repr=False)
class Independent(ShownAsCall):
    """The columns of one part of a design that are kept, and how those that are dropped depend on them.

    Attributes
    ----------
    kept : ndarray of int, shape (k,)
        Positions of the kept columns among all columns.
    dropped : tuple of DroppedColumn, length d
    weights : ndarray, shape (k, d)
        The dropped columns are the kept ones times these.
    sizes : ndarray, shape (d,)
        Root mean square of each dropped column in the training rows.
    """

    kept: npt.NDArray[np.intp]
    dropped: tuple[DroppedColumn, ...]
    weights: FloatArray
    sizes: FloatArray

    @classmethod
    def of(
        cls,
        columns: FloatArray,
        labels: Sequence[str],
        terms: Sequence[str],
        degrees: Sequence[int],
        where: str,
        counts: FloatArray | None = None,
    ) -> Independent:
        """Find the columns that do not depend on those before them; as in R, interactions stand behind single columns.

        Parameters
        ----------
        columns : ndarray, shape (n, p)
            All columns in the training rows.
        labels, terms : sequence of str, length p
        degrees : sequence of int, length p
            How many columns of the table, or functions of them, the term of each column joins.
        where : str
            The part of the formula, for messages.
        counts : ndarray, shape (n,), optional
            How often each row counts.

        Raises
        ------
        DesignError
            If a column is not zero, but too close to it for squares and products of its values.

        Examples
        --------
        >>> columns = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 1.0], [3.0, 6.0, 0.0]])
        >>> labels = ["x", "twice x", "z"]
        >>> found = Independent.of(columns, labels, labels, [1, 1, 1], "the fixed part")
        >>> found.kept.tolist(), found.dropped[0].label, found.dropped[0].reason
        ([0, 2], 'twice x', "a linear combination of 'x'")
        """
        total = float(len(columns)) if counts is None else float(counts.sum())
        if counts is not None:  # sums of squares and products are then those of all rows
            columns = columns * np.sqrt(counts)[:, None]
        norms = np.linalg.norm(columns, axis=0)
        _refuse_tiny(columns, norms, labels, where)
        scale = np.where(norms > 0, norms, 1.0)
        kept = _independent(columns, scale, degrees)
        gone = np.setdiff1d(np.arange(len(labels)), kept)
        if not len(gone):
            return cls(kept, (), np.empty((len(kept), 0)), np.empty(0))
        shares = np.linalg.lstsq(columns[:, kept] / scale[kept], columns[:, gone] / scale[gone], rcond=None)[0]
        shares[np.abs(shares) <= NO_SHARE] = 0.0
        dropped = tuple(
            DroppedColumn(labels[j], terms[j], where, tuple(labels[int(i)] for i in kept[shares[:, k] != 0]))
            for k, j in enumerate(gone.tolist())
        )
        weights = shares * scale[gone] / scale[kept][:, None]
        return cls(kept, dropped, weights, norms[gone] / np.sqrt(total))

    def of_rows(self, columns: FloatArray, rows: pd.Index[Any]) -> FloatArray:
        """The kept columns of other rows, shape (n, k).

        Parameters
        ----------
        columns : ndarray, shape (n, p)
            All columns of the rows.
        rows : pandas.Index, length n
            Labels of the rows, for messages.

        Raises
        ------
        PredictionError
            If a row is not estimable: it needs the effect of a dropped column apart from the others.
        """
        if not self.dropped:
            return columns
        chosen = columns[:, self.kept]
        own = columns[:, np.setdiff1d(np.arange(columns.shape[1]), self.kept)]
        size = np.abs(own) + np.abs(chosen) @ np.abs(self.weights) + self.sizes
        apart = np.abs(own - chosen @ self.weights) > ESTIMABLE_TOLERANCE * size
        if apart.any():
            raise self._not_estimable(apart, rows)
        return chosen

    def _not_estimable(self, apart: npt.NDArray[np.bool_], rows: pd.Index[Any]) -> PredictionError:
        needed = [column for column, some in zip(self.dropped, apart.any(axis=0), strict=True) if some]
        bad = np.flatnonzero(apart.any(axis=1))
        terms = list(dict.fromkeys(column.term for column in needed))
        return PredictionError(
            f"{len(bad):,} of {number_of(len(rows), 'row')} cannot be predicted, "
            f"{agree(len(bad), 'row', 'rows')} {quoted_list(list(rows[bad]))}: the data that the model was fitted to "
            f"do not determine an effect that {agree(len(bad), 'it needs', 'they need')}, because in these data "
            f"{reasons(needed)}. Leave out "
            f"{agree(len(bad), 'this row', 'these rows')} (a combination of values without data), or take the "
            f"{agree(terms, 'term', 'terms')} {quoted_list(terms)} out of the formula."
        )


def _independent(columns: FloatArray, scale: FloatArray, degrees: Sequence[int]) -> npt.NDArray[np.intp]:
    """Positions of the columns that do not depend on those before them."""
    kept: list[int] = []
    basis = np.empty_like(columns, order="F")
    for j in np.argsort(degrees, kind="stable"):
        column = columns[:, j] / scale[j]
        before = basis[:, : len(kept)]
        rest = column - before @ (before.T @ column)
        rest -= before @ (before.T @ rest)  # two passes are enough (Giraud, Langou and Rozloznik 2005)
        size = float(np.linalg.norm(rest))
        if size > RANK_TOLERANCE:
            basis[:, len(kept)] = rest / size
            kept.append(int(j))
    return np.sort(np.array(kept, dtype=np.intp))


def reasons(dropped: Sequence[DroppedColumn]) -> str:
    """Why columns were dropped, as one sentence without its full stop.

    Examples
    --------
    >>> reasons([DroppedColumn("a[2]:b[2]", "a:b", "the fixed part", ()), DroppedColumn("z", "z", "", ("x",))])
    "'a[2]:b[2]' is zero in every row, and 'z' is a linear combination of 'x'"
    """
    zero = [column.label for column in dropped if not column.others]
    dependent = [column for column in dropped if column.others]
    parts = [f"{quoted_list(zero)} {agree(zero, 'is', 'are')} zero in every row"] if zero else []
    parts += [f"'{column.label}' is {column.reason}" for column in dependent[:SHOWN]]
    if len(dependent) > SHOWN:
        parts.append(f"{number_of(len(dependent) - SHOWN, 'more column')} depend on those before them")
    *first, last = parts
    return f"{'; '.join(first)}, and {last}" if first else last
