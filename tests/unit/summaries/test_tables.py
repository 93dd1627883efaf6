"""Tables against the draws they summarise."""

from __future__ import annotations

from collections.abc import Callable

import arviz_stats
import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

import hierlogit as hl
from hierlogit.errors import DataWarning, FitError

MakeFit = Callable[..., hl.results.Fit]


@pytest.fixture(scope="module")
def fit(make_fit: MakeFit) -> hl.results.Fit:
    return make_fit(
        "use ~ age + urban + (1 + urban | district) + (0 + age | district)", hl.datasets.load("contraception")
    )


def test_summary_holds_fixed_effects_and_variance_components(fit: hl.results.Fit) -> None:
    table = hl.summary(fit, ci_prob=0.9, ci_kind="hdi")
    assert list(table.index) == [
        "Intercept",
        "age",
        "urban[Y]",
        "sd_district[Intercept]",
        "sd_district[urban[Y]]",
        "sd_district[age]",
        "cor_district[Intercept, urban[Y]]",
    ]
    assert table["component"].tolist() == ["fixed"] * 3 + ["district"] * 4
    draws = fit.posterior["beta"].sel(fixed_effect="age").values.ravel()
    row = table.loc["age"]
    assert row["mean"] == pytest.approx(draws.mean())
    assert row["sd"] == pytest.approx(draws.std(ddof=1))
    np.testing.assert_allclose(row[["hdi90_lb", "hdi90_ub"]].astype(float), arviz_stats.hdi(draws, prob=0.9), rtol=0.05)
    expected = arviz_stats.summary(fit.data, var_names=["beta"], kind="diagnostics", round_to="none").loc["beta[age]"]
    for column in ("r_hat", "ess_bulk", "ess_tail", "mcse_mean", "mcse_sd"):
        assert row[column] == pytest.approx(expected[column]), column


def test_one_chain_has_no_r_hat(make_fit: MakeFit) -> None:
    table = hl.summary(make_fit("y ~ week + (1 | ID)", hl.datasets.load("bacteria"), chains=1))
    assert "r_hat" not in table
    assert table["ess_bulk"].gt(0).all()


def test_odds_ratios_are_of_the_draws(fit: hl.results.Fit) -> None:
    table = hl.odds_ratios(fit, ci_prob=0.8)
    ratios = np.exp(fit.posterior["beta"].sel(fixed_effect="urban[Y]").values.ravel())
    assert list(table.index) == ["age", "urban[Y]"]
    assert table.loc["urban[Y]", "mean"] == pytest.approx(ratios.mean())
    assert table.loc["urban[Y]", "median"] == pytest.approx(np.median(ratios))
    assert table.loc["urban[Y]", "eti80_ub"] == pytest.approx(np.quantile(ratios, 0.9))
    assert table.loc["urban[Y]", "p_above_1"] == np.mean(ratios > 1)


@pytest.mark.parametrize("engine", [hl.Laplace(), hl.MAP()])
def test_odds_ratios_of_a_likelihood_fit_are_exact(engine: hl.Laplace | hl.MAP) -> None:
    model = hl.Model("use ~ age + urban + livch + (1 + urban | district)", hl.datasets.load("contraception"))
    fit = model.fit(engine)
    table = hl.odds_ratios(fit, ci_prob=0.9)
    wald = hl.summary(fit, ci_prob=0.9).loc[table.index]
    for column in ("estimate", "wald90_lb", "wald90_ub"):
        np.testing.assert_allclose(table[column], np.exp(wald[column]))
    last = "p_above_1" if fit.with_priors else "p_value"
    assert list(table) == ["estimate", "wald90_lb", "wald90_ub", last]
    expected = ndtr(wald["estimate"] / wald["se"]) if fit.with_priors else wald["p_value"]
    np.testing.assert_allclose(table[last], expected)


