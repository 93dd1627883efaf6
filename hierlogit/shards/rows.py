"""The complete rows of a shard, and the few of them from which the encoding of a model is learned."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..design.counted_transforms import OF_FORMULAE, OF_MOMENTS, OWN
from ..design.row_counts import NODES, GaussRule
from ..design.table import TrainingTable
from ..design.training_rows import training_rows
from ..design.transforms import AGGREGATES
from ..errors import DataWarning, DesignError, unsaid
from ..validation import LARGEST_NUMBER, quoted_list

if TYPE_CHECKING:
    from ..formula.terms import Formula, NameUse

#: Rows that are kept of each shard to learn from: so many in any case, so many of each combination of categorical
#: predictors, and one for each value of a column with at most so many values.
SPREAD, OF_EACH, MOST_VALUES = 200, 5, 200
#: Columns of the effects of factors that cross the shards: a matrix over them is added up in every round.
MOST_COMMON = 3000

#: Arguments of ``scale`` and of ``poly`` that are a column, and for the latter a degree whose powers a rule has.
_COLUMN = re.compile(r"\s*\(\s*(?P<column>[^\W\d]\w*)\s*\)")
_POLYNOMIAL = re.compile(rf"\s*\(\s*(?P<column>[^\W\d]\w*)\s*(,\s*(degree\s*=\s*)?[1-{NODES - 1}]\s*)?\)")


@dataclass(frozen=True)
class ShardRows:
    """What is counted of a shard's rows, and those that are learned from.

    Attributes
    ----------
    used : int
        Complete rows with trials.
    missing : int
        Rows with missing values.
    untried : int
        Rows without trials.
    missing_by_column : dict of str to int
    kept : pandas.DataFrame
        Complete rows as they are in the shard: among them each level of each predictor.
    rules : dict of str to GaussRule
        Of the columns of numbers from which ``scale(x)`` and others learn.
    """

    used: int
    missing: int
    untried: int
    missing_by_column: dict[str, int]
    kept: pd.DataFrame
    rules: dict[str, GaussRule]

    @classmethod
    def of(cls, frame: pd.DataFrame, formula: Formula, group: str) -> ShardRows:
        """Count and choose among the rows of a shard, which are divided by the column `group`."""
        table = complete_rows(frame, formula)
        if table is None:
            absent = frame.isna().sum()
            by_column = {str(name): int(count) for name, count in absent.items() if count}
            return cls(0, len(frame), 0, by_column, frame.iloc[:0], {})
        kept, rules = learned_from(frame.loc[table.rows], formula, group), {}
        for column in transformed_columns(formula):
            if pd.api.types.is_numeric_dtype(table.frame[column].dtype):
                values = np.asarray(table.frame[column], dtype=np.float64)
                if np.abs(values).max() < LARGEST_NUMBER:  # the encoding refuses others
                    rules[column] = GaussRule.of(values, np.ones(len(values)))
        return cls(table.n_rows, table.n_missing, table.n_untried, dict(table.missing_by_column), kept, rules)


def complete_rows(frame: pd.DataFrame, formula: Formula) -> TrainingTable | None:
    """The rows of a shard that a model is fitted to, cleaned; None if each has a missing value.

    Raises
    ------
    DesignError
        If they do not fit the formula.
    """
    if frame.isna().any(axis=1).all():
        return None
    with unsaid(DataWarning):  # of all shards together, missing values are said
        return training_rows(formula, frame, "drop", None, None, "binomial")


def learned_from(rows: pd.DataFrame, formula: Formula, group: str) -> pd.DataFrame:
    """A few rows with each level of each predictor, and many combinations of levels; always the same ones.

    They have each cluster of the factors that cross shards divided by the column `group`.

    They have as many independent columns of a design as all rows have, unless an interaction has rare combinations that
    none of them has.
    """
    clusters = {column for term in formula.random for column in term.group}
    elsewhere = {use.name for use in formula.names if use.where != "grouping factor"}
    predictors = [name for name in rows if name in elsewhere or name not in clusters]
    mixed = rows.sample(frac=1, random_state=0)
    chosen = [mixed.head(SPREAD).index]
    chosen += [mixed.drop_duplicates(name).head(SPREAD).index for name in rows if name in clusters]
    factors = {term.group_name: term.group for term in formula.random}
    for factor in crossing(factors, group):
        each = mixed.drop_duplicates([*factors[factor]]).index
        refuse_many_columns([factor], group, len(each))
        chosen.append(each)
    if levels := [name for name in predictors if not _is_number(rows[name])]:
        chosen.append(mixed.groupby(levels, observed=True, sort=False).head(OF_EACH).index)
    for name in predictors:
        values = mixed.drop_duplicates(name).index
        chosen += [values] if len(values) <= MOST_VALUES or not _is_number(rows[name]) else []
    together = chosen[0]
    for other in chosen[1:]:
        together = together.union(other)
    return rows.loc[together.sort_values()]


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)


def check_formula(formula: Formula, group: str) -> None:
    """Refuse formulas whose likelihood is not a sum over shards, or whose columns depend on all rows at once.

    Raises
    ------
    DesignError
    """
    factors = {term.group_name: term.group for term in formula.random}
    if not factors:
        raise DesignError(
            f"the formula has no random effects. The shards are divided by '{group}': add (1 | {group}), or fit a "
            "plain logistic regression of counted rows with hl.Model."
        )
    across = crossing(factors, group)
    own = [name for name in factors if name not in across]
    if across and not own:
        raise DesignError(
            f"the random effects of {quoted_list(across)} cross the shards, which are divided by '{group}', and there "
            f"are none of '{group}' itself: add (1 | {group}), or divide the table by '{across[0]}'. If each cluster "
            f"of '{across[0]}' lies in one of '{group}', write it nested: (1 | {group}/{across[0].split(':')[-1]})."
        )
    if across and len(own) > 1:
        raise DesignError(
            f"the random effects of {quoted_list(across)} cross the shards, which are divided by '{group}', and those "
            f"of {quoted_list(own)} do not: crossed factors are taken beside one factor within the shards. Leave out "
            "the others, or use hl.Model, which takes all rows at once."
        )
    _refuse_learned(formula)


def crossing(factors: Mapping[str, tuple[str, ...]], group: str) -> list[str]:
    """The factors that cross shards divided by a column: clusters of theirs may lie in several shards.

    Parameters
    ----------
    factors : mapping of str to tuple of str
        Columns of each factor.
    group : str
    """
    return [name for name, columns in factors.items() if group not in columns]


def refuse_many_columns(names: Sequence[str], group: str, columns: int) -> None:
    """Refuse factors that cross the shards with too many effects.

    Raises
    ------
    DesignError
    """
    if columns > MOST_COMMON:
        raise DesignError(
            f"the factors that cross the shards, {quoted_list(names)}, have at least {columns:,} effects, and at most "
            f"{MOST_COMMON:,} are taken. If each cluster of '{names[0]}' lies in one of '{group}', write it nested: "
            f"(1 | {group}/{names[0].split(':')[-1]}). If it has more clusters than '{group}', divide the table by it. "
            "hl.Model takes all rows at once, and has no such limit."
        )


def _refuse_learned(formula: Formula) -> None:
    learned = [
        use.name
        for use in formula.names
        if use.is_call
        and (use.name in OWN or use.name in OF_FORMULAE or use.name in AGGREGATES)
        and _column_of_moments(formula, use) is None
    ]
    if learned:
        raise DesignError(
            f"'{learned[0]}' in the formula depends on all rows at once. Of shards, center, scale, standardize and "
            f"poly, with a degree up to {NODES - 1}, learn from a column of the table, as in scale(age), and not from "
            "an expression. Compute others as a column before the shards are written, or with constants: "
            "I((log(age) - 3.4) / 0.2) in place of scale(log(age))."
        )


def transformed_columns(formula: Formula) -> list[str]:
    """The columns from all of whose rows ``center(x)``, ``scale(x)`` or ``poly(x, 2)`` learn."""
    found = [_column_of_moments(formula, use) for use in formula.names if use.is_call]
    return list(dict.fromkeys(column for column in found if column is not None))


def _column_of_moments(formula: Formula, use: NameUse) -> str | None:
    """The column from which a call learns the means of its powers; None if it learns something else, or nothing."""
    if use.name not in OF_MOMENTS:
        return None
    found = (_POLYNOMIAL if use.name == "poly" else _COLUMN).match(formula.text, use.span[1])
    return None if found is None else found["column"]
