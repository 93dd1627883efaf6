"""Where a search starts: plain logistic regression, two EM steps for the Cholesky factors, and parameter scales."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ...design.arrangement import RowIndex
from .objective import LIKELY, Objective, Point

FloatArray = npt.NDArray[np.float64]

#: First sd of an effect, on the logit scale for one sd of its column.
FIRST_SD = 1.0
EM_STEPS = 2
#: First ``1 / sqrt(phi)`` of beta-binomial outcomes: a correlation of trials of about 0.1.
FIRST_ROOT = 0.3
#: Precision of a normal prior on the plain regression's standardised coefficients, so that separated data have a start.
RIDGE = 0.01
MOST_STEPS = 15
#: The plain regression is only a start: it ends with a step this short, on the logit scale for one sd of a column.
NEAR_ENOUGH = 0.05
#: Factor by which sds are reduced while the likelihood cannot be computed, and sds that are then taken for zero.
SMALLER, SMALLEST = 1e-3, 1e-30


def starting_point(
    objective: Objective, plain: tuple[FloatArray, FloatArray | None] | None = None
) -> tuple[Point, FloatArray]:
    """The start of a search, and directions of about one standard error each.

    Parameters
    ----------
    objective : Objective
    plain : tuple of ndarray, optional
        If the rows are not in memory: the coefficients of the logistic regression without random effects, shape (p,),
        and, where there are priors, a matrix R for which ``R'R`` is the information about them.

    Returns
    -------
    point : Point
    scale : ndarray, shape (m, m)
    """
    psi = np.zeros(len(objective))
    psi[: objective.p] = _shrunken(objective, *((plain_regression(objective), None) if plain is None else plain))
    if objective.overdispersed:
        psi[-1] = _first_root(objective)
    point = _computable(objective, psi, objective.first_cholesky(FIRST_SD))
    for _ in range(EM_STEPS if objective.entries else 0):
        point = _computable(objective, psi, _em_step(objective, point))
    return point, directions(objective, point)


def _first_root(objective: Objective) -> float:
    """First ``1 / sqrt(phi)``: with priors, within what they leave most of their probability to."""
    prior = objective.model.priors.phi
    if prior is None or not objective.penalised:
        return FIRST_ROOT
    low, high = (prior.quantile(prob) for prob in LIKELY)
    return float(np.clip(FIRST_ROOT**-2.0, low, high) ** -0.5)


def _computable(objective: Objective, psi: FloatArray, cholesky: list[FloatArray]) -> Point:
    """The likelihood at Cholesky factors, or at smaller ones where it is not a number.

    With several grouping factors, slopes of a predictor extremely far from zero exceed the digits of the arithmetic.
    """
    point = objective.evaluate(objective.with_cholesky(psi, cholesky))
    while not np.isfinite(point.gradient).all() and any(L.any() for L in cholesky):
        cholesky = [np.where(np.abs(L) > SMALLEST, SMALLER * L, 0.0) for L in cholesky]
        point = objective.evaluate(objective.with_cholesky(psi, cholesky))
    return point


def plain_regression(objective: Objective) -> FloatArray:
    """Coefficients of the logistic regression without random effects, slightly shrunken; shape (p,)."""
    arrangement = objective.likelihood.arrangement
    row_index, p = arrangement.row_index, objective.p
    if p == 0:
        return np.empty(0)
    # Offsets that the columns can make up for, however large, leave the search where it would begin without them.
    origin = -np.linalg.lstsq(row_index.X, row_index.offset, rcond=None)[0] if row_index.offset.any() else np.zeros(p)
    gamma = ridge_regression(lambda at: plain_terms(row_index, at), origin)
    return np.linalg.solve(arrangement.triangular, gamma)


def ridge_regression(terms: Callable[[FloatArray], tuple[FloatArray, FloatArray]], origin: FloatArray) -> FloatArray:
    """Coefficients of the orthogonal basis of a logistic regression, slightly shrunken to an origin; shape (p,).

    Parameters
    ----------
    terms : callable
        Gradient and information of the log-likelihood at coefficients, as by `plain_terms`.
    origin : ndarray, shape (p,)
    """
    gamma = origin.copy()
    for _ in range(MOST_STEPS):
        of_rows, information = terms(gamma)
        gradient = of_rows - RIDGE * (gamma - origin)
        information = information + RIDGE * np.eye(len(origin))
        step = np.linalg.solve(information, gradient)
        largest = float(np.abs(step).max())
        gamma += step * min(1.0, 4.0 / max(largest, 1e-300))
        if largest < NEAR_ENOUGH:
            break
    return gamma


def plain_terms(row_index: RowIndex, gamma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gradient, shape (p,), and information, shape (p, p), of a logistic regression without random effects."""
    probability, weight = _plain_probabilities(row_index, gamma)
    gradient = row_index.X.T @ (row_index.y - row_index.trials * probability)
    return gradient, (row_index.X * weight[:, None]).T @ row_index.X


