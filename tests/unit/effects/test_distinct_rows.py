"""Averages over many rows are those of the rows one by one, computed from the distinct ones among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.effects.averaging_by import Averages
from hierlogit.effects.cluster_effects import PlacedRows
from hierlogit.effects.distinct_rows import distinct_for_averages
from hierlogit.effects.query import PredictionQuery

MakeFit = Callable[..., hl.results.Fit]
MakeRows = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def rows(clustered_rows: MakeRows) -> pd.DataFrame:
    """Sixty rows five times over, with weights and a region that the model does not have."""
    rows = pd.concat([clustered_rows(6, 10)] * 5).sample(frac=1, random_state=1).reset_index(drop=True)
    random = np.random.default_rng(2)
    return rows.assign(weight=random.uniform(size=len(rows)), region=random.choice(["north", "south"], len(rows)))


@pytest.fixture(scope="module")
def fit(make_fit: MakeFit, rows: pd.DataFrame) -> hl.results.Fit:
    return make_fit("healed ~ dose * arm + (1 + dose | clinic) + (1 | reader)", rows, draws=40)


def _by_hand(rows: pd.DataFrame, values: npt.NDArray[Any], by: str) -> npt.NDArray[Any]:
    """Weighted averages, shape (draws, groups)."""
    places = [np.flatnonzero(rows[by] == level) for level in sorted(rows[by].unique())]
    averages = [np.average(values[:, at], axis=1, weights=rows["weight"].to_numpy()[at]) for at in places]
    return np.column_stack(averages)


@pytest.mark.parametrize("clusters", ["observed", "average", "typical", "new", {"clinic": [0.1, 0.9]}])
@pytest.mark.parametrize("by", ["region", "reader"])
def test_averages_are_those_of_the_rows(fit: hl.results.Fit, rows: pd.DataFrame, clusters: Any, by: str) -> None:
    options: dict[str, Any] = {"newdata": rows, "clusters": clusters, "seed": 5}
    averaged = {**options, "by": by, "weights": "weight"}
    for one, many in (
        (hl.predictions(fit, **options), hl.predictions(fit, **averaged)),
        (hl.comparisons(fit, "arm", **options), hl.comparisons(fit, "arm", **averaged)),
        (hl.slopes(fit, "dose", **options), hl.slopes(fit, "dose", **averaged)),
        (hl.slopes(fit, "dose", slope="eyex", **options), hl.slopes(fit, "dose", slope="eyex", **averaged)),
    ):
        values = one.draws.values.reshape(-1, *one.draws.shape[2:])
        parts = [values[:, start : start + len(rows)] for start in range(0, values.shape[1], len(rows))]
        expected = np.concatenate([_by_hand(rows, part, by) for part in parts], axis=1)
        np.testing.assert_allclose(many.draws.values.reshape(expected.shape), expected, rtol=1e-9, atol=1e-12)


def _placed(fit: hl.results.Fit, rows: pd.DataFrame) -> tuple[Averages, PlacedRows]:
    query = PredictionQuery.for_predictions(fit, rows, by="region", seed=5)
    assert query.averages is not None
    return query.averages, query.place(query.rows)


def test_rows_that_are_alike_are_computed_once(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    averages, placed = _placed(fit, rows)
    heavy = rows["weight"] > 0.9
    of_distinct, chosen = distinct_for_averages(averages, [placed], heavy.to_numpy(dtype=float))
    assert isinstance(chosen, np.ndarray)
    columns = ["dose", "arm", "clinic", "reader", "region", "heavy"]
    assert len(chosen) == len(rows.assign(heavy=heavy).drop_duplicates(columns))
    assert of_distinct is not None
    assert len(of_distinct.share) == len(chosen)
    pd.testing.assert_frame_equal(of_distinct.described, averages.described)


def test_rows_that_are_mostly_distinct_are_computed_as_they_are(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    averages, placed = _placed(fit, rows.assign(dose=np.linspace(0, 1, len(rows))))
    assert distinct_for_averages(averages, [placed]) == (averages, slice(None))
    assert distinct_for_averages(None, [placed]) == (None, slice(None))
