"""Rows of another table with their outcomes and clusters, predicted by a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...effects.query import PredictionQuery
from ...errors import PredictionError
from ...fits.row_clusters import Clusters
from ...validation import one_of, shortened
from ..recalibration import mean_probability

if TYPE_CHECKING:
    from ...design.grouping import GroupBlock
    from ...fits.fit import Fit

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ExternalRows:
    """Complete rows of another table.

    Attributes
    ----------
    clusters : Clusters
        Their clusters.
    known : ndarray of bool, shape (J,)
        Whether each cluster is in the training data.
    y, trials, probability : ndarray, shape (n,)
        Successes, trials, and predicted probabilities.
    labels : pandas.Index
        Labels of the rows.
    """

    clusters: Clusters
    known: npt.NDArray[np.bool_]
    y: FloatArray
    trials: FloatArray
    probability: FloatArray
    labels: pd.Index[Any]

    @classmethod
    def of(cls, fit: Fit, data: Any, group: Any, treatments: Mapping[str, str]) -> ExternalRows:
        """Predict the rows of a table.

        Raises
        ------
        PredictionError
            If the rows cannot be predicted, or have no outcomes or clusters.
        """
        name, columns, factor = _columns_of(fit, group)
        others = [*fit.model.design.response_columns, *columns]
        query = PredictionQuery.for_predictions(fit, data, clusters=dict(treatments), others=others)
        frame = query.data.complete_frame
        lacking = [column for column in columns if column not in frame.columns]
        if lacking:
            raise PredictionError(
                f"group: the data lack the column {lacking[0]!r}, with the names of the clusters; "
                f"{one_of([str(column) for column in frame.columns])}."
            )
        values = frame[columns[0]]
        if len(columns) > 1:
            values = frame[columns].astype(str).agg(":".join, axis=1)
        index, labels = pd.factorize(values, sort=True)
        known = np.zeros(len(labels), dtype=bool)
        if factor is not None:
            known = np.isin(np.asarray(labels).astype(str), factor.levels.astype(str))
        outcome = fit.model.design.encode_outcome(frame)
        clusters = Clusters(name, pd.Index(np.asarray(labels), name=name), index)
        return cls(clusters, known, outcome.y, outcome.trials, mean_probability(query), frame.index)


def _columns_of(fit: Fit, group: Any) -> tuple[str, list[str], GroupBlock | None]:
    """Name of the clusters, the columns that make them, and the grouping factor if they are its clusters."""
    groups = fit.model.design.groups
    if group is None:
        if len(groups) != 1:
            raise PredictionError("group: name the column of the data that has the names of the clusters.")
        group = groups[0].name
    if not isinstance(group, str):
        raise PredictionError(
            f"group={shortened(group)} must be the name of a column: with data=, it is one of its own."
        )
    for factor in groups:
        if factor.name == group:
            return group, list(factor.columns), factor
    return group, [group], None
