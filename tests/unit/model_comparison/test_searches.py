"""Other searches: they end where lme4's do, show local maxima, repeat exactly and can be interrupted."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.engines.maximum.other_searches import OPTIMIZERS, OtherSearches, Search
from hierlogit.errors import FitError, HierlogitWarning
from hierlogit.fits.fit import Fit

REFERENCE = Path(__file__).parents[2] / "reference" / "zeta_reference.json"


@pytest.fixture(scope="module")
def slopes() -> Fit:
    model = hl.Model("use ~ urban + (1 + urban | district)", hl.datasets.load("contraception"))
    return model.fit("laplace")


def test_all_searches_end_where_those_of_lme4_do(slopes: Fit) -> None:
    theirs = json.loads(REFERENCE.read_text(encoding="utf-8"))["all_fit"]
    found = hl.compare_searches(slopes, OPTIMIZERS, starts=3, seed=1)
    assert list(found.table.index) == ["fit", "usual start", "start 2", "start 3", *OPTIMIZERS]
    assert list(found.table["verdict"]) == ["fit", *["same"] * 11]
    np.testing.assert_allclose(found.table["log_likelihood"], max(theirs.values()), atol=1e-5)
    assert found.table["finished"].all()
    assert (found.table["evaluations"].iloc[1:] > 5).all()
    summary = hl.summary(slopes)
    assert list(found.estimates.index) == list(summary.index)
    for name in found.estimates:
        np.testing.assert_allclose(found.estimates[name], summary["estimate"], atol=0.01)
    assert "11 of 11 other searches end at the maximum of the fit." in repr(found)


def test_random_starts_repeat_exactly_and_differ_by_seed(slopes: Fit) -> None:
    first, again, other = (hl.compare_searches(slopes, "BFGS", starts=3, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.table.drop(columns="seconds"), again.table.drop(columns="seconds"))
    assert list(first.table["evaluations"]) != list(other.table["evaluations"])
    assert hl.compare_searches(slopes, "BFGS", starts=2).seed != hl.compare_searches(slopes, "BFGS", starts=2).seed


def test_a_start_that_ends_higher_is_told() -> None:
    model = hl.Model("p(successes, size) ~ period + (1 + period | herd)", hl.datasets.load("cbpp"))
    found = hl.compare_searches(model.fit(hl.MAP()), "BFGS", starts=5, seed=1)
    higher = found.table[found.table["verdict"] == "higher"]
    assert len(higher)
    assert (higher["log_posterior"] > found.table.loc["fit", "log_posterior"] + 0.01).all()
    # There the sd of a slope is zero, which has no correlations.
    assert found.estimates.loc["sd_herd[period[p4]]", higher.index[0]] == pytest.approx(0, abs=1e-6)
    assert "higher than the fit, by 0.03" in repr(found)
    assert "its estimates are not the maximum" in repr(found)


def test_a_fit_that_is_not_at_the_maximum_is_told(slopes: Fit) -> None:
    assert slopes.estimate is not None
    moved = replace(slopes.estimate, beta=slopes.estimate.beta + np.array([0.2, 0.0]))
    found = hl.compare_searches(Fit(slopes.model, lambda: slopes.data, slopes.diagnostics, moved), "BFGS", starts=1)
    assert list(found.table["verdict"]) == ["fit", "higher", "higher"]
    assert "0 of 2 other searches end at the maximum" in repr(found)


def test_estimates_that_the_data_do_not_tell_apart_are_flat() -> None:
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(np.arange(40), 10), "x": random.normal(size=400)}).assign(
        same=lambda rows: rows["g"] + 100
    )
    eta = frame["x"] + random.normal(0, 0.8, 40)[frame["g"]]
    frame["y"] = (random.uniform(size=400) < 1 / (1 + np.exp(-eta))).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HierlogitWarning)
        fit = hl.Model("y ~ x + (1 | g) + (1 | same)", frame).fit("laplace")
    found = hl.compare_searches(fit, "BFGS", starts=4, seed=1)
    sds = found.estimates.loc[["sd_g[Intercept]", "sd_same[Intercept]"]]
    assert np.ptp(sds.iloc[0]) > 0.05
    np.testing.assert_allclose((sds**2).sum(), (sds["fit"] ** 2).sum(), rtol=1e-3)
    np.testing.assert_allclose(found.table["difference"], 0, atol=1e-6)


def test_what_has_ended_is_kept_when_interrupted(slopes: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    search = OtherSearches.__call__

    def interrupted(self: OtherSearches, number: int) -> Search:
        if number:
            raise KeyboardInterrupt
        return search(self, number)

    monkeypatch.setattr(OtherSearches, "__call__", interrupted)
    found = hl.compare_searches(slopes, seed=1)
    assert list(found.table.index) == ["fit", "usual start"]
    assert found.interrupted
    assert "Interrupted before all searches had ended." in repr(found)


def test_what_has_no_searches_is_refused(slopes: Fit, make_fit: Callable[..., Fit]) -> None:
    with pytest.raises(FitError, match="no optimizer 'bobyqa' in SciPy; choose one of 'BFGS'"):
        hl.compare_searches(slopes, "bobyqa")
    with pytest.raises(FitError, match="starts=0"):
        hl.compare_searches(slopes, starts=0)
    with pytest.raises(FitError, match="by a sampler and has no maximum"):
        hl.compare_searches(make_fit("use ~ urban + (1 | district)", hl.datasets.load("contraception")))
    restricted = slopes.model.fit(hl.Laplace(restricted=True))
    with pytest.raises(FitError, match="the restricted likelihood, for which there are no other searches"):
        hl.compare_searches(restricted)
    frame = hl.datasets.load("contraception").assign(use=lambda rows: rows["use"].where(rows["urban"] == "Y", 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HierlogitWarning)
        separated = hl.Model("use ~ urban + (1 | district)", frame).fit("laplace")
    with pytest.raises(FitError, match="infinite estimates, so that there is no maximum"):
        hl.compare_searches(separated)
