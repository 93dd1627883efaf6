"""Progress bars in terminals and notebooks, shown only for work that takes a while."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from html import escape
from typing import Any, Protocol
from weakref import WeakSet

#: Seconds after which a bar is shown.
PATIENCE = 2.0
#: Seconds between two updates of a bar in a notebook, and between two lines.
PAUSE, LINE_PAUSE = 0.2, 10.0
#: Whether lines are written where there is neither a terminal nor a notebook.
_as_lines: ContextVar[bool] = ContextVar("_as_lines", default=False)
#: Whether no progress is shown at all.
_unshown: ContextVar[bool] = ContextVar("_unshown", default=False)


class Bar(Protocol):
    """A progress bar."""

    def update(self, done: int, state: str = "") -> None:
        """Show how many parts are done, and the state that the work is in."""

    def stop(self) -> None:
        """Remove the bar."""


def progress[T](
    parts: Iterable[T], what: str | None, total: int | None = None, patience: float | None = None
) -> Iterator[T]:
    """The parts one by one, with a bar once they have taken a while.

    Parameters
    ----------
    parts : iterable
    what : str or None
        Text of the bar; None shows none.
    total : int, optional
        Number of parts; their length if not given.
    patience : float, optional
        Seconds after which the bar is shown; `PATIENCE` if not given. With a negative number it is there before the
        first part, which may take minutes.
    """
    size = len(parts) if total is None and isinstance(parts, Sized) else total
    bar = _LateBar(what, size, PATIENCE if patience is None else patience)
    try:
        for done, part in enumerate(parts):
            bar.update(done)
            yield part
    finally:
        bar.stop()


@contextmanager
def steps(what: str) -> Iterator[Callable[[int, str], None]]:
    """Context with a function that shows how many steps are done and the state, where nobody knows how many there are.

    Parameters
    ----------
    what : str
        Text of the bar, which appears once the steps have taken a while.
    """
    bar = _LateBar(what, None, PATIENCE)
    try:
        yield bar.update
    finally:
        bar.stop()


@contextmanager
def lines_where_unwatched() -> Iterator[None]:
    """Context in which progress is written to stderr line by line, if that is a file or a pipe."""
    token = _as_lines.set(True)
    try:
        yield
    finally:
        _as_lines.reset(token)


@contextmanager
def shown(wanted: bool) -> Iterator[None]:
    """Context in which progress is shown, or not; within one in which it is not, it is not either."""
    token = _unshown.set(_unshown.get() or not wanted)
    try:
        yield
    finally:
        _unshown.reset(token)


def show_bar(what: str, total: int | None) -> Bar | None:
    """A bar that is shown from now on; None if nobody watches.

    Parameters
    ----------
    what : str
    total : int or None
        Number of parts, if it is known.
    """
    make = None if _unshown.get() else _watched()
    return None if make is None else _Shown(make(what, total))


def bar_is_shown() -> bool:
    """Whether there is a bar, beside which another one would overwrite it."""
    return bool(_SHOWN)


class _Shown:
    """A bar, which is known to be there until it is stopped."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self.update = bar, bar.update
        _SHOWN.add(self)

    def stop(self) -> None:
        """Remove the bar."""
        _SHOWN.discard(self)
        self._bar.stop()


class _LateBar:
    """A bar that appears with the first update after some seconds, if anybody watches; with no text, it never does."""

    def __init__(self, what: str | None, total: int | None, patience: float) -> None:
        self._what, self._total, self._from = what, total, time.perf_counter() + patience
        self._bar: Bar | None = None

    def update(self, done: int, state: str = "") -> None:
        """Show how many parts are done, and the state that the work is in."""
        # Finding out who watches takes longer than most work does.
        if self._what is not None and time.perf_counter() > self._from:
            self._bar, self._what = show_bar(self._what, self._total), None
        if self._bar is not None:
            self._bar.update(done, state)

    def stop(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()


_SHOWN: WeakSet[_Shown] = WeakSet()


def _watched() -> Callable[[str, int | None], Bar] | None:
    """The class of bar for this terminal or notebook; None if the output is not watched."""
    from rich.console import Console

    marimo = sys.modules.get("marimo")
    if marimo is not None and marimo.running_in_notebook():
        return MarimoBar
    console = Console(stderr=True)
    if console.is_jupyter:
        return JupyterBar
    if console.is_terminal:
        return TerminalBar
    return LineBar if _as_lines.get() else None


class TerminalBar:
    """A bar on a terminal."""

    def __init__(self, what: str, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        self._what, self._task = what, self._bar.add_task(what, total=total)

    def update(self, done: int, state: str = "") -> None:
        """Show how many parts are done, and the state that the work is in."""
        self._bar.update(self._task, completed=done, description=_with_state(self._what, state))

    def stop(self) -> None:
        """Remove the bar."""
        self._bar.stop()


class LineBar:
    """Lines in a file or a pipe, the first at once and the others after a while."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._of, self._written = what, "" if total is None else f" of {total:,}", -math.inf

    def update(self, done: int, state: str = "") -> None:
        """Write how many parts are done, and the state that the work is in."""
        now = time.perf_counter()
        if now - self._written > LINE_PAUSE:
            self._written = now
            sys.stderr.write(f"{_with_state(self._what, state)}: {done:,}{self._of} done\n")
            sys.stderr.flush()

    def stop(self) -> None:
        """Lines stay."""


class JupyterBar:
    """A bar in a Jupyter notebook, without widgets."""

    def __init__(self, what: str, total: int | None) -> None:
        from IPython.display import display

        self._what, self._total, self._shown = what, total, 0.0
        self._handle: Any = display(self._drawn(0, ""), raw=True, display_id=True)

    def update(self, done: int, state: str = "") -> None:
        """Show how many parts are done, and the state that the work is in."""
        now = time.perf_counter()
        if now - self._shown > PAUSE:
            self._shown = now
            self._handle.update(self._drawn(done, state), raw=True)

    def stop(self) -> None:
        """Remove the bar."""
        self._handle.update({"text/html": "", "text/plain": ""}, raw=True)

    def _drawn(self, done: int, state: str) -> dict[str, str]:
        what = _with_state(self._what, state)
        size = "" if self._total is None else f' max="{self._total}" value="{done}"'
        of = f"{done:,}" if self._total is None else f"{done:,} of {self._total:,}"
        html = f"<label>{escape(what)} <progress{size}></progress> {of}</label>"
        return {"text/html": html, "text/plain": f"{what}: {of}"}


class MarimoBar:
    """A bar in a marimo notebook."""

    def __init__(self, what: str, total: int | None) -> None:
        import marimo

        self._done = 0
        self._shown: Any = (
            marimo.status.spinner(title=what, remove_on_exit=True)
            if total is None
            else marimo.status.progress_bar(title=what, total=total, remove_on_exit=True)
        )
        self._bar: Any = self._shown.__enter__()
        self._counts = total is not None

    def update(self, done: int, state: str = "") -> None:
        """Show how many parts are done, and the state that the work is in."""
        if self._counts and done > self._done:
            self._bar.update(increment=done - self._done)
            self._done = done
        elif state:
            self._bar.update(subtitle=f"{done:,}: {state}")

    def stop(self) -> None:
        """Remove the bar."""
        self._shown.__exit__(None, None, None)


def _with_state(what: str, state: str) -> str:
    return f"{what}, {state}" if state else what
