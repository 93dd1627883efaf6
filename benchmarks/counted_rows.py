"""Rows counted where they lie: time and memory of models and fits of an experiment in a folder of Parquet files.

    python benchmarks/counted_rows.py write FOLDER ROWS
    python benchmarks/counted_rows.py fit FOLDER SOURCE

The first command writes the folder: arms, weeks and devices, in clusters that are each in one country. The second fits
the model to it, read by the ``SOURCE`` ``files`` (Arrow), ``duckdb`` or ``polars``, in a process of its own whose peak
memory is measured, and prints the times as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from machine import description, peak_memory, python_versions

FORMULA = "converted ~ arm * device + week + country + (1 | cluster)"
CLUSTERS, COUNTRIES, WEEKS = 5_000, 20, 4
ARMS, DEVICES = ("long form", "short form"), ("computer", "phone")
#: Rows in each file.
EACH = 5_000_000


def write(folder: Path, rows: int) -> None:
    """Write the table, a file for each `EACH` rows."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    random = np.random.default_rng(20260501)
    country_of, effect = random.integers(0, COUNTRIES, CLUSTERS), random.normal(0, 0.5, CLUSTERS)
    of_country = random.normal(0, 0.3, COUNTRIES)
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, rows, EACH)):
        n = min(EACH, rows - start)
        cluster = random.integers(0, CLUSTERS, n)
        arm, device, week = random.integers(0, 2, n), random.integers(0, 2, n), random.integers(1, WEEKS + 1, n)
        eta = -2.0 + 0.3 * arm + 0.2 * arm * device - 0.2 * device + 0.02 * week
        eta += of_country[country_of[cluster]] + effect[cluster]
        converted = random.random(n, dtype=np.float32) < 1 / (1 + np.exp(-eta.astype(np.float32)))
        columns = {
            "converted": pa.array(converted),
            "arm": _text(arm, ARMS),
            "device": _text(device, DEVICES),
            "week": pa.array(week.astype(np.int32)),
            "country": _text(country_of[cluster], [f"c{k:02d}" for k in range(COUNTRIES)]),
            "cluster": pa.array(cluster.astype(np.int32)),
            "visitor": pa.array(np.arange(start, start + n)),
        }
        parquet.write_table(pa.table(columns), folder / f"part-{number:04d}.parquet")


def _text(codes: Any, levels: Any) -> Any:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(codes.astype("int32")), pa.array(list(levels))).cast(pa.string())


def source_of(folder: Path, kind: str) -> Any:
    """The table, as a user would pass it."""
    if kind == "duckdb":
        import duckdb

        return duckdb.sql(f"SELECT * FROM '{folder}/*.parquet'")
    if kind == "polars":
        import polars as pl

        return pl.scan_parquet(f"{folder}/*.parquet")
    return folder


def measure(folder: Path, kind: str) -> dict[str, Any]:
    """Times of model, Laplace and NUTS, with the peak memory after each."""
    import hierlogit as hl

    steps: dict[str, Any] = {"source": kind, "formula": FORMULA}
    model = _timed(steps, "model", lambda: hl.Model(FORMULA, source_of(folder, kind)))
    steps |= {"rows": model.design.n_observations, "distinct": model.design.n_rows}
    fit = _timed(steps, "laplace", lambda: model.fit("laplace"))
    steps["log_likelihood"] = fit.estimate.log_likelihood
    sampled = _timed(steps, "nuts", lambda: model.fit(hl.NUTS(seed=1, progress=False)))
    steps["status"] = sampled.diagnostics.status
    return steps | {"machine": description(), "versions": python_versions()}


def _timed(steps: dict[str, Any], name: str, step: Any) -> Any:
    start, processor = time.perf_counter(), time.process_time()
    result = step()
    steps[f"{name}_seconds"], steps[f"{name}_peak_mib"] = time.perf_counter() - start, peak_memory()
    steps[f"{name}_processor_seconds"] = time.process_time() - processor
    return result


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), int(float(sys.argv[3])))
    else:
        print(json.dumps(measure(Path(sys.argv[2]), sys.argv[3]), indent=1))  # noqa: T201
