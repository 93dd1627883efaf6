"""Numbered tasks, run in this process or by an executor, with failures recorded and interruptions handled."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass

from ..errors import ConvergenceWarning, HierlogitWarning, StudyError, collected_warnings, unsaid, warn
from ..progress import progress
from ..validation import reason_of
from .workers import MOST_SENDINGS, AnyExecutor, Sent, Workers, is_lost, lost, workers_of

#: Seconds that a part of the tasks takes on a worker: long beside the time to send it, short for who waits.
PART_SECONDS = 2.0
#: Parts for each worker that are sent ahead, so that none waits for its next one.
AHEAD = 2
#: Number of the last parts whose times tell how long a task takes.
RECENT = 16
#: Seconds after which a waiting process looks for an interruption.
WAKE = 1.0
#: Seconds after which what was done in this process is kept.
PAUSE = 5.0


@dataclass(frozen=True)
class Done[R]:
    """Results and failures of finished tasks, by number.

    Attributes
    ----------
    results : dict of int to R
    failures : dict of int to str
        Error messages of the tasks without a result.
    """

    results: dict[int, R]
    failures: dict[int, str]


@dataclass(frozen=True)
class _Part[R]:
    """What a worker returns.

    Attributes
    ----------
    done : Done
    seconds : float
        How long the tasks took together.
    place : str or None
        The worker, if the executor lets one choose.
    """

    done: Done[R]
    seconds: float
    place: str | None


def _run_part[R](task: Callable[[int], R] | Sent, numbers: Sequence[int]) -> _Part[R]:
    """Run tasks one after the other."""
    run: Callable[[int], R] = task.read() if isinstance(task, Sent) else task
    done: Done[R] = Done({}, {})
    start = time.perf_counter()
    for number in numbers:
        try:
            # Convergence problems are recorded by the task, not shown a thousand times.
            with unsaid(ConvergenceWarning):
                done.results[number] = run(number)
        except Exception as error:  # recorded, so that a failed replicate does not lose the others
            done.failures[number] = f"{type(error).__name__}: {error}"
    return _Part(done, time.perf_counter() - start, task.place if isinstance(task, Sent) else None)


@dataclass(frozen=True)
class _Told[R]:
    """What a task returned or raised, and its warnings."""

    value: R | Exception
    warnings: list[tuple[str, type[HierlogitWarning]]]


@dataclass(frozen=True)
class _Telling[R]:
    """Task that returns its error and its warnings beside its result.

    Attributes
    ----------
    task : callable
    """

    task: Callable[[int], R]

    def __call__(self, number: int) -> _Told[R]:
        """The result of the task, or its error."""
        with collected_warnings() as found:
            try:
                return _Told(self.task(number), found)
            except Exception as error:  # raised again where the results are collected
                return _Told(error, found)


class _Pace:
    """How many tasks the next part has: as many as take `PART_SECONDS`, by the parts that have come back."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT)

    def add(self, tasks: int, seconds: float) -> None:
        """Take account of a finished part."""
        self._recent.append((tasks, seconds))

    def next(self, waiting: int, workers: int) -> int:
        """Number of tasks, of those that wait, for the next part."""
        if not self._recent:
            return 1
        tasks, seconds = (sum(values) for values in zip(*self._recent, strict=True))
        timely = int(PART_SECONDS * tasks / max(seconds, 1e-9))
        # Smaller and smaller parts towards the end, so that all workers end at about the same time.
        return max(1, min(timely, waiting // (AHEAD * workers)))


@dataclass(frozen=True)
class _Running:
    """A part that was submitted.

    Attributes
    ----------
    sending : int
        The number of the sending of the task, since all parts of one may be lost, one after the other.
    place : str or None
        The worker that it was submitted to; None for any.
    numbers : list of int
    """

    sending: int
    place: str | None
    numbers: list[int]


class _Queue[R]:
    """Tasks that wait, and parts of them that run.

    Parameters
    ----------
    workers : Workers
    numbers : sequence of int
    places : dict of int to str
        The workers that answered for the tasks last.
    """

    def __init__(self, workers: Workers, numbers: Sequence[int], places: dict[int, str]) -> None:
        self._workers, self._places = workers, places
        self._waiting: dict[str | None, deque[int]] = {None: deque()}
        for number in numbers:
            self._waiting.setdefault(places.get(number), deque()).append(number)
        self._running: dict[Future[_Part[R]], _Running] = {}
        self._pace, self._sending = _Pace(), 1

    def __bool__(self) -> bool:
        return bool(self._running) or any(self._waiting.values())

    def fill(self) -> None:
        """Submit parts until each worker has enough."""
        threads = self._workers.threads()
        for gone in self._waiting.keys() - {None, *threads}:
            self._waiting[None].extend(self._waiting.pop(gone))
        for place, waiting in self._waiting.items():
            count = (sum(threads.values()) or 1) if place is None else threads[place]
            busy = sum(place in (None, part.place) for part in self._running.values())
            while waiting and busy < AHEAD * count:
                size = self._pace.next(len(waiting), count)
                part = _Running(self._sending, place, [waiting.popleft() for _ in range(size)])
                self._running[self._workers.submit(place, _run_part, part.numbers)] = part
                busy += 1

    def finished(self) -> Iterator[Done[R]]:
        """Results of the parts that have ended, after waiting for one of them.

        Raises
        ------
        StudyError
            If the workers cannot run the tasks, or one is gone; after the results of all other parts.
        """
        ended, _ = wait(self._running, WAKE, FIRST_COMPLETED)
        failed: list[tuple[_Running, Exception]] = []
        for future in [one for one in self._running if one in ended]:  # in the order of the tasks
            sent = self._running.pop(future)
            try:
                part = future.result()
            except Exception as why:  # of sending, or of the worker; errors of tasks are in the results
                failed.append((sent, why))
            else:
                self._pace.add(len(sent.numbers), part.seconds)
                if part.place is not None:
                    self._places.update(dict.fromkeys(sent.numbers, part.place))
                yield part.done
        for sent, error in failed:
            self._put_back(sent, error)

    def _put_back(self, part: _Running, error: Exception) -> None:
        """Let tasks wait again, and send what they need again, if all workers that held it are gone.

        Raises
        ------
        StudyError
            In all other cases.
        """
        if not is_lost(error):
            raise StudyError(
                f"executor: the tasks cannot be run by its workers: {type(error).__name__}: {reason_of(error)}. "
                "Functions for other processes must be defined at the top level of a module."
            ) from error
        if not (self._workers.sends_again and isinstance(error, CancelledError) and part.sending < MOST_SENDINGS):
            raise lost(error) from error
        self._waiting[None].extendleft(reversed(part.numbers))
        if part.sending == self._sending:
            self._workers.send_again()
            self._sending += 1

    def cancel(self) -> None:
        """Cancel the parts that have not begun."""
        for future in self._running:
            future.cancel()


def _run_there[R](
    task: Callable[[int], R],
    numbers: Sequence[int],
    executor: AnyExecutor,
    keep: Callable[[Done[R]], None],
    places: dict[int, str],
) -> Iterator[int]:
    """Run the tasks by an executor, and keep what was done as parts come back; yields the number of each task."""
    with workers_of(executor, task) as workers:
        queue: _Queue[R] = _Queue(workers, numbers, places)
        try:
            while queue:
                queue.fill()
                for done in queue.finished():
                    keep(done)
                    yield from (*done.results, *done.failures)
        finally:
            queue.cancel()


def _run_here[R](task: Callable[[int], R], numbers: Iterable[int], keep: Callable[[Done[R]], None]) -> None:
    """Run the tasks in this process, and keep what was done every few seconds, at the end and at an interruption."""
    done: Done[R] = Done({}, {})
    kept_at = time.monotonic()
    try:
        for number in numbers:
            one = _run_part(task, [number]).done
            done.results.update(one.results)
            done.failures.update(one.failures)
            if time.monotonic() - kept_at > PAUSE:
                keep(done)
                done, kept_at = Done({}, {}), time.monotonic()
    except KeyboardInterrupt:
        keep(done)
        raise
    keep(done)


def run_tasks[R](
    task: Callable[[int], R],
    numbers: Sequence[int],
    executor: AnyExecutor | None,
    what: str | None,
    keep: Callable[[Done[R]], None],
    patience: float | None = None,
    places: dict[int, str] | None = None,
) -> bool:
    """Run a task for each number.

    Parameters
    ----------
    task : callable
        A function of a number that returns a result. For workers in other processes it must be picklable.
    numbers : sequence of int
    executor : concurrent.futures.Executor, distributed.Client or None
        Where to run; None for this process.
    what : str or None
        Text of the progress bar; None shows none.
    keep : callable
        Is called with the results since its last call.
    patience : float, optional
        After how many seconds the bar is shown; see `hierlogit.progress.progress`.
    places : dict of int to str, optional
        The workers that tasks are sent to if they are there, and on return those that ran them, as far as the executor
        lets one choose: for tasks that find on their worker what an earlier task with their number has left there.

    Returns
    -------
    bool
        Whether all tasks ran; False after an interruption (Ctrl-C), before which `keep` was called with all results.

    Raises
    ------
    StudyError
        If the executor cannot run the tasks, or a worker is gone and its tasks are not repeated.
    """
    try:
        if executor is None:
            _run_here(task, progress(numbers, what, patience=patience), keep)
        else:
            at = {} if places is None else places
            for _ in progress(_run_there(task, numbers, executor, keep, at), what, len(numbers), patience):
                pass
    except KeyboardInterrupt:
        return False
    return True


def collect_tasks[R](
    task: Callable[[int], R], numbers: Sequence[int], executor: AnyExecutor | None, what: str | None
) -> tuple[Done[R], bool]:
    """Run a task for each number as `run_tasks` does, and collect what it returns.

    Returns
    -------
    done : Done
    finished : bool
        Whether all tasks ran, which is not so after an interruption.
    """
    done: Done[R] = Done({}, {})

    def keep(more: Done[R]) -> None:
        done.results.update(more.results)
        done.failures.update(more.failures)

    finished = run_tasks(task, numbers, executor, what, keep)
    # Parts come back in any order.
    return Done(dict(sorted(done.results.items())), dict(sorted(done.failures.items()))), finished


def results_until_interrupted[R](
    task: Callable[[int], R],
    numbers: Sequence[int],
    executor: AnyExecutor | None,
    what: str | None,
    patience: float | None = None,
    places: dict[int, str] | None = None,
) -> tuple[dict[int, R], bool]:
    """Run a task for each number as `run_tasks` does, where no task may fail, and give the tasks' warnings.

    Returns
    -------
    results : dict of int to R
        In the order of the numbers.
    finished : bool
        Whether all tasks ran, which is not so after an interruption.

    Raises
    ------
    Exception
        The error of the first task that has one; others are no longer begun.
    """
    found: dict[int, _Told[R]] = {}

    def keep(more: Done[_Told[R]]) -> None:
        for number, told in more.results.items():
            if isinstance(told.value, Exception):
                raise told.value
            found[number] = told

    finished = run_tasks(_Telling(task), numbers, executor, what, keep, patience, places)
    values: dict[int, R] = {}
    for number, told in sorted(found.items()):
        for text, kind in told.warnings:
            warn(text, kind)
        assert not isinstance(told.value, Exception)
        values[number] = told.value
    return values, finished


def all_results[R](
    task: Callable[[int], R],
    numbers: Sequence[int],
    executor: AnyExecutor | None,
    what: str | None,
    patience: float | None = None,
    places: dict[int, str] | None = None,
) -> dict[int, R]:
    """Run a task for each number as `results_until_interrupted` does, where all results are needed.

    Raises
    ------
    Exception
        The error of the first task that has one; others are no longer begun.
    KeyboardInterrupt
        After an interruption.
    """
    values, finished = results_until_interrupted(task, numbers, executor, what, patience, places)
    if not finished:
        raise KeyboardInterrupt
    return values
