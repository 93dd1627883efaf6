"""Clusters left out one at a time: against models of the other rows, and what must hold whatever the data."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.density.linear_predictor import Draws
from hierlogit.errors import FitError, StudyError
from hierlogit.model_comparison.leave_out import integrated_log_likelihood

FORMULA = "p(successes, size) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def fit() -> hl.results.Fit:
    return hl.Model(FORMULA, hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))


@pytest.fixture(scope="module")
def found(fit: hl.results.Fit) -> hl.results.Influence:
    return hl.influence(fit)


def _rows(clusters: int = 12, size: int = 25, seed: int = 2) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    g = np.repeat([f"c{k:02}" for k in range(clusters)], size)
    x = random.normal(size=clusters * size)
    eta = 1.2 * x + np.repeat(random.normal(0, 0.5, clusters), size)
    return pd.DataFrame({"g": g, "x": x, "y": (random.uniform(size=len(x)) < 1 / (1 + np.exp(-eta))).astype(int)})


def test_measures_by_hand(fit: hl.results.Fit, found: hl.results.Influence) -> None:
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


def test_result_is_sorted_and_shown(found: hl.results.Influence) -> None:
    assert found.table["cooks_distance"].is_monotonic_decreasing
    assert found.group == "herd"
    for one in (found.changes, found.dfbetas):
        assert one.index.equals(found.table.index)
    assert (found.table["status"] == "converged").all()
    assert repr(found).startswith("Influence of 15 clusters of herd, fitted again by Laplace without each")
    assert len(repr(found).splitlines()) == 3 + len(found.table)
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
    assert found.failures["2"] == "FitError: the estimate is infinite with these outcomes: 'livch[2]'."
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


def test_whatever_else_is_asked(fit: hl.results.Fit, found: hl.results.Influence) -> None:
    def odds(one: hl.results.Fit) -> dict[str, float]:
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


def test_a_fit_without_a_cluster_predicts_it_as_a_new_one(fit: hl.results.Fit) -> None:
    seen: list[hl.results.Fit] = []
    hl.influence(fit, estimand=lambda one: float(len(seen.append(one) or seen)))  # type: ignore[func-returns-value]
    first = seen[1]
    assert first.estimate is not None
    assert first.estimate.modes["herd"][0, 0] == pytest.approx(0, abs=1e-8)
    assert first.estimate.conditional_sds["herd"][0, 0] == pytest.approx(first.estimate.sd("herd")[0])
    assert len(hl.predictions(first)) == 56


def test_workers_make_no_difference(fit: hl.results.Fit, found: hl.results.Influence) -> None:
    with ThreadPoolExecutor(1) as threads:
        pd.testing.assert_frame_equal(hl.influence(fit, executor=threads).changes, found.changes)


class _Stubborn(Executor):
    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        raise KeyboardInterrupt


def test_interrupted_work_is_marked(fit: hl.results.Fit) -> None:
    found = hl.influence(fit, executor=_Stubborn())
    assert set(found.table["status"]) == {"interrupted"}
    assert "15 of them interrupted" in repr(found)


def test_what_cannot_be_asked_is_said(fit: hl.results.Fit) -> None:
    with pytest.raises(FitError, match="no grouping factor or column 'farm' in the model; choose one of 'herd'"):
        hl.influence(fit, "farm")
    with pytest.raises(FitError, match="names of parameters, 'Intercept'"):
        hl.influence(fit, estimand=lambda _: {"Intercept": 1.0})
    with pytest.raises(StudyError, match="the estimand returned str"):
        hl.influence(fit, estimand=lambda _: "much")
    crossed = hl.Model("r2 ~ btype + (1 | id) + (1 | item)", hl.datasets.load("verbagg")).fit(hl.Laplace())
    with pytest.raises(FitError, match="2 grouping factors: pass group="):
        hl.influence(crossed)
    months = hl.Model("y ~ x + offset(month) + (1 | g)", _rows().assign(month=1)).fit(hl.Laplace())
    with pytest.raises(FitError, match="'month' has only one value"):
        hl.influence(months, "month")


def test_likelihoods_of_clusters_are_integrals(make_fit: Any) -> None:
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"a": np.repeat(np.arange(6), 8), "b": np.tile(np.arange(4), 12), "x": random.normal(size=48)})
    frame["y"] = random.integers(0, 2, 48)
    fit = make_fit("y ~ x + (1 + x | a) + (1 | b)", frame, draws=3, chains=1)
    draws = Draws.of(fit.model, fit.posterior)
    rows = (frame["a"] == 2).to_numpy()
    found = integrated_log_likelihood(fit.model, draws, rows)
    own = frame[rows]
    u = np.linspace(-7, 7, 281)
    first, second = np.meshgrid(u, u)
    prior = np.exp(-0.5 * (first**2 + second**2)) / (2 * np.pi) * (u[1] - u[0]) ** 2
    for s in range(3):
        L, likelihood = draws.cholesky["a"][s], np.ones_like(first)
        for y, x, b in zip(own["y"], own["x"], own["b"], strict=True):
            # Effects of b have other rows, and are known.
            eta = draws.beta[s] @ [1, x] + draws.effects["b"][s, b, 0]
            p = expit(eta + L[0, 0] * first + x * (L[1, 0] * first + L[1, 1] * second))
            likelihood = likelihood * (p if y else 1 - p)
        assert found[s] == pytest.approx(np.log((likelihood * prior).sum()), abs=1e-4)
    # Rows all of whose clusters have others are taken as they are.
    half = (frame["x"] > 0).to_numpy()
    pointwise = fit.data["log_likelihood"]["y"].transpose("chain", "draw", "obs").to_numpy()[0]
    np.testing.assert_allclose(integrated_log_likelihood(fit.model, draws, half), pointwise[:, half].sum(axis=1))


def test_what_lies_within_a_cluster_is_left_out_with_it(make_fit: Any) -> None:
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"a": np.repeat(np.arange(5), 6), "b": np.tile([0, 0, 0, 1, 1, 1], 5)})
    frame["y"] = random.integers(0, 2, 30)
    fit = make_fit("y ~ 1 + (1 | a / b)", frame, draws=2, chains=1)
    draws = Draws.of(fit.model, fit.posterior)
    found = integrated_log_likelihood(fit.model, draws, (frame["a"] == 3).to_numpy())
    v = np.linspace(-7, 7, 401)
    weight = np.exp(-0.5 * v * v) / np.sqrt(2 * np.pi) * (v[1] - v[0])
    for s in range(2):
        outer, inner = draws.cholesky["a"][s, 0, 0], draws.cholesky["a:b"][s, 0, 0]
        total = np.ones_like(v)
        for b in range(2):
            y = frame.loc[(frame["a"] == 3) & (frame["b"] == b), "y"].to_numpy()[:, None, None]
            p = expit(draws.beta[s, 0] + outer * v[:, None] + inner * v)
            total *= np.where(y == 1, p, 1 - p).prod(axis=0) @ weight
        assert found[s] == pytest.approx(np.log(total @ weight), abs=1e-4)


@pytest.fixture(scope="module")
def turned() -> hl.results.Fit:
    """One large cluster is unlike the others; with fewer draws, Cook's distances are only known to a fifth or so."""
    frame = _rows(clusters=10, size=30)
    frame.loc[frame["g"] == "c07", "y"] = 1
    return hl.Model("y ~ x + (1 | g)", frame).fit(hl.NUTS(draws=2000, seed=1, progress=False))


