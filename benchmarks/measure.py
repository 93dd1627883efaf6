"""Timing of several engines in turns (A B C, A B C, ...), after a first call of each."""

from __future__ import annotations

import gc
import io
import math
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """Result of one fit.

    Attributes
    ----------
    log_likelihood : float
        Log-likelihood at the end of the search.
    standard_errors : tuple of float
        Standard errors of the fixed effects.
    seconds : tuple of float, optional
        Wall and CPU time, from an engine that runs in a process of its own and measures them itself.
    notes : tuple of str
        Warnings and messages of the engine.
    """

    log_likelihood: float
    standard_errors: tuple[float, ...]
    seconds: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


Fit = Callable[[], Outcome]


@dataclass
class Timings:
    """Repeated fits of one model by one engine."""

    label: str
    fit: Fit
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    first_wall: float | None = None
    outcome: Outcome | None = None
    failure: str | None = None

    def call(self, first: bool = False) -> None:
        """Fit once and record the time; the engine is not called again after a failure."""
        gc.collect()
        printed = io.StringIO()
        try:
            with warnings.catch_warnings(record=True) as caught, redirect_stdout(printed):
                warnings.simplefilter("always")
                wall, cpu = time.perf_counter(), time.process_time()
                outcome = self.fit()
                spent = (time.perf_counter() - wall, time.process_time() - cpu)
        except Exception as error:  # a failure of one engine must not end the measurement of the others
            self.failure = f"{type(error).__name__}: {error}"
            return
        notes = [str(one.message) for one in caught] + printed.getvalue().splitlines()
        seconds = outcome.seconds or spent
        self.outcome = Outcome(
            outcome.log_likelihood, outcome.standard_errors, seconds, tuple(dict.fromkeys([*outcome.notes, *notes]))
        )
        if first:
            self.first_wall = seconds[0]
        else:
            self.wall.append(seconds[0])
            self.cpu.append(seconds[1])

    def keep_first(self) -> None:
        """Use the first call as the only measurement."""
        if self.outcome is not None and self.outcome.seconds is not None:
            self.wall.append(self.outcome.seconds[0])
            self.cpu.append(self.outcome.seconds[1])


def take_turns(fits: dict[str, Fit], repeats: int, patience: float) -> dict[str, Timings]:
    """Time fits of one model by several engines in turns.

    Parameters
    ----------
    fits : dict of str to callable
        Function to time, by engine.
    repeats : int
        Calls of each engine after its first one.
    patience : float
        An engine is not called again once its calls have taken this many seconds in total. If its first call alone
        took longer, that call is the measurement.

    Returns
    -------
    dict of str to Timings
        The measurements, by engine.
    """
    timings = {label: Timings(label, fit) for label, fit in fits.items()}
    for timing in timings.values():
        timing.call(first=True)
        if timing.first_wall is not None and timing.first_wall > patience:
            timing.keep_first()
    for _ in range(repeats):
        for timing in timings.values():
            if timing.failure is None and sum(timing.wall) < patience:
                timing.call()
    return timings


def spread(values: Sequence[float]) -> dict[str, float]:
    """Minimum, median and maximum of the values."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def as_record(timing: Timings, maximum: float) -> dict[str, Any]:
    """Return the measurements of one engine for the JSON file."""
    if timing.failure is not None or timing.outcome is None:
        return {"failure": timing.failure}
    return {
        "wall": spread(timing.wall),
        "cpu": spread(timing.cpu),
        "calls": len(timing.wall),
        "first_wall": timing.first_wall,
        "log_likelihood": timing.outcome.log_likelihood,
        "below_maximum": maximum - timing.outcome.log_likelihood,
        "standard_errors": [error if math.isfinite(error) else None for error in timing.outcome.standard_errors],
        "notes": list(timing.outcome.notes),
    }
