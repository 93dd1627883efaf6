"""Variance explained: marginal and conditional R2, and the proportional change in variance between two models."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import Draws
from ..design.grouping import GroupBlock
from ..effects.evaluated import Evaluated
from ..effects.numerics.population_average import average_probability
from ..effects.over_imputations import over_imputations
from ..effects.query import Query
from ..errors import FitError, PredictionError
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from ..summaries.intervals import DrawTable, Interval
from ..validation import agree, choice, quoted_list
from .by_factor import (
    LOGISTIC_VARIANCE,
    average_moments,
    between_rows,
    fixed_variance,
    mean_variance,
    query_of,
    require_random_effects,
    total,
)
from .row_averages import distinct_rows

FloatArray = npt.NDArray[np.float64]


@repeats_findings
def r2(
    fit: Fit,
    *,
    method: str = "theoretical",
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> DrawTable:
    """Marginal and conditional R2: the share of the latent variance that a model explains.

    The marginal R2, ``V_f / (V_f + V_r + V_e)``, is the share that the predictors explain; the conditional R2,
    ``(V_f + V_r) / (V_f + V_r + V_e)``, the share that predictors and clusters explain together. ``V_f = var(X beta)``
    is the variance of the fixed part over the training rows, ``V_r`` the variance of the random effects (the sum of
    ``z'Sigma z`` averaged over the rows), and ``V_e`` the variance of an observation.

    Parameters
    ----------
    fit : Fit
    method : {"theoretical", "delta"}
        Which ``V_e`` to use. ``"theoretical"``: ``pi^2 / 3``, the variance of the logistic distribution. ``"delta"``:
        ``1 / (p (1 - p))``, the variance of an outcome on the logit scale by the delta method, with p the probability
        averaged over rows and clusters.
    num_draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.

    Returns
    -------
    DrawTable
        Two rows, with ``quantity`` ``marginal`` and ``conditional``; ``mean``, ``sd`` and the ends of the interval; for
        likelihood fits also ``estimate``, at the maximum. ``.draws`` has the draws, dims (chain, draw, row).

    Raises
    ------
    FitError
        If the model has no random effects.
    PredictionError
        If an option is not allowed.

    Notes
    -----
    An observation-level factor (one cluster for each row, for overdispersion of counts) enters the denominators only.
    Averages and variances over rows are over their trials, so that the same data as counts and as single outcomes give
    the same result, except for such a factor: with single outcomes, its clusters have several rows and count as others
    do. (R's performance package weights rows equally.) Offsets are not part of ``V_f``. Nakagawa, Johnson and
    Schielzeth approximate p by the intercept of a model without predictors; here it is the average probability of the
    model itself, by quadrature.

    With beta-binomial outcomes, ``V_e`` is the variance of a single trial, which does not depend on phi: phi divides it
    into what the trials of a row share, ``1 / (phi + 1)`` of the variance given p, and the rest. Neither is explained,
    so that the formulas are those of binomial outcomes. (With a row effect, V_e is that of a trial given the effect of
    its row, which comes on top of it, and the coefficients hold for a given row as well.)

    References
    ----------
    Nakagawa and Schielzeth (2013), Methods in Ecology and Evolution 4: 133-142, equations 29 and 30.
    Johnson (2014), Methods in Ecology and Evolution 5: 944-946, for random slopes.
    Nakagawa, Johnson and Schielzeth (2017), Journal of the Royal Society Interface 14: 20170213, for the delta method.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("y ~ trt + week_gt2 + (1 | ID)", hl.datasets.load("bacteria")).fit(hl.Laplace(seed=1))
    >>> hl.r2(fit)[["quantity", "estimate"]]
    R-squared (latent scale)
      quantity     estimate
      marginal        0.165
      conditional     0.432
    """
    choice("method", method, ("theoretical", "delta"), PredictionError)
    interval = Interval.of(ci_prob, ci_kind)

    def explained(one: Fit, count: int | None) -> tuple[Query, Evaluated]:
        query = query_of(one, None, count)
        single = between_rows(query.design)
        weights = query.design.shares
        # Only one of the methods averages over the rows, which are sorted for it.
        rows, share = distinct_rows(query.rows, weights) if method == "delta" else (query.rows, weights)

        def averaged(variances: dict[str, FloatArray], eta: FloatArray) -> list[FloatArray]:
            return [average_probability(eta, np.broadcast_to(np.sqrt(total(variances)), eta.shape))]

        def shares(draws: Draws) -> FloatArray:
            residual: FloatArray | float = LOGISTIC_VARIANCE
            if method == "delta":
                (p,) = average_moments(draws, rows, share, averaged)
                residual = 1 / (p * (1 - p))
            variances = {group.name: mean_variance(draws, group, weights) for group in query.design.groups}
            fixed = fixed_variance(draws, query.design.X, weights)
            random = total(variances, tuple(name for name in variances if name not in single))
            whole = fixed + total(variances) + residual
            return np.column_stack([fixed / whole, (fixed + random) / whole])

        return query, query.evaluate(shares, 2, len(query.rows))

    _, values = over_imputations(fit, num_draws, explained)
    return values.table("R-squared (latent scale)", pd.DataFrame({"quantity": ["marginal", "conditional"]}), interval)


@repeats_findings
def pcv(
    fit0: Fit,
    fit1: Fit,
    *,
    effect: str | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> DrawTable:
    """Proportional change in variance: the share of the variance between clusters that a second model explains.

    It is ``(V_0 - V_1) / V_0`` for each grouping factor that both models have, where V is the variance of its effects
    (with random slopes, ``z'Sigma z`` averaged over the training rows).

    Parameters
    ----------
    fit0, fit1 : Fit
        Fits of the smaller and of the larger model to the same rows.
    effect : str, optional
        A random effect whose variance alone is compared, such as ``"x"`` for the variance of the slopes of x: what a
        cross-level interaction ``x:z`` explains of it (Raudenbush and Bryk 2002). All effects if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.

    Returns
    -------
    DrawTable
        One row for each grouping factor: ``group``, ``effect`` if one is given, ``mean``, ``sd`` and the ends of the
        interval; for likelihood fits also ``estimate``, at the maxima. ``.draws`` has the draws, dims (chain, draw,
        row): draws of the two posteriors are paired at random, which treats the two variances as independent. Since
        they come from the same data, the interval tends to be too wide.

    Raises
    ------
    FitError
        If the fits have different rows or outcomes or no grouping factor or `effect` in common, or a variance of the
        first fit is zero.

    Notes
    -----
    The change can be negative. The residual variance on the latent scale is pi^2 / 3 in every model, so that a
    predictor that explains differences within clusters makes all coefficients larger, and with them the variance
    between clusters. Where V_0 is small relative to its uncertainty, the mean of the draws is unstable: read the
    interval.

    References
    ----------
    Merlo, Yang, Chaix, Lynch and Råstam (2005), Journal of Epidemiology and Community Health 59: 729-736;
    Raudenbush and Bryk (2002), Hierarchical Linear Models, 2nd edition, chapter 4, for slopes.

    Examples
    --------
    >>> import hierlogit as hl
    >>> rows = hl.datasets.load("guimmun")
    >>> fits = [hl.Model(f"immun ~ {x} + (1 | comm)", rows).fit(hl.Laplace(seed=1)) for x in ("1", "rural + pcInd81")]
    >>> hl.pcv(*fits)[["group", "estimate"]]
    Proportional change in variance
      group  estimate
      comm      0.310
    """
    require_fit(fit0, "fit0")
    require_fit(fit1, "fit1")
    interval = Interval.of(ci_prob, ci_kind)
    for fit in (fit0, fit1):
        require_random_effects(fit)
    pairs = _common_groups(fit0, fit1)
    if effect is not None:
        pairs = _with_effect(pairs, effect)
    names = [before.name for before, _ in pairs]
    before, after = (_variances(fit, names, effect) for fit in (fit0, fit1))
    zero = [name for name, some in zip(names, before.draws.any(axis=0), strict=True) if not some]
    if zero:
        raise FitError(
            f"the {agree(zero, 'variance', 'variances')} of {quoted_list(zero)} {agree(zero, 'is', 'are')} zero in the "
            "first fit, so that the proportional change is not defined."
        )
    count = min(before.count, after.count)
    # Fits with the same seed used the same random numbers: paired in order, their draws would not be independent.
    random = np.random.default_rng(1)
    first, second = (values.draws[random.permutation(values.count)[:count]] for values in (before, after))
    estimate = None
    if before.estimate is not None and after.estimate is not None:
        estimate = _change(before.estimate, after.estimate)
    values = Evaluated(_change(first, second), estimate, (1, count))
    described = pd.DataFrame({"group": [before.name for before, _ in pairs]})
    if effect is not None:
        described["effect"] = effect
    return values.table("Proportional change in variance", described, interval)


def _change(before: FloatArray, after: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):  # a single draw may be zero
        return 1 - after / before


def _variances(fit: Fit, names: list[str], effect: str | None) -> Evaluated:
    """The variances of the clusters of some grouping factors, shape (draws, factors)."""

    def of_one(one: Fit, count: int | None) -> tuple[Query, Evaluated]:
        query, weights = query_of(one, None, count), one.model.design.shares
        factors = [group for group in one.model.design.groups if group.name in names]
        factors.sort(key=lambda group: names.index(group.name))

        def variances(draws: Draws) -> FloatArray:
            return np.column_stack([_variance(draws, group, weights, effect) for group in factors])

        return query, query.evaluate(variances, len(names))

    return over_imputations(fit, None, of_one)[1]


def _variance(draws: Draws, group: GroupBlock, trials: FloatArray, effect: str | None) -> FloatArray:
    """The variance of one effect of a grouping factor, or of all for an average trial, shape (draws,)."""
    if effect is None:
        return mean_variance(draws, group, trials)
    variance: FloatArray = (draws.cholesky[group.name][:, group.effects.index(effect)] ** 2).sum(axis=1)
    return variance


def _with_effect(pairs: list[tuple[GroupBlock, GroupBlock]], effect: Any) -> list[tuple[GroupBlock, GroupBlock]]:
    """The grouping factors over which an effect varies in both fits.

    Raises
    ------
    FitError
        If there are none.
    """
    shared = [[name for name in before.effects if name in after.effects] for before, after in pairs]
    choice("effect", effect, list(dict.fromkeys(name for names in shared for name in names)), FitError)
    return [pair for pair, names in zip(pairs, shared, strict=True) if effect in names]


def _common_groups(fit0: Fit, fit1: Fit) -> list[tuple[GroupBlock, GroupBlock]]:
    """Grouping factors that both fits have.

    Raises
    ------
    FitError
        If there are none, or the fits have different rows, outcomes or clusters.
    """
    first, second = fit0.model.design, fit1.model.design
    counts = f"{first.n_observations:,} and {second.n_observations:,} rows"
    apart = first.table.counted_apart(second.table)
    if first.n_observations != second.n_observations or not (apart or first.table.rows.equals(second.table.rows)):
        raise FitError(
            f"the fits use different rows ({counts}), so that their variances cannot be compared. If missing values in "
            "a predictor of one model are the cause, drop these rows before both fits."
        )
    pairs_of_arrays = (first.outcome.y, second.outcome.y), (first.outcome.trials, second.outcome.trials)
    same = apart or all(np.array_equal(*arrays) for arrays in pairs_of_arrays)
    if not same or first.outcome.totals != second.outcome.totals:
        raise FitError("the fits have different outcomes, so that their variances cannot be compared. Use one table.")
    by_name = {group.name: group for group in fit1.model.design.chosen_groups(None)}
    pairs = [(group, by_name[group.name]) for group in fit0.model.design.chosen_groups(None) if group.name in by_name]
    if not pairs:
        names = [quoted_list([group.name for group in design.groups]) for design in (first, second)]
        raise FitError(
            f"the fits have no grouping factor in common: {names[0]} in the first, {names[1]} in the second."
        )
    for before, after in pairs:
        if not (np.array_equal(before.levels, after.levels) if apart else np.array_equal(before.index, after.index)):
            raise FitError(f"the rows are in different clusters of '{before.name}' in the two fits.")
    return pairs
