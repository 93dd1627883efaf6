"""The search of a likelihood fit again, on other outcomes or without some rows: milliseconds each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...design.arrangement import Arrangement
from ...errors import EngineError, FitError
from ...estimate import Estimate
from ...fits.diagnostics import Diagnostics
from ...fits.fit import Fit
from ...model_spec import ModelSpec
from ...validation import quoted_list
from ..engine import Engine
from .agq import AGQ
from .convergence import unbounded_effects
from .fit_by_likelihood import estimate_at
from .gaussian_draws import groups_of, sample
from .laplace import Laplace
from .map import MAP
from .objective import Objective, Point
from .optimizer import maximise
from .search_result import Approach, SearchResult
from .starting_values import directions, starting_point

if TYPE_CHECKING:
    import xarray as xr

FloatArray = npt.NDArray[np.float64]


def maximum_of(fit: Fit) -> Estimate:
    """The maximum that a likelihood engine found.

    Raises
    ------
    FitError
        If the fit is one by a sampler.
    """
    if fit.estimate is None:
        raise FitError(
            "this needs a maximum to start from, and the fit is one by a sampler: fit the model with hl.Laplace(), "
            "hl.AGQ() or hl.MAP()."
        )
    return fit.estimate


def likelihood_engine(estimate: Estimate, seed: int) -> Engine:
    """The engine that finds such an estimate."""
    if estimate.penalised:
        return MAP(nodes=estimate.nodes, seed=seed)
    return Laplace(seed=seed) if estimate.nodes == 1 else AGQ(nodes=estimate.nodes, seed=seed)


def approach_of(engine: Engine, model: ModelSpec) -> Approach:
    """How a likelihood engine integrates and what it maximises.

    Raises
    ------
    EngineError
        If the engine is none of a likelihood, or cannot do the model's random effects.
    """
    if not isinstance(engine, (Laplace, AGQ, MAP)):
        raise EngineError(f"this needs hl.Laplace(), hl.AGQ() or hl.MAP(); got {engine!r}.")
    nodes = 1 if isinstance(engine, Laplace) else engine.nodes
    return Approach.of(type(engine).__name__, model.design, nodes, penalised=isinstance(engine, MAP))


def search(model: ModelSpec, approach: Approach) -> Refit:
    """The search of a likelihood engine, without the findings and draws of a fit."""
    problem = Objective(model, approach.likelihood(model.arrangement), penalised=approach.penalised)
    peak = maximise(problem, *starting_point(problem))
    return ended(SearchResult(problem, peak, problem.laplace_at(peak.point.psi, peak.modes)), approach)


def ended(found: SearchResult, approach: Approach) -> Refit:
    """Where a search ended, with what the outcomes do not bound."""
    unbounded = unbounded_effects(found.problem, found.peak, approach)
    found.problem.evaluate(found.peak.point.psi)  # so that the work arrays hold the peak again
    return Refit(estimate_at(approach, found), found.peak.converged, unbounded)


@dataclass(frozen=True)
class Refit:
    """Where a search ended.

    Attributes
    ----------
    estimate : Estimate
    converged : bool
        Whether it is a maximum.
    unbounded : tuple of str
        Fixed effects that the outcomes do not bound: the maximum is then no more than where the search stopped.
    """

    estimate: Estimate
    converged: bool
    unbounded: tuple[str, ...] = ()

    def maximum(self) -> Estimate:
        """The estimate.

        Raises
        ------
        FitError
            If it is no maximum.
        """
        if not self.converged:
            raise FitError("the search did not end at a maximum.")
        return self.estimate

    def bounded_maximum(self) -> Estimate:
        """The estimate.

        Raises
        ------
        FitError
            If it is no maximum, or one at infinity.
        """
        if self.unbounded:
            raise FitError(f"these outcomes do not bound {quoted_list(self.unbounded)}.")
        return self.maximum()


class Refitter:
    """Repeats the search of a fit.

    It starts where the fit ended, unless that is at a boundary, which is a place with no slope.

    Parameters
    ----------
    model : Model
    estimate : Estimate
        What a likelihood engine found for it.
    """

    def __init__(self, model: ModelSpec, estimate: Estimate) -> None:
        self._model, self._estimate = model, estimate
        self._approach = Approach.of("refit", model.design, estimate.nodes, penalised=estimate.penalised)

    @classmethod
    def of(cls, fit: Fit) -> Refitter:
        """For the search of a fit by a likelihood engine.

        Raises
        ------
        FitError
            If the fit has no maximum to start from.
        """
        return cls(fit.model, maximum_of(fit))

    def __reduce__(self) -> tuple[object, ...]:
        return (Refitter, (self._model, self._estimate))

    def with_outcome(self, y: FloatArray) -> Refit:
        """With other successes, shape (n,)."""
        return self._refit(self._model.arrangement.with_counts(y, self._model.design.outcome.trials))

    def without(self, rows: npt.NDArray[np.bool_]) -> Refit:
        """Without the rows that are True; shape (n,)."""
        return self._refit(self._arrangement_without(rows))

    def fit_without(self, rows: npt.NDArray[np.bool_], draws: int, seed: int) -> Fit:
        """The same as a fit of the whole model, of which these rows say nothing, with draws that are made when read.

        Raises
        ------
        FitError
            If the search does not end at a maximum, or at one at infinity.
        """
        found, model, penalised = self._found(self._arrangement_without(rows)), self._model, self._approach.penalised
        estimate = ended(found, self._approach).bounded_maximum()

        def data() -> xr.DataTree:
            return groups_of(model, found, sample(found, draws, seed, penalised=penalised), penalised=penalised)

        engine = type(likelihood_engine(estimate, seed)).__name__
        return Fit(model, data, Diagnostics(engine, exact=False, status="converged", seed=seed), estimate)

    def _arrangement_without(self, rows: npt.NDArray[np.bool_]) -> Arrangement:
        outcome = self._model.design.outcome
        kept = ~rows
        return self._model.arrangement.with_counts(outcome.y * kept, outcome.trials * kept)

    def _refit(self, arrangement: Arrangement) -> Refit:
        return ended(self._found(arrangement), self._approach)

    def _found(self, arrangement: Arrangement) -> SearchResult:
        problem = Objective(self._model, self._approach.likelihood(arrangement), penalised=self._approach.penalised)
        peak = maximise(problem, *self._start(problem))
        return SearchResult(problem, peak, problem.laplace_at(peak.point.psi, peak.modes))

    def _start(self, problem: Objective) -> tuple[Point, FloatArray]:
        if self._estimate.boundary:
            return starting_point(problem)
        point = problem.evaluate(problem.at(self._estimate))
        return point, directions(problem, point)
