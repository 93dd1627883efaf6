"""Representative clusters: against formulas written out from the draws, and against averages over clusters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, ndtri

import hierlogit as hl
from hierlogit.effects.cluster_choice import ClusterChoice, ClusterQuantile, Clusters
from hierlogit.effects.numerics.population_average import average_probability
from hierlogit.errors import PredictionError

MakeFit = Callable[..., hl.results.Fit]
FORMULA = "y ~ x + arm + (1 + x | clinic) + (1 | reader)"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 90
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "x": rng.normal(0, 1.5, n),
            "arm": rng.choice(["a", "b"], n),
            "clinic": rng.choice([f"c{k}" for k in range(8)], n),
            "reader": rng.choice(["r1", "r2", "r3"], n),
        }
    )


@pytest.fixture(scope="module")
def fit(make_fit: MakeFit, rows: pd.DataFrame) -> hl.results.Fit:
    return make_fit(FORMULA, rows, draws=40)


@pytest.fixture(scope="module")
def laplace(rows: pd.DataFrame) -> hl.results.Fit:
    data = hl.datasets.load("contraception")
    return hl.Model("use ~ age + urban + (1 + urban | district)", data).fit(hl.Laplace(seed=1))


def _flat(fit: hl.results.Fit, name: str) -> np.ndarray:
    values: np.ndarray = fit.posterior[name].transpose("chain", "draw", ...).values
    return values.reshape(-1, *values.shape[2:])


def _fixed(fit: hl.results.Fit, rows: pd.DataFrame) -> np.ndarray:
    X = np.column_stack([np.ones(len(rows)), rows["x"], rows["arm"] == "b"])
    assert fit.model.design.fixed_effects == ("Intercept", "x", "arm[b]")
    return _flat(fit, "beta") @ X.T


def _variance(fit: hl.results.Fit, group: str, Z: np.ndarray) -> np.ndarray:
    """``z' Sigma z`` of each draw and row, from standard deviations and correlations."""
    sd = _flat(fit, f"sd_{group}")
    cor = _flat(fit, f"cor_{group}") if f"cor_{group}" in fit.posterior else np.ones((len(sd), 1, 1))
    covariance = sd[:, :, None] * cor * sd[:, None, :]
    variance: np.ndarray = np.einsum("na,sab,nb->sn", Z, covariance, Z)
    return variance


def _clinic_z(rows: pd.DataFrame) -> np.ndarray:
    return np.column_stack([np.ones(len(rows)), rows["x"]])


def _draws(table: Any) -> np.ndarray:
    values: np.ndarray = table.draws.values
    return values.reshape(-1, values.shape[-1])


