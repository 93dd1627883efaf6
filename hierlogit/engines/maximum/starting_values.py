"""Where a search starts: plain logistic regression, two EM steps for the Cholesky factors, and parameter scales."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...density.marginal.laplace import fixed_information
from .objective import Objective, Point

FloatArray = npt.NDArray[np.float64]

#: First sd of an effect, on the logit scale for one sd of its column.
FIRST_SD = 1.0
EM_STEPS = 2
#: Precision of a normal prior on the plain regression's standardised coefficients, so that separated data have a start.
RIDGE = 0.01
MOST_STEPS = 15
#: The plain regression is only a start: it ends with a step this short, on the logit scale for one sd of a column.
NEAR_ENOUGH = 0.05


def starting_point(problem: Objective) -> tuple[Point, FloatArray]:
    """A point to start from, and directions of about one standard error each.

    Returns
    -------
    point : Point
    scale : ndarray, shape (m, m)
    """
    psi = np.zeros(len(problem))
    psi[: problem.p] = plain_regression(problem)
    cholesky = [np.diag(FIRST_SD / sds) for sds in problem.effect_sds]
    psi = problem.with_cholesky(psi, cholesky)
    point = problem.evaluate(psi)
    for _ in range(EM_STEPS if problem.entries else 0):
        psi = problem.with_cholesky(psi, _em_step(problem, point))
        point = problem.evaluate(psi)
    return point, directions(problem, point)


def plain_regression(problem: Objective) -> FloatArray:
    """Coefficients of the logistic regression without random effects, slightly shrunken; shape (p,)."""
    arrangement = problem.likelihood.arrangement
    row_index, p = arrangement.row_index, problem.p
    if p == 0:
        return np.empty(0)
    gamma = np.zeros(p)
    for _ in range(MOST_STEPS):
        eta = row_index.offset + row_index.X @ gamma
        probability = 0.5 * (1.0 + np.tanh(0.5 * eta))
        weight = row_index.trials * probability * (1.0 - probability)
        slope = row_index.X.T @ (row_index.y - row_index.trials * probability) - RIDGE * gamma
        information = (row_index.X * weight[:, None]).T @ row_index.X + RIDGE * np.eye(p)
        step = np.linalg.solve(information, slope)
        longest = float(np.abs(step).max())
        gamma += step * min(1.0, 4.0 / max(longest, 1e-300))
        if longest < NEAR_ENOUGH:
            break
    return np.linalg.solve(arrangement.triangular, gamma)


def _em_step(problem: Objective, point: Point) -> list[FloatArray]:
    """Cholesky factors after one step of the EM algorithm.

    The derivative of a marginal log-likelihood in L is ``L'^-1 (sum_j E[u_j u_j'] - J I)``, so it holds the second
    moments that EM needs.
    """
    cholesky = problem.cholesky(point.psi)
    slopes = problem.cholesky(point.gradient)
    made = []
    for group, L, slope in zip(problem.model.design.groups, cholesky, slopes, strict=True):
        lower = np.tril(L.T @ slope) / len(group.levels)
        moments = np.eye(len(L)) + lower + np.tril(lower, -1).T
        new = np.zeros_like(L)
        for one in group.set_slices:
            values, vectors = np.linalg.eigh(moments[one, one])
            kept = (vectors * np.clip(values, 0.05, 20.0)) @ vectors.T
            new[one, one] = L[one, one] @ np.linalg.cholesky(kept)
        made.append(new)
    return made


def directions(problem: Objective, point: Point) -> FloatArray:
    """Directions of about one standard error each at a point that was evaluated last, shape (m, m)."""
    scale = np.zeros((len(problem), len(problem)))
    p = problem.p
    if p:
        # In the coefficients of the orthogonal basis, where predictors far from zero do no harm.
        information = fixed_information(problem.likelihood) + 1e-10 * np.eye(p)
        root = np.linalg.inv(np.linalg.cholesky(information)).T
        scale[:p, :p] = np.linalg.solve(problem.likelihood.arrangement.triangular, root)
    cholesky = problem.cholesky(point.psi)
    levels = [len(group.levels) for group in problem.model.design.groups]
    for k, (g, a, _) in enumerate(problem.entries):
        sd = np.sqrt((cholesky[g][a] ** 2).sum())
        scale[p + k, p + k] = sd * np.sqrt(2.0 / levels[g])
    return scale
