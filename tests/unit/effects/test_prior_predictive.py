"""Draws from the priors."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_same_seed_same_draws() -> None:
    model = hl.Model("y ~ week + (1 | ID)", hl.datasets.load("bacteria"))
    one, two = (hl.prior_predictive(model, draws=5, seed=9)["prior_predictive"].to_dataset() for _ in range(2))
    assert one["y"].equals(two["y"])


def test_draws_out_of_range() -> None:
    model = hl.Model("y ~ week", hl.datasets.load("bacteria"))
    with pytest.raises(PredictionError, match="draws=0"):
        hl.prior_predictive(model, draws=0)
