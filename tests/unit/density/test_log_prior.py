"""Scores of the prior families; the log prior density of one point and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit.density.log_prior import log_prior, point_log_prior
from hierlogit.priors import (
    COEFFICIENT_FAMILIES,
    LKJ,
    SD_FAMILIES,
    Cauchy,
    Decov,
    Exponential,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    Laplace,
    LogNormal,
    Normal,
    Prior,
    StudentT,
)

COEFFICIENTS: list[Prior] = [
    Normal(1, 2),
    Normal(-0.3, 0.4),
    StudentT(3, 1, 2),
    StudentT(0.8, -1, 0.5),
    Cauchy(1, 2),
    Cauchy(-2, 0.3),
    Laplace(1, 2),
    Laplace(-0.5, 0.3),
]
SDS: list[Prior] = [
    HalfNormal(2),
    HalfNormal(0.4),
    HalfStudentT(3, 2),
    HalfStudentT(0.9, 0.6),
    HalfCauchy(2),
    HalfCauchy(0.3),
    Exponential(0.7),
    Gamma(2, 0.5),
    Gamma(1, 3),
    Gamma(0.7, 1.3),
    LogNormal(0.3, 0.8),
    LogNormal(-1, 1.7),
]
DECOVS = [Decov(), Decov(2, 1.5, 0.7), Decov(0.6, 0.8, 2)]


def slope(function: Callable[[Any], Any], x: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """Derivative of a function of one number, elementwise, by central differences of the sixth order."""
    total = np.zeros_like(x)
    for times, factor in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60)):
        total += factor * (function(x + times * h) - function(x - times * h)) / h
    return total


def gradient(function: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    """Gradient of a function of an array, by central differences of the sixth order."""
    found = np.empty(x.size)
    for k, unit in enumerate(np.eye(x.size)):
        direction = unit.reshape(x.shape)
        found[k] = slope(lambda s, d=direction: np.array([function(x + s[0] * d)]), np.zeros(1))[0]
    return found.reshape(x.shape)


# ---- scores ------------------------------------------------------------------------------------------------------


def test_every_family_is_here() -> None:
    assert {type(prior) for prior in COEFFICIENTS} == set(COEFFICIENT_FAMILIES)
    assert {type(prior) for prior in [*SDS, *DECOVS]} == set(SD_FAMILIES)


@pytest.mark.parametrize("prior", COEFFICIENTS, ids=str)
def test_scores_of_coefficients(prior: Prior) -> None:
    # None within reach of a step from the peaks, of which that of a Laplace density is a kink.
    x = np.array([-30.0, -4.1, -0.7, -0.01, 0.0, 0.21, 1.5, 3.0, 25.0])
    np.testing.assert_allclose(prior.score(x), slope(prior.logpdf, x), rtol=1e-8, atol=1e-9)
    assert prior.score(x.reshape(3, 3)).shape == (3, 3)
    assert np.shape(prior.score(0.7)) == ()


@pytest.mark.parametrize("prior", SDS, ids=str)
def test_scores_of_sds(prior: Prior) -> None:
    x = np.array([0.04, 0.3, 0.8, 1.0, 2.5, 20.0])
    np.testing.assert_allclose(prior.score(x), slope(prior.logpdf, x), rtol=1e-6, atol=1e-9)
    assert prior.score(x.reshape(3, 2)).shape == (3, 2)
    assert np.shape(prior.score(0.7)) == ()


@pytest.mark.parametrize("prior", [*COEFFICIENTS, *SDS], ids=str)
def test_the_density_at_one_number_is_that_of_arrays(prior: Prior) -> None:
    for x in (-1e200, -30.0, -0.7, 0.0, 1e-3, 0.21, 3.0, 1e200):
        with np.errstate(all="ignore"):
            np.testing.assert_equal(prior.log_density_and_score(x), (float(prior.logpdf(x)), float(prior.score(x))))


def test_scores_at_peaks() -> None:
    for prior in (Normal(1.5, 2), StudentT(3, 1.5, 2), Cauchy(1.5, 2), Laplace(1.5, 2)):
        assert prior.score(1.5) == 0.0


def test_scores_at_zero_are_those_from_inside() -> None:
    for prior in (HalfNormal(2), HalfStudentT(3, 2), HalfCauchy(2)):
        assert prior.score(0.0) == 0.0
    assert Exponential(0.7).score(0.0) == -0.7
    assert Gamma(1, 3).score(0.0) == -3.0
    assert Gamma(2, 3).score(0.0) == np.inf
    assert Gamma(0.5, 3).score(0.0) == -np.inf


@pytest.mark.parametrize("prior", DECOVS, ids=str)
@pytest.mark.parametrize("sd", [[0.4], [2.0], [0.7, 1.9], [0.5, 0.8, 2.2], [3.0, 0.3, 0.6]])
def test_scores_of_decov(prior: Decov, sd: list[float]) -> None:
    x = np.array(sd)
    expected = gradient(lambda value: float(prior.logpdf(value)), x)
    np.testing.assert_allclose(prior.score(x), expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(prior.score(np.stack([x, 2 * x])), [prior.score(x), prior.score(2 * x)], rtol=1e-14)


# ---- one point ---------------------------------------------------------------------------------------------------

Random = Mapping[str, list[list[float]]]

ONE = {"g": [[0.8]]}
TWO = {"g": [[0.8, 0.0], [-0.5, 0.6]]}
THREE = {"g": [[0.8, 0.0, 0.0], [-0.5, 0.6, 0.0], [0.3, 0.4, 1.1]]}

#: Formula, priors, Cholesky factors by grouping factor.
MODELS: dict[str, tuple[str, dict[str, Prior], Random]] = {
    "one effect": ("y ~ x + (1 | g)", {}, ONE),
    "one effect, L negative": ("y ~ x + (1 | g)", {"sd": Gamma(2, 1.5)}, {"g": [[-0.8]]}),
    "no fixed effects": ("y ~ 0 + (1 | g)", {}, ONE),
    "no intercept": ("y ~ 0 + x + z + (1 | g)", {"x": Normal(0.5, 1)}, ONE),
    "no random effects": ("y ~ x * z", {"Intercept": StudentT(4, 1, 2), "x:z": Cauchy(0, 0.4)}, {}),
    "correlated": ("y ~ x + (1 + x | g)", {}, TWO),
    "of negative diagonal": ("y ~ x + (1 + x | g)", {}, {"g": [[-0.8, 0.0], [-0.5, -0.6]]}),
    "uniform correlation": ("y ~ x + (1 + x | g)", {"cor": LKJ(1)}, TWO),
    "near independence": ("y ~ x + z + (1 + x + z | g)", {"cor": LKJ(5.5), "sd": HalfNormal(1.2)}, THREE),
    "far from independence": ("y ~ x + z + (1 + x + z | g)", {"cor": LKJ(0.6), "sd": LogNormal(0, 0.5)}, THREE),
    "uncorrelated": ("y ~ x + (1 + x || g)", {"sd": HalfCauchy(1)}, {"g": [[0.8, 0.0], [0.0, 0.6]]}),
    "several sets": (
        "y ~ x + z + (1 + x | g) + (0 + z | g)",
        {"cor_g": LKJ(3), "sd_g[x]": HalfStudentT(3, 2), "sd_g[z]": Gamma(3, 2)},
        {"g": [[0.8, 0.0, 0.0], [-0.5, 0.6, 0.0], [0.0, 0.0, 1.1]]},
    ),
    "several factors": (
        "y ~ x + z + (1 + x | g) + (1 + x + z | h)",
        {"cor_g": LKJ(3), "cor_h": LKJ(1.5), "sd_h": HalfNormal(2), "beta": Laplace(0.05, 0.8)},
        {"g": TWO["g"], "h": THREE["g"]},
    ),
    "decov of one effect": ("y ~ x + (1 | g)", {"sd": Decov(2, 1.5, 0.7)}, ONE),
    "decov of three effects": ("y ~ x + z + (1 + x + z | g)", {"sd": Decov(2, 1.5, 0.7), "cor": LKJ(1.7)}, THREE),
    "decov of several sets": (
        "y ~ x + z + (1 + x | g) + (0 + z | g)",
        {"sd": Decov(1.5, 2, 0.6)},
        {"g": [[0.8, 0.0, 0.0], [-0.5, 0.6, 0.0], [0.0, 0.0, 1.1]]},
    ),
}


def model_of(name: str) -> tuple[hl.Model, np.ndarray, list[np.ndarray]]:
    formula, priors, cholesky = MODELS[name]
    rng, n = np.random.default_rng(7), 60
    data = pd.DataFrame(
        {
            "y": np.arange(n) % 2,
            "x": rng.normal(2, 1.5, n),
            "z": rng.normal(-1, 0.6, n),
            "g": rng.permutation(np.arange(n) % 6),
            "h": rng.permutation(np.arange(n) % 5),
        }
    )
    model = hl.Model(formula, data, priors=priors)
    beta = np.array([0.4, -0.7, 0.3, 1.1])[: len(model.design.fixed_effects)]
    return model, beta, [np.array(cholesky[group.name]) for group in model.design.groups]


def one_draw(model: hl.Model, beta: np.ndarray, cholesky: list[np.ndarray]) -> xr.Dataset:
    variables: dict[str, Any] = {}
    if len(beta):
        variables["beta"] = (("chain", "draw", "fixed_effect"), beta[None, None])
    for group, L in zip(model.design.groups, cholesky, strict=True):
        dim, sigma = model.effect_dim(group), L @ L.T
        sd = np.sqrt(np.diag(sigma))
        variables[f"sd_{group.result_name}"] = (("chain", "draw", dim), sd[None, None])
        if group.correlated:
            cor = sigma / np.outer(sd, sd)
            variables[f"cor_{group.result_name}"] = (("chain", "draw", dim, f"{dim}_bis"), cor[None, None])
    used = {dim for dims, _ in variables.values() for dim in dims}
    coords = {name: values for name, values in model.coords.items() if name in used}
    return xr.Dataset(variables, coords={"chain": [0], "draw": [0], **coords})


@pytest.mark.parametrize("name", MODELS)
def test_value_is_the_sum_of_the_groups(name: str) -> None:
    model, beta, cholesky = model_of(name)
    densities = log_prior(model, one_draw(model, beta, cholesky))
    expected = sum(float(values.sum()) for values in densities.data_vars.values())
    assert point_log_prior(model, beta, cholesky)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_gradient_is_that_of_the_value(name: str) -> None:
    model, beta, cholesky = model_of(name)
    _, dbeta, dcholesky = point_log_prior(model, beta, cholesky)
    assert dbeta.shape == beta.shape
    expected = gradient(lambda value: point_log_prior(model, value, cholesky)[0], beta)
    np.testing.assert_allclose(dbeta, expected, rtol=1e-8, atol=1e-9)
    for k, (group, L, dL) in enumerate(zip(model.design.groups, cholesky, dcholesky, strict=True)):

        def value(moved: np.ndarray, k: int = k) -> float:
            return point_log_prior(model, beta, [*cholesky[:k], moved, *cholesky[k + 1 :]])[0]

        expected = gradient(value, L)
        inside = np.zeros(L.shape, dtype=bool)  # what is free: lower triangles of the sets
        for members in group.sets:
            inside[np.ix_(members, members)] = True
        free = inside & np.tri(len(L), dtype=bool)
        np.testing.assert_allclose(dL[free], expected[free], rtol=1e-7, atol=1e-8)
        np.testing.assert_array_equal(dL[~np.tri(len(L), dtype=bool)], 0.0)


@pytest.mark.parametrize("name", MODELS)
def test_signs_of_the_columns_of_a_root_do_not_matter(name: str) -> None:
    model, beta, cholesky = model_of(name)
    signs = [np.where(np.arange(len(L)) % 2, 1.0, -1.0) for L in cholesky]
    value, dbeta, dcholesky = point_log_prior(model, beta, cholesky)
    turned = [L * sign for L, sign in zip(cholesky, signs, strict=True)]
    again, dbeta_again, dcholesky_again = point_log_prior(model, beta, turned)
    assert again == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(dbeta_again, dbeta)
    for dL, other, sign in zip(dcholesky, dcholesky_again, signs, strict=True):
        np.testing.assert_allclose(other, dL * sign, atol=1e-13)


def test_the_intercepts_prior_is_at_the_predictors_means() -> None:
    model, beta, cholesky = model_of("one effect")
    model = model.with_priors({"Intercept": Normal(3, 1e-3), "sd": Exponential(1)})
    centred = 3 - beta[1] * model.design.X[:, 1].mean()
    assert point_log_prior(model, np.array([centred, beta[1]]), cholesky)[1][0] == pytest.approx(0, abs=1e-6)
    higher = point_log_prior(model, np.array([centred, beta[1]]), cholesky)[0]
    assert higher > point_log_prior(model, np.array([3.0, beta[1]]), cholesky)[0] + 100


# ---- at boundaries -----------------------------------------------------------------------------------------------


def test_at_an_sd_of_zero_the_slope_is_that_from_inside() -> None:
    model, beta, _ = model_of("one effect")
    model = model.with_priors({"sd": Exponential(0.7)})
    value, _, (dL,) = point_log_prior(model, beta, [np.zeros((1, 1))])
    near = point_log_prior(model, beta, [np.full((1, 1), 1e-6)])[0]
    assert near == pytest.approx(value, abs=1e-5)
    assert dL[0, 0] == pytest.approx(-0.7)


def test_an_effect_without_spread_has_the_density_of_independence() -> None:
    model, beta, _ = model_of("correlated")
    value, _, (dL,) = point_log_prior(model, beta, [np.array([[0.8, 0.0], [0.0, 0.0]])])
    # The limit along the diagonal, where the correlation is zero.
    near = point_log_prior(model, beta, [np.array([[0.8, 0.0], [0.0, 1e-9]])])[0]
    assert np.isfinite(value)
    assert near == pytest.approx(value, abs=1e-7)
    assert np.all(np.isfinite(dL))
    assert dL[1, 0] == 0.0


def test_the_others_of_an_effect_without_spread_keep_the_density_of_their_correlations() -> None:
    model, beta, _ = model_of("near independence")
    L = np.array([[0.8, 0.0, 0.0], [-0.5, 0.6, 0.0], [0.0, 0.0, 0.0]])
    value, _, (dL,) = point_log_prior(model, beta, [L])
    near = point_log_prior(model, beta, [L + np.diag([0.0, 0.0, 1e-9])])
    assert near[0] == pytest.approx(value, abs=1e-7)
    np.testing.assert_allclose(dL[:2], near[2][0][:2])


@pytest.mark.parametrize(("eta", "expected"), [(2.0, -np.inf), (0.5, np.inf)])
def test_a_singular_correlation_has_no_density_under_lkj(eta: float, expected: float) -> None:
    model, beta, _ = model_of("correlated")
    singular = [np.array([[0.8, 0.0], [-0.5, 0.0]])]
    assert point_log_prior(model.with_priors({"cor": LKJ(eta)}), beta, singular)[0] == expected
    assert np.isfinite(point_log_prior(model.with_priors({"cor": LKJ(1)}), beta, singular)[0])
