"""A progress bar for work that takes long: only where somebody watches, and only after a while."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

#: Seconds after which a person wants to know.
PATIENCE = 2.0


def progress[T](parts: Sequence[T], what: str) -> Iterator[T]:
    """The parts, one after the other, with a bar once they have taken longer than `PATIENCE`."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    watched = console.is_terminal or console.is_jupyter
    started = time.perf_counter()
    bar: Progress | None = None
    try:
        for done, part in enumerate(parts):
            if bar is None and watched and time.perf_counter() - started > PATIENCE:
                bar = Progress(console=console, transient=True)
                bar.start()
                task = bar.add_task(what, total=len(parts))
            if bar is not None:
                bar.update(task, completed=done)
            yield part
    finally:
        if bar is not None:
            bar.stop()
