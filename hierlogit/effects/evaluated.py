"""Values of a function of a fit for each posterior draw, and the table that summarises them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..density.linear_predictor import STEP
from ..pictures import Picture
from ..summaries import intervals
from ..summaries.intervals import DrawTable, Interval, put_block, set_aside, summarise
from .expressions import Hypothesis

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Function of positions and of their draws, shape (draws, values), that returns further columns of their table.
MoreSummaries = Callable[[Any, FloatArray], Mapping[str, FloatArray]]


class Summarisable(Protocol):
    """Values for each draw from which a table can be made block by block, whether they are in memory or not."""

    @property
    def estimate(self) -> FloatArray | None:
        """For likelihood fits, the values at the maximum."""

    @property
    def size(self) -> int:
        """Number of values of each draw."""

    def blocks(self) -> Iterator[tuple[Any, FloatArray]]:
        """Positions of values, with the values, shape (draws, some values)."""

    def array(self, rows: npt.NDArray[Any], number: npt.DTypeLike = np.float64) -> xr.DataArray:
        """The draws with their dims."""


@dataclass(frozen=True)
class Evaluated:
    """Values for each posterior draw, and at the maximum.

    Attributes
    ----------
    draws : ndarray, shape (draws, values)
    estimate : ndarray, shape (values,), or None
        For likelihood fits, the values at the maximum.
    chain_shape : tuple of int
        Number of chains, and of draws in each.
    around : ndarray, shape (2 m, values), or None
        For functions of the parameters of a likelihood fit, the values at the points of `Draws.around`.
    """

    draws: FloatArray
    estimate: FloatArray | None
    chain_shape: tuple[int, int]
    around: FloatArray | None = None

    @property
    def count(self) -> int:
        """Number of draws."""
        return len(self.draws)

    @property
    def size(self) -> int:
        """Number of values of each draw."""
        return int(self.draws.shape[1])

    def mapped(self, function: Callable[[FloatArray], FloatArray]) -> Evaluated:
        """A function applied to the draws, the estimate and the points around it; it takes an array (draws, values)."""
        estimate = None if self.estimate is None else function(self.estimate[None])[0]
        around = None if self.around is None else function(self.around)
        return replace(self, draws=function(self.draws), estimate=estimate, around=around)

    def deviations(self, scale: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Deviations, shape (m, values), whose cross-products are the covariances of the values on a scale.

        By the delta method where the values are functions of the parameters of a likelihood fit, else of the draws.
        """
        if self.around is None:
            values = scale(self.draws)
            deviations: FloatArray = (values - values.mean(axis=0)) / np.sqrt(max(self.count - 1, 1))
            return deviations
        above, below = np.split(scale(self.around), 2)
        return (above - below) / (2 * STEP)

    def blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Values, shape (draws, some values), with their positions."""
        step = max(1, intervals.CHUNK_SIZE // self.count)
        for start in range(0, max(self.size, 1), step):
            part = slice(start, start + step)
            yield part, self.draws[:, part]

    def differences(self, low: IntArray, high: IntArray) -> Evaluated:
        """Differences between the values at two lists of positions."""
        return self.mapped(lambda values: values[:, high] - values[:, low])

    def combined(self, weights: FloatArray) -> Evaluated:
        """Sums of the values with weights, shape (values, sums)."""
        return self.mapped(lambda values: values @ weights)

    def computed(self, stated: Sequence[Hypothesis]) -> Evaluated:
        """What hypotheses compare with their numbers."""
        return self.mapped(lambda values: np.column_stack([one.value(values.T) for one in stated]))

    def array(self, rows: npt.NDArray[Any], number: npt.DTypeLike = np.float64) -> xr.DataArray:
        """The draws with their dims."""
        draws = self.draws.astype(number, copy=False).reshape(*self.chain_shape, -1)
        return xr.DataArray(draws, dims=("chain", "draw", "row"), coords={"row": rows})

    def table(self, quantity: str, described: pd.DataFrame, interval: Interval) -> DrawTable:
        """The columns that describe the values with their summaries; a column with a summary's name is renamed."""
        return described_table(self, quantity, described, summary_columns(self, interval))


def summary_columns(
    values: Summarisable, interval: Interval, more: MoreSummaries | None = None
) -> dict[str, FloatArray]:
    """Summaries of the values by the names of their columns, a block of values after the other.

    Parameters
    ----------
    values : Evaluated, RowByRow or the like
    interval : Interval
    more : callable, optional
        Function of the positions of some values and of their draws, shape (draws, values), that returns further
        columns.
    """
    columns = {} if values.estimate is None else {"estimate": values.estimate}
    for at, draws in values.blocks():
        found = {**summarise(draws, interval), **({} if more is None else more(at, draws))}
        put_block(columns, found, at, values.size)
    return columns


def described_table(
    values: Summarisable,
    quantity: str,
    described: pd.DataFrame,
    columns: Mapping[str, FloatArray],
    picture: Picture | None = None,
    note: str = "",
) -> DrawTable:
    """The columns that describe the values with their summaries, draws, picture and note; the quantity is the title.

    A column that describes and has the name of a summary is renamed.
    """
    described = set_aside(described, columns)
    table = pd.concat([described, pd.DataFrame(columns, index=described.index)], axis=1)
    labels = table.index if table.index.nlevels == 1 and table.index.is_unique else pd.RangeIndex(len(table))
    return DrawTable.with_draws(table, values.array(labels.to_numpy()), quantity, picture=picture, note=note)
