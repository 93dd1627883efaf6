"""Directions in which the likelihood does not fall: infinite coefficients, and parameters that are not identified.

Along them there is no curvature, and so no standard error and nothing to draw from. They are taken out of the
covariance matrix of the estimates, which then describes the other directions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .optimizer import climb, with_well_scaled_steps

if TYPE_CHECKING:
    from .objective import Objective
    from .optimizer import Optimum

FloatArray = npt.NDArray[np.float64]

#: A direction with less curvature than this, for a step of about one standard error, is tried by a step.
LITTLE_CURVATURE = 1e-4
#: No derivative, for a step of one standard error, is larger where a search has reached the top, and no more directions
#: are flat there; steps that lead back to the ridge after one.
STILL, MOST_FLAT, STEPS_BACK = 1e-2, 10, 40
#: By how much the log-likelihood should fall with that step, if the curvature is right; the direction is flat if it
#: falls by less than a tenth of that.
FALL = 1e-4
#: A parameter is part of a direction if it moves by more than this share of the parameter that moves most.
INVOLVED = 0.05
#: An estimate may be infinite if its standard error, on the logit scale for one sd of the column, is above this.
LARGE_ERROR = 8.0
#: How far the linear predictor is then moved: root mean square over the rows, in logits.
LONG_STEP = 5.0
#: If the estimate is finite, that step lowers the log-likelihood by at least this much.
LEAST_COST = 0.1
#: How many such steps towards infinity leave room for one of a parameter that is not determined there.
STEPS_AWAY = 20


@dataclass(frozen=True)
class Bounded:
    """An optimum without the directions in which the likelihood is flat.

    Attributes
    ----------
    optimum : Optimum
        Its covariance is not a number for parameters that move along a flat direction.
    infinite : tuple of str
        Fixed effects with infinite estimates, because of separation.
    unidentified : ndarray of int
        Positions of the parameters that move along other flat directions.
    """

    optimum: Optimum
    infinite: tuple[str, ...]
    unidentified: npt.NDArray[np.intp]


def bounded(objective: Objective, optimum: Optimum) -> Bounded:
    """The optimum without its flat directions; the work arrays hold it again afterwards."""
    flat = _flat_axes(objective, optimum)
    if flat.any():
        optimum = _without_axes(optimum, flat)
    infinite, away = _infinite(objective, optimum)
    moved = np.flatnonzero(_involved(objective, optimum.axes[:, flat]))
    if not objective.penalised and np.all(moved < objective.p):  # a flat direction of fixed effects is separation
        infinite = np.union1d(infinite, moved).astype(np.intp)
    held = infinite
    if len(infinite):
        optimum = _without_parameters(objective, optimum, infinite)
        undetermined = _undetermined(objective, optimum, infinite, away)
        if len(undetermined):
            held = np.union1d(infinite, undetermined).astype(np.intp)
            optimum = _without_parameters(objective, optimum, held)
    labels = tuple(objective.model.design.fixed_effects[k] for k in held if k < objective.p)
    if flat.any() or len(held):
        unknown = np.union1d(moved, held).astype(np.intp)
        covariance = optimum.covariance.copy()
        covariance[unknown] = covariance[:, unknown] = np.nan
        optimum = replace(optimum, covariance=covariance)
    elif optimum.positive_definite:
        optimum = with_well_scaled_steps(objective, optimum)
    objective.evaluate(optimum.point.psi)
    # A flat direction of fixed effects alone is that of the infinite ones, if there are any.
    explained = len(infinite) and not np.any(moved >= objective.p)
    return Bounded(optimum, labels, moved[:0] if explained else moved)


def _flat_axes(objective: Objective, optimum: Optimum) -> npt.NDArray[np.bool_]:
    """Which of the principal axes of the curvature are flat."""
    flat = np.abs(optimum.curvatures) < LITTLE_CURVATURE
    if not np.max(np.abs(optimum.axes.T @ optimum.point.gradient), initial=0.0) < STILL or flat.sum() > MOST_FLAT:
        return np.zeros_like(flat)  # not at the top
    for k in np.flatnonzero(flat):
        others = np.delete(optimum.axes, k, axis=1)
        step = np.sqrt(2 * FALL / max(abs(optimum.curvatures[k]), 1e-12)) * optimum.axes[:, k]
        # Flat directions may be curves, as that of two variances with a given sum: the others follow.
        starts = [objective.evaluate(optimum.point.psi + sign * step) for sign in (1.0, -1.0)]
        values = [climb(objective, start, others, STEPS_BACK).value for start in starts if np.isfinite(start.value)]
        flat[k] = bool(values) and optimum.point.value - max(values) < 0.1 * FALL
    return flat


def _without_axes(optimum: Optimum, flat: npt.NDArray[np.bool_]) -> Optimum:
    """The optimum with its covariance in the directions that are not flat."""
    kept = ~flat & (optimum.curvatures > 0)
    factor = optimum.axes[:, kept] / np.sqrt(optimum.curvatures[kept])
    # Derivatives of the modes were kept for the axes with positive curvature, in units of the standard errors there.
    return replace(
        optimum,
        covariance=factor @ factor.T,
        positive_definite=bool(np.all(kept | flat)),
        covariance_factor=factor,
        possible_gain=0.5 * float(((factor.T @ optimum.point.gradient) ** 2).sum()),
        mode_derivatives=optimum.mode_derivatives[:, kept],
    )


def _infinite(objective: Objective, optimum: Optimum) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Fixed effects with infinite estimates, and a direction in which they go there together.

    Moving them far does not lower the log-likelihood, because of separation. With priors, none is infinite.
    """
    away = np.zeros(len(objective))
    if objective.penalised or not objective.p:
        return np.empty(0, dtype=np.intp), away
    design = objective.model.design
    candidates = np.arange(objective.p)
    if optimum.positive_definite:
        errors = np.sqrt(np.diag(optimum.covariance)[: objective.p])
        unsure = _involved(objective, optimum.axes[:, np.abs(optimum.curvatures) < LITTLE_CURVATURE])[: objective.p]
        candidates = np.flatnonzero((errors * design.column_sds > LARGE_ERROR) | unsure)
    infinite = []
    for k in candidates:
        step = _long_step(objective, _along_ridge(objective, optimum, int(k)))
        costs = [optimum.point.value - objective.evaluate(optimum.point.psi + sign * step).value for sign in (1, -1)]
        if min(abs(cost) for cost in costs) < LEAST_COST:
            infinite.append(k)
            away += step if abs(costs[0]) < abs(costs[1]) else -step
    if not infinite and len(candidates):
        return _infinite_together(objective, optimum, candidates)
    return np.array(infinite, dtype=np.intp), away


