"""What functions such as ``scale`` learn of a whole column, kept as a few values that teach them the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Values of a `GaussRule`: enough for orthogonal polynomials of degree 7.
NODES = 8
#: Length of what a further power adds to a column's scaled powers, below which there is nothing to add but rounding.
LEAST_NEW = 1e-9


@dataclass(frozen=True)
class ColumnRule:
    """A few values with counts, of which some statistics are those of a whole column.

    Attributes
    ----------
    values : ndarray, shape (k,)
    counts : ndarray, shape (k,)
        Sum to the number of rows.
    """

    values: FloatArray
    counts: FloatArray

    def teach(self, transform: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Let a transformation, made with the counts, learn; arguments and options are those besides the column."""
        transform(self.values, *arguments, **options)


@dataclass(frozen=True)
class GaussRule(ColumnRule):
    """A rule that has the mean powers of a whole column, up to ``2 k - 1`` for k values.

    They are the nodes and weights of the Gauss quadrature of the column's distribution, so that means, standard
    deviations and orthogonal polynomials are the same as of all rows. Rules of parts of a column can be joined.

    References
    ----------
    Golub and Welsch (1969), Mathematics of Computation 23: 221-230. Gautschi (2004), Orthogonal Polynomials, section
    3.1.1, for the Lanczos algorithm by which the recurrence of the polynomials is found.
    """

    @classmethod
    def of(cls, values: FloatArray, counts: FloatArray) -> GaussRule:
        """The rule of values that each occur several times.

        Examples
        --------
        >>> x = np.arange(1000.0) ** 2
        >>> rule = GaussRule.of(x, np.ones(1000))
        >>> len(rule.values), bool(np.isclose(np.average(rule.values, weights=rule.counts), x.mean()))
        (8, True)
        """
        total = float(counts.sum())
        mean = float(np.average(values, weights=counts))
        sd = float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
        if sd == 0:
            return cls(np.array([mean]), np.array([total]))
        scaled = (values - mean) / sd
        basis = np.sqrt(counts / total)[:, None]
        diagonal: list[float] = []
        beside: list[float] = []
        while len(diagonal) < NODES:
            moved = scaled * basis[:, -1]
            diagonal.append(float(basis[:, -1] @ moved))
            for _ in range(2):  # once more, for the digits that the first time has lost
                moved = moved - basis @ (basis.T @ moved)
            size = float(np.sqrt(moved @ moved))
            if size < LEAST_NEW:  # there are no more different values
                break
            beside.append(size)
            basis = np.column_stack([basis, moved / size])
        off = beside[: len(diagonal) - 1]
        nodes, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
        return cls(mean + sd * nodes, total * vectors[0] ** 2)

    def joined(self, other: GaussRule) -> GaussRule:
        """The rule of the rows of both."""
        return GaussRule.of(np.concatenate([self.values, other.values]), np.concatenate([self.counts, other.counts]))


@dataclass(frozen=True)
class ClusterRule(ColumnRule):
    """Means of a column in clusters, with numbers of rows.

    Attributes
    ----------
    clusters : ndarray, shape (k,)
        Their labels.
    """

    clusters: npt.NDArray[Any]

    @classmethod
    def of(cls, values: FloatArray, clusters: npt.NDArray[Any]) -> ClusterRule:
        """The means of rows that are in these clusters, each of shape (n,).

        Examples
        --------
        >>> rule = ClusterRule.of(np.array([1.0, 3.0, 5.0]), np.array(["b", "b", "a"], dtype=object))
        >>> dict(zip(rule.clusters.tolist(), rule.values.tolist(), strict=True))
        {'b': 2.0, 'a': 5.0}
        """
        return cls._summed(values, np.ones(len(values)), clusters)

    @classmethod
    def joined(cls, rules: Sequence[ClusterRule]) -> ClusterRule:
        """The means of the rows of several rules, whose clusters may be the same, in their order."""
        values, counts, clusters = (
            np.concatenate([getattr(rule, name) for rule in rules]) for name in ("values", "counts", "clusters")
        )
        return cls._summed(values * counts, counts, clusters)

    @classmethod
    def _summed(cls, sums: FloatArray, counts: FloatArray, clusters: npt.NDArray[Any]) -> ClusterRule:
        together = pd.DataFrame({"sum": sums, "count": counts}).groupby(pd.Series(clusters), sort=False).sum()
        rows = together["count"].to_numpy()
        return cls(together["sum"].to_numpy() / rows, rows, np.asarray(together.index, dtype=object))

    def of_clusters(self, clusters: npt.NDArray[Any]) -> ClusterRule:
        """The means of those clusters that are among these."""
        chosen = pd.Index(self.clusters).isin(clusters)
        return ClusterRule(self.values[chosen], self.counts[chosen], self.clusters[chosen])

    def teach(self, transform: Callable[..., Any], *_arguments: Any, **_options: Any) -> None:
        """Let a transformation learn the means; its own arguments are the clusters of other rows."""
        transform(self.values, self.clusters)


def rule_of_order(ranks: IntArray, values: FloatArray) -> ColumnRule:
    """The rule that has these order statistics, of which the first is the smallest and the last the largest value.

    Examples
    --------
    >>> rule_of_order(np.array([0, 1, 5]), np.array([1.0, 2.0, 9.0])).counts.tolist()
    [1.0, 1.0, 4.0]
    """
    return ColumnRule(values, np.diff(ranks, prepend=-1).astype(np.float64))
