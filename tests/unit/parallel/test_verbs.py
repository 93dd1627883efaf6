"""Functions with ``executor=`` give the results of this process, to the last digit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import StudyError


@pytest.fixture(scope="module")
def fit() -> hl.results.Fit:
    return hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))


@pytest.fixture(scope="module")
def sampled() -> hl.results.Fit:
    """A cluster of many rows, without which the posterior is another one."""
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(np.arange(6), [60, 5, 5, 5, 5, 5])})
    frame["y"] = random.binomial(1, np.where(frame["g"] == 0, 0.95, 0.3))
    return hl.Model("y ~ 1 + (1 | g)", frame).fit(hl.NUTS(draws=200, tune=200, chains=2, seed=1, progress=False))


VERBS: dict[str, Callable[[hl.results.Fit, Executor | None], pd.DataFrame]] = {
    "profile": lambda fit, pool: hl.profile(fit, points=4, executor=pool),
    "summary": lambda fit, pool: hl.summary(fit, interval="profile", executor=pool),
    "check": lambda fit, pool: hl.check(fit, replicates=50, seed=1, executor=pool).table,
    "compare_engines": lambda fit, pool: hl.compare_engines(
        fit.model, {"Laplace": hl.Laplace(), "AGQ": hl.AGQ(nodes=7), "MAP": hl.MAP()}, executor=pool
    ),
    "compare_searches": lambda fit, pool: hl.compare_searches(fit, "BFGS", starts=3, seed=1, executor=pool).table.drop(
        columns="seconds"
    ),
    "scores": lambda fit, pool: hl.scores(fit, loo=True, executor=pool),
    "scores by herd": lambda fit, pool: hl.scores(fit, group="herd", executor=pool),
    "bayes_factor": lambda fit, pool: (
        hl.bayes_factor(
            {"falling": fit, "same": hl.Model("p(successes, size) ~ 1 + (1 | herd)", hl.datasets.load("cbpp"))},
            draws=256,
            nodes=7,
            executor=pool,
        ).sensitivity
    ),
    "build": lambda _, pool: hl.build(
        "p(successes, size) ~ period + size + (1 | herd)", hl.datasets.load("cbpp"), executor=pool
    ).table.drop(columns="seconds"),
}


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.filterwarnings("ignore::hierlogit.errors.DataWarning")  # Bayes factors of default priors
def test_results_do_not_depend_on_the_executor(name: str, fit: hl.results.Fit, processes: Any) -> None:
    before = processes.submitted
    alone, there = VERBS[name](fit, None), VERBS[name](fit, processes)
    assert processes.submitted > before
    pd.testing.assert_frame_equal(pd.DataFrame(there), pd.DataFrame(alone), check_exact=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hierlogit.errors.ConvergenceWarning")  # few draws
def test_leave_one_out_samples_again_on_workers(sampled: hl.results.Fit, processes: Any) -> None:
    alone, there = (hl.loo(sampled, group="g", executor=pool) for pool in (None, processes))
    assert "refit" in alone.elpd_i["method"].to_numpy()
    assert there.elpd_i.equals(alone.elpd_i)
    assert there.elpd == alone.elpd


@pytest.mark.slow
@pytest.mark.parametrize("method", ["loo", "bayes_factor"])
@pytest.mark.filterwarnings("ignore::hierlogit.errors.HierlogitWarning")  # few draws, default priors
def test_models_without_a_term_are_computed_on_workers(method: str, sampled: hl.results.Fit, processes: Any) -> None:
    before = processes.submitted
    alone, there = (hl.test_terms(sampled, method, executor=pool) for pool in (None, processes))
    pd.testing.assert_frame_equal(pd.DataFrame(there), pd.DataFrame(alone), check_exact=True)
    assert processes.submitted > before


@pytest.mark.parametrize(
    "verb", [hl.profile, hl.summary, hl.check, hl.loo, hl.compare_searches, hl.scores, hl.test_terms, hl.report]
)
def test_what_is_no_executor_is_refused(verb: Any, fit: hl.results.Fit) -> None:
    with pytest.raises(StudyError, match="executor is not an Executor"):
        verb(fit, executor="pool")
