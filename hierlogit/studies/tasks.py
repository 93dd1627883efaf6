"""Numbered tasks, here or over an executor's workers: failures kept apart, interruptions survived."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass

from ..errors import ConvergenceWarning
from ..progress import progress

#: Parts that tasks are sent in: enough for workers to share them evenly, few enough that carrying the data is cheap.
PARTS = 32


@dataclass(frozen=True)
class Done[R]:
    """What became of some tasks.

    Attributes
    ----------
    results : dict of int to R
    failures : dict of int to str
        What went wrong, of tasks that have no result.
    """

    results: dict[int, R]
    failures: dict[int, str]


@dataclass(frozen=True)
class _Part[R]:
    """Some of the tasks, as they travel to a worker."""

    task: Callable[[int], R]
    numbers: Sequence[int]

    def __call__(self) -> Done[R]:
        done: Done[R] = Done({}, {})
        for number in self.numbers:
            try:
                with warnings.catch_warnings():
                    # What a replicate's search had to say is counted by the task, not shown a thousand times.
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    done.results[number] = self.task(number)
            except Exception as error:  # one bad replicate must not lose the others: it is counted
                done.failures[number] = f"{type(error).__name__}: {error}"
        return done


def run_tasks[R](
    task: Callable[[int], R],
    numbers: Sequence[int],
    executor: Executor | None,
    what: str,
    keep: Callable[[Done[R]], None],
) -> bool:
    """Run a task for each number.

    Parameters
    ----------
    task : callable
        Of a number, to a result. For workers in other processes it must be picklable.
    numbers : sequence of int
    executor : concurrent.futures.Executor, optional
        Where to run; in this process if not given.
    what : str
        What is done, for the progress bar.
    keep : callable
        Takes what has been done since it was called last.

    Returns
    -------
    bool
        Whether all of them ran: False if an interruption (Ctrl-C) came before. What was done by then has been kept.
    """
    size = max(1, -(-len(numbers) // PARTS))
    parts = [_Part(task, numbers[start : start + size]) for start in range(0, len(numbers), size)]
    try:
        if executor is None:
            for part in progress(parts, what):
                keep(part())
        else:
            futures = [executor.submit(part) for part in parts]
            try:
                for future in progress(as_completed(futures), what, len(futures)):
                    keep(future.result())
            finally:
                for future in futures:
                    future.cancel()
    except KeyboardInterrupt:
        return False
    return True
