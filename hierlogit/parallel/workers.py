"""Executors of every kind: how many workers they have, and how a task is sent to each of them once."""

from __future__ import annotations

import pickle
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

from ..errors import StudyError
from ..python_process import usable_cores
from ..validation import kind_of, reason_of
from .second_process import SecondProcess

#: How often a task is sent again after all workers of a Dask cluster that held it are gone.
MOST_SENDINGS = 5
#: Bytes of a task that goes to a Dask cluster with each of its parts, and not once to each worker.
SMALL = 2**16


class DaskClient(Protocol):
    """What is used of a ``distributed.Client``."""

    @property
    def get_executor(self) -> Callable[..., Executor]:
        """Makes an executor that submits to the cluster."""

    @property
    def scatter(self) -> Callable[..., Any]:
        """Sends data to workers, and returns a future of them."""

    @property
    def nthreads(self) -> Callable[..., Any]:
        """Tells the threads of each worker."""


#: What the option ``executor=`` takes.
type AnyExecutor = Executor | DaskClient


def check_executor(executor: object) -> None:
    """Refuse what is not an executor, and what cannot take tasks.

    Raises
    ------
    StudyError
    """
    if executor is None or isinstance(executor, Executor):
        return
    if not _is_dask_client(executor):
        raise StudyError(
            f"executor is not an Executor (got {kind_of(executor)}). Pass concurrent.futures.ProcessPoolExecutor(), "
            "a distributed.Client of a Dask cluster, or None to run in this process."
        )
    _check_client(executor)


def _is_dask_client(executor: object) -> bool:
    # Whoever passes a client has imported the package, which nobody else has to install.
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(executor, distributed.Client)


def _check_client(client: Any) -> None:
    if client.asynchronous:
        raise StudyError("executor: the Dask client is asynchronous. Pass a Client(...) without asynchronous=True.")
    if client.status != "running":
        raise StudyError(f"executor: the Dask client is {client.status}. Connect a new Client, and keep it open.")


class Workers:
    """The workers of an executor, to which a task has been sent.

    Parameters
    ----------
    executor : concurrent.futures.Executor
    task : callable
        What is submitted in place of the task.
    """

    #: Whether a lost part can be run again, after the task has been sent again.
    sends_again = False

    def __init__(self, executor: Executor, task: Any) -> None:
        self._executor, self._task = executor, task

    def threads(self) -> dict[str | None, int]:
        """How many tasks run at a time, now, by worker, or together under None if a worker cannot be chosen."""
        # Pools of processes and threads and loky's have the first, mpi4py's the second.
        for name in ("_max_workers", "num_workers"):
            workers = getattr(self._executor, name, None)
            if isinstance(workers, int) and workers > 0:
                return {None: workers}
        return {None: usable_cores()}

    def submit[R](self, place: str | None, run: Callable[..., R], *arguments: Any) -> Future[R]:  # noqa: ARG002
        """Run a function of the task and other arguments on a worker.

        Parameters
        ----------
        place : str or None
            The worker, one of `threads`; None for any.
        run : callable
        *arguments

        Raises
        ------
        StudyError
            If the executor takes no tasks.
        """
        try:
            return self._executor.submit(run, self._task, *arguments)
        except BrokenExecutor as error:
            raise lost(error) from error
        except RuntimeError as error:  # it was shut down
            raise StudyError(
                f"executor: it takes no tasks: {reason_of(error)}. Make a new executor, and keep it open while the "
                "tasks run."
            ) from error

    def send_again(self) -> None:
        """Send the task again, after the workers that held it are gone."""
        raise NotImplementedError


class DaskWorkers(Workers):
    """The workers of a Dask cluster: the task is sent to each of them once, and Dask repeats the parts of lost ones.

    The task is pickled here, once: Dask sends its bytes, and the arrays beside them.

    Parameters
    ----------
    executor : distributed.cfexecutor.ClientExecutor
    client : distributed.Client
    task : callable
    """

    sends_again = True

    def __init__(self, executor: Executor, client: Any, task: Any) -> None:
        super().__init__(executor, task)
        self._client = client
        try:
            self._pickled = Pickled.of(task)
        except Exception as error:  # pickling runs code of the parts
            raise StudyError(_cannot_be_sent("task", error)) from error
        self.send_again()

    def threads(self) -> dict[str | None, int]:
        """The threads of each worker, by its address. Workers may come and go."""
        _check_client(self._client)
        return dict(self._client.nthreads())

    def submit[R](self, place: str | None, run: Callable[..., R], *arguments: Any) -> Future[R]:
        """Run a function of the task and other arguments on a worker.

        Parameters
        ----------
        place : str or None
            The address of the worker, which others stand in for if it is gone; None for any.
        run : callable
        *arguments

        Raises
        ------
        StudyError
            If the client is closed.
        """
        where = {} if place is None else {"workers": [place], "allow_other_workers": True}
        try:
            # Without a name of its own, Dask would take the result of an earlier call for that of this one.
            return self._executor.submit(run, self._task, *arguments, pure=False, **where)
        except Exception as error:  # a closed client has errors of many kinds
            _check_client(self._client)
            raise StudyError(f"executor: it takes no tasks: {reason_of(error)}. Connect a new Client.") from error

    def send_again(self) -> None:
        """Send the task to all workers.

        Raises
        ------
        StudyError
            If there is no worker, or the client is closed.
        """
        _check_client(self._client)
        if self._pickled.size <= SMALL:
            # Sending data to all workers waits for each of them, and may wait for ever for one that has just ended.
            self._task = self._pickled
            return
        try:
            self._task = self._client.scatter(self._pickled, broadcast=True, hash=False)
        except TimeoutError as error:
            raise StudyError("executor: the Dask cluster has no workers. Start some, and repeat the call.") from error
        except Exception as error:  # a closed client has errors of many kinds
            _check_client(self._client)
            raise StudyError(_cannot_be_sent("task", error)) from error


