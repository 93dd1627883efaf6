"""Functions compiled in a second process, while this one compiles what is needed first.

On a machine with two cores a first fit then takes about half as long. The results are exchanged through Numba's files
on disk: if the second process fails or cannot write them, this one compiles what is missing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from numba import config

#: Seconds to wait for a function of the second process once it is needed.
PATIENCE = 120.0
#: Seconds between two looks at it.
WAIT = 0.1
#: The beginning of its program: when this process ends, even if it is killed, the pipe between them is closed.
WATCH = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
"""
#: The program, with this process's search path and the names of functions as its arguments.
PROGRAM = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
for name in json.loads(sys.argv[2]):
    module, _, function = name.rpartition(".")
    getattr(importlib.import_module(module), function).compile_ahead()
"""
#: Processes that are running, by the names of the functions that they compile.
_RUNNING: dict[str, subprocess.Popen[bytes]] = {}


@contextmanager
def compiled_beside(names: Iterable[str]) -> Iterator[None]:
    """Compile functions in a second process while the body runs; the body waits for one when it calls it.

    No process is started where all cores have one. It ends with the body, whatever it has not compiled.

    Parameters
    ----------
    names : iterable of str
        Functions with their modules, in the order in which they are needed. They have a method ``compile_ahead``.
    """
    left = [name for name in names if name not in _RUNNING]
    process = _started(left) if left and len(set(_RUNNING.values())) + 1 < _cores() else None
    if process is None:
        yield
        return
    _RUNNING.update(dict.fromkeys(left, process))
    try:
        yield
    finally:
        for name in left:
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


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _started(names: list[str]) -> subprocess.Popen[bytes] | None:
    """The second process; None if this one is not a Python interpreter that can be started again."""
    # A program that embeds Python, or is frozen, has its own name here and would start itself.
    if not Path(sys.executable or "").name.lower().startswith("python"):
        return None
    environment = os.environ | ({"NUMBA_CACHE_DIR": config.CACHE_DIR} if config.CACHE_DIR else {})
    path = json.dumps([str(one) for one in sys.path])
    try:
        return subprocess.Popen(
            [sys.executable, "-c", WATCH + PROGRAM, path, json.dumps(names)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError:
        return None
