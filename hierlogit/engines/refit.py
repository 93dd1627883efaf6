"""The search of a likelihood fit again, on other outcomes or without some rows: milliseconds each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..density.layout import Arrangement
from ..errors import FitError
from ..estimate import Estimate
from ..fit import Fit
from ..model import Model
from . import Engine
from .agq import AGQ
from .integrator import integrator
from .laplace import Laplace
from .likelihood import Approach, Found, estimate_at, laplace_at
from .maximum_posterior import MAP
from .problem import Point, Problem
from .search import maximise
from .start import directions, starting_point

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


@dataclass(frozen=True)
class Refit:
    """Where a search ended.

    Attributes
    ----------
    estimate : Estimate
    converged : bool
        Whether it is a maximum.
    """

    estimate: Estimate
    converged: bool

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


class Refitter:
    """Repeats the search of a fit.

    It starts where the fit ended, unless that is at a boundary, which is a place with no slope.

    Parameters
    ----------
    model : Model
    estimate : Estimate
        What a likelihood engine found for it.
    """

    def __init__(self, model: Model, estimate: Estimate) -> None:
        self._model, self._estimate = model, estimate
        likelihood = integrator(model.design, estimate.nodes)
        self._approach = Approach("refit", estimate.method, estimate.nodes, estimate.penalised, likelihood)

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
        outcome = self._model.design.outcome
        kept = ~rows
        return self._refit(self._model.arrangement.with_counts(outcome.y * kept, outcome.trials * kept))

    def _refit(self, arrangement: Arrangement) -> Refit:
        problem = Problem(self._model, self._approach.likelihood(arrangement), penalised=self._approach.penalised)
        peak = maximise(problem, *self._start(problem))
        found = Found(problem, peak, laplace_at(problem, peak))
        return Refit(estimate_at(self._approach, found), peak.converged)

    def _start(self, problem: Problem) -> tuple[Point, FloatArray]:
        found = self._estimate
        if found.boundary:
            return starting_point(problem)
        roots = [found.roots[group.name] for group in self._model.design.groups]
        psi = problem.with_roots(np.concatenate([found.beta, np.zeros(len(problem.entries))]), roots)
        point = problem.evaluate(psi)
        return point, directions(problem, point)
