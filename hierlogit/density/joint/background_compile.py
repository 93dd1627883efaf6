"""The joint density compiled in a process of its own, while this one compiles the likelihood that comes first.

On a machine with two cores the first fit then takes half as long. Everything goes through Numba's files on disk: where
the other process fails, or finds no place to write them, this one compiles what it does not find.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from numba import config

from .c_callbacks import are_compiled

#: Seconds to wait for the other process once its result is needed.
PATIENCE = 120.0
#: What it runs, with this process's search path as its argument.
PROGRAM = f"""
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from {__package__}.c_callbacks import compile_all
compile_all()
"""


@contextmanager
def joint_density_compiled_beside() -> Iterator[None]:
    """Have the joint density compiled in another process while the body runs.

    Nothing is started where it is on disk already.
    """
    process = None if are_compiled() else _started()
    if process is None:
        yield
        return
    try:
        yield
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        pass  # this process compiles it
    finally:
        process.kill()  # of no effect once it has ended
        process.wait()


def _started() -> subprocess.Popen[bytes] | None:
    """The other process; None where this one is not an interpreter that can be started again."""
    # A program that embeds Python, or was frozen, has its own name here, and would start itself.
    if not Path(sys.executable or "").name.lower().startswith("python"):
        return None
    environment = os.environ | ({"NUMBA_CACHE_DIR": config.CACHE_DIR} if config.CACHE_DIR else {})
    try:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps([str(one) for one in sys.path])],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError:
        return None
