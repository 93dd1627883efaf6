"""Shards in the memory of the process that evaluates them: designs and likelihoods, kept from one round to the next."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock, RLock
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.marginal.common_effects import GivenCommonEffects
from ..density.marginal.selected_inverse import effect_variances
from ..design.arrangement import arrange
from ..design.design import Design
from ..design.grouping import GroupBlock, levels_of, with_whole_labels
from ..engines.maximum.integrator import integrator
from ..engines.maximum.many_likelihoods import log_likelihoods
from ..engines.maximum.objective import Objective, Point
from ..engines.maximum.starting_values import plain_terms
from ..errors import DesignError, PredictionError
from ..model_spec import ModelSpec
from .common_columns import CommonColumns
from .folder import Manifest, read_shard
from .moments import Moments
from .packed_arrangement import PackedArrangement
from .rows import complete_rows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Models whose shards stay in the memory of a process.
MOST_MODELS = 2
#: Vectors whose log-likelihoods are computed in one call: an interruption waits for it.
TOGETHER = 25


@dataclass(frozen=True)
class Recipe:
    """What a process needs to evaluate the shards of a model.

    Attributes
    ----------
    token : str
        Differs from those of all other models.
    content : bytes or None
        Folder, manifest and reference model, which a process reads once; None for processes that have done so.
    """

    token: str
    content: bytes | None

    @classmethod
    def of(cls, token: str, folder: Path, manifest: Manifest, reference: ModelSpec) -> Recipe:
        """The recipe of a model whose encoding is that of `reference`."""
        return cls(token, pickle.dumps((folder, manifest, reference)))

    @property
    def without_content(self) -> Recipe:
        """The token alone."""
        return replace(self, content=None)


class UnknownModelError(Exception):
    """A process that has not read the recipe of a model, or let go of it, was sent its token alone."""


@dataclass(frozen=True)
class IfKnown[R]:
    """Task that returns None where the process does not know the model.

    Attributes
    ----------
    task : callable
    """

    task: Callable[[int], R]

    def __call__(self, number: int) -> R | None:
        """The result of the task."""
        try:
            return self.task(number)
        except UnknownModelError:
            return None


class OpenShard:
    """One shard in memory: its arrangement, which is what evaluations need of its rows.

    Parameters
    ----------
    reference : ModelSpec
        The model of the rows that the encoding was learned from.
    read : callable
        Returns that model with the rows of the shard, from its file.
    common : CommonColumns
        The effects that it shares with other shards.

    Attributes
    ----------
    read : callable
    lock : Lock
        Held while the objective given the common effects is used, whose work arrays are kept.
    """

    def __init__(self, reference: ModelSpec, read: Callable[[], ModelSpec], common: CommonColumns) -> None:
        self._reference, self.read, self._common = reference, read, common
        self.lock = Lock()
        self._arranging = Lock()
        self._model: tuple[ModelSpec, PackedArrangement] | None = None
        self._given_common: tuple[Objective, IntArray] | None = None

    def arranged(self, triangular: FloatArray) -> ModelSpec:
        """The reference model with the clusters and the arrangement of the shard, which is made when first needed.

        The design of the shard's rows, which would take as much memory again, is not kept; see `with_rows`. Of the
        arrangement, a packed form is.
        """
        with self._arranging:
            if self._model is None:
                design = self.read().design
                first = self._common.own if self._common.factors else None
                arrangement = arrange(design, triangular=aligned(triangular), first=first)
                groups = zip(self._reference.design.groups, design.groups, strict=True)
                clusters = tuple(replace(group, levels=own.levels) for group, own in groups)
                model = self._reference.with_design(replace(self._reference.design, groups=clusters))
                self._model = model, PackedArrangement.of(arrangement)
            model, packed = self._model
        model = model.with_design(model.design)
        model.__dict__["arrangement"] = packed.unpacked()
        return model

    def objective(self, triangular: FloatArray, nodes: int) -> Objective:
        """A new objective of the shard, so that the work arrays of one shard at a time are in memory."""
        model = self.arranged(triangular)
        return Objective(model, integrator(model.design, nodes)(model.arrangement), penalised=False)

    def evaluated(self, triangular: FloatArray, nodes: int, psi: FloatArray) -> tuple[Objective, Point]:
        """An objective of the shard after its evaluation at a vector.

        It is a new one: the modes are searched for from zero, so that a value depends on the vector alone.
        """
        objective = self.objective(triangular, nodes)
        return objective, objective.evaluate(psi)

    def given_common_effects(self, triangular: FloatArray) -> tuple[Objective, IntArray]:
        """The objective of a shard that shares effects with others, and its columns of these effects.

        Its work arrays are kept from one round to the next, which goes on with what is in them.
        """
        if self._given_common is None:
            model = self.arranged(triangular)
            objective = Objective(model, GivenCommonEffects(model.arrangement), penalised=False)
            self._given_common = objective, self._common.of_shard(model.design, model.arrangement)
        return self._given_common


class _Opened:
    """The shards of a model that this process has read."""

    def __init__(self, content: bytes) -> None:
        folder, manifest, reference = pickle.loads(content)
        self._folder: Path = folder
        self._manifest: Manifest = manifest
        self._reference: ModelSpec = reference
        self._shards: dict[int, OpenShard] = {}
        self._lock = Lock()

    def shard(self, number: int) -> OpenShard:
        """A shard, which is read if this process has not yet done so."""
        with self._lock:
            if number not in self._shards:
                common = CommonColumns.of(self._reference.design, self._manifest.group)
                self._shards[number] = OpenShard(self._reference, partial(self.read, number), common)
            return self._shards[number]

    def read(self, number: int) -> ModelSpec:
        """The reference model with the rows of a shard, which are not kept.

        Raises
        ------
        DesignError
            If they cannot be encoded as those of the reference model.
        """
        frame = read_shard(self._folder, self._manifest, number, self._reference.formula.columns)
        try:
            return encoded(self._reference, frame)
        except PredictionError as error:
            raise DesignError(
                f"{self._manifest.shards[number].file} has rows that cannot be encoded as the "
                f"{self._reference.design.n_rows:,} rows of all shards from which the encoding was learned: {error}"
            ) from error


def encoded(reference: ModelSpec, frame: pd.DataFrame) -> ModelSpec:
    """A model with the complete rows of a shard, encoded as its own are.

    Parameters
    ----------
    reference : ModelSpec
        Of other rows.
    frame : pandas.DataFrame
        All rows of the shard, with the columns of the formula.
    """
    formula = reference.formula
    table = complete_rows(frame[[name for name in formula.columns if name in frame]], formula)
    assert table is not None  # shards without complete rows are left out
    clusters = {column for term in formula.random for column in term.group}
    table = replace(table, frame=with_whole_labels(table.frame, clusters))
    return reference.with_design(_encoded(reference.design, table))


def with_rows(objective: Objective, frame: pd.DataFrame) -> Objective:
    """An objective of a shard, as it was evaluated last, with the rows in its design, from a file.

    Parameters
    ----------
    objective : Objective
    frame : pandas.DataFrame
        All rows of the shard, with the columns of the formula.
    """
    model = encoded(objective.model, frame)
    model.__dict__["arrangement"] = objective.model.arrangement
    return Objective(model, objective.likelihood, penalised=False)


def _encoded(design: Design, table: Any) -> Design:
    """The design of a shard's rows, encoded as the reference rows are."""
    encoded = design.encode(table.frame, {group.name: "average" for group in design.groups})
    groups = []
    for group in design.groups:
        levels, index = levels_of(table.frame, group.columns)
        groups.append(replace(group, levels=levels, index=index, Z=encoded.groups[group.name].Z))
    outcome = design.encode_outcome(table.frame)
    return replace(design, outcome=outcome, X=encoded.X, offset=encoded.offset, groups=tuple(groups), table=table)


