"""The compiled joint density: values by hand, priors, where it is centred, and its C functions."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, log_expit

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.density.joint import c_callbacks as callbacks
from hierlogit.density.joint import coupling
from hierlogit.density.joint.arrays import Joint
from hierlogit.density.joint.c_callbacks import (
    CALLBACKS,
    DIVERGED,
    FUNCTION,
    WRONG_SIZE,
    Outputs,
    expand,
    log_density_callback,
    table_of,
)
from hierlogit.density.joint.geometry import LEAST_SD, SHARE, Geometry, centred_by_information, non_centred
from hierlogit.density.joint.log_density import evaluate, evaluate_with, scratch_size
from hierlogit.density.joint.model_arrays import FAMILIES, JointArrays, joint_arrays, unknown_families
from hierlogit.density.joint.outcomes import SHARED
from hierlogit.density.joint.scale_variables import NEAREST
from hierlogit.density.kernels import binomial_residuals as residuals
from hierlogit.density.kernels import scale_priors as scales
from hierlogit.density.kernels.design_products import SHORT, add_columns, add_sorted, dot_columns, sum_sorted
from hierlogit.density.marginal.laplace import LaplaceLikelihood
from hierlogit.engines.nuts.adaptation_start import around_the_mode
from hierlogit.fits.posterior import posterior_layout
from hierlogit.model import Model

MODELS: dict[str, tuple[str, dict[str, pr.Prior]]] = {
    "no random effects": ("y ~ x", {}),
    "no fixed effects": ("y ~ 0 + (1 | g) + (1 | h)", {"sd": pr.Gamma(2, 1)}),
    "slopes": ("y ~ x + (1 + x + w | g)", {"x": pr.StudentT(3, 0, 1), "cor": pr.LKJ(1)}),
    "two sets": ("p(hits, size) ~ w + (1 | g) + (0 + x + w | g)", {"sd": pr.LogNormal(0, 1)}),
    "crossed": ("y ~ x + offset(w) + (1 + x | h) + (1 + w || g)", {"sd_h": pr.Decov(2, 1.5, 1)}),
    "nested": ("y ~ w + (1 + x | g/h)", {"w": pr.Cauchy(0, 1)}),
}


def rows(n: int = 90, seed: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "hits": rng.integers(0, 4, n),
            "size": rng.integers(4, 9, n),
            "x": rng.normal(size=n),
            "w": rng.normal(size=n),
            # Labels in another order than that of their first rows, and clusters of different sizes.
            "g": rng.choice(["z", "b", "q", "a", "m", "c"], n, p=[0.1, 0.3, 0.1, 0.2, 0.2, 0.1]),
            "h": rng.choice([7, 3, 11, 5], n),
        }
    )


def model_of(name: str) -> Model:
    formula, priors = MODELS[name]
    return hl.Model(formula, rows(), priors=priors)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return model_of(request.param)


def outputs_of(model: Model, joint: JointArrays, *, standardised: bool = True) -> Outputs:
    groups, factors = model.design.groups, model.arrangement.factors
    return Outputs(
        factor=np.array([factors.index(k) for k in range(len(groups))], dtype=np.int64),
        correlated=np.array([group.correlated for group in groups], dtype=np.int64),
        standardised=np.full(len(groups), int(standardised), dtype=np.int64),
        order=np.concatenate([np.empty(0, dtype=np.int64), *joint.orders]),
        scale=np.empty(0, dtype=np.int64),
    )


def evaluated(arrays: Joint, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Value, gradient, u, b."""
    effects = int(arrays.variable_at[-1])
    gradient, u, b = np.full(len(x), np.nan), np.full(effects, np.nan), np.full(effects, np.nan)
    return evaluate(arrays, x, gradient, u, b), gradient, u, b


# ---- rows --------------------------------------------------------------------------------------------------------


