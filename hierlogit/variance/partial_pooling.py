"""Probabilities and coefficients of each cluster by no, complete and partial pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..binomial_intervals import wilson
from ..design.grouping import GroupBlock
from ..display import Facts, Table, View
from ..effects.predictions import predictions
from ..engines.engine import Engine
from ..engines.registry import resolve_engine
from ..errors import ConvergenceWarning, FitError, PredictionError, unsaid
from ..fits.arguments import NOT_THE_POPULATION, model_of, refuse_pooled, refuse_sampling_weights
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from ..formatting import number, span
from ..model_spec import ModelSpec
from ..pictures import Picture, Pictured
from ..priors.defaults import Priors
from ..result_table import HasTables, ResultTable
from ..summaries.intervals import Interval, end_names
from ..validation import quoted_list, shortened, whole_number
from .pooled_coefficients import pooled_coefficients

FloatArray = npt.NDArray[np.float64]
#: Shrinkage is computed where raw proportion and complete pooling differ by at least this many events.
SMALLEST_DIFFERENCE = 0.5


@dataclass(frozen=True, repr=False)
class Pooling(HasTables, Pictured):
    """Result of `hl.pooling`: each cluster's probability and coefficients by no, complete and partial pooling.

    Attributes
    ----------
    group : str
        The grouping factor.
    table : pandas.DataFrame
        One row for each cluster: ``rows``, ``trials``, ``events``; ``raw``, the proportion of events, with the ends of
        its Wilson interval (``wilson89_lb``, ``wilson89_ub``); ``complete``; ``partial`` with the ends of its interval;
        and ``shrinkage``, where the estimate lies between ``raw`` (0) and ``complete`` (1).
    coefficients : pandas.DataFrame
        On the logit scale, one row for each ``level`` and ``effect``: ``unpooled``, the coefficient of the cluster by
        itself, and its standard error ``se``, both NaN where it has no finite one; ``complete``; ``fixed``, the fixed
        effect of the mixed model; ``partial``, with the ends of its interval.
    overall : float
        Proportion of events in all rows.
    interval : Interval
        Probability and kind of the intervals.
    partial : Fit
        The fit of the model.
    complete : Fit or None
        The fit of the model without random effects, at its maximum; None if it has no coefficients.
    """

    _picture: ClassVar[Picture] = Picture("shrinkage")

    group: str
    table: pd.DataFrame
    coefficients: pd.DataFrame
    overall: float
    interval: Interval
    partial: Fit
    complete: Fit | None

    def _view(self) -> View:
        table, outcome = self.table, self.partial.model.design.outcome
        unit = "trials" if outcome.binomial else "rows"
        facts = [
            ("all together", f"{number(self.overall)} ({outcome.y.sum():,.0f} of {outcome.trials.sum():,.0f} {unit})"),
            *((name, _spread(table[name])) for name in ("raw", "complete", "partial")),
        ]
        moved = table["shrinkage"].dropna().median()
        if np.isfinite(moved):
            facts.append(("shrinkage", f"{moved:.0%} of the way from raw to complete, median of the clusters"))
        without = table.index[table["shrinkage"].isna()].tolist()
        if without:
            clusters = quoted_list(without)
            facts.append(("no shrinkage", f"for {clusters}: raw and complete differ by less than half an event"))
        names, known = self.coefficients.index.unique("effect"), self.coefficients["unpooled"].notna()
        by_cluster = known.groupby(level="level", sort=False)
        finite, some = int(by_cluster.all().sum()), int((by_cluster.any() & ~by_cluster.all()).sum())
        partly = f", {some:,} some of them" if some else ""
        facts.append(
            ("coefficients", f"{', '.join(names)}; {finite:,} clusters have finite ones by themselves{partly}")
        )
        engine = self.partial.diagnostics.engine
        title = f"Pooling of {len(table):,} clusters of {self.group}: {outcome.event}, by {engine}"
        wilson = end_names("wilson", self.interval.prob)
        return View(title, (Facts(tuple(facts)), Table.of(table.drop(columns="rows"), ".table", spare=wilson)))


def _spread(values: pd.Series[float]) -> str:
    if np.ptp(values) < 1e-12:
        return f"{number(values.iloc[0])} for all"
    return f"{span(values.min(), values.max())}, sd {number(values.std())}"


@repeats_findings
def pooling(
    model: ModelSpec | Fit,
    engine: Engine | str | None = None,
    *,
    group: str | None = None,
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> Pooling:
    """The probability of the event, and the coefficients, in each cluster by no, complete and partial pooling.

    *No pooling* is the proportion of events in the cluster, without regard to other clusters. *Complete pooling* is the
    model without random effects, which ignores clusters. *Partial pooling* is the model itself: the estimate of a
    cluster with many trials stays near its own proportion, that of a cluster with few is drawn towards what the other
    clusters suggest for such rows.

    Parameters
    ----------
    model : Model or Fit
        The model to fit, or a fit.
    engine : Engine or str, optional
        Fits the model, ``"laplace"`` if not given; not allowed with a fit.
    group : str, optional
        The grouping factor whose clusters are described; the first in the formula if not given.
    num_draws : int, optional
        How many posterior draws to use for the intervals of the probabilities, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.

    Returns
    -------
    Pooling
        ``.table`` has the probabilities, one row for each cluster, in the order of its labels, and ``.coefficients``
        the intercepts and slopes; `hierlogit.plots.shrinkage` draws both.

    Raises
    ------
    FitError
        If the model has no random effects, no such grouping factor or beta-binomial outcomes, or an engine is given
        with a fit.
    PredictionError
        If `num_draws` is not a whole number from 1 to the number of draws.

    Notes
    -----
    All three are averages over the cluster's own rows, weighted by their trials. With predictors, ``partial`` averages
    the rows' probabilities with the effects of all their clusters, and ``complete`` their probabilities from the model
    without random effects. ``raw`` is such an average as well: in a logistic regression with a coefficient for every
    cluster in place of random effects, the fitted probabilities of a cluster average to its proportion of events,
    whatever the predictors. Without predictors ``complete`` is one number, the proportion of events in all rows or,
    with priors, close to it.

    ``complete`` is estimated by maximum likelihood or, if the model is fitted with its priors (NUTS and MAP), at the
    posterior mode under the same priors. ``partial`` is the posterior mean for sampled fits and the value at the
    maximum for likelihood fits. Its interval comes from posterior draws; that of ``raw`` is Wilson's, which is also
    defined for proportions of 0 and 1.

    ``shrinkage`` is ``(raw - partial) / (raw - complete)``, NaN where raw and complete differ by less than half an
    event. It can lie outside the range from 0 to 1: estimates are drawn towards what is expected in a typical cluster,
    which differs from the average of all rows, and a slope or the effects of another factor may move them the opposite
    way.

    The coefficients are those that vary over the clusters, as in `coef`. A cluster by itself has the coefficients that
    maximise the likelihood of its own rows, while the coefficients that do not vary, and the effects of other grouping
    factors, are those of the model: partial pooling maximises the same likelihood times the distribution of clusters,
    by which it is drawn towards ``fixed``. A cluster has no finite coefficients of its own if a predictor separates its
    events from its non-events. Coefficients that its rows do not tell are NaN: if a predictor is zero in the whole
    cluster, its slope; if it is another constant, the intercept too, for which lme4's ``lmList`` gives the log-odds at
    that constant. ``complete`` is nearer to zero than ``fixed``, since it averages
    over clusters (Zeger, Liang and Albert 1988, Biometrics 44: 1049-1060).

    References
    ----------
    Gelman and Hill (2007), Data Analysis Using Regression and Multilevel/Hierarchical Models, section 12.2; Wilson
    (1927), Journal of the American Statistical Association 22: 209-212.

    Examples
    --------
    >>> import hierlogit as hl
    >>> pooled = hl.pooling(hl.Model("use ~ 1 + (1 | district)", hl.datasets.load("contraception")))
    >>> pooled.table.loc[[3, 14], ["events", "trials", "raw", "complete", "partial", "shrinkage"]]
    Probability of use = 1 in the clusters of district
      district  events  trials    raw  complete  partial  shrinkage
      3              2       2  1         0.392    0.435      0.929
      14            74     118  0.627     0.392    0.595      0.136
    >>> pooled.coefficients.loc[[3, 14], ["unpooled", "se", "fixed", "partial"]].round(2).to_dict("split")["data"]
    [[nan, nan, -0.54, -0.26], [0.52, 0.19, -0.54, 0.39]]
    """
    refuse_pooled(model, "model", "No and complete pooling are fits to the rows")
    interval = Interval.of(ci_prob, ci_kind)
    if num_draws is not None:  # before the fit, after which it is compared with the number of draws
        num_draws = whole_number("num_draws", num_draws, PredictionError, least=1)
    if isinstance(model, Fit) and engine is not None:
        raise FitError(
            f"engine={shortened(engine)} is for a model that is not fitted yet: leave it out, or pass fit.model. A "
            "grouping factor is passed as group=."
        )
    refuse_sampling_weights(model_of(model), "hl.pooling", NOT_THE_POPULATION)
    if model_of(model).overdispersed:
        raise FitError(
            "the model has beta-binomial outcomes, and what the rows of a cluster tell by themselves is known here for "
            "binomial ones only. hl.coef(fit) and hl.ranef(fit) have the clusters by partial pooling."
        )
    factor = model_of(model).design.chosen_groups(group)[0]
    fit = model if isinstance(model, Fit) else resolve_engine("laplace" if engine is None else engine).run(model)
    return _pooled(fit, factor, without_random_effects(fit), num_draws, interval)


def _pooled(fit: Fit, factor: GroupBlock, complete: Fit | None, num_draws: int | None, interval: Interval) -> Pooling:
    """The table of a fit and of the same model without random effects."""
    outcome = fit.model.design.outcome
    trials = _total(factor, outcome.trials)
    raw = _total(factor, outcome.y) / trials
    pooled = _total(factor, outcome.trials * _marginal(fit, complete)) / trials
    partial = _partial(fit, factor, num_draws, interval)
    low, high = wilson(raw, trials, interval.quantile)
    table = pd.DataFrame(
        {
            "rows": factor.rows_of_clusters,
            "trials": trials.astype(np.int64),
            "events": _total(factor, outcome.y).astype(np.int64),
            "raw": raw,
            **dict(zip(end_names("wilson", interval.prob), (low, high), strict=True)),
            "complete": pooled,
            **{str(name): partial[name].to_numpy() for name in partial.columns},
        },
        index=pd.Index(factor.levels, name=factor.name),
    )
    table["shrinkage"] = shrinkage(table)
    table = ResultTable.of(table, f"Probability of {outcome.event} in the clusters of {factor.name}", spare=["rows"])
    coefficients = ResultTable.of(
        pooled_coefficients(fit, factor, complete, interval), f"Coefficients of clusters of {factor.name} (logit scale)"
    )
    overall = float(outcome.y.sum() / outcome.trials.sum())
    return Pooling(factor.name, table, coefficients, overall, interval, fit, complete)


def without_random_effects(fit: Fit) -> Fit | None:
    """The fit without random effects to the same rows: the posterior mode if the fit has priors, else the maximum.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    Fit or None
        None if the model has no fixed effects.
    """
    model = fit.model
    if not model.design.fixed_effects:
        return None
    text = f"{model.formula.response.text} ~ {model.formula.fixed}"
    priors = Priors(model.priors.fixed, {}, {}, model.priors.phi)
    plain = ModelSpec.from_parts(text, model.design.table, priors, dict(model.namespace), model.family)
    from ..engines.maximum.laplace import Laplace
    from ..engines.maximum.map import MAP

    engine = MAP(seed=fit.diagnostics.seed) if fit.with_priors else Laplace(seed=fit.diagnostics.seed)
    with unsaid(ConvergenceWarning):  # the findings of the fit itself are said
        return engine.run(plain)


def _marginal(fit: Fit, complete: Fit | None) -> FloatArray:
    """Probability of each row from the fit without random effects, shape (n,)."""
    from scipy.special import expit

    design = fit.model.design
    eta = design.offset
    if complete is not None and complete.estimate is not None:
        eta = eta + design.X @ complete.estimate.beta
    probability: FloatArray = expit(eta)
    return probability


def _partial(fit: Fit, group: GroupBlock, draws: int | None, interval: Interval) -> pd.DataFrame:
    """Average probability of each cluster's rows with its interval, in the order of the levels."""
    columns, frame = list(group.columns), fit.model.design.table.frame
    trials, counts = fit.model.design.outcome.trials, fit.model.design.table.row_counts
    table = predictions(
        fit,
        by=columns,
        weights=(trials if counts is None else trials / counts).tolist(),  # averages multiply them by the counts
        num_draws=draws,
        ci_prob=interval.prob,
        ci_kind=interval.kind,
    )
    # The averages are in the order of the columns' values; look up that of each cluster by its first row.
    places = frame.groupby(columns, observed=True, sort=True).ngroup().to_numpy()
    first = np.unique(group.index, return_index=True)[1]
    chosen = "mean" if fit.estimate is None else "estimate"
    averages = pd.DataFrame(table)[[chosen, *interval.columns]].iloc[places[first]]
    return averages.rename(columns={chosen: "partial"})


def _total(group: GroupBlock, values: FloatArray) -> FloatArray:
    return np.bincount(group.index, weights=values, minlength=len(group.levels))


def shrinkage(table: pd.DataFrame) -> FloatArray:
    """``(raw - partial) / (raw - complete)`` of each cluster; NaN where raw and complete differ too little."""
    difference = (table["raw"] - table["complete"]).to_numpy()
    moved = (table["raw"] - table["partial"]).to_numpy()
    large = np.abs(difference) * table["trials"].to_numpy() >= SMALLEST_DIFFERENCE
    share: FloatArray = np.divide(moved, difference, out=np.full(len(difference), np.nan), where=large)
    return share
