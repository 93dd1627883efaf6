"""The columns of a table of clusters, computed for each posterior draw and summarised."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..binomial_intervals import clopper_pearson
from ..design.grouping import GroupBlock
from ..effects.query import Query
from ..progress import progress
from ..summaries.intervals import CHUNK_SIZE, Interval, end_names, put_block
from .event_counts import AveragedFactors, EventCounts, noise_ratios
from .pairs import ordered_pairs
from .ranks import RankArray, RankSummaries, ranks_of
from .rows_by_cluster import RowsByCluster

FloatArray = npt.NDArray[np.float64]
Columns = dict[str, FloatArray]

#: Pairs of more clusters than this are not compared, since there are too many.
MOST_COMPARED = 6000


@dataclass(frozen=True)
class Comparison:
    """What the clusters are compared by.

    Attributes
    ----------
    query : Query
    factor : GroupBlock
    by_cluster : RowsByCluster
    weights : ndarray, shape (J, q)
        Of the random effects of each cluster in its effect.
    averaged : tuple of str
        Other factors that probabilities are averaged over.
    expected : {"typical", "population"}
    low_is_best : bool
    among : int
        Number of clusters that are the best, and the worst.
    target : tuple of str and float, or None
        A quantity, and the number whose excess is asked for.
    interval : Interval
    """

    query: Query
    factor: GroupBlock
    by_cluster: RowsByCluster
    weights: FloatArray
    averaged: tuple[str, ...]
    expected: str
    low_is_best: bool
    among: int
    target: tuple[str, float] | None
    interval: Interval

    @cached_property
    def effects(self) -> FloatArray:
        """Effect of each cluster on the logit scale, shape (draws, J)."""
        effects: FloatArray = np.einsum("sjk,jk->sj", self.query.draws.effects[self.factor.name], self.weights)
        return effects

    @cached_property
    def _upwards(self) -> FloatArray:
        """The effects, or their opposites, so that the smallest is best."""
        return self.effects if self.low_is_best else -self.effects

    @cached_property
    def ranks(self) -> RankArray:
        """Rank of each cluster, shape (draws, J)."""
        return ranks_of(self._upwards)

    @cached_property
    def overall(self) -> float:
        """Proportion of events in all rows."""
        outcome = self.query.design.outcome
        return float(outcome.y.sum() / outcome.trials.sum())

    @cached_property
    def from_typical(self) -> int:
        """Number of clusters that differ from a typical one, with an effect of zero."""
        above, below = (self.effects > 0).mean(axis=0), (self.effects < 0).mean(axis=0)
        return int(np.sum(np.maximum(above, below) >= self.interval.certain))

    @cached_property
    def pairs(self) -> int | None:
        """Number of pairs of clusters that differ from each other; None if there are too many to compare."""
        if len(self.factor.levels) > MOST_COMPARED:
            return None
        return ordered_pairs(self.ranks, self.interval.certain)

    def observed_columns(self) -> Columns:
        """Rows, trials and events of each cluster."""
        index, count, outcome = self.factor.index, len(self.factor.levels), self.query.design.outcome
        trials, events = (np.bincount(index, weights=w, minlength=count) for w in (outcome.trials, outcome.y))
        rows = self.factor.rows_of_clusters.astype(np.float64)
        return {"rows": rows, "trials": trials, "events": events, "rate": events / trials}

    def event_columns(self, events: FloatArray, trials: FloatArray) -> tuple[Columns, FloatArray]:
        """Expected events and what is relative to them, and the draws of the rankability.

        Parameters
        ----------
        events, trials : ndarray, shape (J,)
        """
        draws, low_high = self.query.draws, self.interval.columns
        columns: Columns = {}
        ratios = np.empty((len(draws), len(events)), dtype=np.float32)
        averages = AveragedFactors.of(draws, self.by_cluster.rows, self.factor.name, self.averaged)
        for part, some in progress(list(self.by_cluster.blocks(len(draws))), "Counting expected events"):
            counts = EventCounts.of(draws, some, self.factor.name, averages)
            ratios[:, part] = noise_ratios(counts.information, draws.cholesky[self.factor.name], self.weights[part])
            with np.errstate(divide="ignore", invalid="ignore"):  # no events are expected after separation
                expected = counts.typical if self.expected == "typical" else counts.population
                relative, per_event = counts.predicted / expected, (1 / expected).mean(axis=0)
                exact = self._exact_interval(events[part], trials[part])
                found: Columns = {
                    "expected_typical": counts.typical.mean(axis=0),
                    "expected_population": counts.population.mean(axis=0),
                    "expected_sd": np.sqrt(counts.variance.mean(axis=0)),
                    "oe": events[part] * per_event,
                }
                for name, end in zip(end_names("oe_exact", self.interval.prob), exact, strict=True):
                    found[name] = end * trials[part] * per_event
                found["pe"] = relative.mean(axis=0)
                for name, end in zip(low_high, self.interval.ends(relative), strict=True):
                    found[f"pe_{name}"] = end
            found["reliability"] = (1 / (1 + ratios[:, part])).mean(axis=0)
            found |= self._beyond("pe", relative) | self._beyond("standardised_rate", relative * self.overall)
            put_block(columns, found, part, len(events))
        for name in ("", *(f"_{end}" for end in low_high)):
            columns[f"standardised_rate{name}"] = columns[f"pe{name}"] * self.overall
        return columns, 1 / (1 + np.median(ratios, axis=1).astype(np.float64))

    def _exact_interval(self, events: FloatArray, trials: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Ends of the exact binomial interval of each proportion; NaN for beta-binomial outcomes, which have none."""
        if self.query.model.overdispersed:
            return np.full(len(events), np.nan), np.full(len(events), np.nan)
        return clopper_pearson(events, trials, self.interval.prob)

    def effect_columns(self) -> Columns:
        """Odds ratios to a cluster with an effect of zero."""
        columns: Columns = {}
        step = max(CHUNK_SIZE // len(self.effects), 1)
        for start in range(0, self.effects.shape[1], step):
            part = slice(start, start + step)
            with np.errstate(over="ignore"):  # effects after separation
                ratios = np.exp(self.effects[:, part])
            found = {"odds_ratio": np.median(ratios, axis=0)}
            for name, end in zip(self.interval.columns, self.interval.ends(ratios), strict=True):
                found[f"odds_ratio_{name}"] = end
            found["p_above_1"] = (ratios > 1).mean(axis=0)
            found |= self._beyond("odds_ratio", ratios)
            put_block(columns, found, part, self.effects.shape[1])
        return columns

    def rank_columns(self) -> Columns:
        """Expected ranks with intervals, and probabilities of being among the best and the worst."""
        found, count = RankSummaries.of(self.ranks, self.interval, self.among), self.ranks.shape[1]
        low, high = (f"rank_{name}" for name in self.interval.columns)
        first, last = end_names("rank_simultaneous", self.interval.prob)
        return {
            "expected_rank": found.expected,
            low: found.low,
            high: found.high,
            first: found.first,
            last: found.last,
            "percentile": 100 * found.expected / (count + 1),
            "p_best": found.best,
            "p_worst": found.worst,
        }

    def _beyond(self, quantity: str, values: FloatArray) -> Columns:
        """The column with the probability of exceeding the target, if it is in terms of this quantity."""
        if self.target is None or self.target[0] != quantity:
            return {}
        return {"p_above_target": (values > self.target[1]).mean(axis=0)}
