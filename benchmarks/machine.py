"""Description of the machine: processor, threads, memory and versions."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: Environment variables of a process with one thread; they must be set before NumPy is imported.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}

#: The same for a sampler that runs its chains in threads: nutpie uses Rayon, which `ONE_THREAD` would limit.
ONE_THREAD_A_CHAIN = {name: value for name, value in ONE_THREAD.items() if name != "RAYON_NUM_THREADS"}

_PACKAGES = (
    *("hierlogit", "numpy", "scipy", "pandas", "numba", "formulae", "glmm", "gpboost"),
    *("nutpie", "pymc", "pytensor", "bambi", "arviz-stats"),
)


def processor() -> str:
    """Name of the processor."""
    told = Path("/proc/cpuinfo")
    if told.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", told.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found.group(1)
    return platform.processor() or platform.machine()


def peak_memory(process: int | None = None) -> float | None:
    """Largest resident memory of a process so far, in MiB; None if the system does not provide it.

    Parameters
    ----------
    process : int, optional
        Number of the process; this one if not given.
    """
    # On Linux, getrusage includes the memory of the parent at the start of this process, and /proc does not.
    status = Path(f"/proc/{process or 'self'}/status")
    if status.exists():
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return int(found.group(1)) / 1024
    if process is not None or sys.platform == "win32":
        return None
    import resource

    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def is_installed(engine: str) -> bool:
    """Whether the Python package of this engine is installed; `gpboost_default` is GPBoost with other options."""
    return find_spec(engine.partition("_")[0]) is not None


def python_versions() -> dict[str, str]:
    """Versions of Python, of the packages that are measured, and of the packages that these use."""
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def description() -> dict[str, Any]:
    """Return the description for the JSON file."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": 1,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
