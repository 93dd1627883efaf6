import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.plots import cluster_curves


def test_a_line_for_each_cluster_a_typical_one_and_the_population(clinics):
    (ax,) = hl.plots.curves(clinics, "dose", at={"arm": "new"})
    lines = ax.get_lines()
    assert len(lines) == 30 + 2
    dose = clinics.model.design.table.frame["dose"]
    along = np.linspace(dose.min(), dose.max(), cluster_curves.POINTS)
    np.testing.assert_allclose(lines[-1].get_xdata(), along)
    typical = hl.predictions(clinics, hl.datagrid(clinics, dose=along, arm="new"), clusters="typical")
    np.testing.assert_allclose(lines[-1].get_ydata(), typical["mean"])
    average = hl.predictions(clinics, hl.datagrid(clinics, dose=along, arm="new"), clusters="average")
    np.testing.assert_allclose(lines[-2].get_ydata(), average["mean"])
    level = clinics.model.design.groups[0].levels[4]
    own = hl.predictions(clinics, hl.datagrid(clinics, dose=along, arm="new", clinic=level))
    np.testing.assert_allclose(lines[4].get_ydata(), own["mean"])
    assert ax.get_xlabel() == "dose"
    assert ax.get_ylabel() == "Probability that healed = 'yes'"
    (legend,) = ax.figure.legends
    assert legend.get_title().get_text() == "at arm = new"
    assert [text.get_text() for text in legend.get_texts()] == [
        "conditional (typical cluster), 89% interval",
        "30 clusters of clinic",
        "population average, 89% interval",
    ]


def test_levels_of_a_text_predictor(clinics):
    (ax,) = hl.plots.curves(clinics, "arm")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["control", "new", "old"]
    typical = hl.predictions(clinics, hl.datagrid(clinics, arm=["control", "new", "old"]), clusters="typical")
    np.testing.assert_allclose(ax.get_lines()[-1].get_ydata(), typical["mean"])
    average = hl.predictions(clinics, hl.datagrid(clinics, arm=["control", "new", "old"]), clusters="average")
    np.testing.assert_allclose(ax.get_lines()[-2].get_ydata(), average["mean"])
    for bars, table in zip(ax.collections, (average, typical), strict=True):
        np.testing.assert_allclose(np.asarray(bars.get_segments())[:, :, 1], table[["eti89_lb", "eti89_ub"]])


def test_numbers_used_as_levels_are_drawn_as_levels(make_fit):
    rng = np.random.default_rng(2)
    rows = pd.DataFrame(
        {"y": rng.integers(0, 2, 120), "week": np.tile([0, 2, 4, 11], 30), "new": np.repeat([0, 1, 0], 40)}
    )
    rows["g"] = np.repeat(list("abcdef"), 20)
    fit = make_fit("y ~ C(week) + new + (1 | g)", rows)
    (ax,) = hl.plots.curves(fit, "week")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "2", "4", "11"]
    (ax,) = hl.plots.curves(fit, "new", at={"week": 2})
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1"]


def test_a_value_of_another_predictor_that_cannot_be_used_is_named(make_fit):
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"y": rng.integers(0, 2, 120), "week": np.tile([0, 2, 4, 11], 30), "x": rng.normal(size=120)})
    rows["g"] = np.repeat(list("abcdef"), 20)
    fit = make_fit("y ~ C(week) + x + (1 | g)", rows)
    with pytest.raises(hl.errors.PredictionError, match="week"):
        hl.plots.curves(fit, "x", at={"week": 5})


def test_a_panel_for_each_level(clinics):
    axes = hl.plots.curves(clinics, "dose", by="arm", rug=True)
    assert [ax.get_title() for ax in axes] == ["arm = control", "arm = new", "arm = old"]
    frame = clinics.model.design.table.frame
    for ax, level in zip(axes, ["control", "new", "old"], strict=True):
        rug = ax.collections[-1].get_segments()
        assert len(rug) == frame.loc[frame["arm"] == level, "dose"].nunique()


