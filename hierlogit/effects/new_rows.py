"""The rows that a function of a fit computes with: which columns they need, and which of them are complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.design import Design, EncodedRows
from ..design.grouping import with_whole_labels
from ..design.table import with_columns
from ..design.table_sources import read_table, refuse_incomplete_files
from ..errors import DataWarning, PredictionError, warn
from ..validation import agree, number_of, quoted_list


@dataclass(frozen=True)
class Rows:
    """The training rows, or rows of new data.

    Attributes
    ----------
    design : Design
    frame : pandas.DataFrame
        All rows, with their labels.
    complete : ndarray of bool, shape (n,)
        Rows without missing values in the columns that are needed. The others have no results.
    of_training : bool
        Whether they are the training rows.
    clusters : mapping of str to str
        What is needed of each grouping factor; see `hierlogit.design.design.Design.encode`.
    fixed : bool
        Whether the fixed part is needed.
    """

    design: Design
    frame: pd.DataFrame
    complete: npt.NDArray[np.bool_]
    of_training: bool
    clusters: Mapping[str, str]
    fixed: bool

    @classmethod
    def of(
        cls,
        design: Design,
        newdata: Any,
        clusters: Mapping[str, str],
        *,
        fixed: bool = True,
        others: Sequence[str] = (),
    ) -> Rows:
        """The rows of a table, or the training rows if it is None.

        Parameters
        ----------
        design : Design
        newdata : table or None
        clusters : mapping of str to str
        fixed : bool
        others : sequence of str
            Further columns that must be complete, such as the numbers of trials.

        Raises
        ------
        PredictionError
            If no row is complete.

        Warns
        -----
        DataWarning
            If rows have missing values; the text gives their number.
        """
        if newdata is None:
            frame = design.table.shown.set_axis(design.table.rows)
            return cls(design, frame, np.ones(len(frame), dtype=bool), True, clusters, fixed)
        needed = [*dict.fromkeys([*design.needs(clusters, fixed=fixed), *others])]
        refuse_incomplete_files(newdata, needed)
        frame = read_table(newdata)
        absent = design.missing_values(frame, needed)
        labels = {name: frame[name].isna() for name in _label_columns(design, clusters) if name in frame.columns}
        absent = with_columns(absent, {name: missing for name, missing in labels.items() if name not in needed})
        complete = ~absent.any(axis=1).to_numpy()
        if not complete.all():
            _say_missing(absent, complete)
        return cls(design, frame, complete, False, clusters, fixed)

    @property
    def complete_frame(self) -> pd.DataFrame:
        """The rows that are computed with."""
        return self.frame if self.complete.all() else self.frame[self.complete]

    @property
    def shown(self) -> pd.DataFrame:
        """All rows as results show them: without grouping columns that play no part, and with the clusters' labels."""
        playing = {*self.design.needs(self.clusters, fixed=self.fixed), *_label_columns(self.design, self.clusters)}
        grouping = self.design.group_columns.intersection(self.frame.columns)
        frame = self.frame.drop(columns=list(grouping - playing))
        return with_whole_labels(frame, grouping & playing)

    def encode(self, frame: pd.DataFrame) -> EncodedRows:
        """Rows encoded for the model, as far as they are needed.

        Raises
        ------
        PredictionError
            If the rows do not match the model.
        """
        columns = [name for name in self.design.needs(self.clusters, fixed=self.fixed) if name not in frame.columns]
        anyway = self.design.needs(dict.fromkeys(self.clusters, "average"), fixed=self.fixed)
        if columns and not set(anyway).intersection(columns):
            raise PredictionError(
                f"the new data lack the {agree(columns, 'column', 'columns')} {quoted_list(columns)}, by which the "
                "effects of known clusters are found (clusters='observed'). Add "
                f"{agree(columns, 'it', 'them')}, or pass clusters='average' for the average over all clusters, "
                "clusters='typical' for a cluster with effects of zero, or clusters='new' for a cluster that is not in "
                "the training data: these need no labels, and for new clusters any label will do."
            )
        return self.design.encode(frame, self.clusters, fixed=self.fixed)


def _label_columns(design: Design, clusters: Mapping[str, str]) -> list[str]:
    """Columns that tell new clusters from each other, where the rows have them."""
    return [column for group in design.groups if clusters[group.name] == "new" for column in group.columns]


def _say_missing(absent: pd.DataFrame, complete: npt.NDArray[np.bool_]) -> None:
    count, total = int((~complete).sum()), len(complete)
    where = ", ".join(f"{name} ({number:,})" for name, number in absent.sum().items() if number)
    if count == total:
        raise PredictionError(
            f"every row of the new data has a missing value, in {where}. Fill them, or leave these rows out."
        )
    warn(
        f"{count:,} of {number_of(total, 'row')} of the new data {agree(count, 'has', 'have')} missing values, in "
        f"{where}: {agree(count, 'its result is', 'their results are')} missing (NaN), and averages leave "
        f"{agree(count, 'it', 'them')} out.",
        DataWarning,
    )
