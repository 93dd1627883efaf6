"""Coefficients of each cluster by no, complete and partial pooling, on the logit scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..density.linear_predictor import Draws, linear_predictor
from ..design.grouping import GroupBlock
from ..fits.central_draw import central_draw
from ..fits.fit import Fit
from ..summaries.cluster_coefficients import VaryingCoefficients, coefficient_table
from ..summaries.intervals import Interval
from .no_pooling import unpooled_estimates

FloatArray = npt.NDArray[np.float64]


def pooled_coefficients(fit: Fit, factor: GroupBlock, complete: Fit | None, interval: Interval) -> pd.DataFrame:
    """The coefficients that vary over the clusters of a factor, by no, complete and partial pooling.

    Parameters
    ----------
    fit : Fit
    factor : GroupBlock
    complete : Fit or None
        The fit without random effects; None if it has no coefficients.
    interval : Interval

    Returns
    -------
    pandas.DataFrame
        Indexed by ``level`` and ``effect``: ``unpooled``, the cluster by itself, and its standard error ``se``, both
        NaN where the maximum is not finite or the cluster's rows do not tell the coefficient; ``complete``; ``fixed``,
        the fixed effect; ``partial`` with its interval.
    """
    design = fit.model.design
    varying, point = VaryingCoefficients.of(design, factor), central_draw(fit)
    table = coefficient_table(fit, factor, interval).droplevel("group")
    own, covariances = _unpooled(fit, factor, varying, point)
    pooled = (
        {}
        if complete is None or complete.estimate is None
        else dict(zip(complete.estimate.fixed_effects, complete.estimate.beta, strict=True))
    )
    clusters = len(factor.levels)
    return pd.DataFrame(
        {
            "unpooled": own.ravel(),
            "se": np.sqrt(np.diagonal(covariances, axis1=1, axis2=2)).ravel(),
            "complete": np.tile([pooled.get(label, 0.0) for label in varying.labels], clusters),
            "fixed": np.tile(varying.fixed_part(point.beta)[0], clusters),
            "partial": table["mean" if fit.estimate is None else "estimate"],
            **{name: table[name] for name in interval.columns},
        },
        index=table.index,
    )


def _unpooled(
    fit: Fit, factor: GroupBlock, varying: VaryingCoefficients, point: Draws
) -> tuple[FloatArray, FloatArray]:
    """The coefficients of each cluster by itself, shape (J, r), with their covariance matrices, shape (J, r, r).

    What does not vary over the clusters, and the effects of other factors, are as in the fit.
    """
    design, effects = fit.model.design, point.effects[factor.name]
    eta = linear_predictor(point, design.training_rows())[0]
    if len(varying.labels) <= len(factor.effects):
        columns, start = varying.columns, varying.of_clusters(point.beta, effects)[0]
        fixed, loadings = np.zeros(len(varying.labels)), np.eye(len(varying.labels))
    else:  # an effect that changes several coefficients, such as that of a sum of predictors
        columns, start = factor.Z, effects[0]
        fixed, loadings = varying.fixed_part(point.beta)[0], varying.loadings
    offset = eta - np.einsum("nm,nm->n", columns, start[factor.index])
    outcome = design.outcome
    own, covariances = unpooled_estimates(outcome.y, outcome.trials, offset, columns, factor.index, start, loadings)
    return fixed + own, covariances
