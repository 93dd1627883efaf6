"""The effects of factors that cross the shards: their columns among all of them, and the limit to their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DesignError
from .rows import crossing, refuse_many_columns

if TYPE_CHECKING:
    from ..design.arrangement import Arrangement
    from ..design.design import Design
    from ..design.grouping import GroupBlock

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CommonColumns:
    """The columns of the effects that shards have in common.

    Attributes
    ----------
    own : int
        Position of the first factor that does not cross the shards.
    factors : tuple of int
        Positions of the factors that do; empty if the shards share no effects.
    groups : tuple of GroupBlock
        These factors, with all their clusters.
    """

    own: int
    factors: tuple[int, ...]
    groups: tuple[GroupBlock, ...]

    @classmethod
    def of(cls, reference: Design, group: str) -> CommonColumns:
        """The columns of a design that has all clusters of these factors, for shards divided by a column.

        Raises
        ------
        DesignError
            If they are too many.
        """
        names = crossing({one.name: one.columns for one in reference.groups}, group)
        factors = tuple(g for g, one in enumerate(reference.groups) if one.name in names)
        own = min(set(range(len(reference.groups))) - set(factors))
        found = cls(own, factors, tuple(reference.groups[g] for g in factors))
        refuse_many_columns(names, group, len(found))
        return found

    def __len__(self) -> int:
        return sum(self._sizes)

    @property
    def _sizes(self) -> list[int]:
        return [len(group.levels) * len(group.effects) for group in self.groups]

    def of_factor(self, factor: int) -> IntArray:
        """The columns of the effects of one of the factors, shape (J, q)."""
        place = self.factors.index(factor)
        start, size = sum(self._sizes[:place]), self._sizes[place]
        return np.arange(start, start + size).reshape(-1, len(self.groups[place].effects))

    def of_shard(self, design: Design, arrangement: Arrangement) -> IntArray:
        """The columns of the common effects of a shard, in the order of the other factors' entries of ``u``."""
        row_index = arrangement.row_index
        base = (len(row_index.row_start) - 1) * int(row_index.q[0])
        columns = np.empty(int(row_index.col_start[-1]), dtype=np.int64)
        for factor, group in zip(self.factors, self.groups, strict=True):
            levels = pd.Index(design.groups[factor].levels)
            place = pd.Index(group.levels).get_indexer(levels)
            if (place < 0).any():
                raise DesignError(
                    f"the shards have clusters of '{group.name}' that were not there when the model was made, such as "
                    f"'{levels[place < 0][0]}': the files have changed. Make the model again."
                )
            columns[arrangement.positions[factor] - base] = self.of_factor(factor)[place]
        return columns
