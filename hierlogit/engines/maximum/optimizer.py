"""The search for a maximum: start, quasi-Newton steps, boundaries, a last Newton step, and what can be said of the end.

Fixed effects are searched in units of their standard errors, with correlations taken out; Cholesky factors by their
lower triangles, whose signs are free: ``L`` and ``L D`` with ``D = diag(+-1)`` are the same model, so that a standard
deviation of zero is an ordinary point of a smooth function and not an edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .objective import Objective, Point

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: The quasi-Newton search ends where no parameter, in standard errors, has a larger derivative.
GRADIENT_TOLERANCE = 3e-4
#: No parameter moves further at once, in standard errors.
LONGEST_STEP = 10.0
#: A promise of less rise of the log-likelihood than this is within the noise of its value.
LEAST_RISE = 1e-9
MOST_CLIMBING_STEPS = 500
#: Step of the finite differences of the gradient, in standard errors.
DIFFERENCE = 1e-4
#: A maximum is one if the log-likelihood can rise by no more than this, as its curvature says.
POSSIBLE_GAIN = 1e-6
#: An sd this small, in units of one over the sd of its column, is compared with zero.
SMALL_SD = 0.03
#: What setting a parameter to its boundary may cost.
BOUNDARY_LOSS = 1e-7
MOST_NEWTON_STEPS = 6
MOST_ROUNDS = 4
#: Other starts tried where the first one ends badly or at a boundary: multiples of the first Cholesky factors.
RESTARTS = (0.3, 3.0)


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
    positive : bool
        Whether the information is positive definite.
    root : ndarray, shape (m, f)
        A root of the covariance: more exact than the covariance itself where predictors are far from zero.
    possible_gain : float
        What the log-likelihood could still rise by, as gradient and curvature say.
    gradient_norm : float
        Largest derivative, for a step of one standard error.
    moves : ndarray, shape (effects, f)
        How the modes of the standardised effects move with the parameters, along the columns of the root.
    modes : ndarray
        The modes of the standardised effects.
    """

    point: Point
    free: npt.NDArray[np.bool_]
    covariance: FloatArray
    positive: bool
    root: FloatArray
    possible_gain: float
    gradient_norm: float
    moves: FloatArray
    modes: FloatArray

    @property
    def converged(self) -> bool:
        """Whether this is a maximum, up to `POSSIBLE_GAIN`."""
        return self.positive and self.point.converged and self.possible_gain <= POSSIBLE_GAIN


def climb(problem: Objective, start: Point, scale: FloatArray) -> Point:
    """Quasi-Newton ascent (BFGS) along the columns of `scale`.

    The columns are about one standard error each, so that the identity is a good first guess of the inverse curvature.
    A search takes about ten evaluations, on small data of a tenth of a millisecond each: less than the bookkeeping of
    a general optimiser.

    Parameters
    ----------
    problem : Objective
    start : Point
    scale : ndarray, shape (m, f)
        A step of one in a direction of the search is a column of this matrix.

    Returns
    -------
    Point
        The highest one found.
    """
    point, slope = start, scale.T @ start.gradient
    inverse = np.eye(scale.shape[1])
    for _ in range(MOST_CLIMBING_STEPS):
        if np.max(np.abs(slope), initial=0.0) < GRADIENT_TOLERANCE:
            break
        step = inverse @ slope
        step *= min(1.0, LONGEST_STEP / float(np.abs(step).max()))
        higher, step = _line_search(problem, point, scale, step, float(slope @ step))
        if higher is None:
            break
        change = slope - scale.T @ higher.gradient
        _update(inverse, step, change)
        point, slope = higher, slope - change
    return point


def _line_search(
    problem: Objective, point: Point, scale: FloatArray, step: FloatArray, rise: float
) -> tuple[Point | None, FloatArray]:
    """Shorten a step until the objective rises by a little of what its slope promises; None if it never does."""
    fraction = 1.0
    while fraction * rise > LEAST_RISE:
        there = problem.evaluate(point.psi + scale @ (fraction * step))
        gain = there.value - point.value
        if np.isfinite(gain) and np.all(np.isfinite(there.gradient)):
            if gain >= 1e-4 * fraction * rise:
                return there, fraction * step
            # The top of the parabola through both values and the slope.
            fraction *= float(np.clip(0.5 * fraction * rise / (fraction * rise - gain), 0.1, 0.5))
        else:
            fraction *= 0.2
    return None, step


