"""R2 and the change in variance by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.errors import FitError, PredictionError

MakeFit = Callable[..., hl.results.Fit]


def rows() -> pd.DataFrame:
    rng, n = np.random.default_rng(6), 300
    return pd.DataFrame(
        {
            "clinic": np.arange(n) % 15,
            "reader": np.arange(n) % 4,
            "x": rng.normal(3, 2, n),
            "z": rng.normal(0, 1, n),
            "y": rng.integers(0, 2, n),
        }
    )


@pytest.fixture(scope="module")
def fit(make_fit: MakeFit) -> hl.results.Fit:
    return make_fit("y ~ x + offset(z) + (1 + x || clinic) + (1 | reader)", rows(), draws=30)


def _parts(fit: hl.results.Fit) -> tuple[np.ndarray, np.ndarray]:
    x = rows()["x"].to_numpy()
    sd = fit.posterior["sd_clinic"].values
    clinic = sd[..., 0, None] ** 2 + x**2 * sd[..., 1, None] ** 2
    return clinic + fit.posterior["sd_reader"].values ** 2, fit.posterior["beta"].values @ np.stack([np.ones(300), x])


def test_r2_by_hand(fit: hl.results.Fit) -> None:
    random, eta = _parts(fit)
    fixed, between = eta.var(-1, ddof=1), random.mean(-1)
    whole = fixed + between + np.pi**2 / 3
    table = hl.r2(fit)
    assert table["quantity"].tolist() == ["marginal", "conditional"]
    np.testing.assert_allclose(table.draws.values[..., 0], fixed / whole, rtol=1e-12)
    np.testing.assert_allclose(table.draws.values[..., 1], (fixed + between) / whole, rtol=1e-12)


def test_the_delta_method_takes_the_averaged_probability(fit: hl.results.Fit) -> None:
    random, eta = _parts(fit)
    v = np.random.default_rng(3).standard_normal(4000)
    eta += rows()["z"].to_numpy()
    p = np.array([expit(eta[0, s][:, None] + np.sqrt(random[0, s])[:, None] * v).mean() for s in range(30)])
    found = hl.r2(fit, method="delta").draws.values[0]
    fixed, between = eta[0].var(-1, ddof=1), random[0].mean(-1)
    fixed = (fit.posterior["beta"].values[0] @ np.stack([np.ones(300), rows()["x"]])).var(-1, ddof=1)
    whole = fixed + between + 1 / (p * (1 - p))
    np.testing.assert_allclose(found[:, 0], fixed / whole, rtol=5e-3)
    np.testing.assert_allclose(found[:, 1], (fixed + between) / whole, rtol=5e-3)


def test_overdispersion_is_not_explained(make_fit: MakeFit) -> None:
    fit = make_fit("p(successes, size) ~ period + (1 | herd) + (1 | obs)", hl.datasets.load("cbpp"))
    draws = hl.r2(fit).draws.values
    herd, obs = (fit.posterior[f"sd_{name}"].values[..., 0] ** 2 for name in ("herd", "obs"))
    share = herd / (herd + obs + np.pi**2 / 3)
    np.testing.assert_allclose(draws[..., 1] - draws[..., 0], share * (1 - draws[..., 0]), rtol=1e-9)
    alone = hl.r2(make_fit("p(successes, size) ~ period + (1 | obs)", hl.datasets.load("cbpp"))).draws.values
    np.testing.assert_array_equal(alone[..., 0], alone[..., 1])


def test_units_of_predictors_do_not_count() -> None:
    data = hl.datasets.load("contraception")
    one, other = (
        hl.r2(hl.Model("use ~ age + urban + (1 | district)", table).fit(hl.Laplace(draws=100, seed=1)))
        for table in (data, data.assign(age=2000 + data["age"] / 7))
    )
    np.testing.assert_allclose(one["estimate"], other["estimate"], rtol=1e-5)


def test_unknown_method(fit: hl.results.Fit) -> None:
    with pytest.raises(PredictionError, match="method='tjur' is not allowed; choose one of 'theoretical', 'delta'"):
        hl.r2(fit, method="tjur")


# ---- change in variance ------------------------------------------------------------------------------------------


def test_the_change_is_of_pairs_of_draws(make_fit: MakeFit) -> None:
    one = make_fit("y ~ 1 + (1 | clinic) + (1 | reader)", rows(), seed=1, draws=300)
    other = make_fit("y ~ x + (1 | clinic)", rows(), seed=2, draws=200)
    table = hl.pcv(one, other)
    assert table["group"].tolist() == ["clinic"]
    assert table.draws.shape == (1, 400, 1)
    before, after = (fit.posterior["sd_clinic"].values.ravel() ** 2 for fit in (one, other))
    ratio = 1 - table.draws.values.ravel()
    all_pairs = (after[:, None] / before).ravel()
    assert np.all(np.isin(ratio.round(12), all_pairs.round(12)))
    assert ratio.mean() == pytest.approx(all_pairs.mean(), abs=4 * all_pairs.std() / np.sqrt(400))
    assert ratio.std() == pytest.approx(all_pairs.std(), rel=0.2)


def test_fits_with_the_same_seed_are_not_paired_in_order() -> None:
    data = hl.datasets.load("contraception")
    null, full = (
        hl.Model(f"use ~ {fixed} + (1 | district)", data).fit(hl.Laplace(seed=1)) for fixed in ("1", "urban + age")
    )
    table = hl.pcv(null, full)
    assert null.estimate is not None
    assert full.estimate is not None
    before, after = (fit.estimate.sd("district")[0] ** 2 for fit in (null, full))
    assert table["estimate"].to_list() == pytest.approx([1 - after / before])
    # The draws of a fit and of itself are the same in order, and independent in pairs.
    again = hl.pcv(null, null)
    assert again["estimate"].to_list() == [0]
    spread = np.log(null.posterior["sd_district"].values ** 2).var()
    assert np.log(1 - again.draws.values).var() == pytest.approx(2 * spread, rel=0.15)


def test_fits_that_cannot_be_compared(make_fit: MakeFit) -> None:
    fit = make_fit("y ~ 1 + (1 | clinic)", rows(), draws=5)
    with pytest.raises(FitError, match="different rows \\(300 and 299 rows\\).*missing values"):
        hl.pcv(fit, make_fit("y ~ x + (1 | clinic)", rows().iloc[1:], draws=5))
    with pytest.raises(FitError, match="different rows"):
        hl.pcv(fit, make_fit("y ~ x + (1 | clinic)", rows().set_axis(range(1, 301)), draws=5))
    with pytest.raises(FitError, match="different outcomes"):
        hl.pcv(fit, make_fit("y ~ x + (1 | clinic)", rows().assign(y=lambda d: 1 - d["y"]), draws=5))
    with pytest.raises(FitError, match="no grouping factor in common: 'clinic' in the first, 'reader' in the second"):
        hl.pcv(fit, make_fit("y ~ x + (1 | reader)", rows(), draws=5))
    with pytest.raises(FitError, match="different clusters of 'clinic'"):
        hl.pcv(fit, make_fit("y ~ x + (1 | clinic)", rows().assign(clinic=lambda d: d["reader"]), draws=5))
    null = hl.Model("y ~ 1 + (1 | reader)", rows()).fit(hl.Laplace(draws=100, seed=1))
    assert null.estimate is not None
    if null.estimate.sd("reader")[0] == 0:
        with pytest.raises(FitError, match="'reader' is zero in the first fit"):
            hl.pcv(null, null)


def test_the_variance_of_one_effect_alone_is_compared(make_fit: MakeFit) -> None:
    frame = rows()
    fits = [make_fit(f"y ~ {fixed} + (1 + x | clinic) + (1 | reader)", frame, seed=k) for k, fixed in enumerate("x1")]
    table = hl.pcv(*fits, effect="x")
    assert table[["group", "effect"]].to_numpy().tolist() == [["clinic", "x"]]
    variances = [fit.posterior["sd_clinic"].sel(clinic_effect="x").to_numpy() ** 2 for fit in fits]
    ratio = np.mean(variances[1]) * np.mean(1 / variances[0])  # the draws are paired at random
    assert table["mean"].item() == pytest.approx(1 - ratio, abs=0.02)
    both = hl.pcv(*fits, effect="Intercept")
    assert both["group"].tolist() == ["clinic", "reader"]
    with pytest.raises(FitError, match="effect='z' is not allowed; choose one of 'Intercept', 'x'"):
        hl.pcv(*fits, effect="z")
