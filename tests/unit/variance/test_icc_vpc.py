"""Shares of variance by hand, against simulated populations with known truth, and as they must not change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

import hierlogit as hl
from hierlogit.effects.numerics.population_average import average_probability
from hierlogit.errors import FitError, PredictionError
from hierlogit.variance.row_averages import average_over_rows
from hierlogit.variance.shared_clusters import shared_covariance

MakeFit = Callable[..., hl.results.Fit]
RESIDUAL = np.pi**2 / 3


def at_truth(formula: str, data: Any, beta: list[float], **cholesky: Any) -> hl.results.Fit:
    """A fit whose `estimate` is what we say it is."""
    fit = hl.Model(formula, data).fit(hl.Laplace(draws=100, seed=1))
    assert fit.estimate is not None
    named = {name: np.atleast_2d(cholesky[name.replace(":", "_")]) for name in fit.estimate.cholesky}
    return hl.results.Fit(
        fit.model, fit.data, fit.diagnostics, replace(fit.estimate, beta=np.array(beta), cholesky=named)
    )


def nested_rows(schools: int = 8, classes: int = 3, pupils: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = schools * classes * pupils
    return pd.DataFrame(
        {
            "school": np.repeat(np.arange(schools), classes * pupils),
            "room": np.repeat(np.arange(schools * classes), pupils),
            "teacher": np.tile(np.arange(4), n // 4),
            "x": rng.normal(1, 2, n),
            "y": rng.integers(0, 2, n),
        }
    )


# ---- latent scale ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crossed(make_fit: MakeFit) -> hl.results.Fit:
    return make_fit("y ~ x + (1 + x | school) + (1 | teacher)", nested_rows())


def _variance(fit: hl.results.Fit, x: np.ndarray) -> np.ndarray:
    """``z'Sigma z`` of schools from the labelled draws alone, shape (chain, draw, rows)."""
    sd, cor = fit.posterior["sd_school"].values, fit.posterior["cor_school"].values[..., 0, 1]
    first, second = sd[..., 0, None], sd[..., 1, None]
    return first**2 + x**2 * second**2 + 2 * x * cor[..., None] * first * second


def test_latent_shares_by_hand_at_rows(crossed: hl.results.Fit) -> None:
    grid = hl.datagrid(crossed, x=[-1.0, 0.0, 4.0])
    table = hl.icc(crossed, grid)
    assert list(table.columns[:5]) == ["group", "kind", "row", "x", "mean"]
    assert table["group"].tolist() == ["school"] * 3 + ["teacher"] * 3 + ["all"] * 3
    assert table["row"].tolist() == [0, 1, 2] * 3
    assert "estimate" not in table  # draws of a sampler have no maximum
    school, teacher = _variance(crossed, grid["x"].to_numpy()), crossed.posterior["sd_teacher"].values ** 2
    whole = school + teacher + RESIDUAL
    expected = np.concatenate([school / whole, teacher / whole, (school + teacher) / whole], axis=-1)
    np.testing.assert_allclose(table.draws.values, expected, rtol=1e-12)
    np.testing.assert_allclose(table["mean"], expected.mean((0, 1)))
    np.testing.assert_allclose(table["eti89_ub"], np.quantile(expected, 0.945, axis=(0, 1)))


def test_without_rows_variances_are_averaged_over_training(crossed: hl.results.Fit) -> None:
    school = _variance(crossed, nested_rows()["x"].to_numpy()).mean(-1)
    teacher = crossed.posterior["sd_teacher"].values[..., 0] ** 2
    draws = hl.icc(crossed).draws.values
    np.testing.assert_allclose(draws[..., 0], school / (school + teacher + RESIDUAL), rtol=1e-12)
    fixed = np.var(crossed.posterior["beta"].values @ crossed.model.design.X.T, axis=-1, ddof=1)
    unadjusted = hl.icc(crossed, adjusted=False).draws.values
    np.testing.assert_allclose(
        unadjusted[..., 2], (school + teacher) / (school + teacher + fixed + RESIDUAL), rtol=1e-12
    )


def test_the_fixed_variance_of_columns_far_from_zero(make_fit: MakeFit) -> None:
    rows = nested_rows().assign(year=lambda d: 2000 + d["x"])
    fit = make_fit("y ~ year + (1 | school)", rows)
    slope = fit.posterior["beta"].sel(fixed_effect="year").values
    fixed = slope**2 * rows["x"].var()
    sd = fit.posterior["sd_school"].values[..., 0]
    draws = hl.icc(fit, adjusted=False).draws.values[..., 0]
    np.testing.assert_allclose(draws, sd**2 / (sd**2 + fixed + RESIDUAL), rtol=1e-9)


