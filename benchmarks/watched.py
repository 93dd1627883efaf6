"""Running a command, with the memory and CPU time of all processes that it starts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

_PROCESSES = Path("/proc")
_INTERVAL = 0.2


@dataclass
class Watched:
    """Result of a command.

    Attributes
    ----------
    output : str
        Standard output.
    failure : str or None
        Why it failed; None if it did not.
    seconds : float
        Wall time.
    peak_mib : float or None
        Peak memory of all its processes together, with shared pages counted once, sampled five times a second; None
        if the system does not provide it.
    workers_cpu : float
        CPU seconds of the processes that it started, at the last sample.
    """

    output: str = ""
    failure: str | None = None
    seconds: float = 0.0
    peak_mib: float | None = None
    workers_cpu: float = 0.0
    _cpu: dict[int, float] = field(default_factory=dict)

    def look(self, leader: int) -> None:
        """Record the memory and CPU time of the session of processes that `leader` started."""
        held = 0.0
        for process in _session(leader):
            try:
                if int(process.name) != leader:
                    self._cpu[int(process.name)] = _cpu_seconds(process)
                held += _memory(process)
            except OSError:  # the process has ended
                continue
        if held:
            self.peak_mib = max(self.peak_mib or 0.0, held)
        self.workers_cpu = sum(self._cpu.values())


def run_watched(command: list[str], timeout: float, environment: dict[str, str]) -> Watched:
    """Run a command in its own session.

    Parameters
    ----------
    command : list of str
    timeout : float
        Seconds after which it is stopped, with all processes that it started.
    environment : dict of str to str
        Environment variables in addition to those of this process.

    Returns
    -------
    Watched
    """
    found = Watched()
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=os.environ | environment,
            start_new_session=True,
        )
        try:
            code = None
            while code is None:
                found.look(process.pid)
                try:
                    code = process.wait(_INTERVAL)
                except subprocess.TimeoutExpired:
                    if time.perf_counter() - start > timeout:
                        found.failure = f"ended after {timeout:g} s"
                        break
        finally:
            _end(process)
        found.seconds = time.perf_counter() - start
        output.seek(0)
        errors.seek(0)
        found.output = output.read()
        if found.failure is None and code:
            found.failure = _last_line(errors.read()) or f"ended with {code}"
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and all processes that it started, if they are still running."""
    left = [int(one.name) for one in _session(process.pid)] or [process.pid]
    if process.poll() is not None:
        left = [pid for pid in left if pid != process.pid]
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def _session(leader: int) -> list[Path]:
    if not _PROCESSES.exists():
        return []
    found = []
    for process in _PROCESSES.iterdir():
        if process.name.isdigit():
            try:
                words = _status_words(process)
            except OSError:
                continue
            if int(words[3]) == leader:
                found.append(process)
    return found


def _status_words(process: Path) -> list[str]:
    """Fields of `stat` after the program name, which may contain spaces: state, parent, group, session, ..."""
    return (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _cpu_seconds(process: Path) -> float:
    words = _status_words(process)
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _memory(process: Path) -> float:
    told = (process / "smaps_rollup").read_text(encoding="utf-8")
    found = re.search(r"^Pss:\s*(\d+) kB$", told, re.MULTILINE)
    return int(found.group(1)) / 1024 if found else 0.0


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