def test_other_factors_have_no_effect(crossed):
    (ax,) = hl.plots.curves(crossed, "dose", group="reader", at={"arm": "new"})
    assert len(ax.get_lines()) == 4 + 2
    draws = crossed.posterior.stack(sample=("chain", "draw"))
    labels = crossed.model.design.fixed_effects
    dose = ax.get_lines()[1].get_xdata()[7]
    row = [1.0 if label == "Intercept" else dose if label == "dose" else float(label == "arm[new]") for label in labels]
    reader = draws["b_reader"].isel(reader=1).transpose("sample", "reader_effect").to_numpy()
    eta = draws["beta"].transpose("sample", "fixed_effect").to_numpy() @ row + reader @ [1.0, dose]
    assert ax.get_lines()[1].get_ydata()[7] == pytest.approx((1 / (1 + np.exp(-eta))).mean())


def test_clusters_of_two_columns_nested_in_another_factor(make_fit):
    rng = np.random.default_rng(4)
    rows = pd.DataFrame(
        {"school": np.repeat(["a", "b", "c"], 40), "room": np.tile([1, 2], 60), "x": rng.normal(size=120)}
    )
    rows["y"] = rng.integers(0, 2, 120)
    fit = make_fit("y ~ x + (1 | school/room)", rows)
    (ax,) = hl.plots.curves(fit, "x", group="school:room")
    assert len(ax.get_lines()) == 6 + 2
    (ax,) = hl.plots.curves(fit, "x", group="school")
    assert len(ax.get_lines()) == 3 + 2


def test_counts_out_of_trials(herds):
    (ax,) = hl.plots.curves(herds, "period")
    assert ax.get_ylabel() == "Probability per trial: sick of size"
    assert len(ax.get_lines()) == 15 + 2


def test_three_thousand_clusters_become_ribbons(crowd):
    (ax,) = hl.plots.curves(crowd, "dose")
    assert len(ax.get_lines()) == 2
    assert len(ax.collections) == 4
    assert "middle 50% and 90% of 3,000 clusters of clinic" in ax.figure.legends[0].get_texts()[1].get_text()
    (ax,) = hl.plots.curves(crowd, "arm")
    assert len(ax.get_lines()) == 2


def test_draws_on_given_axes(clinics):
    _, ax = plt.subplots()
    (drawn,) = hl.plots.curves(clinics, "dose", axes=ax)
    assert drawn is ax
    assert ax.get_legend() is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": "dosis"}, "x: there is no predictor 'dosis' in the model; choose one of 'dose', 'arm'"),
        ({"x": "healed"}, "x: there is no predictor 'healed'"),
        ({"x": "clinic"}, "x: 'clinic' is a column of the clusters of 'clinic'"),
        ({"x": "dose", "by": "dose"}, "only one of x, by and at can name 'dose'"),
        ({"x": "dose", "by": "reader"}, "by: there is no predictor 'reader'"),
        ({"x": "arm", "by": "dose"}, "'dose' has .* different values; at most 12"),
        ({"x": "dose", "at": {"arm": ["new", "old"]}}, "at: 'arm' has more than one value"),
        ({"x": "dose", "at": {"colour": 1}}, "at: there is no predictor 'colour'"),
        ({"x": "dose", "at": {"arm": "none"}}, "none"),
        ({"x": "arm", "rug": True}, "needs a numeric predictor"),
        ({"x": "dose", "ci_prob": 2}, "ci_prob"),
    ],
)
def test_bad_arguments_are_named(clinics, arguments, message):
    with pytest.raises(hl.errors.PredictionError, match=message):
        hl.plots.curves(clinics, **arguments)


def test_without_clusters_there_is_one_curve(clinics, make_fit):
    fit = make_fit("healed ~ dose + arm", clinics.model.design.table.frame)
    (ax,) = hl.plots.curves(fit, "dose", at={"arm": "new"})
    (line,) = ax.get_lines()
    expected = hl.predictions(fit, hl.datagrid(fit, dose=line.get_xdata(), arm="new"))
    np.testing.assert_allclose(line.get_ydata(), expected["mean"])
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == ["probability, 89% interval"]
    assert "cluster" not in hl.plots.text_alternative(ax)
    (ax,) = hl.plots.curves(fit, "arm")
    assert len(ax.get_lines()) == 1