def test_nested_clusters_share_those_around_them(make_fit: MakeFit) -> None:
    table = hl.icc(make_fit("y ~ x + (1 | school/room)", nested_rows()))
    assert list(zip(table["group"], table["kind"], strict=True)) == [
        ("school", "share"),
        ("school:room", "share"),
        ("school:room", "same cluster"),
        ("all", "share"),
    ]
    draws = table.draws.values
    np.testing.assert_allclose(draws[..., 2], draws[..., 0] + draws[..., 1])
    np.testing.assert_allclose(draws[..., 3], draws[..., 2])
    # Written as two factors, nesting is found in the data.
    kinds = hl.icc(make_fit("y ~ x + (1 | room) + (1 | school)", nested_rows()))["kind"]
    assert kinds.tolist() == ["share", "same cluster", "share", "share"]


def test_no_two_rows_share_overdispersion(make_fit: MakeFit) -> None:
    fit = make_fit("p(successes, size) ~ period + (1 | herd) + (1 | obs)", hl.datasets.load("cbpp"))
    table = hl.icc(fit)
    assert table["group"].tolist() == ["herd", "obs", "all"]
    np.testing.assert_array_equal(table.draws.values[..., 2], table.draws.values[..., 0])
    herd, obs = (fit.posterior[f"sd_{name}"].values[..., 0] ** 2 for name in ("herd", "obs"))
    np.testing.assert_allclose(table.draws.values[..., 0], herd / (herd + obs + RESIDUAL))


@pytest.mark.parametrize("engine", [hl.Laplace(seed=1), hl.AGQ(nodes=5, seed=1), hl.MAP(seed=1)])
def test_estimates_are_at_the_maximum(engine: Any) -> None:
    fit = hl.Model("use ~ urban + (1 + urban | district)", hl.datasets.load("contraception")).fit(engine)
    assert fit.estimate is not None
    table = hl.icc(fit, hl.datagrid(fit, urban=["N", "Y"]))
    cover = np.array([[1.0, 0.0], [1.0, 1.0]]) @ fit.estimate.cholesky["district"]
    variance = (cover**2).sum(axis=1)
    np.testing.assert_allclose(table["estimate"], variance / (variance + RESIDUAL), rtol=1e-12)
    assert table.draws.dims == ("chain", "draw", "row")
    for verb in (hl.vpc, hl.mor, hl.r2):
        assert np.all(np.abs(verb(fit)["estimate"] - verb(fit)["mean"]) < verb(fit)["sd"])


@pytest.mark.parametrize("verb", [hl.icc, hl.vpc, hl.mor])
def test_names_and_order_of_clusters_and_rows_do_not_count(verb: Callable[..., pd.DataFrame]) -> None:
    rows = hl.datasets.load("guimmun").iloc[:600]
    renamed = rows.sample(frac=1, random_state=3).assign(
        comm=lambda d: "c" + (999 - d["comm"]).astype(str), mom=lambda d: -d["mom"]
    )
    tables = [
        verb(hl.Model("immun ~ kid2p + (1 | comm/mom)", data).fit(hl.AGQ(nodes=9, draws=100, seed=1)))
        for data in (rows, renamed)
    ]
    np.testing.assert_allclose(tables[0]["estimate"], tables[1]["estimate"], rtol=1e-5)


# ---- the scale of probabilities ----------------------------------------------------------------------------------


@given(
    m=st.floats(-4, 4),
    shared=st.floats(0, 4),
    other=st.one_of(st.just(0.0), st.floats(0.01, 4)),
    seed=st.integers(0, 9),
)
def test_parts_of_the_variance_are_in_order(m: float, shared: float, other: float, seed: int) -> None:
    one = np.array([m])
    p = average_probability(one, np.array([np.hypot(shared, other)]))[0]
    part = shared_covariance(one, np.array([shared]), np.array([other]))[0]
    whole = shared_covariance(one, np.array([np.hypot(shared, other)]), np.zeros(1))[0]
    # Var E[p | u] <= Var p <= P (1 - P), and both factors' own parts are not more than the whole.
    rest = shared_covariance(one, np.array([other]), np.array([shared]))[0]
    assert -1e-15 <= part <= whole + 1e-8 <= p * (1 - p) + 2e-8
    assert part + rest <= whole + 1e-8


@pytest.mark.parametrize(
    ("m", "shared", "other"), [(0.0, 1.0, 0.0), (-2.0, 0.6, 0.8), (1.0, 5.0, 2.0), (3.0, 1e-4, 1.0)]
)
def test_covariances_by_dense_quadrature(m: float, shared: float, other: float) -> None:
    v = np.linspace(-9, 9, 2001)
    w = np.exp(-(v**2) / 2)
    w /= w.sum()
    away = expit(m + shared * v[:, None] + other * v) @ w - expit(m + other * v) @ w
    expected = (away**2) @ w - (away @ w) ** 2
    found = shared_covariance(np.array([m]), np.array([shared]), np.array([other]))[0]
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-20)


