"""Clusters of rows: the levels of a grouping factor, the values of a column, or values that are given row by row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.weights import FrequencyWeights
from ..errors import FitError
from ..model_spec import ModelSpec
from ..validation import listed, number_of, one_of, reason_of, shortened, text, unknown_names

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Clusters:
    """Groups of rows that belong together.

    Attributes
    ----------
    group : str
    labels : pandas.Index
        In the order of their numbers.
    index : ndarray of int, shape (n,)
        Number of each row's cluster.
    counts : ndarray, shape (n,), optional
        How often each row counts.
    """

    group: str
    labels: pd.Index[Any]
    index: IntArray
    counts: FloatArray | None = None

    @property
    def sizes(self) -> IntArray:
        """Number of rows of each cluster."""
        return np.bincount(self.index, self.counts, len(self.labels)).round().astype(np.intp)

    @classmethod
    def of(cls, model: ModelSpec, group: str | None) -> Clusters:
        """The levels of a grouping factor, or the values of a column; the only factor if no name is given.

        Raises
        ------
        FitError
            If there is none of this name, or its values are all the same.
        """
        groups = model.design.groups
        if group is None:
            if len(groups) != 1:
                raise FitError(
                    f"the model has {number_of(len(groups), 'grouping factor')}: pass group=, the factor or column "
                    f"whose clusters are left out; {one_of(known_names(model))}."
                )
            group = groups[0].name
        return cls.named(model, text("group", group, FitError), "group")

    @classmethod
    def named(cls, model: ModelSpec, name: str, option: str) -> Clusters:
        """The levels of the grouping factor of a name, or the values of the column.

        Parameters
        ----------
        model : Model
        name : str
        option : str
            The option of a public function that the name was given for.

        Raises
        ------
        FitError
            If there is none of this name, or its values are all the same.
        """
        known = known_names(model)
        if name not in known:
            raise FitError(unknown_names(option, [name], known, "grouping factor or column"))
        for factor in model.design.groups:
            if factor.name == name:
                return cls(name, pd.Index(factor.levels, name=name), factor.index, factor.counts)
        table = model.design.table
        return replace(cls._of_values(table.frame[name], name, option), counts=table.row_counts)

    @classmethod
    def of_rows(cls, model: ModelSpec, values: Any, option: str) -> Clusters:
        """Clusters with the same value, of values for the rows of the table.

        Parameters
        ----------
        model : Model
        values : pandas.Series or array-like
            A series has its values by the labels of the rows. Other values are those of the rows of the model, or of
            all rows of the table if none was left out.
        option : str
            The option of a public function that they were given for.

        Raises
        ------
        FitError
            If they are not one for each row, some are missing, or all are the same.
        """
        rows = model.design.table.rows
        if model.design.table.counts is not None:
            raise FitError(
                f"{option}: the rows of the model have been counted, so that there is no value for each of them. Pass "
                f"the name of a grouping factor or column; {one_of(known_names(model))}."
            )
        by_label = isinstance(values, pd.Series) and values.index.is_unique
        repeated = _repeated_by(model)
        if by_label and repeated is None and rows.isin(values.index).all():
            name = option if values.name is None else str(values.name)
            return cls._of_values(values.loc[rows], name, option)
        given = listed(values)
        if given is None:
            raise FitError(
                f"{option} must be the name of a grouping factor or column, or a value for each row; got "
                f"{shortened(values)}."
            )
        if len(given) != len(rows) or (by_label and repeated is not None):
            remedy = (
                "Pass a column of the same table, such as data['region'], whose labels tell which of its rows were "
                "left out."
                if repeated is None
                else f"Repeat each value as often as its row is counted: data['region'].repeat(data['{repeated}'])."
            )
            raise FitError(
                f"{option} has {number_of(len(given), 'value')} and the model {number_of(len(rows), 'row')}. {remedy}"
            )
        return cls._of_values(pd.Series(given), option, option)

    @classmethod
    def _of_values(cls, values: pd.Series[Any], name: str, option: str) -> Clusters:
        try:
            index, labels = pd.factorize(values, sort=True)
        except TypeError as error:  # values that are lists, or text and numbers together
            raise FitError(f"{option}: the values of '{name}' cannot be compared: {reason_of(error)}.") from error
        missing = int((index < 0).sum())
        if missing:
            raise FitError(f"{option}: '{name}' has no value in {number_of(missing, 'row')} of the model.")
        if len(labels) < 2:
            raise FitError(f"{option}: '{name}' has only one value: at least two clusters are needed.")
        return cls(name, pd.Index(np.asarray(labels), name=name), index)


def _repeated_by(model: ModelSpec) -> str | None:
    """The column of frequency weights by which rows are repeated, and numbered anew."""
    table = model.design.table
    if isinstance(table.weights, FrequencyWeights) and table.n_repeated != len(table.rows):
        return table.weights.rows
    return None


def known_names(model: ModelSpec) -> list[str]:
    """The names that clusters can have: grouping factors, then columns of the formula."""
    factors = [factor.name for factor in model.design.groups]
    table = model.design.table
    of_counts = [] if table.counts is None else table.counts.columns
    return [name for name in dict.fromkeys([*factors, *map(str, table.frame.columns)]) if name not in of_counts]
