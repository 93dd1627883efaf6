"""Predictions of a fit for its own rows and new ones, per posterior draw and then summarised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..density.linear_predictor import Draws
from ..errors import PredictionError
from ..summaries.intervals import DrawTable, Interval
from ..validation import choice
from .cluster_effects import ClusterTreatment
from .query import Evaluated, Evaluator

if TYPE_CHECKING:
    from ..fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
KINDS = ("probability", "linear", "outcome")


def predictions(
    fit: Fit,
    newdata: Any = None,
    *,
    clusters: str | Mapping[str, str] = "observed",
    kind: str = "probability",
    by: str | Sequence[str] | bool | None = None,
    weights: str | Sequence[float] | None = None,
    given: Any = None,
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
    clusters : {"observed", "new", "average", "typical"}, or dict of these by grouping factor
        Which cluster effects count. ``"observed"``: those of the row's own clusters. ``"new"``: effects of clusters not
        seen before, drawn from their distribution; rows with the same label share a draw, different labels get
        independent ones. ``"average"``: the probability averaged over all clusters there might be, by quadrature.
        ``"typical"``: none, a cluster with effects of 0. A dict says it for each factor, ``{"id": "average"}`` with
        ``"observed"`` where it is silent: known items, averaged over persons.
    kind : {"probability", "linear", "outcome"}
        The event's probability, its logit, or simulated successes in the row's trials.
    by : str, list of str, or True, optional
        Columns whose groups of rows are averaged over, within each draw; True averages over all rows.
    weights : str or sequence of float, optional
        With `by`: a column of the rows, or one number for each; by default all rows count alike, whatever their trials.
    given : table, optional
        Rows of clusters not seen in training whose outcomes are known by now. These clusters' effects are drawn given
        these outcomes, one draw for each posterior draw, and count in `newdata` as those of known clusters do.
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
        ``rows``, how many each stands for. Of a likelihood engine also ``estimate``, at the maximum and the modes of
        the effects, unless effects or outcomes are drawn at random. ``.draws`` has the draws, dims (chain, draw, row).

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
    choice("kind", kind, KINDS, PredictionError)
    asked = Evaluator.of(
        fit,
        newdata,
        clusters=clusters,
        scale="linear" if kind == "linear" else "probability",
        by=by,
        weights=weights,
        given=given,
        allow_new_levels=allow_new_levels,
        draws=draws,
        seed=seed,
    )
    return _evaluated(asked, kind, newdata).table(asked.described, interval)


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


def _evaluated(asked: Evaluator, kind: str, newdata: Any) -> Evaluated:
    """Predictions of the rows, or their averages over groups of rows."""
    rows = asked.rows()
    if kind != "outcome":
        return asked.evaluate(lambda own, draws: asked.average(own.predict(draws, rows)), 1, rows, "Predicting")
    if "average" in asked.setting.treatment.values():
        raise PredictionError(
            "kind='outcome' with clusters='average' has no meaning: an outcome is that of a row in a cluster. Choose "
            "clusters='new' for rows of clusters not seen before."
        )
    design = asked.setting.model.design
    trials = design.outcome.trials if newdata is None else design.encode_trials(newdata)

    def simulated(own: ClusterTreatment, draws: Draws) -> FloatArray:
        return asked.average(own.simulate(draws, rows, trials))

    return replace(asked, point=None).evaluate(simulated, 1, rows, "Simulating")


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
    asked = Evaluator.of(
        fit,
        newdata,
        clusters="observed",
        scale="probability",
        by=None,
        weights=None,
        given=None,
        allow_new_levels=allow_new_levels,
        draws=draws,
        seed=seed,
    )
    outcomes = _evaluated(asked, "outcome", newdata).draws
    simulated = xr.DataArray(
        outcomes.astype(np.int64).reshape(*asked.chain_shape, -1),
        dims=("chain", "draw", "obs"),
        coords={"obs": fit.model.coords["obs"] if newdata is None else np.arange(len(asked.frame))},
    )
    groups = {"posterior_predictive": xr.Dataset({fit.model.outcome_name: simulated})}
    if newdata is None:
        groups |= {name: fit.data[name].to_dataset() for name in ("observed_data", "constant_data")}
    return xr.DataTree.from_dict(groups)
