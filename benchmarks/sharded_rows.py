"""Fits of shards by one, two and four processes: the cost of a round, the share of waiting, and a cluster's time.

    python benchmarks/sharded_rows.py write FOLDER ROWS CLUSTERS SHARDS
    python benchmarks/sharded_rows.py fit FOLDER PROCESSES

The first command writes rows with numeric predictors, which cannot be counted, and their shards. The second fits them
by a pool of processes of one thread each, twice: the processes read their shards in the first fit. It prints what was
measured in the second one as JSON. `likelihood.py --growth` runs both, and works out how long a cluster takes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from machine import ONE_THREAD, peak_memory

FORMULA = "y ~ x1 + x2 + (1 + x1 | g)"
#: Rows that are simulated at a time.
EACH = 1_000_000
#: Seconds that a task and its result take through the network of a cluster, both ways.
LATENCY = 0.002


def write(folder: Path, rows: int, clusters: int, shards: int) -> None:
    """Write the rows to Parquet, cluster after cluster, and divide them."""
    import pyarrow as pa
    from growth import simulate
    from pyarrow import parquet

    import hierlogit as hl

    together = max(1, clusters * EACH // rows)  # clusters that are simulated at a time
    table = folder / "rows"
    table.mkdir(parents=True)
    for number, start in enumerate(range(0, clusters, together)):
        count = min(together, clusters - start)
        frame = simulate(count * (rows // clusters), count, seed=number)
        frame["g"] += start
        parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), table / f"{number:04d}.parquet")
    hl.Shards.write(str(table), folder / "shards", group="g", shards=shards)


class Timed:
    """A function of a part of the tasks that notes when it ran, and for how much of the processor's time."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> tuple[Any, dict[str, float]]:
        """What the function returns, and the note."""
        start, processor = time.monotonic(), time.process_time()
        value = self.function(*arguments)
        note = {
            "start": start,
            "end": time.monotonic(),
            "processor": time.process_time() - processor,
            "shards": len(arguments[-1]),  # a part of the tasks by their numbers
            "peak_mib": peak_memory() or 0.0,
        }
        return value, note


class TimedPool(ProcessPoolExecutor):
    """Processes that are asked for notes of what they do."""

    def __init__(self, processes: int) -> None:
        super().__init__(processes, mp_context=get_context("spawn"))
        self.notes: list[dict[str, float]] = []
        self._lock = threading.Lock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function, whose note is kept."""
        outer: Future[Any] = Future()

        def passed_on(inner: Future[Any]) -> None:
            if error := inner.exception():
                outer.set_exception(error)
                return
            value, note = inner.result()
            with self._lock:
                self.notes.append(note)
            outer.set_result(value)

        outer.set_running_or_notify_cancel()
        super().submit(Timed(fn), *args, **kwargs).add_done_callback(passed_on)
        return outer


def measure(folder: Path, processes: int) -> dict[str, Any]:
    """Times of a second fit of the same shards."""
    import hierlogit as hl

    shards = hl.Shards(folder / "shards")
    with TimedPool(processes) as pool:
        model = shards.model(FORMULA, executor=pool)
        model.fit("laplace", executor=pool)
        pool.notes.clear()
        start, own = time.perf_counter(), time.process_time()
        fit = model.fit("laplace", executor=pool)
        seconds, own = time.perf_counter() - start, time.process_time() - own
        notes = list(pool.notes)
    rounds = sum(note["shards"] for note in notes) / len(shards.manifest.shards)
    busy = sum(note["end"] - note["start"] for note in notes)
    return {
        "processes": processes,
        "shards": len(shards.manifest.shards),
        "log_likelihood": float(fit.estimate.log_likelihood),
        "rounds": rounds,
        "seconds": seconds,
        "round_seconds": seconds / rounds,
        "round_processor_seconds": sum(note["processor"] for note in notes) / rounds,
        "round_own_seconds": own / rounds,
        "waiting": 1 - busy / (processes * seconds),
        "worker_peak_mib": max(note["peak_mib"] for note in notes),
        "peak_mib": peak_memory(),
    }


def cluster_seconds(one: Mapping[str, Any], workers: int, times_the_rows: float = 1.0) -> float:
    """How long a cluster takes for the same fit, with a shard for each worker: ``rounds (C k / W + d W + L)``.

    C is the processor's time of all shards in a round, k how many times as many rows there are, W the number of
    workers, d the time of the main process for each shard in a round, and L the latency of the network.

    Parameters
    ----------
    one : mapping
        As `measure` returns it.
    workers : int
    times_the_rows : float
    """
    of_shards = one["round_processor_seconds"] * times_the_rows / workers
    of_main = one["round_own_seconds"] / one["shards"] * workers
    return float(one["rounds"] * (of_shards + of_main + LATENCY))


def table_of_shards(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines of the measurements, and of a cluster of 100 workers."""
    if found:
        yield (
            f"{'rows':>12}{'processes':>11}{'rounds':>8}{'fit s':>9}{'round s':>9}{'CPU s':>8}{'waiting':>9}"
            f"{'MiB each':>10}{'log-lik.':>18}"
        )
    for one in found:
        if "failure" in one:
            yield f"{one['rows']:12,d}{one['processes']:11d}  {one['failure']}"
            continue
        yield (
            f"{one['rows']:12,d}{one['processes']:11d}{one['rounds']:8.0f}{one['seconds']:9.2f}"
            f"{one['round_seconds']:9.3f}{one['round_processor_seconds']:8.3f}{one['waiting']:9.1%}"
            f"{one['worker_peak_mib']:10.0f}{one['log_likelihood']:18.6f}"
        )
    measured = [one for one in found if "failure" not in one]
    for times in (1, 100) if measured else ():
        one = measured[0]
        seconds = cluster_seconds(one, 100, times)
        yield f"{times * one['rows']:,} rows on 100 workers, worked out: {seconds:.1f} s"


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), *(int(float(word)) for word in sys.argv[3:6]))
    else:
        print(json.dumps(measure(Path(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201
