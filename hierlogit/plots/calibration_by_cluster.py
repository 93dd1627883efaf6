"""Calibration curves of a validation: one for each cluster, and a smooth one of all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..diagnostics.new_clusters.calibration_curves import CalibrationCurve, cluster_curves, smooth_curve
from ..diagnostics.new_clusters.validate import Validation
from ..errors import FitError
from ..validation import instance
from .reliability_curve import reliability_panel, trial_bars
from .style import BLUE, GREY, AxesArray, describe, given_axes, house_style, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]
#: With more clusters than this, their curves are thin and pale.
CROWD = 30


def validation_curves(result: Validation, *, ax: Any = None) -> AxesArray:
    """Calibration curves of the clusters that were left out, with a smooth curve of all rows.

    The blue curve is a logistic regression of the outcomes on a restricted cubic spline of the predicted logits, over
    all rows. The grey ones are logistic regressions on the logits in single clusters, each over the range of the
    cluster's predictions. On the diagonal, events happen as often as predicted. The bars at the bottom are a histogram
    of the trials.

    Parameters
    ----------
    result : Validation
        From `hierlogit.validate`.
    ax : matplotlib Axes, optional
        A new figure if not given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,)

    Raises
    ------
    FitError
        If `result` is not a validation.

    See Also
    --------
    hierlogit.validate : Computes the predictions.
    hierlogit.plots.calibration : The curve of a fit's own rows, with a band.

    Examples
    --------
    >>> import hierlogit as hl
    >>> hl.plots.validation_curves(hl.validate(fit))  # doctest: +SKIP
    """
    instance("result", result, Validation, FitError, "a Validation", "Compute it first: hl.validate(fit).")
    rows = result.predictions.dropna(subset=["probability"])
    p, y, trials = (rows[name].to_numpy() for name in ("probability", "y", "trials"))
    index = result.table.index.get_indexer(pd.Index(rows["cluster"]))
    curves = cluster_curves(p, y, trials, index, len(result.table))
    overall = smooth_curve(p, y, trials)
    with house_style():
        drawn = new_axes(1, width=4.6, height=4.4) if ax is None else given_axes(ax, 1, "the calibration curves")
        _draw(drawn[0], result, p, trials, list(curves.values()), overall)
    return drawn


def _draw(
    ax: Axes,
    result: Validation,
    p: FloatArray,
    trials: FloatArray,
    curves: list[CalibrationCurve],
    overall: CalibrationCurve | None,
) -> None:
    trial_bars(ax, p, trials)
    crowded = len(curves) > CROWD
    for number, curve in enumerate(curves):
        name = f"{len(curves):,} of {len(result.table):,} clusters of {result.group}" if number == 0 else None
        width, alpha = (0.5, 0.45) if crowded else (1.0, 0.8)
        ax.plot(curve.predicted, curve.observed, color=GREY, linewidth=width, alpha=alpha, zorder=1.8, label=name)
    if overall is not None:
        ax.plot(overall.predicted, overall.observed, color=BLUE, linewidth=2.0, zorder=2.5, label="all rows, smooth")
    reliability_panel(ax, f"Predicted probability of {result.event}", f"Observed probability of {result.event}")
    if curves or overall is not None:
        ax.legend(loc="upper left", handlelength=1.4, frameon=True, framealpha=0.85, edgecolor="none")
    slopes = result.pooled.loc["calibration_slope"]
    described = ""
    if overall is not None:
        (low, high), (first, last) = (values[[0, -1]] for values in (overall.predicted, overall.observed))
        described = f", a smooth curve of all rows from {first:.2f} at {low:.2f} to {last:.2f} at {high:.2f}"
    describe(
        ax,
        f"Calibration curves of {len(curves):,} clusters of {result.group} that were left out{described}; mean "
        f"calibration slope {slopes['estimate']:.2f}. {len(result.table) - len(curves):,} clusters have no curve.",
    )
