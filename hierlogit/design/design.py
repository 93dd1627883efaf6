"""The class `Design`: outcomes, design matrices and grouping factors of a model, and the encoding of new rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..display import Facts, Shown, ShownAsCall, View
from ..errors import DesignError, FitError, PredictionError
from ..formula.terms import Formula, Response
from ..validation import WHOLE_TOLERANCE, agree, choice, number_array, number_of, quoted_list, text, unknown_names
from .column_parts import Parts
from .encoding import Encoding, computed_values
from .grouping import Factor, GroupBlock, GroupRows, build_factors, with_whole_labels
from .outcome import (
    Family,
    Outcome,
    code_outcome,
    counted_outcome,
    of_family,
    outcome_columns,
    outcome_of,
    outcomes_of_rows,
)
from .rank import DroppedColumn, column_sds, reasons
from .row_counts import column_means
from .sampling import ScaledWeights, scaled_weights
from .table import Missing, TrainingTable, clean_column, warn_of_data, with_columns
from .table_sources import read_table, refuse_incomplete_files
from .training_rows import check_known_names, training_rows
from .transforms import formula_namespace
from .weights import SamplingWeights

FloatArray = npt.NDArray[np.float64]
Collinear = Literal["drop", "error"]
COLLINEAR_CHOICES: tuple[Collinear, ...] = ("drop", "error")


@dataclass(frozen=True, repr=False)
class EncodedRows(ShownAsCall):
    """Rows encoded for a model.

    Attributes
    ----------
    X : ndarray, shape (n, p)
        Columns of the fixed effects.
    offset : ndarray, shape (n,)
        Sum of the offsets on the logit scale.
    groups : mapping of str to GroupRows
        Clusters and columns of the random effects, by grouping factor.
    """

    X: FloatArray
    offset: FloatArray
    groups: Mapping[str, GroupRows]

    def __len__(self) -> int:
        return len(self.offset)

    def at(self, chosen: npt.NDArray[np.intp] | slice) -> EncodedRows:
        """The rows at the given positions; views of them for a slice."""
        groups = {name: GroupRows(g.labels[chosen], g.index[chosen], g.Z[chosen]) for name, g in self.groups.items()}
        return EncodedRows(self.X[chosen], self.offset[chosen], groups)


@dataclass(frozen=True, repr=False)
class Design(Shown):
    """Outcomes, design matrices and grouping factors of a model.

    Attributes
    ----------
    response : Response
        The left-hand side of the formula.
    outcome : Outcome
        Successes ``y`` and ``trials`` of each row, and the event.
    X : ndarray, shape (n, p)
        Columns of the fixed effects.
    fixed_effects : tuple of str, length p
        Labels of the columns, with Bambi's names.
    fixed_terms : tuple of str, length p
        The term of each column.
    offset : ndarray, shape (n,)
        Sum of the offsets on the logit scale.
    groups : tuple of GroupBlock
        One for each grouping factor.
    table : TrainingTable
        The rows to which the model is fitted.
    predictors : tuple of str
        Columns of the table that predictions need, including grouping factors.
    fixed_columns : frozenset of str
        Those of them that the fixed part needs.
    dropped : tuple of DroppedColumn
        Columns of the fixed part that were dropped, because they depend linearly on others.
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
    fixed_columns: frozenset[str]
    dropped: tuple[DroppedColumn, ...]
    _fixed: Encoding
    _factors: tuple[Factor, ...]
    _namespace: Mapping[str, Any]

    @property
    def offset_terms(self) -> tuple[str, ...]:
        """Terms of the fixed part with a coefficient of 1, such as ``offset(log(n))``."""
        return self._fixed.offset_terms

    @property
    def n_rows(self) -> int:
        """Number of rows to which the model is fitted; those that have been counted together are one row."""
        return len(self.outcome.y)

    @property
    def n_observations(self) -> int:
        """Number of rows before they are counted; `n_rows` if they have not been."""
        return self.table.n_rows

    @property
    def fixed_parts(self) -> tuple[Parts, ...]:
        """The parts whose product each fixed-effect column is; none for the intercept."""
        return self._fixed.parts

    @property
    def varying_parts(self) -> tuple[Parts, ...]:
        """The parts of the columns of all random effects; none for intercepts."""
        return tuple(parts for factor in self._factors for encoding in factor.encodings for parts in encoding.parts)

    @property
    def has_intercept(self) -> bool:
        """Whether the fixed part has an intercept."""
        return "Intercept" in self.fixed_effects

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Event, rows, clusters and dropped columns, for views of the design, its model and its fits."""
        clusters = [("clusters", f"{group.name}: {group.sizes}; varying {group.varying}") for group in self.groups]
        weights = [] if self.sampling is None else [("weights", f"{self.table.weights!r}")]
        dropped = [("dropped", f"from {where}: {why}") for where, why in self.drops]
        source = (("read from", self.table.source),) if self.table.source else ()
        return (("event", self.outcome.counted), ("rows", self.table.counted), *source, *weights, *clusters, *dropped)

    @property
    def drops(self) -> tuple[tuple[str, str], ...]:
        """For each part of the formula with dropped columns, the part and the reasons, as text."""
        # A term such as (x | a/b) belongs to two factors.
        every = dict.fromkeys([*self.dropped, *(column for group in self.groups for column in group.dropped)])
        parts = dict.fromkeys(column.where for column in every)
        return tuple((part, reasons([column for column in every if column.where == part])) for part in parts)

    def _view(self) -> View:
        columns = ", ".join(self.fixed_effects) or "none"
        offset = (("offset", "of the linear predictor, differs between rows"),) if np.any(self.offset) else ()
        facts = (*self.facts(), ("fixed", f"{len(self.fixed_effects):,} columns: {columns}"), *offset)
        return View("Design of a model", (Facts(facts),))

    @cached_property
    def sampling(self) -> ScaledWeights | None:
        """Sampling weights of rows and clusters, scaled; None without.

        Raises
        ------
        DesignError
            If they do not fit the grouping factors.
        """
        if not isinstance(self.table.weights, SamplingWeights):
            return None
        return scaled_weights(self.table.weights, self.table.frame, self.groups, self.outcome.trials)

    @property
    def shares(self) -> FloatArray:
        """How much each row counts in averages over the training rows, shape (n,).

        Its trials or, with sampling weights, as much of as many trials as it is of the population.
        """
        trials = self.outcome.trials
        if self.sampling is None:
            return trials
        weighted: FloatArray = trials * self.sampling.population
        return weighted * trials.sum() / weighted.sum()

    @cached_property
    def column_sds(self) -> FloatArray:
        """Standard deviation of each fixed-effect column, 1 for the intercept; shape (p,)."""
        return column_sds(self.X, self.table.row_counts)

    @cached_property
    def column_means(self) -> FloatArray:
        """Mean of each fixed-effect column, shape (p,)."""
        return column_means(self.X, self.table.row_counts)

    def chosen_groups(self, group: str | None) -> list[GroupBlock]:
        """The grouping factor with the name `group`, or all of them.

        Raises
        ------
        FitError
            If the model has no random effects, or no such grouping factor.
        """
        if not self.groups:
            raise FitError("the model has no random effects: its formula has no (1 | group) term.")
        if group is None:
            return list(self.groups)
        known = [block.name for block in self.groups]
        chosen = text("group", group, FitError)
        if chosen not in known:
            raise FitError(unknown_names("group", [chosen], known, "grouping factor"))
        return [self.groups[known.index(chosen)]]

    def chosen_effects(self, group: str | None, effect: str | None) -> list[tuple[GroupBlock, int]]:
        """Grouping factors and positions of the random effects with the name `effect`, or of all of them.

        Raises
        ------
        FitError
            If no such effect varies over the factors.
        """
        groups = self.chosen_groups(group)
        every = [(factor, place) for factor in groups for place in range(len(factor.effects))]
        if effect is None:
            return every
        known = list(dict.fromkeys(name for factor in groups for name in factor.effects))
        if text("effect", effect, FitError) not in known:
            where = " and ".join(f"'{factor.name}'" for factor in groups)
            raise FitError(unknown_names("effect", [effect], known, "random effect", where))
        return [(factor, place) for factor, place in every if factor.effects[place] == effect]

    @property
    def group_columns(self) -> frozenset[str]:
        """Columns that define the grouping factors."""
        return frozenset(column for group in self.groups for column in group.columns)

    @property
    def level_columns(self) -> frozenset[str]:
        """Columns whose values are labels: grouping factors, text, and numbers in ``C(week)``."""
        encodings = [self._fixed, *(encoding for factor in self._factors for encoding in factor.encodings)]
        return frozenset(self.group_columns.union(*(encoding.level_columns for encoding in encodings)))

    def training_rows(self) -> EncodedRows:
        """The training rows, which are already encoded."""
        groups = {block.name: GroupRows(block.levels[block.index], block.index, block.Z) for block in self.groups}
        return EncodedRows(self.X, self.offset, groups)

    def needs(self, clusters: Mapping[str, str], *, fixed: bool = True) -> tuple[str, ...]:
        """Columns that rows need for a choice of clusters, in the order of the training table; see `encode`."""
        needed = set(self.fixed_columns if fixed else ())
        needed.update(*(factor.needs(clusters[factor.block.name]) for factor in self._factors))
        return tuple(name for name in self.predictors if name in needed)

    def encode(self, data: Any, clusters: Mapping[str, str] | None = None, *, fixed: bool = True) -> EncodedRows:
        """The rows of another table, encoded as the training rows were.

        Splines keep their knots, `scale` its mean and standard deviation, `between` the means of known clusters.

        Parameters
        ----------
        data : table
            Must have the columns of the parts that are encoded; the outcome is not needed.
        clusters : mapping of str to {"observed", "new", "average", "quantile", "typical"}, optional
            What is needed of each grouping factor: its effects' columns and the clusters of the rows (``"observed"``,
            for all factors if not given), the same with labels of new clusters, if the table has them (``"new"``), only
            its effects' columns (``"average"`` and ``"quantile"``), or nothing (``"typical"``).
        fixed : bool
            Whether the fixed part is encoded.

        Raises
        ------
        PredictionError
            If a column is missing or of another type, a value is missing, a predictor has a level that is not in the
            training rows, or a row needs the effect of a column that was dropped.
        """
        clusters = dict.fromkeys((group.name for group in self.groups), "observed") if clusters is None else clusters
        needed = self.needs(clusters, fixed=fixed)
        refuse_incomplete_files(data, needed)
        table = read_table(data)
        labels = {column for group in self.groups if clusters[group.name] == "new" for column in group.columns}
        more = [column for column in self.predictors if column in labels.difference(needed) and column in table.columns]
        frame = self._checked_frame(table, needed)
        # New clusters may have labels of any kind, which only tell them from each other.
        frame = with_columns(frame, {column: pd.factorize(table[column].astype(str))[0] for column in more})
        X, offset = np.empty((len(table), 0)), np.zeros(len(table))
        if fixed:
            X, offset = self._fixed.encode(frame, table.index)
        groups = {
            factor.block.name: factor.encode(frame, table.index, clusters[factor.block.name])
            for factor in self._factors
            if clusters[factor.block.name] != "typical"
        }
        return EncodedRows(X, offset, groups)

    def missing_values(self, table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        """Where the columns of another table have missing values; columns that it lacks are left out.

        Raises
        ------
        PredictionError
            If a column is of a kind that no model can use.
        """
        try:
            absent = {name: clean_column(table[name], name).isna() for name in columns if name in table.columns}
        except DesignError as error:
            raise PredictionError(str(error)) from error
        return pd.DataFrame(absent, index=table.index)

    @property
    def response_columns(self) -> list[str]:
        """Columns of the table that the left-hand side of the formula needs."""
        return [*self._columns_of(self._counts), *self._columns_of_counts]

    @property
    def trial_columns(self) -> list[str]:
        """Columns of the table from which the number of trials of a row is computed."""
        return self._columns_of(self._counts_of_trials) or self._columns_of_counts

    @property
    def _columns_of_counts(self) -> list[str]:
        """The column with the numbers of rows, if they have been counted."""
        return [] if self.table.counts is None else [self.table.counts.column]

    @property
    def _counts(self) -> list[str]:
        """Successes, failures and trials of the response, as far as they are not numbers."""
        counts = (self.response.column, self.response.failures, self.response.trials)
        return [count for count in counts if isinstance(count, str)]

    @property
    def _counts_of_trials(self) -> list[str]:
        """Those of them whose sum is the number of trials."""
        if isinstance(self.response.trials, int) or not self.response.binomial:
            return []
        return [self.response.trials] if self.response.trials else self._counts

    def _columns_of(self, counts: Sequence[str]) -> list[str]:
        """The columns of the table from which counts of the response are computed."""
        computed = {count.text: count.columns for count in self.response.computed}
        columns = dict.fromkeys(column for count in counts for column in computed.get(count, (count,)))
        return [column for column in columns if column in self.table.frame]

    def refuse_unseen_levels(self, name: str, values: Sequence[Any]) -> None:
        """Refuse values of a column that are levels of the fixed part without an estimate.

        Raises
        ------
        PredictionError
            If no training row has them, or the values are of another type.
        """
        column = _matching_column(pd.Series(values, dtype=object), self.table.frame[name], name)
        self._fixed.refuse_unseen_levels(pd.DataFrame({name: column}))

    def encode_fixed(self, frame: pd.DataFrame) -> FloatArray:
        """Fixed-effect columns of rows that have the columns of the training table, shape (n, p)."""
        return self._fixed.encode(frame)[0]

    def encode_trials(self, data: Any) -> FloatArray:
        """Trials of each row of another table, shape (n,): 1 for a binary outcome.

        Raises
        ------
        PredictionError
            If a column with the trials is missing, or its values are not counts.
        """
        table = read_table(data)
        if not self.outcome.binomial or isinstance(self.response.trials, int):
            counts = self.row_counts_of(table)
            return float(self.response.trials or 1) * (np.ones(len(table)) if counts is None else counts)
        columns = self._counts_of_trials
        counts = self._response_frame(table, columns).to_numpy(dtype=np.float64)
        whole = np.round(counts)
        if np.any((whole < 0) | (np.abs(counts - whole) > WHOLE_TOLERANCE)):
            raise PredictionError(
                f"the numbers of trials in {quoted_list(columns)} of the new data must be whole numbers from 0."
            )
        trials: FloatArray = whole.sum(axis=1)
        return trials

    def row_counts_of(self, table: pd.DataFrame) -> FloatArray | None:
        """How many rows each row of another table stands for, shape (n,), if it is counted as those of the design are.

        Raises
        ------
        PredictionError
            If the column with the numbers of rows does not hold counts.
        """
        if self.table.counts is None or self.table.counts.column not in table.columns:
            return None
        column = self.table.counts.column
        counts = self._checked_frame(table, [column]).to_numpy(dtype=np.float64)[:, 0]
        whole: FloatArray = np.round(counts)
        bad = np.flatnonzero((whole < 0) | ~(np.abs(counts - whole) <= WHOLE_TOLERANCE))
        if len(bad) or not whole.any():
            found = f"row {table.index[bad[0]]} has {counts[bad[0]]:.6g}" if len(bad) else "all of them are zero"
            raise PredictionError(
                f"the column '{column}' of the new data is taken for the number of rows that each row stands for, "
                "since the rows of the model were counted. It must hold whole numbers from 0, not only zeros, but "
                f"{found}. Rename the column if it holds something else."
            )
        return whole

    def with_outcome(self, y: Any) -> Design:
        """The design with other successes, shape (n,), also in the table.

        Raises
        ------
        DesignError
            If there is not one for each row, or one is not a whole number from 0 to the trials of its row.
        """
        counts = number_array("y", y, DesignError, "whole numbers, one for each row")
        trials = self.outcome.trials
        if counts.shape != trials.shape:
            raise DesignError(
                f"the outcome has shape {counts.shape}; it needs one number for each of the {len(trials):,} rows."
            )
        if not np.all((counts >= 0) & (counts <= trials) & (counts == np.round(counts))):
            raise DesignError("the outcome must be whole numbers from 0 to the number of trials of each row.")
        outcome = replace(self.outcome, y=counts)
        frame = outcome_columns(self.response, self.table.frame, self.outcome, outcome)
        return replace(self, outcome=outcome, table=replace(self.table, frame=frame))

    def encode_outcome(self, data: Any) -> Outcome:
        """Outcomes of another table, with the same event as in the training rows.

        Raises
        ------
        PredictionError
            If a column of the outcome is missing, or a value is not an outcome of the training rows.
        """
        response, table, counts = self.response, read_table(data), self.table.counts
        frame = self._response_frame(table, self._counts)
        try:
            if counts is None:
                outcome = code_outcome(response, frame, self.table.frame, self.outcome)
            elif counts.column in table.columns:
                frame = with_columns(frame, {counts.column: self.row_counts_of(table)})
                outcome = counted_outcome(response, frame, counts)
            else:
                outcome = code_outcome(response, frame, *outcomes_of_rows(response, counts, self.outcome))
        except DesignError as error:
            raise PredictionError(str(error)) from error
        return replace(outcome, family=self.outcome.family)

    def _response_frame(self, table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
        """Counts of the response in another table, those of expressions computed unless they are columns of it."""
        computed = [count.text for count in self.response.computed if count.text in names and count.text not in table]
        needed = dict.fromkeys([*(name for name in names if name not in computed), *self._columns_of(computed)])
        frame = self._checked_frame(table, list(needed))
        values = {
            name: computed_values(name, frame, self._namespace, table.index, PredictionError) for name in computed
        }
        return with_columns(frame, values)[list(names)]

    def _checked_frame(self, table: pd.DataFrame, needed: Sequence[str]) -> pd.DataFrame:
        trained, counts = dict(self.table.frame.items()), self.table.counts
        if counts is not None and counts.outcomes is not None and counts.column not in table.columns:
            trained[self.response.column] = counts.outcomes
        absent = [name for name in needed if name not in table.columns]
        if absent:
            raise PredictionError(
                f"the new data lack the {agree(absent, 'column', 'columns')} {quoted_list(absent)}. The model needs: "
                f"{quoted_list(list(needed))}; the data have: {quoted_list(list(table.columns))}."
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
            f"column '{name}' of the new data has {number_of(int(absent.sum()), 'missing value')}, in "
            f"{agree(int(absent.sum()), 'row', 'rows')} {quoted_list(list(values.index[absent]))}. Fill missing values "
            "or leave their rows out."
        )
    if isinstance(trained.dtype, pd.CategoricalDtype):
        return _as_categories(cleaned, trained.cat.categories, name)
    if isinstance(cleaned.dtype, pd.CategoricalDtype) and not _are_numbers(cleaned.cat.categories):
        raise _other_type(name, "text or categories", "True/False" if trained.dtype == bool else "numbers")
    numbers = np.asarray(cleaned)
    if trained.dtype != bool:
        return numbers.astype(np.int64) if numbers.dtype.kind in "bO" else numbers
    if not np.isin(numbers, (0, 1)).all():
        raise _other_type(name, "other values", "True/False")
    return numbers.astype(bool)


def _as_categories(values: pd.Series[Any], levels: pd.Index[Any], name: str) -> pd.Categorical:
    """The values as a categorical with the levels of the training rows, followed by new levels."""
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
    formula: Formula,
    data: Any,
    *,
    missing: Missing = "drop",
    collinear: Collinear = "drop",
    namespace: Mapping[str, Any] | None = None,
    weights: object = None,
    family: Family = "binomial",
) -> Design:
    """The design of a formula and a table.

    Parameters
    ----------
    formula : Formula
        From `hierlogit.formula.parser.parse`.
    data : table
        One row for each observation: a pandas or polars frame, also a lazy one, Arrow data, a DuckDB relation, a
        mapping of columns, or the name of a .parquet, .feather, .arrow or .csv file. Only columns of the formula are
        read from lazy frames and from files of Parquet and Arrow. If these have more than a million rows, rows that are
        alike in all of these columns are counted there and become one row.
    missing : {"drop", "error"}
        What to do with rows that have missing values in columns of the formula, or no trials: drop them, with a warning
        that gives their number, or raise an error.
    collinear : {"drop", "error"}
        What to do with columns of the design that depend linearly on those before them: drop them, with a warning that
        names them, or raise an error.
    namespace : mapping of str to object, optional
        Functions and values that the formula can use besides the columns.
    weights : FrequencyWeights or SamplingWeights, optional
    family : {"binomial", "betabinomial"}
        Distribution of the outcomes.

    Raises
    ------
    FormulaError
        If the formula has a column or function that does not exist.
    DesignError
        If the data do not fit the formula; the message names the column and says what to do.

    Examples
    --------
    >>> from hierlogit.formula.parser import parse
    >>> rows = {"y": [0, 1, 1, 0], "x": [1.0, 2.0, 4.0, 3.0], "g": ["a", "a", "b", "b"]}
    >>> build_design(parse("y ~ x + (1 | g)"), rows).fixed_effects
    ('Intercept', 'x')
    """
    choice("collinear", collinear, COLLINEAR_CHOICES, DesignError)
    table = training_rows(formula, data, missing, namespace, weights, family)
    design = design_of_rows(formula, table, namespace, family)
    if design.sampling is not None and family == "betabinomial":  # sampling weights that do not fit are refused now
        raise DesignError(
            "sampling weights are for binomial outcomes, and family='betabinomial' was given: the weighted "
            "log-likelihood of a beta-binomial row is not that of weighted counts. Leave one of the two out."
        )
    say_dropped_columns(design, collinear)
    return design


def say_dropped_columns(design: Design, collinear: Collinear) -> None:
    """Warn of the columns that were dropped, or refuse them.

    Raises
    ------
    DesignError
        If there are some, and `collinear` is "error".
    """
    for where, why in design.drops:
        if collinear == "error":
            raise DesignError(
                f"in {where}, {why}: the data cannot tell these effects apart. Leave a term out of the formula, or "
                "pass collinear='drop' to drop these columns, as R does."
            )
        warn_of_data(
            f"columns were dropped from {where}, because the data cannot tell their effects from those of the other "
            f"columns: {why}. The largest likelihood does not depend on which of them are dropped, but the meaning of "
            "the coefficients does. Pass collinear='error' to refuse them instead."
        )


def design_of_rows(
    formula: Formula,
    table: TrainingTable,
    namespace: Mapping[str, Any] | None = None,
    family: Family = "binomial",
) -> Design:
    """The design of a formula and rows that are already selected and cleaned; otherwise as for `build_design`."""
    # A formula from a file has not been checked before.
    check_known_names(formula, list(table.frame.columns), namespace)
    names = formula_namespace(namespace)
    clusters = {column for term in formula.random for column in term.group}
    table = replace(table, frame=with_whole_labels(table.frame, clusters))
    outcome = of_family(outcome_of(formula.response, table), family)
    fixed = Encoding(formula.fixed, table.frame, names, "the fixed part", table.rows, table.row_counts, table.rules)
    factors = build_factors(formula, table, names)
    if not fixed.labels and not factors:
        dropped = f": {reasons(fixed.dropped)}" if fixed.dropped else "; no intercept, no predictor and no random term"
        raise DesignError(f"the formula has nothing to estimate{dropped}.")
    if family == "betabinomial" and "phi" in fixed.labels:
        raise DesignError(
            "'phi' is the name of the precision of beta-binomial outcomes in results: rename that column."
        )
    predicting = {use.name for use in formula.names if use.where != "response"}
    in_fixed_part = {use.name for use in formula.names if use.where == "fixed part"}
    return Design(
        response=formula.response,
        outcome=outcome,
        X=fixed.columns,
        fixed_effects=fixed.labels,
        fixed_terms=fixed.terms,
        offset=fixed.offset,
        groups=tuple(factor.block for factor in factors),
        table=table,
        predictors=tuple(name for name in table.frame.columns if name in predicting),
        dropped=fixed.dropped,
        _fixed=fixed,
        _factors=factors,
        fixed_columns=frozenset(in_fixed_part.intersection(table.frame.columns)),
        _namespace=names,
    )