def _update(inverse: FloatArray, step: FloatArray, change: FloatArray) -> None:
    """BFGS update of the inverse curvature, in place, unless the curvature along the step is not positive."""
    along = float(step @ change)
    if along <= 1e-10 * float(step @ step):
        return
    turned = inverse @ change
    inverse += (1.0 + float(change @ turned) / along) / along * np.outer(step, step)
    inverse -= (np.outer(step, turned) + np.outer(turned, step)) / along


def settle_peak(problem: Objective, point: Point, free: npt.NDArray[np.bool_], scale: FloatArray) -> Optimum:
    """Curvature by differences of the gradient, Newton steps with it, and what it says of the end."""
    m, f = scale.shape
    point = problem.evaluate(point.psi)
    modes = problem.modes()
    slopes, moves = np.empty((f, f)), np.empty((len(modes), f))
    for k in range(f):
        there = problem.evaluate(point.psi + DIFFERENCE * scale[:, k])
        slopes[k] = scale.T @ (there.gradient - point.gradient) / DIFFERENCE
        moves[:, k] = (problem.modes() - modes) / DIFFERENCE
    information = -0.5 * (slopes + slopes.T)
    positive, root = _root_of_inverse(information)
    inverse = root @ root.T
    gradient = scale.T @ point.gradient
    gain = 0.5 * float(gradient @ inverse @ gradient)
    for _ in range(MOST_NEWTON_STEPS):
        if not positive or gain < 1e-3 * POSSIBLE_GAIN:
            break
        nearer = problem.evaluate(point.psi + scale @ (inverse @ gradient))
        slope = scale.T @ nearer.gradient
        left = 0.5 * float(slope @ inverse @ slope)
        if not left < gain:
            break
        point, gradient, gain = nearer, slope, left
    point = problem.evaluate(point.psi)  # so that the work arrays hold this point
    covariance = scale @ inverse @ scale.T
    errors = np.sqrt(np.maximum(np.diag(inverse), 0.0)) if positive else np.ones(f)
    return Optimum(
        point=point,
        free=free,
        covariance=covariance if positive else np.full((m, m), np.nan),
        positive=positive,
        root=scale @ root,
        possible_gain=gain if positive else np.inf,
        gradient_norm=float(np.max(np.abs(gradient * errors), initial=0.0)),
        moves=moves @ root,
        modes=problem.modes(),
    )


def _root_of_inverse(information: FloatArray) -> tuple[bool, FloatArray]:
    """Whether a symmetric matrix is positive definite, and a root of its inverse, or of that of its positive part."""
    if not len(information):
        return True, information
    if not np.all(np.isfinite(information)):
        return False, np.eye(len(information))
    values, vectors = np.linalg.eigh(information)
    positive = bool(values[0] > 1e-10 * max(values[-1], 0.0))
    return positive, vectors / np.sqrt(np.where(values > 1e-10 * abs(values[-1]), values, np.inf))


def maximise(problem: Objective, start: Point, scale: FloatArray) -> Optimum:
    """Climb to a maximum, hold what ends at a boundary there, and try again from elsewhere if the end is no good.

    Parameters
    ----------
    problem : Objective
    start : Point
    scale : ndarray, shape (m, m)
        Directions of the search: about one standard error each.
    """
    peak = _from(problem, start, scale)
    if peak.converged and peak.free.all():
        return peak
    for factor in RESTARTS:
        psi = start.psi.copy()
        psi[problem.p :] *= factor
        other = _from(problem, problem.evaluate(psi), scale)
        if (other.converged, other.point.value) > (peak.converged, peak.point.value + POSSIBLE_GAIN):
            peak = other
    # So that the work arrays hold the one that is kept.
    problem.evaluate(peak.point.psi)
    return peak


def _from(problem: Objective, start: Point, scale: FloatArray) -> Optimum:
    free = np.ones(len(start.psi), dtype=bool)
    point = start
    for _ in range(MOST_ROUNDS):
        point = climb(problem, point, scale)
        point, free = hold_boundaries(problem, point)
        if not free.all():
            point = climb(problem, point, restricted(scale, free))
        peak = settle_peak(problem, point, free, restricted(scale, free))
        if peak.converged:
            return peak
        point = peak.point
        if peak.positive:
            scale = _with_root(scale, peak)
    return peak


def restricted(scale: FloatArray, free: npt.NDArray[np.bool_]) -> FloatArray:
    """Directions of the search that leave what is not free as it is: a root of the free part of ``scale scale'``."""
    if free.all():
        return scale
    made = np.zeros((len(scale), int(free.sum())))
    if free.any():
        made[free] = np.linalg.qr(scale[free].T, mode="r").T
    return made


