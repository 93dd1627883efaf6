"""Formula + table -> Design: the arrays a model is made of, and the encoding of new rows.

Terms on the same grouping factor form one block: ``(1 | g) + (0 + x | g)`` and ``(1 + x || g)`` are the same
model and the same block, whose effects are partitioned into sets that may correlate within themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .encoding import Encoding
from .errors import DesignError, PredictionError
from .names import check_names
from .outcome import Outcome, read_outcome
from .table import Missing, TrainingTable, clean_column, listed, read_table, training_table
from .terms import Formula, RandomTerm, Response
from .transforms import formula_functions, formula_namespace

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: A column depends on those before it when what they leave unexplained is below this share of its norm.
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class GroupBlock:
    """All random effects of one grouping factor.

    Attributes
    ----------
    name : str
        The factor, ``district``, or ``a:b`` for the combinations of two columns.
    columns : tuple of str
        Columns of the table that make the factor.
    levels : ndarray, shape (J,)
        Labels of the clusters in the data's own words, in the order of the columns of effects.
    index : ndarray of int, shape (n,)
        Position in `levels` of each row's cluster.
    effects : tuple of str, length q
        Labels of the effects that vary over clusters: ``Intercept``, ``urban[Y]``.
    terms : tuple of str, length q
        The term each effect comes from: ``Intercept``, ``urban``.
    Z : ndarray, shape (n, q)
        Their columns.
    sets : tuple of tuple of int
        Partition of the effects: those of one set may correlate, those of different sets do not.
    """

    name: str
    columns: tuple[str, ...]
    levels: npt.NDArray[Any]
    index: IntArray
    effects: tuple[str, ...]
    terms: tuple[str, ...]
    Z: FloatArray
    sets: tuple[tuple[int, ...], ...]

    @property
    def correlated(self) -> bool:
        """Whether any two effects of the factor may correlate."""
        return any(len(members) > 1 for members in self.sets)


@dataclass(frozen=True)
class GroupRows:
    """The rows of a table as one grouping factor sees them.

    Attributes
    ----------
    labels : ndarray, shape (n,)
        Cluster label of each row.
    index : ndarray of int, shape (n,)
        Position of that label among the levels of training, -1 for a cluster never seen.
    Z : ndarray, shape (n, q)
        Columns of the random effects.
    """

    labels: npt.NDArray[Any]
    index: IntArray
    Z: FloatArray


@dataclass(frozen=True)
class EncodedRows:
    """Rows in the form a model computes with.

    Attributes
    ----------
    X : ndarray, shape (n, p)
        Columns of the fixed effects.
    offset : ndarray, shape (n,)
        Sum of the offsets on the logit scale.
    groups : mapping of str to GroupRows
        By grouping factor.
    """

    X: FloatArray
    offset: FloatArray
    groups: Mapping[str, GroupRows]

    def __len__(self) -> int:
        return len(self.offset)


@dataclass(frozen=True)
class _Factor:
    """What a grouping factor remembers of training, to place the rows of other tables."""

    block: GroupBlock
    encodings: tuple[Encoding, ...]

    def encode(self, frame: pd.DataFrame) -> GroupRows:
        labels, levels = _cluster_labels(frame, self.block.columns), self.block.levels
        if labels.dtype != levels.dtype:  # clusters 1 and 2 here, 0.5 and 1 there
            labels, levels = labels.astype(str).astype(object), levels.astype(str).astype(object)
        index = pd.Index(levels).get_indexer(pd.Index(labels)).astype(np.intp)
        Z = np.column_stack([encoding.encode(frame)[0] for encoding in self.encodings])
        return GroupRows(labels, index, np.ascontiguousarray(Z))


@dataclass(frozen=True)
class Design:
    """The data of a model.

    Attributes
    ----------
    response : Response
        The formula's left-hand side.
    outcome : Outcome
        Successes ``y`` and ``trials`` of each row, and what the event is.
    X : ndarray, shape (n, p)
        Columns of the fixed effects.
    fixed_effects : tuple of str, length p
        Their labels, as Bambi writes them.
    fixed_terms : tuple of str, length p
        The term each of them comes from.
    offset : ndarray, shape (n,)
        Sum of the offsets on the logit scale.
    groups : tuple of GroupBlock
        One for each grouping factor.
    table : TrainingTable
        The rows the model is fitted to and those left out.
    predictors : tuple of str
        Columns of the table that a prediction needs, grouping factors among them.
    """

    response: Response
    outcome: Outcome
    X: FloatArray
    fixed_effects: tuple[str, ...]
    fixed_terms: tuple[str, ...]
    offset: FloatArray
    groups: tuple[GroupBlock, ...]
    table: TrainingTable
    predictors: tuple[str, ...]
    _fixed: Encoding = field(repr=False)
    _factors: tuple[_Factor, ...] = field(repr=False)

    @property
    def n_rows(self) -> int:
        """Rows the model is fitted to."""
        return len(self.outcome.y)

    @property
    def has_intercept(self) -> bool:
        """Whether the fixed part has an intercept."""
        return "Intercept" in self.fixed_effects

    @property
    def column_sds(self) -> FloatArray:
        """Standard deviation of each fixed-effect column, 1 for the intercept; shape (p,)."""
        return _column_sds(self.X)

    def effect_sds(self, group: GroupBlock) -> FloatArray:
        """Standard deviation of each random-effect column of `group`, 1 for the intercept; shape (q,)."""
        return _column_sds(group.Z)

    @property
    def level_columns(self) -> frozenset[str]:
        """Columns whose values are labels, not amounts: grouping factors, text, and numbers in ``C(week)``."""
        encodings = [self._fixed, *(encoding for factor in self._factors for encoding in factor.encodings)]
        clusters = {column for group in self.groups for column in group.columns}
        return frozenset(clusters.union(*(encoding.level_columns for encoding in encodings)))

    def training_rows(self) -> EncodedRows:
        """The rows of training, without encoding them anew."""
        groups = {block.name: GroupRows(block.levels[block.index], block.index, block.Z) for block in self.groups}
        return EncodedRows(self.X, self.offset, groups)

    def encode(self, data: Any) -> EncodedRows:
        """Encode the rows of another table by what was learned in training.

        Splines keep their knots, `scale` its mean and standard deviation, `between` the means of known clusters.

        Parameters
        ----------
        data : table
            Holds every column of the fixed part and of the random terms; the outcome is not needed.

        Raises
        ------
        PredictionError
            If a column is missing or of another type, a value is missing, or a predictor has a level that training
            did not have.
        """
        frame = self._checked_frame(read_table(data), self.predictors)
        X, offset = self._fixed.encode(frame)
        return EncodedRows(X, offset, {factor.block.name: factor.encode(frame) for factor in self._factors})

    def encode_trials(self, data: Any) -> FloatArray:
        """Trials of each row of another table, shape (n,): 1 for a binary outcome.

        Raises
        ------
        PredictionError
            If the columns that give the trials are missing or hold no counts.
        """
        table = read_table(data)
        if not self.outcome.binomial:
            return np.ones(len(table))
        if isinstance(self.response.trials, int):
            return np.full(len(table), float(self.response.trials))
        columns = [self.response.trials] if self.response.trials else [self.response.column, self.response.failures]
        frame = self._checked_frame(table, [str(name) for name in columns])
        trials: FloatArray = frame.to_numpy(dtype=np.float64).sum(axis=1)
        if np.any((trials < 0) | (trials != np.round(trials))):
            raise PredictionError(
                f"the trials in {listed(columns)} of the new data must be whole numbers of at least 0."
            )
        return trials

    def _checked_frame(self, table: pd.DataFrame, needed: Sequence[str]) -> pd.DataFrame:
        trained = self.table.frame
        absent = [name for name in needed if name not in table.columns]
        if absent:
            raise PredictionError(
                f"the new data lack the columns {listed(absent)}. The model needs: {listed(list(needed))}; "
                f"the data have: {listed(list(table.columns))}."
            )
        checked = {name: _matching_column(table[name], trained[name], name) for name in needed}
        return pd.DataFrame(checked, index=pd.RangeIndex(len(table)))


def _matching_column(values: pd.Series[Any], trained: pd.Series[Any], name: str) -> npt.NDArray[Any] | pd.Categorical:
    try:
        cleaned = clean_column(values, name)
    except DesignError as error:
        raise PredictionError(str(error)) from error
    absent = cleaned.isna().to_numpy()
    if absent.any():
        raise PredictionError(
            f"column '{name}' of the new data has {int(absent.sum())} missing values, in rows "
            f"{listed(list(values.index[absent]))}. Fill them or leave these rows out."
        )
    if isinstance(trained.dtype, pd.CategoricalDtype):
        return _as_categories(cleaned, trained.cat.categories, name)
    if isinstance(cleaned.dtype, pd.CategoricalDtype) and not _are_numbers(cleaned.cat.categories):
        raise _other_type(name, "text or categories", "numbers")
    numbers = np.asarray(cleaned)
    if trained.dtype != bool:
        return numbers.astype(np.int64) if numbers.dtype.kind in "bO" else numbers
    if not np.isin(numbers, (0, 1)).all():
        raise _other_type(name, "other values", "True/False")
    return numbers.astype(bool)


def _as_categories(values: pd.Series[Any], levels: pd.Index[Any], name: str) -> pd.Categorical:
    """Values as a categorical of the levels of training, with levels not seen there at the end."""
    if not isinstance(values.dtype, pd.CategoricalDtype) and not _are_numbers(levels):
        raise _other_type(name, "numbers", "text or categories")
    plain = np.asarray(values, dtype=object)
    unseen = [value for value in pd.unique(plain) if value not in levels]
    return pd.Categorical(plain, categories=pd.Index([*levels, *unseen], dtype=object), ordered=True)


def _are_numbers(levels: pd.Index[Any]) -> bool:
    return all(isinstance(level, (int, float, np.number, np.bool_)) for level in levels)


def _other_type(name: str, now: str, then: str) -> PredictionError:
    return PredictionError(
        f"column '{name}' held {then} when the model was fitted and holds {now} now. Convert it to the same type."
    )


def build_design(
    formula: Formula, data: Any, *, missing: Missing = "drop", namespace: Mapping[str, Any] | None = None
) -> Design:
    """Evaluate a formula on a table.

    Parameters
    ----------
    formula : Formula
        As `hierlogit.formula.parse` returns it.
    data : pandas.DataFrame, polars.DataFrame or mapping of columns
        One row for each observation.
    missing : {"drop", "error"}
        Whether rows with missing values in a used column are dropped, with a warning that counts them, or refused.
    namespace : mapping of str to object, optional
        Functions and values the formula may use besides the columns.

    Raises
    ------
    FormulaError
        If the formula names a column or function that does not exist.
    DesignError
        If the data cannot be used as the formula says; the message names the column and what to do.

    Examples
    --------
    >>> from hierlogit.formula import parse
    >>> rows = {"y": [0, 1, 1, 0], "x": [1.0, 2.0, 4.0, 3.0], "g": ["a", "a", "b", "b"]}
    >>> build_design(parse("y ~ x + (1 | g)"), rows).fixed_effects
    ('Intercept', 'x')
    """
    source = read_table(data)
    functions = formula_functions(namespace)
    # A function can be an argument as well, as in C(t, Sum).
    values = {*formula_namespace(namespace), *functions}
    check_names(formula, [name for name in source.columns if isinstance(name, str)], functions, values)
    used = [name for name in formula.columns if name in source.columns]
    return design_of_rows(formula, training_table(source, used, missing), namespace)


def design_of_rows(formula: Formula, table: TrainingTable, namespace: Mapping[str, Any] | None = None) -> Design:
    """Evaluate a formula on rows that were selected and cleaned before; as `build_design` otherwise."""
    names = formula_namespace(namespace)
    outcome = read_outcome(formula.response, table.frame)
    fixed = Encoding(formula.fixed, table.frame, names)
    X, offset = fixed.training(table.frame)
    _refuse_dependent(X, fixed.labels, "the fixed part")
    factors = _factors(formula.random, table.frame, names)
    predicting = {use.name for use in formula.names if use.where != "response"}
    return Design(
        response=formula.response,
        outcome=outcome,
        X=X,
        fixed_effects=fixed.labels,
        fixed_terms=fixed.terms,
        offset=offset,
        groups=tuple(factor.block for factor in factors),
        table=table,
        _fixed=fixed,
        _factors=factors,
        predictors=tuple(name for name in table.frame.columns if name in predicting),
    )


def _factors(terms: Sequence[RandomTerm], frame: pd.DataFrame, namespace: Mapping[str, Any]) -> tuple[_Factor, ...]:
    by_factor: dict[str, list[RandomTerm]] = {}
    for term in terms:
        by_factor.setdefault(term.group_name, []).append(term)
    return tuple(_factor(name, members, frame, namespace) for name, members in by_factor.items())


def _factor(name: str, terms: Sequence[RandomTerm], frame: pd.DataFrame, namespace: Mapping[str, Any]) -> _Factor:
    encodings = tuple(Encoding(term.effects, frame, namespace) for term in terms)
    effects: list[str] = []
    sets: list[tuple[int, ...]] = []
    for term, encoding in zip(terms, encodings, strict=True):
        members = tuple(range(len(effects), len(effects) + len(encoding.labels)))
        if encoding.has_offset:
            raise DesignError(f"the random term {term.text} has an offset. Offsets belong to the fixed part.")
        if not members:
            raise DesignError(f"the random term {term.text} has no effects. Write (1 | {name}) for a random intercept.")
        twice = sorted(set(encoding.labels).intersection(effects))
        if twice:
            raise DesignError(
                f"the effects {listed(twice)} of '{name}' stand in more than one random term, so their variances "
                "cannot be told apart. Keep each effect in one term: (1 + x | g), or (1 | g) + (0 + x | g)."
            )
        effects += encoding.labels
        sets += [members] if term.correlated else [(member,) for member in members]
    columns = [encoding.training(frame)[0] for encoding in encodings]
    for term, encoding, values in zip(terms, encodings, columns, strict=True):
        # Only within a term: (1 | g) + (0 + f | g) is a model of its own, though its columns together are dependent.
        _refuse_dependent(values, encoding.labels, f"the random term {term.text}")
    Z = np.column_stack(columns)
    levels, index = _levels(frame, terms[0].group)
    sources = tuple(source for encoding in encodings for source in encoding.terms)
    block = GroupBlock(
        name, terms[0].group, levels, index, tuple(effects), sources, np.ascontiguousarray(Z), tuple(sets)
    )
    return _Factor(block, encodings)


def _levels(frame: pd.DataFrame, columns: tuple[str, ...]) -> tuple[npt.NDArray[Any], IntArray]:
    codes, sizes = [], []
    for column in columns:
        code, categories = _codes(frame[column])
        codes.append(code)
        sizes.append(len(categories))
    # Levels of a:b are ordered by a, then by b, in the order each column's own levels have.
    combined = np.ravel_multi_index(codes, sizes)
    found, first, index = np.unique(combined, return_index=True, return_inverse=True)
    name = ":".join(columns)
    if len(found) < 2:
        raise DesignError(
            f"the grouping factor '{name}' has one level only. Random effects need at least two clusters "
            "(and many more to say how much they vary): leave the term out, or check the rows' selection."
        )
    levels = _cluster_labels(frame.iloc[first], columns)
    if len(pd.Index(levels).unique()) < len(levels):
        raise DesignError(
            f"the clusters of '{name}' cannot be labelled apart, because levels of its columns contain ':'. "
            "Replace the colons in these columns."
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


def _label_values(values: pd.Series[Any]) -> npt.NDArray[Any]:
    """Whole numbers stay numbers, everything else becomes text: what a file keeps and a person recognises."""
    plain = np.asarray(values)
    if plain.dtype.kind == "i":
        return plain
    labels = [_label(value) for value in plain]
    if all(isinstance(label, int) for label in labels):
        return np.array(labels, dtype=np.int64)
    return np.array([str(label) for label in labels], dtype=object)


def _label(value: Any) -> int | str:
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    whole = is_number and float(value).is_integer() and abs(value) < 2**63
    return int(value) if whole else str(value)


def _column_sds(columns: FloatArray) -> FloatArray:
    sds = columns.std(axis=0, ddof=1) if len(columns) > 1 else np.zeros(columns.shape[1])
    constant = sds <= 1e-12 * np.abs(columns).max(axis=0, initial=0.0)
    return np.where(constant, 1.0, sds)


def _refuse_dependent(columns: FloatArray, labels: Sequence[str], where: str) -> None:
    """Refuse columns that are linear combinations of others, naming both."""
    norms = np.linalg.norm(columns, axis=0)
    kept: list[int] = []
    basis = np.empty_like(columns, order="F")
    for j, label in enumerate(labels):
        column = columns[:, j] / (norms[j] or 1.0)
        before = basis[:, : len(kept)]
        rest = column - before @ (before.T @ column)
        rest -= before @ (before.T @ rest)  # twice is enough (Giraud, Langou and Rozloznik 2005)
        size = float(np.linalg.norm(rest))
        if size > RANK_TOLERANCE:
            basis[:, len(kept)] = rest / size
            kept.append(j)
            continue
        share = np.linalg.lstsq(columns[:, kept] / norms[kept], column, rcond=None)[0] if kept else np.empty(0)
        others = [labels[k] for k, value in zip(kept, share, strict=True) if abs(value) > 1e-7]
        what = f"a linear combination of {listed(others)}" if others else "zero in every row"
        raise DesignError(
            f"in {where}, the column '{label}' is {what}, so its effect cannot be told apart. "
            "Leave one of these terms out of the formula."
        )
