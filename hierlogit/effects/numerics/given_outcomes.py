"""Draws of the effects of new clusters from their exact distribution, given some of their outcomes.

Given the coefficients and covariances of a posterior draw, the effects ``b = L u`` of new clusters have the density
``prod_i p(y_i | t_i, expit(eta_i + z_i' L u)) phi(u)``, with the binomial or beta-binomial probabilities p. An
independence sampler proposes from a t distribution with the mode and curvature of this density, found by Newton's
method. The proposal has heavier tails than the density, so that the sampler is uniformly ergodic: from any start, the
distance to the exact distribution falls by the same factor at each step (Mengersen and Tweedie 1996, Annals of
Statistics 24: 101-121).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...binomial import log_binomial_coefficient
from ...density.kernels.binomial_residuals import kind_of
from ...density.linear_predictor import CHUNK_SIZE, Draws, linear_predictor
from ...density.outcome_likelihood import log_likelihood, score_and_weight
from ...design.design import EncodedRows
from .effect_density import expansions, log_densities, log_integrals

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: Degrees of freedom of the proposal.
DEGREES = 5.0
#: Proposals for each draw; with an acceptance rate a, about (1 - a)^STEPS of the start's influence remains.
STEPS = 60
#: Quadrature nodes per dimension, for one, two or three effects: usually, and if they are large.
NODES = {1: (15, 31), 2: (7, 11), 3: (5, 7)}
#: Effects with a larger sd, in logits, are large: the density of a cluster's effects is then far from normal.
LARGE_SD = 2.0
NEWTON_STEPS, NEWTON_TOLERANCE = 100, 1e-9


@dataclass(frozen=True)
class Seen:
    """Rows of new clusters whose outcomes are known.

    Attributes
    ----------
    rows : EncodedRows
    y, trials : ndarray, shape (n,)
        Successes and trials.
    """

    rows: EncodedRows
    y: FloatArray
    trials: FloatArray


@dataclass(frozen=True)
class Unit:
    """A new cluster: its grouping factor, its position among the new clusters of that factor, and its rows."""

    group: str
    position: int
    rows: IntArray


def new_labels(rows: EncodedRows) -> dict[str, npt.NDArray[np.generic]]:
    """Labels of the clusters that are not in the training data, by grouping factor, in order of appearance."""
    return {name: pd.unique(group.labels[group.index < 0]) for name, group in rows.groups.items()}


def sampled_effects(draws: Draws, seen: Seen, random: np.random.Generator) -> tuple[dict[str, FloatArray], float, int]:
    """Draws of the new clusters' effects, one for each posterior draw.

    Returns
    -------
    effects : dict of str to ndarray, shape (draws, new clusters, q)
    acceptance : float
        Smallest acceptance rate over the sets of clusters that depend on each other.
    size : int
        Number of effects in the largest of these sets.
    """
    effects = _empty(draws, seen)
    acceptance, size = 1.0, 0
    for part, part_draws, units, problem in _problems(draws, seen):
        mode, curvature = _mode(problem)
        u, accepted = _sample(problem, mode, curvature, random)
        acceptance, size = min(acceptance, accepted), max(size, u.shape[1])
        _place(effects, part, part_draws, units, u)
    return effects, acceptance, size


def modes_of_effects(draws: Draws, seen: Seen) -> dict[str, FloatArray]:
    """Modes of the new clusters' effects, shape (draws, new clusters, q) by grouping factor."""
    effects = _empty(draws, seen)
    for part, part_draws, units, problem in _problems(draws, seen):
        _place(effects, part, part_draws, units, _mode(problem)[0])
    return effects


def log_likelihoods(draws: Draws, seen: Seen) -> FloatArray:
    """Log-likelihood of the outcomes for each draw, the new clusters' effects integrated out; shape (draws,).

    The integral is by adaptive quadrature over up to three effects that depend on each other, and by Laplace's method
    over more. Rows without a new cluster do not contribute.
    """
    total = np.zeros(len(draws))
    for part, _, _, problem in _problems(draws, seen):
        total[part] += problem.log_integrals(_Rule.of(problem)) if problem.phi is None else log_integral(problem)[0]
    return total


