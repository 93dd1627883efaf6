"""Normal Q-Q plots of the standardised modes of the cluster effects, with a simulated band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..diagnostics.fit.effects_qq import EffectQuantiles, effect_quantiles
from ..errors import FitError
from ..fits.arguments import NOT_THE_POPULATION, refuse_pooled, require_unweighted
from ..fits.fit import Fit
from ..summaries.intervals import Interval
from ..validation import refuse_beyond_memory, seed_or_new, whole_number
from .style import (
    BLUE,
    GREY,
    INK,
    PALE,
    SMALL,
    VERMILLION,
    AxesArray,
    as_axes,
    counted,
    describe,
    given_axes,
    house_style,
    new_axes,
    require_axes,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


FEWEST_REPLICATES = 20
#: With more clusters than this, their points are small.
CROWD = 300
#: How many of the clusters furthest outside the band are named, and their smallest distance in normal quantiles.
NAMED, APART = 3, 0.4
#: Panels in a row.
MOST_COLUMNS = 3


def effects_qq(
    fit: Fit,
    group: str | None = None,
    effect: str | None = None,
    *,
    replicates: int = 200,
    ci_prob: float | None = None,
    seed: int | None = None,
    axes: Any = None,
) -> AxesArray:
    """Normal Q-Q plot of the modes of the cluster effects, one panel for each effect.

    Even if the model is right, the modes are not normally distributed: they are shrunken, more so in clusters with few
    rows, and with binary outcomes they take few values. Each mode is therefore divided by its standard deviation, and
    compared with the modes in data simulated from the fit, with normal effects, to which the model is fitted again.
    Simulated data sets in which the sd of the effect is estimated as zero are left out, and counted in the panel; there
    is no band if nearly all of them are. An effect whose own sd is estimated as zero has a panel that says so.

    Parameters
    ----------
    fit : Fit
        For sampled fits, the modes are those at the mode of the marginal posterior.
    group : str, optional
        One grouping factor; all of them if not given.
    effect : str, optional
        One effect, such as ``"Intercept"``; all of them if not given.
    replicates : int
        How many data sets to simulate, at most as many as the fit has draws.
    ci_prob : float, optional
        Probability that all clusters lie inside the band if the effects are normal; ArviZ's default if not given.
    seed : int, optional
        Makes the band reproducible.
    axes : matplotlib Axes or array of Axes, optional
        One for each panel; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (panels,)
        Clusters outside the band are vermillion, and the furthest are named.

    Raises
    ------
    FitError
        If an option is not allowed, the model has no random effects or no such grouping factor or effect, the fit is
        not at a maximum, or the sds of all these effects are estimated as zero.

    See Also
    --------
    hierlogit.check : Tests of the skewness and the tails of the effects.

    References
    ----------
    Lange and Ryan (1989), Annals of Statistics 17: 624-642.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.effects_qq(fit, "district", seed=1)  # doctest: +SKIP
    """
    require_unweighted(fit, "hl.plots.effects_qq", NOT_THE_POPULATION)
    refuse_pooled(fit, "fit", "Simulated bands are by refits")
    replicates = whole_number("replicates", replicates, FitError, least=FEWEST_REPLICATES)
    require_axes(axes)
    interval = Interval.of(ci_prob, "eti")
    panels = fit.model.design.chosen_effects(group, effect)
    clusters = sum(len(factor.levels) for factor, _ in panels)
    refuse_beyond_memory("replicates", replicates, clusters, FitError)
    quantiles = effect_quantiles(fit, panels, interval.prob, replicates, seed_or_new(seed, FitError))
    with house_style():
        drawn = _new_axes(len(panels)) if axes is None else given_axes(axes, len(panels), "one for each effect")
        for ax, effect_quantile in zip(drawn, quantiles, strict=True):
            if effect_quantile.sd > 0:
                _panel(ax, effect_quantile, interval.prob)
            else:
                _panel_without_variance(ax, effect_quantile)
    return drawn


def _new_axes(panels: int) -> AxesArray:
    if panels <= MOST_COLUMNS:
        return new_axes(panels, width=0.6 + 3.3 * panels, height=3.6)
    import matplotlib.pyplot as plt

    rows = -(-panels // MOST_COLUMNS)
    size = (0.6 + 3.3 * MOST_COLUMNS, 0.3 + 3.3 * rows)
    figure, axes = plt.subplots(rows, MOST_COLUMNS, figsize=size, layout="constrained", squeeze=False)
    for ax in axes.ravel()[panels:]:
        figure.delaxes(ax)
    return as_axes(axes.ravel()[:panels])


def _panel(ax: Axes, quantiles: EffectQuantiles, prob: float) -> None:
    outside, crowded = quantiles.outside, len(quantiles.observed) > CROWD
    ax.fill_between(quantiles.normal, quantiles.low, quantiles.high, color=PALE, linewidth=0, zorder=0.5)
    ax.plot(quantiles.normal, quantiles.middle, color=INK, linewidth=0.8, zorder=1)
    ax.scatter(
        quantiles.normal,
        quantiles.observed,
        s=5 if crowded else 14,
        c=list(np.where(outside, VERMILLION, BLUE)),
        linewidths=0,
        zorder=3,
    )
    named = _furthest(quantiles)
    for k in named:
        above = quantiles.observed[k] > quantiles.high[k]  # names are on the outer side, where there are no points
        ax.annotate(
            str(quantiles.levels[k]),
            xy=(quantiles.normal[k], quantiles.observed[k]),
            xytext=(-3, 2) if above else (3, -2),
            textcoords="offset points",
            ha="right" if above else "left",
            va="bottom" if above else "top",
            fontsize=SMALL,
        )
    ax.margins(0.05)
    set_title(ax, f"{quantiles.effect} of {quantiles.group}")
    ax.set_xlabel("Normal quantile")
    ax.set_ylabel("Standardised mode")
    omitted = (
        f"\n{quantiles.without_variance:,} of {quantiles.simulated:,} data sets with an sd of zero left out"
        if quantiles.without_variance
        else ""
    )
    ax.annotate(
        f"line: mean of simulated data\nband: contains {100 * prob:g}% of data sets\n"
        f"{int(outside.sum()):,} of {len(outside):,} outside{omitted}",
        xy=(0.03, 0.97),
        xycoords="axes fraction",
        ha="left",
        va="top",
        fontsize=SMALL,
        color=GREY,
    )
    furthest = ", ".join(f"{quantiles.levels[k]} ({quantiles.observed[k]:.1f})" for k in named)
    describe(
        ax,
        f"Normal Q-Q plot of the standardised modes of the effects '{quantiles.effect}' of the "
        f"{counted(len(outside), quantiles.group)}: {int(outside.sum()):,} lie outside the band that contains "
        f"{100 * prob:g}% of simulated data sets{f'; the furthest: {furthest}' if furthest else ''}.",
    )


def _panel_without_variance(ax: Axes, quantiles: EffectQuantiles) -> None:
    set_title(ax, f"{quantiles.effect} of {quantiles.group}")
    ax.set_axis_off()
    ax.annotate(
        "sd estimated as zero:\nall modes are zero",
        xy=(0.5, 0.5),
        xycoords="axes fraction",
        ha="center",
        va="center",
        fontsize=SMALL,
        color=GREY,
    )
    describe(
        ax,
        f"No Q-Q plot of the effects '{quantiles.effect}' of {quantiles.group}: their sd is estimated as zero, and all "
        "modes are zero.",
    )


def _furthest(quantiles: EffectQuantiles) -> list[int]:
    """Positions of the clusters furthest outside the band whose names do not overlap."""
    beyond = np.nan_to_num(np.maximum(quantiles.low - quantiles.observed, quantiles.observed - quantiles.high))
    chosen: list[int] = []
    for k in np.argsort(-beyond).tolist():
        if beyond[k] <= 0 or len(chosen) == NAMED:
            break
        if all(abs(quantiles.normal[k] - quantiles.normal[other]) > APART for other in chosen):
            chosen.append(k)
    return chosen
