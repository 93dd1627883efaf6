"""Terms of sampled fits: directions, contours, leave-one-out differences and Bayes factors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import DataWarning, EngineError, FitError
from hierlogit.model_comparison import term_posterior
from hierlogit.model_comparison.term_posterior import contour_probability

FORMULA = "y ~ week_gt2 + trt + (1 | ID)"
PRIORS = {"Intercept": hl.priors.Normal(0, 2), "beta": hl.priors.Normal(0, 1), "sd": hl.priors.HalfNormal(1)}


@pytest.fixture(scope="module")
def sampled(make_fit: Callable[..., hl.results.Fit]) -> hl.results.Fit:
    return make_fit(hl.Model(FORMULA, hl.datasets.load("bacteria"), priors=PRIORS), None, draws=100)


def test_contours_of_normal_draws_are_chi_squared() -> None:
    random = np.random.default_rng(1)
    root = np.array([[1.0, 0.0], [0.8, 0.6]])
    draws = random.normal(size=(100_000, 2)) @ root.T
    # A point at Mahalanobis' distance 2 from the mean.
    assert contour_probability(draws + root @ [2.0, 0.0]) == pytest.approx(np.exp(-2), abs=0.005)
    assert contour_probability(draws[:, :1] + 1.0) == pytest.approx(0.317, abs=0.005)
    assert contour_probability(draws + 100) == 0


def test_directions_are_those_of_the_draws(sampled: hl.results.Fit) -> None:
    found = hl.test_terms(sampled).set_index(["term", "component"])
    beta = sampled.posterior["beta"]
    week = beta.sel(fixed_effect="week_gt2").to_numpy().ravel()
    assert found.loc[("week_gt2", "fixed"), "p_direction"] == max(np.mean(week > 0), np.mean(week < 0))
    trt = beta.sel(fixed_effect=["trt[drug]", "trt[drug+]"]).to_numpy().reshape(-1, 2)
    assert found.loc[("trt", "fixed"), "p_contour"] == contour_probability(trt)
    assert np.isnan(found.loc[("trt", "fixed"), "p_direction"])
    assert found.loc[("trt", "fixed"), "parameters"] == 2
    assert "sds have no direction" in found.loc[("Intercept", "ID"), "note"]


def test_terms_inside_others_have_no_direction(make_fit: Callable[..., hl.results.Fit]) -> None:
    fit = make_fit("y ~ week * ap + (1 | ID)", hl.datasets.load("bacteria"), draws=20)
    found = hl.test_terms(fit).set_index("term")
    assert found.loc["week", "note"] == "its coefficients depend on the coding of week:ap"
    assert np.isnan(found.loc["week", "p_contour"])
    assert found.loc["week:ap", "note"] == ""


@pytest.mark.filterwarnings("ignore:The evidence")
def test_bayes_factors_are_those_of_models_by_formula(
    make_fit: Callable[..., hl.results.Fit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(term_posterior, "DRAWS", 512)
    data = hl.datasets.load("bacteria")
    fit = make_fit(hl.Model("y ~ week_gt2 + (1 | ID)", data, priors=PRIORS), None, draws=10)
    found = hl.test_terms(fit, "bayes_factor").set_index("term")
    of_fixed = {name: PRIORS[name] for name in ("Intercept", "beta")}
    of_random = {name: PRIORS[name] for name in ("Intercept", "sd")}
    without = {
        "Intercept": hl.Model("y ~ week_gt2", data, priors=of_fixed),
        "week_gt2": hl.Model("y ~ 1 + (1 | ID)", data, priors=of_random),
    }
    whole = hl.evidence(fit, draws=512)
    for term, model in without.items():
        smaller, row = hl.evidence(model, draws=512), found.loc[term]
        assert row["log_bayes_factor"] == pytest.approx(whole.log_evidence - smaller.log_evidence, abs=1e-6)
        assert row["bayes_factor"] == pytest.approx(np.exp(row["log_bayes_factor"]))
        assert row["mcse_log_bayes_factor"] == pytest.approx(np.hypot(whole.mcse, smaller.mcse), rel=1e-3)


def test_default_priors_are_warned_of(make_fit: Callable[..., hl.results.Fit]) -> None:
    fit = make_fit("y ~ week_gt2", hl.datasets.load("bacteria"), draws=10)
    with pytest.warns(DataWarning, match="The evidence depends on the priors"):
        hl.test_terms(fit, "bayes_factor")


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_leave_one_out_compares_models_sampled_again(
    sampled: hl.results.Fit, make_fit: Callable[..., hl.results.Fit], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sampler:
        """Makes up draws, once fails and is once interrupted."""

        def run(self, model: Any) -> hl.results.Fit:
            if "week_gt2" not in model.design.fixed_effects:
                raise EngineError("no chains.")
            if not model.design.groups:
                raise KeyboardInterrupt
            return make_fit(model, None, draws=100)

    def loo(fit: hl.results.Fit) -> Any:
        return hl.loo(fit, refit=False)

    monkeypatch.setattr(term_posterior, "same_sampler", lambda _: Sampler())
    monkeypatch.setattr(term_posterior, "loo", loo)
    found = hl.test_terms(sampled, "loo").set_index("term")
    smaller = hl.Model("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"), priors=PRIORS)
    expected = loo(sampled).elpd_i - loo(make_fit(smaller, None, draws=100)).elpd_i
    assert not found.loc["trt", "note"]
    assert found.loc["trt", "elpd_difference"] == pytest.approx(float(expected.sum()), rel=1e-6)
    assert found.loc["trt", "se"] == pytest.approx(float(np.sqrt(220 * expected.var())), rel=1e-6)
    assert found.loc["week_gt2", "note"] == "no chains."
    assert found.loc["Intercept", "note"] == "interrupted"
    assert found.loc[["week_gt2", "Intercept"], "elpd_difference"].isna().all()


@pytest.mark.slow
def test_a_fit_by_nuts_is_sampled_again() -> None:
    """The difference is that of two fits by formula, up to Monte Carlo error."""
    data = hl.datasets.load("bacteria")
    fits = [
        hl.Model(formula, data, priors=PRIORS).fit(hl.NUTS(seed=1, progress=False))
        for formula in (FORMULA, "y ~ trt + (1 | ID)")
    ]
    found = hl.test_terms(fits[0], "loo").set_index("term")
    expected = hl.compare(dict(zip(("with", "without"), fits, strict=True)))
    assert found.loc["week_gt2", "elpd_difference"] == pytest.approx(
        expected.loc["with", "elpd"] - expected.loc["without", "elpd"], abs=0.5
    )


def test_options_of_the_other_kind_are_refused(sampled: hl.results.Fit) -> None:
    with pytest.raises(FitError, match="method='bootstrap' is not allowed; choose one of 'direction', 'loo', 'bayes_f"):
        hl.test_terms(sampled, "bootstrap")
    with pytest.raises(FitError, match="adjust is for the p-values of likelihood fits"):
        hl.test_terms(sampled, adjust="holm")
    likelihood = hl.Model(FORMULA, hl.datasets.load("bacteria")).fit("laplace")
    with pytest.raises(FitError, match="method='loo' is not allowed; choose one of 'chibar', 'bootstrap'"):
        hl.test_terms(likelihood, "loo")
    assert isinstance(hl.test_terms(sampled), pd.DataFrame)