class Sent(ABC):
    """A task as an executor brings it to a worker."""

    @abstractmethod
    def read(self) -> Any:
        """The task."""

    @property
    def place(self) -> str | None:
        """The worker that this is called on, if the executor lets one choose; see `Workers.submit`."""
        return None


class Pickled(Sent):
    """A task in bytes, and its arrays beside them, so that they are copied neither here nor where it is read.

    Parameters
    ----------
    content : bytes
    arrays : sequence of buffers
    """

    def __init__(self, content: bytes, arrays: Sequence[Any]) -> None:
        self._content, self._arrays = content, tuple(map(pickle.PickleBuffer, arrays))

    @classmethod
    def of(cls, task: Any) -> Pickled:
        """A task as Dask pickles it, which takes functions that are not in a module too."""
        from distributed.protocol.pickle import dumps

        arrays: list[pickle.PickleBuffer] = []
        return cls(dumps(task, buffer_callback=arrays.append), arrays)  # type: ignore[no-untyped-call]

    def __reduce__(self) -> tuple[Any, ...]:
        return Pickled, (self._content, self._arrays)

    @property
    def size(self) -> int:
        """Bytes of all together."""
        return len(self._content) + sum(array.raw().nbytes for array in self._arrays)

    def read(self) -> Any:
        """The task."""
        return self._task

    # Workers keep what was sent to all of them, and read it once.
    @cached_property
    def _task(self) -> Any:
        return pickle.loads(self._content, buffers=self._arrays)

    @property
    def place(self) -> str:
        """The address of the Dask worker that this is called on."""
        from distributed import get_worker

        address: str = get_worker().address
        return address


@dataclass(frozen=True)
class InFile(Sent):
    """A task in a file, which each process reads once.

    Attributes
    ----------
    path : str
    """

    path: str

    def read(self) -> Any:
        """The task."""
        return _read(self.path)


# One task stays in the memory of a worker, until that of the next study takes its place.
@lru_cache(maxsize=1)
def _read(path: str) -> Any:
    return pickle.loads(Path(path).read_bytes())


@contextmanager
def workers_of(executor: AnyExecutor, task: Any) -> Iterator[Workers]:
    """The workers of an executor, after the task has been sent to them.

    Raises
    ------
    StudyError
        If the task cannot be sent, or the executor takes no tasks.
    """
    if not isinstance(executor, Executor):
        _check_client(executor)
        yield DaskWorkers(executor.get_executor(), executor, task)
        return
    client = getattr(executor, "_client", None)
    if _is_dask_client(client):
        _check_client(client)
        yield DaskWorkers(executor, client, task)
    elif isinstance(executor, ProcessPoolExecutor | SecondProcess):
        # Its processes are on this machine. An initializer could not be given to them any more.
        with _in_file(_pickled(task)) as file:
            yield Workers(executor, file)
    else:
        yield Workers(executor, task)


@contextmanager
def _in_file(content: bytes) -> Iterator[InFile]:
    """A temporary file with a pickled task.

    Raises
    ------
    StudyError
        If it cannot be written.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="hierlogit-"))
        file = folder / "task.pickle"
        file.write_bytes(content)
    except OSError as error:
        raise StudyError(
            f"executor: {len(content):,} bytes that workers need cannot be written to {tempfile.gettempdir()}: "
            f"{reason_of(error)}. Name a folder with more room by the environment variable TMPDIR."
        ) from error
    try:
        yield InFile(str(file))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pickled(task: Any) -> bytes:
    """A task as bytes.

    Raises
    ------
    StudyError
        If it cannot be pickled; names the part that cannot.
    """
    try:
        return pickle.dumps(task)
    except Exception as error:  # pickling runs code of the parts
        whole = error
    parts = {field.name: getattr(task, field.name) for field in fields(task)} if is_dataclass(task) else {}
    for name, part in parts.items():
        try:
            pickle.dumps(part)
        except Exception as error:
            raise StudyError(_cannot_be_sent(name, error)) from None
    raise StudyError(_cannot_be_sent("task", whole)) from None


def _cannot_be_sent(name: str, error: Exception) -> str:
    return (
        f"executor: the {name} cannot be sent to other processes: {reason_of(error)}. Use a function defined at the "
        "top level of a module, in place of a lambda or a function within another one, or pass a "
        "concurrent.futures.ThreadPoolExecutor."
    )


class LostWorkerError(StudyError):
    """A worker ended before its tasks were finished, and nobody repeats them."""


def is_lost(error: Exception) -> bool:
    """Whether an error says that a worker is gone, with its tasks or with the task that it held."""
    return isinstance(error, (BrokenExecutor, CancelledError)) or type(error).__name__ == "KilledWorker"


def lost(error: Exception) -> LostWorkerError:
    """The error for a worker that is gone."""
    return LostWorkerError(
        f"executor: a worker ended before its tasks were finished ({type(error).__name__}: {reason_of(error)}). It "
        "was killed, ran out of memory, or could not import what it needs: functions must be defined in a module "
        "that it can import, and a script must start its work below if __name__ == '__main__'. Make a new executor."
    )
