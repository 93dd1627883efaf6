"""A second process of this Python, as an executor that needs nothing of the program that uses it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from ..progress import shown
from ..python_process import start_python, usable_cores

#: xarray imports Dask, where it is installed, to find out that an array is none of Dask's; without Dask, it knows.
PROGRAM = """
import importlib, sys
sys.modules["dask"] = None
for name in sys.argv[1:]:
    importlib.import_module(name)
from hierlogit.parallel.second_process import serve
serve()
"""
#: Processes that were started before there is work for them.
_AHEAD: list[subprocess.Popen[bytes]] = []


class SecondProcess(Executor):
    """One other process, which runs functions one after the other.

    The processes of a `ProcessPoolExecutor` that are not forked import the main module of the program again, which must
    be written for that. This one does not, so that functions of the main module cannot be sent to it.

    Parameters
    ----------
    process : subprocess.Popen
        A process that runs `serve`.
    """

    #: What tells `Workers` how many tasks run at a time.
    _max_workers = 1

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hierlogit second process")

    def submit[**P, R](self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function in the process; the future has its result, its error, or that of the process.

        Raises
        ------
        Exception
            If the function or its arguments cannot be pickled.
        """
        return self._thread.submit(self._exchange, pickle.dumps((function, args, kwargs)))

    def _exchange(self, task: bytes) -> Any:
        try:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            pickle.dump(task, self._process.stdin)
            self._process.stdin.flush()
            answer = pickle.load(self._process.stdout)
        except (OSError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise BrokenExecutor("the second process has ended") from error
        value, failure = pickle.loads(answer)
        if failure is not None:
            raise failure
        return value

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the process. Unless `wait` is true, this loses the function that it runs."""
        self._thread.shutdown(wait, cancel_futures=cancel_futures)
        self._process.kill()
        self._process.wait()
        self._thread.shutdown()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what could not be written any more
                if pipe is not None:
                    pipe.close()


@contextmanager
def second_process() -> Iterator[SecondProcess | None]:
    """A second process, which is ended with the context; None if there is no use in one, or it cannot be started."""
    process = _AHEAD.pop() if _AHEAD else _started()
    if process is None:
        yield None
        return
    executor = SecondProcess(process)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


@contextmanager
def started_ahead(*modules: str) -> Iterator[None]:
    """Context in which a process is there before `second_process` asks for one, which takes this one.

    Parameters
    ----------
    *modules : str
        Names of modules that the process imports meanwhile.
    """
    process = _started(*modules)
    if process is None:
        yield
        return
    _AHEAD.append(process)
    try:
        yield
    finally:
        if process in _AHEAD:  # nobody has asked
            _AHEAD.remove(process)
            SecondProcess(process).shutdown(wait=False)


def _started(*modules: str) -> subprocess.Popen[bytes] | None:
    # It has no windows, and no notebook.
    own = {"MPLBACKEND": "agg"}
    return start_python(PROGRAM, *modules, environment=own, stdout=subprocess.PIPE) if _is_useful() else None


def _is_useful() -> bool:
    # Where this process works for another one, that one has given work to all processors.
    return usable_cores() > 1 and multiprocessing.parent_process() is None


def serve() -> None:
    """Run the functions that come through the standard input, until it is closed."""
    # Ctrl-C reaches both processes: the first one ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what functions print is no answer
    # Imports and functions make many objects and few cycles, which are looked for after each function.
    gc.disable()
    with shown(False):  # nobody watches its output
        while True:
            try:
                task = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            pickle.dump(_answer(task), answers)
            answers.flush()
            gc.collect(0)


def _answer(task: bytes) -> bytes:
    """The pickled result and error of a function, one of which is None."""
    try:
        function, args, kwargs = pickle.loads(task)
        return pickle.dumps((function(*args, **kwargs), None))
    except Exception as error:  # raised again where the result is awaited
        with suppress(Exception):
            # Read too, since some errors can be pickled but not made again.
            answer = pickle.dumps((None, error))
            pickle.loads(answer)
            return answer
        return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
