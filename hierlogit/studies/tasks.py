"""Numbered tasks, run in this process or by an executor, with failures recorded and interruptions handled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass

from ..errors import ConvergenceWarning, StudyError, unsaid
from ..progress import progress
from ..validation import kind_of, reason_of

#: Number of parts in which tasks are sent to workers: enough to balance the load, few enough to send the data cheaply.
PARTS = 32


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


def _result[R](future: Future[Done[R]]) -> Done[R]:
    """What a worker returned. Errors of the tasks are in it; others come from sending the tasks and their results."""
    try:
        return future.result()
    except Exception as error:
        raise StudyError(
            f"executor: the tasks cannot be run by its workers: {type(error).__name__}: {reason_of(error)}. Functions "
            "for other processes must be defined at the top level of a module."
        ) from error


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
    size = max(1, -(-len(numbers) // PARTS))
    parts = [_Part(task, numbers[start : start + size]) for start in range(0, len(numbers), size)]
    try:
        if executor is None:
            for part in progress(parts, what):
                keep(part())
        else:
            try:
                futures = [executor.submit(part) for part in parts]
            except RuntimeError as error:  # it was shut down
                raise StudyError(f"executor: it takes no tasks: {reason_of(error)}.") from error
            try:
                for future in progress(as_completed(futures), what, len(futures)):
                    keep(_result(future))
            finally:
                for future in futures:
                    future.cancel()
    except KeyboardInterrupt:
        return False
    return True
