"""Cluster-robust standard errors of models of shards, from sums over their clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..engines.maximum.cluster_covariance import MoveSums
from ..engines.maximum.cluster_scores import dependent_factors, is_independent, scores_by_cluster, why_dependent
from ..engines.maximum.objective import Objective, Point
from ..errors import FitError
from ..estimate import Clustered, Estimate
from ..validation import number_of, quoted_list, text, unknown_names
from .folder import Manifest, read_shard
from .objective import Sums
from .opened import aligned, with_rows

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ColumnScores:
    """Scores of a shard's rows by the values of a column.

    Attributes
    ----------
    scores : pandas.DataFrame
        One row for each value, and a column for each parameter.
    missing : int
        Rows without a value.
    across : tuple of str
        Grouping factors with clusters that have rows of several values.
    """

    scores: pd.DataFrame
    missing: int
    across: tuple[str, ...]


@dataclass(frozen=True)
class MovesByFactor:
    """Result of a task that adds up the moves of each grouping factor's clusters.

    Attributes
    ----------
    inverse : ndarray, shape (m, m)
        The inverse information.
    folder : Path
    manifest : Manifest
    """

    inverse: FloatArray
    folder: Path
    manifest: Manifest

    def __call__(self, objective: Objective, _at: Point, number: int) -> tuple[MoveSums | None, ...]:
        """The sums of each factor; None for factors whose clusters share random effects with each other."""
        frame = read_shard(self.folder, self.manifest, number, objective.model.formula.columns)
        of_rows = with_rows(objective, frame)
        model, scores, inverse = of_rows.model, of_rows.scores(), aligned(self.inverse)
        return tuple(
            MoveSums.of(inverse, scores_by_cluster(model, scores, group.index))
            if is_independent(model, group.index)
            else None
            for group in model.design.groups
        )


@dataclass(frozen=True)
class ScoresByColumn:
    """Result of a task that adds up scores by the values of a column of the shards, which may be in several of them.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
    column : str
    """

    folder: Path
    manifest: Manifest
    column: str

    def __call__(self, objective: Objective, _at: Point, number: int) -> ColumnScores:
        """The scores of a shard."""
        columns = list(dict.fromkeys([*objective.model.formula.columns, self.column]))
        frame = read_shard(self.folder, self.manifest, number, columns)
        of_rows = with_rows(objective, frame)
        model = of_rows.model
        index, labels = pd.factorize(frame[self.column].loc[model.design.table.rows], sort=True)
        if missing := int((index < 0).sum()):
            return ColumnScores(pd.DataFrame(), missing, ())
        across = tuple(dependent_factors(model, index))
        scores = scores_by_cluster(model, of_rows.scores(), index)
        return ColumnScores(pd.DataFrame(scores, index=pd.Index(np.asarray(labels))), 0, across)


def robust_covariance(
    sums: Sums, estimate: Estimate, folder: Path, manifest: Manifest, cluster: str | None
) -> tuple[Clustered, FloatArray]:
    """The clusters and the sandwich covariance matrix of an estimate, shape (m, m), after one round over the shards.

    Raises
    ------
    FitError
        If there are no such clusters, or they depend on each other.
    """
    if sums.crossing:
        raise FitError(
            f"cluster-robust standard errors need independent clusters, and clusters of {quoted_list(sums.crossing)}, "
            f"which cross the shards, have rows in several of '{manifest.group}'. Use the standard errors of the model."
        )
    factors = list(estimate.effects)
    if cluster is not None and text("cluster", cluster, FitError) not in factors:
        group, found = cluster, _of_column(sums, estimate, folder, manifest, cluster, factors)
    else:
        result = MovesByFactor(estimate.model_covariance, folder.absolute(), manifest)
        group, found = _of_factor(
            sums.results(estimate.nodes, estimate.vector, result), factors, cluster, manifest.group
        )
    # Of the rows of shards, nothing is kept: each cluster stands for its rows.
    clustered = Clustered("robust", group, np.arange(found.count), estimate.covariance)
    return clustered, found.sandwich(estimate.model_covariance)


def _of_factor(
    by_shard: Sequence[Sequence[MoveSums | None]], factors: Sequence[str], cluster: str | None, outermost: str
) -> tuple[str, MoveSums]:
    """A grouping factor, the one in which all others are nested if none is named, and the sums over its clusters."""
    independent = {
        name: reduce(MoveSums.joined, [one for one in of_factor if one is not None])
        for name, of_factor in zip(factors, zip(*by_shard, strict=True), strict=True)
        if all(one is not None for one in of_factor)
    }
    if cluster is None:
        if not independent:
            raise FitError(
                "the model has several grouping factors, none of which contains the others: pass cluster=, whose "
                f"clusters are taken to be independent. {_remedy(outermost)}"
            )
        top = min(independent, key=lambda name: independent[name].count)
        return top, independent[top]
    if cluster not in independent:
        others = [name for name in factors if name != cluster]
        raise FitError(f"cluster='{cluster}': {why_dependent(others)}. {_remedy(outermost)}")
    return cluster, independent[cluster]


def _of_column(
    sums: Sums, estimate: Estimate, folder: Path, manifest: Manifest, column: str, factors: Sequence[str]
) -> MoveSums:
    """The sums over clusters with the same value of a column."""
    if column not in manifest.schema:
        known = list(dict.fromkeys([*factors, *manifest.schema]))
        raise FitError(unknown_names("cluster", [column], known, "grouping factor or column", "the shards"))
    result = ScoresByColumn(folder.absolute(), manifest, column)
    by_shard = sums.results(estimate.nodes, estimate.vector, result)
    if missing := sum(one.missing for one in by_shard):
        raise FitError(f"cluster: '{column}' has no value in {number_of(missing, 'row')} of the model.")
    if across := list(dict.fromkeys(name for one in by_shard for name in one.across)):
        raise FitError(f"cluster='{column}': {why_dependent(across)}. {_remedy(manifest.group)}")
    scores: Any = pd.concat([one.scores for one in by_shard])
    # Added up in the order of the shards, whatever the workers.
    together = scores.groupby(level=0, sort=False).sum()
    if len(together) < 2:
        raise FitError(f"cluster: '{column}' has only one value: at least two clusters are needed.")
    return MoveSums.of(estimate.model_covariance, together.to_numpy())


def _remedy(outermost: str) -> str:
    return (
        "Each cluster of every grouping factor must lie in one of them: choose "
        f"{quoted_list([outermost])}, by which the shards are divided, or a coarser column of their table."
    )
