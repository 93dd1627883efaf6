"""An order of elimination that keeps the Cholesky factor of a sparse matrix sparse, compiled.

The approximate minimum degree algorithm of Amestoy, Davis and Duff (1996, SIAM Journal on Matrix Analysis and
Applications 17: 886-905). Each step eliminates a vertex of the matrix's graph with the fewest neighbours, which joins
these to a clique. Cliques are kept as lists of their members, the elements. Vertices with the same neighbours are
merged into one with the sum of their weights, and a clique is dropped once it is part of another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...numba_support.compile import exact_kernel
from ...numba_support.struct_by_address import by_address

IntArray = npt.NDArray[np.int64]


@by_address
class _Graph(NamedTuple):
    """Vertices with lists of the elements, then of the vertices, next to them."""

    start: IntArray  # where the list of a vertex starts
    lists: IntArray
    elements: IntArray  # number of elements in the list
    vertices: IntArray  # number of vertices in the list
    weight: IntArray  # columns of a vertex, negative while it is in the new element, zero once it is gone
    degree: IntArray
    # Vertices by degree, in doubly linked lists.
    head: IntArray
    following: IntArray
    preceding: IntArray
    # By element: its place in the pool of members, their number, and their weight.
    first: IntArray
    members: IntArray
    size: IntArray
    # Weight of each element outside the new one, plus a tag that grows from step to step.
    outside: IntArray
    # Vertices merged into another: the next one, and the last one of the chain.
    chain: IntArray
    last: IntArray
    # Vertices by a hash of their lists.
    hash_head: IntArray
    hash_next: IntArray
    hash_of: IntArray
    seen: IntArray


@exact_kernel
def _insert(g: _Graph, vertex: int) -> None:
    degree = g.degree[vertex]
    first = g.head[degree]
    g.following[vertex], g.preceding[vertex] = first, -1
    if first >= 0:
        g.preceding[first] = vertex
    g.head[degree] = vertex


@exact_kernel
def _remove(g: _Graph, vertex: int) -> None:
    after, before = g.following[vertex], g.preceding[vertex]
    if after >= 0:
        g.preceding[after] = before
    if before >= 0:
        g.following[before] = after
    else:
        g.head[g.degree[vertex]] = after


@exact_kernel
def _new_element(g: _Graph, pivot: int, pool: IntArray, begin: int) -> tuple[int, int]:
    """Put the neighbours of a pivot into the pool and mark them; where they end, and their weight."""
    at, total = begin, 0
    start, stop = g.start[pivot], g.start[pivot] + g.elements[pivot]
    for k in range(start, stop + g.vertices[pivot]):
        # The members of an element, which becomes part of the new one, or a single vertex.
        listed = g.lists[k]
        count = g.members[listed] if k < stop else 1
        for n in range(count):
            i = pool[g.first[listed] + n] if k < stop else listed
            if g.weight[i] > 0:
                _remove(g, i)
                total += g.weight[i]
                g.weight[i] = -g.weight[i]
                pool[at] = i
                at += 1
        if k < stop:
            g.members[listed] = 0
    return at, total


@exact_kernel
def _update(g: _Graph, pivot: int, pool: IntArray, begin: int, end: int, tag: int) -> int:
    """Lists and degrees of the members of the new element; the weight of those that are eliminated with its pivot."""
    for n in range(begin, end):
        i = pool[n]
        for k in range(g.start[i], g.start[i] + g.elements[i]):
            e = g.lists[k]
            if g.members[e] > 0:
                if g.outside[e] < tag:
                    g.outside[e] = tag + g.size[e]
                g.outside[e] += g.weight[i]
    eliminated = 0
    for n in range(begin, end):
        i = pool[n]
        at, away, hashed, elements = g.start[i], 0, pivot, 0
        of_vertices = g.start[i] + g.elements[i]
        for k in range(g.start[i], of_vertices + g.vertices[i]):
            listed = g.lists[k]
            if k < of_vertices:
                # An element without weight outside the new one is part of it.
                weight = g.outside[listed] - tag if g.members[listed] > 0 else 0
                elements += weight > 0
            else:
                weight = g.weight[listed]
            if weight > 0:
                g.lists[at] = listed
                at += 1
                away += weight
                hashed += listed
        if away == 0:
            eliminated -= g.weight[i]
            g.weight[i] = g.elements[i] = g.vertices[i] = 0
            _merge(g, pivot, i)
            continue
        # There is room for the new element: its pivot, or an element that is part of it, was in the list.
        for k in range(at, g.start[i], -1):
            g.lists[k] = g.lists[k - 1]
        g.lists[g.start[i]] = pivot
        g.elements[i], g.vertices[i] = elements + 1, at - g.start[i] - elements
        g.degree[i] = min(g.degree[i], away)
        h = hashed % len(g.hash_head)
        g.hash_of[i], g.hash_next[i] = h, g.hash_head[h]
        g.hash_head[h] = i
    return eliminated


@exact_kernel
def _merge(g: _Graph, vertex: int, other: int) -> None:
    g.chain[g.last[vertex]] = other
    g.last[vertex] = g.last[other]


@exact_kernel
def _merge_alike(g: _Graph, pool: IntArray, begin: int, end: int, stamp: int) -> int:
    """Merge members of the new element whose lists are the same; the last stamp that was used."""
    for n in range(begin, end):
        if g.weight[pool[n]] == 0:
            continue
        h = g.hash_of[pool[n]]
        one = g.hash_head[h]
        g.hash_head[h] = -1
        while one >= 0:
            stamp += 1
            if g.hash_next[one] >= 0:
                for k in range(g.start[one], g.start[one] + g.elements[one] + g.vertices[one]):
                    g.seen[g.lists[k]] = stamp
            before, other = one, g.hash_next[one]
            while other >= 0:
                same = g.elements[one] == g.elements[other] and g.vertices[one] == g.vertices[other]
                k, stop = g.start[other], g.start[other] + g.elements[other] + g.vertices[other]
                while same and k < stop:
                    same = g.seen[g.lists[k]] == stamp
                    k += 1
                if same:
                    g.weight[one] += g.weight[other]
                    g.weight[other] = g.elements[other] = g.vertices[other] = 0
                    _merge(g, one, other)
                    g.hash_next[before] = g.hash_next[other]
                else:
                    before = other
                other = g.hash_next[other]
            one = g.hash_next[one]
    return stamp


@exact_kernel
def _with_room(g: _Graph, pool: IntArray, used: int, needed: int) -> tuple[IntArray, int]:
    """The pool, or another one with the elements that are left, with room for as many members as are needed."""
    if used + needed <= len(pool):
        return pool, used
    kept = 0
    for e in range(len(g.members)):
        kept += g.members[e]
    other, at = np.empty(max(len(pool), 2 * (kept + needed)), np.int64), 0
    for e in range(len(g.members)):
        for k in range(g.members[e]):
            other[at + k] = pool[g.first[e] + k]
        g.first[e] = at
        at += g.members[e]
    return other, at


@exact_kernel
def _eliminate_all(g: _Graph, most: float, order: IntArray) -> bool:
    """Fill the order, and return whether it takes no more operations than `most`."""
    n, left, operations = len(g.weight), 0, 0.0
    for i in range(n):
        left += g.weight[i]
        _insert(g, i)
    # The weights outside of elements are below the tag of the next step.
    tag, step, stamp = 1, 2 * left + 1, 0
    pool, used = np.empty(2 * len(g.lists) + n, np.int64), 0
    pivots, count, lowest = np.empty(n, np.int64), 0, 0
    while left > 0:
        while g.head[lowest] < 0:
            lowest += 1
        pivot = g.head[lowest]
        _remove(g, pivot)
        own = g.weight[pivot]
        g.weight[pivot] = 0
        pool, used = _with_room(g, pool, used, n)
        end, total = _new_element(g, pivot, pool, used)
        eliminated = _update(g, pivot, pool, used, end, tag)
        own, total, tag = own + eliminated, total - eliminated, tag + step
        stamp = _merge_alike(g, pool, used, end, stamp)
        left -= own
        at = used
        for k in range(used, end):
            i = pool[k]
            if g.weight[i] == 0:
                continue
            g.weight[i] = -g.weight[i]
            g.degree[i] = min(g.degree[i] + total - g.weight[i], left - g.weight[i])
            _insert(g, i)
            lowest = min(lowest, g.degree[i])
            pool[at] = i
            at += 1
        g.first[pivot], g.members[pivot], g.size[pivot] = used, at - used, total
        used, pivots[count] = at, pivot
        count += 1
        for column in range(total + 1, total + own + 1):
            operations += float(column) * column
        # The members of the new element are a clique, whose own elimination costs at least this.
        if operations + float(total) ** 3 / 3.0 > most:
            return False
    at = 0
    for k in range(count):
        i = pivots[k]
        while i >= 0:
            order[at] = i
            at += 1
            i = g.chain[i]
    return True


def minimum_degree(begins: IntArray, neighbours: IntArray, widths: IntArray, most: float) -> IntArray | None:
    """An order of elimination with little fill.

    Parameters
    ----------
    begins, neighbours : ndarray of int
        Neighbours of each vertex, one vertex after the other: the pattern of a symmetric matrix without its diagonal.
    widths : ndarray of int
        Columns of each vertex.
    most : float
        Operations of a factorisation, multiplications and additions together, beyond which the search ends.

    Returns
    -------
    ndarray of int or None
        The vertices in their order; None if a factorisation takes more operations.
    """
    n = len(widths)
    degree = np.add.reduceat(np.append(widths[neighbours], 0), begins[:-1]) * (np.diff(begins) > 0)
    zeros, nothing = [np.zeros(n, dtype=np.int64) for _ in range(6)], [np.full(n, -1) for _ in range(5)]
    graph = _Graph(
        start=begins[:-1].copy(),
        lists=neighbours.copy(),
        elements=zeros[0],
        vertices=np.diff(begins),
        weight=widths.copy(),
        degree=degree.astype(np.int64),
        head=np.full(int(widths.sum()) + 1, -1),
        following=nothing[0],
        preceding=nothing[1],
        first=zeros[1],
        members=zeros[2],
        size=zeros[3],
        outside=zeros[4],
        chain=nothing[2],
        last=np.arange(n),
        hash_head=nothing[3],
        hash_next=nothing[4],
        hash_of=np.zeros(n, dtype=np.int64),
        seen=zeros[5],
    )
    order = np.empty(n, dtype=np.int64)
    return order if _eliminate_all(graph, most, order) else None
