"""Rows with the same values, numbered together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

IntArray = npt.NDArray[np.intp]


def identical_rows(columns: npt.NDArray[Any]) -> tuple[IntArray, IntArray]:
    """The distinct rows of some columns, found by hashing, which takes a small part of the time of sorting.

    Parameters
    ----------
    columns : ndarray, shape (n, k)

    Returns
    -------
    first : ndarray of int, shape (distinct,)
        Where each distinct row is first, in this order.
    which : ndarray of int, shape (n,)
        The number of each row's distinct row.

    Examples
    --------
    >>> first, which = identical_rows(np.array([[2, 0], [1, 1], [2, 0]]))
    >>> first, which
    (array([0, 1]), array([0, 1, 0]))
    """
    frame = pd.DataFrame(columns)
    which = frame.groupby(list(frame), sort=False).ngroup().to_numpy().astype(np.intp)
    return np.unique(which, return_index=True)[1], which
