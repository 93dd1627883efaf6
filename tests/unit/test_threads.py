"""Threads may share a model and a fit, and nothing that belongs to the whole process stays changed."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hierlogit as hl
from hierlogit.errors import ConvergenceWarning, DataWarning, HierlogitWarning, unsaid, warn
from hierlogit.plots.style import house_style
from hierlogit.reporting.images import picture

THREADS = 6
FORMULA = "y ~ week + (1 | ID)"


WARNINGS = (HierlogitWarning, ConvergenceWarning, DataWarning)


def state() -> dict[str, Any]:
    """What all threads of a process share."""
    return {
        "output": (sys.stdout, sys.stderr),
        # Those of deprecations are changed by pandas, whenever it looks at a type.
        "filters": [one for one in warnings.filters if one[2] in (Warning, UserWarning, *WARNINGS)],
        "warnings": warnings.showwarning,
        "matplotlib": dict(mpl.rcParams),
        "interactive": plt.isinteractive(),
        "figures": plt.get_fignums(),
        "NumPy": np.geterr(),
        # Without what pytest and OpenMP's library set.
        "environment": {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "KMP"))},
        "log": logging.getLogger("pymc").level,
        "folder": Path.cwd(),
        "random": np.random.get_state()[1].tolist(),  # type: ignore[index]  # noqa: NPY002
        "pandas": pd.get_option("display.max_rows"),
    }


@pytest.fixture
def unchanged(fit: hl.results.Fit) -> Iterator[None]:
    hl.bootstrap(fit, replicates=1, seed=1)  # libraries change filters of warnings when they are loaded
    assert len(fit.posterior)
    before = state()
    yield
    after = state()
    assert {name for name in before if before[name] != after[name]} == set()


def at_once(work: Callable[[int], object]) -> list[object]:
    """The results of the work in several threads that begin together."""
    barrier = Barrier(THREADS)

    def begin(number: int) -> object:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return hl.datasets.load("bacteria")


@pytest.fixture(scope="module")
def fit(rows: pd.DataFrame) -> hl.results.Fit:
    return hl.Model(FORMULA, rows).fit(hl.Laplace(draws=200, seed=1))


@pytest.mark.usefixtures("unchanged")
def test_models_made_in_threads(rows: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    models = at_once(lambda _: [hl.Model(FORMULA, rows) for _ in range(3)])
    assert {model.design.fixed_effects for some in models for model in some} == {("Intercept", "week")}  # type: ignore[attr-defined]
    sys.stdout.write("still here\n")
    assert capsys.readouterr().out == "still here\n"


def test_errors_of_formulas_print_nothing(rows: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(hl.errors.DesignError):
        hl.Model("y ~ C(week, levels=[0, 2]) + (1 | ID)", rows)
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("unchanged")
def test_fits_and_their_draws_in_threads(rows: pd.DataFrame, fit: hl.results.Fit) -> None:
    model = fit.model
    shared = model.fit(hl.Laplace(draws=200, seed=1))  # type: ignore[attr-defined]

    def work(number: int) -> tuple[float, float, float]:
        own = hl.Model(FORMULA, rows).fit(hl.Laplace(draws=200, seed=1))
        assert own.estimate is not None
        return (
            own.estimate.log_likelihood,
            float(own.posterior["b_ID"].to_numpy().mean()),
            float(shared.posterior["b_ID"].to_numpy().mean()),
        )

    assert set(at_once(work)) == {
        (fit.estimate.log_likelihood, *2 * [float(fit.posterior["b_ID"].to_numpy().mean())])  # type: ignore[union-attr]
    }


@pytest.mark.usefixtures("unchanged")
def test_plots_in_threads(fit: hl.results.Fit) -> None:
    drawn = at_once(lambda _: picture(lambda: hl.plots.caterpillar(fit), "Effects"))
    assert len(set(drawn)) == 1


@pytest.mark.usefixtures("unchanged")
def test_one_thread_at_a_time_has_the_style() -> None:
    plain = mpl.rcParams["axes.spines.top"]

    def work(number: int) -> bool:
        with house_style():
            time.sleep(0.002 * (number + 1))
            return mpl.rcParams["axes.spines.top"] is False

    assert all(at_once(work))
    assert mpl.rcParams["axes.spines.top"] == plain


@pytest.mark.usefixtures("unchanged")
def test_draws_from_the_priors_in_threads(fit: hl.results.Fit) -> None:
    drawn = at_once(lambda _: hl.prior_predictive(fit.model, draws=3, seed=1).prior["beta"].values.tolist())
    assert all(one == drawn[0] for one in drawn)


def test_warnings_are_left_out_in_one_thread_only(recwarn: pytest.WarningsRecorder) -> None:
    with unsaid(ConvergenceWarning):
        warn("not given", ConvergenceWarning)
        with unsaid(HierlogitWarning):
            warn("not given either", DataWarning)
        with ThreadPoolExecutor(1) as pool, warnings.catch_warnings():
            warnings.simplefilter("always")
            pool.submit(warn, "given in another thread", ConvergenceWarning).result()
            warn("of another kind", DataWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warn("given afterwards", ConvergenceWarning)
    said = [str(one.message) for one in recwarn]
    assert said == ["given in another thread", "of another kind", "given afterwards"]


@pytest.mark.usefixtures("unchanged")
def test_replicates_in_threads_leave_out_their_warnings(fit: hl.results.Fit) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        found = hl.bootstrap(fit, replicates=12, seed=1, executor=pool)
    alone = hl.bootstrap(fit, replicates=12, seed=1)
    pd.testing.assert_frame_equal(found.values, alone.values)
