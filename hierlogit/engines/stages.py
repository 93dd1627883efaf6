"""Wall time of the stages of a fit, with the time for compiling apart from the stage in which it happens."""

from __future__ import annotations

import threading
import time
from typing import Any

from numba.core import event

#: Compiling that took less is not worth a stage, in seconds.
LEAST_COMPILING = 0.05


class _Stopwatch(event.Listener):  # type: ignore[misc]
    """Adds up the outermost compilations of each thread; a function that is compiled has others compiled inside.

    Functions that are read from disk do not count.
    """

    def __init__(self) -> None:
        self._thread = threading.local()

    @property
    def seconds(self) -> float:
        """Seconds that the current thread has spent compiling."""
        return float(getattr(self._thread, "seconds", 0.0))

    def on_start(self, _started: Any) -> None:
        """Start the watch unless it runs."""
        self._thread.depth = getattr(self._thread, "depth", 0) + 1
        if self._thread.depth == 1:
            self._thread.since = time.perf_counter()

    def on_end(self, _ended: Any) -> None:
        """Stop the watch at the end of the outermost compilation."""
        self._thread.depth -= 1
        if self._thread.depth == 0:
            self._thread.seconds = self.seconds + time.perf_counter() - self._thread.since


_STOPWATCH = _Stopwatch()
event.register("numba:compile", _STOPWATCH)


class Stages:
    """The stages of a fit, one after the other; each lasts until the next begins.

    Parameters
    ----------
    first : str
        Name of the first stage.
    """

    def __init__(self, first: str) -> None:
        self._seconds: dict[str, float] = {"compile": 0.0}
        self.begin(first)

    def begin(self, name: str) -> None:
        """End the current stage and begin another, or continue one that has ended before."""
        now, compiled = time.perf_counter(), _STOPWATCH.seconds
        if hasattr(self, "_name"):
            self._add(now, compiled)
        self._name, self._since, self._compiled = name, now, compiled

    def end(self) -> dict[str, float]:
        """End the last stage; seconds by stage, with ``compile`` only if something was compiled."""
        self._add(time.perf_counter(), _STOPWATCH.seconds)
        return {
            name: seconds for name, seconds in self._seconds.items() if name != "compile" or seconds >= LEAST_COMPILING
        }

    def _add(self, now: float, compiled: float) -> None:
        compiling = compiled - self._compiled
        self._seconds["compile"] += compiling
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + now - self._since - compiling