def test_random_effects_of_a_likelihood_fit_are_conditional_modes() -> None:
    fit = hl.Model("use ~ age + (1 + urban | district)", hl.datasets.load("contraception")).fit("laplace")
    table, found = hl.ranef(fit, ci_prob=0.9), fit.estimate
    assert found is not None
    assert list(table) == ["mode", "conditional_sd", "eti90_lb", "eti90_ub"]
    np.testing.assert_array_equal(table["mode"], found.modes["district"].ravel())
    half = 1.6448536 * found.conditional_sds["district"].ravel()
    np.testing.assert_allclose(table["mode"] - table["eti90_lb"], half, rtol=1e-6)
    np.testing.assert_allclose(table["eti90_ub"] - table["mode"], half, rtol=1e-6)


def test_odds_ratios_beyond_the_range_of_numbers_are_named() -> None:
    data = hl.datasets.load("contraception").assign(tiny=lambda frame: (frame["livch"] != "0") / 1000)
    fit = hl.Model("use ~ tiny + urban + (1 | district)", data).fit("laplace")
    with pytest.warns(DataWarning, match="for one more unit of 'tiny' are too far from 1"):
        hl.odds_ratios(fit)


def test_no_odds_ratios_without_predictors(make_fit: MakeFit) -> None:
    with pytest.raises(FitError, match="no fixed effect besides the intercept"):
        hl.odds_ratios(make_fit("y ~ 1 + (1 | ID)", hl.datasets.load("bacteria")))


def test_ranef_is_labelled_by_cluster(fit: hl.results.Fit) -> None:
    table = hl.ranef(fit)
    draws = fit.posterior["b_district"].sel(district=61, district_effect="urban[Y]").values
    row = table.loc[("district", 61, "urban[Y]")]
    assert row["mean"] == pytest.approx(draws.mean())
    assert row["eti89_lb"] == pytest.approx(np.quantile(draws, 0.055))
    assert len(table) == 60 * 3


def test_variance_components(fit: hl.results.Fit) -> None:
    table = hl.variance_components(fit)
    sd = fit.posterior["sd_district"].sel(district_effect="urban[Y]").values
    assert table.loc[("district", "variance", "urban[Y]"), "mean"] == pytest.approx((sd**2).mean())
    assert table.loc[("district", "cor", "Intercept, urban[Y]"), "mean"] == pytest.approx(-0.3)
    assert len(table.xs("cor", level="quantity")) == 1  # age does not correlate with the others


def test_groups_by_name(make_fit: MakeFit) -> None:
    fit = make_fit("r2 ~ mode + (1 | id) + (1 | item)", hl.datasets.load("verbagg"), draws=20)
    assert hl.ranef(fit, "item").index.get_level_values("group").unique().tolist() == ["item"]
    assert len(hl.ranef(fit)) == 316 + 24
    with pytest.raises(FitError, match="no grouping factor 'items' in the model; choose one of 'id', 'item'"):
        hl.variance_components(fit, "items")
    plain = make_fit("r2 ~ mode", hl.datasets.load("verbagg"), draws=20)
    with pytest.raises(FitError, match="no random effects"):
        hl.ranef(plain)
    assert hl.summary(plain).index.tolist() == ["Intercept", "mode[do]"]


@pytest.mark.parametrize("terms", ["age + I(age**2)", "poly(age, 2)", "bs(age, df=4)", "age + log(age + 30)"])
def test_terms_that_share_a_variable_have_one_odds_ratio_between_its_quartiles(terms: str) -> None:
    frame = hl.datasets.load("contraception")
    fit = hl.Model(f"use ~ {terms} + urban + (1 | district)", frame).fit("laplace")
    table = hl.odds_ratios(fit, ci_prob=0.9)
    low, high = np.quantile(frame["age"], [0.25, 0.75])
    assert list(table.index) == [f"age[{high:.4g} rather than {low:.4g}]", "urban[Y]"]
    grid = frame.iloc[[0, 0]].assign(age=[low, high])
    step = np.diff(fit.model.design.encode(grid).X, axis=0)[0]
    estimate = fit.estimate
    assert estimate is not None
    p = len(step)
    middle, error = step @ estimate.beta, np.sqrt(step @ estimate.covariance[:p, :p] @ step)
    expected = np.exp([middle, middle - 1.6448536 * error, middle + 1.6448536 * error])
    np.testing.assert_allclose(table.iloc[0][["estimate", "wald90_lb", "wald90_ub"]].to_numpy(float), expected, 1e-6)
    assert table.iloc[0]["p_value"] == pytest.approx(2 * ndtr(-abs(middle / error)))


