"""Arrays of a design for compiled code: rows sorted, identical rows collapsed, blocks of random effects indexed.

The columns of all random effects form a sparse matrix. Its cross-products have a block for each level of a grouping
factor, and one for each two levels that share a row. The factor with the most columns is eliminated first, since there
are no blocks between its levels. The rows are divided into parts that share no level of any factor: a nested design has
one part for each cluster at the top, a crossed design is a single part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..display import ShownAsCall, call_html, call_text
from ..numba_support.struct_by_address import by_address

if TYPE_CHECKING:
    from .design import Design
    from .outcome import Outcome

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Identical rows are collapsed if this removes at least this share of the rows.
WORTH_COLLAPSING = 0.1


@by_address
class RowIndex(NamedTuple):
    """Arrays of a model for compiled code.

    n rows, p fixed effects, T grouping factors (the eliminated one first), F = T - 1 others. Levels are numbered anew,
    part by part. ``u`` has the effects of the eliminated factor's levels first, then the columns of the others.
    """

    y: FloatArray  # (n,) successes
    trials: FloatArray  # (n,)
    offset: FloatArray  # (n,)
    X: FloatArray  # (n, p), column by column in memory
    Z: FloatArray  # (sum of q times n,) all factors' columns, one after the other
    q: IntArray  # (T,) effects of each factor
    z_at: IntArray  # (T,) first row of Z of each factor
    cholesky_at: IntArray  # (T + 1,) first entry of each factor's L in the flat vector of Cholesky factors
    row_start: IntArray  # (J + 1,) rows of each level of the eliminated factor
    part_start: IntArray  # (C + 1,) levels of the eliminated factor in each part
    col_start: IntArray  # (C + 1,) columns of the other factors in each part
    schur_at: IntArray  # (C + 1,) where the dense matrix over those columns starts in a flat array
    # Of each row and other factor: the column of its level, and where its blocks start in the flat arrays of blocks.
    row_col: IntArray  # (F n,)
    row_other: IntArray  # (F n,) block of the level with itself
    row_pair: IntArray  # (F n,) block with the level of the eliminated factor, in its matrix
    row_cross: IntArray  # (F (F - 1) / 2 n,) blocks between other factors
    # Each level of the eliminated factor has a matrix with a row for each of its effects and a column for each column
    # of another factor that shares a row of data with it; the columns of one other level are a pair.
    pair_start: IntArray  # (J + 1,) pairs of each level
    pair_factor: IntArray
    pair_first: IntArray  # first column of a pair in its level's matrix
    matrix_at: IntArray  # (J + 1,) where the levels' matrices start in a flat array
    matrix_cols: IntArray  # the columns' places among all those of the other factors, level by level
    # Levels of the other factors, by part.
    other_start: IntArray  # (C + 1,)
    other_factor: IntArray
    other_col: IntArray
    other_at: IntArray
    # Blocks between levels of two other factors, by part.
    cross_start: IntArray  # (C + 1,)
    cross_factors: IntArray  # (2, blocks) the one, then the other
    cross_cols: IntArray  # (2, blocks)
    cross_at: IntArray

    @property
    def several_factors(self) -> bool:
        """Whether there are other factors than the eliminated one."""
        return True

    def __repr__(self) -> str:
        return call_text("RowIndex", self._asdict())

    def _repr_html_(self) -> str:
        return call_html(repr(self), self._asdict())


@by_address
class OneFactorRowIndex(RowIndex):
    """A row index without other factors, for which compiled functions leave out what they do for these."""

    @property
    def several_factors(self) -> bool:
        """Whether there are other factors than the eliminated one."""
        return False


@dataclass(frozen=True)
class ArrangedWeights:
    """Sampling weights in the order of a row index.

    Attributes
    ----------
    rows : ndarray, shape (n_rows,)
        By which the counts of each row of the design are multiplied.
    coefficients : ndarray, shape (n_rows,)
        The same, times the weights of all clusters of the row.
    levels : ndarray, shape (J,)
        Powers of the likelihoods of the levels of the first factor, inside the integral over the others.
    parts : ndarray, shape (C,)
        By which the log-likelihood of each part is multiplied.
    of_rows : ndarray
        The weight of the part of each row of the row index.
    """

    rows: FloatArray
    coefficients: FloatArray
    levels: FloatArray
    parts: FloatArray
    of_rows: FloatArray

    @classmethod
    def of(cls, design: Design, level: IntArray, part: IntArray, collapsed: IntArray) -> ArrangedWeights | None:
        """The weights of a design, if it has sampling weights.

        Parameters
        ----------
        design : Design
        level : ndarray of int, shape (n_rows,)
            Level of the first factor of each row of the design.
        part : ndarray of int, shape (J,)
            Part of each of these levels.
        collapsed : ndarray of int
            Level of each row of the row index.
        """
        sampling = design.sampling
        if sampling is None:
            return None
        parts, levels = np.ones(int(part[-1]) + 1), np.ones(len(part))
        for group in design.groups:
            of_rows = sampling.clusters[group.name][group.index]
            if group.name == sampling.top:
                parts[part[level]] = of_rows
            else:  # quadrature, which alone takes such weights, has no levels but those of the first factor here
                levels[level] = of_rows
        return cls(sampling.rows, sampling.of_contributions(design.groups), levels, parts, parts[part[collapsed]])


@dataclass(frozen=True, repr=False)
class Arrangement(ShownAsCall):
    """A row index, with the mapping back to the design.

    Attributes
    ----------
    row_index : RowIndex
    factors : tuple of int
        Position among the design's groups of each factor of the row index.
    positions : tuple of ndarray of int, shape (J, q)
        For each of the design's groups, the positions of the effects of each level in ``u``.
    triangular : ndarray, shape (p, p)
        ``R`` of the decomposition ``X = basis R`` of the fixed effects' columns: ``beta`` is the solution of
        ``R beta = gamma`` for coefficients ``gamma`` of the basis.
    log_coefficients : float
        Sum of the logarithms of the binomial coefficients of the rows as the user gave them.
    n_rows : int
        Rows before collapsing.
    row_of : ndarray of int, shape (n_rows,)
        For each row of the design, its row in the row index.
    overdispersed : bool
        Whether the outcomes are beta-binomial; rows are then not collapsed, since sums of counts are not.
    weights : ArrangedWeights or None
        Sampling weights.
    """

    row_index: RowIndex
    factors: tuple[int, ...]
    positions: tuple[IntArray, ...]
    triangular: FloatArray
    log_coefficients: float
    n_rows: int
    row_of: IntArray
    overdispersed: bool = False
    weights: ArrangedWeights | None = None

    def with_outcome(self, outcome: Outcome) -> Arrangement:
        """The arrangement with other outcomes of its rows; rows without trials do not contribute."""
        y, trials, coefficients = outcome.y, outcome.trials, outcome.log_coefficients
        if self.weights is not None:
            coefficients = coefficients * self.weights.coefficients
            y, trials = y * self.weights.rows, trials * self.weights.rows
        collapsed = [np.bincount(self.row_of, counts, len(self.row_index.y)) for counts in (y, trials)]
        row_index = self.row_index._replace(y=collapsed[0], trials=collapsed[1])
        return replace(self, row_index=row_index, log_coefficients=float(coefficients.sum()))

    def parts_of(self, group: int) -> IntArray:
        """The part of the data of each level of one of the design's groups, shape (J,)."""
        row_index, first = self.row_index, self.positions[group][:, 0]
        columns = (len(row_index.row_start) - 1) * int(row_index.q[0])
        eliminated = np.searchsorted(row_index.part_start, first // row_index.q[0], side="right") - 1
        others = np.searchsorted(row_index.col_start, first - columns, side="right") - 1
        return np.where(first < columns, eliminated, others)


def arrange(
    design: Design,
    clusters: npt.NDArray[np.intp] | None = None,
    triangular: FloatArray | None = None,
    first: int | None = None,
) -> Arrangement:
    """The rows of a design sorted, collapsed and indexed.

    Parameters
    ----------
    design : Design
        Without random effects, it gets a single level whose column is zero, so that its effect is zero.
    clusters : ndarray of int, shape (n,), optional
        For a design without random effects, the level of each row in place of the single one: each is a part.
    triangular : ndarray, shape (p, p), optional
        ``R`` of all rows of a table of which these are a part, so that the parts share their basis.
    first : int, optional
        Position of the factor to eliminate; by default the one with the most columns.

    Returns
    -------
    Arrangement

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("use ~ 1 + (1 | district)", hl.datasets.load("contraception"))
    >>> len(arrange(model.design).row_index.y)  # all rows of a district have the same probability
    60
    """
    groups = design.groups
    columns = [len(group.levels) * len(group.effects) for group in groups]
    by_columns = tuple(int(k) for k in np.argsort(-np.array(columns), kind="stable"))
    factors = by_columns if first is None else (first, *(k for k in by_columns if k != first))
    index = [np.asarray(groups[k].index, dtype=np.int64) for k in factors]
    sizes = [len(groups[k].levels) for k in factors]
    q = np.array([len(groups[k].effects) for k in factors], dtype=np.int64)
    Z = np.concatenate([groups[k].Z for k in factors], axis=1) if groups else np.zeros((design.n_rows, 1))
    if not groups:
        only = np.zeros(design.n_rows, dtype=np.int64) if clusters is None else clusters.astype(np.int64)
        index, sizes, q = [only], [int(only.max()) + 1], np.ones(1, dtype=np.int64)

    parts = _parts(index, sizes)
    ranks = [_rank(labels) for labels in parts]
    index = [rank[levels] for rank, levels in zip(ranks, index, strict=True)]
    parts = [np.sort(labels) for labels in parts]

    y, trials, log_coefficients = _weighted_counts(design)
    given = _Rows(index, design.X, Z, design.offset, y, trials)
    order = given.order()
    overdispersed = design.outcome.family == "betabinomial"
    rows, groups_of_rows = (given[order], np.arange(design.n_rows)) if overdispersed else given[order].collapsed()
    row_of = np.empty(design.n_rows, dtype=np.int64)
    row_of[order] = groups_of_rows
    R = _triangular(design.X, design.table.row_counts) if triangular is None else triangular

    n_parts = int(parts[0][-1]) + 1
    col_of, col_start, others = _columns(parts, q, n_parts)
    pairs = _Pairs.between(rows.index, sizes, q, col_of)
    cross = _Cross.between(rows.index, parts, q, col_of, n_parts)
    row_index = (RowIndex if len(index) > 1 else OneFactorRowIndex)(
        y=rows.y,
        trials=rows.trials,
        offset=rows.offset,
        # The solution of R' basis = x for each row after collapsing, so that collapsed rows share a row of the basis.
        X=np.linalg.solve(R.T, rows.X.T).T,
        Z=np.ascontiguousarray(rows.Z.T).ravel(),
        q=q,
        z_at=_starts(q)[:-1],
        cholesky_at=_starts(q * q),
        row_start=np.searchsorted(rows.index[0], np.arange(sizes[0] + 1)).astype(np.int64),
        part_start=np.searchsorted(parts[0], np.arange(n_parts + 1)).astype(np.int64),
        col_start=col_start,
        schur_at=_starts(np.diff(col_start) ** 2),
        row_col=_chained([col[levels] for col, levels in zip(col_of, rows.index[1:], strict=True)]),
        row_other=_chained([at[levels] for at, levels in zip(others.at_of, rows.index[1:], strict=True)]),
        row_pair=pairs.of_row,
        row_cross=cross.of_row,
        pair_start=pairs.start,
        pair_factor=pairs.factor,
        pair_first=pairs.first,
        matrix_at=pairs.at,
        matrix_cols=pairs.cols,
        other_start=others.start,
        other_factor=others.factor,
        other_col=others.col,
        other_at=others.at,
        cross_start=cross.start,
        cross_factors=cross.factors,
        cross_cols=cross.cols,
        cross_at=cross.at,
    )
    firsts = [np.arange(sizes[0]) * q[0], *(sizes[0] * q[0] + col for col in col_of)]
    positions: list[IntArray] = [np.empty((0, 0), dtype=np.int64)] * len(groups)
    for k, rank, column, width in zip(factors, ranks, firsts, q, strict=False):
        positions[k] = column[rank][:, None] + np.arange(width)
    at, weights = tuple(positions), ArrangedWeights.of(design, index[0], parts[0], rows.index[0])
    return Arrangement(row_index, factors, at, R, log_coefficients, design.n_rows, row_of, overdispersed, weights)


def _weighted_counts(design: Design) -> tuple[FloatArray, FloatArray, float]:
    """Successes and trials of the rows, and the sum of their log binomial coefficients, with their sampling weights."""
    y, trials, sampling = design.outcome.y, design.outcome.trials, design.sampling
    coefficients = design.outcome.log_coefficients
    if sampling is None:
        return y, trials, float(coefficients.sum())
    weights = sampling.of_contributions(design.groups)
    return y * sampling.rows, trials * sampling.rows, float(coefficients @ weights)


def _triangular(X: FloatArray, counts: FloatArray | None) -> FloatArray:
    """``R`` of ``X = basis R``, where the columns of the basis are orthogonal with length sqrt(n) over all rows."""
    if not X.shape[1]:
        return np.empty((0, 0))
    total = float(len(X))
    if counts is not None:
        X, total = X * np.sqrt(counts)[:, None], float(counts.sum())
    R: FloatArray = np.linalg.qr(X, mode="r") / np.sqrt(total)
    # With a positive diagonal, each column of the basis has the direction of its column of X.
    return R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]


