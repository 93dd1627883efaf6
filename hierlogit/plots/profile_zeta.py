"""Zeta plot: the signed root of the likelihood-ratio statistic along each parameter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import FitError
from ..student_t import t_quantile
from ..validation import instance
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
    names_of,
    new_axes,
    set_title,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]

#: Probabilities of the intervals that are drawn, as in lme4.
INTERVALS = (0.5, 0.8, 0.9, 0.95, 0.99)
#: Panels in a row, their size in inches, and the number of characters of a title.
COLUMNS, WIDTH, HEIGHT, TITLE = 4, 2.3, 2.2, 28
#: Characters of a line below the panels for each panel above it.
LETTERS = 46
MOST_PANELS = 100
#: What the lines are, below all panels.
LEGEND = (
    "Vertical lines: ends of the 50, 80, 90, 95 and 99% profile intervals. Dashed: the curve if Wald's intervals were "
    "right."
)


def profile(table: pd.DataFrame, *, axes: Any = None) -> AxesArray:
    """Zeta plot of profiles, one panel for each parameter.

    A straight line means that Wald's interval is as good as the profile's; the dashed line, with the slope of the
    profile at the estimate, shows where it bends.

    Parameters
    ----------
    table : ResultTable
        From `hierlogit.profile`, with at most 100 parameters.
    axes : array of matplotlib Axes, one for each parameter, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (parameters,)
        Zeta, the signed square root of the likelihood-ratio statistic, against the parameter. Vertical lines from zero
        to the curve stand at the ends of the 50, 80, 90, 95 and 99% profile intervals, as far as the table reaches.

    Raises
    ------
    FitError
        If the table is not from `hierlogit.profile`.

    References
    ----------
    Bates, Maechler, Bolker and Walker (2015), Journal of Statistical Software 67 (1), section 5.1.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.profile(hl.profile(fit))  # doctest: +SKIP
    """
    remedy = "Compute it first: hl.profile(fit)."
    instance("table", table, pd.DataFrame, FitError, "a table made by hl.profile", remedy)
    if "estimates" not in table.attrs or not {"value", "zeta"} <= set(table.columns):
        raise FitError(f"table is not made by hl.profile. {remedy}")
    parameters = list(dict.fromkeys(table.index))
    if len(parameters) > MOST_PANELS:
        raise FitError(
            f"table has {len(parameters):,} parameters, and at most {MOST_PANELS} are drawn: name those to draw, "
            "hl.profile(fit, ['x', ...])."
        )
    with house_style():
        drawn = _panels(len(parameters)) if axes is None else given_axes(axes, len(parameters), "one a parameter")
        for ax, name in zip(drawn, parameters, strict=True):
            of_one = table.loc[[name]]
            _draw(ax, name, of_one["value"].to_numpy(), of_one["zeta"].to_numpy(), table.attrs["estimates"][name])
    return drawn


def _panels(count: int) -> AxesArray:
    """The axes of a new figure, in rows of `COLUMNS` panels."""
    columns = min(count, COLUMNS)
    width, height = WIDTH * columns + 0.4, HEIGHT * math.ceil(count / columns) + 0.3
    drawn = new_axes(count, columns=columns, width=width, height=height)
    drawn[0].figure.supylabel("zeta", fontsize=9)
    drawn[0].figure.supxlabel(wrapped(LEGEND, LETTERS * columns), fontsize=SMALL, color=GREY)
    return drawn


def _draw(ax: Axes, name: str, values: FloatArray, zeta: FloatArray, estimate: float) -> None:
    from scipy.interpolate import PchipInterpolator

    known = np.isfinite(zeta)
    values, zeta = values[known], zeta[known]
    curve = PchipInterpolator(values, zeta)
    fine = np.linspace(values[0], values[-1], 200)
    ax.axhline(0.0, color=PALE, linewidth=0.8, zorder=0.5)
    slope = float(curve.derivative()(estimate))
    ax.plot(fine, slope * (fine - estimate), color=GREY, linewidth=0.9, linestyle=(0, (4, 2)))
    ax.plot(fine, curve(fine), color=BLUE, linewidth=1.5)
    reach = 1.1 * max(float(np.abs(zeta).max()), 1.0)
    ax.set_ylim(-reach, reach)
    texts = []
    for prob in INTERVALS:
        quantile = float(t_quantile(np.inf, prob))
        ends = [_crossing(values, zeta, sign * quantile) for sign in (-1, 1)]
        for end, sign in zip(ends, (-1, 1), strict=True):
            if end is not None:
                ax.plot([end, end], [0.0, sign * quantile], color=INK, linewidth=0.7, zorder=0.7)
        if prob == 0.95:
            low, high = ("open" if end is None else f"{end:.3g}" for end in ends)
            texts.append(f"95% interval from {low} to {high}")
    ax.plot([estimate], [0.0], marker="o", markersize=3.5, color=INK)
    ax.tick_params(labelsize=SMALL)
    ax.locator_params(axis="x", nbins=5)
    title = wrapped(names_of([name])[0], TITLE)
    set_title(ax, title, fontsize=SMALL + 1)
    describe(ax, f"Profile of {name}: estimate {estimate:.3g}; {'; '.join(texts)}.")


def _crossing(values: FloatArray, zeta: FloatArray, goal: float) -> float | None:
    """Where a monotone curve reaches a height; None if it does not."""
    from scipy.interpolate import PchipInterpolator

    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(zeta)) > 0])
    values, zeta = values[rising], zeta[rising]
    if len(zeta) < 2 or not zeta[0] - 1e-3 <= goal <= zeta[-1] + 1e-3:
        return None
    return float(PchipInterpolator(zeta, values)(np.clip(goal, zeta[0], zeta[-1])))
