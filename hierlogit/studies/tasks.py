"""Numbered tasks, run in this process or by an executor, with failures recorded and interruptions handled."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields, is_dataclass

from ..errors import ConvergenceWarning, StudyError, unsaid
from ..progress import progress
from ..validation import kind_of, reason_of

#: Number of parts in which tasks are sent to workers: enough to balance the load, few enough to send the data cheaply.
PARTS = 32
#: Largest number of tasks in a part: an interruption loses those of the parts that are not finished.
LARGEST_PART = 250
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
    """Tasks that are sent to a worker together."""

    task: Callable[[int], R]
    numbers: Sequence[int]

    def __call__(self) -> Done[R]:
        done: Done[R] = Done({}, {})
        for number in self.numbers:
            try:
                # Convergence problems are recorded by the task, not shown a thousand times.
                with unsaid(ConvergenceWarning):
                    done.results[number] = self.task(number)
            except Exception as error:  # recorded, so that a failed replicate does not lose the others
                done.failures[number] = f"{type(error).__name__}: {error}"
        return done


def check_executor(executor: object) -> None:
    """Refuse what is not an executor.

    Raises
    ------
    StudyError
    """
    if executor is not None and not isinstance(executor, Executor):
        raise StudyError(
            f"executor is not an Executor (got {kind_of(executor)}). Pass concurrent.futures.ProcessPoolExecutor(), "
            "get_executor() of a Dask client, or None to run in this process."
        )


def refuse_what_cannot_be_sent(task: object, executor: Executor | None) -> None:
    """Refuse a task that cannot be sent to other processes.

    Raises
    ------
    StudyError
    """
    if not isinstance(executor, ProcessPoolExecutor):  # threads share memory, and Dask can send any function
        return
    parts = {field.name: getattr(task, field.name) for field in fields(task)} if is_dataclass(task) else {"task": task}
    for name, part in parts.items():
        try:
            pickle.dumps(part)
        except Exception as error:  # pickling runs code of the parts
            raise StudyError(
                f"executor: the {name} cannot be sent to other processes: {reason_of(error)}. Use a function defined "
                "at the top level of a module, in place of a lambda or a function within another one, or pass a "
                "concurrent.futures.ThreadPoolExecutor."
            ) from None


def _result[R](future: Future[Done[R]]) -> Done[R]:
    """What a worker returned. Errors of the tasks are in it; others come from sending the tasks and their results."""
    try:
        return future.result()
    except (BrokenExecutor, CancelledError) as error:
        raise StudyError(
            f"executor: a worker ended before its tasks were finished ({type(error).__name__}: {reason_of(error)}). It "
            "was killed, ran out of memory, or could not import what it needs: functions must be defined in a module "
            "that it can import, and a script must start its work below if __name__ == '__main__'. Make a new executor."
        ) from error
    except Exception as error:
        raise StudyError(
            f"executor: the tasks cannot be run by its workers: {type(error).__name__}: {reason_of(error)}. Functions "
            "for other processes must be defined at the top level of a module."
        ) from error


def _run_here[R](task: Callable[[int], R], numbers: Sequence[int], what: str, keep: Callable[[Done[R]], None]) -> None:
    """Run the tasks in this process, and keep what was done every few seconds, at the end and at an interruption."""
    done: Done[R] = Done({}, {})
    kept_at = time.monotonic()
    try:
        for number in progress(numbers, what):
            one = _Part(task, [number])()
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
    executor: Executor | None,
    what: str,
    keep: Callable[[Done[R]], None],
) -> bool:
    """Run a task for each number.

    Parameters
    ----------
    task : callable
        A function of a number that returns a result. For workers in other processes it must be picklable.
    numbers : sequence of int
    executor : concurrent.futures.Executor or None
        Where to run; None for this process.
    what : str
        Text of the progress bar.
    keep : callable
        Is called with the results since its last call.

    Returns
    -------
    bool
        Whether all tasks ran; False after an interruption (Ctrl-C), before which `keep` was called with all results.
    """
    refuse_what_cannot_be_sent(task, executor)
    size = min(max(1, -(-len(numbers) // PARTS)), LARGEST_PART)
    parts = [_Part(task, numbers[start : start + size]) for start in range(0, len(numbers), size)]
    try:
        if executor is None:
            _run_here(task, numbers, what, keep)
        else:
            try:
                futures = [executor.submit(part) for part in parts]
            except RuntimeError as error:  # it was shut down
                raise StudyError(
                    f"executor: it takes no tasks: {reason_of(error)}. Make a new executor, and keep it open while the "
                    "tasks run."
                ) from error
            try:
                for future in progress(as_completed(futures), what, len(futures)):
                    keep(_result(future))
            finally:
                for future in futures:
                    future.cancel()
    except KeyboardInterrupt:
        return False
    return True


def collect_tasks[R](
    task: Callable[[int], R], numbers: Sequence[int], executor: Executor | None, what: str
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
    return done, finished
