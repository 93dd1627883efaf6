"""A density compiled in a second process, while this one compiles the likelihood that is needed first.

On a machine with two cores the first fit then takes half as long. The results are exchanged through Numba's files on
disk: if the second process fails or cannot write them, this one compiles what is missing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from numba import config

from ...compile_notice import compiling
from ...numba_support.compile import are_compiled, are_kept
from ...progress import progress

#: Seconds to wait for the second process once its result is needed.
PATIENCE = 120.0
#: Seconds between two looks at it.
WAIT = 0.5
#: The beginning of its program: when this process ends, even if it is killed, the pipe between them is closed.
WATCH = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
"""
#: The program, with this process's search path and the name of a module as its arguments.
PROGRAM = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
for one in importlib.import_module(sys.argv[2]).CALLBACKS:
    one.compile()
"""


@contextmanager
def density_compiled_beside(module: ModuleType) -> Iterator[None]:
    """Compile a density in a second process while the body runs.

    No process is started if the density is on disk already, or nothing can be kept there.

    Parameters
    ----------
    module : module
        With C functions in its ``CALLBACKS``.
    """
    process = None if not are_kept() or are_compiled(module.CALLBACKS) else _started(module.__name__)
    if process is None:
        yield
        return
    try:
        yield
        for _ in progress(_running(process), compiling(module.__name__), patience=0.0):
            pass
    finally:
        process.kill()  # has no effect on a process that has ended
        process.communicate()


def _running(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Short waits until the process has ended; after `PATIENCE` this one compiles the density itself."""
    latest = time.monotonic() + PATIENCE
    while time.monotonic() < latest:
        try:
            process.wait(WAIT)
        except subprocess.TimeoutExpired:
            yield
        else:
            return


def _started(module: str) -> subprocess.Popen[bytes] | None:
    """The second process; None if this one is not a Python interpreter that can be started again."""
    # A program that embeds Python, or is frozen, has its own name here and would start itself.
    if not Path(sys.executable or "").name.lower().startswith("python"):
        return None
    environment = os.environ | ({"NUMBA_CACHE_DIR": config.CACHE_DIR} if config.CACHE_DIR else {})
    try:
        return subprocess.Popen(
            [sys.executable, "-c", WATCH + PROGRAM, json.dumps([str(one) for one in sys.path]), module],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError:
        return None
