import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hierlogit as hl


def test_draws_the_calibration_curve_in_its_band(clinics):
    (ax,) = hl.plots.calibration(clinics, seed=1, ci_prob=0.8, replicates=30)
    table = hl.calibration(clinics, seed=1, ci_prob=0.8, replicates=30)
    curve, diagonal = ax.get_lines()
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_allclose(curve.get_xydata(), table[["fitted", "calibrated"]])
    corners = ax.collections[0].get_paths()[0].vertices
    for name in ("eti80_lb", "eti80_ub"):
        assert all(np.abs(corners - one).sum(axis=1).min() < 1e-12 for one in table[["fitted", name]].to_numpy())
    assert ax.get_xlim() == ax.get_ylim() == (0, 1)
    assert f"miscalibration {table.attrs['miscalibration']:.4f}" in ax.get_title()
    assert ax.get_legend().get_texts()[0].get_text().startswith("80% interval")


def test_bars_count_the_trials(herds):
    (ax,) = hl.plots.calibration(herds, seed=1, replicates=20)
    heights = np.array([bar.get_height() for bar in ax.patches])
    table = hl.calibration(herds, seed=1, replicates=20)
    counts = np.histogram(table["fitted"], bins=40, range=(0, 1), weights=table["trials"])[0]
    np.testing.assert_allclose(heights / heights.max(), counts / counts.max())
    assert heights.max() < 0.2
    assert f"at most {counts.max():,.0f}" in ax.texts[0].get_text()
    assert ax.get_xlabel() == "Probability per trial: sick of size"


def test_few_probabilities_are_points(herds):
    (ax,) = hl.plots.calibration(herds, clusters="typical", seed=1)
    assert len(ax.collections[1].get_offsets()) == len(hl.calibration(herds, clusters="typical", seed=1)) == 4


def test_is_told_in_words_and_leaves_settings_alone(clinics):
    before = dict(mpl.rcParams)
    axes = hl.plots.calibration(clinics, seed=1, replicates=20)
    assert dict(mpl.rcParams) == before
    text = hl.plots.text_alternative(axes)
    table = hl.calibration(clinics, seed=1, replicates=20)
    outside = (table["calibrated"] < table["eti89_lb"]) | (table["calibrated"] > table["eti89_ub"])
    assert f"{outside.mean():.0%} of the trials lie outside the 89% interval" in text
    assert text.endswith(".")
    figure = axes[0].figure
    figure.canvas.draw()
    extent, inside = axes[0].get_tightbbox(), figure.bbox.padded(1.5)
    assert inside.x0 <= extent.x0
    assert extent.x1 <= inside.x1
    assert inside.y0 <= extent.y0
    assert extent.y1 <= inside.y1


def test_works_on_given_axes_and_refuses_what_is_wrong(herds):
    _, ax = plt.subplots()
    assert hl.plots.calibration(herds, seed=1, ax=ax, replicates=20)[0] is ax
    with pytest.raises(hl.errors.FitError, match="needs 1 Axes"):
        hl.plots.calibration(herds, ax=plt.subplots(1, 2)[1])
    with pytest.raises(hl.errors.PredictionError, match="replicates=1"):
        hl.plots.calibration(herds, replicates=1)
