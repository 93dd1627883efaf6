"""The complete rows of a shard, and the few of them from which the encoding of a model is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..design.learning_calls import label_columns
from ..design.table import TrainingTable
from ..design.training_rows import training_rows
from ..errors import DataWarning, DesignError, unsaid
from ..validation import quoted_list
from .learning import Learning

if TYPE_CHECKING:
    from ..formula.terms import Formula

#: Rows that are kept of each shard to learn from: so many in any case, so many of each combination of categorical
#: predictors, and one for each value of a column with at most so many values.
SPREAD, OF_EACH, MOST_VALUES = 200, 5, 200
#: Columns of the effects of factors that cross the shards: a matrix over them is added up in every round.
MOST_COMMON = 3000


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
    answers : dict of str to object
        What calls such as ``scale(x)`` learn from; empty without complete rows.
    """

    used: int
    missing: int
    untried: int
    missing_by_column: dict[str, int]
    kept: pd.DataFrame
    answers: dict[str, Any]

    @classmethod
    def of(cls, frame: pd.DataFrame, learning: Learning, group: str) -> ShardRows:
        """Count and choose among the rows of a shard, which are divided by the column `group`.

        Parameters
        ----------
        frame : pandas.DataFrame
        learning : Learning
            What is asked of the rows.
        group : str
        """
        table = complete_rows(frame, learning.formula)
        if table is None:
            absent = frame.isna().sum()
            by_column = {str(name): int(count) for name, count in absent.items() if count}
            return cls(0, len(frame), 0, by_column, frame.iloc[:0], {})
        kept = learned_from(frame.loc[table.rows], learning.formula, group)
        answers = learning.answers(table, lambda: table.rows.isin(kept.index))
        return cls(table.n_rows, table.n_missing, table.n_untried, dict(table.missing_by_column), kept, answers)


def answers_of(frame: pd.DataFrame, learning: Learning, group: str) -> dict[str, Any]:
    """The answers of a shard that has complete rows, when it is asked again; the arguments are those of `ShardRows`."""
    table = complete_rows(frame, learning.formula)
    assert table is not None
    rows = frame.loc[table.rows]
    return learning.answers(table, lambda: table.rows.isin(learned_from(rows, learning.formula, group).index))


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
    labels = label_columns(formula)
    predictors = [name for name in rows if name not in labels]
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
        if len(values) <= MOST_VALUES or not _is_number(rows[name]):
            chosen.append(values)
        else:  # the ends, where a column of a spline may have its only values other than zero
            chosen += [mixed[name].nsmallest(OF_EACH).index, mixed[name].nlargest(OF_EACH).index]
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
