"""Cluster effects and predicted probabilities of the rows of shards at posterior draws, summarised in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..density.linear_predictor import CHUNK_SIZE, Draws
from ..engines.maximum.conditional_effects import conditional_effects
from ..engines.maximum.gaussian_draws import effects_of
from ..summaries.intervals import Interval, put_block, summarise
from .folder import Manifest, read_shard
from .opened import with_rows, write_effects
from .predictions import PROBABILITIES, at_complete_rows, draws_of

if TYPE_CHECKING:
    from ..engines.maximum.objective import Objective

FloatArray = npt.NDArray[np.float64]

#: The place among the seeds of a fit of those for the cluster effects.
OF_EFFECTS = 2


@dataclass(frozen=True)
class WriteDrawnEffects:
    """Result of a task that writes means, sds and intervals of a factor's effects to a file.

    Attributes
    ----------
    folder : Path
    files : tuple of str
        Name of the file of each shard.
    factor : int
        Position of the factor.
    interval : Interval
    seed : int
    """

    folder: Path
    files: tuple[str, ...]
    factor: int
    interval: Interval
    seed: int

    def __call__(self, objective: Objective, nodes: int, psi: FloatArray, number: int) -> int:
        """Number of clusters that were written."""
        group = objective.model.design.groups[self.factor]
        effects = _with_effects(objective, nodes, psi, self.seed, number).effects[group.name]
        columns = summarise(effects.reshape(len(psi), -1), self.interval)
        write_effects(self.folder / self.files[number], group, columns)
        return len(group.levels)


@dataclass(frozen=True)
class WriteDrawnPredictions:
    """Result of a task that writes the rows of a shard with means, sds and intervals of their probabilities to a file.

    Attributes
    ----------
    folder : Path
        Where the file is written.
    shards : Path
        The folder of the shards.
    manifest : Manifest
    clusters : {"observed", "typical", "average"}
    interval : Interval
    seed : int
    """

    folder: Path
    shards: Path
    manifest: Manifest
    clusters: str
    interval: Interval
    seed: int

    def __call__(self, objective: Objective, nodes: int, psi: FloatArray, number: int) -> int:
        """Number of rows that have a prediction."""
        frame = read_shard(self.shards, self.manifest, number, list(self.manifest.schema))
        of_rows = with_rows(objective, frame)
        if self.clusters == "observed":
            draws = _with_effects(of_rows, nodes, psi, self.seed, number)
        else:
            draws = draws_of(of_rows, psi, {})
        rows = of_rows.model.design.training_rows()
        columns: dict[str, FloatArray] = {}
        step = max(1, CHUNK_SIZE // len(psi))
        for start in range(0, len(rows), step):
            part = slice(start, min(start + step, len(rows)))
            probabilities = PROBABILITIES[self.clusters](draws, rows.at(part))
            put_block(columns, summarise(probabilities, self.interval), part, len(rows))
        written = frame.assign(**at_complete_rows(of_rows, columns, len(frame)))
        written.to_parquet(self.folder / self.manifest.shards[number].file, index=False)
        return len(rows)


def _with_effects(objective: Objective, nodes: int, psi: FloatArray, seed: int, number: int) -> Draws:
    """The draws with the effects of the shard's clusters, from their exact distribution given the parameters.

    The random numbers of a shard are its own, whatever others are evaluated.
    """
    arrangement = objective.likelihood.arrangement
    u = conditional_effects(
        arrangement,
        np.ascontiguousarray(psi[:, : objective.p] @ arrangement.triangular.T),
        objective.flat_cholesky(psi),
        nodes,
        np.random.SeedSequence(seed, spawn_key=(OF_EFFECTS, number)),
        cores=1,
        progress=False,
    )
    draws = draws_of(objective, psi, {})
    places = zip(draws.cholesky, arrangement.positions, strict=True)
    return Draws(draws.beta, {name: effects_of(u, at, draws.cholesky[name]) for name, at in places}, draws.cholesky)
