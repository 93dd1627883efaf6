"""Predictions of a fit for its own rows and new ones, per posterior draw and then summarised."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from .density.linear import Draws, add_effects, linear_predictor
from .design import EncodedRows
from .errors import PredictionError
from .grouping import GroupBlock, GroupRows
from .intervals import DrawTable, Interval, summarise
from .model import Model
from .table import listed, read_table

if TYPE_CHECKING:
    from .fit import Fit

FloatArray = npt.NDArray[np.float64]
CLUSTERS = ("observed", "new", "typical")
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
    clusters : {"observed", "new", "typical"}
        Which cluster effects count. ``"observed"``: those of the row's own clusters. ``"new"``: effects of clusters not
        seen before, drawn from their distribution; rows with the same label share a draw, different labels get
        independent ones. ``"typical"``: none, a cluster with effects of 0.
    kind : {"probability", "linear", "outcome"}
        The event's probability, its logit, or simulated successes in the row's trials.
    by : str, list of str, or True, optional
        Columns whose groups of rows are averaged over, within each draw; True averages over all rows.
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
    described, values, chain_shape = _predicted(fit, newdata, clusters, kind, allow_new_levels, draws, seed)
    if by is not None and by is not False:
        described, values = _averaged(described, values, by)
    summaries = pd.DataFrame(summarise(values, interval), index=described.index)
    kept = described.rename(columns={name: f"{name}_in_data" for name in summaries})
    table = pd.concat([kept, summaries], axis=1)
    labels = table.index if table.index.nlevels == 1 and table.index.is_unique else pd.RangeIndex(len(table))
    array = xr.DataArray(
        values.reshape(*chain_shape, -1), dims=("chain", "draw", "row"), coords={"row": labels.to_numpy()}
    )
    return DrawTable.of(table, array)


def _predicted(
    fit: Fit, newdata: Any, clusters: str, kind: str, allow_new_levels: bool, draws: int | None, seed: int | None
) -> tuple[pd.DataFrame, FloatArray, tuple[int, int]]:
    """The rows, their predictions by draw and row, and the numbers of chains and draws these stand for."""
    _check_choice("clusters", clusters, CLUSTERS)
    _check_choice("kind", kind, KINDS)
    frame = fit.model.design.table.frame if newdata is None else read_table(newdata)
    rows = fit.model.design.training_rows() if newdata is None else fit.model.design.encode(newdata)
    rng = np.random.default_rng(seed)
    chosen, chain_shape = _draws(fit, draws, len(rows))
    eta = _linear_predictor(fit.model, chosen, rows, clusters, allow_new_levels, rng)
    described = frame.set_axis(fit.model.design.table.rows) if newdata is None else frame
    return described, _on_scale(fit.model, eta, kind, newdata, rng), chain_shape


def _check_choice(name: str, given: str, allowed: Sequence[str]) -> None:
    if given not in allowed:
        raise PredictionError(f"{name}={given!r} is not known; choose one of {listed(allowed)}.")


def _draws(fit: Fit, wanted: int | None, rows: int) -> tuple[Draws, tuple[int, int]]:
    posterior = fit.posterior
    chains, length = posterior.sizes["chain"], posterior.sizes["draw"]
    all_draws = Draws.of(fit.model, posterior)
    if wanted is not None and not (isinstance(wanted, Integral) and 1 <= wanted <= len(all_draws)):
        raise PredictionError(
            f"draws={wanted} must be a whole number from 1 to the {len(all_draws):,} draws of the fit."
        )
    if (wanted or len(all_draws)) * rows > MAX_CELLS:
        raise PredictionError(
            f"{wanted or len(all_draws):,} draws of {rows:,} rows do not fit into memory. "
            f"Pass draws={max(MAX_CELLS // rows, 1):,} or fewer, or predict for parts of the rows."
        )
    if wanted is None:
        return all_draws, (chains, length)
    picked = np.linspace(0, len(all_draws) - 1, wanted).round().astype(np.intp)
    return all_draws[picked], (1, wanted)


def _linear_predictor(
    model: Model, draws: Draws, rows: EncodedRows, clusters: str, allow_new: bool, rng: np.random.Generator
) -> FloatArray:
    nowhere = {name: GroupRows(g.labels, np.full(len(rows), -1, dtype=np.intp), g.Z) for name, g in rows.groups.items()}
    if clusters == "typical":
        return linear_predictor(draws, EncodedRows(rows.X, rows.offset, nowhere))
    placed = rows if clusters == "observed" else EncodedRows(rows.X, rows.offset, nowhere)
    eta = linear_predictor(draws, placed)
    for block in model.design.groups:
        group = placed.groups[block.name]
        unseen = group.index < 0
        if not unseen.any():
            continue
        if clusters == "observed" and not allow_new:
            _refuse_unseen(block, group.labels[unseen])
        _add_new_clusters(eta, draws, block, group, rng)
    return eta


def _refuse_unseen(block: GroupBlock, labels: npt.NDArray[Any]) -> None:
    unseen = list(dict.fromkeys(labels.tolist()))
    raise PredictionError(
        f"the new data have {len(unseen)} clusters of '{block.name}' that training did not have: {listed(unseen)}. "
        "Pass allow_new_levels=True to draw their effects from the distribution between clusters, or "
        "clusters='typical' to leave cluster effects out."
    )


def _add_new_clusters(
    eta: FloatArray, draws: Draws, block: GroupBlock, group: GroupRows, rng: np.random.Generator
) -> None:
    """Draw effects of clusters not seen before, one for each label and posterior draw, and add them in place."""
    unseen = group.index < 0
    codes, labels = pd.factorize(group.labels[unseen])
    standard = rng.standard_normal((len(draws), len(labels), len(block.effects)))
    effects = np.einsum("sij,slj->sli", draws.roots[block.name], standard)
    index = np.full(len(group.index), -1, dtype=np.intp)
    index[unseen] = codes
    add_effects(eta, effects, index, group.Z)


def _on_scale(model: Model, eta: FloatArray, kind: str, newdata: Any, rng: np.random.Generator) -> FloatArray:
    if kind == "linear":
        return eta
    from scipy.special import expit

    probability: FloatArray = expit(eta, out=eta)
    if kind == "probability":
        return probability
    trials = model.design.outcome.trials if newdata is None else model.design.encode_trials(newdata)
    return rng.binomial(trials.astype(np.int64), probability).astype(np.float64)


def _averaged(
    frame: pd.DataFrame, values: FloatArray, by: str | Sequence[str] | bool
) -> tuple[pd.DataFrame, FloatArray]:
    """Average over groups of rows within each draw."""
    if by is True:
        return pd.DataFrame(index=pd.RangeIndex(1)), values.mean(axis=1, keepdims=True)
    columns = [by] if isinstance(by, str) else list(by) if not isinstance(by, bool) else []
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise PredictionError(f"cannot average by {listed(absent)}; the rows have {listed(list(frame.columns))}.")
    if not columns:
        raise PredictionError("by=[] names no column; pass by=True to average over all rows.")
    grouped = frame.groupby(columns, observed=True, sort=True, dropna=False)
    codes = grouped.ngroup().to_numpy()
    counts = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    means = np.add.reduceat(values[:, order], starts, axis=1) / counts
    described = frame.iloc[order[starts]][columns].reset_index(drop=True)
    return described.rename(columns={"rows": "rows_in_data"}).assign(rows=counts), means


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
