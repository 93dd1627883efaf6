"""Profiles: intervals of a parameter, with the log-likelihood or posterior density maximised over all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import ConvergenceWarning, warn
from ...student_t import t_quantile
from .objective import Objective, Point
from .parameter_profiles import FIRST_STEP, ParameterProfiles, Profile

if TYPE_CHECKING:
    from ...estimate import Estimate
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]

#: How near the signed root of the likelihood-ratio statistic must come to the normal quantile at an end.
CLOSE = 1e-4
MOST_TRIALS = 30
#: How much longer than the one before it each further step is.
LONGER = 1.3
#: How much higher than the estimate a profile may be.
HIGHER = 0.01


class Profiler(ParameterProfiles):
    """Profiles of the parameters of one estimate: of the likelihood, or of the posterior density that was maximised.

    Parameters
    ----------
    model : Model
    estimate : Estimate
    objective : Objective, optional
        What the estimate maximises; made from the rows of the model if not given.

    Attributes
    ----------
    highest_gain : float
        How much higher than at the estimate a profile has been so far; zero if the estimate is the maximum.

    Raises
    ------
    FitError
        If the estimate is that of a restricted likelihood, or its covariance matrix is computed from clusters.
    """

    def __init__(self, model: ModelSpec, estimate: Estimate, objective: Objective | None = None) -> None:
        super().__init__(model, estimate, objective)
        self._maximum = self._objective.evaluate(self._psi).value
        self.highest_gain = 0.0

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
            found. The low end of an sd is 0 if 0 is not rejected, and the end of a correlation 1 or -1 likewise.
        """
        quantile = float(t_quantile(np.inf, prob))
        if quantile == 0:  # rounded: the interval has no width
            return profile.estimate, profile.estimate
        return self._interval_end(profile, -quantile), self._interval_end(profile, quantile)

    def ends_of_phi(self, prob: float) -> tuple[float, float]:
        """Interval of phi, from that of ``1 / sqrt(phi)``; its high end is infinite if binomial is not rejected."""
        root = self._profile_of_entry(len(self._psi) - 1, least=0.0, guess=FIRST_STEP)
        low, high = self.ends(root, prob)
        return high**-2.0, low**-2.0 if low != 0.0 else np.inf

    def _interval_end(self, profile: Profile, quantile: float) -> float:
        sign, goal = np.sign(quantile), abs(quantile)
        near, far = profile.estimate, np.inf * sign
        near_root, far_root = 0.0, np.inf
        bound = profile.least if sign < 0 else profile.most
        value, psi = profile.estimate + quantile * profile.error, None
        for trial in range(MOST_TRIALS):
            value = min(max(value, profile.least), profile.most)
            point = self._maximum_at(profile, value, psi)
            root = self._root(point)
            if np.isnan(root):
                return np.nan
            if abs(root - goal) < CLOSE:
                return value
            if root < goal:
                if value == bound:
                    return value
                if abs(value - profile.estimate) > profile.reach:
                    return float(sign * np.inf)
                near, near_root = value, root
            else:
                far, far_root = value, root
            psi = point.psi if np.isfinite(root) else None
            # Longer and longer steps, for ends that are far away or nowhere.
            value = _next_value(near, near_root, far, far_root, goal, sign * profile.error * LONGER**trial)
        return np.nan

    def _maximum_at(self, profile: Profile, value: float, psi: FloatArray | None) -> Point:
        """The maximum over the other parameters, with a search that starts at the vector of another value."""
        if psi is None:
            return profile.maximise(value, profile.start(value))
        point = profile.maximise(value, psi)
        if not self._objective.penalised:
            return point
        # A posterior density may have one maximum where another sd is zero and one where it is not.
        other = profile.maximise(value, profile.start(value))
        return other if other.value > point.value else point

    def _root(self, point: Point) -> float:
        """Root of the likelihood-ratio statistic; infinite where a prior density is zero."""
        self.highest_gain = max(self.highest_gain, point.value - self._maximum)
        return float(np.sqrt(max(2 * (self._maximum - point.value), 0.0)))

    def zeta(self, profile: Profile, values: FloatArray) -> FloatArray:
        """Signed roots of the likelihood-ratio statistic at values of the parameter in ascending order.

        They are negative below the estimate (Bates and Watts 1988, section 6.1, call them tau; lme4, zeta).
        """
        zeta = np.zeros(len(values))
        below = np.flatnonzero(values < profile.estimate)[::-1]
        for side, sign in ((below, -1.0), (np.flatnonzero(values > profile.estimate), 1.0)):
            psi = None
            for k in side:  # from the estimate outwards, each from the maximum before it
                value = float(values[k])
                point = self._maximum_at(profile, value, psi)
                zeta[k] = sign * self._root(point)
                psi = point.psi if np.isfinite(zeta[k]) else None
        return zeta


def warn_if_higher(estimate: Estimate, gain: float) -> None:
    """Warn if a profile was higher than the estimate, by `gain`: the estimate is then not the maximum."""
    if gain > HIGHER:
        what = "posterior density" if estimate.penalised else "likelihood"
        warn(
            f"the estimates are not at the maximum: with a parameter held at another value, the log {what} is "
            f"higher by {gain:.2g}, so that there is more than one local maximum. Intervals are "
            "relative to the estimates. hl.compare_searches(fit) shows where other searches end.",
            ConvergenceWarning,
        )


def _next_value(near: float, near_root: float, far: float, far_root: float, goal: float, step: float) -> float:
    """The value to try next: the root of the statistic grows nearly linearly with the parameter."""
    if not np.isfinite(far):
        return near + step * max(goal - near_root, 0.2)
    if not np.isfinite(far_root):
        return 0.5 * (near + far)
    fraction = (goal - near_root) / (far_root - near_root)
    # Not too near to either side: where the root is curved, interpolation alone converges slowly.
    return near + (far - near) * float(np.clip(fraction, 0.02, 0.98))
