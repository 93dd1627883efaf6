"""A progress bar for work that takes long: only where somebody watches, and only after a while."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized

#: Seconds after which a person wants to know.
PATIENCE = 2.0


def progress[T](parts: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The parts, one after the other, with a bar once they have taken longer than `PATIENCE`.

    Parameters
    ----------
    parts : iterable
    what : str
        What is done.
    total : int, optional
        How many there are; their length if not given.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    watched = console.is_terminal or console.is_jupyter
    started = time.perf_counter()
    size = len(parts) if total is None and isinstance(parts, Sized) else total
    bar: Progress | None = None
    try:
        for done, part in enumerate(parts):
            if bar is None and watched and time.perf_counter() - started > PATIENCE:
                columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
                bar = Progress(*columns, console=console, transient=True)
                bar.start()
                task = bar.add_task(what, total=size)
            if bar is not None:
                bar.update(task, completed=done)
            yield part
    finally:
        if bar is not None:
            bar.stop()
