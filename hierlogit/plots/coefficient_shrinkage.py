"""Partial pooling of two coefficients of clusters, as arrows from no pooling to partial pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import FitError
from ..validation import listed, number_of, quoted_list, shortened, unknown_names
from ..variance.partial_pooling import Pooling
from .style import BLUE, GREY, MAX_NAMED, VERMILLION, counted, describe, narrow_legend, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]
#: Own estimates further than this many interquartile ranges from the quartiles may be outside of the axes.
FENCES = 1.5
#: Space around the points, as a share of their range; characters of a line of an axis label.
ROOM, LABEL_LENGTH = 0.06, 60


def two_coefficients(result: Pooling, effects: Any) -> tuple[str, str]:
    """The names of two coefficients that vary over the clusters.

    Raises
    ------
    FitError
        If they are not two of these coefficients.
    """
    known = list(result.coefficients.index.unique("effect"))
    if len(known) < 2:
        raise FitError(f"effects: only {quoted_list(known)} varies over the clusters of '{result.group}', not two.")
    given = listed(effects)
    if given is None or len(given) != 2 or not all(isinstance(name, str) for name in given) or given[0] == given[1]:
        raise FitError(f"effects={shortened(effects)} must name two of {quoted_list(known)}.")
    unknown = [name for name in given if name not in known]
    if unknown:
        raise FitError(unknown_names("effects", unknown, known, "coefficient", f"the clusters of '{result.group}'"))
    return given[0], given[1]


def draw_coefficients(ax: Axes, result: Pooling, effects: tuple[str, str], *, new: bool) -> None:
    """Draw an arrow for each cluster, from its own coefficients to those of the model."""
    table = result.coefficients
    own, partial, complete, fixed = (
        table[column].unstack("effect")[list(effects)].to_numpy()
        for column in ("unpooled", "partial", "complete", "fixed")
    )
    known = np.isfinite(own).all(axis=1)
    limits = [_limits(own[known, k], partial[:, k], (complete[0, k], fixed[0, k])) for k in (0, 1)]
    inside = np.array([(own[:, k] >= limits[k][0]) & (own[:, k] <= limits[k][1]) for k in (0, 1)]).all(axis=0)
    outside, crowded = int((known & ~inside).sum()), len(own) > MAX_NAMED
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    _arrows(ax, own[known], partial[known], crowded=crowded)
    size, alpha = (6.0, 0.35) if crowded else (16.0, 0.9)
    _points(ax, partial[known], s=size, color=BLUE, alpha=alpha, linewidths=0, zorder=3)
    _points(ax, partial[~known], s=size, facecolors="none", edgecolors=BLUE, alpha=alpha, linewidths=0.8, zorder=3)
    reference: dict[str, Any] = {"s": 46, "edgecolors": VERMILLION, "linewidths": 1.6, "zorder": 4}
    _points(ax, complete[:1], marker="D", facecolors=VERMILLION, **reference)
    _points(ax, fixed[:1], marker="o", facecolors="white", **reference)
    ax.set_xlabel(wrapped(f"{effects[0]}, logit scale", LABEL_LENGTH))
    ax.set_ylabel(wrapped(f"{effects[1]}, logit scale", LABEL_LENGTH))
    _legend(ax, result, int((~known).sum()), outside, new=new)
    _describe(ax, result, effects, own, partial, known, outside)


def _limits(own: FloatArray, partial: FloatArray, others: tuple[float, float]) -> tuple[float, float]:
    """Limits of an axis with all coefficients of the model, and those of the clusters' own that are not far out."""
    ends = [*partial, *others]
    if own.size:
        quartiles = np.quantile(own, [0.25, 0.75])
        reach = FENCES * np.ptp(quartiles)
        ends += [*own[(own >= quartiles[0] - reach) & (own <= quartiles[1] + reach)]]
    low, high = min(ends), max(ends)
    room = ROOM * (high - low) or 0.5
    return low - room, high + room


def _points(ax: Axes, at: FloatArray, **options: Any) -> None:
    ax.scatter(at[:, 0], at[:, 1], **options)


def _arrows(ax: Axes, own: FloatArray, partial: FloatArray, *, crowded: bool) -> None:
    from matplotlib.collections import LineCollection

    if crowded:
        lines = LineCollection(
            list(np.stack([own, partial], axis=1)), colors=GREY, linewidths=0.3, alpha=0.25, zorder=1
        )
        ax.add_collection(lines, autolim=False)
        return
    for start, end in zip(own, partial, strict=True):
        ax.annotate(
            "",
            xy=tuple(end),
            xytext=tuple(start),
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-|>,head_width=0.16,head_length=0.32",
                "color": GREY,
                "linewidth": 0.8,
                "shrinkA": 0,
                "shrinkB": 2.5,
                "clip_on": True,
                "clip_path": ax.patch,
            },
            zorder=2,
        )


def _legend(ax: Axes, result: Pooling, without: int, outside: int, *, new: bool) -> None:
    from matplotlib.lines import Line2D

    def mark(**options: Any) -> Line2D:
        return Line2D([], [], linestyle="none", **options)

    cut = f"; {outside:,} {'begins' if outside == 1 else 'begin'} outside" if outside else ""
    handles = [
        Line2D([], [], color=GREY, linewidth=1.0),
        mark(marker="D", color=VERMILLION, markersize=6),
        mark(marker="o", color=BLUE, markersize=5),
        mark(marker="o", markerfacecolor="white", markeredgecolor=VERMILLION, markeredgewidth=1.6, markersize=6.5),
    ]
    labels = [f"from no pooling{cut}", "complete pooling", "partial pooling", "fixed effects"]
    if without:
        handles.append(mark(marker="o", markerfacecolor="none", markeredgecolor=BLUE, markersize=5))
        labels.append(f"only partial pooling: {number_of(without, 'cluster')}")
    options: dict[str, Any] = {
        "title": counted(result.coefficients.index.unique("level").size, result.group),
        "alignment": "left",
        "handlelength": 1.6,
    }
    if new:
        ax.figure.legend(handles, labels, loc="outside upper left", ncols=2, columnspacing=1.2, **options)
    else:
        narrow_legend(ax, handles, labels, **options)


def _describe(
    ax: Axes,
    result: Pooling,
    effects: tuple[str, str],
    own: FloatArray,
    partial: FloatArray,
    known: npt.NDArray[np.bool_],
    outside: int,
) -> None:
    spreads = []
    if known.sum() > 1:
        for k in (0, 1):
            before, after = own[known, k].std(ddof=1), partial[known, k].std(ddof=1)
            spreads.append(f"{effects[k]} from an sd of {before:.2f} to {after:.2f}")
    moved = f" They shrink {' and '.join(spreads)}." if spreads else ""
    cut = f" {outside:,} of the arrows begin outside of the axes." if outside else ""
    without = int((~known).sum())
    rest = (
        f" {number_of(without, 'cluster')} without finite coefficients of their own have no arrow." if without else ""
    )
    describe(
        ax,
        f"Coefficients {effects[0]} and {effects[1]} of {counted(len(own), result.group)}, with arrows from those of "
        f"the cluster by itself to those of the model.{moved}{rest}{cut}",
    )
