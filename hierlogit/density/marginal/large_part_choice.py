"""How each large part of the data is evaluated, by what the ways would cost, and the memory that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...errors import EngineError
from ...validation import memory
from .hessian import PartEntries, entries_of_part
from .iterative_part import IterativePart, numbers
from .large_part import PartWithoutSchur
from .minimum_degree import minimum_degree
from .sparse_fronts import Structure, structure
from .sparse_part import SparsePart
from .work import work_sizes

if TYPE_CHECKING:
    from collections.abc import Collection

IntArray = npt.NDArray[np.int64]

#: Parts with no more columns of the other factors than this have a dense Schur complement, without another look.
DENSE = 2000
#: An operation of a sparse factorisation takes this many times as long as one of a dense one.
SPARSE_COST = 2.0
#: Operations of a factorisation and an inverse, over those of the factorisation.
WITH_INVERSE = 3.0
#: Where both take more operations than this for an evaluation, H is not factorised.
MOST_OPERATIONS = 2e12


def choose_parts_without_schur(row_index: RowIndex) -> dict[int, PartWithoutSchur]:
    """The large parts for which a dense Schur complement is not the best way, by their numbers.

    Raises
    ------
    EngineError
        If what they need does not fit into the memory of this machine.
    """
    found: dict[int, PartWithoutSchur] = {}
    for part in np.flatnonzero(np.diff(row_index.col_start) > DENSE).tolist():
        entries, dense = entries_of_part(row_index, part), _dense_operations(row_index, part)
        fronts = _sparse_structure(entries, min(dense, MOST_OPERATIONS) / (SPARSE_COST * WITH_INVERSE))
        if fronts is None and dense <= MOST_OPERATIONS:
            continue
        refuse_beyond_memory(
            without_schur(row_index, [*found, part]), numbers(entries) if fronts is None else fronts.numbers
        )
        found[part] = IterativePart(part, entries) if fronts is None else SparsePart(part, entries, fronts)
    return found


def _dense_operations(row_index: RowIndex, part: int) -> float:
    """Operations of an evaluation with a dense Schur complement."""
    size = float(row_index.col_start[part + 1] - row_index.col_start[part])
    of_part = slice(int(row_index.part_start[part]), int(row_index.part_start[part + 1]) + 1)
    eliminated = float((np.diff(row_index.matrix_at[of_part]).astype(float) ** 2).sum()) / float(row_index.q[0])
    return size**3 / 3.0 * WITH_INVERSE + eliminated


def _sparse_structure(entries: PartEntries, most: float) -> Structure | None:
    """The fronts of a part's H; None if a factorisation takes more operations than `most`, or does not fit."""
    order = minimum_degree(*_graph(entries), most)
    if order is None:
        return None
    by_level = np.argsort(_rank(order)[entries.level], kind="stable")
    found = structure(entries.row, entries.column, by_level)
    return found if 8 * found.numbers <= memory() // 2 else None


def _rank(order: IntArray) -> IntArray:
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _graph(entries: PartEntries) -> tuple[IntArray, IntArray, IntArray]:
    """Which levels share rows: where the neighbours of each one start, the neighbours, and the columns of each."""
    from scipy.sparse import coo_array

    one, other = entries.level[entries.row], entries.level[entries.column]
    apart = one != other
    one, other = one[apart], other[apart]
    widths = np.bincount(entries.level)
    ends = (np.concatenate([one, other]), np.concatenate([other, one]))
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(len(widths), len(widths))).tocsr()
    return graph.indptr.astype(np.int64), graph.indices.astype(np.int64), widths.astype(np.int64)


def without_schur(row_index: RowIndex, parts: Collection[int]) -> RowIndex:
    """The row index without places for the dense Schur complements of some parts."""
    if not parts:
        return row_index
    sizes = np.diff(row_index.schur_at)
    sizes[list(parts)] = 0
    return row_index._replace(schur_at=np.concatenate([[0], np.cumsum(sizes)]))


def refuse_beyond_memory(row_index: RowIndex, numbers: int = 0) -> None:
    """Refuse work arrays, and so many numbers besides, that do not fit into memory, before they are taken.

    Raises
    ------
    EngineError
    """
    needed, available = 8 * (sum(work_sizes(row_index)) + numbers), memory()
    if needed <= available:
        return
    columns = int(row_index.col_start[-1])
    raise EngineError(
        f"the random effects need about {needed / 1e9:,.3g} GB of memory, and this machine has "
        f"{available / 1e9:,.3g} GB: besides the factor with the most effects, the other grouping factors have "
        f"{columns:,}, and their covariances given the data are too many. Leave out a grouping factor, merge rare "
        "levels, fit a part of the rows, or use a machine with more memory."
    )
