"""Executors of every kind: threads, processes, Dask and loky, workers that die, and executors that take no tasks."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import dask
import distributed
import numpy as np
import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor

import hierlogit as hl
from hierlogit.errors import StudyError
from hierlogit.parallel.tasks import Done, all_results, collect_tasks, run_tasks
from hierlogit.parallel.workers import Pickled, check_executor


def square(number: int) -> int:
    return number * number


class Counted:
    """Task that counts in a folder how often a process reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.content = folder, bytes(100_000)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        (self.folder / f"{os.getpid()} {time.monotonic_ns()}").touch()

    def __call__(self, number: int) -> int:
        return number


class Recorded(Executor):
    """Runs at once, and records the numbers of each part."""

    num_workers = 3

    def __init__(self) -> None:
        self.parts: list[list[int]] = []

    def submit(self, run: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.parts.append(list(arguments[1]))
        future.set_result(run(*arguments))
        return future


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    """A cluster of two workers in this process, which leave each other their tasks."""
    with (
        dask.config.set({"distributed.scheduler.work-stealing": False}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_results_are_those_of_this_process(client: distributed.Client) -> None:
    expected = {number: number * number for number in range(50)}
    with ThreadPoolExecutor(2) as threads:
        for executor in (None, threads, client, client.get_executor(), Recorded()):
            done, finished = collect_tasks(square, range(50), executor, "Squaring")
            assert finished
            assert list(done.results.items()) == list(expected.items())
            assert not done.failures


def test_lokys_processes_take_any_function() -> None:
    pool = get_reusable_executor(max_workers=1)
    try:
        assert all_results(lambda number: number + 1, range(5), pool, "") == {k: k + 1 for k in range(5)}
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def test_each_process_reads_the_task_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        done, _ = collect_tasks(Counted(tmp_path), range(200), processes, "")
    assert len(done.results) == 200
    readers = [path.name.split()[0] for path in tmp_path.iterdir()]
    assert 1 <= len(readers) == len(set(readers)) <= 2


class CountedPickles:
    """Task that counts how often it is pickled and read, with arrays that are beside its pickle."""

    def __init__(self, entries: int) -> None:
        self.values = np.arange(float(entries))

    def __getstate__(self) -> dict[str, Any]:
        COUNTS["pickled"] += 1
        return {"values": self.values}

    def __setstate__(self, state: dict[str, Any]) -> None:
        COUNTS["read"] += 1
        self.__dict__.update(state)

    def __call__(self, number: int) -> float:
        return float(self.values[number])


#: Of the process that the workers are in.
COUNTS: Counter[str] = Counter()


@pytest.mark.parametrize(("entries", "read"), [(100, 100), (100_000, 1)])
def test_a_task_is_pickled_once_for_dask(client: distributed.Client, entries: int, read: int) -> None:
    COUNTS.clear()
    found = all_results(CountedPickles(entries), range(100), client, "")
    assert found == {number: float(number) for number in range(100)}
    assert COUNTS["pickled"] == 1
    # A small one comes with each part of the tasks, a large one to each worker, of which both are in this process.
    assert 1 <= COUNTS["read"] <= read


def test_what_dask_brings_can_be_sent_on() -> None:
    task = Pickled.of(CountedPickles(1000))
    again = pickle.loads(pickle.dumps(task, protocol=5))
    np.testing.assert_array_equal(again.read().values, np.arange(1000.0))
    assert 8000 < pickle.loads(pickle.dumps(again, protocol=5)).size == task.size < 9000


def where(_: int) -> str:
    address: str = distributed.get_worker().address
    return address


def test_tasks_go_where_they_were_before(client: distributed.Client) -> None:
    places: dict[int, str] = {}
    first = all_results(where, range(20), client, "", places=places)
    assert places == first
    assert len(set(first.values())) == 2
    # The other way around, and with a worker that is gone.
    one, other = set(first.values())
    chosen = {number: other if first[number] == one else one for number in range(19)} | {19: "tcp://127.0.0.1:1"}
    places.update(chosen)
    found = all_results(where, range(20), client, "", places=places)
    assert found == places
    assert {number: found[number] for number in range(19)} == {number: chosen[number] for number in range(19)}
    assert found[19] in {one, other}


def test_executors_that_choose_themselves_are_not_told_where(client: distributed.Client) -> None:
    places = all_results(where, range(4), client, "")
    kept = dict(places)
    with ThreadPoolExecutor(2) as threads:
        assert list(all_results(square, range(4), threads, "", places=places).values()) == [0, 1, 4, 9]
    assert places == kept


class Clock:
    """A clock that only the tasks move on, by so many seconds each."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.now, self.seconds = 0.0, seconds

    def __call__(self) -> float:
        return self.now

    def task(self, number: int) -> int:
        self.now += self.seconds(number)
        return number


def parts_sent(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> list[list[int]]:
    """The parts in which 1,000 tasks of so many seconds are sent to three workers."""
    clock, executor = Clock(seconds), Recorded()
    monkeypatch.setattr("hierlogit.parallel.tasks.time.perf_counter", clock)
    collect_tasks(clock.task, range(1000), executor, "")
    assert [number for part in executor.parts for number in part] == list(range(1000))
    return executor.parts


def test_parts_take_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [len(part) for part in parts_sent(monkeypatch, lambda _: 0.125)]
    full = sizes.count(16)
    # Two for each of three workers, before a time is known; then 2 s each, until the rest is shared by the workers.
    assert sizes[: 6 + full] == [1] * 6 + [16] * full
    assert 16 * 6 > 1000 - 6 - 16 * full >= 16 * 5
    assert sizes[6 + full :] == sorted(sizes[6 + full :], reverse=True)
    assert sizes[-6:] == [1] * 6


def test_parts_shrink_when_tasks_become_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = parts_sent(monkeypatch, lambda number: 0.125 if number < 500 else 2.0)
    assert {len(part) for part in parts if 750 <= part[0] < 950} == {1}


def test_slow_tasks_are_sent_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {len(part) for part in parts_sent(monkeypatch, lambda _: 3.0)} == {1}


def test_what_takes_no_tasks_is_said(client: distributed.Client) -> None:
    with pytest.raises(StudyError, match=r"not an Executor \(got str\). Pass .* a distributed.Client"):
        check_executor("client")
    with distributed.Client(client.cluster, set_as_default=False) as closed:
        executor = closed.get_executor()
    for one in (closed, executor):
        with pytest.raises(StudyError, match="the Dask client is closed. Connect a new Client"):
            collect_tasks(square, range(3), one, "")
    with pytest.raises(StudyError, match="the Dask client is closed"):
        check_executor(closed)

    async def check() -> None:
        async with distributed.Client(client.scheduler.address, asynchronous=True, set_as_default=False) as one:
            check_executor(one)

    with pytest.raises(StudyError, match="the Dask client is asynchronous"):
        asyncio.run(check())


def fail(number: int) -> int:
    raise ValueError(f"no {number}")


def test_the_first_error_is_raised_where_all_results_are_needed() -> None:
    with ThreadPoolExecutor(1) as threads, pytest.raises(ValueError, match="no 0"):
        all_results(fail, range(3), threads, "")


class KillsItself:
    """Task that ends its process at one number, the first time."""

    def __init__(self, folder: Path, at: int) -> None:
        self.folder, self.at = folder, at

    def __call__(self, number: int) -> int:
        here = self.folder / "killed"
        if number == self.at and not here.exists():
            here.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number


def test_what_was_done_before_a_process_died_is_kept(tmp_path: Path) -> None:
    kept: list[int] = []

    def keep(done: Done[int]) -> None:
        kept.extend(done.results)

    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes,
        pytest.raises(StudyError, match="a worker ended before its tasks were finished"),
    ):
        run_tasks(KillsItself(tmp_path, 30), range(60), processes, "", keep)
    assert kept == list(range(len(kept)))
    assert 0 < len(kept) <= 30


@pytest.mark.slow
def test_dask_repeats_the_part_of_a_killed_worker(tmp_path: Path) -> None:
    fit = hl.Model("p(successes, size) ~ period + (1 | herd)", hl.datasets.load("cbpp")).fit(hl.Laplace(seed=1))
    alone = hl.bootstrap(fit, replicates=300, seed=7).values
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        done, _ = collect_tasks(KillsItself(tmp_path, 30), range(60), client, "")
        assert list(done.results) == list(range(60))
        assert (tmp_path / "killed").exists()
        store = tmp_path / "bootstrap.json"
        killer = threading.Thread(target=_kill_a_worker, args=(client, store))
        killer.start()
        found = hl.bootstrap(fit, replicates=300, seed=7, executor=client, store=store)
        killer.join()
    assert not found.failures
    pd.testing.assert_frame_equal(found.values, alone, check_exact=True)


def _kill_a_worker(client: distributed.Client, store: Path) -> None:
    """Kill one of the workers as soon as the first replicates are there."""
    while not store.exists():
        time.sleep(0.02)
    address, pid = next(iter(client.run(os.getpid).items()))
    assert address
    os.kill(pid, signal.SIGKILL)