# Around the numbers of rows whose probabilities are multiplied before a logarithm is taken.
@pytest.mark.parametrize("n", [0, 1, 7, 127, 128, 129, 895, 896, 897, 3000])
@pytest.mark.parametrize(("kind", "most"), [(residuals.ONE, 1), (residuals.FEW, 7), (residuals.MANY, 30)])
def test_rows_of_every_kind(kind: int, most: int, n: int) -> None:
    rng = np.random.default_rng(n)
    eta = rng.normal(0, 4, n)
    eta[: n // 3] = rng.choice([-700.0, -36.5, -0.0, 0.0, 1e-9, 36.5, 700.0], n // 3)
    trials = rng.integers(0, most + 1, n).astype(float) if kind != residuals.ONE else np.ones(n)
    y = rng.binomial(trials.astype(int), 0.5).astype(float)
    residual = np.empty(n)
    value = residuals.add_rows(kind, y, trials, eta.copy(), residual)
    np.testing.assert_allclose(residual, y - trials * expit(eta), rtol=1e-13, atol=1e-15 * most)
    expected = math.fsum(y * log_expit(eta) + (trials - y) * log_expit(-eta))
    assert value == pytest.approx(expected, rel=1e-13, abs=1e-12)


@pytest.mark.parametrize("kind", [residuals.ONE, residuals.FEW])
def test_products_of_probabilities_do_not_overflow(kind: int) -> None:
    n, trials = 5000, 1.0 if kind == residuals.ONE else float(residuals.MOST_OF_FEW)
    # At a half, the largest factor a row can have.
    value = residuals.add_rows(kind, np.zeros(n), np.full(n, trials), np.zeros(n), np.empty(n))
    assert value == pytest.approx(-n * trials * math.log(2), rel=1e-13)


def test_a_certain_row_costs_nothing() -> None:
    for kind in (residuals.ONE, residuals.FEW, residuals.MANY):
        residual = np.empty(2)
        certain = residuals.add_rows(kind, np.array([1.0, 0.0]), np.ones(2), np.array([800.0, -800.0]), residual)
        assert certain == pytest.approx(0.0, abs=1e-300)
        assert residual == pytest.approx([0.0, 0.0], abs=1e-300)


@pytest.mark.parametrize("most", [1, 5, 40])
def test_batches_know_how_many_trials_their_rows_have(most: int) -> None:
    rng = np.random.default_rng(4)
    # The rows of the middle levels have up to `most` trials, all others one.
    sizes = np.where(np.repeat([False, True, False], 3000), rng.integers(1, most + 1, 9000), 1)
    # A number of its own for each row: rows that are alike would be taken together.
    rows = {
        "g": np.repeat(np.arange(90), 100),
        "size": sizes,
        "hits": rng.integers(0, 2, 9000),
        "x": rng.normal(size=9000),
    }
    model = hl.Model("p(hits, size) ~ x + (1 | g)", rows)
    arrays = joint_arrays(model, non_centred(model)).arrays
    starts = arrays.row_start[arrays.batch_start]
    most_trials = [arrays.trials[i:j].max() for i, j in pairwise(starts)]
    kinds = {1: residuals.ONE, 5: residuals.FEW, 40: residuals.MANY}
    assert arrays.kind.tolist() == [residuals.ONE if trials == 1 else kinds[most] for trials in most_trials]
    assert len(set(arrays.kind.tolist())) == (1 if most == 1 else 2)


def test_rows_without_trials_say_nothing() -> None:
    rng = np.random.default_rng(2)
    data = {"g": np.repeat(np.arange(12), 20), "y": rng.integers(0, 2, 240), "x": rng.normal(size=240)}
    model = hl.Model("y ~ x + (1 | g)", data).silenced(data["g"] == 5)
    joint = joint_arrays(model, non_centred(model))
    assert joint.arrays.kind.tolist() == [residuals.FEW]
    x = rng.normal(size=joint.n_dim)
    value, gradient, _, _ = evaluated(joint.arrays, x)
    any_number = joint.arrays._replace(kind=np.array([residuals.MANY]))
    assert value == pytest.approx(evaluated(any_number, x)[0], rel=1e-13)
    # The effect of the cluster of these rows has its prior alone.
    own = 3 + joint.orders[0][5]
    assert gradient[own] == pytest.approx(-x[own], rel=1e-13)


# ---- columns and levels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", range(10))
def test_columns_taken_together(p: int) -> None:
    rng = np.random.default_rng(p)
    n, first, count = 41, 5, 30
    columns, factors, values = rng.normal(size=(p, n)), rng.normal(size=p), rng.normal(size=count)
    own, added, summed = columns[:, first : first + count], values.copy(), np.ones(p)
    add_columns(columns.ravel(), n, first, factors, -1.0, added)
    dot_columns(columns.ravel(), n, first, values, -1.0, summed)
    np.testing.assert_allclose(added, values - factors @ own, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(summed, 1 - own @ values, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("q", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("size", [2, 3 * SHORT])
def test_rows_sorted_by_level(q: int, size: int) -> None:
    rng = np.random.default_rng(q + size)
    counts = rng.integers(1, 2 * size, 12)  # of all levels, of which some in the middle are taken
    level, start, m, n = np.repeat(np.arange(12), counts), np.r_[0, np.cumsum(counts)], 7, int(counts.sum())
    some = slice(start[3], start[10])
    columns, effects = rng.normal(size=(q, n)), rng.normal(size=(q, m))
    values = rng.normal(size=start[10] - start[3])
    added, summed = values.copy(), np.ones((q, m)).ravel()
    arguments = (columns.ravel(), n, q, level[some], start[3:11])
    add_sorted(*arguments, effects.ravel(), -1.0, added)
    sum_sorted(*arguments, values, -1.0, summed)
    own = columns[:, some]
    np.testing.assert_allclose(added, values - (own * effects[:, level[some] - 3]).sum(axis=0), rtol=1e-12, atol=1e-14)
    expected = [[1 - (own[a] * values)[level[some] == j + 3].sum() for j in range(m)] for a in range(q)]
    np.testing.assert_allclose(summed.reshape(q, m), np.reshape(expected, (q, m)), rtol=1e-12, atol=1e-14)


# ---- by hand -----------------------------------------------------------------------------------------------------


def one_row(factors: int) -> Joint:
    """One row, one coefficient, one cluster of each factor; no two numbers are the same."""
    several = factors > 1
    return Joint(
        y=np.array([2.0]),
        trials=np.array([3.0]),
        offset=np.array([0.15]),
        X=np.array([1.1]),
        Z=np.array([0.9, -1.3][:factors]),
        weighted_Z=np.array([0.35] * several),
        gamma0=np.array([0.2]),
        gamma_scale=np.array([0.7]),
        beta0=np.array([0.4]),
        beta_scale=np.array([1.4]),
        centred0=np.array([0.25]),
        centred_scale=np.array([0.6]),
        beta_arguments=np.array([0.5, 1.7, 0.0]),
        centre=np.array([-0.3, 0.1][:factors]),
        width=np.array([0.8, 1.2][:factors]),
        growth=np.array([0.35, 0.0][:factors]),
        attenuation=np.array([0.24, 0.31][:factors]),
        attenuation0=np.array([0.07, 1.4]),
        sd_arguments=np.array([1.6, 0.0, 0.0, 0.65, 0.0, 0.0][: 3 * factors]),
        cor_power=np.empty(0),
        information=np.array([2.1, 1.9][:factors]),
        score=np.array([0.45, -0.55][:factors]),
        cross_information=np.array([0.75, 0.85][:factors]),
        coupling_by_fixed=np.array([0.65] * several),
        coupling_entry=np.array([1.0] * several),
        coupling_stretch=np.array([0.3] * several),
        beta_family=np.array([scales.NORMAL]),
        sd_family=np.array([scales.HALF_NORMAL, scales.EXPONENTIAL][:factors]),
        set_size=np.ones(factors, dtype=np.int64),
        set_first=np.zeros(factors, dtype=np.int64),
        cor_start=np.zeros(factors + 1, dtype=np.int64),
        q=np.ones(factors, dtype=np.int64),
        levels=np.ones(factors, dtype=np.int64),
        level_of=np.zeros(factors, dtype=np.int64),
        row_start=np.array([0, 1]),
        batch_start=np.array([0, 1]),
        kind=np.array([residuals.FEW]),
        most=np.array([1, 1]),
        effect_at=np.arange(factors + 1),
        variable_at=np.arange(factors + 1),
        information_at=np.arange(factors + 1),
        coupling_start=np.arange(2) if several else np.zeros(1, dtype=np.int64),
        coupling_index=np.zeros(int(several), dtype=np.int64),
    )


def with_sign(centre: float, growth: float, x: float) -> tuple[float, float]:
    """An sd from its variable, and the log slope of the logarithm of its size, up to a constant."""
    return 2 * math.exp(centre) * math.sinh(growth * x), -math.log(math.tanh(growth * abs(x)))


def units(variance: float) -> float:
    """What the coefficient is multiplied by."""
    return math.sqrt(1 + variance / (1 + variance / 1.4)) / math.exp(0.07)


@pytest.mark.parametrize("of_sd", [0.27, -0.84])
def test_one_row_of_one_cluster_by_hand(of_sd: float) -> None:
    x, v = 0.33, -0.41
    sd, log_slope = with_sign(-0.3, 0.35, of_sd)
    k = units(0.24 * sd**2)
    gamma = k * (0.2 + 0.7 * x)
    A = 1 + sd**2 * 2.1
    u = sd * (0.45 - 0.75 * gamma) / A + v / math.sqrt(A)
    eta = 0.15 + 1.1 * gamma + 0.9 * sd * u
    p = 1 / (1 + math.exp(-eta))
    expected = 2 * math.log(p) + math.log(1 - p)
    expected += -0.5 * ((k * (0.25 + 0.6 * x) - 0.5) / 1.7) ** 2 + math.log(k) - 0.5 * (sd / 1.6) ** 2
    expected += math.log(abs(sd)) - 0.5 * u**2 - 0.5 * math.log(A) + log_slope
    value, gradient, found, b = evaluated(one_row(1), np.array([x, of_sd, v]))
    assert value == pytest.approx(expected, rel=1e-14)
    assert found == pytest.approx([u], rel=1e-14)
    assert b == pytest.approx([sd * u], rel=1e-14)
    # v moves u alone.
    assert gradient[2] == pytest.approx(((2 - 3 * p) * 0.9 * sd - u) / math.sqrt(A), rel=1e-14)


@pytest.mark.parametrize("of_sd", [0.11, -1.3])
def test_one_row_of_two_clusters_by_hand(of_sd: float) -> None:
    x, v = -0.29, (0.37, 0.61)
    sd, log_slope = with_sign(-0.3, 0.35, of_sd)
    other = math.exp(0.1 - 1.2 * 0.53)
    k = units(0.24 * sd**2 + 0.31 * other**2)
    gamma = k * (0.2 + 0.7 * x)
    # The second factor comes first: its effects take away from what pulls at those of the first.
    B = 1 + other**2 * 1.9
    w = other * (-0.55 - 0.85 * gamma) / B + (1.3 * v[1] + 0.65 * x) / math.sqrt(B)
    A = 1 + sd**2 * 2.1
    u = sd * (0.45 - 0.75 * gamma - 0.35 * (-1.3 * other * w)) / A + v[0] / math.sqrt(A)
    eta = 0.15 + 1.1 * gamma + 0.9 * sd * u - 1.3 * other * w
    p = 1 / (1 + math.exp(-eta))
    expected = 2 * math.log(p) + math.log(1 - p)
    expected += -0.5 * ((k * (0.25 + 0.6 * x) - 0.5) / 1.7) ** 2 + math.log(k)
    expected += -0.5 * (sd / 1.6) ** 2 - 0.65 * other + math.log(abs(sd)) + math.log(other)
    expected += -0.5 * (u**2 + w**2) - 0.5 * (math.log(A) + math.log(B)) + log_slope
    value, _, found, b = evaluated(one_row(2), np.array([x, of_sd, -0.53, *v]))
    assert value == pytest.approx(expected, rel=1e-14)
    assert found == pytest.approx([u, w], rel=1e-14)
    assert b == pytest.approx([sd * u, other * w], rel=1e-14)


@pytest.mark.parametrize("factors", [1, 2])
def test_sds_pass_through_zero(factors: int) -> None:
    arrays = one_row(factors)

    def there(of_sd: float) -> tuple[float, float]:
        x = np.concatenate([[0.33, of_sd], 0.4 * np.ones(2 * factors - 1)])
        value, gradient, _, _ = evaluated(arrays, x)
        return value, gradient[1]

    def difference(of_sd: float, step: float) -> float:
        return (there(of_sd + step)[0] - there(of_sd - step)[0]) / (2 * step)

    for of_sd in (0.0, 1e-7, -1e-4, 0.003):
        expected = (4 * difference(of_sd, 0.01) - difference(of_sd, 0.02)) / 3
        assert there(of_sd)[1] == pytest.approx(expected, abs=2 * NEAREST)
    assert abs(there(0.0)[1]) > 0.01  # zero is a point like any other


def test_far_out_linear_predictors_keep_their_digits() -> None:
    data = pd.DataFrame({"y": [0, 1, 0, 1], "o": [800.0, -700.0, -50.0, 40.0]})
    joint = joint_arrays(m := hl.Model("y ~ 1 + offset(o)", data), non_centred(m))
    value, gradient, _, _ = evaluated(joint.arrays, np.zeros(joint.n_dim))
    # log p of the four rows: -eta, eta, and -exp(-|eta|) where the outcome is the likely one
    assert value == pytest.approx(-1500.0 - math.exp(-50.0) - math.exp(-40.0), rel=1e-15)
    assert gradient[0] == pytest.approx(-1.0 + 1.0 + math.exp(-40.0) - math.exp(-50.0), abs=1e-15)


# ---- priors ------------------------------------------------------------------------------------------------------

SDS = [
    pr.HalfNormal(0.7),
    pr.HalfStudentT(3.5, 0.6),
    pr.HalfCauchy(1.3),
    pr.Exponential(0.8),
    pr.Gamma(2.5, 1.2),
    pr.Gamma(0.6, 0.4),
    pr.LogNormal(-0.4, 0.9),
]
COEFFICIENTS = [pr.Normal(0.3, 0.8), pr.StudentT(2.5, -0.4, 1.6), pr.Cauchy(0.2, 0.7), pr.Laplace(-0.3, 1.4)]


def test_every_family_is_known() -> None:
    assert set(FAMILIES) == {*pr.COEFFICIENT_FAMILIES, *pr.SD_FAMILIES}
    assert len(set(FAMILIES.values())) == len(FAMILIES)
    assert {type(prior) for prior in [*SDS, *COEFFICIENTS, pr.Decov()]} == set(FAMILIES)


def test_families_that_are_not_known_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    one = hl.Model("y ~ x + (1 | g)", rows(), priors={"x": pr.Cauchy(), "sd": pr.HalfNormal()})
    assert unknown_families(one) == []
    monkeypatch.delitem(FAMILIES, pr.HalfNormal)
    monkeypatch.delitem(FAMILIES, pr.Cauchy)
    assert unknown_families(one) == ["Cauchy", "HalfNormal"]


@pytest.mark.parametrize("prior", COEFFICIENTS, ids=str)
def test_prior_of_a_coefficient_is_its_familys(prior: pr.CoefficientPrior) -> None:
    at, rest = np.array([-3.1, -0.7, 0.4, 2.2]), getattr(prior, "nu", 0.0)
    location, scale = getattr(prior, prior.location), getattr(prior, prior.scale)
    found = np.array([scales.symmetric_density(FAMILIES[type(prior)], location, scale, rest, x) for x in at])
    expected = prior.logpdf(at)
    assert found[:, 0] - found[0, 0] == pytest.approx(expected - expected[0], abs=1e-13)
    assert found[:, 1] == pytest.approx(prior.score(at), rel=1e-13)


@pytest.mark.parametrize("prior", SDS, ids=str)
def test_prior_of_an_sd_is_its_familys(prior: pr.ScalePrior) -> None:
    at = np.array([0.02, 0.4, 1.1, 3.0])
    first, second = [*prior.arguments().values(), 0.0][:2]
    found = np.array([scales.scale_density(FAMILIES[type(prior)], first, second, x) for x in at])
    expected = prior.logpdf(at)
    assert found[:, 0] - found[0, 0] == pytest.approx(expected - expected[0], abs=1e-13)
    assert found[:, 1] == pytest.approx(prior.score(at), rel=1e-13)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_joint_prior_of_sds_is_decov(k: int) -> None:
    prior, at = pr.Decov(1.7, 2.3, 0.6), np.random.default_rng(k).uniform(0.1, 2.0, (4, k))
    slopes = np.full_like(at, np.nan)
    found = np.array([scales.decov_density(1.7, 2.3, 0.6, sd, slope) for sd, slope in zip(at, slopes, strict=True)])
    expected = prior.logpdf(at)
    assert found - found[0] == pytest.approx(expected - expected[0], abs=1e-13)
    assert slopes == pytest.approx(prior.score(at), rel=1e-12)


# ---- where it is centred -----------------------------------------------------------------------------------------


def centred(name: str, share: float = SHARE) -> tuple[Model, LaplaceLikelihood, Geometry]:
    """A model, Laplace's method at some coefficients and Cholesky factors, and the geometry from there."""
    model = hl.Model(MODELS[name][0], rows())  # whose default priors of coefficients are normal
    arrangement, rng = model.arrangement, np.random.default_rng(4)
    cholesky = []
    for k in arrangement.factors:
        group = model.design.groups[k]
        L = np.tril(rng.normal(0, 0.3, (len(group.effects),) * 2), -1)
        np.fill_diagonal(L, rng.uniform(0.5, 1.0, len(L)))
        for members in group.sets:
            for a in members:
                L[a, [b for b in range(len(L)) if b not in members]] = 0.0
        # Nothing at a bound, where centres are moved inside.
        assert (np.sqrt((L**2).sum(axis=1)) > LEAST_SD / group.column_sds).all()
        cholesky.append(L.ravel())
    gamma, flat = rng.normal(0, 0.5, len(model.design.fixed_effects)), np.concatenate([*cholesky])
    likelihood = LaplaceLikelihood(arrangement)
    likelihood.evaluate(gamma, flat)
    likelihood.work.u[:] += 1e-8  # once more from close by, for modes to all digits
    assert likelihood.evaluate(gamma, flat).converged
    return model, likelihood, centred_by_information(model, likelihood, gamma, share)


WITH_EFFECTS = [name for name in MODELS if name != "no random effects"]


@pytest.mark.parametrize("share", [SHARE, 1.0])
@pytest.mark.parametrize("name", WITH_EFFECTS)
def test_centre_has_the_modes_and_roots_of_laplaces_method(name: str, share: float) -> None:
    model, likelihood, geometry = centred(name, share)
    joint = joint_arrays(model, geometry)
    first = len(joint.arrays.gamma0) + len(joint.arrays.centre)
    _, gradient, u, b = evaluated(joint.arrays, centre_of(joint, likelihood))
    by_factor = dict(zip(model.arrangement.factors, model.arrangement.row_index.cholesky_at, strict=False))
    for k, (group, order, start) in enumerate(zip(model.design.groups, joint.orders, joint.starts, strict=True)):
        q, places = len(group.effects), start + np.arange(len(group.effects)) * len(group.levels) + order[:, None]
        modes = likelihood.work.u[model.arrangement.positions[k]]
        L = likelihood.cholesky[by_factor[k] : by_factor[k] + q * q].reshape(q, q)
        assert u[places] == pytest.approx(modes, abs=1e-9)
        assert b[places] == pytest.approx(modes @ L.T, abs=1e-9)
    # and at a mode of the effects the density does not change with them
    assert gradient[first:] == pytest.approx(np.zeros(joint.n_dim - first), abs=1e-8)


def centre_of(joint: JointArrays, likelihood: LaplaceLikelihood) -> np.ndarray:
    """The position of the point at which the likelihood was evaluated, as to fixed effects, sds and correlations."""
    arrays, x, at, sds = joint.arrays, np.zeros(joint.n_dim), 0, []
    for q in arrays.q.tolist():
        sds.append(np.sqrt((likelihood.cholesky[at : at + q * q].reshape(q, q) ** 2).sum(axis=1)))
        at += q * q
    sd, has_sign = np.concatenate(sds), np.flatnonzero(arrays.growth)
    scaled = np.arcsinh(sd[has_sign] / (2 * np.exp(arrays.centre[has_sign])))
    x[len(arrays.gamma0) + has_sign] = scaled / arrays.growth[has_sign]
    return x


def hessian(joint: JointArrays, likelihood: LaplaceLikelihood, h: float = 0.002) -> np.ndarray:
    """Second derivatives at the centre, by central differences of the gradient of the fourth order."""

    def gradient(x: np.ndarray) -> np.ndarray:
        return evaluated(joint.arrays, x)[1]

    x, steps = centre_of(joint, likelihood), h * np.eye(joint.n_dim)
    return np.array(
        [
            (8 * (gradient(x + s) - gradient(x - s)) - (gradient(x + 2 * s) - gradient(x - 2 * s))) / (12 * h)
            for s in steps
        ]
    )


@pytest.mark.parametrize("name", ["slopes", "two sets", "nested"])
def test_density_is_standard_normal_to_second_order_at_its_centre(name: str) -> None:
    # Where levels of the other factors share no level of the first; else they are not quite independent.
    model, likelihood, geometry = centred(name, share=1.0)
    joint = joint_arrays(model, geometry)
    p, scale = len(joint.arrays.gamma0), len(joint.arrays.centre)
    moving = np.r_[:p, p + scale : joint.n_dim]  # all but the sds and correlations
    assert hessian(joint, likelihood)[np.ix_(moving, moving)] == pytest.approx(-np.eye(len(moving)), abs=1e-7)


@pytest.mark.parametrize("name", ["crossed", "no fixed effects"])
def test_effects_of_the_first_factor_are_independent_of_the_others_at_the_centre(name: str) -> None:
    model, likelihood, geometry = centred(name, share=1.0)
    joint = joint_arrays(model, geometry)
    arrays, p = joint.arrays, len(joint.arrays.gamma0)
    first = p + len(arrays.centre)
    moving = np.r_[:p, first : joint.n_dim]
    found = hessian(joint, likelihood)[:, moving]
    own = slice(first, first + int(arrays.variable_at[1]))
    assert found[own] == pytest.approx(-np.eye(joint.n_dim)[own][:, moving], abs=1e-7)


@pytest.mark.parametrize("name", ["crossed", "no fixed effects"])
def test_levels_of_other_factors_are_standardised_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coupling, "LEAST_PRECISION", 0.0)
    model, likelihood, geometry = centred(name, share=1.0)
    assert len(geometry.coupling.stretch) == 0
    joint = joint_arrays(model, geometry)
    arrays, first = joint.arrays, len(joint.arrays.gamma0) + len(joint.arrays.centre)
    found = hessian(joint, likelihood)
    for t in range(1, len(arrays.q)):
        q, J = int(arrays.q[t]), int(arrays.levels[t])
        for level in range(J):
            at = first + int(arrays.variable_at[t]) + np.arange(q) * J + level
            assert found[np.ix_(at, at)] == pytest.approx(-np.eye(q), abs=1e-7)


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("name", ["crossed", "no fixed effects"])
def test_other_factors_are_uncoupled_from_each_other_and_from_the_fixed_effects(
    name: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coupling, "LEAST_PRECISION", np.inf)
    monkeypatch.setattr(coupling, "MOST_DIRECTIONS", 1000)
    model, likelihood, geometry = centred(name, share=share)
    joint = joint_arrays(model, geometry)
    arrays, p = joint.arrays, len(joint.arrays.gamma0)
    first = p + len(arrays.centre)
    own, others = np.r_[first : first + arrays.variable_at[1]], np.r_[first + arrays.variable_at[1] : joint.n_dim]
    found = hessian(joint, likelihood)
    # The first factor's effects, independent given the others, integrated out.
    gone = np.linalg.solve(found[np.ix_(own, own)], found[np.ix_(own, np.r_[:p, others])])
    left = found[np.ix_(others, np.r_[:p, others])] - found[np.ix_(others, own)] @ gone
    assert left == pytest.approx(-np.eye(joint.n_dim)[np.ix_(others, np.r_[:p, others])], abs=1e-6)


def test_few_directions_of_many_levels_are_found_and_repeat() -> None:
    rng = np.random.default_rng(8)
    basis = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    precisions = np.r_[0.05, 0.3, np.linspace(1, 2, 58)]
    covariance = (basis / precisions) @ basis.T
    found, vectors = coupling._lowest(covariance)
    assert np.sort(found)[:2] == pytest.approx([0.05, 0.3], rel=coupling.TOLERANCE)
    assert vectors.T @ vectors == pytest.approx(np.eye(coupling.MOST_DIRECTIONS), abs=1e-10)
    for again, once in zip(coupling._lowest(covariance), (found, vectors), strict=True):
        np.testing.assert_array_equal(again, once)


def test_directions_that_are_not_found_in_time_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.sparse.linalg as linalg

    def unfinished(covariance: np.ndarray, **options: Any) -> Any:
        values, vectors = np.linalg.eigh(covariance)
        raise linalg.ArpackNoConvergence("no convergence", values[-1:], vectors[:, -1:])

    monkeypatch.setattr(linalg, "eigsh", unfinished)
    found, vectors = coupling._lowest(np.diag(np.linspace(0.5, 4, 40)))
    assert found == pytest.approx([0.25])
    assert vectors.shape == (40, 1)


@pytest.mark.parametrize("size", [5, 40])
def test_a_covariance_that_is_not_finite_has_no_directions(size: int, capfd: pytest.CaptureFixture[str]) -> None:
    """By LAPACK and by ARPACK, which would write messages; the sampler then starts without a geometry."""
    covariance = np.eye(size)
    covariance[0, 0] = np.nan
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        coupling._lowest(covariance)
    assert capfd.readouterr() == ("", "")


def test_other_errors_of_arpack_are_errors_of_linear_algebra() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="Starting vector is zero"):
        coupling._lowest(np.zeros((40, 40)))


# ---- C functions -------------------------------------------------------------------------------------------------


def doubles(values: np.ndarray) -> Any:
    return values.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


def call_density(joint: JointArrays, outputs: Outputs, x: np.ndarray, n: int | None = None) -> tuple[int, Any, Any]:
    """What the C function returns, and the value and gradient it wrote; NaN where it wrote nothing."""
    table, value, gradient = table_of(joint.arrays, outputs), np.full(1, np.nan), np.full(joint.n_dim, np.nan)
    code = log_density_callback.ctypes(
        len(x) if n is None else n, doubles(x), doubles(gradient), doubles(value), table.ctypes.data
    )
    return code, value[0], gradient


def call_expand(
    joint: JointArrays, outputs: Outputs, x: np.ndarray, n_out: int, n: int | None = None
) -> tuple[int, Any]:
    table, out = table_of(joint.arrays, outputs), np.full(n_out, np.nan)
    code = CALLBACKS[type(joint.arrays)][2].ctypes(
        len(x) if n is None else n, n_out, doubles(x), doubles(out), table.ctypes.data
    )
    return code, out


def output_size(model: Model, *, standardised: bool) -> int:
    total = len(model.design.fixed_effects)
    for group in model.design.groups:
        q, J = len(group.effects), len(group.levels)
        total += q + q * q * group.correlated + q * J * (1 + standardised)
    return total


def positions(joint: JointArrays, count: int = 5, seed: int = 8) -> np.ndarray:
    return 0.7 * np.random.default_rng(seed).normal(size=(count, joint.n_dim))


def test_table_has_an_address_and_a_length_for_every_array(model: Model) -> None:
    joint = joint_arrays(model, non_centred(model))
    outputs = outputs_of(model, joint)
    table = table_of(joint.arrays, outputs)
    arrays = [*joint.arrays, *outputs]
    assert table[: 2 * len(arrays)].reshape(-1, 2).tolist() == [[one.ctypes.data, one.size] for one in arrays]
    assert table[FUNCTION:].tolist() == [CALLBACKS[type(joint.arrays)][0].address]


def test_arrays_are_floats_first_and_then_whole_numbers(model: Model) -> None:
    joint = joint_arrays(model, non_centred(model))
    kinds = "".join(own.dtype.kind for own in joint.arrays)
    assert kinds == "f" * 26 + "i" * 17
    assert {own.dtype.itemsize for own in (*joint.arrays, *outputs_of(model, joint))} == {8}
    assert {own.ndim for own in joint.arrays} == {1}


def test_scratch_is_all_that_is_noted_down_and_need_not_be_clean(model: Model) -> None:
    joint = joint_arrays(model, around_the_mode(model))
    arrays, beyond = joint.arrays, 1e4 + np.arange(50)
    size = scratch_size(arrays)
    for x in positions(joint):
        expected, slopes, _, _ = evaluated(arrays, x)
        scratch, effects = np.r_[np.full(size, np.nan), beyond], np.empty(arrays.variable_at[-1])
        gradient = np.full(len(x), np.nan)
        assert evaluate_with(arrays, x, gradient, effects, effects.copy(), scratch[:size]) == expected
        np.testing.assert_array_equal(gradient, slopes)
        np.testing.assert_array_equal(scratch[size:], beyond)
        # Before what beta-binomial rows share, the last numbers are those of the last array, which is used if there are
        # effects.
        assert np.isnan(scratch[size - SHARED - 1]) == (arrays.q[0] == 0)


def test_c_function_gives_value_and_gradient(model: Model) -> None:
    joint = joint_arrays(model, non_centred(model))
    for x in positions(joint):
        expected, slopes, _, _ = evaluated(joint.arrays, x)
        code, value, gradient = call_density(joint, outputs_of(model, joint), x)
        assert code == 0
        assert value == pytest.approx(expected, rel=1e-13)
        assert gradient == pytest.approx(slopes, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("standardised", [True, False])
def test_c_function_expands_as_python_does(model: Model, standardised: bool) -> None:
    joint = joint_arrays(model, non_centred(model))
    outputs = outputs_of(model, joint, standardised=standardised)
    size = output_size(model, standardised=standardised)
    for x in positions(joint):
        expected = np.full(size, np.nan)
        expand(joint.arrays, outputs, x, expected)
        code, out = call_expand(joint, outputs, x, size)
        assert code == 0
        assert np.isfinite(expected).all()
        assert out == pytest.approx(expected, rel=1e-13, abs=1e-14)


@pytest.mark.parametrize("growth", [0.0, 0.3])
def test_what_is_kept_is_in_the_users_parameters_and_order(model: Model, growth: float) -> None:
    plain = non_centred(model)
    joint = joint_arrays(model, replace(plain, growth=np.full(len(plain.growth), growth)))
    x, p = positions(joint, 1)[0], len(joint.arrays.gamma0)
    x[p : p + len(plain.growth) : 2] *= -1  # every other sd has the other sign, if they have one
    _, out = call_expand(joint, outputs_of(model, joint), x, output_size(model, standardised=True))
    value, _, _, _ = evaluated(joint.arrays, x)
    beta = out[:p]
    ends = np.cumsum([int(np.prod(one.shape)) for one in posterior_layout(model, store_u=True).values()])
    kept = dict(zip(posterior_layout(model, store_u=True), np.split(out, ends[:-1]), strict=True))
    assert ends[-1] == len(out)
    assert model.arrangement.triangular @ beta == pytest.approx(x[:p], abs=1e-12)
    eta, logs = model.design.offset + model.design.X @ beta, 0.0
    for k, group in enumerate(model.design.groups):
        name, q, J = group.result_name, len(group.effects), len(group.levels)
        sd = kept[f"sd_{name}"]
        first = p + joint.effects_at[k]
        of_sd = x[first : first + q]
        expected = 2 * np.sinh(growth * np.abs(of_sd)) if growth else np.exp(of_sd)
        assert sd == pytest.approx(expected, rel=1e-12)
        cor = np.eye(q)
        if group.correlated:
            cor = kept[f"cor_{name}"].reshape(q, q)
            np.testing.assert_array_equal(np.diag(cor), 1.0)
            np.testing.assert_array_equal(cor, cor.T)
        b, u = kept[f"b_{name}"].reshape(J, q), kept[f"u_{name}"].reshape(J, q)
        assert b == pytest.approx(u @ (sd[:, None] * np.linalg.cholesky(cor)).T, abs=1e-12)
        eta = eta + np.sum(group.Z * b[group.index], axis=1)
        logs -= 0.5 * np.sum(u**2)
    # The rows' likelihood with these effects is part of the density: what remains are priors, which know no rows.
    y, m = model.design.outcome.y, model.design.outcome.trials
    likelihood = np.sum(y * eta - m * np.logaddexp(0, eta))
    none, any_number = np.zeros_like(joint.arrays.y), np.full_like(joint.arrays.kind, residuals.MANY)
    turned = joint.arrays._replace(y=none, trials=none, kind=any_number)
    assert value - likelihood == pytest.approx(evaluated(turned, x)[0], rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("off", [-1, 1])
def test_positions_of_another_size_are_refused(model: Model, off: int) -> None:
    joint = joint_arrays(model, non_centred(model))
    outputs, x = outputs_of(model, joint), np.zeros(joint.n_dim + 1)
    code, value, gradient = call_density(joint, outputs, x, joint.n_dim + off)
    assert code == WRONG_SIZE
    assert np.isnan(value)
    assert np.isnan(gradient).all()
    code, out = call_expand(joint, outputs, x, output_size(model, standardised=True), joint.n_dim + off)
    assert code == WRONG_SIZE
    assert np.isnan(out).all()


def outside(n: int) -> Sequence[np.ndarray]:
    """Positions with NaN, infinities or huge numbers in one place or in all."""
    everywhere = [np.full(n, value) for value in (np.nan, np.inf, -np.inf, 1e300)]
    places = [np.where(np.arange(n) == k, value, 0.1) for k in range(n) for value in (np.nan, np.inf, 1e300)]
    return [*everywhere, *places]


def test_positions_where_the_density_is_no_number_are_turned_back(model: Model) -> None:
    joint = joint_arrays(model, non_centred(model))
    outputs = outputs_of(model, joint)
    for x in outside(joint.n_dim):
        code, value, gradient = call_density(joint, outputs, x)
        finite = np.isfinite(value) and np.isfinite(gradient).all()
        assert code == (0 if finite else DIVERGED)
        if np.isnan(x).any() or np.isinf(x).all() or (x == 1e300).all():
            assert code == DIVERGED
        assert call_expand(joint, outputs, x, output_size(model, standardised=True))[0] == 0
    # and the next one is as ever
    x = positions(joint, 1)[0]
    assert call_density(joint, outputs, x)[1] == pytest.approx(evaluated(joint.arrays, x)[0], rel=1e-13)


def test_threads_do_not_disturb_each_other() -> None:
    # ctypes releases Python's lock, so that the calls run side by side.
    models = [model_of(name) for name in ("crossed", "slopes")]
    joints = [joint_arrays(model, non_centred(model)) for model in models]
    tasks = [
        (joint, outputs_of(model, joint), x, output_size(model, standardised=True))
        for model, joint in zip(models, joints, strict=True)
        for x in positions(joint, 150)
    ]

    def work(task: tuple[JointArrays, Outputs, np.ndarray, int]) -> np.ndarray:
        joint, outputs, x, size = task
        _, value, gradient = call_density(joint, outputs, x)
        return np.concatenate([[value], gradient, call_expand(joint, outputs, x, size)[1]])

    alone = [work(task) for task in tasks]
    with ThreadPoolExecutor(4) as pool:
        together = [list(pool.map(work, tasks[::step])) for step in (1, -1)]
    for one, two, three in zip(alone, together[0], together[1][::-1], strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_codes_are_those_the_sampler_knows() -> None:
    # Zero is success to nutpie, negative numbers end the run, positive ones turn a step back.
    assert callbacks.DIVERGED > 0 > callbacks.WRONG_SIZE


def test_effects_without_rows_are_those_with_rows(model: Model) -> None:
    for geometry in (non_centred(model), around_the_mode(model)):
        joint = joint_arrays(model, geometry)
        for x in positions(joint):
            *_, u, b = evaluated(joint.arrays, x)
            *_, other_u, other_b = evaluated(joint.of_effects, x)
            np.testing.assert_array_equal(other_u, u)
            np.testing.assert_array_equal(other_b, b)
    assert (len(joint.of_effects.y) == 0) == (len(joint.arrays.q) == 1)
