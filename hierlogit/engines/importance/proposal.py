"""A marginal posterior -> the distribution from which its draws are proposed.

It is a multivariate t distribution at the mode, with the curvature there. Along the sds and correlations it has scales
of its own on both sides of the mode (Geweke 1989, Econometrica 57: 1317-1339, section 4): where the data hardly tell a
logarithm of an sd from zero, the density falls much more slowly on one side than its curvature says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..maximum.marginal_posterior import MarginalPosterior

FloatArray = npt.NDArray[np.float64]

#: Degrees of freedom: with fewer, draws of many variables are too often far out; with more, the tails may be too light.
DEGREES = 10.0
#: Searches for the mode, each with the curvature at the end of the one before.
MOST_SEARCHES = 6
#: A search that moves less than this, in sds, ends them.
SMALL_MOVE = 0.02
#: Steps of the finite differences of gradients: at the start, where the scale is not known, and in sds.
FIRST_STEP, STEP = 0.1, 0.3
#: The least curvature in sds of the search before, and at the start relative to the largest.
LEAST_CURVATURE, FIRST_LEAST = 0.05, 1e-3
#: Least log sd of an effect on a column with an sd of one at which a search starts.
LEAST_LOG_SD = math.log(0.1)
#: Distances from the mode, in sds, at which the density is looked at; the least and the largest scale taken from that.
DISTANCES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
SCALES = (0.7, 4.0)
#: Fall of the log density at which looking farther ends.
DEEP = 6.0


@dataclass(frozen=True)
class SplitT:
    """A multivariate t distribution whose coordinates have two scales each, one on either side of the centre.

    ``x = centre + factor v``, where v is a vector of a t distribution times the scales of the sides it lies on.

    Attributes
    ----------
    centre : ndarray, shape (d,)
    factor : ndarray, shape (d, d)
        Upper triangular: the last coordinate moves all variables, the first one only its own.
    below, above : ndarray, shape (d,)
    """

    centre: FloatArray
    factor: FloatArray
    below: FloatArray
    above: FloatArray

    def draw(self, count: int, random: np.random.Generator) -> FloatArray:
        """Independent draws, shape (count, d)."""
        d = len(self.centre)
        size = np.abs(random.standard_normal((count, d)))
        negative = random.uniform(size=(count, d)) < self.below / (self.below + self.above)
        stretch = np.sqrt(DEGREES / random.chisquare(DEGREES, count))
        v = np.where(negative, -size * self.below, size * self.above) * stretch[:, None]
        draws: FloatArray = self.centre + v @ self.factor.T
        return draws

    def points(self, uniform: FloatArray) -> FloatArray:
        """Points from uniform ones of shape (count, d + 1), shape (count, d)."""
        from scipy.special import chdtri, ndtri

        u, spread = uniform[:, :-1], np.sqrt(DEGREES / chdtri(DEGREES, uniform[:, -1:]))
        below = self.below / (self.below + self.above)
        # The probability of a side is in proportion to its scale.
        is_below = u < below
        normal = ndtri(np.where(is_below, 0.5 * u / below, 0.5 + 0.5 * (u - below) / (1 - below)))
        v = normal * spread * np.where(is_below, self.below, self.above)
        points: FloatArray = self.centre + v @ self.factor.T
        return points

    def log_density(self, x: FloatArray) -> FloatArray:
        """Normalised log density of vectors of shape (m, d), shape (m,)."""
        from scipy.linalg import solve_triangular

        d = len(self.centre)
        v = solve_triangular(self.factor, (x - self.centre).T).T if d else np.zeros_like(x)
        squared = ((v / np.where(v < 0, self.below, self.above)) ** 2).sum(axis=1)
        density: FloatArray = self._constant - 0.5 * (DEGREES + d) * np.log1p(squared / DEGREES)
        return density

    @cached_property
    def _constant(self) -> float:
        d = len(self.centre)
        constant = math.lgamma((DEGREES + d) / 2) - math.lgamma(DEGREES / 2) - d / 2 * math.log(DEGREES * math.pi)
        scales = np.log(np.diag(self.factor)).sum() + np.log((self.below + self.above) / 2).sum()
        return constant - float(scales)


def at_mode(posterior: MarginalPosterior) -> SplitT:
    """The proposal at the mode of a marginal posterior."""
    centre, covariance = mode_and_covariance(posterior)
    return with_both_sides(posterior, centre, upper_factor(covariance))


def mode_and_covariance(posterior: MarginalPosterior) -> tuple[FloatArray, FloatArray]:
    """The mode, and the inverse of minus the second derivatives there."""
    from scipy.optimize import minimize

    mode, scale, least = _start(posterior), FIRST_STEP * np.eye(posterior.n_dim), FIRST_LEAST
    for search in range(MOST_SEARCHES):
        step = 1.0 if search == 0 else STEP
        curvature = _curvature(posterior, mode, step * scale) / step**2
        values, axes = np.linalg.eigh(curvature)
        scale = scale @ axes / np.sqrt(np.maximum(values, max(least * values.max(initial=0.0), LEAST_CURVATURE)))
        least = 0.0

        def negative(v: FloatArray, at: FloatArray = mode, along: FloatArray = scale) -> tuple[float, FloatArray]:
            value, gradient = posterior.log_density_and_gradient(at + along @ v)
            return -value, -(along.T @ gradient)

        found = minimize(negative, np.zeros(posterior.n_dim), jac=True, method="BFGS", options={"gtol": 1e-3})
        moved = np.abs(found.x).max(initial=0.0) if found.fun <= negative(np.zeros(posterior.n_dim))[0] else 0.0
        mode = mode + scale @ found.x if moved else mode
        if search and moved < SMALL_MOVE:
            break
    return mode, scale @ scale.T


def upper_factor(covariance: FloatArray) -> FloatArray:
    """The upper triangular matrix U, of positive diagonal, with ``U U'`` the covariance matrix.

    Where variances differ so much that rounding errors are larger than the smallest, these are raised.
    """
    try:
        factor: FloatArray = np.linalg.cholesky(covariance[::-1, ::-1])[::-1, ::-1]
    except np.linalg.LinAlgError:
        from scipy.linalg import rq

        variances, axes = np.linalg.eigh(covariance)
        least = len(variances) * np.finfo(float).eps * variances.max()
        factor = rq(axes * np.sqrt(np.maximum(variances, least)))[0]
        factor = factor * np.sign(np.diag(factor))
    return factor


def with_both_sides(posterior: MarginalPosterior, centre: FloatArray, factor: FloatArray) -> SplitT:
    """A proposal with the scales on both sides by which the density falls along sds and correlations.

    The scale of a side is the largest that the density at any of `DISTANCES` suggests, as in a normal distribution.
    """
    scales, n_fixed = np.ones((2, posterior.n_dim)), posterior.variables.n_fixed
    steps = np.array([-1.0, 1.0])[:, None] * np.array(DISTANCES)
    places = centre + steps[..., None, None] * factor.T[n_fixed:]
    densities = posterior.log_densities(np.concatenate([centre[None], places.reshape(-1, posterior.n_dim)]))
    with np.errstate(invalid="ignore"):  # of two that are minus infinity
        falls = densities[0] - densities[1:].reshape(*steps.shape, -1)
    for side, k in np.ndindex(2, posterior.n_dim - n_fixed):
        suggested = SCALES[0]
        for distance, fall in zip(DISTANCES, falls[side, :, k], strict=True):
            suggested = max(suggested, distance / math.sqrt(2.0 * fall) if fall > 0 else SCALES[1])
            if fall > DEEP:
                break
        scales[side, n_fixed + k] = min(suggested, SCALES[1])
    return SplitT(centre, factor, scales[0], scales[1])


def _start(posterior: MarginalPosterior) -> FloatArray:
    """The posterior mode in the scale of sds and correlations, with sds that are not too close to zero."""
    objective, psi = posterior.objective, posterior.start().psi
    x = posterior.variables.at(psi[: objective.p], objective.cholesky(psi))
    column_sds = np.concatenate([np.empty(0), *(group.column_sds for group in posterior.model.design.groups)])
    log_sds = slice(posterior.variables.n_fixed, posterior.variables.n_fixed + len(column_sds))
    x[log_sds] = np.maximum(x[log_sds], LEAST_LOG_SD - np.log(column_sds))
    x[log_sds.stop :] = np.clip(x[log_sds.stop :], -1.0, 1.0)
    return x


def _curvature(posterior: MarginalPosterior, at: FloatArray, steps: FloatArray) -> FloatArray:
    """Minus the second derivatives along some steps, by differences of gradients."""
    gradients = posterior.gradients(np.concatenate([at - steps.T, at + steps.T]))
    second = 0.5 * (gradients[: len(steps.T)] - gradients[len(steps.T) :]) @ steps
    curvature: FloatArray = 0.5 * (second + second.T)
    return curvature
