"""Curves of the predicted probability against a predictor, for each cluster, a typical one and the population."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..design.grouping import GroupBlock
from ..effects.datagrid import datagrid
from ..effects.predictions import predictions
from ..errors import PredictionError
from ..fits.arguments import require_fit
from ..fits.fit import Fit
from ..fits.repeated_findings import repeats_findings
from ..summaries.intervals import Interval
from ..validation import agree, flag, listed, mapping, one_of, probability, quoted_list, text, unknown_names
from .cluster_rows import constant_values, others_typical, rows_of_clusters
from .predictor_axis import draw_rug, mark_levels
from .style import (
    BLUE,
    CHARACTER,
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
    interval_name,
    names_of,
    narrow_legend,
    new_axes,
    panel_width,
    probability_label,
    require_axes,
    set_title,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]

#: Points along a numeric predictor.
POINTS = 60
#: With more clusters than this, quantiles of their curves are drawn in place of the curves.
MAX_LINES = 100
#: Shares of the clusters inside the ribbons that show these quantiles.
RIBBONS = (0.9, 0.5)
#: Draws for the curves of clusters, draws if ribbons are shown, and numbers computed at once.
CLUSTER_DRAWS, CROWD_DRAWS, CHUNK = 400, 200, 4 * 10**6
#: Dashes of the population's curve; horizontal offset of the two means from the clusters if the predictor has levels.
DASHES, ASIDE = (0, (3.0, 1.2)), 0.07
#: Dots of the edges of the band of clusters; width of its bars if the predictor has levels.
DOTS, BAND_BAR = (0, (1.0, 1.6)), 16.0
#: Largest width of a figure, and its width for each level, in inches.
WIDEST, LEVEL_WIDTH = 13.0, 0.5
#: Largest numbers of levels of a predictor on the axis, and of one that defines panels.
MAX_LEVELS, MAX_PANELS = 30, 12


@dataclass(frozen=True)
class _Curve:
    """A curve with the ends of its interval, each of shape (points,)."""

    mean: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class _Panel:
    """Curves of a panel: those of a typical cluster, of the population, and of all clusters, shape (J, points).

    The band is between two quantiles of the distribution of clusters, shape (2, points). For models without random
    effects there is only the first curve.
    """

    title: str
    typical: _Curve
    average: _Curve | None
    clusters: FloatArray
    band: FloatArray | None


@repeats_findings
def curves(
    fit: Fit,
    x: str,
    *,
    group: str | None = None,
    at: Mapping[str, Any] | None = None,
    by: str | None = None,
    cluster_band: float | None = None,
    rug: bool = False,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
    axes: Any = None,
) -> AxesArray:
    """Plot of the predicted probability against a predictor, for each cluster, a typical cluster and the population.

    Thin lines are the posterior means of the clusters' curves; with more than 100 clusters, ribbons show the central
    50% and 90% of them. The effects of other grouping factors are 0. The thick line is the conditional curve, that of a
    typical cluster with effects of 0. The dashed line is the population-averaged curve, the mean over the distribution
    of clusters of all grouping factors. It is flatter, as the average of steep curves with different intercepts. Both
    have intervals. For a model without random effects there is only one curve.

    Parameters
    ----------
    fit : Fit
    x : str
        The predictor on the axis: from its smallest to its largest value if it is numeric, otherwise level by level.
    group : str, optional
        The grouping factor whose clusters are drawn; the first in the formula if not given.
    at : mapping of str to value, optional
        Values of other predictors; those not given are at their mean or most frequent value, as in `datagrid`.
    by : str, optional
        A predictor with few values, each of which gets a panel.
    cluster_band : float, optional
        Share of all clusters in a band about the typical one: with 0.8, between the quantiles at 10 and 90 % of the
        fitted distribution of the clusters of `group`. No band if not given. More of the drawn clusters may lie inside,
        since their own curves are shrunken.
    rug : bool
        Whether ticks along the axis show the values in the rows; for numeric predictors only.
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
        If the model has no such grouping factor.
    PredictionError
        If a column is not a predictor of the model, or cannot be used in this place.

    See Also
    --------
    hierlogit.predictions, hierlogit.datagrid : Compute the values shown; those of the band with
        ``clusters={group: [0.1, 0.9]}`` and ``"typical"`` for other factors.
    hierlogit.conditional_vs_average : Coefficients of both kinds of curves.

    Notes
    -----
    The curve of a cluster covers the whole range of `x`, even where the cluster has no rows.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.curves(fit, "age", by="urban", at={"livch": "0"}, cluster_band=0.8)  # doctest: +SKIP
    """
    require_fit(fit)
    require_axes(axes)
    interval = Interval.of(ci_prob, ci_kind)
    factor = fit.model.design.chosen_groups(group)[0] if fit.model.design.groups or group is not None else None
    fixed = {} if at is None else mapping("at", at, PredictionError, "values by predictor, {'age': 30}")
    if cluster_band is not None:
        cluster_band = probability("cluster_band", cluster_band, PredictionError)
        if factor is None:
            raise PredictionError("cluster_band: the model has no random effects, by which clusters could differ.")
    _check_columns(fit, factor, x, by, fixed)
    frame = fit.model.design.table.frame
    values, numeric = _along(fit, x)
    panels = _levels(frame[by], by, MAX_PANELS) if by is not None else [None]
    if flag("rug", rug, PredictionError) and not numeric:
        raise PredictionError(f"rug=True needs a numeric predictor; '{x}' has levels.")
    # Computed before a figure is made, so that an error leaves none behind.
    grids = [datagrid(fit, {**fixed, x: list(values), **({} if by is None else {by: level})}) for level in panels]
    computed = [
        _compute(fit, factor, grid, interval, cluster_band, "" if by is None else f"{by} = {level}")
        for grid, level in zip(grids, panels, strict=True)
    ]
    with house_style():
        if axes is None:
            width = 6.4 if len(panels) == 1 else min(3.4 * len(panels), WIDEST)
            if not numeric:
                width = float(np.clip(len(panels) * (0.9 + LEVEL_WIDTH * len(values)), width, WIDEST))
            drawn = new_axes(len(panels), width=width, height=4.0, sharey=True)
        else:
            drawn = given_axes(axes, len(panels), f"one for each value of '{by}'" if by else "one panel")
        positions = np.asarray(values, dtype=float) if numeric else np.arange(len(values), dtype=float)
        for k, (ax, level, panel) in enumerate(zip(drawn, panels, computed, strict=True)):
            _draw_panel(ax, panel, x, positions, None if numeric else values)
            if rug:
                draw_rug(ax, frame[x] if by is None else frame.loc[frame[by] == level, x])
            if k == 0 or axes is not None:
                ax.set_ylabel(probability_label(fit))
            _describe(
                ax,
                fit,
                name="" if factor is None else factor.name,
                x=x,
                names=None if numeric else names_of(values),
                positions=positions,
                panel=panel,
                interval=interval,
                cluster_band=cluster_band,
            )
        _legend(
            drawn,
            _entries(fit, factor, interval, cluster_band, numeric),
            constant_values(fit, grids[-1], {x, by}),
            new=axes is None,
        )
    return drawn


def _check_columns(fit: Fit, group: GroupBlock | None, x: str, by: str | None, at: Mapping[str, Any]) -> None:
    predictors, clusters = fit.model.design.predictors, set(() if group is None else group.columns)
    usable = [name for name in predictors if name not in clusters]
    for role, name in (("x", x), ("by", by), *(("at", name) for name in at)):
        if name is None and role == "by":
            continue
        if text(role, name, PredictionError) in usable:
            continue
        if group is not None and name in clusters:
            raise PredictionError(
                f"{role}: '{name}' is a column of the clusters of '{group.name}', which are all drawn; "
                f"{one_of(usable)}."
            )
        raise PredictionError(unknown_names(role, [name], usable, "predictor"))
    chosen = [name for name in (x, by, *at) if name is not None]
    twice = sorted({name for name in chosen if chosen.count(name) > 1})
    if twice:
        raise PredictionError(f"only one of x, by and at can name {quoted_list(twice)}.")
    several = [name for name, value in at.items() if listed(value) is not None]
    if several:
        raise PredictionError(
            f"at: {quoted_list(several)} {agree(several, 'has', 'have')} more than one value. Give one value, or pass "
            "by= for a panel for each value."
        )


def _along(fit: Fit, x: str) -> tuple[Any, bool]:
    """Values of `x` to predict for, and whether the axis is numeric (otherwise they are levels)."""
    design = fit.model.design
    values = design.table.frame[x]
    if x in design.level_columns or values.dtype.kind not in "iuf" or values.nunique() <= 2:
        return _levels(values, x, MAX_LEVELS), False
    return np.linspace(values.min(), values.max(), POINTS), True


def _levels(values: pd.Series[Any], name: str, most: int) -> list[Any]:
    levels = list(values.cat.categories) if hasattr(values, "cat") else sorted(values.unique().tolist())
    if len(levels) > most:
        raise PredictionError(
            f"'{name}' has {len(levels):,} different values; at most {most} can be drawn. Choose another predictor."
        )
    return levels


def _compute(
    fit: Fit,
    group: GroupBlock | None,
    grid: pd.DataFrame,
    interval: Interval,
    cluster_band: float | None,
    title: str,
) -> _Panel:
    typical = _curve(fit, grid, "typical", interval)
    if group is None:
        return _Panel(title, typical, None, np.empty((0, len(grid))), None)
    average, clusters, band = _curve(fit, grid, "average", interval), _cluster_means(fit, group, grid), None
    if cluster_band is not None:
        ends = [(1 - cluster_band) / 2, (1 + cluster_band) / 2]
        band = predictions(fit, grid, clusters=others_typical(fit, group, ends))["mean"].to_numpy().reshape(2, -1)
    return _Panel(title, typical, average, clusters, band)


def _curve(fit: Fit, grid: pd.DataFrame, clusters: str, interval: Interval) -> _Curve:
    table = predictions(fit, grid, clusters=clusters, ci_prob=interval.prob, ci_kind=interval.kind)
    mean, low, high = (table[name].to_numpy() for name in ("mean", *interval.columns))
    return _Curve(mean, low, high)


def _cluster_means(fit: Fit, group: GroupBlock, grid: pd.DataFrame) -> FloatArray:
    """Posterior mean probability of each cluster at each row of `grid`, shape (J, points)."""
    alone = others_typical(fit, group, "observed")
    points, clusters = len(grid), len(group.levels)
    wanted = CROWD_DRAWS if clusters > MAX_LINES else CLUSTER_DRAWS
    draws = min(wanted, fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"])
    step = max(1, CHUNK // (draws * points))
    means = np.empty((clusters, points))
    for start in range(0, clusters, step):
        part = slice(start, start + step)
        predicted = predictions(fit, rows_of_clusters(fit, group, grid, part), clusters=alone, num_draws=draws)
        means[part] = predicted["mean"].to_numpy().reshape(-1, points)
    return means


def _draw_panel(ax: Axes, panel: _Panel, x: str, positions: FloatArray, levels: Any) -> None:
    """Curves of the clusters, the typical cluster and the average; `levels` are None where x is numeric."""
    numeric = levels is None
    if panel.band is not None:
        _draw_cluster_band(ax, positions, panel.band, numeric)
    _draw_clusters(ax, positions, panel.clusters, numeric)
    _draw_curves(ax, positions, panel, numeric)
    if not numeric:
        mark_levels(ax, levels)
    ax.set_xlabel(x)
    ax.set_ylim(-0.02, 1.02)
    set_title(ax, wrapped(panel.title, int(panel_width(ax) / CHARACTER)))


def _draw_cluster_band(ax: Axes, positions: FloatArray, band: FloatArray, numeric: bool) -> None:
    if not numeric:
        ax.vlines(positions, band[0], band[1], colors=PALE, linewidth=BAND_BAR, zorder=0.5)
        return
    ax.fill_between(positions, band[0], band[1], color=PALE, alpha=0.5, linewidth=0, zorder=0.5)
    for edge in band:  # over the lines or ribbons of many clusters
        ax.plot(positions, edge, color=INK, linewidth=0.9, linestyle=DOTS, zorder=2.5)


def _draw_clusters(ax: Axes, positions: FloatArray, clusters: FloatArray, numeric: bool) -> None:
    if not len(clusters):
        return
    if len(clusters) <= MAX_LINES:
        width = float(np.clip(4 / len(clusters) ** 0.5, 0.5, 1.2))
        options: dict[str, Any] = {} if numeric else {"marker": "o", "markersize": 2.5, "markeredgewidth": 0}
        for curve in clusters:
            ax.plot(positions, curve, color=GREY, linewidth=width, alpha=0.45, zorder=1, **options)
        return
    for share, alpha, bar in zip(RIBBONS, (0.25, 0.45), (1.5, 5.0), strict=True):
        low, high = np.quantile(clusters, [(1 - share) / 2, (1 + share) / 2], axis=0)
        if numeric:
            ax.fill_between(positions, low, high, color=GREY, alpha=alpha, linewidth=0, zorder=1)
        else:
            ax.vlines(positions, low, high, colors=GREY, alpha=alpha + 0.2, linewidth=bar, zorder=1)


def _draw_curves(ax: Axes, positions: FloatArray, panel: _Panel, numeric: bool) -> None:
    """Draw the two mean curves, that of a typical cluster on top; at levels, on either side of the clusters."""
    if numeric:
        if panel.average is not None:
            _draw_band(ax, positions, panel.average, VERMILLION, linewidth=2.0, linestyle=DASHES)
        _draw_band(ax, positions, panel.typical, BLUE, linewidth=2.4)
        return
    aside = 0.0 if panel.average is None else ASIDE
    if panel.average is not None:
        _draw_points(ax, positions + aside, panel.average, VERMILLION, "D", 5.0)
    _draw_points(ax, positions - aside, panel.typical, BLUE, "o", 6.0)


def _draw_band(ax: Axes, positions: FloatArray, curve: _Curve, colour: str, **options: Any) -> None:
    ax.fill_between(positions, curve.low, curve.high, color=colour, alpha=0.22, linewidth=0, zorder=2)
    ax.plot(positions, curve.mean, color=colour, zorder=3, **options)


def _draw_points(ax: Axes, positions: FloatArray, curve: _Curve, colour: str, marker: str, size: float) -> None:
    ax.vlines(positions, curve.low, curve.high, colors=colour, linewidth=2.2, zorder=2)
    ax.plot(positions, curve.mean, color=colour, linestyle="none", marker=marker, markersize=size, zorder=3)


def _legend(drawn: AxesArray, entries: tuple[list[Any], list[str]], others: str, *, new: bool) -> None:
    handles, labels = entries
    options: dict[str, Any] = {"ncols": 2, "handlelength": 2.0, "alignment": "left", "title_fontsize": SMALL + 1}
    if others:
        options["title"] = f"at {others}"
    if new:
        drawn[0].figure.legend(handles, labels, loc="outside upper left", **options)
    else:
        narrow_legend(drawn[0], handles, labels, **{**options, "ncols": 1})


def _entries(
    fit: Fit, group: GroupBlock | None, interval: Interval, cluster_band: float | None, numeric: bool
) -> tuple[list[Any], list[str]]:
    """Handles and labels of the legend: the curves, the clusters and their band."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    interval_text = interval_name(interval.prob, interval.kind)
    points: Any = {} if numeric else {"marker": "o", "linestyle": "none"}
    handles: list[Any] = [Line2D([], [], color=BLUE, linewidth=2.4, **points)]
    if group is None:
        return handles, [f"probability, {interval_text}"]
    many = len(group.levels) > MAX_LINES
    handles.append(Patch(color=GREY, alpha=0.45, linewidth=0) if many else Line2D([], [], color=GREY, linewidth=1))
    points = {"linestyle": DASHES} if numeric else {"marker": "D", "linestyle": "none", "markersize": 5}
    handles.append(Line2D([], [], color=VERMILLION, linewidth=2.0, **points))
    shares = " and ".join(f"{share:.0%}" for share in sorted(RIBBONS))
    clusters = counted(len(group.levels), group.name)
    factors = " (all factors)" if len(fit.model.design.groups) > 1 else ""
    labels = [
        f"conditional (typical cluster), {interval_text}",
        f"middle {shares} of {clusters}" if many else clusters,
        f"population average{factors}, {interval_text}",
    ]
    if cluster_band is not None:
        handles.append(Patch(facecolor=PALE, edgecolor=INK if numeric else PALE, linestyle=DOTS, linewidth=0.9))
        labels.append(f"middle {100 * cluster_band:g}% of the fitted distribution of {group.name}")
    return handles, labels


