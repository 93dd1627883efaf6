"""Wald's tests of the terms of a fit whose covariance matrix is computed from differences between clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engines.maximum.cluster_covariance import clustered_df, sandwich
from ..engines.maximum.cluster_scores import cluster_scores
from ..errors import FitError
from ..fits.row_clusters import Clusters
from ..progress import progress
from ..studies.cluster_jackknife import jackknife
from .term_ratios import Maxima, joint_wald

if TYPE_CHECKING:
    from ..estimate import Clustered, Estimate
    from ..fits.fit import Fit
    from ..model_spec import ModelSpec
    from .term_comparisons import TermComparison


def cluster_wald_tests(
    fit: Fit, estimate: Estimate, clustered: Clustered, comparisons: Sequence[TermComparison]
) -> list[dict[str, Any]]:
    """A row for each term of the fixed part: its columns jointly, in the larger of the models with and without it.

    Parameters
    ----------
    fit : Fit
        By maximum likelihood.
    estimate : Estimate
        Its estimate.
    clustered : Clustered
        The clusters of its covariance matrix.
    comparisons : sequence of TermComparison
    """
    maxima, rows = Maxima(fit, estimate), []
    of_fixed = [comparison for comparison in comparisons if comparison.tested]
    for comparison in progress(of_fixed, "Testing terms"):
        row: dict[str, Any] = {**comparison.names, "parameters": len(comparison.tested)}
        try:
            model, larger = maxima.of(comparison.larger)
            if larger is not estimate:
                larger = _with_covariance(model, larger, clustered)
        except FitError as error:
            rows.append({**row, "statistic": np.nan, "p_value": np.nan, "reference": str(error)})
        else:
            statistic, p_value = joint_wald(larger, comparison.tested)
            rows.append({**row, "statistic": statistic, "p_value": p_value})
    return rows


def _with_covariance(model: ModelSpec, estimate: Estimate, clustered: Clustered) -> Estimate:
    """The estimate of a smaller model with the covariance matrix from the same clusters."""
    if clustered.kind == "jackknife":
        covariance = jackknife(model, estimate, Clusters.of_rows(model, clustered.index, "cluster"), None)
    else:
        covariance = sandwich(estimate, cluster_scores(model, estimate, clustered.index).scores)
    return replace(estimate, covariance=covariance, df=clustered_df(estimate.df, clustered.count))
