"""Rows given the others of their clusters, against sums over fine grids of the effects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.binomial import log_likelihood
from hierlogit.density.linear_predictor import Draws
from hierlogit.effects.numerics import given_other_rows
from hierlogit.effects.numerics.given_other_rows import GivenOthers

GRID = np.linspace(-9, 9, 1801)
PHI = np.exp(-0.5 * GRID**2) / np.sqrt(2 * np.pi) * (GRID[1] - GRID[0])


def draws_of(model: hl.Model, sd: float, count: int = 5) -> Draws:
    """Draws with a given sd of all effects."""
    random = np.random.default_rng(8)
    groups = model.design.groups
    effects = {g.name: sd * random.normal(size=(count, len(g.levels), len(g.effects))) for g in groups}
    cholesky = {g.name: np.tile(sd * np.eye(len(g.effects)), (count, 1, 1)) for g in groups}
    return Draws(random.normal(size=(count, len(model.design.fixed_effects))), effects, cholesky)


@pytest.mark.filterwarnings("ignore:Each of the 6 clusters of 'g' has a single trial:hierlogit.errors.DataWarning")
@pytest.mark.parametrize(("sd", "size", "trials"), [(0.7, 1, 1), (1.5, 2, 1), (3.0, 4, 1), (1.0, 1, 30), (1.5, 3, 40)])
@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
def test_one_factor(sd: float, size: int, trials: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_other_rows, "LEAST_SHARE", 0.0)
    random = np.random.default_rng(size)
    frame = pd.DataFrame({"g": np.repeat(np.arange(6), size), "n": trials})
    frame["x"] = random.normal(size=len(frame))
    frame["k"] = random.binomial(trials, expit(frame["x"] + sd * random.normal(size=6)[frame["g"]]))
    model = hl.Model("p(k, n) ~ x + (1 | g)", frame)
    draws, y, n = draws_of(model, sd), frame["k"].to_numpy(float), frame["n"].to_numpy(float)
    given = GivenOthers(model, draws)
    log_p, p = given.of(np.arange(len(frame)))
    assert given.is_integrated.all()
    eta = draws.beta @ model.design.X.T
    for row in range(len(frame)):
        others = (frame["g"] == frame["g"][row]).to_numpy() & (np.arange(len(frame)) != row)
        at_grid = eta[:, None, :] + sd * GRID[None, :, None]
        rest = np.exp(log_likelihood(y[others], n[others], at_grid[..., others]).sum(axis=2)) * PHI
        own = np.exp(log_likelihood(y[[row]], n[[row]], at_grid[..., [row]]))[..., 0]
        np.testing.assert_allclose(log_p[:, row], np.log((rest * own).sum(axis=1) / rest.sum(axis=1)), atol=1e-3)
        np.testing.assert_allclose(
            p[:, row], (rest * expit(at_grid[..., row])).sum(axis=1) / rest.sum(axis=1), atol=1e-3
        )


def test_two_crossed_factors_given_the_effects_of_other_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_other_rows, "LEAST_SHARE", 0.0)
    monkeypatch.setattr(given_other_rows, "LARGE_SHARE", 0.0)
    frame = pd.DataFrame({"a": [0, 0, 1, 1, 2], "b": [0, 1, 0, 1, 2], "y": [1, 0, 0, 1, 1]})
    model = hl.Model("y ~ 1 + (1 | a) + (1 | b)", frame)
    draws = draws_of(model, 1.0, count=400)
    given = GivenOthers(model, draws)
    log_p = given.of(np.array([1]))[0][:, 0]
    assert all(chosen[1] for chosen in given.integrated.values())
    u, v = GRID[::20, None], GRID[None, ::20]
    weight = PHI[::20, None] * PHI[None, ::20]
    for s in (0, 7):
        a, b, beta = draws.effects["a"][s, :, 0], draws.effects["b"][s, :, 0], draws.beta[s, 0]
        # Rows of cluster 0 of a and of cluster 1 of b; row 1 lies in both.
        rest = expit(beta + u + b[0]) * expit(beta + a[1] + v) * weight
        own = expit(-(beta + u + v))
        assert log_p[s] == pytest.approx(np.log((rest * own).sum() / rest.sum()), abs=1e-3)


@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")
@pytest.mark.parametrize(("inner", "outer", "trials"), [(1.0, 0.8, 1), (2.5, 1.0, 1), (0.8, 0.6, 14), (0.7, 2.5, 30)])
def test_two_nested_factors_are_integrated_out_together(
    inner: float, outer: float, trials: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against sums over a grid of both effects, in an order of rows that is not that of the clusters."""
    monkeypatch.setattr(given_other_rows, "LEAST_SHARE", 0.0)
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"a": [0, 0, 0, 1, 1, 0, 1, 0], "b": [0, 1, 2, 3, 4, 1, 3, 2], "n": trials})
    frame["x"] = random.normal(size=8)
    frame["k"] = random.binomial(trials, 0.4, 8)
    model = hl.Model("p(k, n) ~ x + (1 | a/b)", frame)
    outer_group, inner_group = model.design.groups
    cholesky = {outer_group.name: outer * np.ones((3, 1, 1)), inner_group.name: inner * np.ones((3, 1, 1))}
    draws = Draws(random.normal(size=(3, 2)), draws_of(model, 1.0, 3).effects, cholesky)
    given = GivenOthers(model, draws)
    at = np.array([4, 0, 7, 1, 5, 2])
    log_p, p = given.of(at)
    assert given.in_nested_integrals.all()
    y, eta = frame["k"].to_numpy(float), draws.beta @ model.design.X.T
    grid, phi = GRID[::10], np.log(10 * PHI[::10])
    u, v = grid[:, None], grid[None, :]

    def log_integral(s: int, of: int, left_out: int | None, event_of: int | None) -> float:
        total = phi.copy()
        for b in range(5):
            terms = phi[:, None] + np.zeros_like(u + v)
            for row in np.flatnonzero((frame["b"] == b) & (frame["a"] == of)):
                predictor = eta[s, row] + inner * u + outer * v
                if row != left_out:
                    count = np.array([float(trials)])
                    terms = terms + log_likelihood(y[[row]], count, predictor[..., None])[..., 0]
                if row == event_of:
                    terms = terms - np.logaddexp(0, -predictor)
            if (frame.loc[frame["b"] == b, "a"] == of).all():
                total += np.logaddexp.reduce(terms, axis=0)
        return float(np.logaddexp.reduce(total))

    for s in range(3):
        for place, row in enumerate(at.tolist()):
            of = int(frame["a"][row])
            without = log_integral(s, of, row, None)
            assert log_p[s, place] == pytest.approx(log_integral(s, of, None, None) - without, abs=1e-3)
            assert p[s, place] == pytest.approx(np.exp(log_integral(s, of, row, row) - without), abs=1e-3)


