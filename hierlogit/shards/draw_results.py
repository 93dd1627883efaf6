"""Cluster effects and predicted probabilities of the rows of shards at posterior draws, summarised in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..density.linear_predictor import CHUNK_SIZE, Draws, linear_predictor
from ..effects.numerics.population_average import average_over_clusters
from ..engines.maximum.conditional_effects import conditional_effects
from ..engines.maximum.gaussian_draws import cholesky_draws, effects_of
from ..summaries.intervals import Interval, put_block, summarise
from .folder import Manifest, read_shard
from .opened import with_rows
from .predictions import at_complete_rows, of_fixed_effects

if TYPE_CHECKING:
    from ..design.design import EncodedRows
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
        import pandas as pd

        group = objective.model.design.groups[self.factor]
        effects = _with_effects(objective, nodes, psi, self.seed, number).effects[group.name]
        names = {
            "level": np.repeat(group.levels, len(group.effects)),
            "effect": np.tile(np.array(group.effects, dtype=object), len(group.levels)),
        }
        columns = summarise(effects.reshape(len(psi), -1), self.interval)
        pd.DataFrame({**names, **columns}).to_parquet(self.folder / self.files[number], index=False)
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
            draws = _of_parameters(of_rows, psi, {})
        rows = of_rows.model.design.training_rows()
        columns: dict[str, FloatArray] = {}
        step = max(1, CHUNK_SIZE // len(psi))
        for start in range(0, len(rows), step):
            part = slice(start, min(start + step, len(rows)))
            probabilities = _PROBABILITIES[self.clusters](draws, rows.at(part))
            put_block(columns, summarise(probabilities, self.interval), part, len(rows))
        written = frame.assign(**at_complete_rows(of_rows, columns, len(frame)))
        written.to_parquet(self.folder / self.manifest.shards[number].file, index=False)
        return len(rows)


def _of_parameters(objective: Objective, psi: FloatArray, effects: dict[str, FloatArray]) -> Draws:
    cholesky = zip(objective.model.design.groups, cholesky_draws(objective, psi), strict=True)
    return Draws(psi[:, : objective.p], effects, {group.name: L for group, L in cholesky})


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
    draws = _of_parameters(objective, psi, {})
    places = zip(draws.cholesky, arrangement.positions, strict=True)
    return Draws(draws.beta, {name: effects_of(u, at, draws.cholesky[name]) for name, at in places}, draws.cholesky)


def _observed(draws: Draws, rows: EncodedRows) -> FloatArray:
    from scipy.special import expit

    probabilities: FloatArray = expit(linear_predictor(draws, rows))
    return probabilities


def _typical(draws: Draws, rows: EncodedRows) -> FloatArray:
    from scipy.special import expit

    probabilities: FloatArray = expit(of_fixed_effects(draws, rows))
    return probabilities


def _average(draws: Draws, rows: EncodedRows) -> FloatArray:
    return average_over_clusters(of_fixed_effects(draws, rows), draws, rows, list(rows.groups))


_PROBABILITIES = {"observed": _observed, "typical": _typical, "average": _average}
