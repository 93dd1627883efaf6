"""Normality of the cluster effects: their standardised modes against normal quantiles, with a simulated band."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import numpy as np

from ..diagnostics.fit.effects_qq import EffectQuantiles, effect_quantiles
from ..errors import FitError
from ..fits.fit import Fit
from ..summaries.intervals import Interval
from ..validation import quoted_list
from .style import (
    BLUE,
    GREY,
    INK,
    PALE,
    SMALL,
    VERMILLION,
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

    from ..design.grouping import GroupBlock

FEWEST_REPLICATES = 20
#: With more clusters than this their points are small.
CROWD = 300
#: How many clusters outside of the band get their name, the furthest ones, and how far apart they stand at least.
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
    """Draw the modes of the cluster effects against normal quantiles, one panel for each effect.

    Modes are shrunken, the more the fewer rows their cluster has, and the effects of binary outcomes take few values:
    even those of a model that is right are not normal. So each is divided by the sd that such a mode has, and beside
    them stands what data simulated from the fit, with normal effects, give when the model is fitted to them.

    Parameters
    ----------
    fit : Fit
        After a sampler the modes are those at the mode of the marginal posterior.
    group : str, optional
        One grouping factor; all of them if not given.
    effect : str, optional
        One effect, such as ``"Intercept"``; all of them if not given.
    replicates : int
        Data sets to simulate; as many as the fit has draws at most.
    ci_prob : float, optional
        Probability that all clusters lie in the band if the effects are normal; ArviZ's default if not given.
    seed : int, optional
        Repeats the band exactly.
    axes : matplotlib Axes or array of Axes, optional
        One for each panel; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (panels,)
        Clusters outside of the band are vermillion, the furthest with their names.

    Raises
    ------
    FitError
        If the model has no random effects, or not that grouping factor or effect; if the fit is not at a maximum.

    See Also
    --------
    hierlogit.check : Tests of skewness and of tails.

    References
    ----------
    Lange and Ryan (1989), Annals of Statistics 17: 624-642.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.effects_qq(fit, "district", seed=1)  # doctest: +SKIP
    """
    if isinstance(replicates, bool) or not isinstance(replicates, (int, np.integer)) or replicates < FEWEST_REPLICATES:
        raise FitError(f"replicates={replicates!r} must be a whole number of at least {FEWEST_REPLICATES}.")
    interval = Interval.of(ci_prob, "eti")
    panels = _chosen_effects(fit, group, effect)
    used = secrets.randbits(31) if seed is None else int(seed)
    found = effect_quantiles(fit, panels, interval.prob, int(replicates), used)
    with house_style():
        drawn = _new_axes(len(panels)) if axes is None else given_axes(axes, len(panels), "one for each effect")
        for ax, one in zip(drawn, found, strict=True):
            _panel(ax, one, interval.prob)
    return drawn


def _chosen_effects(fit: Fit, group: str | None, effect: str | None) -> list[tuple[GroupBlock, int]]:
    blocks = fit.model.design.chosen_groups(group)
    panels = [(block, k) for block in blocks for k, name in enumerate(block.effects) if effect in (None, name)]
    if not panels:
        known = list(dict.fromkeys(name for block in blocks for name in block.effects))
        raise FitError(
            f"no effect '{effect}' varies over {quoted_list([b.name for b in blocks])}; there are {quoted_list(known)}."
        )
    return panels


def _new_axes(panels: int) -> AxesArray:
    if panels <= MOST_COLUMNS:
        return new_axes(panels, width=0.6 + 3.3 * panels, height=3.6)
    import matplotlib.pyplot as plt

    rows = -(-panels // MOST_COLUMNS)
    size = (0.6 + 3.3 * MOST_COLUMNS, 0.3 + 3.3 * rows)
    figure, axes = plt.subplots(rows, MOST_COLUMNS, figsize=size, layout="constrained", squeeze=False)
    for ax in axes.ravel()[panels:]:
        figure.delaxes(ax)
    return np.asarray(axes, dtype=object).ravel()[:panels]


def _panel(ax: Axes, found: EffectQuantiles, prob: float) -> None:
    outside, crowded = found.outside, len(found.observed) > CROWD
    ax.fill_between(found.normal, found.low, found.high, color=PALE, linewidth=0, zorder=0.5)
    ax.plot(found.normal, found.middle, color=INK, linewidth=0.8, zorder=1)
    ax.scatter(
        found.normal,
        found.observed,
        s=5 if crowded else 14,
        c=list(np.where(outside, VERMILLION, BLUE)),
        linewidths=0,
        zorder=3,
    )
    named = _furthest(found)
    for k in named:
        above = found.observed[k] > found.high[k]  # names stand on the outer side, where there are no points
        ax.annotate(
            str(found.levels[k]),
            xy=(found.normal[k], found.observed[k]),
            xytext=(-3, 2) if above else (3, -2),
            textcoords="offset points",
            ha="right" if above else "left",
            va="bottom" if above else "top",
            fontsize=SMALL,
        )
    ax.margins(0.05)
    set_title(ax, f"{found.effect} of {found.group}")
    ax.set_xlabel("Normal quantile")
    ax.set_ylabel("Standardised mode")
    ax.annotate(
        f"line: mean of simulated data\n{100 * prob:g}% of them stay in the band\n"
        f"{int(outside.sum()):,} of {len(outside):,} outside",
        xy=(0.03, 0.97),
        xycoords="axes fraction",
        ha="left",
        va="top",
        fontsize=SMALL,
        color=GREY,
    )
    told = ", ".join(f"{found.levels[k]} ({found.observed[k]:.1f})" for k in named)
    describe(
        ax,
        f"Normal Q-Q plot of the standardised modes of the effects '{found.effect}' of the "
        f"{counted(len(outside), found.group)}: {int(outside.sum()):,} lie outside of the band in which "
        f"{100 * prob:g}% of simulated data sets stay{f'; the furthest: {told}' if told else ''}.",
    )


def _furthest(found: EffectQuantiles) -> list[int]:
    """Positions of the clusters furthest outside of the band, whose names do not hide each other."""
    beyond = np.maximum(found.low - found.observed, found.observed - found.high)
    chosen: list[int] = []
    for k in np.argsort(-beyond).tolist():
        if beyond[k] <= 0 or len(chosen) == NAMED:
            break
        if all(abs(found.normal[k] - found.normal[other]) > APART for other in chosen):
            chosen.append(k)
    return chosen
