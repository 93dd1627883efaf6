"""The multifrontal Cholesky factorisation of a sparse matrix, solutions with it, and its selected inverse, compiled.

Each front is a dense matrix over its columns and rows, stored row by row: the entries of the matrix, plus what the
elimination of its children leaves. Its columns are eliminated, and what that leaves of its rows waits for the parent on
a stack (Duff and Reid 1983; Liu 1992, SIAM Review 34: 82-109). From the roots down, the blocks of the inverse at the
same places follow from those of the parents (Takahashi's equations; Erisman and Tinney 1975, Communications of the ACM
18: 177-179): with a front's columns 1, its rows 2, and ``Y = L21 L11^-1``,

    V21 = -V22 Y,    V11 = (L11 L11')^-1 - Y' V21
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import kernel
from ...numba_support.struct_by_address import by_address
from ...numba_support.vectors import after, copy, fill, view
from .sparse_fronts import Fronts, Structure

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Fronts with at least this many columns are eliminated in panels of so many columns, by products of matrices, which
#: are computed for so many rows at a time.
BLOCKED, PANEL, ROWS = 16, 64, 128


@by_address
class Scratch(NamedTuple):
    """Scratch arrays of a factorisation."""

    stack: FloatArray  # what fronts leave of their rows, waiting for the parents
    front: FloatArray  # the front that is eliminated
    buffer: FloatArray  # for products of matrices


def make_scratch(structure: Structure) -> Scratch:
    """Scratch arrays for a structure."""
    largest = structure.largest_front
    buffer = np.empty((2 * PANEL + ROWS) * largest)
    return Scratch(np.empty(structure.largest_stack), np.empty(largest * largest), buffer)


@kernel
def _diagonal_block(F: FloatArray, m: int, start: int, stop: int) -> float:
    """Replace the lower triangle of a block on the diagonal by its Cholesky factor; return its log-determinant."""
    log_det = 0.0
    for i in range(start, stop):
        row = after(F, i * m)
        for j in range(start, i):
            other, total = after(F, j * m), row[j]
            for k in range(start, j):
                total -= row[k] * other[k]
            row[j] = total / other[j]
        total = row[i]
        for k in range(start, i):
            total -= row[k] * row[k]
        row[i] = math.sqrt(total)
        log_det += math.log(total)
    return log_det


@kernel
def _lower_inverse(L: FloatArray, stride: int, start: int, size: int) -> FloatArray:
    """The inverse of a lower triangular block on the diagonal."""
    inverse = np.zeros((size, size))
    for j in range(size):
        inverse[j, j] = 1.0 / L[(start + j) * stride + start + j]
        for i in range(j + 1, size):
            row, total = after(L, (start + i) * stride + start), 0.0
            for k in range(j, i):
                total -= row[k] * inverse[k, j]
            inverse[i, j] = total / row[i]
    return inverse


@kernel
def _eliminate_columns(F: FloatArray, m: int, width: int, column: FloatArray) -> float:
    """Eliminate the first columns of a front one by one; return the logarithm of the product of their pivots."""
    log_det = 0.0
    for c in range(width):
        pivot = F[c * m + c]
        root = math.sqrt(pivot)
        log_det += math.log(pivot)
        F[c * m + c] = root
        for i in range(c + 1, m):
            F[i * m + c] /= root
            column[i] = F[i * m + c]
        for i in range(c + 1, m):
            row, times, known = view(F, i * m + c + 1, i * m + i + 1), column[i], after(column, c + 1)
            for j in range(len(row)):
                row[j] -= times * known[j]
    return log_det


@kernel
def _eliminate_panels(F: FloatArray, m: int, width: int, buffer: FloatArray) -> float:
    """As `_eliminate_columns`, by products of matrices."""
    log_det = 0.0
    for start in range(0, width, PANEL):
        stop = min(start + PANEL, width)
        size, rest = stop - start, m - stop
        log_det += _diagonal_block(F, m, start, stop)
        if rest == 0:
            continue
        inverse = _lower_inverse(F, m, start, size)
        panel = buffer[: rest * size].reshape(rest, size)
        solved = buffer[rest * size : 2 * rest * size].reshape(rest, size)
        for i in range(rest):
            for c in range(size):
                panel[i, c] = F[(stop + i) * m + start + c]
        np.dot(panel, inverse.T, solved)
        for i in range(rest):
            for c in range(size):
                F[(stop + i) * m + start + c] = solved[i, c]
        for top in range(0, rest, ROWS):
            bottom = min(top + ROWS, rest)
            count, at = bottom - top, 2 * rest * size
            products = buffer[at : at + count * bottom].reshape(count, bottom)
            np.dot(solved[top:bottom], solved[:bottom].T, products)
            for i in range(count):
                row, taken = after(F, (stop + top + i) * m + stop), after(buffer, at + i * bottom)
                for j in range(top + i + 1):
                    row[j] -= taken[j]
    return log_det


@kernel
def factorise_fronts(
    f: Fronts,
    begin: int,
    end: int,
    values: FloatArray,
    factor: FloatArray,
    top: int,
    scratch: Scratch,
) -> tuple[float, int]:
    """Factorise some fronts, after all before them.

    Parameters
    ----------
    f, begin, end
        The fronts from `begin` until before `end`.
    values : ndarray
        Entries of the matrix.
    factor : ndarray
        Filled with the columns of the Cholesky factor.
    top : int
        Numbers on the stack.
    scratch : Scratch

    Returns
    -------
    log_det : float
        Sum of the logarithms of the pivots.
    top : int
    """
    log_det, stack, front, buffer = 0.0, scratch.stack, scratch.front, scratch.buffer
    for s in range(begin, end):
        width, below = f.first[s + 1] - f.first[s], f.row_at[s + 1] - f.row_at[s]
        m = width + below
        F = view(front, 0, m * m)
        fill(F, 0.0)
        for k in range(f.entry_at[s], f.entry_at[s + 1]):
            F[f.place[k]] = values[f.source[k]]
        c = f.child[s]  # the last child, which is on the top of the stack
        while c >= 0:
            size = f.row_at[c + 1] - f.row_at[c]
            top -= size * size
            at = view(f.relative, f.row_at[c], f.row_at[c + 1])
            for i in range(size):
                row, update = after(F, at[i] * m), after(stack, top + i * size)
                for j in range(i + 1):
                    row[at[j]] += update[j]
            c = f.sibling[c]
        if width < BLOCKED:
            log_det += _eliminate_columns(F, m, width, buffer)
        else:
            log_det += _eliminate_panels(F, m, width, buffer)
        L = view(factor, f.factor_at[s], f.factor_at[s + 1])
        for i in range(m):
            for j in range(min(i + 1, width)):
                L[i * width + j] = F[i * m + j]
        for i in range(below):
            row, update = after(F, (width + i) * m + width), after(stack, top + i * below)
            for j in range(i + 1):
                update[j] = row[j]
        top += below * below
    return log_det, top


@kernel
def solve_lower_fronts(f: Fronts, factor: FloatArray, x: FloatArray) -> None:
    """Solve with the Cholesky factor, in place."""
    for s in range(len(f.child)):
        width = f.first[s + 1] - f.first[s]
        own, rows = after(x, f.first[s]), view(f.rows, f.row_at[s], f.row_at[s + 1])
        L = view(factor, f.factor_at[s], f.factor_at[s + 1])
        for i in range(width):
            total = own[i]
            for j in range(i):
                total -= L[i * width + j] * own[j]
            own[i] = total / L[i * width + i]
        for i in range(len(rows)):
            total = 0.0
            for j in range(width):
                total += L[(width + i) * width + j] * own[j]
            x[rows[i]] -= total


@kernel
def solve_upper_fronts(f: Fronts, factor: FloatArray, x: FloatArray) -> None:
    """Solve with the transposed Cholesky factor, in place."""
    for s in range(len(f.child) - 1, -1, -1):
        width = f.first[s + 1] - f.first[s]
        own, rows = after(x, f.first[s]), view(f.rows, f.row_at[s], f.row_at[s + 1])
        L = view(factor, f.factor_at[s], f.factor_at[s + 1])
        for i in range(len(rows)):
            value = x[rows[i]]
            for j in range(width):
                own[j] -= L[(width + i) * width + j] * value
        for i in range(width - 1, -1, -1):
            own[i] /= L[i * width + i]
            for j in range(i):
                own[j] -= L[i * width + j] * own[i]


@kernel
def _invert_columns(F: FloatArray, m: int, width: int, L: FloatArray, column: FloatArray) -> None:
    """Extend the inverse at a front's rows, in the last rows and columns of F, to its columns, one by one."""
    for c in range(width - 1, -1, -1):
        pivot = L[c * width + c]
        corner = 1.0 / (pivot * pivot)
        for i in range(c + 1, m):
            column[i] = L[i * width + c] / pivot
        for i in range(c + 1, m):
            row, total = view(F, i * m + c + 1, (i + 1) * m), 0.0
            known = after(column, c + 1)
            for j in range(len(row)):
                total -= row[j] * known[j]
            F[i * m + c] = F[c * m + i] = total
            corner -= total * column[i]
        F[c * m + c] = corner