def test_contribution_by_hand_with_slopes_and_two_factors(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    fixed, clinic = _fixed(fit, rows), _variance(fit, "clinic", _clinic_z(rows))
    reader = _variance(fit, "reader", np.ones((len(rows), 1)))
    for prob in (0.03, 0.9):
        table = hl.predictions(fit, clusters=prob, scale="link")
        np.testing.assert_allclose(_draws(table), fixed + ndtri(prob) * np.sqrt(clinic + reader), atol=1e-12)
    both = hl.predictions(fit, clusters={"clinic": 0.2, "reader": 0.7}, scale="link")
    apart = fixed + ndtri(0.2) * np.sqrt(clinic) + ndtri(0.7) * np.sqrt(reader)
    np.testing.assert_allclose(_draws(both), apart, atol=1e-12)
    np.testing.assert_allclose(
        _draws(hl.predictions(fit, clusters={"clinic": 0.2, "reader": 0.7})), expit(apart), atol=1e-12
    )


def test_other_factors_are_as_chosen(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    clinic = _fixed(fit, rows) + ndtri(0.1) * np.sqrt(_variance(fit, "clinic", _clinic_z(rows)))
    codes = rows["reader"].map({"r1": 0, "r2": 1, "r3": 2}).to_numpy()
    observed = clinic + _flat(fit, "b_reader")[:, codes, 0]
    np.testing.assert_allclose(
        _draws(hl.predictions(fit, clusters={"clinic": "low"}, scale="link")), observed, atol=1e-12
    )
    averaged = average_probability(clinic, np.sqrt(_variance(fit, "reader", np.ones((len(rows), 1)))))
    np.testing.assert_allclose(
        _draws(hl.predictions(fit, clusters={"clinic": "low", "reader": "average"})), averaged, atol=1e-9
    )
    new = [hl.predictions(fit, clusters={"clinic": p, "reader": "new"}, scale="link", seed=2) for p in (0.1, 0.9)]
    gap = ndtri(0.9) * 2 * np.sqrt(_variance(fit, "clinic", _clinic_z(rows)))
    np.testing.assert_allclose(_draws(new[1]) - _draws(new[0]), gap, atol=1e-12)  # the same new readers


def test_middle_is_typical(fit: hl.results.Fit, laplace: hl.results.Fit) -> None:
    for some in (fit, laplace):
        typical = hl.predictions(some, clusters="typical")
        for middle in ("middle", 0.5, [0.5], dict.fromkeys([group.name for group in some.model.design.groups], 0.5)):
            np.testing.assert_array_equal(_draws(hl.predictions(some, clusters=middle)), _draws(typical))


@settings(max_examples=8)
@given(
    x=st.lists(st.floats(-4, 4), min_size=1, max_size=4),
    arm=st.sampled_from(["a", "b"]),
    prob=st.floats(0.001, 0.999),
    step=st.floats(0.01, 0.3),
)
def test_quantiles_of_any_rows(fit: hl.results.Fit, x: list[float], arm: str, prob: float, step: float) -> None:
    """Higher quantiles have higher probabilities, and the typical cluster is in the middle of mirror images."""
    grid = pd.DataFrame({"x": x, "arm": arm})
    shares = [prob, 1 - prob, min(prob + step, 0.9995)]
    parts = np.split(_draws(hl.predictions(fit, grid, clusters=shares, scale="link")), len(set(shares)), axis=1)
    middle = _draws(hl.predictions(fit, grid, clusters="typical", scale="link"))
    if len(parts) == 3:
        np.testing.assert_allclose(parts[0] + parts[1], 2 * middle, atol=1e-10)
        assert np.all(parts[2] > parts[0])


def test_average_of_all_quantiles_is_the_average_over_clusters(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    grid, count = rows.head(9), 800
    quantiles = ((np.arange(count) + 0.5) / count).tolist()
    every = _draws(hl.predictions(fit, grid, clusters=quantiles, num_draws=3)).reshape(3, count, len(grid))
    average = _draws(hl.predictions(fit, grid, clusters="average", num_draws=3))
    np.testing.assert_allclose(every.mean(axis=1), average, atol=1e-4)  # the error of the midpoint rule


def test_comparisons_and_slopes_are_those_of_the_predictions(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    some, step = rows.head(7), 1e-5
    choices: list[Clusters] = ["high", {"clinic": 0.2, "reader": "average"}, {"clinic": 0.2, "reader": "observed"}]
    for clusters in choices:
        high, low, above, below = (
            _draws(hl.predictions(fit, some.assign(x=some["x"] + shift), clusters=clusters))
            for shift in (1, 0, step, -step)
        )
        compared = hl.comparisons(fit, {"x": 1}, newdata=some, clusters=clusters, comparison="ratio")
        np.testing.assert_allclose(_draws(compared), high / low, rtol=1e-9)
        slopes = hl.slopes(fit, "x", newdata=some, clusters=clusters)
        np.testing.assert_allclose(_draws(slopes), (above - below) / (2 * step), atol=1e-7)
        averages = hl.avg_slopes(fit, "x", newdata=some, clusters=clusters)
        np.testing.assert_allclose(_draws(averages)[:, 0], _draws(slopes).mean(axis=1), atol=1e-12)


def test_slopes_are_exact_for_the_changing_spread(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    """On the link scale, d/dx of ``q sqrt(z' Sigma z)`` is ``q (Sigma z)_x / sqrt(z' Sigma z)``."""
    sd, cor = _flat(fit, "sd_clinic"), _flat(fit, "cor_clinic")
    covariance = sd[:, :, None] * cor * sd[:, None, :]
    Z = _clinic_z(rows)
    change = ndtri(0.1) * np.einsum("sb,nb->sn", covariance[:, 1], Z) / np.sqrt(_variance(fit, "clinic", Z))
    slopes = hl.slopes(fit, "x", clusters={"clinic": "low"}, scale="link")
    np.testing.assert_allclose(_draws(slopes), _flat(fit, "beta")[:, [1]] + change, atol=1e-6)


def test_estimates_of_likelihood_fits(laplace: hl.results.Fit) -> None:
    grid = hl.datagrid(laplace, urban=["N", "Y"])
    table = hl.predictions(laplace, grid, clusters=["low", "high"], scale="link")
    estimate = laplace.estimate
    assert estimate is not None
    covariance = estimate.cholesky["district"] @ estimate.cholesky["district"].T
    expected = []
    for q in ndtri([0.1, 0.9]):
        for urban in (0.0, 1.0):
            z = np.array([1.0, urban])
            fixed = estimate.beta @ np.array([1.0, grid["age"][0], urban])
            expected.append(fixed + q * np.sqrt(z @ covariance @ z))
    np.testing.assert_allclose(table["estimate"], expected, atol=1e-10)
    tested = hl.predictions(laplace, grid, clusters="low", direction=True)
    assert np.isfinite(tested["z"]).all()


def test_tables_name_the_clusters(fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    grid = hl.datagrid(fit, arm=["a", "b"])
    table = hl.predictions(fit, grid, clusters=["low", 0.995])
    assert list(table.columns[:2]) == ["clusters", "x"]
    assert table["clusters"].tolist() == ["clinic + reader 10%"] * 2 + ["clinic + reader 99.5%"] * 2
    assert table["arm"].tolist() == ["a", "b", "a", "b"]
    assert table.index.tolist() == [0, 1, 2, 3]
    apart = hl.avg_comparisons(fit, ["x", "arm"], clusters={"clinic": [0.1, 0.9], "reader": [0.3, "middle"]})
    assert apart["clusters"].tolist() == [
        f"clinic {a}%, reader {b}%" for a in (10, 90) for b in (30, 50) for _ in ("x", "arm")
    ]
    assert apart["term"].tolist() == ["x", "arm"] * 4
    labelled = hl.predictions(fit, grid.set_axis(["p", "q"]).assign(clusters=3), clusters=[0.2, 0.3])
    assert labelled.index.tolist() == ["p", "q"] * 2
    assert labelled["clusters_in_data"].tolist() == [3] * 4
    pair = hl.avg_predictions(fit, clusters=["low", "high"], hypothesis="pairwise")
    assert pair["hypothesis"].tolist() == ["(clinic + reader 90%) - (clinic + reader 10%)"]
    assert "clusters" not in hl.predictions(fit, grid, clusters="typical")
    assert len(hl.predictions(fit, grid, clusters=["low", 0.1, "low"])) == 2  # each once


def test_outcomes_of_different_clusters_are_independent(fit: hl.results.Fit) -> None:
    grid = hl.datagrid(fit).iloc[np.zeros(400, dtype=int)].reset_index(drop=True)
    options: dict[str, Any] = {"kind": "outcome", "seed": 1}
    outcomes = _draws(hl.predictions(fit, grid, clusters=[0.4, 0.6], **options))
    low, high = np.split(outcomes, 2, axis=1)
    np.testing.assert_array_equal(low, _draws(hl.predictions(fit, grid, clusters=0.4, **options)))
    expected = _draws(hl.predictions(fit, grid.head(1), clusters=[0.4, 0.6]))
    np.testing.assert_allclose([low.mean(), high.mean()], expected.mean(axis=0), atol=0.01)
    within = [np.corrcoef(low[s], high[s])[0, 1] for s in range(len(low)) if 0 < low[s].mean() < 1]
    assert abs(np.mean(within)) < 0.02


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        (0, "clusters=0 must be a number between 0 and 1, the ends excluded"),
        (1.0, "clusters=1.0 must be a number between 0 and 1"),
        ({"clinic": -0.1}, r"clusters\['clinic'\]=-0.1 must be a number between 0 and 1"),
        ("lowest", "clusters='lowest' is not allowed; choose one of 'observed'.*'low', 'middle', 'high', or give"),
        (["average", 0.1], "a list holds quantiles.*not 'average'. Choose the others in calls of their own"),
        ([0.1, 1], "a list holds quantiles.*; not 1"),
        ([0.1, None], "a list holds quantiles.*; not None"),
        ([], "clusters has 0 quantiles; give from 1 to 10,000"),
        ({"ward": 0.1}, "there is no grouping factor 'ward' in the model; choose one of 'clinic', 'reader'"),
        ({"clinic": np.linspace(0.1, 0.9, 200), "reader": np.linspace(0.1, 0.9, 200)}, "40,000 combinations"),
    ],
    ids=str,
)
def test_what_is_refused(fit: hl.results.Fit, clusters: Any, message: str) -> None:
    with pytest.raises(PredictionError, match=message):
        hl.predictions(fit, clusters=clusters)


def test_where_there_are_no_representative_clusters(make_fit: MakeFit, fit: hl.results.Fit, rows: pd.DataFrame) -> None:
    plain = make_fit("y ~ x", rows, draws=5)
    with pytest.raises(PredictionError, match="clusters='low': the model has no random effects"):
        hl.predictions(plain, clusters="low")
    functions: list[Callable[..., Any]] = [hl.scores, hl.residuals, hl.calibration, hl.posterior_predictive]
    for function in functions:
        with pytest.raises(PredictionError, match="quantiles of clusters are for predictions, comparisons and slopes"):
            function(fit, clusters={"clinic": 0.1})
    with pytest.raises(PredictionError, match="leave clusters= at 'observed' for 'clinic'"):
        hl.predictions(fit, given=rows, clusters={"clinic": 0.1})


def test_sets_are_products_of_quantiles(fit: hl.results.Fit) -> None:
    choice = ClusterChoice.of(fit.model, {"clinic": ["low", 0.6], "reader": 0.5})
    reader = ClusterQuantile(("reader",), 0.5)
    assert choice.sets == tuple((ClusterQuantile(("clinic",), prob), reader) for prob in (0.1, 0.6))
    assert choice.treatments == {"clinic": "quantile", "reader": "quantile"}
    assert ClusterChoice.of(fit.model, {"reader": "new"}).sets == ((),)