def _with_root(scale: FloatArray, peak: Optimum) -> FloatArray:
    """Directions for another try: by the covariance found where it holds, as long as before elsewhere."""
    lengths = np.sqrt((scale**2).sum(axis=1))
    return np.column_stack([peak.root, np.diag(lengths)[:, ~peak.free]])


def hold_boundaries(problem: Objective, point: Point) -> tuple[Point, npt.NDArray[np.bool_]]:
    """Set sds that are hardly above zero, and what makes a covariance matrix nearly singular, to exactly that.

    Returns
    -------
    point : Point
        With Cholesky factors in their canonical form: no negative diagonal, zeros below a zero on the diagonal.
    free : ndarray of bool
        False for what is held.
    """
    point = _canonical(problem, point)
    for g, a, b in problem.entries:
        if a != b:
            continue
        cholesky = problem.cholesky(point.psi)
        sd = float(np.sqrt((cholesky[g][a] ** 2).sum()))
        if sd * problem.effect_sds[g][a] < SMALL_SD:
            cholesky[g][a] = 0.0
        elif abs(cholesky[g][a, a]) < SMALL_SD * sd:
            cholesky[g][a, a] = 0.0
        else:
            continue
        held = problem.evaluate(_canonical_psi(problem, point.psi, cholesky))
        if held.value >= point.value - BOUNDARY_LOSS:
            point = held
    return _with_kinks(problem, point)


def _with_kinks(problem: Objective, point: Point) -> tuple[Point, npt.NDArray[np.bool_]]:
    """What is free: not the zeros of the Cholesky factors, nor coefficients at the kink of a prior."""
    free = np.ones(len(point.psi), dtype=bool)
    cholesky = problem.cholesky(point.psi)
    for k, (g, a, b) in enumerate(problem.entries):
        if cholesky[g][b, b] == 0.0 or not cholesky[g][a].any():
            free[problem.p + k] = False
    for k, peak, reach in problem.kinks():
        if abs(point.psi[k] - peak) > reach:
            continue
        psi = point.psi.copy()
        psi[k] = peak
        held = problem.evaluate(psi)
        if held.value >= point.value - BOUNDARY_LOSS:
            point = held
            free[k] = False
    return point, free


def _canonical(problem: Objective, point: Point) -> Point:
    psi = _canonical_psi(problem, point.psi, problem.cholesky(point.psi))
    return point if np.array_equal(psi, point.psi) else problem.evaluate(psi)


def _canonical_psi(problem: Objective, psi: FloatArray, cholesky: list[FloatArray]) -> FloatArray:
    made = []
    for group, L in zip(problem.model.design.groups, cholesky, strict=True):
        canonical = np.zeros_like(L)
        for one in group.set_slices:
            canonical[one, one] = canonical_cholesky(L[one, one])
        made.append(canonical)
    return problem.with_cholesky(psi, made)


def canonical_cholesky(L: FloatArray) -> FloatArray:
    """The lower triangular factor of ``L L'`` with no negative diagonal and zeros below a zero of it.

    Examples
    --------
    >>> import numpy as np
    >>> canonical_root(np.array([[0.0, 0.0], [3.0, -4.0]]))
    array([[0., 0.],
           [0., 5.]])
    """
    if np.all(np.diag(L) > 0):
        return L
    # Householder: L = R Q' with R lower triangular spans the same covariance; zero pivots are pushed to the right.
    signed = L * np.where(np.diag(L) < 0, -1.0, 1.0)
    if np.all(np.diag(signed) > 0):
        return signed
    return _pivotless_root(signed @ signed.T, np.diag(signed) == 0)


def _pivotless_root(sigma: FloatArray, zero: npt.NDArray[np.bool_]) -> FloatArray:
    """Cholesky factor of a singular matrix, with zero columns where the pivots are known to vanish."""
    L = np.zeros_like(sigma)
    for j in range(len(sigma)):
        left = sigma[j, j] - (L[j, :j] ** 2).sum()
        if left <= 1e-14 * max(sigma[j, j], 1e-300) or (zero[j] and left <= 1e-10 * sigma[j, j]):
            continue
        L[j, j] = np.sqrt(left)
        for i in range(j + 1, len(sigma)):
            L[i, j] = (sigma[i, j] - (L[i, :j] * L[j, :j]).sum()) / L[j, j]
    return L
