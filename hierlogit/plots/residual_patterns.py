"""Plot of residuals: averages over bins of rows, and a Q-Q plot of quantile residuals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..diagnostics.fit.simultaneous_band import normal_scores, normal_simultaneous_band
from ..diagnostics.residuals import residuals as residuals_of
from ..fits.fit import Fit
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
    clusters, bins, num_draws, seed
        As for `hierlogit.residuals`.
    axes : array of two matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2,)
        The first panel shows the average residual of each bin with bounds of two standard errors; those outside are
        vermillion, about 5% if the model is right. The second shows the quantile residuals with a simultaneous band. If
        the model is right and the residuals are independent, all of them lie inside with a probability of 95%.

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
    options: dict[str, Any] = {"clusters": clusters, "num_draws": num_draws, "seed": seed}
    binned = residuals_of(fit, "binned", by=by, bins=bins, **options)
    quantile = residuals_of(fit, "quantile", **options)
    with house_style():
        if axes is None:
            drawn = new_axes(2, width=8.2, height=3.6, width_ratios=(5, 4))
        else:
            drawn = given_axes(axes, 2, "binned and quantile residuals")
        _binned(drawn[0], fit, binned, by)
        _quantiles(drawn[1], quantile["residual"].to_numpy())
    return drawn


def _binned(ax: Axes, fit: Fit, table: pd.DataFrame, by: str | None) -> None:
    values, residual, bound = table.iloc[:, 0], table["residual"].to_numpy(), table["bound_ub"].to_numpy()
    outside = table["outside"].to_numpy()
    colours = list(np.where(outside, VERMILLION, BLUE))
    ax.axhline(0, color=INK, linewidth=0.8, zorder=0.8)
    if "lower" in table:
        places = values.to_numpy(dtype=np.float64)
        ax.fill_between(places, -bound, bound, step="mid", color=PALE, linewidth=0, zorder=0.5)
    else:
        places = np.arange(len(table), dtype=np.float64)
        ax.bar(places, 2 * bound, bottom=-bound, width=0.6, color=PALE, zorder=0.5)
        _name_levels(ax, names_of(values))
    ax.scatter(places, residual, s=9 if len(table) > CROWD else 16, c=colours, linewidths=0, zorder=3)
    reach = 1.1 * float(np.max([np.abs(residual), bound]))
    ax.set_ylim(-reach, reach)
    variable = "fitted probability" if by is None else by
    ax.set_xlabel(probability_label(fit).replace("Probability", "Fitted probability") if by is None else by)
    ax.set_ylabel("Average residual")
    kind = "bins" if "lower" in table else "levels"
    set_title(ax, f"{int(outside.sum()):,} of {len(table):,} {kind} outside two standard errors", fontsize=SMALL + 1)
    outside_text = ", ".join(
        f"{_value_text(value)} ({part:+.3f})" for value, part in zip(values[outside], residual[outside], strict=True)
    )
    describe(
        ax,
        f"Average residuals in {len(table):,} {kind} of {variable}: {int(outside.sum()):,} lie outside two standard "
        f"errors{f', at {outside_text}' if 0 < outside.sum() <= MOST_LEVELS else ''}.",
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


def _quantiles(ax: Axes, residual: FloatArray) -> None:
    count = len(residual)
    ordered, normal = np.sort(residual), normal_scores(count)
    shown = _thinned(count)
    ordered, normal = ordered[shown], normal[shown]
    low, high = normal_simultaneous_band(count, shown, BAND)
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
        f"band: contains {BAND:.0%} of normal samples",
        xy=(0.03, 0.97),
        xycoords="axes fraction",
        va="top",
        fontsize=SMALL,
        color=GREY,
    )
    describe(
        ax,
        f"Normal Q-Q plot of {count:,} quantile residuals, with mean {residual.mean():+.2f} and sd {spread:.2f}; "
        f"{outside.mean():.0%} of them lie outside the band that contains {BAND:.0%} of normal samples.",
    )


def _thinned(count: int) -> npt.NDArray[np.intp]:
    """Positions of the ordered points that are drawn: all, or both ends and some in between."""
    if count <= MOST_POINTS:
        return np.arange(count)
    between = np.linspace(ENDS, count - ENDS - 1, MOST_POINTS - 2 * ENDS).round().astype(np.intp)
    return np.concatenate([np.arange(ENDS), between, np.arange(count - ENDS, count)])
