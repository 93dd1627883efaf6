"""The search for a maximum: quasi-Newton steps, parameters at boundaries, Newton steps and the observed information.

The search moves in steps of about one standard error along uncorrelated directions. Random effects are parameterised by
the lower triangles of their Cholesky factors, whose signs are free: ``L`` and ``L D`` with ``D = diag(+-1)`` are the
same model, so that a standard deviation of zero is an ordinary point of a smooth function and not an edge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...progress import progress
from .objective import Objective, Point

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: The quasi-Newton search ends where no parameter, in standard errors, has a larger derivative.
GRADIENT_TOLERANCE = 3e-4
#: No parameter moves further at once, in standard errors.
LONGEST_STEP = 10.0
#: A predicted rise of the log-likelihood below this is within the rounding error of its value.
LEAST_RISE = 1e-9
MOST_CLIMBING_STEPS = 500
#: Climbing steps after which parameters near a boundary are tried at it; as many as there are directions, if these are
#: more, since the search learns the curvature of one with each step.
STEPS_IN_A_ROW = 40
#: Step of the finite differences of the gradient, in standard errors.
DIFFERENCE = 1e-4
#: Differences are taken again, with better steps, if a curvature is below this or above its inverse. With steps of less
#: than a sixth of `DIFFERENCE`, rounding is felt in the third digit of standard errors; with longer ones, bending.
LEAST_SCALED_CURVATURE = 0.03
#: A point counts as a maximum if gradient and curvature predict that the log-likelihood can rise by no more than this.
POSSIBLE_GAIN = 1e-6
#: An sd this small, in units of one over the sd of its column, is compared with zero.
SMALL_SD = 0.03
#: What setting a parameter to its boundary may cost.
BOUNDARY_LOSS = 1e-7
#: ``1 / sqrt(phi)`` this small is compared with zero: the correlation of two trials of a row is then below 0.001.
SMALL_ROOT = 0.03
MOST_NEWTON_STEPS = 6
#: Curvature below this share of the largest is within the rounding error of its differences.
LEAST_CURVATURE = 1e-10
#: Curvature below this is that of a saddle, from which the search goes on.
SADDLE = -1e-4
MOST_ROUNDS = 4
#: If the first search fails or ends at a boundary, others start from these multiples of its first Cholesky factors.
RESTARTS = (0.3, 3.0)
#: After more evaluations than these, a search is not continued from where it ended, and no other is started.
MOST_EVALUATIONS = 1500


@dataclass(frozen=True)
class Optimum:
    """Where a search ended.

    Attributes
    ----------
    point : Point
    free : ndarray of bool
        Parameters that are not held at a boundary.
    covariance : ndarray
        Inverse of the observed information over all parameters, zero where not free.
    positive_definite : bool
        Whether the information is positive definite, apart from flat directions that were taken out.
    axes : ndarray, shape (m, f)
        Principal axes of the information, for steps of about one standard error.
    curvatures : ndarray, shape (f,)
        The information along each of them, lowest first.
    covariance_factor : ndarray, shape (m, r)
        A matrix F with ``F F'`` equal to the covariance, and more exact where predictors are far from zero.
    possible_gain : float
        How much the log-likelihood can still rise, predicted from gradient and curvature.
    gradient_norm : float
        Largest derivative, for a step of one standard error.
    mode_derivatives : ndarray, shape (effects, r)
        Derivatives of the modes of the standardised effects, along the columns of the covariance factor.
    modes : ndarray, shape (effects,)
        Modes of the standardised effects.
    """

    point: Point
    free: npt.NDArray[np.bool_]
    covariance: FloatArray
    positive_definite: bool
    axes: FloatArray
    curvatures: FloatArray
    covariance_factor: FloatArray
    possible_gain: float
    gradient_norm: float
    mode_derivatives: FloatArray
    modes: FloatArray

    @property
    def converged(self) -> bool:
        """Whether this is a maximum, up to `POSSIBLE_GAIN`."""
        return self.positive_definite and self.point.converged and self.possible_gain <= POSSIBLE_GAIN


def climb(objective: Objective, start: Point, scale: FloatArray, most: int = MOST_CLIMBING_STEPS) -> Point:
    """Quasi-Newton ascent (BFGS) along the columns of `scale`.

    The columns are about one standard error each, so that the identity is a good first guess of the inverse curvature.
    A search takes about ten evaluations. On small data each takes a tenth of a millisecond, which is less than the
    overhead of a general optimiser.

    Parameters
    ----------
    objective : Objective
    start : Point
    scale : ndarray, shape (m, f)
        Directions of the search; each column is a step of length one.
    most : int
        Steps after which the search ends even so.

    Returns
    -------
    Point
        The highest point of the search.
    """
    point, gradient = start, scale.T @ start.gradient
    inverse = np.eye(scale.shape[1])
    for _ in range(most):
        if np.max(np.abs(gradient), initial=0.0) < GRADIENT_TOLERANCE:
            break
        step = inverse @ gradient
        step *= min(1.0, LONGEST_STEP / float(np.abs(step).max()))
        higher, step = _line_search(objective, point, scale, step, float(gradient @ step))
        if higher is None:
            break
        change = gradient - scale.T @ higher.gradient
        _update_inverse(inverse, step, change)
        point, gradient = higher, gradient - change
    return point


def _line_search(
    objective: Objective, point: Point, scale: FloatArray, step: FloatArray, rise: float
) -> tuple[Point | None, FloatArray]:
    """Shorten a step until the objective rises by a fraction of the predicted rise; None if it never does."""
    fraction = 1.0
    while fraction * rise > LEAST_RISE:
        trial = objective.evaluate(point.psi + scale @ (fraction * step))
        gain = trial.value - point.value
        if np.isfinite(gain) and np.all(np.isfinite(trial.gradient)):
            if gain >= 1e-4 * fraction * rise:
                return trial, fraction * step
            # The top of the parabola through both values and the slope at the start.
            fraction *= float(np.clip(0.5 * fraction * rise / (fraction * rise - gain), 0.1, 0.5))
        else:
            fraction *= 0.2
    return None, step


def _update_inverse(inverse: FloatArray, step: FloatArray, change: FloatArray) -> None:
    """BFGS update of the inverse curvature, in place, unless the curvature along the step is not positive."""
    curvature = float(step @ change)
    if curvature <= 1e-10 * float(step @ step):
        return
    # A prior may be so narrow that its slopes overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        predicted = inverse @ change
        updated = inverse + (1.0 + float(change @ predicted) / curvature) / curvature * (step[:, None] * step)
        updated -= (step[:, None] * predicted + predicted[:, None] * step) / curvature
    if np.all(np.isfinite(updated)):
        inverse[:] = updated


def polish_optimum(objective: Objective, point: Point, free: npt.NDArray[np.bool_], scale: FloatArray) -> Optimum:
    """The optimum near a point: the observed information by differences of the gradient, then Newton steps with it."""
    m, f = scale.shape
    point = objective.evaluate(point.psi)
    modes = objective.modes()
    hessian, mode_derivatives = np.empty((f, f)), np.empty((len(modes), f))
    for k in progress(range(f), "Computing standard errors"):
        shifted = objective.evaluate(point.psi + DIFFERENCE * scale[:, k])
        hessian[k] = scale.T @ (shifted.gradient - point.gradient) / DIFFERENCE
        mode_derivatives[:, k] = (objective.modes() - modes) / DIFFERENCE
    information = -0.5 * (hessian + hessian.T)
    # Close by, the likelihood or its gradient may not be a number, as with random slopes of a predictor extremely far
    # from zero: nothing is known of the curvature there.
    information[~np.isfinite(information)] = 0.0
    curvatures, vectors = np.linalg.eigh(information)
    # Of an information that is not positive definite, the part with positive curvature counts.
    positive = curvatures > LEAST_CURVATURE * np.abs(curvatures).max(initial=0.0)
    positive_definite = bool(positive.all())
    factor = vectors / np.sqrt(np.where(positive, curvatures, np.inf))
    inverse = factor @ factor.T
    gradient = scale.T @ point.gradient
    gain = 0.5 * float(gradient @ inverse @ gradient)
    for _ in range(MOST_NEWTON_STEPS):
        if not positive_definite or gain < 1e-3 * POSSIBLE_GAIN:
            break
        trial = objective.evaluate(point.psi + scale @ (inverse @ gradient))
        trial_gradient = scale.T @ trial.gradient
        trial_gain = 0.5 * float(trial_gradient @ inverse @ trial_gradient)
        if not trial_gain < gain:
            break
        point, gradient, gain = trial, trial_gradient, trial_gain
    point = objective.evaluate(point.psi)  # so that the work arrays hold this point
    with np.errstate(over="ignore", invalid="ignore"):  # infinite where there is no curvature
        covariance = scale @ inverse @ scale.T
    errors = np.sqrt(np.maximum(np.diag(inverse), 0.0)) if positive_definite else np.ones(f)
    return Optimum(
        point=point,
        free=free,
        covariance=covariance if positive_definite else np.full((m, m), np.nan),
        positive_definite=positive_definite,
        axes=scale @ vectors,
        curvatures=curvatures,
        covariance_factor=scale @ factor,
        possible_gain=gain if positive_definite else np.inf,
        gradient_norm=float(np.max(np.abs(gradient * errors), initial=0.0)),
        mode_derivatives=mode_derivatives @ factor,
        modes=objective.modes(),
    )


def with_well_scaled_steps(objective: Objective, optimum: Optimum) -> Optimum:
    """The optimum with differences by steps of the intended length, if those of an optimum without flat axes were not.

    A start far from the maximum is a poor guide to standard errors there.
    """
    curvatures = optimum.curvatures
    if np.all((curvatures > LEAST_SCALED_CURVATURE) & (curvatures < 1 / LEAST_SCALED_CURVATURE)):
        return optimum
    before = optimum.covariance_factor
    better = polish_optimum(objective, optimum.point, optimum.free, before)
    if not better.positive_definite:
        return optimum
    # Principal axes of nearly equal curvature are determined by rounding. Turned back, the factor, and the draws that
    # are made with it, stay close to what they were.
    turned = np.linalg.lstsq(before, better.axes, rcond=None)[0].T
    return replace(
        better,
        covariance_factor=better.covariance_factor @ turned,
        mode_derivatives=better.mode_derivatives @ turned,
    )


def maximise(objective: Objective, start: Point, scale: FloatArray) -> Optimum:
    """The maximum of an objective, with parameters at a boundary held there.

    If the first search fails, or ends at a boundary, others start elsewhere, unless it was long: of a covariance matrix
    of dozens of entries, some end at a boundary nearly always.

    Parameters
    ----------
    objective : Objective
    start : Point
    scale : ndarray, shape (m, m)
        Directions of the search, of about one standard error each.
    """
    optimum = _climb_and_polish(objective, start, scale)
    if (optimum.converged and optimum.free.all()) or objective.evaluations > MOST_EVALUATIONS:
        return optimum
    for factor in RESTARTS:
        psi = start.psi.copy()
        psi[objective.p :] *= factor
        if np.array_equal(psi, start.psi):
            continue
        other = _climb_and_polish(objective, objective.evaluate(psi), scale)
        if (other.converged, other.point.value) > (optimum.converged, optimum.point.value + POSSIBLE_GAIN):
            optimum = other
    # So that the work arrays hold the optimum that is returned.
    objective.evaluate(optimum.point.psi)
    return optimum


def _climb_and_polish(objective: Objective, start: Point, scale: FloatArray) -> Optimum:
    point = start
    for _ in range(MOST_ROUNDS):
        point, free = _climb_to_boundaries(objective, point, scale)
        optimum = polish_optimum(objective, point, free, restricted(scale, free))
        if optimum.converged or objective.evaluations > MOST_EVALUATIONS:
            return optimum
        point = optimum.point
        if optimum.positive_definite:
            scale = _with_covariance(scale, optimum)
        elif optimum.curvatures[0] < SADDLE:
            # The gradient is zero on a saddle too, as between two equal variances of the same clusters.
            point = objective.evaluate(point.psi + optimum.axes[:, 0])
    return optimum


def _climb_to_boundaries(objective: Objective, point: Point, scale: FloatArray) -> tuple[Point, npt.NDArray[np.bool_]]:
    """Climb, and hold the parameters that reach a boundary there, until neither goes on.

    Near a boundary steps become short, so that it is not left to the end of the climb.
    """
    free = np.ones(len(point.psi), dtype=bool)
    in_a_row = max(STEPS_IN_A_ROW, scale.shape[1])
    for _ in progress(range(-(-MOST_CLIMBING_STEPS // in_a_row)), "Searching for the maximum"):
        start, directions = point, restricted(scale, free)
        climbed = climb(objective, start, directions, in_a_row)
        point, now_free = hold_boundaries(objective, climbed)
        ended = np.max(np.abs(directions.T @ climbed.gradient), initial=0.0) < GRADIENT_TOLERANCE
        if np.array_equal(free, now_free) and (ended or climbed.value - start.value < LEAST_RISE):
            break
        free = now_free
    return point, free


def restricted(scale: FloatArray, free: npt.NDArray[np.bool_]) -> FloatArray:
    """Directions of the search that move free parameters only: a factor of the free part of ``scale scale'``."""
    if free.all():
        return scale
    directions = np.zeros((len(scale), int(free.sum())))
    if free.any():
        directions[free] = np.linalg.qr(scale[free].T, mode="r").T
    return directions


