"""Caterpillar plots of the cluster effects with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..effects.cluster_effects import SCALES
from ..errors import FitError
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..result_table import ResultTable, interval_title
from ..summaries.intervals import Interval, columns_of_ends
from ..validation import agree, choice, flag, number_of, quoted_list
from .cluster_axis import height_for, marks_for, name_clusters
from .cluster_values import ClusterValues, coefficients, deviations, of_table, probabilities
from .style import (
    BLUE,
    CHARACTER,
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
    panel_width,
    set_title,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


#: Width of the label below an axis, relative to the panel.
LABEL_WIDTH = 1.1


def caterpillar(
    result: Fit | ResultTable,
    group: str | None = None,
    effect: str | None = None,
    *,
    fixed: bool = False,
    scale: str = "link",
    at: Mapping[str, Any] | None = None,
    sort: bool = True,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    axes: Any = None,
) -> AxesArray:
    """Caterpillar plot of the cluster effects with intervals: deviations, coefficients or probabilities.

    Clusters whose interval excludes the vertical line are blue, the others grey. The line is at 0, at the fixed effect,
    or at the probability in a typical cluster. Up to 80 clusters are named on the axis; with more, only the five lowest
    and the five highest.

    Parameters
    ----------
    result : Fit or ResultTable
        A fit, or a table by `hierlogit.ranef` or `hierlogit.coef`, whose ``plot()`` is this function; `group`,
        `effect` and `sort` are the options for tables.
    group : str, optional
        One grouping factor; all of them if not given.
    effect : str, optional
        One effect, such as ``"Intercept"`` or ``"urban[Y]"``; all of them if not given.
    fixed : bool
        Whether fixed effects are added to the deviations, which gives the coefficients of each cluster, as in `coef`.
    scale : {"link", "response"}
        The logit scale, with one panel for each effect, or probabilities, with one panel for each grouping factor. A
        probability depends on all effects of the cluster; the effects of other factors are 0.
    at : mapping of str to value, optional
        With ``scale="response"``, values of predictors; those not given are at their mean or most frequent value, as in
        `datagrid`.
    sort : bool
        Whether each panel is sorted by its values, the highest on top; otherwise clusters are in the order of the data.
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
        If the model has no random effects, or no such grouping factor or effect, or options do not go together.
    PredictionError
        If a column in `at` is not a predictor of the model, or has no single value that can be used.

    See Also
    --------
    hierlogit.ranef, hierlogit.coef, hierlogit.predictions : Compute the values shown.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.caterpillar(fit, "district", "Intercept")  # doctest: +SKIP
    >>> hl.plots.caterpillar(fit, scale="response", at={"urban": "Y"})  # doctest: +SKIP
    """
    sort, fixed = flag("sort", sort, FitError), flag("fixed", fixed, FitError)
    response = choice("scale", scale, SCALES, FitError) == "response"
    if isinstance(result, ResultTable):
        _refuse_options(fixed=fixed, scale=response, at=at, ci_prob=ci_prob, ci_kind=ci_kind)
        panels, interval_text = of_table(result, group, effect), interval_title(result)
    else:
        require_fit(result)
        interval = Interval.of(ci_prob, ci_kind)
        panels = _panels(result, group, effect, fixed, response, at, interval)
        interval_text = interval_name(interval.prob, interval.kind)
    with house_style():
        if axes is None:
            most = max(len(panel.table) for panel in panels)
            drawn = new_axes(len(panels), width=max(4.2, 3.6 * len(panels)), height=height_for(most))
        else:
            drawn = given_axes(axes, len(panels), "one for each factor" if response else "one for each effect")
        for ax, panel in zip(drawn, panels, strict=True):
            _draw(ax, panel, interval_text, sort=sort)
            if len({other.factor for other in panels}) == 1 or response:
                set_title(ax, panel.title)
            else:
                set_title(ax, f"{panel.factor}: {panel.title}")
    return drawn


def _panels(
    fit: Fit, group: str | None, effect: str | None, fixed: bool, response: bool, at: Any, interval: Interval
) -> list[ClusterValues]:
    if response:
        _refuse_effects(effect, fixed)
        return probabilities(fit, group, at, interval)
    if at is not None:
        raise FitError("at= is for scale='response': effects on the logit scale are the same at all values.")
    return (coefficients if fixed else deviations)(fit, group, effect, interval)


def _refuse_options(**options: Any) -> None:
    given = [name for name, value in options.items() if value not in (None, False)]
    if given:
        raise FitError(f"{quoted_list(given)} {agree(given, 'is', 'are')} for fits; result is a table. Pass a fit.")


def _refuse_effects(effect: str | None, fixed: bool) -> None:
    if effect is not None:
        raise FitError(
            "effect= is for scale='link': the probability in a cluster depends on all of its effects. Leave effect= "
            "out, and choose values of predictors with at=."
        )
    if fixed:
        raise FitError("fixed=True is for scale='link': probabilities include the fixed effects. Leave fixed= out.")


def _draw(ax: Axes, panel: ClusterValues, interval_text: str, *, sort: bool) -> None:
    part = panel.table.sort_values(panel.centre) if sort else panel.table.iloc[::-1]
    low, high = (part[column].to_numpy() for column in columns_of_ends(part))
    middle, labels, positions = part[panel.centre].to_numpy(), names_of(part.index), np.arange(len(part))
    away = (low > panel.reference) | (high < panel.reference)
    width, size = marks_for(ax, len(part))
    colours = np.where(away, BLUE, GREY)
    ax.axvline(panel.reference, color=INK, linewidth=0.8, zorder=0.5)
    alpha = 0.6 if len(part) > MAX_NAMED else 1.0
    ax.hlines(positions, low, high, colors=list(colours), linewidth=width, alpha=alpha)
    ax.scatter(middle, positions, s=size, c=list(colours), linewidths=0, zorder=3)
    ax.margins(x=0.03)
    name_clusters(ax, labels, panel.factor, ordered=sort)
    lines = [*panel.quantity.split("\n"), f"{panel.centre} and {interval_text}; blue: excludes {panel.excluded}"]
    room = int(LABEL_WIDTH * panel_width(ax) / CHARACTER)
    ax.set_xlabel("\n".join(wrapped(line, room) for line in lines))
    describe(
        ax,
        f"{panel.described}, of {counted(len(part), panel.factor)}, with {interval_text}s: from {middle.min():.2f} "
        f"({labels[int(middle.argmin())]}) to {middle.max():.2f} ({labels[int(middle.argmax())]}); "
        f"{number_of(int(away.sum()), 'interval')} {agree(int(away.sum()), 'excludes', 'exclude')} {panel.excluded}.",
    )