@pytest.mark.parametrize("other", [0.0, 0.7, 9.0, 25.0, 80.0])
@pytest.mark.parametrize("shared", [3.0, 15.99, 16.01, 60.0])
@pytest.mark.parametrize("m", [-40.0, 0.0, 11.0])
def test_covariances_of_wide_clusters(m: float, shared: float, other: float) -> None:
    x, v = (np.linspace(-9, 9, 2 * round(9 * sd / 0.7 + 20) + 1) for sd in (shared, other))
    over_x, over_v = (np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum() for z in (x, v))
    given_x = expit(m + shared * x[:, None] + other * v) @ over_v
    expected = (given_x - given_x @ over_x) ** 2 @ over_x
    found = shared_covariance(np.array([m]), np.array([shared]), np.array([other]))[0]
    assert found == pytest.approx(expected, abs=3e-9)


def test_covariances_of_clusters_so_wide_that_each_is_certain() -> None:
    # P(both events) of two outcomes with correlated normal thresholds, by the arcsine law. With nodes in proportion to
    # the sds, this would run for years.
    shared, other = np.array([1e9, 1e300, 3e5]), np.array([1e9, 0.0, 4e5])
    found = shared_covariance(np.zeros(3), shared, other)
    np.testing.assert_allclose(found, np.arcsin([0.5, 1.0, 0.36]) / (2 * np.pi), atol=1e-5)


@given(
    n=st.integers(1, 400),
    width=st.floats(0, 12),
    sd=st.floats(0, 3),
    seed=st.integers(0, 1000),
)
def test_averages_over_rows_are_sums_over_rows(n: int, width: float, sd: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=(3, 1)) + width * rng.uniform(-1, 1, (3, n))
    share = rng.dirichlet(np.ones(n))

    def functions(x: np.ndarray) -> list[np.ndarray]:
        return [average_probability(x, np.full(x.shape, sd)), expit(x) ** 2]

    for fast, plain in zip(average_over_rows(functions, eta, share), functions(eta), strict=True):
        np.testing.assert_allclose(fast, plain @ share, atol=2e-8)


def test_few_values_stand_for_many_rows() -> None:
    asked = []

    def function(x: np.ndarray) -> list[np.ndarray]:
        asked.append(x.shape)
        return [expit(x)]

    average_over_rows(function, np.linspace(-4, 4, 10_000)[None], np.full(10_000, 1e-4))
    assert asked[0][1] < 50


def test_shares_of_probability_are_correlations_of_simulated_outcomes() -> None:
    """A million schools, each with two rooms of two pupils: how their outcomes correlate."""
    fit = at_truth("y ~ x + (1 + x | school) + (1 | school:room)", nested_rows(), [-1.0, 0.4], **TRUTH)
    rng, n, x = np.random.default_rng(1), 10**6, 1.5
    effects = rng.standard_normal((n, 2)) @ np.array(TRUTH["school"]).T
    rooms = TRUTH["school_room"][0][0] * rng.standard_normal((n, 2))
    p = expit(-1 + 0.4 * x + (effects[:, 0] + x * effects[:, 1])[:, None] + rooms)
    pupils = [(rng.uniform(size=(n, 2)) < p) for _ in range(2)]
    same_room = np.corrcoef(pupils[0][:, 0], pupils[1][:, 0])[0, 1]
    same_school = np.corrcoef(pupils[0][:, 0], pupils[1][:, 1])[0, 1]
    table = hl.vpc(fit, hl.datagrid(fit, x=x)).set_index(["group", "kind"])["estimate"]
    assert table["school:room", "same cluster"] == pytest.approx(same_room, abs=4e-3)
    assert table["school", "share"] == pytest.approx(same_school, abs=4e-3)
    assert table["all", "share"] == pytest.approx(p[:, 0].var() / (p[:, 0].mean() * (1 - p[:, 0].mean())), abs=2e-3)
    # A room's own share: the school differs, the room's effect does not.
    other = expit(-1 + 0.4 * x + np.roll(effects[:, 0] + x * effects[:, 1], 1) + rooms[:, 0])
    own = np.cov(p[:, 0], other)[0, 1] / (p[:, 0].mean() * (1 - p[:, 0].mean()))
    assert table["school:room", "share"] == pytest.approx(own, abs=2e-3)
    latent = hl.icc(fit, hl.datagrid(fit, x=x)).set_index(["group", "kind"])["estimate"]
    assert np.all(table < latent - 0.01)


