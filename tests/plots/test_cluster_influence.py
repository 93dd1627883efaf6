from concurrent.futures import Executor

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.diagnostics.influence import Influence


@pytest.fixture(scope="module")
def found():
    return hl.influence(hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace"))


def _many(clusters):
    random = np.random.default_rng(1)
    labels = pd.Index([f"clinic of town {k}" for k in range(clusters)], name="clinic")
    dfbetas = pd.DataFrame(random.normal(0, 0.02, (clusters, 3)), labels, ["Intercept", "x", "sd_clinic[Intercept]"])
    dfbetas["cor_clinic[Intercept, x]"] = np.nan
    distance = np.sort(random.exponential(1 / clusters, clusters))[::-1]
    distance[-2:] = np.nan
    table = pd.DataFrame(
        {"rows": 4, "cooks_distance": distance, "dfbetas": 0.1, "parameter": "x", "status": ""}, labels
    )
    return Influence("clinic", table, dfbetas, dfbetas, dfbetas.iloc[0], dfbetas.iloc[0], {}, "made up")


def test_draws_what_influence_found(found):
    axes = hl.plots.influence(found, top=5)
    distances = np.asarray(axes[0].collections[1].get_offsets())
    np.testing.assert_allclose(distances[:, 0], found.table["cooks_distance"].head(5))
    labels = dict(zip(axes[0].get_yticks(), (text.get_text() for text in axes[0].get_yticklabels()), strict=True))
    assert [labels[y] for y in distances[:, 1]] == [str(herd) for herd in found.table.index[:5]]
    assert axes[0].get_lines()[0].get_xdata()[0] == pytest.approx(4 / 15)
    assert "10 smaller ones not shown" in axes[0].get_xlabel()
    rows = axes[1].collections
    assert len(rows) == 5
    for row, name in zip(rows, found.dfbetas.columns, strict=True):
        np.testing.assert_allclose(np.asarray(row.get_offsets())[:, 0], found.dfbetas[name])
    named = [text.get_text() for text in axes[1].texts]
    assert named == [str(herd) for herd in found.dfbetas.abs().idxmax()]


def test_is_told_in_words(found):
    text = hl.plots.text_alternative(hl.plots.influence(found))
    assert "the largest are 11 0.43, 1 0.34" in text
    assert "period[p2] without 11 (-1.2)" in text


def test_thousands_of_clusters_and_what_has_no_number():
    axes = hl.plots.influence(_many(3000))
    assert len(axes[0].get_yticks()) == 20
    assert axes[0].get_xlabel().endswith("\n2,978 smaller ones not shown; 2 without a value")
    assert [text.get_text().strip() for text in axes[1].texts][-1] == "no standard error"
    figure = axes[0].figure
    figure.canvas.draw()
    width = figure.bbox.width
    for ax in axes:
        for text in [ax.xaxis.label, *ax.texts, *ax.get_yticklabels()]:
            box = text.get_window_extent()
            assert 0 <= box.x0 <= box.x1 <= width


def test_works_on_given_axes_and_refuses_what_is_none(found):
    _, axes = plt.subplots(1, 2)
    assert hl.plots.influence(found, axes=axes)[1] is axes[1]
    with pytest.raises(hl.errors.FitError, match="needs 2 Axes"):
        hl.plots.influence(found, axes=axes[0])
    with pytest.raises(hl.errors.FitError, match="top=0"):
        hl.plots.influence(found, top=0)

    class Stubborn(Executor):
        def submit(self, *_, **__):
            raise KeyboardInterrupt

    fit = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")).fit("laplace")
    with pytest.raises(hl.errors.FitError, match="no Cook's distances"):
        hl.plots.influence(hl.influence(fit, executor=Stubborn()))
