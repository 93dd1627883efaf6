"""Calibration of a fit: the share of events as a function of the predicted probability, and that of simulated data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import PredictionError
from ..fits.arguments import NOT_THE_POPULATION, refuse_pooled, require_unweighted
from ..result_table import ResultTable
from ..summaries.intervals import Interval
from ..validation import refuse_beyond_memory, seed_or_new, whole_number
from .fit.simulated_rows import FEWEST_REPLICATES, SimulatedRows
from .new_clusters.folds import Folds
from .new_clusters.unseen_clusters import UnseenClusters, left_out_clusters, unseen_treatments
from .recalibration import Forecasts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
#: Probabilities at which a band is computed at most: this many times the replicates are held at once.
MOST_PLACES = 20_000


def calibration(
    fit: Fit,
    *,
    clusters: str | Mapping[str, str] = "observed",
    group: Any = None,
    folds: int | None = None,
    replicates: int = 100,
    ci_prob: float | None = None,
    num_draws: int | None = None,
    seed: int | None = None,
) -> ResultTable:
    """Calibration of a fit's probabilities for its own rows: the share of events as a function of the prediction.

    The share of events is estimated by isotonic regression on the predicted probability, so that no bins have to be
    chosen, with the band in which it lies in data simulated from the fit.

    Parameters
    ----------
    fit : Fit
    clusters : {"observed", "average", "typical", "new"}, or dict of these by grouping factor
        Cluster effects of the predictions; see `predictions`.
    group : str or column of values, optional
        The clusters of this grouping factor or column are left out, and their rows predicted by fits without them: by
        the average over the population of clusters, unless `clusters` is ``"typical"``. `validate` also has the
        calibration in each cluster, and more options.
    folds : int, optional
        With `group`, into how many folds the clusters are divided; each is left out by itself if not given.
    replicates : int
        Data sets to simulate for the band, at most as many as the fit has draws.
    ci_prob : float, optional
        Pointwise probability of the band; ArviZ's default if not given.
    num_draws : int, optional
        How many posterior draws to use for the probabilities, evenly spaced; all if not given.
    seed : int, optional
        For the band, and the assignment of clusters to folds; drawn, and kept in ``table.attrs["seed"]``, if not given.

    Returns
    -------
    ResultTable
        One row for each distinct predicted probability: ``fitted``, see the notes; ``calibrated``, the share of events
        by isotonic regression; ``expected``, its mean in simulated data; the ends of the band, such as ``eti89_lb``;
        ``rows`` and ``trials``. ``table.attrs`` has ``brier``, ``miscalibration``, ``discrimination`` and
        ``uncertainty``, with ``brier = miscalibration - discrimination + uncertainty``.

    Raises
    ------
    PredictionError
        If an option is out of range, or the fit is not at a maximum from which simulated data can be fitted.
    FitError
        If there is no such grouping factor or column to leave out, or no fit without some cluster.

    See Also
    --------
    hierlogit.plots.calibration : Plot of the calibration.

    Notes
    -----
    With ``clusters="observed"`` the cluster effects are estimated from the same outcomes and shrunken towards zero, so
    that even if the model is right the highest probabilities are too low and the lowest too high. The band accounts for
    this, as in `hl.check`: outcomes are simulated in clusters with new effects, the model is fitted to them again, and
    the curve is that of the new probabilities. ``fitted`` is the probability at the maximum, for a fit by a sampler at
    the mode of the marginal posterior. Otherwise ``fitted`` is the posterior mean, or the probability at the maximum
    for likelihood fits, and outcomes are simulated in clusters with new effects. With `group`, it is by fits without
    the row's cluster, and outcomes are simulated in clusters with new effects by the fit to all rows.

    References
    ----------
    Dimitriadis, Gneiting and Jordan (2021), Proceedings of the National Academy of Sciences 118: e2016191118.

    Examples
    --------
    >>> import hierlogit as hl
    >>> fit = hl.Model("use ~ age + urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    >>> table = hl.calibration(fit, seed=1)
    >>> parts = table.attrs
    >>> round(parts["miscalibration"] - parts["discrimination"] + parts["uncertainty"] - parts["brier"], 12)
    0.0
    """
    require_unweighted(fit, "hl.calibration", NOT_THE_POPULATION)
    refuse_pooled(fit, "fit", "Calibration is of the rows")
    replicates = whole_number("replicates", replicates, PredictionError, least=FEWEST_REPLICATES)
    seed = seed_or_new(seed, PredictionError)
    interval = Interval.of(ci_prob, "eti")
    outcome = fit.model.design.outcome
    if group is None:
        if folds is not None:
            raise PredictionError("folds: name the clusters that are divided into folds, group='district'.")
        rows = SimulatedRows.of(fit, clusters, num_draws, replicates, seed)
    else:
        rows = _unseen_rows(fit, clusters, group, folds, replicates, seed)
    forecasts = Forecasts.of(rows.probability, outcome.trials)
    expected, low, high = _band(forecasts, rows, interval)
    names = interval.columns
    table = pd.DataFrame(
        {
            "fitted": forecasts.probability,
            "calibrated": forecasts.recalibrated(outcome.y),
            "expected": expected,
            names[0]: low,
            names[1]: high,
            "rows": np.bincount(forecasts.member, fit.model.design.table.row_counts).astype(np.intp),
            "trials": forecasts.trials,
        }
    )
    table.attrs.update(forecasts.decomposition(outcome.y) | {"seed": seed})
    return ResultTable.of(table, "Expected and recalibrated probabilities")


def _unseen_rows(
    fit: Fit, clusters: str | Mapping[str, str], group: Any, folds: int | None, replicates: int, seed: int
) -> SimulatedRows:
    """The rows with probabilities by fits without their clusters."""
    outcome = fit.model.design.outcome
    parts = Folds.of(left_out_clusters(fit, group), outcome.y, outcome.trials, folds=folds, seed=seed)
    treatments = unseen_treatments(fit.model, "average" if clusters == "observed" else clusters)
    unseen = UnseenClusters.of(fit, parts, treatments)
    return SimulatedRows.of_probabilities(fit, unseen.complete(parts), replicates, seed)


def _band(forecasts: Forecasts, rows: SimulatedRows, interval: Interval) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean of the curves of simulated data, and ends of the band, at each distinct probability."""
    # Of very many probabilities some, from the first to the last; between them the band is drawn as a line.
    at = np.unique(np.linspace(0, len(forecasts.probability) - 1, MOST_PLACES).round().astype(np.intp))
    places = forecasts.probability[at]
    refuse_beyond_memory("replicates", rows.replicates, len(at), PredictionError)
    curves = np.empty((rows.replicates, len(at)))
    for curve, (probability, y, _) in zip(curves, rows, strict=True):
        simulated = Forecasts.of(probability, rows.trials)
        curve[:] = np.interp(places, simulated.probability, simulated.recalibrated(y))
    low, high = interval.ends(curves)
    mean, lowest, highest = (np.interp(forecasts.probability, places, end) for end in (curves.mean(axis=0), low, high))
    return mean, lowest, highest
