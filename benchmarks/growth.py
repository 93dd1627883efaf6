"""Growth of time and memory with rows and clusters.

Every size is fitted in a process of its own, which runs this file::

    python benchmarks/growth.py ENGINE ROWS CLUSTERS

It simulates a random-slope model, fits it twice (in R once), and prints the times and the peak memory as JSON. An
engine that was not ready in time is not asked to fit as many rows or more again. Experiments of many more rows, which
are counted where they lie in Parquet files, are measured by `counted_rows`, and rows in shards by `sharded_rows`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import ONE_THREAD, description, is_installed, peak_memory, python_versions
from sharded_rows import table_of_shards

if TYPE_CHECKING:
    import pandas as pd

#: Rows of the smallest table that is counted where it lies.
FEWEST_COUNTED = 100_000
FORMULA = "y ~ x1 + x2 + (1 + x1 | g)"
#: Engines whose fits are measured; GPBoost has no correlation of intercept and slope.
ENGINES = ("hierlogit", "glmm", "gpboost", "lme4")
#: Rows in a cluster, and the number of shards, of the rows that are divided.
IN_CLUSTER, SHARDS = 100, 16
#: Numbers of processes that fit shards.
PROCESSES = (1, 2, 4)


def sizes(max_rows: int) -> list[tuple[int, int]]:
    """Numbers of rows and clusters: more rows in clusters of 100, then more clusters for 100,000 rows."""
    by_rows = [(rows, rows // 100) for rows in (1_000, 10_000, 100_000, 1_000_000)]
    by_clusters = [(100_000, clusters) for clusters in (10, 100, 1_000, 10_000)]
    return [size for size in dict.fromkeys(by_rows + by_clusters) if size[0] <= max_rows]


def simulate(rows: int, clusters: int, seed: int = 0) -> pd.DataFrame:
    """Simulate data from the random-slope model, sorted by cluster, with clusters of equal size."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(20240501 + seed)
    cluster = np.repeat(np.arange(clusters), rows // clusters)
    covariance = np.array([[0.64, 0.12], [0.12, 0.25]])
    effects = random.multivariate_normal([0.0, 0.0], covariance, size=clusters)
    x1, x2 = random.normal(size=(2, rows))
    linear = -0.5 + effects[cluster, 0] + (1.0 + effects[cluster, 1]) * x1 - 0.7 * x2
    outcome = (random.random(rows) < 1 / (1 + np.exp(-linear))).astype(int)
    return pd.DataFrame({"y": outcome, "x1": x1, "x2": x2, "g": cluster})


def fit_once(engine: str, frame: pd.DataFrame) -> Callable[[], float]:
    """Return a function that builds and fits the model and returns the log-likelihood."""
    if engine == "hierlogit":
        import hierlogit as hl

        def ours() -> float:
            fit = hl.Model(FORMULA, frame).fit("laplace")
            assert fit.estimate.standard_errors is not None
            return float(fit.estimate.log_likelihood)

        return ours
    if engine == "gpboost":
        return _gpboost(frame)
    import glmm

    return lambda: float(glmm.fit(frame, FORMULA, "binomial").loglik)


def _gpboost(frame: pd.DataFrame) -> Callable[[], float]:
    """A fit from arrays by Cholesky factors, to the tolerance of `peers`."""
    import gpboost
    import numpy as np

    X = np.column_stack([np.ones(len(frame)), frame["x1"], frame["x2"]])

    def call() -> float:
        model = gpboost.GPModel(
            group_data=frame[["g"]].to_numpy(),
            group_rand_coef_data=frame["x1"].to_numpy(),
            ind_effect_group_rand_coef=[1],
            likelihood="bernoulli_logit",
            matrix_inversion_method="cholesky",
            num_parallel_threads=1,
        )
        model.fit(y=frame["y"].to_numpy(float), X=X, params={"delta_rel_conv": 1e-10})
        model.get_coef(std_err=True, format_pandas=False)
        return -float(model.get_current_neg_log_likelihood())

    return call


def measure_size(engine: str, rows: int, clusters: int) -> dict[str, Any]:
    """Simulate, fit twice, and return the time and memory."""
    if engine == "lme4":
        return _measure_lme4(simulate(rows, clusters))
    call = fit_once(engine, simulate(rows, clusters))
    before = peak_memory()
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        log_likelihood = call()
        seconds.append(time.perf_counter() - start)
    return {
        "first_seconds": seconds[0],
        "seconds": seconds[1],
        "peak_mib": peak_memory(),
        "peak_mib_before_fits": before,
        "log_likelihood": log_likelihood,
    }


def _measure_lme4(frame: pd.DataFrame) -> dict[str, Any]:
    """Fit once in R, which has nothing to compile."""
    from cases import Case
    from r_peers import RProcess

    r = RProcess(3600.0)  # the whole process is ended before
    try:
        r.give(frame)
        fit = r.fit("lme4", Case("growth", Path(), "y", "x1 + x2", "(1 + x1 | g)", ("g",), 0.0))
        r.versions()
        before = r.peak_memory
        outcome = fit()
        assert outcome.seconds is not None
        return {
            "first_seconds": None,
            "seconds": outcome.seconds[0],
            "peak_mib": r.peak_memory,
            "peak_mib_before_fits": before,
            "log_likelihood": outcome.log_likelihood,
        }
    finally:
        r.close()


def measure_growth(
    engines: Sequence[str], max_rows: int, max_counted: int, max_sharded: int, timeout: float
) -> dict[str, Any]:
    """Measure every size and engine."""
    in_r = _versions_of_r()
    present = [engine for engine in engines if engine in in_r or is_installed(engine)]
    found: list[dict[str, Any]] = []
    given_up: dict[str, int] = {}  # rows of the first fit of each engine that failed
    for rows, clusters in sizes(max_rows):
        for engine in present:
            if rows >= given_up.get(engine, rows + 1):
                told: str | dict[str, str] = {"failure": f"not tried after {given_up[engine]:,} rows"}
            else:
                told = _run([sys.executable, __file__, engine, str(rows), str(clusters)], timeout)
            if isinstance(told, dict):
                given_up[engine] = min(rows, given_up.get(engine, rows))
            record = told if isinstance(told, dict) else json.loads(told)
            found.append({"engine": engine, "rows": rows, "clusters": clusters} | record)
    return {
        "machine": description(),
        "versions": python_versions() | in_r,
        "formula": FORMULA,
        "missing": [engine for engine in engines if engine not in present],
        "growth": found,
        "counted": measure_counted(max_counted, timeout),
        "sharded": measure_sharded(max_sharded, timeout),
    }


def measure_counted(max_rows: int, timeout: float, source: str = "files") -> list[dict[str, Any]]:
    """Measure experiments of ten times as many rows each time, written to a temporary folder and fitted from there."""
    script = str(Path(__file__).with_name("counted_rows.py"))
    found: list[dict[str, Any]] = []
    rows = FEWEST_COUNTED
    while rows <= max_rows:
        with tempfile.TemporaryDirectory() as folder:
            told = _run([sys.executable, script, "write", folder, str(rows)], timeout)
            if not isinstance(told, dict):
                told = _run([sys.executable, script, "fit", folder, source], timeout)
        found.append({"rows": rows} | (told if isinstance(told, dict) else json.loads(told)))
        rows *= 10
    return found


def measure_sharded(rows: int, timeout: float) -> list[dict[str, Any]]:
    """Measure fits of shards by several numbers of processes, from a temporary folder."""
    script = str(Path(__file__).with_name("sharded_rows.py"))
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        clusters = str(rows // IN_CLUSTER)
        for processes in PROCESSES if rows else ():
            told: str | dict[str, str] = ""
            if not found:
                told = _run([sys.executable, script, "write", folder, str(rows), clusters, str(SHARDS)], timeout)
            if not isinstance(told, dict):
                told = _run([sys.executable, script, "fit", folder, str(processes)], timeout)
            record = told if isinstance(told, dict) else json.loads(told)
            found.append({"rows": rows, "processes": processes} | record)
    return found


def _versions_of_r() -> dict[str, str]:
    """Versions of R and of its packages that are installed."""
    from r_peers import RProcess

    r = RProcess(60.0)
    try:
        return r.versions()
    finally:
        r.close()


def _run(command: list[str], timeout: float) -> str | dict[str, str]:
    """Return the output of a process, or why it failed."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ONE_THREAD,
        start_new_session=True,
    ) as process:
        try:
            printed, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with R, if it has started that
            return {"failure": f"ended after {timeout:g} s"}
    if process.returncode:
        return {"failure": (errors.strip().splitlines() or [f"ended with {process.returncode}"])[-1]}
    return printed


def table_of_growth(found: dict[str, Any]) -> str:
    """Return the measurements as text."""
    heads = ("first s", "second s", "peak MiB", "before")
    columns = "".join(f"{head:>11}" for head in heads)
    lines = [f"{'rows':>9}{'clusters':>9}  {'engine':<10}{columns}{'log-lik.':>16}"]
    keys = ("first_seconds", "seconds", "peak_mib", "peak_mib_before_fits")
    for one in found["growth"]:
        start = f"{one['rows']:9d}{one['clusters']:9d}  {one['engine']:<10}"
        if "failure" in one:
            lines.append(f"{start}{one['failure']}")
            continue
        numbers = "".join(f"{'':>11}" if one[key] is None else f"{one[key]:11.3f}" for key in keys)
        lines.append(f"{start}{numbers}{one['log_likelihood']:16.4f}")
    lines += _table_of_counted(found["counted"])
    lines += table_of_shards(found["sharded"])
    if found["missing"]:
        lines.append(f"not installed: {', '.join(found['missing'])}")
    return "\n".join(lines)


def _table_of_counted(found: list[dict[str, Any]]) -> list[str]:
    """Lines of the measurements of counted rows."""
    steps = ("model", "laplace", "nuts")
    heads = "".join(f"{step + ' ' + unit:>13}" for step in steps for unit in ("s", "MiB"))
    lines = [f"{'rows':>12}{'distinct':>10}{heads}"] if found else []
    for one in found:
        if "failure" in one:
            lines.append(f"{one['rows']:12,d}{one['failure']:>10}")
            continue
        numbers = "".join(f"{one[f'{step}_{what}']:13.2f}" for step in steps for what in ("seconds", "peak_mib"))
        lines.append(f"{one['rows']:12,d}{one['distinct']:10,d}{numbers}")
    return lines


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    print(json.dumps(measure_size(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201
