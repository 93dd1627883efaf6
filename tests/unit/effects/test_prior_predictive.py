"""Draws from the priors."""

from __future__ import annotations

import logging

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

import hierlogit as hl
from hierlogit import priors as pr
from hierlogit.errors import PredictionError


def test_prior_draws_follow_the_priors() -> None:
    model = hl.Model(
        "use ~ age + urban + (1 + urban | district)",
        hl.datasets.load("contraception"),
        priors={"urban": pr.Normal(1, 0.1), "sd_district": pr.HalfNormal(0.5), "cor": pr.LKJ(4)},
    )
    tree = hl.prior_predictive(model, draws=2000, seed=1)
    prior = tree["prior"].to_dataset()
    assert set(prior.data_vars) == {"beta", "sd_district", "cor_district", "b_district"}
    urban = prior["beta"].sel(fixed_effect="urban[Y]")
    assert float(urban.mean()) == pytest.approx(1, abs=0.01)
    assert float(urban.std()) == pytest.approx(0.1, rel=0.1)
    assert float(prior["sd_district"].mean()) == pytest.approx(0.5 * np.sqrt(2 / np.pi), rel=0.1)
    # LKJ(eta) for two effects: the correlation is 2 Beta(eta, eta) - 1, whose variance is 1 / (2 eta + 1)
    assert float(prior["cor_district"][..., 0, 1].var()) == pytest.approx(1 / 9, rel=0.15)
    outcome = tree["prior_predictive"]["use"]
    assert outcome.shape == (1, 2000, 1934)
    assert tree["observed_data"]["use"].sum() == 759


PRIORS = [
    {},
    {"age": pr.Cauchy(0.1, 0.05), "sd": pr.Decov(), "Intercept": pr.StudentT(4, 1, 2)},
    {"beta": pr.Laplace(0, 0.1), "sd_district": pr.Gamma(2, 3), "cor": pr.LKJ(0.7)},
]


@pytest.mark.parametrize("priors", PRIORS, ids=str)
def test_draws_are_those_of_the_graph(priors: dict[str, pr.Prior], monkeypatch: pytest.MonkeyPatch) -> None:
    model = hl.Model(
        "use ~ age + urban + (1 + urban + age || district) + (1 + urban | livch)"
        if priors
        else "use ~ age + urban + (1 + urban + age | district)",
        hl.datasets.load("contraception"),
        priors=priors,
    )
    monkeypatch.setattr(logging.getLogger("pymc"), "level", logging.WARNING)
    with model.to_pymc():
        expected = pm.sample_prior_predictive(draws=1000, random_seed=1, compile_kwargs={"mode": "FAST_COMPILE"})
    found = hl.prior_predictive(model, draws=1000, seed=2)
    for name, values in found["prior"].to_dataset().items():
        ours, theirs = (
            values.to_numpy().reshape(1000, -1),
            expected["prior"][name].transpose(*values.dims).to_numpy().reshape(1000, -1),
        )
        for k in range(min(ours.shape[1], 12)):
            if not np.allclose(theirs[:, k], theirs[0, k], atol=1e-12):  # the diagonal of a correlation matrix
                assert stats.ks_2samp(ours[:, k], theirs[:, k]).pvalue > 1e-4, (name, k)
    for group in ("prior_predictive", "observed_data"):
        ours, theirs = (tree[group].to_dataset()["use"] for tree in (found, expected))
        assert (ours.dims, ours.dtype) == (theirs.dims, theirs.dtype)
    shares = [tree["prior_predictive"]["use"].mean("obs").to_numpy().ravel() for tree in (found, expected)]
    assert stats.ks_2samp(*shares).pvalue > 1e-4
    xr.testing.assert_equal(found["observed_data"].to_dataset(), expected["observed_data"].to_dataset())


def test_counts_and_models_without_fixed_effects_are_drawn() -> None:
    counts = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"), family="betabinomial")
    tree = hl.prior_predictive(counts, draws=50, seed=1)
    drawn = tree["prior_predictive"][counts.outcome_name].to_numpy()
    assert (drawn >= 0).all()
    assert (drawn <= counts.design.outcome.trials).all()
    assert tree["prior"]["phi"].shape == (1, 50)
    effects_alone = hl.Model("y ~ 0 + (1 | ID)", hl.datasets.load("bacteria"))
    tree = hl.prior_predictive(effects_alone, draws=5, seed=1)
    assert tree["prior_predictive"]["y"].shape == (1, 5, 220)
    assert set(tree["prior"].to_dataset().data_vars) == {"sd_ID", "b_ID"}


def test_same_seed_same_draws() -> None:
    model = hl.Model("y ~ week + (1 | ID)", hl.datasets.load("bacteria"))
    one, two = (hl.prior_predictive(model, draws=5, seed=9)["prior_predictive"].to_dataset() for _ in range(2))
    assert one["y"].equals(two["y"])


def test_draws_out_of_range() -> None:
    model = hl.Model("y ~ week", hl.datasets.load("bacteria"))
    with pytest.raises(PredictionError, match="draws=0"):
        hl.prior_predictive(model, draws=0)