@kernel
def _invert_panels(F: FloatArray, m: int, width: int, L: FloatArray, buffer: FloatArray) -> None:
    """As `_invert_columns`, by products of matrices."""
    start = (width - 1) // PANEL * PANEL
    while start >= 0:
        stop = min(start + PANEL, width)
        size, rest = stop - start, m - stop
        inverse = _lower_inverse(L, width, start, size)
        corner, crossed = np.dot(inverse.T, inverse), np.zeros((size, size))
        if rest > 0:
            panel = buffer[: rest * size].reshape(rest, size)
            Y = buffer[rest * size : 2 * rest * size].reshape(rest, size)
            for i in range(rest):
                for c in range(size):
                    panel[i, c] = L[(stop + i) * width + start + c]
            np.dot(panel, inverse, Y)
            for top in range(0, rest, ROWS):
                bottom = min(top + ROWS, rest)
                count, at = bottom - top, 2 * rest * size
                for i in range(count):
                    begin = (stop + top + i) * m + stop
                    copy(view(F, begin, begin + rest), after(buffer, at + i * rest))
                np.dot(buffer[at : at + count * rest].reshape(count, rest), Y, panel[top:bottom])
                for i in range(top, bottom):
                    for c in range(size):
                        F[(stop + i) * m + start + c] = F[(start + c) * m + stop + i] = -panel[i, c]
            np.dot(Y.T, panel, crossed)
        for i in range(size):
            for c in range(size):
                F[(start + i) * m + start + c] = corner[i, c] + crossed[i, c]
        start -= PANEL


