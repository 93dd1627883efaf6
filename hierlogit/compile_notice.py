"""What is shown while functions are compiled: a bar in terminals and notebooks, and lines where commands are logged."""

from __future__ import annotations

import threading
import time
from types import ModuleType
from typing import Any

from numba.core import event
from numba.core.dispatcher import Dispatcher

from .progress import Bar, show_bar

PACKAGE = __name__.partition(".")[0]
#: What is compiled, by the beginning of the name of the module.
PURPOSES = {
    "density.marginal": "the marginal likelihood",
    "density.joint": "the posterior density",
    "density.integrated": "the integrated posterior density",
    "effects": "averages over clusters",
    "clusters": "comparisons of clusters",
    "variance": "variances between clusters",
}
#: Seconds of compiling before it is shown, and the longest pause within one spell of it.
PATIENCE, GAP = 0.5, 1.0


def compiling(module: str) -> str:
    """What the bar says while functions of a module are compiled."""
    inside = module.removeprefix(f"{PACKAGE}.")
    what = next((words for start, words in PURPOSES.items() if inside.startswith(start)), "the likelihood")
    return f"Compiling {what} (once, up to a minute)"


class CompileNotice(event.Listener):  # type: ignore[misc]
    """Shows how many functions of the package have been compiled, of all that the outermost one calls."""

    def __init__(self) -> None:
        self._spell = threading.local()
        self._ended = time.perf_counter() - GAP

    def on_start(self, started: Any) -> None:
        """Begin a spell of compiling, unless this is a function that is compiled for another one."""
        spell, dispatcher = self._spell, started.data["dispatcher"]
        spell.depth = getattr(spell, "depth", 0) + 1
        if spell.depth == 1:
            now = time.perf_counter()
            spell.since = spell.since if hasattr(spell, "since") and now - self._ended < GAP else now
            spell.outermost, spell.done, spell.bar, spell.asked = dispatcher, set(), None, False
        self._show(spell)

    def on_end(self, ended: Any) -> None:
        """Count the function, and take the bar away after the outermost one."""
        spell, dispatcher = self._spell, ended.data["dispatcher"]
        spell.depth -= 1
        spell.done.add(dispatcher.py_func)
        if spell.depth > 0:
            self._show(spell)
            return
        self._ended = time.perf_counter()
        if spell.bar is not None:
            spell.bar.stop()
        spell.outermost = spell.bar = None

    @staticmethod
    def _show(spell: Any) -> None:
        if not spell.asked and time.perf_counter() - spell.since > PATIENCE:
            spell.asked, module = True, _module(spell.outermost)
            spell.needed = {one.py_func for one in _uncompiled(spell.outermost)} | spell.done
            if module.startswith(f"{PACKAGE}."):
                spell.bar = show_bar(compiling(module), len(spell.needed))
        bar: Bar | None = spell.bar
        if bar is not None:
            bar.update(len(spell.done & spell.needed))


def _module(dispatcher: Any) -> str:
    return getattr(getattr(dispatcher, "py_func", None), "__module__", None) or ""


def _uncompiled(dispatcher: Any) -> set[Any]:
    """A function of the package and those it calls, directly or through others, if they have no machine code yet."""
    found: set[Any] = set()
    left = [dispatcher]
    while left:
        one = left.pop()
        if one in found or one.signatures or not _module(one).startswith(f"{PACKAGE}."):
            continue
        found.add(one)
        names, known = one.py_func.__code__.co_names, one.py_func.__globals__
        modules = [known[name] for name in names if isinstance(known.get(name), ModuleType)]
        called = [known.get(name) for name in names]
        called += [getattr(module, name, None) for module in modules for name in names]
        left += [other for other in called if isinstance(other, Dispatcher)]
    return found


event.register("numba:compile", CompileNotice())
