"""Studies simulated from a fit: against simulation by hand, over workers, interrupted and resumed."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import current_process, get_context
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning, FitError, StudyError
from hierlogit.studies.simulated_outcomes import generator, simulated_outcome


@pytest.fixture(scope="module")
def fit() -> hl.results.Fit:
    return hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))


def odds_of_last_period(fit: hl.results.Fit) -> float:
    assert fit.estimate is not None
    return float(np.exp(fit.estimate.beta[-1]))


def test_outcomes_have_the_moments_of_the_model(fit: hl.results.Fit) -> None:
    estimate, design = fit.estimate, fit.model.design
    assert estimate is not None
    random = np.random.default_rng(1)
    drawn = np.array([simulated_outcome(design, estimate, random) for _ in range(4000)])
    # Mean and variance of a binomial with a normal effect, by a fine sum over the effect.
    v = np.linspace(-8, 8, 2001)
    weight = np.exp(-0.5 * v * v)
    weight /= weight.sum()
    p = expit((design.X @ estimate.beta)[:, None] + estimate.sd("herd")[0] * v)
    trials = design.outcome.trials
    mean = trials * (p @ weight)
    variance = trials * ((p * (1 - p)) @ weight) + trials**2 * ((p**2) @ weight - (p @ weight) ** 2)
    assert np.all(np.abs(drawn.mean(axis=0) - mean) < 4.5 * np.sqrt(variance / 4000))
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.25)
    # Rows of a herd share its effect.
    index = design.groups[0].index
    residual = (drawn - mean) / np.sqrt(variance)
    pairs = [(i, j) for i in range(10) for j in range(i) if index[i] == index[j]]
    assert np.mean([np.mean(residual[:, i] * residual[:, j]) for i, j in pairs]) > 0.1


def test_replicates_are_fits_of_simulated_tables(fit: hl.results.Fit) -> None:
    found = hl.bootstrap(fit, replicates=5, seed=4)
    assert fit.estimate is not None
    for number in (0, 3):
        y = simulated_outcome(fit.model.design, fit.estimate, generator(4, number))
        anew = hl.Model("p(successes, size) ~ period + (1 | herd)", fit.model.with_outcome(y).design.table.frame)
        estimate = anew.fit("laplace").estimate
        assert estimate is not None
        np.testing.assert_allclose(found.values.iloc[number, :4], estimate.beta, atol=2e-3)
        assert found.values.iloc[number, 4] == pytest.approx(estimate.sd("herd")[0], abs=2e-3)
    assert list(found.estimate.index) == list(found.values.columns)
    assert list(found.values.columns)[-1] == "sd_herd[Intercept]"


def test_workers_make_no_difference(fit: hl.results.Fit, processes: Executor) -> None:
    alone = hl.bootstrap(fit, replicates=40, seed=7).values
    with ThreadPoolExecutor(1) as threads:
        pd.testing.assert_frame_equal(hl.bootstrap(fit, replicates=40, seed=7, executor=threads).values, alone)
    spread = hl.bootstrap(fit, odds_of_last_period, replicates=40, seed=7, executor=processes)
    np.testing.assert_allclose(spread.values["statistic"], np.exp(alone["period[p4]"]), atol=2e-3)
    assert not hl.bootstrap(fit, replicates=40, seed=8).values.equals(alone)


def test_a_dask_cluster_is_an_executor(fit: hl.results.Fit) -> None:
    alone = hl.bootstrap(fit, replicates=12, seed=7).values
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        pd.testing.assert_frame_equal(
            hl.bootstrap(fit, replicates=12, seed=7, executor=client.get_executor()).values, alone
        )


def test_summaries_by_hand(fit: hl.results.Fit) -> None:
    found = hl.bootstrap(fit, replicates=60, seed=2)
    values, name = found.values["period[p2]"], "period[p2]"
    percentile = found.summary(ci_prob=0.9).loc[name]
    assert percentile["estimate"] == pytest.approx(fit.estimate.beta[1])  # type: ignore[union-attr]
    assert percentile["bias"] == pytest.approx(values.mean() - percentile["estimate"])
    assert percentile["se"] == pytest.approx(values.std())
    low, high = np.quantile(values, [0.05, 0.95])
    assert percentile[["percentile90_lb", "percentile90_ub"]].tolist() == pytest.approx([low, high])
    basic = found.summary(0.9, "basic").loc[name]
    centre = 2 * percentile["estimate"]
    assert basic[["basic90_lb", "basic90_ub"]].tolist() == pytest.approx([centre - high, centre - low])
    normal = found.summary(0.9, "normal").loc[name]
    middle = percentile["estimate"] - percentile["bias"]
    reach = 1.6448536 * percentile["se"]
    assert normal[["normal90_lb", "normal90_ub"]].tolist() == pytest.approx([middle - reach, middle + reach])
    with pytest.raises(StudyError, match="interval='bca'.*'percentile', 'basic', 'normal'"):
        found.summary(interval="bca")


def test_standard_errors_agree_with_the_information(fit: hl.results.Fit) -> None:
    found = hl.bootstrap(fit, replicates=400, seed=3).summary()
    se = fit.estimate.standard_errors  # type: ignore[union-attr]
    np.testing.assert_allclose(found["se"].to_numpy()[:4], se, rtol=0.2)


def test_failures_are_counted_and_kept_apart(fit: hl.results.Fit) -> None:
    calls = iter(range(1000))

    def sometimes(fit: hl.results.Fit) -> dict[str, float]:
        if next(calls) % 3 == 2:
            raise KeyError("gone")
        return {"first": 1.0, "second": 2.0}

    with pytest.warns(ConvergenceWarning, match=r"3 of 9 replicates \(33%\) have no result") as said:
        found = hl.bootstrap(fit, sometimes, replicates=9, seed=1)
    assert said[0].filename == __file__
    assert len(found.values) == 6
    assert len(found.failures) == 3
    assert set(found.failures.values()) == {"KeyError: 'gone'"}
    assert "6 of 9 replicates, 3 failed; seed 1" in repr(found)
    assert "3 of 9 replicates (33%) have no result" in repr(found)
    assert "3 times: KeyError: 'gone'" in repr(found)
    assert "6 of 9 replicates" in found._repr_html_()
    assert not found.interrupted


@pytest.fixture(scope="module")
def rare() -> hl.results.Fit:
    """A sound fit, a third of whose replicates have no failure in one treatment."""
    frame = pd.DataFrame({"treatment": np.repeat(list("abcd"), 34), "cluster": np.tile(np.arange(17), 8)})
    frame["y"] = np.random.default_rng(1).binomial(1, 0.55, len(frame))
    frame.loc[frame["treatment"] == "d", "y"] = [0] + [1] * 33
    return hl.Model("y ~ treatment + (1 | cluster)", frame).fit(hl.Laplace(seed=1))


def coefficient(fit: hl.results.Fit) -> float:
    assert fit.estimate is not None
    return float(fit.estimate.beta[-1])


def test_separated_replicates_are_no_estimates(rare: hl.results.Fit) -> None:
    with pytest.warns(ConvergenceWarning, match="estimate is infinite with these outcomes"):
        found = hl.bootstrap(rare, replicates=100, seed=1)
    assert rare.estimate is not None
    outcomes = [simulated_outcome(rare.model.design, rare.estimate, generator(1, number)) for number in range(100)]
    separated = [number for number, y in enumerate(outcomes) if y[-34:].all()]
    assert sorted(found.failures) == separated
    assert 20 < len(separated) < 50
    summary = found.summary().loc["treatment[d]"]
    assert abs(summary["bias"]) < 1
    assert summary["se"] < 1.5
    with pytest.warns(ConvergenceWarning):
        of_fits = hl.bootstrap(rare, coefficient, replicates=20, seed=1)
    assert sorted(of_fits.failures) == [number for number in separated if number < 20]


def test_a_fit_with_infinite_estimates_cannot_be_simulated_from(rare: hl.results.Fit) -> None:
    frame = rare.model.design.table.frame.copy()
    frame.loc[frame["treatment"] == "d", "y"] = 1
    with pytest.warns(ConvergenceWarning):
        separated = hl.Model("y ~ treatment + (1 | cluster)", frame).fit("laplace")
    for verb in (hl.bootstrap, hl.influence):
        with pytest.raises(
            FitError, match=r"has no maximum to start from: The estimate of 'treatment\[d\]' is infinite"
        ):
            verb(separated)


def test_interrupted_work_is_kept_and_taken_up_again(fit: hl.results.Fit, tmp_path: Path) -> None:
    whole = hl.bootstrap(fit, _first, replicates=40, seed=5)
    made = iter(range(1000))

    def interrupted(fit: hl.results.Fit) -> float:
        if next(made) == 11:
            raise KeyboardInterrupt
        return _first(fit)

    store = tmp_path / "study.json"
    part = hl.bootstrap(fit, interrupted, replicates=40, seed=5, store=store)
    assert part.interrupted
    assert len(part.values) == 10
    assert "30 not run: interrupted" in repr(part)
    rest = hl.bootstrap(fit, _first, replicates=40, seed=5, store=store)
    assert not rest.interrupted
    pd.testing.assert_frame_equal(rest.values, whole.values)
    record = json.loads(store.read_text())
    assert len(record["results"]) == 40
    # More replicates need only the new ones; fewer are the first ones.
    assert len(hl.bootstrap(fit, _first, replicates=50, seed=5, store=store).values) == 50
    pd.testing.assert_frame_equal(hl.bootstrap(fit, _never, replicates=40, seed=5, store=store).values, whole.values)


def _first(fit: hl.results.Fit) -> float:
    assert fit.estimate is not None
    return float(fit.estimate.beta[0])


_asked = threading.local()


def _never(fit: hl.results.Fit) -> float:
    # The statistic of the fit itself is always asked for; that of a replicate is in the file.
    if getattr(_asked, "once", False):
        raise AssertionError
    _asked.once = True
    return _first(fit)


def test_a_file_of_another_study_is_refused(fit: hl.results.Fit, tmp_path: Path) -> None:
    store = tmp_path / "study.json"
    hl.bootstrap(fit, replicates=2, seed=5, store=store)
    with pytest.raises(StudyError, match="holds another study, with another seed"):
        hl.bootstrap(fit, replicates=2, seed=6, store=store)
    other = hl.Model("p(successes, size) ~ 1 + (1 | herd)", hl.datasets.load("cbpp")).fit("laplace")
    with pytest.raises(StudyError, match="with other formula and data and estimates and names"):
        hl.bootstrap(other, replicates=2, seed=5, store=store)
    store.write_text("{}")
    with pytest.raises(StudyError, match="was not written by hierlogit"):
        hl.bootstrap(fit, replicates=2, seed=5, store=store)


class _Stubborn(Executor):
    """Runs nothing, and is interrupted while one waits."""

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        raise KeyboardInterrupt


def test_an_interruption_of_an_executor_ends_early(fit: hl.results.Fit) -> None:
    found = hl.bootstrap(fit, replicates=10, seed=1, executor=_Stubborn())
    assert found.interrupted
    assert len(found.values) == 0
    assert "0 of 10 replicates" in repr(found)
    with pytest.raises(StudyError, match="0 replicates have a result"):
        found.summary()


def killed(_: hl.results.Fit) -> float:
    if current_process().name != "MainProcess":
        os._exit(1)
    return 0.0


def test_a_worker_that_dies_is_an_error(fit: hl.results.Fit) -> None:
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes,
        pytest.raises(StudyError, match="a worker ended before its tasks were finished"),
    ):
        hl.bootstrap(fit, killed, replicates=1, executor=processes)


def test_what_cannot_be_asked_is_said(fit: hl.results.Fit, make_fit: Any) -> None:
    with pytest.raises(StudyError, match="replicates=0 must be"):
        hl.bootstrap(fit, replicates=0)
    with pytest.raises(StudyError, match="the statistic returned str"):
        hl.bootstrap(fit, lambda _: "much", replicates=2)
    with pytest.raises(StudyError, match="there is no folder"):
        hl.bootstrap(fit, replicates=2, store="no/such/folder/study.json")
    with ProcessPoolExecutor(1) as processes:  # which are not started
        with pytest.raises(StudyError, match=r"the statistic cannot be sent .* the top level of a module"):
            hl.bootstrap(fit, lambda _: 1.0, executor=processes)
        with pytest.raises(StudyError, match=r"the estimand cannot be sent .* the top level of a module"):
            hl.influence(fit, estimand=lambda _: 1.0, executor=processes)
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(StudyError, match="it takes no tasks: cannot schedule new futures after shutdown"):
        hl.bootstrap(fit, replicates=2, executor=pool)
    with pytest.raises(FitError, match="a sampler"):
        hl.bootstrap(make_fit("y ~ week_gt2 + (1 | ID)", hl.datasets.load("bacteria")), replicates=2)
    calls = iter([{"a": 1.0}, {"b": 1.0}])
    with pytest.raises(StudyError, match="must return the same names each time"):
        hl.bootstrap(fit, lambda _: next(calls), replicates=1)


def test_components_that_are_not_finite_are_counted_and_left_out(fit: hl.results.Fit) -> None:
    def statistic(refit: hl.results.Fit) -> dict[str, float]:
        beta = float(refit.estimate.beta[0])
        above = beta > fit.estimate.beta[0]
        return {"all": beta, "some": np.inf if above else beta, "none": np.nan}

    with pytest.warns(ConvergenceWarning, match=r"not a finite number .* 'none' in 20, 'some' in \d+\.") as caught:
        boot = hl.bootstrap(fit, statistic, replicates=20, seed=1)
    assert len(caught) == 1
    finite = boot.values["some"][np.isfinite(boot.values["some"])]
    assert 2 < len(finite) < 18
    for interval in ("percentile", "basic", "normal"):
        table = boot.summary(interval=interval)
        assert table.loc["some", "se"] == pytest.approx(finite.std())
        assert table.loc["some", "bias"] == pytest.approx(finite.mean() - fit.estimate.beta[0])
        assert np.isfinite(table.loc[["all", "some"]].to_numpy()).all()
        assert np.isnan(table.loc["none"].to_numpy()).all()
    assert f"'none' in 20, 'some' in {20 - len(finite)}." in " ".join(str(boot).split())


def test_a_statistic_that_returns_nothing_is_an_error(fit: hl.results.Fit) -> None:
    with pytest.raises(StudyError, match="returned None"):
        hl.bootstrap(fit, lambda _: None, replicates=2, seed=1)