def _with_covariance(scale: FloatArray, optimum: Optimum) -> FloatArray:
    """Directions for another search: by the covariance for free parameters, of the same length as before for others."""
    lengths = np.sqrt((scale**2).sum(axis=1))
    return np.column_stack([optimum.covariance_factor, np.diag(lengths)[:, ~optimum.free]])


def hold_boundaries(objective: Objective, point: Point) -> tuple[Point, npt.NDArray[np.bool_]]:
    """Set sds that are almost zero to zero, and covariance matrices that are almost singular to singular ones.

    Returns
    -------
    point : Point
        With Cholesky factors in their canonical form: no negative diagonal, zeros below a zero on the diagonal.
    free : ndarray of bool
        False for parameters that are held.
    """
    point = _canonical(objective, point)
    for g, a, b in objective.entries:
        if a != b:
            continue
        cholesky, units = objective.cholesky(point.psi), objective.effect_units[g]
        scaled = units.scaled(cholesky[g])
        sd = float(np.sqrt((scaled[a] ** 2).sum()))
        if sd * units.sds[a] < SMALL_SD:
            scaled[a] = 0.0
        elif abs(scaled[a, a]) < SMALL_SD * sd:
            scaled[a, a] = 0.0
        else:
            continue
        cholesky[g] = units.unscaled(scaled)
        held = objective.evaluate(_canonical_psi(objective, point.psi, cholesky))
        if held.value >= point.value - BOUNDARY_LOSS:
            point = held
    if objective.overdispersed and abs(point.psi[-1]) < SMALL_ROOT:
        psi = point.psi.copy()
        psi[-1] = 0.0
        held = objective.evaluate(psi)
        if held.value >= point.value - BOUNDARY_LOSS:
            point = held
    return _hold_kinks(objective, point)


