"""Calibration plot: proportions of events against predicted probabilities, by isotonic regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..diagnostics.calibration import calibration as calibration_of
from ..fits.fit import Fit
from ..summaries.intervals import Interval
from .style import (
    BLUE,
    GREY,
    INK,
    PALE,
    SMALL,
    AxesArray,
    describe,
    given_axes,
    house_style,
    interval_name,
    new_axes,
    probability_label,
    proportion_label,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]
#: Number of bars of the histogram, and height of the highest as a share of the panel.
BARS, BAR_HEIGHT = 40, 0.14


def calibration(
    fit: Fit,
    *,
    clusters: str | Mapping[str, str] = "observed",
    replicates: int = 100,
    ci_prob: float | None = None,
    num_draws: int | None = None,
    seed: int | None = None,
    ax: Any = None,
) -> AxesArray:
    """Calibration plot: the proportion of events against the predicted probability, with a histogram of predictions.

    The curve is the isotonic regression of the outcomes on the probabilities, and the band is where it lies in data
    simulated from the fit. On the diagonal, events happen as often as predicted; with the estimated effects of the
    clusters, which are shrunken, the band of a right model is steeper. The bars at the bottom are a histogram of the
    trials.

    Parameters
    ----------
    fit : Fit
    clusters, replicates, ci_prob, num_draws, seed
        As for `hierlogit.calibration`.
    ax : matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)

    Raises
    ------
    PredictionError
        If an option is not allowed, or the fit is not at a maximum from which simulated data can be fitted.

    See Also
    --------
    hierlogit.calibration : Computes the values shown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.calibration(fit, seed=1)  # doctest: +SKIP
    """
    given = None if ax is None else given_axes(ax, 1, "the calibration curve")
    interval = Interval.of(ci_prob, "eti")
    table = calibration_of(
        fit, clusters=clusters, replicates=replicates, ci_prob=interval.prob, num_draws=num_draws, seed=seed
    )
    with house_style():
        drawn = new_axes(1, width=4.6, height=4.4) if given is None else given
        _draw(drawn[0], fit, table, interval)
    return drawn


def _draw(ax: Axes, fit: Fit, table: pd.DataFrame, interval: Interval) -> None:
    fitted, calibrated = table["fitted"].to_numpy(), table["calibrated"].to_numpy()
    low, high = (table[name].to_numpy() for name in interval.columns)
    outside = (calibrated < low) | (calibrated > high)
    share = float(table["trials"][outside].sum() / table["trials"].sum())
    band = interval_name(interval.prob, interval.kind)
    trial_bars(ax, fitted, table["trials"].to_numpy())
    ax.fill_between(fitted, low, high, color=BLUE, alpha=0.2, linewidth=0, zorder=1, label=f"{band} of simulated data")
    ax.plot(fitted, calibrated, color=BLUE, linewidth=1.6, zorder=2, label="isotonic regression of outcomes")
    if len(fitted) <= BARS:
        ax.scatter(fitted, calibrated, s=12, color=BLUE, linewidths=0, zorder=3)
    reliability_panel(ax, probability_label(fit), proportion_label(fit))
    ax.legend(loc="upper left", handlelength=1.4)
    parts = table.attrs
    title = (
        f"Brier score {parts['brier']:.3f} = miscalibration {parts['miscalibration']:.4f}\n"
        f"− discrimination {parts['discrimination']:.3f} + uncertainty {parts['uncertainty']:.3f}"
    )
    set_title(ax, title, fontsize=SMALL + 1)
    describe(
        ax,
        f"Share of events against predicted probability, by isotonic regression: from {calibrated[0]:.2f} where "
        f"{fitted[0]:.2f} was predicted to {calibrated[-1]:.2f} where {fitted[-1]:.2f} was; "
        f"{share:.0%} of the trials lie outside the {band}. Brier score {parts['brier']:.3f}, of which "
        f"miscalibration {parts['miscalibration']:.4f}.",
    )


def trial_bars(ax: Axes, probability: FloatArray, trials: FloatArray) -> None:
    """A histogram of the trials by predicted probability at the bottom of the panel."""
    counts, edges = np.histogram(probability, bins=BARS, range=(0, 1), weights=trials)
    ax.bar(edges[:-1], BAR_HEIGHT * counts / counts.max(), width=1 / BARS, align="edge", color=PALE, zorder=0.3)
    ax.annotate(
        f"bars: trials, at most {counts.max():,.0f}",
        xy=(0.98, BAR_HEIGHT + 0.02),
        xycoords="axes fraction",
        ha="right",
        fontsize=SMALL,
        color=GREY,
    )


def reliability_panel(ax: Axes, predicted: str, observed: str) -> None:
    """The square of predicted and observed probabilities, with its diagonal and the labels of its axes."""
    ax.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1.5)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_aspect("equal")
    ax.set_xlabel(predicted)
    ax.set_ylabel(observed)
