import matplotlib.pyplot as plt
import numpy as np
import pytest

import hierlogit as hl
from hierlogit.plots.style import BLUE, GREY


def test_draws_the_intervals_of_the_table(clinics):
    table = hl.avg_predictions(clinics, by="arm", hypothesis="pairwise", adjust="single-step", direction=True)
    (ax,) = hl.plots.hypotheses(table, rope=(-0.05, 0.05))
    assert [label.get_text() for label in ax.get_yticklabels()] == table["hypothesis"].tolist()
    segments = np.asarray(ax.collections[0].get_segments())
    ends = table[["simultaneous89_lb", "simultaneous89_ub"]].to_numpy()
    np.testing.assert_allclose(segments[:, :, 0], ends)
    np.testing.assert_allclose(np.asarray(ax.collections[1].get_offsets())[:, 0], table["mean"])
    assert len(ax.patches) == 1
    assert "89% simultaneous interval" in ax.get_xlabel()
    assert "simultaneous" in hl.plots.text_alternative(ax)
    assert ax.texts[-1].get_text() == "direction"


def test_intervals_that_exclude_what_is_tested_are_blue(clinics):
    table = hl.hypotheses(clinics, ["arm[new] > -10", "arm[old] > 10", "arm[new] = 0.123"], ci_prob=0.9999)
    assert table["null"].tolist() == [-10, 10, 0.123]
    _, ax = plt.subplots()
    assert hl.plots.hypotheses(table, ax=ax)[0] is ax
    lines = next(one for one in ax.collections if len(one.get_segments()) == 3 and one.get_linewidths()[0] > 1)
    colours = [plt.matplotlib.colors.to_hex(colour) for colour in lines.get_colors()]
    inside = table["eti99_99_lb"][2] <= 0.123 <= table["eti99_99_ub"][2]
    assert [colour.upper() for colour in colours] == [BLUE, BLUE, GREY if inside else BLUE]
    assert [text.get_text() for text in ax.texts] == ["> 0.999", "< 0.001", "probability"]


def test_other_tables_are_refused(clinics):
    with pytest.raises(hl.errors.FitError, match="result has no hypotheses with intervals"):
        hl.plots.hypotheses(hl.summary(clinics))
    many = hl.predictions(clinics, hypothesis="reference")
    with pytest.raises(hl.errors.FitError, match=rf"result has {len(many)} hypotheses; from 1 to 100 can be drawn"):
        hl.plots.hypotheses(many)
    assert len(hl.plots.hypotheses(many.head(100))) == 1
