"""Score tests of added columns: against the likelihood of models that have them, and by dense algebra."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.design.projection import unexplained
from hierlogit.diagnostics.fit.predictors import numeric_predictors, shape_measures, steps_of
from hierlogit.diagnostics.fit.score_test import AddedColumns
from hierlogit.engines.maximum.refitted import ReferenceFit
from hierlogit.fits.fit import Fit


def statistic(fit: Fit, columns: np.ndarray) -> float:
    reference = ReferenceFit.of(fit)
    added = AddedColumns(reference, {"them": unexplained(columns, fit.model.design.X)})
    return added.statistic(reference.observed, "them")


def test_without_random_effects_it_is_raos_statistic() -> None:
    frame = hl.datasets.load("contraception")
    fit = hl.Model("use ~ age + urban", frame).fit(hl.Laplace(seed=1))
    age = frame["age"].to_numpy()
    columns = np.column_stack([age**2, age**3])
    one = ReferenceFit.of(fit).observed
    X = np.column_stack([fit.model.design.X, columns / columns.std(axis=0)])
    score, information = X.T @ one.residual, X.T @ (one.weight[:, None] * X)
    assert statistic(fit, columns) == pytest.approx(score @ np.linalg.solve(information, score), rel=1e-4)


@pytest.mark.parametrize(
    ("engine", "random"),
    [
        (hl.Laplace(seed=1), "(1 + urban | district)"),
        (hl.AGQ(nodes=5, seed=1), "(1 | district)"),
        (hl.Laplace(seed=1), "(1 | district) + (1 | religion)"),
    ],
)
def test_it_is_what_the_likelihood_gains(engine: object, random: str) -> None:
    """Twice the rise of the log-likelihood, of columns that matter little; of ones that matter much, nearly."""
    frame = hl.datasets.load("contraception")
    draw = np.random.default_rng(3)
    frame = frame.assign(religion=draw.choice(list("abcdef"), len(frame)), noise=draw.normal(size=len(frame)))
    fit = hl.Model(f"use ~ age + urban + {random}", frame).fit(engine)  # type: ignore[arg-type]
    for term, within in (("noise", 0.02), ("livch", 0.08), ("I(age**2)", 0.08)):
        model = hl.Model(f"use ~ age + urban + {term} + {random}", frame)
        refit = model.fit(engine).estimate  # type: ignore[arg-type]
        assert refit is not None
        assert fit.estimate is not None
        rise = 2 * (refit.log_likelihood - fit.estimate.log_likelihood)
        assert statistic(fit, model.design.X) == pytest.approx(rise, rel=within, abs=0.02)


def test_simulated_outcomes_have_statistics_of_chi_squared_size() -> None:
    layout = hl.Layout({"g": 30}, size=20, predictors={"x": "normal"})
    truth = {"beta": {"Intercept": -0.5, "x": 0.7}, "sd": {"g": 0.8}}
    found = []
    for seed in range(40):
        rows = hl.simulate("y ~ x + (1 | g)", layout, seed=seed, **truth)
        fit = hl.Model("y ~ x + (1 | g)", rows).fit(hl.Laplace(seed=1))
        found.append(statistic(fit, rows[["x"]].to_numpy() ** [2, 3]))
    assert np.mean(found) == pytest.approx(2, abs=4 * 2 / np.sqrt(40))
    assert np.mean(np.array(found) > 5.99) < 0.16


def test_predictors_that_are_amounts_and_their_missing_powers() -> None:
    random = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "dose": random.uniform(0, 5, 200),
            "age": random.integers(20, 60, 200),
            "week": random.integers(0, 4, 200),
            "two": random.integers(0, 2, 200),
            "arm": random.choice(["a", "b"], 200),
            "clinic": random.integers(0, 9, 200),
        }
    )
    frame["y"] = random.integers(0, 2, 200)
    model = hl.Model("y ~ dose + I(dose**2) + bs(age, df=4) + C(week) + two + arm + (1 | clinic)", frame)
    assert numeric_predictors(model.design) == ["dose", "age"]
    said = {
        (one.check, one.about): one.statistic for one in shape_measures(ReferenceFit.of(model.fit(hl.Laplace(seed=1))))
    }
    assert said[("nonlinear_effect", "dose")] == "score test of adding dose^3"
    assert said[("nonlinear_effect", "age")] == "score test of adding age^4"
    assert said[("residual_trend", "dose")] == "score test of adding 7 steps"  # eight, less the intercept


def test_a_trend_over_few_values_asks_for_levels_and_over_many_for_a_spline() -> None:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"week": random.integers(0, 6, 300), "age": random.normal(size=300)})
    frame["y"] = random.integers(0, 2, 300)
    remedies = {
        one.about: one.remedy
        for one in shape_measures(ReferenceFit.of(hl.Model("y ~ week + age", frame).fit(hl.Laplace(seed=1))))
        if one.check == "residual_trend"
    }
    assert "try C(week) in" in remedies["week"]
    assert "try bs(age, df=5) in" in remedies["age"]


def test_a_predictor_that_only_varies_between_clusters_is_missed_as_a_line() -> None:
    fit = hl.Model("use ~ 1 + (1 + age | district)", hl.datasets.load("contraception")).fit(hl.Laplace(seed=1))
    curve = shape_measures(ReferenceFit.of(fit))[0]
    assert curve.statistic == "score test of adding age"
    assert "try age or bs(age, df=4)" in curve.remedy


def test_steps_are_values_where_they_are_few_and_else_quantiles() -> None:
    few = steps_of(np.array([3.0, 1.0, 2.0, 1.0]))
    np.testing.assert_array_equal(few, [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
    many = steps_of(np.random.default_rng(1).normal(size=400))
    np.testing.assert_array_equal(many.sum(axis=0), np.full(8, 50))
    np.testing.assert_array_equal(many.sum(axis=1), 1)
    assert steps_of(np.arange(60.0)).shape == (60, 2)
    ties = steps_of(np.repeat(np.arange(9.0), 50))  # a value never lies in two steps
    assert sorted(ties.sum(axis=0)) == [50.0] * 7 + [100.0]
