"""Plot of a likelihood-ratio test: the statistic and its distribution under the smaller model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import FitError
from ..model_comparison.likelihood_ratio import RatioTest, chi_squared_tail, mixture_tail
from ..validation import instance
from .style import BLUE, GREY, INK, SMALL, VERMILLION, AxesArray, describe, given_axes, house_style, new_axes, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]
#: Smallest probability on the axis if nothing was simulated.
SMALLEST = 1e-4
POINTS = 400


def likelihood_ratio(result: RatioTest, *, ax: Any = None) -> AxesArray:
    """Plot of the upper tail probabilities of a likelihood-ratio statistic under the smaller model.

    Parameters
    ----------
    result : RatioTest
        From `hierlogit.likelihood_ratio`.
    ax : matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)
        On a logarithmic axis, the share of simulated studies with a larger statistic, with the bootstrap; the mixture
        of chi-squared distributions, if there is one; the naive chi-squared distribution; and the observed statistic.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.likelihood_ratio(hl.likelihood_ratio(fit0, fit1, "bootstrap"))  # doctest: +SKIP
    """
    instance("result", result, RatioTest, FitError, "a RatioTest", "Compute it first: hl.likelihood_ratio(fit0, fit1).")
    with house_style():
        drawn = new_axes(1, width=5.6, height=3.6) if ax is None else given_axes(ax, 1, "the statistic's distribution")
        _draw(drawn[0], result)
    return drawn


def _draw(ax: Axes, result: RatioTest) -> None:
    simulated = None if result.simulated is None else np.sort(result.simulated)
    lowest = SMALLEST if simulated is None else 0.5 / (len(simulated) + 1)
    most = max(1.1 * result.statistic, 1.0 if simulated is None else float(simulated[-1]))
    values = np.linspace(0, 1.02 * most, POINTS)[1:]
    probabilities = []
    if simulated is not None:
        ax.step(simulated, _share_beyond(simulated), where="post", color=INK, linewidth=1.4, label="simulated studies")
        probabilities.append(f"{np.mean(simulated >= result.statistic):.2%} of {len(simulated):,} simulated studies")
    if len(result.variances) == 1:
        mixed = [mixture_tail(value, result.parameters) for value in values]
        lower, upper = result.parameters - 1, result.parameters
        ax.plot(values, mixed, color=BLUE, linewidth=1.4, label=f"½ χ²({lower}) + ½ χ²({upper})")
        probabilities.append(f"{mixture_tail(result.statistic, upper):.2g} by the mixture of chi-squared distributions")
    naive = "naive χ²" if result.variances else "χ²"
    ax.plot(
        values,
        [chi_squared_tail(value, result.parameters) for value in values],
        color=VERMILLION,
        linewidth=1.2,
        linestyle=(0, (4, 2)),
        label=f"{naive}({result.parameters})",
    )
    ax.axvline(result.statistic, color=GREY, linewidth=1.0, linestyle=(0, (2, 2)), zorder=0.5)
    ax.annotate(
        f" {result.statistic:.2f} ",
        xy=(result.statistic, 1),
        xycoords=("data", "axes fraction"),
        ha="right" if result.statistic > most / 2 else "left",
        va="top",
        fontsize=SMALL,
        color=INK,
    )
    ax.set_yscale("log")
    ax.set_ylim(lowest, 1.05)
    ax.set_xlim(0, 1.02 * most)
    ax.set_xlabel("likelihood-ratio statistic")
    ax.set_ylabel("probability of a larger statistic\nunder the smaller model")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    set_title(ax, f"Likelihood ratio, p = {result.p_value:.2g}")
    naive_text = f"{'naive ' if result.variances else ''}chi-squared distribution"
    probabilities.append(f"{result.naive_p_value:.2g} by the {naive_text}")
    describe(
        ax,
        f"Likelihood-ratio statistic {result.statistic:.2f}; probability of one at least as large under the smaller "
        f"model: {'; '.join(probabilities)}.",
    )


def _share_beyond(ordered: FloatArray) -> FloatArray:
    """For each of the sorted numbers, the share of them that are larger."""
    return 1 - np.arange(1, len(ordered) + 1) / len(ordered)
