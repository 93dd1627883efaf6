"""A table of the clusters of a grouping factor: expected events, standardised rates, odds ratios and ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from ..design.grouping import GroupBlock
from ..display import Facts, Sentences, Table, View
from ..effects.datagrid import datagrid
from ..effects.query import MAX_CELLS, Query
from ..errors import PredictionError
from ..fits.arguments import NOT_THE_POPULATION, refuse_pooled, require_fit, require_group, require_unweighted
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from ..formatting import number, span
from ..pictures import Picture, Pictured
from ..result_table import HasTables, ResultTable
from ..summaries.intervals import CI_NAMES, Interval
from ..validation import (
    choice,
    listed,
    mapping,
    number_of,
    probability,
    real_number,
    shortened,
    unknown_names,
)
from .binomial_limits import overdispersion
from .rows_by_cluster import RowsByCluster
from .table_columns import Comparison

BEST = {"low": "lowest", "high": "highest"}
EXPECTED = ("typical", "population")
OTHERS = ("observed", "average")
TARGETS = ("odds_ratio", "pe", "standardised_rate")
#: Below this rankability, most of what ranks show is chance (Lingsma et al. 2009; van Dishoeck et al. 2011).
LOW_RANKABILITY = 0.5


@dataclass(frozen=True, repr=False)
class LeagueTable(HasTables, Pictured):
    """The clusters of a grouping factor in the order of their expected ranks, with how certain that order is.

    Attributes
    ----------
    group : str
        The grouping factor.
    table : pandas.DataFrame
        One row for each cluster, the best first; see `hierlogit.league_table` for the columns.
    interval : Interval
        Probability and kind of the intervals.
    best : {"low", "high"}
        Whether the best clusters have the lowest or the highest probability of the event.
    among : int
        Number of clusters that are the best, and the worst, in ``p_best`` and ``p_worst``.
    expected : {"typical", "population"}
        Which expected events ``oe``, ``pe`` and ``standardised_rate`` are relative to.
    others : {"observed", "average"}
        What happens to the effects of other grouping factors.
    at : mapping or None
        Values of predictors at which the effects of the clusters are compared; None for the rows of each cluster.
    target : mapping or None
        The quantity and the number that ``p_above_target`` is about.
    rankability : pandas.Series
        Posterior ``mean`` of the share of the differences between the clusters' own estimates that is not chance, and
        the ends of its interval.
    overdispersion : float
        Mean squared standardised difference between observed and expected events, 1 if clusters differ by chance alone.
    from_typical : int
        Number of clusters that can be distinguished from a typical one, with an effect of zero.
    pairs : int or None
        Number of pairs of clusters that can be distinguished from each other; None if there are too many to compare.
    effects : xarray.DataArray
        Draws of the effect of each cluster, the logarithm of its odds ratio, dims (chain, draw, cluster).
    fit : Fit
    """

    _picture: ClassVar[Picture] = Picture("league_table")

    group: str
    table: pd.DataFrame
    interval: Interval
    best: str
    among: int
    expected: str
    others: str
    at: Mapping[str, Any] | None
    target: Mapping[str, float] | None
    rankability: pd.Series[float]
    overdispersion: float
    from_typical: int
    pairs: int | None
    effects: xr.DataArray
    fit: Fit

    @property
    def statement(self) -> str:
        """What the fit can tell of the differences between the clusters, in words."""
        count = len(self.table)
        if self._no_variance:
            return (
                f"Nothing can be ranked: the estimated sd between clusters of {self.group} is zero. Their proportions "
                "differ no more than expected by chance, and the order below is that of the draws around the estimate."
            )
        words = (
            f"{_out_of(self.from_typical, count).capitalize()} clusters can be distinguished from a typical cluster, "
        )
        if self.pairs is not None:
            words += f"and {_out_of(self.pairs, count * (count - 1) // 2)} pairs of clusters from each other, "
        words += f"with a probability of at least {100 * self.interval.certain:g}% for the direction of each difference"
        if self.rankability["mean"] < LOW_RANKABILITY:
            words += ". Rankability is low: most of the differences between the clusters' own estimates are chance"
        return f"{words}."

    @property
    def _no_variance(self) -> bool:
        """Whether a likelihood fit found no differences between the clusters."""
        estimate = self.fit.estimate
        return estimate is not None and not np.any(estimate.cholesky[self.group])

    def _view(self) -> View:
        design, table = self.fit.model.design, self.table
        title = f"League table of {len(table):,} clusters of {self.group}: {design.outcome.event}"
        ends = (self.rankability[name] for name in self.interval.columns)
        typical = self.expected == "typical"
        facts = [
            ("rank 1", f"the {BEST[self.best]} probability; best and worst: {number_of(self.among, 'cluster')} each"),
            ("effects", f"{self._compared_at}, odds ratios to a cluster with an effect of zero"),
            ("oe, pe", f"in .table, relative to {'a typical cluster' if typical else 'the population of clusters'}"),
            ("rankability", f"{number(self.rankability['mean'])}, {_interval_name(self.interval)} {span(*ends)}"),
            ("over-dispersion", f"{number(self.overdispersion)}, 1 if clusters differ by chance alone"),
        ]
        if self.target is not None:
            ((name, value),) = self.target.items()
            facts.append(("p_above_target", f"probability that {name} is above {value:g}"))
        if len(design.groups) > 1:
            held = "kept, like predictors" if self.others == "observed" else "averaged over"
            facts.insert(2, ("other factors", held))
        return View(
            title, (Facts(tuple(facts)), Sentences((self.statement,)), Table.of(self._shown, ".table", spare=SPARE))
        )

    @property
    def _shown(self) -> pd.DataFrame:
        """The columns that fit a screen, with those of a quantity below its name."""
        ends = self.interval.columns
        columns = {("", name): name for name in ("trials", "events", "rate", "standardised_rate")}
        columns |= {
            ("odds ratio", "median"): "odds_ratio",
            **{("odds ratio", end): f"odds_ratio_{end}" for end in ends},
        }
        columns |= {("rank", "expected"): "expected_rank", **{("rank", end): f"rank_{end}" for end in ends}}
        columns |= {("", name): name for name in ("p_best", "p_worst", "p_above_target") if name in self.table}
        shown = pd.DataFrame({key: self.table[name] for key, name in columns.items()})
        for end in ends:
            shown["rank", end] = shown["rank", end].astype(np.int64)
        shown.index.name = self.group
        return shown

    @property
    def _compared_at(self) -> str:
        """For which rows the clusters are compared, in words."""
        factor = self.fit.model.design.chosen_groups(self.group)[0]
        if factor.effects == ("Intercept",):
            return "the same for all rows of a cluster"
        if self.at is None:
            return "averaged over the cluster's own rows"
        return f"at {', '.join(f'{name}={value}' for name, value in self.at.items()) or 'typical predictors'}"


#: Columns that are left out first where there is not enough room.
SPARE = ("events", "standardised_rate", "trials", "rate", "p_above_target")


def _out_of(some: int, every: int) -> str:
    """How many of all.

    Examples
    --------
    >>> _out_of(0, 54), _out_of(1000, 2000)
    ('none of 54', '1,000 of 2,000')
    """
    return f"{some:,} of {every:,}" if some else f"none of {every:,}"


def _interval_name(interval: Interval) -> str:
    return f"{100 * interval.prob:g}% {CI_NAMES[interval.kind]} interval"


@repeats_findings
def league_table(
    fit: Fit,
    group: str | None = None,
    *,
    best: str = "low",
    share: float = 0.1,
    expected: str = "typical",
    target: Mapping[str, float] | None = None,
    at: Mapping[str, Any] | None = None,
    others: str = "observed",
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> LeagueTable:
    """Clusters compared with what is expected of their rows, and ranked, with the uncertainty of the ranks.

    Everything is computed for each posterior draw and then summarised. Ranks of clusters are far less certain than
    their estimates: read them with their intervals and the rankability.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        The grouping factor whose clusters are compared; the first in the formula if not given.
    best : {"low", "high"}
        Which clusters are best and have rank 1: those with a low probability of the event, as of deaths, or with a high
        one, as of passed tests.
    share : float
        Share of the clusters that counts as the best, and as the worst, rounded to a number of clusters; at least one.
    expected : {"typical", "population"}
        Which expected events ``oe``, ``pe`` and ``standardised_rate`` are relative to: those in a typical cluster, with
        an effect of zero, or on average over the population of clusters.
    target : mapping of str to float, optional
        One of ``"odds_ratio"``, ``"pe"`` and ``"standardised_rate"``, with a number: ``{"odds_ratio": 1.5}`` adds the
        probability that the odds ratio of a cluster is above 1.5.
    at : mapping of str to value, optional
        With random slopes, values of predictors at which the effects of the clusters are compared, ``{"urban": "Y"}``;
        other predictors are at their mean or most frequent value. If not given, the effect of a cluster is its average
        over the cluster's own rows.
    others : {"observed", "average"}
        With several grouping factors, whether the effects of the others are kept, as predictors are, or probabilities
        are averaged over their distribution.
    num_draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.

    Returns
    -------
    LeagueTable
        ``.table`` has one row for each cluster, in the order of expected ranks, with these columns; ends of intervals
        have the name of what they belong to, such as ``pe_eti89_lb`` and ``pe_eti89_ub``:

        - ``rows``, ``trials``, ``events``, and ``rate``, the observed proportion of events.
        - ``expected_typical`` and ``expected_population``: events expected of the cluster's rows in a typical cluster
          and over the population of clusters; ``expected_sd``, the standard deviation of the events at the latter.
        - ``oe``: observed / expected events, averaged over the draws, so that it differs a little from the ratio of the
          columns; with the exact binomial interval of the observed ones (``oe_exact89_lb``), which takes the expected
          ones as known; NaN for beta-binomial outcomes.
        - ``pe`` with interval: predicted / expected events, where the effects of the cluster predict.
        - ``standardised_rate`` with interval: ``pe`` times the proportion of events in all rows.
        - ``odds_ratio`` with interval: median ratio to a cluster with an effect of zero; ``p_above_1``, the probability
          that it is above 1.
        - ``reliability``: share of the variance of the cluster's own estimate that is not chance.
        - ``expected_rank``, the mean of its rank, with the interval of the rank, in whole ranks, and the ends of
          intervals that contain the ranks of all clusters at once (``rank_simultaneous89_lb``); ``percentile``, ``100
          expected_rank / (J + 1)``.
        - ``p_best`` and ``p_worst``: probability of being among the best and the worst; with `target`
          ``p_above_target``.

        ``.statement`` says how many clusters and pairs of clusters can be distinguished, ``.rankability`` how much of
        the differences is not chance. `hierlogit.plots.league_table` and `hierlogit.plots.funnel` draw it.

    Raises
    ------
    FitError
        If the model has no random effects or no such grouping factor.
    PredictionError
        If an option is out of range, `others` is ``"average"`` and there is only one grouping factor, or there are too
        many draws of too many clusters.

    Notes
    -----
    A cluster's effect is ``a'b``, with its random effects ``b`` and the mean ``a`` of their columns over the trials of
    its rows, or the columns at the profile `at`. With a random intercept alone it is ``b``. With random slopes and
    ``at=None``, each cluster is judged by the rows that it has, as by ``oe`` and ``pe``: two clusters with different
    rows are then not compared for the same ones.

    The effects of a factor nested in the chosen one, such as classes in schools, are no part of the effect of the
    school: ``others="observed"`` treats them like predictors, and ``others="average"`` predicts for other classes of
    the school. Clusters of the inner factor are compared within those of the outer one.

    The risk-standardised rates of the Centers for Medicare and Medicaid Services are those with
    ``expected="typical"``. As a ratio times a rate they can exceed 1.

    A cluster is distinguished from a typical one if the probability of one direction is at least that at which an
    equal-tailed interval excludes an odds ratio of 1, 0.945 for intervals of 89 %; two clusters are distinguished if
    the order of their effects is that certain. This is not adjusted for the number of comparisons.

    The simultaneous intervals of ranks reach equally far from all expected ranks, in root mean squares of the
    deviations on either side, and contain all ranks in the given share of the draws.

    Rankability is ``tau^2 / (tau^2 + median s^2)``, with the variance ``tau^2`` between clusters and the squared
    standard error ``s^2`` of a cluster's own estimate, here ``1 / sum n p (1 - p)``, for each draw.

    References
    ----------
    Goldstein and Spiegelhalter (1996), Journal of the Royal Statistical Society A 159: 385-443.
    Laird and Louis (1989), Journal of Educational Statistics 14: 29-46, for expected ranks.
    Lin, Louis, Paddock and Ridgeway (2006), Bayesian Analysis 1: 915-946, for percentiles and the best and worst.
    Krumholz, Wang, Mattera et al. (2006), Circulation 113: 1683-1692, for the risk-standardised rate.
    Lingsma, Eijkemans and Steyerberg (2009), BMC Medical Research Methodology 9: 53, for rankability.
    Spiegelhalter (2005), Statistics in Medicine 24: 1185-1202, for over-dispersion.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("died ~ age80 + type + (1 | provnum)", hl.datasets.load("medpar"))
    >>> league = hl.league_table(model.fit(hl.Laplace(seed=1)))
    >>> league.table[["trials", "rate", "pe", "odds_ratio", "expected_rank"]].head(2)
    died = 1 in clusters of provnum, 89% equal-tailed intervals
      provnum  trials    rate     pe  odds_ratio  expected_rank
      030022       51  0.196   0.889       0.863          14.99
      030043       15  0.0667  0.896       0.863          15.50
    """
    require_unweighted(fit, "hl.league_table", NOT_THE_POPULATION)
    refuse_pooled(fit, "fit", "Expected events are those of the rows")
    factor = fit.model.design.chosen_groups(group)[0]
    interval = Interval.of(ci_prob, ci_kind)
    best = choice("best", best, tuple(BEST), PredictionError)
    expected = choice("expected", expected, EXPECTED, PredictionError)
    others = choice("others", others, OTHERS, PredictionError)
    if others == "average" and len(fit.model.design.groups) == 1:
        raise PredictionError(
            f"others='average' is for models with several grouping factors, and this one has '{factor.name}' only. "
            "Leave others= out."
        )
    among = max(int(probability("share", share, PredictionError) * len(factor.levels) + 0.5), 1)
    wanted = None if target is None else _target(target)
    query = Query.of(fit, None, num_draws)
    _refuse_too_many(query, factor)
    by_cluster = RowsByCluster.of(query.design, factor)
    if at is None:
        weights = by_cluster.means(by_cluster.rows.groups[factor.name].Z)
    else:
        columns = query.encode(_profile(fit, at)).groups[factor.name].Z
        weights = np.repeat(columns, len(factor.levels), axis=0)
    averaged = [other.name for other in query.design.groups if other is not factor and others == "average"]
    comparison = Comparison(
        query, factor, by_cluster, weights, tuple(averaged), expected, best == "low", among, wanted, interval
    )
    return _compared(comparison, fit, others, at)


def league_table_of(result: LeagueTable | Fit, group: str | None) -> LeagueTable:
    """The result that is given, or the league table of a fit.

    Raises
    ------
    FitError
        If it is neither, the model has no such grouping factor, or the result has another one.
    """
    if not isinstance(result, LeagueTable):
        require_fit(result, "result")
        return league_table(result, group)
    require_group(group, result.group, "league table")
    return result


def _compared(comparison: Comparison, fit: Fit, others: str, at: Mapping[str, Any] | None) -> LeagueTable:
    """The result, with clusters in the order of their expected ranks."""
    factor, interval = comparison.factor, comparison.interval
    observed = comparison.observed_columns()
    of_events, rankability = comparison.event_columns(observed["events"], observed["trials"])
    columns = observed | of_events | comparison.effect_columns() | comparison.rank_columns()
    table = pd.DataFrame(columns, index=pd.Index(factor.levels, name=factor.name))
    table = table[sorted(table, key=lambda name: name == "p_above_target")]  # last
    counts = ["rows", "trials", "events"]
    table[counts] = table[counts].astype(np.int64)
    outcome = comparison.query.design.outcome
    title = f"{outcome.event} in clusters of {factor.name}, {_interval_name(interval)}s"
    order = np.argsort(columns["expected_rank"], kind="stable")
    variance = columns["expected_sd"] ** 2
    low, high = interval.ends(rankability)
    draws = comparison.effects.reshape(*comparison.query.chain_shape, -1)
    return LeagueTable(
        group=factor.name,
        table=ResultTable.of(table.iloc[order], title, spare=SPARE),
        interval=interval,
        best="low" if comparison.low_is_best else "high",
        among=comparison.among,
        expected=comparison.expected,
        others=others,
        at=None if at is None else dict(at),
        target=None if comparison.target is None else dict([comparison.target]),
        rankability=pd.Series(
            {"mean": rankability.mean(), **dict(zip(interval.columns, (float(low), float(high)), strict=True))}
        ),
        overdispersion=overdispersion(columns["events"], columns["expected_population"], variance),
        from_typical=comparison.from_typical,
        pairs=comparison.pairs,
        effects=xr.DataArray(draws, dims=("chain", "draw", "cluster"), coords={"cluster": factor.levels}),
        fit=fit,
    )


def _target(target: Mapping[str, float]) -> tuple[str, float]:
    """The quantity and the number of ``target=``."""
    what = "one quantity with a number, {'odds_ratio': 1.5}"
    given = mapping("target", target, PredictionError, what)
    if len(given) != 1:
        raise PredictionError(f"target must be {what}; got {number_of(len(given), 'quantity', 'quantities')}.")
    ((name, value),) = given.items()
    if name not in TARGETS:
        raise PredictionError(unknown_names("target", [name], TARGETS, "quantity", "the table"))
    return name, real_number(f"target['{name}']", value, PredictionError, above=0)


def _profile(fit: Fit, at: Mapping[str, Any]) -> pd.DataFrame:
    """The row of predictors with the values of ``at=``."""
    given = mapping("at", at, PredictionError, "a value for each of some predictors, {'urban': 'Y'}")
    known = [name for name in fit.model.design.predictors if name not in fit.model.design.group_columns]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise PredictionError(unknown_names("at", unknown, known, "predictor"))
    several = [name for name, value in given.items() if listed(value) is not None]
    if several:
        raise PredictionError(
            f"at: '{several[0]}' must have one value, got {shortened(given[several[0]])}. Call hl.league_table once "
            "for each value."
        )
    return datagrid(fit, given)


def _refuse_too_many(query: Query, factor: GroupBlock) -> None:
    count = len(factor.levels)
    if len(query.draws) * count > MAX_CELLS:
        raise PredictionError(
            f"ranks of {count:,} clusters in {len(query.draws):,} draws do not fit into memory. Pass "
            f"num_draws={max(MAX_CELLS // count, 1):,} or fewer."
        )
