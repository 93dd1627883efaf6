"""The search of a likelihood fit again, on other outcomes or without some rows: milliseconds each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..density.layout import Arrangement
from ..errors import FitError
from ..estimate import Estimate
from ..fit import Fit
from .integrator import integrator
from .likelihood import Approach, Found, estimate_at, laplace_at
from .problem import Point, Problem
from .search import maximise
from .start import directions, starting_point

FloatArray = npt.NDArray[np.float64]


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


class Refitter:
    """Repeats the search of a fit.

    It starts where the fit ended, unless that is at a boundary, which is a place with no slope.

    Parameters
    ----------
    fit : Fit
        Of a likelihood engine.

    Raises
    ------
    FitError
        If the fit has no maximum to start from.
    """

    def __init__(self, fit: Fit) -> None:
        found = fit.estimate
        if found is None:
            raise FitError(
                "refits are of a likelihood engine, and this fit is one by a sampler: fit the model with hl.Laplace(), "
                "hl.AGQ() or hl.MAP() first."
            )
        self._model, self._estimate = fit.model, found
        likelihood = integrator(fit.model.design, found.nodes)
        self._approach = Approach("refit", found.method, found.nodes, found.penalised, likelihood)

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
