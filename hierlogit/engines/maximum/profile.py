"""Profile likelihood: how far a parameter can go before the log-likelihood, best over all others, falls too far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .integrator import integrator
from .objective import Objective, Point
from .optimizer import climb

if TYPE_CHECKING:
    from ...estimate import Estimate
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: An end is found when the square root of twice the fall is this near to what is wanted.
CLOSE = 1e-4
MOST_TRIALS = 25
#: First step for an sd that is zero, for one sd of its column.
FIRST_STEP = 0.2


class FixedSd(Objective):
    """A problem with one sd held: its row of the Cholesky factor keeps its direction and is given that length."""

    def __init__(self, problem: Objective, row: IntArray) -> None:
        self.__dict__.update(problem.__dict__)
        self._row = row
        self.sd = 0.0

    def evaluate(self, psi: FloatArray) -> Point:
        """Value and gradient at a vector whose row is brought to its length."""
        length = float(np.sqrt((psi[self._row] ** 2).sum()))
        along = psi[self._row] / length
        held = psi.copy()
        held[self._row] = self.sd * along
        point = super().evaluate(held)
        gradient = point.gradient.copy()
        slope = gradient[self._row]
        gradient[self._row] = self.sd / length * (slope - along * (along @ slope))
        # The direction is kept apart from the length, which may be zero.
        return Point(psi.copy(), point.value, point.log_likelihood, gradient, point.converged)


@dataclass(frozen=True)
class Profile:
    """One parameter to profile.

    Attributes
    ----------
    estimate : float
    error : float
        Its standard error, or a guess of one.
    start : callable
        Value of the parameter -> vector to start the other parameters from.
    maximise : callable
        Value and start -> the point where the others are best.
    least : float
        The smallest value it can have.
    """

    estimate: float
    error: float
    start: Callable[[float], FloatArray]
    maximise: Callable[[float, FloatArray], Point]
    least: float


class Profiler:
    """Profiles of the parameters of one maximum-likelihood estimate.

    Parameters
    ----------
    model : Model
    estimate : Estimate
    """

    def __init__(self, model: ModelSpec, estimate: Estimate) -> None:
        self._model = model
        self._problem = Objective(model, integrator(model.design, estimate.nodes)(model.arrangement), penalised=False)
        self._psi = self._problem.at(estimate)
        self._top = self._problem.evaluate(self._psi).value
        self._covariance = np.nan_to_num(estimate.covariance)

    def coefficient(self, k: int) -> Profile:
        """Profile of one fixed effect."""
        return self._of_entry(k, least=-np.inf)

    def sd(self, g: int, effect: int) -> Profile:
        """Profile of one standard deviation: grouping factor and effect by their positions."""
        p, entries = self._problem.p, self._problem.entries
        row = np.array([p + k for k, (h, a, _) in enumerate(entries) if (h, a) == (g, effect)], dtype=np.intp)
        unit = float(self._problem.effect_sds[g][effect])
        if len(row) == 1:
            return self._of_entry(int(row[0]), least=0.0, guess=FIRST_STEP / unit)
        return self._of_row(row, FIRST_STEP / unit)

    def _of_entry(self, k: int, *, least: float, guess: float = 0.0) -> Profile:
        variance = self._covariance[k, k]
        along = self._covariance[:, k] / variance if variance > 0 else np.eye(len(self._psi))[k]
        others = np.diag(self._covariance) > 0
        others[k] = False
        scale = _directions(self._covariance, others, self._covariance[:, k], variance)

        def start(value: float) -> FloatArray:
            psi: FloatArray = self._psi + along * (value - self._psi[k])
            psi[k] = value
            return psi

        def maximise(value: float, psi: FloatArray) -> Point:
            held = psi.copy()
            held[k] = value
            return climb(self._problem, self._problem.evaluate(held), scale)

        return Profile(float(self._psi[k]), float(np.sqrt(variance)) or guess, start, maximise, least)

    def _of_row(self, row: IntArray, guess: float) -> Profile:
        problem = FixedSd(self._problem, row)
        sd = float(np.sqrt((self._psi[row] ** 2).sum()))
        direction = self._psi[row] / sd if sd > 0 else np.eye(len(row))[-1]
        toward = self._covariance[:, row] @ direction
        variance = float(direction @ toward[row])
        variances = np.diag(self._covariance).copy()
        variances[row] = np.where(variances[row] > 0, variances[row], guess**2)
        full = self._covariance.copy()
        np.fill_diagonal(full, variances)
        scale = _directions(full, variances > 0, toward, 0.0)

        def start(value: float) -> FloatArray:
            psi = self._psi + (toward / variance * (value - sd) if variance > 0 else 0.0)
            psi[row] = self._psi[row] if sd > 0 else direction * guess
            return psi

        def maximise(value: float, psi: FloatArray) -> Point:
            problem.sd = value
            return climb(problem, problem.evaluate(psi), scale)

        return Profile(sd, float(np.sqrt(variance)) or guess, start, maximise, 0.0)

    def ends(self, profile: Profile, prob: float) -> tuple[float, float]:
        """Interval whose ends the likelihood-ratio test with one degree of freedom just does not reject.

        Parameters
        ----------
        profile : Profile
        prob : float
            Probability that the interval is to have.

        Returns
        -------
        low, high : float
            Not a number where no end was found; an sd's low end is 0 if 0 is not rejected.
        """
        from scipy.special import ndtri

        wanted = float(ndtri(0.5 + prob / 2))
        return self._end(profile, -wanted), self._end(profile, wanted)

    def _end(self, profile: Profile, wanted: float) -> float:
        sign, goal = np.sign(wanted), abs(wanted)
        near, far = profile.estimate, np.inf * sign
        near_fall, far_fall = 0.0, np.inf
        value, psi = profile.estimate + wanted * profile.error, None
        for _ in range(MOST_TRIALS):
            value = max(value, profile.least)
            point = profile.maximise(value, profile.start(value) if psi is None else psi)
            psi = point.psi
            fall = float(np.sqrt(max(2 * (self._top - point.value), 0.0)))
            if not np.isfinite(fall):
                return np.nan
            if abs(fall - goal) < CLOSE:
                return value
            if fall < goal:
                if value == profile.least:
                    return value
                near, near_fall = value, fall
            else:
                far, far_fall = value, fall
            value = _next(near, near_fall, far, far_fall, goal, sign * profile.error)
        return np.nan


def _next(near: float, near_fall: float, far: float, far_fall: float, goal: float, step: float) -> float:
    """Where the fall may reach the goal: it grows nearly linearly with the parameter."""
    if not np.isfinite(far):
        return near + step * max(goal - near_fall, 0.2)
    share = (goal - near_fall) / (far_fall - near_fall)
    # Not too near to either side: where the fall bends, interpolation alone creeps.
    return near + (far - near) * float(np.clip(share, 0.02, 0.98))


def _directions(covariance: FloatArray, free: npt.NDArray[np.bool_], toward: FloatArray, variance: float) -> FloatArray:
    """Directions of about a standard error each among the free parameters, given the one that is held."""
    conditional = covariance - (np.outer(toward, toward) / variance if variance > 0 else 0.0)
    made = np.zeros((len(covariance), int(free.sum())))
    if free.any():
        own = conditional[np.ix_(free, free)]
        lengths = np.sqrt(np.maximum(np.diag(own), 1e-300))
        values, vectors = np.linalg.eigh(own / np.outer(lengths, lengths))
        made[free] = lengths[:, None] * vectors * np.sqrt(np.maximum(values, 1e-10))
    return made
