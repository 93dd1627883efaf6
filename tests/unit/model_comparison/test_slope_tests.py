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
    np.testing.assert_array_equal(found["adjusted_p"], holm(found["p_value"].to_numpy()))
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
    assert "adjusted_p" in found
    assert "score" in repr(found)


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

    monkeypatch.setattr("hierlogit.model_comparison.slope_tests.run_tasks", interrupted)
    with pytest.raises(StudyError, match="0 of 0 simulated data sets have a result"):
        hl.test_slopes(fitted(), seed=1)


def p_values(seeds: range, slope: float) -> np.ndarray[Any, Any]:
    """Of the slope of x, in simulated tables."""
    found = []
    for seed in seeds:
        table = hl.test_slopes(fitted(frame=simulated(seed, slope)), replicates=100, seed=seed)
        found.append(float(table.set_index("term")["p_value"]["x"]))
    return np.array(found)


def test_p_values_without_and_with_differences_between_slopes() -> None:
    assert np.mean(p_values(range(100, 115), 0.0) < 0.05) < 0.3
    assert np.mean(p_values(range(100, 110), 0.9) < 0.05) > 0.6
