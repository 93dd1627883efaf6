import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.diagnostics.fit.cluster_outliers import standardised_modes
from hierlogit.diagnostics.fit.effects_qq import effect_quantiles
from hierlogit.diagnostics.fit.simultaneous_band import normal_scores
from hierlogit.engines.maximum.refitted import ReferenceFit
from hierlogit.errors import FitError
from hierlogit.plots.style import BLUE, VERMILLION


def points(ax):
    return np.asarray(ax.collections[-1].get_offsets())


def colours(ax):
    return [mpl.colors.to_hex(one).upper() for one in ax.collections[-1].get_facecolors()]


@pytest.fixture(scope="module")
def women():
    model = hl.Model("use ~ age + urban + (1 + urban | district)", hl.datasets.load("contraception"))
    return model.fit(hl.Laplace(seed=1))


@pytest.fixture(scope="module")
def skewed():
    random = np.random.default_rng(2)
    g = np.repeat(np.arange(150), 20)
    rows = pd.DataFrame({"clinic": [f"clinic {k}" for k in g], "x": random.normal(size=3000)})
    rows["y"] = random.binomial(1, expit(0.7 * rows["x"] + 1.4 * (random.exponential(size=150) - 1)[g]))
    return hl.Model("y ~ x + (1 | clinic)", rows).fit(hl.Laplace(seed=1))


def test_draws_the_standardised_modes_in_order(women):
    axes = hl.plots.effects_qq(women, seed=1, replicates=40)
    group = women.model.design.groups[0]
    modes = standardised_modes(ReferenceFit.of(women).observed, group)
    assert [ax.get_title() for ax in axes] == ["Intercept of district", "urban[Y] of district"]
    for k, ax in enumerate(axes):
        np.testing.assert_allclose(points(ax)[:, 0], normal_scores(60))
        np.testing.assert_allclose(points(ax)[:, 1], np.sort(modes[:, k]))
        middle = ax.get_lines()[0].get_ydata()
        # The mean of simulated modes in order: nearly normal quantiles here.
        np.testing.assert_allclose(middle, normal_scores(60), atol=0.5)
    assert len(hl.plots.effects_qq(women, "district", "urban[Y]", seed=1, replicates=20)) == 1


def test_normal_effects_stay_in_the_band_and_skewed_ones_leave_it(women, skewed):
    inside, outside = (hl.plots.effects_qq(fit, seed=1, replicates=100)[0] for fit in (women, skewed))
    assert set(colours(inside)) == {BLUE}
    assert colours(outside).count(VERMILLION) > 5
    assert "0 of 60 outside" in inside.texts[-1].get_text()
    named = [text.get_text() for text in outside.texts[:-1]]
    assert 1 <= len(named) <= 3
    assert set(named) <= set(skewed.model.design.groups[0].levels)
    out = points(outside)[[colour == VERMILLION for colour in colours(outside)]]
    assert all(np.abs(out - text.xy).sum(axis=1).min() < 1e-9 for text in outside.texts[:-1])
    far = [text.xy[0] for text in outside.texts[:-1]]
    assert np.all(np.diff(np.sort(far)) > 0.4)  # names do not hide each other


def test_data_sets_without_variance_are_left_out_of_the_band():
    random = np.random.default_rng(4)
    frame = pd.DataFrame({"g": np.repeat(np.arange(30), 6)})
    frame["y"] = random.binomial(1, expit(0.5 * random.normal(size=30)[frame["g"]]))
    fit = hl.Model("y ~ 1 + (1 | g)", frame).fit(hl.Laplace(seed=1))
    group = fit.model.design.groups[0]
    (quantiles,) = effect_quantiles(fit, [(group, 0)], 0.89, 60, 1)
    assert 0 < quantiles.without_variance < 30
    assert quantiles.low[-1] > 0  # the band would reach beyond zero on both sides
    assert quantiles.high[0] < 0
    axes = hl.plots.effects_qq(fit, seed=1, replicates=60)
    assert f"{quantiles.without_variance} of 60 data sets with an sd of zero left out" in axes[0].texts[-1].get_text()


def test_many_effects_stand_in_rows(make_fit, clustered_rows):
    fit = make_fit("healed ~ dose + (1 + dose | clinic) + (1 + dose | reader)", clustered_rows(12, 20))
    axes = hl.plots.effects_qq(fit, seed=1, replicates=20)
    assert [ax.get_title() for ax in axes] == [
        "Intercept of clinic",
        "dose of clinic",
        "Intercept of reader",
        "dose of reader",
    ]
    figure = axes[0].figure
    assert len(figure.axes) == 4
    figure.canvas.draw()
    inside = figure.bbox.padded(1.5)
    for ax in figure.axes:
        extent = ax.get_tightbbox()
        assert inside.x0 <= extent.x0
        assert extent.x1 <= inside.x1
        assert inside.y0 <= extent.y0
        assert extent.y1 <= inside.y1


def test_is_told_in_words_and_repeats(women, skewed):
    before = dict(mpl.rcParams)
    text = hl.plots.text_alternative(hl.plots.effects_qq(skewed, seed=1, replicates=40))
    assert dict(mpl.rcParams) == before
    assert text.startswith(
        "Normal Q-Q plot of the standardised modes of the effects 'Intercept' of the 150 clusters of"
    )
    assert "; the furthest: clinic " in text
    assert text.endswith(".")
    first, second, other = (hl.plots.effects_qq(women, seed=seed, replicates=20)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.get_lines()[0].get_ydata(), second.get_lines()[0].get_ydata())
    assert not np.array_equal(first.get_lines()[0].get_ydata(), other.get_lines()[0].get_ydata())


def test_works_on_given_axes_and_refuses_what_is_wrong(women):
    _, axes = plt.subplots(1, 2)
    assert hl.plots.effects_qq(women, seed=1, replicates=20, axes=axes)[1] is axes[1]
    with pytest.raises(hl.errors.FitError, match="needs 2 Axes"):
        hl.plots.effects_qq(women, replicates=20, axes=axes[0])
    with pytest.raises(hl.errors.FitError, match="replicates=5 must be"):
        hl.plots.effects_qq(women, replicates=5)
    with pytest.raises(hl.errors.FitError, match="no random effect 'age' in 'district'"):
        hl.plots.effects_qq(women, effect="age")
    with pytest.raises(hl.errors.FitError, match="no grouping factor 'ward'"):
        hl.plots.effects_qq(women, "ward")
    plain = hl.Model("use ~ age", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    with pytest.raises(hl.errors.FitError, match="no random effects"):
        hl.plots.effects_qq(plain)


def test_effects_without_variance_have_no_distribution():
    random = np.random.default_rng(5)
    frame = pd.DataFrame({"g": np.repeat(np.arange(20), 10), "h": np.tile(np.arange(20), 10)})
    frame["y"] = random.binomial(1, expit(random.normal(size=20)[frame["h"]]))
    fit = hl.Model("y ~ 1 + (1 | g) + (1 | h)", frame).fit(hl.Laplace(seed=1))
    assert fit.estimate.boundary == ("sd_g[Intercept] = 0",)
    with pytest.raises(FitError, match=r"the sd of 'Intercept of g' is estimated as zero: .* all modes are zero"):
        hl.plots.effects_qq(fit, "g", seed=1, replicates=20)
    without, other = hl.plots.effects_qq(fit, seed=1, replicates=20)
    assert [ax.get_title() for ax in (without, other)] == ["Intercept of g", "Intercept of h"]
    assert [text.get_text() for text in without.texts] == ["sd estimated as zero:\nall modes are zero"]
    assert not without.collections
    assert len(points(other)) == 20
