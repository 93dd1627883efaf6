"""Bayes factors: against the Savage-Dickey ratio, evidence computed anew, and by hand."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from scipy.stats import gaussian_kde

import hierlogit as hl
from hierlogit.errors import DataWarning, FitError
from hierlogit.model_comparison import bayes_factors

PRIORS = {"Intercept": hl.priors.Normal(0, 1.5), "sd": hl.priors.HalfNormal(1)}
WITH_SLOPES = {**PRIORS, "beta": hl.priors.Normal(0, 1)}
WEEK = "week_gt2"


@pytest.fixture(scope="module")
def models() -> dict[str, hl.Model]:
    rows = hl.datasets.load("bacteria")
    return {
        "same": hl.Model("y ~ 1 + (1 | ID)", rows, priors=PRIORS),
        "falling": hl.Model("y ~ week_gt2 + (1 | ID)", rows, priors=WITH_SLOPES),
        "alone": hl.Model("y ~ week_gt2", rows, priors={name: WITH_SLOPES[name] for name in ("Intercept", "beta")}),
    }


@pytest.fixture(scope="module")
def result(models: dict[str, hl.Model]) -> hl.results.BayesFactors:
    return hl.bayes_factor(models, reference="same", draws=1024)


def test_table_is_what_the_evidence_says(models: dict[str, hl.Model], result: hl.results.BayesFactors) -> None:
    table = result.table
    for name, model in models.items():
        alone = hl.evidence(model, draws=1024)
        assert result.evidence[name].log_evidence == alone.log_evidence
        assert table.loc[name, "log_evidence"] == alone.log_evidence
        assert table.loc[name, "mcse_log_evidence"] == pytest.approx(alone.mcse)
    logs = table["log_evidence"]
    assert logs.is_monotonic_decreasing
    np.testing.assert_allclose(table["bayes_factor"], np.exp(logs - logs["same"]))
    np.testing.assert_allclose(table["probability"], np.exp(logs - np.logaddexp.reduce(logs)))
    errors = table["mcse_log_evidence"]
    assert table.loc["alone", "mcse_log_bayes_factor"] == pytest.approx(np.hypot(errors["alone"], errors["same"]))
    assert table.loc["same", "mcse_log_bayes_factor"] == 0
    assert result.parameters == ("sd_ID[Intercept]", WEEK)
    given = result.sensitivity.xs(1.0, level="scale")
    np.testing.assert_array_equal(given["log_evidence"], table["log_evidence"])


def test_savage_dickey_ratio_of_a_nested_fixed_effect() -> None:
    """The Bayes factor against an effect is its posterior over its prior density at zero (Dickey 1971)."""
    rows = hl.datasets.load("bacteria")
    smaller = hl.Model("y ~ week_gt2 + (1 | ID)", rows, priors=WITH_SLOPES)
    larger = hl.Model("y ~ week_gt2 + ap + (1 | ID)", rows, priors=WITH_SLOPES)
    found = hl.bayes_factor({"smaller": smaller, "larger": larger}, reference="smaller", scales=[1])
    fit = larger.fit(hl.NUTS(draws=2000, seed=1, progress=False))
    effect = larger.design.fixed_effects[-1]
    draws = fit.posterior["beta"].sel(fixed_effect=effect).to_numpy().ravel()
    against = np.log(gaussian_kde(draws)(0.0)[0]) - float(hl.priors.Normal(0, 1).logpdf(0.0))
    assert found.parameters == (effect,)
    assert found.table.loc["larger", "log_bayes_factor"] == pytest.approx(-against, abs=0.1)


def test_scaled_priors_are_those_of_a_model_with_them(
    models: dict[str, hl.Model], result: hl.results.BayesFactors, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = {f"beta[{WEEK}]": hl.priors.Normal(0, 4), "sd": hl.priors.HalfNormal(4)}
    anew = hl.evidence(models["falling"].with_priors(wide), draws=1024)
    weighted = result.sensitivity.loc[("falling", 4.0)]
    error = 5 * np.hypot(anew.mcse, weighted["mcse_log_evidence"])
    assert weighted["log_evidence"] == pytest.approx(anew.log_evidence, abs=error)
    assert weighted["log_evidence"] < result.table.loc["falling", "log_evidence"] - 0.5
    assert result.sensitivity.loc["alone", "log_evidence"].nunique() == 5  # its slope is not in every model
    # Where weights are not reliable, the evidence is computed again, with the same points as for the model alone.
    monkeypatch.setattr(bayes_factors, "khat_threshold", lambda _: -1.0)
    again = hl.bayes_factor({name: models[name] for name in ("falling", "alone")}, scales=[4], draws=1024)
    alone = hl.evidence(models["falling"].with_priors({"sd": hl.priors.HalfNormal(4)}), draws=1024, nodes=anew.nodes)
    assert again.sensitivity.loc[("falling", 4.0), "log_evidence"] == pytest.approx(
        alone.log_evidence, abs=5 * alone.mcse
    )


def test_probabilities_before_the_data(models: dict[str, hl.Model], result: hl.results.BayesFactors) -> None:
    two = {name: models[name] for name in ("same", "falling")}
    found = hl.bayes_factor(two, probabilities={"falling": 1, "same": 3}, draws=1024, scales=[1])
    odds = found.table.loc["falling", "probability"] / found.table.loc["same", "probability"]
    assert odds == pytest.approx(float(result.table.loc["falling", "bayes_factor"]) / 3)
    assert found.reference == found.table.index[0]
    assert found.table["probability"].sum() == pytest.approx(1)


@pytest.mark.parametrize("family", [*hl.priors.COEFFICIENT_FAMILIES, *hl.priors.SD_FAMILIES], ids=lambda f: f.__name__)
def test_widened_priors_are_those_of_multiples(family: type) -> None:
    location = getattr(family, "location", None)
    names = [item.name for item in fields(family)]
    prior = family(**{name: 0.0 if name == location else 1.7 for name in names})
    x = np.array([0.3, 1.9])
    expected = prior.logpdf(x / 3) - np.log(3) * (len(x) if family is hl.priors.Decov else 1)
    np.testing.assert_allclose(prior.widened(3.0).logpdf(x), expected)


def test_widened_priors_keep_their_location() -> None:
    assert hl.priors.Normal(2, 1).widened(3) == hl.priors.Normal(2, 3)


def test_what_is_refused(models: dict[str, hl.Model]) -> None:
    same, falling = models["same"], models["falling"]
    with pytest.raises(FitError, match="needs two or more fits by name"):
        hl.bayes_factor({"same": same})
    fewer = hl.Model("y ~ 1", hl.datasets.load("bacteria").iloc[:200], priors={"Intercept": hl.priors.Normal()})
    with pytest.raises(FitError, match="likelihoods of different rows cannot be compared"):
        hl.bayes_factor({"same": same, "fewer": fewer})
    with pytest.raises(FitError, match="different outcomes"):
        hl.bayes_factor({"same": same, "other": same.with_outcome(1 - same.design.outcome.y)})
    two = {"same": same, "falling": falling}
    with pytest.raises(FitError, match="probabilities has no number for 'same'"):
        hl.bayes_factor(two, probabilities={"falling": 1})
    with pytest.raises(FitError, match="there is no model 'fall' in fits"):
        hl.bayes_factor(two, probabilities={"same": 1, "falling": 1, "fall": 1})
    with pytest.raises(FitError, match=r"scales has 0.0; it must be a list of one or more multiples"):
        hl.bayes_factor(two, scales=[0, 1])


def test_default_priors_are_warned_of_once() -> None:
    rows = hl.datasets.load("cbpp")
    fits = {name: hl.Model(f"p(successes, size) ~ {name}", rows) for name in ("1", "period")}
    with pytest.warns(DataWarning, match="are the defaults") as caught:
        found = hl.bayes_factor(fits, draws=256)
    assert len(caught) == 1
    assert "'period[p4]'" in str(caught[0].message)
    assert "Intercept" not in str(caught[0].message)  # both models have it
    assert "With the scales of these priors multiplied by 0.25 to 4" in repr(found)


def test_models_of_the_same_parameters_have_no_priors_to_scale() -> None:
    rows = hl.datasets.load("cbpp")
    models = {
        name: hl.Model(
            "p(successes, size) ~ 1 + (1 | herd)", rows, priors={**PRIORS, "sd": hl.priors.HalfNormal(scale)}
        )
        for name, scale in {"narrow": 0.5, "wide": 3.0}.items()
    }
    found = hl.bayes_factor(models, draws=256)
    assert found.parameters == ()
    assert set(found.sensitivity.index.get_level_values("scale")) == {1.0}
    assert "there are no priors to scale" in repr(found)
    assert found.table["log_evidence"].nunique() == 2
