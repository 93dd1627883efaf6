"""Pictures of a validation: what they draw, their words, and many clusters."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.diagnostics.new_clusters.calibration_curves import cluster_curves, smooth_curve
from hierlogit.diagnostics.new_clusters.cluster_measures import cluster_intervals


@pytest.fixture(scope="module")
def found() -> hl.results.Validation:
    fit = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))
    return hl.validate(fit)


def test_draws_the_measures_with_their_mean_and_a_new_cluster(found: hl.results.Validation) -> None:
    axes = hl.plots.validation(found, ["oe", "auc"])
    assert len(axes) == 2
    order = found.table.sort_values("rows", kind="stable")
    for ax, measure in zip(axes, ("oe", "auc"), strict=True):
        expected = cluster_intervals(order, measure, found.interval)
        drawn = np.concatenate([np.asarray(one.get_offsets()) for one in ax.collections if len(one.get_offsets())])
        at = {y: x for x, y in drawn}
        low, high = ax.get_xlim()
        for position, value in enumerate(expected["value"], start=3):
            if np.isnan(value):
                assert position not in at
            else:
                assert at[position] == pytest.approx(np.clip(value, low, high))
        assert at[1] == pytest.approx(found.pooled.loc[measure, "estimate"])
        absent = int(expected["value"].isna().sum())
        assert (f"not estimable: {absent} of 15" in ax.get_xlabel()) == (absent > 0)
    names = [label.get_text() for label in axes[0].get_yticklabels()]
    assert names[:3] == ["a new cluster", "mean of clusters", ""]
    assert names[3:] == [str(herd) for herd in order.index]


def test_is_told_in_words(found: hl.results.Validation) -> None:
    text = hl.plots.text_alternative(found.plot(measures="auc"))
    mean, absent = float(found.pooled["estimate"]["auc"]), int(found.pooled["not_estimable"]["auc"])
    assert f"AUC within the cluster of 15 clusters of herd, estimable in {15 - absent}" in text
    assert f"mean {mean:.3f}" in text
    curves = hl.plots.text_alternative(hl.plots.validation_curves(found))
    assert "clusters have no curve" in curves


def test_curves_of_clusters_and_of_all_rows(found: hl.results.Validation) -> None:
    (ax,) = hl.plots.validation_curves(found)
    rows = found.predictions
    p, y, trials = (rows[name].to_numpy() for name in ("probability", "y", "trials"))
    index = found.table.index.get_indexer(pd.Index(rows["cluster"]))
    own, overall = cluster_curves(p, y, trials, index, 15), smooth_curve(p, y, trials)
    lines = ax.get_lines()
    assert len(lines) == len(own) + 2  # and the diagonal
    for line, curve in zip(lines, own.values(), strict=False):
        np.testing.assert_allclose(line.get_ydata(), curve.observed)
    assert overall is not None
    np.testing.assert_allclose(lines[len(own)].get_ydata(), overall.observed)
    assert ax.get_legend().get_texts()[0].get_text() == f"{len(own)} of 15 clusters of herd"


def test_the_smooth_curve_finds_the_true_one() -> None:
    random = np.random.default_rng(1)
    p = random.uniform(0.05, 0.95, 40_000)
    true = np.where(p < 0.5, p, 0.5 + (p - 0.5) / 3)
    curve = smooth_curve(p, (random.uniform(size=len(p)) < true).astype(float), np.ones(len(p)))
    assert curve is not None
    inside = np.abs(curve.predicted - 0.5) > 0.1  # away from the corner
    expected = np.interp(curve.predicted, [0, 0.5, 1], [0, 0.5, 2 / 3])
    np.testing.assert_allclose(curve.observed[inside], expected[inside], atol=0.03)
    assert smooth_curve(np.full(4, 0.3), np.array([0.0, 1, 0, 0]), np.ones(4)) is None


def test_many_clusters_are_named_at_the_ends(clustered_rows: Callable[..., pd.DataFrame]) -> None:
    fit = hl.Model("healed ~ dose + (1 | clinic)", clustered_rows(100, 8)).fit(hl.Laplace(seed=1))
    found = hl.validate(fit, folds=4, seed=1)
    axes = hl.plots.validation(found)
    assert axes[0].get_ylabel() == "100 clusters of clinic, the largest on top"
    assert "mean of clusters" in [text.get_text() for text in axes[0].texts]
    figure = axes[0].figure
    figure.canvas.draw()
    for ax in axes:
        box = ax.xaxis.label.get_window_extent()
        assert 0 <= box.x0 <= box.x1 <= figure.bbox.width


def test_works_on_given_axes_and_refuses_what_is_none(found: hl.results.Validation) -> None:
    _, axes = plt.subplots(1, 2)
    assert hl.plots.validation(found, ["oe", "brier"], axes=axes)[1] is axes[1]
    with pytest.raises(hl.errors.FitError, match="needs 3 Axes"):
        hl.plots.validation(found, axes=axes)
    with pytest.raises(hl.errors.FitError, match="no measure 'area'"):
        hl.plots.validation(found, "area")
    for plot in (hl.plots.validation, hl.plots.validation_curves):
        with pytest.raises(hl.errors.FitError, match="hl.validate"):
            plot(found.table)  # type: ignore[arg-type]