_opened: OrderedDict[str, _Opened] = OrderedDict()
# Python may let go of a model, which calls `forget`, while this thread opens a shard of another one.
_lock = RLock()


def open_shard(recipe: Recipe, number: int) -> OpenShard:
    """A shard of a model, with the shards of the models that were used last kept in memory.

    Raises
    ------
    UnknownModelError
        If this process does not have the recipe, and is not given it.
    """
    with _lock:
        if recipe.token not in _opened:
            if recipe.content is None:
                raise UnknownModelError
            _opened[recipe.token] = _Opened(recipe.content)
            while len(_opened) > MOST_MODELS:
                _opened.popitem(last=False)
        _opened.move_to_end(recipe.token)
        model = _opened[recipe.token]
    return model.shard(number)


def forget(token: str) -> None:
    """Let go of the shards of a model that this process has read."""
    with _lock:
        _opened.pop(token, None)


@dataclass(frozen=True)
class ShardDesign:
    """What is learned from the encoded rows of a shard.

    Attributes
    ----------
    X : Moments
        Of the columns of the fixed effects.
    Z : tuple of Moments
        Of those of the random effects of each factor.
    clusters : tuple of int
        Number of clusters of each factor.
    most_trials : tuple of float
        The largest number of trials in a cluster of each factor.
    events, trials : float
    """

    X: Moments
    Z: tuple[Moments, ...]
    clusters: tuple[int, ...]
    most_trials: tuple[float, ...]
    events: float
    trials: float


@dataclass(frozen=True)
class Describe:
    """Task that encodes a shard and returns what is learned from it."""

    recipe: Recipe

    def __call__(self, number: int) -> ShardDesign:
        """The moments of the shard's design."""
        design = open_shard(self.recipe, number).read().design
        trials = design.outcome.trials
        return ShardDesign(
            Moments.of(design.X),
            tuple(Moments.of(group.Z) for group in design.groups),
            tuple(len(group.levels) for group in design.groups),
            tuple(float(np.bincount(group.index, weights=trials).max()) for group in design.groups),
            float(design.outcome.y.sum()),
            float(trials.sum()),
        )


def aligned(received: FloatArray) -> FloatArray:
    """A copy of an array that came to this process, at an address that is a multiple of the size of its numbers.

    Dask leaves arrays at any address to which a message has brought them. NumPy multiplies those by other code, whose
    results differ in the last digits.
    """
    return np.array(received)