def _parts(index: list[IntArray], sizes: list[int]) -> list[IntArray]:
    """The part to which each level of each factor belongs, numbered from 0."""
    if len(index) == 1:
        return [np.arange(sizes[0])]
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    starts = _starts(np.array(sizes))
    ends = np.concatenate([starts[t] + levels for t, levels in enumerate(index) if t])
    firsts = np.tile(index[0], len(index) - 1)
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (firsts, ends)), shape=(int(starts[-1]), int(starts[-1])))
    labels = connected_components(graph, directed=False)[1].astype(np.int64)
    return [labels[start:stop] for start, stop in pairwise(starts)]


def _rank(labels: IntArray) -> IntArray:
    """Rank of each level when the levels are sorted by their labels."""
    rank = np.empty(len(labels), dtype=np.int64)
    rank[np.argsort(labels, kind="stable")] = np.arange(len(labels))
    return rank


def _starts(lengths: npt.NDArray[Any]) -> IntArray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _chained(arrays: list[IntArray]) -> IntArray:
    return np.concatenate([np.empty(0, dtype=np.int64), *arrays])


@dataclass(frozen=True)
class _Rows:
    index: list[IntArray]
    X: FloatArray
    Z: FloatArray
    offset: FloatArray
    y: FloatArray
    trials: FloatArray

    def order(self) -> npt.NDArray[np.intp]:
        """Order by levels of the eliminated factor, then of the others, with identical rows next to each other."""
        return np.lexsort([self._hash(), *self.index[:0:-1], self.index[0]])

    def collapsed(self) -> tuple[_Rows, IntArray]:
        """The rows with identical neighbours replaced by one row with summed counts, if this removes enough rows.

        Returns
        -------
        rows : _Rows
        row_of : ndarray of int
            For each row, its row after collapsing.
        """
        columns = [*self.index, *self.X.T, *self.Z.T, self.offset]
        same = np.ones(len(self.y) - 1, dtype=bool)
        for column in columns:
            same &= column[1:] == column[:-1]
        if same.sum() < WORTH_COLLAPSING * len(self.y):
            return self, np.arange(len(self.y))
        row_of = np.concatenate([[0], np.cumsum(~same)])
        first = np.flatnonzero(np.concatenate([[True], ~same]))
        y, trials = np.add.reduceat(self.y, first), np.add.reduceat(self.trials, first)
        return _Rows(*self[first]._columns(), y, trials), row_of

    def _hash(self) -> npt.NDArray[np.uint64]:
        total = np.zeros(len(self.y), dtype=np.uint64)
        for column in (*self.X.T, *self.Z.T, self.offset):
            total = (total ^ np.ascontiguousarray(column).view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            total ^= total >> np.uint64(29)
        return total

    def _columns(self) -> tuple[list[IntArray], FloatArray, FloatArray, FloatArray]:
        return self.index, self.X, self.Z, self.offset

    def __getitem__(self, chosen: npt.NDArray[np.intp]) -> _Rows:
        index = [levels[chosen] for levels in self.index]
        return _Rows(index, self.X[chosen], self.Z[chosen], self.offset[chosen], self.y[chosen], self.trials[chosen])


@dataclass(frozen=True)
class _OtherLevels:
    start: IntArray
    factor: IntArray
    col: IntArray
    at: IntArray
    at_of: list[IntArray]


def _columns(parts: list[IntArray], q: IntArray, n_parts: int) -> tuple[list[IntArray], IntArray, _OtherLevels]:
    """Columns of the levels of all factors except the first, sorted by part and then by factor."""
    part = np.concatenate([np.empty(0, dtype=np.int64), *parts[1:]])
    factor = np.repeat(np.arange(1, len(parts)), [len(labels) for labels in parts[1:]]).astype(np.int64)
    order = np.lexsort([factor, part])
    widths = q[factor[order]]
    col, at = _starts(widths), _starts(widths * widths)
    start = np.searchsorted(part[order], np.arange(n_parts + 1)).astype(np.int64)
    back = _rank_of_order(order)
    splits = np.cumsum([len(labels) for labels in parts[1:]])[:-1]
    col_of = np.split(col[:-1][back], splits) if len(parts) > 1 else []
    at_of = np.split(at[:-1][back], splits) if len(parts) > 1 else []
    others = _OtherLevels(start, factor[order], col[:-1], at, at_of)
    return col_of, col[start], others


def _rank_of_order(order: npt.NDArray[np.intp]) -> IntArray:
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return back


@dataclass(frozen=True)
class _Pairs:
    start: IntArray
    factor: IntArray
    first: IntArray
    at: IntArray
    cols: IntArray
    of_row: IntArray

    @classmethod
    def between(cls, index: list[IntArray], sizes: list[int], q: IntArray, col_of: list[IntArray]) -> _Pairs:
        """Pairs of a level of the first factor and a level of another one that share a row, sorted by column."""
        by_factor = []
        for t in range(1, len(index)):
            keys, of_row = np.unique(index[0] * sizes[t] + index[t], return_inverse=True)
            by_factor.append((keys // sizes[t], np.full(len(keys), t), col_of[t - 1][keys % sizes[t]], of_row))
        level, factor, col = (_chained([pairs[k] for pairs in by_factor]) for k in range(3))
        order = np.lexsort([col, level])
        level, factor, col = level[order], factor[order], col[order]
        start = np.searchsorted(level, np.arange(sizes[0] + 1)).astype(np.int64)
        ends = _starts(q[factor])
        first = ends[:-1] - ends[start[level]]
        at = q[0] * ends[start]
        widths = q[factor]
        cols = np.repeat(col - ends[:-1], widths) + np.arange(ends[-1])
        place = (at[level] + first)[_rank_of_order(order)]
        begins = _starts(np.array([len(pairs[0]) for pairs in by_factor], dtype=np.int64))
        of_row = [place[begin + pairs[3]] for begin, pairs in zip(begins[:-1], by_factor, strict=True)]
        return cls(start, factor, first, at, cols, _chained(of_row))


@dataclass(frozen=True)
class _Cross:
    start: IntArray
    factors: IntArray
    cols: IntArray
    at: IntArray
    of_row: IntArray

    @classmethod
    def between(
        cls, index: list[IntArray], parts: list[IntArray], q: IntArray, col_of: list[IntArray], n_parts: int
    ) -> _Cross:
        """Pairs of levels of two factors other than the first that share a row."""
        by_factors = []
        for s in range(1, len(index)):
            for t in range(s + 1, len(index)):
                size = len(parts[t])
                keys, of_row = np.unique(index[s] * size + index[t], return_inverse=True)
                first, second = keys // size, keys % size
                factors = np.stack([np.full(len(keys), s), np.full(len(keys), t)])
                cols = np.stack([col_of[s - 1][first], col_of[t - 1][second]])
                by_factors.append((parts[s][first], factors, cols, of_row))
        none = np.empty((2, 0), dtype=np.int64)
        part = np.concatenate([none[0], *(pairs[0] for pairs in by_factors)])
        factors = np.concatenate([none, *(pairs[1] for pairs in by_factors)], axis=1)
        cols = np.concatenate([none, *(pairs[2] for pairs in by_factors)], axis=1)
        order = np.argsort(part, kind="stable")
        at = _starts(q[factors[0, order]] * q[factors[1, order]])
        place = at[:-1][_rank_of_order(order)]
        firsts = _starts(np.array([len(pairs[0]) for pairs in by_factors], dtype=np.int64))
        of_row = [place[first + pairs[3]] for first, pairs in zip(firsts[:-1], by_factors, strict=True)]
        start = np.searchsorted(part[order], np.arange(n_parts + 1)).astype(np.int64)
        factors, cols = np.ascontiguousarray(factors[:, order]), np.ascontiguousarray(cols[:, order])
        return cls(start, factors, cols, at, _chained(of_row))
