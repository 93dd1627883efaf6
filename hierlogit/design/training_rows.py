"""The rows that a model is fitted to, from a formula and a table of any kind: checked, complete, perhaps counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from ..errors import DesignError
from ..formula.names import check_names
from ..formula.terms import Formula
from .counted_sources import count_rows, open_source
from .encoding import computed_values
from .outcome import Family, added_up, tried_rows
from .proportions import refuse_proportions
from .row_counts import RowCounts, unused_name
from .suspect_columns import suspect_columns
from .table import Missing, TrainingTable, training_table, warn_of_data
from .table_sources import read_table, source_of
from .transforms import AGGREGATES, formula_functions, formula_namespace
from .weights import MOST_ROWS, FrequencyWeights, SamplingWeights, checked_weights

#: Name of the column with the numbers of rows, unless the table has one of this name.
ROWS = "rows"


def training_rows(
    formula: Formula,
    data: Any,
    missing: Missing,
    namespace: Mapping[str, Any] | None,
    weights: object,
    family: Family,
) -> TrainingTable:
    """The complete rows of a table, with the columns that a formula and weights use.

    Rows of large sources are counted there, and outcomes of the same predictors added up.

    Parameters
    ----------
    formula : Formula
    data : table
    missing : {"drop", "error"}
    namespace : mapping of str to object or None
    weights : FrequencyWeights or SamplingWeights or None
    family : {"binomial", "betabinomial"}

    Raises
    ------
    FormulaError
        If the formula has a column or function that does not exist.
    DesignError
        If the data do not fit the formula, or do not fit into memory.
    """
    reason = uncountable(formula, namespace, weights, family)
    reading = _read(formula, data, namespace, weights, reason)
    source, counts = reading.frame, reading.counts
    used = [name for name in formula.columns if name in source.columns]
    weighted = checked_weights(weights, _without(source, counts))
    of_weights = [] if weighted is None else [name for name in weighted.columns if name not in used]
    table = training_table(source, [*used, *of_weights], missing, counts, of_weights=of_weights)
    table = replace(table, source=reading.source)
    for suspect in suspect_columns(formula, table.frame, table.row_counts):
        warn_of_data(f"{suspect.evidence}. {suspect.remedy}")
    if not formula.response.binomial:
        refuse_proportions(formula, table.frame[formula.response.column], source[_without(source, counts)])
    for count in formula.response.computed:
        values = computed_values(count.text, table.frame, formula_namespace(namespace), table.rows)
        table = table.with_column(count.text, values)
    table = tried_rows(formula.response, table, missing)
    if isinstance(weighted, FrequencyWeights):
        table = _with_frequencies(table, weighted, used, reason)
    elif isinstance(weighted, SamplingWeights):
        table = table.sampled(weighted)
    if table.counts is None:
        return table
    predicting = {use.name for use in formula.names if use.where != "response"}
    predicting.update(weighted.columns if isinstance(weighted, SamplingWeights) else ())
    return added_up(formula.response, table, [name for name in table.frame.columns if name in predicting])


def uncountable(formula: Formula, namespace: Mapping[str, Any] | None, weights: object, family: Family) -> str:
    """Why rows with the same predictors cannot be added up, as a clause; empty if they can.

    Examples
    --------
    >>> from hierlogit.formula.parser import parse
    >>> uncountable(parse("y ~ I(x - np.mean(x))"), None, None, "binomial")
    "'np.mean' depends on all rows at once"
    """
    if family == "betabinomial":
        return "sums of beta-binomial outcomes are not beta-binomial"
    if isinstance(weights, SamplingWeights) and not formula.random:
        return "standard errors with sampling weights come from the differences between single rows"
    if formula.response.computed:
        return f"'{formula.response.computed[0].text}' is computed from columns"
    predicting = {use.name for use in formula.names if use.where != "response"}
    if formula.response.trials in predicting:
        return f"the trials '{formula.response.trials}' are also a predictor"
    # Other namespaces are refused when the names of the formula are checked.
    given = set(namespace) if isinstance(namespace, Mapping) else set()
    for use in formula.names:
        if use.name in AGGREGATES:
            return f"'{use.name}' depends on all rows at once"
        if use.is_call and use.name.partition(".")[0] in given:
            return f"'{use.name}' is a function of your program, which may depend on all rows at once"
    return ""


def check_known_names(formula: Formula, columns: Sequence[str], namespace: Mapping[str, Any] | None) -> None:
    """Check that a formula names only columns, functions and values that exist.

    Raises
    ------
    FormulaError
    DesignError
        If a column has a name that results need.
    """
    functions = formula_functions(namespace)
    # A function can also be an argument, as in C(t, Sum).
    check_names(formula, columns, functions, {*formula_namespace(namespace), *functions})
    if "Intercept" in formula.columns:
        raise DesignError("'Intercept' is the name of the intercept in results: rename that column of the table.")


class _Reading(NamedTuple):
    """A table that has been read: its rows, where they come from, and the column with their counts."""

    frame: pd.DataFrame
    source: str
    counts: RowCounts | None = None


def _read(formula: Formula, data: Any, namespace: Mapping[str, Any] | None, weights: object, reason: str) -> _Reading:
    of_weights = weights.columns if isinstance(weights, (FrequencyWeights, SamplingWeights)) else ()
    wanted = [*dict.fromkeys([*formula.columns, *of_weights])]
    source = open_source(data)
    if source is None:
        frame = read_table(data, wanted)
        check_known_names(formula, list(frame.columns), namespace)
        return _Reading(frame, source_of(data))
    check_known_names(formula, source.names, namespace)
    checked_weights(weights, source.names)
    used = [name for name in source.names if name in wanted]
    source.check(used)
    column = unused_name(ROWS, source.names)
    frame, text = count_rows(source, used, column, reason)
    return _Reading(frame, text, RowCounts(column) if column in frame else None)


def _without(frame: pd.DataFrame, counts: RowCounts | None) -> list[str]:
    """The columns of the user's table."""
    return [name for name in frame.columns if counts is None or name != counts.column]


def _with_frequencies(
    table: TrainingTable, weights: FrequencyWeights, used: Sequence[str], uncountable: str
) -> TrainingTable:
    """The table whose rows are repeated or, if these are too many, counted.

    Raises
    ------
    DesignError
        If they are too many, and cannot be counted.
    """
    keep = weights.rows in used
    if table.counts is not None:
        return table.multiplied(weights, table.counts.column, keep=keep)
    rows = weights.counts(table.frame).sum()
    if rows <= MOST_ROWS:
        return table.repeated(weights, keep=keep)
    if uncountable:
        raise DesignError(
            f"the frequency weights in '{weights.rows}' add up to {rows:,} rows; at most {MOST_ROWS:,} can be "
            f"repeated, and they cannot be counted together, since {uncountable}."
        )
    return table.multiplied(weights, unused_name(ROWS, list(table.frame.columns)), keep=keep)
