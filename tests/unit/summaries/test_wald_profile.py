"""Summaries of likelihood fits: Wald and profile intervals, quadrature checks, engines side by side."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import ndtri

import hierlogit as hl
from hierlogit.density.log_prior import point_log_prior
from hierlogit.density.marginal.laplace import LaplaceLikelihood
from hierlogit.engines.maximum.held_objectives import FixedCorrelation
from hierlogit.engines.maximum.objective import Objective
from hierlogit.engines.maximum.profile import Profiler
from hierlogit.errors import ConvergenceWarning, EngineError, FitError, HierlogitWarning
from hierlogit.fits.fit import Fit

FloatArray = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def fits() -> dict[str, Fit]:
    made = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        slope = hl.Model("use ~ urban + (1 + urban | district)", hl.datasets.load("contraception"))
        made["slope"] = slope.fit(hl.Laplace(seed=1))
        made["map"] = slope.fit(hl.MAP(seed=1))
        toenail = hl.Model("outcome ~ treatment * time + (1 | patientID)", hl.datasets.load("toenail"))
        made["toenail"] = toenail.fit(hl.Laplace(seed=1))
        made["toenail25"] = toenail.fit(hl.AGQ(nodes=25, seed=1))
        nested = hl.Model("immun ~ kid2p + (1 | comm/mom)", hl.datasets.load("guimmun"))
        made["nested"] = nested.fit(hl.Laplace(seed=1))
    return made


def test_wald_table_has_estimates_errors_and_tests(fits: dict[str, Fit]) -> None:
    fit = fits["slope"]
    assert fit.estimate is not None
    table = hl.summary(fit, ci_prob=0.95)
    columns = ["component", "estimate", "se", "wald95_lb", "wald95_ub", "z", "p_value"]
    assert list(table.columns) == columns
    urban = table.loc["urban[Y]"]
    assert urban["estimate"] == fit.estimate.beta[1]
    assert urban["wald95_ub"] - urban["estimate"] == pytest.approx(1.959964 * urban["se"])
    assert urban["z"] == pytest.approx(urban["estimate"] / urban["se"])
    sd = table.loc["sd_district[Intercept]"]
    assert np.log(sd["wald95_ub"] / sd["estimate"]) == pytest.approx(np.log(sd["estimate"] / sd["wald95_lb"]))
    cor = table.loc["cor_district[Intercept, urban[Y]]"]
    assert -1 < cor["wald95_lb"] < cor["estimate"] < cor["wald95_ub"] < 1
    assert np.isnan(sd["p_value"])


def test_errors_of_sds_and_correlations_are_those_of_the_delta_method(fits: dict[str, Fit]) -> None:
    fit = fits["slope"]
    assert fit.estimate is not None
    _, values, covariance = fit.estimate.spread_covariance()
    L, p = fit.estimate.cholesky["district"], len(fit.estimate.beta)
    rng = np.random.default_rng(0)
    shrink = 1e-3  # so that the function is linear over the draws
    steps = rng.multivariate_normal(np.zeros(3), fit.estimate.covariance[p:, p:], 20000) * shrink
    drawn = []
    for step in steps:
        moved = L + np.array([[step[0], 0], [step[1], step[2]]])
        sigma = moved @ moved.T
        sds = np.sqrt(np.diag(sigma))
        drawn.append([*sds, sigma[0, 1] / sds.prod()])
    np.testing.assert_allclose(np.cov(np.array(drawn).T) / shrink**2, covariance, rtol=0.05, atol=2e-4)
    assert values[0] == pytest.approx(fit.estimate.sd("district")[0])


def likelihood_of(fit: Fit, beta: FloatArray, L: FloatArray) -> float:
    """Laplace's log-likelihood at fixed effects and the Cholesky factor of one grouping factor."""
    objective = Objective(fit.model, LaplaceLikelihood(fit.model.arrangement), penalised=False)
    return float(
        objective.evaluate(objective.with_cholesky(np.concatenate([beta, np.zeros(len(objective.entries))]), [L])).value
    )


def _golden_profile(fit: Fit) -> Callable[[float], float]:
    """Profile log-likelihood of the sd of a two-parameter model by a plain search over the other one."""

    def profile(sd: float) -> float:
        best = minimize_scalar(
            lambda beta: -likelihood_of(fit, np.array([beta]), np.array([[sd]])),
            bounds=(-4, 0),
            options={"xatol": 1e-10},
        )
        return -float(best.fun)

    return profile


