"""What calls such as ``scale(log(x))`` learn from all rows of shards, asked of each shard in one or more passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ..design.column_rules import NODES, ClusterRule, ColumnRule, GaussRule, rule_of_order
from ..design.counted_transforms import LEARNING, knot_probabilities
from ..design.learning_calls import Given, LearningCall, given_arguments, learning_calls
from ..design.order_statistics import Intervals, Places, order_statistics, order_statistics_between
from ..design.row_counts import quantile_ranks
from ..design.transforms import AGGREGATES
from ..errors import DesignError

if TYPE_CHECKING:
    from ..design.table import TrainingTable
    from ..formula.terms import Formula

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
#: Tells which of a shard's complete rows the encoding is learned from.
type Kept = Callable[[], npt.NDArray[np.bool_]]

#: Clusters of ``within`` and ``between`` that may lie in several shards, whose means every process needs.
MOST_CLUSTERS = 100_000


class Question(Protocol):
    """What is asked of each shard about the arguments of a call."""

    def answer(self, given: Given, kept: Kept, /) -> Any:
        """The answer of a shard."""

    def settled(self, answers: Sequence[Any], /) -> ColumnRule | Question:
        """What all answers say together, or what is to be asked next."""


@dataclass(frozen=True)
class _Powers:
    """Asks for the means of powers."""

    def answer(self, given: Given, _kept: Kept) -> GaussRule:
        return GaussRule.of(given.values, np.ones(len(given.values)))

    def settled(self, answers: Sequence[GaussRule]) -> GaussRule:
        return reduce(GaussRule.joined, answers)


@dataclass(frozen=True)
class _Quantiles:
    """Asks between which values the extremes and some quantiles lie.

    Attributes
    ----------
    probabilities : ndarray, shape (k,)
    """

    probabilities: FloatArray

    def answer(self, given: Given, _kept: Kept) -> Places:
        return Places.of(given.values)

    def settled(self, answers: Sequence[Places]) -> ColumnRule | Question:
        rows = sum(int(part.upto[-1]) for part in answers)
        ranks = np.unique(np.concatenate([[0, rows - 1], *quantile_ranks(rows, self.probabilities)]).astype(np.int64))
        low, high = order_statistics_between(answers, ranks)
        return rule_of_order(ranks, low) if np.array_equal(low, high) else _OrderStatistics(ranks, low, high)


@dataclass(frozen=True)
class _OrderStatistics:
    """Asks for the values between the bounds of order statistics.

    Attributes
    ----------
    ranks : ndarray of int, shape (k,)
    low, high : ndarray, shape (k,)
    """

    ranks: IntArray
    low: FloatArray
    high: FloatArray

    def answer(self, given: Given, _kept: Kept) -> Intervals:
        return Intervals.of(given.values, self.low, self.high)

    def settled(self, answers: Sequence[Intervals]) -> ColumnRule:
        return rule_of_order(self.ranks, order_statistics(answers, self.ranks))


@dataclass(frozen=True)
class _MeansOfShards:
    """Asks for the means of clusters that lie in one shard each, as far as the encoding is learned from their rows.

    A shard computes the others from its own rows, as the means of new clusters.
    """

    def answer(self, given: Given, kept: Kept) -> ClusterRule:
        return ClusterRule.of(given.values, given.clusters).of_clusters(given.clusters[kept()])

    def settled(self, answers: Sequence[ClusterRule]) -> ClusterRule:
        return ClusterRule.joined(answers)


@dataclass(frozen=True)
class _MeansAcross:
    """Asks for the means of clusters whose rows may lie in several shards.

    Attributes
    ----------
    call : LearningCall
    group : str
        The column that the shards are divided by.
    """

    call: LearningCall
    group: str

    def answer(self, given: Given, _kept: Kept) -> ClusterRule:
        rule = ClusterRule.of(given.values, given.clusters)
        self._refuse_many(len(rule.clusters))
        return rule

    def settled(self, answers: Sequence[ClusterRule]) -> ClusterRule:
        rule = ClusterRule.joined(answers)
        self._refuse_many(len(rule.clusters))
        return rule

    def _refuse_many(self, clusters: int) -> None:
        if clusters > MOST_CLUSTERS:
            raise DesignError(
                f"'{self.call.text}' takes the means of at least {clusters:,} clusters of '{self.call.cluster}', which "
                f"may lie in several shards; at most {MOST_CLUSTERS:,} are taken. Of '{self.group}', by which the "
                "shards are divided, there may be any number. Compute the means as a column before the shards are "
                "written."
            )


def _question(call: LearningCall, group: str) -> Question:
    if call.cluster:
        return _MeansOfShards() if call.cluster == group else _MeansAcross(call, group)
    if call.function != "bs":
        return _Powers()
    chosen = {name: call.options[name] for name in ("df", "degree", "intercept") if name in call.options}
    given = None if call.options.get("knots") is not None else knot_probabilities(**chosen)
    return _Quantiles(np.empty(0) if given is None else given)


@dataclass(frozen=True)
class Learning:
    """What the calls of a formula have learned so far, and what is asked next.

    Attributes
    ----------
    formula : Formula
    calls : mapping of str to LearningCall
        As by `hierlogit.design.arguments.written`, as in all of these.
    rules : mapping of str to ColumnRule
    questions : mapping of str to Question
        Of the calls that have not learned yet.
    """

    formula: Formula
    calls: Mapping[str, LearningCall]
    rules: Mapping[str, ColumnRule]
    questions: Mapping[str, Question]

    @classmethod
    def of(cls, formula: Formula, columns: Sequence[str], group: str) -> Learning:
        """What is asked first of shards that are divided by the column `group`.

        Raises
        ------
        DesignError
            If the formula has a function that shards cannot learn.
        """
        _refuse_others(formula)
        calls = learning_calls(formula, columns)
        for call in calls.values():
            _refuse_unlearned(call)
        return cls(formula, calls, {}, {key: _question(call, group) for key, call in calls.items()})

    @property
    def asked(self) -> list[str]:
        """The calls that can be asked: those inside of them have learned."""
        return [key for key in self.questions if self.calls[key].inside <= set(self.rules)]

    def answers(self, table: TrainingTable, kept: Kept) -> dict[str, Any]:
        """The answers of a shard.

        Parameters
        ----------
        table : TrainingTable
            Its complete rows.
        kept : callable
            Tells which of them the encoding is learned from.

        Raises
        ------
        DesignError
            If the arguments of a call cannot be computed.
        """
        asked = self.asked
        given = given_arguments(self.formula, table, self.rules, asked) if asked else {}
        return {key: self.questions[key].answer(given[key], kept) for key in asked}

    def after(self, answers: Sequence[Mapping[str, Any]]) -> Learning:
        """What is known and asked after the answers of all shards, in the order of the shards."""
        rules, questions = dict(self.rules), dict(self.questions)
        for key in self.asked:
            found = questions.pop(key).settled([one[key] for one in answers])
            if isinstance(found, ColumnRule):
                rules[key] = found
            else:
                questions[key] = found
        return replace(self, rules=rules, questions=questions)


def _refuse_others(formula: Formula) -> None:
    """Refuse functions of all rows at once that are none of those that learn, and all of them in the outcome."""
    refused = [
        use.name
        for use in formula.names
        if use.is_call and (use.name in AGGREGATES or (use.name in LEARNING and use.where == "response"))
    ]
    if refused:
        raise DesignError(
            f"'{refused[0]}' in the formula depends on all rows at once. Models of shards have center, scale, "
            "standardize, poly, bs, within and between of predictors. Compute others as a column before the shards are "
            "written, or write constants: I(x - 3.4) in place of I(x - np.mean(x))."
        )


def _refuse_unlearned(call: LearningCall) -> None:
    """Refuse a call whose arguments allow no learning from shards."""
    if call.function == "poly" and call.options.get("degree", 1) >= NODES and not call.options.get("raw", False):
        raise DesignError(
            f"'{call.text}': of shards, poly has degrees up to {NODES - 1}. A spline takes more columns: bs(x, df=12)."
        )
    if call.function in ("within", "between") and not call.cluster:
        raise DesignError(
            f"'{call.text}': of shards, the clusters must be a column of the table, as in {call.function}(x, school). "
            "Compute the column before the shards are written."
        )
