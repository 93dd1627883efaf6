"""Plot of the Pareto k-hat of each unit that is left out, which shows where importance weights are unreliable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FitError
from ..validation import instance
from .style import BLUE, GREY, INK, SMALL, VERMILLION, AxesArray, describe, given_axes, house_style, new_axes, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: With more units than this, points are small and pale.
CROWD = 300
#: How many of the largest values are named.
NAMED = 5


def khat(result: Any, *, ax: Any = None) -> AxesArray:
    """Plot of the Pareto k-hat of each row or cluster left out in leave-one-out cross-validation.

    Parameters
    ----------
    result : arviz_stats.ELPDData
        From `hierlogit.loo`.
    ax : matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)
        One point for each unit, and a line at the value above which the weights are unreliable. Units without which the
        model was sampled again are at 0.

    Raises
    ------
    FitError
        If the result has no Pareto k-hat.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.khat(hl.loo(fit, group="district"))  # doctest: +SKIP
    """
    from arviz_stats.utils import ELPDData

    instance("result", result, ELPDData, FitError, "made by hl.loo", "Compute it first: hl.loo(fit).")
    with house_style():
        drawn = new_axes(1, width=6.4, height=3.2) if ax is None else given_axes(ax, 1, "k-hat of each unit")
        _draw(drawn[0], result)
    return drawn


def _draw(ax: Axes, result: Any) -> None:
    shapes = result.pareto_k
    unit, k = str(shapes.dims[0]), shapes.to_numpy()
    labels = shapes.coords[unit].to_numpy() if unit in shapes.coords else np.arange(len(k))
    beyond = k > result.good_k
    crowded = len(k) > CROWD
    ax.axhline(result.good_k, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
    ax.axhline(0, color=GREY, linewidth=0.6, zorder=0.4)
    ax.scatter(
        np.arange(len(k)),
        k,
        s=5 if crowded else 16,
        c=list(np.where(beyond, VERMILLION, BLUE)),
        alpha=0.5 if crowded else 0.9,
        linewidths=0,
    )
    # Several units without which the model was sampled again are at 0, one beside the other.
    largest = [int(number) for number in np.argsort(-k)[:NAMED] if k[number] > 0]
    for number in largest:
        ax.annotate(
            str(labels[number]),
            xy=(number, k[number]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=SMALL,
        )
    ax.set_ylabel("Pareto k-hat")
    ax.set_xlabel(f"{unit}, in the order of the model")
    ax.set_xlim(-0.02 * len(k) - 0.5, 1.02 * len(k) - 0.5)
    set_title(ax, f"{int(beyond.sum()):,} of {len(k):,} above {result.good_k:.2g}")
    largest_text = ", ".join(f"{labels[number]} {k[number]:.2f}" for number in largest)
    describe(
        ax,
        f"Pareto k-hat of {len(k):,} units left out; {int(beyond.sum()):,} exceed {result.good_k:.2g}"
        f"{f'; the largest: {largest_text}' if largest else '; none is above 0'}.",
    )