TRUTH: dict[str, Any] = {"school": [[0.9, 0.0], [0.3, 0.5]], "school_room": [[0.8]]}


@pytest.mark.parametrize(("fixed", "slope"), [("x", 0.4), ("1", 0.0)])  # and a slope that varies, but is 0 on average
def test_averaged_over_training_rows_numerators_and_denominators_are_averaged(fixed: str, slope: float) -> None:
    rows, beta = nested_rows(), [-1.0, slope] if slope else [-1.0]
    cholesky: dict[str, Any] = {"school": TRUTH["school"], "teacher": [[0.8]]}
    fit = at_truth(f"y ~ {fixed} + (1 + x | school) + (1 | teacher)", rows, beta, **cholesky)
    rng = np.random.default_rng(2)
    effects = rng.standard_normal((20_000, 2)) @ np.array(TRUTH["school"]).T
    x = rows["x"].to_numpy()
    eta = -1 + slope * x + effects[:, :1] + effects[:, 1:] * x + 0.8 * rng.standard_normal((20_000, 1))
    p = expit(eta)
    whole = (p.mean(0) * (1 - p.mean(0))).mean()
    estimate = hl.vpc(fit).set_index("group")["estimate"]
    assert estimate["all"] == pytest.approx(p.var(0).mean() / whole, rel=0.02)


def test_one_row_for_all_is_that_row(make_fit: MakeFit) -> None:
    fit = make_fit("y ~ 1 + (1 | school) + (1 | teacher)", nested_rows(), draws=20)
    at = hl.datagrid(fit)
    np.testing.assert_allclose(hl.vpc(fit).draws.values, hl.vpc(fit, at).draws.values, rtol=1e-10)
    np.testing.assert_array_equal(hl.vpc(fit, scale="latent").draws.values, hl.icc(fit).draws.values)
    np.testing.assert_array_equal(hl.vpc(fit, scale="response").draws.values, hl.vpc(fit).draws.values)


def test_random_intercepts_and_many_rows_take_the_short_way(make_fit: MakeFit, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = make_fit("r2 ~ Anger + mode + (1 | id) + (1 | item)", hl.datasets.load("verbagg"), draws=5)
    short = hl.vpc(fit).draws.values
    monkeypatch.setattr("hierlogit.variance.row_averages.DIGITS", 1e9)
    np.testing.assert_allclose(hl.vpc(fit).draws.values, short, atol=1e-8)


def test_a_variance_of_zero_is_no_share(make_fit: MakeFit) -> None:
    fit = at_truth("y ~ x + (1 | school) + (1 | teacher)", nested_rows(), [0.0, 1.0], school=[[0.0]], teacher=[[1.0]])
    for verb in (hl.icc, hl.vpc):
        estimate = verb(fit).set_index("group")["estimate"]
        assert estimate["school"] == 0
        assert estimate["teacher"] == pytest.approx(estimate["all"])


# ---- what is refused ---------------------------------------------------------------------------------------------


def test_models_without_random_effects_have_nothing_to_part(make_fit: MakeFit) -> None:
    plain = make_fit("y ~ x", nested_rows())
    for verb in (hl.icc, hl.vpc, hl.mor, hl.ior, hl.r2, hl.conditional_vs_average):
        with pytest.raises(FitError, match="no random effects"):
            verb(plain)
    with pytest.raises(FitError, match="no random effects"):
        hl.pcv(plain, plain)


def test_options_out_of_range(crossed: hl.results.Fit) -> None:
    grid = hl.datagrid(crossed)
    with pytest.raises(PredictionError, match="cannot be combined with newdata="):
        hl.icc(crossed, grid, adjusted=False)
    with pytest.raises(PredictionError, match="scale='odds' is not allowed; choose one of 'response', 'latent'"):
        hl.vpc(crossed, scale="odds")
    with pytest.raises(PredictionError, match="lack the column 'x'"):
        hl.icc(crossed, grid.drop(columns="x"))
    with pytest.raises(PredictionError, match="ci_prob=89"):
        hl.vpc(crossed, ci_prob=89)
    assert hl.icc(crossed, num_draws=7).draws.sizes["draw"] == 7


def test_columns_of_the_rows_may_have_our_names(make_fit: MakeFit) -> None:
    rows = nested_rows().rename(columns={"x": "kind", "school": "group"}).assign(mean=1.0)
    table = hl.icc(make_fit("y ~ kind + (1 | group)", rows, draws=5), rows.iloc[:2])
    assert {"kind", "kind_in_data", "mean", "mean_in_data"} <= set(table.columns)
