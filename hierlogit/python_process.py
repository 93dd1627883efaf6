"""Other processes of the Python that is running, and the cores that there are for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: The beginning of each program: the search path of the process that starts it, which is the first argument.
SAME_PATH = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
"""


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_python(
    program: str, *arguments: str, environment: Mapping[str, str], stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes] | None:
    """A process with the search path of this one, whose standard input is a pipe; None if it cannot be started.

    Unlike those of `multiprocessing`, it does not import the main module of this one again.

    Parameters
    ----------
    program : str
    *arguments : str
        ``sys.argv[1:]`` of the program.
    environment : mapping of str to str
        Variables that differ from those of this process.
    stdout : int
        Where it writes, as for `subprocess.Popen`.
    """
    # A program that embeds Python, or is frozen, has its own name here and would start itself.
    if not Path(sys.executable or "").name.lower().startswith("python"):
        return None
    command = [sys.executable, "-c", SAME_PATH + program, json.dumps([str(one) for one in sys.path]), *arguments]
    options: dict[str, Any] = {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
    try:
        return subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            **options,
        )
    except OSError:
        return None
