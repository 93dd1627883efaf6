"""Pictures of predictions, comparisons and slopes: what is drawn is what the tables have."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import hierlogit as hl
from hierlogit.effects.conditions import POINTS
from hierlogit.errors import PredictionError
from hierlogit.fits.fit import Fit
from hierlogit.plots.style import BLUE, GREY, INK, VERMILLION

MakeFit = Callable[..., Fit]
ENDS = ["eti89_lb", "eti89_ub"]


def lines(ax: Axes, colour: str | None = None) -> list[Any]:
    """Lines of an axis, without the one at no effect."""
    return [line for line in ax.get_lines() if line.get_color() != INK and colour in {None, line.get_color()}]


def legend(ax: Axes) -> list[str]:
    (found,) = ax.figure.legends
    return [text.get_text().replace("\n", " ") for text in (found.get_title(), *found.get_texts())]


def intervals(collection: Any, along: int = 1) -> np.ndarray:
    return np.asarray(collection.get_segments())[:, :, along]


# ---- fits under conditions --------------------------------------------------------------------------------------


def test_numbers_on_the_axis_are_curves_with_bands(clinics):
    (ax,) = hl.plots.predictions(clinics, ["dose", "arm"])
    dose = clinics.model.design.table.frame["dose"]
    along = np.linspace(dose.min(), dose.max(), POINTS)
    for arm, line, band in zip(["control", "new", "old"], lines(ax), ax.collections, strict=True):
        table = hl.predictions(clinics, hl.datagrid(clinics, dose=along, arm=arm), clusters="average")
        np.testing.assert_allclose(line.get_xdata(), along)
        np.testing.assert_allclose(line.get_ydata(), table["mean"])
        vertices = band.get_paths()[0].vertices
        assert vertices[:, 1].min() == pytest.approx(table[ENDS[0]].min())
        assert vertices[:, 1].max() == pytest.approx(table[ENDS[1]].max())
    assert ax.get_xlabel() == "dose"
    assert ax.get_ylabel() == "Probability of healed = 'yes'"
    assert legend(ax) == [
        "mean with 89% equal-tailed interval; averaged over clusters of clinic",
        *("arm = control", "arm = new", "arm = old"),
    ]


def test_categories_are_points_with_intervals_on_the_link_scale(clinics):
    (ax,) = hl.plots.predictions(clinics, ["arm", "dose"], scale="link", clusters="typical", ci_prob=0.5)
    values = clinics.model.design.table.frame["dose"].quantile([0, 0.25, 0.5, 0.75, 1]).tolist()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["control", "new", "old"]
    assert ax.get_ylabel() == "Log-odds of healed = 'yes'"
    assert legend(ax)[0] == "mean with 50% equal-tailed interval; typical cluster of clinic"
    for dose, line, bars in zip(values, lines(ax), ax.collections, strict=True):
        grid = hl.datagrid(clinics, arm=["control", "new", "old"], dose=dose)
        table = hl.predictions(clinics, grid, clusters="typical", scale="link", ci_prob=0.5)
        np.testing.assert_allclose(line.get_ydata(), table["mean"])
        np.testing.assert_allclose(intervals(bars), table[["eti50_lb", "eti50_ub"]])
        np.testing.assert_allclose(line.get_xdata() - np.arange(3), line.get_xdata()[0])  # beside each other


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("threenum", lambda dose: [dose.mean() - dose.std(), dose.mean(), dose.mean() + dose.std()]),
        ("quartile", lambda dose: dose.quantile([0.25, 0.5, 0.75]).tolist()),
        ("minmax", lambda dose: [dose.min(), dose.max()]),
        ([1, 4.5, 9], lambda _: [1, 4.5, 9]),
        (np.unique, lambda dose: np.unique(dose).tolist()),
    ],
)
def test_values_of_numbers_by_name_list_and_function(clinics, values, expected):
    axes = hl.plots.predictions(clinics, {"arm": "new", "dose": values})
    wanted = expected(clinics.model.design.table.frame["dose"])
    drawn = axes[0].get_lines()[0].get_xdata()
    if values == "minmax":  # two values are levels
        assert [label.get_text() for label in axes[0].get_xticklabels()] == [f"{value:g}" for value in wanted]
    else:
        np.testing.assert_allclose(drawn, wanted)
    assert "at arm = new" in legend(axes[0])[0]


def test_panels_share_axes_and_have_titles(crossed):
    axes = hl.plots.predictions(crossed, {"dose": [1, 5, 9], "reader": None, "arm": ["new", "old"]})
    assert [ax.get_title() for ax in axes] == ["arm = new", "arm = old"]
    assert axes[0].get_ylim() == axes[1].get_ylim()
    # The condition names the readers, so that their effects count; those of the clinics are averaged over.
    grid = hl.datagrid(crossed, dose=[1, 5, 9], reader="Cleo", arm="old")
    table = hl.predictions(crossed, grid, clusters={"clinic": "average"})
    drawn = [line.get_ydata() for line in lines(axes[1])]
    assert any(np.allclose(values, table["mean"]) for values in drawn)
    assert legend(axes[0])[1:] == ["reader = Ann", "reader = Bo", "reader = Cleo", "reader = Dee"]


def test_every_cluster_has_a_thin_line(clinics):
    (ax,) = hl.plots.predictions(clinics, {"dose": None, "arm": "new"}, clusters="observed")
    thin, (thick,) = lines(ax, GREY), lines(ax, BLUE)
    assert len(thin) == 30
    level = sorted(clinics.model.design.groups[0].levels)[4]
    own = hl.predictions(clinics, hl.datagrid(clinics, dose=thin[4].get_xdata(), arm="new", clinic=level))
    np.testing.assert_allclose(thin[4].get_ydata(), own["mean"])
    grid = hl.datagrid(clinics, dose=thick.get_xdata(), arm="new")
    np.testing.assert_allclose(thick.get_ydata(), hl.predictions(clinics, grid, clusters="average")["mean"])
    assert legend(ax)[1:] == ["30 clusters of clinic"]


def test_lines_of_one_of_two_crossed_factors(crossed):
    (ax,) = hl.plots.comparisons(crossed, {"arm": ("control", "new")}, "dose", clusters={"clinic": "average"})
    thin = lines(ax, GREY)
    assert len(thin) == 4
    grid = hl.datagrid(crossed, dose=thin[1].get_xdata(), reader="Bo")
    table = hl.comparisons(crossed, {"arm": ("control", "new")}, newdata=grid, clusters={"clinic": "average"})
    np.testing.assert_allclose(thin[1].get_ydata(), table["mean"])
    assert ax.get_title() == "arm: new - control"
    (ax,) = hl.plots.predictions(crossed, "dose", clusters="observed")
    pairs = crossed.model.design.table.frame[["clinic", "reader"]].drop_duplicates()
    assert legend(ax)[1] == f"{len(pairs)} combinations of clinic and reader"


def test_of_three_thousand_clusters_two_hundred_are_drawn(crowd):
    (ax,) = hl.plots.predictions(crowd, {"dose": [2, 5, 8]}, clusters="observed")
    assert len(lines(ax, GREY)) == 200
    assert "200 of 3,000 clusters of clinic" in legend(ax)
    assert "200 of 3,000 clusters of clinic" in hl.plots.text_alternative(ax)


def test_raw_proportions_and_a_rug(clinics, herds):
    (ax,) = hl.plots.predictions(clinics, ["dose", "arm"], points=True, rug=True)
    frame, outcome = clinics.model.design.table.frame, clinics.model.design.outcome
    rug = ax.collections[-1].get_segments()
    assert len(rug) == frame["dose"].nunique()
    offsets = np.asarray(ax.collections[3].get_offsets())  # after three bands: the first arm
    control = (frame["arm"] == "control").to_numpy()
    assert len(offsets) <= 10
    assert offsets[:, 1].min() >= 0
    assert offsets[:, 0].min() >= frame["dose"].min()
    assert outcome.y[control].mean() == pytest.approx(offsets[:, 1].mean(), abs=0.1)
    (ax,) = hl.plots.predictions(herds, "period", points=True)
    rows = herds.model.design.table.frame
    sums = rows.groupby("period", observed=True)[["sick", "size"]].sum()
    offsets = np.asarray(ax.collections[-1].get_offsets())
    np.testing.assert_allclose(offsets[:, 1], sums["sick"] / sums["size"])
    np.testing.assert_allclose(offsets[:, 0], np.arange(4))


def test_comparisons_have_a_panel_for_each_contrast_and_a_line_where_there_is_no_effect(clinics):
    axes = hl.plots.comparisons(clinics, "arm", "dose", comparison="oddsratio")
    assert [ax.get_title() for ax in axes] == ["arm: new - control", "arm: old - control"]
    for ax, contrast in zip(axes, ["new - control", "old - control"], strict=True):
        assert ax.get_yscale() == "log"
        no_effect, line = ax.get_lines()
        assert no_effect.get_color() == INK
        assert list(no_effect.get_ydata()) == [1, 1]
        grid = hl.datagrid(clinics, dose=line.get_xdata())
        table = hl.comparisons(clinics, "arm", newdata=grid, comparison="oddsratio", clusters="average")
        np.testing.assert_allclose(line.get_ydata(), table.loc[table["contrast"] == contrast, "mean"])


def test_average_comparisons_are_listed_by_term_and_contrast(clinics):
    (ax,) = hl.plots.comparisons(clinics)
    table = hl.avg_comparisons(clinics)
    names = [f"{term}: {contrast}" for term, contrast in zip(table["term"], table["contrast"], strict=True)]
    assert [label.get_text() for label in ax.get_yticklabels()] == names[::-1]
    points = ax.collections[-1].get_offsets()
    np.testing.assert_allclose(points[:, 0], table["mean"])
    np.testing.assert_allclose(intervals(ax.collections[0], 0), table[ENDS])


def test_slopes_along_their_own_variable(clinics):
    (ax,) = hl.plots.slopes(clinics, "dose", ["dose", "arm"], slope="eyex")
    for line, arm in zip(lines(ax), ["control", "new", "old"], strict=True):
        grid = hl.datagrid(clinics, dose=line.get_xdata(), arm=arm)
        table = hl.slopes(clinics, "dose", newdata=grid, slope="eyex", clusters="average")
        np.testing.assert_allclose(line.get_ydata(), table["mean"])
    assert ax.get_title() == "dose"


def test_averages_by_three_columns(crossed):
    axes = hl.plots.predictions(crossed, by=["arm", "reader"], clusters="average")
    table = hl.avg_predictions(crossed, by=["arm", "reader"], clusters="average")
    for line, (_, part) in zip(lines(axes[0]), table.groupby("reader", observed=True), strict=True):
        np.testing.assert_allclose(line.get_ydata(), part["mean"])
    axes = hl.plots.comparisons(crossed, "dose", by=["arm", "reader", "clinic"])
    assert len(axes) == 12


# ---- tables -----------------------------------------------------------------------------------------------------


def test_tables_have_a_picture_that_follows_what_is_done_to_them(clinics):
    table = hl.avg_predictions(clinics, by=["arm", "clinic"])
    (ax,) = table.plot()
    assert len(lines(ax, GREY)) == 30
    (ax,) = table[table["clinic"] == "clinic 3"].drop(columns="clinic").sort_values("mean").plot()
    chosen = table[table["clinic"] == "clinic 3"].set_index("arm")
    names, (line,) = [label.get_text() for label in ax.get_xticklabels()], lines(ax)
    drawn = dict(zip([names[int(place)] for place in line.get_xdata()], line.get_ydata(), strict=True))
    assert names == ["control", "new", "old"]
    assert drawn == pytest.approx(chosen["mean"].to_dict())
    (ax,) = pickle.loads(pickle.dumps(table)).query("arm == 'new'").plot()
    assert ax.get_ylabel() == "clinic"
    (ax,) = table[table["clinic"] == "clinic 3"].set_index("arm")[["mean"]].plot()
    np.testing.assert_allclose(lines(ax)[0].get_ydata(), chosen["mean"])


def test_numbers_of_rows_and_sums_of_weights_have_no_place_in_pictures(crossed):
    weights = np.arange(len(crossed.model.design.table.frame)) + 1
    (ax,) = hl.avg_predictions(crossed, by=["arm", "reader"], weights=weights).plot()
    (plain,) = hl.avg_predictions(crossed, by=["arm", "reader"]).plot()
    assert ax.get_xlabel() == plain.get_xlabel() == "arm"
    assert [*map(str, ax.get_xticklabels())] == [*map(str, plain.get_xticklabels())]


def test_clusters_are_listed_in_the_order_of_their_values(clinics, crowd):
    table = hl.avg_comparisons(clinics, {"arm": ("control", "new")}, by="clinic")
    (ax,) = table.plot()
    ordered = table.sort_values("mean")
    assert [label.get_text() for label in ax.get_yticklabels()] == ordered["clinic"].tolist()
    assert ax.get_title() == "arm: new - control"
    (ax,) = hl.avg_predictions(crowd, by="clinic").plot()
    assert ax.get_ylabel() == "3,000 clusters of clinic, in the order of their values"
    assert len(ax.collections[0].get_segments()) == 3000


def test_rows_of_the_data_are_drawn_in_the_order_of_their_values(clinics):
    table = hl.comparisons(clinics, "dose")
    (ax,) = table.plot()
    np.testing.assert_allclose(ax.collections[-1].get_offsets()[:, 0], np.sort(table["mean"]))
    assert ax.get_ylabel() == "360 rows, in the order of their values"
    (ax,) = table.plot(condition=["dose", "arm"])
    assert sum(len(line.get_xdata()) for line in lines(ax)) == 360


def test_groups_of_rows_with_missing_values_are_drawn(clinics):
    frame = clinics.model.design.table.frame
    rows = frame.assign(site=np.where(np.arange(len(frame)) % 3 == 0, None, "a"))
    table = hl.avg_predictions(clinics, rows, by=["arm", "site"])
    (ax,) = table.plot()
    assert legend(ax)[1:] == ["site = a", "site = missing"]
    for line, part in zip(lines(ax), (table[table["site"] == "a"], table[table["site"].isna()]), strict=True):
        np.testing.assert_allclose(line.get_ydata(), part["mean"])


def test_numbers_that_are_labels_are_levels(make_fit):
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"y": rng.integers(0, 2, 120), "week": np.tile([0, 2, 4, 11], 30)})
    rows["g"] = np.repeat(list("abcdef"), 20)
    (ax,) = hl.plots.predictions(make_fit("y ~ C(week) + (1 | g)", rows), "week")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "2", "4", "11"]


def test_other_calls_are_those_of_pandas(clinics):
    table = hl.avg_predictions(clinics, by="arm")
    assert isinstance(table.plot(x="arm", y="mean"), Axes)
    assert isinstance(table.plot.scatter(x="mean", y="sd"), Axes)
    assert isinstance(table.plot(kind="bar", y="mean"), Axes)
    assert isinstance(hl.summary(clinics)[["mean", "sd"]].plot(), Axes)
    for computed in (table[["mean"]] * 100, table.set_index("arm").T, np.sqrt(table[["mean"]])):
        assert isinstance(computed.plot(), Axes)
    _, ax = plt.subplots()
    assert table.plot(ax=ax)[0] is ax
    assert ax.get_xlabel().splitlines() == ["arm", "mean with 89% equal-tailed interval"]


def test_averages_by_more_columns_than_places_are_drawn_from_their_table(crossed):
    by = ["arm", "reader", "clinic", "healed"]
    with pytest.raises(PredictionError, match="by names 4 columns, 'arm', 'reader', 'clinic', 'healed'; at most three"):
        hl.plots.predictions(crossed, by=by)
    assert len(hl.avg_predictions(crossed, by=by).plot()) == 1


def test_too_many_panels_are_refused(make_fit):
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"y": rng.integers(0, 2, 200), "f": np.tile([f"level {k}" for k in range(10)], 20)})
    rows["x"], rows["g"] = rng.normal(size=200), np.repeat(list("abcde"), 40)
    fit = make_fit("y ~ f + x + (1 | g)", rows)
    with pytest.raises(PredictionError, match="there would be 45 panels"):
        hl.plots.comparisons(fit, {"f": "pairwise"}, "x")
    assert not plt.get_fignums()
    (ax,) = hl.plots.comparisons(fit, {"f": "pairwise"})
    assert len(ax.get_yticklabels()) == 45


def test_hypotheses_are_drawn_as_such(clinics):
    (ax,) = hl.avg_predictions(clinics, by="arm", hypothesis="pairwise").plot(rope=(-0.1, 0.1))
    assert len(ax.patches) == 1
    (ax,) = hl.hypotheses(clinics).plot()
    assert len(ax.get_yticklabels()) == len(clinics.model.design.fixed_effects)


# ---- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "what is drawn is not given: pass condition="),
        ({"condition": "dosis"}, "condition: there is no predictor 'dosis' in the model; choose one of"),
        ({"condition": {"dosis": None}}, "condition: there is no predictor 'dosis'"),
        ({"condition": {"dose": 3}}, "must vary from one to 3 predictors"),
        ({"condition": ["arm", "dose", "arm"]}, "names a predictor twice. Name each once"),
        ({"condition": {"dose": "fournum"}}, "must be a list of values, or one of 'threenum'"),
        ({"condition": {"dose": [1, 2], "arm": "none"}}, "none"),
        ({"condition": ["arm", "dose"], "by": "arm"}, "condition= makes the rows, and 'by' is for averages"),
        ({"condition": ["dose", "clinic"], "clusters": "typical"}, "'clinic' is a column of clusters"),
        ({"condition": "arm", "rug": True}, "rug=True needs a numeric predictor on the axis; 'arm' has levels"),
        ({"condition": "dose", "points": True, "scale": "link"}, "points=True draws proportions"),
        ({"condition": {"dose": None, "arm": np.max}}, "condition\\['arm'\\]"),
        (
            {"condition": {"arm": None, "dose": lambda dose: dose.unique()[:20].tolist()}},
            "20 different values, too many for col",
        ),
    ],
)
def test_what_cannot_be_drawn_is_named(clinics, arguments, message):
    with pytest.raises(PredictionError, match=message):
        hl.plots.predictions(clinics, **arguments)
    assert not plt.get_fignums()


def test_tables_are_drawn_as_they_are(clinics):
    table = hl.avg_predictions(clinics, by="arm")
    with pytest.raises(PredictionError, match="'ci_prob' is for fits, and result is a table"):
        hl.plots.predictions(table, ci_prob=0.5)
    with pytest.raises(PredictionError, match="result is not a table by hl.comparisons or hl.avg_comparisons"):
        hl.plots.comparisons(table)
    with pytest.raises(PredictionError, match="condition: there is no column 'dose' in the table"):
        table.plot(condition="dose")
    with pytest.raises(PredictionError, match="condition is a dict"):
        table.plot(condition={"arm": ["new"]})
    with pytest.raises(PredictionError, match="has neither the column 'estimate' nor 'mean'"):
        table[["arm", "sd"]].plot()
    with pytest.raises(PredictionError, match="result must be a fit, or a table by hl.slopes"):
        hl.plots.slopes(3)


def test_representative_clusters_have_a_style_each(clinics):
    (ax,) = hl.plots.predictions(clinics, {"dose": None, "arm": ["new", "old"]}, clusters=["low", "middle", "high"])
    drawn = lines(ax)
    grid = hl.datagrid(clinics, dose=drawn[0].get_xdata(), arm="new")
    table = hl.predictions(clinics, grid, clusters=["low", "middle", "high"])
    for line, (_, part) in zip(drawn[:3], table.groupby("clusters", sort=False), strict=True):
        np.testing.assert_allclose(line.get_ydata(), part["mean"])
        assert line.get_color() == BLUE
    assert [line.get_linestyle() for line in drawn] == ["--", "-", "--"] * 2
    assert len({str(line._dash_pattern) for line in drawn}) == 3
    assert legend(ax)[1:] == ["arm = new", "arm = old", "clinic 10%", "clinic 50%", "clinic 90%"]
    (ax,) = hl.plots.predictions(clinics, "dose", clusters="high")
    assert "cluster at clinic 90%" in legend(ax)[0]
    (ax,) = hl.plots.predictions(clinics, "dose", clusters=list(np.linspace(0.1, 0.9, 9)))
    assert legend(ax)[1:] == ["9 representative clusters"]
    (ax,) = hl.avg_predictions(clinics, clusters=[0.1, 0.9]).plot()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["clinic 10%", "clinic 90%"]


# ---- figures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [2.6, 6.0])
@pytest.mark.parametrize(
    "draw",
    [
        lambda fit, ax: hl.plots.predictions(fit, ["dose", "arm"], points=True, axes=ax),
        lambda fit, ax: hl.plots.predictions(fit, ["arm"], clusters="observed", axes=ax),
        lambda fit, ax: hl.avg_predictions(fit, by="clinic").plot(axes=ax),
        lambda fit, ax: hl.plots.slopes(fit, "dose", "dose", axes=ax),
    ],
)
def test_nothing_is_cut_off_in_narrow_figures(clinics, draw, width):
    figure, ax = plt.subplots(figsize=(width, 4), layout="constrained")
    draw(clinics, ax)
    figure.canvas.draw()
    extent, inside = ax.get_tightbbox(), figure.bbox.padded(1.5)
    assert inside.x0 <= extent.x0 < extent.x1 <= inside.x1
    assert inside.y0 <= extent.y0 < extent.y1 <= inside.y1
    assert hl.plots.text_alternative(ax).endswith(".")
    plt.close(figure)


def test_colours_are_in_the_order_of_the_groups(clinics):
    (ax,) = hl.plots.predictions(clinics, ["dose", "arm"])
    assert [line.get_color() for line in lines(ax)][:2] == [BLUE, VERMILLION]
