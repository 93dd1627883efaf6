"""Scores of independent clusters: their sums, differences of the log-likelihood, and which clusters are independent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.engines.maximum.cluster_scores import cluster_scores, independent_clusters
from hierlogit.errors import FitError

FloatArray = npt.NDArray[np.float64]


def _nested_rows() -> pd.DataFrame:
    """Twelve schools of two or three classes, and crossed regions of the rows."""
    random = np.random.default_rng(5)
    school = np.repeat(np.arange(12), 10)
    effect = random.normal(0, 1.0, 12)[school]
    x = random.normal(size=120).round(1)
    y = (random.uniform(size=120) < 1 / (1 + np.exp(-0.5 * x - effect))).astype(int)
    room = school % 2 + 2
    return pd.DataFrame(
        {
            "y": y,
            "x": x,
            "school": [f"s{k:02}" for k in school],
            "room": np.tile(np.arange(10), 12) % room,
            "district": school // 3,
            "rater": random.integers(0, 4, 120),
        }
    )


@pytest.mark.parametrize(
    ("formula", "engine", "cluster"),
    [
        ("y ~ x + (1 + x | school)", hl.Laplace(), None),
        ("y ~ x + (1 + x | school)", hl.AGQ(nodes=5), "school"),
        ("y ~ x + (1 | school/room)", hl.AGQ(nodes=5), None),
        ("y ~ x + (1 | school/room)", hl.Laplace(), "district"),
        ("y ~ x + (1 | school)", hl.MAP(), None),
        ("y ~ x", hl.Laplace(), "school"),
    ],
)
@pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")
def test_scores_are_slopes_of_log_likelihoods_that_add_up(formula: str, engine: Any, cluster: str | None) -> None:
    rows = _nested_rows()
    fit = hl.Model(formula, rows).fit(engine)
    model, estimate = fit.model, fit.estimate
    assert estimate is not None
    named = cluster is None or cluster in formula
    index = independent_clusters(model, cluster if named else rows[cluster]).index
    found = cluster_scores(model, estimate, index)
    count = rows[cluster or "school"].nunique()
    assert found.scores.shape == (count, len(estimate.covariance))
    assert found.log_likelihood.sum() == pytest.approx(estimate.log_likelihood, abs=1e-8)

    def moved(k: int, step: float) -> FloatArray:
        beta, cholesky = estimate.beta.copy(), {name: L.copy() for name, L in estimate.cholesky.items()}
        if k < len(beta):
            beta[k] += step
        else:
            name, a, b = estimate.entries[k - len(beta)]
            cholesky[name][a, b] += step
        return cluster_scores(model, replace(estimate, beta=beta, cholesky=cholesky), index).log_likelihood

    slopes = np.column_stack([(moved(k, 1e-5) - moved(k, -1e-5)) / 2e-5 for k in range(found.scores.shape[1])])
    np.testing.assert_allclose(found.scores, slopes, atol=1e-7)
    if not estimate.penalised:
        np.testing.assert_allclose(found.scores.sum(axis=0), 0.0, atol=1e-3)


def test_scores_of_rows_without_random_effects_are_those_of_a_logistic_regression() -> None:
    rows = _nested_rows().assign(x=lambda frame: frame["x"].round(0))  # many identical rows
    fit = hl.Model("y ~ x", rows).fit("laplace")
    assert fit.estimate is not None
    X = fit.model.design.X
    residual = rows["y"].to_numpy() - 1 / (1 + np.exp(-X @ fit.estimate.beta))
    codes = rows["school"].astype("category").cat.codes.to_numpy()
    by_hand = np.array([(X * residual[:, None])[codes == k].sum(axis=0) for k in range(12)])
    index = independent_clusters(fit.model, rows["school"]).index
    np.testing.assert_allclose(cluster_scores(fit.model, fit.estimate, index).scores, by_hand, atol=1e-12)


@pytest.mark.parametrize(
    ("formula", "cluster", "message"),
    [
        ("y ~ x + (1 | school) + (1 | rater)", None, "crossed grouping factors: pass cluster="),
        ("y ~ x + (1 | school) + (1 | rater)", "school", "clusters of 'rater' have rows in several of its clusters"),
        ("y ~ x + (1 | school/room)", "school:room", "clusters of 'school' have rows in several.*choose 'school'"),
        ("y ~ x", None, "no random effects: pass cluster="),
        ("y ~ x + (1 | school)", "district", r"neither a grouping factor.*cluster=data\['district'\]"),
        ("y ~ x + (1 | school)", np.arange(7), "has 7 values and the model 120 rows"),
        ("y ~ x + (1 | school)", 3, "must be the name of a grouping factor or column, or a value for each row"),
        ("y ~ x + (1 | school)", [None, *range(119)], "has no value in 1 row"),
        ("y ~ x + (1 | school)", ["a"] * 120, "has only one value"),
    ],
)
def test_clusters_that_are_not_independent_are_refused(formula: str, cluster: Any, message: str) -> None:
    model = hl.Model(formula, _nested_rows())
    with pytest.raises(FitError, match=message):
        independent_clusters(model, cluster)


def test_a_column_is_taken_by_the_labels_of_its_rows() -> None:
    rows = _nested_rows().set_index(np.arange(120) + 1000)
    rows.loc[1003, "x"] = np.nan
    with pytest.warns(hl.errors.DataWarning):
        model = hl.Model("y ~ x + (1 | school)", rows)
    shuffled = rows["district"].sample(frac=1, random_state=1)
    found = independent_clusters(model, shuffled)
    assert found.group == "district"
    np.testing.assert_array_equal(found.index, rows["district"].drop(1003))
    with pytest.raises(FitError, match="has 120 values and the model 119 rows"):
        independent_clusters(model, rows["district"].to_numpy())


def test_clusters_of_weighted_rows() -> None:
    rows = _nested_rows().assign(n=np.arange(120) % 3, w=np.linspace(0.5, 2, 120))
    counted = hl.Model("y ~ x + (1 | school)", rows, weights=hl.FrequencyWeights("n"))
    repeated = rows["district"].repeat(rows["n"])
    np.testing.assert_array_equal(independent_clusters(counted, repeated).index, repeated)
    with pytest.raises(FitError, match=r"Repeat each value.*data\['region'\].repeat\(data\['n'\]\)"):
        independent_clusters(counted, rows["district"])
    fit = hl.Model("y ~ x + (1 | school)", rows, weights=hl.SamplingWeights("w")).fit("laplace")
    assert fit.estimate is not None
    found = cluster_scores(fit.model, fit.estimate, independent_clusters(fit.model, None).index)
    assert found.log_likelihood.sum() == pytest.approx(fit.estimate.log_likelihood, abs=1e-8)
    moves = found.scores @ fit.estimate.model_covariance
    np.testing.assert_allclose(12 / 11 * moves.T @ moves, fit.estimate.covariance, rtol=1e-3)
