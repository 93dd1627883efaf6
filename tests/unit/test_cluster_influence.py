"""Clusters left out one at a time: against models of the other rows, and what must hold whatever the data."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import FitError, StudyError

FORMULA = "p(successes, size) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def fit() -> hl.Fit:
    return hl.Model(FORMULA, hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))


@pytest.fixture(scope="module")
def found(fit: hl.Fit) -> hl.Influence:
    return hl.influence(fit)


def _rows(clusters: int = 12, size: int = 25, seed: int = 2) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    g = np.repeat([f"c{k:02}" for k in range(clusters)], size)
    x = random.normal(size=clusters * size)
    eta = 1.2 * x + np.repeat(random.normal(0, 0.5, clusters), size)
    return pd.DataFrame({"g": g, "x": x, "y": (random.uniform(size=len(x)) < 1 / (1 + np.exp(-eta))).astype(int)})


def test_measures_by_hand(fit: hl.Fit, found: hl.Influence) -> None:
    frame = hl.datasets.load("cbpp")
    assert fit.estimate is not None
    beta, se, V = fit.estimate.beta, fit.estimate.standard_errors, fit.estimate.covariance[:4, :4]
    for herd in (11, 1, 8):
        rest = hl.Model(FORMULA, frame[frame["herd"] != herd]).fit(hl.Laplace()).estimate
        assert rest is not None
        change = rest.beta - beta
        np.testing.assert_allclose(found.changes.loc[herd].iloc[:4], change, atol=2e-3 * se.max())
        np.testing.assert_allclose(found.dfbetas.loc[herd].iloc[:4], change / se, atol=2e-3)
        row = found.table.loc[herd]
        assert row["cooks_distance"] == pytest.approx(change @ np.linalg.inv(V) @ change / 4, abs=2e-3)
        assert row["rows"] == (frame["herd"] == herd).sum()
        assert row["dfbetas"] == found.dfbetas.loc[herd].abs().max()
        assert row["parameter"] == found.dfbetas.loc[herd].abs().idxmax()
        sd = "sd_herd[Intercept]"
        assert found.changes.loc[herd, sd] == pytest.approx(rest.sd("herd")[0] - found.estimate[sd], abs=2e-3)
    np.testing.assert_allclose(found.se, hl.summary(fit, interval="wald")["se"])


def test_result_is_sorted_and_shown(found: hl.Influence) -> None:
    assert found.table["cooks_distance"].is_monotonic_decreasing
    assert found.by == "herd"
    for one in (found.changes, found.dfbetas):
        assert one.index.equals(found.table.index)
    assert (found.table["status"] == "converged").all()
    assert repr(found).startswith("Influence of 15 clusters of herd, fitted again by Laplace without each")
    assert "and 5 more" in repr(found)
    assert "<table" in found._repr_html_()


def test_a_cluster_with_turned_outcomes_comes_first() -> None:
    frame = _rows()
    turned = frame["g"] == "c07"
    frame.loc[turned, "y"] = 1 - frame.loc[turned, "y"]
    found = hl.influence(hl.Model("y ~ x + (1 | g)", frame).fit(hl.Laplace()))
    assert found.table.index[0] == "c07"
    assert found.changes.loc["c07", "x"] > 0
    assert found.table["cooks_distance"].iloc[0] > 2 * found.table["cooks_distance"].iloc[1]


def test_names_and_order_of_clusters_do_not_matter() -> None:
    frame = _rows()
    names = dict(zip(frame["g"].unique(), np.random.default_rng(4).permutation(frame["g"].unique()), strict=True))
    other = frame.assign(g=frame["g"].map(names)).sample(frac=1, random_state=1)
    one, two = (hl.influence(hl.Model("y ~ x + (1 | g)", rows).fit(hl.Laplace())) for rows in (frame, other))
    expected = one.dfbetas.rename(index=names)
    pd.testing.assert_frame_equal(two.dfbetas.loc[expected.index], expected, atol=2e-3, check_names=False)


@pytest.mark.parametrize("engine", [hl.AGQ(nodes=7), hl.MAP()])
def test_other_engines_are_refitted_as_they_were_fitted(engine: Any) -> None:
    model = hl.Model(FORMULA, hl.datasets.load("cbpp"))
    fit = model.fit(engine)
    other = hl.influence(fit)
    index, estimate = model.design.groups[0].index, fit.estimate
    assert estimate is not None
    rest = hl.Model.from_parts(
        FORMULA, hl.Model(FORMULA, hl.datasets.load("cbpp")[index != 3]).design.table, model.priors
    )
    again = rest.fit(engine).estimate
    assert again is not None
    label = model.design.groups[0].levels[3]
    atol = 3e-3 * estimate.standard_errors.max()
    np.testing.assert_allclose(other.changes.loc[label].iloc[:4], again.beta - estimate.beta, atol=atol)
    assert other.method == f"fitted again by {type(engine).__name__} without each"


def test_rows_without_which_there_is_no_estimate_are_named() -> None:
    model = hl.Model("use ~ urban + livch + (1 | district)", hl.datasets.load("contraception"))
    found = hl.influence(model.fit(hl.Laplace()), "livch")
    assert set(found.table["status"]) == {"failed"}
    assert found.failures["2"] == "FitError: these outcomes do not bound 'livch[2]'."
    assert found.changes.isna().all(axis=None)
    assert "4 of them failed: no estimates without '0', '1', '2', '3+'" in repr(found)
    # Priors know what the data do not.
    bounded = hl.influence(model.fit(hl.MAP()), "livch")
    assert set(bounded.table["status"]) == {"converged"}


def test_other_columns_make_clusters_too() -> None:
    frame = _rows().assign(decade=lambda rows: (rows.index // 60) * 10)
    found = hl.influence(hl.Model("y ~ x + decade + (1 | g)", frame).fit(hl.Laplace()), "decade")
    assert sorted(found.table.index) == [0, 10, 20, 30, 40]
    assert found.table["rows"].sum() == len(frame)


def test_a_correlation_without_sds_is_none() -> None:
    # Clusters like each other but for one.
    x, y = np.linspace(-1, 1, 12), np.array([0, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1])
    frame = pd.DataFrame({"g": np.repeat([f"c{k}" for k in range(6)], 12), "x": np.tile(x, 6), "y": np.tile(y, 6)})
    frame.loc[frame["g"] == "c0", "y"] = np.where(x < 0.3, 1, 0)
    found = hl.influence(hl.Model("y ~ x + (1 + x | g)", frame).fit(hl.Laplace()))
    sds = found.changes["sd_g[x]"] + found.estimate["sd_g[x]"]
    gone = sds.index[sds == 0]
    assert "c0" in gone
    assert found.changes.loc[gone, "cor_g[Intercept, x]"].isna().all()


def test_whatever_else_is_asked(fit: hl.Fit, found: hl.Influence) -> None:
    def odds(one: hl.Fit) -> dict[str, float]:
        assert one.estimate is not None
        return {"odds": float(np.exp(one.estimate.beta[0])), "mean": float(one.posterior["beta"][..., 0].mean())}

    asked = hl.influence(fit, estimand=odds)
    total = asked.changes + asked.estimate
    np.testing.assert_allclose(total["odds"], np.exp(total["Intercept"]))
    # The draws of refits are those of the fit about another maximum.
    np.testing.assert_allclose(asked.changes["mean"], asked.changes["Intercept"], atol=0.05 * found.se["Intercept"])
    assert list(asked.dfbetas.columns) == list(found.dfbetas.columns)
    number = hl.influence(fit, estimand=lambda one: float(one.estimate.beta[1]))  # type: ignore[union-attr]
    np.testing.assert_allclose(number.changes["estimand"], number.changes["period[p2]"])


def test_a_fit_without_a_cluster_predicts_it_as_a_new_one(fit: hl.Fit) -> None:
    seen: list[hl.Fit] = []
    hl.influence(fit, estimand=lambda one: float(len(seen.append(one) or seen)))  # type: ignore[func-returns-value]
    first = seen[1]
    assert first.estimate is not None
    assert first.estimate.modes["herd"][0, 0] == pytest.approx(0, abs=1e-8)
    assert first.estimate.conditional_sds["herd"][0, 0] == pytest.approx(first.estimate.sd("herd")[0])
    assert len(hl.predictions(first)) == 56


def test_workers_make_no_difference(fit: hl.Fit, found: hl.Influence) -> None:
    with ThreadPoolExecutor(1) as threads:
        pd.testing.assert_frame_equal(hl.influence(fit, executor=threads).changes, found.changes)


class _Stubborn(Executor):
    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        raise KeyboardInterrupt


def test_interrupted_work_is_marked(fit: hl.Fit) -> None:
    found = hl.influence(fit, executor=_Stubborn())
    assert set(found.table["status"]) == {"interrupted"}
    assert "15 of them interrupted" in repr(found)


def test_what_cannot_be_asked_is_said(fit: hl.Fit) -> None:
    with pytest.raises(FitError, match="there are no clusters of 'farm'; the model's table has 'herd'"):
        hl.influence(fit, "farm")
    with pytest.raises(FitError, match="names of parameters, .'Intercept'"):
        hl.influence(fit, estimand=lambda _: {"Intercept": 1.0})
    with pytest.raises(StudyError, match="the estimand returned str"):
        hl.influence(fit, estimand=lambda _: "much")
    crossed = hl.Model("r2 ~ btype + (1 | id) + (1 | item)", hl.datasets.load("verbagg")).fit(hl.Laplace())
    with pytest.raises(FitError, match="2 grouping factors; say whose"):
        hl.influence(crossed)
    months = hl.Model("y ~ x + offset(month) + (1 | g)", _rows().assign(month=1)).fit(hl.Laplace())
    with pytest.raises(FitError, match="'month' has one value only"):
        hl.influence(months, "month")
