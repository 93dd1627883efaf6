"""The structure of the Cholesky factor of a sparse matrix: its columns in fronts, compiled.

A front is a run of columns with nearly the same rows, so that dense arithmetic serves for it (Duff and Reid 1983, ACM
Transactions on Mathematical Software 9: 302-325). The rows of a front below its own columns are among the columns and
rows of its parent: the fronts form a tree, and the children of a front come before it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel, kernel
from ...numba_support.struct_by_address import by_address

IntArray = npt.NDArray[np.int64]

#: A front joins its parent if no more than this share of their entries are then zeros.
PADDING = 0.1


@by_address
class Fronts(NamedTuple):
    """Arrays of the structure, S fronts over N columns."""

    first: IntArray  # (S + 1,) first column of each front
    row_at: IntArray  # (S + 1,) where its rows start
    rows: IntArray  # rows below its own columns, ascending
    relative: IntArray  # their places among the columns and rows of its parent
    child: IntArray  # (S,) its last child, -1 if it has none
    sibling: IntArray  # (S,) the child of the same parent before it, -1 for the first
    entry_at: IntArray  # (S + 1,) where its entries of the matrix start
    place: IntArray  # the place of an entry in its front, a matrix over its columns and rows
    source: IntArray  # the number of the entry
    factor_at: IntArray  # (S + 1,) where its columns of the Cholesky factor start, row by row


@exact_kernel
def _elimination_tree(begins: IntArray, columns: IntArray) -> IntArray:
    """The parent of each column, from the columns left of the diagonal of each row."""
    n = len(begins) - 1
    parent, ancestor = np.full(n, -1), np.full(n, -1)
    for i in range(n):
        for k in range(begins[i], begins[i + 1]):
            j = columns[k]
            while j != -1 and j < i:
                above = ancestor[j]
                ancestor[j] = i
                if above == -1:
                    parent[j] = i
                j = above
    return parent


@exact_kernel
def _postorder(parent: IntArray) -> IntArray:
    """Columns with all descendants of a column right before it."""
    n = len(parent)
    child, sibling = np.full(n, -1), np.full(n, -1)
    for j in range(n - 1, -1, -1):
        if parent[j] >= 0:
            sibling[j] = child[parent[j]]
            child[parent[j]] = j
    order, path, count = np.empty(n, np.int64), np.empty(n, np.int64), 0
    for root in range(n):
        if parent[root] >= 0:
            continue
        depth = 0
        path[0] = root
        while depth >= 0:
            j = path[depth]
            if child[j] >= 0:
                depth += 1
                path[depth] = child[j]
                child[j] = sibling[child[j]]
            else:
                order[count] = j
                count += 1
                depth -= 1
    return order


@exact_kernel
def _column_counts(begins: IntArray, columns: IntArray, parent: IntArray) -> IntArray:
    """Entries of each column of the Cholesky factor: row i has those on the paths from its columns up to i."""
    n = len(parent)
    counts, seen = np.ones(n, np.int64), np.full(n, -1)
    for i in range(n):
        seen[i] = i
        for k in range(begins[i], begins[i + 1]):
            j = columns[k]
            while seen[j] != i:
                counts[j] += 1
                seen[j] = i
                j = parent[j]
    return counts


@exact_kernel
def _first_columns(parent: IntArray, counts: IntArray) -> IntArray:
    """The first column of each front, and the number of columns.

    A column belongs to the front before it if it is its parent and has the same rows. Then fronts join their parents.
    """
    n = len(parent)
    first, padding, fronts = np.empty(n + 1, np.int64), np.zeros(n + 1, np.int64), 0
    start = 0
    while start < n:
        stop = start + 1
        while stop < n and parent[stop - 1] == stop and counts[stop] == counts[stop - 1] - 1:
            stop += 1
        begin, below, padded = start, counts[stop - 1] - 1, 0
        while fronts > 0:
            child, last = first[fronts - 1], begin - 1  # the front before this one
            if not begin <= parent[last] < stop:
                break
            zeros = padded + padding[fronts - 1] + (begin - child) * (stop - begin + below - counts[last] + 1)
            if zeros > PADDING * (stop - child) * (stop - child + below):
                break
            begin, padded = child, zeros
            fronts -= 1
        first[fronts], padding[fronts] = begin, padded
        fronts += 1
        start = stop
    first[fronts] = n
    return first[: fronts + 1].copy()


@kernel
def _add_rows(
    rows: IntArray, begin: int, end: int, last: int, front: int, seen: IntArray, found: IntArray, at: int
) -> int:
    """Add rows from `last` on that the front does not have yet to `found`; returns the place after them."""
    for k in range(begin, end):
        i = rows[k]
        if i >= last and seen[i] != front:
            seen[i] = front
            found[at] = i
            at += 1
    return at


@exact_kernel
def _front_rows(
    first: IntArray, row_at: IntArray, front: IntArray, begins: IntArray, rows: IntArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Rows of each front, its parent, last child and sibling, from the rows below the diagonal of each column."""
    count = len(first) - 1
    found, parent = np.empty(row_at[count], np.int64), np.full(count, -1)
    child, sibling, seen = np.full(count, -1), np.full(count, -1), np.full(len(front), -1)
    for s in range(count):
        at, last = row_at[s], first[s + 1]
        at = _add_rows(rows, begins[first[s]], begins[last], last, s, seen, found, at)
        c = child[s]
        while c >= 0:
            at = _add_rows(found, row_at[c], row_at[c + 1], last, s, seen, found, at)
            c = sibling[c]
        found[row_at[s] : at].sort()
        if at > row_at[s]:
            p = front[found[row_at[s]]]
            parent[s], sibling[s] = p, child[p]
            child[p] = s
    return found, parent, child, sibling