@dataclass(frozen=True)
class OfShard[R]:
    """Task that evaluates a shard at a vector, and returns something of it.

    Attributes
    ----------
    recipe : Recipe
    triangular : ndarray, shape (p, p)
        ``R`` of the basis of the fixed effects, of all rows.
    nodes : int
    psi : ndarray
    result : callable
        Function of the objective after its evaluation, the value there, and the number of the shard.
    """

    recipe: Recipe
    triangular: FloatArray
    nodes: int
    psi: FloatArray
    result: Callable[[Objective, Point, int], R]

    def __call__(self, number: int) -> R:
        """The result for a shard."""
        shard = open_shard(self.recipe, number)
        return self.result(*shard.evaluated(self.triangular, self.nodes, aligned(self.psi)), number)


@dataclass(frozen=True)
class OfVectors[R]:
    """Task that returns something of a shard at many vectors.

    Attributes
    ----------
    recipe, triangular, nodes
        As for `OfShard`.
    psi : ndarray, shape (m, parameters)
    result : callable
        Function of a new objective, whose modes are zero, the number of nodes, the vectors, and the number of the
        shard.
    """

    recipe: Recipe
    triangular: FloatArray
    nodes: int
    psi: FloatArray
    result: Callable[[Objective, int, FloatArray, int], R]

    def __call__(self, number: int) -> R:
        """The result for a shard."""
        objective = open_shard(self.recipe, number).objective(self.triangular, self.nodes)
        return self.result(objective, self.nodes, aligned(self.psi), number)


def log_likelihoods_of_shard(objective: Objective, nodes: int, psi: FloatArray, _number: int) -> FloatArray:
    """Log-likelihoods of a shard at vectors, shape (m,)."""
    starts = range(0, len(psi), TOGETHER)
    return np.concatenate([log_likelihoods(objective, nodes, psi[start : start + TOGETHER]) for start in starts])


def points_of_shard(objective: Objective, _nodes: int, psi: FloatArray, _number: int) -> FloatArray:
    """Value, whether the modes were found, and gradient at vectors, shape (m, 2 + parameters)."""
    rows = np.empty((len(psi), 2 + psi.shape[1]))
    for row, one in zip(rows, psi, strict=True):
        objective.likelihood.work.u[:] = 0.0
        at = objective.evaluate(one)
        row[:2], row[2:] = (at.value, at.converged), at.gradient
    return rows


@dataclass(frozen=True)
class PlainTerms:
    """Task that returns the terms of a logistic regression without random effects.

    Attributes
    ----------
    recipe, triangular
        As for `OfShard`.
    gamma : ndarray, shape (p,) or None
        Coefficients of the basis; None for the terms of a linear regression of the offset.
    """

    recipe: Recipe
    triangular: FloatArray
    gamma: FloatArray | None

    def __call__(self, number: int) -> tuple[FloatArray, FloatArray]:
        """Gradient and information; for the offset, its products with the columns, and those of the columns."""
        row_index = open_shard(self.recipe, number).arranged(self.triangular).arrangement.row_index
        if self.gamma is None:
            return row_index.X.T @ row_index.offset, row_index.X.T @ row_index.X
        return plain_terms(row_index, aligned(self.gamma))


def point(_objective: Objective, at: Point, _number: int) -> Point:
    """The value and the gradient."""
    return at


def information(objective: Objective, _at: Point, _number: int) -> FloatArray:
    """The information about the coefficients of the basis."""
    return objective.fixed_information()


@dataclass(frozen=True)
class WriteEffects:
    """Result of a task that writes the conditional modes of a factor to a file.

    Attributes
    ----------
    folder : Path
    files : tuple of str
        Name of the file of each shard.
    group : int
        Position of the factor.
    """

    folder: Path
    files: tuple[str, ...]
    group: int

    def __call__(self, objective: Objective, at: Point, number: int) -> int:
        """Number of clusters that were written."""
        laplace = objective.laplace_at(at.psi, objective.modes())
        arrangement, work = laplace.arrangement, laplace.work
        group, place = objective.model.design.groups[self.group], arrangement.positions[self.group]
        sds = np.sqrt(effect_variances(arrangement.row_index, work)[place])
        write_modes(self.folder / self.files[number], group, work.b[place], sds)
        return len(group.levels)


def write_modes(file: Path, group: GroupBlock, modes: FloatArray, sds: FloatArray) -> None:
    """Write conditional modes and sds of the effects of a factor's clusters, each of shape (J, q), to a file."""
    write_effects(file, group, {"mode": modes.ravel(), "conditional_sd": sds.ravel()})


def write_effects(file: Path, group: GroupBlock, columns: Mapping[str, FloatArray]) -> None:
    """Write columns about the effects of a factor's clusters, cluster by cluster, to a file."""
    names = {
        "level": np.repeat(group.levels, len(group.effects)),
        "effect": np.tile(np.array(group.effects, dtype=object), len(group.levels)),
    }
    pd.DataFrame({**names, **columns}).to_parquet(file, index=False)
