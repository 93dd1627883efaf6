"""Predictions of a fit for its own rows and new ones, per posterior draw and then summarised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from .errors import PredictionError
from .intervals import DrawTable, Interval, summarise
from .predicted import Averages, Setting, check_choice, chosen_draws, row_weights
from .progress import progress
from .table import read_table

if TYPE_CHECKING:
    from .fit import Fit

FloatArray = npt.NDArray[np.float64]
KINDS = ("probability", "linear", "outcome")

#: Predictions held at once, draws times rows; more than this would fill the memory of a small machine.
MAX_CELLS = 2 * 10**8


def predictions(
    fit: Fit,
    newdata: Any = None,
    *,
    clusters: str = "observed",
    kind: str = "probability",
    by: str | Sequence[str] | bool | None = None,
    weights: str | Sequence[float] | None = None,
    allow_new_levels: bool = False,
    draws: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    seed: int | None = None,
) -> DrawTable:
    """Predicted probabilities, linear predictors or outcomes, row by row or averaged over rows.

    Parameters
    ----------
    fit : Fit
    newdata : table, optional
        Rows to predict for; the training rows if not given.
    clusters : {"observed", "new", "average", "typical"}
        Which cluster effects count. ``"observed"``: those of the row's own clusters. ``"new"``: effects of clusters not
        seen before, drawn from their distribution; rows with the same label share a draw, different labels get
        independent ones. ``"average"``: the probability averaged over all clusters there might be, by quadrature.
        ``"typical"``: none, a cluster with effects of 0.
    kind : {"probability", "linear", "outcome"}
        The event's probability, its logit, or simulated successes in the row's trials.
    by : str, list of str, or True, optional
        Columns whose groups of rows are averaged over, within each draw; True averages over all rows.
    weights : str or sequence of float, optional
        With `by`: a column of the rows, or one number for each; by default all rows count alike, whatever their trials.
    allow_new_levels : bool
        With ``clusters="observed"``, whether a cluster not seen in training is treated as ``"new"`` and not refused.
    draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.
    seed : int, optional
        Repeats new clusters' effects and simulated outcomes exactly.

    Returns
    -------
    DrawTable
        The rows' columns with ``mean``, ``sd`` and the interval's ends, labelled as the rows are in their table; a
        column of the data with one of these names becomes ``mean_in_data``. With `by` the columns averaged by, and
        ``rows``, how many each stands for. ``.draws`` has the draws, dims (chain, draw, row).

    Raises
    ------
    PredictionError
        If an option is unknown, or the rows hold a cluster or level that training did not have; it is named.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.predictions(fit, hl.datagrid(fit, urban=["N", "Y"]))  # doctest: +SKIP
    >>> hl.predictions(fit, by="district")  # doctest: +SKIP
    """
    interval = Interval.of(ci_prob, ci_kind)
    described, values, chain_shape = _predicted(
        fit, newdata, clusters, kind, allow_new_levels, draws, seed, by, weights
    )
    summaries = pd.DataFrame(summarise(values, interval), index=described.index)
    kept = described.rename(columns={name: f"{name}_in_data" for name in summaries})
    table = pd.concat([kept, summaries], axis=1)
    labels = table.index if table.index.nlevels == 1 and table.index.is_unique else pd.RangeIndex(len(table))
    array = xr.DataArray(
        values.reshape(*chain_shape, -1), dims=("chain", "draw", "row"), coords={"row": labels.to_numpy()}
    )
    return DrawTable.of(table, array)


def avg_predictions(
    fit: Fit, newdata: Any = None, *, by: str | Sequence[str] | bool = True, **options: Any
) -> DrawTable:
    """`predictions` averaged over rows, within each draw: over all of them, or by groups.

    Parameters
    ----------
    fit : Fit
    newdata : table, optional
        Rows to predict for; the training rows if not given.
    by : str, list of str, or True
        Columns whose groups of rows are averaged over; True averages over all rows.
    **options
        As of `predictions`.

    Returns
    -------
    DrawTable

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> hl.avg_predictions(fit, clusters="average")["mean"].round(2).to_list()
    [0.38]
    """
    return predictions(fit, newdata, by=by, **options)


def _predicted(
    fit: Fit,
    newdata: Any,
    clusters: str,
    kind: str,
    allow_new_levels: bool,
    draws: int | None,
    seed: int | None,
    by: str | Sequence[str] | bool | None = None,
    weights: str | Sequence[float] | None = None,
) -> tuple[pd.DataFrame, FloatArray, tuple[int, int]]:
    """What rows there are, their predictions by draw and row, and the numbers of chains and draws these stand for."""
    check_choice("kind", kind, KINDS)
    if kind == "outcome" and clusters == "average":
        raise PredictionError(
            "kind='outcome' with clusters='average' has no meaning: an outcome is that of a row in a cluster. Choose "
            "clusters='new' for rows of clusters not seen before."
        )
    model = fit.model
    frame = model.design.table.frame.set_axis(model.design.table.rows) if newdata is None else read_table(newdata)
    rows = model.design.training_rows() if newdata is None else model.design.encode(newdata)
    random = np.random.default_rng(seed)
    setting = Setting(
        model, clusters, "linear" if kind == "linear" else "probability", allow_new_levels, int(random.integers(2**32))
    )
    chosen, chain_shape = chosen_draws(fit, draws)
    groups = None if by is None or by is False else Averages.by(frame, by, row_weights(frame, weights))
    described = frame if groups is None else groups.described
    if len(chosen) * len(described) > MAX_CELLS:
        raise PredictionError(
            f"{len(chosen):,} draws of {len(described):,} rows do not fit into memory. "
            f"Pass draws={max(MAX_CELLS // len(described), 1):,} or fewer, or predict for parts of the rows."
        )
    trials = None
    if kind == "outcome":
        counted = model.design.outcome.trials if newdata is None else model.design.encode_trials(newdata)
        trials = counted.astype(np.int64)
    values = np.empty((len(chosen), len(described)))
    for part, some in progress(list(chosen.chunks(len(rows))), "Predicting"):
        found = setting.of_part(part).predict(some, rows)
        if trials is not None:
            found = random.binomial(trials, found).astype(np.float64)
        values[part] = found if groups is None else groups.of(found)
    return described, values, chain_shape


def posterior_predictive(
    fit: Fit, newdata: Any = None, *, draws: int | None = None, allow_new_levels: bool = False, seed: int | None = None
) -> xr.DataTree:
    """Outcomes simulated from the fit, for predictive checks with ArviZ.

    Parameters
    ----------
    fit : Fit
    newdata : table, optional
        Rows to simulate; the training rows if not given.
    draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    allow_new_levels : bool
        Whether clusters not seen in training get effects drawn from their distribution and are not refused.
    seed : int, optional
        Repeats the outcomes exactly.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior_predictive`` with the outcome, dims (chain, draw, obs), and for the training rows
        ``observed_data`` and ``constant_data``. The fit itself is not changed.

    Examples
    --------
    >>> import arviz as az, hierlogit as hl
    >>> az.plot_ppc_pava(hl.posterior_predictive(fit, draws=100, seed=1))  # doctest: +SKIP
    """
    rows, outcomes, chain_shape = _predicted(fit, newdata, "observed", "outcome", allow_new_levels, draws, seed)
    simulated = xr.DataArray(
        outcomes.astype(np.int64).reshape(*chain_shape, -1),
        dims=("chain", "draw", "obs"),
        coords={"obs": fit.model.coords["obs"] if newdata is None else np.arange(len(rows))},
    )
    groups = {"posterior_predictive": xr.Dataset({fit.model.outcome_name: simulated})}
    if newdata is None:
        groups |= {name: fit.data[name].to_dataset() for name in ("observed_data", "constant_data")}
    return xr.DataTree.from_dict(groups)
