"""Plot of residuals: averages over bins of rows, and a Q-Q plot of quantile residuals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..diagnostics.fit.simulated_rows import SimulatedRows
from ..diagnostics.fit.simultaneous_band import normal_scores, normal_simultaneous_band, simultaneous_band
from ..diagnostics.residuals import Bins, binned_residuals, quantile_residuals, rows_to_bin
from ..diagnostics.residuals import residuals as residuals_of
from ..errors import PredictionError
from ..fits.fit import Fit
from ..result_table import ResultTable
from ..validation import seed_or_new
from .style import (
    BLUE,
    GREY,
    INK,
    PALE,
    SMALL,
    VERMILLION,
    AxesArray,
    describe,
    given_axes,
    house_style,
    names_of,
    new_axes,
    probability_label,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]
#: With more levels than this, they are not named.
MOST_LEVELS = 12
#: Probability that all quantile residuals lie inside the band.
BAND = 0.95
#: Largest number of points in a Q-Q plot, and how many of them are kept at each end.
MOST_POINTS, ENDS = 2000, 200
#: With more points than this, they are small.
CROWD = 200


def residuals(
    fit: Fit,
    by: str | None = None,
    *,
    clusters: str | Mapping[str, str] = "observed",
    bins: int | None = None,
    replicates: int = 100,
    num_draws: int | None = None,
    seed: int | None = None,
    axes: Any = None,
) -> AxesArray:
    """Plot of binned residuals with their bounds, and normal Q-Q plot of quantile residuals.

    Parameters
    ----------
    fit : Fit
    by : str, optional
        A column of the rows to bin by; the fitted probability if not given.
    clusters, bins, replicates, num_draws, seed
        As for `hierlogit.residuals`.
    axes : array of two matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2,)
        The first panel shows the average residual of each bin, with the bounds of two standard deviations between which
        it lies in data simulated from the fit; those outside are vermillion, about 5% if the model is right. The second
        shows the quantile residuals with a simultaneous band: if the model is right, all of them lie inside with a
        probability of 95%. With the effects of the rows' own clusters, the band is that of data simulated from the fit,
        to which the model is fitted again; otherwise that of independent normal numbers, and residuals of rows of the
        same cluster are not independent.

    Raises
    ------
    PredictionError
        If an option is not allowed.

    See Also
    --------
    hierlogit.residuals : Computes the values shown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.residuals(fit, by="age", seed=1)  # doctest: +SKIP
    """
    given = None if axes is None else given_axes(axes, 2, "binned and quantile residuals")
    seed = seed_or_new(seed, PredictionError)
    rows, bins_wanted = rows_to_bin(fit, clusters, by, bins, replicates, num_draws, seed)
    if rows.reference is None:
        binned = binned_residuals(rows, rows, bins_wanted)
        quantile = _among_normal_numbers(residuals_of(fit, clusters=clusters, num_draws=num_draws, seed=seed))
    else:
        binned, quantile = _among_refits(rows, bins_wanted)
    with house_style():
        drawn = new_axes(2, width=8.2, height=3.6, width_ratios=(5, 4)) if given is None else given
        _binned(drawn[0], fit, binned, by)
        _quantiles(drawn[1], quantile)
    return drawn


def _binned(ax: Axes, fit: Fit, table: pd.DataFrame, by: str | None) -> None:
    values, residual = table.iloc[:, 0], table["residual"].to_numpy()
    low, high = table["bound_lb"].to_numpy(), table["bound_ub"].to_numpy()
    outside = table["outside"].to_numpy()
    colours = list(np.where(outside, VERMILLION, BLUE))
    ax.axhline(0, color=INK, linewidth=0.8, zorder=0.8)
    if "lower" in table:
        places = values.to_numpy(dtype=np.float64)
        ax.fill_between(places, low, high, step="mid", color=PALE, linewidth=0, zorder=0.5)
    else:
        places = np.arange(len(table), dtype=np.float64)
        ax.bar(places, high - low, bottom=low, width=0.6, color=PALE, zorder=0.5)
        _name_levels(ax, names_of(values))
    ax.scatter(places, residual, s=9 if len(table) > CROWD else 16, c=colours, linewidths=0, zorder=3)
    reach = 1.1 * float(np.max(np.abs([residual, low, high])))
    ax.set_ylim(-reach, reach)
    variable = "fitted probability" if by is None else by
    ax.set_xlabel(probability_label(fit).replace("Probability", "Fitted probability") if by is None else by)
    ax.set_ylabel("Average residual")
    kind = "bins" if "lower" in table else "levels"
    set_title(
        ax, f"{int(outside.sum()):,} of {len(table):,} {kind} outside two sds of simulated data", fontsize=SMALL + 1
    )
    outside_text = ", ".join(
        f"{_value_text(value)} ({part:+.3f})" for value, part in zip(values[outside], residual[outside], strict=True)
    )
    describe(
        ax,
        f"Average residuals in {len(table):,} {kind} of {variable}: {int(outside.sum()):,} lie outside two "
        f"standard deviations of simulated data{f', at {outside_text}' if 0 < outside.sum() <= MOST_LEVELS else ''}.",
    )


def _value_text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _name_levels(ax: Axes, names: list[str]) -> None:
    if len(names) > MOST_LEVELS:
        ax.set_xticks([])
        return
    long = max(len(name) for name in names) > 8
    ax.set_xticks(np.arange(len(names)), names, rotation=90 if long else 0)
    ax.tick_params(axis="x", length=0)


@dataclass(frozen=True)
class _Quantiles:
    """Ordered quantile residuals with their band.

    Attributes
    ----------
    residual : ndarray, shape (n,)
    shown : ndarray of int, shape (k,)
        Ranks of the residuals that are drawn.
    low, high : ndarray, shape (k,)
        Ends of a simultaneous band.
    band : str
        What the band contains, in words.
    """

    residual: FloatArray
    shown: npt.NDArray[np.intp]
    low: FloatArray
    high: FloatArray
    band: str


def _among_normal_numbers(table: pd.DataFrame) -> _Quantiles:
    """Quantile residuals compared with independent normal numbers."""
    shown = _thinned(len(table))
    low, high = normal_simultaneous_band(len(table), shown, BAND)
    return _Quantiles(table["residual"].to_numpy(), shown, low, high, "normal samples")


def _among_refits(rows: SimulatedRows, bins: Bins) -> tuple[ResultTable, _Quantiles]:
    """Binned and quantile residuals compared with those of simulated data sets, to each of which is fitted once."""
    outcome = rows.fit.model.design.outcome
    shown, simulated = _thinned(len(outcome.y)), []
    random = np.random.default_rng([rows.seed, 3])  # another stream than that of the outcomes
    observed = quantile_residuals(outcome.y, outcome.trials, rows.probability, rows.phi, random)

    def data_sets() -> Iterator[tuple[FloatArray, FloatArray, float | None]]:
        for p, y, phi in rows:
            simulated.append(np.sort(quantile_residuals(y, outcome.trials, p, phi, random))[shown])
            yield p, y, phi

    table = binned_residuals(rows, data_sets(), bins)
    low, high = simultaneous_band(np.array(simulated), BAND)
    return table, _Quantiles(observed, shown, low, high, "simulated data sets")


def _quantiles(ax: Axes, quantiles: _Quantiles) -> None:
    residual, low, high = quantiles.residual, quantiles.low, quantiles.high
    count = len(residual)
    ordered, normal = np.sort(residual)[quantiles.shown], normal_scores(count)[quantiles.shown]
    outside = (ordered < low) | (ordered > high)
    ax.fill_between(normal, low, high, color=PALE, linewidth=0, zorder=0.5)
    ax.plot(normal[[0, -1]], normal[[0, -1]], color=INK, linewidth=0.8, zorder=1)
    colours = list(np.where(outside, VERMILLION, BLUE))
    ax.scatter(normal, ordered, s=4 if count > CROWD else 12, c=colours, linewidths=0, zorder=3)
    ax.margins(0.04)
    ax.set_xlabel("Normal quantile")
    ax.set_ylabel("Quantile residual")
    spread = float(residual.std(ddof=1))
    set_title(ax, f"{count:,} rows, mean {residual.mean():+.2f}, sd {spread:.2f}", fontsize=SMALL + 1)
    ax.annotate(
        f"band: contains {BAND:.0%} of {quantiles.band}",
        xy=(0.03, 0.97),
        xycoords="axes fraction",
        va="top",
        fontsize=SMALL,
        color=GREY,
    )
    describe(
        ax,
        f"Normal Q-Q plot of {count:,} quantile residuals, with mean {residual.mean():+.2f} and sd {spread:.2f}; "
        f"{outside.mean():.0%} of them lie outside the band that contains {BAND:.0%} of {quantiles.band}.",
    )


def _thinned(count: int) -> npt.NDArray[np.intp]:
    """Positions of the ordered points that are drawn: all, or both ends and some in between."""
    if count <= MOST_POINTS:
        return np.arange(count)
    between = np.linspace(ENDS, count - ENDS - 1, MOST_POINTS - 2 * ENDS).round().astype(np.intp)
    return np.concatenate([np.arange(ENDS), between, np.arange(count - ENDS, count)])