def _hold_kinks(objective: Objective, point: Point) -> tuple[Point, npt.NDArray[np.bool_]]:
    """Hold coefficients at the kinks of their priors; zeros of the Cholesky factors are not free either."""
    free = np.ones(len(point.psi), dtype=bool)
    cholesky = objective.cholesky(point.psi)
    for k, (g, a, b) in enumerate(objective.entries):
        if cholesky[g][b, b] == 0.0 or not cholesky[g][a].any():
            free[objective.p + k] = False
    if objective.overdispersed:
        free[-1] = point.psi[-1] != 0.0
    for k, kink, reach in objective.kinks():
        if abs(point.psi[k] - kink) > reach:
            continue
        psi = point.psi.copy()
        psi[k] = kink
        held = objective.evaluate(psi)
        if held.value >= point.value - BOUNDARY_LOSS:
            point = held
            free[k] = False
    return point, free


def _canonical(objective: Objective, point: Point) -> Point:
    psi = _canonical_psi(objective, point.psi, objective.cholesky(point.psi))
    return point if np.array_equal(psi, point.psi) else objective.evaluate(psi)


def _canonical_psi(objective: Objective, psi: FloatArray, cholesky: list[FloatArray]) -> FloatArray:
    canonical = [np.zeros_like(L) for L in cholesky]
    groups = zip(objective.model.design.groups, objective.effect_units, cholesky, canonical, strict=True)
    for group, units, L, target in groups:
        scaled, of_scaled = units.scaled(L), np.zeros_like(L)
        for of_set in group.set_slices:
            of_scaled[of_set, of_set] = canonical_cholesky(scaled[of_set, of_set])
        target[:] = L if np.array_equal(of_scaled, scaled) else units.unscaled(of_scaled)
    canonical_psi = objective.with_cholesky(psi, canonical)
    if objective.overdispersed:
        canonical_psi[-1] = abs(psi[-1])
    return canonical_psi


