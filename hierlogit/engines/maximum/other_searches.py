"""Other searches for the maximum of a fit: the same search from random starts, and SciPy's optimizers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...estimate import Estimate
from ...model_spec import ModelSpec
from .objective import Objective, Point
from .optimizer import maximise
from .search_result import Approach
from .starting_values import directions, starting_point

if TYPE_CHECKING:
    from ...design.design import Design

FloatArray = npt.NDArray[np.float64]

#: SciPy's optimizers that are offered; all but the last two use the gradient.
OPTIMIZERS = ("BFGS", "L-BFGS-B", "SLSQP", "TNC", "CG", "trust-constr", "Nelder-Mead", "Powell")
WITHOUT_GRADIENT = ("Nelder-Mead", "Powell")
#: Options by which they search as closely as they can.
OPTIONS = {
    "BFGS": {"gtol": 1e-5, "maxiter": 2000},
    "L-BFGS-B": {"gtol": 1e-6, "ftol": 1e-14, "maxiter": 2000},
    "SLSQP": {"ftol": 1e-12, "maxiter": 2000},
    "TNC": {"gtol": 1e-6, "ftol": 1e-14, "maxfun": 5000},
    "CG": {"gtol": 1e-5, "maxiter": 2000},
    "trust-constr": {"gtol": 1e-6, "xtol": 1e-10, "maxiter": 2000},
    "Nelder-Mead": {"xatol": 1e-5, "fatol": 1e-9, "maxfev": 20_000, "adaptive": True},
    "Powell": {"xtol": 1e-6, "ftol": 1e-12, "maxfev": 20_000},
}
#: Random starts: the fixed effects are moved by this many standard errors, the sds by such a factor on the log scale.
MOVED, FACTOR = 3.0, 1.0
#: What SciPy's optimizers are told where the density is beyond the range of numbers, above the value at the start.
BEYOND = 1e10


@dataclass(frozen=True)
class Search:
    """Where a search ended.

    Attributes
    ----------
    name : str
        ``usual start``, ``start 2``, or the name of an optimizer.
    value : float
        Log-likelihood, or log posterior density.
    estimates : ndarray, shape (parameters,)
        Fixed effects, sds and correlations, in the order of a summary.
    finished : bool
        Whether the search says that it ended at a maximum.
    evaluations : int
    seconds : float
    """

    name: str
    value: float
    estimates: FloatArray
    finished: bool
    evaluations: int
    seconds: float


@dataclass(frozen=True)
class Displacement:
    """How far a random start is from the usual one, as standard normal variables.

    Attributes
    ----------
    fixed : ndarray, shape (p,)
        Of the fixed effects.
    log_sds : tuple of ndarray
        Of the sds of each grouping factor.
    correlations : tuple of tuple of ndarray
        Of the rows of the Cholesky factors of each grouping factor's correlations, one array for each set of
        correlated effects.
    """

    fixed: FloatArray
    log_sds: tuple[FloatArray, ...]
    correlations: tuple[tuple[FloatArray, ...], ...]

    @classmethod
    def drawn(cls, design: Design, random: np.random.Generator) -> Displacement:
        """A displacement for the models of a design."""
        fixed = random.normal(size=len(design.fixed_effects))
        log_sds, correlations = [], []
        for group in design.groups:
            log_sds.append(random.normal(size=len(group.effects)))
            sizes = [part.stop - part.start for part in group.set_slices]
            correlations.append(tuple(np.tril(random.normal(size=(size, size))) for size in sizes))
        return cls(fixed, tuple(log_sds), tuple(correlations))

    def moved(self, objective: Objective, point: Point, scale: FloatArray) -> FloatArray:
        """A vector far from the usual start, with correlations of any size."""
        psi, p = point.psi.copy(), objective.p
        psi[:p] += MOVED * scale[:p, :p] @ self.fixed
        cholesky = objective.cholesky(psi)
        for g, group in enumerate(objective.model.design.groups):
            sds = np.sqrt((cholesky[g] ** 2).sum(axis=1)) * np.exp(FACTOR * self.log_sds[g])
            for part, rows in zip(group.set_slices, self.correlations[g], strict=True):
                lengths = np.sqrt((rows**2).sum(axis=1, keepdims=True))
                cholesky[g][part, part] = sds[part, None] * rows / lengths
        return objective.with_cholesky(psi, cholesky)


class OtherSearches:
    """Searches for the maximum of an estimate's likelihood, or of the posterior density.

    They are tasks by number: from the usual start and random ones, then SciPy's from the usual start.

    Parameters
    ----------
    model : Model
    estimate : Estimate
    starts : sequence of Displacement
        Of the random starts.
    optimizers : sequence of str
        Names of SciPy's optimizers.
    """

    def __init__(
        self, model: ModelSpec, estimate: Estimate, starts: Sequence[Displacement], optimizers: Sequence[str]
    ) -> None:
        self._model, self._estimate = model, estimate
        self._starts: tuple[Displacement | None, ...] = (None, *starts)
        self._optimizers = tuple(optimizers)
        self._approach = Approach.like(estimate, model.design)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._model, self._estimate, self._starts[1:], self._optimizers)

    def __len__(self) -> int:
        """Number of searches."""
        return len(self._starts) + len(self._optimizers)

    def __call__(self, number: int) -> Search:
        """Search `number`."""
        if number >= len(self._starts):
            return self._scipy(self._optimizers[number - len(self._starts)])
        return self._own(f"start {number + 1}" if number else "usual start", self._starts[number])

    @property
    def labels(self) -> list[str]:
        """Labels of the estimates."""
        spread = [self._estimate.spread_label(*place) for place in self._estimate.spread_covariance()[0]]
        return [*self._estimate.fixed_effects, *spread]

    @property
    def errors(self) -> FloatArray:
        """Standard errors of the estimates; zero or not a number where there is none."""
        with np.errstate(invalid="ignore"):
            spread = np.sqrt(np.diag(self._estimate.spread_covariance()[2]))
        return np.concatenate([self._estimate.standard_errors, spread])

    def fit(self) -> Search:
        """The end of the search of the fit."""
        objective = self._objective()
        psi = objective.at(self._estimate)
        return Search("fit", objective.evaluate(psi).value, self._estimates(objective, psi), True, 0, 0.0)

    def _own(self, name: str, displacement: Displacement | None) -> Search:
        objective, began = self._objective(), time.perf_counter()
        point, scale = starting_point(objective)
        if displacement is not None:
            point = objective.evaluate(displacement.moved(objective, point, scale))
            scale = directions(objective, point)
        optimum = maximise(objective, point, scale)
        seconds = time.perf_counter() - began
        estimates = self._estimates(objective, optimum.point.psi)
        return Search(name, optimum.point.value, estimates, optimum.converged, objective.evaluations, seconds)

    def _scipy(self, name: str) -> Search:
        from scipy import optimize

        minimize: Any = optimize.minimize  # whose type takes no name of a method that is not written out
        objective, began = self._objective(), time.perf_counter()
        start, scale = starting_point(objective)
        best = start

        def evaluated(x: FloatArray) -> Point:
            nonlocal best
            point = objective.evaluate(start.psi + scale @ x)
            if point.value > best.value:
                best = point
            return point

        def descent(x: FloatArray) -> tuple[float, FloatArray]:
            point = evaluated(x)
            if not (np.isfinite(point.value) and np.all(np.isfinite(point.gradient))):
                return BEYOND - start.value, np.zeros(len(x))
            return -point.value, -scale.T @ point.gradient

        free = np.any(scale != 0, axis=0)  # sds that are held at zero have no direction
        scale = scale[:, free]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # what SciPy says of its steps; its verdict is in the result
            result = minimize(
                (lambda x: descent(x)[0]) if name in WITHOUT_GRADIENT else descent,
                np.zeros(scale.shape[1]),
                jac=None if name in WITHOUT_GRADIENT else True,
                method=name,
                options=dict(OPTIONS[name]),
            )
        seconds = time.perf_counter() - began
        estimates = self._estimates(objective, best.psi)
        return Search(name, best.value, estimates, bool(result.success), objective.evaluations, seconds)

    def _objective(self) -> Objective:
        """A new objective, so that no search begins with the modes that another one has found."""
        likelihood = self._approach.likelihood(self._model.arrangement)
        return Objective(self._model, likelihood, penalised=self._approach.penalised)

    def _estimates(self, objective: Objective, psi: FloatArray) -> FloatArray:
        cholesky = dict(zip(self._estimate.cholesky, objective.cholesky(psi), strict=True))
        moved = replace(self._estimate, beta=psi[: objective.p], cholesky=cholesky)
        return np.concatenate([moved.beta, moved.spread_covariance()[1]])
