"""Layouts of studies, and outcomes drawn from known parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.errors import StudyError


def test_clusters_are_nested_and_crossed() -> None:
    nested = hl.Layout({"school": 3, "school/class": 2}, size=4).table()
    assert nested.groupby("school")["class"].nunique().tolist() == [2, 2, 2]
    assert nested["class"].nunique() == 6
    assert nested.groupby("class").size().tolist() == [4] * 6
    crossed = hl.Layout({"person": 5, "item": 3}).table()
    assert len(crossed.drop_duplicates()) == len(crossed) == 15


def test_sizes() -> None:
    between = hl.Layout({"g": 200}, size=(3, 6)).table(seed=1).groupby("g").size()
    assert sorted(between.unique()) == [3, 4, 5, 6]
    assert hl.Layout({"g": 5}, size=[2, 3]).table().groupby("g").size().tolist() == [2, 3, 2, 3, 2]
    drawn = hl.Layout({"g": 50}, size=lambda random, count: random.poisson(2, count)).table(seed=1)
    assert drawn["g"].nunique() < 50


def test_predictors_of_rows_and_of_clusters() -> None:
    layout = hl.Layout(
        {"g": 400},
        size=5,
        predictors={
            "z": "normal",
            "age": ("uniform", 20, 60),
            "events": ("poisson", 3),
            "visit": [0, 1, 3, 6, 12],
            "sex": {"woman": 0.7, "man": 0.3},
            "own": lambda random, count: random.beta(2, 2, count),
            "one": 1,
        },
        cluster_predictors={"g": {"arm": ["control", "new"], "wealth": ("normal", 5, 2), "coin": ("bernoulli", 0.2)}},
    )
    rows = layout.table(seed=2)
    assert rows["z"].mean() == pytest.approx(0, abs=0.1)
    assert rows["z"].std() == pytest.approx(1, abs=0.06)
    assert rows["age"].between(20, 60).all()
    assert rows["events"].mean() == pytest.approx(3, abs=0.15)
    assert rows["visit"].tolist() == [0, 1, 3, 6, 12] * 400
    assert list(rows["sex"].cat.categories) == ["woman", "man"]
    assert (rows["sex"] == "woman").mean() == pytest.approx(0.7, abs=0.04)
    assert rows.groupby("g")[["arm", "wealth", "coin"]].nunique().eq(1).all(axis=None)
    of_clusters = rows.groupby("g").first()
    assert of_clusters["arm"].value_counts().tolist() == [200, 200]
    assert of_clusters["wealth"].std() == pytest.approx(2, abs=0.25)
    assert of_clusters["coin"].mean() == pytest.approx(0.2, abs=0.07)
    assert layout.random
    assert layout.table(seed=2).equals(rows)
    assert not hl.Layout({"g": 4}, size=2, predictors={"t": [0, 1]}).random


def test_other_numbers_of_clusters() -> None:
    layout = hl.Layout({"school": 3, "school/class": 2}, size=4)
    assert layout.with_numbers(**{"class": 5}).table()["class"].nunique() == 15
    assert len(layout.with_numbers(school=2, size=1).table()) == 4
    with pytest.raises(StudyError, match="no number 'pupil' in the layout; choose one of 'school', 'class', 'size'"):
        layout.with_numbers(pupil=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clusters": {}}, "clusters is empty: a layout needs"),
        ({"clusters": {"g": 0}}, r"clusters\['g'\]=0 must be a whole number from 1"),
        ({"clusters": {"g": 10**7, "h": 10**7}}, "100,000,000,000,000 clusters; at most 100,000,000"),
        ({"clusters": {"": 2}}, "'' does not name a grouping factor"),
        ({"clusters": {"a/b": 2}}, "'a/b' is nested in 'a', which must come before it.* are: none"),
        ({"clusters": {"size": 2}}, "'size' stands for the rows"),
        ({"size": (5, 2)}, r"size=\(5, 2\)"),
        ({"size": 10**8}, "size=100000000 must be"),
        ({"size": True}, "size=True must be"),
        ({"size": lambda _, count: [1.5] * count}, "whole numbers"),
        ({"predictors": {"x": "gauss"}}, "predictor 'x': 'gauss' must be .*'normal'"),
        ({"predictors": {"x": ("normal", 1, 2, 3)}}, "has 3 numbers; 'normal' takes up to 2"),
        ({"predictors": {"x": ("normal", 0, -1)}}, "cannot be drawn"),
        ({"predictors": {"x": {"a": 0.5, "b": 0.6}}}, "sum to 1"),
        ({"predictors": {"x": lambda *_: 1.0}}, r"returned shape \(\)"),
        ({"predictors": {"g": 1}}, "the name 'g' is in the layout more than once"),
        ({"predictors": {"x": [None, "a"]}}, "the level=None must be a finite number"),
        ({"cluster_predictors": {"h": {"x": 1}}}, "no grouping factor 'h' in the layout; the only choice is 'g'"),
    ],
)
def test_mistakes_in_layouts_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        hl.Layout(**({"clusters": {"g": 3}} | arguments))


def test_outcomes_come_from_the_parameters() -> None:
    layout = hl.Layout({"g": 4000}, size=4, predictors={"t": [0, 0, 1, 1]})
    rows = hl.simulate(
        "y ~ t + (1 + t | g)",
        layout,
        beta={"Intercept": -0.5, "t": 1.0},
        sd={"g": {"Intercept": 1.2, "t": 0.8}},
        cor={"g": -0.5},
        seed=3,
    )
    random = np.random.default_rng(4)
    L = np.linalg.cholesky(np.array([[1.44, -0.48], [-0.48, 0.64]]))
    effects = random.standard_normal((400_000, 2)) @ L.T
    p0, p1 = expit(-0.5 + effects[:, 0]), expit(0.5 + effects[:, 0] + effects[:, 1])
    by_cluster = rows.pivot_table(index="g", columns=rows.groupby("g").cumcount(), values="y").to_numpy()
    assert by_cluster[:, :2].mean() == pytest.approx(p0.mean(), abs=0.025)
    assert by_cluster[:, 2:].mean() == pytest.approx(p1.mean(), abs=0.025)
    for pair, expected in (((0, 1), p0 * p0), ((2, 3), p1 * p1), ((1, 2), p0 * p1)):
        together = (by_cluster[:, pair[0]] * by_cluster[:, pair[1]]).mean()
        assert together == pytest.approx(expected.mean(), abs=0.03)


def test_columns_are_those_of_the_model() -> None:
    layout = hl.Layout({"g": 60}, size=50, predictors={"x": ("normal", 40, 5), "arm": {"b": 0.5, "a": 0.5}})
    truth = {"Intercept": 0.3, "arm[a]": -0.7, "scale(x)": 0.5}
    rows = hl.simulate("y ~ arm + scale(x) + (1 | g)", layout, beta=truth, sd={"g": 0.5}, seed=5)
    estimate = hl.Model("y ~ arm + scale(x) + (1 | g)", rows).fit("laplace").estimate
    assert estimate is not None
    for value, error, (_, true) in zip(estimate.beta, estimate.standard_errors, truth.items(), strict=True):
        assert abs(value - true) < 3.5 * error
    assert estimate.sd("g")[0] == pytest.approx(0.5, abs=0.2)


def test_counts_and_tables_of_ones_own() -> None:
    cbpp = hl.datasets.load("cbpp")
    beta = {"Intercept": -1.0, "period[p2]": 0.0, "period[p3]": 0.0, "period[p4]": 0.0}
    rows = hl.simulate("p(ill, size) ~ period + (1 | herd)", cbpp, beta=beta, sd={"herd": 0.6}, seed=1)
    assert list(rows.columns) == [*cbpp.columns, "ill"]
    assert rows["ill"].between(0, cbpp["size"]).all()
    assert "ill" not in cbpp
    again = hl.simulate("p(ill, size) ~ period + (1 | herd)", cbpp, beta=beta, sd={"herd": 0.6}, seed=1)
    pd.testing.assert_frame_equal(again, rows)
    ten = hl.simulate("p(k, 10) ~ 1 + (1 | g)", hl.Layout({"g": 30}), beta={"Intercept": 0}, sd={"g": 1}, seed=1)
    assert ten["k"].max() > 6
    # Sds of zero are sds.
    hl.simulate("p(k, 10) ~ 1 + (1 | g)", hl.Layout({"g": 30}), beta={"Intercept": 0}, sd={"g": 0}, seed=1)


@pytest.mark.parametrize(
    ("formula", "given", "message"),
    [
        (
            "y ~ x + (1 | g)",
            {"beta": {"Intercept": 0}},
            "beta lacks 'x'. The labels of the model are: 'Intercept', 'x'",
        ),
        ("y ~ x + (1 | g)", {"beta": {"Intercept": 0, "x": 0, "z": 1}}, "beta has 'z', which the model does not have"),
        ("y ~ 1 + (1 | g)", {"sd": {}}, r"sd\['g'\] lacks 'Intercept'"),
        (
            "y ~ 1 + (1 | g)",
            {"sd": {"h": 1}},
            "sd: there is no grouping factor 'h' in the model; the only choice is 'g'",
        ),
        ("y ~ 1 + (1 | g)", {"sd": {"g": -1}}, "standard deviations must not be negative"),
        ("y ~ 1 + (1 | g)", {"sd": {"g": "big"}}, r"sd\['g'\]\['Intercept'\]='big' must be a finite number"),
        ("y ~ 1 + (1 + x | g)", {"sd": {"g": 1}}, r"sd\['g'\]=1: 'Intercept', 'x' vary over the clusters"),
        ("y ~ 1 + (1 | g)", {"cor": {"g": 0.2}}, "the model has no correlated effects of 'g'"),
        (
            "y ~ 1 + (1 + x | g)",
            {"sd": {"g": {"Intercept": 1, "x": 1}}, "cor": {"g": 1.5}},
            "do not form a positive definite matrix",
        ),
        ("cbind(y, n) ~ 1 + (1 | g)", {}, "write p"),
        ("y['b'] ~ 1 + (1 | g)", {}, r"write 'y' without \[b\]"),
        ("p(y, n) ~ 1 + (1 | g)", {}, "no column 'n' of trials"),
    ],
)
def test_mistakes_in_parameters_are_named(formula: str, given: dict[str, Any], message: str) -> None:
    layout = hl.Layout({"g": 5}, size=4, predictors={"x": "normal"})
    with pytest.raises(StudyError, match=message):
        hl.simulate(formula, layout, **({"beta": {"Intercept": 0}, "sd": {"g": 1}} | given), seed=1)
