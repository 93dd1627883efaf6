"""Plot of what the priors of a model imply for probabilities, before the data are used."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..density.linear_predictor import Draws, linear_predictor
from ..design.grouping import GroupBlock
from ..design.row_counts import column_means
from ..effects.prior_predictive import prior_predictive as drawn_from_priors
from ..errors import PredictionError
from ..fits.arguments import model_of
from ..fits.fit import Fit
from ..model_spec import ModelSpec
from ..validation import whole_number
from .style import (
    BLUE,
    GREY,
    INK,
    PALE,
    SMALL,
    AxesArray,
    counted,
    describe,
    given_axes,
    house_style,
    new_axes,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]

#: Number of bars from 0 to 1.
BARS = 20
#: Quantiles of the clusters' probabilities that define their range.
LOW, HIGH = 0.05, 0.95
#: Probabilities this close to 0 or 1 are counted as near them.
NEAR = 0.05
#: Number of characters of a label that fit under a panel.
LABEL_WIDTH = 36
#: With fewer draws, a histogram of them is mostly noise.
FEWEST_DRAWS = 20


@dataclass(frozen=True)
class Implied:
    """Probabilities that the priors imply.

    Attributes
    ----------
    average_row : ndarray, shape (draws,)
        Probability of a row with average predictors in a typical cluster.
    proportions : ndarray, shape (draws, J)
        Simulated proportions of events in each cluster; without random effects in all rows, shape (draws, 1).
    ranges : ndarray, shape (draws,), or None
        Distance from the 5% to the 95% quantile of the clusters' probabilities.
    """

    average_row: FloatArray
    proportions: FloatArray
    ranges: FloatArray | None

    @classmethod
    def of(cls, model: ModelSpec, group: GroupBlock | None, draws: int, seed: int | None) -> Implied:
        """The probabilities from draws of the priors."""
        from scipy.special import expit

        tree = drawn_from_priors(model, draws=draws, seed=seed)
        design, outcome = model.design, model.design.outcome
        drawn = Draws.of(model, _sized(tree["prior"].to_dataset(), draws))
        average_row = expit(
            drawn.beta @ design.column_means + float(column_means(design.offset, design.table.row_counts))
        )
        index = np.zeros(design.n_rows, dtype=np.intp) if group is None else group.index
        simulated = tree["prior_predictive"][model.outcome_name].transpose("chain", "draw", "obs").to_numpy()
        proportions = _by_cluster(simulated.reshape(draws, -1).astype(np.float64), index, outcome.trials)
        if group is None:
            return cls(average_row, proportions, None)
        rows, ranges = design.training_rows(), np.empty(draws)
        for part, part_draws in drawn.chunks(design.n_rows):
            expected = outcome.trials * expit(linear_predictor(part_draws, rows))
            ends = np.quantile(_by_cluster(expected, index, outcome.trials), [LOW, HIGH], axis=1)
            ranges[part] = ends[1] - ends[0]
        return cls(average_row, proportions, ranges)


def _sized(prior: xr.Dataset, draws: int) -> xr.Dataset:
    """The draws with their number among the sizes, even if there are no parameters."""
    return prior if prior.sizes else prior.expand_dims(chain=1, draw=draws)


def _by_cluster(events: FloatArray, index: npt.NDArray[np.intp], trials: FloatArray) -> FloatArray:
    """Proportions of events in each cluster, shape (draws, J), from the events in each row, shape (draws, n)."""
    order = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(index))[:-1]])
    totals = np.add.reduceat(events[:, order], starts, axis=1)
    shares: FloatArray = totals / np.add.reduceat(trials[order], starts)
    return shares


def prior_predictive(
    model: ModelSpec | Fit,
    group: str | None = None,
    *,
    draws: int = 1000,
    seed: int | None = None,
    axes: Any = None,
) -> AxesArray:
    """Histograms of the probabilities that the priors of a model imply, before any outcome is used.

    A prior that looks harmless on the logit scale can imply that nearly all probabilities are near 0 or 1, or that
    clusters differ as much as possible. The first panel shows the probability of a row with average predictors in a
    typical cluster. The second shows the proportions of events in clusters in data simulated from the priors. The third
    shows how much clusters differ: for each draw of the parameters, the distance from the 5% to the 95% quantile of
    their probabilities, averaged over the rows of each cluster.

    Parameters
    ----------
    model : Model or Fit
        The model with the priors; its outcomes are not used.
    group : str, optional
        The grouping factor whose clusters are shown; the first in the formula if not given.
    draws : int
        How many draws from the priors to make, at least 20.
    seed : int, optional
        Makes the draws reproducible.
    axes : array of matplotlib Axes, optional
        Three of them, two for a model without random effects; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (3,), or (2,) for a model without random effects

    Raises
    ------
    FitError
        If the model has no such grouping factor.
    PredictionError
        If `draws` is out of range.

    See Also
    --------
    hierlogit.prior_predictive : Draws from the priors.
    hierlogit.prior_from_mor, hierlogit.prior_from_range : Priors elicited on interpretable scales.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.prior_predictive(model, seed=1)  # doctest: +SKIP
    """
    chosen = model_of(model)
    factor = chosen.design.chosen_groups(group)[0] if chosen.design.groups or group is not None else None
    draws = whole_number("draws", draws, PredictionError, least=FEWEST_DRAWS)
    implied = Implied.of(chosen, factor, draws, seed)
    panels = 2 if factor is None else 3
    with house_style():
        if axes is None:
            drawn = new_axes(panels, width=3.1 * panels, height=3.1)
        else:
            drawn = given_axes(axes, panels, "the average row, proportions, and the range between clusters")
        typical = "" if factor is None else " in a typical cluster"
        event = chosen.design.outcome.event
        _histogram(drawn[0], implied.average_row, f"Probability of {event} in an average row{typical}")
        where = "in all rows" if factor is None else f"in clusters of {factor.name}"
        _histogram(drawn[1], implied.proportions.ravel(), f"Simulated proportion of {event} {where}")
        if factor is not None and implied.ranges is not None:
            _range_panel(drawn[2], implied.ranges, factor)
        drawn[0].set_ylabel("Prior probability")
    return drawn


def _histogram(ax: Axes, values: FloatArray, label: str) -> None:
    near_0, near_1 = float((values < NEAR).mean()), float((values > 1 - NEAR).mean())
    _bars(ax, values, lambda middle: (middle < NEAR) | (middle > 1 - NEAR))
    text = f"{near_0:.0%} below {NEAR:g}, {near_1:.0%} above {1 - NEAR:g}"
    set_title(ax, text, fontsize=SMALL + 1, color=INK)
    ax.set_xlabel(_wrapped(label))
    describe(ax, f"{label} under the priors: median {np.median(values):.2f}, {text}.")


def _range_panel(ax: Axes, ranges: FloatArray, group: GroupBlock) -> None:
    _bars(ax, ranges, lambda middle: np.zeros(len(middle), dtype=bool))
    middle = float(np.median(ranges))
    ax.axvline(middle, color=BLUE, linewidth=1.6)
    text = f"median {middle:.2f}, above 0.5 in {(ranges > 0.5).mean():.0%}"
    set_title(ax, text, fontsize=SMALL + 1, color=INK)
    label = f"Range of probabilities between {counted(len(group.levels), group.name)}, 5% to 95% quantile"
    ax.set_xlabel(_wrapped(label))
    describe(ax, f"{label} under the priors: {text}.")


def _wrapped(label: str) -> str:
    return textwrap.fill(label, LABEL_WIDTH)


def _bars(ax: Axes, values: FloatArray, dark: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    edges = np.linspace(0, 1, BARS + 1)
    shares = np.histogram(values, edges)[0] / len(values)
    middle = (edges[1:] + edges[:-1]) / 2
    colours = np.where(dark(middle), BLUE, PALE)
    ax.bar(middle, shares, width=0.92 / BARS, color=list(colours), linewidth=0)
    ax.set_xlim(-0.02, 1.02)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.tick_params(colors=GREY, labelcolor=INK)
