"""Predicted probabilities of the rows of shards, written to files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..effects.numerics.population_average import average_probability
from .folder import Manifest, read_shard

if TYPE_CHECKING:
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
        predicted = _PREDICTED[self.clusters](objective, at)
        estimate = np.full(len(frame), np.nan)
        estimate[objective.model.design.table.rows.to_numpy()] = predicted
        frame.assign(estimate=estimate).to_parquet(self.folder / self.manifest.shards[number].file, index=False)
        return len(predicted)


def _of_fixed_effects(objective: Objective, at: Point) -> FloatArray:
    """Linear predictors of the rows in a cluster whose effects are zero, shape (n,)."""
    design = objective.model.design
    eta: FloatArray = design.offset + design.X @ at.psi[: objective.p]
    return eta


def _typical(objective: Objective, at: Point) -> FloatArray:
    from scipy.special import expit

    probability: FloatArray = expit(_of_fixed_effects(objective, at))
    return probability


def _observed(objective: Objective, at: Point) -> FloatArray:
    from scipy.special import expit

    laplace, eta = objective.laplace_at(at.psi, objective.modes()), _of_fixed_effects(objective, at)
    for group, place in zip(objective.model.design.groups, laplace.arrangement.positions, strict=True):
        eta += np.einsum("nq,nq->n", group.Z, laplace.work.b[place].reshape(len(group.levels), -1)[group.index])
    probability: FloatArray = expit(eta)
    return probability


def _average(objective: Objective, at: Point) -> FloatArray:
    eta = _of_fixed_effects(objective, at)
    factors = zip(objective.model.design.groups, objective.cholesky(at.psi), strict=True)
    variance = sum((((group.Z @ L) ** 2).sum(axis=1) for group, L in factors), np.zeros(len(eta)))
    averaged: FloatArray = average_probability(eta[None], np.sqrt(variance)[None])[0]
    return averaged


_PREDICTED = {"observed": _observed, "typical": _typical, "average": _average}
