"""Plot of the check for over-dispersion: the variance ratio, and its distribution if counts are binomial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..diagnostics.fit.overdispersion import Overdispersion
from ..errors import FitError
from ..formatting import number, p_value
from ..validation import instance
from .style import (
    INK,
    PALE,
    SMALL,
    VERMILLION,
    AxesArray,
    describe,
    given_axes,
    house_style,
    new_axes,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def check_overdispersion(result: Overdispersion, *, ax: Any = None) -> AxesArray:
    """Plot of the variance ratio of counts and of its distribution in data simulated from the binomial model.

    Parameters
    ----------
    result : Overdispersion
        From `hierlogit.check_overdispersion`.
    ax : matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)
        A histogram of the ratios in simulated data, and a line at the observed one.

    Raises
    ------
    FitError
        If `result` is not from `hierlogit.check_overdispersion`.

    See Also
    --------
    hierlogit.check_overdispersion : Computes the values shown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.check_overdispersion(hl.check_overdispersion(fit, seed=1))  # doctest: +SKIP
    """
    remedy = "Compute it first: hl.check_overdispersion(fit)."
    instance("result", result, Overdispersion, FitError, "an Overdispersion", remedy)
    with house_style():
        drawn = new_axes(1, width=5.0, height=3.0) if ax is None else given_axes(ax, 1, "the ratio's distribution")
        _draw(drawn[0], result)
    return drawn


def _draw(ax: Axes, result: Overdispersion) -> None:
    ax.hist(result.simulated, bins="auto", color=PALE, edgecolor="white", linewidth=0.5)
    ax.axvline(result.ratio, color=VERMILLION, linewidth=1.6)
    to_left = result.ratio > np.mean(ax.get_xlim())
    ax.annotate(
        f" observed {number(result.ratio)} ",
        xy=(result.ratio, 1),
        xycoords=("data", "axes fraction"),
        ha="right" if to_left else "left",
        va="top",
        fontsize=SMALL,
        color=INK,
    )
    ax.set_xlabel("variance of the counts over the binomial variance")
    ax.set_ylabel("simulated data sets")
    set_title(ax, f"Over-dispersion, {p_value(result.p_value)}")
    low, high = np.quantile(result.simulated, [0.025, 0.975])
    describe(
        ax,
        f"The variance of the counts is {number(result.ratio)} times the binomial variance; in 95 % of "
        f"{len(result.simulated):,} simulated data sets it is {number(low)} to {number(high)} times as large "
        f"({p_value(result.p_value)}).",
    )