@kernel
def invert_fronts(
    f: Fronts,
    begin: int,
    end: int,
    factor: FloatArray,
    values: FloatArray,
    top: int,
    scratch: Scratch,
) -> int:
    """Replace the entries of the matrix in some fronts by those of its inverse, from the last front to the first.

    Parameters as for `factorise_fronts`, after all fronts from `end` on; returns the numbers on the stack.
    """
    stack, front, buffer = scratch.stack, scratch.front, scratch.buffer
    for s in range(end - 1, begin - 1, -1):
        width, below = f.first[s + 1] - f.first[s], f.row_at[s + 1] - f.row_at[s]
        m = width + below
        F = view(front, 0, m * m)
        top -= below * below
        for i in range(below):
            copy(view(stack, top + i * below, top + (i + 1) * below), after(F, (width + i) * m + width))
        L = view(factor, f.factor_at[s], f.factor_at[s + 1])
        if width < BLOCKED:
            _invert_columns(F, m, width, L, buffer)
        else:
            _invert_panels(F, m, width, L, buffer)
        for k in range(f.entry_at[s], f.entry_at[s + 1]):
            values[f.source[k]] = F[f.place[k]]
        # The blocks that the children need, of which the last one is inverted first: onto the top of the stack.
        room, c = 0, f.child[s]
        while c >= 0:
            room += (f.row_at[c + 1] - f.row_at[c]) ** 2
            c = f.sibling[c]
        place, c = top + room, f.child[s]
        while c >= 0:
            size = f.row_at[c + 1] - f.row_at[c]
            place -= size * size
            at = view(f.relative, f.row_at[c], f.row_at[c + 1])
            for i in range(size):
                row, block = after(F, at[i] * m), after(stack, place + i * size)
                for j in range(size):
                    block[j] = row[at[j]]
            c = f.sibling[c]
        top += room
    return top
