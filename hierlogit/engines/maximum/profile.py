"""Profile likelihood: intervals of a parameter, with the log-likelihood maximised over all others."""

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

#: How near the signed root of the likelihood-ratio statistic must come to the normal quantile at an end.
CLOSE = 1e-4
MOST_TRIALS = 30
#: First step for a parameter without standard error, for one sd of its column; and how much longer each further one is.
FIRST_STEP, LONGER = 0.2, 1.3
#: An interval that reaches further from the estimate, on the logit scale for one sd of the column, has no end.
FAR = 50.0


class FixedSd(Objective):
    """A objective with one sd held: its row of the Cholesky factor keeps its direction and is given that length."""

    def __init__(self, objective: Objective, row: IntArray) -> None:
        self.__dict__.update(objective.__dict__)
        self._row = row
        self.sd = 0.0

    def evaluate(self, psi: FloatArray) -> Point:
        """Value and gradient at a vector, after its row is rescaled to the length that is held."""
        length = float(np.sqrt((psi[self._row] ** 2).sum()))
        direction = psi[self._row] / length
        held = psi.copy()
        held[self._row] = self.sd * direction
        point = super().evaluate(held)
        gradient = point.gradient.copy()
        of_row = gradient[self._row]
        gradient[self._row] = self.sd / length * (of_row - direction * (direction @ of_row))
        # The vector keeps its length, which holds the direction, since the sd may be zero.
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
        Value of the parameter -> vector from which to maximise over the others.
    maximise : callable
        Value and start -> the point that maximises over the others.
    least : float
        Smallest possible value.
    reach : float
        A distance from the estimate beyond which the interval is taken to have no end.
    """

    estimate: float
    error: float
    start: Callable[[float], FloatArray]
    maximise: Callable[[float, FloatArray], Point]
    least: float
    reach: float


class Profiler:
    """Profiles of the parameters of one maximum-likelihood estimate.

    Parameters
    ----------
    model : Model
    estimate : Estimate
    """

    def __init__(self, model: ModelSpec, estimate: Estimate) -> None:
        self._model = model
        self._objective = Objective(model, integrator(model.design, estimate.nodes)(model.arrangement), penalised=False)
        self._psi = self._objective.at(estimate)
        self._maximum = self._objective.evaluate(self._psi).value
        of_entries = [self._objective.effect_sds[g][a] for g, a, _ in self._objective.entries]
        self._units = np.concatenate([model.design.column_sds, np.array(of_entries, dtype=np.float64)])
        # Infinite estimates and parameters of a flat likelihood have no variance, but others are maximised over them.
        self._covariance = np.nan_to_num(estimate.covariance)
        unknown = np.flatnonzero(np.isnan(np.diag(estimate.covariance)))
        self._covariance[unknown, unknown] = (FIRST_STEP / self._units[unknown]) ** 2

    def coefficient(self, k: int) -> Profile:
        """Profile of one fixed effect."""
        return self._profile_of_entry(k, least=-np.inf, guess=FIRST_STEP / self._units[k])

    def sd(self, g: int, effect: int) -> Profile:
        """Profile of one standard deviation: grouping factor and effect by their positions."""
        p, entries = self._objective.p, self._objective.entries
        row = np.array([p + k for k, (h, a, _) in enumerate(entries) if (h, a) == (g, effect)], dtype=np.intp)
        unit = float(self._objective.effect_sds[g][effect])
        if len(row) == 1:
            return self._profile_of_entry(int(row[0]), least=0.0, guess=FIRST_STEP / unit)
        return self._profile_of_row(row, FIRST_STEP / unit)

    def _profile_of_entry(self, k: int, *, least: float, guess: float) -> Profile:
        variance = self._covariance[k, k]
        direction = self._covariance[:, k] / variance if variance > 0 else np.eye(len(self._psi))[k]
        others = np.diag(self._covariance) > 0
        others[k] = False
        scale = _conditional_directions(self._covariance, others, self._covariance[:, k], variance)

        def start(value: float) -> FloatArray:
            psi: FloatArray = self._psi + direction * (value - self._psi[k])
            psi[k] = value
            return psi

        def maximise(value: float, psi: FloatArray) -> Point:
            held = psi.copy()
            held[k] = value
            return climb(self._objective, self._objective.evaluate(held), scale)

        error, reach = float(np.sqrt(variance)) or guess, FAR / float(self._units[k])
        return Profile(float(self._psi[k]), error, start, maximise, least, reach)

    def _profile_of_row(self, row: IntArray, guess: float) -> Profile:
        objective = FixedSd(self._objective, row)
        sd = float(np.sqrt((self._psi[row] ** 2).sum()))
        direction = self._psi[row] / sd if sd > 0 else np.eye(len(row))[-1]
        covariances = self._covariance[:, row] @ direction
        variance = float(direction @ covariances[row])
        variances = np.diag(self._covariance).copy()
        variances[row] = np.where(variances[row] > 0, variances[row], guess**2)
        full = self._covariance.copy()
        np.fill_diagonal(full, variances)
        scale = _conditional_directions(full, variances > 0, covariances, 0.0)

        def start(value: float) -> FloatArray:
            psi = self._psi + (covariances / variance * (value - sd) if variance > 0 else 0.0)
            psi[row] = self._psi[row] if sd > 0 else direction * guess
            return psi

        def maximise(value: float, psi: FloatArray) -> Point:
            objective.sd = value
            return climb(objective, objective.evaluate(psi), scale)

        reach = FAR / float(self._units[row[0]])
        return Profile(sd, float(np.sqrt(variance)) or guess, start, maximise, 0.0, reach)

    def ends(self, profile: Profile, prob: float) -> tuple[float, float]:
        """Interval of the values that the likelihood-ratio test with one degree of freedom does not reject.

        Parameters
        ----------
        profile : Profile
        prob : float
            Confidence level.

        Returns
        -------
        low, high : float
            Infinite where the likelihood does not fall far enough, however far one goes; not a number where no end was
            found. The low end of an sd is 0 if 0 is not rejected.
        """
        from scipy.special import ndtri

        quantile = float(ndtri(0.5 + prob / 2))
        if quantile == 0:  # rounded: the interval has no width
            return profile.estimate, profile.estimate
        return self._interval_end(profile, -quantile), self._interval_end(profile, quantile)

    def _interval_end(self, profile: Profile, quantile: float) -> float:
        sign, goal = np.sign(quantile), abs(quantile)
        near, far = profile.estimate, np.inf * sign
        near_root, far_root = 0.0, np.inf
        value, psi = profile.estimate + quantile * profile.error, None
        for trial in range(MOST_TRIALS):
            value = max(value, profile.least)
            point = profile.maximise(value, profile.start(value) if psi is None else psi)
            psi = point.psi
            root = float(np.sqrt(max(2 * (self._maximum - point.value), 0.0)))
            if not np.isfinite(root):
                return np.nan
            if abs(root - goal) < CLOSE:
                return value
            if root < goal:
                if value == profile.least:
                    return value
                if abs(value - profile.estimate) > profile.reach:
                    return float(sign * np.inf)
                near, near_root = value, root
            else:
                far, far_root = value, root
            # Longer and longer steps, for ends that are far away or nowhere.
            value = _next_value(near, near_root, far, far_root, goal, sign * profile.error * LONGER**trial)
        return np.nan


def _next_value(near: float, near_root: float, far: float, far_root: float, goal: float, step: float) -> float:
    """The value to try next: the root of the statistic grows nearly linearly with the parameter."""
    if not np.isfinite(far):
        return near + step * max(goal - near_root, 0.2)
    fraction = (goal - near_root) / (far_root - near_root)
    # Not too near to either side: where the root is curved, interpolation alone converges slowly.
    return near + (far - near) * float(np.clip(fraction, 0.02, 0.98))


def _conditional_directions(
    covariance: FloatArray, free: npt.NDArray[np.bool_], covariances: FloatArray, variance: float
) -> FloatArray:
    """Directions of about one standard error each for the free parameters, given the one that is held.

    Parameters
    ----------
    covariance : ndarray, shape (m, m)
    free : ndarray of bool, shape (m,)
    covariances : ndarray, shape (m,)
        With the parameter that is held.
    variance : float
        Of the parameter that is held.
    """
    conditional = covariance - (np.outer(covariances, covariances) / variance if variance > 0 else 0.0)
    directions = np.zeros((len(covariance), int(free.sum())))
    if free.any():
        of_free = conditional[np.ix_(free, free)]
        sds = np.sqrt(np.maximum(np.diag(of_free), 1e-300))
        values, vectors = np.linalg.eigh(of_free / np.outer(sds, sds))
        directions[free] = sds[:, None] * vectors * np.sqrt(np.maximum(values, 1e-10))
    return directions