def test_profile_ends_are_where_the_likelihood_has_fallen_far_enough() -> None:
    fit = hl.Model("p(successes, size) ~ 1 + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace")
    assert fit.estimate is not None
    table = hl.summary(fit, interval="profile", ci_prob=0.9)
    profile = _golden_profile(fit)
    drop = float(ndtri(0.95)) ** 2 / 2
    sd = float(fit.estimate.sd("herd")[0])
    for bracket, column in (((0.05, sd), "profile90_lb"), ((sd, 3.0), "profile90_ub")):
        end = brentq(lambda s: profile(s) - fit.estimate.log_likelihood + drop, *bracket)  # type: ignore[union-attr]
        assert table.loc["sd_herd[Intercept]", column] == pytest.approx(end, abs=2e-4)


def test_profile_interval_of_hardly_any_probability_is_the_estimate(fits: dict[str, Fit]) -> None:
    table = hl.summary(next(iter(fits.values())), interval="profile", ci_prob=1e-300)
    for end in (name for name in table.columns if name.startswith("profile")):
        np.testing.assert_array_equal(table[end], table["estimate"])


def test_profile_of_an_sd_whose_row_has_a_covariance(fits: dict[str, Fit]) -> None:
    fit = fits["slope"]
    assert fit.estimate is not None
    profiler = Profiler(fit.model, fit.estimate)
    profile = profiler.sd(0, 1)
    assert profile.estimate == pytest.approx(fit.estimate.sd("district")[1])
    low, high = profiler.ends(profile, 0.95)
    for end in (low, high):
        point = profile.maximise(end, profile.start(end))
        assert 2 * (fit.estimate.log_likelihood - point.log_likelihood) == pytest.approx(3.8415, abs=2e-3)


def _posterior_profile(fit: Fit, sd: float) -> float:
    """Log posterior density of the sd of a two-parameter model, maximised over the intercept by a plain search."""

    def density(intercept: float) -> float:
        L = np.array([[sd]])
        likelihood = likelihood_of(fit, np.array([intercept]), L)
        return likelihood + point_log_prior(fit.model, np.array([intercept]), [L])[0]

    best = minimize_scalar(lambda one: -density(one), bounds=(-4, 0), options={"xatol": 1e-10})
    return -float(best.fun)


def test_profile_of_a_posterior_mode_is_that_of_its_density() -> None:
    data = hl.datasets.load("cbpp")
    model = hl.Model("p(successes, size) ~ 1 + (1 | herd)", data, priors={"sd": hl.priors.Gamma(2, 4)})
    fit = model.fit(hl.MAP())
    assert fit.estimate is not None
    top = _posterior_profile(fit, float(fit.estimate.sd("herd")[0]))
    table = hl.summary(fit, interval="profile", ci_prob=0.9)
    for end in table.loc["sd_herd[Intercept]", ["profile90_lb", "profile90_ub"]]:
        assert top - _posterior_profile(fit, float(end)) == pytest.approx(ndtri(0.95) ** 2 / 2, abs=1e-3)
    zeta = hl.profile(fit, "sd_herd[Intercept]", points=4)
    drops = [top - _posterior_profile(fit, float(value)) for value in zeta["value"]]
    np.testing.assert_allclose(zeta["zeta"] ** 2 / 2, drops, atol=1e-4)


@pytest.mark.parametrize("label", ["period[p3]", "sd_herd[period[p3]]", "cor_herd[Intercept, period[p2]]"])
def test_no_start_leads_higher_than_the_profile_of_a_posterior_mode(label: str) -> None:
    """With exponential priors, the density has one maximum where another sd is zero and one where it is not."""
    model = hl.Model("p(successes, size) ~ period + (1 + period | herd)", hl.datasets.load("cbpp"))
    fit = model.fit(hl.MAP())
    assert fit.estimate is not None
    profiler, random = Profiler(model, fit.estimate), np.random.default_rng(1)
    make = profiler.by_label()[label]
    assert make is not None
    one = make()
    values = np.clip(one.estimate + one.error * np.array([-1.5, -0.8, 0.8, 1.5]), one.least + 0.03, one.most)
    zeta = profiler.zeta(one, values)
    top = one.maximise(one.estimate, one.start(one.estimate)).value
    for value, root in zip(values, zeta, strict=True):
        start = one.start(float(value))
        starts = [start * random.uniform(0, 1.5, len(start)) for _ in range(3)]
        starts.append(np.where(np.arange(len(start)) >= len(start) - 4, 0.0, start))  # the last sd is zero
        assert top - root**2 / 2 > max(one.maximise(float(value), at).value for at in starts) - 0.005


