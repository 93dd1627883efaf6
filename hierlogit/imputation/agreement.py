"""Check that models of imputed tables are the same model, of the same rows and clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..design.design import Design
from ..errors import DataWarning, FitError, PredictionError, warn
from ..model_spec import ModelSpec
from ..validation import agree, number_of, plain_value, quoted_list

#: Largest difference between columns of the same rows, relative to their size, that is rounding.
ROUNDING = 1e-9


def require_agreement(models: Sequence[ModelSpec], name: str) -> None:
    """Check that models differ in nothing but the imputed values.

    Parameters
    ----------
    models : sequence of ModelSpec
    name : str
        What a model is called in messages, such as ``tables``.

    Raises
    ------
    FitError
        If the formulas, rows, columns or clusters differ; the message names the first model that does.

    Warns
    -----
    DataWarning
        If the formula learns other numbers from each table, so that coefficients differ in meaning.
    """
    first = models[0]
    for k, model in enumerate(models[1:], start=1):
        where = f"{name}[{k}]"
        if model.formula.text != first.formula.text:
            raise FitError(
                f"{where} has the formula {model.formula.line}, and {name}[0] {first.formula.line}: imputations are "
                "pooled over fits of one formula."
            )
        _same_rows(first.design, model.design, where, name)
        _same_columns(first.design, model.design, where, name)
        _same_clusters(first.design, model.design, where, name)
    _say_other_codes(models)


def _same_rows(first: Design, other: Design, where: str, name: str) -> None:
    if other.table.counts is not None or first.table.counts is not None:
        raise FitError(
            f"the rows of {where} or {name}[0] have been counted, but imputed tables are compared row by row. Collect "
            "them, and pass the data frames."
        )
    if other.n_rows != first.n_rows:
        raise FitError(
            f"{where} has {number_of(other.n_rows, 'row')}, and {name}[0] {first.n_rows:,}: imputed tables have the "
            f"same rows.{_why_other_rows(first, other, where, name)}"
        )
    if not first.table.rows.equals(other.table.rows):
        at = int(np.flatnonzero(first.table.rows != other.table.rows)[0])
        label, expected = (plain_value(one.table.rows[at]) for one in (other, first))
        raise FitError(
            f"{where} has other rows than {name}[0]: its row {at} is labelled {label!r}, and not "
            f"{expected!r}. Sort the tables alike and give them the same labels, such as "
            "table.reset_index(drop=True)."
        )


def _why_other_rows(first: Design, other: Design, where: str, name: str) -> str:
    """What is known of the rows that one of two tables lacks, and what to do, as sentences."""
    both = {f"{name}[0]": first.table, where: other.table}
    gone = [f"{number_of(table.n_missing, 'row')} of {which}" for which, table in both.items() if table.n_missing]
    if gone:
        return (
            f" Left out for values that are still missing: {' and '.join(gone)}. Impute these values too, or leave the "
            "rows out of all tables."
        )
    (few, fewer), (many, more) = sorted(both.items(), key=lambda item: len(item[1].rows))
    lacking = more.rows.difference(fewer.rows, sort=False).tolist()
    which = f" {few} lacks {agree(lacking, 'the row', 'the rows')} {quoted_list(lacking)} of {many}." if lacking else ""
    return f"{which} Leave rows out before imputation, or out of all tables."


def _same_columns(first: Design, other: Design, where: str, name: str) -> None:
    lacking = [label for label in first.fixed_effects if label not in other.fixed_effects]
    more = [label for label in other.fixed_effects if label not in first.fixed_effects]
    if lacking or more or first.fixed_effects != other.fixed_effects:
        which = f"lacks {quoted_list(lacking)}" if lacking else f"has {quoted_list(more or list(other.fixed_effects))}"
        raise FitError(
            f"{where} gives other coefficients than {name}[0]: it {which}. A level without rows in some tables, or "
            "columns that depend on each other in some, are the usual causes: merge rare levels before imputation, and "
            "give each categorical column the same levels in all tables."
        )
    if first.outcome.event != other.outcome.event:
        raise FitError(f"{where} has the event {other.outcome.event}, and {name}[0] {first.outcome.event}.")


def _same_clusters(first: Design, other: Design, where: str, name: str) -> None:
    for one, another in zip(first.groups, other.groups, strict=True):
        if one.effects != another.effects or one.sets != another.sets:
            raise FitError(
                f"{where} gives other effects of '{one.name}' than {name}[0]: {quoted_list(list(another.effects))}, "
                f"and not {quoted_list(list(one.effects))}."
            )
        if not np.array_equal(one.levels, another.levels) or not np.array_equal(one.index, another.index):
            differ = int(np.sum(one.levels[one.index] != another.levels[another.index]))
            raise FitError(
                f"{where} has other clusters of '{one.name}' than {name}[0], in {differ:,} rows. Clusters cannot be "
                "imputed: leave out rows whose cluster is not known."
            )


def _say_other_codes(models: Sequence[ModelSpec]) -> None:
    """Warn if the columns of the same rows depend on the table that the formula has learned from."""
    first = models[0].design
    rows = first.table.frame
    changed: dict[str, Any] = {}
    for model in models[1:]:
        try:
            columns = model.design.encode_fixed(rows)
        except PredictionError:  # a level of the first table is not in this one, nor has it a column
            continue
        size = np.abs(first.X).max(axis=0)
        moved = np.abs(columns - first.X).max(axis=0) > ROUNDING * np.maximum(size, 1.0)
        changed |= {first.fixed_terms[j]: None for j in np.flatnonzero(moved)}
    if changed:
        terms = list(changed)
        warn(
            f"{quoted_list(terms)} {agree(terms, 'learns', 'learn')} other numbers from each imputed table (means, sds "
            "or knots), so that coefficients of different tables are in different units and their means are "
            "approximate. Compute the numbers once, from the observed values, and write them into the formula: "
            "(x - 35.2) / 10 in place of scale(x).",
            DataWarning,
        )
