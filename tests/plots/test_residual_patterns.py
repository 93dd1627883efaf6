import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.diagnostics.fit.simulated_rows import SimulatedRows
from hierlogit.plots.style import BLUE, VERMILLION


def points(ax):
    return np.asarray(ax.collections[-1].get_offsets())


def colours(ax):
    return [mpl.colors.to_hex(one).upper() for one in ax.collections[-1].get_facecolors()]


def test_draws_the_binned_residuals(clinics):
    axes = hl.plots.residuals(clinics, seed=1, bins=12, replicates=50)
    table = hl.residuals(clinics, "binned", bins=12, seed=1, replicates=50)
    np.testing.assert_allclose(points(axes[0]), table[["fitted", "residual"]])
    assert colours(axes[0]) == [VERMILLION if out else BLUE for out in table["outside"]]
    low, high = axes[0].get_ylim()
    assert low == -high
    assert high > max(table["residual"].abs().max(), table["bound_ub"].max())
    assert axes[0].get_xlabel().startswith("Fitted probability that healed = 'yes'")
    assert f"{table['outside'].sum()} of 12 bins" in axes[0].get_title()


def test_bins_by_amounts_and_levels(clinics):
    ax = hl.plots.residuals(clinics, by="dose", seed=1, replicates=20)[0]
    table = hl.residuals(clinics, "binned", by="dose", seed=1, replicates=20)
    np.testing.assert_allclose(points(ax)[:, 0], table["dose"])
    assert ax.get_xlabel() == "dose"
    ax = hl.plots.residuals(clinics, by="arm", seed=1, replicates=20)[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["control", "new", "old"]
    table = hl.residuals(clinics, "binned", by="arm", seed=1, replicates=20)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], table["bound_ub"] - table["bound_lb"])
    ax = hl.plots.residuals(clinics, by="clinic", seed=1, replicates=20)[0]
    assert len(points(ax)) == 30
    assert list(ax.get_xticks()) == []  # too many to name


def test_the_model_is_fitted_once_to_each_data_set_for_both_panels(clinics, monkeypatch):
    fitted = []
    data_sets = SimulatedRows.__iter__

    def counted(rows):
        for one in data_sets(rows):
            fitted.append(one)
            yield one

    monkeypatch.setattr(SimulatedRows, "__iter__", counted)
    hl.plots.residuals(clinics, seed=1, replicates=20)
    assert len(fitted) == 20


def test_draws_the_quantile_residuals_in_order(clinics):
    ax = hl.plots.residuals(clinics, seed=4, clusters="new")[1]
    expected = hl.residuals(clinics, seed=4, clusters="new")["residual"]
    drawn = points(ax)
    np.testing.assert_allclose(drawn[:, 1], np.sort(expected))
    assert (np.diff(drawn[:, 0]) > 0).all()
    assert drawn[:, 0].mean() == pytest.approx(0, abs=1e-9)
    assert f"sd {expected.std():.2f}" in ax.get_title()


def test_residuals_that_are_not_normal_leave_the_band(make_fit):
    """Draws that have nothing to do with the outcomes."""
    random = np.random.default_rng(1)
    rows = pd.DataFrame({"g": np.repeat(np.arange(20), 20), "x": random.normal(size=400), "m": 30})
    rows["y"] = random.binomial(30, random.choice([0.1, 0.9], 400))
    ax = hl.plots.residuals(make_fit("p(y, m) ~ x + (1 | g)", rows), seed=1)[1]
    assert colours(ax).count(VERMILLION) > 200
    told = hl.plots.text_alternative(ax)
    assert int(told.split("; ")[1].split("%")[0]) > 50


def test_many_rows_are_thinned_between_the_ends(crowd):
    ax = hl.plots.residuals(crowd, seed=1, num_draws=20, clusters="average", replicates=20)[1]
    assert len(points(ax)) == 2000
    expected = np.sort(hl.residuals(crowd, seed=1, num_draws=20, clusters="average")["residual"])
    np.testing.assert_allclose(points(ax)[:200, 1], expected[:200])
    np.testing.assert_allclose(points(ax)[-200:, 1], expected[-200:])


def test_is_told_in_words_and_leaves_settings_alone(clinics):
    before = dict(mpl.rcParams)
    axes = hl.plots.residuals(clinics, by="arm", seed=1, replicates=20)
    assert dict(mpl.rcParams) == before
    text = hl.plots.text_alternative(axes)
    assert text.startswith("Average residuals in 3 levels of arm")
    assert "Normal Q-Q plot of 360 quantile residuals" in text
    assert text.endswith(".")
    figure = axes[0].figure
    figure.canvas.draw()
    inside = figure.bbox.padded(1.5)
    for ax in figure.axes:
        extent = ax.get_tightbbox()
        assert inside.x0 <= extent.x0
        assert extent.x1 <= inside.x1
        assert inside.y0 <= extent.y0
        assert extent.y1 <= inside.y1


def test_works_on_given_axes_and_refuses_what_is_wrong(herds):
    _, axes = plt.subplots(1, 2)
    assert hl.plots.residuals(herds, seed=1, axes=axes, replicates=20)[1] is axes[1]
    with pytest.raises(hl.errors.FitError, match="needs 2 Axes"):
        hl.plots.residuals(herds, axes=axes[0])
    with pytest.raises(hl.errors.PredictionError, match="no column 'ward'"):
        hl.plots.residuals(herds, by="ward")
