"""Probability of each row given the other rows of its clusters, for every draw, with the effects integrated out.

A draw's own effects of a cluster depend on all of its rows. If a row carries much of the information about them, the
draws know its outcome, and importance weights cannot make them forget it. Given the coefficients and covariances of the
draw, and the effects of all other clusters,

    p(y_i | y_-i) = integral of prod_k p(y_k | u) phi(u) / integral of prod_(k != i) p(y_k | u) phi(u),

with k over the rows of the clusters whose effects u are integrated out (Merkle, Furr and Rabe-Hesketh 2019,
Psychometrika 84: 802-829). Of two nested factors with one effect each, both are integrated out together, for all
clusters in an outer one: the probability then depends on the coefficients and covariances of the draw alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...binomial import log_binomial_coefficient, variance_factor
from ...density.linear_predictor import CHUNK_SIZE, Draws, linear_predictor
from ...density.marginal.gauss_hermite import grid
from ...density.outcome_likelihood import log_likelihood
from ...design.design import EncodedRows
from .given_outcomes import LARGE_SD, NODES, Problem, log_integral
from .nested_rows import leave_out

if TYPE_CHECKING:
    from ...design.grouping import GroupBlock
    from ...model_spec import ModelSpec

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Effects are integrated out if a row carries at least this share of the information about them.
LEAST_SHARE = 0.05
#: They are also integrated out if their variance over the draws is at least this, in squared logits: probabilities of
#: the row then vary so much from draw to draw that weights fail, however little the row tells.
LARGE_VARIANCE = 0.5
#: With a larger share, the effects of a second grouping factor are integrated out as well, and a row of several trials
#: has quadrature nodes of its own.
LARGE_SHARE = 0.2
#: Effects, and rows of their clusters, up to which those of a second grouping factor are integrated out.
MOST_EFFECTS, MOST_ROWS = 3, 200
#: Quadrature nodes for an inner and for an outer effect: usually, and if they are large.
INNER_NODES, OUTER_NODES = (15, 21), (7, 11)


@dataclass(frozen=True)
class GivenOthers:
    """Rows given the other rows of their clusters.

    Attributes
    ----------
    model : Model
    draws : Draws
    """

    model: ModelSpec
    draws: Draws

    @cached_property
    def shares(self) -> dict[str, FloatArray]:
        """Share of each row in the information about the effects of its clusters, shape (n,) by grouping factor.

        It is the row's information times the variance of its effects over the draws, and lies between 0 and 1.
        """
        from scipy.special import expit

        design = self.model.design
        p = expit(_mean(self.draws, design.training_rows()))
        trials, phi = design.outcome.trials, self.draws.phi
        weight = trials * p * (1 - p) / variance_factor(trials, None if phi is None else float(np.median(phi)))
        return {name: weight * variance for name, variance in self._variances.items()}

    @cached_property
    def _variances(self) -> dict[str, FloatArray]:
        """Variance over the draws of the effects in each row's linear predictor, shape (n,) by grouping factor."""
        variances = {}
        for group in self.model.design.groups:
            centred = self.draws.effects[group.name] - self.draws.effects[group.name].mean(axis=0)
            covariance = np.einsum("sjq,sjr->jqr", centred, centred) / max(len(self.draws), 1)
            variances[group.name] = np.einsum("nq,nqr,nr->n", group.Z, covariance[group.index], group.Z)
        return variances

    @cached_property
    def integrated(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Whether the effects of each row's cluster are integrated out, shape (n,) by grouping factor."""
        groups, shares = self.model.design.groups, self.shares
        chosen = {group.name: np.zeros(len(group.index), dtype=bool) for group in groups}
        sizes = {group.name: np.bincount(group.index)[group.index] for group in groups}
        effects = {group.name: len(group.effects) for group in groups}
        none = np.zeros(self.model.design.n_rows)
        largest = np.max([none, *shares.values()], axis=0)
        spread = np.max([none, *self._variances.values()], axis=0)
        together = self.in_nested_integrals
        for row in np.flatnonzero((largest >= LEAST_SHARE) | (spread >= LARGE_VARIANCE)).tolist():
            first, *others = sorted(shares, key=lambda name: -shares[name][row])
            chosen[first][row] = True
            count, rows = effects[first], int(sizes[first][row])
            for name in others:
                count, rows = count + effects[name], rows + int(sizes[name][row])
                if shares[name][row] < LARGE_SHARE or count > MOST_EFFECTS or rows > MOST_ROWS:
                    break
                chosen[name][row] = True
        pair = [group.name for group in self._nested or ()]
        for name, is_chosen in chosen.items():
            is_chosen[together] = name in pair
        return chosen

    @cached_property
    def in_nested_integrals(self) -> npt.NDArray[np.bool_]:
        """Whether the effects of a row's inner and outer clusters are integrated out together, shape (n,).

        They are in outer clusters with a row that carries the least share of the information about both effects.
        """
        if self._nested is None:
            return np.zeros(self.model.design.n_rows, dtype=bool)
        inner, outer = self._nested
        both = (self.shares[inner.name] >= LEAST_SHARE) & (self.shares[outer.name] >= LEAST_SHARE)
        together = np.zeros(len(outer.levels), dtype=bool)
        together[outer.index[both]] = True
        return together[outer.index]

    @cached_property
    def _nested(self) -> tuple[GroupBlock, GroupBlock] | None:
        """An inner and an outer grouping factor with one effect each; None if the model has none.

        Their effects are integrated out together for binomial outcomes only.
        """
        if self.model.overdispersed:
            return None
        single = [group for group in self.model.design.groups if len(group.effects) == 1]
        pairs = [(a, b) for a in single for b in single if len(a.levels) > len(b.levels) and a.nested_in(b)]
        return pairs[0] if pairs else None

    @property
    def is_integrated(self) -> npt.NDArray[np.bool_]:
        """Whether any effects are integrated out for each row, shape (n,)."""
        none = np.zeros(self.model.design.n_rows, dtype=bool)
        return np.any([none, *self.integrated.values()], axis=0)

    def parts(self) -> list[IntArray]:
        """All rows in parts that fit in memory, those whose clusters are integrated out together side by side."""
        design = self.model.design
        # The last key is the first to sort by: outer clusters, or the factor that is most often integrated out.
        keys = sorted(design.groups, key=lambda group: (self.integrated[group.name].sum(), -len(group.levels)))
        order = np.lexsort([group.index for group in keys] or [np.arange(design.n_rows)])
        step = max(1, CHUNK_SIZE // (2 * len(self.draws)))
        return [order[start : start + step] for start in range(0, design.n_rows, step)]

    def of(self, at: IntArray) -> tuple[FloatArray, FloatArray]:
        """Log probability of the outcomes of some rows, and probability of the event in one trial.

        Parameters
        ----------
        at : ndarray of int, shape (k,)
            Positions of rows, such as one of the `parts`.

        Returns
        -------
        log_probability, probability : ndarray, shape (draws, k)
        """
        from scipy.special import expit

        design = self.model.design
        y, trials = design.outcome.y, design.outcome.trials
        eta = linear_predictor(self.draws, design.training_rows().at(at))
        log_probability, probability = log_likelihood(y[at], trials[at], eta, self.draws.phi), expit(eta)
        for places in self._sharing(at):
            integrate = self._integrate_nested if self.in_nested_integrals[at[places[0]]] else self._integrate
            integrate(at[places], places, log_probability, probability)
        if design.outcome.of_counted is not None:
            log_probability += design.outcome.beyond_binomial[at]
        return log_probability, probability

    def _sharing(self, at: IntArray) -> Iterator[IntArray]:
        """Positions in `at` of the rows for which the effects of the same clusters are integrated out."""
        codes = np.full((len(at), max(len(self.model.design.groups), 1)), -1)
        for k, group in enumerate(self.model.design.groups):
            is_inner = self._nested is not None and group is self._nested[0]
            own = self.integrated[group.name] & ~(self.in_nested_integrals & is_inner)
            codes[:, k] = np.where(own, group.index, -1)[at]
        distinct, member = np.unique(codes, axis=0, return_inverse=True)
        order = np.argsort(member.ravel(), kind="stable")
        for code, places in zip(distinct, np.split(order, np.cumsum(np.bincount(member.ravel()))[:-1]), strict=True):
            if np.any(code >= 0):
                yield places

    def _integrate(
        self, rows: IntArray, places: IntArray, log_probability: FloatArray, probability: FloatArray
    ) -> None:
        """Replace the values of some rows, for which the effects of the same clusters are integrated out."""
        design = self.model.design
        levels = {g.name: int(g.index[rows[0]]) for g in design.groups if self.integrated[g.name][rows[0]]}
        members = {name: self._rows_of[name][level] for name, level in levels.items()}
        together = np.unique(np.concatenate(list(members.values())))
        y, trials = design.outcome.y[together], design.outcome.trials[together]
        encoded = design.training_rows().at(together)
        groups = {
            name: replace(group, index=np.where(group.index == levels[name], -1, group.index))
            if name in levels
            else group
            for name, group in encoded.groups.items()
        }
        others = EncodedRows(encoded.X, encoded.offset, groups)
        size = sum(groups[name].Z.shape[1] for name in levels)
        step = max(1, CHUNK_SIZE // (len(together) * (size + 2)))
        inside = np.searchsorted(together, rows)
        dominant = (trials[inside] > 1) & (np.sum([self.shares[name][rows] for name in levels], axis=0) > LARGE_SHARE)
        alone = dominant | (size not in NODES)
        for start in range(0, len(self.draws), step):
            part = slice(start, min(start + step, len(self.draws)))
            draws = self.draws[part]
            columns = []
            for name, level in levels.items():
                own = encoded.groups[name].index == level
                columns.append((groups[name].Z * own[:, None]) @ draws.cholesky[name])
            eta = linear_predictor(draws, others)
            problem = Problem(eta, np.concatenate(columns, axis=-1), y, trials, draws.phi)
            log_p, p = _left_out(problem, inside, alone)
            log_probability[part, places], probability[part, places] = log_p, p

    def _integrate_nested(
        self, rows: IntArray, places: IntArray, log_probability: FloatArray, probability: FloatArray
    ) -> None:
        """Replace the values of some rows of an outer cluster, integrated out with all clusters in it."""
        assert self._nested is not None
        inner, outer = self._nested
        members = self._rows_of[outer.name][int(outer.index[rows[0]])]
        members = members[np.argsort(inner.index[members], kind="stable")]
        design = self.model.design
        y, trials = design.outcome.y[members], design.outcome.trials[members]
        encoded = design.training_rows().at(members)
        known = {
            name: replace(group, index=np.full(len(members), -1)) if name in (inner.name, outer.name) else group
            for name, group in encoded.groups.items()
        }
        scales = np.column_stack([self.draws.cholesky[group.name][:, 0, 0] for group in (inner, outer)])
        many = np.median(scales, axis=0) > LARGE_SD
        nodes, log_weights = grid(INNER_NODES[int(many[0])], 1)
        outer_nodes, outer_log_weights = grid(OUTER_NODES[int(many[1])], 1)
        starts = np.append(np.unique(inner.index[members], return_index=True)[1], len(members))
        dominant = [(self.shares[group.name][members] > LARGE_SHARE) & (trials > 1) for group in (inner, outer)]
        wanted = np.searchsorted(members, rows, sorter=(order := np.argsort(members)))
        step = max(1, CHUNK_SIZE // (4 * len(members)))
        for start in range(0, len(self.draws), step):
            part = slice(start, min(start + step, len(self.draws)))
            eta = linear_predictor(self.draws[part], EncodedRows(encoded.X, encoded.offset, known))
            log_p, p = np.empty_like(eta), np.empty_like(eta)
            leave_out(
                y,
                trials,
                np.ascontiguousarray(eta),
                np.ascontiguousarray(inner.Z[members, 0]),
                np.ascontiguousarray(outer.Z[members, 0]),
                scales[part],
                starts,
                np.column_stack(dominant),
                nodes[0],
                log_weights,
                outer_nodes[0],
                outer_log_weights,
                log_p,
                p,
            )
            log_p += log_binomial_coefficient(y, trials)
            log_probability[part, places], probability[part, places] = log_p[:, order[wanted]], p[:, order[wanted]]

    @cached_property
    def _rows_of(self) -> dict[str, list[IntArray]]:
        """Positions of the rows of each cluster, by grouping factor."""
        rows = {}
        for group in self.model.design.groups:
            ends = np.cumsum(np.bincount(group.index, minlength=len(group.levels)))[:-1]
            rows[group.name] = np.split(np.argsort(group.index, kind="stable"), ends)
        return rows


def _mean(draws: Draws, rows: EncodedRows) -> FloatArray:
    """Mean linear predictor over the draws, shape (n,)."""
    effects = {name: values.mean(axis=0, keepdims=True) for name, values in draws.effects.items()}
    eta: FloatArray = linear_predictor(Draws(draws.beta.mean(axis=0, keepdims=True), effects, {}), rows)[0]
    return eta


def _left_out(problem: Problem, at: IntArray, alone: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Log probability and probability of the event of some rows given the others, shape (draws, k).

    The nodes are those for all of the rows together, or for the other rows alone.
    """
    from scipy.special import expit

    log_p, p = np.empty((len(problem.eta), len(at))), np.empty((len(problem.eta), len(at)))
    whole, points, logs = log_integral(problem)
    for k, row in enumerate(at.tolist()):
        if alone[k]:
            without, places, weights = log_integral(problem.without(row))
            eta = problem.predictor_of(row, places)
        else:
            eta = problem.predictor_of(row, points)
            weights = logs - problem.log_likelihood_of(row, eta)
            without = np.logaddexp.reduce(weights)
        log_p[:, k] = whole - without
        p[:, k] = (np.exp(weights - without) * expit(eta)).sum(axis=0)
    return log_p, p