def test_a_posterior_density_of_zero_is_beyond_the_ends() -> None:
    data = hl.datasets.load("cbpp")
    priors = {"sd": hl.priors.Gamma(2, 1)}
    model = hl.Model("p(successes, size) ~ period + (1 | herd)", data, priors=priors)
    table = hl.summary(model.fit(hl.MAP()), interval="profile", ci_prob=0.9999)
    assert 0 < table.loc["sd_herd[Intercept]", "profile99_99_lb"] < 0.2


def test_a_correlation_held_is_the_correlation_and_has_the_gradient_of_its_coordinates(fits: dict[str, Fit]) -> None:
    fit = hl.Model("p(successes, size) ~ period + (1 + period | herd)", hl.datasets.load("cbpp")).fit("laplace")
    assert fit.estimate is not None
    base = Objective(fit.model, LaplaceLikelihood(fit.model.arrangement), penalised=False)
    rows = {a: np.array([base.p + k for k, entry in enumerate(base.entries) if entry[1] == a]) for a in range(4)}
    psi = base.at(fit.estimate) + np.random.default_rng(1).normal(0, 0.3, len(base))
    for first, second in ((0, 1), (1, 3)):
        objective = FixedCorrelation(base, rows[first], rows[second], psi)
        at = objective.coordinates(psi)
        L = base.cholesky(psi)[0]
        objective.correlation = float(L[first] @ L[second] / np.linalg.norm(L[first]) / np.linalg.norm(L[second]))
        # With the correlation that the vector has, coordinates are another way to write it.
        assert objective.evaluate(at).value == pytest.approx(base.evaluate(psi).value, abs=1e-9)
        objective.correlation = 0.4
        found = objective.evaluate(at).gradient
        steps = 1e-5 * np.eye(len(psi))
        slopes = [(objective.evaluate(at + h).value - objective.evaluate(at - h).value) / 2e-5 for h in steps]
        np.testing.assert_allclose(found, slopes, atol=1e-4)


def test_profile_of_a_correlation_is_that_of_a_plain_search(fits: dict[str, Fit]) -> None:
    fit = fits["slope"]
    assert fit.estimate is not None
    beta, sds = fit.estimate.beta, fit.estimate.sd("district")

    def drop(x: FloatArray, correlation: float) -> float:
        a, b = np.exp(x[2:])
        L = np.array([[a, 0.0], [correlation * b, np.sqrt(1 - correlation**2) * b]])
        return -likelihood_of(fit, x[:2], L)

    zeta = hl.profile(fit, "cor_district[Intercept, urban[Y]]", points=2, ci_prob=0.8)
    for value, one in zip(zeta["value"], zeta["zeta"], strict=True):
        best = minimize(drop, np.concatenate([beta, np.log(sds)]), args=(value,), method="Nelder-Mead",
                        options={"xatol": 1e-5, "fatol": 1e-8})  # fmt: skip
        assert 2 * (best.fun + fit.estimate.log_likelihood) == pytest.approx(one**2, abs=1e-4)


def test_intervals_that_do_not_apply_are_refused(fits: dict[str, Fit], make_fit: Callable[..., Fit]) -> None:
    sampled = make_fit("use ~ urban + (1 | district)", hl.datasets.load("contraception"))
    with pytest.raises(FitError, match=r"for fits by hl.Laplace\(\)"):
        hl.summary(sampled, interval="profile")
    with pytest.raises(FitError, match="choose one of 'draws', 'wald', 'profile'"):
        hl.summary(fits["slope"], interval="exact")
    assert "z" not in hl.summary(fits["map"])
    assert "mean" in hl.summary(fits["slope"], interval="draws")