def test_weighted_draws_tell_when_they_cannot_be_trusted(turned: hl.results.Fit) -> None:
    weighted = hl.influence(turned, refit=False)
    assert weighted.table["dfbetas"].idxmax() == "c07"
    assert weighted.table["pareto_k"].idxmax() == "c07"
    assert weighted.table["status"].value_counts().to_dict() == {"converged": 9, "check": 1}
    assert "1 of them check: weights of draws are unreliable (refit=True samples again) without 'c07'" in repr(weighted)
    again = hl.influence(turned)
    assert (again.table["status"] == "converged").all()
    assert again.table.index[0] == "c07"
    assert np.isnan(again.table.loc["c07", "pareto_k"])
    # Without it clusters hardly differ.
    sd = "sd_g[Intercept]"
    assert again.changes.loc["c07", sd] < weighted.changes.loc["c07", sd] < 0
    others = [label for label in weighted.table.index if label != "c07"]
    pd.testing.assert_frame_equal(again.changes.loc[others], weighted.changes.loc[others])
    # The model of the other rows alone says the same.
    frame = turned.model.design.table.frame
    rest = hl.Model("y ~ x + (1 | g)", frame[frame["g"] != "c07"]).fit(hl.NUTS(draws=1000, seed=2, progress=False))
    alone = hl.summary(rest)["mean"] - again.estimate
    np.testing.assert_allclose(again.changes.loc["c07"], alone, atol=0.25 * again.se.min())


def test_estimands_of_samplers_fits_see_draws_without_the_cluster(turned: hl.results.Fit) -> None:
    def asked(fit: hl.results.Fit) -> dict[str, float]:
        effects = fit.posterior["b_g"].sel(g="c02").to_numpy()
        return {"x again": float(fit.posterior["beta"][..., 1].mean()), "spread": float(effects.std())}

    found = hl.influence(turned, estimand=asked, refit=False)
    gap = found.changes["x again"] - found.changes["x"]
    # The sd of the mean of resampled draws is about 1 / sqrt(2000) of a posterior sd.
    assert gap.drop("c07").abs().max() < 0.08 * found.se["x"]
    # Nothing is known of the cluster that is left out.
    total = (found.changes["spread"] + found.estimate["spread"]).drop("c07")
    assert total.idxmax() == "c02"
    assert total["c02"] > 1.5 * found.estimate["spread"]


def test_graphs_are_not_sampled_again(turned: hl.results.Fit) -> None:
    report = replace(turned.diagnostics, settings={**turned.diagnostics.settings, "backend": "pymc"})
    other = hl.results.Fit(turned.model, turned.data, report)
    found = hl.influence(other)
    assert "only fits by hl.NUTS(backend='native')" in found.failures["c07"]
    assert found.table.loc["c07", "status"] == "failed"
