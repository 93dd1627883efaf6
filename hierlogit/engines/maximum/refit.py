"""The search of a likelihood fit repeated, on other outcomes or without some rows, in milliseconds each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...design.arrangement import Arrangement
from ...errors import EngineError, FitError
from ...estimate import Estimate
from ...fits.diagnostics import Diagnostics
from ...fits.fit import Fit
from ...model_spec import ModelSpec
from ...validation import agree, quoted_list, shortened
from ..engine import Engine
from .agq import AGQ
from .fit_by_likelihood import estimate_of
from .gaussian_draws import sample, to_datatree
from .laplace import Laplace
from .map import MAP
from .maximum_search import search_maximum
from .objective import Objective, Point
from .search_result import Approach, SearchResult
from .starting_values import directions, starting_point

if TYPE_CHECKING:
    import xarray as xr

FloatArray = npt.NDArray[np.float64]
#: The word for estimates without a maximum, because outcomes are separated, in the reasons of refits and fits.
INFINITE = "infinite"


def maximum_of(fit: Fit) -> Estimate:
    """The estimate of a fit by a likelihood engine.

    Raises
    ------
    FitError
        If the fit is by a sampler.
    """
    if fit.estimate is None:
        raise FitError(
            "the fit is by a sampler and has no maximum to start from: fit the model with hl.Laplace(), hl.AGQ() or "
            "hl.MAP()."
        )
    return fit.estimate


def finite_maximum_of(fit: Fit) -> Estimate:
    """The estimate of a fit by a likelihood engine, from which data can be simulated and searches repeated.

    Raises
    ------
    FitError
        If the fit is by a sampler, did not end at a maximum, or has infinite estimates.
    """
    estimate = maximum_of(fit)
    refuse_without_maximum(fit.diagnostics)
    return estimate


def refuse_without_maximum(diagnostics: Diagnostics) -> None:
    """Refuse fits that did not end at a maximum, or have infinite estimates.

    Raises
    ------
    FitError
    """
    for finding in diagnostics.findings:
        if finding.severity == "error" or finding.code == "separation":
            raise FitError(f"the fit has no maximum to start from: {finding.evidence} {finding.remedy}")


def likelihood_engine(estimate: Estimate, seed: int) -> Engine:
    """The engine that finds this kind of estimate."""
    if estimate.penalised:
        return MAP(nodes=estimate.nodes, seed=seed)
    df = "between-within" if estimate.has_t_tests else "normal"
    if estimate.nodes == 1:
        return Laplace(seed=seed, restricted=estimate.restricted, df=df)
    return AGQ(nodes=estimate.nodes, seed=seed, restricted=estimate.restricted, df=df)


def approach_of(engine: Engine, model: ModelSpec) -> Approach:
    """How a likelihood engine integrates and what it maximises.

    Raises
    ------
    EngineError
        If the engine is not a likelihood engine, or cannot integrate out the model's random effects.
    """
    if not isinstance(engine, (Laplace, AGQ, MAP)):
        raise EngineError(f"the engine must be hl.Laplace(), hl.AGQ() or hl.MAP(); got {shortened(engine)}.")
    name, nodes = type(engine).__name__, 1 if isinstance(engine, Laplace) else engine.nodes
    if isinstance(engine, MAP):
        return Approach.of_posterior(name, model.design, nodes)
    return Approach.of_likelihood(name, model.design, nodes, restricted=engine.restricted, df=engine.df)


def search(
    model: ModelSpec,
    approach: Approach,
    near: tuple[FloatArray, Sequence[FloatArray]] | None = None,
    near_phi: float | None = None,
) -> Refit:
    """The search of a likelihood engine, without the findings and draws of a fit.

    Parameters
    ----------
    model : Model
    approach : Approach
    near : (ndarray, sequence of ndarray), optional
        Fixed effects and Cholesky factors to start from, if the maximum should be near.
    near_phi : float, optional
        With them, phi of beta-binomial outcomes.
    """
    objective = Objective(model, approach.likelihood(model.arrangement), penalised=approach.penalised)
    if near is None:
        start = starting_point(objective)
    else:
        point = objective.evaluate(objective.vector(near[0], list(near[1]), near_phi))
        start = point, directions(objective, point)
    return Refit.of(search_maximum(approach, objective, *start), approach)


@dataclass(frozen=True)
class Refit:
    """Where a search ended.

    Attributes
    ----------
    estimate : Estimate
    converged : bool
        Whether it is a maximum.
    unbounded : tuple of str
        Fixed effects whose estimates are infinite: the estimate is then merely where the search stopped.
    """

    estimate: Estimate
    converged: bool
    unbounded: tuple[str, ...] = ()

    @classmethod
    def of(cls, result: SearchResult, approach: Approach) -> Refit:
        """The end of a search."""
        return cls(estimate_of(approach, result), result.optimum.converged, result.infinite)

    def maximum(self) -> Estimate:
        """The estimate.

        Raises
        ------
        FitError
            If it is not a maximum.
        """
        if not self.converged:
            raise FitError("the search for the maximum did not converge.")
        return self.estimate

    def bounded_maximum(self) -> Estimate:
        """The estimate.

        Raises
        ------
        FitError
            If it is not a maximum, or an estimate is infinite.
        """
        if self.unbounded:
            verb = agree(self.unbounded, "estimate is", "estimates are")
            raise FitError(f"the {verb} {INFINITE} with these outcomes: {quoted_list(self.unbounded)}.")
        return self.maximum()


class Refitter:
    """Repeats the search of a fit.

    It starts where the fit ended, unless that is at a boundary, where the gradient is zero.

    Parameters
    ----------
    model : Model
    estimate : Estimate

    Attributes
    ----------
    approach : Approach
        How the fit integrated and what it maximised.
    """

    def __init__(self, model: ModelSpec, estimate: Estimate) -> None:
        self._model, self._estimate = model, estimate
        self.approach = Approach.like(estimate, model.design)

    @classmethod
    def of(cls, fit: Fit) -> Refitter:
        """A refitter for a fit by a likelihood engine.

        Raises
        ------
        FitError
            If the fit has no maximum to start from.
        """
        return cls(fit.model, maximum_of(fit))

    def __reduce__(self) -> tuple[object, ...]:
        return (Refitter, (self._model, self._estimate))

    def again(self) -> SearchResult:
        """The search repeated on the same rows and outcomes, with what a fit does not keep of it."""
        return self._search(self._model.arrangement)

    def with_outcome(self, y: FloatArray) -> Refit:
        """Refit to other numbers of successes, shape (n,)."""
        return self._refit(self._model.arrangement.with_outcome(replace(self._model.design.outcome, y=y)))

    def without(self, rows: npt.NDArray[np.bool_]) -> Refit:
        """Refit without the rows that are True; shape (n,)."""
        return self._refit(self._arrangement_without(rows))

    def fit_without(self, rows: npt.NDArray[np.bool_], draws: int, seed: int) -> Fit:
        """The refit as a fit of the whole model, in which these rows have no trials; its draws are made when read.

        Raises
        ------
        FitError
            If the search does not end at a maximum, or an estimate is infinite.
        """
        result, model, approach = self._search(self._arrangement_without(rows)), self._model, self.approach
        estimate = Refit.of(result, approach).bounded_maximum()

        def data() -> xr.DataTree:
            return to_datatree(model, result, sample(result, approach, draws, seed), penalised=approach.penalised)

        engine = type(likelihood_engine(estimate, seed)).__name__
        return Fit(model, data, Diagnostics(engine, exact=False, status="converged", seed=seed), estimate)

    def _arrangement_without(self, rows: npt.NDArray[np.bool_]) -> Arrangement:
        return self._model.arrangement.with_outcome(self._model.design.outcome.silenced(rows))

    def _refit(self, arrangement: Arrangement) -> Refit:
        return Refit.of(self._search(arrangement), self.approach)

    def _search(self, arrangement: Arrangement) -> SearchResult:
        objective = Objective(self._model, self.approach.likelihood(arrangement), penalised=self.approach.penalised)
        return search_maximum(self.approach, objective, *self._start(objective))

    def _start(self, objective: Objective) -> tuple[Point, FloatArray]:
        if self._estimate.boundary:
            return starting_point(objective)
        point = objective.evaluate(objective.at(self._estimate))
        return point, directions(objective, point)
