"""The lazy log-likelihood under every kind of reading, and Cholesky factors of covariances."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit.density.linear_predictor import Draws, correlation_cholesky
from hierlogit.density.outcome_likelihood import log_likelihood, total_log_likelihood

MakeFit = Callable[..., hl.results.Fit]


@pytest.fixture(scope="module")
def fit(make_fit: MakeFit) -> hl.results.Fit:
    return make_fit("y ~ week + (1 + week | ID)", hl.datasets.load("bacteria"), draws=12)


@pytest.mark.parametrize(
    "key",
    [
        (slice(None), slice(None), slice(None)),
        (1, 3, 7),
        (-1, -2, -3),
        (slice(None), slice(10, 2, -3), slice(0, 5)),
        (slice(0, 0), slice(None), slice(None)),
        ([1, 0], [0, 5, 5], [3, 1, 2]),
        (slice(None), np.arange(12) % 2 == 0, slice(100, 103)),
    ],
)
def test_any_part_is_read_as_from_an_array(fit: hl.results.Fit, key: tuple) -> None:
    whole = fit.data["log_likelihood"]["y"].load()
    lazy = fit_again(fit).data["log_likelihood"]["y"]
    xr.testing.assert_allclose(lazy[key].load(), whole[key])


def test_points_are_read_as_from_an_array(fit: hl.results.Fit) -> None:
    points = {name: xr.DataArray([1, 0, 1], dims="point") for name in ("chain", "draw", "obs")}
    whole = fit.data["log_likelihood"]["y"].load()
    xr.testing.assert_allclose(fit_again(fit).data["log_likelihood"]["y"].isel(points).load(), whole.isel(points))


def fit_again(fit: hl.results.Fit) -> hl.results.Fit:
    from hierlogit.fits.posterior import assemble

    return hl.results.Fit(fit.model, assemble(fit.model, fit.posterior, None), fit.diagnostics)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda fit: pickle.loads(pickle.dumps(fit))])
def test_a_fit_can_be_copied_and_sent(fit: hl.results.Fit, again: Callable[[hl.results.Fit], hl.results.Fit]) -> None:
    other = again(fit_again(fit))
    xr.testing.assert_allclose(other.data["log_likelihood"]["y"].load(), fit.data["log_likelihood"]["y"].load())
    np.testing.assert_array_equal(hl.predictions(other).draws, hl.predictions(fit).draws)


def test_roots_give_back_the_covariance(fit: hl.results.Fit) -> None:
    draws = Draws.of(fit.model, fit.posterior)
    sd, cor = fit.posterior["sd_ID"].values.reshape(-1, 2), fit.posterior["cor_ID"].values.reshape(-1, 2, 2)
    L = draws.cholesky["ID"]
    np.testing.assert_allclose(L @ L.transpose(0, 2, 1), sd[:, :, None] * cor * sd[:, None, :], atol=1e-12)


def test_roots_of_singular_correlations() -> None:
    perfect = np.ones((1, 3, 3))
    mixed = np.array([[[1.0, -1.0, 0.5], [-1.0, 1.0, -0.5], [0.5, -0.5, 1.0]]])
    for R in (perfect, mixed):
        L = correlation_cholesky(R)
        np.testing.assert_allclose(L @ L.transpose(0, 2, 1), R, atol=1e-12)
        assert np.all(np.triu(L[0], 1) == 0)


@pytest.mark.parametrize("most", [1, 7, 30])
@pytest.mark.parametrize("phi", [None, np.array([2.0, 9.0, np.inf])])
def test_totals_are_sums_over_rows(most: int, phi: np.ndarray | None) -> None:
    random = np.random.default_rng(most)
    trials = random.integers(1, most + 1, 1500).astype(float)
    y = random.binomial(trials.astype(int), 0.3).astype(float)
    eta = random.normal(0.0, 5.0, (3, 1500))
    expected = log_likelihood(y, trials, eta, phi).sum(axis=1)
    np.testing.assert_allclose(total_log_likelihood(y, trials, eta.copy(), phi), expected, rtol=1e-12)