def _plain_probabilities(row_index: RowIndex, gamma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Probabilities of rows without random effects, and the variances of their successes."""
    probability = 0.5 * (1.0 + np.tanh(0.5 * (row_index.offset + row_index.X @ gamma)))
    return probability, row_index.trials * probability * (1.0 - probability)


def prior_rows(objective: Objective) -> tuple[FloatArray, FloatArray]:
    """The priors of the fixed effects as rows of a linear regression with errors of variance one.

    Returns
    -------
    rows : ndarray, shape (p, p)
        One over the scale of each prior; for the intercept, whose prior is for the predictors' means, their means.
    targets : ndarray, shape (p,)
        Location over scale.
    """
    design, priors = objective.model.design, objective.model.priors.fixed
    scales = np.array([getattr(priors[label], priors[label].scale) for label in design.fixed_effects])
    locations = np.array([getattr(priors[label], priors[label].location) for label in design.fixed_effects])
    rows = np.eye(objective.p)
    if design.has_intercept:
        rows[design.fixed_effects.index("Intercept")] = design.column_means
    return rows / scales[:, None], locations / scales


def _shrunken(objective: Objective, beta: FloatArray, root: FloatArray | None) -> FloatArray:
    """Coefficients of a logistic regression, moved towards the locations of narrow priors; shape (p,)."""
    if not objective.penalised or not objective.p:
        return beta
    if root is None:
        row_index, R = objective.likelihood.arrangement.row_index, objective.triangular
        weight = _plain_probabilities(row_index, R @ beta)[1]
        root = np.linalg.qr(np.sqrt(weight)[:, None] * row_index.X, mode="r") @ R
    rows, targets = prior_rows(objective)
    moved: FloatArray = np.linalg.lstsq(np.vstack([root, rows]), np.concatenate([root @ beta, targets]), rcond=None)[0]
    return moved


def _em_step(objective: Objective, point: Point) -> list[FloatArray]:
    """Cholesky factors after one step of the EM algorithm.

    The gradient of a marginal log-likelihood with respect to L is ``L'^-1 (sum_j E[u_j u_j'] - J I)``, which gives the
    second moments that EM needs.
    """
    cholesky = objective.cholesky(point.psi)
    gradients = objective.cholesky(point.gradient)
    updated = [np.zeros_like(L) for L in cholesky]
    for group, L, gradient, target in zip(objective.model.design.groups, cholesky, gradients, updated, strict=True):
        lower = np.tril(L.T @ gradient) / len(group.levels)
        moments = np.eye(len(L)) + lower + np.tril(lower, -1).T
        for of_set in group.set_slices:
            values, vectors = np.linalg.eigh(moments[of_set, of_set])
            bounded = (vectors * np.clip(values, 0.05, 20.0)) @ vectors.T
            target[of_set, of_set] = L[of_set, of_set] @ np.linalg.cholesky(bounded)
    return updated


def root_of(information: FloatArray) -> FloatArray:
    """A matrix R with ``R'R`` equal to the information, or to the nearest that rounding has not made indefinite."""
    try:
        return np.linalg.cholesky(information).T
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(information)
        return np.sqrt(np.maximum(values, 1e-10))[:, None] * vectors.T


def directions(objective: Objective, point: Point) -> FloatArray:
    """Directions of about one standard error each at the point that was evaluated last, shape (m, m)."""
    scale = np.zeros((len(objective), len(objective)))
    p = objective.p
    if p:
        # In the coefficients of the orthogonal basis, where predictors far from zero do no harm.
        information = objective.fixed_information() + 1e-10 * np.eye(p)
        root = root_of(information) @ objective.triangular
        rows = np.vstack([root, prior_rows(objective)[0]]) if objective.penalised else root
        scale[:p, :p] = np.linalg.inv(np.linalg.qr(rows, mode="r"))
    sds, levels = objective.scaled_sds(point.psi), [len(group.levels) for group in objective.model.design.groups]
    lengths = np.array([sds[g][a] * np.sqrt(2.0 / levels[g]) for g, a, _ in objective.entries])
    scale[objective.of_entries, objective.of_entries] = objective.entry_directions * lengths
    if objective.overdispersed:
        # Rows of a single trial tell nothing about phi. At zero, a step reaches phi of the usual start.
        several = max(int((objective.model.design.outcome.trials > 1).sum()), 1)
        scale[-1, -1] = (abs(point.psi[-1]) or FIRST_ROOT) * np.sqrt(2.0 / several)
    return scale
