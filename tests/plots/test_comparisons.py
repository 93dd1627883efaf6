"""Pictures of comparisons: models side by side, likelihood ratios, k-hat."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import FitError
from hierlogit.model_comparison.likelihood_ratio import chi_squared_tail


@pytest.fixture(scope="module")
def fits():
    data = hl.datasets.load("bacteria")
    formulas = {"plain": "y ~ week_gt2", "one": "y ~ week_gt2 + (1 | ID)", "two": "y ~ week_gt2 + (1 + week_gt2 | ID)"}
    return {name: hl.Model(text, data).fit("laplace") for name, text in formulas.items()}


def _within_the_figure(ax):
    ax.figure.canvas.draw()
    for text in [ax.xaxis.label, ax.yaxis.label, ax.title, *ax.texts]:
        if not text.get_text():
            continue
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= ax.figure.bbox.x1 + 1


def test_criteria_are_drawn_from_the_best(fits):
    table = hl.compare(fits)
    ax = hl.plots.compare(table)[0]
    np.testing.assert_allclose(ax.collections[1].get_offsets()[:, 0], table["difference"])
    assert [label.get_text() for label in ax.get_yticklabels()] == list(table.index)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    text = hl.plots.text_alternative(ax)
    assert text.startswith(f"AIC of 3 models; the best is {table.index[0]}; the others: {table.index[1]} +")
    _within_the_figure(ax)


def test_criteria_are_named_in_words(fits):
    ax = hl.plots.compare(hl.compare(fits, criterion="bic_hybrid"))[0]
    assert ax.get_title() == "Hybrid BIC, smaller is better"
    assert ax.get_xlabel() == "hybrid BIC minus that of the best model"
    assert hl.plots.text_alternative(ax).startswith("Hybrid BIC of 3 models; the best is")


def test_densities_are_drawn_with_their_errors():
    table = pd.DataFrame(
        {
            "rank": [0, 1],
            "elpd": [-100.0, -108.0],
            "se": [9.0, 10.0],
            "elpd_diff": [0.0, -8.0],
            "dse": [0.0, 3.5],
        },
        index=["b", "a"],
    )
    ax = hl.plots.compare(table)[0]
    assert [text.get_text() for text in ax.texts] == ["-8.0 ± 3.5"]
    whole, gap = (container.lines[2][0].get_segments() for container in ax.containers)
    np.testing.assert_allclose([segment[:, 0] for segment in whole], [[-109, -91], [-118, -98]])
    np.testing.assert_allclose(gap[0][:, 0], [-111.5, -104.5])
    assert "the best is b with -100.0; differences from it: a -8.0 (standard error 3.5)" in ax.get_label()
    _within_the_figure(ax)


def test_the_statistic_stands_beside_its_distributions(fits):
    found = hl.likelihood_ratio(fits["plain"], fits["one"], "bootstrap", replicates=60, seed=1)
    ax = hl.plots.likelihood_ratio(found)[0]
    lines = {line.get_label(): line for line in ax.get_lines()}
    steps = lines["simulated studies"]
    np.testing.assert_array_equal(steps.get_xdata(), np.sort(found.simulated))
    np.testing.assert_allclose(steps.get_ydata()[[0, -1]], [59 / 60, 0])
    x, y = lines["½ χ²(0) + ½ χ²(1)"].get_data()
    np.testing.assert_allclose(y, [0.5 * chi_squared_tail(value, 1) for value in x])
    assert "naive χ²(1)" in lines
    assert ax.get_yscale() == "log"
    text = hl.plots.text_alternative(ax)
    share = (found.simulated >= found.statistic).mean()
    assert text.startswith(f"Likelihood-ratio statistic {found.statistic:.2f}; probability of one at least as large")
    assert f": {share:.2%} of 60 simulated studies; " in text
    _within_the_figure(ax)


def test_what_has_no_mixture_is_drawn_without(fits):
    fixed = hl.likelihood_ratio(hl.Model("y ~ 1", hl.datasets.load("bacteria")).fit("laplace"), fits["plain"])
    labels = [line.get_label() for line in hl.plots.likelihood_ratio(fixed)[0].get_lines()]
    assert labels[0] == "χ²(1)"
    several = hl.likelihood_ratio(fits["plain"], fits["two"], "bootstrap", replicates=9, seed=1)
    labels = [line.get_label() for line in hl.plots.likelihood_ratio(several)[0].get_lines()]
    assert labels[:2] == ["simulated studies", "naive χ²(3)"]


# The draws of this fit are no posterior's.
@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_shapes_are_drawn_with_the_largest_named(make_fit, clustered_rows):
    fit = make_fit("healed ~ dose + (1 | clinic)", clustered_rows(12, 8))
    found = hl.loo(fit, "clinic", refit=False)
    ax = hl.plots.khat(found)[0]
    np.testing.assert_allclose(ax.collections[0].get_offsets()[:, 1], found.pareto_k)
    largest = str(found.pareto_k["clinic"].to_numpy()[int(np.argmax(found.pareto_k.to_numpy()))])
    assert largest in [text.get_text() for text in ax.texts]
    assert ax.get_xlabel() == "clinic, in the order of the model"
    assert f"the largest: {largest} " in hl.plots.text_alternative(ax)
    rows = hl.plots.khat(hl.loo(fit, refit=False))[0]
    assert len(rows.collections[0].get_offsets()) == 96
    _within_the_figure(ax)


def test_bayes_factors_are_drawn_by_the_scales_of_the_priors():
    priors = {"Intercept": hl.priors.Normal(0, 1.5), "beta": hl.priors.Normal(0, 1)}
    models = {
        name: hl.Model(f"y ~ {name}", hl.datasets.load("bacteria"), priors=given)
        for name, given in (("1", {"Intercept": priors["Intercept"]}), ("week_gt2", priors), ("ap", priors))
    }
    found = hl.bayes_factor(models, reference="1", scales=[0.5, 2], draws=256)
    ax = hl.plots.bayes_factor(found)[0]
    assert ax.get_ylabel() == "Bayes factor relative to '1'"
    assert sorted(text.get_text() for text in ax.get_legend().get_texts()) == ["ap", "week_gt2"]
    lines = {line.get_label(): line for line in ax.get_lines()}
    expected = found.sensitivity.loc["ap", "bayes_factor"]
    np.testing.assert_allclose(lines["ap"].get_xdata(), [0.5, 1, 2])
    np.testing.assert_allclose(lines["ap"].get_ydata(), expected)
    assert f"'ap' {expected[1.0]:.3g}, from {expected[0.5]:.3g} to {expected[2.0]:.3g}" in hl.plots.text_alternative(ax)
    with pytest.raises(FitError, match="Compute it first: hl.bayes_factor"):
        hl.plots.bayes_factor(found.table)
    _within_the_figure(ax)


@pytest.mark.parametrize(("reference", "end"), [("1", 1e100), ("clinic", 1e-100)])
def test_bayes_factors_beyond_floats_are_drawn_at_the_end(reference, end):
    rng = np.random.default_rng(1)
    clinic = np.repeat(np.arange(40), 100)
    rows = pd.DataFrame({"y": rng.random(4000) < np.where(clinic % 2, 0.97, 0.03), "clinic": clinic.astype(str)})
    priors = {"Intercept": hl.priors.Normal(0, 1.5), "sd": hl.priors.HalfNormal(2)}
    models = {
        "1": hl.Model("y ~ 1", rows, priors={"Intercept": priors["Intercept"]}),
        "clinic": hl.Model("y ~ 1 + (1 | clinic)", rows, priors=priors),
    }
    found = hl.bayes_factor(models, reference=reference, scales=[0.5, 2], draws=256)
    assert np.abs(found.table["log_bayes_factor"]).max() > 1000
    assert "the log Bayes factor of" in str(found)
    (line,) = (one for one in hl.plots.bayes_factor(found)[0].get_lines() if len(one.get_xdata()) == 3)
    np.testing.assert_allclose(line.get_ydata(), end)


def test_what_cannot_be_drawn_is_said(fits):
    with pytest.raises(FitError, match="table is not made by hl.compare: it has the columns 'a'"):
        hl.plots.compare(pd.DataFrame({"a": [1]}))
    with pytest.raises(FitError, match="result is not made by hl.loo .got Fit."):
        hl.plots.khat(fits["one"])
    _, axes = plt.subplots(1, 2)
    with pytest.raises(FitError, match="needs 1 Axes"):
        hl.plots.compare(hl.compare(fits), ax=axes)
