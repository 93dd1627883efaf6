"""What is shown while functions are compiled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hierlogit import compile_notice, progress
from hierlogit.compile_notice import CompileNotice, compiling
from hierlogit.numba_support.compile import exact_kernel


class Recorded:
    """A bar that remembers."""

    def __init__(self, what: str, total: int | None) -> None:
        self.what, self.total, self.stopped = what, total, 0
        self.seen: list[int] = []
        self.states: list[str] = []
        made.append(self)

    def update(self, done: int, state: str = "") -> None:
        self.seen.append(done)
        self.states.append(state)

    def stop(self) -> None:
        self.stopped += 1


made: list[Recorded] = []


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    made.clear()
    monkeypatch.setattr(progress, "_watched", lambda: Recorded)
    monkeypatch.setattr(compile_notice, "PATIENCE", -1.0)
    return made


def _declared(function: Any, module: str) -> Any:
    function.__module__ = module
    return exact_kernel(function)


def _inner(x: float) -> float:
    return x + 1.0


def _middle(x: float) -> Any:
    return inner(x) + 1.0


def _outer(x: float) -> Any:
    return middle(x) + inner(x)


inner, middle, outer = (_declared(one, "hierlogit.density.marginal.made_up") for one in (_inner, _middle, _outer))
foreign = _declared(lambda x: x, "another_package")


def event(dispatcher: Any) -> SimpleNamespace:
    return SimpleNamespace(data={"dispatcher": dispatcher})


def compile_all(notice: CompileNotice) -> None:
    """Begin and end as Numba does, which compiles a function when it meets a call of it."""
    notice.on_start(event(outer))
    notice.on_start(event(middle))
    notice.on_start(event(inner))
    notice.on_end(event(inner))
    notice.on_end(event(middle))
    notice.on_end(event(outer))


def test_the_bar_counts_all_functions_that_the_outermost_one_calls(bars: list[Recorded]) -> None:
    compile_all(CompileNotice())
    (bar,) = bars
    assert (bar.what, bar.total) == ("Compiling the marginal likelihood (once, up to a minute)", 3)
    assert bar.seen == [0, 0, 0, 1, 2]
    assert bar.stopped == 1


def test_each_spell_has_a_bar(bars: list[Recorded]) -> None:
    notice = CompileNotice()
    compile_all(notice)
    compile_all(notice)
    assert [bar.stopped for bar in bars] == [1, 1]


def test_short_compiling_shows_nothing(bars: list[Recorded], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_notice, "PATIENCE", 60.0)
    compile_all(CompileNotice())
    assert not bars


def test_functions_of_other_packages_are_theirs_to_announce(bars: list[Recorded]) -> None:
    notice = CompileNotice()
    notice.on_start(event(foreign))
    notice.on_end(event(foreign))
    assert not bars


def test_a_bar_that_is_there_says_what_is_compiled(bars: list[Recorded]) -> None:
    for _ in progress.progress(range(1), "Working", patience=-1.0):
        compile_all(CompileNotice())
    (bar,) = bars
    assert bar.what == "Working"
    compiled = "compiling the marginal likelihood (once, up to a minute)"
    assert bar.states == ["", *(f"{compiled} {done} of 3" for done in (0, 0, 0, 1, 2)), ""]


def test_it_is_silent_where_no_progress_is_wanted(bars: list[Recorded]) -> None:
    with progress.shown(False), progress.shown(True):
        compile_all(CompileNotice())
    assert not bars
    compile_all(CompileNotice())
    assert len(bars) == 1


def test_processes_that_work_for_another_one_are_silent(bars: list[Recorded], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiprocessing.parent_process", object)
    compile_all(CompileNotice())
    assert not bars


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("hierlogit.density.joint.c_callbacks", "the posterior density"),
        ("hierlogit.density.integrated.blocks", "the integrated posterior density"),
        ("hierlogit.effects.numerics.averages", "averages over clusters"),
        ("hierlogit.numba_support.vectors", "the likelihood"),
    ],
)
def test_it_says_what_is_compiled(module: str, words: str) -> None:
    assert compiling(module) == f"Compiling {words} (once, up to a minute)"