def test_quadrature_check_sums_to_the_change_of_the_log_likelihood(fits: dict[str, Fit]) -> None:
    coarse, fine = fits["toenail"], fits["toenail25"]
    table = hl.check_quadrature(coarse, nodes=25)
    assert len(table) == 294
    assert table["rows"].sum() == coarse.model.design.n_rows
    assert table.attrs["nodes"] == 25
    assert table.attrs["total_change"] == pytest.approx(table["change"].sum())
    assert coarse.estimate is not None
    assert table["log_likelihood"].sum() == pytest.approx(coarse.estimate.log_likelihood, abs=1e-6)
    assert table["change"].abs().is_monotonic_decreasing
    assert abs(hl.check_quadrature(fine, nodes=51).attrs["total_change"]) < 0.05
    assert hl.check_quadrature(fine).attrs["nodes"] == 51


def test_quadrature_check_by_the_outer_level_of_nested_factors(fits: dict[str, Fit]) -> None:
    table = hl.check_quadrature(fits["nested"], nodes=15)
    assert table.index.name == "comm"
    assert len(table) == 161
    assert table.attrs["total_change"] > 10
    data = hl.datasets.load("guimmun")
    assert (table["rows"].sort_index() == data.groupby("comm").size()).all()


def test_quadrature_check_refuses_what_it_cannot_do(fits: dict[str, Fit], make_fit: Callable[..., Fit]) -> None:
    sampled = make_fit("use ~ urban + (1 | district)", hl.datasets.load("contraception"))
    with pytest.raises(FitError, match="has no estimate to integrate at"):
        hl.check_quadrature(sampled)
    with pytest.raises(EngineError, match="nodes=0"):
        hl.check_quadrature(fits["toenail"], nodes=0)
    crossed = hl.Model("r2 ~ 1 + (1 | id) + (1 | item)", hl.datasets.load("verbagg")).fit("laplace")
    with pytest.raises(EngineError, match="one grouping factor"):
        hl.check_quadrature(crossed)


def test_engines_side_by_side_mark_what_differs(fits: dict[str, Fit], monkeypatch: pytest.MonkeyPatch) -> None:
    model = fits["toenail"].model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        table = hl.compare_engines(model, {"Laplace": hl.Laplace(), "AGQ": hl.AGQ(nodes=25)})
    assert list(table.columns) == [
        ("Laplace", "estimate"),
        ("Laplace", "error"),
        ("Laplace", "differs"),
        ("AGQ", "estimate"),
        ("AGQ", "error"),
    ]
    parameters = fits["toenail"].model.design.fixed_effects
    assert list(table.index) == [*parameters, "sd_patientID[Intercept]", "log_likelihood"]
    assert bool(table.loc["Intercept", ("Laplace", "differs")])
    assert not bool(table.loc["time", ("Laplace", "differs")])
    assert fits["toenail25"].estimate is not None
    assert table.loc["log_likelihood", ("AGQ", "estimate")] == pytest.approx(fits["toenail25"].estimate.log_likelihood)
    with pytest.raises(FitError, match="two or more"):
        hl.compare_engines(model, {"Laplace": hl.Laplace()})


def test_agreement_takes_every_engine_that_can_do_the_model(
    monkeypatch: pytest.MonkeyPatch, make_fit: Callable[..., Fit]
) -> None:
    def run(engine: Any, model: Any) -> Fit:
        return make_fit(model, None)

    monkeypatch.setattr(hl.NUTS, "run", run)
    one = hl.compare_engines(hl.Model("use ~ urban + (1 | district)", hl.datasets.load("contraception")))
    assert list(one.columns.levels[0]) == sorted(["Laplace", "AGQ", "MAP", "NUTS"])
    crossed = hl.compare_engines(hl.Model("r2 ~ 1 + (1 | id) + (1 | item)", hl.datasets.load("verbagg")))
    assert list(dict.fromkeys(crossed.columns.get_level_values(0))) == ["Laplace", "MAP", "NUTS"]
    assert np.isnan(crossed.loc["log_likelihood", ("NUTS", "estimate")])


# ---- where the likelihood does not fall -----------------------------------------------------------------------------


def _rows() -> pd.DataFrame:
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(np.arange(40), 10), "x": random.normal(size=400), "row": np.arange(400)})
    eta = 0.5 * frame["x"] + random.normal(0, 0.8, 40)[frame["g"]]
    frame["y"] = (random.uniform(size=400) < 1 / (1 + np.exp(-eta))).astype(int)
    return frame.assign(arm=random.choice(["a", "b", "c"], 400), same=frame["g"] + 100)


def _summary(formula: str, frame: pd.DataFrame, interval: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HierlogitWarning)
        fit = hl.Model(formula, frame).fit("laplace")
        return hl.summary(fit, interval=interval, ci_prob=0.95)


