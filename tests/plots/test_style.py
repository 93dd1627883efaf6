"""What all pictures share."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.fits.fit import Fit

PICTURES: list[Callable[[Fit], object]] = [
    hl.plots.caterpillar,
    lambda fit: hl.plots.curves(fit, "dose"),
    hl.plots.shrinkage,
    lambda fit: hl.plots.prior_predictive(fit, draws=50, seed=1),
    hl.plots.forest,
    lambda fit: hl.plots.cluster_check(fit, seed=1),
]


@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_says_in_words_what_it_shows(picture, clinics):
    axes = picture(clinics)
    text = hl.plots.text_alternative(axes)
    assert text.endswith(".")
    assert "clinic" in text or "Odds ratios" in text
    figure = np.ravel(np.asarray(axes, dtype=object))[0].figure
    assert hl.plots.text_alternative(figure) == text


@pytest.mark.parametrize("picture", PICTURES)
def test_settings_of_matplotlib_are_left_as_they_were(picture, clinics):
    before = dict(mpl.rcParams)
    picture(clinics)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("picture", PICTURES)
def test_nothing_is_cut_off_at_the_edges(picture, clinics):
    figure = np.ravel(np.asarray(picture(clinics), dtype=object))[0].figure
    figure.canvas.draw()
    inside = figure.bbox.padded(1.5)
    for ax in figure.axes:
        extent = ax.get_tightbbox()
        assert inside.containsx(extent.x0), ax.get_title()
        assert inside.containsx(extent.x1), ax.get_title()
        assert inside.containsy(extent.y0), ax.get_title()
        assert inside.containsy(extent.y1), ax.get_title()


def test_figures_without_our_pictures_have_no_text():
    figure, ax = plt.subplots()
    assert hl.plots.text_alternative(figure) == ""
    assert hl.plots.text_alternative(ax) == ""


def test_dollar_signs_in_labels_are_no_formulas(make_fit):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"y": rng.integers(0, 2, 60), "price": rng.choice(["$5-$10", "$10-$20"], 60)})
    rows["shop"] = np.tile(["$a$", "b$_", "c"], 20)
    fit = make_fit("y ~ price + (1 | shop)", rows)
    for axes in (hl.plots.caterpillar(fit), hl.plots.curves(fit, "price"), hl.plots.forest(fit)):
        np.ravel(np.asarray(axes, dtype=object))[0].figure.canvas.draw()
    labels = [label.get_text() for label in hl.plots.caterpillar(fit)[0].get_yticklabels()]
    assert sorted(labels) == ["$a$", "b$_", "c"]


def test_import_does_not_load_matplotlib():
    code = "import sys, hierlogit as hl; assert 'curves' in dir(hl.plots); assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_settings_that_a_backend_makes_when_it_is_loaded_stay(tmp_path):
    # As a notebook's backend does; undone, the notebook would show no more pictures.
    (tmp_path / "late_backend.py").write_text(
        "import matplotlib\nfrom matplotlib.backends.backend_agg import *\nmatplotlib.rcParams['figure.dpi'] = 77\n",
        encoding="utf-8",
    )
    code = (
        "import matplotlib as mpl\nfrom hierlogit.plots.style import house_style, new_axes\n"
        "with house_style():\n    new_axes(1, width=3, height=2)\nprint(mpl.rcParams['figure.dpi'])"
    )
    environment = os.environ | {
        "MPLBACKEND": "module://late_backend",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert float(printed) == 77


@pytest.mark.parametrize(
    ("draw", "computes"),
    [
        (lambda fit: hl.plots.comparisons(fit, "arm", axes=3), "effect_pictures._Wanted._averages"),
        (lambda fit: hl.plots.residuals(fit, axes=3), "residual_patterns.rows_to_bin"),
        (lambda fit: hl.plots.calibration(fit, ax=3), "reliability_curve.calibration_of"),
        (lambda fit: hl.plots.shrinkage(fit, axes=3), "cluster_shrinkage.pooling"),
        (lambda fit: hl.plots.curves(fit, "dose", axes=3), "cluster_curves._compute"),
        (lambda fit: hl.plots.effects_qq(fit, axes=3), "effects_normality.effect_quantiles"),
    ],
)
def test_what_are_no_axes_is_refused_before_anything_is_computed(
    draw: Any, computes: str, make_fit: Any, clustered_rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = make_fit("healed ~ dose + arm + (1 | clinic)", clustered_rows(8, 10))
    monkeypatch.setattr(f"hierlogit.plots.{computes}", lambda *_, **__: pytest.fail("something was computed"))
    with pytest.raises(hl.errors.FitError, match="must be matplotlib Axes; got int"):
        draw(fit)
