"""The log-likelihood of shards that have effects in common, by Laplace's method, exact as with all rows in memory.

The modes of the common effects are found here, by Newton's method: each round adds up the shares of the shards, which
find the modes of their own clusters and eliminate them (`hierlogit.density.marginal.common_effects`). Two more rounds
add up the gradient. A search for modes begins at those of the evaluation before it, a sequence that is the same for any
workers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..density.marginal.common_effects import AtMode, GivenCommonEffects, JointShare
from ..density.marginal.conditional_mode import MANY_STEPS, MOST_HALVINGS, MOST_STEPS, TOLERANCE
from ..density.marginal.evaluation import MODE_TOLERANCE
from .objective import Sums
from .opened import Recipe, aligned, open_shard, point, write_modes

if TYPE_CHECKING:
    from ..engines.maximum.objective import Objective, Point
    from ..estimate import Estimate
    from .common_columns import CommonColumns

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Bytes of the shares of Schur complements that are held at a time.
SHARES = 2**29
#: File with the effects of a factor that crosses the shards.
CLUSTERS = "clusters.parquet"
_NONE: FloatArray = np.empty(0)


@dataclass(frozen=True)
class OfCrossedShard[R]:
    """Task that returns something of a shard at a vector and common effects.

    Attributes
    ----------
    recipe : Recipe
    triangular : ndarray, shape (p, p)
    psi : ndarray
    common : AtMode
        For all shards.
    result : callable
        Function of the shard's objective, the vector, the shard's columns of the common effects, what `common` has of
        them, and the number of the shard.
    """

    recipe: Recipe
    triangular: FloatArray
    psi: FloatArray
    common: AtMode
    result: Callable[[Objective, FloatArray, IntArray, AtMode, int], R]

    def __call__(self, number: int) -> R:
        """The result for a shard."""
        shard = open_shard(self.recipe, number)
        with shard.lock:
            objective, columns = shard.given_common_effects(self.triangular)
            inverse, moves = self.common.inverse, self.common.moves
            common = AtMode(
                self.common.effects[columns],
                inverse[np.ix_(columns, columns)] if len(inverse) else inverse,
                moves[columns] if len(moves) else moves,
            )
            return self.result(objective, aligned(self.psi), columns, common, number)


def _likelihood(objective: Objective, psi: FloatArray) -> tuple[GivenCommonEffects, FloatArray, FloatArray]:
    """The likelihood of a shard, with the coefficients of the basis and flat Cholesky factors of a vector."""
    likelihood = objective.likelihood
    assert isinstance(likelihood, GivenCommonEffects)
    return likelihood, objective.triangular @ psi[: objective.p], objective.flat_cholesky(psi)


def _joint(
    objective: Objective, psi: FloatArray, columns: IntArray, common: AtMode, _number: int
) -> tuple[IntArray, JointShare]:
    likelihood, gamma, cholesky = _likelihood(objective, psi)
    return columns, likelihood.joint(gamma, cholesky, common.effects)


def _start(
    objective: Objective, psi: FloatArray, columns: IntArray, common: AtMode, _number: int
) -> tuple[IntArray, FloatArray]:
    likelihood, gamma, cholesky = _likelihood(objective, psi)
    return columns, likelihood.start(gamma, cholesky, common)


def _information(
    objective: Objective, psi: FloatArray, columns: IntArray, common: AtMode, _number: int
) -> tuple[IntArray, FloatArray, FloatArray]:
    likelihood, gamma, cholesky = _likelihood(objective, psi)
    return columns, *likelihood.information(gamma, cholesky, common.effects)


@dataclass(frozen=True)
class _Evaluated[R]:
    """Result of a shard that has been evaluated with its gradient."""

    result: Callable[[Objective, Point, int], R]

    def __call__(self, objective: Objective, psi: FloatArray, _columns: IntArray, common: AtMode, number: int) -> R:
        likelihood, _, _ = _likelihood(objective, psi)
        likelihood.common = common
        objective.forget()
        return self.result(objective, objective.evaluate(psi), number)


@dataclass(frozen=True)
class _Joint:
    """The joint log density of all shards at common effects, as a function of these alone.

    Attributes
    ----------
    effects : ndarray, shape (K,)
    value : float
    score : ndarray, shape (K,)
        Its gradient.
    schur : ndarray, shape (K, K)
        Its negative Hessian.
    log_det : float
        log|D| of all shards.
    converged : bool
    """

    effects: FloatArray
    value: float
    score: FloatArray
    schur: FloatArray
    log_det: float
    converged: bool


@dataclass(frozen=True)
class _Found:
    """The modes of the common effects at a vector.

    Attributes
    ----------
    psi : ndarray
    log_likelihood : float
    common : AtMode
    converged : bool
    """

    psi: FloatArray
    log_likelihood: float
    common: AtMode
    converged: bool


@dataclass(frozen=True)
class CrossedSums(Sums):
    """Evaluates shards that have effects in common, and adds up the results.

    Attributes
    ----------
    recipe, numbers, triangular, executor
        As for `Sums`.
    common : CommonColumns
    """

    common: CommonColumns = field(kw_only=True)
    #: The common effects at which the next search for modes begins.
    _start: list[FloatArray] = field(default_factory=list, init=False, compare=False, repr=False)
    #: The modes that were found last; those of another executor's search are not among them.
    _last: list[_Found] = field(default_factory=list, init=False, compare=False, repr=False)

    @property
    def crossing(self) -> tuple[str, ...]:
        """The factors that cross the shards."""
        return tuple(group.name for group in self.common.groups)

    def evaluate(self, nodes: int, psi: FloatArray) -> tuple[float, FloatArray, bool]:
        """Log-likelihood, its gradient, and whether all modes were found, at a vector."""

        def total() -> tuple[FloatArray, ...]:
            found = self._found(psi)
            gradient, converged = np.zeros(len(psi)), found.converged
            for one in self.results(nodes, psi, point):
                gradient, converged = gradient + one.gradient, converged and one.converged
            return np.array([found.log_likelihood, converged]), gradient, found.common.effects

        (value, converged), gradient, effects = self.rounds.result("value", nodes, psi, total)
        self._start[:] = [effects]
        return float(value), gradient, bool(converged)

    def results[R](self, nodes: int, psi: FloatArray, result: Callable[[Objective, Point, int], R]) -> list[R]:  # noqa: ARG002
        """The results of all shards at a vector, in the order of their numbers.

        The value and gradient that a result is given are the shard's share, without the density of the common effects.
        """
        found = self._found(psi)
        moves = found.common.moves
        if not len(moves):
            solved = np.zeros(len(self.common))
            for columns, share in self._at(psi, found.common, _start):
                solved[columns] += share
            moves = found.common.inverse @ solved
        common = AtMode(found.common.effects, found.common.inverse, moves)
        self._last[:] = [_Found(psi, found.log_likelihood, common, found.converged)]
        return self._at(psi, common, _Evaluated(result))

    def information(self, nodes: int, psi: FloatArray) -> FloatArray:
        """Information about the coefficients of the orthogonal basis at a vector, shape (p, p)."""
        (found,) = self.rounds.result("information", nodes, psi, lambda: (self._information(psi),))
        return found

    def _information(self, psi: FloatArray) -> FloatArray:
        common = self._found(psi).common
        total, crossed = np.zeros_like(self.triangular), np.zeros((len(self.triangular), len(self.common)))
        for columns, share, with_common in self._at(psi, common, _information):
            total += share
            crossed[:, columns] += with_common
        remaining: FloatArray = total - crossed @ common.inverse @ crossed.T
        return remaining

    def write_modes(self, estimate: Estimate, factor: int, folder: Path, files: tuple[str, ...]) -> None:
        """Write the conditional modes of a factor's clusters; those of a factor that crosses the shards to one file."""
        if factor not in self.common.factors:
            super().write_modes(estimate, factor, folder, files)
            return
        common, columns = self._found(estimate.vector).common, self.common.of_factor(factor)
        group = self.common.groups[self.common.factors.index(factor)]
        L = estimate.cholesky[group.name]
        covariances = L @ common.inverse[columns[:, :, None], columns[:, None, :]] @ L.T
        sds = np.sqrt(np.einsum("jaa->ja", covariances))
        write_modes(folder / CLUSTERS, group, common.effects[columns] @ L.T, sds)

    def _at[R](
        self,
        psi: FloatArray,
        common: AtMode,
        result: Callable[[Objective, FloatArray, IntArray, AtMode, int], R],
        numbers: tuple[int, ...] | None = None,
    ) -> list[R]:
        return self._round(lambda recipe: OfCrossedShard(recipe, self.triangular, psi, common, result), numbers)

    def _found(self, psi: FloatArray) -> _Found:
        """The modes at a vector, by Newton's method."""
        if self._last and np.array_equal(self._last[0].psi, psi):
            return self._last[0]
        here = self._joint(psi, self._start[0] if self._start else np.zeros(len(self.common)))
        converged = False
        for step in range(MOST_STEPS):
            inverse, log_det = _inverse(here.schur)
            move = inverse @ here.score
            decrement = float(here.score @ move)
            converged = decrement <= (TOLERANCE if step < MANY_STEPS else MODE_TOLERANCE)
            if converged or not np.isfinite(decrement):
                break
            here = self._ascended(psi, here, move)
        value = here.value - 0.5 * (here.log_det + log_det)
        found = _Found(psi.copy(), value, AtMode(here.effects, inverse, _NONE), converged and here.converged)
        if np.isfinite(value):
            self._last[:] = [found]
        return found

    def _ascended(self, psi: FloatArray, here: _Joint, move: FloatArray) -> _Joint:
        """After a step, halved until the joint log density is not lower than before."""
        fraction = 1.0
        for _ in range(MOST_HALVINGS):
            there = self._joint(psi, here.effects + fraction * move)
            if there.value >= here.value - 1e-12 * abs(here.value):
                break
            fraction *= 0.5
        return there

    def _joint(self, psi: FloatArray, effects: FloatArray) -> _Joint:
        """The shares of all shards, added up in the order of their numbers."""
        size = len(effects)
        value, log_det, converged = -0.5 * float(effects @ effects), 0.0, True
        score, schur = -effects, np.eye(size)
        at_a_time = max(1, SHARES // (4 * size * (size + 1)))
        for first in range(0, len(self.numbers), at_a_time):
            numbers = self.numbers[first : first + at_a_time]
            for columns, share in self._at(psi, AtMode(effects, np.empty((0, 0)), _NONE), _joint, numbers):
                value, log_det = value + share.log_joint, log_det + share.log_det
                converged = converged and share.converged
                score[columns] += share.score
                schur[np.ix_(columns, columns)] += _symmetric(share.schur, len(columns))
        return _Joint(effects, value, score, schur, log_det, converged)


def _symmetric(lower: FloatArray, size: int) -> FloatArray:
    """A matrix from its lower triangle, row by row."""
    matrix = np.zeros((size, size))
    matrix[np.tril_indices(size)] = lower
    matrix += np.tril(matrix, -1).T
    return matrix


def _inverse(matrix: FloatArray) -> tuple[FloatArray, float]:
    """The inverse and the log-determinant of a positive definite matrix; NaN of others."""
    from scipy.linalg.lapack import dpotrf, dpotri

    factor, failed = dpotrf(matrix, lower=1)
    if failed or not np.isfinite(factor).all():
        return np.full_like(matrix, np.nan), np.nan
    log_det = 2.0 * float(np.log(np.diag(factor)).sum())
    inverse = np.tril(dpotri(factor, lower=1)[0])
    return np.ascontiguousarray(inverse + np.tril(inverse, -1).T), log_det
