"""Values of too many rows for memory: computed in blocks of rows, each for all draws, whenever they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..density import linear_predictor
from ..lazy_draws import lazy_variable
from ..progress import progress
from .evaluated import Evaluated
from .expressions import Hypothesis
from .random_streams import TILE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class RowByRow:
    """Values for each posterior draw, and at the maximum, that do not fit into memory.

    Attributes
    ----------
    compute : callable
        Function of a run of complete rows that returns their values for each term, shape (draws, rows).
    terms : int
    complete : ndarray of bool, shape (n,)
        Rows that have values. The values of the others are NaN.
    estimate : ndarray, shape (terms * n,), or None
        For likelihood fits, the values at the maximum.
    chain_shape : tuple of int
        Number of chains, and of draws in each.
    what : str
        Text of the progress bar.
    """

    compute: Callable[[slice], list[FloatArray]]
    terms: int
    complete: npt.NDArray[np.bool_]
    estimate: FloatArray | None
    chain_shape: tuple[int, int]
    what: str

    @property
    def count(self) -> int:
        """Number of draws."""
        return self.chain_shape[0] * self.chain_shape[1]

    @property
    def size(self) -> int:
        """Number of values of each draw."""
        return self.terms * len(self.complete)

    def blocks(self) -> Iterator[tuple[IntArray, FloatArray]]:
        """Positions of values, term after term, with the values, shape (draws, positions), under a progress bar."""
        rows = np.flatnonzero(self.complete)
        for run in progress(self._runs(len(rows)), self.what):
            yield self._positions(rows[run]), np.concatenate(self.compute(run), axis=1)

    def columns(self, wanted: IntArray) -> FloatArray:
        """The values at some positions, shape (draws, positions)."""
        values = np.full((self.count, len(wanted)), np.nan)
        rows = np.flatnonzero(self.complete)
        row = wanted % len(self.complete)
        place = np.where(self.complete[row], np.cumsum(self.complete)[row] - 1, -1)
        for run in self._runs(len(rows)):
            inside = np.flatnonzero((place >= run.start) & (place < run.stop))
            if inside.size:
                parts, term = self.compute(run), wanted[inside] // len(self.complete)
                for k in np.unique(term):
                    chosen = inside[term == k]
                    values[:, chosen] = parts[k][:, place[chosen] - run.start]
        return values

    def differences(self, low: IntArray, high: IntArray) -> RowByRow:
        """Differences between the values at two lists of positions."""
        estimate = None if self.estimate is None else self.estimate[high] - self.estimate[low]
        return RowByRow(
            partial(self._subtracted, low, high),
            1,
            np.ones(len(low), dtype=bool),
            estimate,
            self.chain_shape,
            self.what,
        )

    def _subtracted(self, low: IntArray, high: IntArray, run: slice) -> list[FloatArray]:
        ends, which = np.unique(np.concatenate([low[run], high[run]]), return_inverse=True)
        values = self.columns(ends)
        first, second = np.split(which.ravel(), 2)
        return [values[:, second] - values[:, first]]

    def combined(self, weights: FloatArray) -> Evaluated:
        """Sums of the values with weights, shape (values, sums)."""
        sums = np.full((self.count, weights.shape[1]), 0.0 if self.complete.all() else np.nan)
        for at, values in self.blocks():
            sums += values @ weights[at]
        return Evaluated(sums, None if self.estimate is None else self.estimate @ weights, self.chain_shape)

    def computed(self, stated: Sequence[Hypothesis]) -> Evaluated:
        """What hypotheses compare with their numbers."""
        wanted = np.array(sorted(frozenset().union(*(one.expression.positions for one in stated))))
        values = dict(zip(wanted.tolist(), self.columns(wanted).T, strict=True))
        draws = np.column_stack([one.value(values) for one in stated])
        estimate = None if self.estimate is None else np.array([one.value(self.estimate) for one in stated])
        return Evaluated(draws, estimate, self.chain_shape)

    def array(self, rows: npt.NDArray[Any], number: npt.DTypeLike = np.float64) -> xr.DataArray:
        """The draws with their dims; those that are read are computed again."""
        lazy = lazy_variable(("chain", "draw", "row"), (*self.chain_shape, self.size), self._read, number)
        return xr.DataArray(lazy, coords={"row": rows})

    def _read(self, chain: IntArray, draw: IntArray, row: IntArray) -> FloatArray:
        values: FloatArray = self.columns(row).reshape(*self.chain_shape, -1)[chain][:, draw]
        return values

    def _runs(self, rows: int) -> list[slice]:
        """Runs of complete rows for which the values fit the chunk size, beginning at multiples of `TILE`."""
        step = max(linear_predictor.CHUNK_SIZE // (self.count * self.terms) // TILE, 1) * TILE
        return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]

    def _positions(self, rows: IntArray) -> IntArray:
        return (np.arange(self.terms)[:, None] * len(self.complete) + rows).ravel()