def test_effects_that_spread_over_many_logits_are_integrated_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with probabilities near 0 tell little about the effects, but weights with lognormal tails fail."""
    random = np.random.default_rng(4)
    frame = pd.DataFrame({"g": np.repeat(np.arange(20), 5)})
    frame["y"] = (random.random(100) < expit(-6 + 3 * random.normal(size=20)[frame["g"]])).astype(int)
    frame.loc[0, "y"] = 1
    model = hl.Model("y ~ 1 + (1 | g)", frame)
    draws = replace(draws_of(model, 2.0, 200), beta=np.full((200, 1), -8.0))
    given = GivenOthers(model, draws)
    assert np.median(given.shares["g"]) < given_other_rows.LEAST_SHARE
    assert given.is_integrated.all()
    monkeypatch.setattr(given_other_rows, "LARGE_VARIANCE", np.inf)
    assert not GivenOthers(model, draws).is_integrated.all()


def test_rows_of_large_clusters_have_the_effects_of_the_draws() -> None:
    fit = hl.Model("use ~ age + (1 | district)", hl.datasets.load("contraception")).fit(hl.Laplace(draws=100, seed=1))
    given = GivenOthers(fit.model, Draws.of(fit.model, fit.posterior))
    sizes = np.bincount(fit.model.design.groups[0].index)[fit.model.design.groups[0].index]
    assert not given.is_integrated[sizes > 40].any()
    assert given.is_integrated[sizes < 5].all()
    assert given.shares["district"].max() < 1


def test_without_random_effects_rows_are_independent() -> None:
    fit = hl.Model("use ~ age", hl.datasets.load("contraception")).fit(hl.Laplace(draws=100, seed=1))
    given = GivenOthers(fit.model, Draws.of(fit.model, fit.posterior))
    log_p = np.hstack([given.of(at)[0] for at in given.parts()])
    expected = fit.data["log_likelihood"]["use"].to_numpy().reshape(100, -1)
    np.testing.assert_allclose(log_p, expected, atol=1e-12)
