"""Grouping factors of a model, with their clusters and random effects, and the clusters of other rows.

All terms with the same grouping factor are combined: ``(1 | g) + (0 + x | g)`` and ``(1 + x || g)`` are the same model.
The effects of a factor are divided into sets, within which they may be correlated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import Facts, Shown, ShownAsCall, View
from ..errors import DesignError
from ..formula.terms import Formula, RandomTerm
from ..validation import agree, number_of, quoted_list
from .encoding import Encoding
from .rank import DroppedColumn, column_sds, reasons
from .row_counts import column_means
from .table import TrainingTable, with_columns

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]
#: Whole numbers below it are stored as such.
_LARGEST_WHOLE = 2**63
#: Number of clusters whose labels a view of a factor shows.
_LEVELS_SHOWN = 8
#: A column counts as constant in a cluster if its range there is below this fraction of its largest value.
CONSTANT = 1e-12


@dataclass(frozen=True, repr=False)
class GroupBlock(Shown):
    """All random effects of one grouping factor.

    Attributes
    ----------
    name : str
        The factor, ``district``, or ``a:b`` for the combinations of two columns.
    columns : tuple of str
        Columns of the table that define the factor.
    levels : ndarray, shape (J,)
        Labels of the clusters, as in the data.
    index : ndarray of int, shape (n,)
        Position in `levels` of each row's cluster.
    effects : tuple of str, length q
        Labels of the effects that vary over clusters: ``Intercept``, ``urban[Y]``.
    terms : tuple of str, length q
        The term of each effect: ``Intercept``, ``urban``.
    Z : ndarray, shape (n, q)
        Columns of the effects.
    sets : tuple of tuple of int
        Partition of the effects: effects of the same set may be correlated, those of different sets are independent.
        The effects of a set are adjacent, and the sets are in the order of their effects.
    dropped : tuple of DroppedColumn
        Effects that were dropped, because their columns depend linearly on those of others in the same term.
    counts : ndarray, shape (n,), optional
        How often each row counts.
    """

    name: str
    columns: tuple[str, ...]
    levels: npt.NDArray[Any]
    index: IntArray
    effects: tuple[str, ...]
    terms: tuple[str, ...]
    Z: FloatArray
    sets: tuple[tuple[int, ...], ...]
    dropped: tuple[DroppedColumn, ...] = ()
    counts: FloatArray | None = None

    @property
    def result_name(self) -> str:
        """Name of the factor in results: that of its columns, as far as it can be a name there."""
        return result_name(self.name)

    @cached_property
    def column_sds(self) -> FloatArray:
        """Standard deviation of each column of Z, 1 for the intercept; shape (q,)."""
        return column_sds(self.Z, self.counts)

    @cached_property
    def column_ranges(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Smallest and largest value and mean of each column of Z, each of shape (q,)."""
        return self.Z.min(axis=0), self.Z.max(axis=0), column_means(self.Z, self.counts)

    @cached_property
    def rows_of_clusters(self) -> IntArray:
        """Number of rows of each cluster, shape (J,)."""
        if self.counts is None:
            return np.bincount(self.index, minlength=len(self.levels))
        return np.bincount(self.index, weights=self.counts, minlength=len(self.levels)).astype(np.intp)

    @cached_property
    def set_slices(self) -> tuple[slice, ...]:
        """Positions of the effects of each set, as slices.

        Examples
        --------
        >>> import hierlogit as hl
        >>> rows = hl.datasets.load("contraception")
        >>> (group,) = hl.Model("use ~ age + (1 | district) + (0 + livch | district)", rows).design.groups
        >>> group.set_slices
        (slice(0, 1, None), slice(1, 5, None))
        """
        return tuple(slice(members[0], members[-1] + 1) for members in self.sets)

    @property
    def correlated(self) -> bool:
        """Whether any two effects of the factor may be correlated."""
        return any(len(members) > 1 for members in self.sets)

    @property
    def correlated_pairs(self) -> list[tuple[int, int]]:
        """Positions of the pairs of effects that may be correlated."""
        return [pair for members in self.sets for pair in combinations(members, 2)]

    @property
    def sizes(self) -> str:
        """Number of clusters and of their rows, as text.

        Examples
        --------
        >>> import hierlogit as hl
        >>> hl.Model("y ~ 1 + (1 | ID)", hl.datasets.load("bacteria")).design.groups[0].sizes
        '50, of 2 to 5 rows (median 5)'
        >>> rows = hl.datasets.load("cbpp").assign(row=range(56))
        >>> hl.Model("p(successes, size) ~ 1 + (1 | herd) + (1 | row)", rows).design.groups[1].sizes
        '56, of 1 row each'
        """
        rows = self.rows_of_clusters
        fewest, most = int(rows.min()), int(rows.max())
        if fewest == most:
            return f"{len(self.levels):,}, of {number_of(most, 'row')} each"
        return f"{len(self.levels):,}, of {fewest:,} to {most:,} rows (median {np.median(rows):,g})"

    @property
    def varying(self) -> str:
        """The effects that vary over the clusters, as text: ``{Intercept, urban[Y]} correlated``."""
        inside = [", ".join(self.effects[i] for i in members) for members in self.sets]
        correlated = [len(members) > 1 for members in self.sets]
        return ", ".join(
            f"{{{effects}}} correlated" if many else effects for effects, many in zip(inside, correlated, strict=True)
        )

    def _view(self) -> View:
        labels = ", ".join(str(level) for level in self.levels[:_LEVELS_SHOWN])
        rest = f" and {len(self.levels) - _LEVELS_SHOWN:,} more" if len(self.levels) > _LEVELS_SHOWN else ""
        facts = (("clusters", self.sizes), ("varying", self.varying), ("levels", f"{labels}{rest}"))
        return View(f"Grouping factor {self.name}", (Facts(facts),))

    def overlaps(self, other: GroupBlock) -> IntArray:
        """For each cluster, the number of clusters of another factor with which it shares rows, shape (J,)."""
        pairs = np.unique(self.index.astype(np.int64) * len(other.levels) + other.index)
        return np.bincount(pairs // len(other.levels), minlength=len(self.levels))

    def same_clusters(self, other: GroupBlock) -> bool:
        """Whether another factor divides the rows into the same clusters."""
        if len(self.levels) != len(other.levels):
            return False
        partner = np.empty(len(self.levels), dtype=np.intp)
        partner[self.index] = other.index
        # As many clusters as the other has, each inside of one of them, and none of those empty.
        return bool(np.array_equal(partner[self.index], other.index))

    def varies_within(self, columns: FloatArray) -> BoolArray:
        """Whether each column, shape (n, p), takes more than one value in each cluster; shape (J, p)."""
        order = np.argsort(self.index, kind="stable")
        starts = np.searchsorted(self.index[order], np.arange(len(self.levels)))
        rows = columns[order]
        width = np.maximum.reduceat(rows, starts, axis=0) - np.minimum.reduceat(rows, starts, axis=0)
        return np.asarray(width > CONSTANT * np.abs(columns).max(axis=0, initial=0.0))

    @cached_property
    def informed(self) -> BoolArray:
        """Whether each cluster is informative about each effect, shape (J, q).

        A cluster is informative about a slope if the column varies within it. Without a random intercept, it is enough
        that the column is not zero: in ``(0 + treated | group)``, clusters differ where they are treated.
        """
        if "Intercept" not in self.effects:
            sums = [np.bincount(self.index, weights=np.abs(column), minlength=len(self.levels)) for column in self.Z.T]
            return np.array(sums).T > 0
        slopes = [k for k, effect in enumerate(self.effects) if effect != "Intercept"]
        informed = np.ones((len(self.levels), len(self.effects)), dtype=bool)
        if slopes:
            informed[:, slopes] = self.varies_within(self.Z[:, slopes])
        return informed

    def nested_in(self, other: GroupBlock) -> bool:
        """Whether each cluster lies in one cluster of another factor.

        Examples
        --------
        >>> import hierlogit as hl
        >>> outer, inner = hl.Model("immun ~ 1 + (1 | comm/mom)", hl.datasets.load("guimmun")).design.groups
        >>> inner.nested_in(outer), outer.nested_in(inner)
        (True, False)
        """
        return bool(self.overlaps(other).max() == 1)


@dataclass(frozen=True, repr=False)
class GroupRows(ShownAsCall):
    """Clusters and random-effects columns of rows, for one grouping factor.

    Attributes
    ----------
    labels : ndarray, shape (n,)
        Cluster label of each row.
    index : ndarray of int, shape (n,)
        Position of the label among the levels of the training rows, -1 for a new cluster.
    Z : ndarray, shape (n, q)
        Columns of the random effects.
    """

    labels: npt.NDArray[Any]
    index: IntArray
    Z: FloatArray


@dataclass(frozen=True, repr=False)
class Factor(ShownAsCall):
    """A grouping factor with its encodings, which encode the rows of other tables.

    Attributes
    ----------
    block : GroupBlock
    encodings : tuple of Encoding
    effect_columns : frozenset of str
        Columns of the table from which the columns of the effects are computed.
    """

    block: GroupBlock
    encodings: tuple[Encoding, ...]
    effect_columns: frozenset[str]

    def needs(self, clusters: str) -> frozenset[str]:
        """Columns of the table that a choice of clusters needs; see `hierlogit.design.design.Design.encode`."""
        if clusters == "typical":
            return frozenset()
        return self.effect_columns.union(self.block.columns if clusters == "observed" else ())

    def encode(self, frame: pd.DataFrame, rows: pd.Index[Any], clusters: str) -> GroupRows:
        """Clusters and random-effects columns of the rows of another table.

        Only observed clusters are looked up. New clusters have the labels of the grouping columns that the table has;
        the clusters of an average or a quantile have none. The labels of the rows, for messages, are in `rows`.
        """
        Z = np.ascontiguousarray(np.column_stack([encoding.encode(frame, rows)[0] for encoding in self.encodings]))
        labelled = clusters in ("observed", "new")
        named = [column for column in self.block.columns if column in frame.columns and labelled]
        labels = _cluster_labels(frame, tuple(named)) if named else np.zeros(len(frame), dtype=np.int64)
        if clusters != "observed":
            return GroupRows(labels, np.full(len(frame), -1, dtype=np.intp), Z)
        levels = self.block.levels
        if labels.dtype != levels.dtype:  # clusters 1 and 2 here, 0.5 and 1 there
            labels, levels = labels.astype(str).astype(object), levels.astype(str).astype(object)
        return GroupRows(labels, pd.Index(levels).get_indexer(pd.Index(labels)).astype(np.intp), Z)


def build_factors(formula: Formula, table: TrainingTable, namespace: Mapping[str, Any]) -> tuple[Factor, ...]:
    """The grouping factors of all random terms, evaluated on the training rows."""
    by_factor: dict[tuple[str, ...], list[RandomTerm]] = {}
    for term in formula.random:
        by_factor.setdefault(term.group, []).append(term)
    _refuse_ambiguous_names([terms[0].group_name for terms in by_factor.values()])
    factors = []
    for terms in by_factor.values():
        name = terms[0].group_name
        spans = [term.effects_span for term in terms]
        used = {use.name for use in formula.names if any(a <= use.span[0] < b for a, b in spans)}
        block, encodings = _factor(name, terms, table, namespace)
        factors.append(Factor(block, encodings, frozenset(used.intersection(table.frame.columns))))
    return tuple(factors)


def _refuse_ambiguous_names(names: Sequence[str]) -> None:
    """Refuse grouping factors with the same name in results, such as the columns ``a|b`` and ``a/b``, or ``fixed``."""
    if "fixed" in names:
        raise DesignError("'fixed' is the name of the fixed effects in results: rename that grouping column.")
    first: dict[str, str] = {}
    for name in names:
        shown = result_name(name)
        if shown in first:
            raise DesignError(
                f"the grouping factors '{first[shown]}' and '{name}' would both be called '{shown}' in results. Rename "
                "a column of the table."
            )
        first[shown] = name


def result_name(name: str) -> str:
    """The name of a grouping factor in results: without slashes, which separate groups of a DataTree.

    PyMC takes names that end with two underscores for transformed variables, which it leaves out of results.
    """
    plain = name.replace("/", "|")
    return f"{plain}level" if plain.endswith("__") else plain


def _factor(
    name: str, terms: Sequence[RandomTerm], table: TrainingTable, namespace: Mapping[str, Any]
) -> tuple[GroupBlock, tuple[Encoding, ...]]:
    # Dependence within a term only counts: the columns of (1 | g) + (0 + f | g) together are dependent, but the model
    # is identified.
    encodings = tuple(
        Encoding(
            term.effects,
            table.frame,
            namespace,
            f"the random term {term.text}",
            table.rows,
            table.row_counts,
            table.rules,
        )
        for term in terms
    )
    effects: list[str] = []
    sets: list[tuple[int, ...]] = []
    for term, encoding in zip(terms, encodings, strict=True):
        members = tuple(range(len(effects), len(effects) + len(encoding.labels)))
        if encoding.has_offset:
            raise DesignError(f"the random term {term.text} has an offset. Offsets belong to the fixed part.")
        if not members:
            zero = f": {reasons(encoding.dropped)}" if encoding.dropped else ""
            raise DesignError(
                f"the random term {term.text} has no effects{zero}. Write (1 | {name}) for a random intercept."
            )
        twice = sorted(set(encoding.labels).intersection(effects))
        if twice:
            raise DesignError(
                f"the {agree(twice, 'effect', 'effects')} {quoted_list(twice)} of '{name}' "
                f"{agree(twice, 'is', 'are')} in more than one random term, so the variances are not identified. Keep "
                "each effect in one term: (1 + x | g), or (1 | g) + (0 + x | g)."
            )
        effects += encoding.labels
        sets += [members] if term.correlated else [(member,) for member in members]
    Z = np.column_stack([encoding.columns for encoding in encodings])
    levels, index = levels_of(table.frame, terms[0].group)
    if len(levels) < 2:
        raise DesignError(
            f"the grouping factor '{name}' has only one level. Random effects need at least two clusters, and many "
            "more to estimate their variance: leave the term out, or check which rows were selected."
        )
    sources = tuple(source for encoding in encodings for source in encoding.terms)
    block = GroupBlock(
        name,
        terms[0].group,
        levels,
        index,
        tuple(effects),
        sources,
        np.ascontiguousarray(Z),
        tuple(sets),
        tuple(column for encoding in encodings for column in encoding.dropped),
        table.row_counts,
    )
    return block, encodings


def levels_of(frame: pd.DataFrame, columns: tuple[str, ...]) -> tuple[npt.NDArray[Any], IntArray]:
    """Labels of the clusters that columns define, shape (J,), and the position of each row's cluster, shape (n,).

    Raises
    ------
    DesignError
        If two clusters have the same label.
    """
    # Levels of a:b are sorted by a, then by b, in the order of the levels of each column. They are renumbered after
    # each column, so that the product of the numbers of levels does not overflow.
    index = np.zeros(len(frame), dtype=np.int64)
    for column in columns:
        code, categories = _codes(frame[column])
        index = np.unique(index * len(categories) + code, return_inverse=True)[1]
    first = np.unique(index, return_index=True)[1]
    levels = _cluster_labels(frame.iloc[first], columns)
    if len(pd.Index(levels).unique()) < len(levels):
        raise DesignError(
            f"two clusters of '{':'.join(columns)}' have the same label, because levels of its columns contain "
            "':'. Replace the colons in these columns."
        )
    return levels, index.astype(np.intp)


def _codes(values: pd.Series[Any]) -> tuple[npt.NDArray[Any], Any]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.codes.to_numpy(), values.cat.categories
    return pd.factorize(values.to_numpy(), sort=True)


def _cluster_labels(frame: pd.DataFrame, columns: tuple[str, ...]) -> npt.NDArray[Any]:
    if len(columns) == 1:
        return _label_values(frame[columns[0]])
    parts = [_label_values(frame[column]).astype(str) for column in columns]
    return np.array([":".join(together) for together in zip(*parts, strict=True)], dtype=object)


def with_whole_labels(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """The frame with clusters that are whole numbers as such, although missing values had made them floating.

    Clusters that are still missing are `pandas.NA`.
    """
    changed = {}
    for name in columns:
        if not pd.api.types.is_float_dtype(frame[name].dtype):
            continue
        values = frame[name].astype(np.float64)
        present = values.dropna()
        if len(present) and (np.mod(present, 1) == 0).all() and (np.abs(present) < _LARGEST_WHOLE).all():
            changed[name] = values.astype(np.int64 if len(present) == len(values) else "Int64")
    return with_columns(frame, changed)


def _label_values(values: pd.Series[Any]) -> npt.NDArray[Any]:
    """Labels of clusters: whole numbers stay numbers, everything else becomes text, which files can store."""
    plain = np.asarray(values)
    if plain.dtype.kind == "i":
        return plain
    labels = [_label(value) for value in plain]
    if all(isinstance(label, int) for label in labels):
        return np.array(labels, dtype=np.int64)
    return np.array([str(label) for label in labels], dtype=object)


def _label(value: Any) -> int | str:
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    whole = is_number and float(value).is_integer() and abs(value) < _LARGEST_WHOLE
    return int(value) if whole else str(value)
