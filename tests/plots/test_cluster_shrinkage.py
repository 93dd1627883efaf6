import matplotlib.pyplot as plt
import numpy as np
import pytest

import hierlogit as hl
from hierlogit.plots import cluster_shrinkage


@pytest.fixture(scope="module")
def districts():
    return hl.pooling(hl.Model("use ~ 1 + (1 | district)", hl.datasets.load("contraception")))


def test_a_point_for_each_cluster_and_how_far_it_was_drawn(districts):
    (ax,) = hl.plots.shrinkage(districts)
    moves, points = ax.collections
    table = districts.table.sort_values("trials", ascending=False)
    np.testing.assert_allclose(points.get_offsets(), table[["raw", "partial"]])
    sizes = points.get_sizes()
    assert sizes[0] == cluster_shrinkage.LARGEST
    np.testing.assert_allclose(sizes[3] / sizes[0], table["trials"].iloc[3] / table["trials"].iloc[0])
    ends = np.sort([segment[:, 1] for segment in moves.get_segments()], axis=1)
    np.testing.assert_allclose(ends, np.sort(table[["raw", "partial"]].to_numpy(), axis=1))
    diagonal, complete = ax.get_lines()
    np.testing.assert_allclose(diagonal.get_xdata(), diagonal.get_ydata())
    np.testing.assert_allclose(complete.get_ydata(), districts.overall)
    assert ax.get_xlim() == ax.get_ylim()
    texts = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert texts == ["no pooling", "complete pooling: 0.39", "2 rows", "26 rows", "118 rows"]


def test_words_name_the_cluster_that_moved_farthest(districts):
    axes = hl.plots.shrinkage(districts)
    text = hl.plots.text_alternative(axes)
    assert "The largest change is that of 3, with 2 events in 2 trials, from 1.00 to 0.44." in text


def test_with_predictors_complete_pooling_has_a_mark_for_each_cluster(clinics):
    (ax,) = hl.plots.shrinkage(clinics)
    found = hl.pooling(clinics)
    marks = ax.collections[0].get_offsets()
    np.testing.assert_allclose(marks, found.table[["raw", "complete"]])
    assert ax.figure.legends[0].get_texts()[1].get_text() == "complete pooling, by cluster"


def test_three_thousand_clusters_are_points_only(crowd):
    (ax,) = hl.plots.shrinkage(hl.pooling(crowd, num_draws=20))
    marks, points = ax.collections
    assert len(marks.get_offsets()) == len(points.get_offsets()) == 3000
    assert points.get_sizes().max() <= cluster_shrinkage.LARGEST_IN_CROWD


def test_counts_say_trials(herds):
    (ax,) = hl.plots.shrinkage(herds)
    assert ax.figure.legends[0].get_texts()[-1].get_text().endswith("trials")


def test_given_axes_and_factors(crossed):
    _, ax = plt.subplots()
    (drawn,) = hl.plots.shrinkage(crossed, "reader", axes=ax)
    assert drawn is ax
    assert ax.get_legend().get_title().get_text() == "4 clusters of reader"
    with pytest.raises(hl.errors.FitError, match="the result is the pooling of 'reader'"):
        hl.plots.shrinkage(hl.pooling(crossed, group="reader"), "clinic")


@pytest.fixture(scope="module")
def slopes():
    return hl.pooling(hl.Model("use ~ urban + (1 + urban | district)", hl.datasets.load("contraception")))


def test_arrows_from_each_cluster_by_itself_to_the_model(slopes):
    (ax,) = hl.plots.shrinkage(slopes, effects=["Intercept", "urban[Y]"])
    table = slopes.coefficients
    own, partial = (table[name].unstack("effect")[["Intercept", "urban[Y]"]] for name in ("unpooled", "partial"))
    known = own.notna().all(axis=1)
    arrows = [text for text in ax.texts if text.arrow_patch is not None]
    np.testing.assert_allclose([arrow.xyann for arrow in arrows], own[known])
    np.testing.assert_allclose([arrow.xy for arrow in arrows], partial[known])
    with_own, without, complete, fixed = ax.collections
    np.testing.assert_allclose(with_own.get_offsets(), partial[known])
    np.testing.assert_allclose(without.get_offsets(), partial[~known])
    np.testing.assert_allclose(complete.get_offsets()[0], table["complete"].iloc[:2])
    np.testing.assert_allclose(fixed.get_offsets()[0], table["fixed"].iloc[:2])
    count = int((~known).sum())
    assert 10 < count < 40
    texts = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert texts[-1] == f"only partial pooling: {count} clusters"
    words = hl.plots.text_alternative(ax)
    assert f"{count} clusters without finite coefficients of their own have no arrow." in words
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    assert ((partial > low) & (partial < high)).all(axis=None)
    outside = int((~((own[known] >= low) & (own[known] <= high)).all(axis=1)).sum())
    assert (f"{outside} of the arrows begin outside" in words) == (outside > 0)
    assert (f"{outside} begin" in texts[0]) == (outside > 0)


def test_coefficients_of_few_and_of_many_clusters(clinics, crowd, crossed):
    (ax,) = hl.plots.shrinkage(clinics, effects=("dose", "Intercept"))
    assert ax.get_xlabel() == "dose, logit scale"
    (ax,) = hl.plots.shrinkage(crossed, "reader", effects=["Intercept", "dose"])
    assert ax.figure.legends[0].get_title().get_text() == "4 clusters of reader"
    (ax,) = hl.plots.shrinkage(hl.pooling(crowd, num_draws=20), effects=["Intercept", "dose"])
    assert not ax.texts  # lines without heads
    assert ax.figure.legends[0].get_texts()[-1].get_text().endswith(" clusters")


def test_narrow_panels_have_labels_inside_of_the_figure(slopes):
    _, ax = plt.subplots(figsize=(3, 3), layout="constrained")
    hl.plots.shrinkage(slopes, effects=["Intercept", "urban[Y]"], axes=ax)
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= ax.figure.bbox.width
    assert ax.get_position().width > 0.6


def test_effects_must_be_two_of_those_that_vary(slopes, districts):
    with pytest.raises(hl.errors.FitError, match="only 'Intercept' varies over the clusters of 'district', not two"):
        hl.plots.shrinkage(districts, effects=["Intercept", "urban[Y]"])
    for wrong in ("Intercept", ["Intercept"], ["Intercept", "Intercept"], ["Intercept", 3], 3):
        with pytest.raises(hl.errors.FitError, match=r"must name two of 'Intercept', 'urban\[Y\]'"):
            hl.plots.shrinkage(slopes, effects=wrong)
    with pytest.raises(hl.errors.FitError, match="no coefficient 'age' in the clusters of 'district'; choose one of"):
        hl.plots.shrinkage(slopes, effects=["Intercept", "age"])
    assert not plt.get_fignums()
