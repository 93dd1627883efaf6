"""Intraclass correlations on the latent scale, and variance partition coefficients on the response scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import Draws
from ..effects.evaluated import Evaluated
from ..effects.numerics.population_average import average_probability
from ..effects.over_imputations import over_imputations
from ..effects.query import Query
from ..errors import PredictionError
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from ..summaries.intervals import DrawTable, Interval
from ..validation import choice, flag
from .by_factor import (
    LOGISTIC_VARIANCE,
    average_moments,
    cluster_variances,
    described_rows,
    fixed_part,
    fixed_variance,
    query_of,
    result_rows,
    sharings,
    total,
)
from .row_averages import distinct_rows
from .shared_clusters import shared_covariance

FloatArray = npt.NDArray[np.float64]


@repeats_findings
def icc(
    fit: Fit,
    newdata: Any = None,
    *,
    adjusted: bool = True,
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> DrawTable:
    """Intraclass correlations on the latent scale: the share of the variance that lies between clusters.

    The event occurs when a latent outcome is positive: the linear predictor plus a standard logistic error with
    variance ``pi^2 / 3``. The share of grouping factor t is ``z'Sigma_t z / (sum_t z'Sigma_t z + pi^2 / 3)``. It is the
    correlation, given the predictors, of the latent outcomes of two rows that have only the cluster of that factor in
    common. It depends on the predictors only if slopes vary.

    Parameters
    ----------
    fit : Fit
    newdata : table, optional
        Rows at which to compute it, one result for each, since with random slopes the variance between clusters depends
        on the predictors. If not given, each ``z'Sigma_t z`` is averaged over the trials of the training rows (Johnson
        2014), so that the same data as counts and as single outcomes give the same result.
    adjusted : bool
        Whether to leave out the variance of the fixed part, for the correlation of rows with the same predictors. If
        not, the denominator includes it, as in ``ICC_unadjusted`` (the conditional ICC) of R's performance package.
    num_draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.

    Returns
    -------
    DrawTable
        ``group`` and ``kind``; with `newdata` also ``row`` and the columns of the rows; ``mean``, ``sd`` and the ends
        of the interval; for likelihood fits also ``estimate``, at the maximum. The kinds are:

        - ``share``: the share of one factor or, with several, of ``all`` factors together.
        - ``same cluster``: for a factor nested in others, the correlation of two rows in the same cluster. They also
          share the clusters that contain it, so that it is the sum of the shares of these factors.

        An observation-level factor (one cluster for each row, for overdispersion of counts) has a share, but does not
        contribute to ``all``, since no two rows have it in common. ``.draws`` has the draws, dims (chain, draw, row).

    Raises
    ------
    FitError
        If the model has no random effects.
    PredictionError
        If an option is out of range, or the rows do not match the model.

    See Also
    --------
    vpc : The same on the response scale.

    References
    ----------
    Goldstein, Browne and Rasbash (2002), Understanding Statistics 1: 223-231, method D.
    Johnson (2014), Methods in Ecology and Evolution 5: 944-946, equation 10.
    Nakagawa, Johnson and Schielzeth (2017), Journal of the Royal Society Interface 14: 20170213.

    Examples
    --------
    >>> import hierlogit as hl
    >>> model = hl.Model("immun ~ kid2p + (1 | comm/mom)", hl.datasets.load("guimmun"))
    >>> fit = model.fit(hl.AGQ(nodes=15, draws=100, seed=1))
    >>> hl.icc(fit)[["group", "kind", "estimate"]]
    Intraclass correlation (latent scale)
      group     kind          estimate
      comm      share            0.157
      comm:mom  share            0.514
      comm:mom  same cluster     0.671
      all       share            0.671
    """
    interval = Interval.of(ci_prob, ci_kind)
    adjusted = flag("adjusted", adjusted, PredictionError)
    if newdata is not None and not adjusted:
        raise PredictionError(
            "adjusted=False adds the variance of the fixed part over the training rows: it cannot be combined with "
            "newdata=."
        )

    def shares(one: Fit, count: int | None) -> tuple[Query, Evaluated]:
        query = query_of(one, newdata, count, fixed=False)
        shared = sharings(query.design)

        def correlations(draws: Draws) -> FloatArray:
            variances = cluster_variances(query, draws)
            whole = total(variances) + LOGISTIC_VARIANCE
            if not adjusted:
                whole += fixed_variance(draws, query.design.X, query.design.shares)[:, None]
            return np.concatenate([total(variances, sharing.factors) / whole for sharing in shared], axis=1)

        return query, query.of_all_rows(
            query.evaluate(correlations, len(shared) * result_rows(query), result_rows(query))
        )

    queries, values = over_imputations(fit, num_draws, shares)
    return values.table("Intraclass correlation (latent scale)", _described(queries[0]), interval)


def _described(query: Query) -> pd.DataFrame:
    """The ways to share clusters, for each row of the query."""
    shared = sharings(query.design)
    labels = {"group": [sharing.group for sharing in shared], "kind": [sharing.kind for sharing in shared]}
    return described_rows(query, labels)


@repeats_findings
def vpc(
    fit: Fit,
    newdata: Any = None,
    *,
    scale: str = "response",
    num_draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> DrawTable:
    """Variance partition coefficients: the share of the variance of outcomes that lies between clusters.

    On the response scale it is ``Var(p) / (Var(p) + E[p (1 - p)])`` over clusters, at given predictors: the variance of
    the probability divided by the variance of a binary outcome. It is also the correlation of two binary outcomes in
    the same clusters. It is smaller than on the latent scale, especially for rare events. For one factor t of several,
    ``Var(p)`` is ``Var(E[p | u_t])``, the variance of the probability averaged over the other factors, which gives the
    correlation of two outcomes that have only that cluster in common. These shares need not sum to that of all factors.

    Parameters
    ----------
    fit : Fit
    newdata : table, optional
        Rows at which to compute it, one result for each. If not given, numerator and denominator are averaged over the
        trials of the training rows: the share of the variance that the predictors leave unexplained.
    scale : {"response", "latent"}
        Whether the variance is that of binary outcomes, or of the latent outcomes as in `icc`.
    num_draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.

    Returns
    -------
    DrawTable
        As for `icc`.

    Raises
    ------
    FitError
        If the model has no random effects.
    PredictionError
        If an option is out of range, or the rows do not match the model.

    Notes
    -----
    Goldstein, Browne and Rasbash simulate cluster effects (method B). Here the integrals are computed by quadrature, to
    about eight digits. The effects enter only through ``z'u``, which is normal with variance ``z'Sigma z``, so that one
    dimension is enough for the shared factors and one for the others.

    References
    ----------
    Goldstein, Browne and Rasbash (2002), Understanding Statistics 1: 223-231.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.vpc(fit, hl.datagrid(fit, urban=["N", "Y"]))[["group", "kind", "urban", "estimate"]]
    Variance partition coefficient (response scale)
      group     kind   urban  estimate
      district  share  N        0.0393
      district  share  Y        0.0431
    >>> hl.vpc(fit, scale="latent")["estimate"].round(3).to_list()
    [0.054]
    """
    choice("scale", scale, ("response", "latent"), PredictionError)
    if scale == "latent":
        return icc(fit, newdata, num_draws=num_draws, ci_prob=ci_prob, ci_kind=ci_kind)
    interval = Interval.of(ci_prob, ci_kind)

    def shares(one: Fit, count: int | None) -> tuple[Query, Evaluated]:
        query = query_of(one, newdata, count)
        shared = sharings(query.design)
        rows, share = distinct_rows(query.rows, query.design.shares if newdata is None else None)

        def moments(variances: dict[str, FloatArray], eta: FloatArray) -> list[FloatArray]:
            """Variance of an outcome, and for each way to share clusters its covariance with another row's outcome."""
            average = average_probability(eta, np.broadcast_to(np.sqrt(total(variances)), eta.shape))
            parts = [average * (1 - average)]
            for sharing in shared:
                within = total(variances, sharing.factors)
                # A sum, not the total minus `within`, which would not be exactly zero where there are no other factors.
                others = total(variances, tuple(name for name in variances if name not in sharing.factors))
                sds = (np.broadcast_to(np.sqrt(values), eta.shape) for values in (within, others))
                parts.append(shared_covariance(eta, *sds))
            return parts

        def correlations(draws: Draws) -> FloatArray:
            if newdata is None:
                whole, *parts = average_moments(draws, rows, share, moments)[..., None]
            else:
                whole, *parts = moments(cluster_variances(query, draws), fixed_part(draws, query.rows))
            with np.errstate(invalid="ignore", divide="ignore"):  # probabilities of 0 and 1 have no variance to share
                return np.concatenate([part / whole for part in parts], axis=1)

        values = query.evaluate(correlations, len(shared) * result_rows(query), len(query.rows), "Integrating")
        return query, query.of_all_rows(values)

    queries, values = over_imputations(fit, num_draws, shares)
    return values.table(f"Variance partition coefficient ({scale} scale)", _described(queries[0]), interval)