def log_integral(problem: Problem) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Logarithm of the integral of each draw's density over the effects, by adaptive Gauss-Hermite quadrature.

    Returns
    -------
    integral : ndarray, shape (draws,)
        With the normal density of the standardised effects.
    nodes : ndarray, shape (k, draws, d)
        Standardised effects.
    logs : ndarray, shape (k, draws)
        Logarithms of the terms whose sum is the integral.
    """
    rule = _Rule.of(problem)
    nodes = np.stack([rule.mode + rule.scale @ point for point in rule.points])
    logs = problem.log_density(nodes) + rule.log_weights[:, None] + rule.constant
    integral: FloatArray = np.logaddexp.reduce(logs)
    return integral, nodes, logs


@dataclass(frozen=True)
class _Rule:
    """Quadrature rule of each draw, adapted to the mode and curvature of its density.

    Attributes
    ----------
    mode : ndarray, shape (draws, d)
    scale : ndarray, shape (draws, d, d)
        The nodes are the products with the points, added to the mode.
    constant : ndarray, shape (draws,)
        Logarithm of what all terms of the sum are multiplied by.
    points : ndarray, shape (k, d)
    log_weights : ndarray, shape (k,)
    """

    mode: FloatArray
    scale: FloatArray
    constant: FloatArray
    points: FloatArray
    log_weights: FloatArray

    @classmethod
    def of(cls, problem: Problem) -> _Rule:
        mode, curvature = _mode(problem)
        d = mode.shape[1]
        usual, many = NODES.get(d, (1, 1))
        sds = np.sqrt(np.einsum("snd,snd->sn", problem.A, problem.A))
        large = np.median(sds.max(axis=1, initial=0.0)) > LARGE_SD
        points, weights = _gauss_hermite(many if large else usual)
        R = np.linalg.cholesky(curvature)
        # u = mode + R^-T v has the inverse of the curvature R R' as its covariance.
        inverse = np.linalg.inv(R).transpose(0, 2, 1)
        constant = -np.log(np.diagonal(R, axis1=1, axis2=2)).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)
        places = [list(place) for place in product(range(len(points)), repeat=d)]
        logs = np.log(weights)
        log_weights = [0.5 * float(points[place] @ points[place]) + float(logs[place].sum()) for place in places]
        return cls(mode, inverse, constant, points[places], np.array(log_weights))


@cache
def _gauss_hermite(count: int) -> tuple[FloatArray, FloatArray]:
    """Points and weights of the rule with so many points for the weight function ``exp(-u^2 / 2)``."""
    return np.polynomial.hermite_e.hermegauss(count)


@dataclass(frozen=True)
class Problem:
    """Densities of the standardised effects of a set of clusters, one for each draw.

    Attributes
    ----------
    eta : ndarray, shape (draws, n)
        Linear predictors without these effects.
    A : ndarray, shape (draws, n, d)
        Coefficients of the standardised effects in the linear predictors.
    y, trials : ndarray, shape (n,)
    phi : ndarray, shape (draws,), or None
        Precision of beta-binomial outcomes.
    """

    eta: FloatArray
    A: FloatArray
    y: FloatArray
    trials: FloatArray
    phi: FloatArray | None

    def predictor(self, u: FloatArray) -> FloatArray:
        """Linear predictors of all rows at effects u, shape (draws, d); shape (draws, n)."""
        return self.eta + (self.A @ u[..., None])[..., 0]

    def predictor_of(self, row: int, u: FloatArray) -> FloatArray:
        """Linear predictor of one row at effects u, shape (..., draws, d); shape (..., draws)."""
        predictor: FloatArray = self.eta[:, row] + np.einsum("...sd,sd->...s", u, self.A[:, row])
        return predictor

    def without(self, row: int) -> Problem:
        """The densities given the other rows."""
        kept = np.arange(len(self.y)) != row
        return replace(self, eta=self.eta[:, kept], A=self.A[:, kept], y=self.y[kept], trials=self.trials[kept])

    def log_likelihood_of(self, row: int, eta: FloatArray) -> FloatArray:
        """Log probability of one row's outcome at linear predictors of each draw; both of shape (k, draws)."""
        y, trials = self.y[[row]], self.trials[[row]]
        return np.stack([log_likelihood(y, trials, of_node[:, None], self.phi)[:, 0] for of_node in eta])

    def log_density(self, u: FloatArray) -> FloatArray:
        """Log density at effects u, shape (..., draws, d), up to a constant; shape (..., draws)."""
        if self.phi is not None:
            points = u.reshape(-1, *u.shape[-2:])
            of_rows = [log_likelihood(self.y, self.trials, self.predictor(one), self.phi).sum(axis=1) for one in points]
            return np.reshape(of_rows, u.shape[:-1]) - 0.5 * (u**2).sum(axis=-1)
        values = np.empty(u.shape[:-1])
        log_densities(len(self.eta), kind_of(self.trials), *self._flat, np.ravel(u), values.ravel())
        return values + self._coefficients

    def log_integrals(self, rule: _Rule) -> FloatArray:
        """Logarithm of the integral of each draw's density, as `log_integral` has it, of binomial outcomes."""
        values = np.empty(len(self.eta))
        of_rule = np.ravel(rule.mode), np.ravel(rule.scale), np.ravel(rule.points.T), rule.log_weights
        # Rows with the same coefficients in the first draw mostly have the same in all of them.
        order = np.lexsort(self.A[0].T)
        log_integrals(len(values), kind_of(self.trials), *self._flat, *of_rule, order, values)
        return values + rule.constant + self._coefficients

    def expansion(self, u: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log density at effects u, shape (draws, d), as `log_density` has it, with its derivatives.

        Returns
        -------
        value : ndarray, shape (draws,)
        gradient : ndarray, shape (draws, d)
        H : ndarray, shape (draws, d, d)
            Negative Hessian.
        """
        draws, d = u.shape
        if self.phi is None:
            value, gradient, H = np.empty(draws), np.empty((draws, d)), np.empty((draws, d, d))
            expansions(draws, kind_of(self.trials), *self._flat, np.ravel(u), value, gradient.ravel(), H.ravel())
            return value + self._coefficients, gradient, H
        score, weight = score_and_weight(self.y, self.trials, self.predictor(u), self.phi)
        transposed = self.A.transpose(0, 2, 1)
        gradient = (transposed @ score[..., None])[..., 0] - u
        return self.log_density(u), gradient, (transposed * weight[:, None, :]) @ self.A + np.eye(d)

    @cached_property
    def _flat(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Successes, trials, linear predictors and coefficients for compiled code."""
        return self.y, self.trials, np.ravel(self.eta), np.ravel(self.A.transpose(0, 2, 1))

    @cached_property
    def _coefficients(self) -> float:
        """Logarithm of the binomial coefficients of all rows."""
        return float(log_binomial_coefficient(self.y, self.trials).sum())


def _empty(draws: Draws, seen: Seen) -> dict[str, FloatArray]:
    return {
        name: np.zeros((len(draws), len(labels), seen.rows.groups[name].Z.shape[1]))
        for name, labels in new_labels(seen.rows).items()
        if len(labels)
    }


def _problems(draws: Draws, seen: Seen) -> Iterator[tuple[slice, Draws, list[Unit], Problem]]:
    """Sets of clusters that share rows, and so depend on each other, for parts of the draws that fit in memory."""
    for units in _dependent_sets(seen.rows):
        chosen = np.unique(np.concatenate([unit.rows for unit in units]))
        rows = seen.rows.at(chosen)
        size = sum(rows.groups[unit.group].Z.shape[1] for unit in units)
        step = max(1, CHUNK_SIZE // (len(chosen) * (size + 2)))
        for start in range(0, len(draws), step):
            part = slice(start, min(start + step, len(draws)))
            part_draws = draws[part]
            A = np.zeros((len(part_draws), size, len(chosen)))  # as compiled code takes it
            column = 0
            for unit in units:
                Z, at = rows.groups[unit.group].Z, np.searchsorted(chosen, unit.rows)
                A[:, column : column + Z.shape[1], at] = _products(part_draws.cholesky[unit.group], Z[at])
                column += Z.shape[1]
            eta = linear_predictor(part_draws, rows)
            outcomes = seen.y[chosen], seen.trials[chosen]
            problem = Problem(eta, A.transpose(0, 2, 1), *outcomes, part_draws.phi)
            yield part, part_draws, units, problem


def _products(cholesky: FloatArray, Z: FloatArray) -> FloatArray:
    """Coefficients of a cluster's standardised effects in its rows, shape (draws, q, n), in one product of matrices."""
    draws, q, _ = cholesky.shape
    return (cholesky.transpose(0, 2, 1).reshape(draws * q, q) @ Z.T).reshape(draws, q, len(Z))


def _dependent_sets(rows: EncodedRows) -> list[list[Unit]]:
    """New clusters in sets that share rows."""
    units: list[Unit] = []
    for name, labels in new_labels(rows).items():
        codes = pd.Index(labels).get_indexer(pd.Index(rows.groups[name].labels))
        codes[rows.groups[name].index >= 0] = -1
        units += [Unit(name, k, np.flatnonzero(codes == k)) for k in range(len(labels))]
    if len(units) < 2:
        return [units] if units else []
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    row_index = np.concatenate([unit.rows for unit in units])
    unit_index = np.repeat(np.arange(len(units)), [len(unit.rows) for unit in units])
    entries = (np.ones(len(row_index)), (unit_index, row_index))
    membership = coo_array(entries, shape=(len(units), len(rows))).tocsr()
    count, components = connected_components(membership @ membership.T, directed=False)
    return [[unit for unit, component in zip(units, components, strict=True) if component == k] for k in range(count)]


def _place(effects: Mapping[str, FloatArray], part: slice, draws: Draws, units: list[Unit], u: FloatArray) -> None:
    column = 0
    for unit in units:
        cholesky = draws.cholesky[unit.group]
        standardised = u[:, column : column + cholesky.shape[1]]
        effects[unit.group][part, unit.position] = np.einsum("sij,sj->si", cholesky, standardised)
        column += cholesky.shape[1]


def _mode(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Modes, shape (draws, d), and negative Hessians there, by Newton's method with step halving."""
    draws, _, d = problem.A.shape
    u = np.zeros((draws, d))
    value, gradient, H = problem.expansion(u)
    for _ in range(NEWTON_STEPS):
        step = _solved(H, gradient)
        decrement = np.einsum("sd,sd->s", gradient, step)
        if np.max(decrement) < NEWTON_TOLERANCE:
            break
        length = np.ones(draws)
        while True:
            moved = u + length[:, None] * step
            reached, *slopes = problem.expansion(moved)
            short = (reached < value + 1e-4 * length * decrement) & (length * decrement > 1e-12)
            if not short.any():
                break
            length = np.where(short, length / 2, length)
        u, value = moved, reached
        gradient, H = slopes
    return u, H


def _solved(H: FloatArray, gradient: FloatArray) -> FloatArray:
    """``H^-1 gradient`` of each draw; for one or two effects without LAPACK, whose calls take longer than the solution.

    H is the identity plus a matrix without negative eigenvalues, so that its determinant is at least one.
    """
    d = H.shape[1]
    if d == 1:
        return gradient / H[:, 0]
    if d == 2:
        determinant = H[:, 0, 0] * H[:, 1, 1] - H[:, 0, 1] * H[:, 0, 1]
        first = H[:, 1, 1] * gradient[:, 0] - H[:, 0, 1] * gradient[:, 1]
        second = H[:, 0, 0] * gradient[:, 1] - H[:, 0, 1] * gradient[:, 0]
        return np.stack([first / determinant, second / determinant], axis=1)
    solution: FloatArray = np.linalg.solve(H, gradient[..., None])[..., 0]
    return solution


def _sample(
    problem: Problem, mode: FloatArray, curvature: FloatArray, random: np.random.Generator
) -> tuple[FloatArray, float]:
    draws, d = mode.shape
    # u = mode + R^-T t has the inverse of the curvature R R' as its scale.
    inverse = np.linalg.inv(np.linalg.cholesky(curvature)).transpose(0, 2, 1)

    def proposed() -> tuple[FloatArray, FloatArray]:
        t = random.standard_normal((draws, d)) / np.sqrt(random.chisquare(DEGREES, (draws, 1)) / DEGREES)
        u = mode + np.einsum("sij,sj->si", inverse, t)
        log_proposal = -0.5 * (DEGREES + d) * np.log1p((t**2).sum(axis=1) / DEGREES)
        return u, problem.log_density(u) - log_proposal

    u, weight = proposed()
    accepted = 0.0
    for _ in range(STEPS):
        other, other_weight = proposed()
        accept = np.log(random.random(draws)) < other_weight - weight
        u[accept], weight[accept] = other[accept], other_weight[accept]
        accepted += float(accept.mean())
    return u, accepted / STEPS
