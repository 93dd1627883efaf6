"""Plot of Bayes factors against the scales of the priors of the parameters in which the models differ."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import FitError
from ..fits.psis import khat_threshold
from ..model_comparison.bayes_factors import BayesFactors
from ..validation import instance
from .style import BLUE, GREY, INK, PALE, VERMILLION, AxesArray, describe, given_axes, house_style, new_axes, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours of the models, over and over if there are more.
COLOURS = (BLUE, VERMILLION, "#009E73", "#CC79A7", "#E69F00", INK)
#: Bayes factors between which neither model is favoured much (Kass and Raftery 1995).
WEAK = (1 / 3, 3.0)
#: The least range of Bayes factors that the axis covers.
LEAST_RANGE = (0.1, 10.0)
#: Logarithm of the largest Bayes factor that is drawn where it is: a logarithmic axis of larger ones ends in numbers
#: that floats do not have.
LARGEST = 100 * math.log(10)


def bayes_factor(result: BayesFactors, *, ax: Any = None) -> AxesArray:
    """Plot of Bayes factors against the scales of the priors of the parameters in which the models differ.

    Parameters
    ----------
    result : BayesFactors
        From `hierlogit.bayes_factor`.
    ax : matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)
        On logarithmic axes, the Bayes factor of each model relative to the reference, plus and minus twice its Monte
        Carlo error, against the multiple of the scales. The large points are those of the priors as given. Open points
        have a Pareto k-hat that is too large. The band is where neither model is favoured by more than three to one.
        Bayes factors above 1e100 are drawn there, and those below 1e-100 likewise.

    Raises
    ------
    FitError
        If `result` is not from `hierlogit.bayes_factor`.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.bayes_factor(hl.bayes_factor({"one": fit1, "two": fit2}))  # doctest: +SKIP
    """
    remedy = "Compute it first: hl.bayes_factor({'one': fit1, 'two': fit2})."
    instance("result", result, BayesFactors, FitError, "a BayesFactors", remedy)
    with house_style():
        drawn = new_axes(1, width=6.0, height=3.6) if ax is None else given_axes(ax, 1, "the Bayes factors")
        _draw(drawn[0], result)
    return drawn


def _draw(ax: Axes, result: BayesFactors) -> None:
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.axhspan(*WEAK, color=PALE, alpha=0.5, linewidth=0, zorder=0)
    ax.axhline(1.0, color=GREY, linewidth=1.0, linestyle=(0, (2, 2)), zorder=0.5)
    others = [name for name in result.table.index if name != result.reference]
    for k, name in enumerate(others):
        _line(ax, str(name), result.sensitivity.loc[name], result, COLOURS[k % len(COLOURS)])
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, LEAST_RANGE[0]), max(high, LEAST_RANGE[1]))
    scales = result.sensitivity.index.get_level_values("scale").unique()
    ax.set_xticks(list(scales), [f"{scale:g}" for scale in scales])
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.minorticks_off()
    ax.set_xlabel("scale of the priors of the parameters in which the models differ,\nas a multiple of that given")
    ax.set_ylabel(f"Bayes factor relative to '{result.reference}'")
    if len(others) > 1:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    set_title(ax, "Bayes factors by the scales of the priors" if len(others) > 1 else f"Bayes factor of '{others[0]}'")
    texts = []
    for name in others:
        factors = result.sensitivity.loc[name, "bayes_factor"]
        given = result.table.loc[name, "bayes_factor"]
        texts.append(f"'{name}' {given:.3g}, from {factors.iloc[0]:.3g} to {factors.iloc[-1]:.3g}")
    describe(
        ax,
        f"Bayes factors relative to '{result.reference}' with the priors as given, and with {scales[0]:g} to "
        f"{scales[-1]:g} times their scales: {'; '.join(texts)}.",
    )


def _line(ax: Axes, name: str, table: pd.DataFrame, result: BayesFactors, colour: str) -> None:
    scales, logs = table.index.to_numpy(float), table["log_bayes_factor"].to_numpy()
    error = 2 * table["mcse_log_bayes_factor"].to_numpy()
    low, factors, high = (np.exp(np.clip(ends, -LARGEST, LARGEST)) for ends in (logs - error, logs, logs + error))
    ax.plot(scales, factors, color=colour, linewidth=1.4, label=name)
    ax.vlines(scales, low, high, color=colour, linewidth=1.2)
    reliable = table["pareto_k"].to_numpy() <= khat_threshold(result.evidence[name].draws)
    ax.scatter(
        scales,
        factors,
        s=np.where(scales == 1, 46, 20),
        facecolors=np.where(reliable, colour, "white"),
        edgecolors=colour,
        zorder=3,
    )
