"""Predicted probabilities of the rows of shards, written to files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..density.linear_predictor import Draws, linear_predictor
from ..effects.numerics.population_average import average_over_clusters
from .folder import Manifest, read_shard
from .opened import with_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..design.design import EncodedRows
    from ..engines.maximum.objective import Objective, Point

FloatArray = npt.NDArray[np.float64]

#: Which cluster effects count in predictions.
Clusters = Literal["observed", "typical", "average"]
CLUSTERS: tuple[str, ...] = get_args(Clusters)


@dataclass(frozen=True)
class WritePredictions:
    """Result of a task that writes the rows of a shard with their predicted probabilities to a file.

    Attributes
    ----------
    folder : Path
        Where the file is written.
    shards : Path
        The folder of the shards.
    manifest : Manifest
    clusters : {"observed", "typical", "average"}
    """

    folder: Path
    shards: Path
    manifest: Manifest
    clusters: str

    def __call__(self, objective: Objective, at: Point, number: int) -> int:
        """Number of rows that have a prediction."""
        frame = read_shard(self.shards, self.manifest, number, list(self.manifest.schema))
        of_rows = with_rows(objective, frame)
        columns = at_complete_rows(of_rows, {"estimate": _PREDICTED[self.clusters](of_rows, at)}, len(frame))
        frame.assign(**columns).to_parquet(self.folder / self.manifest.shards[number].file, index=False)
        return of_rows.model.design.n_rows


def at_complete_rows(objective: Objective, columns: Mapping[str, FloatArray], rows: int) -> dict[str, FloatArray]:
    """Columns of all rows of a shard from those of its complete rows; values of the others are missing."""
    places = objective.model.design.table.rows.to_numpy()
    found = {}
    for name, values in columns.items():
        found[name] = np.full(rows, np.nan)
        found[name][places] = values
    return found


def of_fixed_effects(draws: Draws, rows: EncodedRows) -> FloatArray:
    """Linear predictors of the rows in a cluster whose effects are zero, shape (draws, n)."""
    return linear_predictor(draws, replace(rows, groups={}))


def _typical(objective: Objective, at: Point) -> FloatArray:
    from scipy.special import expit

    rows = objective.model.design.training_rows()
    probability: FloatArray = expit(of_fixed_effects(_draw(objective, at, {}), rows))[0]
    return probability


def _observed(objective: Objective, at: Point) -> FloatArray:
    from scipy.special import expit

    laplace, groups = objective.laplace_at(at.psi, objective.modes()), objective.model.design.groups
    places = zip(groups, laplace.arrangement.positions, strict=True)
    modes = {group.name: laplace.work.b[place][None] for group, place in places}
    eta = linear_predictor(_draw(objective, at, modes), objective.model.design.training_rows())
    probability: FloatArray = expit(eta)[0]
    return probability


def _average(objective: Objective, at: Point) -> FloatArray:
    draws, rows = _draw(objective, at, {}), objective.model.design.training_rows()
    averaged: FloatArray = average_over_clusters(of_fixed_effects(draws, rows), draws, rows, list(rows.groups))[0]
    return averaged


def _draw(objective: Objective, at: Point, modes: Mapping[str, FloatArray]) -> Draws:
    """A single draw: the parameters at a vector, and modes of the effects."""
    factors = zip(objective.model.design.groups, objective.cholesky(at.psi), strict=True)
    return Draws(at.psi[None, : objective.p], modes, {group.name: L[None] for group, L in factors})


_PREDICTED = {"observed": _observed, "typical": _typical, "average": _average}
