"""The profile of each parameter of an estimate: where the others are maximised from, and along which directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import FitError
from .held_objectives import FixedCorrelation, FixedSd
from .integrator import integrator
from .objective import Objective, Point
from .optimizer import climb, restricted

if TYPE_CHECKING:
    from ...estimate import Estimate
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: First step for a parameter without standard error, for one sd of its column, and for a correlation.
FIRST_STEP, FIRST_TURN = 0.2, 0.3
#: An interval that reaches further from the estimate, on the logit scale for one sd of the column, has no end.
FAR = 50.0


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
    least, most : float
        Smallest and largest possible values.
    reach : float
        A distance from the estimate beyond which the interval is taken to have no end.
    """

    estimate: float
    error: float
    start: Callable[[float], FloatArray]
    maximise: Callable[[float, FloatArray], Point]
    least: float
    most: float
    reach: float


class ParameterProfiles:
    """What is maximised, and from where, to profile each parameter of an estimate.

    Parameters
    ----------
    model : Model
    estimate : Estimate
    objective : Objective, optional
        What the estimate maximises; made from the rows of the model if not given.

    Raises
    ------
    FitError
        If the estimate is that of a restricted likelihood, or its covariance matrix is computed from clusters.
    """

    def __init__(self, model: ModelSpec, estimate: Estimate, objective: Objective | None = None) -> None:
        if estimate.clustered is not None:
            raise FitError(
                f"the standard errors of the fit are {estimate.clustered.described}, while a profile of the likelihood "
                "takes the model to be right: use hl.summary(fit, interval='wald')."
            )
        if estimate.restricted:
            raise FitError(
                "the fit maximised the restricted likelihood, which has no profiles here: use "
                "hl.summary(fit, interval='wald'), or fit the model with restricted=False."
            )
        self._model, self._estimate = model, estimate
        if objective is None:
            likelihood = integrator(model.design, estimate.nodes)(model.arrangement)
            objective = Objective(model, likelihood, penalised=estimate.penalised)
        self._objective = objective
        self._psi = self._objective.at(estimate)
        of_entries = [self._objective.effect_sds[g][a] for g, a, _ in self._objective.entries]
        of_entries += [1.0] if model.overdispersed else []
        self._units = np.concatenate([model.design.column_sds, np.array(of_entries, dtype=np.float64)])
        # Infinite estimates and parameters of a flat likelihood have no variance, but others are maximised over them.
        self._covariance = np.nan_to_num(estimate.covariance)
        unknown = np.flatnonzero(np.isnan(np.diag(estimate.covariance)))
        self._covariance[unknown, unknown] = (FIRST_STEP / self._units[unknown]) ** 2

    def by_label(self) -> dict[str, Callable[[], Profile] | None]:
        """What makes the profiles, by label: of the fixed effects, then of the rest in the order of a summary.

        None for sds and correlations in which the likelihood is flat, and for correlations with an sd of zero.
        """
        design, estimate = self._model.design, self._estimate
        found: dict[str, Callable[[], Profile] | None] = {
            label: partial(self.coefficient, k) for k, label in enumerate(design.fixed_effects)
        }
        positions = {group.name: g for g, group in enumerate(design.groups)}
        flat = {one.name for one in self._objective.held_factors}
        for name, i, j in estimate.spread_covariance()[0]:
            known = name not in flat and (i == j or bool(np.all(estimate.sd(name)[[i, j]] > 0)))
            make: Callable[[], Profile] | None = None
            if known:
                g = positions[name]
                make = partial(self.sd, g, i) if i == j else partial(self.correlation, g, i, j)
            found[estimate.spread_label(name, i, j)] = make
        return found

    def coefficient(self, k: int) -> Profile:
        """Profile of one fixed effect."""
        return self._profile_of_entry(k, least=-np.inf, guess=FIRST_STEP / self._units[k])

    def sd(self, g: int, effect: int) -> Profile:
        """Profile of one standard deviation: grouping factor and effect by their positions."""
        row = self._row(g, effect)
        unit = float(self._objective.effect_sds[g][effect])
        if len(row) == 1:
            return self._profile_of_entry(int(row[0]), least=0.0, guess=FIRST_STEP / unit)
        return self._profile_of_row(row, FIRST_STEP / unit)

    def correlation(self, g: int, i: int, j: int) -> Profile:
        """Profile of one correlation: grouping factor and two effects by their positions, the first one first."""
        first, second = self._row(g, i), self._row(g, j)
        objective = FixedCorrelation(self._objective, first, second, self._psi)
        of_first, of_second = np.zeros(len(second)), self._psi[second]
        of_first[: len(first)] = self._psi[first]
        sizes = [float(np.sqrt(row @ row)) for row in (of_first, of_second)]
        of_first, of_second = of_first / sizes[0], of_second / sizes[1]
        estimate = float(of_first @ of_second)
        slopes = np.zeros(len(self._psi))
        slopes[second] = (of_first - estimate * of_second) / sizes[1]
        slopes[first] = ((of_second - estimate * of_first) / sizes[0])[: len(first)]
        covariances = self._covariance @ slopes
        variance = float(slopes @ covariances)
        # Steps of one standard error; the coordinates of the second row are lengths of about its own.
        variances = np.diag(self._covariance).copy()
        variances[second] = max(float(of_second @ self._covariance[np.ix_(second, second)] @ of_second), 0.0)
        rows = np.concatenate([first, second])
        variances[rows] = np.where(variances[rows] > 0, variances[rows], (FIRST_STEP / self._units[rows]) ** 2)
        variances[second[0]] = 0.0
        full = self._covariance.copy()
        full[second] = full[:, second] = 0.0
        np.fill_diagonal(full, variances)
        scale = _conditional_directions(full, variances > 0, np.zeros(len(full)), 0.0)

        def start(value: float) -> FloatArray:
            moved = covariances / variance * (value - estimate) if variance > 0 else np.zeros(len(covariances))
            moved[second] = 0.0
            return objective.coordinates(self._psi + moved)

        def maximise(value: float, psi: FloatArray) -> Point:
            objective.correlation = value
            return self._climb(objective, psi, scale, rows)

        error = float(np.sqrt(variance)) or FIRST_TURN
        return Profile(estimate, error, start, maximise, -1.0, 1.0, np.inf)

    def _row(self, g: int, effect: int) -> IntArray:
        """Positions of the entries of one row of a Cholesky factor."""
        p, entries = self._objective.p, self._objective.entries
        return np.array([p + k for k, (h, a, _) in enumerate(entries) if (h, a) == (g, effect)], dtype=np.intp)

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
            return self._climb(self._objective, held, scale, np.array([k]))

        error, reach = float(np.sqrt(variance)) or guess, FAR / float(self._units[k])
        return Profile(float(self._psi[k]), error, start, maximise, least, np.inf, reach)

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
            return self._climb(objective, psi, scale, row)

        reach = FAR / float(self._units[row[0]])
        return Profile(sd, float(np.sqrt(variance)) or guess, start, maximise, 0.0, np.inf, reach)

    def _climb(self, objective: Objective, psi: FloatArray, scale: FloatArray, held: IntArray) -> Point:
        """Maximise over all parameters but those at the positions `held`.

        Priors of sds have kinks at zero, at which the search of a posterior mode stops: other sds are tried there.
        """
        point = climb(objective, objective.evaluate(psi), scale)
        if not objective.penalised:
            return point
        free = np.ones(len(psi), dtype=bool)
        for g, group in enumerate(self._model.design.groups):
            for effect in range(len(group.effects)):
                row = self._row(g, effect)
                if np.isin(row, held).any() or not point.psi[row].any():
                    continue
                without = point.psi.copy()
                without[row] = 0.0
                tried = objective.evaluate(without)
                if tried.value >= point.value:
                    point, free[row] = tried, False
        return point if free.all() else climb(objective, point, restricted(scale, free))


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
