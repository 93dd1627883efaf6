"""The part of columns that other columns do not explain, as orthogonal columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: A column counts as a combination of others if the rest is smaller than this fraction of it.
NEW = 1e-6


def unexplained(columns: FloatArray, X: FloatArray, counts: FloatArray | None = None) -> FloatArray:
    """The part of columns that is orthogonal to others, as orthogonal columns with mean squares of one.

    Parameters
    ----------
    columns : ndarray, shape (n, k)
    X : ndarray, shape (n, p)
    counts : ndarray, shape (n,), optional
        How often each row counts.

    Returns
    -------
    ndarray, shape (n, r)
        With r between 0 and k.

    Examples
    --------
    >>> x = np.arange(6.0)[:, None]
    >>> line = np.column_stack([np.ones(6), x])
    >>> unexplained(3 * x + 2, line).shape, unexplained(x**2, line).shape
    ((6, 0), (6, 1))
    """
    if counts is not None:
        root = _root(counts)
        return unexplained(columns * root, X * root) / root
    basis = np.linalg.qr(X)[0] if X.shape[1] else np.empty((len(columns), 0))
    scaled = columns / np.sqrt(np.maximum((columns**2).mean(axis=0), 1e-300))
    rest = scaled - basis @ (basis.T @ scaled)
    return orthogonal(rest - basis @ (basis.T @ rest))  # twice, because of rounding errors


def orthogonal(columns: FloatArray, counts: FloatArray | None = None) -> FloatArray:
    """An orthogonal basis of columns, with mean squares of one, without directions that are almost zero.

    Rows count once, or as often as `counts`, shape (n,), say.
    """
    if not columns.shape[1]:
        return columns
    if counts is not None:
        root = _root(counts)
        return orthogonal(columns * root) / root
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    length = np.sqrt(len(columns))
    return np.asarray(u[:, s > NEW * length] * length)


def _root(counts: FloatArray) -> FloatArray:
    """What rows are multiplied by so that their sums of products are means over all rows, shape (n, 1)."""
    return np.asarray(np.sqrt(counts / counts.mean()))[:, None]
