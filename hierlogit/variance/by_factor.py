"""Variance of the linear predictor over clusters by grouping factor and draw, and the clusters that rows can share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import Draws
from ..design.design import Design, EncodedRows
from ..design.grouping import GroupBlock
from ..effects.numerics.population_average import predictor_sd
from ..effects.query import Query
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..summaries.intervals import set_aside
from .row_averages import average_over_rows, varying_alike

FloatArray = npt.NDArray[np.float64]

#: Variance of the standard logistic distribution, the residual variance on the latent scale.
LOGISTIC_VARIANCE = np.pi**2 / 3
#: Label of all grouping factors together.
ALL = "all"


def require_random_effects(fit: Fit) -> None:
    """Refuse what is not a fit with random effects.

    Raises
    ------
    FitError
    """
    require_fit(fit)
    fit.model.design.chosen_groups(None)


def query_of(fit: Fit, newdata: Any = None, num_draws: int | None = None, *, fixed: bool = True) -> Query:
    """A query to a fit with random effects, for each row of `newdata` or, if not given, for the training rows together.

    The clusters of `newdata` play no part, and its fixed part only if `fixed` is true.

    Raises
    ------
    FitError
        If the model has no random effects.
    PredictionError
        If the rows do not match the model, or the fit has fewer draws.
    """
    require_random_effects(fit)
    query = Query.of(fit, newdata, num_draws, fixed=fixed)
    _ = query.rows  # encodes the rows now, so that rows that do not match the model are refused before computing
    return query


def result_rows(query: Query) -> int:
    """Number of values of each result: one for each complete row of `newdata`, or for the training rows together."""
    return 1 if query.data.of_training else len(query.rows)


def cluster_variances(query: Query, draws: Draws) -> dict[str, FloatArray]:
    """``z'Sigma z`` by grouping factor, shape (draws, rows); averaged over the training rows, shape (draws, 1)."""
    if query.data.of_training:
        shares = query.design.shares
        return {group.name: mean_variance(draws, group, shares)[:, None] for group in query.design.groups}
    return spread(draws, query.rows)


def described_rows(query: Query, columns: dict[str, list[str]]) -> pd.DataFrame:
    """Labels of the results, repeated for each row of `newdata`, followed by the columns of the row."""
    labels = pd.DataFrame(columns)
    if query.data.of_training:
        return labels
    count, rows = len(query.data.frame), set_aside(query.data.shown, [*columns, "row"])
    repeated = labels.loc[labels.index.repeat(count)].reset_index(drop=True)
    again = pd.concat([rows.reset_index(drop=True)] * len(labels), ignore_index=True)
    return pd.concat([repeated.assign(row=np.tile(query.data.frame.index.to_numpy(), len(labels))), again], axis=1)


def spread(draws: Draws, rows: EncodedRows) -> dict[str, FloatArray]:
    """``z'Sigma z`` of each row by grouping factor, shape (draws, rows)."""
    return {name: predictor_sd(draws, rows, [name]) ** 2 for name in rows.groups}


def average_moments(
    draws: Draws,
    rows: EncodedRows,
    share: FloatArray,
    moments: Callable[[dict[str, FloatArray], FloatArray], list[FloatArray]],
) -> FloatArray:
    """Averages over rows of functions of the linear predictor and the variances, shape (functions, draws).

    Parameters
    ----------
    draws : Draws
    rows : EncodedRows
    share : ndarray, shape (n,)
        Weight of each row in the average.
    moments : callable
        Takes variances by factor, shape (draws, 1), and linear predictors, shape (draws, k); returns one array
        (draws, k) for each function.
    """
    parts = []
    for chosen in varying_alike(rows):
        alike = rows.at(chosen)
        function = partial(moments, spread(draws, alike.at(np.array([0]))))
        parts.append(average_over_rows(function, fixed_part(draws, alike), share[chosen]))
    return np.sum(parts, axis=0)


def fixed_part(draws: Draws, rows: EncodedRows) -> FloatArray:
    """Linear predictor without random effects, shape (draws, rows)."""
    eta: FloatArray = draws.beta @ rows.X.T + rows.offset
    return eta


def mean_variance(draws: Draws, group: GroupBlock, trials: FloatArray) -> FloatArray:
    """Mean of ``z'Sigma z`` over the trials of the training rows (Johnson 2014), shape (draws,)."""
    products = (group.Z * trials[:, None]).T @ group.Z / trials.sum()
    L = draws.cholesky[group.name]
    variance: FloatArray = np.einsum("sai,ab,sbi->s", L, products, L, optimize=True)
    return variance


def fixed_variance(draws: Draws, X: FloatArray, trials: FloatArray) -> FloatArray:
    """Variance of the fixed part ``x'beta`` over the trials of the rows, their number less 1 in the denominator."""
    centred = X - trials @ X / trials.sum()
    covariance = (centred * trials[:, None]).T @ centred / (trials.sum() - 1)
    variance: FloatArray = np.einsum("sa,ab,sb->s", draws.beta, covariance, draws.beta, optimize=True)
    return variance


def between_rows(design: Design) -> tuple[str, ...]:
    """Observation-level grouping factors, whose clusters are single rows: overdispersion, which no two rows share."""
    return tuple(group.name for group in design.groups if len(group.levels) == design.n_observations)


@dataclass(frozen=True)
class Sharing:
    """A way in which two rows can share clusters.

    Attributes
    ----------
    group, kind : str
        Labels in the columns of tables.
    factors : tuple of str
        Grouping factors whose clusters the rows share.
    """

    group: str
    kind: str
    factors: tuple[str, ...]


def sharings(design: Design) -> list[Sharing]:
    """The ways to share clusters: of one factor alone, of one with those it is nested in, and of all factors."""
    single, ways = between_rows(design), []
    for group in design.groups:
        ways.append(Sharing(group.name, "share", (group.name,)))
        around = [other.name for other in design.groups if other is not group and group.nested_in(other)]
        if around and group.name not in single:
            ways.append(Sharing(group.name, "same cluster", (group.name, *around)))
    if len(design.groups) > 1:
        shared = tuple(group.name for group in design.groups if group.name not in single)
        ways.append(Sharing(ALL, "share", shared))
    return ways


def total(variances: dict[str, FloatArray], factors: tuple[str, ...] | None = None) -> FloatArray:
    """Sum of the variances of the given factors, or of all."""
    chosen = list(variances) if factors is None else factors
    zero = np.zeros_like(next(iter(variances.values())))
    summed: FloatArray = sum((variances[name] for name in chosen), start=zero)
    return summed