def test_the_population_is_of_all_factors(crossed):
    axes = hl.plots.curves(crossed, "dose", group="reader", at={"arm": "new"})
    labels = [text.get_text() for text in axes[0].figure.legends[0].get_texts()]
    assert "population average (all factors), 89% interval" in labels
    assert "on average over clusters" in hl.plots.text_alternative(axes)


def test_needs_axes_for_each_panel_and_a_factor_of_the_model(clinics, make_fit):
    with pytest.raises(hl.errors.FitError, match="needs 3 Axes \\(one for each value of 'arm'\\); got 1"):
        hl.plots.curves(clinics, "dose", by="arm", axes=plt.subplots()[1])
    with pytest.raises(hl.errors.FitError, match="no random effects"):
        hl.plots.curves(make_fit("healed ~ dose", clinics.model.design.table.frame), "dose", group="clinic")


@pytest.mark.parametrize("count", [3, 14])
def test_long_levels_leave_room_for_the_curves(make_fit, count):
    rng = np.random.default_rng(1)
    levels = [f"treatment arm {k} (20 mg, extended release)" for k in range(count)]
    rows = pd.DataFrame({"arm": levels * 20, "y": rng.integers(0, 2, 20 * count), "g": np.arange(20 * count) % 7})
    (ax,) = hl.plots.curves(make_fit("y ~ arm + (1 | g)", rows), "arm")
    assert [label.get_text().replace("\n", " ") for label in ax.get_xticklabels()] == sorted(levels)
    ax.figure.draw_without_rendering()
    place = ax.get_position()
    assert place.height > 0.4
    assert place.width > 0.7


def test_band_of_the_fitted_distribution_of_clusters(clinics, crossed, crowd):
    (ax,) = hl.plots.curves(clinics, "dose", at={"arm": "new"}, cluster_band=0.8)
    low, high = ax.get_lines()[:2]
    along = low.get_xdata()
    table = hl.predictions(clinics, hl.datagrid(clinics, dose=along, arm="new"), clusters=[0.1, 0.9])
    np.testing.assert_allclose([*low.get_ydata(), *high.get_ydata()], table["mean"])
    assert ax.figure.legends[0].get_texts()[-1].get_text() == "middle 80% of the fitted distribution of clinic"
    words = hl.plots.text_alternative(ax)
    assert f"is between {low.get_ydata()[-1]:.2f} and {high.get_ydata()[-1]:.2f} there" in words
    (ax,) = hl.plots.curves(crossed, "arm", group="reader", cluster_band=0.5)
    (bars,) = [bars for bars in ax.collections if bars.get_linewidth()[0] == cluster_curves.BAND_BAR]
    grid = hl.datagrid(crossed, arm=["control", "new", "old"])
    table = hl.predictions(crossed, grid, clusters={"reader": [0.25, 0.75], "clinic": "typical"})
    np.testing.assert_allclose(np.asarray(bars.get_segments())[:, :, 1].T.ravel(), table["mean"])
    (ax,) = hl.plots.curves(crowd, "dose", cluster_band=0.8)
    assert len(ax.get_lines()) == 2 + 2


def test_band_needs_a_share_and_clusters(clinics, make_fit):
    with pytest.raises(hl.errors.PredictionError, match="cluster_band=80 must be a number between 0 and 1"):
        hl.plots.curves(clinics, "dose", cluster_band=80)
    rows = pd.DataFrame({"y": [0, 1] * 20, "x": np.arange(40) % 7})
    with pytest.raises(hl.errors.PredictionError, match="cluster_band: the model has no random effects"):
        hl.plots.curves(make_fit("y ~ x", rows), "x", cluster_band=0.8)
