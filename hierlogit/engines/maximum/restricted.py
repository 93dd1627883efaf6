"""The search for the maximum of the restricted likelihood, over the covariances of the random effects alone.

Its gradient is the exact one of the likelihood at the mode of the fixed effects, plus the changes of this mode and of
the curvature there, by central differences. These terms are small and smooth, so that the differences may be long.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...density.marginal.restricted import FixedEffectsIntegral, integrate_fixed_effects
from ...errors import EngineError
from ...validation import agree, quoted_list
from .objective import Objective, Point
from .optimizer import Optimum, maximise, with_well_scaled_steps
from .search_result import SearchResult
from .starting_values import directions, starting_point

FloatArray = npt.NDArray[np.float64]

#: Step of the central differences, relative to the sds of the effects, which count as at least `LEAST_SD` on the logit
#: scale for one sd of their columns.
DIFFERENCE, LEAST_SD = 1e-2, 0.1
#: Step of the differences that show how the modes of the random effects follow the parameters, in standard errors.
SHIFT = 1e-4


class RestrictedObjective(Objective):
    """The restricted log-likelihood as a function of the entries of the Cholesky factors.

    Parameters
    ----------
    objective : Objective
        The likelihood, as a function of fixed effects and entries.
    start : ndarray
        A vector of the likelihood, from which the search for the fixed effects starts.

    Attributes
    ----------
    full : Objective
        The likelihood.
    """

    def __init__(self, objective: Objective, start: FloatArray) -> None:
        self.__dict__.update(objective.__dict__)
        self.full, self.p = objective, 0
        self._gamma = objective.likelihood.arrangement.triangular @ start[: objective.p]
        self._gamma_slopes = np.zeros((objective.p, len(objective.entries)))
        self._last = None
        sds = objective.scaled_sds(start)
        least = [LEAST_SD / units.sds for units in objective.effect_units]
        self._steps = np.array([DIFFERENCE * max(sds[g][a], least[g][a]) for g, a, _ in objective.entries])

    def evaluate(self, psi: FloatArray) -> Point:
        """Value and gradient at entries of the Cholesky factors; the likelihood's work arrays then hold the mode."""
        if self._last is not None and np.array_equal(psi, self._last.psi):
            self._integral(psi, self._gamma)
            return self._last
        self.evaluations += 1
        middle = self._integral(psi, self._gamma)
        self._gamma = middle.gamma
        value = middle.log_integral(self.likelihood.arrangement.triangular)
        gradient = middle.evaluation.dcholesky[self._flat].copy()
        converged = middle.converged
        directions, changes = self.entry_directions, np.zeros(len(psi))
        slopes = self._gamma_slopes @ directions
        for k, step in enumerate(self._steps):
            sides = []
            for sign in (1.0, -1.0):
                moved = psi + sign * step * directions[:, k]
                sides.append(self._integral(moved, middle.gamma + sign * step * slopes[:, k]))
            above, below = sides
            slopes[:, k] = (above.gamma - below.gamma) / (2 * step)
            changes[k] = middle.evaluation.dgamma @ slopes[:, k] - 0.5 * (above.log_det - below.log_det) / (2 * step)
            converged = converged and above.converged and below.converged
        self._gamma_slopes = np.linalg.solve(directions.T, slopes.T).T
        gradient += np.linalg.solve(directions.T, changes)
        if not (np.all(np.isfinite(gradient)) and np.isfinite(value)):
            self._gamma_slopes[:] = 0.0
            gradient = np.full_like(gradient, np.nan)
        self._last = Point(psi.copy(), value, value, gradient, converged)
        self._integral(psi, middle.gamma)  # so that the work arrays hold this point
        return self._last

    def _integral(self, psi: FloatArray, gamma: FloatArray) -> FixedEffectsIntegral:
        start = gamma if np.all(np.isfinite(gamma)) else np.zeros_like(gamma)
        return integrate_fixed_effects(self.likelihood, self.flat_cholesky(psi), start)

    def with_fixed_effects(self, optimum: Optimum) -> Optimum:
        """An optimum over the entries as one over fixed effects and entries, with the uncertainty of both.

        Given the covariances, the fixed effects are normal about their mode, which follows the covariances.
        """
        self.evaluate(optimum.point.psi)
        mode = self._integral(optimum.point.psi, self._gamma)
        to_beta = np.linalg.inv(self.likelihood.arrangement.triangular)
        beta, slopes = to_beta @ mode.gamma, to_beta @ self._gamma_slopes
        known = optimum.positive_definite and bool(np.isfinite(mode.log_det))
        spread = to_beta @ np.linalg.inv(np.linalg.cholesky(mode.information)).T if known else np.zeros_like(to_beta)
        p, free = len(beta), optimum.covariance_factor
        factor = np.block([[spread, slopes @ free], [np.zeros((len(free), p)), free]])
        axes = np.block([[spread, slopes @ optimum.axes], [np.zeros((len(free), p)), optimum.axes]])
        psi = np.concatenate([beta, optimum.point.psi])
        covariance = factor @ factor.T
        modes, mode_derivatives = self._follow(psi, factor)
        return Optimum(
            point=Point(
                psi,
                optimum.point.value,
                optimum.point.log_likelihood,
                np.concatenate([np.zeros(p), optimum.point.gradient]),
                optimum.point.converged,
            ),
            free=np.concatenate([np.ones(p, dtype=bool), optimum.free]),
            covariance=covariance if known else np.full_like(covariance, np.nan),
            positive_definite=known,
            axes=axes,
            curvatures=np.concatenate([np.ones(p), optimum.curvatures]),
            covariance_factor=factor,
            possible_gain=optimum.possible_gain,
            gradient_norm=optimum.gradient_norm,
            mode_derivatives=mode_derivatives,
            modes=modes,
        )

    def _follow(self, psi: FloatArray, factor: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Modes of the standardised effects, and their derivatives along the columns of the covariance factor."""
        full = self.full
        full.evaluate(psi)
        modes, slopes = full.modes(), []
        for column in factor.T:
            full.evaluate(psi + SHIFT * column)
            slopes.append((full.modes() - modes) / SHIFT)
        full.evaluate(psi)
        return modes, np.array(slopes).T.reshape(len(modes), -1)


def restricted_maximum(found: SearchResult) -> SearchResult:
    """The maximum of the restricted likelihood, from that of the likelihood.

    Raises
    ------
    EngineError
        If the likelihood has infinite estimates or is flat in a fixed effect, so that its integral is infinite.
    """
    objective, unknown = found.objective, list(found.infinite)
    unknown += [objective.model.design.fixed_effects[k] for k in found.unidentified if k < objective.p]
    unknown = list(dict.fromkeys(unknown))  # an estimate can be both
    if unknown:
        raise EngineError(
            f"the restricted likelihood is infinite: {agree(unknown, 'the estimate', 'the estimates')} of "
            f"{quoted_list(unknown)} {agree(unknown, 'is', 'are')} infinite or not determined, and so is the integral "
            "over the fixed effects. Use hl.MAP() or NUTS, whose priors keep them finite, or restricted=False."
        )
    start = found.optimum.point.psi
    if not found.optimum.free.all():  # at a boundary the gradient is zero
        start = starting_point(objective)[0].psi
    restricted = RestrictedObjective(objective, start)
    scale = directions(objective, objective.evaluate(start))[objective.p :, objective.p :]
    optimum = maximise(restricted, restricted.evaluate(start[objective.p :]), scale)
    if optimum.positive_definite:
        optimum = with_well_scaled_steps(restricted, optimum)
    whole = restricted.with_fixed_effects(optimum)
    laplace = objective.laplace_at(whole.point.psi, whole.modes)
    return SearchResult(objective, whole, laplace, (), found.unidentified)
