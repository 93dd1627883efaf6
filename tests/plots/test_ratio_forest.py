import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.plots.ratio_axis import round_ratios
from hierlogit.plots.ratio_forest import _figures, readable


def test_draws_what_odds_ratios_gives(clinics):
    ax = hl.plots.forest(clinics, ci_prob=0.9)[0]
    table = hl.odds_ratios(clinics, ci_prob=0.9)
    points = np.asarray(ax.collections[1].get_offsets())
    np.testing.assert_allclose(points[:, 0], table["median"])
    np.testing.assert_allclose(np.asarray(ax.collections[0].get_segments())[:, :, 0], table[["eti90_lb", "eti90_ub"]])
    assert ax.get_xscale() == "log"
    labels = dict(zip(ax.get_yticks(), (label.get_text() for label in ax.get_yticklabels()), strict=True))
    drawn = [labels[position] for position in points[:, 1]]
    assert drawn == ["dose: 7.342 vs 2.69", "arm: new vs control", "arm: old vs control"]
    written = [text.get_text() for text in ax.texts]
    assert written[0] == _figures(*table.iloc[0][["median", "eti90_lb", "eti90_ub"]])
    assert written[-1] == "median [90% interval]"


def test_one_is_marked(clinics):
    ax = hl.plots.forest(clinics)[0]
    np.testing.assert_array_equal(ax.get_lines()[0].get_xdata(), [1, 1])
    assert 1.0 in ax.get_xticks()
    assert ax.get_xlim()[0] < 1 < ax.get_xlim()[1]


def test_effects_are_chosen_by_label_or_term(clinics):
    ax = hl.plots.forest(clinics, ["arm", "dose"])[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "arm: new vs control",
        "arm: old vs control",
        "dose: 7.342 vs 2.69",
    ]
    ax = hl.plots.forest(clinics, ["arm[old]"])[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["arm: old vs control"]


def test_works_without_random_effects_and_on_given_axes(clinics, make_fit):
    fit = make_fit("healed ~ dose * arm", clinics.model.design.table.frame)
    _, ax = plt.subplots()
    assert hl.plots.forest(fit, ax=ax)[0] is ax
    assert "dose × arm[new]" in [label.get_text() for label in ax.get_yticklabels()]


def test_labels_can_be_replaced_and_long_ones_are_broken(clinics):
    long = "New arm of the trial, with extended release and twice the dose"
    (ax,) = hl.plots.forest(clinics, ["arm"], labels={"arm[new]": long})
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert shown == ["New arm of the trial, with\nextended release and twice the\ndose", "arm: old vs control"]
    # The panel keeps more than half of the figure.
    ax.figure.draw_without_rendering()
    assert ax.get_position().width > 0.4
    with pytest.raises(hl.errors.FitError, match=r"labels: there is no fixed effect 'arm\[gnu\]'.*Did you mean"):
        hl.plots.forest(clinics, labels={"arm[gnu]": "x"})


def test_bad_arguments_are_named(clinics, make_fit):
    with pytest.raises(hl.errors.FitError, match="no fixed effect 'age' in the model; choose one of 'dose"):
        hl.plots.forest(clinics, ["age"])
    with pytest.raises(hl.errors.FitError, match="effects is an empty list"):
        hl.plots.forest(clinics, [])
    only_mean = make_fit("healed ~ 1 + (1 | clinic)", clinics.model.design.table.frame)
    with pytest.raises(hl.errors.FitError, match="no fixed effect besides the intercept"):
        hl.plots.forest(only_mean)


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        ((2.1238, 1.633, 2.8045), "2.12 [1.63, 2.80]"),
        ((1.003, 0.98790, 1.01874), "1.003 [0.988, 1.019]"),
        ((25.3, 11.8, 61.2), "25 [12, 61]"),
        ((2e6, 30.0, 5e9), "2e+06 [30, 5e+09]"),
    ],
)
def test_figures_have_the_decimals_their_width_asks_for(ratio, text):
    assert _figures(*ratio) == text


@pytest.mark.parametrize("limits", [(0.9, 1.1), (0.94, 3.7), (0.15, 3), (0.01, 50), (1e-8, 1e9), (0.999, 1.002)])
def test_ticks_are_few_and_hold_1(limits):
    ticks = round_ratios(*limits)
    assert 2 <= len(ticks) <= 10
    assert min(abs(tick - 1) for tick in ticks) < 1e-9


def test_labels_keep_brackets_they_do_not_understand(make_fit):
    rng = np.random.default_rng(6)
    rows = pd.DataFrame(
        {"y": rng.integers(0, 2, 80), "time": rng.choice(["9:00", "10:30"], 80), "x": rng.normal(size=80)}
    )
    design = make_fit("y ~ 0 + time + x:time", rows).model.design
    labels = [readable(label, design) for label in design.fixed_effects]
    assert all("9:00" in label or "10:30" in label for label in labels)


def test_labels_of_several_lines_do_not_overlap_beside_short_ones(clinics):
    long = "a long label, of more than a single line, " * 16
    ax = hl.plots.forest(clinics, labels={clinics.model.design.fixed_effects[-1]: long})[0]
    ax.figure.canvas.draw()
    boxes = sorted((label.get_window_extent() for label in ax.get_yticklabels()), key=lambda box: box.y0)
    assert max(label.get_text().count("\n") for label in ax.get_yticklabels()) >= 4
    assert all(above.y0 > below.y1 for below, above in itertools.pairwise(boxes))
