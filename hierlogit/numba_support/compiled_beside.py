"""Functions compiled in a second process, while this one compiles what is needed first.

On a machine with two cores a first fit then takes about half as long. The results are exchanged through Numba's files
on disk: if the second process fails or cannot write them, this one compiles what is missing.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from numba import config

from ..python_process import start_python, usable_cores

#: Seconds to wait for a function of the second process once it is needed.
PATIENCE = 120.0
#: Seconds between two looks at it.
WAIT = 0.1
#: The beginning of its program: when this process ends, even if it is killed, the pipe between them is closed.
WATCH = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
"""
#: The program, with the names of functions as its argument.
PROGRAM = """
import importlib
for name in json.loads(sys.argv[1]):
    module, _, function = name.rpartition(".")
    getattr(importlib.import_module(module), function).compile_ahead()
"""
#: Processes that are running, by the names of the functions that they compile.
_RUNNING: dict[str, subprocess.Popen[bytes]] = {}


class Compilable(Protocol):
    """A kernel or a C function."""

    @property
    def function_name(self) -> str:
        """Name of the function with its module."""

    def is_left(self) -> bool:
        """Whether it is yet to be compiled, and could be kept on disk then."""

    def compile_ahead(self) -> None:
        """Compile it, or read it from disk."""


@contextmanager
def compiled_beside(functions: Iterable[Compilable]) -> Iterator[None]:
    """Compile functions in a second process while the body runs; the body waits for one when it calls it.

    No process is started for functions that are on disk already or could not be kept there, or where all cores have a
    process. It ends with the body, whatever it has not compiled.

    Parameters
    ----------
    functions : iterable of Compilable
        In the order in which they are needed. Kernels are compiled for the types that they are annotated with.
    """
    names = [one.function_name for one in functions if one.function_name not in _RUNNING and one.is_left()]
    process = _started(names) if names and len(set(_RUNNING.values())) + 1 < usable_cores() else None
    if process is None:
        yield
        return
    _RUNNING.update(dict.fromkeys(names, process))
    try:
        yield
    finally:
        for name in names:
            _RUNNING.pop(name, None)
        process.kill()  # has no effect on a process that has ended
        process.communicate()


def waits(name: str) -> Iterator[None]:
    """Short waits while a second process compiles a function; none if there is no such process."""
    latest = time.monotonic() + PATIENCE
    while (process := _RUNNING.get(name)) is not None and time.monotonic() < latest:
        try:
            process.wait(WAIT)
        except subprocess.TimeoutExpired:
            yield
        else:
            _RUNNING.pop(name, None)
            yield  # it may have written the function just before it ended


def _started(names: list[str]) -> subprocess.Popen[bytes] | None:
    folder = {"NUMBA_CACHE_DIR": config.CACHE_DIR} if config.CACHE_DIR else {}
    return start_python(WATCH + PROGRAM, json.dumps(names), environment=folder)
