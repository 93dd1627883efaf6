"""Predicted probabilities + outcomes → calibration, by isotonic regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..binomial import simulated_successes
from ..effects.query import PredictionQuery
from ..errors import PredictionError
from ..fits.arguments import require_fit
from ..result_table import ResultTable
from ..summaries.intervals import Interval
from ..validation import refuse_beyond_memory, seed_or_none, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: With fewer replicates than this the ends of a band are mostly luck.
FEWEST_REPLICATES = 20
#: Probabilities at which a band is computed at most: this many times the replicates are held at once.
MOST_PLACES = 20_000


@dataclass(frozen=True)
class Forecasts:
    """Rows grouped by their predicted probability, in increasing order.

    Attributes
    ----------
    probability : ndarray, shape (k,)
        Distinct predicted probabilities.
    trials : ndarray, shape (k,)
        Number of trials with each probability.
    member : ndarray of int, shape (n,)
        Position of the probability of each row.
    """

    probability: FloatArray
    trials: FloatArray
    member: IntArray

    @classmethod
    def of(cls, probability: FloatArray, trials: FloatArray) -> Forecasts:
        """Group rows, shape (n,)."""
        distinct, member = np.unique(probability, return_inverse=True)
        return cls(distinct, np.bincount(member, weights=trials, minlength=len(distinct)), member)

    def recalibrated(self, y: FloatArray) -> FloatArray:
        """Isotonic regression of the outcomes on the predicted probabilities, shape (k,)."""
        from scipy.optimize import isotonic_regression

        events = np.bincount(self.member, weights=y, minlength=len(self.probability))
        regression: FloatArray = isotonic_regression(events / self.trials, weights=self.trials).x
        return regression

    def decomposition(self, y: FloatArray) -> dict[str, float]:
        """The Brier score and its parts: ``brier = miscalibration - discrimination + uncertainty``.

        Miscalibration is by how much recalibration lowers the score, discrimination by how much the recalibrated
        probabilities lower it compared with a single probability, and uncertainty the score of that probability.
        """
        total = self.trials.sum()
        rate = np.bincount(self.member, weights=y, minlength=len(self.probability)) / self.trials
        better, mean = self.recalibrated(y), float(y.sum() / total)

        def score(p: FloatArray | float) -> float:
            return float((self.trials * (rate * (1 - p) ** 2 + (1 - rate) * p**2)).sum() / total)

        as_is, recalibrated, constant = score(self.probability), score(better), score(mean)
        return {
            "brier": as_is,
            "miscalibration": as_is - recalibrated,
            "discrimination": constant - recalibrated,
            "uncertainty": constant,
        }


def calibration(
    fit: Fit,
    *,
    clusters: str | Mapping[str, str] = "observed",
    replicates: int = 500,
    ci_prob: float | None = None,
    num_draws: int | None = None,
    seed: int | None = None,
) -> ResultTable:
    """Calibration of a fit's probabilities for its own rows: the share of events as a function of the prediction.

    The share of events is estimated by isotonic regression on the predicted probability, so that no bins have to be
    chosen, with the band in which it would lie if the probabilities were right.

    Parameters
    ----------
    fit : Fit
    clusters : {"observed", "average", "typical", "new"}, or dict of these by grouping factor
        Cluster effects of the predictions; see `predictions`.
    replicates : int
        Data sets to draw from the predicted probabilities, for the band.
    ci_prob : float, optional
        Pointwise probability of the band; ArviZ's default if not given.
    num_draws : int, optional
        How many posterior draws to use, evenly spaced; all if not given.
    seed : int, optional
        Repeats the band exactly.

    Returns
    -------
    ResultTable
        One row for each distinct predicted probability: ``fitted``, the posterior mean, or the probability at the
        maximum for likelihood fits; ``calibrated``, the share of events by isotonic regression; the ends of the band
        around ``fitted``, such as ``eti89_lb``; ``rows`` and ``trials``. ``table.attrs`` has ``brier``,
        ``miscalibration``, ``discrimination`` and ``uncertainty``, with
        ``brier = miscalibration - discrimination + uncertainty``.

    Raises
    ------
    PredictionError
        If an option is out of range.

    See Also
    --------
    hierlogit.plots.calibration : Plot of the calibration.

    Notes
    -----
    With ``clusters="observed"`` the cluster effects are estimated from the same outcomes and shrunken towards zero, so
    that the highest probabilities are a little too low and the lowest a little too high by construction. `hl.check`
    takes this into account, by refitting simulated data; the band here does not.

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
    require_fit(fit)
    replicates = whole_number("replicates", replicates, PredictionError, least=FEWEST_REPLICATES)
    seed = seed_or_none("seed", seed, PredictionError)
    interval = Interval.of(ci_prob, "eti")
    outcome = fit.model.design.outcome
    forecasts = Forecasts.of(fitted_probability(fit, clusters, num_draws, seed), outcome.trials)
    low, high = _band(forecasts, outcome.trials, interval, replicates, seed)
    names = interval.columns
    table = pd.DataFrame(
        {
            "fitted": forecasts.probability,
            "calibrated": forecasts.recalibrated(outcome.y),
            names[0]: low,
            names[1]: high,
            "rows": np.bincount(forecasts.member),
            "trials": forecasts.trials,
        }
    )
    table.attrs.update(forecasts.decomposition(outcome.y))
    return ResultTable.of(table, "Expected and recalibrated probabilities")


def _band(
    forecasts: Forecasts, trials: FloatArray, interval: Interval, replicates: int, seed: int | None
) -> tuple[FloatArray, FloatArray]:
    """Ends of the band at each distinct probability, by outcomes drawn from the probabilities."""
    random = np.random.default_rng(seed)
    probability = forecasts.probability[forecasts.member]
    # Of very many probabilities some, from the first to the last; between them the band is drawn as a line.
    at = np.unique(np.linspace(0, len(forecasts.probability) - 1, MOST_PLACES).round().astype(np.intp))
    refuse_beyond_memory("replicates", replicates, len(at), PredictionError)
    curves = np.empty((replicates, len(at)))
    for curve in curves:
        curve[:] = forecasts.recalibrated(simulated_successes(probability, trials, random))[at]
    low, high = (np.interp(forecasts.probability, forecasts.probability[at], end) for end in interval.ends(curves))
    return low, high


def fitted_probability(
    fit: Fit, clusters: str | Mapping[str, str], num_draws: int | None = None, seed: int | None = None
) -> FloatArray:
    """Probability of the event in each training row: its posterior mean, of a likelihood fit that at the maximum."""
    query = PredictionQuery.for_predictions(fit, clusters=clusters, num_draws=num_draws, seed=seed)
    rows = query.rows
    if query.point is not None and not query.treatment.is_random(rows):
        at_maximum: FloatArray = query.treatment.predict(query.point, rows)[0]
        return at_maximum
    total: FloatArray = np.zeros(len(rows))
    for part, draws in query.draws.chunks(len(rows)):
        total += query.treatment.of_part(part).predict(draws, rows).sum(axis=0)
    return total / len(query.draws)
