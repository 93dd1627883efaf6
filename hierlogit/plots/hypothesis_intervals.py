"""Plot of hypotheses: intervals of differences, the values that are tested, and a region of practical equivalence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..effects.hypothesis import rope_bounds
from ..errors import FitError
from ..formatting import probability
from ..result_table import ResultTable, interval_title, is_end
from ..summaries.intervals import columns_of_ends
from ..validation import instance, number_of
from .style import BLUE, GREY, INK, MEDIUM, PALE, SMALL, AxesArray, describe, given_axes, house_style, new_axes, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]
#: Characters in a line of a label, the width of a character and the height of a line in inches.
LABEL_WIDTH, CHARACTER, LINE = 40, 0.07, 0.15
#: More rows than this do not fit on a page.
MOST_ROWS = 100
#: Columns with the answer to a hypothesis, the first of which that the table has is written beside it.
ANSWERS = {"p_value": "p", "p_hypothesis": "probability", "p_direction": "direction"}


def hypotheses(result: ResultTable, *, rope: tuple[float, float] | None = None, ax: Any = None) -> AxesArray:
    """Plot of hypotheses about coefficients or rows of a result, with their intervals.

    Parameters
    ----------
    result : ResultTable
        From `hierlogit.hypotheses`, or from predictions, comparisons or slopes with ``hypothesis=``.
    rope : pair of float, optional
        Bounds of a region of practical equivalence, which is shaded.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)
        Points are estimates or posterior means; lines are the intervals of the table, simultaneous ones if it was made
        with ``adjust="single-step"``. The number that each difference is compared with is marked, and intervals that
        exclude it are blue. Beside them are the p-values or posterior probabilities.

    Raises
    ------
    FitError
        If the table has no hypotheses, or more than a hundred.
    PredictionError
        If the region is not a pair of numbers.

    Examples
    --------
    >>> import hierlogit as hl
    >>> table = hl.avg_predictions(fit, by="livch", hypothesis="pairwise", adjust="single-step")  # doctest: +SKIP
    >>> hl.plots.hypotheses(table, rope=(-0.1, 0.1))  # doctest: +SKIP
    """
    remedy = "Pass a table such as hl.hypotheses(fit, 'pairwise')."
    table = instance("result", result, ResultTable, FitError, "a table of hypotheses", remedy)
    bounds = None if rope is None else rope_bounds(rope)
    if "hypothesis" not in table or sum(map(is_end, table.columns)) != 2:
        raise FitError(f"result has no hypotheses with intervals. {remedy}")
    if not 0 < len(table) <= MOST_ROWS:
        raise FitError(
            f"result has {number_of(len(table), 'hypothesis', 'hypotheses')}; from 1 to {MOST_ROWS} can be drawn. Pass "
            "some rows of the table."
        )
    labels = [wrapped(str(text), LABEL_WIDTH) for text in table["hypothesis"]]
    longest = max(len(line) for label in labels for line in label.split("\n"))
    height = 1.1 + LINE * sum(2 + label.count("\n") for label in labels)
    with house_style():
        drawn = (
            new_axes(1, width=4.6 + CHARACTER * longest, height=height) if ax is None else given_axes(ax, 1, "a plot")
        )
        _draw(drawn[0], table, labels, bounds)
    return drawn


def _draw(ax: Axes, table: ResultTable, labels: list[str], rope: tuple[float, float] | None) -> None:
    middle = "estimate" if "estimate" in table else "mean"
    ends = columns_of_ends(table)
    points, low, high = (table[name].to_numpy(dtype=np.float64) for name in (middle, *ends))
    null = table["null"].to_numpy(dtype=np.float64) if "null" in table else np.zeros(len(table))
    positions = np.arange(len(table), 0, -1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        away = (low > null) | (high < null)
    colours = [BLUE if apart else GREY for apart in away]
    if rope is not None:
        ax.axvspan(*np.clip(rope, *_limits(low, high, null, rope)), color=PALE, alpha=0.5, linewidth=0, zorder=0)
    if not null.any():
        ax.axvline(0, color=INK, linewidth=0.8, zorder=0.5)
    else:
        ax.vlines(null, positions - 0.4, positions + 0.4, color=INK, linewidth=0.8, zorder=0.5)
    ax.hlines(positions, low, high, colors=colours, linewidth=1.8)
    ax.scatter(points, positions, s=28, c=colours, linewidths=0, zorder=3)
    ax.set_yticks(positions, labels, fontsize=MEDIUM)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(0.4, len(table) + 0.6)
    title = table.quantity or "difference"
    ax.set_xlabel(f"{wrapped(title, 60)}\n{interval_title(table)}; blue: excludes the value that is tested")
    answer = next((name for name in ANSWERS if name in table and table[name].notna().any()), None)
    if answer is not None:
        _write_answers(ax, positions, table[answer], ANSWERS[answer])
    rows = [f"{text} {m:.3g} [{a:.3g}, {b:.3g}]" for text, m, a, b in zip(labels, points, low, high, strict=True)]
    describe(ax, f"{title}, with {interval_title(table)}s: {'; '.join(' '.join(row.split()) for row in rows)}.")


def _limits(*values: Any) -> tuple[float, float]:
    """The range of all finite values."""
    numbers = np.concatenate([np.ravel(value) for value in values])
    finite = numbers[np.isfinite(numbers)]
    return (float(finite.min()), float(finite.max())) if finite.size else (-1.0, 1.0)


def _write_answers(ax: Axes, positions: FloatArray, values: pd.Series[float], name: str) -> None:
    beside = ax.get_yaxis_transform()
    for position, value in zip(positions, values, strict=True):
        if not np.isnan(value):
            ax.text(1.02, position, probability(float(value)), transform=beside, va="center", fontsize=MEDIUM - 1)
    ax.annotate(
        name,
        xy=(1.02, 1),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        va="bottom",
        fontsize=SMALL,
        color=GREY,
    )
