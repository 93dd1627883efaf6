"""Findings of a fit, repeated by what is computed from it, and results after separation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning, FitError
from hierlogit.fits.repeated_findings import findings_shown

VERBS: dict[str, Callable[[hl.results.Fit], Any]] = {
    "predictions": hl.predictions,
    "avg_predictions": hl.avg_predictions,
    "comparisons": hl.comparisons,
    "avg_comparisons": hl.avg_comparisons,
    "slopes": hl.slopes,
    "avg_slopes": hl.avg_slopes,
    "posterior_predictive": hl.posterior_predictive,
    "odds_ratios": hl.odds_ratios,
    "ranef": hl.ranef,
    "variance_components": hl.variance_components,
    "icc": hl.icc,
    "vpc": hl.vpc,
    "mor": hl.mor,
    "ior": lambda fit: hl.ior(fit, group="c"),
    "r2": hl.r2,
    "pooling": hl.pooling,
    "scores": hl.scores,
    "curves": lambda fit: hl.plots.curves(fit, "x"),
    "forest": hl.plots.forest,
    "caterpillar": hl.plots.caterpillar,
    "shrinkage": hl.plots.shrinkage,
}


def separated_rows(without_events: str, seed: int = 1) -> pd.DataFrame:
    """Four treatments, one of them without events, in seventeen clusters."""
    random = np.random.default_rng(seed)
    t = np.repeat(list("abcd"), 34)
    frame = pd.DataFrame({"t": t, "c": np.tile(np.arange(17), 8), "x": random.normal(size=136)})
    return frame.assign(y=(random.random(136) < np.where(t == without_events, 0.0, 0.4)).astype(int))


def fitted(without_events: str, engine: Any = None) -> hl.results.Fit:
    model = hl.Model("y ~ t + x + (1 | c)", separated_rows(without_events))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(engine or hl.Laplace())


@pytest.fixture(scope="module")
def separated() -> hl.results.Fit:
    return fitted("d")


@pytest.mark.parametrize("verb", VERBS)
def test_findings_are_repeated_once_for_each_call(verb: str, separated: hl.results.Fit) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        VERBS[verb](separated)
    assert [warning.category for warning in said] == [ConvergenceWarning]
    assert "The fit behind this result has findings. The estimate of 't[d]' is infinite" in str(said[-1].message)
    assert "hl.MAP()" in str(said[-1].message)
    assert said[-1].filename == __file__


def test_notes_are_not_repeated_and_shown_findings_neither(separated: hl.results.Fit) -> None:
    with findings_shown():
        hl.odds_ratios(separated)
    rows = separated_rows("none").assign(y=np.tile([0, 1], 68))
    singular = hl.Model("y ~ x + (1 | c)", rows).fit("laplace")
    assert [finding.severity for finding in singular.diagnostics.findings] == ["note"]
    hl.icc(singular)


@pytest.mark.parametrize("empty", ["a", "d"])
def test_after_separation_only_bounded_directions_are_drawn(empty: str) -> None:
    fit = fitted(empty)
    rest = separated_rows(empty).query("t != @empty")
    alone = hl.Model("y ~ t + x + (1 | c)", rest).fit("laplace")
    with pytest.warns(ConvergenceWarning, match="infinite"):
        table = hl.predictions(fit, by="t").set_index("t")
    other = hl.predictions(alone, by="t").set_index("t")
    # The rows without events are certain, and the others are as in a fit without these rows.
    assert table.loc[empty, "eti89_ub"] < 1e-5
    for column in ("estimate", "mean", "sd", "eti89_lb", "eti89_ub"):
        np.testing.assert_allclose(table.loc[other.index, column], other[column], atol=0.02)
    levels = [level for level in "abcd" if level != empty]
    pair = {"t": (levels[0], levels[1])}
    with pytest.warns(ConvergenceWarning, match="infinite"):
        compared = hl.avg_comparisons(fit, pair)
    expected = hl.avg_comparisons(alone, pair)
    for column in ("estimate", "mean", "sd", "eti89_lb", "eti89_ub"):
        # Averaged over all rows here, and over those of the other treatments there.
        np.testing.assert_allclose(compared[column], expected[column], atol=0.02)
    with pytest.warns(ConvergenceWarning, match="infinite"):
        difference = hl.avg_comparisons(fit, {"t": (levels[0], empty)})
    assert difference["eti89_lb"].item() < difference["estimate"].item() < difference["eti89_ub"].item() < -0.1


@pytest.mark.parametrize("engine", [hl.Laplace(), hl.AGQ(nodes=5)])
def test_infinite_coefficients_have_no_population_average(engine: Any) -> None:
    with pytest.raises(FitError, match=r"some coefficients of this fit are infinite.*hl.MAP\(\) or hl.NUTS\(\)"):
        hl.conditional_vs_average(fitted("d", engine))


def test_a_continuous_predictor_that_separates_leaves_the_others_as_they_are() -> None:
    random = np.random.default_rng(3)
    rows = pd.DataFrame({"z": random.normal(size=300), "x": random.normal(size=300), "c": np.arange(300) % 20})
    rows["w"] = (random.random(300) < 0.2) * 1.0
    rows["y"] = ((random.random(300) < 0.5) | (rows["w"] == 1)).astype(int)
    with pytest.warns(ConvergenceWarning, match="The estimate of 'w' is infinite"):
        fit = hl.Model("y ~ z + x + w + (1 | c)", rows).fit("laplace")
    draws = fit.posterior["beta"].to_numpy().reshape(-1, 4)
    assert fit.estimate is not None
    np.testing.assert_allclose(draws.std(axis=0)[:3], fit.estimate.standard_errors[:3], rtol=0.1)
    assert draws.std(axis=0)[3] < 1
    with pytest.warns(ConvergenceWarning, match="infinite"):
        slope = hl.avg_slopes(fit, "z")
    assert slope["eti89_lb"].item() < slope["estimate"].item() < slope["eti89_ub"].item()
