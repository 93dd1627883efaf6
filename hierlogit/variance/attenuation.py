"""Conditional (cluster-specific) coefficients beside population-averaged ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from ..density.joint.attenuation import ATTENUATION
from ..density.linear_predictor import Draws
from ..effects.numerics.population_average import average_probability
from ..effects.over_imputations import over_imputations
from ..errors import FitError
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from ..summaries.intervals import DrawTable, Interval, summarise
from .by_factor import mean_variance, query_of, require_random_effects, spread, total
from .logistic_regressions import logistic_regressions
from .row_averages import distinct_rows

if TYPE_CHECKING:
    from ..effects.evaluated import Evaluated
    from ..effects.query import Query

FloatArray = npt.NDArray[np.float64]

QUANTITIES = ("conditional", "average", "ratio", "approximate")


@repeats_findings
def conditional_vs_average(
    fit: Fit, *, num_draws: int | None = None, ci_prob: float | None = None, ci_kind: str | None = None
) -> DrawTable:
    """Coefficients conditional on the cluster, beside the population-averaged ones, which are closer to zero.

    A coefficient of this model compares rows of the same cluster, or of clusters with equal effects. A logistic
    regression that ignores clusters, or generalised estimating equations, compare rows of the whole population: their
    probabilities are averages over clusters. Both are correct answers to different questions. They differ even if no
    predictor is left out, because the average of many steep logistic curves with different intercepts is a flatter
    curve. With random intercepts of variance ``sigma^2``, all coefficients are attenuated by the same factor, about
    ``1 / sqrt(1 + 0.346 sigma^2)``.

    Parameters
    ----------
    fit : Fit
    num_draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.

    Returns
    -------
    DrawTable
        One row for each fixed effect (index ``term``). The columns have two levels, of which the first is the quantity:

        - ``conditional``: the coefficient of the model, given the cluster.
        - ``average``: the population-averaged coefficient. It belongs to the logistic regression with the same
          predictors that is closest to the averaged probabilities of the training rows: the one that maximum likelihood
          without random effects would estimate from infinitely many clusters, all observed at these rows. It is solved
          for each draw.
        - ``ratio``: average / conditional, usually below 1. It is unstable where the coefficient may be zero, and
          therefore has a median in place of mean and sd.
        - ``approximate``: the conditional coefficient times ``1 / sqrt(1 + c^2 sigma^2)`` with
          ``c = 16 sqrt(3) / (15 pi)`` and ``sigma^2`` the mean over the training rows of ``sum_t z'Sigma_t z``, the
          usual approximation of the average.

        The second level are ``mean``, ``sd`` and the ends of the interval; for likelihood fits also ``estimate``, at
        the maximum. ``.draws`` has the draws, dims (chain, draw, term, quantity).

    Raises
    ------
    FitError
        If the model has no random effects or no fixed effects, or if coefficients are infinite.

    Notes
    -----
    With random slopes the variance depends on the predictors, and averaging does more than shrink: the
    population-averaged coefficient can even have the opposite sign. ``average`` takes this into account, within a
    logistic regression of the same form; the approximation does not.

    References
    ----------
    Zeger, Liang and Albert (1988), Biometrics 44: 1049-1060, section 3.
    Neuhaus, Kalbfleisch and Hauck (1991), International Statistical Review 59: 25-35.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("outcome ~ time + (1 | patientID)", hl.datasets.load("toenail")).fit(hl.AGQ(nodes=50, seed=1))
    >>> hl.conditional_vs_average(fit).xs("estimate", axis="columns", level=1)
    Coefficients (logit scale), given the cluster and averaged over clusters
      term       conditional  average  ratio  approximate
      Intercept       -1.711   -0.604  0.353       -0.667
      time            -0.451   -0.185  0.410       -0.176
    """
    interval = Interval.of(ci_prob, ci_kind)
    require_random_effects(fit)
    if not fit.model.design.fixed_effects:
        raise FitError("the model has no fixed effects, so there is no coefficient to compare.")
    if any(finding.code == "separation" for finding in fit.diagnostics.findings):
        raise FitError(
            "some coefficients of this fit are infinite, because predictors separate the outcomes, and so are their "
            "population averages. Fit the model by hl.MAP() or hl.NUTS(), whose priors keep them finite."
        )
    labels = fit.model.design.fixed_effects

    def compared(one: Fit, count: int | None) -> tuple[Query, Evaluated]:
        query = query_of(one, None, count)
        shares = query.design.shares
        rows, weights = distinct_rows(query.rows, shares)

        def both(draws: Draws) -> FloatArray:
            variance = total({group.name: mean_variance(draws, group, shares) for group in query.design.groups})
            factor = 1 / np.sqrt(1 + ATTENUATION * variance)[:, None]
            beta = draws.beta
            sd = np.sqrt(total(spread(draws, rows)))
            probability = average_probability(beta @ rows.X.T + rows.offset, sd)
            average = nearest_coefficients(probability, rows.X, rows.offset, weights, factor * beta)
            with np.errstate(divide="ignore", invalid="ignore"):
                parts = (beta, average, average / beta, factor * beta)
            return np.stack(parts, axis=2).reshape(len(draws), -1)

        return query, query.evaluate(both, len(QUANTITIES) * len(labels), 4 * len(weights), "Averaging")

    _, values = over_imputations(fit, num_draws, compared)
    return _side_by_side(values, labels, interval)


def _side_by_side(values: Evaluated, labels: tuple[str, ...], interval: Interval) -> DrawTable:
    """One row for each coefficient, with the quantities beside each other."""
    shape = (len(labels), len(QUANTITIES))
    draws = values.draws.reshape(-1, *shape)
    summaries = summarise(draws, interval)
    if values.estimate is not None:
        summaries = {"estimate": values.estimate.reshape(shape), **summaries}
    columns: dict[tuple[str, str], FloatArray] = {}
    for k, quantity in enumerate(QUANTITIES):
        of_quantity = {name: summary[:, k] for name, summary in summaries.items()}
        if quantity == "ratio":
            median = {"median": np.median(draws[:, :, k], axis=0)}
            of_quantity = {**median, **of_quantity} if values.estimate is None else of_quantity | median
            del of_quantity["mean"], of_quantity["sd"]
        columns |= {(quantity, name): summary for name, summary in of_quantity.items()}
    table = pd.DataFrame(columns, index=pd.Index(labels, name="term"))
    array = xr.DataArray(
        values.draws.reshape(*values.chain_shape, *shape),
        dims=("chain", "draw", "term", "quantity"),
        coords={"term": list(labels), "quantity": list(QUANTITIES)},
    )
    title = "Coefficients (logit scale), given the cluster and averaged over clusters"
    spare = ["approximate", "sd", *(("mean", "median") if values.estimate is not None else ())]
    return DrawTable.with_draws(table, array, title, spare)


def nearest_coefficients(
    probability: FloatArray, X: FloatArray, offset: FloatArray, weights: FloatArray, start: FloatArray
) -> FloatArray:
    """Coefficients of the logistic regression closest to given probabilities, for all draws at once.

    Parameters
    ----------
    probability : ndarray, shape (draws, n)
        Expected outcomes.
    X : ndarray, shape (n, p)
    offset, weights : ndarray, shape (n,)
    start : ndarray, shape (draws, p)

    Returns
    -------
    ndarray, shape (draws, p)

    Raises
    ------
    FitError
        If Newton's method does not converge.

    Examples
    --------
    >>> X = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    >>> p = 1 / (1 + np.exp(-X @ [-1.0, 0.5]))
    >>> nearest_coefficients(p[None], X, np.zeros(4), np.ones(4), np.zeros((1, 2))).round(6)
    array([[-1. ,  0.5]])
    """
    found = logistic_regressions(probability, X, offset, weights, start)
    if found.finite.all():
        return found.coefficients
    raise FitError(
        "for some draws no logistic regression fits the averaged probabilities: look for extreme coefficients or sds "
        "in hl.summary(fit). Fits by hl.MAP() and hl.NUTS() have priors that keep them moderate."
    )
