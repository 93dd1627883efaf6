"""Tests of terms: against comparisons of fits by formula, marginality, the bootstrap, and what cannot be tested."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import FitError, StudyError
from hierlogit.model_comparison.restricted_model import Constrained, Kept, RestrictedModel, near_maximum
from hierlogit.model_comparison.term_comparisons import term_comparisons
from hierlogit.summaries.multiplicity import holm

SURVEY = "use ~ age * urban + livch + (1 + urban | district)"
#: The smaller and the larger model of each test, beside the outcome.
EXPECTED = {
    ("age", "fixed"): ("urban + livch + (1 + urban | district)", "age + urban + livch + (1 + urban | district)"),
    ("livch", "fixed"): ("age * urban + (1 + urban | district)", "age * urban + livch + (1 + urban | district)"),
    ("age:urban", "fixed"): (
        "age + urban + livch + (1 + urban | district)",
        "age * urban + livch + (1 + urban | district)",
    ),
    ("urban", "district"): (
        "age * urban + livch + (1 | district)",
        "age * urban + livch + (1 + urban | district)",
    ),
    ("Intercept", "district"): ("age * urban + livch", "age * urban + livch + (1 | district)"),
}


def fitted(formula: str, name: str = "contraception", engine: Any = None) -> hl.results.Fit:
    return hl.Model(formula, hl.datasets.load(name)).fit(engine or hl.Laplace(seed=1))


@pytest.fixture(scope="module")
def survey() -> hl.results.Fit:
    return fitted(SURVEY)


@pytest.fixture(scope="module")
def herds() -> hl.results.Fit:
    return fitted("p(successes, size) ~ period + (1 | herd)", "cbpp")


def by_term(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index(["term", "component"])


def test_they_are_comparisons_of_models_with_and_without_the_term(survey: hl.results.Fit) -> None:
    found = by_term(hl.test_terms(survey))
    for key, (smaller, larger) in EXPECTED.items():
        fits = [fitted(f"use ~ {right}") for right in (smaller, larger)]
        test, row = hl.likelihood_ratio(*fits), found.loc[key]
        assert row["statistic"] == pytest.approx(test.statistic, abs=2e-4)
        assert row["p_value"] == pytest.approx(test.p_value, rel=1e-3)
        assert row["p_naive"] == pytest.approx(test.naive_p_value, rel=1e-3)
        assert row["parameters"] == test.parameters
        assert row["reference"] == test.reference
        if key[1] == "fixed":
            estimate = fits[1].estimate
            assert estimate is not None
            at = [k for k, term in enumerate(fits[1].model.design.fixed_terms) if term == key[0]]
            beta, V = estimate.beta[at], estimate.covariance[np.ix_(at, at)]
            assert row["wald"] == pytest.approx(beta @ np.linalg.solve(V, beta), rel=1e-3)
        else:
            assert np.isnan(row["wald"])


def test_marginality_is_said(survey: hl.results.Fit) -> None:
    found = by_term(hl.test_terms(survey))["without"]
    assert found[("age", "fixed")] == found[("urban", "fixed")] == "age:urban"
    assert found[("Intercept", "district")] == "urban"
    assert set(found.drop([("age", "fixed"), ("urban", "fixed"), ("Intercept", "district")])) == {""}


def test_several_variances_have_no_mixture_but_a_bootstrap(survey: hl.results.Fit) -> None:
    row = by_term(hl.test_terms(survey)).loc[("all effects", "district")]
    assert np.isnan(row["p_value"])
    assert row["parameters"] == 3
    assert row["reference"].startswith("not known, method='bootstrap' simulates it: the larger model has 2 more varia")
    assert row["p_naive"] < 1e-6
    found = by_term(hl.test_terms(survey, "bootstrap", replicates=4, seed=1))
    assert found.loc[("all effects", "district"), "p_value"] == 0.2
    assert found["replicates"].tolist() == [4] * len(found)


@pytest.mark.parametrize(
    ("name", "formula", "terms"),
    [
        ("cbpp", "p(successes, size) ~ period", ["period"]),
        ("bacteria", "y ~ 0 + week_gt2", ["week_gt2"]),
        ("bacteria", "y ~ 0 + (1 | ID)", ["Intercept | ID"]),
        ("guimmun", "immun ~ kid2p + (1 | comm/mom)", ["kid2p", "Intercept | comm", "Intercept | comm:mom"]),
        ("bacteria", "y ~ week + (0 + week | ID)", ["week", "week | ID"]),
        (
            "contraception",
            "use ~ 1 + (1 + age + urban || district)",
            ["Intercept | district", "age | district", "urban | district", "all effects | district"],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")
def test_models_of_every_kind(name: str, formula: str, terms: list[str]) -> None:
    fit = fitted(formula, name)
    labels = [one.label for one in term_comparisons(fit.model.design)]
    assert labels == terms
    found = hl.test_terms(fit)
    assert len(found) == len(terms)
    assert np.all(found["statistic"] >= 0)


def test_quadrature_is_compared_with_quadrature() -> None:
    whole = fitted("y ~ week_gt2 + (1 | ID)", "bacteria", hl.AGQ(nodes=9))
    without = fitted("y ~ 1 + (1 | ID)", "bacteria", hl.AGQ(nodes=9))
    found = by_term(hl.test_terms(whole))
    assert found.loc[("week_gt2", "fixed"), "statistic"] == pytest.approx(
        hl.likelihood_ratio(without, whole).statistic, abs=1e-4
    )
    assert found.loc[("Intercept", "ID"), "statistic"] == pytest.approx(
        hl.likelihood_ratio(fitted("y ~ week_gt2", "bacteria"), whole).statistic, abs=1e-4
    )


def test_the_bootstrap_is_that_of_two_models(herds: hl.results.Fit, tmp_path: Path) -> None:
    store = tmp_path / "terms.json"
    found = by_term(hl.test_terms(herds, "bootstrap", replicates=25, seed=3, store=store, adjust="holm"))
    without_period, without_herds = (
        fitted(f"p(successes, size) ~ {right}", "cbpp") for right in ("1 + (1 | herd)", "period")
    )
    period = hl.likelihood_ratio(without_period, herds, "bootstrap", replicates=25, seed=3)
    assert found.loc[("period", "fixed"), "p_value"] == period.p_value
    herd = hl.likelihood_ratio(without_herds, herds, "bootstrap", replicates=25, seed=3)
    assert found.loc[("Intercept", "herd"), "p_value"] == pytest.approx(herd.p_value, abs=0.1)
    np.testing.assert_array_equal(found["p_adjusted"], holm(found["p_value"].to_numpy()))
    # Another number of workers, or a file of fewer replicates, changes nothing.
    more = hl.test_terms(herds, "bootstrap", replicates=30, seed=3, store=store)
    with ThreadPoolExecutor(2) as pool:
        pd.testing.assert_frame_equal(hl.test_terms(herds, "bootstrap", replicates=30, seed=3, executor=pool), more)
    with pytest.raises(StudyError, match="another study"):
        hl.test_terms(herds, "bootstrap", replicates=30, seed=4, store=store)


def test_failed_refits_are_counted(herds: hl.results.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    from hierlogit.model_comparison import term_ratios

    refits = term_ratios.ratio_of_refits

    def sometimes(y: Any, smaller: Any, *others: Any) -> float:
        if not smaller.design.groups and y.sum() % 3 == 0:
            raise FitError("no maximum.")
        return refits(y, smaller, *others)

    monkeypatch.setattr(term_ratios, "ratio_of_refits", sometimes)
    with pytest.warns(hl.errors.ConvergenceWarning, match="have no result. They are left out of the p-value"):
        found = by_term(hl.test_terms(herds, "bootstrap", replicates=30, seed=1))
    assert found.loc[("period", "fixed"), "failures"] == 0
    assert found.loc[("Intercept", "herd"), "failures"] > 0
    assert found.loc[("Intercept", "herd"), "replicates"] + found.loc[("Intercept", "herd"), "failures"] == 30


def test_fixed_terms_of_a_singular_fit_have_approximate_tests() -> None:
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"g": np.repeat(np.arange(20), 10), "y": np.tile([0, 1], 100), "x": random.normal(size=200)})
    fit = hl.Model("y ~ x + (1 | g)", frame).fit(hl.Laplace(seed=1))
    found = by_term(hl.test_terms(fit))
    assert found.loc[("x", "fixed"), "reference"].endswith("; approximate, since sd_g[Intercept] = 0")
    # The sd is zero in both models, so that they are logistic regressions.
    logistic = hl.likelihood_ratio(*(hl.Model(one, frame).fit("laplace") for one in ("y ~ 1", "y ~ x")))
    assert found.loc[("x", "fixed"), "p_value"] == pytest.approx(logistic.p_value, rel=1e-6)
    assert found.loc[("Intercept", "g"), "statistic"] == 0
    assert found.loc[("Intercept", "g"), "p_value"] == 1
    simulated = by_term(hl.test_terms(fit, "bootstrap", replicates=49, seed=1))
    assert simulated.loc[("x", "fixed"), "p_value"] == pytest.approx(found.loc[("x", "fixed"), "p_naive"], abs=0.2)


def test_infinite_estimates_have_a_likelihood_ratio() -> None:
    frame = hl.datasets.load("bacteria").assign(z=lambda rows: rows["y"] * (rows["week"] > 4))
    with pytest.warns(hl.errors.ConvergenceWarning, match="infinite"):
        fit = hl.Model("y ~ z + (1 | ID)", frame).fit(hl.Laplace(seed=1))
    row = by_term(hl.test_terms(fit)).loc[("z", "fixed")]
    assert row["p_value"] < 1e-3
    assert np.isnan(row["wald"])


def test_what_cannot_be_tested_is_refused(herds: hl.results.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FitError, match="'fit' is a fit by MAP"):
        hl.test_terms(fitted("y ~ 1 + (1 | ID)", "bacteria", hl.MAP()))
    with pytest.raises(FitError, match="method='exact' is not allowed; choose one of 'chibar', 'bootstrap'"):
        hl.test_terms(herds, "exact")
    with pytest.raises(FitError, match="adjust='bonferroni' is not allowed"):
        hl.test_terms(herds, adjust="bonferroni")
    monkeypatch.setattr("hierlogit.engines.maximum.refit.Refit.maximum", _no_maximum)
    found = hl.test_terms(herds)
    assert found["reference"].tolist() == ["no maximum."] * 2
    assert found["p_value"].isna().all()


def _no_maximum(_: Any) -> None:
    raise FitError("no maximum.")


def test_a_restricted_model_can_be_sent_to_workers(survey: hl.results.Fit) -> None:
    model = RestrictedModel(survey.model, Kept((0, 2), ((1,),)))
    again = pickle.loads(pickle.dumps(model))
    for one in (model, again):
        assert one.design.fixed_effects == ("Intercept", "urban[Y]")
        assert one.design.groups[0].effects == ("urban[Y]",)
        assert list(one.priors.fixed) == ["Intercept", "urban[Y]"]
        assert not one.priors.cor
    np.testing.assert_array_equal(again.design.X, survey.model.design.X[:, [0, 2]])


def test_restricted_parameters_are_those_of_the_whole_model_with_zeros(survey: hl.results.Fit) -> None:
    kept, estimate = Kept((0, 2), ((1,),)), survey.estimate
    assert estimate is not None
    beta, (cholesky,) = near_maximum(survey.model, estimate, kept)
    assert cholesky[0, 0] == pytest.approx(estimate.sd("district")[1])
    X, lost = survey.model.design.X, [1, 3, 4, 5, 6]
    left = X @ estimate.beta - X[:, [0, 2]] @ beta
    np.testing.assert_allclose(X[:, [0, 2]].T @ left, 0, atol=1e-8 * np.abs(X[:, lost]).sum())
    restricted: Any = SimpleNamespace(beta=beta, cholesky={"district": cholesky}, phi=None)
    found = Constrained.of(survey.model.design, restricted, kept)
    np.testing.assert_array_equal(found.beta, [beta[0], 0, beta[1], 0, 0, 0, 0])
    np.testing.assert_array_equal(found.cholesky["district"], [[0, 0], [0, cholesky[0, 0]]])
    none = Constrained.of(survey.model.design, restricted, Kept((0, 2), ((),)))
    assert not none.cholesky["district"].any()
