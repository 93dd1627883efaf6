"""Progress bars: after a while, where somebody watches, and gone when the work is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hierlogit import progress as module
from hierlogit.progress import JupyterBar, MarimoBar, TerminalBar, lines_where_unwatched, progress


class Recorded:
    """A bar that remembers."""

    def __init__(self, what: str, total: int | None) -> None:
        self.what, self.total, self.seen, self.stopped = what, total, [], False
        self.states: list[str] = []
        made.append(self)

    def update(self, done: int, state: str = "") -> None:
        self.seen.append(done)
        self.states.append(state)

    def stop(self) -> None:
        self.stopped = True


made: list[Recorded] = []


def wait_for(something: Callable[[], Any]) -> None:
    """Wait until another thread has done something."""
    for _ in range(500):
        if something():
            return
        time.sleep(0.01)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    made.clear()
    monkeypatch.setattr(module, "_watched", lambda: Recorded)
    return made


def test_quick_work_shows_nothing(watched: list[Recorded]) -> None:
    assert list(progress(range(5), "working")) == [0, 1, 2, 3, 4]
    assert watched == []


def test_long_work_shows_how_far_it_is(watched: list[Recorded], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    assert list(progress(iter("abc"), "working", total=3)) == ["a", "b", "c"]
    (bar,) = watched
    assert (bar.what, bar.total, bar.seen, bar.stopped) == ("working", 3, [0, 1, 2], True)


def test_a_bar_can_be_there_before_the_first_part(watched: list[Recorded]) -> None:
    for _ in progress(range(2), "working", patience=-1.0):
        assert watched[0].seen[0] == 0


def test_a_bar_appears_during_a_part_that_takes_long(watched: list[Recorded], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    for part in progress(["short", "long"], "working"):
        if part == "long":
            wait_for(lambda: watched)
    (bar,) = watched
    assert (bar.what, bar.total, bar.seen, bar.stopped) == ("working", 2, [1], True)


def test_a_bar_that_is_not_wanted_does_not_appear_by_itself(
    watched: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    seen: list[str] = []
    appear = module._LateBar.appear

    def recorded(bar: Any) -> None:
        appear(bar)
        seen.append("asked")

    monkeypatch.setattr(module._LateBar, "appear", recorded)
    with module.shown(False):
        for _ in progress(range(1), "working"):
            wait_for(lambda: seen)
    assert watched == []


def test_work_inside_work_is_shown_by_the_bar_that_is_there(
    watched: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    for _ in progress(range(2), "Working"):
        with module.steps("Searching") as show:
            show(7, "near")
    (bar,) = watched
    assert bar.seen == [0, 0, 0, 1, 1, 1]
    assert bar.states == ["", "searching, near 7", "", "", "searching, near 7", ""]


def test_processes_that_work_for_another_one_show_nothing(
    watched: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multiprocessing.parent_process", object)
    assert module.show_bar("Working", 3) is None
    assert watched == []


def test_a_bar_goes_away_when_work_is_interrupted(watched: list[Recorded], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", -1.0)

    def work() -> None:
        for part in progress([1, 2, 3], "working"):
            if part == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert watched[0].stopped


def test_nobody_watches_a_pipe() -> None:
    assert module._watched() is None


def test_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert module._watched() is TerminalBar
    bar = TerminalBar("working", 4)
    bar.update(3)
    bar.stop()
    assert "working" in capsys.readouterr().err


def test_a_jupyter_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []

    def update(content: dict[str, str], *, raw: bool) -> None:
        assert raw
        shown.append(content)

    def display(content: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert display_id
        update(content, raw=raw)
        return SimpleNamespace(update=update)

    package, inside = ModuleType("IPython"), ModuleType("IPython.display")
    inside.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", inside)
    monkeypatch.setattr(module, "PAUSE", -1.0)
    bar = JupyterBar("a < b", 4)
    bar.update(3)
    bar.stop()
    assert shown[1] == {
        "text/html": '<label>a &lt; b <progress max="4" value="3"></progress> 3 of 4</label>',
        "text/plain": "a < b: 3 of 4",
    }
    assert shown[-1] == {"text/html": "", "text/plain": ""}


def test_a_marimo_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[Any] = []

    class Shown:
        def __init__(self, **options: Any) -> None:
            steps.append(options)

        def __enter__(self) -> Any:
            return self

        def update(self, *, increment: int) -> None:
            steps.append(increment)

        def __exit__(self, *_: object) -> None:
            steps.append("gone")

    marimo = ModuleType("marimo")
    marimo.running_in_notebook = lambda: True  # type: ignore[attr-defined]
    marimo.status = SimpleNamespace(progress_bar=Shown, spinner=Shown)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    assert module._watched() is MarimoBar
    bar = MarimoBar("working", 5)
    bar.update(0)
    bar.update(3)
    bar.update(4)
    bar.stop()
    assert steps == [{"title": "working", "total": 5, "remove_on_exit": True}, 3, 1, "gone"]


def test_lines_are_written_where_nobody_watches_and_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    monkeypatch.setattr(module, "LINE_PAUSE", 10.0)
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(clock)))
    list(progress(range(1200), None))
    list(progress(range(6), "Working"))
    assert capsys.readouterr() == ("", "")
    with lines_where_unwatched():
        list(progress(range(6), "Working"))
    assert capsys.readouterr() == ("", "Working: 0 of 6 done\nWorking: 3 of 6 done\n")


def test_work_that_goes_on_after_the_bar_that_showed_it_gets_its_own(watched: list[Recorded]) -> None:
    outer = module.show_bar("Compiling", None)
    assert outer is not None
    inner = module.show_bar("Fitting", 3)
    further = module.show_bar("Searching", None)
    assert inner is not None
    assert further is not None
    inner.update(1, "near")
    further.stop()
    seen = len(watched[0].seen)
    outer.stop()
    inner.update(2)
    compiling, fitting = watched
    assert (len(compiling.seen), compiling.stopped) == (seen, True)
    assert (fitting.what, fitting.total, fitting.seen, fitting.states) == ("Fitting", 3, [1, 2], ["near", ""])
    assert not fitting.stopped
    inner.stop()
    assert fitting.stopped
    assert module._SHOWN == []
    last = module.show_bar("Working", None)
    assert last is not None
    last.stop()
    assert len(watched) == 3


def test_two_works_that_go_on_share_a_bar(watched: list[Recorded]) -> None:
    outer = module.show_bar("Compiling", None)
    first, second = module.show_bar("Fitting", 3), module.show_bar("Searching", None)
    assert outer is not None
    assert first is not None
    assert second is not None
    outer.stop()
    second.update(7)
    assert [one.what for one in watched] == ["Compiling", "Fitting"]
    assert watched[-1].states[-1] == "searching 7"
    second.stop()
    first.stop()
    assert all(one.stopped for one in watched)
    assert module._SHOWN == []
