"""Plot of naive logistic regression beside a mixed model: coefficients, errors of standard errors, false positives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..binomial_intervals import wilson
from ..diagnostics.ignored_clusters.side_by_side import IgnoringClusters
from ..errors import FitError
from ..formatting import number, percent
from ..result_table import interval_title
from ..summaries.intervals import columns_of_ends
from ..validation import instance, names
from .style import (
    BLUE,
    GREY,
    INK,
    MEDIUM,
    VERMILLION,
    AxesArray,
    describe,
    given_axes,
    house_style,
    new_axes,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]
#: Colour, height above the middle of a row, and words of each kind of coefficient.
KINDS = {
    "naive": (VERMILLION, 0.22, "naive, ignoring clusters"),
    "average": (BLUE, 0.0, "mixed model, averaged over clusters"),
    "conditional": (GREY, -0.22, "mixed model, given the cluster"),
}
#: More rows than this do not fit on a page.
MOST_ROWS = 60
#: Characters in a line of a label, the width of a character and the height of a row in inches.
LABEL_WIDTH, CHARACTER, ROW = 30, 0.07, 0.48
#: Half-width of a 95% interval in standard errors.
REACH = 1.96


def ignoring_clusters(result: IgnoringClusters, effects: Sequence[str] | None = None, *, axes: Any = None) -> AxesArray:
    """Plot of what ignoring clusters does to coefficients, standard errors and tests.

    Parameters
    ----------
    result : IgnoringClusters
        From `hierlogit.ignoring_clusters`.
    effects : list of str, optional
        Fixed effects by label, in the order in which they are drawn; all except the intercept if not given.
    axes : array of matplotlib Axes, optional
        One for each panel; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (3,) or, without simulations, (2,)
        The first panel has the naive coefficients with their intervals, those of the mixed model averaged over
        clusters, and those given the cluster. They are multiplied by the standard deviations of their columns, so that
        they have the same scale. The second has the factors by which naive standard errors should be multiplied, the
        square roots of the design effects. The third has the false-positive rates of the naive tests, with 95% Monte
        Carlo intervals and a line at the level of the tests.

    Raises
    ------
    FitError
        If there is no coefficient besides the intercept, one that is chosen does not exist, or there are too many.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.ignoring_clusters(hl.ignoring_clusters(fit, seed=1))  # doctest: +SKIP
    """
    remedy = "Compute it first: hl.ignoring_clusters(fit)."
    instance("result", result, IgnoringClusters, FitError, "an IgnoringClusters", remedy)
    known = [str(label) for label in result.table.index]
    chosen = [label for label in known if label != "Intercept"]
    if effects is not None:
        chosen = names("effects", effects, known, FitError, "fixed effect")
    if not chosen:
        raise FitError("the model has no coefficient besides the intercept; effects=['Intercept'] draws that one.")
    if len(chosen) > MOST_ROWS:
        raise FitError(f"{len(chosen):,} coefficients are too many: name at most {MOST_ROWS} of them in effects=.")
    labels = [wrapped(label, LABEL_WIDTH) for label in chosen]
    panels = 3 if "false_positive" in result.table else 2
    with house_style():
        if axes is None:
            longest = max(len(line) for label in labels for line in label.split("\n"))
            width, height = 2.6 + 2.2 * panels + CHARACTER * longest, 1.5 + ROW * len(chosen)
            ratios = (2, *[1] * (panels - 1))
            drawn = new_axes(panels, width=width, height=height, sharey=True, width_ratios=ratios)
        else:
            drawn = given_axes(axes, panels, "one for coefficients, one for standard errors, one for false positives")
        rows = result.table.loc[chosen]
        _coefficients(drawn[0], result, chosen)
        _errors(drawn[1], rows["design_effect"])
        if panels == 3:
            _false_positives(drawn[2], result, rows["false_positive"])
        for ax in drawn:
            ax.set_ylim(-0.6, len(chosen) - 0.4)
            ax.tick_params(axis="y", length=0)
        drawn[0].set_yticks(_places(len(chosen)), labels, fontsize=MEDIUM)
    return drawn


def _places(count: int) -> FloatArray:
    """Heights of the rows, the first on top."""
    return np.arange(count - 1, -1, -1, dtype=np.float64)


def _coefficients(ax: Axes, result: IgnoringClusters, chosen: list[str]) -> None:
    scale, places = result.column_sds.loc[chosen].to_numpy(), _places(len(chosen))
    ax.axvline(0, color=INK, linewidth=0.8, zorder=0.5)
    texts = []
    for kind, (colour, above, words) in KINDS.items():
        table = pd.DataFrame(result.coefficients[kind]).loc[chosen]
        low, high = (table[name].to_numpy() * scale for name in columns_of_ends(table))
        middle = table["estimate"].to_numpy() * scale
        finite = np.isfinite(middle)
        ax.hlines(places + above, low, high, colors=colour, linewidth=1.8)
        ax.scatter(middle[finite], places[finite] + above, s=24, c=colour, linewidths=0, zorder=3, label=words)
        for place, value in zip(places[~finite], middle[~finite], strict=True):
            ax.text(0, place + above, f" {number(value)}", color=colour, va="center", fontsize=MEDIUM - 1)
        shown = (f"{label} {number(value)}" for label, value in zip(chosen, table["estimate"], strict=True))
        texts.append(f"{words}: {', '.join(shown)}")
    ax.set_xlabel(f"Coefficient for one sd of its column (logit scale)\n{interval_title(result.coefficients)}")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    describe(ax, f"Coefficients, {'; '.join(texts)}.")


def _errors(ax: Axes, design_effect: pd.Series[float]) -> None:
    factor = np.sqrt(design_effect.to_numpy())
    ax.axvline(1, color=INK, linewidth=0.8, zorder=0.5)
    ax.hlines(_places(len(factor)), 1, factor, colors=VERMILLION, linewidth=1.8)
    ax.scatter(factor, _places(len(factor)), s=24, c=VERMILLION, linewidths=0, zorder=3)
    ax.set_xlim(min(0.5, 0.9 * factor.min()), max(1.5, 1.1 * factor.max()))
    ax.set_xlabel("Right / naive standard error")
    shown = (f"{label} {number(value)}" for label, value in zip(design_effect.index, factor, strict=True))
    describe(ax, f"Factors by which naive standard errors should be multiplied: {', '.join(shown)}.")


def _false_positives(ax: Axes, result: IgnoringClusters, rates: pd.Series[float]) -> None:
    share, places = np.asarray(rates, dtype=np.float64), _places(len(rates))
    low, high = wilson(share, np.full(len(share), float(len(result.simulated))), REACH)
    ax.axvline(result.alpha, color=INK, linewidth=0.8, zorder=0.5)
    ax.hlines(places, low, high, colors=VERMILLION, linewidth=1.8)
    ax.scatter(share, places, s=24, c=VERMILLION, linewidths=0, zorder=3)
    ax.set_xlim(0, max(2 * result.alpha, 1.1 * float(np.nanmax(high, initial=0.0))))
    ax.xaxis.set_major_formatter(lambda value, _: percent(value, 0))
    ax.set_xlabel(f"False-positive rate of naive tests\nline: their level, {percent(result.alpha, 0)}")
    shown = (f"{label} {percent(value)}" for label, value in rates.items())
    describe(ax, f"False-positive rates of naive tests at the {percent(result.alpha, 0)} level: {', '.join(shown)}.")
