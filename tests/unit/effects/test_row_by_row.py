"""Results of more rows than memory holds: the same numbers in small blocks as at once."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit.effects import evaluated
from hierlogit.effects.random_streams import simulated_outcomes

#: Rows of a block; the last block of the table is smaller.
TILE = 8


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 28
    return pd.DataFrame(
        {
            "y": rng.choice(["no", "yes"], n),
            "x": rng.normal(3, 2, n),
            "arm": rng.choice(["a", "b", "c"], n),
            "clinic": rng.choice([f"c{k}" for k in range(8)], n),
            "reader": rng.choice(["r1", "r2", "r3"], n),
        }
    )


@pytest.fixture(scope="module")
def fit(rows: pd.DataFrame) -> hl.results.Fit:
    with warnings.catch_warnings(action="ignore", category=hl.errors.HierlogitWarning):
        return hl.Model("y ~ x * arm + (1 + x | clinic) + (1 | reader)", rows).fit(hl.MAP(draws=100, seed=1))


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    monkeypatch.setattr("hierlogit.effects.random_streams.TILE", TILE)
    monkeypatch.setattr("hierlogit.effects.row_by_row.TILE", TILE)

    def small() -> None:
        monkeypatch.setattr("hierlogit.effects.query.MAX_CELLS", 1)
        monkeypatch.setattr("hierlogit.density.linear_predictor.CHUNK_SIZE", 1)

    return small


def _same(whole: Any, parts: Any, atol: float = 1e-12) -> None:
    assert list(parts.columns) == list(whole.columns)
    assert parts.quantity == whole.quantity
    for name in whole.columns:
        if whole[name].dtype == float:
            np.testing.assert_allclose(parts[name], whole[name], rtol=1e-10, atol=atol, err_msg=name)
        else:
            pd.testing.assert_series_equal(pd.Series(parts[name]), pd.Series(whole[name]))
    np.testing.assert_allclose(parts.draws, whole.draws, rtol=1e-10, atol=atol)


#: Quadrature over clusters uses the nodes that the largest sd of a block needs; its error is at most 1e-9.
ACCURACY = {"average": 3e-8}
CLUSTERS = ["observed", "new", "average", "typical", {"clinic": "new", "reader": "observed"}, {"clinic": [0.1, 0.9]}]
TESTS: list[dict[str, Any]] = [
    {"direction": True, "rope": (0.3, 0.6)},
    {"hypothesis": "sequential", "direction": True},
    {"hypothesis": "reference", "rope": (-0.1, 0.1)},
]
VERBS: dict[str, Callable[..., Any]] = {
    "predictions": hl.predictions,
    "linear": lambda fit, **options: hl.predictions(fit, scale="link", **options),
    "comparisons": lambda fit, **options: hl.comparisons(fit, comparison="ratio", **options),
    "function": lambda fit, **options: hl.comparisons(fit, "x", comparison=lambda high, low: high - low, **options),
    "slopes": lambda fit, **options: hl.slopes(fit, slope="eyex", **options),
}


@pytest.mark.parametrize("clusters", CLUSTERS, ids=str)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.filterwarnings("ignore::hierlogit.errors.HierlogitWarning")
def test_blocks_of_rows_have_the_numbers_of_all_at_once(
    fit: hl.results.Fit, in_blocks: Callable[[], None], verb: str, clusters: Any
) -> None:
    results = [[VERBS[verb](fit, clusters=clusters, seed=3, **tests) for tests in TESTS] for _ in in_two(in_blocks)]
    for whole, parts in zip(*results, strict=True):
        _same(whole, parts, ACCURACY.get(str(clusters), 1e-12))


def in_two(in_blocks: Callable[[], None]) -> Any:
    """Once as usual, then in small blocks."""
    yield None
    in_blocks()
    yield None


@pytest.mark.filterwarnings("ignore::hierlogit.errors.HierlogitWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"hypothesis": np.random.default_rng(1).normal(size=(28, 3))},
        {"hypothesis": ["b3 / (b20 + 9) > 1.1", "b2 - b1 = 0"]},
        {"kind": "outcome"},
        {"kind": "outcome", "clusters": "new", "ci_kind": "hdi"},
        {"num_draws": 7, "ci_prob": 0.5},
    ],
    ids=" ".join,
)
def test_options_of_predictions(
    fit: hl.results.Fit, rows: pd.DataFrame, in_blocks: Callable[[], None], options: dict[str, Any]
) -> None:
    new = rows.assign(x=rows["x"].abs())
    whole, parts = (hl.predictions(fit, new, seed=3, **options) for _ in in_two(in_blocks))
    _same(whole, parts)


@pytest.mark.filterwarnings("ignore::hierlogit.errors.HierlogitWarning")
def test_missing_values_new_clusters_and_known_outcomes(
    fit: hl.results.Fit, rows: pd.DataFrame, in_blocks: Callable[[], None]
) -> None:
    new = rows.assign(
        clinic=[*rows["clinic"][:16], *(f"n{k % 7}" for k in range(12))],
        x=np.where(np.arange(28) % 6 == 3, np.nan, rows["x"]),
    ).set_index(np.arange(28) * 2)
    given = rows.head(6).assign(clinic=["n1", "n1", "n2", "n2", "n2", "n4"])
    results = [
        (
            hl.predictions(fit, new, given=given, allow_new_levels=True, direction=True, seed=5),
            hl.comparisons(fit, "arm", newdata=new, allow_new_levels=True, hypothesis="sequential", seed=5),
            hl.slopes(fit, newdata=new, allow_new_levels=True, seed=5),
        )
        for _ in in_two(in_blocks)
    ]
    for whole, parts in zip(*results, strict=True):
        assert whole["mean"].isna().sum() >= 4
        _same(whole, parts)


@pytest.mark.filterwarnings("ignore::hierlogit.errors.HierlogitWarning")
@pytest.mark.parametrize("clusters", CLUSTERS, ids=str)
def test_averages_do_not_depend_on_the_draws_that_are_computed_at_once(
    fit: hl.results.Fit, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, clusters: Any
) -> None:
    results = []
    for size in (2**23, 3 * len(rows)):
        monkeypatch.setattr("hierlogit.density.linear_predictor.CHUNK_SIZE", size)
        options = {"by": "arm", "weights": rows["x"].abs(), "clusters": clusters, "seed": 1}
        kinds = ["expected"] if clusters == "average" else ["expected", "outcome"]
        averages = [hl.avg_predictions(fit, kind=kind, hypothesis="pairwise", **options) for kind in kinds]
        results.append([*averages, hl.avg_comparisons(fit, rope=(-1, 1), **options), hl.avg_slopes(fit, **options)])
    for whole, parts in zip(*results, strict=True):
        _same(whole, parts, ACCURACY.get(str(clusters), 1e-12))


def test_draws_are_computed_when_they_are_read(fit: hl.results.Fit, in_blocks: Callable[[], None]) -> None:
    whole = hl.predictions(fit, seed=1).draws
    in_blocks()
    parts = hl.predictions(fit, seed=1).draws
    assert not isinstance(parts.variable._data, np.ndarray)
    assert parts.dims == whole.dims
    some = {"row": [20, 3], "draw": slice(1, 9, 3)}
    xr.testing.assert_allclose(parts.isel(some), whole.isel(some))
    assert float(parts[0, 4, 7]) == pytest.approx(float(whole[0, 4, 7]))
    again = pickle.loads(pickle.dumps(parts))
    xr.testing.assert_allclose(again.load(), whole)


def test_simulated_outcomes_are_computed_when_they_are_read(fit: hl.results.Fit, in_blocks: Callable[[], None]) -> None:
    whole, parts = (hl.posterior_predictive(fit, clusters="new", seed=2) for _ in in_two(in_blocks))
    lazy = parts["posterior_predictive"]["y"]
    assert not isinstance(lazy.variable._data, np.ndarray)
    assert lazy.dtype == np.int64
    xr.testing.assert_identical(lazy.load(), whole["posterior_predictive"]["y"])


def test_a_block_holds_no_more_than_its_size(
    fit: hl.results.Fit, in_blocks: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_blocks()
    seen: list[int] = []
    summarise = evaluated.summarise

    def watched(draws: np.ndarray, interval: Any) -> Any:
        seen.append(draws.shape[1])
        return summarise(draws, interval)

    monkeypatch.setattr("hierlogit.effects.evaluated.summarise", watched)
    hl.predictions(fit)
    assert seen == [8, 8, 8, 4]


def test_outcomes_of_another_stream_are_not_those_of_another_seed() -> None:
    p, ones = np.full((20, 300), 0.5), np.ones(300)
    first, second = simulated_outcomes(1, 1, 0, 0, p, ones), simulated_outcomes(2, 0, 0, 0, p, ones)
    assert 0.45 < np.mean(first == second) < 0.55
