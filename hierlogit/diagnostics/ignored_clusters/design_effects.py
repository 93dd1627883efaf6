"""Design effects: the variance of naive coefficients where outcomes depend on clusters, relative to the naive variance.

The naive estimates ``b`` solve ``X'(y - m p(b)) = 0``. Where outcomes depend on clusters, their variance in large
samples is ``A^-1 B A^-1`` (White 1982, Econometrica 50: 1-25), with ``A = X'WX`` the naive information and ``B`` the
variance of the score ``X'y`` under the mixed model; naive standard errors take ``A^-1``. B is a sum over pairs of
outcomes, of ``x_i x_j' Cov(y_i, y_j)``: each outcome with itself, which gives nearly A, and two outcomes that share
clusters. The covariance of the latter is that of their probabilities, over the distribution of the effects that they
share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from ...design.design import Design
from ...design.identical_rows import identical_rows
from ...effects.numerics.population_average import LARGEST, average_probability, rule_for
from ...model_comparison.parameter_integral import uniform_points
from ...progress import progress
from ...studies.simulated_outcomes import Parameters
from .naive_regression import NaiveRegression

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: Directions of shared effects that are integrated by a product of rules; more by a sequence of this many points.
MOST_PRODUCT, POINTS, SEED = 2, 2**11, 1
#: Directions along which shared effects vary less than this, relative to the first, do not count.
RANK_TOLERANCE = 1e-9


@dataclass(frozen=True)
class DesignEffects:
    """Design effects of the coefficients of the naive regression.

    Attributes
    ----------
    average : ndarray, shape (p,)
        Coefficients of the logistic regression closest to the probabilities averaged over clusters, about which naive
        estimates vary.
    own : ndarray, shape (p,)
        Share of each outcome with itself: 1, unless the averaged probabilities are not those of a logistic regression.
    shared : mapping of str to ndarray, shape (p,)
        What pairs of outcomes add, by the clusters that they share.
    """

    average: FloatArray
    own: FloatArray
    shared: dict[str, FloatArray]

    @property
    def total(self) -> FloatArray:
        """Design effects, shape (p,)."""
        return self.own + sum(self.shared.values(), start=np.zeros(len(self.own)))

    @classmethod
    def of(cls, design: Design, parameters: Parameters, naive: NaiveRegression) -> DesignEffects:
        """Design effects under a mixed model with these parameters."""
        trials, mean = design.outcome.trials, design.X @ parameters.beta + design.offset
        directions = [group.Z @ parameters.cholesky[group.name] for group in design.groups]
        probability = _averaged(mean, directions)
        (average,) = naive.fitted_to(naive.sums(trials * probability)[None], parameters.beta).coefficients
        fitted = _averaged(design.X @ average + design.offset, [])
        weights = (trials * each * (1 - each) for each in (fitted, probability))
        # In orthogonal columns, so that predictors far from zero do no harm.
        _, R = np.linalg.qr(design.X)
        U = np.linalg.solve(R.T, design.X.T).T
        information, own = ((U * weight[:, None]).T @ U for weight in weights)
        back = np.linalg.solve(R, np.linalg.inv(information))
        naive_variance = np.einsum("ka,ab,kb->k", back, information, back)

        def relative(score_variance: FloatArray) -> FloatArray:
            ratio: FloatArray = np.einsum("ka,ab,kb->k", back, score_variance, back) / naive_variance
            return ratio

        pairs = _Pairs(U, trials, mean, directions, _levels(design))
        shared = {_label(design, members): relative(total) for members, total in pairs.totals()}
        return cls(average, relative(own), shared)


def _averaged(mean: FloatArray, directions: list[FloatArray]) -> FloatArray:
    """Probabilities averaged over independent effects with these directions, shape (n,)."""
    from scipy.special import expit

    variance = sum(((one**2).sum(axis=1) for one in directions), start=np.zeros(len(mean)))
    if not variance.any():
        probability: FloatArray = expit(mean)
        return probability
    return average_probability(mean, np.sqrt(variance))


#: Positions of the grouping factors whose clusters two outcomes share.
Members = tuple[int, ...]


def _levels(design: Design) -> dict[Members, IntArray]:
    """For each set of factors whose clusters two outcomes can share, without sharing others, their cluster by row.

    Outcomes of the same family also share the community that it lives in: the family alone is not such a set.
    """
    found: dict[Members, IntArray] = {}
    every = range(len(design.groups))
    for size in range(1, len(design.groups) + 1):
        for members in combinations(every, size):
            first, level = identical_rows(np.column_stack([design.groups[k].index for k in members]))
            if np.bincount(level, weights=design.outcome.trials).max() < 2:  # no two outcomes share them
                continue
            closed = tuple(
                k for k in every if np.array_equal(design.groups[k].index[first][level], design.groups[k].index)
            )
            found.setdefault(closed, level)
    return found


def _label(design: Design, members: Members) -> str:
    """The innermost of the shared factors: those in which no other of them is nested."""
    groups = [design.groups[k] for k in members]
    inner = [
        one
        for one in groups
        if not any(other is not one and other.nested_in(one) and not one.nested_in(other) for other in groups)
    ]
    return " and ".join(one.name for one in inner)


@dataclass(frozen=True)
class _Pairs:
    """Pairs of outcomes that share clusters.

    Attributes
    ----------
    U : ndarray, shape (n, p)
    trials, mean : ndarray, shape (n,)
        Trials, and linear predictors without effects.
    directions : list of ndarray, shape (n, q)
        By factor, ``z'L``: how the linear predictor moves with the standardised effects.
    levels : mapping of tuple of int to ndarray of int, shape (n,)
        By set of factors, the cluster of each row that all of them make together.
    """

    U: FloatArray
    trials: FloatArray
    mean: FloatArray
    directions: list[FloatArray]
    levels: dict[Members, IntArray]

    def totals(self) -> Iterator[tuple[Members, FloatArray]]:
        """For each set of factors, ``sum u_i u_j' Cov(y_i, y_j)`` over the pairs that share exactly these."""
        for members in self.levels:
            containing = [other for other in self.levels if set(members) <= set(other)]
            sums = self._sums(members, containing)
            exact: dict[Members, FloatArray] = {}
            for other in sorted(containing, key=len, reverse=True):  # pairs that share more are counted in both
                more = (exact[one] for one in exact if set(other) < set(one))
                exact[other] = sums[other] - sum(more, start=np.zeros_like(sums[other]))
            yield members, exact[members]

    def _sums(self, members: Members, over: list[Members]) -> dict[Members, FloatArray]:
        """Sums over the pairs that share at least the factors of a set in `over`, as if they shared only `members`."""
        p = self.U.shape[1]
        sums, itself = {one: np.zeros((p, p)) for one in over}, np.zeros(len(self.mean))
        others = [one for k, one in enumerate(self.directions) if k not in members]
        centre = _averaged(self.mean, self.directions)
        coordinates = _main_coordinates(np.column_stack([self.directions[k] for k in members]))
        if not coordinates.shape[1]:
            return sums
        nodes, weights = _nodes(coordinates)
        for node, weight in progress(zip(nodes, weights, strict=True), "Integrating", len(nodes)):
            away = _averaged(self.mean + coordinates @ node, others) - centre
            itself += weight * away**2
            scores = self.U * (self.trials * away)[:, None]
            for one in over:
                of_level = np.column_stack([np.bincount(self.levels[one], weights=column) for column in scores.T])
                sums[one] += weight * of_level.T @ of_level
        alone = (self.U * (self.trials * itself)[:, None]).T @ self.U
        return {one: total - alone for one, total in sums.items()}


def _main_coordinates(directions: FloatArray) -> FloatArray:
    """Directions, shape (n, q), in as few orthogonal coordinates as they have; shape (n, r)."""
    _, sizes, axes = np.linalg.svd(np.linalg.qr(directions, mode="r"))
    used = sizes > RANK_TOLERANCE * max(float(sizes.max(initial=0.0)), 1e-300)
    coordinates: FloatArray = directions @ axes[: len(sizes)][used].T
    return coordinates


def _nodes(coordinates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Nodes, shape (nodes, r), and weights for functions of ``c'v`` with standard normal v."""
    r = coordinates.shape[1]
    if r <= MOST_PRODUCT and np.abs(coordinates).max() <= LARGEST:
        rules = [rule_for(np.abs(column)) for column in coordinates.T]
        nodes = np.array(list(product(*(rule[0] for rule in rules))))
        weights = np.prod(np.array(list(product(*(rule[1] for rule in rules)))), axis=1)
        return nodes, weights
    from scipy.special import ndtri

    return ndtri(uniform_points(POINTS, r, np.random.SeedSequence(SEED))), np.full(POINTS, 1 / POINTS)
