"""Moments of the columns of a design over all rows, joined from those of shards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from ..design.rank import sds_or_one

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Moments of some columns.

    Attributes
    ----------
    rows : int
    mean : ndarray, shape (p,)
    squares : ndarray, shape (p,)
        Sums of squared deviations from the mean.
    low, high : ndarray, shape (p,)
        The smallest and the largest value.
    root : ndarray, shape (p, p)
        An upper triangle R whose product ``R'R`` is that of the columns.
    """

    rows: int
    mean: FloatArray
    squares: FloatArray
    low: FloatArray
    high: FloatArray
    root: FloatArray

    @classmethod
    def of(cls, columns: FloatArray) -> Moments:
        """The moments of columns, shape (n, p)."""
        mean = columns.mean(axis=0)
        squares = ((columns - mean) ** 2).sum(axis=0)
        return cls(len(columns), mean, squares, columns.min(axis=0), columns.max(axis=0), _root(columns))

    def joined(self, other: Moments) -> Moments:
        """The moments of the rows of both (Chan, Golub and LeVeque 1983, The American Statistician 37: 242-247)."""
        rows, change = self.rows + other.rows, other.mean - self.mean
        return Moments(
            rows,
            self.mean + change * (other.rows / rows),
            self.squares + other.squares + change**2 * (self.rows * other.rows / rows),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            _root(np.vstack([self.root, other.root])),
        )

    @property
    def sds(self) -> FloatArray:
        """Standard deviation of each column, 1 for columns that do not vary."""
        sds = np.sqrt(self.squares / max(self.rows - 1, 1))
        return sds_or_one(sds, np.maximum(np.abs(self.low), np.abs(self.high)))

    @property
    def triangular(self) -> FloatArray:
        """``R`` of an orthogonal basis of the columns whose columns have the length sqrt(n), with positive diagonal."""
        R = self.root / np.sqrt(self.rows)
        positive: FloatArray = R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]
        return positive

    @property
    def representative(self) -> FloatArray:
        """As many rows as columns, with the same mean products of the columns as all rows, shape (p, p)."""
        rows: FloatArray = self.root * np.sqrt(len(self.root) / self.rows)
        return rows


def joined(parts: Iterable[Moments]) -> Moments:
    """The moments of the rows of all parts, joined in their order."""
    return reduce(Moments.joined, parts)


def _root(columns: FloatArray) -> FloatArray:
    """The triangle of the decomposition of columns, square also where there are fewer rows than columns."""
    width = columns.shape[1]
    R = np.linalg.qr(columns, mode="r")
    return np.vstack([R, np.zeros((width - len(R), width))])
