"""Predictions, comparisons and slopes against those computed by hand in R from the same estimates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hierlogit as hl

REFERENCE = Path(__file__).parents[1] / "reference" / "effects_reference.json"
CLUSTERS = ("observed", "average", "typical")
TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def by_hand() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(REFERENCE.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def own() -> hl.results.Fit:
    model = hl.Model(
        "use ~ age + I(age**2) + urban + livch + (1 + urban | district)", hl.datasets.load("contraception")
    )
    return model.fit(hl.Laplace(draws=1000, seed=1))


@pytest.fixture(scope="module")
def fit(own: hl.results.Fit, by_hand: dict[str, Any]) -> hl.results.Fit:
    """Our fit, at R's estimates."""
    assert own.estimate is not None
    assert own.model.design.groups[0].levels.tolist() == by_hand["districts"]
    estimate = replace(
        own.estimate,
        beta=np.array(by_hand["beta"]),
        cholesky={"district": np.array(by_hand["root"])},
        modes={"district": np.array(by_hand["modes"])},
    )
    return hl.results.Fit(own.model, own.data, own.diagnostics, estimate)


@pytest.mark.parametrize("clusters", CLUSTERS)
def test_predictions(fit: hl.results.Fit, by_hand: dict[str, Any], clusters: str) -> None:
    expected = by_hand["effects"][clusters]
    rows = hl.predictions(fit, clusters=clusters)["estimate"].to_numpy()
    np.testing.assert_allclose(rows[[0, 499, 1933]], expected["prediction_of_rows"], atol=TOLERANCE)
    averaged = hl.avg_predictions(fit, clusters=clusters)["estimate"]
    np.testing.assert_allclose(averaged, expected["prediction"], atol=TOLERANCE)
    grouped = hl.avg_predictions(fit, clusters=clusters, by="livch").set_index("livch")["estimate"]
    for level, value in expected["prediction_by_livch"].items():
        assert grouped[level] == pytest.approx(value, abs=TOLERANCE)


@pytest.mark.parametrize("clusters", CLUSTERS)
def test_comparisons(fit: hl.results.Fit, by_hand: dict[str, Any], clusters: str) -> None:
    expected = by_hand["effects"][clusters]
    for comparison in ("difference", "ratio", "odds_ratio"):
        table = hl.avg_comparisons(fit, "urban", comparison=comparison.replace("_", ""), clusters=clusters)
        np.testing.assert_allclose(table["estimate"], expected[f"urban_{comparison}"], atol=TOLERANCE)
    grouped = hl.avg_comparisons(fit, "urban", by="livch", clusters=clusters).set_index("livch")["estimate"]
    for level, value in expected["urban_difference_by_livch"].items():
        assert grouped[level] == pytest.approx(value, abs=TOLERANCE)
    livch = hl.avg_comparisons(fit, "livch", clusters=clusters).set_index("contrast")["estimate"]
    for level, value in expected["livch_difference"].items():
        assert livch[f"{level} - 0"] == pytest.approx(value, abs=TOLERANCE)
    older = hl.avg_comparisons(fit, {"age": 5}, clusters=clusters)
    np.testing.assert_allclose(older["estimate"], expected["age_plus_5"], atol=TOLERANCE)


@pytest.mark.parametrize("clusters", CLUSTERS)
def test_slopes(fit: hl.results.Fit, by_hand: dict[str, Any], clusters: str) -> None:
    expected = by_hand["effects"][clusters]
    np.testing.assert_allclose(
        hl.avg_slopes(fit, "age", clusters=clusters)["estimate"], expected["age_slope"], atol=TOLERANCE
    )
    grouped = hl.avg_slopes(fit, "age", by="urban", clusters=clusters).set_index("urban")["estimate"]
    for level, value in expected["age_slope_by_urban"].items():
        assert grouped[level] == pytest.approx(value, abs=TOLERANCE)
    elastic = hl.avg_slopes(fit, "age", slope="dyex", clusters=clusters)["estimate"]
    assert np.isfinite(elastic).all()
    percent = hl.avg_slopes(fit, "age", slope="eyex", clusters=clusters)["estimate"]
    np.testing.assert_allclose(percent, expected["age_elasticity"], atol=TOLERANCE)


@pytest.mark.parametrize("clusters", CLUSTERS)
def test_our_own_maximum_says_the_same(own: hl.results.Fit, by_hand: dict[str, Any], clusters: str) -> None:
    # lme4's search stops a little short of the maximum.
    expected = by_hand["effects"][clusters]
    assert hl.avg_predictions(own, clusters=clusters)["estimate"][0] == pytest.approx(expected["prediction"], abs=1e-4)
    urban = hl.avg_comparisons(own, "urban", clusters=clusters)
    assert urban["estimate"][0] == pytest.approx(expected["urban_difference"], abs=1e-4)
    # and the draws lie about it
    assert abs(urban["mean"][0] - urban["estimate"][0]) < 0.5 * urban["sd"][0]
