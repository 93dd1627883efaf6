"""Caterpillar plots of the cluster effects with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import FitError
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..summaries.intervals import Interval
from ..summaries.tables import ranef
from ..validation import flag
from .cluster_axis import height_for, name_clusters
from .style import (
    BLUE,
    GREY,
    INK,
    MAX_NAMED,
    AxesArray,
    counted,
    describe,
    given_axes,
    house_style,
    interval_name,
    names_of,
    new_axes,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def caterpillar(
    fit: Fit,
    group: str | None = None,
    effect: str | None = None,
    *,
    sort: bool = True,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    axes: Any = None,
) -> AxesArray:
    """Caterpillar plot of the cluster effects with intervals, one panel for each effect.

    Clusters whose interval excludes 0 are blue, the others grey. Up to 80 clusters are named on the axis; with more,
    only the five lowest and the five highest.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        One grouping factor; all of them if not given.
    effect : str, optional
        One effect, such as ``"Intercept"`` or ``"urban[Y]"``; all of them if not given.
    sort : bool
        Whether each panel is sorted by its effect, the highest on top; otherwise clusters are in the order of the data.
    ci_prob, ci_kind
        Probability and kind of the intervals; ArviZ's defaults if not given.
    axes : matplotlib Axes or array of Axes, optional
        One for each panel; a new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (panels,)

    Raises
    ------
    FitError
        If the model has no random effects, or no such grouping factor or effect.

    See Also
    --------
    hierlogit.ranef : Computes the values shown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.caterpillar(fit, "district", "Intercept")  # doctest: +SKIP
    """
    require_fit(fit)
    interval = Interval.of(ci_prob, ci_kind)
    sort = flag("sort", sort, FitError)
    panels = [(factor.name, factor.effects[k]) for factor, k in fit.model.design.chosen_effects(group, effect)]
    table = ranef(fit, group, ci_prob=interval.prob, ci_kind=interval.kind)
    parts = [pd.DataFrame(table.xs((factor, name), level=("group", "effect"))) for factor, name in panels]
    with house_style():
        if axes is None:
            most = max(len(part) for part in parts)
            drawn = new_axes(len(panels), width=max(4.2, 3.6 * len(panels)), height=height_for(most))
        else:
            drawn = given_axes(axes, len(panels), "one for each effect")
        for ax, (factor, name), part in zip(drawn, panels, parts, strict=True):
            ordered = part.sort_values(_centre(part)) if sort else part.iloc[::-1]
            _panel(ax, ordered, factor=factor, effect=name, interval=interval, sort=sort)
            set_title(ax, name if len({other for other, _ in panels}) == 1 else f"{factor}: {name}")
    return drawn


def _centre(part: pd.DataFrame) -> str:
    """The column with the points: posterior means, or the conditional modes of a likelihood fit."""
    return "mode" if "mode" in part else "mean"


def _panel(ax: Axes, part: pd.DataFrame, *, factor: str, effect: str, interval: Interval, sort: bool) -> None:
    low, high = (part[column].to_numpy() for column in interval.columns)
    middle, names, positions = part[_centre(part)].to_numpy(), names_of(part.index), np.arange(len(part))
    away = (low > 0) | (high < 0)
    crowded = len(part) > MAX_NAMED
    colours = np.where(away, BLUE, GREY)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=0.5)
    ax.hlines(
        positions, low, high, colors=list(colours), linewidth=0.4 if crowded else 1.2, alpha=0.6 if crowded else 1
    )
    ax.scatter(middle, positions, s=1.5 if crowded else 12, c=list(colours), linewidths=0, zorder=3)
    ax.margins(x=0.03)
    name_clusters(ax, names, factor, ordered=sort)
    ax.set_xlabel(
        f"Deviation on the logit scale\n{_centre(part)} and {interval_name(interval.prob, interval.kind)}; "
        "blue: excludes 0"
    )
    describe(
        ax,
        f"Effects '{effect}' of the {counted(len(part), factor)}, on the logit scale, with "
        f"{interval_name(interval.prob, interval.kind)}s: from {middle.min():.2f} ({names[int(middle.argmin())]}) to "
        f"{middle.max():.2f} ({names[int(middle.argmax())]}); {int(away.sum())} intervals exclude 0.",
    )