@exact_kernel
def _relative_rows(first: IntArray, row_at: IntArray, rows: IntArray, parent: IntArray) -> IntArray:
    relative = np.empty(len(rows), np.int64)
    for s in range(len(parent)):
        p = parent[s]
        if p < 0:
            continue
        begin, stop, k = first[p], first[p + 1], row_at[p]
        for at in range(row_at[s], row_at[s + 1]):
            if rows[at] < stop:
                relative[at] = rows[at] - begin
            else:
                while rows[k] < rows[at]:
                    k += 1
                relative[at] = stop - begin + k - row_at[p]
    return relative


@exact_kernel
def _places(
    first: IntArray, row_at: IntArray, rows: IntArray, front: IntArray, one: IntArray, other: IntArray
) -> IntArray:
    """The place of each entry of the matrix in the front of its column."""
    place = np.empty(len(one), np.int64)
    for k in range(len(one)):
        row, column = max(one[k], other[k]), min(one[k], other[k])
        s = front[column]
        width = first[s + 1] - first[s]
        at = row - first[s]
        if row >= first[s + 1]:
            at = width + np.searchsorted(rows[row_at[s] : row_at[s + 1]], row)
        place[k] = at * (width + row_at[s + 1] - row_at[s]) + column - first[s]
    return place


@exact_kernel
def _largest_stack(row_at: IntArray, parent: IntArray) -> int:
    """Numbers that wait for their parents at most, while the fronts are eliminated one after the other."""
    waiting, now, most = np.zeros(len(parent), np.int64), 0, 0
    for s in range(len(parent)):
        size = (row_at[s + 1] - row_at[s]) ** 2
        now += size - waiting[s]
        most = max(most, now + waiting[s])
        if parent[s] >= 0:
            waiting[parent[s]] += size
    return most


class Structure(NamedTuple):
    """The fronts of a matrix, and what they need.

    Attributes
    ----------
    fronts : Fronts
    order : ndarray of int, shape (N,)
        The matrix's columns in the order of the fronts.
    largest_stack, largest_front : int
        Numbers that wait for their parents at most, and rows of the largest front.
    """

    fronts: Fronts
    order: IntArray
    largest_stack: int
    largest_front: int

    @property
    def operations(self) -> npt.NDArray[np.float64]:
        """Approximate operations of each front, shape (S,)."""
        widths, below = (np.diff(at).astype(float) for at in (self.fronts.first, self.fronts.row_at))
        operations: npt.NDArray[np.float64] = widths * (widths + below) ** 2
        return operations

    @property
    def numbers(self) -> int:
        """Numbers that are kept for a factorisation, with its scratch."""
        return int(self.fronts.factor_at[-1]) + self.largest_stack + self.largest_front**2


def structure(rows: IntArray, columns: IntArray, order: IntArray) -> Structure:
    """The fronts of a sparse symmetric matrix.

    Parameters
    ----------
    rows, columns : ndarray of int
        Of the entries of the matrix; each at one side of the diagonal or at both.
    order : ndarray of int, shape (N,)
        Columns in an order of elimination. Its tree is kept, and its branches are taken one after the other.
    """
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    begins, left = _lower_triangle(position[rows], position[columns], len(order))
    order = order[_postorder(_elimination_tree(begins, left))]
    position[order] = np.arange(len(order))
    one, other = position[rows], position[columns]
    begins, left = _lower_triangle(one, other, len(order))
    of_columns = _elimination_tree(begins, left)
    counts = _column_counts(begins, left, of_columns)
    first = _first_columns(of_columns, counts)
    widths = np.diff(first)
    row_at = np.concatenate([[0], np.cumsum(counts[first[1:] - 1] - 1)])
    front = np.repeat(np.arange(len(widths)), widths)
    above, parent, child, sibling = _front_rows(first, row_at, front, *_columns_below(begins, left))
    place = _places(first, row_at, above, front, one, other)
    of_entry = front[np.minimum(one, other)]
    source = np.argsort(of_entry, kind="stable")
    fronts = Fronts(
        first=first,
        row_at=row_at,
        rows=above,
        relative=_relative_rows(first, row_at, above, parent),
        child=child,
        sibling=sibling,
        entry_at=np.searchsorted(of_entry[source], np.arange(len(first))),
        place=place[source],
        source=source,
        factor_at=np.concatenate([[0], np.cumsum(widths * (widths + np.diff(row_at)))]),
    )
    return Structure(fronts, order, int(_largest_stack(row_at, parent)), int((widths + np.diff(row_at)).max()))


def _lower_triangle(one: IntArray, other: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Where each row starts, and its columns left of the diagonal."""
    from scipy.sparse import coo_array

    apart = one != other
    row, column = np.maximum(one, other)[apart], np.minimum(one, other)[apart]
    matrix = coo_array((np.ones(len(row), dtype=np.int8), (row, column)), shape=(n, n)).tocsr()
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)


def _columns_below(begins: IntArray, left: IntArray) -> tuple[IntArray, IntArray]:
    """Where each column starts, and its rows below the diagonal, from the columns left of it."""
    n = len(begins) - 1
    rows = np.repeat(np.arange(n), np.diff(begins))
    starts = np.concatenate([[0], np.cumsum(np.bincount(left, minlength=n))])
    return starts, rows[np.argsort(left, kind="stable")]
