"""Profiles: which values they take, what has none, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning, FitError, HierlogitWarning
from hierlogit.fits.fit import Fit


@pytest.fixture(scope="module")
def herds() -> Fit:
    return hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace")


def test_values_reach_from_end_to_end_and_contain_the_estimate(herds: Fit) -> None:
    table = hl.profile(herds, points=6, ci_prob=0.9)
    ends = hl.summary(herds, interval="profile", ci_prob=0.9)
    assert list(dict.fromkeys(table.index)) == list(ends.index)
    for name, one in table.groupby(level=0):
        assert len(one) == 7
        assert one["value"].is_monotonic_increasing
        np.testing.assert_allclose(one["value"].iloc[[0, -1]], ends.loc[name].filter(like="profile90").astype(float))
        assert ends.loc[name, "estimate"] in set(one["value"])
        np.testing.assert_allclose(one["zeta"].iloc[[0, 3, -1]], [-1.644854, 0, 1.644854], atol=2e-4)


def _without_spread(seed: int) -> Fit:
    """A fit of clusters that do not differ, which is singular."""
    random = np.random.default_rng(seed)
    data = pd.DataFrame({"g": np.repeat(np.arange(30), 20), "x": random.normal(size=600)})
    data["y"] = (random.uniform(size=600) < 0.4).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HierlogitWarning)
        return hl.Model("y ~ x + (1 + x | g)", data).fit("laplace")


def test_an_sd_of_zero_has_one_side_and_no_correlations() -> None:
    fit = _without_spread(1)
    assert fit.estimate is not None
    assert list(fit.estimate.sd("g")) == [0, 0]
    table = hl.profile(fit, points=4)
    for name in ("sd_g[Intercept]", "sd_g[x]"):
        assert table.loc[name, "value"].iloc[0] == 0
        assert (table.loc[name, "zeta"] >= 0).all()
        assert table.loc[name, "zeta"].iloc[-1] == pytest.approx(2.5758, abs=1e-3)
    assert not table.index.str.startswith("cor_").any()
    with pytest.raises(FitError, match="flat in all of these"):
        hl.profile(fit, "cor_g[Intercept, x]")


def test_a_correlation_of_one_has_one_side() -> None:
    fit = _without_spread(3)
    table = hl.profile(fit, "cor_g[Intercept, x]", points=6)
    assert table["value"].iloc[-1] == pytest.approx(1)
    assert table["zeta"].iloc[-1] == pytest.approx(0, abs=1e-3)
    assert (table["zeta"].diff().dropna() > -1e-6).all()


def test_a_fit_below_the_maximum_is_told(herds: Fit) -> None:
    from dataclasses import replace

    assert herds.estimate is not None
    lower = replace(herds.estimate, beta=herds.estimate.beta + np.array([0.3, 0, 0, 0]))
    moved = Fit(herds.model, lambda: herds.data, herds.diagnostics, lower)
    with pytest.warns(ConvergenceWarning, match=r"log likelihood is higher by .* more than one local maximum"):
        hl.profile(moved, "period[p2]", points=10)


def test_what_has_no_profile_is_refused(herds: Fit, make_fit: Callable[..., Fit]) -> None:
    with pytest.raises(FitError, match="no parameter 'period'"):
        hl.profile(herds, "period")
    with pytest.raises(FitError, match="points=1"):
        hl.profile(herds, points=1)
    with pytest.raises(FitError, match="the restricted likelihood, which has no profiles"):
        hl.profile(herds.model.fit(hl.Laplace(restricted=True)))
    sampled = make_fit("use ~ urban + (1 | district)", hl.datasets.load("contraception"))
    with pytest.raises(FitError, match=r"profile is for fits by hl.Laplace\(\), hl.AGQ\(\) and hl.MAP\(\)"):
        hl.profile(sampled)
