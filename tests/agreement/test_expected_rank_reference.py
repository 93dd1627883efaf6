"""Expected ranks against merTools from fits by lme4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hierlogit as hl
from hierlogit.fits.fit import Fit

REFERENCE = Path(__file__).parents[1] / "reference" / "expected_rank_reference.json"


def by_merTools(name: str) -> dict[str, Any]:
    reference: dict[str, Any] = json.loads(REFERENCE.read_text(encoding="utf-8"))[name]
    return reference


def with_effects(fit: Fit, modes: np.ndarray, variances: np.ndarray, draws: int) -> Fit:
    """The fit with independent normal draws of the effects, which merTools' formula holds for exactly."""
    (group,) = fit.model.design.groups
    posterior = fit.posterior.isel(chain=[0], draw=np.arange(draws) % fit.posterior.sizes["draw"])
    noise = np.random.default_rng(1).normal(size=(1, draws, len(modes), 1))
    name = f"b_{group.result_name}"
    effects = posterior[name].copy(data=modes[:, None] + np.sqrt(variances)[:, None] * noise)
    data = fit.data.copy()
    data["posterior"] = type(data)(posterior.assign({name: effects}))
    return Fit(fit.model, data, fit.diagnostics, fit.estimate)


@pytest.mark.parametrize("name", ["contraception", "cbpp"])
def test_expected_ranks_are_those_of_merTools(name: str) -> None:
    reference = by_merTools(name)
    fit = hl.Model(reference["formula"], hl.datasets.load(name)).fit(hl.Laplace(seed=1, draws=500))
    (group,) = fit.model.design.groups
    assert [str(level) for level in group.levels] == reference["clusters"]
    draws, variances = 8000, np.array(reference["variance"])
    assert fit.estimate is not None
    np.testing.assert_allclose(fit.estimate.modes[group.name][:, 0], reference["mode"], atol=2e-4)
    np.testing.assert_allclose(fit.estimate.conditional_sds[group.name][:, 0] ** 2, variances, rtol=2e-3)
    league = hl.league_table(with_effects(fit, np.array(reference["mode"]), variances, draws), num_draws=draws)
    ranks = league.effects.to_numpy()[0].argsort(axis=1).argsort(axis=1) + 1
    error = ranks.std(axis=0) / np.sqrt(draws)
    found = league.table.loc[group.levels, "expected_rank"]
    # Monte Carlo error: four standard errors of the mean rank.
    assert np.all(np.abs(found - reference["expected_rank"]) < 4 * error)
    # merTools' percentiles are 100 (rank - 1/2) / J, rounded.
    J = len(group.levels)
    percentile = 100 * (found - 0.5) / J
    assert np.all(np.abs(percentile - reference["percentile"]) < 0.5 + 400 * error / J)


@pytest.mark.parametrize("name", ["contraception", "cbpp"])
def test_draws_of_the_fit_hardly_differ(name: str) -> None:
    """MerTools takes the estimates as known and the effects as independent; the draws do neither."""
    reference = by_merTools(name)
    fit = hl.Model(reference["formula"], hl.datasets.load(name)).fit(hl.Laplace(seed=1, draws=4000))
    (group,) = fit.model.design.groups
    found = hl.league_table(fit).table.loc[group.levels, "expected_rank"]
    assert np.corrcoef(found, reference["expected_rank"])[0, 1] > 0.998
    np.testing.assert_allclose(found, reference["expected_rank"], atol=0.03 * len(group.levels))
