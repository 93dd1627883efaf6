"""The league table against the same quantities computed by loops over draws and rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import xarray as xr

import hierlogit as hl
from hierlogit.clusters import event_counts, rows_by_cluster
from hierlogit.density.linear_predictor import Draws
from hierlogit.errors import FitError, PredictionError
from hierlogit.fits.fit import Fit

FloatArray = npt.NDArray[np.float64]
MakeFit = Callable[..., Fit]
ClusteredRows = Callable[..., pd.DataFrame]

CROSSED = "healed ~ dose + arm + (1 + dose | clinic) + (1 | reader)"


@pytest.fixture(scope="module")
def crossed(make_fit: MakeFit, clustered_rows: ClusteredRows) -> Fit:
    return make_fit(CROSSED, clustered_rows(7, 9), draws=30, chains=2)


@pytest.fixture(scope="module")
def herds(make_fit: MakeFit) -> Fit:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"herd": np.repeat(np.arange(9), 4), "period": np.tile(["1", "2", "2", "4"], 9)})
    frame["size"] = rng.integers(2, 35, len(frame))
    frame["sick"] = rng.binomial(frame["size"], 0.25)
    return make_fit("p(sick, size) ~ period + (1 | herd)", frame, draws=40)


def average(mean: float, sd: float) -> float:
    """The probability averaged over a normal distribution, by a fine sum."""
    if sd == 0:
        return 1 / (1 + math.exp(-mean))
    v = np.linspace(-8, 8, 401)
    weights = np.exp(-(v**2) / 2)
    return float(np.sum(weights / (1 + np.exp(-(mean + sd * v)))) / weights.sum())


def counted(fit: Fit, factor: str, averaged: str | None = None) -> Iterator[dict[str, FloatArray]]:
    """Sums of predicted and expected events of each cluster, draw by draw and row by row."""
    design, draws = fit.model.design, Draws.of(fit.model, fit.posterior)
    blocks = {group.name: group for group in design.groups}
    block = blocks[factor]
    for s in range(len(draws)):
        sums = {name: np.zeros(len(block.levels)) for name in ("predicted", "typical", "population", "variance")}
        sigma = {name: L[s] @ L[s].T for name, L in draws.cholesky.items()}
        for i in range(design.n_rows):
            j, trials = block.index[i], design.outcome.trials[i]
            eta, sd2 = float(design.X[i] @ draws.beta[s] + design.offset[i]), 0.0
            for name, other in blocks.items():
                if name == averaged:
                    sd2 += other.Z[i] @ sigma[name] @ other.Z[i]
                elif name != factor:
                    eta += other.Z[i] @ draws.effects[name][s, other.index[i]]
            own = block.Z[i] @ draws.effects[factor][s, j]
            p = average(eta, math.sqrt(sd2 + block.Z[i] @ sigma[factor] @ block.Z[i]))
            sums["predicted"][j] += trials * average(eta + own, math.sqrt(sd2))
            sums["typical"][j] += trials * average(eta, math.sqrt(sd2))
            sums["population"][j] += trials * p
            sums["variance"][j] += trials * p * (1 - p)
        yield sums


def quantiles(values: list[float], prob: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - prob) / 2, (1 + prob) / 2])
    return float(low), float(high)


@pytest.mark.parametrize(
    ("name", "factor", "others"),
    [("herds", "herd", "observed"), ("crossed", "clinic", "observed"), ("crossed", "clinic", "average")],
)
def test_events_are_those_counted_by_hand(name: str, factor: str, others: str, request: pytest.FixtureRequest) -> None:
    fit: Fit = request.getfixturevalue(name)
    draws = list(counted(fit, factor, "reader" if others == "average" else None))
    outcome, block = fit.model.design.outcome, fit.model.design.groups[0]
    overall = outcome.y.sum() / outcome.trials.sum()
    by_typical = hl.league_table(fit, factor, others=others, ci_prob=0.8)
    by_population = hl.league_table(fit, factor, others=others, expected="population", ci_prob=0.8)
    for j, label in enumerate(block.levels):
        inside = block.index == j
        events, trials = outcome.y[inside].sum(), outcome.trials[inside].sum()
        row = by_typical.table.loc[label]
        assert (row["rows"], row["trials"], row["events"]) == (inside.sum(), trials, events)
        assert row["rate"] == pytest.approx(events / trials)
        typical, population = ([draw[kind][j] for draw in draws] for kind in ("typical", "population"))
        assert row["expected_typical"] == pytest.approx(np.mean(typical))
        assert row["expected_population"] == pytest.approx(np.mean(population))
        assert row["expected_sd"] == pytest.approx(math.sqrt(np.mean([draw["variance"][j] for draw in draws])))
        for league, expected in ((by_typical, typical), (by_population, population)):
            found = league.table.loc[label]
            assert found["oe"] == pytest.approx(np.mean([events / e for e in expected]))
            pe = [draw["predicted"][j] / e for draw, e in zip(draws, expected, strict=True)]
            assert found["pe"] == pytest.approx(np.mean(pe))
            assert tuple(found[["pe_eti80_lb", "pe_eti80_ub"]]) == pytest.approx(quantiles(pe, 0.8))
            assert found["standardised_rate"] == pytest.approx(np.mean(pe) * overall)
            ends = found[["standardised_rate_eti80_lb", "standardised_rate_eti80_ub"]]
            assert tuple(ends) == pytest.approx(quantiles([value * overall for value in pe], 0.8))


@pytest.mark.parametrize("best", ["low", "high"])
@pytest.mark.parametrize("at", [None, {"dose": 2.5}])
def test_ranks_are_those_counted_by_hand(crossed: Fit, best: str, at: dict[str, float] | None) -> None:
    block, draws = crossed.model.design.groups[0], Draws.of(crossed.model, crossed.posterior)
    target = {"odds_ratio": 1.4}
    league = hl.league_table(crossed, best=best, at=at, share=0.3, target=target, ci_prob=0.5)
    assert league.among == 2
    assert league.target == target
    assert "probability that odds_ratio is above 1.4" in repr(league)
    assert "oe, pe           in .table, relative to a typical cluster" in repr(league)
    J, S = len(block.levels), len(draws)
    effects = np.empty((S, J))
    for s in range(S):
        for j in range(J):
            z = block.Z[block.index == j].mean(axis=0) if at is None else np.array([1, 2.5])
            effects[s, j] = z @ draws.effects["clinic"][s, j]
    ranks = np.empty((S, J))
    for s in range(S):
        for j in range(J):
            better = effects[s] < effects[s, j] if best == "low" else effects[s] > effects[s, j]
            ranks[s, j] = 1 + better.sum()
    for j, label in enumerate(block.levels):
        row = league.table.loc[label]
        assert row["odds_ratio"] == pytest.approx(np.median(np.exp(effects[:, j])))
        ends = row[["odds_ratio_eti50_lb", "odds_ratio_eti50_ub"]]
        assert tuple(ends) == pytest.approx(quantiles(list(np.exp(effects[:, j])), 0.5))
        assert row["p_above_1"] == np.mean(effects[:, j] > 0)
        assert row["p_above_target"] == np.mean(np.exp(effects[:, j]) > 1.4)
        assert row["expected_rank"] == pytest.approx(ranks[:, j].mean())
        low, high = quantiles(list(ranks[:, j]), 0.5)
        assert tuple(row[["rank_eti50_lb", "rank_eti50_ub"]]) == (math.floor(low), math.ceil(high))
        assert row["percentile"] == pytest.approx(100 * ranks[:, j].mean() / 8)
        assert row["p_best"] == np.mean(ranks[:, j] <= 2)
        assert row["p_worst"] == np.mean(ranks[:, j] > 5)
    np.testing.assert_allclose(league.effects.to_numpy().reshape(S, J), effects)


def test_differences_are_those_counted_by_hand(crossed: Fit) -> None:
    league = hl.league_table(crossed, "clinic", ci_prob=0.6)
    effects = league.effects.to_numpy().reshape(-1, 7)
    assert league.from_typical == sum(not 0.2 < np.mean(effects[:, j] > 0) < 0.8 for j in range(7))
    pairs = [(j, k) for j in range(7) for k in range(j)]
    assert league.pairs == sum(not 0.2 < np.mean(effects[:, j] > effects[:, k]) < 0.8 for j, k in pairs)
    assert league.statement.startswith(f"{league.from_typical} of 7 clusters can be distinguished")
    assert f"{league.pairs} of 21 pairs of clusters" in league.statement
    assert "a probability of at least 80% for the direction of each difference" in league.statement


def test_statement_of_none_one_and_several(crossed: Fit) -> None:
    league = hl.league_table(crossed, "clinic")
    words = "with a probability of at least 94.5% for the direction of each difference"
    none, one = (replace(league, from_typical=alone, pairs=6 * alone).statement for alone in (0, 1))
    assert none.startswith(
        "None of 7 clusters can be distinguished from a typical cluster, and none of 21 pairs of clusters from each "
        f"other, {words}"
    )
    assert one.startswith(
        "1 of 7 clusters can be distinguished from a typical cluster, and 6 of 21 pairs of clusters from each other, "
        f"{words}"
    )
    uncounted = replace(league, from_typical=3, pairs=None).statement
    assert uncounted.startswith(f"3 of 7 clusters can be distinguished from a typical cluster, {words}")


@pytest.mark.parametrize("name", ["herds", "crossed"])
def test_rankability_by_hand(name: str, request: pytest.FixtureRequest) -> None:
    fit: Fit = request.getfixturevalue(name)
    design, draws = fit.model.design, Draws.of(fit.model, fit.posterior)
    block = design.groups[0]
    probability = np.stack([hl.predictions(fit).draws.to_numpy().reshape(len(draws), -1)])[0]
    rankability, reliability = [], np.zeros(len(block.levels))
    for s in range(len(draws)):
        sigma, noise = draws.cholesky[block.name][s] @ draws.cholesky[block.name][s].T, []
        for j in range(len(block.levels)):
            inside = block.index == j
            Z, p = block.Z[inside], probability[s, inside]
            trials = design.outcome.trials[inside]
            a = trials @ Z / trials.sum()
            M = (Z * (trials * p * (1 - p))[:, None]).T @ Z
            tau2, given = a @ sigma @ a, a @ np.linalg.inv(np.linalg.inv(sigma) + M) @ a
            noise.append(given / (tau2 - given))
            if len(a) == 1:
                assert noise[-1] * tau2 == pytest.approx(1 / M[0, 0])  # the squared standard error
            reliability[j] += 1 / (1 + noise[-1]) / len(draws)
        rankability.append(1 / (1 + np.median(noise)))
    league = hl.league_table(fit)
    assert league.rankability["mean"] == pytest.approx(np.mean(rankability), rel=1e-5)
    assert tuple(league.rankability[1:]) == pytest.approx(quantiles(rankability, 0.89), rel=1e-5)
    np.testing.assert_allclose(league.table.loc[block.levels, "reliability"], reliability, rtol=1e-5)


def test_blocks_of_clusters_and_draws_do_not_matter(crossed: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hl.league_table(crossed).table
    monkeypatch.setattr(rows_by_cluster, "CHUNK_SIZE", 60 * rows_by_cluster.ARRAYS * 12)
    few_clusters = hl.league_table(crossed).table
    monkeypatch.setattr(event_counts, "ARRAYS", 10**5)
    few_draws = hl.league_table(crossed).table
    for parts in (few_clusters, few_draws):
        pd.testing.assert_frame_equal(pd.DataFrame(parts), pd.DataFrame(whole))


@pytest.mark.parametrize("others", ["observed", "average"])
def test_tables_of_average_probabilities_are_as_good(
    others: str, make_fit: MakeFit, clustered_rows: ClusteredRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = make_fit("healed ~ I(20 * dose) + (1 | clinic) + (1 | reader)", clustered_rows(5, 8), draws=20)
    one_by_one = hl.league_table(fit, others=others).table
    monkeypatch.setattr(event_counts, "LEAST_ROWS", 0)
    by_tables = hl.league_table(fit, others=others).table
    pd.testing.assert_frame_equal(pd.DataFrame(by_tables), pd.DataFrame(one_by_one), rtol=1e-7)
    assert not np.array_equal(by_tables["expected_population"], one_by_one["expected_population"])


def test_permuted_rows_and_relabelled_clusters_give_the_same_table(clustered_rows: ClusteredRows) -> None:
    rows = clustered_rows(12, 15)
    formula = "healed ~ dose + (1 + dose | clinic)"
    first = hl.league_table(hl.Model(formula, rows).fit(hl.Laplace(seed=1)))
    permuted = rows.sample(frac=1, random_state=2, ignore_index=True)
    again = hl.league_table(hl.Model(formula, permuted).fit(hl.Laplace(seed=1)))
    pd.testing.assert_frame_equal(pd.DataFrame(again.table), pd.DataFrame(first.table), rtol=1e-4)
    labels = {label: f"Z{100 - k}" for k, label in enumerate(rows["clinic"].unique())}
    renamed = hl.league_table(hl.Model(formula, rows.replace({"clinic": labels})).fit(hl.Laplace(seed=1)))
    assert set(renamed.table.index) == set(labels.values())
    # The draws of the effects are others, since the clusters are in another order.
    expected = first.table.rename(index=labels).loc[renamed.table.index]
    np.testing.assert_allclose(renamed.table["expected_rank"], expected["expected_rank"], atol=0.5)
    np.testing.assert_allclose(renamed.table["pe"], expected["pe"], rtol=0.05)


@pytest.mark.parametrize("engine", [hl.Laplace(seed=1), hl.AGQ(nodes=5, seed=1), hl.MAP(seed=1)])
def test_every_engine_gives_nearly_the_same(engine: Any) -> None:
    model = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp"))
    league = hl.league_table(model.fit(engine))
    by_laplace = hl.league_table(model.fit(hl.Laplace(seed=3, draws=4000)))
    columns = ["oe", "pe", "odds_ratio"]
    order = by_laplace.table.index
    np.testing.assert_allclose(league.table.loc[order, columns], by_laplace.table[columns], rtol=0.2)
    np.testing.assert_allclose(league.table.loc[order, "expected_rank"], by_laplace.table["expected_rank"], atol=1)


def test_without_differences_nothing_is_ranked() -> None:
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"g": np.repeat(np.arange(20), 30), "y": np.tile([0, 0, 1], 200)})
    rows["x"] = rng.normal(size=600)
    fit = hl.Model("y ~ x + (1 | g)", rows).fit(hl.Laplace(seed=1))
    league = hl.league_table(fit)
    assert fit.estimate is not None
    assert fit.estimate.sd("g") == 0
    assert league.statement.startswith("Nothing can be ranked: the estimated sd between clusters of g is zero.")
    assert "Nothing can be ranked" in str(league)
    assert league.from_typical == 0
    assert league.pairs == 0


def test_equal_effects_have_any_rank(make_fit: MakeFit, clustered_rows: ClusteredRows) -> None:
    fit = make_fit("healed ~ dose + (1 | clinic)", clustered_rows(5, 6), draws=500)
    data = fit.data.copy()
    data["posterior"] = xr.DataTree(data["posterior"].to_dataset().assign(b_clinic=fit.posterior["b_clinic"] * 0))
    league = hl.league_table(Fit(fit.model, data, fit.diagnostics))
    np.testing.assert_allclose(league.table["expected_rank"], 3, atol=0.25)
    assert (league.table["rank_eti89_lb"] == 1).all()
    assert (league.table["rank_eti89_ub"] == 5).all()
    assert (league.table["odds_ratio"] == 1).all()
    assert (league.from_typical, league.pairs) == (0, 0)


def test_wrong_options_are_refused(crossed: Fit, make_fit: MakeFit) -> None:
    with pytest.raises(FitError, match="no grouping factor 'ward'"):
        hl.league_table(crossed, "ward")
    with pytest.raises(PredictionError, match="target: there is no quantity 'rate'"):
        hl.league_table(crossed, target={"rate": 0.1})
    with pytest.raises(PredictionError, match="target must be one quantity with a number"):
        hl.league_table(crossed, target={"pe": 2, "odds_ratio": 2})
    with pytest.raises(PredictionError, match="at: 'dose' must have one value"):
        hl.league_table(crossed, at={"dose": [1, 2]})
    with pytest.raises(PredictionError, match="at: there is no predictor 'clinic'"):
        hl.league_table(crossed, at={"clinic": "clinic 1"})
    with pytest.raises(PredictionError, match="share=0 must be a number between 0 and 1"):
        hl.league_table(crossed, share=0)
    alone = make_fit("healed ~ dose + (1 | clinic)", crossed.model.design.table.frame)
    with pytest.raises(PredictionError, match="several grouping factors, and this one has 'clinic' only"):
        hl.league_table(alone, others="average")
    plain = make_fit("healed ~ dose", crossed.model.design.table.frame)
    with pytest.raises(FitError, match="no random effects"):
        hl.league_table(plain)
