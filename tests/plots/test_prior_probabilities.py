import matplotlib.pyplot as plt
import numpy as np
import pytest

import hierlogit as hl
from hierlogit import priors as pr


def heights(ax):
    return np.array([bar.get_height() for bar in ax.patches])


@pytest.fixture(scope="module")
def contraception():
    return hl.datasets.load("contraception")


def test_bars_are_shares_of_the_draws(contraception):
    axes = hl.plots.prior_predictive(hl.Model("use ~ age + (1 | district)", contraception), draws=200, seed=1)
    for ax in axes:
        assert heights(ax).sum() == pytest.approx(1)
    assert [" ".join(ax.get_xlabel().split()) for ax in axes] == [
        "Probability of use = 1 in an average row in a typical cluster",
        "Simulated proportion of use = 1 in clusters of district",
        "Range of probabilities between 60 clusters of district, 5% to 95% quantile",
    ]


def test_the_average_row_has_the_prior_of_the_intercept(contraception):
    from scipy.special import logit
    from scipy.stats import norm

    model = hl.Model("use ~ age + urban + (1 | district)", contraception, priors={"Intercept": pr.Normal(0.5, 1.5)})
    ax = hl.plots.prior_predictive(model, draws=4000, seed=3)[0]
    edges = np.linspace(0, 1, 21)
    with np.errstate(divide="ignore"):
        expected = np.diff(norm.cdf(logit(edges), 0.5, 1.5))
    error = np.sqrt(expected * (1 - expected) / 4000)
    assert np.abs((heights(ax) - expected) / error).max() < 4.5
    low, high = (norm.cdf(logit(0.05), 0.5, 1.5), norm.sf(logit(0.95), 0.5, 1.5))
    said = ax.get_title(loc="left") or ax.get_title()
    shown = [float(part.split("%")[0]) / 100 for part in said.split(", ")]
    np.testing.assert_allclose(shown, [low, high], atol=0.02)


def test_clusters_that_cannot_differ_have_no_range(contraception):
    alike = hl.Model("use ~ 1 + (1 | district)", contraception, priors={"sd": pr.HalfNormal(1e-6)})
    spread = hl.Model("use ~ 1 + (1 | district)", contraception, priors={"sd": pr.HalfNormal(5)})
    near = hl.plots.prior_predictive(alike, draws=100, seed=1)[2]
    assert heights(near)[0] == pytest.approx(1)
    far = hl.plots.prior_predictive(spread, draws=100, seed=1)[2]
    assert heights(far)[:2].sum() < 0.2


def test_the_same_seed_draws_the_same(contraception):
    model = hl.Model("use ~ 1 + (1 | district)", contraception)
    first, second = (hl.plots.prior_predictive(model, draws=50, seed=4) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(heights(one), heights(other))


def test_without_clusters_there_are_two_panels(contraception):
    axes = hl.plots.prior_predictive(hl.Model("use ~ age", contraception), draws=50, seed=1)
    assert len(axes) == 2
    assert "in all rows" in " ".join(axes[1].get_xlabel().split())


def test_counts_and_other_factors(crossed, herds):
    assert "clusters of reader" in hl.plots.text_alternative(hl.plots.prior_predictive(crossed, "reader", draws=20))
    assert "sick of size" in hl.plots.text_alternative(hl.plots.prior_predictive(herds, draws=20))


def test_errors(contraception):
    model = hl.Model("use ~ 1 + (1 | district)", contraception)
    with pytest.raises(hl.errors.PredictionError, match="draws=3 must be"):
        hl.plots.prior_predictive(model, draws=3)
    with pytest.raises(
        hl.errors.FitError, match="no grouping factor 'village' in the model; the only choice is 'district'"
    ):
        hl.plots.prior_predictive(model, "village")
    with pytest.raises(hl.errors.FitError, match="3 Axes"):
        hl.plots.prior_predictive(model, draws=20, axes=plt.subplots()[1])
