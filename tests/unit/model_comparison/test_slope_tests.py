"""Score tests of slopes: what they find, their level, and what belongs to them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning, FitError, StudyError
from hierlogit.summaries.multiplicity import holm

LAYOUT = hl.Layout({"g": 40}, size=15, predictors={"x": "normal", "z": "normal"})
FORMULA = "y ~ x + z + (1 | g)"
BETA = {"Intercept": -0.5, "x": 0.5, "z": 0.3}


def simulated(seed: int, slope: float = 0.0) -> pd.DataFrame:
    return hl.simulate(
        "y ~ x + z + (1 + x || g)", LAYOUT, beta=BETA, sd={"g": {"Intercept": 0.8, "x": slope}}, seed=seed
    )


def fitted(formula: str = FORMULA, frame: Any = None, engine: Any = None) -> hl.results.Fit:
    return hl.Model(formula, simulated(1, 1.0) if frame is None else frame).fit(engine or hl.Laplace(seed=1))


def test_the_slope_that_varies_comes_first_with_its_size() -> None:
    found = hl.test_slopes(fitted(), seed=1)
    assert found["term"].tolist() == ["x", "z"]
    first, second = (row for _, row in found.iterrows())
    assert first["p_value"] < 0.001
    assert first["sd"] == pytest.approx(1, abs=0.4)
    assert second["p_value"] > 0.05
    np.testing.assert_array_equal(found["p_adjusted"], holm(found["p_value"].to_numpy()))
    assert found["clusters"].tolist() == [40, 40]
    assert "by 200 simulated data sets" in repr(found)


@pytest.mark.parametrize("engine", [hl.AGQ(nodes=5, seed=1), hl.MAP(seed=1)])
def test_fits_by_other_engines(engine: Any) -> None:
    found = hl.test_slopes(fitted(engine=engine), replicates=50, seed=1)
    assert found["term"].tolist() == ["x", "z"]
    assert found["p_value"].iloc[0] < 0.01


def test_a_sampled_fit_is_tested_by_its_mode(make_fit: Any) -> None:
    frame = simulated(1, 1.0)
    sampled = hl.test_slopes(make_fit(FORMULA, frame, draws=20), replicates=50, seed=1)
    pd.testing.assert_frame_equal(sampled, hl.test_slopes(fitted(engine=hl.MAP()), replicates=50, seed=1), rtol=1e-4)


def test_the_seed_repeats_it_whoever_computes(tmp_path: Path) -> None:
    fit, store = fitted(), tmp_path / "slopes.json"
    once = hl.test_slopes(fit, replicates=50, seed=3, store=store)
    with ThreadPoolExecutor(2) as pool:
        pd.testing.assert_frame_equal(hl.test_slopes(fit, replicates=50, seed=3, executor=pool), once)
    written = store.read_text()
    pd.testing.assert_frame_equal(hl.test_slopes(fit, replicates=50, seed=3, store=store), once)
    assert store.read_text() == written
    with pytest.raises(StudyError, match="another study, with another seed"):
        hl.test_slopes(fit, replicates=50, seed=4, store=store)


def test_nothing_to_test_is_an_empty_table() -> None:
    found = hl.test_slopes(fitted("y ~ 1 + (1 | g)"))
    assert len(found) == 0
    assert "p_adjusted" in found
    why = "there are none, since every term is constant within clusters or has a random slope"
    assert why in " ".join(repr(found).split())


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(FitError, match="no random effects"):
        hl.test_slopes(fitted("y ~ x"))
    with pytest.raises(StudyError, match="replicates=10 must be a whole number from 50"):
        hl.test_slopes(fitted(), replicates=10)
    frame = simulated(1).assign(x=lambda rows: rows["y"] + 0.01 * rows["z"])
    with pytest.warns(ConvergenceWarning):
        separated = fitted(frame=frame)
    with pytest.raises(FitError, match="no maximum to start from"):
        hl.test_slopes(separated)


def test_few_results_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> bool:
        return False

    monkeypatch.setattr("hierlogit.studies.checkpoint.run_tasks", interrupted)
    with pytest.raises(StudyError, match="0 of 0 simulated data sets have a result"):
        hl.test_slopes(fitted(), seed=1)


def slope_of_x(seed: int, slope: float, replicates: int) -> tuple[float, float]:
    """p-value of the slope of x in a simulated table, and the smallest adjusted one."""
    table = hl.test_slopes(fitted(frame=simulated(seed, slope)), replicates=replicates, seed=seed)
    return float(table.set_index("term")["p_value"]["x"]), float(table["p_adjusted"].min())


def test_p_values_without_and_with_differences_between_slopes() -> None:
    clean = [slope_of_x(seed, 0.0, 50)[0] for seed in range(100, 110)]
    assert np.mean(np.array(clean) < 0.05) < 0.3
    planted = [slope_of_x(seed, 0.9, 50)[0] for seed in range(100, 106)]
    assert np.mean(np.array(planted) < 0.05) > 0.6


@pytest.mark.slow
def test_the_level_is_kept() -> None:
    found = np.array([slope_of_x(seed, 0.0, 200) for seed in range(500)])
    for level in (0.1, 0.05, 0.01):
        error = np.sqrt(level * (1 - level) / 500)
        assert np.mean(found[:, 0] < level) == pytest.approx(level, abs=3 * error)
        assert np.mean(found[:, 1] < level) < level + 3 * error  # of either slope, adjusted


@pytest.mark.slow
@pytest.mark.parametrize("slope", [0.4, 0.6])
def test_slopes_are_found_as_often_as_by_the_likelihood_ratio(slope: float) -> None:
    by_score, by_ratio = [], []
    for seed in range(10_000, 10_200):
        frame = simulated(seed, slope)
        smaller, larger = fitted(frame=frame), fitted("y ~ x + z + (1 + x || g)", frame)
        by_score.append(slope_of_x(seed, slope, 200)[0] < 0.05)
        by_ratio.append(hl.likelihood_ratio(smaller, larger).p_value < 0.05)
    assert np.mean(by_score) > np.mean(by_ratio) - 0.1
