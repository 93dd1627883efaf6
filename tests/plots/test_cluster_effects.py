import matplotlib.pyplot as plt
import numpy as np
import pytest

import hierlogit as hl


def points(ax):
    return np.asarray(ax.collections[1].get_offsets())


def test_draws_what_ranef_gives_sorted(clinics):
    axes = hl.plots.caterpillar(clinics, ci_prob=0.8)
    table = hl.ranef(clinics, ci_prob=0.8)
    assert [ax.get_title() for ax in axes] == ["Intercept", "dose"]
    for ax, effect in zip(axes, ["Intercept", "dose"], strict=True):
        part = table.xs(("clinic", effect), level=("group", "effect")).sort_values("mean")
        np.testing.assert_allclose(points(ax), np.column_stack([part["mean"], np.arange(30)]))
        assert [label.get_text() for label in ax.get_yticklabels()] == list(part.index)
        segments = np.asarray(ax.collections[0].get_segments())
        np.testing.assert_allclose(segments[:, :, 0], part[["eti80_lb", "eti80_ub"]])
        assert ax.get_ylabel() == "clinic"
        assert "80% interval" in ax.get_xlabel()


def test_unsorted_clusters_stand_in_the_order_of_the_data(clinics):
    (ax,) = hl.plots.caterpillar(clinics, effect="dose", sort=False)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[::-1] == list(clinics.model.design.groups[0].levels)


def test_clusters_whose_interval_leaves_0_out_differ_in_colour(clinics):
    (ax,) = hl.plots.caterpillar(clinics, effect="Intercept")
    part = hl.ranef(clinics).xs(("clinic", "Intercept"), level=("group", "effect")).sort_values("mean")
    away = ((part["eti89_lb"] > 0) | (part["eti89_ub"] < 0)).to_numpy()
    colours = ax.collections[1].get_facecolors()
    assert 0 < away.sum() < len(away)
    assert len({tuple(colour) for colour in colours[away]}) == 1
    assert not np.array_equal(colours[away][0], colours[~away][0])


def test_crossed_factors_have_panels_of_their_own(crossed):
    axes = hl.plots.caterpillar(crossed)
    assert [(ax.get_ylabel(), ax.get_title()) for ax in axes] == [
        ("clinic", "clinic: Intercept"),
        ("reader", "reader: Intercept"),
        ("reader", "reader: dose"),
    ]
    assert len(hl.plots.caterpillar(crossed, "reader")) == 2
    assert len(hl.plots.caterpillar(crossed, effect="Intercept")) == 2


def test_draws_on_given_axes(crossed):
    figure, ax = plt.subplots()
    (drawn,) = hl.plots.caterpillar(crossed, "clinic", axes=ax)
    assert drawn is ax
    assert len(figure.axes) == 1


def test_three_thousand_clusters_are_named_at_the_ends_only(crowd):
    axes = hl.plots.caterpillar(crowd)
    for ax, effect in zip(axes, ["Intercept", "dose"], strict=True):
        part = hl.ranef(crowd).xs(("clinic", effect), level=("group", "effect")).sort_values("mean")
        assert len(points(ax)) == 3000
        assert not ax.get_yticklabels()
        named = {text.get_text() for text in ax.texts}
        assert named == {*part.index[:5], *part.index[-5:]}
        assert "3,000" in ax.get_ylabel()
    assert axes[0].figure.get_size_inches()[1] < 10
    axes[0].figure.canvas.draw()


def test_bad_arguments_are_named(clinics, make_fit):
    with pytest.raises(
        hl.errors.FitError, match="no grouping factor 'district' in the model; the only choice is 'clinic'"
    ):
        hl.plots.caterpillar(clinics, "district")
    with pytest.raises(
        hl.errors.FitError, match=r"no random effect 'age' in 'clinic'; choose one of 'Intercept', 'dose'"
    ):
        hl.plots.caterpillar(clinics, effect="age")
    with pytest.raises(hl.errors.FitError, match="needs 2 Axes"):
        hl.plots.caterpillar(clinics, axes=plt.subplots()[1])
    with pytest.raises(hl.errors.FitError, match="must be matplotlib Axes"):
        hl.plots.caterpillar(clinics, effect="dose", axes="left")
    with pytest.raises(hl.errors.PredictionError, match="ci_prob"):
        hl.plots.caterpillar(clinics, ci_prob=89)
    plain = make_fit("healed ~ dose", clinics.model.design.table.frame)
    with pytest.raises(hl.errors.FitError, match="no random effects"):
        hl.plots.caterpillar(plain)
