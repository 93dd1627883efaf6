"""Power by simulation: against loops by hand, what must hold under the null, and over workers."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import chdtrc, expit

import hierlogit as hl
from hierlogit.errors import EngineError, StudyError
from hierlogit.studies.simulated_outcomes import generator

FORMULA = "y ~ arm + x + (1 | g)"
TRUTH: dict[str, Any] = {"beta": {"Intercept": -0.3, "arm[new]": 0.8, "x": 0.3}, "sd": {"g": 0.6}}
LAYOUT = hl.Layout({"g": 16}, size=12, predictors={"x": "normal"}, cluster_predictors={"g": {"arm": ["old", "new"]}})


@pytest.fixture(scope="module")
def found() -> hl.results.Power:
    return hl.power(FORMULA, LAYOUT, **TRUTH, grid={"g": [12, 30]}, replicates=60, seed=3)


def test_studies_are_fits_of_simulated_tables(found: hl.results.Power) -> None:
    for cell, clusters in enumerate((12, 30)):
        random = generator(3, cell, 7)
        rows = LAYOUT.with_numbers(g=clusters).table(random)
        effects = 0.6 * random.standard_normal((clusters, 1))[rows["g"] - 1, 0]
        p = expit(-0.3 + 0.8 * (rows["arm"] == "new") + 0.3 * rows["x"] + effects)
        estimate = hl.Model(FORMULA, rows.assign(y=random.binomial(1, p))).fit("laplace").estimate
        assert estimate is not None
        own = found.replicates.query("g == @clusters and replicate == 7").set_index("parameter")
        np.testing.assert_allclose(own["estimate"], estimate.beta[1:], atol=1e-6)
        np.testing.assert_allclose(own["se"], estimate.standard_errors[1:], rtol=1e-6)
        # Fewer than 40 clusters: t, with the clusters left by two coefficients, or the rows left by clusters and one.
        assert own["df"].tolist() == [clusters - 2, len(rows) - clusters - 1]
        np.testing.assert_allclose(own["p_value"], 2 * stats.t(own["df"]).sf(np.abs(own["estimate"] / own["se"])))


@pytest.mark.slow
def test_power_is_that_of_a_loop_by_hand() -> None:
    count, random = 150, np.random.default_rng(5)
    table = hl.power(FORMULA, LAYOUT, **TRUTH, replicates=count, seed=1).table.set_index("parameter")
    rejected = np.zeros(2)
    g, arm = np.repeat(np.arange(16), 12), np.repeat(np.arange(16) % 2, 12)
    for _ in range(count):
        x = random.normal(size=192)
        eta = -0.3 + 0.8 * arm + 0.3 * x + random.normal(0, 0.6, 16)[g]
        rows = pd.DataFrame({"g": g, "arm": arm, "x": x, "y": random.binomial(1, expit(eta))})
        estimate = hl.Model("y ~ arm + x + (1 | g)", rows).fit("laplace").estimate
        assert estimate is not None
        rejected += np.abs(estimate.beta[1:] / estimate.standard_errors[1:]) > stats.t([14, 175]).ppf(0.975)
    by_hand = rejected / count
    for label, share in zip(("arm[new]", "x"), by_hand, strict=True):
        error = np.sqrt(2) * table.loc[label, "power_mcse"]
        assert abs(table.loc[label, "power"] - share) < 4 * error


def test_measures_by_hand(found: hl.results.Power) -> None:
    own = found.replicates[(found.replicates["g"] == 30) & (found.replicates["parameter"] == "x")]
    row = found.table[(found.table["g"] == 30) & (found.table["parameter"] == "x")].iloc[0]
    estimate, se = own["estimate"], own["se"]
    assert len(own) == 60 == row["studies"]
    reach = stats.t(own["df"].iloc[0]).ppf(0.975)
    assert row["true"] == 0.3
    assert row["power"] == pytest.approx((own["p_value"] < 0.05).mean())
    assert row["power_mcse"] == pytest.approx(np.sqrt(row["power"] * (1 - row["power"]) / 60))
    assert row["coverage"] == pytest.approx((np.abs(estimate - 0.3) < reach * se).mean())
    assert row["bias"] == pytest.approx(estimate.mean() - 0.3)
    assert row["bias_mcse"] == pytest.approx(estimate.std() / np.sqrt(60))
    assert row["empirical_se"] == pytest.approx(estimate.std())
    assert row["empirical_se_mcse"] == pytest.approx(estimate.std() / np.sqrt(118))
    assert row["model_se"] == pytest.approx(np.sqrt((se**2).mean()))
    assert row["width"] == pytest.approx(2 * reach * se.mean())
    assert row["width_mcse"] == pytest.approx(2 * reach * se.std() / np.sqrt(60))
    assert row["model_se_mcse"] == pytest.approx(np.sqrt((se**2).var() / (4 * 60 * (se**2).mean())))
    assert row["converged"] == 1
    assert row["singular"] == own["singular"].mean()
    assert "60 studies in each of 2 cells; seed 3" in repr(found)
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("method", "count"),
    [("wald", 60), ("lr", 30), *(pytest.param(*case, marks=pytest.mark.slow) for case in (("wald", 200), ("lr", 100)))],
)
def test_level_and_coverage_are_nominal_without_an_effect(method: str, count: int) -> None:
    layout = hl.Layout({"g": 40}, size=10, predictors={"x": "normal"})
    none = {"beta": {"Intercept": 0.5, "x": 0.0}, "sd": {"g": 0.7}}
    row = hl.power("y ~ x + (1 | g)", layout, **none, replicates=count, seed=2, method=method).table.iloc[0]
    assert abs(row["power"] - 0.05) < 3.5 * np.sqrt(0.05 * 0.95 / count)
    assert abs(row["coverage"] - 0.95) < 3.5 * np.sqrt(0.05 * 0.95 / count)
    assert abs(row["bias"]) < 3.5 * row["bias_mcse"]
    if method == "wald":  # the other has the same estimates
        # 2.4 Monte Carlo standard errors of an sd of so many values.
        assert row["model_se"] == pytest.approx(row["empirical_se"], rel=1.7 / np.sqrt(count))


def test_more_clusters_and_larger_effects_are_found_more_often() -> None:
    table = hl.power(
        FORMULA, LAYOUT, **TRUTH, test="arm[new]", grid={"g": [8, 40], "arm[new]": [0.2, 1.2]}, replicates=25, seed=1
    ).table.set_index(["g", "arm[new]"])
    assert table["true"].tolist() == [0.2, 1.2, 0.2, 1.2]
    assert table["power"][40, 1.2] > table["power"][8, 1.2] + 0.2
    assert table["power"][40, 1.2] > table["power"][40, 0.2] + 0.4


def test_likelihood_ratios_are_of_two_models() -> None:
    found = hl.power(FORMULA, LAYOUT, **TRUTH, test="x", replicates=3, seed=3, method="lr")
    for number in range(3):
        random = generator(3, 0, number)
        rows = LAYOUT.table(random)
        effects = 0.6 * random.standard_normal((16, 1))[rows["g"] - 1, 0]
        p = expit(-0.3 + 0.8 * (rows["arm"] == "new") + 0.3 * rows["x"] + effects)
        rows["y"] = random.binomial(1, p)
        larger, smaller = (hl.Model(text, rows).fit("laplace").estimate for text in (FORMULA, "y ~ arm + (1 | g)"))
        assert larger is not None
        assert smaller is not None
        ratio = 2 * (larger.log_likelihood - smaller.log_likelihood)
        assert found.replicates["p_value"][number] == pytest.approx(chdtrc(1, ratio), rel=1e-4)


def test_workers_make_no_difference(processes: Executor) -> None:
    options: dict[str, Any] = {**TRUTH, "grid": {"g": [8, 12]}, "replicates": 12, "seed": 4}
    alone = hl.power(FORMULA, LAYOUT, **options)
    with ThreadPoolExecutor(1) as threads:
        pd.testing.assert_frame_equal(hl.power(FORMULA, LAYOUT, **options, executor=threads).table, alone.table)
    spread = hl.power(FORMULA, LAYOUT, **options, executor=processes)
    pd.testing.assert_frame_equal(spread.replicates, alone.replicates)
    # The first studies are the same however many there are.
    fewer = hl.power(FORMULA, LAYOUT, **(options | {"replicates": 5})).replicates
    pd.testing.assert_frame_equal(
        fewer.sort_values(["g", "replicate", "parameter"], ignore_index=True),
        alone.replicates.query("replicate < 5").sort_values(["g", "replicate", "parameter"], ignore_index=True),
    )


def test_rows_of_a_table_stay_as_they_are() -> None:
    rows = LAYOUT.table(seed=1)
    found = hl.power(FORMULA, rows, **TRUTH, grid={"x": [0.0, 1.0]}, test="x", replicates=20, seed=1)
    assert found.table["power"].iloc[1] > 0.8
    with pytest.raises(StudyError, match="grid: 'g' is not a coefficient. The rows of a table are fixed"):
        hl.power(FORMULA, rows, **TRUTH, grid={"g": [8]}, replicates=20)


def test_studies_without_an_estimate_are_counted() -> None:
    layout = hl.Layout({"g": 6}, size=2, predictors={"x": [0, 1]})
    found = hl.power("y ~ x + (1 | g)", layout, beta={"Intercept": -2, "x": 4}, sd={"g": 0.5}, replicates=60, seed=1)
    row = found.table.iloc[0]
    assert 0 < len(found.failures) < 60
    assert row["converged"] == pytest.approx(1 - len(found.failures) / 60)
    assert row["converged_mcse"] == pytest.approx(np.sqrt(row["converged"] * (1 - row["converged"]) / 60))
    # They count as studies that found nothing.
    assert row["power"] == pytest.approx((found.replicates["p_value"] < 0.05).sum() / 60)
    assert f"{len(found.failures)} of {found.requested} replicates" in repr(found)
    assert "infinite with these outcomes" in repr(found)


class _Halfway(Executor):
    """Runs a few parts, and is interrupted then."""

    def __init__(self) -> None:
        self.left = 5

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.left -= 1
        if self.left < 0:
            future.set_exception(KeyboardInterrupt())
        else:
            future.set_result(function(*arguments, **options))
        return future


def test_interrupted_work_is_kept_and_marked() -> None:
    options: dict[str, Any] = {**TRUTH, "grid": {"g": [8, 12]}, "replicates": 32, "seed": 4}
    part = hl.power(FORMULA, LAYOUT, **options, executor=_Halfway())
    assert part.interrupted
    assert "interrupted" in repr(part)
    studies = part.table.drop_duplicates("g")["studies"]
    assert studies.sum() < 64
    assert studies.max() - studies.min() <= 1
    whole = hl.power(FORMULA, LAYOUT, **options).replicates
    merged = part.replicates.merge(whole, how="left", indicator=True)
    assert (merged["_merge"] == "both").all()


def test_nothing_at_all_is_shown_as_nothing() -> None:
    class Stubborn(Executor):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            raise KeyboardInterrupt

    found = hl.power(FORMULA, LAYOUT, **TRUTH, replicates=4, executor=Stubborn())
    assert found.table["power"].isna().all()
    assert found.table["studies"].eq(0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicates": 1}, "replicates=1 must be"),
        ({"method": "score"}, "method='score'.*'wald', 'lr'"),
        ({"alpha": 5}, "alpha=5 must be"),
        ({"test": "y"}, "test: there is no coefficient 'y' in the model; choose one of 'Intercept', 'arm"),
        ({"test": []}, "test is an empty list"),
        ({"grid": {"h": [3]}}, "grid: there is no number 'h' in the layout; choose one of 'g', 'size'"),
        ({"grid": {"g": 12}}, r"grid\['g'\]=12 must be a list"),
        ({"grid": {"size": [0]}}, "size=0"),
        ({"beta": {"Intercept": 0}}, "beta lacks 'arm"),
        ({"engine": hl.MAP(), "method": "lr"}, "Use 'wald'"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        hl.power(FORMULA, LAYOUT, **(TRUTH | {"replicates": 4} | options))


def test_engines() -> None:
    with pytest.raises(EngineError, match="the engine must be hl.Laplace"):
        hl.power(FORMULA, LAYOUT, **TRUTH, engine="nuts", replicates=4)
    exact, close = (
        hl.power(FORMULA, LAYOUT, **TRUTH, engine=one, replicates=4, seed=1).replicates
        for one in (hl.AGQ(nodes=9), "laplace")
    )
    gap = np.abs(exact["estimate"] - close["estimate"]) / close["se"]
    assert gap.max() < 0.2
    assert gap.max() > 0
