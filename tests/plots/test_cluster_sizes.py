from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.diagnostics.data.check_data import DataCheck, check_data
from hierlogit.plots.cluster_sizes import check_data as draw

Rows = Callable[..., pd.DataFrame]


def _report(formula: str, frame: pd.DataFrame, **options: Any) -> DataCheck:
    return check_data(hl.Model(formula, frame), **options)


def _heights(ax: Any) -> dict[float, float]:
    """Height of the stack of bars at each place where there is one."""
    heights: dict[float, float] = {}
    for bar in ax.patches:
        middle = round(bar.get_x() + bar.get_width() / 2, 6)
        heights[middle] = max(heights.get(middle, 0), bar.get_y() + bar.get_height())
    return {middle: height for middle, height in heights.items() if height}


def test_bars_count_clusters() -> None:
    frame = hl.datasets.load("bacteria")
    axes = draw(_report("y ~ trt + (1 | ID)", frame))
    assert axes.shape == (2,)
    clusters = frame.groupby("ID")["y"].agg(["size", "sum"])
    assert _heights(axes[0]) == clusters["size"].value_counts().to_dict()
    assert _heights(axes[1]) == clusters["sum"].value_counts().to_dict()
    both, single = axes[1].containers
    assert sum(bar.get_height() for bar in both) == (clusters["size"] > clusters["sum"]).sum()
    assert sum(bar.get_height() for bar in single) == (clusters["size"] == clusters["sum"]).sum()
    assert axes[1].get_title(loc="center") == "26 with one outcome only"
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["both outcomes", "one outcome only"]


def test_line_where_reliability_is_one_half() -> None:
    frame = hl.datasets.load("contraception")
    share = frame["use"].mean()
    axes = draw(_report("use ~ age + (1 | district)", frame, sd=0.5))
    (line,) = axes[0].get_lines()
    assert line.get_xdata()[0] == pytest.approx(4 / (share * (1 - share)))
    assert "if the sd is 0.5" in axes[0].texts[0].get_text()
    far = draw(_report("use ~ age + (1 | district)", frame, sd=0.01))
    assert not far[0].get_lines()
    assert "reliability 1/2 at 41,9" in far[0].texts[0].get_text()
    assert far[0].get_xlim()[1] < 150
    none = draw(_report("use ~ age + (0 + age | district)", frame))
    assert not none[0].get_lines()
    assert not none[0].texts


def test_two_panels_for_each_factor(clustered_rows: Rows) -> None:
    axes = draw(_report("healed ~ dose + (1 | clinic) + (1 | reader)", clustered_rows(30, 12)))
    assert axes.shape == (4,)
    assert [ax.get_xlabel() for ax in axes[::2]] == ["Trials per cluster of clinic", "Trials per cluster of reader"]
    assert sum(_heights(axes[2]).values()) == 4
    assert len(axes[0].figure.axes) == 4


def test_sizes_that_differ_by_powers() -> None:
    sizes = np.array([1, 1, 2, 3, 3, 5, 8, 13, 2000])
    frame = pd.DataFrame({"g": np.repeat(np.arange(9), sizes)})
    frame["y"] = np.arange(len(frame)) % 2
    axes = draw(_report("y ~ 1 + (1 | g)", frame))
    for ax in axes:
        assert ax.get_xscale() == "symlog"
        assert sum(_heights(ax).values()) == 9
    axes[0].figure.canvas.draw()
    labels = [text.get_text() for text in axes[0].get_xticklabels()]
    assert "1,000" in labels
    assert not any("$" in label for label in labels)


def test_is_told_in_words() -> None:
    axes = draw(_report("y ~ trt + (1 | ID)", hl.datasets.load("bacteria")))
    text = hl.plots.text_alternative(axes)
    assert "50 clusters of ID have 2 to 5 trials, median 5; 50 have a reliability below 1/2" in text
    assert "have 1 to 5 events, median 4; 0 have no event and 26 only events." in text


def test_works_on_given_axes_and_refuses_what_is_none() -> None:
    frame = hl.datasets.load("bacteria")
    report = _report("y ~ trt + (1 | ID)", frame)
    _, axes = plt.subplots(1, 2)
    assert draw(report, axes=axes)[1] is axes[1]
    with pytest.raises(hl.errors.FitError, match="needs 2 Axes"):
        draw(report, axes=axes[0])
    with pytest.raises(hl.errors.FitError, match="no grouping factors"):
        draw(_report("y ~ trt", frame))
