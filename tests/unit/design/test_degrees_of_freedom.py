"""Between-within degrees of freedom: against the published rule, counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.design.degrees_of_freedom import degrees_of_freedom
from hierlogit.errors import DataWarning

RNG = np.random.default_rng(1)
#: 4 regions of 3 schools with 10 pupils each; 15 of the items, which are crossed with everything.
ROWS = pd.DataFrame(
    {
        "y": RNG.integers(0, 2, 120),
        "region": np.repeat(np.arange(4), 30),
        "school": np.repeat(np.arange(12), 10),
        "item": np.tile(np.arange(15), 8),
        "x": RNG.normal(size=120),
    }
).assign(
    policy=lambda d: (d["region"] > 1).astype(float),
    arm=lambda d: np.where(d["school"] % 2, "b", "a"),
    word=lambda d: (d["item"] % 3).astype(float),
)


def _df(formula: str, rows: pd.DataFrame = ROWS, kind: str | None = "between-within") -> dict[str, float]:
    design = hl.Model(formula, rows).design
    return dict(zip(design.fixed_effects, degrees_of_freedom(design, kind).tolist(), strict=True))


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("y ~ arm + x + (1 | school)", {"Intercept": 10, "arm[b]": 10, "x": 120 - 12 - 1}),
        ("y ~ 0 + arm + x + (1 | school)", {"arm[a]": 10, "arm[b]": 10, "x": 107}),
        ("y ~ arm * x + (1 | school)", {"Intercept": 10, "arm[b]": 10, "x": 106, "arm[b]:x": 106}),
        # Nested: of 12 schools, 4 tell of the regions.
        (
            "y ~ policy + arm + x + (1 | region/school)",
            {"Intercept": 2, "policy": 2, "arm[b]": 12 - 4 - 1, "x": 107},
        ),
        # Crossed: the intercept belongs to both factors, and has the smaller number.
        (
            "y ~ arm + word + x + (1 | school) + (1 | item)",
            {"Intercept": 10, "arm[b]": 10, "word": 13, "x": 120 - (12 + 15 - 1) - 1},
        ),
        # The mean of slopes is known from as many slopes as there are clusters.
        ("y ~ arm + x + (1 + x | school)", {"Intercept": 10, "arm[b]": 10, "x": 11}),
        (
            "y ~ arm * x + (1 + x || school)",
            {"Intercept": 10, "arm[b]": 10, "x": 10, "arm[b]:x": 10},
        ),
        ("y ~ x", {"Intercept": np.inf, "x": np.inf}),
    ],
)
def test_clusters_and_rows_are_counted(formula: str, expected: dict[str, float]) -> None:
    assert _df(formula) == expected


def test_trials_count_however_they_are_grouped_into_rows() -> None:
    rows = ROWS.assign(x=(ROWS["x"] > 0).astype(float))
    counts = rows.groupby(["school", "arm", "x"], as_index=False).agg(k=("y", "sum"), n=("y", "size"))
    assert _df("p(k, n) ~ arm + x + (1 | school)", counts) == _df("y ~ arm + x + (1 | school)", rows)


def test_many_clusters_are_compared_with_the_normal_distribution_unless_requested() -> None:
    formula, many = "y ~ x + (1 | g)", ROWS.assign(g=np.arange(120) // 3)
    assert set(_df(formula, many, None).values()) == {np.inf}
    assert _df(formula, many) == {"Intercept": 39, "x": 120 - 40 - 1}
    fewer = many[many["g"] < 39]
    assert _df(formula, fewer, None) == {"Intercept": 38, "x": 117 - 39 - 1}
    assert set(_df(formula, fewer, "normal").values()) == {np.inf}
    # One factor with few clusters is enough.
    assert _df("y ~ x + (1 | g) + (1 | item)", many, None)["Intercept"] == 14


def test_there_is_always_one() -> None:
    rows = ROWS[ROWS["school"] < 2]
    with pytest.warns(DataWarning, match="account for all differences between the 2 clusters"):
        assert _df("y ~ arm + x + (1 | school)", rows)["arm[b]"] == 1
