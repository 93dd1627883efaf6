"""The simulated trials of the default sampler: layouts that people have, and some that are hard to sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd

from .layouts import (
    Levels,
    Varying,
    binary,
    clusters,
    crossed,
    intercepts,
    nested,
    normal,
    persons_by_items,
    table,
    text,
    uniform,
)


@dataclass(frozen=True)
class Trial:
    """A model that the default sampler must manage.

    Attributes
    ----------
    name, formula : str
    rows : callable
        Its table.
    deserved : mapping of str to str
        Findings that the data deserve, by code, and why.
    """

    name: str
    formula: str
    rows: Callable[[], pd.DataFrame]
    deserved: Mapping[str, str] = field(default_factory=dict)


def _several(seed: int, number: int, low: int, high: int) -> Levels:
    """Clusters of sizes between two numbers."""
    return clusters(np.random.default_rng(seed).integers(low, high + 1, number))


def _by_cluster(levels: Levels, seed: int, sd: float = 1.0, intercept: float = 0.3) -> pd.DataFrame:
    """A predictor of rows, and intercepts of clusters."""
    beta = {"Intercept": intercept, "x": 0.5}
    return table(levels, beta, {"g": intercepts(sd)}, {"x": normal()}, seed=seed)


def _slopes(number: int, levels: Levels) -> pd.DataFrame:
    """Intercepts and up to three slopes, all correlated."""
    names = ["x", "w", "v"][:number]
    sds = {"Intercept": 0.9} | dict(zip(names, (0.6, 0.4, 0.8), strict=False))
    beta = {"Intercept": 0.2} | dict.fromkeys(names, 0.4)
    columns = {name: normal() for name in names}
    return table(levels, beta, {"g": Varying(sds, 0.4)}, columns, seed=20 + number)


def _three_crossed(rows: int, seed: int, sds: tuple[float, float, float], **numbers: int) -> pd.DataFrame:
    varying = {name: intercepts(sd) for name, sd in zip(numbers, sds, strict=True)}
    levels = crossed(rows, seed, **numbers)
    return table(levels, {"Intercept": -0.5, "x": 0.4}, varying, {"x": normal()}, seed=seed)


def _tasks(both: bool) -> pd.DataFrame:
    """Subjects who do tasks under one of two conditions, whose effect differs between subjects, or tasks as well."""
    tasks = Varying({"Intercept": 1.2, "hard": 0.6}, 0.3) if both else intercepts(1.2)
    return table(
        crossed(subject=60, task=40),
        {"Intercept": 0.8, "hard": -0.7},
        {"subject": Varying({"Intercept": 1.0, "hard": 0.7}, -0.4), "task": tasks},
        {"hard": binary()},
        seed=31 + both,
    )


def _families() -> pd.DataFrame:
    """Families of one or two children in villages."""
    sizes = np.random.default_rng(40).integers(1, 3, 600)
    return table(
        nested(sizes, village=60, family=600),
        {"Intercept": -0.3, "late": 0.6, "road": 0.5},
        {"village": intercepts(0.7), "family": intercepts(1.6)},
        {"late": binary(0.4), "road": binary(0.5, by="village")},
        seed=40,
    )


def _schools() -> pd.DataFrame:
    return table(
        nested(np.full(240, 10), region=12, school=60, room=240),
        {"Intercept": 0.4, "x": 0.5},
        {"region": intercepts(0.5), "school": intercepts(0.8), "room": intercepts(0.6)},
        {"x": normal()},
        seed=41,
    )


def _graded() -> pd.DataFrame:
    """Pupils of rooms in schools, each graded by two of 25 teachers."""
    levels = nested(np.full(120, 16), school=30, room=120)
    teacher = np.random.default_rng(42).integers(0, 25, len(levels["room"]))
    return table(
        {**levels, "teacher": teacher},
        {"Intercept": 0.0, "x": 0.3},
        {"school": intercepts(0.7), "room": intercepts(0.5), "teacher": intercepts(1.5)},
        {"x": normal()},
        seed=42,
    )


def _row_effects() -> pd.DataFrame:
    """Counts that vary more than binomial ones: each row has an effect."""
    levels = clusters(np.full(20, 6))
    return table(
        {**levels, "row": np.arange(120)},
        {"Intercept": -1.0, "x": 0.5},
        {"g": intercepts(0.6), "row": intercepts(0.8)},
        {"x": normal()},
        seed=43,
        trials=(5, 30),
    )


def _columns(levels: Levels, seed: int, beta: Mapping[str, float], sd: float = 0.8) -> pd.DataFrame:
    """All columns that the trials of the fixed part use."""
    return table(
        levels,
        beta,
        {"g": intercepts(sd)},
        {
            "x": normal(),
            "arm": text("a", "b"),
            "site": text("p", "q", "r"),
            "age": uniform(18, 80),
            "policy": binary(0.5, by="g"),
        },
        seed=seed,
    )


def _scaled(name: str, mean: float, sd: float, seed: int) -> pd.DataFrame:
    """A slope on a column far from zero, or with large units."""
    return table(
        _several(seed, 50, 10, 25),
        {"Intercept": -0.5 * mean / sd, name: 0.5 / sd},
        {"g": Varying({"Intercept": 0.5, name: 0.4 / sd})},
        {name: normal(mean, sd)},
        seed=seed,
    )


def _tests(persons: int, items: int, seed: int) -> pd.DataFrame:
    """Persons by items, with a predictor of persons and one of items."""
    return table(
        crossed(person=persons, item=items),
        {"Intercept": 0.5, "skill": 0.6, "kind[new]": -0.8},
        {"person": intercepts(1.0), "item": intercepts(1.5)},
        {"skill": normal(by="person"), "kind": text("new", "old", by="item")},
        seed=seed,
    )


def _separated() -> pd.DataFrame:
    """One row with the event among the 120 of a treatment: nearly complete separation."""
    frame = table(clusters(np.full(24, 25)), {"Intercept": 0.2}, {"g": intercepts(0.7)}, {"dose": binary(0.2)}, seed=50)
    treated = frame.index[frame["dose"] == 1]
    frame.loc[treated, "y"] = 0
    frame.loc[treated[40], "y"] = 1
    return frame


def _fully_crossed() -> tuple[Trial, ...]:
    persons = "y ~ 1 + (1 | person) + (1 | item)"
    return (
        Trial("persons_100", persons, partial(persons_by_items, 100)),
        Trial("persons_400", persons, partial(persons_by_items, 400)),
        Trial("persons_1200", persons, partial(persons_by_items, 1200)),
        Trial("survey", persons, partial(persons_by_items, 2409, rows=51_953)),
        Trial("item_predictor", "y ~ skill + kind + (1 | person) + (1 | item)", partial(_tests, 150, 20, 30)),
        Trial("condition_by_subject", "y ~ hard + (1 + hard | subject) + (1 | task)", partial(_tasks, False)),
        Trial("condition_by_both", "y ~ hard + (1 + hard | subject) + (1 + hard | task)", partial(_tasks, True)),
    )


def _partly_crossed() -> tuple[Trial, ...]:
    three = "y ~ x + (1 | a) + (1 | b) + (1 | c)"
    sparse = {"a": 300, "b": 200, "c": 150}
    two = {"Intercept": -0.5}
    return (
        Trial(
            "partly_crossed",
            "y ~ 1 + (1 | rater) + (1 | item)",
            partial(
                table,
                crossed(2_400, 33, rater=200, item=80),
                two,
                {"rater": intercepts(0.8), "item": intercepts(1.6)},
                {},
                seed=33,
            ),
        ),
        Trial(
            "three_by_200",
            "y ~ 1 + (1 | clinic) + (1 | year)",
            partial(
                table,
                crossed(3_000, 34, clinic=200, year=3, visit=10),
                two,
                {"clinic": intercepts(0.9), "year": intercepts(0.5)},
                {},
                seed=34,
            ),
        ),
        Trial("three_small", three, partial(_three_crossed, 1_500, 35, (1.0, 0.7, 1.2), a=30, b=20, c=10)),
        Trial("three_large", three, partial(_three_crossed, 20_000, 36, (1.0, 0.7, 1.2), **sparse)),
        Trial(
            "three_large_strong",
            three,
            partial(_three_crossed, 20_000, 37, (1.5, 2.0, 2.5), a=400, b=300, c=30),
        ),
        Trial(
            "three_large_weak",
            three,
            partial(_three_crossed, 6_000, 38, (0.3, 1.0, 2.0), a=150, b=150, c=150),
        ),
    )


def _nested() -> tuple[Trial, ...]:
    pairs = _several(44, 800, 1, 2)
    return (
        Trial("families", "y ~ late + road + (1 | village / family)", _families),
        Trial("pairs", "y ~ x + (1 | g)", partial(_by_cluster, pairs, 44, 1.2)),
        Trial("three_levels", "y ~ x + (1 | region / school / room)", _schools),
        Trial("nested_and_crossed", "y ~ x + (1 | school / room) + (1 | teacher)", _graded),
        Trial("row_effects", "p(y, n) ~ x + (1 | g) + (1 | row)", _row_effects),
    )


def _single_factors() -> tuple[Trial, ...]:
    plain = "y ~ x + (1 | g)"
    unbalanced = clusters(np.geomspace(1, 500, 40).astype(int))
    return (
        Trial("clusters_4", plain, partial(_by_cluster, clusters([50] * 4), 1)),
        Trial("clusters_6", plain, partial(_by_cluster, clusters([50] * 6), 2)),
        Trial("clusters_8", plain, partial(_by_cluster, clusters([50] * 8), 3)),
        Trial("clusters_2000", plain, partial(_by_cluster, clusters([5] * 2_000), 4)),
        Trial("unbalanced", plain, partial(_by_cluster, unbalanced, 5)),
        Trial("tiny_sd", plain, partial(_by_cluster, clusters([20] * 60), 6, 0.02)),
        Trial("huge_sd", plain, partial(_by_cluster, clusters([12] * 150), 7, 4.0)),
        Trial("rare_events", plain, partial(_by_cluster, clusters([60] * 100), 8, 0.8, -5.0)),
        Trial("common_events", plain, partial(_by_cluster, clusters([15] * 80), 9, 1.5, 3.5)),
        Trial(
            "single_rows",
            plain,
            partial(_by_cluster, clusters([1] * 300), 11),
            {"not_identified": "single rows cannot tell the sd between clusters, which has its prior"},
        ),
        Trial(
            "many_trials",
            "p(y, n) ~ x + (1 | g)",
            partial(
                table,
                clusters([10] * 40),
                {"Intercept": -0.5, "x": 0.3},
                {"g": intercepts(0.9)},
                {"x": normal()},
                seed=10,
                trials=(50, 500),
            ),
        ),
        Trial("near_separation", "y ~ dose + (1 | g)", _separated),
    )


def _random_slopes() -> tuple[Trial, ...]:
    strong = partial(
        table,
        clusters([15] * 80),
        {"Intercept": 0.0, "x": 0.5},
        {"g": Varying({"Intercept": 1.0, "x": 0.8}, 0.97)},
        {"x": normal()},
        seed=24,
    )
    centred = partial(
        table,
        clusters([20] * 50),
        {"Intercept": 0.0, "x": 0.5},
        {"g": Varying({"x": 1.0})},
        {"x": normal(1.0)},
        seed=25,
    )
    levels = _several(20, 60, 10, 30)
    return (
        Trial("slopes_1", "y ~ x + (1 + x | g)", partial(_slopes, 1, levels)),
        Trial("slopes_2", "y ~ x + w + (1 + x + w | g)", partial(_slopes, 2, levels)),
        Trial("slopes_3", "y ~ x + w + v + (1 + x + w + v | g)", partial(_slopes, 3, levels)),
        Trial("slopes_uncorrelated", "y ~ x + w + (1 + x + w || g)", partial(_slopes, 2, levels)),
        Trial(
            "slopes_of_5",
            "y ~ x + w + (1 + x + w | g)",
            partial(_slopes, 2, clusters([60] * 5)),
            {"many_covariances": "six sds and correlations of five clusters"},
        ),
        Trial("strong_correlation", "y ~ x + (1 + x | g)", strong),
        Trial("slope_only", "y ~ x + (0 + x | g)", centred),
        Trial("income", "y ~ income + (1 + income | g)", partial(_scaled, "income", 30_000.0, 12_000.0, 26)),
        Trial("age_slope", "y ~ age + (1 + age | g)", partial(_scaled, "age", 45.0, 12.0, 27)),
    )


def _fixed_parts() -> tuple[Trial, ...]:
    levels = clusters([20] * 50)
    beta = {"Intercept": 0.2, "x": 0.4, "arm[b]": -0.5}
    curve = {"Intercept": -4.0, "age": 0.2, "age**2": -0.002}
    policy = {"Intercept": 0.2, "policy": -0.5}
    return (
        Trial("no_intercept", "y ~ 0 + site + x + (1 | g)", partial(_columns, levels, 51, beta)),
        Trial("interactions", "y ~ arm * site * x + (1 | g)", partial(_columns, levels, 52, beta)),
        Trial("cubic", "y ~ age + I(age**2) + I(age**3) + (1 | g)", partial(_columns, levels, 53, curve)),
        Trial("policy", "y ~ policy + (1 | g)", partial(_columns, clusters([30] * 16), 54, policy)),
        Trial("arms_by_cluster", "y ~ site + (1 + site | g)", partial(_columns, levels, 55, beta)),
    )


#: Every simulated trial by its name.
SIMULATED: Mapping[str, Trial] = {
    trial.name: trial
    for trials in (_fully_crossed, _partly_crossed, _nested, _single_factors, _random_slopes, _fixed_parts)
    for trial in trials()
}