def _describe(
    ax: Axes,
    fit: Fit,
    *,
    name: str,
    x: str,
    names: list[str] | None,
    positions: FloatArray,
    panel: _Panel,
    interval: Interval,
    cluster_band: float | None,
) -> None:
    ends = (f"{positions[0]:.3g}", f"{positions[-1]:.3g}") if names is None else (names[0], names[-1])
    where = f" ({panel.title})" if panel.title else ""
    text = f"{probability_label(fit)} against {x}{where}: {_ends(panel.typical, ends)}"
    interval_text = interval_name(interval.prob, interval.kind)
    if panel.average is None:
        describe(ax, f"{text}, with its {interval_text}.")
        return
    spread = "spread of the " if len(panel.clusters) > MAX_LINES else ""
    lowest, highest = panel.clusters[:, -1].min(), panel.clusters[:, -1].max()
    band_text = ""
    if panel.band is not None and cluster_band is not None:
        low, high = panel.band[:, -1]
        band_text = (
            f" The middle {100 * cluster_band:g}% of the fitted distribution of {name} is between "
            f"{low:.2f} and {high:.2f} there."
        )
    describe(
        ax,
        f"{text} in a typical cluster and {_ends(panel.average, ends)} on average over clusters, with their "
        f"{interval_text}s, and the {spread}curves of {counted(len(panel.clusters), name)}, which at {ends[1]} lie "
        f"between {lowest:.2f} and {highest:.2f}.{band_text}",
    )


def _ends(curve: _Curve, ends: tuple[str, str]) -> str:
    return f"{curve.mean[0]:.2f} at {ends[0]}, {curve.mean[-1]:.2f} at {ends[1]}"
