"""Districts left out against refits by lme4, their recalibration against glm, and pooled values against metafor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import t

import hierlogit as hl
from hierlogit.diagnostics.new_clusters.meta_analysis import RandomEffects

REFERENCE = Path(__file__).parents[1] / "reference" / "validation_reference.json"


@pytest.fixture(scope="module")
def by_r() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(REFERENCE.read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="module")
def found(by_r: dict[str, Any]) -> hl.results.Validation:
    fit = hl.Model(by_r["formula"], hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    return hl.validate(fit, ci_prob=0.95)


def test_left_out_districts_are_predicted_as_by_lme4(found: hl.results.Validation, by_r: dict[str, Any]) -> None:
    np.testing.assert_allclose(found.predictions["probability"], by_r["probability"], atol=2e-5)


def test_recalibration_and_discrimination_are_those_of_glm(found: hl.results.Validation, by_r: dict[str, Any]) -> None:
    table = found.table.loc[[int(label) for label in by_r["clusters"]]]
    theirs = {name: np.array(values, dtype=float) for name, values in by_r["districts"].items()}
    np.testing.assert_array_equal(table[["rows", "events"]].to_numpy().T, [theirs["rows"], theirs["events"]])
    np.testing.assert_allclose(table["expected"], theirs["expected"], rtol=1e-4)
    names = {"intercept": "calibration_intercept", "slope": "calibration_slope", "auc": "auc", "brier": "brier"}
    for short, name in names.items():
        columns = [short, f"{short}_se"] if f"{short}_se" in theirs else [short]
        for theirs_name, suffix in zip(columns, ("", "_se"), strict=False):
            ours, expected = table[f"{name}{suffix}"].to_numpy(), theirs[theirs_name]
            both = np.isfinite(ours) & np.isfinite(expected)
            # glm has huge estimates where outcomes are separated, DeLong's error is 0 there by both.
            assert both.sum() >= 53
            np.testing.assert_allclose(ours[both], expected[both], rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["heterogeneous", "homogeneous", "three"])
def test_meta_analysis_is_that_of_metafor(by_r: dict[str, Any], name: str) -> None:
    example = by_r["examples"][name]
    pooled, theirs = RandomEffects.of(np.array(example["y"]), np.array(example["se"])), example["pooled"]
    assert pooled.count == theirs["k"]
    assert (pooled.mean, pooled.se) == pytest.approx((theirs["mean"], theirs["se"]), rel=1e-6)
    assert (pooled.tau, pooled.i2) == pytest.approx((theirs["tau"], theirs["i2"]), rel=1e-5, abs=1e-6)
    assert pooled.interval(0.95) == pytest.approx((theirs["low"], theirs["high"]), rel=1e-5)
    assert pooled.prediction_interval(0.95) == pytest.approx((theirs["new_low"], theirs["new_high"]), rel=1e-5)


def test_calibration_is_pooled_as_by_lme4(found: hl.results.Validation, by_r: dict[str, Any]) -> None:
    for measure in ("calibration_intercept", "calibration_slope"):
        expected, row = by_r["pooled"][measure], found.pooled.loc[measure]
        assert row["clusters"] == 60
        half = t.ppf(0.975, 59) * expected["se"], t.ppf(0.975, 58) * np.hypot(expected["tau"], expected["se"])
        ends = [expected["mean"] + sign * size for size in half for sign in (-1, 1)]
        ours = row[["estimate", "wald95_lb", "wald95_ub", "prediction95_lb", "prediction95_ub", "tau"]]
        np.testing.assert_allclose(ours.astype(float), [expected["mean"], *ends, expected["tau"]], rtol=1e-3, atol=5e-4)


def test_areas_are_pooled_as_by_metafor(found: hl.results.Validation, by_r: dict[str, Any]) -> None:
    area, row = by_r["pooled"]["auc"], found.pooled.loc["auc"]
    assert row["clusters"] == area["k"]
    values = row[["estimate", "wald95_lb", "wald95_ub", "prediction95_lb", "prediction95_ub"]].to_numpy(
        dtype=np.float64
    )
    theirs = [area[key] for key in ("mean", "low", "high", "new_low", "new_high")]
    np.testing.assert_allclose(logit(values), theirs, rtol=2e-3)
    np.testing.assert_allclose(row[["tau", "i2"]].astype(float), [area["tau"], area["i2"]], rtol=2e-3)