def test_steps_of_variables_with_a_joint_effect_and_of_draws(make_fit: MakeFit) -> None:
    frame = hl.datasets.load("contraception").assign(w=lambda rows: rows["woman"] / 1000)
    fit = make_fit("use ~ age + w + I(age * w) + age:urban + urban", frame)
    table = hl.odds_ratios(fit)
    low, high = np.quantile(frame["age"], [0.25, 0.75])
    w = frame["w"].median()
    label = f"age[{high:.4g} rather than {low:.4g}, w {w:.4g}]"
    assert table.index[0] == label
    assert [name for name in table.index if "rather" not in name] == ["age:urban[Y]", "urban[Y]"]
    beta = fit.posterior["beta"]
    steps = (high - low) * (beta.sel(fixed_effect="age") + w * beta.sel(fixed_effect="I(age * w)"))
    assert table.loc[label, "median"] == pytest.approx(np.median(np.exp(steps)))


def test_interactions_of_a_whole_curve_have_no_odds_ratio_and_those_of_one_term_have(make_fit: MakeFit) -> None:
    frame = hl.datasets.load("contraception")
    whole = hl.odds_ratios(make_fit("use ~ poly(age, 2) * urban", frame))
    assert [name.partition(" rather")[0] for name in whole.index] == ["age[6.44", "urban[Y]"]
    single = hl.odds_ratios(make_fit("use ~ age * urban + I(age**2)", frame))
    assert [name.partition(" rather")[0] for name in single.index] == ["age[6.44", "urban[Y]", "age:urban[Y]"]


def test_a_curve_in_interactions_only_keeps_its_coefficients(make_fit: MakeFit) -> None:
    fit = make_fit("use ~ urban / bs(age, df=4)", hl.datasets.load("contraception"))
    assert len(hl.odds_ratios(fit)) == 9
    assert not (hl.odds_ratios(fit)["median"] == 1).any()


def test_a_curve_of_a_computed_variable_keeps_its_coefficients(make_fit: MakeFit) -> None:
    fit = make_fit("use ~ within(age, district) + I(within(age, district)**2)", hl.datasets.load("contraception"))
    assert list(hl.odds_ratios(fit).index) == ["within(age, district)", "I(within(age, district) ** 2)"]


def test_tables_of_effects_without_variance_say_so_in_the_words_of_the_finding() -> None:
    frame = pd.DataFrame({"g": np.repeat(np.arange(20), 10), "y": np.tile([0, 1], 100), "x": np.tile([0, 0, 1, 1], 50)})
    fit = hl.Model("y ~ x + (1 | g)", frame).fit(hl.Laplace(draws=100, seed=1))
    (finding,) = fit.diagnostics.findings
    assert finding.code == "singular_fit"
    for verb in (hl.ranef, hl.coef, hl.variance_components):
        table = verb(fit)
        assert table.note == finding.evidence
        # Below the numbers, in text and HTML; a part of the table keeps it, what is computed from it does not.
        assert table.head(2).note == finding.evidence
        assert (table * 2).note == ""
        assert "The data show no more variation there than expected by chance" in " ".join(repr(table).split())
        assert "sd_g[Intercept] = 0" in table._repr_html_()
    varied = hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    assert hl.ranef(varied).note == ""
