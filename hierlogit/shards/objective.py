"""The log-likelihood of all shards as an objective of the search that fits in memory use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..engines.importance.nodes import FEWEST
from ..engines.maximum.integrator import integrator
from ..engines.maximum.objective import Objective, Point
from ..engines.maximum.starting_values import ridge_regression, root_of
from ..errors import EngineError
from ..parallel.tasks import all_results
from .moments import joined
from .opened import (
    IfKnown,
    OfShard,
    OfVectors,
    PlainTerms,
    ShardDesign,
    WriteEffects,
    information,
    log_likelihoods_of_shard,
    point,
    points_of_shard,
)
from .rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from ..design.design import Design
    from ..design.grouping import GroupBlock
    from ..estimate import Estimate
    from ..model_spec import ModelSpec
    from ..parallel.workers import AnyExecutor
    from .opened import Recipe

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Evaluates shards where they are, and adds up the results.

    Attributes
    ----------
    recipe : Recipe
    numbers : tuple of int
        The shards that have complete rows.
    triangular : ndarray, shape (p, p)
        ``R`` of the basis of the fixed effects' columns, of all rows.
    executor : concurrent.futures.Executor, distributed.Client or None
    rounds : Rounds
        Those of the search that asks for the sums.
    places : dict of int to str
        The workers that have the rows of the shards in memory.
    what : str or None
        Text of a progress bar over the shards; None for a search, which shows its rounds.
    """

    recipe: Recipe
    numbers: tuple[int, ...]
    triangular: FloatArray
    executor: AnyExecutor | None
    rounds: Rounds = field(default_factory=lambda: Rounds(None, {}))
    places: dict[int, str] = field(default_factory=dict, compare=False, repr=False)
    what: str | None = None

    @property
    def crossing(self) -> tuple[str, ...]:
        """The factors that cross the shards."""
        return ()

    def by(self, executor: AnyExecutor | None, what: str | None = None) -> Sums:
        """The same, evaluated by another executor, under a progress bar with the text `what`."""
        return replace(self, executor=executor, what=what)

    def kept_in(self, rounds: Rounds) -> Sums:
        """The same for a search whose rounds are kept."""
        return replace(self, rounds=rounds)

    def results[R](self, nodes: int, psi: FloatArray, result: Callable[[Objective, Point, int], R]) -> list[R]:
        """The results of all shards at a vector, in the order of their numbers."""
        return self._round(lambda recipe: OfShard(recipe, self.triangular, nodes, psi, result))

    def results_at[R](
        self, nodes: int, psi: FloatArray, result: Callable[[Objective, int, FloatArray, int], R]
    ) -> list[R]:
        """The results of all shards at vectors of shape (m, parameters), in the order of their numbers."""
        return self._round(lambda recipe: OfVectors(recipe, self.triangular, nodes, psi, result))

    def _round[R](
        self, task: Callable[[Recipe], Callable[[int], R]], numbers: tuple[int, ...] | None = None
    ) -> list[R]:
        """The results of a task for all shards, or some of them, in the order of their numbers.

        The recipe is a hundred times the size of the rest of a task. It is sent only for shards that came to a process
        which does not know the model: at first, after a worker was replaced, or after other models took its place. Only
        Dask lets one choose the process that a task comes to, so that the process itself has to answer.
        """
        known = IfKnown(task(self.recipe.without_content))
        found = all_results(
            known, self.numbers if numbers is None else numbers, self.executor, self.what, places=self.places
        )
        if unknown := [number for number, one in found.items() if one is None]:
            found.update(all_results(task(self.recipe), unknown, self.executor, self.what, places=self.places))
        return [one for one in found.values() if one is not None]

    def plain_regression(self, nodes: int) -> FloatArray:
        """Coefficients of the logistic regression without random effects, slightly shrunken; shape (p,)."""
        if not len(self.triangular):
            return np.empty(0)
        of_offset, products = self._plain_terms(nodes, None)
        # Offsets that the columns can make up for, however large, leave the search where it would begin without them.
        origin = -np.linalg.solve(products, of_offset) if of_offset.any() else np.zeros(len(of_offset))
        gamma = ridge_regression(lambda at: self._plain_terms(nodes, at), origin)
        return np.linalg.solve(self.triangular, gamma)

    def plain_root(self, nodes: int, beta: FloatArray) -> FloatArray:
        """A matrix R for which ``R'R`` is the information of a regression without random effects, shape (p, p)."""
        if not len(self.triangular):
            return np.empty((0, 0))
        return root_of(self._plain_terms(nodes, self.triangular @ beta)[1]) @ self.triangular

    def _plain_terms(self, nodes: int, gamma: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        def total() -> tuple[FloatArray, ...]:
            terms = self._round(lambda recipe: PlainTerms(recipe, self.triangular, gamma))
            gradients, informations = zip(*terms, strict=True)
            return sum(gradients[1:], gradients[0]), sum(informations[1:], informations[0])

        gradient, information = self.rounds.result("plain", nodes, np.empty(0) if gamma is None else gamma, total)
        return gradient, information

    def write_modes(self, estimate: Estimate, factor: int, folder: Path, files: tuple[str, ...]) -> None:
        """Write the conditional modes of a factor's clusters into a folder, a file for each shard.

        Parameters
        ----------
        estimate : Estimate
        factor : int
            Position of the factor.
        folder : Path
        files : tuple of str
            Name of the file of each shard.
        """
        self.results(estimate.nodes, estimate.vector, WriteEffects(folder, files, factor))

    def evaluate(self, nodes: int, psi: FloatArray) -> tuple[float, FloatArray, bool]:
        """Log-likelihood, its gradient, and whether all modes were found, at a vector.

        They are added up in the order of the shards: the same whatever the workers.
        """

        def total() -> tuple[FloatArray, ...]:
            value, gradient, converged = 0.0, np.zeros(len(psi)), True
            for one in self.results(nodes, psi, point):
                value, gradient, converged = value + one.value, gradient + one.gradient, converged and one.converged
            return np.array([value, converged]), gradient

        (value, converged), gradient = self.rounds.result("value", nodes, psi, total)
        return float(value), gradient, bool(converged)

    def evaluate_all(self, nodes: int, psi: FloatArray) -> list[tuple[float, FloatArray, bool]]:
        """What `evaluate` returns, at each of some vectors of shape (m, parameters), in one round."""

        def total() -> tuple[FloatArray, ...]:
            first, *others = self.results_at(nodes, psi, points_of_shard)
            rows = sum(others, first)
            rows[:, 1] = rows[:, 1] == 1 + len(others)
            return (rows,)

        (rows,) = self.rounds.result("values", nodes, psi, total)
        return [(float(row[0]), row[2:].copy(), bool(row[1])) for row in rows]

    def log_likelihoods(self, nodes: int, psi: FloatArray) -> FloatArray:
        """Log-likelihoods at vectors of shape (m, parameters), shape (m,), in one round."""

        def total() -> tuple[FloatArray, ...]:
            first, *others = self.results_at(nodes, psi, log_likelihoods_of_shard)
            return (sum(others, first),)

        (values,) = self.rounds.result("log-likelihoods", nodes, psi, total)
        return values

    def information(self, nodes: int, psi: FloatArray) -> FloatArray:
        """Information about the coefficients of the orthogonal basis at a vector, shape (p, p)."""

        def total() -> tuple[FloatArray, ...]:
            first, *others = self.results(nodes, psi, information)
            return (sum(others, first),)

        (found,) = self.rounds.result("information", nodes, psi, total)
        return found


class ShardedObjective(Objective):
    """The log-likelihood of all shards, or their log posterior density.

    Parameters
    ----------
    model : ModelSpec
        Its design is that of `whole_design`.
    reference : Objective
        Of the rows that the encoding was learned from, which has the same parameters.
    single_trials : list of GroupBlock
        Factors with a single trial in each cluster.
    sums : Sums
    nodes : int
        Quadrature nodes; 1 for Laplace's method.
    """

    profile = "fit.summary(interval='profile')"

    def __init__(
        self, model: ModelSpec, reference: Objective, single_trials: list[GroupBlock], sums: Sums, nodes: int
    ) -> None:
        self.__dict__.update(reference.__dict__)
        self.model, self.sums, self.nodes = model, sums, nodes
        self.sampler = _sampler(reference.model.design, sums.crossing)
        self._show: Callable[[int, str], None] | None = None
        self.scale_effects()
        self.single_trials = single_trials
        self.evaluations = 0
        self._last = None

    def follow(self, rounds: Rounds, show: Callable[[int, str], None]) -> None:
        """Keep the sums of a search that begins now, and show its rounds.

        Parameters
        ----------
        rounds : Rounds
        show : callable
            Takes the number of the round and what was found in it, as from `hierlogit.progress.steps`.
        """
        self.sums, self._show = self.sums.kept_in(rounds), show

    @property
    def triangular(self) -> FloatArray:
        """``R`` of the orthogonal basis of the fixed effects' columns of all rows, shape (p, p)."""
        return self.sums.triangular

    def evaluate(self, psi: FloatArray) -> Point:
        """Value and gradient at a vector."""
        if self._last is not None and np.array_equal(psi, self._last.psi):
            return self._last
        self.evaluations += 1
        self._last = self.evaluate_with(self.nodes, psi)
        if self._show is not None:
            steepest = float(np.abs(self._last.gradient).max(initial=0.0))
            self._show(self.evaluations, f"log-likelihood {self._last.log_likelihood:,.3f}, gradient {steepest:.2g}")
        return self._last

    def evaluate_with(self, nodes: int, psi: FloatArray) -> Point:
        """Value and gradient at a vector, by quadrature with another number of nodes."""
        return self.point(psi, *self.sums.evaluate(nodes, psi))

    def evaluate_all(self, psi: FloatArray) -> list[Point]:
        """Values and gradients at vectors of shape (m, parameters)."""
        found = self.sums.evaluate_all(self.nodes, psi)
        return [self.point(one, *values) for one, values in zip(psi, found, strict=True)]

    def plain_regression(self) -> tuple[FloatArray, FloatArray | None]:
        """The regression without random effects that `starting_point` takes."""
        beta = self.sums.plain_regression(self.nodes)
        return beta, self.sums.plain_root(self.nodes, beta) if self.penalised else None

    @property
    def interrupted(self) -> str:
        """How far a search got that is interrupted now."""
        if self._last is None:
            return f"the fit of the shards was interrupted before its first round; {self.sums.rounds.stored}"
        reached = f"in round {self.evaluations}, at a log-likelihood of {self._last.log_likelihood:,.2f}"
        return f"the fit of the shards was interrupted {reached}; {self.sums.rounds.stored}"

    def fixed_information(self) -> FloatArray:
        """Information about the coefficients of the orthogonal basis at the last evaluation, shape (p, p)."""
        assert self._last is not None
        return self.sums.information(self.nodes, self._last.psi)

    def modes(self) -> FloatArray:
        """No modes: those of the clusters stay with the shards."""
        return np.empty(0)


def _sampler(design: Design, crossing: Collection[str]) -> str:
    """Importance sampling, if quadrature can integrate out the effects; nothing otherwise."""
    if crossing:
        return ""
    try:
        integrator(design, FEWEST)
    except EngineError:
        return ""
    return "hl.ImportanceSampling()"


def whole_design(reference: Design, parts: Sequence[ShardDesign], crossing: Collection[int]) -> Design:
    """A design with few rows that has the numbers of clusters and the moments of the columns of all rows.

    The mean products of the columns of its rows are those of all rows, so that mean squares of linear predictors are
    those of all rows too. Its outcomes and the clusters of its rows mean nothing.

    Parameters
    ----------
    reference : Design
        Of the rows that the encoding was learned from.
    parts : sequence of ShardDesign
        What was learned from each shard.
    crossing : collection of int
        Positions of the factors that cross the shards, whose clusters the reference has.
    """
    X = joined([part.X for part in parts])
    groups = []
    for g, group in enumerate(reference.groups):
        Z = joined([part.Z[g] for part in parts])
        count = len(group.levels) if g in crossing else sum(part.clusters[g] for part in parts)
        rows = Z.representative
        whole = replace(group, levels=np.arange(count), index=np.zeros(len(rows), dtype=np.intp), Z=rows, counts=None)
        whole.__dict__.update(column_sds=Z.sds, column_ranges=(Z.low, Z.high, Z.mean))
        groups.append(whole)
    rows = X.representative
    design = replace(reference, X=rows, offset=np.zeros(len(rows)), groups=tuple(groups))
    design.__dict__.update(column_sds=X.sds, column_means=X.mean)
    return design
