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


def test_coefficients_with_the_fixed_effects(clinics):
    axes = hl.plots.caterpillar(clinics, fixed=True)
    table, post = hl.coef(clinics), clinics.posterior.mean(("chain", "draw"))
    for ax, effect in zip(axes, ["Intercept", "dose"], strict=True):
        part = table.xs(("clinic", effect), level=("group", "effect")).sort_values("mean")
        np.testing.assert_allclose(points(ax)[:, 0], part["mean"])
        line = float(post["beta"].sel(fixed_effect=effect))
        assert ax.get_lines()[0].get_xdata()[0] == pytest.approx(line)
        assert "excludes the fixed effect" in " ".join(ax.get_xlabel().split())
    words = hl.plots.text_alternative(axes[1])
    assert words.startswith(
        f"Coefficients 'dose' on the logit scale, about the fixed effect {line:.2f}, of 30 clusters"
    )
    assert [ax.get_title() for ax in hl.plots.caterpillar(clinics, effect="dose", fixed=True)] == ["dose"]


def test_probabilities_in_the_clusters(crossed, clinics):
    axes = hl.plots.caterpillar(crossed, scale="response", at={"arm": "new", "dose": 1.5})
    assert [ax.get_title() for ax in axes] == ["clinic", "reader"]
    readers = crossed.model.design.groups[1].levels
    grid = hl.datagrid(crossed, arm="new", dose=1.5, reader=list(readers))
    expected = hl.predictions(crossed, grid, clusters={"reader": "observed", "clinic": "typical"}).sort_values("mean")
    np.testing.assert_allclose(points(axes[1])[:, 0], expected["mean"])
    segments = np.asarray(axes[1].collections[0].get_segments())
    np.testing.assert_allclose(segments[:, :, 0], expected[["eti89_lb", "eti89_ub"]])
    typical = hl.predictions(crossed, grid.head(1), clusters="typical")["mean"].iloc[0]
    assert axes[0].get_lines()[0].get_xdata()[0] == pytest.approx(typical)
    assert axes[0].get_xlabel().startswith("Probability that healed = 'yes'\nat dose = 1.5, arm = new\n")
    assert f"about that of a typical cluster, {typical:.2f}, of 12 clusters of clinic" in hl.plots.text_alternative(
        axes
    )
    (ax,) = hl.plots.caterpillar(clinics, scale="response")
    assert [label.get_text() for label in ax.get_yticklabels()] != []


def test_labels_of_narrow_panels_are_broken(clinics):
    _, ax = plt.subplots(figsize=(2.4, 5), layout="constrained")
    hl.plots.caterpillar(clinics, scale="response", axes=ax)
    ax.figure.canvas.draw()
    label = ax.xaxis.label.get_window_extent()
    assert label.x0 >= 0
    assert label.x1 <= ax.figure.bbox.width


def test_options_that_do_not_go_together(clinics):
    with pytest.raises(hl.errors.FitError, match="effect= is for scale='link'"):
        hl.plots.caterpillar(clinics, effect="dose", scale="response")
    with pytest.raises(hl.errors.FitError, match="fixed=True is for scale='link'"):
        hl.plots.caterpillar(clinics, fixed=True, scale="response")
    with pytest.raises(hl.errors.FitError, match="at= is for scale='response'"):
        hl.plots.caterpillar(clinics, at={"dose": 1})
    with pytest.raises(hl.errors.FitError, match="scale='odds' is not allowed; choose one of 'response', 'link'"):
        hl.plots.caterpillar(clinics, scale="odds")
    with pytest.raises(hl.errors.FitError, match="no coefficient 'arm' in the clusters; choose one of 'Intercept'"):
        hl.plots.caterpillar(clinics, effect="arm", fixed=True)
    with pytest.raises(hl.errors.PredictionError, match="at: 'clinic' names clusters, which are all drawn"):
        hl.plots.caterpillar(clinics, scale="response", at={"clinic": "c1"})
    with pytest.raises(hl.errors.PredictionError, match="at: give one value for each predictor"):
        hl.plots.caterpillar(clinics, scale="response", at={"dose": [1, 2]})
    assert not plt.get_fignums()


def test_tables_draw_themselves_as_their_fit_is_drawn(crossed):
    for table, fixed in [(hl.ranef(crossed, ci_prob=0.8), False), (hl.coef(crossed, ci_prob=0.8), True)]:
        of_table = table.plot(effect="Intercept")
        of_fit = hl.plots.caterpillar(crossed, effect="Intercept", fixed=fixed, ci_prob=0.8)
        assert len(of_table) == 2
        for ax, other in zip(of_table, of_fit, strict=True):
            np.testing.assert_array_equal(points(ax), points(other))
            np.testing.assert_array_equal(ax.lines[0].get_xdata(), other.lines[0].get_xdata())
            assert ax.get_title() == other.get_title()
    (ax,) = hl.ranef(crossed).plot(group="reader", effect="dose", sort=False)
    assert ax.get_ylabel() == "reader"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fixed": True, "scale": "response"}, r"'fixed', 'scale' are for fits; result is a table"),
        ({"ci_prob": 0.5}, r"'ci_prob' is for fits"),
        ({"group": "x"}, r"group: there is no grouping factor 'x' in the table"),
        ({"effect": "x"}, r"effect: there is no coefficient 'x'"),
    ],
)
def test_options_that_a_table_has_not(crossed, options, message):
    with pytest.raises(hl.errors.FitError, match=message):
        hl.coef(crossed).plot(**options)


def test_tables_without_clusters_are_refused(crossed):
    for table in (hl.summary(crossed), hl.ranef(crossed).reset_index(), hl.ranef(crossed)[["mean"]]):
        with pytest.raises(hl.errors.FitError, match=r"not a table by hl\.ranef or hl\.coef"):
            hl.plots.caterpillar(table)
