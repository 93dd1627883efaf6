"""Progress bars in terminals and notebooks, shown only for work that takes a while."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from html import escape
from typing import Any, Protocol
from weakref import WeakSet

#: Seconds after which a bar is shown.
PATIENCE = 2.0
#: Seconds between two updates of a bar in a notebook, and between two lines.
PAUSE, LINE_PAUSE = 0.2, 10.0
#: Seconds between two looks of the thread that shows bars of work whose next update takes long, and looks at no bar
#: after which it ends.
LOOK, IDLE_LOOKS = 0.25, 20
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

    Where there is a bar already, which another one would overwrite, that one shows the text and the number of parts.

    Parameters
    ----------
    what : str
    total : int or None
        Number of parts, if it is known.
    """
    import multiprocessing

    # Processes that work for another one leave it to that one to show how far they are.
    if _unshown.get() or multiprocessing.parent_process() is not None:
        return None
    if _SHOWN:
        return _Within(_SHOWN[-1], what, total)
    make = _watched()
    return None if make is None else _Shown(make(what, total))


class _Shown:
    """A bar, which is known to be there until it is stopped."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self._done, self._state, self._inside = bar, 0, "", ""
        self.within: list[_Within] = []
        _SHOWN.append(self)

    def update(self, done: int, state: str = "") -> None:
        """Show how many parts are done, and the state that the work is in."""
        self._done, self._state = done, state
        self._show()

    def say(self, inside: str) -> None:
        """Show what is done for the part that is under way after the state of the work; with no text, that alone."""
        self._inside = inside
        self._show()

    def _show(self) -> None:
        if self not in _SHOWN:
            return  # work inside this one may go on longer, and the bar would be drawn again
        self._bar.update(self._done, ", ".join(filter(None, (self._state, self._inside))))

    def stop(self) -> None:
        """Remove the bar. Work that it has shown and that goes on gets a bar of its own."""
        with suppress(ValueError):
            _SHOWN.remove(self)
        self._bar.stop()
        for one in tuple(self.within):
            one.show_alone()


class _Within:
    """Parts of the part that is under way, shown by the bar that is there."""

    def __init__(self, bar: _Shown, what: str, total: int | None) -> None:
        self._bar, self._what, self._total, self._latest = bar, what, total, (0, "")
        self._alone: Bar | None = None
        bar.within.append(self)

    def update(self, done: int, state: str = "") -> None:
        """Show how many parts are done, and the state that the work is in."""
        self._latest = done, state
        if self._alone is not None:
            self._alone.update(done, state)
            return
        what, of = f"{self._what[:1].lower()}{self._what[1:]}", "" if self._total is None else f" of {self._total:,}"
        self._bar.say(f"{_with_state(what, state)} {done:,}{of}")

    def show_alone(self) -> None:
        """Show a bar for the work, which began before that of the bar that has shown it, such as compiling."""
        self._alone = show_bar(self._what, self._total)
        if self._alone is not None:
            self._alone.update(*self._latest)

    def stop(self) -> None:
        """Show the state of the whole work again, or remove the own bar."""
        with suppress(ValueError):
            self._bar.within.remove(self)
        if self._alone is None:
            self._bar.say("")
        else:
            self._alone.stop()


class _LateBar:
    """A bar that appears after some seconds, if anybody watches; with no text, it never does."""

    def __init__(self, what: str | None, total: int | None, patience: float) -> None:
        self._what, self._total, self._from = what, total, time.perf_counter() + patience
        self._bar: Bar | None = None
        self._latest = 0, ""
        # Whether progress is wanted is known in the context of the work.
        self._lock, self._context = threading.Lock(), copy_context()
        if what is not None and patience > 0:
            _WAITING.watch(self)

    def update(self, done: int, state: str = "") -> None:
        """Show how many parts are done, and the state that the work is in."""
        self._latest = done, state
        # Finding out who watches takes longer than most work does.
        if self._what is not None and time.perf_counter() > self._from:
            self.appear()
        elif self._bar is not None:
            self._bar.update(done, state)

    def appear(self) -> None:
        """Show the bar, if anybody watches and the work goes on."""
        with self._lock:
            what, self._what = self._what, None
            if what is None:
                return
            self._bar = self._context.run(show_bar, what, self._total)
            if self._bar is not None:
                self._bar.update(*self._latest)

    @property
    def due(self) -> bool:
        """Whether the bar should be there by now."""
        return time.perf_counter() > self._from

    def stop(self) -> None:
        """Remove the bar."""
        with self._lock:
            self._what = None
            if self._bar is not None:
                self._bar.stop()


class _Waiting:
    """Bars that are not shown yet, with a thread that shows those whose next update takes long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bars: WeakSet[_LateBar] = WeakSet()
        self._thread: threading.Thread | None = None

    def watch(self, bar: _LateBar) -> None:
        """Show a bar when it is due, if it has not been stopped by then."""
        with self._lock:
            self._bars.add(bar)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="hierlogit progress", daemon=True)
                self._thread.start()

    def _look(self) -> None:
        idle = 0
        while idle < IDLE_LOOKS:
            time.sleep(LOOK)
            with self._lock:
                bars = list(self._bars)
                due = [bar for bar in bars if bar.due]
                self._bars.difference_update(due)
                idle = 0 if bars else idle + 1
                if idle == IDLE_LOOKS:
                    self._thread = None
            # Marimo takes output from the threads of its cells only.
            for bar in due if "marimo" not in sys.modules else ():
                bar.appear()


_WAITING = _Waiting()
if hasattr(os, "register_at_fork"):
    # The lock may be held, and the thread is missing, in a process that is forked.
    os.register_at_fork(after_in_child=_WAITING.__init__)  # type: ignore[misc]
_SHOWN: list[_Shown] = []


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
