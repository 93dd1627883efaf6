"""The entries of ``H = I + A'WA`` of one part of the data: where they are, and their values, compiled.

They stand one after the other as the blocks in `Work` do: those of levels of the eliminated factor, their pairs with
levels of other factors, levels of other factors, and the blocks across these. Blocks off the diagonal appear once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from ...numba_support.compile import kernel
from ...numba_support.vectors import after, view
from .block_cholesky import congruence, scale_pairs
from .work import Work, first_columns, largest_block

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class PartEntries(NamedTuple):
    """The entries of a part's H.

    Attributes
    ----------
    columns : ndarray of int, shape (N,)
        The part's effects: their places in ``u``.
    level : ndarray of int, shape (N,)
        The level of each of them, numbered from 0.
    row, column : ndarray of int, shape (entries,)
        Of each entry, among the part's effects.
    kinds : tuple of slice
        Where the four kinds of blocks stand among all of the data.
    """

    columns: IntArray
    level: IntArray
    row: IntArray
    column: IntArray
    kinds: tuple[slice, slice, slice, slice]


def entries_of_part(r: RowIndex, part: int) -> PartEntries:
    """Where the entries of a part's H are."""
    q, base = int(r.q[0]), first_columns(r)
    j, others = (slice(int(at[part]), int(at[part + 1])) for at in (r.part_start, r.other_start))
    crosses = slice(int(r.cross_start[part]), int(r.cross_start[part + 1]))
    firsts = np.arange(j.start * q, j.stop * q)
    rest = np.arange(base + r.col_start[part], base + r.col_start[part + 1])
    levels, widths = j.stop - j.start, r.q[r.other_factor[others]]
    # The place of an effect among those of the part, from its place in u or among the columns of the other factors.
    other_at = len(firsts) - int(r.col_start[part])
    own = [_grid(np.arange(levels) * q, np.arange(levels) * q, np.full(levels, q), np.full(levels, q))]
    columns = r.matrix_cols[r.matrix_at[j.start] // q : r.matrix_at[j.stop] // q] + other_at
    counts = np.diff(r.matrix_at[j.start : j.stop + 1]) // q
    starts = np.repeat(np.cumsum(counts) - counts, counts * q)
    within = np.arange(len(starts)) - starts * q
    of_counts = np.repeat(counts, counts * q)
    own.append(
        (np.repeat(np.arange(levels) * q, counts * q) + within // of_counts, columns[starts + within % of_counts])
    )
    own.append(_grid(r.other_col[others] + other_at, r.other_col[others] + other_at, widths, widths))
    blocks = len(r.cross_at) - 1
    ends = [r.cross_cols.ravel()[k * blocks : (k + 1) * blocks][crosses] + other_at for k in (0, 1)]
    sides = [r.q[r.cross_factors.ravel()[k * blocks : (k + 1) * blocks][crosses]] for k in (0, 1)]
    own.append(_grid(*ends, *sides))
    return PartEntries(
        columns=np.concatenate([firsts, rest]),
        level=np.concatenate([np.repeat(np.arange(levels), q), levels + np.repeat(np.arange(len(widths)), widths)]),
        row=np.concatenate([rows for rows, _ in own]),
        column=np.concatenate([columns for _, columns in own]),
        kinds=(
            slice(j.start * q * q, j.stop * q * q),
            slice(int(r.matrix_at[j.start]), int(r.matrix_at[j.stop])),
            slice(int(r.other_at[others.start]), int(r.other_at[others.start]) + int((widths**2).sum())),
            slice(int(r.cross_at[crosses.start]), int(r.cross_at[crosses.stop])),
        ),
    )


def _grid(first_row: IntArray, first_column: IntArray, height: IntArray, width: IntArray) -> tuple[IntArray, IntArray]:
    """Row and column of each entry of blocks, row by row."""
    sizes = height * width
    block = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(block)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return first_row[block] + within // width[block], first_column[block] + within % width[block]


@kernel
def hessian_values(r: RowIndex, w: Work, cholesky: FloatArray, part: int, out: FloatArray) -> None:
    """The values of the entries, from the products ``Z'WZ``; also ``Z'WZ L`` of the pairs into ``w.scaled_pair``."""
    q, blocks, at = r.q[0], len(r.cross_at) - 1, 0
    scratch = np.empty(largest_block(r))
    for j in range(r.part_start[part], r.part_start[part + 1]):
        block = after(out, at)
        congruence(cholesky, q, after(w.products_first, j * q * q), cholesky, q, scratch, block)
        for a in range(q):
            block[a * q + a] += 1.0
        at += q * q
    for j in range(r.part_start[part], r.part_start[part + 1]):
        size = r.matrix_at[j + 1] - r.matrix_at[j]
        scale_pairs(r, w, cholesky, j, view(out, at, at + size))
        at += size
    for k in range(r.other_start[part], r.other_start[part + 1]):
        L, width = after(cholesky, r.cholesky_at[r.other_factor[k]]), r.q[r.other_factor[k]]
        block = after(out, at)
        congruence(L, width, after(w.products_other, r.other_at[k]), L, width, scratch, block)
        for a in range(width):
            block[a * width + a] += 1.0
        at += width * width
    for k in range(r.cross_start[part], r.cross_start[part + 1]):
        s, t = r.cross_factors[k], r.cross_factors[blocks + k]
        one, other = after(cholesky, r.cholesky_at[s]), after(cholesky, r.cholesky_at[t])
        congruence(one, r.q[s], after(w.products_cross, r.cross_at[k]), other, r.q[t], scratch, after(out, at))
        at += r.q[s] * r.q[t]


def keep_inverse(w: Work, entries: PartEntries, values: FloatArray) -> None:
    """Put the entries of ``H^-1`` at those of H into the work arrays."""
    at = 0
    for target, kind in zip(
        (w.inverse_first, w.inverse_pair, w.inverse_other, w.inverse_cross), entries.kinds, strict=True
    ):
        size = kind.stop - kind.start
        target[kind] = values[at : at + size]
        at += size
