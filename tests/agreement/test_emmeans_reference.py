"""Balanced grids, hypotheses, adjusted p-values and tests of equivalence against R's emmeans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl

REFERENCE = Path(__file__).parents[1] / "reference" / "emmeans_reference.json"
MODELS: list[dict[str, Any]] = json.loads(REFERENCE.read_text(encoding="utf-8"))["models"]
#: The searches of lme4 and glmmTMB stop a little short of the maximum.
ESTIMATES, ERRORS = 5e-5, 5e-5
#: Both here and there, probabilities of the largest deviation are simulated with errors below 0.001.
LARGEST = 2e-3


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: model["data"])
def model(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    data = hl.datasets.load(found["data"])
    return {**found, "fit": hl.Model(found["formula"], data).fit(hl.Laplace(draws=200, seed=1, df="normal"))}


def marginal(model: dict[str, Any], **options: Any) -> pd.DataFrame:
    fit = model["fit"]
    grid = hl.datagrid(fit, grid_type="balanced")
    return hl.avg_predictions(fit, grid, by=model["by"], clusters="typical", **{"scale": "link", **options})


def pairs(model: dict[str, Any], **options: Any) -> pd.DataFrame:
    """All pairs, in emmeans' order: for each level, the differences from the earlier ones."""
    levels = model["levels"]
    found = marginal(model, hypothesis="pairwise", **options).set_index("hypothesis")
    order = [f"({high}) - ({low})" for k, high in enumerate(levels) for low in levels[:k]]
    assert [text.replace("(", "").replace(")", "") for text in model["contrasts"]] == [
        text.replace("(", "").replace(")", "") for text in order
    ]
    return found.loc[order]


def test_marginal_means(model: dict[str, Any]) -> None:
    means = marginal(model, direction=True)
    assert means[model["by"]].astype(str).tolist() == model["levels"]
    np.testing.assert_allclose(means["estimate"], model["mean"], atol=ESTIMATES)
    np.testing.assert_allclose(means["estimate"] / means["z"], model["mean_se"], rtol=ERRORS)
    probabilities = marginal(model, scale="response")
    np.testing.assert_allclose(probabilities["estimate"], model["probability"], atol=ESTIMATES)


def test_contrasts_and_adjusted_p_values(model: dict[str, Any]) -> None:
    table = pairs(model)
    np.testing.assert_allclose(table["estimate"], model["estimate"], atol=ESTIMATES)
    np.testing.assert_allclose(table["estimate"] / table["z"], model["se"], rtol=ERRORS)
    np.testing.assert_allclose(table["p_value"], model["p_none"], atol=ESTIMATES)
    np.testing.assert_allclose(pairs(model, adjust="holm")["p_value"], model["p_holm"], atol=ESTIMATES)
    together = pairs(model, adjust="single-step", ci_prob=0.95)
    np.testing.assert_allclose(together["p_value"], model["p_single_step"], atol=LARGEST)
    np.testing.assert_allclose(together["simultaneous95_lb"], model["low"], atol=LARGEST)
    np.testing.assert_allclose(together["simultaneous95_ub"], model["high"], atol=LARGEST)


def test_differences_of_probabilities(model: dict[str, Any]) -> None:
    table = pairs(model, scale="response")
    np.testing.assert_allclose(table["estimate"], model["difference"], atol=ESTIMATES)
    np.testing.assert_allclose(table["estimate"] / table["z"], model["difference_se"], rtol=ERRORS)


def test_equivalence_and_one_sided_tests(model: dict[str, Any]) -> None:
    delta, levels = model["delta"], model["levels"]
    table = pairs(model, rope=(-delta, delta))
    np.testing.assert_allclose(table["p_equivalence"], model["p_equivalence"], atol=ESTIMATES)
    stated = [f"`{high}` - `{low}` > {delta}" for k, high in enumerate(levels) for low in levels[:k]]
    above = marginal(model, hypothesis=stated)
    np.testing.assert_allclose(above["p_value"], model["p_above_delta"], atol=ESTIMATES)
