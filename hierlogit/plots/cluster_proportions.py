"""Posterior predictive check of the proportions of events in clusters, and of the variation between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..design.grouping import GroupBlock
from ..effects.predictions import posterior_predictive
from ..errors import PredictionError
from ..fits.arguments import NOT_THE_POPULATION, require_unweighted
from ..fits.fit import Fit
from ..summaries.intervals import Interval
from ..validation import choice, whole_number
from .style import (
    BLUE,
    GREY,
    INK,
    MAX_NAMED,
    PALE,
    SMALL,
    VERMILLION,
    AxesArray,
    counted,
    describe,
    given_axes,
    house_style,
    interval_name,
    names_of,
    new_axes,
    proportion_label,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]
SORTS = ("size", "proportion")


def cluster_check(
    fit: Fit,
    group: str | None = None,
    *,
    num_draws: int = 200,
    sort: str = "size",
    seed: int | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    axes: Any = None,
) -> AxesArray:
    """Plot of the observed proportion of events in each cluster against those simulated from the fit.

    The first panel shows the observed proportion of each cluster and the interval of its simulated ones; observed
    proportions outside the interval are vermillion. The second panel shows the standard deviation of the proportions
    between clusters, observed and in the simulated data sets, where it is smaller if the model misses differences
    between clusters.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        The grouping factor; the first in the formula if not given.
    num_draws : int
        How many data sets to simulate, at most as many as the fit has draws.
    sort : {"size", "proportion"}
        Whether clusters are sorted by their number of trials or by their observed proportion.
    seed : int, optional
        Makes the simulation reproducible.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.
    axes : array of two matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2,)

    Raises
    ------
    FitError
        If the model has no random effects, or no such grouping factor.
    PredictionError
        If an option is not allowed.

    See Also
    --------
    hierlogit.posterior_predictive : Simulates the outcomes.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.cluster_check(fit, "district", seed=1)  # doctest: +SKIP
    """
    require_unweighted(fit, "hl.plots.cluster_check", NOT_THE_POPULATION)
    interval = Interval.of(ci_prob, ci_kind)
    choice("sort", sort, SORTS, PredictionError)
    num_draws = whole_number("num_draws", num_draws, PredictionError, least=2)
    factor = fit.model.design.chosen_groups(group)[0]
    observed, trials, simulated = _proportions(fit, factor, num_draws, seed)
    order = np.lexsort((simulated.mean(axis=0), trials if sort == "size" else observed))
    clusters = len(order)
    with house_style():
        if axes is None:
            wide = 5.0 if clusters > MAX_NAMED else float(np.clip(0.135 * clusters, 3.2, 9.0))
            drawn = new_axes(2, width=wide + 3.4, height=3.8, width_ratios=[wide, 2.3])
        else:
            drawn = given_axes(axes, 2, "the clusters, and the sd between them")
        names = names_of(factor.levels[k] for k in order)
        _clusters(
            drawn[0],
            fit,
            factor=factor.name,
            names=names,
            observed=observed[order],
            simulated=simulated[:, order],
            interval=interval,
            sort=sort,
        )
        _legend(drawn[0], interval, len(simulated), len(names) > MAX_NAMED, new=axes is None)
        _spread(drawn[1], factor.name, observed, simulated)
    return drawn


def _proportions(
    fit: Fit, group: GroupBlock, draws: int, seed: int | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Observed proportion and trials of each cluster, shape (J,), and simulated proportions, shape (draws, J)."""
    posterior, outcome, clusters = fit.posterior, fit.model.design.outcome, len(group.levels)
    available = posterior.sizes["chain"] * posterior.sizes["draw"]
    tree = posterior_predictive(fit, num_draws=min(draws, available), seed=seed)
    values = tree["posterior_predictive"][fit.model.outcome_name].transpose("chain", "draw", "obs").to_numpy()
    by_draw = values.reshape(-1, values.shape[-1])
    trials = np.bincount(group.index, weights=outcome.trials, minlength=clusters)
    observed = np.bincount(group.index, weights=outcome.y, minlength=clusters) / trials
    simulated = np.stack([np.bincount(group.index, weights=row, minlength=clusters) for row in by_draw]) / trials
    return observed, trials, simulated


def _clusters(
    ax: Axes,
    fit: Fit,
    *,
    factor: str,
    names: list[str],
    observed: FloatArray,
    simulated: FloatArray,
    interval: Interval,
    sort: str,
) -> None:
    low, high = interval.ends(simulated)
    outside = (observed < low) | (observed > high)
    positions, crowded = np.arange(len(names)), len(names) > MAX_NAMED
    ax.vlines(positions, low, high, colors=PALE, linewidth=0.6 if crowded else 4, label="simulated")
    for chosen, colour, label in ((~outside, BLUE, "observed, inside"), (outside, VERMILLION, "observed, outside")):
        ax.scatter(
            positions[chosen],
            observed[chosen],
            s=2 if crowded else 14,
            color=colour,
            marker="o" if colour == BLUE else "D",
            linewidths=0,
            zorder=3,
            label=f"{label} ({int(chosen.sum()):,})",
        )
    ax.set_xlim(-0.8, len(names) - 0.2)
    ax.set_ylim(-0.03, 1.03)
    ax.set_ylabel(proportion_label(fit))
    by = "size" if sort == "size" else "observed proportion"
    if crowded:
        ax.set_xticks([])
        ax.set_xlabel(f"{counted(len(names), factor)}, by {by}")
    else:
        long = len(names) > 6 or max(len(name) for name in names) > 10
        ax.set_xticks(positions, names, fontsize=SMALL, rotation=90 if long else 0)
        ax.tick_params(axis="x", length=0)
        ax.set_xlabel(f"{factor}, by {by}")
    describe(
        ax,
        f"{proportion_label(fit)}, observed in {counted(len(names), factor)} against "
        f"{interval_name(interval.prob, interval.kind)}s from {len(simulated):,} simulated data sets: "
        f"{int(outside.sum()):,} of {len(names):,} lie outside.",
    )


def _legend(ax: Axes, interval: Interval, draws: int, crowded: bool, *, new: bool) -> None:
    handles, labels = ax.get_legend_handles_labels()
    options: dict[str, Any] = {
        "title": f"{interval_name(interval.prob, interval.kind)} from {draws:,} simulated data sets",
        "title_fontsize": SMALL + 1,
        "alignment": "left",
        "handlelength": 1,
        "columnspacing": 1.2,
        "markerscale": 3 if crowded else 1,
    }
    if new:
        ax.figure.legend(handles, labels, loc="outside upper left", ncols=3, **options)
    else:
        ax.legend(handles, labels, loc="best", **options)


def _spread(ax: Axes, factor: str, observed: FloatArray, simulated: FloatArray) -> None:
    sd, sds = float(observed.std(ddof=1)), simulated.std(axis=1, ddof=1)
    share = float((sds >= sd).mean())
    ax.hist(sds, bins=min(20, max(5, len(sds) // 10)), color=PALE, histtype="stepfilled")
    ax.axvline(sd, color=BLUE, linewidth=1.8)
    ax.margins(x=0.08)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(f"Sd of proportions between\nclusters of {factor}")
    set_title(ax, f"observed {sd:.3f} (line)\nsimulated larger in {share:.0%}", fontsize=SMALL + 1, color=INK)
    ax.tick_params(axis="x", colors=GREY, labelcolor=INK)
    describe(
        ax,
        f"Standard deviation of the proportions between clusters of {factor}: observed {sd:.3f}, simulated "
        f"{sds.mean():.3f} on average, at least as large in {share:.0%} of the simulated data sets.",
    )
