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
#: The program, with the names of functions, and of classes of their first arguments, as its argument.
PROGRAM = """
import importlib
def named(name):
    module, _, inside = name.rpartition(".")
    return getattr(importlib.import_module(module), inside)
for function, kind in json.loads(sys.argv[1]):
    (named(function) if kind is None else named(function).taking(named(kind))).compile_ahead()
"""
#: Processes that are running, by the names of the functions that they compile.
_RUNNING: dict[str, subprocess.Popen[bytes]] = {}


class Compilable(Protocol):
    """A kernel, perhaps for another class of its first argument, or a C function."""

    @property
    def function_name(self) -> str:
        """Name of the function with its module."""

    @property
    def class_name(self) -> str | None:
        """Name of the class of the first argument with its module; None for the class that it is annotated with."""

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
        In the order in which they are needed.
    """
    left = [one for one in functions if one.function_name not in _RUNNING and one.is_left()]
    names = [one.function_name for one in left]
    process = _started(left) if left and len(set(_RUNNING.values())) + 1 < usable_cores() else None
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


def _started(functions: Iterable[Compilable]) -> subprocess.Popen[bytes] | None:
    folder = {"NUMBA_CACHE_DIR": config.CACHE_DIR} if config.CACHE_DIR else {}
    names = json.dumps([(one.function_name, one.class_name) for one in functions])
    return start_python(WATCH + PROGRAM, names, environment=folder)
