"""Plot of naive and mixed coefficients: what it draws, with many and infinite ones, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import FitError
from hierlogit.results import IgnoringClusters


@pytest.fixture(scope="module")
def found(crossed: hl.results.Fit) -> IgnoringClusters:
    return hl.ignoring_clusters(crossed, replicates=40, seed=1)


def _points(ax: Any) -> list[Any]:
    return [one.get_offsets() for one in ax.collections if len(one.get_offsets()) and hasattr(one, "get_sizes")]


def _row_labels(ax: Any) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_draws_what_the_result_has(found: IgnoringClusters) -> None:
    axes = hl.plots.ignoring_clusters(found)
    chosen = [label for label in found.table.index if label != "Intercept"]
    assert _row_labels(axes[0]) == chosen
    scale = found.column_sds[chosen].to_numpy()
    points = {one.get_label(): one.get_offsets() for one in axes[0].collections if one.get_label()[0] != "_"}
    for words, kind in (("naive", "naive"), ("averaged", "average"), ("given", "conditional")):
        (drawn,) = (offsets for label, offsets in points.items() if words in label)
        np.testing.assert_allclose(drawn[:, 0], found.coefficients[kind, "estimate"][chosen] * scale)
    factors = _points(axes[1])[0][:, 0]
    np.testing.assert_allclose(factors, np.sqrt(found.table["design_effect"][chosen]))
    np.testing.assert_allclose(_points(axes[2])[0][:, 0], found.table["false_positive"][chosen])
    words = hl.plots.text_alternative(axes)
    assert "False-positive rates of naive tests at the 5% level: " in words
    assert "Factors by which naive standard errors should be multiplied: dose " in words


def test_without_simulations_there_are_two_panels(crossed: hl.results.Fit) -> None:
    assert hl.plots.ignoring_clusters(hl.ignoring_clusters(crossed, replicates=0)).shape == (2,)


def test_some_effects_in_any_order(found: IgnoringClusters) -> None:
    chosen = list(found.table.index[:0:-1])
    axes = found.plot(effects=chosen)
    assert _row_labels(axes[0]) == chosen
    assert axes[0].get_yticks()[0] > axes[0].get_yticks()[-1]


def test_infinite_estimates_are_written_and_no_text_is_cut(found: IgnoringClusters) -> None:
    coefficients = pd.DataFrame(found.coefficients)
    coefficients.loc["dose", ("naive", "estimate")] = np.inf
    coefficients.loc["dose", coefficients["naive"].columns[1:].map(lambda name: ("naive", name))] = np.nan
    long = "a very long name of a predictor [with a level that has a long name too]"
    renamed = {"dose": long}
    result = replace(
        found,
        coefficients=coefficients.rename(index=renamed),
        table=found.table.rename(index=renamed),
        column_sds=found.column_sds.rename(index=renamed),
    )
    axes = hl.plots.ignoring_clusters(result)
    assert [text.get_text().strip() for text in axes[0].texts] == ["∞"]
    figure = axes[0].figure
    figure.canvas.draw()
    for ax in axes:
        for text in [ax.xaxis.label, *ax.get_yticklabels()]:
            box = text.get_window_extent()
            assert box.x0 >= -1
            assert box.x1 <= figure.bbox.x1 + 1
            assert box.y0 >= -1


def test_what_cannot_be_drawn_is_said(found: IgnoringClusters, make_fit: Callable[..., hl.results.Fit]) -> None:
    with pytest.raises(FitError, match=r"Compute it first: hl\.ignoring_clusters\(fit\)"):
        hl.plots.ignoring_clusters(found.table)  # type: ignore[arg-type]
    with pytest.raises(FitError, match="'nonsense'"):
        hl.plots.ignoring_clusters(found, ["nonsense"])
    _, axes = plt.subplots(1, 2)
    with pytest.raises(FitError, match="needs 3 Axes"):
        hl.plots.ignoring_clusters(found, axes=axes)
    rows = pd.DataFrame({"y": np.tile([0, 1, 1], 8), "g": np.repeat(np.arange(6), 4)})
    alone = hl.ignoring_clusters(make_fit("y ~ 1 + (1 | g)", rows, draws=20))
    with pytest.raises(FitError, match="no coefficient besides the intercept"):
        hl.plots.ignoring_clusters(alone)
    assert _row_labels(hl.plots.ignoring_clusters(alone, ["Intercept"])[0]) == ["Intercept"]
