"""Predicted probabilities of the rows of shards, written to files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..density.linear_predictor import Draws, linear_predictor
from ..effects.numerics.population_average import average_over_clusters
from ..engines.maximum.gaussian_draws import cholesky_draws
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
        draw = draws_of(of_rows, at.psi[None], _modes(of_rows, at) if self.clusters == "observed" else {})
        estimate = PROBABILITIES[self.clusters](draw, of_rows.model.design.training_rows())[0]
        columns = at_complete_rows(of_rows, {"estimate": estimate}, len(frame))
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


def draws_of(objective: Objective, psi: FloatArray, effects: Mapping[str, FloatArray]) -> Draws:
    """Draws of the parameters, vectors of shape (draws, parameters), with effects of the clusters by factor."""
    cholesky = zip(objective.model.design.groups, cholesky_draws(objective, psi), strict=True)
    return Draws(psi[:, : objective.p], effects, {group.name: L for group, L in cholesky})


def _modes(objective: Objective, at: Point) -> dict[str, FloatArray]:
    """Modes of the effects at a vector, as those of a single draw."""
    laplace = objective.laplace_at(at.psi, objective.modes())
    places = zip(objective.model.design.groups, laplace.arrangement.positions, strict=True)
    return {group.name: laplace.work.b[place][None] for group, place in places}


def _of_fixed_effects(draws: Draws, rows: EncodedRows) -> FloatArray:
    """Linear predictors of the rows in a cluster whose effects are zero, shape (draws, n)."""
    return linear_predictor(draws, replace(rows, groups={}))


def _observed(draws: Draws, rows: EncodedRows) -> FloatArray:
    from scipy.special import expit

    probabilities: FloatArray = expit(linear_predictor(draws, rows))
    return probabilities


def _typical(draws: Draws, rows: EncodedRows) -> FloatArray:
    from scipy.special import expit

    probabilities: FloatArray = expit(_of_fixed_effects(draws, rows))
    return probabilities


def _average(draws: Draws, rows: EncodedRows) -> FloatArray:
    return average_over_clusters(_of_fixed_effects(draws, rows), draws, rows, list(rows.groups))


#: Probabilities of rows at draws, shape (draws, n), by which cluster effects count.
PROBABILITIES = {"observed": _observed, "typical": _typical, "average": _average}