def canonical_cholesky(L: FloatArray) -> FloatArray:
    """The lower triangular factor of ``L L'`` with no negative diagonal and zeros below a zero of it.

    Examples
    --------
    >>> import numpy as np
    >>> canonical_cholesky(np.array([[0.0, 0.0], [3.0, -4.0]]))
    array([[0., 0.],
           [0., 5.]])
    """
    if np.all(np.diag(L) > 0):
        return L
    # L with the signs of some columns changed has the same covariance.
    signed = L * np.where(np.diag(L) < 0, -1.0, 1.0)
    if np.all(np.diag(signed) > 0):
        return signed
    return _singular_cholesky(signed @ signed.T, np.diag(signed) == 0)


def _singular_cholesky(sigma: FloatArray, zero: npt.NDArray[np.bool_]) -> FloatArray:
    """Cholesky factor of a singular matrix, with zero columns where the pivots are known to be zero."""
    L = np.zeros_like(sigma)
    for j in range(len(sigma)):
        pivot = sigma[j, j] - (L[j, :j] ** 2).sum()
        if pivot <= 1e-14 * max(sigma[j, j], 1e-300) or (zero[j] and pivot <= 1e-10 * sigma[j, j]):
            continue
        L[j, j] = np.sqrt(pivot)
        for i in range(j + 1, len(sigma)):
            L[i, j] = (sigma[i, j] - (L[i, :j] * L[j, :j]).sum()) / L[j, j]
    return L
