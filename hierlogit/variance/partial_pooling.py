"""`Model` → `pooling`: the probability of each cluster by itself, with all others as one, and in between."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.grouping import GroupBlock
from ..effects.predictions import predictions
from ..engines.engine import Engine
from ..engines.registry import resolve_engine
from ..errors import FitError
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from ..priors.defaults import Priors
from ..summaries.intervals import Interval, end_names

FloatArray = npt.NDArray[np.float64]
#: Clusters that a printed result shows.
SHOWN = 10
#: The way from the raw proportion to complete pooling is measured where it is at least this many events long.
SHORTEST_WAY = 0.5


@dataclass(frozen=True, repr=False)
class Pooling:
    """What `hl.pooling` found.

    Attributes
    ----------
    group : str
        The grouping factor.
    table : pandas.DataFrame
        One row for each cluster: ``rows``, ``trials``, ``events``; ``raw``, the share of events, with the ends of its
        Wilson interval (``wilson89_lb``, ``wilson89_ub``); ``complete``; ``partial`` with the ends of its interval;
        and ``shrinkage``, how far the estimate has gone from ``raw`` (0) to ``complete`` (1).
    overall : float
        Share of events in all rows.
    interval : Interval
        Which interval the table has.
    partial : Fit
        The model.
    complete : Fit or None
        The model without its random effects, at its maximum; None if nothing is left of it to estimate.
    """

    group: str
    table: pd.DataFrame
    overall: float
    interval: Interval
    partial: Fit
    complete: Fit | None

    def _head(self) -> list[str]:
        table, outcome = self.table, self.partial.model.design.outcome
        moved = table["shrinkage"].median()
        unit = "trials" if outcome.binomial else "rows"
        lines = [
            f"Pooling of {len(table):,} clusters of {self.group}: {outcome.event}, by "
            f"{self.partial.diagnostics.engine}",
            f"  all together  {self.overall:.3f} ({outcome.y.sum():,.0f} of {outcome.trials.sum():,.0f} {unit})",
            f"  raw           {_spread(table['raw'])}",
            f"  complete      {_spread(table['complete'])}",
            f"  partial       {_spread(table['partial'])}",
        ]
        if np.isfinite(moved):
            lines.append(f"  shrinkage     {moved:.0%} of the way from raw to complete, in the middle of the clusters")
        return lines

    def __repr__(self) -> str:
        rest = len(self.table) - SHOWN
        more = [f"  and {rest:,} more in .table"] if rest > 0 else []
        return "\n".join([*self._head(), self._shown().to_string(), *more])

    def _repr_html_(self) -> str:
        title, *facts = (escape(line.strip()) for line in self._head())
        rest = len(self.table) - SHOWN
        more = f"<p>and {rest:,} more in <code>.table</code></p>" if rest > 0 else ""
        return f"<div><strong>{title}</strong><p>{'<br>'.join(facts)}</p>{self._shown().to_html()}{more}</div>"

    def _shown(self) -> pd.DataFrame:
        return self.table.drop(columns="rows").head(SHOWN).round(3)


def _spread(values: pd.Series[float]) -> str:
    if np.ptp(values) < 1e-12:
        return f"{values.iloc[0]:.3f} for all"
    return f"{values.min():.3f} to {values.max():.3f}, sd {values.std():.3f}"


def pooling(
    model: ModelSpec | Fit,
    engine: Engine | str | None = None,
    *,
    group: str | None = None,
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> Pooling:
    """The probability of the event in each cluster by no, complete and partial pooling.

    *No pooling* is the share of events in the cluster, which looks at no other cluster. *Complete pooling* is the model
    without its random effects, to which a row's cluster is nothing. *Partial pooling* is the model itself: a cluster
    with many trials keeps what it has shown, one with few comes near to what the others say of such rows.

    Parameters
    ----------
    model : Model or Fit
        What to fit, or a fit of it.
    engine : Engine or str, optional
        What fits the model, ``"laplace"`` if not given; not with a fit.
    group : str, optional
        The grouping factor whose clusters are told; the first of the formula if not given.
    num_draws : int, optional
        How many posterior draws the intervals of partial pooling are of, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.

    Returns
    -------
    Pooling
        ``.table`` has one row for each cluster, in the order of its labels; `hierlogit.plots.shrinkage` draws it.

    Raises
    ------
    FitError
        If the model has no random effects, or not that grouping factor, or an engine is given with a fit.

    Notes
    -----
    All three are averages over the cluster's own rows, which count by their trials: with predictors, ``partial`` is the
    average of the rows' probabilities with the effects of all their clusters, and ``complete`` that of the
    probabilities without them. ``raw`` is such an average too: a logistic regression with a coefficient for every
    cluster in place of random effects has the cluster's share of events as the average of its fitted probabilities,
    whatever the predictors. Of a model without predictors ``complete`` is one number, the share of events in all rows
    or, with priors, near it.

    ``complete`` is by maximum likelihood; where the model is fitted with its priors (NUTS and MAP), it is at the mode
    under the same priors. ``partial`` is the posterior mean by a sampler and the value at the maximum by a likelihood
    engine. Its interval is of posterior draws; that of ``raw`` is Wilson's, which is defined for shares of 0 and 1.

    ``shrinkage`` is ``(raw - partial) / (raw - complete)``. It is not a number where raw and complete differ by less
    than half an event. It can leave the range from 0 to 1: estimates are drawn to what is expected in a typical
    cluster, which is not quite the average of all rows, and a slope or the clusters of another factor may pull the
    other way.

    References
    ----------
    Gelman and Hill (2007), Data Analysis Using Regression and Multilevel/Hierarchical Models, section 12.2; Wilson
    (1927), Journal of the American Statistical Association 22: 209-212.

    Examples
    --------
    >>> import hierlogit as hl
    >>> found = hl.pooling(hl.Model("use ~ 1 + (1 | district)", hl.datasets.load("contraception")))
    >>> found.table.loc[[3, 14], ["events", "trials", "raw", "complete", "partial", "shrinkage"]].round(2)
              events  trials   raw  complete  partial  shrinkage
    district
    3              2       2  1.00      0.39     0.44       0.93
    14            74     118  0.63      0.39     0.60       0.14
    """
    interval = Interval.of(ci_prob, ci_kind)
    if isinstance(model, Fit) and engine is not None:
        raise FitError(f"engine={engine!r} is for a model that is not fitted yet: leave it out, or give fit.model.")
    block = (model.model if isinstance(model, Fit) else model).design.chosen_groups(group)[0]
    fit = model if isinstance(model, Fit) else resolve_engine("laplace" if engine is None else engine).run(model)
    complete = without_random_effects(fit)
    outcome = fit.model.design.outcome
    trials = _total(block, outcome.trials)
    raw = _total(block, outcome.y) / trials
    pooled = _total(block, outcome.trials * _marginal(fit, complete)) / trials
    partial = _partial(fit, block, num_draws, interval)
    low, high = wilson(raw, trials, interval.quantile)
    table = pd.DataFrame(
        {
            "rows": np.bincount(block.index, minlength=len(block.levels)),
            "trials": trials.astype(np.int64),
            "events": _total(block, outcome.y).astype(np.int64),
            "raw": raw,
            **dict(zip(end_names("wilson", interval.prob), (low, high), strict=True)),
            "complete": pooled,
            **{str(name): partial[name].to_numpy() for name in partial.columns},
        },
        index=pd.Index(block.levels, name=block.name),
    )
    table["shrinkage"] = share_of_way(table)
    return Pooling(block.name, table, float(outcome.y.sum() / outcome.trials.sum()), interval, fit, complete)


def without_random_effects(fit: Fit) -> Fit | None:
    """The same rows and fixed part without clusters, at the maximum: of the posterior where the fit has priors.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    Fit or None
        None if the fixed part has no columns.
    """
    model = fit.model
    if not model.design.fixed_effects:
        return None
    text = f"{model.formula.response.text} ~ {model.formula.fixed}"
    priors = Priors(model.priors.fixed, {}, {})
    plain = ModelSpec.from_parts(text, model.design.table, priors, dict(model.namespace))
    from ..engines.maximum.laplace import Laplace
    from ..engines.maximum.map import MAP

    engine = MAP(seed=fit.diagnostics.seed) if fit.with_priors else Laplace(seed=fit.diagnostics.seed)
    return engine.run(plain)


def _marginal(fit: Fit, complete: Fit | None) -> FloatArray:
    """Probability of each row without clusters, shape (n,)."""
    from scipy.special import expit

    design = fit.model.design
    eta = design.offset
    if complete is not None and complete.estimate is not None:
        eta = eta + design.X @ complete.estimate.beta
    probability: FloatArray = expit(eta)
    return probability


def _partial(fit: Fit, block: GroupBlock, draws: int | None, interval: Interval) -> pd.DataFrame:
    """Average probability of each cluster's rows with its interval, in the order of the levels."""
    columns, frame = list(block.columns), fit.model.design.table.frame
    table = predictions(
        fit,
        by=columns,
        weights=fit.model.design.outcome.trials.tolist(),
        num_draws=draws,
        ci_prob=interval.prob,
        ci_kind=interval.kind,
    )
    # Averages stand in the order of the columns' values; where each cluster's first row is among them.
    places = frame.groupby(columns, observed=True, sort=True).ngroup().to_numpy()
    first = np.unique(block.index, return_index=True)[1]
    chosen = "mean" if fit.estimate is None else "estimate"
    kept = pd.DataFrame(table)[[chosen, *interval.columns]].iloc[places[first]]
    return kept.rename(columns={chosen: "partial"})


