"""Variance of the linear predictor over clusters, by grouping factor and draw, and which clusters rows can share."""

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
from ..fits.fit import Fit
from .row_averages import average_over_rows, varying_alike

FloatArray = npt.NDArray[np.float64]

#: Variance of the standard logistic distribution: that of the latent outcome given everything.
LOGISTIC_VARIANCE = np.pi**2 / 3
#: Stands for all grouping factors together.
ALL = "all"


def query_of(fit: Fit, newdata: Any = None, num_draws: int | None = None) -> Query:
    """A query to a fit whose model has random effects; without `newdata` it is about the training rows together.

    Raises
    ------
    FitError
        If the model has no random effects.
    PredictionError
        If the rows do not match the model, or the fit has fewer draws.
    """
    fit.model.design.chosen_groups(None)
    query = Query.of(fit, newdata, num_draws)
    _ = query.rows  # so that rows which do not match the model are refused before anything is computed
    return query


def result_rows(query: Query) -> int:
    """How many rows each result stands for: those of `newdata`, or one for the training rows together."""
    return 1 if query.of_training else len(query.rows)


def cluster_variances(query: Query, draws: Draws) -> dict[str, FloatArray]:
    """``z'Sigma z`` by grouping factor, shape (draws, rows); averaged over the training rows (draws, 1)."""
    if query.of_training:
        return {group.name: mean_variance(draws, group)[:, None] for group in query.design.groups}
    return spread(draws, query.rows)


def described_rows(query: Query, columns: dict[str, list[str]]) -> pd.DataFrame:
    """Labels of the results, repeated for each row of `newdata`, followed by the columns of the row."""
    labels = pd.DataFrame(columns)
    if query.of_training:
        return labels
    count, first = len(query.frame), [*columns, "row"]
    rows = query.frame.rename(columns={name: f"{name}_in_data" for name in query.frame.columns if name in first})
    repeated = labels.loc[labels.index.repeat(count)].reset_index(drop=True)
    again = pd.concat([rows.reset_index(drop=True)] * len(labels), ignore_index=True)
    return pd.concat([repeated.assign(row=np.tile(query.frame.index.to_numpy(), len(labels))), again], axis=1)


def spread(draws: Draws, rows: EncodedRows) -> dict[str, FloatArray]:
    """``z'Sigma z`` of some rows by grouping factor, shape (draws, rows)."""
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
    share : ndarray, shape (n,)
        Of each row in the average.
    moments : callable
        Of variances by factor, shape (draws, 1), and linear predictors, shape (draws, k), to an array each.
    """
    parts = []
    for chosen in varying_alike(rows):
        some = rows.at(chosen)
        function = partial(moments, spread(draws, some.at(np.array([0]))))
        parts.append(average_over_rows(function, fixed_part(draws, some), share[chosen]))
    return np.sum(parts, axis=0)


def fixed_part(draws: Draws, rows: EncodedRows) -> FloatArray:
    """Linear predictor without random effects, shape (draws, rows)."""
    found: FloatArray = draws.beta @ rows.X.T + rows.offset
    return found


def mean_variance(draws: Draws, block: GroupBlock) -> FloatArray:
    """Mean of ``z'Sigma z`` over the training rows (Johnson 2014), shape (draws,)."""
    products = block.Z.T @ block.Z / len(block.Z)
    L = draws.cholesky[block.name]
    found: FloatArray = np.einsum("sai,ab,sbi->s", L, products, L, optimize=True)
    return found


def fixed_variance(draws: Draws, X: FloatArray) -> FloatArray:
    """Variance over rows of the fixed part ``x'beta``, with n - 1 in the denominator; shape (draws,)."""
    centred = X - X.mean(axis=0)
    covariance = centred.T @ centred / (len(X) - 1)
    found: FloatArray = np.einsum("sa,ab,sb->s", draws.beta, covariance, draws.beta, optimize=True)
    return found


def between_rows(design: Design) -> tuple[str, ...]:
    """Grouping factors whose every cluster is a row: overdispersion, which no two rows share."""
    return tuple(block.name for block in design.groups if len(block.levels) == design.n_rows)


@dataclass(frozen=True)
class Sharing:
    """Two rows that share clusters.

    Attributes
    ----------
    group, kind : str
        As tables show them.
    factors : tuple of str
        Grouping factors whose clusters the rows share.
    """

    group: str
    kind: str
    factors: tuple[str, ...]


def sharings(design: Design) -> list[Sharing]:
    """What rows can share: a factor's clusters alone, with those that they lie in, and those of all factors."""
    single, found = between_rows(design), []
    for block in design.groups:
        found.append(Sharing(block.name, "share", (block.name,)))
        around = [other.name for other in design.groups if other is not block and block.nested_in(other)]
        if around and block.name not in single:
            found.append(Sharing(block.name, "same cluster", (block.name, *around)))
    if len(design.groups) > 1:
        shared = tuple(block.name for block in design.groups if block.name not in single)
        found.append(Sharing(ALL, "share", shared))
    return found


def total(variances: dict[str, FloatArray], factors: tuple[str, ...] | None = None) -> FloatArray:
    """Sum of the variances of some factors, or of all."""
    chosen = list(variances) if factors is None else factors
    zero = np.zeros_like(next(iter(variances.values())))
    found: FloatArray = sum((variances[name] for name in chosen), start=zero)
    return found
