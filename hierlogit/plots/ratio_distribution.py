"""A likelihood-ratio test: the statistic beside its distribution under the smaller model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..model_comparison.likelihood_ratio import RatioTest, chi_squared_tail, mixture_tail
from .style import BLUE, GREY, INK, SMALL, VERMILLION, AxesArray, describe, given_axes, house_style, new_axes, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]
#: Probabilities below this are not drawn where nothing was simulated.
SMALLEST = 1e-4
POINTS = 400


def likelihood_ratio(found: RatioTest, *, ax: Any = None) -> AxesArray:
    """Draw how often the statistic exceeds each value if the smaller model is true.

    Parameters
    ----------
    found : RatioTest
        What `hierlogit.likelihood_ratio` returned.
    ax : matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)
        On a logarithmic scale, the share of simulated studies with a larger statistic, of a bootstrap; the mixture of
        chi-squared distributions where one is known; the naive chi-squared distribution; and the observed statistic.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.likelihood_ratio(hl.likelihood_ratio(fit0, fit1, "bootstrap"))  # doctest: +SKIP
    """
    with house_style():
        drawn = new_axes(1, width=5.6, height=3.6) if ax is None else given_axes(ax, 1, "the statistic's distribution")
        _draw(drawn[0], found)
    return drawn


def _draw(ax: Axes, found: RatioTest) -> None:
    simulated = None if found.simulated is None else np.sort(found.simulated)
    lowest = SMALLEST if simulated is None else 0.5 / (len(simulated) + 1)
    most = max(1.1 * found.statistic, 1.0 if simulated is None else float(simulated[-1]))
    at = np.linspace(0, 1.02 * most, POINTS)[1:]
    told = []
    if simulated is not None:
        ax.step(simulated, _share_beyond(simulated), where="post", color=INK, linewidth=1.4, label="simulated studies")
        told.append(f"of {len(simulated):,} simulated studies {np.mean(simulated >= found.statistic):.2%} exceed it")
    if len(found.variances) == 1:
        mixed = [mixture_tail(value, found.parameters) for value in at]
        lower, upper = found.parameters - 1, found.parameters
        ax.plot(at, mixed, color=BLUE, linewidth=1.4, label=f"½ χ²({lower}) + ½ χ²({upper})")
        told.append(f"the mixture of chi-squared distributions gives {mixture_tail(found.statistic, upper):.2g}")
    naive = "naive χ²" if found.variances else "χ²"
    ax.plot(
        at,
        [chi_squared_tail(value, found.parameters) for value in at],
        color=VERMILLION,
        linewidth=1.2,
        linestyle=(0, (4, 2)),
        label=f"{naive}({found.parameters})",
    )
    ax.axvline(found.statistic, color=GREY, linewidth=1.0, linestyle=(0, (2, 2)), zorder=0.5)
    ax.annotate(
        f" {found.statistic:.2f} ",
        xy=(found.statistic, 1),
        xycoords=("data", "axes fraction"),
        ha="right" if found.statistic > most / 2 else "left",
        va="top",
        fontsize=SMALL,
        color=INK,
    )
    ax.set_yscale("log")
    ax.set_ylim(lowest, 1.05)
    ax.set_xlim(0, 1.02 * most)
    ax.set_xlabel("twice the difference of the log-likelihoods")
    ax.set_ylabel("probability of more, without the effect")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    set_title(ax, f"Likelihood ratio, p = {found.p_value:.2g}")
    told.append(f"the {'naive ' if found.variances else ''}chi-squared distribution {found.naive_p_value:.2g}")
    describe(ax, f"Likelihood-ratio statistic {found.statistic:.2f} under the smaller model: {'; '.join(told)}.")


def _share_beyond(ordered: FloatArray) -> FloatArray:
    """Share of sorted numbers that are larger than each."""
    return 1 - np.arange(1, len(ordered) + 1) / len(ordered)
