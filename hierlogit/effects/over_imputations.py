"""Values computed for each imputation, with its own rows and draws, and then combined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import STEP
from ..errors import DataWarning, PredictionError, unsaid
from ..fits.arguments import require_fit
from ..fits.pooled_fit import imputations_of
from ..rubins_rules import between_factor
from ..validation import number_of, quoted_list
from .averaging_by import SIZES
from .evaluated import Evaluated
from .query import MAX_CELLS, PredictionQuery, Query
from .row_by_row import RowByRow

if TYPE_CHECKING:
    from ..fits.fit import Fit

FloatArray = npt.NDArray[np.float64]


def over_imputations[Q: Query, V: Evaluated | RowByRow](
    fit: Fit, num_draws: int | None, compute: Callable[[Fit, int | None], tuple[Q, V]]
) -> tuple[list[Q], V]:
    """Values of each imputation of a pooled fit, combined; of any other fit, the values as they are.

    Parameters
    ----------
    fit : Fit
    num_draws : int or None
        Draws that the user asks for, which are shared among the imputations.
    compute : callable
        Function of the fit to one imputation and of a number of draws that returns its query and values.

    Returns
    -------
    queries : list of Query
        The query to each imputation.
    values : Evaluated or RowByRow
        Draws of all imputations, and means of their estimates.

    Raises
    ------
    PredictionError
        If the imputations have different values to combine, or too many for memory.
    """
    require_fit(fit)
    imputations = imputations_of(fit)
    m = len(imputations)
    if m == 1:
        query, alone = compute(fit, num_draws)
        return [query], alone
    share = None if num_draws is None else max(1, round(num_draws / m))
    query, first = compute(imputations[0], share)
    if isinstance(first, Evaluated) and first.draws.size * m > MAX_CELLS:
        raise PredictionError(
            f"{m * first.count:,} draws of {first.size:,} values, those of {m} imputations, do not fit into memory. "
            f"Pass num_draws={max(MAX_CELLS // max(first.size, 1), m):,} or fewer, average with by=True, or predict "
            "for fewer rows."
        )
    queries, values = [query], [first]
    with unsaid(DataWarning):  # what is said of the rows of the user is the same for each imputation
        for one in imputations[1:]:
            query, more = compute(one, share)
            queries.append(query)
            values.append(more)
    return queries, _combined(values)  # type: ignore[return-value]  # of the class of the members


def _combined(members: Sequence[Evaluated | RowByRow]) -> Evaluated | RowByRow:
    first = members[0]
    estimates = [one.estimate for one in members if one.estimate is not None]
    estimate = np.mean(estimates, axis=0) if estimates else None
    chain_shape = (sum(one.chain_shape[0] for one in members), first.chain_shape[1])
    if any(one.size != first.size for one in members):
        raise PredictionError(
            "the imputations have different numbers of values, so that they cannot be combined. Pass newdata= with "
            "rows that are the same for all of them."
        )
    if isinstance(first, RowByRow):
        computes = [one.compute for one in members if isinstance(one, RowByRow)]
        return replace(first, compute=partial(_of_each, computes), estimate=estimate, chain_shape=chain_shape)
    in_memory = [one for one in members if isinstance(one, Evaluated)]
    around = None if estimate is None else _around(in_memory, estimate)
    return Evaluated(np.concatenate([one.draws for one in in_memory]), estimate, chain_shape, around)


def _of_each(computes: Sequence[Callable[[slice], list[FloatArray]]], run: slice) -> list[FloatArray]:
    """The values of each term at a run of rows, with the draws of all imputations."""
    return [np.concatenate(parts) for parts in zip(*(compute(run) for compute in computes), strict=True)]


def _around(members: Sequence[Evaluated], estimate: FloatArray) -> FloatArray | None:
    """Points around the mean of the estimates, whose deviations are in the order of those of a `PooledEstimate`."""
    if any(one.around is None for one in members):
        return None
    m = len(members)
    within = [one.deviations(_as_given) / np.sqrt(m) for one in members]
    differences = np.array([one.estimate for one in members]) - estimate
    steps = STEP * np.concatenate([*within, differences * np.sqrt(between_factor(m) / (m - 1))])
    return np.concatenate([estimate + steps, estimate - steps])


def _as_given(values: FloatArray) -> FloatArray:
    return values


def described_rows(queries: Sequence[PredictionQuery]) -> pd.DataFrame:
    """What describes the values of one set of representative clusters, with what differs between imputations missing.

    Raises
    ------
    PredictionError
        If the groups that are averaged over differ between imputations.
    """
    averages = queries[0].averages
    keys = [] if averages is None else [name for name in map(str, averages.described) if name not in SIZES]
    return _agreed([query.described for query in queries], keys)


def _agreed(frames: Sequence[pd.DataFrame], keys: Sequence[str]) -> pd.DataFrame:
    """Descriptions of the values of each imputation as one; cells that differ are missing.

    Parameters
    ----------
    frames : sequence of pandas.DataFrame
        One for each imputation.
    keys : sequence of str
        Columns that must not differ, because they define what is averaged over.

    Raises
    ------
    PredictionError
        If keys differ.
    """
    first, *others = frames
    for k, other in enumerate(others, start=2):
        if len(other) != len(first) or not first[list(keys)].equals(other[list(keys)]):
            raise PredictionError(
                f"the groups of rows by {quoted_list(list(keys))} differ between imputations: "
                f"{number_of(len(first), 'group')} in the first, {number_of(len(other), 'group')} in imputation {k}. "
                "Average by columns without imputed values, or over rows that are the same for all: "
                "newdata=hl.datagrid(fit, ...)."
            )
    agreed = first.copy()
    for name in first.columns:
        values = first[name].astype(object).to_numpy()
        differ = np.zeros(len(first), dtype=bool)
        for other in others:
            differ |= other[name].astype(object).to_numpy() != values
        if differ.any():
            agreed[name] = first[name].mask(differ)
    return agreed
