"""Laplace, AGQ and MAP as a user meets them: results, options, findings, draws, and what they refuse."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.engines.engine import Engine
from hierlogit.engines.maximum.effect_units import EffectUnits
from hierlogit.engines.maximum.gaussian_draws import log_ratios, sample
from hierlogit.engines.maximum.objective import Objective
from hierlogit.engines.maximum.search_result import Approach, SearchResult
from hierlogit.engines.maximum.starting_values import root_of, starting_point
from hierlogit.errors import ConvergenceWarning, DataWarning, EngineError
from hierlogit.fits.fit import Fit

SLOPE = "use ~ age + urban + (1 + urban | district)"


@pytest.fixture(scope="module")
def slope() -> Fit:
    model = hl.Model(SLOPE, hl.datasets.load("contraception"))
    model.fit(hl.Laplace(seed=1))  # compiles what has not been compiled yet, which would be a stage of its own
    return model.fit(hl.Laplace(seed=1))


def rows(seed: int = 1, clusters: int = 40, size: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = clusters * size
    g, x = np.repeat(np.arange(clusters), size), rng.normal(size=n)
    eta = 0.5 * x + rng.normal(0, 0.8, clusters)[g]
    arm = rng.choice(["a", "b", "c"], n)
    return pd.DataFrame({"y": (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))) * 1, "x": x, "g": g, "arm": arm})


def quietly(formula: str, data: Any, engine: Engine | str = "laplace", **options: Any) -> Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return hl.Model(formula, data, **options).fit(engine)


def codes(fit: Fit) -> set[str]:
    return {finding.code for finding in fit.diagnostics.findings}


# ---- what comes back ---------------------------------------------------------------------------------------------


def test_criteria_follow_from_the_log_likelihood(slope: Fit) -> None:
    found = slope.estimate
    assert found is not None
    assert found.n_parameters == 6
    assert found.deviance == -2 * found.log_likelihood
    assert found.aic == pytest.approx(found.deviance + 12)
    assert found.bic == pytest.approx(found.deviance + 6 * np.log(1934))


def test_report_says_how_the_search_went(slope: Fit) -> None:
    report = slope.diagnostics
    assert (report.engine, report.exact, report.status, report.seed) == ("Laplace", False, "converged", 1)
    assert report.measures["evaluations"] > 5
    assert report.measures["gradient_norm"] < 1e-3
    assert report.measures["possible_gain"] < 1e-6
    assert report.measures["pareto_k"] < 1
    assert set(report.seconds) == {"arrange", "search"}
    assert "log-likelihood" in repr(slope)
    assert "priors" not in repr(slope)


def test_k_hat_is_that_of_the_parameters_alone() -> None:
    """Against ratios of the log-likelihood at single vectors; small although there are hundreds of clusters."""
    model = hl.Model("outcome ~ treatment * time + (1 | patientID)", hl.datasets.load("toenail"))
    fit = model.fit(hl.AGQ(nodes=20, seed=1))
    assert fit.diagnostics.measures["pareto_k"] < 0.7
    approach = Approach.of_likelihood("AGQ", model.design, 20, restricted=False, df=None)
    objective = Objective(model, approach.likelihood(model.arrangement), penalised=False)
    result = SearchResult.of(objective, *starting_point(objective))
    ratios, psi = log_ratios(result, approach, 100, 1), sample(result, approach, 100, 1).psi
    at = result.optimum.point.psi
    deviations = psi - at
    deviations[:, -1] = np.log(psi[:, -1] / at[-1]) * at[-1]  # the sd is drawn as a logarithm
    precision = np.linalg.inv(result.optimum.covariance)
    expected = [
        objective.evaluate(one).value + 0.5 * away @ precision @ away for one, away in zip(psi, deviations, strict=True)
    ]
    np.testing.assert_allclose(ratios - ratios[0], np.array(expected) - expected[0], atol=1e-5)


def test_names_of_engines_are_known() -> None:
    model = hl.Model("y ~ x + (1 | g)", rows())
    for name, engine in (("laplace", "Laplace"), ("agq", "AGQ"), ("map", "MAP")):
        assert model.fit(name).diagnostics.engine == engine


def test_draws_have_the_dims_of_a_posterior_and_follow_the_estimates(slope: Fit) -> None:
    found = slope.estimate
    assert found is not None
    posterior = slope.posterior
    assert posterior.sizes["chain"] == 1
    assert posterior.sizes["draw"] == 1000
    assert set(posterior.data_vars) == {"beta", "sd_district", "cor_district", "b_district"}
    assert "log_prior" not in slope.data.children
    beta = posterior["beta"].to_numpy()[0]
    errors = found.standard_errors
    assert np.all(np.abs(beta.mean(axis=0) - found.beta) < 4 * errors / np.sqrt(1000))
    np.testing.assert_allclose(beta.std(axis=0), errors, rtol=0.1)
    effects = posterior["b_district"].to_numpy()[0]
    off = np.abs(effects.mean(axis=0) - found.modes["district"]) / effects.std(axis=0)
    assert np.median(off) < 0.1
    # Conditional spread widened by that of the estimates.
    assert np.all(effects.std(axis=0) > 0.9 * found.conditional_sds["district"])


def test_the_same_seed_repeats_the_draws_and_another_does_not(slope: Fit) -> None:
    again, other = slope.model.fit(hl.Laplace(seed=1)), slope.model.fit(hl.Laplace(seed=2))
    assert again.posterior.equals(slope.posterior)
    assert not other.posterior.equals(slope.posterior)
    assert again.estimate is not None
    assert slope.estimate is not None
    np.testing.assert_array_equal(again.estimate.beta, slope.estimate.beta)


def test_without_a_seed_the_same_fit_has_the_same_draws(slope: Fit) -> None:
    first, second = (slope.model.fit(engine) for engine in ("laplace", hl.Laplace()))
    assert first.posterior.equals(second.posterior)
    new = hl.datagrid(first, district=1000)
    for options in ({"clusters": "new"}, {"allow_new_levels": True}, {"clusters": "new", "kind": "outcome"}):
        found = [hl.predictions(fit, new, **options)["mean"].iloc[0] for fit in (first, second)]
        assert found[0] == found[1]


def test_verbs_take_a_likelihood_fit(slope: Fit) -> None:
    assert hl.odds_ratios(slope)["estimate"].between(0.5, 3).all()
    components = hl.variance_components(slope)
    sd = components.loc[("district", "sd", "Intercept"), "estimate"]
    assert components.loc[("district", "variance", "Intercept"), "estimate"] == pytest.approx(sd**2)
    predicted = hl.predictions(slope, by="district")
    assert predicted["mean"].between(0, 1).all()


def test_fits_survive_files_and_pickle(slope: Fit, tmp_path: Any) -> None:
    for back in (hl.load(slope.save(tmp_path / "fit.nc")), pickle.loads(pickle.dumps(slope))):
        assert back.estimate is not None
        assert slope.estimate is not None
        assert back.diagnostics == slope.diagnostics
        assert back.posterior.equals(slope.posterior)
        assert "log_prior" not in back.data.children
        pd.testing.assert_frame_equal(hl.summary(back), hl.summary(slope))
        assert back.estimate.entries == slope.estimate.entries
        np.testing.assert_array_equal(back.estimate.modes["district"], slope.estimate.modes["district"])


def test_fits_are_immutable(slope: Fit) -> None:
    with pytest.raises(AttributeError, match="immutable"):
        slope.estimate = None


def test_plain_logistic_regression_needs_no_approximation() -> None:
    data = rows()
    fit = quietly("y ~ x", data)
    assert fit.estimate is not None
    beta = np.zeros(2)
    X, y = np.column_stack([np.ones(len(data)), data["x"]]), data["y"].to_numpy()
    for _ in range(20):
        p = 1 / (1 + np.exp(-X @ beta))
        information = (X * (p * (1 - p))[:, None]).T @ X
        beta += np.linalg.solve(information, X.T @ (y - p))
    np.testing.assert_allclose(fit.estimate.beta, beta, atol=1e-7)
    np.testing.assert_allclose(fit.estimate.standard_errors, np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-4)
    assert hl.summary(fit, interval="profile").shape == (2, 7)


def test_order_of_rows_and_names_of_clusters_do_not_matter() -> None:
    data = rows().assign(h=lambda frame: frame["arm"] + (frame.index % 5).astype(str))
    shuffled = data.sample(frac=1, random_state=3)
    shuffled["g"] = "c" + ((shuffled["g"] * 7) % 40).astype(str)
    one, other = (quietly("y ~ x + (1 + x | g) + (1 | h)", frame).estimate for frame in (data, shuffled))
    assert one is not None
    assert other is not None
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-9)
    np.testing.assert_allclose(one.beta, other.beta, atol=1e-6)
    np.testing.assert_allclose(one.standard_errors, other.standard_errors, rtol=1e-4)


def test_identical_rows_and_their_counts_are_one_model() -> None:
    data = rows().assign(x=lambda frame: frame["x"].round(0))
    counts = data.groupby(["g", "x"], as_index=False).agg(events=("y", "sum"), size=("y", "size"))
    binary, counted = (
        quietly("y ~ x + (1 | g)", data).estimate,
        quietly("p(events, size) ~ x + (1 | g)", counts).estimate,
    )
    assert binary is not None
    assert counted is not None
    np.testing.assert_allclose(binary.beta, counted.beta, atol=1e-7)
    from scipy.special import gammaln

    constant = (gammaln(counts["size"] + 1) - gammaln(counts["events"] + 1)).sum()
    constant -= gammaln(counts["size"] - counts["events"] + 1).sum()
    assert counted.log_likelihood == pytest.approx(binary.log_likelihood + constant, abs=1e-8)


def test_where_a_predictor_has_its_zero_does_not_matter() -> None:
    data = rows().assign(year=lambda frame: 2000 + 5 * frame["x"])
    with pytest.warns(DataWarning, match=r"Write center\(year\), or I\(year - 2000\), in place of year"):
        far = quietly("y ~ year + (1 + year | g)", data)
    near = quietly("y ~ x + (1 + x | g)", data)
    assert far.estimate is not None
    assert near.estimate is not None
    assert far.estimate.log_likelihood == pytest.approx(near.estimate.log_likelihood, abs=1e-6)
    assert far.estimate.beta[1] * 5 == pytest.approx(near.estimate.beta[1], rel=1e-4)
    assert codes(far) == codes(near)


# ---- what a search finds -----------------------------------------------------------------------------------------


def test_a_zero_variance_is_named_and_no_warning() -> None:
    data = rows()
    data["y"] = np.tile([0, 1], len(data) // 2)  # every cluster has as many events
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = hl.Model("y ~ x + (1 | g)", data).fit("laplace")
    assert fit.estimate is not None
    assert fit.estimate.boundary == ("sd_g[Intercept] = 0",)
    assert fit.estimate.n_parameters == 3
    assert fit.diagnostics.status == "converged"
    assert codes(fit) == {"singular_fit"}
    plain = quietly("y ~ x", data).estimate
    assert plain is not None
    assert fit.estimate.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(fit.estimate.standard_errors, plain.standard_errors, rtol=1e-4)
    table = hl.summary(fit, interval="profile", ci_prob=0.95)
    assert table.loc["sd_g[Intercept]", "profile95_lb"] == 0
    assert 0.05 < table.loc["sd_g[Intercept]", "profile95_ub"] < 1
    assert (fit.posterior["sd_g"] == 0).all()


def test_separation_is_named_and_map_bounds_it() -> None:
    data = rows()
    data.loc[data["arm"] == "c", "y"] = 1
    with pytest.warns(ConvergenceWarning, match=r"The estimate of 'arm\[c\]' is infinite"):
        fit = hl.Model("y ~ x + arm + (1 | g)", data).fit("laplace")
    assert codes(fit) == {"separation"}
    assert fit.diagnostics.status == "check"
    bounded = quietly("y ~ x + arm + (1 | g)", data, "map")
    assert codes(bounded) == set()
    assert bounded.estimate is not None
    assert abs(bounded.estimate.beta[-1]) < 8


def test_infinite_estimates_have_no_standard_errors_and_do_not_spoil_those_of_others() -> None:
    data = rows()
    data.loc[data["arm"] == "c", "y"] = 1
    fit = quietly("y ~ x + arm + (1 | g)", data)
    table = hl.summary(fit, interval="wald")
    assert table.loc["arm[c]", ["se", "wald89_lb", "wald89_ub", "z", "p_value"]].isna().all()
    others = table.drop(index="arm[c]")
    # The rows of that arm tell nothing of the other parameters, whose estimates are those without them.
    alone = hl.summary(quietly("y ~ x + arm + (1 | g)", data[data["arm"] != "c"]), interval="wald")
    np.testing.assert_allclose(others["se"], alone["se"], rtol=2e-3)
    draws = fit.posterior["beta"].sel(fixed_effect="arm[c]")
    assert draws.max() - draws.min() < 1  # no draws along the way to infinity
    assert fit.posterior["beta"].sel(fixed_effect="arm[b]").std() == pytest.approx(others.loc["arm[b]", "se"], rel=0.1)


def test_what_matters_only_where_estimates_are_infinite_is_held_in_draws() -> None:
    data = rows(clusters=20, size=8)
    data.loc[data["arm"] == "c", "y"] = 0
    fit = quietly("y ~ arm * x + (1 | g)", data)
    table = hl.summary(fit)
    assert table["se"].isna()[["arm[c]", "arm[c]:x"]].all()
    assert np.isfinite(table["se"])[["arm[b]", "arm[b]:x", "x"]].all()
    with pytest.warns(ConvergenceWarning, match="findings"):
        differences = hl.avg_comparisons(fit, "arm").set_index("contrast")
    assert differences["mean"]["c - a"] == pytest.approx(differences["estimate"]["c - a"], abs=0.03)
    without = hl.Model("y ~ arm * x + (1 | g)", data[data["arm"] != "c"]).fit("laplace")
    shared = ["Intercept", "arm[b]", "x", "arm[b]:x"]
    np.testing.assert_allclose(table["se"][shared], hl.summary(without)["se"][shared], rtol=1e-3)


def test_intercept_and_slope_of_two_rows_without_events_are_infinite_together() -> None:
    # The rows are so close that their curvature leads to where one goes up and the other down.
    data = rows(clusters=20, size=8)
    data["arm"] = "a"
    data.loc[:1, "arm"], data.loc[:1, "x"], data.loc[:1, "y"] = "b", [1.31, 1.62], 0
    fit = quietly("y ~ x * arm", data)
    assert codes(fit) == {"separation"}
    assert hl.summary(fit)["se"].isna()[["arm[b]", "x:arm[b]"]].all()
    without = hl.Model("y ~ x", data[2:]).fit("laplace")
    np.testing.assert_allclose(hl.summary(fit)["se"][["Intercept", "x"]], hl.summary(without)["se"], rtol=1e-3)


def test_an_sd_is_held_in_draws_where_every_row_is_separated() -> None:
    data = rows(clusters=20, size=8)
    data["y"] = (data["x"] > 0) * 1
    fit = quietly("y ~ x + arm + (1 | g)", data)
    assert hl.summary(fit)["se"].isna().all()
    with pytest.warns(ConvergenceWarning, match="findings"):
        averages = hl.avg_predictions(fit, by="arm")
    np.testing.assert_allclose(averages["mean"], averages["estimate"], atol=0.01)
    far = quietly("y ~ x + arm + (1 | g)", data.assign(y=(data["x"] > 0.3) * 1))
    with pytest.warns(ConvergenceWarning, match="findings"):
        assert hl.avg_slopes(far, "x", newdata=data.assign(x=data["x"] * 1e4), slope="eyex")["mean"].isna().all()


def test_coefficients_that_are_infinite_together_leave_their_difference_known() -> None:
    data = rows().assign(arm=lambda frame: np.where(frame["g"] < 3, "a", np.where(frame["x"] > 0, "b", "c")))
    data.loc[data["arm"] == "a", "y"] = 1
    fit = quietly("y ~ arm + (1 | g)", data)
    assert codes(fit) == {"separation"}
    assert fit.estimate is not None
    assert np.isnan(fit.estimate.standard_errors).all()
    beta = fit.posterior["beta"]
    difference = beta.sel(fixed_effect="arm[b]") - beta.sel(fixed_effect="arm[c]")
    alone = quietly("y ~ 0 + arm + (1 | g)", data).estimate
    assert alone is not None
    variance = alone.covariance[1, 1] + alone.covariance[2, 2] - 2 * alone.covariance[1, 2]
    assert float(difference.std()) == pytest.approx(np.sqrt(variance), rel=0.1)


def test_variances_of_the_same_clusters_have_no_standard_errors() -> None:
    data = rows().assign(same=lambda frame: frame["g"] + 100)
    with pytest.warns(DataWarning, match="the same 40 clusters under two names"):
        model = hl.Model("y ~ x + (1 | g) + (1 | same)", data)
    one = quietly("y ~ x + (1 | g)", data).estimate
    assert one is not None
    for engine in (hl.Laplace(seed=1), hl.AGQ(nodes=1, seed=1)):
        fit = model.fit(engine)
        assert codes(fit) == {"identical_factors"}
        table = hl.summary(fit, interval="wald")
        assert table.loc[["sd_g[Intercept]", "sd_same[Intercept]"], "se"].isna().all()
        assert fit.estimate is not None
        np.testing.assert_allclose(fit.estimate.standard_errors, one.standard_errors, rtol=1e-3)
        total = fit.estimate.sd("g") ** 2 + fit.estimate.sd("same") ** 2
        np.testing.assert_allclose(total, one.sd("g") ** 2, rtol=1e-3)


def test_a_correlation_at_the_end_of_its_range_has_no_standard_error() -> None:
    random = np.random.default_rng(3)
    data = rows(clusters=12)
    eta = (1 + data["x"]) * random.normal(size=12)[data["g"]]
    data["y"] = (random.uniform(size=120) < 1 / (1 + np.exp(-eta))).astype(int)
    fit = quietly("y ~ x + (1 + x | g)", data)
    assert fit.estimate is not None
    assert fit.estimate.boundary == ("cor_g[Intercept, x] = 1",)
    table = hl.summary(fit, interval="wald")
    assert table.loc["cor_g[Intercept, x]", "estimate"] == pytest.approx(1)
    assert table.loc["cor_g[Intercept, x]", ["se", "wald89_lb", "wald89_ub"]].isna().all()
    assert (table.drop(index="cor_g[Intercept, x]")["se"] > 1e-3).all()
    (finding,) = (one for one in fit.diagnostics.findings if one.code == "singular_fit")
    assert "A correlation of 1 or -1 is the end of its range" in finding.evidence
    assert "no more variation" not in finding.evidence
    assert "two bars" in finding.remedy


def test_an_sd_hardly_known_has_an_interval_without_upper_end() -> None:
    vague = []
    for seed in range(40):
        fit = quietly("y ~ x + (1 | g)", rows(seed, clusters=8, size=5).assign(y=lambda f: f["x"].rank() % 2))
        table = hl.summary(fit, interval="wald").loc["sd_g[Intercept]"]
        if "unbounded_interval" in codes(fit):
            vague.append(seed)
            assert table["se"] > 2.5 * table["estimate"]
            assert (table["wald89_lb"], table["wald89_ub"]) == (0, np.inf)
        else:
            assert not table["wald89_ub"] > 1000
    assert vague


def test_spread_has_the_covariance_of_its_derivatives() -> None:
    estimate = quietly("y ~ x + (1 + x | g)", rows(3)).estimate
    assert estimate is not None
    places, values, covariance = estimate.spread_covariance()
    assert [place[1:] for place in places] == [(0, 0), (1, 1), (0, 1)]

    def spread(L: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        sigma = L @ L.T
        sd = np.sqrt(np.diag(sigma))
        return np.array([sd[0], sd[1], sigma[0, 1] / (sd[0] * sd[1])])

    L = estimate.cholesky["g"]
    columns = []
    for _, a, b in estimate.entries:
        step = np.zeros_like(L)
        step[a, b] = 1e-6
        columns.append((spread(L + step) - spread(L - step)) / 2e-6)
    jacobian = np.array(columns).T
    np.testing.assert_allclose(values, spread(L), rtol=1e-12)
    np.testing.assert_allclose(covariance, jacobian @ estimate.covariance[2:, 2:] @ jacobian.T, rtol=1e-6)


def test_clusters_of_one_outcome_are_said() -> None:
    data = rows().assign(y=lambda frame: frame["g"] % 2)
    fit = quietly("y ~ x + (1 | g)", data)
    assert "large_sd" in codes(fit)
    assert fit.diagnostics.status == "check"


def test_predictors_on_extreme_scales_raise_no_false_alarm() -> None:
    data = rows().assign(year=lambda frame: 2000 + 5 * frame["x"])
    fit = quietly("y ~ year + I(year**2) + (1 | g)", data)
    assert codes(fit) == set()
    assert fit.diagnostics.status == "converged"


def test_restarts_find_the_maximum_from_a_bad_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from hierlogit.engines.maximum import starting_values as start

    expected = quietly(SLOPE, hl.datasets.load("contraception")).estimate
    monkeypatch.setattr(start, "FIRST_SD", 1e-3)
    monkeypatch.setattr(start, "EM_STEPS", 0)
    found = quietly(SLOPE, hl.datasets.load("contraception")).estimate
    assert expected is not None
    assert found is not None
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-6)


# ---- MAP ---------------------------------------------------------------------------------------------------------

SD_PRIORS = [
    pr.HalfNormal(1),
    pr.HalfStudentT(3, 1),
    pr.HalfCauchy(1),
    pr.Exponential(3),
    pr.Gamma(2, 1),
    pr.LogNormal(0, 1),
    pr.Decov(),
]
COEFFICIENT_PRIORS = [pr.Normal(0, 0.5), pr.StudentT(3, 0, 0.5), pr.Cauchy(0, 0.5), pr.Laplace(0, 0.15)]
CBPP = "p(successes, size) ~ period_num + (1 + period_num | herd)"


@pytest.mark.parametrize(
    "priors",
    [{"sd": prior} for prior in SD_PRIORS]
    + [{"beta": prior} for prior in COEFFICIENT_PRIORS]
    + [{"cor": pr.LKJ(1)}, {"cor": pr.LKJ(10), "sd": pr.Exponential(20)}],
    ids=str,
)
def test_map_is_a_maximum_of_the_posterior_density(priors: dict[str, pr.Prior]) -> None:
    from hierlogit.density.marginal.laplace import LaplaceLikelihood
    from hierlogit.design.arrangement import arrange
    from hierlogit.engines.maximum.objective import Objective

    model = hl.Model(CBPP, hl.datasets.load("cbpp"), priors=priors)
    fit = quietly(CBPP, hl.datasets.load("cbpp"), "map", priors=priors)
    assert fit.estimate is not None
    assert fit.diagnostics.status == "converged"
    objective = Objective(model, LaplaceLikelihood(arrange(model.design)), penalised=True)
    psi = np.concatenate([fit.estimate.beta, np.zeros(len(objective.entries))])
    psi = objective.with_cholesky(psi, [fit.estimate.cholesky["herd"]])
    top = objective.evaluate(psi).value
    rng = np.random.default_rng(4)
    for size in np.repeat([1e-3, 1e-2, 1e-1, 0.5], 40):
        assert objective.evaluate(psi + size * rng.normal(size=len(psi))).value < top
    assert "log_prior" in fit.data.children


def test_map_with_flat_priors_is_maximum_likelihood() -> None:
    flat = {"beta": pr.Normal(0, 1e4), "Intercept": pr.Normal(0, 1e4), "sd": pr.HalfNormal(1e4)}
    likelihood = quietly("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).estimate
    posterior = quietly(
        "p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"), "map", priors=flat
    ).estimate
    assert likelihood is not None
    assert posterior is not None
    np.testing.assert_allclose(posterior.beta, likelihood.beta, atol=1e-4)
    np.testing.assert_allclose(posterior.sd("herd"), likelihood.sd("herd"), rtol=1e-4)
    assert posterior.penalised


def test_a_lasso_prior_sets_coefficients_to_exactly_zero() -> None:
    fit = quietly(CBPP, hl.datasets.load("cbpp"), "map", priors={"beta": pr.Laplace(0, 0.02)})
    assert fit.estimate is not None
    assert fit.estimate.beta[1] == 0
    (finding,) = [one for one in fit.diagnostics.findings if one.code == "at_prior_peak"]
    assert "period_num = 0. " in finding.evidence
    wide = quietly(CBPP, hl.datasets.load("cbpp"), "map", priors={"beta": pr.Laplace(0, 2)})
    assert "at_prior_peak" not in {one.code for one in wide.diagnostics.findings}
    assert fit.diagnostics.status == "converged"


# ---- options and refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: hl.AGQ(nodes=0), "nodes=0 must be a whole number from 1 to 100"),
        (lambda: hl.AGQ(nodes=101), "nodes=101"),
        (lambda: hl.MAP(nodes=2.5), "nodes=2.5"),
        (lambda: hl.Laplace(draws=10), "draws=10 must be a whole number from 100 to 10,000,000"),
        (lambda: hl.Laplace(seed=-1), "seed=-1"),
    ],
)
def test_options_out_of_range_are_refused(make: Any, words: str) -> None:
    with pytest.raises(EngineError) as caught:
        make()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ x + (1 | g) + (1 | arm)", "one grouping factor with up to 3 effects, or two nested factors"),
        ("y ~ x + (1 + x + I(x**2) + I(x**3) | g)", "this model has 'g' with 4 effects"),
        ("y ~ x", "no random effects to integrate out"),
    ],
)
def test_quadrature_says_what_it_can_do(formula: str, words: str) -> None:
    for engine in (hl.AGQ(), hl.MAP(nodes=5)):
        with pytest.raises(EngineError) as caught:
            hl.Model(formula, rows()).fit(engine)
        assert words in str(caught.value)


def test_a_laplace_fit_does_without_the_heavy_libraries() -> None:
    heavy = ("pymc", "pytensor", "arviz", "arviz_plots", "arviz_stats", "matplotlib", "bambi", "nutpie")
    heavy += ("dask", "duckdb", "polars", "zarr", "h5py", "typer")
    # Those of tables and draws, and what Numba loads to compile.
    others = (
        "xarray",
        "scipy.special",
        "scipy.sparse",
        "scipy.interpolate",
        "scipy.optimize",
        "rich",
        "multiprocessing",
    )
    others += ("numba.np.linalg", "numba.np.arrayobj", "numba.typed.typedlist", "cffi", "sparse", "yaml")
    code = (
        "import sys, hierlogit as hl; "
        "fit = hl.Model('y ~ week + (1 | ID)', hl.datasets.load('bacteria')).fit('laplace'); "
        f"print(*[name for name in {others!r} if name in sys.modules]); "
        "assert fit.estimate.log_likelihood < 0; hl.summary(fit, ci_prob=0.9, interval='wald'); "
        f"print(*[name for name in {heavy!r} if name in sys.modules])"
    )

    def loaded() -> list[str]:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert loaded() == [] or loaded() == []  # the first one may have had to compile


def test_predictors_far_from_zero_lose_no_digits() -> None:
    data = rows().assign(year=lambda frame: 2000 + 5 * frame["x"])
    far = quietly("y ~ year + I(year**2) + (1 | g)", data, hl.Laplace(seed=1))
    near = quietly("y ~ x + I(x**2) + (1 | g)", data, hl.Laplace(seed=1))
    assert far.estimate is not None
    assert near.estimate is not None
    assert far.estimate.standard_errors[2] * 25 == pytest.approx(near.estimate.standard_errors[2], rel=1e-5)
    one, other = hl.predictions(far), hl.predictions(near)
    np.testing.assert_allclose(one["mean"], other["mean"], atol=1e-6)
    np.testing.assert_allclose(one["sd"], other["sd"], rtol=1e-4)


# ---- numbers at the edge -----------------------------------------------------------------------------------------

EXTREME = [1e-99, 1e-30, 1e-6, 1.0, 1e6, 1e30, 1e98]


@pytest.mark.parametrize(
    ("prior", "at"),
    [
        (pr.Normal(0, 1e-99), 0.0),
        (pr.Normal(3, 1e-30), 3.0),
        (pr.StudentT(4, -1, 1e-8), -1.0),
        (pr.Laplace(2, 1e-20), 2.0),
        (pr.Normal(0, 1e99), None),
        (pr.Cauchy(0, 1e30), None),
    ],
)
def test_a_prior_without_width_is_a_value_and_one_without_end_is_none(prior: pr.CoefficientPrior, at: Any) -> None:
    data = rows()
    fit = quietly("y ~ x + (1 | g)", data, "map", priors={"x": prior, "Intercept": pr.Normal(0, 1e3)})
    assert fit.estimate is not None
    assert "not_converged" not in codes(fit)
    with_offset = quietly("y ~ 1 + offset(o) + (1 | g)", data.assign(o=(at or 0) * data["x"]), "map",
                          priors={"Intercept": pr.Normal(0, 1e3)})  # fmt: skip
    free = quietly("y ~ x + (1 | g)", data, "map", priors={"x": pr.Normal(0, 1e6), "Intercept": pr.Normal(0, 1e3)})
    assert with_offset.estimate is not None
    assert free.estimate is not None
    if at is None:
        np.testing.assert_allclose(fit.estimate.beta, free.estimate.beta, rtol=1e-4)
    else:
        assert fit.estimate.beta[1] == pytest.approx(at, abs=1e-8)
        assert fit.estimate.beta[0] == pytest.approx(with_offset.estimate.beta[0], rel=1e-3)


@pytest.mark.parametrize("size", EXTREME)
@pytest.mark.parametrize("formula", ["y ~ big + (1 | g)", "y ~ x + (1 + big | g)", "y ~ big + (1 + big || g)"])
def test_the_unit_of_a_predictor_does_not_matter(formula: str, size: float) -> None:
    data = rows(clusters=12).assign(big=lambda frame: size * frame["x"] ** 3)
    one = quietly(formula, data.assign(big=data["big"] / size)).estimate
    fit = quietly(formula, data)
    assert fit.estimate is not None
    assert one is not None
    assert fit.estimate.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-5)
    assert fit.diagnostics.status in ("converged", "check")
    hl.summary(fit, interval="wald")


@pytest.mark.parametrize("seed", [0, 1])
def test_slopes_of_several_factors_by_a_predictor_extremely_far_from_zero_end_with_a_finding(seed: int) -> None:
    random = np.random.default_rng(seed)
    data = pd.DataFrame(
        {"y": random.integers(0, 2, 24), "x": 1e9 + random.normal(size=24), "z": random.normal(size=24)}
    )
    data["g"], data["h"] = np.arange(24) % 3, random.integers(0, 5, 24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        fit = quietly("y ~ x + (1 + x | g) + (1 + x + z | h)", data, hl.Laplace(seed=1))
    assert fit.estimate is not None
    assert np.isfinite(fit.estimate.log_likelihood)
    assert fit.diagnostics.findings


@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("far", [60.0, 1e3, 1e5])
def test_correlated_slopes_by_a_predictor_far_from_zero_are_found_as_by_a_centred_one(
    far: float, restricted: bool
) -> None:
    random = np.random.default_rng(5)
    data = pd.DataFrame({"x": random.normal(size=300), "g": random.integers(0, 12, 300)})
    effects = random.normal(scale=[1.0, 0.8], size=(12, 2))[data["g"]]
    data["y"] = random.random(300) < 1 / (1 + np.exp(-(effects[:, 0] + (0.5 + effects[:, 1]) * data["x"])))
    engine = hl.Laplace(restricted=restricted)
    centred = quietly("y ~ x + (1 + x | g)", data, engine)
    fit = quietly("y ~ x + (1 + x | g)", data.assign(x=data["x"] + far), engine)
    assert fit.estimate is not None
    assert centred.estimate is not None
    assert fit.estimate.log_likelihood == pytest.approx(centred.estimate.log_likelihood, abs=1e-4)
    sds = [np.linalg.norm(one.cholesky["g"][1]) for one in (centred.estimate, fit.estimate)]
    assert sds[1] == pytest.approx(sds[0], rel=2e-3)
    assert fit.diagnostics.measures["evaluations"] < 3 * centred.diagnostics.measures["evaluations"]


@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
@pytest.mark.parametrize("seed", [2, 7])
def test_searches_end_where_rounding_keeps_conditional_modes_from_settling(seed: int) -> None:
    random = np.random.default_rng(seed)
    data = pd.DataFrame({"y": random.integers(0, 2, 60), "x": 1e9 + random.normal(size=60)})
    fit = quietly("y ~ x + (1 + x | g)", data.assign(g=random.integers(0, 6, 60)))
    assert fit.diagnostics.measures["evaluations"] < 1000
    assert fit.diagnostics.findings


@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
def test_units_of_effects_are_orthogonal_columns_where_a_predictor_is_far_from_zero() -> None:
    data = rows().assign(year=lambda frame: 2000 + 8 * frame["x"])
    (group,) = hl.Model("y ~ year + (1 + year | g)", data).design.groups
    units = EffectUnits.of(group, None)
    ((_, T),) = units.triangular
    basis = np.linalg.solve(T.T, group.Z.T).T
    np.testing.assert_allclose(basis.T @ basis / len(basis), np.eye(2), atol=1e-9)
    np.testing.assert_array_equal(T, np.tril(T))
    L = np.array([[1.5, 0.0], [-0.3, 0.2]])
    np.testing.assert_allclose(basis @ units.scaled(L), group.Z @ L, atol=1e-9)
    np.testing.assert_allclose(units.unscaled(units.scaled(L)), L, atol=1e-9)
    (near,) = hl.Model("y ~ x + (1 + x | g)", data).design.groups
    assert EffectUnits.of(near, None).triangular == []


def test_the_root_of_an_information_that_rounding_has_made_indefinite() -> None:
    sound = np.array([[2.0, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(root_of(sound).T @ root_of(sound), sound)
    indefinite = np.array([[1e18, 1e9], [1e9, 1.0 - 1e-7]])
    root = root_of(indefinite)
    assert np.isfinite(root).all()
    assert np.linalg.norm(root.T @ root - indefinite) < 1e-6 * np.linalg.norm(indefinite)


@pytest.mark.parametrize("offset", [-1e3, 1e3, 1e5])
def test_offsets_far_out_are_made_up_for_by_the_intercept(offset: float) -> None:
    data = rows().assign(o=offset)
    fit, plain = quietly("y ~ x + offset(o) + (1 | g)", data).estimate, quietly("y ~ x + (1 | g)", data).estimate
    assert fit is not None
    assert plain is not None
    assert fit.beta[0] + offset == pytest.approx(plain.beta[0], abs=1e-4)
    np.testing.assert_allclose(fit.standard_errors, plain.standard_errors, rtol=1e-3)


# ---- searches in many dimensions ---------------------------------------------------------------------------------


def test_a_search_without_a_maximum_ends_in_time_and_the_model_warns_of_it_before() -> None:
    random = np.random.default_rng(1)
    n = 90
    data = pd.DataFrame({"f": random.choice(list("abcdefgh"), n), "g": np.arange(n) % 15, "y": np.arange(n) % 3 == 0})
    with pytest.warns(
        DataWarning, match=r"30 events for 37 parameters \(1 fixed effect, 8 sds of 'g', 28 correlations"
    ):
        model = hl.Model("y ~ 1 + (f | g)", data.assign(y=data["y"].astype(int)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = model.fit("laplace")
    assert "few_events" in codes(fit)
    assert fit.diagnostics.measures["evaluations"] < 4000


def test_a_search_does_not_end_on_a_saddle() -> None:
    # Two equal variances of the same clusters: with an exponential prior of each, one of them is zero at the maximum.
    data = rows().assign(same=lambda frame: frame["g"] + 100)
    with pytest.warns(DataWarning, match="the same 40 clusters"):
        model = hl.Model("y ~ x + (1 | g) + (1 | same)", data)
    fit = model.fit("map")
    assert fit.estimate is not None
    sds = sorted([float(fit.estimate.sd("g")[0]), float(fit.estimate.sd("same")[0])])
    assert sds[0] == 0 < sds[1]
    assert "not_converged" not in codes(fit)


def test_sds_near_zero_are_tried_there_while_the_search_climbs() -> None:
    random = np.random.default_rng(2)
    n = 300
    data = pd.DataFrame({"f": random.choice(list("abcdef"), n), "g": np.arange(n) % 12, "y": random.integers(0, 2, n)})
    fit = quietly("y ~ f + (f | g)", data, "map")
    assert "not_converged" not in codes(fit)
    assert fit.diagnostics.measures["evaluations"] < 1500


def test_a_prior_whose_slopes_overflow_is_a_finding() -> None:
    fit = quietly("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria"), "map", priors={"sd": pr.LogNormal(1, 1e-99)})
    assert "not_converged" in {finding.code for finding in fit.diagnostics.findings}
