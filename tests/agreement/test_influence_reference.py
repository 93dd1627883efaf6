"""Estimates without each cluster against refits by lme4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.model_comparison.leave_out import posterior_means, sampled_again

REFERENCE = Path(__file__).parents[1] / "reference" / "influence_reference.json"


@pytest.mark.parametrize("name", ["contraception", "cbpp"])
def test_changes_are_those_of_lme4_refits(name: str) -> None:
    by_lme4: dict[str, Any] = json.loads(REFERENCE.read_text(encoding="utf-8"))[name]
    fit = hl.Model(by_lme4["formula"], hl.datasets.load(name)).fit(hl.Laplace())
    found = hl.influence(fit)
    order = fit.model.design.groups[0].levels
    assert [str(level) for level in order] == by_lme4["clusters"]
    without = by_lme4["without"]
    whole = np.array(by_lme4["beta"] + np.atleast_1d(by_lme4["spread"]).tolist())
    expected = np.column_stack([without["beta"], without["spread"]]) - whole
    p = len(by_lme4["beta"])
    se = np.array(by_lme4["se"])
    np.testing.assert_allclose(found.se[:p], se, rtol=1e-4)
    # In standard errors; lme4's searches end within 4e-5 of them, ours as close.
    changes = found.changes.loc[order].to_numpy()
    np.testing.assert_allclose(changes[:, :p] / se, expected[:, :p] / se, atol=1e-4)
    np.testing.assert_allclose(changes[:, p:], expected[:, p:], atol=2e-5)
    distances = found.table.loc[order, "cooks_distance"]
    np.testing.assert_allclose(distances, without["cooks_distance"], atol=1e-4)


def test_weighted_draws_agree_with_sampling_again() -> None:
    model = hl.Model("use ~ age + I(age**2) + urban + (1 + urban | district)", hl.datasets.load("contraception"))
    fit = model.fit(hl.NUTS(draws=500, seed=1, progress=False))
    found = hl.influence(fit)
    assert found.table["pareto_k"].max() < 0.7
    block, district = model.design.groups[0], found.table.index[0]  # where weights are worst: the most influential one
    again = pd.Series(posterior_means(sampled_again(fit, block.levels[block.index] == district), None)) - found.estimate
    # Both have Monte-Carlo errors of a few hundredths of a posterior sd.
    np.testing.assert_allclose(found.changes.loc[district] / found.se, again / found.se, atol=0.15)
    # Posterior means of coefficients move as maxima do.
    searched = hl.influence(model.fit(hl.Laplace())).dfbetas.loc[found.dfbetas.index]
    gap = (found.dfbetas - searched)[["Intercept", "age", "I(age ** 2)"]]
    assert gap.abs().max().max() < 0.12