def _infinite_together(
    objective: Objective, optimum: Optimum, candidates: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Those of some fixed effects that go to infinity together, along Newton's step, and that direction.

    Several coefficients may belong to the same separated rows, such as the intercept and the slope of a category
    without events. The curvature then also leads to where the rows go different ways, while Newton's step moves each of
    them further out, by about one logit.
    """
    nowhere = candidates[:0], np.zeros(len(objective))
    newton = optimum.covariance @ optimum.point.gradient
    if not optimum.positive_definite or not np.any(objective.model.design.X @ newton[: objective.p]):
        return nowhere
    step = _long_step(objective, newton)
    if abs(optimum.point.value - objective.evaluate(optimum.point.psi + step).value) >= LEAST_COST:
        return nowhere
    return np.intersect1d(candidates, np.flatnonzero(_involved(objective, step[:, None]))), step


def _long_step(objective: Objective, direction: FloatArray) -> FloatArray:
    """A step along a direction by which the linear predictor moves far."""
    change = objective.model.design.X @ direction[: objective.p]
    step: FloatArray = LONG_STEP / np.sqrt(np.mean(change**2)) * direction
    return step


def _undetermined(
    objective: Objective, optimum: Optimum, infinite: npt.NDArray[np.intp], away: FloatArray
) -> npt.NDArray[np.intp]:
    """Parameters that matter only in rows whose linear predictor is infinite, where any value is as good as another.

    The slope in a category without events is one. It is moved both ways, after steps towards infinity that make room.
    """
    errors = np.sqrt(np.diag(optimum.covariance)) * _scales(objective)
    candidates = np.setdiff1d(np.flatnonzero(errors > LARGE_ERROR), infinite)
    # Where the search has gone so far that both ways of a step look alike, it came from zero.
    psi, so_far = optimum.point.psi, np.zeros_like(away)
    so_far[infinite] = optimum.point.psi[infinite]
    far = max((psi + STEPS_AWAY * way for way in (away, so_far)), key=lambda at: objective.evaluate(at).value)
    top, undetermined = objective.evaluate(far).value, []
    for k in candidates:
        step = LONG_STEP / errors[k] * optimum.covariance[:, k] / np.sqrt(optimum.covariance[k, k])
        costs = [top - objective.evaluate(far + sign * step).value for sign in (1, -1)]
        if max(abs(cost) for cost in costs) < LEAST_COST:
            undetermined.append(k)
    return np.array(undetermined, dtype=np.intp)


def _along_ridge(objective: Objective, optimum: Optimum, k: int) -> FloatArray:
    """The direction in which the other parameters follow when coefficient k moves by 1."""
    direction = np.zeros(len(objective))
    if optimum.positive_definite and optimum.covariance[k, k] > 0:
        direction[:] = optimum.covariance[:, k] / optimum.covariance[k, k]
    direction[k] = 1.0
    return direction


def _without_parameters(objective: Objective, optimum: Optimum, unknown: npt.NDArray[np.intp]) -> Optimum:
    """The optimum with its covariance given the combinations of these parameters that are unbounded.

    Coefficients may be infinite together, as an intercept and a slope are; other combinations of them are known.
    """
    factor = optimum.covariance_factor
    reach = _scales(objective)[unknown, None] * factor[unknown]
    values, vectors = np.linalg.eigh(reach @ reach.T)
    held = vectors[:, values > LARGE_ERROR**2].T @ reach
    # Orthonormal columns that span the moves of the draws that hold these combinations.
    rest = np.linalg.svd(held)[2][len(held) :].T
    conditional = factor @ rest
    return replace(
        optimum,
        covariance=conditional @ conditional.T,
        covariance_factor=conditional,
        mode_derivatives=optimum.mode_derivatives @ rest,
    )


def _involved(objective: Objective, directions: FloatArray) -> npt.NDArray[np.bool_]:
    """Which parameters move along any of some directions, on the logit scale for one sd of their columns."""
    moves: FloatArray = np.abs(directions) * _scales(objective)[:, None]
    involved: npt.NDArray[np.bool_] = np.any(moves > INVOLVED * moves.max(axis=0, initial=0.0), axis=1)
    return involved


def _scales(objective: Objective) -> FloatArray:
    """By how many logits the linear predictor moves, for one sd of its column, when a parameter moves by 1."""
    of_entries = np.array([objective.effect_sds[g][a] for g, a, _ in objective.entries])
    of_root = [1.0] if objective.overdispersed else []
    return np.concatenate([objective.model.design.column_sds, of_entries, of_root])
