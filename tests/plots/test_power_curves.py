import matplotlib.pyplot as plt
import numpy as np
import pytest

import hierlogit as hl


@pytest.fixture(scope="module")
def found():
    layout = hl.Layout({"g": 8}, size=5, predictors={"x": [-1, 0, 1, 2, 0], "z": [0, 1, 0, 1, 1]})
    truth = {"beta": {"Intercept": 0, "x": 0.5, "z": 0.5}, "sd": {"g": 0.4}}
    return hl.power("y ~ x + z + (1 | g)", layout, **truth, grid={"g": [6, 12], "size": [5, 10]}, replicates=10, seed=1)


def _curves(ax):
    return [line for line in ax.get_lines() if line.get_marker() != "None"]


def test_draws_the_powers(found):
    axes = hl.plots.power(found)
    assert [ax.get_title() for ax in axes] == ["x = 0.5", "z = 0.5"]
    for ax, name in zip(axes, ("x", "z"), strict=True):
        curves = _curves(ax)
        assert [line.get_label() for line in curves] == ["5", "10"]
        for line, size in zip(curves, (5, 10), strict=True):
            own = found.table[(found.table["parameter"] == name) & (found.table["size"] == size)]
            np.testing.assert_allclose(line.get_ydata(), own["power"])
            np.testing.assert_allclose(line.get_xdata(), own["g"], atol=0.1)
        for intervals, line in zip(ax.collections, curves, strict=True):
            low, high = np.asarray(intervals.get_segments())[:, :, 1].T
            assert np.all((low >= 0) & (low <= line.get_ydata()) & (line.get_ydata() <= high) & (high <= 1))
            assert np.all(high - low > 0.1)
    assert axes[-1].get_legend().get_title().get_text() == "size"


def test_other_names_on_the_axis_and_words(found):
    axes = hl.plots.power(found, "size")
    assert axes[0].get_xlabel().strip() == "size"
    assert "Power to reject x = 0 at alpha 0.05, by size; with 6: 5 " in hl.plots.text_alternative(axes)


def test_one_name_makes_one_curve():
    rows = hl.Layout({"g": 8}, size=5, predictors={"x": [-1, 0, 1, 2, 0]}).table()
    truth = {"beta": {"Intercept": 0, "x": 0.5}, "sd": {"g": 0.4}}
    found = hl.power("y ~ x + (1 | g)", rows, **truth, grid={"x": [0.1, 0.5, 1.0]}, replicates=6, seed=1)
    ax = hl.plots.power(found)[0]
    assert len(_curves(ax)) == 1
    assert ax.get_legend() is None
    assert ax.get_title() == "x"
    ax.figure.canvas.draw()
    for text in [ax.xaxis.label, ax.yaxis.label, *ax.texts]:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0


def test_what_cannot_be_drawn_is_said(found):
    _, axes = plt.subplots(1, 3)
    with pytest.raises(hl.errors.FitError, match="needs 2 Axes"):
        hl.plots.power(found, axes=axes)
    with pytest.raises(hl.errors.FitError, match="x='h' is not allowed; choose one of 'g', 'size'"):
        hl.plots.power(found, "h")
    layout = hl.Layout({"g": 8}, size=5, predictors={"x": [-1, 0, 1, 2, 0]})
    one = hl.power("y ~ x + (1 | g)", layout, beta={"Intercept": 0, "x": 0.5}, sd={"g": 0.4}, replicates=2, seed=1)
    with pytest.raises(hl.errors.FitError, match="only one cell"):
        hl.plots.power(one)
