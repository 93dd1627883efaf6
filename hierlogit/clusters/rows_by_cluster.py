"""The training rows in the order of the clusters of one grouping factor, with rows that are alike combined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import CHUNK_SIZE
from ..design.design import Design, EncodedRows
from ..design.grouping import GroupBlock

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: Arrays (draws, rows) that are held at once while events are counted.
ARRAYS = 8


@dataclass(frozen=True)
class RowsByCluster:
    """Rows sorted by cluster; those of a cluster with the same predictors and other clusters are one row.

    Attributes
    ----------
    rows : EncodedRows
    trials : ndarray, shape (rows,)
        Trials that each row stands for.
    starts : ndarray of int, shape (J + 1,)
        Where each cluster starts, and the number of rows.
    """

    rows: EncodedRows
    trials: FloatArray
    starts: IntArray

    @classmethod
    def of(cls, design: Design, factor: GroupBlock) -> RowsByCluster:
        """The training rows by the clusters of a factor.

        Examples
        --------
        >>> import hierlogit as hl
        >>> design = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).design
        >>> by = RowsByCluster.of(design, design.groups[0])
        >>> design.n_rows, len(by.rows), by.trials.sum()
        (1934, 102, np.float64(1934.0))
        """
        every = design.training_rows()
        columns = [factor.index, every.offset, *every.X.T]
        for group in design.groups:
            columns += [group.index, *group.Z.T]
        # Groups are numbered in the order of the clusters, which the first column holds.
        alike = pd.DataFrame(dict(enumerate(columns))).groupby(list(range(len(columns))), sort=True).ngroup()
        first, which = np.unique(alike.to_numpy(), return_index=True, return_inverse=True)[1:]
        trials = np.bincount(which, weights=design.outcome.trials)
        starts = np.searchsorted(factor.index[first], np.arange(len(factor.levels) + 1))
        return cls(every.at(first), trials, starts)

    def means(self, columns: FloatArray) -> FloatArray:
        """Means of columns, shape (rows, k), over the trials of each cluster; shape (J, k)."""
        sums = np.add.reduceat(columns * self.trials[:, None], self.starts[:-1], axis=0)
        means: FloatArray = sums / np.add.reduceat(self.trials, self.starts[:-1])[:, None]
        return means

    def blocks(self, draws: int) -> Iterator[tuple[slice, RowsByCluster]]:
        """Runs of clusters, for which a few arrays (draws, rows) fit the chunk size, with their rows.

        A cluster whose rows alone do not fit is a run of its own.
        """
        most = max(CHUNK_SIZE // (draws * ARRAYS), 1)
        first, count = 0, len(self.starts) - 1
        while first < count:
            last = int(np.searchsorted(self.starts, self.starts[first] + most, side="right")) - 1
            last = min(max(last, first + 1), count)
            inside = slice(int(self.starts[first]), int(self.starts[last]))
            starts = self.starts[first : last + 1] - self.starts[first]
            yield slice(first, last), RowsByCluster(self.rows.at(inside), self.trials[inside], starts)
            first = last