def test_the_profile_of_an_infinite_estimate_has_one_end() -> None:
    frame = _rows()
    frame.loc[frame["arm"] == "c", "y"] = 1
    table = _summary("y ~ x + arm + (1 | g)", frame, "profile")
    low, high = table.loc["arm[c]", ["profile95_lb", "profile95_ub"]]
    assert high == np.inf
    # At the lower end the deviance is higher by 3.84: the coefficient as an offset.
    fixed = frame.assign(o=low * (frame["arm"] == "c"), b=frame["arm"] == "b")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HierlogitWarning)
        full = hl.Model("y ~ x + arm + (1 | g)", frame).fit("laplace").estimate
        held = hl.Model("y ~ x + b + offset(o) + (1 | g)", fixed).fit("laplace").estimate
    assert full is not None
    assert held is not None
    assert 2 * (full.log_likelihood - held.log_likelihood) == pytest.approx(3.841, abs=0.01)
    # The other coefficients have the intervals of the rows of the other arms.
    others = _summary("y ~ x + arm + (1 | g)", frame[frame["arm"] != "c"], "profile")
    names = ["Intercept", "x", "arm[b]", "sd_g[Intercept]"]
    np.testing.assert_allclose(table.loc[names, "profile95_ub"], others["profile95_ub"], atol=1e-3)


def test_estimates_that_are_infinite_together_have_one_end_each() -> None:
    frame = _rows().assign(arm=lambda rows: np.where(rows["g"] < 3, "a", np.where(rows["x"] > 0, "b", "c")))
    frame.loc[frame["arm"] == "a", "y"] = 1
    table = _summary("y ~ arm + (1 | g)", frame, "profile")
    assert table.loc["Intercept", "profile95_ub"] == np.inf
    assert 0 < table.loc["Intercept", "profile95_lb"] < 10
    assert (table.loc[["arm[b]", "arm[c]"], "profile95_lb"] == -np.inf).all()
    assert table.loc[["arm[b]", "arm[c]"], "profile95_ub"].between(-10, 0).all()


def test_the_profile_tells_what_two_variances_of_the_same_clusters_can_be() -> None:
    frame = _rows()
    both = _summary("y ~ x + (1 | g) + (1 | same)", frame, "profile")
    one = _summary("y ~ x + (1 | g)", frame, "profile")
    for name in ("sd_g[Intercept]", "sd_same[Intercept]"):
        assert both.loc[name, "profile95_lb"] == 0
        assert both.loc[name, "profile95_ub"] == pytest.approx(one.loc["sd_g[Intercept]", "profile95_ub"], abs=1e-3)


@pytest.mark.parametrize("interval", ["wald", "profile"])
def test_an_sd_in_which_the_likelihood_is_flat_has_no_interval(interval: str) -> None:
    table = _summary("y ~ x + (1 | row)", _rows(), interval)
    assert table.loc["sd_row[Intercept]", [f"{interval}95_lb", f"{interval}95_ub"]].isna().all()
    assert table.loc[["Intercept", "x"], [f"{interval}95_lb", f"{interval}95_ub"]].notna().all(axis=None)


# A grouping factor called "fixed" is refused.
@pytest.mark.parametrize(("of_factor", "of_column"), [("g", "fixed"), ("phi", "phi"), ("sd_g", "sd_g")])
def test_names_of_factors_and_columns_do_not_change_the_scale_of_an_interval(of_factor: str, of_column: str) -> None:
    rng = np.random.default_rng(1)
    plain = pd.DataFrame({"g": np.repeat(np.arange(20), 10), "x": rng.normal(size=200)})
    plain["y"] = rng.binomial(1, 1 / (1 + np.exp(-rng.normal(size=20)[plain["g"]])))
    expected = hl.summary(hl.Model("y ~ x + (1 | g)", plain).fit("laplace"))
    factor = hl.summary(hl.Model(f"y ~ x + (1 | {of_factor})", plain.rename(columns={"g": of_factor})).fit("laplace"))
    column = hl.summary(hl.Model(f"y ~ {of_column} + (1 | g)", plain.rename(columns={"x": of_column})).fit("laplace"))
    for table in (factor, column):
        np.testing.assert_allclose(table["wald89_lb"], expected["wald89_lb"])
        np.testing.assert_allclose(table["wald89_ub"], expected["wald89_ub"])