def _total(block: GroupBlock, values: FloatArray) -> FloatArray:
    return np.bincount(block.index, weights=values, minlength=len(block.levels))


def wilson(share: FloatArray, trials: FloatArray, quantile: float) -> tuple[FloatArray, FloatArray]:
    """Ends of Wilson's interval of a probability, of the shape of `share`.

    Parameters
    ----------
    share : ndarray
        Observed shares of events.
    trials : ndarray
    quantile : float
        Standard normal quantile at the interval's upper end.

    Examples
    --------
    >>> low, high = wilson(np.array([0.0, 0.5]), np.array([2.0, 100.0]), 1.959964)
    >>> low.round(3), high.round(3)
    (array([0.   , 0.404]), array([0.658, 0.596]))
    """
    z2 = quantile**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = quantile / (1 + z2 / trials) * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    # At shares of 0 and 1 an end is exactly there, which rounding may miss.
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def share_of_way(table: pd.DataFrame) -> FloatArray:
    """How far each estimate has gone from the raw proportion to complete pooling; nan where there is hardly a way."""
    way = (table["raw"] - table["complete"]).to_numpy()
    gone = (table["raw"] - table["partial"]).to_numpy()
    long = np.abs(way) * table["trials"].to_numpy() >= SHORTEST_WAY
    share: FloatArray = np.divide(gone, way, out=np.full(len(way), np.nan), where=long)
    return share
